"""What other kernels call: the optimiser over plain arrays, without the interpreter.

All arrays are of int64. Sizes: capacities by class; values, times_max, promotions by application;
offsets by application and one more; classes and counts by use; party arrays by promotion. Ranges
are those of `rewards.packing.pack`; `pack_arrays` checks them all.
"""

from libc.stdint cimport int64_t

cdef enum:
    PACK_DONE = 0
    PACK_NO_MEMORY = 1
    PACK_BAD_CAPACITY = 2
    PACK_BAD_PIECES = 3
    PACK_BAD_PARTY_TIMES_MAX = 4
    PACK_BAD_GROUP = 5
    PACK_BAD_VALUE = 6
    PACK_BAD_TIMES_MAX = 7
    PACK_BAD_PROMOTION = 8
    PACK_NO_USE = 9
    PACK_BAD_CLASS = 10
    PACK_BAD_COUNT = 11
    PACK_BAD_STEPS_MAX = 12
    PACK_TOO_LARGE = 13

cdef struct PackProblem:
    int64_t classes_count
    int64_t applications_count
    int64_t promotions_count
    const int64_t *capacities
    const int64_t *values
    const int64_t *times_max
    const int64_t *promotions
    const int64_t *offsets
    const int64_t *classes
    const int64_t *counts
    const int64_t *party_times_max
    const int64_t *party_groups
    int64_t steps_max

cdef struct PackAnswer:
    int64_t *times  # the caller's, by application
    int64_t total
    int64_t bound
    int64_t steps

cdef int pack_arrays(const PackProblem *problem, PackAnswer *answer) noexcept nogil
