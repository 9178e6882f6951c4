# The linear bound of a part: twin of `rewards.packing_bound`, which says what everything means.
#
# Overflow: the largest scaled value (at most price_max) times all pieces is below 2^56. Counts of
# an application sum to less than 2^17: to at most 2^15 in classes, and where there are cuts to at
# most 2^13, of which each cut takes at most half. So a margin is above -2^62, one product of times
# and margin or of room and price is below 2^62, and sums of them stop at FAR = 2^61. An entry of
# the inverse is at most 2^46 (else the basis is given up), so a slant or an entry of a column is
# below 2^63. Products of two entries, and sums of them, are taken in 128 bits.

cdef extern from *:
    """
    #include <stdint.h>

    #define PACKING_BITS 32
    #define PACKING_HALF ((__int128)1 << (PACKING_BITS - 1))
    #define PACKING_ONE ((int64_t)1 << PACKING_BITS)
    #define PACKING_FAR ((int64_t)1 << 61)
    #define PACKING_SPOILED_AT ((int64_t)1 << 46)
    #define PACKING_TINY ((int64_t)1 << 24)
    #define PACKING_TOLERANCE ((int64_t)1 << 18)

    static inline int64_t packing_clamp(__int128 value, int64_t least, int64_t most)
    {
        return value < least ? least : value > most ? most : (int64_t)value;
    }

    /* price + factor * entry, within limits. */
    static inline int64_t packing_moved(
        int64_t price, int64_t factor, int64_t entry, int64_t least, int64_t most)
    {
        __int128 moved = ((__int128)factor * entry + PACKING_HALF) >> PACKING_BITS;
        return packing_clamp(moved + price, least, most);
    }

    /* above / slant with fraction bits, both positive or zero above; FAR if it is further. */
    static inline int64_t packing_length(int64_t above, int64_t slant)
    {
        if (above < ((int64_t)1 << 31))
            return (int64_t)(((uint64_t)above << PACKING_BITS) / (uint64_t)slant);
        unsigned __int128 length = ((unsigned __int128)above << PACKING_BITS) / (uint64_t)slant;
        return length < (unsigned __int128)PACKING_FAR ? (int64_t)length : PACKING_FAR;
    }

    /* How often the basis takes a column; only the listed rows have something left. */
    static inline int64_t packing_amount(
        const int64_t *entries, const int64_t *slack, const int64_t *listed, int64_t count)
    {
        __int128 sum = 0;
        for (int64_t index = 0; index < count; index++)
            sum += (__int128)entries[listed[index]] * slack[listed[index]];
        return packing_clamp(sum, -PACKING_FAR, PACKING_FAR);
    }

    /* Squared length of a direction, in units in which it cannot overflow. */
    static inline int64_t packing_square_length(const int64_t *entries, int64_t count)
    {
        int64_t sum = 0;
        for (int64_t row = 0; row < count; row++) {
            int64_t size = (entries[row] < 0 ? -entries[row] : entries[row]) >> 16;
            size = size > ((int64_t)1 << 24) ? (int64_t)1 << 24 : size;
            sum += size * size;
        }
        return sum;
    }

    /* Divide the listed entries by the pivot, towards zero; the largest magnitude. */
    static inline int64_t packing_divide(
        int64_t *direction, int64_t pivot, const int64_t *listed, int64_t count)
    {
        int64_t largest = 0;
        for (int64_t index = 0; index < count; index++) {
            int64_t entry = direction[listed[index]];
            entry = (int64_t)(((__int128)entry * ((__int128)1 << PACKING_BITS)) / pivot);
            direction[listed[index]] = entry;
            entry = entry < 0 ? -entry : entry;
            largest = entry > largest ? entry : largest;
        }
        return largest;
    }

    /* Take factor times the listed entries of a direction off others; the largest magnitude. */
    static inline int64_t packing_eliminate(
        int64_t *restrict entries, const int64_t *restrict direction, int64_t factor,
        const int64_t *restrict listed, int64_t count)
    {
        int64_t largest = 0;
        for (int64_t index = 0; index < count; index++) {
            int64_t row = listed[index];
            __int128 product = (__int128)factor * direction[row] + PACKING_HALF;
            int64_t entry = entries[row] - (int64_t)(product >> PACKING_BITS);
            entries[row] = entry;
            entry = entry < 0 ? -entry : entry;
            largest = entry > largest ? entry : largest;
        }
        return largest;
    }

    /* An excess in units in which its square cannot overflow. */
    static inline int64_t packing_square_excess(int64_t excess)
    {
        excess >>= 16;
        excess = excess > ((int64_t)1 << 31) ? (int64_t)1 << 31 : excess;
        return excess * excess;
    }

    static inline int packing_is_less(int64_t a, int64_t b, int64_t c, int64_t d)
    {
        return (__int128)a * b < (__int128)c * d;
    }

    /* Quotient of numbers of 0 and more by one of 1 and more. */
    static inline int64_t packing_quotient(int64_t whole, int64_t by)
    {
        return by == 1 ? whole : whole / by;
    }

    static inline int64_t packing_bit_length(int64_t value)
    {
        return value == 0 ? 0 : 64 - __builtin_clzll((unsigned long long)value);
    }
    """
    const int64_t ONE "PACKING_ONE"
    const int64_t FAR "PACKING_FAR"
    const int64_t SPOILED_AT "PACKING_SPOILED_AT"
    const int64_t TINY "PACKING_TINY"
    const int64_t TOLERANCE "PACKING_TOLERANCE"
    int64_t packing_moved(
        int64_t price, int64_t factor, int64_t entry, int64_t least, int64_t most
    ) noexcept nogil
    int64_t packing_length(int64_t above, int64_t slant) noexcept nogil
    int64_t packing_amount(
        const int64_t *entries, const int64_t *slack, const int64_t *listed, int64_t count
    ) noexcept nogil
    int64_t packing_square_length(const int64_t *entries, int64_t count) noexcept nogil
    int64_t packing_divide(
        int64_t *direction, int64_t pivot, const int64_t *listed, int64_t count
    ) noexcept nogil
    int64_t packing_eliminate(
        int64_t *entries, const int64_t *direction, int64_t factor,
        const int64_t *listed, int64_t count
    ) noexcept nogil
    int64_t packing_square_excess(int64_t excess) noexcept nogil
    bint packing_is_less(int64_t a, int64_t b, int64_t c, int64_t d) noexcept nogil
    int64_t packing_quotient(int64_t whole, int64_t by) noexcept nogil
    int64_t packing_bit_length(int64_t value) noexcept nogil

cdef enum:
    FRACTION_BITS = 32
    REFINE_EVERY = 16
    PASSES_MAX = 40

# A column at which the bound changes along a direction: how far, which, by how much.
cdef struct Turn:
    int64_t length
    int64_t column
    int64_t gain

# A part and its search. By application: values to position; by row: rooms to ways.
cdef struct Part:
    int64_t count
    int64_t rows_count
    int64_t pieces
    int64_t rows_first  # without the cuts
    bint can_cut
    int64_t *offsets
    int64_t *rows
    int64_t *counts
    int64_t *plain_offsets
    int64_t *plain_rows
    int64_t *plain_counts
    const int64_t *promotions
    const int64_t *groups
    int64_t *values
    int64_t *scaled
    int64_t *left
    int64_t *taken
    int64_t *found
    int64_t *times
    int64_t *margins
    int64_t *active
    int64_t *position
    int64_t *trial
    int64_t *fired
    int64_t *place
    int64_t *rooms
    int64_t *floors
    int64_t *prices
    int64_t *amounts
    int64_t *slack
    int64_t *column
    int64_t *direction
    int64_t *ways
    int64_t *listed
    int64_t *basic
    int64_t *inverse
    int64_t *wide  # where the uses are since there are cuts, else NULL
    Turn *turns
    int64_t value_max
    int64_t active_count
    int64_t price_max
    int64_t worth
    bint is_fresh
    int64_t shift
    int64_t divisor
    int64_t taken_total
    int64_t total
    int64_t bound
    int64_t cost
    int64_t work
    int64_t work_max
    bint is_spent


cdef bint _spend(Part *part) noexcept nogil:
    """Pay for one pass, or say that it cannot be paid; then nothing can be paid any more."""
    part.is_spent = part.is_spent or part.cost > part.work_max - part.work
    if not part.is_spent:
        part.work += part.cost
    return not part.is_spent


cdef void _restart(Part *part) noexcept nogil:
    """Go back to the least prices, with what is left over as the basis."""
    cdef int64_t count = part.rows_count
    cdef int64_t row
    memcpy(part.prices, part.floors, count * sizeof(int64_t))
    memset(part.inverse, 0, count * count * sizeof(int64_t))
    for row in range(part.count):
        part.place[row] = -1
    for row in range(count):
        part.inverse[row * count + row] = ONE
        part.basic[row] = part.count + row
        part.place[part.count + row] = row
    part.is_fresh = True


cdef inline int64_t _margin(Part *part, int64_t column) noexcept nogil:
    """Worth of one time above the prices of its pieces; zero at a column of the basis."""
    cdef int64_t margin, use
    if column >= part.count:
        column -= part.count
        return part.floors[column] - part.prices[column]
    margin = part.scaled[column]
    for use in range(part.offsets[column], part.offsets[column + 1]):
        margin -= part.counts[use] * part.prices[part.rows[use]]
    return margin


cdef void _refine(Part *part) noexcept nogil:
    """Move the prices so that the margins of the basis vanish, which rounding disturbed."""
    cdef int64_t count = part.rows_count
    cdef int64_t place, row, margin
    cdef int64_t *entries
    for place in range(count):
        part.slack[place] = _margin(part, part.basic[place])
    for place in range(count):
        margin = part.slack[place]
        if margin != 0:
            entries = part.inverse + place * count
            for row in range(count):
                part.prices[row] = packing_moved(
                    part.prices[row], margin, entries[row], -FAR, FAR
                )
    for row in range(count):
        part.prices[row] = max(part.floors[row], min(part.price_max, part.prices[row]))


cdef int64_t _list_nonzero(
    const int64_t *numbers, int64_t count, int64_t *listed
) noexcept nogil:
    """List where the numbers are not zero; return at how many places."""
    cdef int64_t found = 0
    cdef int64_t place
    for place in range(count):
        if numbers[place] != 0:
            listed[found] = place
            found += 1
    return found


cdef void _evaluate(Part *part) noexcept nogil:
    """Compute the bound at the prices, and how often the basis takes its columns there."""
    cdef int64_t count = part.rows_count
    cdef int64_t worth = 0
    cdef int64_t row, index, application, margin, times, use
    for row in range(count):
        worth = min(FAR, worth + part.rooms[row] * part.prices[row])
        part.slack[row] = part.rooms[row]
    for index in range(part.active_count):
        application = part.active[index]
        margin = _margin(part, application)
        part.margins[application] = margin
        if margin > 0:
            times = part.times[application]
            worth = min(FAR, worth + times * margin)
            if part.place[application] < 0:
                for use in range(part.offsets[application], part.offsets[application + 1]):
                    part.slack[part.rows[use]] -= part.counts[use] * times
    part.worth = worth
    index = _list_nonzero(part.slack, count, part.listed)
    for row in range(count):
        part.amounts[row] = packing_amount(
            part.inverse + row * count, part.slack, part.listed, index
        )


cdef inline int64_t _excess(Part *part, int64_t place, int64_t *sign) noexcept nogil:
    """How far the basis is out of its limits at a place: 1 if below, -1 if above."""
    cdef int64_t column
    if part.amounts[place] < 0:
        sign[0] = 1
        return -part.amounts[place]
    sign[0] = -1
    column = part.basic[place]
    if column < part.count:
        return part.amounts[place] - part.times[column] * ONE
    return part.amounts[place] - FAR


cdef int64_t _worst(Part *part) noexcept nogil:
    """Place of the basis furthest out of its limits, -1 if none is."""
    cdef int64_t count = part.rows_count
    cdef int64_t found = -1
    cdef int64_t worst = 0
    cdef int64_t worst_length = 1
    cdef int64_t place, excess, sign, length
    for place in range(count):
        excess = _excess(part, place, &sign)
        if excess > TOLERANCE:
            excess = packing_square_excess(excess)
            length = packing_square_length(part.inverse + place * count, count)
            if found < 0 or packing_is_less(worst, length, excess, worst_length):
                found = place
                worst = excess
                worst_length = length
    return found


cdef inline bint _is_before(const Turn *one, const Turn *other) noexcept nogil:
    if one.length != other.length:
        return one.length < other.length
    return one.column < other.column


cdef void _sift(Turn *turns, int64_t count, int64_t top) noexcept nogil:
    """Restore the heap below a place."""
    cdef Turn sinking = turns[top]
    cdef int64_t child = 2 * top + 1
    while child < count:
        if child + 1 < count and _is_before(&turns[child + 1], &turns[child]):
            child += 1
        if not _is_before(&turns[child], &sinking):
            break
        turns[top] = turns[child]
        top = child
        child = 2 * top + 1
    turns[top] = sinking


cdef int64_t _list_turns(Part *part, int64_t slope) noexcept nogil:
    """List where the bound changes along the direction; return how many places."""
    cdef int64_t found = 0
    cdef int64_t index, column, slant, margin, use, row, length
    for index in range(part.active_count):
        column = part.active[index]
        if part.place[column] >= 0:
            continue
        slant = 0
        for use in range(part.offsets[column], part.offsets[column + 1]):
            slant += part.counts[use] * part.direction[part.rows[use]]
        margin = part.margins[column]
        if margin <= 0:
            margin = -margin
            slant = -slant
        if TINY < slant <= SPOILED_AT:
            length = packing_length(margin, slant)
            if length < FAR:
                part.turns[found] = Turn(length, column, slant * part.times[column])
                found += 1
    for row in range(part.rows_count):
        if part.place[part.count + row] < 0 and part.direction[row] < -TINY:
            length = packing_length(
                part.prices[row] - part.floors[row], -part.direction[row]
            )
            if length < FAR:
                part.turns[found] = Turn(length, part.count + row, slope)
                found += 1
    return found


cdef int64_t _turning_point(Part *part, int64_t slope, int64_t *length) noexcept nogil:
    """Column at which the bound stops falling along the direction, and how far that is."""
    cdef int64_t count = _list_turns(part, slope)
    cdef int64_t entering = -1
    cdef int64_t top
    for top in range((count >> 1) - 1, -1, -1):
        _sift(part.turns, count, top)
    while count > 0 and slope > 0:
        length[0] = part.turns[0].length
        entering = part.turns[0].column
        slope -= part.turns[0].gain
        count -= 1
        part.turns[0] = part.turns[count]
        _sift(part.turns, count, 0)
    return entering


cdef bint _exchange(Part *part, int64_t place, int64_t entering) noexcept nogil:
    """Put a column into the basis at a place; False if that would spoil it."""
    cdef int64_t count = part.rows_count
    cdef int64_t *direction = part.inverse + place * count
    cdef int64_t row, use, used, entry
    for row in range(count):
        if entering < part.count:
            entry = 0
            for use in range(part.offsets[entering], part.offsets[entering + 1]):
                entry += part.counts[use] * part.inverse[row * count + part.rows[use]]
        else:
            entry = part.inverse[row * count + entering - part.count]
        if not -SPOILED_AT <= entry <= SPOILED_AT:
            return False
        part.column[row] = entry
    if -TINY < part.column[place] < TINY:
        return False
    used = _list_nonzero(direction, count, part.listed)
    if packing_divide(direction, part.column[place], part.listed, used) > SPOILED_AT:
        return False
    for row in range(count):
        if row != place and part.column[row] != 0:
            entry = packing_eliminate(
                part.inverse + row * count, direction, part.column[row], part.listed, used
            )
            if entry > SPOILED_AT:
                return False
    part.place[part.basic[place]] = -1
    part.basic[place] = entering
    part.place[entering] = place
    return True


cdef bint _step(Part *part, int64_t place) noexcept nogil:
    """Move the prices to the lowest bound in one direction and change the basis."""
    cdef int64_t sign
    cdef int64_t slope = _excess(part, place, &sign)
    cdef int64_t length = 0
    cdef int64_t row, entering
    for row in range(part.rows_count):
        part.direction[row] = sign * part.inverse[place * part.rows_count + row]
    entering = _turning_point(part, slope, &length)
    if entering < 0:
        return False
    for row in range(part.rows_count):
        part.prices[row] = packing_moved(
            part.prices[row], length, part.direction[row], part.floors[row], part.price_max
        )
    if _exchange(part, place, entering):
        return True
    _restart(part)
    _evaluate(part)
    return False


cdef int64_t _solve(Part *part, int64_t enough) noexcept nogil:
    """Lower the bound until it is lowest, low enough, or the passes are used up."""
    cdef int64_t passes_max = 10 * part.rows_count + 100 if part.is_fresh else PASSES_MAX
    cdef int64_t lowest = FAR
    cdef int64_t turn, place
    part.is_fresh = False
    for turn in range(passes_max + 1):
        if not _spend(part):
            return lowest
        if turn & (REFINE_EVERY - 1) == 0:
            _refine(part)
        _evaluate(part)
        lowest = min(lowest, part.worth)
        if lowest <= enough:
            return lowest
        place = _worst(part)
        if place < 0 or turn == passes_max or not _step(part, place):
            break
    return lowest


cdef inline int64_t _amount(Part *part, int64_t application) noexcept nogil:
    """How often the solution of the last pass takes an application, with fraction bits."""
    if part.place[application] >= 0:
        return max(0, part.amounts[part.place[application]])
    return part.times[application] * ONE if part.margins[application] > 0 else 0
