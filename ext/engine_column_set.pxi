"""Applications in a best lane of what needs sets of pieces, bundles, and of rewards alone."""

cdef Uses _between(Scene *scene, Uses uses, int64_t start, int64_t stop) except *:
    """The pieces of a set from one place to another, dearest first."""
    cdef Uses inside
    cdef int64_t before = 0, count
    cdef Py_ssize_t n
    inside.rows = <Use *> _take(&scene.scratch, uses.count, sizeof(Use))
    inside.count = 0
    for n in range(uses.count):
        count = _least(before + uses.rows[n].pieces, stop) - _most(before, start)
        if count > 0:
            inside.rows[inside.count] = Use(uses.rows[n].place, count)
            inside.count += 1
        before += uses.rows[n].pieces
    return inside


cdef int _weigh_sets(
    Weighing *weighing,
    Runs *places,
    bint per_article,
    int64_t set_count,
    int64_t start,
    int64_t stop,
    int64_t rate_bp,
    bint spread,
) except -1:
    """Sets of so many pieces; of each, dearest first, those between two places are lowered."""
    cdef Scene *scene = weighing.scene
    cdef Ways ways = _no_ways()
    cdef Uses uses, low
    cdef int64_t discount_minor
    cdef Py_ssize_t n
    _choose_by_group(scene, weighing.lane, places, per_article, set_count, &ways)
    for n in range(ways.count):
        uses = _way(&ways, n)
        low = _between(scene, uses, start, stop)
        discount_minor = _share_of(_uses_price(weighing.lane, low), rate_bp, HALF_UP)
        _add_lowering(
            weighing, uses, uses if spread else low, discount_minor, weighing.deal.times_max
        )
    weighing.columns.complete = ways.complete
    return 0


cdef bint _gives_dearer(
    Scene *scene, const Lane *lane, Uses bought, Uses given, const bint *both
) noexcept:
    """Whether a piece is given that is dearer than one bought, where each could be the other."""
    cdef int64_t lowest = UNLIMITED, highest = 0
    cdef Py_ssize_t n
    for n in range(bought.count):
        if both[bought.rows[n].place]:
            lowest = _least(lowest, lane.classes[bought.rows[n].place].price_minor)
    for n in range(given.count):
        if both[given.rows[n].place]:
            highest = _most(highest, lane.classes[given.rows[n].place].price_minor)
    return highest > lowest


cdef bint *_in_both(
    Scene *scene, const Lane *lane, const Runs *left, const Runs *right
) except NULL:
    """For each class whether it is in both."""
    cdef bint *both = <bint *> _take(&scene.scratch, lane.classes_count + 1, sizeof(bint))
    cdef bint *one = <bint *> _take(&scene.scratch, lane.classes_count + 1, sizeof(bint))
    cdef Py_ssize_t n
    memset(both, 0, <size_t> (lane.classes_count + 1) * sizeof(bint))
    memset(one, 0, <size_t> (lane.classes_count + 1) * sizeof(bint))
    for n in range(left.count):
        one[left.rows[n].item] = True
    for n in range(right.count):
        both[right.rows[n].item] = one[right.rows[n].item]
    return both


cdef int _weigh_buy_get(Weighing *weighing, Runs *buys, Runs *gets) except -1:
    """Bought and given pieces; of those that both sets hold what is given is no dearer."""
    cdef Scene *scene = weighing.scene
    cdef const Lane *lane = weighing.lane
    cdef const int64_t *given = weighing.deal.arguments
    cdef const bint *both = _in_both(scene, lane, buys, gets)
    cdef Ways bought = _no_ways(), got = _no_ways()
    cdef Uses low, uses
    cdef int64_t discount_minor, fitting = 0, looked_at = 0
    cdef Arena here
    cdef Py_ssize_t n, m
    _choose_ways(scene, lane, buys, given[0], &bought)
    _choose_ways(scene, lane, gets, given[1], &got)
    weighing.columns.complete = bought.complete and got.complete
    here = _here(&scene.scratch)
    for n in range(bought.count):
        for m in range(got.count):
            if fitting == APPLICATIONS_MAX or looked_at == WAYS_MAX:
                weighing.columns.complete = False
                return 0
            looked_at += 1
            _go_back(&scene.scratch, &here)
            low = _way(&got, m)
            uses = _added_uses(&scene.scratch, _way(&bought, n), low)
            if not _fits_times(lane, uses):
                continue
            if _gives_dearer(scene, lane, _way(&bought, n), low, both):
                continue
            fitting += 1
            discount_minor = _share_of(_uses_price(lane, low), given[2], HALF_UP)
            _add_lowering(
                weighing, uses, uses if given[5] else low, discount_minor, weighing.deal.times_max
            )
    return 0


# --- on bundles -------------------------------------------------------------------------------

cdef enum:
    SEEN_SIZE = 8192  # a power of two, more than twice as many as are ever in it

cdef struct Seen:
    # Different sets of uses in the order in which they were met, with a table of their hashes.
    Uses *rows
    Py_ssize_t count
    int32_t *table


cdef bint _same_uses(Uses left, Uses right) noexcept:
    cdef Py_ssize_t n
    if left.count != right.count:
        return False
    for n in range(left.count):
        if left.rows[n].place != right.rows[n].place:
            return False
        if left.rows[n].pieces != right.rows[n].pieces:
            return False
    return True


cdef bint _see(Seen *seen, Uses uses) noexcept:
    """Remember uses; say whether they are new."""
    cdef uint64_t found = 14695981039346656037u
    cdef Py_ssize_t n
    cdef int32_t at
    for n in range(uses.count):
        found = loyalty_mix(found, <uint64_t> uses.rows[n].place)
        found = loyalty_mix(found, <uint64_t> uses.rows[n].pieces)
    n = <Py_ssize_t> (found & (SEEN_SIZE - 1))
    while True:
        at = seen.table[n]
        if at < 0:
            break
        if _same_uses(seen.rows[at], uses):
            return False
        n = (n + 1) & (SEEN_SIZE - 1)
    seen.table[n] = <int32_t> seen.count
    seen.rows[seen.count] = uses
    seen.count += 1
    return True


cdef bint _next_ways(const Ways *chosen, Py_ssize_t *at, Py_ssize_t parts_count) noexcept:
    """Go on to the next combination, the last part first; False after the last one."""
    cdef Py_ssize_t n = parts_count - 1
    while n >= 0:
        at[n] += 1
        if at[n] < chosen[n].count:
            return True
        at[n] = 0
        n -= 1
    return False


cdef int _look_at_ways(
    Weighing *weighing, const Ways *chosen, Py_ssize_t parts_count, Seen *seen, bint *complete
) except -1:
    """Put one way of each part together, in every combination; what several give comes once."""
    cdef Arena *scratch = &weighing.scene.scratch
    cdef Py_ssize_t *at = <Py_ssize_t *> _take(scratch, parts_count, sizeof(Py_ssize_t))
    cdef int64_t looked_at = 0
    cdef Uses uses
    cdef Arena here
    cdef Py_ssize_t n
    for n in range(parts_count):
        at[n] = 0
        if not chosen[n].count:
            return 0
    while True:
        looked_at += 1
        here = _here(scratch)
        uses = _copy_uses(scratch, _way(&chosen[0], at[0]))
        for n in range(1, parts_count):
            uses = _added_uses(scratch, uses, _way(&chosen[n], at[n]))
        if not _fits_times(weighing.lane, uses) or not _see(seen, uses):
            _go_back(scratch, &here)
        if seen.count > APPLICATIONS_MAX or looked_at > WAYS_MAX:
            complete[0] = False
            return 0
        if not _next_ways(chosen, at, parts_count):
            return 0


cdef int _weigh_bundle(Weighing *weighing, Runs *parts) except -1:
    """Pieces of every part."""
    cdef Scene *scene = weighing.scene
    cdef const Deal *deal = weighing.deal
    cdef Ways *chosen = <Ways *> _take(&scene.scratch, deal.parts_count, sizeof(Ways))
    cdef Seen seen
    cdef bint complete = True
    cdef int64_t discount_minor
    cdef Py_ssize_t n
    for n in range(deal.parts_count):
        chosen[n] = _no_ways()
        _choose_ways(scene, weighing.lane, &parts[n], deal.arguments[3 + n], &chosen[n])
        complete = complete and chosen[n].complete
    seen.rows = <Uses *> _take(&scene.scratch, APPLICATIONS_MAX + 1, sizeof(Uses))
    seen.table = <int32_t *> _take(&scene.scratch, SEEN_SIZE, sizeof(int32_t))
    seen.count = 0
    memset(seen.table, 0xFF, SEEN_SIZE * sizeof(int32_t))
    _look_at_ways(weighing, chosen, deal.parts_count, &seen, &complete)
    for n in range(_least(seen.count, APPLICATIONS_MAX)):
        discount_minor = _bundle_discount(
            deal.arguments, _uses_price(weighing.lane, seen.rows[n])
        )
        _add_lowering(weighing, seen.rows[n], seen.rows[n], discount_minor, deal.times_max)
    weighing.columns.complete = complete
    return 0


# --- only rewards -----------------------------------------------------------------------------

cdef int _weigh_rewards(Weighing *weighing) except -1:
    """Applications of a promotion that only gives points: pieces, sets of them, or all of them."""
    cdef Scene *scene = weighing.scene
    cdef const Promotion *promotion = weighing.promotion
    cdef const Benefit *benefit
    cdef const int64_t *fixed = NULL
    cdef Runs places
    cdef Ways ways = _no_ways()
    cdef Uses uses
    cdef Py_ssize_t n
    places = _places_of(scene, weighing.lane, promotion, promotion.target, False)
    for n in range(promotion.benefits_count - 1, -1, -1):
        benefit = &scene.plan.benefits[promotion.benefits + n]
        if benefit.code == POINTS_FIXED:
            fixed = scene.plan.pool + benefit.arguments
    if fixed == NULL:
        uses = _copy_uses(&scene.scratch, _all_of(scene, &places))
        for n in range(uses.count):
            _add_use(&scene.scratch, &ways, uses.rows[n].place, 1)
            _end_way(&scene.scratch, &ways)
    elif not fixed[1] or fixed[2]:
        uses = _all_of(scene, &places)
        if uses.count:
            _add_column(weighing, uses, uses, 0, 1)
    else:
        _choose_ways(scene, weighing.lane, &places, fixed[1], &ways)
    for n in range(ways.count):
        uses = _way(&ways, n)
        _add_column(weighing, uses, uses, 0, UNLIMITED)
    weighing.columns.complete = ways.complete
    return 0


# --- any --------------------------------------------------------------------------------------

cdef int _weigh_prices(Weighing *weighing) except -1:
    """List the applications of a promotion's price benefit."""
    cdef Scene *scene = weighing.scene
    cdef const Promotion *promotion = weighing.promotion
    cdef const Benefit *benefit = weighing.deal.benefit
    cdef const int64_t *given = weighing.deal.arguments
    cdef const int64_t *sets = scene.plan.pool + benefit.parts
    cdef Py_ssize_t n, count = _most(1, benefit.parts_count)
    cdef Runs *parts = <Runs *> _take(&scene.scratch, count, sizeof(Runs))
    cdef int64_t code = benefit.code, start, stop
    if not benefit.parts_count:
        sets = &promotion.target
    for n in range(count):
        parts[n] = _places_of(scene, weighing.lane, promotion, sets[n], True)
    if code == QUANTITY_TIERS:
        return _weigh_tiers(weighing, &parts[0])
    if code == RECEIPT_DISCOUNT:
        return _weigh_whole(weighing, &parts[0])
    if code == N_PLUS_M:
        # pay, free, per_article, as_quantity, partly, spread: full sets only.
        return _weigh_sets(
            weighing, &parts[0], <bint> given[2], given[0] + given[1], given[0],
            given[0] + given[1], RATE_ONE, <bint> given[5]
        )
    if code == NTH_ITEM or code == CHEAPEST_FREE:
        # set_count, free_count, rate, which, spread, per_article
        start = 0 if given[3] == PICK_DEAREST else given[0] - given[1]
        stop = given[1] if given[3] == PICK_DEAREST else given[0]
        return _weigh_sets(
            weighing, &parts[0], <bint> given[5], given[0], start, stop, given[2], <bint> given[4]
        )
    if code == BUY_GET:
        return _weigh_buy_get(weighing, &parts[0], &parts[1])
    if code == BUNDLE_PRICE:
        return _weigh_bundle(weighing, parts)
    return _weigh_pieces(weighing, &parts[0])
