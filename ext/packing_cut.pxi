# Cuts of a part's root: twin of `rewards.packing_cut`, which explains it all.
#
# Overflow: an amount is at most times of 2^14 with 32 bits of fraction, a rounded count at most
# 2^12, so a product is below 2^59 and sums of them stop at FAR. Rooms are at most 2^15 each, of
# at most 128 rows.

cdef extern from *:
    """
    #define PACKING_FRACTION_MIN (PACKING_ONE >> 10)
    #define PACKING_VIOLATION_MIN (PACKING_ONE >> 4)

    static inline uint64_t packing_scattered(int64_t number)
    {
        return ((uint64_t)number + 1) * 2654435761u & 0xFFFFFFFFu;
    }

    /* Add a count to the mark of a cut, of which 62 bits stay. */
    static inline int64_t packing_marked(int64_t mark, int64_t number, int64_t count)
    {
        uint64_t added = (uint64_t)mark + (uint64_t)count * packing_scattered(number);
        return (int64_t)(added & (((uint64_t)1 << 62) - 1));
    }
    """
    const int64_t FRACTION_MIN "PACKING_FRACTION_MIN"
    const int64_t VIOLATION_MIN "PACKING_VIOLATION_MIN"
    int64_t packing_marked(int64_t mark, int64_t number, int64_t count) noexcept nogil

cdef enum:
    CUTS_MAX = 3
    CUT_ROWS_MAX = 128
    CUT_SIZE_MAX = 8_192
    DIVISOR_MIN = 2
    DIVISOR_MAX = 4

# A row, by how much it is broken, and what it has in common with an equal one.
cdef struct Cut:
    int64_t violation
    int64_t room
    int64_t mark
    int64_t *counts

# What cuts are made on. By application: sums, rounded, counts of the cuts; by row: label, chosen.
cdef struct CutDesk:
    int64_t *arena
    int64_t *sums
    int64_t *rounded
    int64_t *label
    int64_t *wholes
    int64_t *chosen
    Cut cuts[CUTS_MAX]
    int64_t found


cdef int64_t *_carve(int64_t **arena, int64_t count) noexcept nogil:
    """Take the next `count` numbers of an arena."""
    cdef int64_t *found = arena[0]
    arena[0] += count
    return found


cdef int64_t _stand_for(int64_t *joined, int64_t row) noexcept nogil:
    """Row that stands for all that are joined to this one."""
    while joined[row] != row:
        joined[row] = joined[joined[row]]
        row = joined[row]
    return row


cdef inline bint _is_split(int64_t amount) noexcept nogil:
    return FRACTION_MIN < amount & (ONE - 1) < ONE - FRACTION_MIN


cdef bint _take_desk(Part *part, CutDesk *desk) noexcept nogil:
    """Set up a desk; False if memory is short."""
    cdef int64_t n = part.count
    cdef int64_t r = part.rows_first
    cdef int64_t *rest
    cdef int64_t cut
    desk.arena = <int64_t *> malloc(((2 + CUTS_MAX) * n + 3 * r + 1) * sizeof(int64_t))
    if desk.arena == NULL:
        return False
    rest = desk.arena
    desk.sums = _carve(&rest, n)
    desk.rounded = _carve(&rest, n)
    desk.label = _carve(&rest, r)
    desk.chosen = _carve(&rest, r)
    desk.wholes = _carve(&rest, r + 1)
    for cut in range(CUTS_MAX):
        desk.cuts[cut].counts = _carve(&rest, n)
    return True


cdef int64_t _join_priced(Part *part, CutDesk *desk) noexcept nogil:
    """Label the rows with a price by the lowest row that taken applications join them to.

    List the labels of rows that a split application uses, ascending; return how many.
    """
    cdef int64_t found = 0
    cdef int64_t row, index, n, use, first, stand, amount
    for row in range(part.rows_first):
        desk.label[row] = row if part.prices[row] > 0 else -1
        desk.chosen[row] = 0
    for index in range(part.active_count):
        n = part.active[index]
        if _amount(part, n) <= FRACTION_MIN:
            continue
        first = -1
        for use in range(part.offsets[n], part.offsets[n + 1]):
            row = part.rows[use]
            if row >= part.rows_first or desk.label[row] < 0:
                continue
            row = _stand_for(desk.label, row)
            if first >= 0 and row != first:
                desk.label[max(row, first)] = min(row, first)
            first = row if first < 0 else min(row, first)
    for index in range(part.active_count):
        n = part.active[index]
        amount = _amount(part, n)
        if amount <= FRACTION_MIN or not _is_split(amount):
            continue
        for use in range(part.offsets[n], part.offsets[n + 1]):
            row = part.rows[use]
            if row < part.rows_first and desk.label[row] >= 0:
                desk.chosen[_stand_for(desk.label, row)] = 1
    for row in range(part.rows_first):
        if desk.label[row] >= 0:
            desk.label[row] = stand = _stand_for(desk.label, row)
            if stand == row and desk.chosen[row]:
                desk.wholes[found] = row
                found += 1
    return found


cdef int64_t _sum_rows(Part *part, CutDesk *desk) noexcept nogil:
    """Add up the chosen rows for each active application; return what they hold."""
    cdef int64_t room = 0
    cdef int64_t row, index, n, use, total
    for row in range(part.rows_first):
        if desk.chosen[row]:
            room += part.rooms[row]
    for index in range(part.active_count):
        n = part.active[index]
        total = 0
        for use in range(part.offsets[n], part.offsets[n + 1]):
            if part.rows[use] < part.rows_first and desk.chosen[part.rows[use]]:
                total += part.counts[use]
        desk.sums[n] = total
    return room


cdef void _round_sum(
    Part *part, CutDesk *desk, Cut *cut, int64_t room, int64_t divisor, bint rises
) noexcept nogil:
    """Divide a sum of rows and round; `rises` rounds up what is taken as often as it may be."""
    cdef int64_t used = 0
    cdef int64_t index, n, amount, full, whole
    cut.mark = 0
    for index in range(part.active_count):
        n = part.active[index]
        full = part.left[n] * ONE
        amount = min(_amount(part, n), full)
        whole = packing_quotient(desk.sums[n], divisor)
        if rises and whole * divisor < desk.sums[n] and amount >= full - FRACTION_MIN:
            whole += 1
            room += (whole * divisor - desk.sums[n]) * part.left[n]
        desk.rounded[n] = whole
        if whole > 0:
            used = min(FAR, used + whole * amount)
            cut.mark = packing_marked(cut.mark, n, whole)
    cut.room = packing_quotient(room, divisor)
    cut.violation = used - cut.room * ONE


cdef void _keep_cut(Part *part, CutDesk *desk, const Cut *cut) noexcept nogil:
    """Keep a cut if it is among those that are broken most, and not there yet."""
    cdef int64_t place = 0
    cdef int64_t *counts
    cdef int64_t index
    while place < desk.found and desk.cuts[place].violation >= cut.violation:
        if (
            desk.cuts[place].violation == cut.violation
            and desk.cuts[place].room == cut.room
            and desk.cuts[place].mark == cut.mark
        ):
            return
        place += 1
    if place == CUTS_MAX:
        return
    counts = desk.cuts[CUTS_MAX - 1].counts
    if desk.found < CUTS_MAX:
        counts = desk.cuts[desk.found].counts
        desk.found += 1
    for index in range(desk.found - 1, place, -1):
        desk.cuts[index] = desk.cuts[index - 1]
    desk.cuts[place] = Cut(cut.violation, cut.room, cut.mark, counts)
    memset(counts, 0, part.count * sizeof(int64_t))
    for index in range(part.active_count):
        counts[part.active[index]] = desk.rounded[part.active[index]]


cdef bint _try_sum(Part *part, CutDesk *desk) noexcept nogil:
    """Keep the cuts that the chosen rows make; False if the budget is spent."""
    cdef int64_t room, divisor, rises
    cdef Cut cut
    if not _spend(part):
        desk.found = 0
        return False
    room = _sum_rows(part, desk)
    for divisor in range(DIVISOR_MIN, DIVISOR_MAX + 1):
        for rises in range(2):
            _round_sum(part, desk, &cut, room, divisor, rises == 1)
            if cut.violation > VIOLATION_MIN:
                _keep_cut(part, desk, &cut)
    return True


cdef int64_t _choose_rows(Part *part, CutDesk *desk, int64_t label) noexcept nogil:
    """Choose the rows of a label, or all with a price for -1; return how many."""
    cdef int64_t found = 0
    cdef int64_t row
    for row in range(part.rows_first):
        desk.chosen[row] = desk.label[row] >= 0 and label in (-1, desk.label[row])
        found += desk.chosen[row]
    return found


cdef void _find_cuts(Part *part, CutDesk *desk) noexcept nogil:
    """Find the cuts that the root's solution breaks most."""
    cdef int64_t wholes = _join_priced(part, desk)
    cdef int64_t priced = _choose_rows(part, desk, -1)
    cdef bint is_known = False
    cdef int64_t whole, row, size
    desk.found = 0
    for whole in range(wholes):
        is_known = is_known or _choose_rows(part, desk, desk.wholes[whole]) == priced
    if not is_known:
        desk.wholes[wholes] = -1
        wholes += 1
    for whole in range(wholes):
        if _choose_rows(part, desk, desk.wholes[whole]) > 1 and not _try_sum(part, desk):
            return
    if desk.found > 0:
        return
    for whole in range(wholes):
        size = _choose_rows(part, desk, desk.wholes[whole])
        for row in range(part.rows_first if size > 2 else 0):
            if desk.chosen[row]:
                desk.chosen[row] = 0
                if not _try_sum(part, desk):
                    return
                desk.chosen[row] = 1


cdef bint _widen(Part *part) noexcept nogil:
    """Copy the uses to where there is room for those of all cuts; False if memory is short."""
    cdef int64_t used = part.plain_offsets[part.count]
    cdef int64_t most = used + ROUNDS_MAX * CUTS_MAX * part.count
    cdef int64_t *rest
    if part.wide == NULL:
        part.wide = <int64_t *> malloc((part.count + 1 + 2 * most) * sizeof(int64_t))
        if part.wide == NULL:
            return False
    rest = part.wide
    part.offsets = _carve(&rest, part.count + 1)
    part.rows = _carve(&rest, most)
    part.counts = _carve(&rest, most)
    memcpy(part.offsets, part.plain_offsets, (part.count + 1) * sizeof(int64_t))
    memcpy(part.rows, part.plain_rows, used * sizeof(int64_t))
    memcpy(part.counts, part.plain_counts, used * sizeof(int64_t))
    return True


cdef void _add_row(Part *part, const Cut *cut) noexcept nogil:
    """Add a cut as the last row."""
    cdef int64_t added = 0
    cdef int64_t n, begin, size
    for n in range(part.count):
        added += cut.counts[n] > 0
    for n in range(part.count - 1, -1, -1):
        begin = part.offsets[n]
        size = part.offsets[n + 1] - begin
        part.offsets[n + 1] += added
        if cut.counts[n] > 0:
            added -= 1
            part.rows[begin + size + added] = part.rows_count
            part.counts[begin + size + added] = cut.counts[n]
        memmove(part.rows + begin + added, part.rows + begin, size * sizeof(int64_t))
        memmove(part.counts + begin + added, part.counts + begin, size * sizeof(int64_t))
    part.rooms[part.rows_count] = cut.room
    part.rows_count += 1


cdef int64_t _cost(Part *part) noexcept nogil:
    """Work of one pass: 1, and 1 more for each 1,024 numbers that it may look at."""
    cdef int64_t numbers = part.rows_count * part.rows_count + part.offsets[part.count]
    return 1 + (numbers >> 10)


cdef int _cut(Part *part, CutDesk *desk) noexcept nogil:
    """Add rows that the root's solution breaks; `found` says how many."""
    cdef int64_t cut
    if desk.arena == NULL and not _take_desk(part, desk):
        return PACK_NO_MEMORY
    _find_cuts(part, desk)
    if desk.found > 0 and part.offsets == part.plain_offsets and not _widen(part):
        return PACK_NO_MEMORY
    for cut in range(desk.found):
        _add_row(part, &desk.cuts[cut])
    part.cost = _cost(part)
    return PACK_DONE


cdef void _uncut(Part *part) noexcept nogil:
    """Take all cuts off again."""
    part.offsets, part.rows, part.counts = part.plain_offsets, part.plain_rows, part.plain_counts
    part.rows_count = part.rows_first
    part.cost = _cost(part)
