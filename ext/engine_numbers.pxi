"""Exact integers: products in 128 bits, named roundings, and memory that is given back at once."""

cdef extern from *:
    """
    #include <stdint.h>

    enum { LOYALTY_FITS = 0, LOYALTY_TOO_LARGE = 1, LOYALTY_NO_DIVISOR = 2 };

    static inline int64_t loyalty_divide_small(int64_t top, int64_t by, int rounding)
    {
        int64_t part;
        if (rounding == 1) { top = 2 * top + by; by = 2 * by; }
        else if (rounding == 2) { top = by - 2 * top; by = 2 * by; }
        else if (rounding == 3) { top = -top; }
        part = top / by;
        if (top % by < 0) part--;
        return rounding >= 2 ? -part : part;
    }

    /* top / by by a named rule: 0 down, 1 half up, 2 half down, 3 up. */
    static int loyalty_divide_large(__int128 top, __int128 by, int rounding, int64_t *result)
    {
        __int128 part, most = (__int128)1 << 125;
        if (top > most || top < -most || by > most) return LOYALTY_TOO_LARGE;
        if (rounding == 1) { top = 2 * top + by; by = 2 * by; }
        else if (rounding == 2) { top = by - 2 * top; by = 2 * by; }
        else if (rounding == 3) { top = -top; }
        part = top / by;
        if (top % by < 0) part--;
        if (rounding >= 2) part = -part;
        if (part > INT64_MAX || part < -INT64_MAX) return LOYALTY_TOO_LARGE;
        *result = (int64_t)part;
        return LOYALTY_FITS;
    }

    /* left * right / by; most products of money and quantity fit 64 bits, where dividing is fast */
    static inline int loyalty_scale(
        int64_t left, int64_t right, int64_t by, int rounding, int64_t *result)
    {
        const int64_t small = (int64_t)1 << 60;
        int64_t top;
        if (by <= 0) return LOYALTY_NO_DIVISOR;
        if (!__builtin_mul_overflow(left, right, &top) && top < small && top > -small && by < small)
        {
            *result = loyalty_divide_small(top, by, rounding);
            return LOYALTY_FITS;
        }
        return loyalty_divide_large((__int128)left * right, by, rounding, result);
    }

    /* left * right * factor / (by * other), for what is multiplied twice */
    static inline int loyalty_scale_twice(
        int64_t left, int64_t right, int64_t factor, int64_t by, int64_t other, int rounding,
        int64_t *result)
    {
        __int128 top = (__int128)left * right;
        if (by <= 0 || other <= 0) return LOYALTY_NO_DIVISOR;
        if (__builtin_mul_overflow(top, (__int128)factor, &top)) return LOYALTY_TOO_LARGE;
        return loyalty_divide_large(top, (__int128)by * other, rounding, result);
    }

    static inline int loyalty_multiply(int64_t left, int64_t right, int64_t *result)
    {
        return __builtin_mul_overflow(left, right, result) ? LOYALTY_TOO_LARGE : LOYALTY_FITS;
    }

    static inline int loyalty_compare_products(
        int64_t left, int64_t right, int64_t other, int64_t by)
    {
        __int128 one = (__int128)left * right, two = (__int128)other * by;
        return one < two ? -1 : one > two;
    }

    static inline int loyalty_lowest_bit(uint64_t bits) { return __builtin_ctzll(bits); }

    /* one step of FNV-1a, by words */
    static inline uint64_t loyalty_mix(uint64_t hash, uint64_t word)
    {
        hash = (hash ^ word) * 1099511628211ULL;
        return hash ^ hash >> 29;
    }
    """
    enum:
        LOYALTY_FITS
        LOYALTY_TOO_LARGE
        LOYALTY_NO_DIVISOR
    int loyalty_scale(
        int64_t left, int64_t right, int64_t by, int rounding, int64_t *result
    ) noexcept
    int loyalty_scale_twice(
        int64_t left, int64_t right, int64_t factor, int64_t by, int64_t other, int rounding,
        int64_t *result
    ) noexcept
    int loyalty_multiply(int64_t left, int64_t right, int64_t *result) noexcept
    int loyalty_compare_products(
        int64_t left, int64_t right, int64_t other, int64_t by
    ) noexcept
    int loyalty_lowest_bit(uint64_t bits) noexcept
    uint64_t loyalty_mix(uint64_t hash, uint64_t word) noexcept


cdef int64_t _refused(int reason) except? -1:
    if reason == LOYALTY_NO_DIVISOR:
        raise ZeroDivisionError("a quantity or an amount to divide by is not positive")
    raise OverflowError("a result does not fit 64 bits")


cdef inline int64_t _scaled(
    int64_t left, int64_t right, int64_t by, int rounding
) except? -1:
    """Round left * right / by."""
    cdef int64_t result = 0
    cdef int reason = loyalty_scale(left, right, by, rounding, &result)
    if reason != LOYALTY_FITS:
        return _refused(reason)
    return result


cdef inline int64_t _product(int64_t left, int64_t right) except? -1:
    """Multiply; refuses what does not fit 64 bits."""
    cdef int64_t result = 0
    cdef int reason = loyalty_multiply(left, right, &result)
    if reason != LOYALTY_FITS:
        return _refused(reason)
    return result


cdef inline int64_t _share_of(int64_t amount, int64_t rate_bp, int64_t rounding) except? -1:
    """Take a rate in basis points of an amount."""
    return _scaled(amount, rate_bp, RATE_ONE, <int> rounding)


cdef inline int64_t _at_most(int64_t most, int reason, int64_t result) except? -1:
    """A result of which no more than `most` counts, whether or not it fits 64 bits."""
    if reason == LOYALTY_TOO_LARGE:
        return most
    if reason != LOYALTY_FITS:
        return _refused(reason)
    return result if result < most else most


cdef inline int64_t _scaled_to(
    int64_t most, int64_t left, int64_t right, int64_t by, int rounding
) except? -1:
    """Round left * right / by; at most `most`."""
    cdef int64_t result = 0
    cdef int reason = loyalty_scale(left, right, by, rounding, &result)
    return _at_most(most, reason, result)


cdef inline int64_t _product_to(int64_t most, int64_t left, int64_t right) except? -1:
    """Multiply; at most `most`."""
    cdef int64_t result = 0
    cdef int reason = loyalty_multiply(left, right, &result)
    return _at_most(most, reason, result)


cdef inline int64_t _least(int64_t left, int64_t right) noexcept:
    return left if left < right else right


cdef inline int64_t _most(int64_t left, int64_t right) noexcept:
    return left if left > right else right


# --- memory -----------------------------------------------------------------------------------

cdef struct Chunk:
    Chunk *following
    size_t size
    size_t unused  # keeps what follows aligned to 16 bytes
    size_t unused_too

cdef struct Arena:
    # Memory in a few large chunks, given back all at once. The first chunk is kept.
    Chunk *first
    Chunk *current
    size_t used

cdef enum:
    CHUNK_BYTES = 65536


cdef Chunk *_new_chunk(size_t size) except NULL:
    cdef Chunk *chunk = <Chunk *> PyMem_Malloc(sizeof(Chunk) + size)
    if chunk == NULL:
        raise MemoryError()
    chunk.following = NULL
    chunk.size = size
    return chunk


cdef void *_take_from_next(Arena *arena, size_t size) except NULL:
    """Go on in the next chunk that is large enough, or in a new one."""
    cdef Chunk *chunk = arena.current.following
    cdef size_t wanted
    if chunk == NULL or chunk.size < size:
        wanted = arena.current.size * 2
        chunk = _new_chunk(size if size > wanted else wanted)
        chunk.following = arena.current.following
        arena.current.following = chunk
    arena.current = chunk
    arena.used = size
    return <void *> (<char *> chunk + sizeof(Chunk))


cdef inline void *_take(Arena *arena, Py_ssize_t count, size_t width) except NULL:
    """Take room for some values of a width; what is in it is undefined."""
    cdef size_t size = (<size_t> count * width + 15) & ~<size_t> 15
    cdef char *room
    if arena.used + size <= arena.current.size:
        room = <char *> arena.current + sizeof(Chunk) + arena.used
        arena.used += size
        return <void *> room
    return _take_from_next(arena, size)


cdef void *_grown(
    Arena *arena, void *old, Py_ssize_t count, Py_ssize_t *size, size_t width
) except NULL:
    """Room for one value more than `count`: the old room, or twice as much with a copy of it."""
    cdef void *room = old
    if count >= size[0]:
        size[0] = size[0] * 2 if size[0] else 32
        room = _take(arena, size[0], width)
        if count:
            memcpy(room, old, <size_t> count * width)
    return room


cdef inline Arena _here(const Arena *arena) noexcept:
    """Where an arena stands, to go back to by `_go_back`."""
    return arena[0]


cdef inline void _go_back(Arena *arena, const Arena *here) noexcept:
    """Give back what was taken since; what was taken before stays."""
    arena.current = here.current
    arena.used = here.used


cdef inline void _rewind(Arena *arena) noexcept:
    """Give all back, to be taken again."""
    arena.current = arena.first
    arena.used = 0


cdef void _shrink(Arena *arena) noexcept:
    """Give all back, and to the system what one receipt in many needs."""
    cdef Chunk *chunk = arena.first.following
    cdef Chunk *following
    arena.first.following = NULL
    _rewind(arena)
    while chunk != NULL:
        following = chunk.following
        PyMem_Free(chunk)
        chunk = following


cdef void _free_arena(Arena *arena) noexcept:
    if arena.first != NULL:
        _shrink(arena)
        PyMem_Free(arena.first)
