# Branch and bound over one part: twin of `rewards.packing_search`, which explains it all.
#
# Overflow: totals are at most the largest value times all pieces, below 2^62; so is every bound.
# A shifted difference of two totals is below 2^60, because a shift to the left is chosen so that
# the largest value times all pieces stays below 2^55.

cdef extern from *:
    """
    #define PACKING_BOUND_MAX (((int64_t)1 << 62) - 1)
    #define PACKING_NEARLY_ONE (PACKING_ONE >> 6)

    static inline int64_t packing_shifted(int64_t worth, int64_t shift, int64_t most)
    {
        return packing_clamp((__int128)worth * ((__int128)1 << shift), INT64_MIN, most);
    }

    /* A value that loses bits is rounded up. */
    static inline int64_t packing_shifted_down(int64_t value, int64_t shift)
    {
        return -(-value >> shift);
    }

    static inline int64_t packing_floored(int64_t value, int64_t shift)
    {
        return value >> shift;
    }

    /* A fraction of width that scatters consecutive numbers. */
    static inline int64_t packing_fraction(int64_t number, int64_t width)
    {
        return (int64_t)((packing_scattered(number) * (uint64_t)width) >> 32);
    }
    """
    const int64_t BOUND_MAX "PACKING_BOUND_MAX"
    const int64_t NEARLY_ONE "PACKING_NEARLY_ONE"
    int64_t packing_shifted(int64_t worth, int64_t shift, int64_t most) noexcept nogil
    int64_t packing_shifted_down(int64_t value, int64_t shift) noexcept nogil
    int64_t packing_floored(int64_t value, int64_t shift) noexcept nogil
    int64_t packing_fraction(int64_t number, int64_t width) noexcept nogil

cdef enum:
    SHIFT_MAX = 32
    SCALED_BITS = 55
    SAVED_DEPTH_MAX = 64
    SAVED_ROWS_MAX = 128
    ROWS_MAX = 1024
    TRIED_PASSES = 64
    DECIDED_MAX = 64
    ROUNDS_MAX = 8
    FRAMES_FIRST = 64
    NONE_FIRED = -1
    SEVERAL_FIRED = -2
    LEVEL_BITS = 26  # FRACTION_BITS - 6; an expression here breaks the checked build

# An application's turn to be tried: higher levels first, then higher margins, then lower numbers.
cdef struct Wish:
    int64_t level
    int64_t margin
    int64_t application

# A branching under way.
cdef struct Frame:
    int64_t application
    int64_t count
    int64_t bound
    int64_t active_count
    int64_t left
    bint is_first

cdef struct Search:
    Part part
    Wish *wishes
    int64_t *rooms_left
    Frame *frames
    int64_t frames_count
    int64_t frames_max
    int64_t *saved[SAVED_DEPTH_MAX]


cdef int _compare_wishes(const void *left, const void *right) noexcept nogil:
    cdef const Wish *a = <const Wish *> left
    cdef const Wish *b = <const Wish *> right
    if a.level != b.level:
        return -1 if a.level > b.level else 1
    if a.margin != b.margin:
        return -1 if a.margin > b.margin else 1
    return -1 if a.application < b.application else 1


cdef int64_t _unscaled(Part *part, int64_t worth) noexcept nogil:
    """Whole units in a shifted bound."""
    if part.shift >= 0:
        return packing_floored(worth, part.shift)
    return packing_shifted(worth, -part.shift, BOUND_MAX)


cdef int64_t _enough(Part *part) noexcept nogil:
    """Shifted bound up to which nothing better can follow."""
    cdef int64_t missing = part.total - part.taken_total
    if part.shift >= 0:
        return packing_shifted(missing + 1, part.shift, INT64_MAX) - 1
    return packing_floored(missing, -part.shift)


cdef int64_t _greatest_divisor(int64_t one, int64_t other) noexcept nogil:
    cdef int64_t rest
    while other != 0:
        rest = one - packing_quotient(one, other) * other
        one = other
        other = rest
    return one


cdef void _scale(Part *part) noexcept nogil:
    """Divide the values by what divides them all, and shift them."""
    cdef int64_t n
    cdef int64_t width = 0
    part.divisor = part.value_max = part.price_max = 0
    for n in range(part.count):
        part.divisor = _greatest_divisor(part.values[n], part.divisor)
    for n in range(part.count):
        part.values[n] = packing_quotient(part.values[n], part.divisor)
        part.value_max = max(part.value_max, part.values[n])
    part.shift = packing_bit_length(part.value_max * part.pieces)
    part.shift = min(SHIFT_MAX, SCALED_BITS - part.shift)
    if part.shift >= 0:
        width = packing_quotient(<int64_t> 1 << part.shift, 4 * part.pieces * part.count)
    for n in range(part.count):
        if part.shift < 0:
            part.scaled[n] = packing_shifted_down(part.values[n], -part.shift)
        else:
            part.scaled[n] = (part.values[n] << part.shift) + width * (part.count - n)
            part.scaled[n] -= packing_fraction(n, width)
        part.price_max = max(part.price_max, part.scaled[n])


cdef inline bint _rivals(Part *part, int64_t one, int64_t other) noexcept nogil:
    """Whether two applications are of promotions that exclude each other."""
    if part.groups[one] < 0 or part.groups[one] != part.groups[other]:
        return False
    return part.promotions[one] != part.promotions[other]


cdef inline int64_t _fits(
    Part *part, const int64_t *rooms, int64_t n, int64_t times
) noexcept nogil:
    """How often an application fits into rooms, at most `times`."""
    cdef int64_t use
    for use in range(part.offsets[n], part.offsets[n + 1]):
        times = min(times, packing_quotient(rooms[part.rows[use]], part.counts[use]))
    return times


cdef void _drop(Part *part, int64_t application) noexcept nogil:
    """Take an application out of the active ones; a larger count of them brings it back."""
    cdef int64_t place = part.position[application]
    cdef int64_t last = part.active[part.active_count - 1]
    part.active[place] = last
    part.position[last] = place
    part.active_count -= 1
    part.active[part.active_count] = application
    part.position[application] = part.active_count
    part.times[application] = 0


cdef void _begin_trial(Search *search) noexcept nogil:
    """Begin to fill up what is taken so far."""
    cdef Part *part = &search.part
    cdef int64_t n
    memcpy(search.rooms_left, part.rooms, part.rows_count * sizeof(int64_t))
    memcpy(part.trial, part.taken, part.count * sizeof(int64_t))
    for n in range(part.count):
        if part.groups[n] >= 0:
            part.fired[part.groups[n]] = NONE_FIRED


cdef int64_t _grant(Search *search, int64_t n, int64_t wish) noexcept nogil:
    """Take an application as often as is wished and fits; return what that is worth."""
    cdef Part *part = &search.part
    cdef int64_t group = part.groups[n]
    cdef int64_t count = min(wish, part.taken[n] + part.left[n] - part.trial[n])
    cdef int64_t use
    if group >= 0 and part.fired[group] not in (NONE_FIRED, part.promotions[n]):
        return 0
    count = _fits(part, search.rooms_left, n, count)
    if count <= 0:
        return 0
    part.trial[n] += count
    if group >= 0:
        part.fired[group] = part.promotions[n]
    for use in range(part.offsets[n], part.offsets[n + 1]):
        search.rooms_left[part.rows[use]] -= part.counts[use] * count
    return count * part.values[n]


cdef void _keep_trial(Part *part, int64_t total) noexcept nogil:
    """Keep a packing if it is the best."""
    if total > part.total:
        part.total = total
        memcpy(part.found, part.trial, part.count * sizeof(int64_t))


cdef int64_t _start(Search *search) noexcept nogil:
    """Take what is worth most a piece, and bound the rest by prices without a basis."""
    cdef Part *part = &search.part
    cdef int64_t by_rows = 0
    cdef int64_t by_times = 0
    cdef int64_t total = 0
    cdef int64_t size_max = 0
    cdef int64_t n, use, size, price
    memset(part.prices, 0, part.rows_count * sizeof(int64_t))
    for n in range(part.count):
        size = 0
        for use in range(part.offsets[n], part.offsets[n + 1]):
            size += part.counts[use]
        size_max = max(size_max, size)
        price = packing_quotient(part.scaled[n], size)
        search.wishes[n] = Wish(0, price, n)
        price += 1 if price * size < part.scaled[n] else 0
        for use in range(part.offsets[n], part.offsets[n + 1]):
            part.prices[part.rows[use]] = max(part.prices[part.rows[use]], price)
        by_times = min(FAR, by_times + part.left[n] * part.scaled[n])
    part.can_cut = part.rows_first <= CUT_ROWS_MAX and size_max <= CUT_SIZE_MAX
    if part.count > 1:
        qsort(search.wishes, <size_t> part.count, sizeof(Wish), &_compare_wishes)
    _begin_trial(search)
    for n in range(part.count):
        total += _grant(
            search, search.wishes[n].application, part.left[search.wishes[n].application]
        )
    _keep_trial(part, total)
    for n in range(part.rows_count):
        by_rows = min(FAR, by_rows + part.rooms[n] * part.prices[n])
    return min(part.value_max * part.pieces, _unscaled(part, min(by_rows, by_times)))


cdef void _fit(Part *part) noexcept nogil:
    """Count how often each application still fits; drop those that do not."""
    cdef int64_t index, n, times
    for index in range(part.active_count - 1, -1, -1):
        n = part.active[index]
        times = _fits(part, part.rooms, n, part.left[n])
        if times > 0:
            part.times[n] = times
        else:
            _drop(part, n)


cdef void _round(Search *search) noexcept nogil:
    """Try what the bound's solution takes, whole times first, then whatever still fits."""
    cdef Part *part = &search.part
    cdef int64_t total = part.taken_total
    cdef int64_t index, n
    for index in range(part.active_count):
        n = part.active[index]
        search.wishes[index] = Wish(
            min(_amount(part, n), ONE) >> LEVEL_BITS, part.margins[n], n
        )
    qsort(search.wishes, <size_t> part.active_count, sizeof(Wish), &_compare_wishes)
    _begin_trial(search)
    for index in range(part.active_count):
        n = search.wishes[index].application
        total += _grant(search, n, (_amount(part, n) + NEARLY_ONE) >> FRACTION_BITS)
    for index in range(part.active_count):
        n = search.wishes[index].application
        total += _grant(search, n, part.left[n])
    _keep_trial(part, total)


cdef void _fix(Part *part) noexcept nogil:
    """Drop the applications that cannot be part of anything better."""
    cdef int64_t index, n
    for index in range(part.active_count - 1, -1, -1):
        n = part.active[index]
        if part.margins[n] < 0:
            if part.taken_total + _unscaled(part, part.worth + part.margins[n]) <= part.total:
                _drop(part, n)


cdef int64_t _tightest(Part *part) noexcept nogil:
    """Row of a split application with few ways to use it and a high price; -1 if none is split."""
    cdef int64_t best = -1
    cdef int64_t index, n, use, row
    cdef bint is_split
    memset(part.ways, 0, part.rows_count * sizeof(int64_t))
    memset(part.slack, 0, part.rows_count * sizeof(int64_t))
    for index in range(part.active_count):
        n = part.active[index]
        is_split = _is_split(_amount(part, n))
        for use in range(part.offsets[n], part.offsets[n + 1]):
            part.ways[part.rows[use]] += 1
            if is_split:
                part.slack[part.rows[use]] = 1
    for row in range(part.rows_count):
        if part.slack[row] and (
            best < 0
            or packing_is_less(
                part.ways[row] * part.ways[row], part.prices[best] + 1,
                part.ways[best] * part.ways[best], part.prices[row] + 1,
            )
        ):
            best = row
    return best


cdef inline bint _uses_row(Part *part, int64_t n, int64_t row) noexcept nogil:
    cdef int64_t use
    for use in range(part.offsets[n], part.offsets[n + 1]):
        if part.rows[use] == row:
            return True
    return False


cdef int64_t _torn(Part *part) noexcept nogil:
    """The application worth most of groups of which several promotions are taken; -1 for none."""
    cdef int64_t chosen = -1
    cdef int64_t most = -1
    cdef int64_t value = 0
    cdef int64_t index, n, group, amount
    for index in range(part.active_count):
        group = part.groups[part.active[index]]
        if group >= 0:
            part.fired[group] = NONE_FIRED
    for index in range(part.active_count):
        n = part.active[index]
        group = part.groups[n]
        if group >= 0 and _amount(part, n) > FRACTION_MIN:
            if part.fired[group] == NONE_FIRED:
                part.fired[group] = part.promotions[n]
            elif part.fired[group] != part.promotions[n]:
                part.fired[group] = SEVERAL_FIRED
    for index in range(part.active_count):
        n = part.active[index]
        group = part.groups[n]
        if group >= 0 and part.fired[group] == SEVERAL_FIRED:
            amount = _amount(part, n)
            if amount <= FRACTION_MIN:
                continue
            if chosen >= 0 and packing_is_less(part.values[n], amount, value, most):
                continue
            if chosen < 0 or n < chosen or packing_is_less(value, most, part.values[n], amount):
                most = amount
                value = part.values[n]
                chosen = n
    return chosen


cdef int64_t _choose(Part *part, int64_t *count) noexcept nogil:
    """Application to branch on, and how often to take it; 0 to branch on its promotion."""
    cdef int64_t torn = _torn(part)
    count[0] = 0
    return torn if torn >= 0 else _choose_often(part, count)


cdef int64_t _choose_often(Part *part, int64_t *count) noexcept nogil:
    """Application to branch on, and how often to take it."""
    cdef int64_t row = _tightest(part)
    cdef int64_t chosen = -1
    cdef int64_t most = -1
    cdef int64_t index, n, amount, rank
    for index in range(part.active_count):
        n = part.active[index]
        amount = rank = _amount(part, n)
        if row >= 0:
            if not _is_split(amount) or not _uses_row(part, n, row):
                continue
            rank = amount & (ONE - 1)
        if rank > most or (rank == most and n < chosen):
            most = rank
            chosen = n
    amount = _amount(part, chosen)
    if row >= 0:
        count[0] = (amount >> FRACTION_BITS) + 1
    else:
        count[0] = max(1, (amount + FRACTION_MIN) >> FRACTION_BITS)
    count[0] = min(count[0], part.times[chosen])
    return chosen


cdef int64_t _visit(Search *search, int64_t bound, int64_t *count) noexcept nogil:
    """Bound the node; the application to branch on if it may hold something better, else -1."""
    cdef Part *part = &search.part
    cdef int64_t worth
    part.bound = bound
    _fit(part)
    if part.active_count == 0:
        _begin_trial(search)
        _keep_trial(part, part.taken_total)
        return -1
    worth = _solve(part, _enough(part))
    part.bound = min(bound, part.taken_total + _unscaled(part, worth))
    if part.is_spent or part.bound <= part.total:
        return -1
    _round(search)
    if part.bound <= part.total:
        return -1
    _fix(part)
    return _choose(part, count) if part.active_count > 0 else -1


cdef int64_t *_keep_basis(Part *part, int64_t *block) noexcept nogil:
    """Copy prices and basis into a block, a new one for NULL; NULL if memory is short."""
    cdef int64_t rows = part.rows_count
    if block == NULL:
        block = <int64_t *> malloc((rows + 2) * rows * sizeof(int64_t))
    if block != NULL:
        memcpy(block, part.prices, rows * sizeof(int64_t))
        memcpy(block + rows, part.basic, rows * sizeof(int64_t))
        memcpy(block + 2 * rows, part.inverse, rows * rows * sizeof(int64_t))
    return block


cdef void _return_basis(Part *part, const int64_t *block) noexcept nogil:
    """Go back to a copy."""
    cdef int64_t rows = part.rows_count
    cdef int64_t column
    for column in range(part.count + rows):
        part.place[column] = -1
    memcpy(part.prices, block, rows * sizeof(int64_t))
    memcpy(part.basic, block + rows, rows * sizeof(int64_t))
    memcpy(part.inverse, block + 2 * rows, rows * rows * sizeof(int64_t))
    for column in range(rows):
        part.place[part.basic[column]] = column
    part.is_fresh = False


cdef bint _save(Search *search) noexcept nogil:
    """Keep prices and basis of the node, where that is done; False if memory is short."""
    cdef int64_t depth = search.frames_count
    if depth >= SAVED_DEPTH_MAX or search.part.rows_count > SAVED_ROWS_MAX:
        return True
    search.saved[depth] = _keep_basis(&search.part, search.saved[depth])
    return search.saved[depth] != NULL


cdef void _restore(Search *search) noexcept nogil:
    """Go back to the prices and the basis of the last frame, where they are kept."""
    cdef int64_t depth = search.frames_count - 1
    if depth < SAVED_DEPTH_MAX and search.part.rows_count <= SAVED_ROWS_MAX:
        _return_basis(&search.part, search.saved[depth])


cdef void _take(Part *part, int64_t application, int64_t count) noexcept nogil:
    cdef int64_t use
    part.left[application] -= count
    part.taken[application] += count
    part.taken_total += count * part.values[application]
    for use in range(part.offsets[application], part.offsets[application + 1]):
        part.rooms[part.rows[use]] -= part.counts[use] * count


cdef void _drop_rivals(Part *part, int64_t application) noexcept nogil:
    """Drop what the promotion of an application excludes."""
    cdef int64_t index
    for index in range(part.active_count - 1, -1, -1):
        if _rivals(part, application, part.active[index]):
            _drop(part, part.active[index])


cdef bint _first(Search *search, int64_t application, int64_t count) noexcept nogil:
    """Go the first way of a branching; False if memory is short."""
    cdef Part *part = &search.part
    cdef Frame *frames
    if search.frames_count == search.frames_max:
        search.frames_max = 2 * search.frames_max if search.frames_max else FRAMES_FIRST
        frames = <Frame *> realloc(search.frames, search.frames_max * sizeof(Frame))
        if frames == NULL:
            return False
        search.frames = frames
    if not _save(search):
        return False
    search.frames[search.frames_count] = Frame(
        application, count, part.bound, part.active_count, part.left[application], True
    )
    search.frames_count += 1
    _drop_rivals(part, application)
    _take(part, application, count)
    return True


cdef void _second(Search *search, Frame *frame) noexcept nogil:
    """Go the second way of a branching."""
    cdef Part *part = &search.part
    cdef int64_t own = part.promotions[frame.application]
    cdef int64_t index
    part.active_count = frame.active_count
    if frame.count > 0:
        part.left[frame.application] = frame.count - 1
    else:
        for index in range(part.active_count - 1, -1, -1):
            if part.promotions[part.active[index]] == own:
                _drop(part, part.active[index])
    _restore(search)


cdef bint _turn(Search *search) noexcept nogil:
    """Go back to the last branching with a second way worth going, and go it."""
    cdef Part *part = &search.part
    cdef Frame *frame
    while search.frames_count > 0:
        frame = &search.frames[search.frames_count - 1]
        if frame.is_first:
            _take(part, frame.application, -frame.count)
            frame.is_first = False
            if frame.bound > part.total:
                _second(search, frame)
                return True
        part.left[frame.application] = frame.left
        search.frames_count -= 1
    return False


cdef void _set_floors(Part *part) noexcept nogil:
    """Set the least prices of the rows: below a quarter of a unit for all rows together."""
    cdef int64_t width = <int64_t> 1 << max(0, part.shift)
    cdef int64_t rooms = 0
    cdef int64_t row
    for row in range(part.rows_count):
        rooms += part.rooms[row]
    width = packing_quotient(width, 4 * rooms)
    for row in range(part.rows_count):
        part.floors[row] = packing_fraction(row, width)


cdef void _leave(Search *search) noexcept nogil:
    """Go back to the root."""
    cdef Part *part = &search.part
    cdef Frame *frame
    cdef int64_t depth
    for depth in range(search.frames_count - 1, -1, -1):
        frame = &search.frames[depth]
        if frame.is_first:
            _take(part, frame.application, -frame.count)
        part.left[frame.application] = frame.left
    if search.frames_count > 0:
        part.active_count = search.frames[0].active_count
        search.frames_count = 1
        _restore(search)
    search.frames_count = 0
    for depth in range(SAVED_DEPTH_MAX):
        free(search.saved[depth])
        search.saved[depth] = NULL


cdef int _descend(
    Search *search, int64_t application, int64_t count, int64_t work_stop
) noexcept nogil:
    """Search below the root and come back to it; the bound that is left is the part's."""
    cdef Part *part = &search.part
    cdef int64_t depth
    while not part.is_spent:
        if application < 0:
            if not _turn(search):
                part.bound = part.total
                return PACK_DONE
        elif part.work >= work_stop:
            break
        elif not _first(search, application, count):
            return PACK_NO_MEMORY
        application = _visit(search, search.frames[search.frames_count - 1].bound, &count)
    part.bound = max(part.bound, part.total)
    for depth in range(search.frames_count):
        if search.frames[depth].is_first:
            part.bound = max(part.bound, search.frames[depth].bound)
    _leave(search)
    return PACK_DONE


cdef int _cut_rounds(
    Search *search, CutDesk *desk, int64_t *application, int64_t *count
) noexcept nogil:
    """Add cuts and visit the node again, as long as there are any."""
    cdef Part *part = &search.part
    cdef int64_t rounds = 0
    cdef int status
    while rounds < ROUNDS_MAX and application[0] >= 0:
        rounds += 1
        status = _cut(part, desk)
        if status != PACK_DONE or desk.found == 0:
            return status
        _set_floors(part)
        _restart(part)
        application[0] = _visit(search, part.bound, count)
    return PACK_DONE


cdef int _sharpen(Search *search, int64_t *application, int64_t *count) noexcept nogil:
    """Search with cuts, or find that a promotion is to be decided first.

    What is to be decided is left in `application`, -1 for nothing; the bound is the part's.
    """
    cdef Part *part = &search.part
    cdef int64_t *saved = _keep_basis(part, NULL)
    cdef CutDesk desk
    cdef int status = PACK_NO_MEMORY
    memset(&desk, 0, sizeof(CutDesk))
    if saved != NULL:
        status = _cut_rounds(search, &desk, application, count)
        if status == PACK_DONE and (application[0] < 0 or count[0] > 0):
            status = _descend(search, application[0], count[0], BOUND_MAX)
            application[0] = -1
        _uncut(part)
        _set_floors(part)
        _return_basis(part, saved)
    free(desk.arena)
    free(saved)
    return status


cdef int _decide(Search *search, int64_t application, int64_t depth) noexcept nogil:
    """Search with the promotion of an application alone in its group, then without it."""
    cdef Part *part = &search.part
    cdef int64_t bound = part.bound
    cdef int64_t active_count = part.active_count
    cdef int64_t own = part.promotions[application]
    cdef int64_t *saved = NULL
    cdef int64_t index
    cdef int status
    if part.rows_count <= SAVED_ROWS_MAX:
        saved = _keep_basis(part, NULL)
        if saved == NULL:
            return PACK_NO_MEMORY
    _drop_rivals(part, application)
    status = _explore(search, bound, depth + 1)
    if status == PACK_DONE and not part.is_spent and bound > part.total:
        part.active_count = active_count
        for index in range(active_count - 1, -1, -1):
            if part.promotions[part.active[index]] == own:
                _drop(part, part.active[index])
        if saved != NULL:
            _return_basis(part, saved)
        status = _explore(search, bound, depth + 1)
    else:
        part.bound = max(bound, part.total)
    free(saved)
    return status


cdef int _explore(Search *search, int64_t bound, int64_t depth) noexcept nogil:
    """Search below a node at which nothing but promotions of groups has been decided.

    What is not done after a few passes begins again with cuts. The bound that is left is the
    part's; it is the total if all was searched.
    """
    cdef Part *part = &search.part
    cdef int64_t count = 0
    cdef int64_t application = _visit(search, bound, &count)
    cdef int status
    if depth < DECIDED_MAX and application >= 0 and count > 0:
        status = _descend(search, application, count, TRIED_PASSES * part.cost)
        if status != PACK_DONE or part.is_spent or part.bound <= part.total:
            return status
        application = _visit(search, part.bound, &count)
        if application >= 0 and part.can_cut:
            status = _sharpen(search, &application, &count)
            if status != PACK_DONE or application < 0:
                return status
    if depth < DECIDED_MAX and application >= 0 and count == 0:
        return _decide(search, application, depth)
    return _descend(search, application, count, BOUND_MAX)


cdef int _run(Search *search) noexcept nogil:
    """Search a part; `found`, `total` and `bound` of it are the result, in the caller's unit."""
    cdef Part *part = &search.part
    cdef int64_t rows_max = part.rows_count + ROUNDS_MAX * CUTS_MAX
    cdef int64_t n
    cdef int status = PACK_DONE
    _scale(part)
    part.bound = _start(search)
    if part.bound > part.total and part.rows_count <= ROWS_MAX:
        for n in range(part.count):
            part.active[n] = part.position[n] = n
        part.active_count = part.count
        part.inverse = <int64_t *> malloc(rows_max * rows_max * sizeof(int64_t))
        if part.inverse == NULL:
            return PACK_NO_MEMORY
        _set_floors(part)
        _restart(part)
        status = _explore(search, part.bound, 0)
        free(part.inverse)
        free(part.wide)
    for n in range(SAVED_DEPTH_MAX):
        free(search.saved[n])
    free(search.frames)
    part.bound = max(part.bound, part.total) * part.divisor
    part.total *= part.divisor
    return status
