"""A whole shared over parts so that they sum to it, as `rewards.allocate` and `share_capped`."""

cdef struct Remainder:
    uint64_t size
    Py_ssize_t place

cdef extern from *:
    """
    #include <stdint.h>

    /* floor(total * weight / sum) with the remainder; all below 2^63 */
    static inline uint64_t loyalty_part(
        uint64_t total, uint64_t weight, uint64_t sum, uint64_t *remainder)
    {
        uint64_t product, part;
        unsigned __int128 wide;
        if (!__builtin_mul_overflow(total, weight, &product)) {
            part = product / sum;
            *remainder = product - part * sum;
            return part;
        }
        wide = (unsigned __int128)total * weight;
        part = (uint64_t)(wide / sum);
        *remainder = (uint64_t)(wide - (unsigned __int128)part * sum);
        return part;
    }
    """
    uint64_t loyalty_part(
        uint64_t total, uint64_t weight, uint64_t sum, uint64_t *remainder
    ) noexcept


cdef int _compare_remainders(const void *left, const void *right) noexcept nogil:
    """Largest remainder first, then the lower place: a total order."""
    cdef const Remainder *a = <const Remainder *> left
    cdef const Remainder *b = <const Remainder *> right
    if a.size != b.size:
        return -1 if a.size > b.size else 1
    return -1 if a.place < b.place else 1


cdef int64_t _sum_of(const int64_t *values, Py_ssize_t count) except? -1:
    cdef int64_t total = 0
    cdef Py_ssize_t n
    for n in range(count):
        total += values[n]
    return total


cdef int64_t *_int64s(Arena *arena, Py_ssize_t count) except NULL:
    return <int64_t *> _take(arena, count, sizeof(int64_t))


cdef int _allocate(
    Arena *arena, int64_t total, const int64_t *weights, Py_ssize_t count, int64_t *parts
) except -1:
    """Share by the largest remainder; a tie goes to the lower place, all zero means evenly."""
    cdef int64_t whole = _sum_of(weights, count)
    cdef Remainder *remainders
    cdef uint64_t remainder, left = <uint64_t> total
    cdef Py_ssize_t n
    remainders = <Remainder *> _take(arena, count, sizeof(Remainder))
    for n in range(count):
        parts[n] = <int64_t> loyalty_part(
            <uint64_t> total,
            <uint64_t> weights[n] if whole else 1,
            <uint64_t> (whole if whole else count),
            &remainder,
        )
        remainders[n].size = remainder
        remainders[n].place = n
        left -= <uint64_t> parts[n]
    if left:
        qsort(remainders, <size_t> count, sizeof(Remainder), &_compare_remainders)
        for n in range(<Py_ssize_t> left):
            parts[remainders[n].place] += 1
    return 0


cdef int _share_capped(
    Arena *arena,
    int64_t total,
    const int64_t *weights,
    const int64_t *rooms,
    Py_ssize_t count,
    int64_t *parts,
) except -1:
    """Share over weights, no part above its room; what does not fit goes to the others."""
    cdef Py_ssize_t n
    cdef int64_t taken, left
    cdef int64_t *open_weights
    cdef int64_t *more
    cdef bint fits = True
    if total:
        _allocate(arena, total, weights, count, parts)
    else:
        memset(parts, 0, <size_t> count * sizeof(int64_t))
    for n in range(count):
        if parts[n] > rooms[n]:
            fits = False
    if fits:
        return 0
    open_weights, more = _int64s(arena, count), _int64s(arena, count)
    memset(parts, 0, <size_t> count * sizeof(int64_t))
    left = total
    while left:
        for n in range(count):
            open_weights[n] = weights[n] if rooms[n] > parts[n] else 0
        _allocate(arena, left, open_weights, count, more)
        for n in range(count):
            taken = _least(more[n], rooms[n] - parts[n])
            parts[n] += taken
            left -= taken
    return 0
