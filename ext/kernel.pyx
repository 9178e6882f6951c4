"""Compiled kernel: exact integer work that every receipt repeats.

Answers how a whole is shared; must not know what is being shared. The reference twin of
`allocate` is `rewards.allocate.allocate`; differential tests hold the two equal, refusals too.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint64_t
from libc.stdlib cimport qsort

cdef extern from *:
    """
    #include <stdint.h>

    /* floor(total * weight / weights_sum), with the remainder; the product has up to 126 bits. */
    static inline uint64_t loyalty_share_floor(
        uint64_t total, uint64_t weight, uint64_t weights_sum, uint64_t *remainder)
    {
        unsigned __int128 product = (unsigned __int128)total * weight;
        uint64_t part = (uint64_t)(product / weights_sum);
        *remainder = (uint64_t)(product - (unsigned __int128)part * weights_sum);
        return part;
    }
    """
    uint64_t loyalty_share_floor(
        uint64_t total, uint64_t weight, uint64_t weights_sum, uint64_t *remainder
    ) noexcept nogil

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1

cdef uint64_t INT64_MAX = 0x7FFFFFFFFFFFFFFF

cdef struct Share:
    uint64_t weight
    uint64_t part
    uint64_t remainder
    Py_ssize_t index


cdef int _compare_remainder(const void *left, const void *right) noexcept nogil:
    """Order shares by remainder, largest first, then by index: a total order, so no luck in it."""
    cdef const Share *a = <const Share *> left
    cdef const Share *b = <const Share *> right
    if a.remainder != b.remainder:
        return -1 if a.remainder > b.remainder else 1
    return -1 if a.index < b.index else 1


cdef uint64_t _read_amount(str name, object value) except? 0xFFFFFFFFFFFFFFFF:
    """Read an integer of 0..2^63-1, or refuse it as the twin does."""
    cdef int overflow = 0
    cdef long long amount = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow < 0 or (overflow == 0 and amount < 0):
        raise ValueError(f"{name} must not be negative")
    if overflow > 0:
        raise OverflowError(f"{name} must be at most 2^63-1")
    return <uint64_t> amount


cdef uint64_t _read_weights(tuple weights, Share *shares) except? 0xFFFFFFFFFFFFFFFF:
    """Fill `shares` with the weights and return their sum, at most 2^63-1.

    Each weight and the sum so far are below 2^63, so adding one to the other cannot wrap 2^64.
    """
    cdef uint64_t weights_sum = 0
    cdef Py_ssize_t index
    for index in range(len(weights)):
        shares[index].weight = _read_amount("weight", weights[index])
        shares[index].index = index
        weights_sum += shares[index].weight
        if weights_sum > INT64_MAX:
            raise OverflowError("sum of weights must be at most 2^63-1")
    return weights_sum


cdef uint64_t _weigh_evenly(Share *shares, Py_ssize_t count) noexcept nogil:
    """Give every share the weight 1 and return the sum: the rule when all weights are zero."""
    cdef Py_ssize_t index
    for index in range(count):
        shares[index].weight = 1
    return <uint64_t> count


cdef uint64_t _share_floors(
    uint64_t total, uint64_t weights_sum, Share *shares, Py_ssize_t count
) noexcept nogil:
    """Set every part to its exact share rounded down; return the units left over."""
    cdef uint64_t left = total
    cdef Py_ssize_t index
    for index in range(count):
        shares[index].part = loyalty_share_floor(
            total, shares[index].weight, weights_sum, &shares[index].remainder
        )
        left -= shares[index].part
    return left


cdef list _collect_parts(uint64_t total, uint64_t left, Share *shares, Py_ssize_t count):
    """Give the first `left` shares one unit more and list the parts by index."""
    cdef list parts = [0] * count
    cdef uint64_t parts_sum = 0
    cdef Py_ssize_t place
    for place in range(count):
        if <uint64_t> place < left:
            assert shares[place].remainder > 0, "a share without a remainder is already exact"
            shares[place].part += 1
        parts_sum += shares[place].part
        parts[shares[place].index] = shares[place].part
    assert parts_sum == total, "parts must sum to the total"
    return parts


def allocate(total, weights):
    """Share a total over weights by the largest remainder.

    Overflow: `total` and the sum of `weights` are below 2^63, so a product is below 2^126 and is
    taken in 128 bits. A weight is at most the sum, so each floor is at most `total`; the floors
    sum to at most `total`, so no 64-bit sum wraps. The units left over are fewer than the
    non-zero remainders, so each share gets at most one. The reference twin is
    `rewards.allocate.allocate`.

    Args:
        total: Units to share, 0..2^63-1.
        weights: One weight a share, each 0 or more, their sum at most 2^63-1. Not empty unless
            `total` is 0. A tie of remainders goes to the lower index; all zero means evenly.

    Returns:
        One part a weight, in order; they sum to `total`, each within one unit of its exact share.

    Raises:
        TypeError: An argument is no integer, or `weights` is no sequence.
        ValueError: `total` or a weight is negative, or nothing is there to share over.
        OverflowError: `total`, a weight or the sum of weights is above 2^63-1.
    """
    cdef uint64_t total_units = _read_amount("total", total)
    cdef tuple frozen = tuple(weights)  # reading an item may run foreign code; a copy stays put
    cdef Py_ssize_t count = len(frozen)
    if count == 0 and total_units > 0:
        raise ValueError("a positive total needs at least one weight")
    if count == 0:
        return []
    cdef Share *shares = <Share *> PyMem_Malloc(count * sizeof(Share))
    if shares == NULL:
        raise MemoryError()
    cdef uint64_t weights_sum, left
    try:
        weights_sum = _read_weights(frozen, shares)
        with nogil:
            if weights_sum == 0:
                weights_sum = _weigh_evenly(shares, count)
            left = _share_floors(total_units, weights_sum, shares, count)
            if left > 0:
                qsort(shares, <size_t> count, sizeof(Share), &_compare_remainder)
        return _collect_parts(total_units, left, shares, count)
    finally:
        PyMem_Free(shares)
