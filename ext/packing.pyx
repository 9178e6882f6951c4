"""Compiled optimiser: which applications to choose so that they are worth most together.

Sees arrays only; must not know what promotions or money are. The reference twin is
`rewards.packing.pack`, with `packing_search` and `packing_bound`; differential tests hold the two
equal in everything, cut budgets and refusals too. Functions have the names of their twins.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memcpy, memmove, memset

include "packing_bound.pxi"
include "packing_cut.pxi"
include "packing_search.pxi"

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object value, int *overflow) except? -1

cdef enum:
    CAPACITY_MAX = 10_000
    PIECES_MAX = 32_768
    GROUP_ROOM = 64
    WORK_OF_STEP = 8

cdef int64_t VALUE_MAX = (<int64_t> 1 << 50) - 1
cdef int64_t STEPS_MAX = <int64_t> 1 << 50
cdef int64_t NUMBER_MAX = <int64_t> 1 << 62

# A promotion of an exclusive group, or a part with its size and first application: to be sorted.
cdef struct Ranked:
    int64_t rank
    int64_t number

# The whole problem in rows. Arrays by row begin with the classes, go on with the limits and end
# with the groups; a row that cannot bind has no room set and is joined to nothing.
cdef struct Layout:
    const PackProblem *problem
    int64_t pieces
    int64_t *times_max  # by application: how often it could be taken if it were alone
    int64_t *load       # by class and promotion: what could be asked of it
    int64_t *most       # by promotion: how often it could be taken
    int64_t *worth      # by promotion: the most it could be, 0 if each time takes 1 of its row
    int64_t *head       # by promotion: its first application that could be taken, -1 for none
    int64_t *price      # by class, zero between uses
    int64_t *group      # by promotion: its group's number, -1 if a row keeps it apart
    int64_t *group_row  # by promotion
    int64_t *rooms      # by row, 0 where it cannot bind
    int64_t *joined     # by row: a row of the same part
    int64_t *place      # by row: number within its part
    int64_t *part_rows  # by row that stands for a part: how many rows
    int64_t *part_of    # by application: row that stands for its part, -1 for none
    int64_t *following  # by application: the next of its promotion, then of its part; or -1
    int64_t *size       # by row that stands for a part: applications
    int64_t *last       # by row that stands for a part: its last application so far
    int64_t *fired      # by group, for the search
    int64_t *uses       # room for the rows and the counts of one application
    Ranked *ranked
    int64_t rows_max


cdef int _compare_ranked(const void *left, const void *right) noexcept nogil:
    cdef const Ranked *a = <const Ranked *> left
    cdef const Ranked *b = <const Ranked *> right
    if a.rank != b.rank:
        return -1 if a.rank < b.rank else 1
    return -1 if a.number < b.number else 1


cdef int _check_uses(const PackProblem *problem, int64_t application) noexcept nogil:
    cdef int64_t last = -1
    cdef int64_t use
    if problem.offsets[application] >= problem.offsets[application + 1]:
        return PACK_NO_USE
    for use in range(problem.offsets[application], problem.offsets[application + 1]):
        if not last < problem.classes[use] < problem.classes_count:
            return PACK_BAD_CLASS
        if not 1 <= problem.counts[use] <= NUMBER_MAX:
            return PACK_BAD_COUNT
        last = problem.classes[use]
    return PACK_DONE


cdef int _check_parties(const PackProblem *problem) noexcept nogil:
    cdef int64_t number
    for number in range(problem.promotions_count):
        if not 0 <= problem.party_times_max[number] <= NUMBER_MAX:
            return PACK_BAD_PARTY_TIMES_MAX
    for number in range(problem.promotions_count):
        if not -1 <= problem.party_groups[number] <= NUMBER_MAX:
            return PACK_BAD_GROUP
    return PACK_DONE


cdef int _check(const PackProblem *problem) noexcept nogil:
    """Refuse the first number out of its range, as the twin does."""
    cdef int64_t pieces = 0
    cdef int64_t value_max = 0
    cdef int64_t number
    cdef int status
    for number in range(problem.classes_count):
        if not 0 <= problem.capacities[number] <= CAPACITY_MAX:
            return PACK_BAD_CAPACITY
        pieces += problem.capacities[number]
    if pieces > PIECES_MAX:
        return PACK_BAD_PIECES
    status = _check_parties(problem)
    if status != PACK_DONE:
        return status
    for number in range(problem.applications_count):
        if not 1 <= problem.values[number] <= VALUE_MAX:
            return PACK_BAD_VALUE
        value_max = max(value_max, problem.values[number])
    for number in range(problem.applications_count):
        if not 1 <= problem.times_max[number] <= NUMBER_MAX:
            return PACK_BAD_TIMES_MAX
    for number in range(problem.applications_count):
        if not 0 <= problem.promotions[number] < problem.promotions_count:
            return PACK_BAD_PROMOTION
    for number in range(problem.applications_count):
        status = _check_uses(problem, number)
        if status != PACK_DONE:
            return status
    if not 0 <= problem.steps_max <= STEPS_MAX:
        return PACK_BAD_STEPS_MAX
    if value_max > 0 and pieces > packing_quotient(BOUND_MAX, value_max):
        return PACK_TOO_LARGE
    return PACK_DONE


cdef int64_t *_lay_out(Layout *layout, const PackProblem *problem) noexcept nogil:
    """Give the arrays of a layout their places; return the arena to be freed, or NULL."""
    cdef int64_t applications = problem.applications_count
    cdef int64_t promotions = problem.promotions_count
    cdef int64_t rows = problem.classes_count + 2 * promotions
    cdef int64_t ranked = max(applications, promotions) + 1
    cdef int64_t total = 3 * applications + 6 * promotions + 10 * rows + 4 + 2 * ranked
    cdef int64_t *arena = <int64_t *> calloc(total, sizeof(int64_t))
    cdef int64_t *rest = arena
    if arena == NULL:
        return NULL
    layout.problem = problem
    layout.rows_max = rows
    layout.times_max = _carve(&rest, applications)
    layout.part_of = _carve(&rest, applications)
    layout.following = _carve(&rest, applications)
    layout.most = _carve(&rest, promotions)
    layout.worth = _carve(&rest, promotions)
    layout.head = _carve(&rest, promotions)
    layout.group = _carve(&rest, promotions)
    layout.group_row = _carve(&rest, promotions)
    layout.fired = _carve(&rest, promotions)
    layout.load = _carve(&rest, rows)
    layout.rooms = _carve(&rest, rows)
    layout.joined = _carve(&rest, rows)
    layout.place = _carve(&rest, rows)
    layout.part_rows = _carve(&rest, rows)
    layout.size = _carve(&rest, rows)
    layout.price = _carve(&rest, rows)
    layout.last = _carve(&rest, rows)
    layout.uses = _carve(&rest, 2 * (rows + 2))
    layout.ranked = <Ranked *> _carve(&rest, 2 * ranked)
    return arena


cdef int64_t _worth_max(Layout *layout, int64_t promotion) noexcept nogil:
    """What the applications of a promotion could be worth together at most."""
    cdef const PackProblem *problem = layout.problem
    cdef int64_t by_times = 0
    cdef int64_t by_limit = 0
    cdef int64_t by_pieces = 0
    cdef int64_t n = layout.head[promotion]
    cdef int64_t use, pieces, price
    while n >= 0:
        by_times = min(BOUND_MAX, by_times + layout.times_max[n] * problem.values[n])
        by_limit = max(by_limit, problem.values[n])
        pieces = 0
        for use in range(problem.offsets[n], problem.offsets[n + 1]):
            pieces += problem.counts[use]
        price = packing_quotient(problem.values[n] + pieces - 1, pieces)
        for use in range(problem.offsets[n], problem.offsets[n + 1]):
            layout.price[problem.classes[use]] = max(layout.price[problem.classes[use]], price)
        n = layout.following[n]
    n = layout.head[promotion]
    while n >= 0:
        for use in range(problem.offsets[n], problem.offsets[n + 1]):
            price = layout.price[problem.classes[use]] * problem.capacities[problem.classes[use]]
            by_pieces += min(BOUND_MAX - by_pieces, price)
            layout.price[problem.classes[use]] = 0
        n = layout.following[n]
    return min(by_times, by_limit * layout.most[promotion], by_pieces)


cdef int64_t _raised(Layout *layout, int64_t promotion) noexcept nogil:
    """How often applications could be taken whose share in their group's row is raised to 1."""
    cdef int64_t raised = 0
    cdef int64_t n = layout.head[promotion]
    while n >= 0:
        if layout.problem.values[n] * GROUP_ROOM < layout.worth[promotion]:
            raised += layout.times_max[n]
        n = layout.following[n]
    return min(raised, layout.most[promotion])


cdef void _weigh_groups(Layout *layout) noexcept nogil:
    """Give the promotions of each group with more than one a row they share."""
    cdef const PackProblem *problem = layout.problem
    cdef int64_t row = problem.classes_count + problem.promotions_count
    cdef int64_t found = 0
    cdef int64_t begin = 0
    cdef int64_t end, number, promotion, most, raised
    for promotion in range(problem.promotions_count):
        layout.group[promotion] = layout.group_row[promotion] = -1
        if problem.party_groups[promotion] >= 0 and layout.most[promotion] > 0:
            layout.ranked[found] = Ranked(problem.party_groups[promotion], promotion)
            found += 1
    if found > 1:
        qsort(layout.ranked, <size_t> found, sizeof(Ranked), &_compare_ranked)
    while begin < found:
        end = begin
        most = 0
        while end < found and layout.ranked[end].rank == layout.ranked[begin].rank:
            most = max(most, layout.most[layout.ranked[end].number])
            end += 1
        if end - begin > 1:
            raised = 0
            for number in range(begin, end):
                promotion = layout.ranked[number].number
                layout.group_row[promotion] = row
                if most > 1:
                    layout.worth[promotion] = _worth_max(layout, promotion)
                    layout.group[promotion] = begin
                    raised = max(raised, _raised(layout, promotion))
            layout.rooms[row] = 1 if most == 1 else GROUP_ROOM + raised
            row += 1
        begin = end


cdef void _find_rows(Layout *layout) noexcept nogil:
    """Rows that can bind: classes, limits, groups, with what each holds."""
    cdef const PackProblem *problem = layout.problem
    cdef int64_t first_limit = problem.classes_count
    cdef int64_t n, use, times, promotion, asked, limit
    layout.pieces = 0
    for n in range(problem.classes_count):
        layout.pieces += problem.capacities[n]
    for n in range(problem.applications_count):
        promotion = problem.promotions[n]
        limit = problem.party_times_max[promotion]
        times = min(problem.times_max[n], limit if limit else NUMBER_MAX)
        for use in range(problem.offsets[n], problem.offsets[n + 1]):
            times = min(times, packing_quotient(
                problem.capacities[problem.classes[use]], problem.counts[use]
            ))
        layout.times_max[n] = times
        if times > 0:
            layout.load[first_limit + promotion] += times
            for use in range(problem.offsets[n], problem.offsets[n + 1]):
                layout.load[problem.classes[use]] += times * problem.counts[use]
    for n in range(problem.classes_count):
        if layout.load[n] > problem.capacities[n]:
            layout.rooms[n] = problem.capacities[n]
    for promotion in range(problem.promotions_count):
        asked = min(layout.load[first_limit + promotion], layout.pieces)
        limit = problem.party_times_max[promotion]
        layout.most[promotion] = min(asked, limit) if limit else asked
        if 0 < limit < asked:
            layout.rooms[first_limit + promotion] = limit
    _list_by_promotion(layout)
    _weigh_groups(layout)


cdef void _list_by_promotion(Layout *layout) noexcept nogil:
    """Link the applications of each promotion that could be taken, ascending."""
    cdef int64_t n, promotion
    for promotion in range(layout.problem.promotions_count):
        layout.head[promotion] = -1
    for n in range(layout.problem.applications_count - 1, -1, -1):
        if layout.times_max[n] > 0:
            promotion = layout.problem.promotions[n]
            layout.following[n] = layout.head[promotion]
            layout.head[promotion] = n


cdef int64_t _list_uses(
    Layout *layout, int64_t application, int64_t *rows, int64_t *counts
) noexcept nogil:
    """List the rows an application uses, ascending, and how much of each; return how many."""
    cdef const PackProblem *problem = layout.problem
    cdef int64_t promotion = problem.promotions[application]
    cdef int64_t limit_row = problem.classes_count + promotion
    cdef int64_t found = 0
    cdef int64_t use
    for use in range(problem.offsets[application], problem.offsets[application + 1]):
        if layout.rooms[problem.classes[use]]:
            rows[found] = problem.classes[use]
            counts[found] = problem.counts[use]
            found += 1
    if layout.rooms[limit_row]:
        rows[found] = limit_row
        counts[found] = 1
        found += 1
    if layout.group_row[promotion] >= 0:
        rows[found] = layout.group_row[promotion]
        counts[found] = 1
        if layout.worth[promotion] > 0:
            counts[found] = max(1, packing_quotient(
                problem.values[application] * GROUP_ROOM, layout.worth[promotion]
            ))
        found += 1
    return found


cdef void _join_rows(Layout *layout) noexcept nogil:
    """Join the rows that one application uses, for all applications."""
    cdef int64_t *rows = layout.uses
    cdef int64_t n, used, use, stand
    for n in range(layout.rows_max):
        layout.joined[n] = n
    for n in range(layout.problem.applications_count):
        layout.part_of[n] = layout.following[n] = -1
        if layout.times_max[n] == 0:
            continue
        used = _list_uses(layout, n, rows, rows + layout.rows_max + 2)
        for use in range(used):
            stand = _stand_for(layout.joined, rows[use])
            layout.joined[stand] = _stand_for(layout.joined, rows[0])
            layout.part_of[n] = rows[0]


cdef int64_t _find_parts(Layout *layout) noexcept nogil:
    """List the parts by their first applications, smallest first; return how many."""
    cdef int64_t found = 0
    cdef int64_t n, row, stand
    _join_rows(layout)
    for n in range(layout.problem.applications_count):
        if layout.part_of[n] < 0:
            continue
        stand = _stand_for(layout.joined, layout.part_of[n])
        layout.part_of[n] = stand
        if layout.size[stand] == 0:
            layout.ranked[found].number = n
            found += 1
        else:
            layout.following[layout.last[stand]] = n
        layout.last[stand] = n
        layout.size[stand] += 1
    for n in range(found):
        layout.ranked[n].rank = layout.size[layout.part_of[layout.ranked[n].number]]
    if found > 1:
        qsort(layout.ranked, <size_t> found, sizeof(Ranked), &_compare_ranked)
    for row in range(layout.rows_max):
        if layout.rooms[row]:
            stand = _stand_for(layout.joined, row)
            layout.place[row] = layout.part_rows[stand]
            layout.part_rows[stand] += 1
    return found


# What a part is read into; all of it can be used again for the next part.
cdef struct Desk:
    int64_t *offsets
    int64_t *rows
    int64_t *counts
    int64_t *promotions
    int64_t *groups
    int64_t *numbers


cdef int64_t *_set_up(Search *search, Desk *desk, int64_t n, int64_t r, int64_t u) noexcept nogil:
    """Give the arrays of a part their places, for n applications, r rows, u uses; or NULL."""
    cdef Part *part = &search.part
    cdef int64_t total = 15 * n + 3 + 2 * u + 11 * r + 3 * (n + r + 1) + 3 * (n + 1) + (n + r)
    cdef int64_t *arena = <int64_t *> malloc(total * sizeof(int64_t))
    cdef int64_t *rest = arena
    if arena == NULL:
        return NULL
    desk.offsets = _carve(&rest, n + 1)
    desk.promotions = _carve(&rest, n)
    desk.groups = _carve(&rest, n)
    desk.numbers = _carve(&rest, n)
    desk.rows = _carve(&rest, u)
    desk.counts = _carve(&rest, u)
    part.values = _carve(&rest, n)
    part.scaled = _carve(&rest, n)
    part.left = _carve(&rest, n)
    part.taken = _carve(&rest, n)
    part.found = _carve(&rest, n)
    part.times = _carve(&rest, n)
    part.margins = _carve(&rest, n)
    part.active = _carve(&rest, n)
    part.position = _carve(&rest, n)
    part.trial = _carve(&rest, n)
    part.place = _carve(&rest, n + r)
    part.rooms = _carve(&rest, r)
    part.floors = _carve(&rest, r)
    part.prices = _carve(&rest, r)
    part.amounts = _carve(&rest, r)
    part.slack = _carve(&rest, r)
    part.column = _carve(&rest, r)
    part.direction = _carve(&rest, r)
    part.ways = _carve(&rest, r)
    part.basic = _carve(&rest, r)
    part.listed = _carve(&rest, r)
    search.rooms_left = _carve(&rest, r)
    part.turns = <Turn *> _carve(&rest, 3 * (n + r + 1))
    search.wishes = <Wish *> _carve(&rest, 3 * (n + 1))
    part.promotions, part.groups = desk.promotions, desk.groups
    return arena


cdef void _read_part(Layout *layout, Search *search, Desk *desk, int64_t n) noexcept nogil:
    """Read the part that begins with an application, with numbers of its own."""
    cdef const PackProblem *problem = layout.problem
    cdef Part *part = &search.part
    cdef int64_t found = 0
    cdef int64_t used, use, row
    part.plain_offsets, part.plain_rows, part.plain_counts = desk.offsets, desk.rows, desk.counts
    part.offsets, part.rows, part.counts = desk.offsets, desk.rows, desk.counts
    part.pieces = layout.pieces
    part.fired = layout.fired
    part.rows_count = layout.part_rows[layout.part_of[n]]
    part.count = 0
    desk.offsets[0] = 0
    while n >= 0:
        used = _list_uses(layout, n, desk.rows + found, desk.counts + found)
        for use in range(found, found + used):
            row = desk.rows[use]
            desk.rows[use] = layout.place[row]
            part.rooms[layout.place[row]] = layout.rooms[row]
        found += used
        desk.numbers[part.count] = n
        desk.promotions[part.count] = problem.promotions[n]
        desk.groups[part.count] = layout.group[problem.promotions[n]]
        part.values[part.count] = problem.values[n]
        part.left[part.count] = layout.times_max[n]
        part.taken[part.count] = part.found[part.count] = 0
        part.count += 1
        desk.offsets[part.count] = found
        n = layout.following[n]
    part.rows_first = part.rows_count
    part.wide = NULL
    part.cost = _cost(part)
    part.work = part.total = part.taken_total = 0
    part.is_spent = False
    search.frames = NULL
    search.frames_count = search.frames_max = 0
    memset(search.saved, 0, sizeof(search.saved))


cdef int _pack_parts(Layout *layout, PackAnswer *answer, int64_t count) noexcept nogil:
    """Solve the parts in turn and add up what they come to."""
    cdef const PackProblem *problem = layout.problem
    cdef Search search
    cdef Desk desk
    cdef int64_t rows = 0
    cdef int64_t work = 0
    cdef int64_t number, n
    cdef int status = PACK_DONE
    cdef int64_t *arena
    for number in range(count):
        rows = max(rows, layout.part_rows[layout.part_of[layout.ranked[number].number]])
    n = layout.ranked[count - 1].rank
    rows += ROUNDS_MAX * CUTS_MAX
    arena = _set_up(
        &search, &desk, n, rows, problem.offsets[problem.applications_count] + 2 * n
    )
    if arena == NULL:
        return PACK_NO_MEMORY
    for number in range(count):
        _read_part(layout, &search, &desk, layout.ranked[number].number)
        search.part.work_max = problem.steps_max * WORK_OF_STEP - work
        status = _run(&search)
        if status != PACK_DONE:
            break
        answer.total += search.part.total
        answer.bound = min(BOUND_MAX, answer.bound + search.part.bound)
        work += search.part.work
        for n in range(search.part.count):
            answer.times[desk.numbers[n]] = search.part.found[n]
    answer.steps = packing_quotient(work + WORK_OF_STEP - 1, WORK_OF_STEP)
    free(arena)
    return status


cdef int pack_arrays(const PackProblem *problem, PackAnswer *answer) noexcept nogil:
    """Choose how often to take each application so that their worth is greatest.

    Args:
        problem: arrays and budget; see `ext/packing.pxd` for their sizes.
        answer: `times` is the caller's array; all of it is written.

    Returns:
        PACK_DONE, or which number is out of its range, or that memory is short; the answer means
        something only when it is done.
    """
    cdef Layout layout
    cdef int64_t *arena
    cdef int64_t n, parts
    cdef int status = _check(problem)
    answer.total = answer.bound = answer.steps = 0
    if status != PACK_DONE:
        return status
    arena = _lay_out(&layout, problem)
    if arena == NULL:
        return PACK_NO_MEMORY
    _find_rows(&layout)
    parts = _find_parts(&layout)
    for n in range(problem.applications_count):
        answer.times[n] = layout.times_max[n] if layout.part_of[n] < 0 else 0
        answer.total += answer.times[n] * problem.values[n]
    answer.bound = answer.total
    if parts > 0:
        status = _pack_parts(&layout, answer, parts)
    free(arena)
    return status


REFUSALS = {
    PACK_BAD_CAPACITY: f"capacity must be 0..{CAPACITY_MAX}",
    PACK_BAD_PIECES: f"capacities must sum to at most {PIECES_MAX}",
    PACK_BAD_PARTY_TIMES_MAX: f"times_max of a promotion must be 0..{NUMBER_MAX}",
    PACK_BAD_GROUP: f"group must be -1..{NUMBER_MAX}",
    PACK_BAD_VALUE: f"value must be 1..{VALUE_MAX}",
    PACK_BAD_TIMES_MAX: f"times_max must be 1..{NUMBER_MAX}",
    PACK_NO_USE: "an application must use a class",
    PACK_BAD_CLASS: "uses must name classes, each once, ascending",
    PACK_BAD_COUNT: f"count must be 1..{NUMBER_MAX}",
    PACK_BAD_STEPS_MAX: f"steps_max must be 0..{STEPS_MAX}",
}


cdef object _refusal(int status, int64_t promotions_count):
    if status == PACK_NO_MEMORY:
        return MemoryError()
    if status == PACK_TOO_LARGE:
        return OverflowError("the largest value times all pieces must be below 2^62")
    if status == PACK_BAD_PROMOTION:
        return ValueError(f"promotion must be 0..{promotions_count - 1}")
    return ValueError(REFUSALS[status])


cdef int64_t _read_number(object value) except? -1:
    """Read an integer; one beyond 64 bits becomes the furthest, which no range holds."""
    cdef int overflow = 0
    cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow > 0:
        return INT64_MAX
    if overflow < 0:
        return INT64_MIN
    return number


cdef int _read_numbers(tuple values, int64_t *numbers) except -1:
    cdef Py_ssize_t index
    for index in range(len(values)):
        numbers[index] = _read_number(values[index])
    return 0


cdef int _check_shape(list arrays) except -1:
    """Refuse arrays that do not belong together."""
    _, values, times_max, promotions, offsets, classes, counts, limits, groups = arrays
    if not len(values) == len(times_max) == len(promotions) == len(offsets) - 1:
        raise ValueError("each application needs a value, times_max, a promotion and its offsets")
    if len(classes) != len(counts):
        raise ValueError("each use needs a class and a count")
    if len(limits) != len(groups):
        raise ValueError("each promotion needs times_max and a group")
    return 0


cdef int _check_offsets(const int64_t *offsets, int64_t count, int64_t uses) except -1:
    """Refuse offsets that would read what is not there."""
    cdef int64_t index
    cdef bint is_good = offsets[0] == 0 and offsets[count] == uses
    for index in range(count):
        is_good = is_good and offsets[index] <= offsets[index + 1]
    if not is_good:
        raise ValueError("offsets must ascend from 0 to the number of uses")
    return 0


def pack(
    capacities,
    values,
    times_max,
    promotions,
    offsets,
    classes,
    counts,
    party_times_max,
    party_groups,
    steps_max,
):
    """Choose how often to take each application so that their worth is greatest.

    Overflow: see `packing_bound.pxi` and `packing_search.pxi`. The reference twin is
    `rewards.packing.pack`, which says the ranges.

    Args:
        capacities: pieces of each class.
        values: worth of one time, by application.
        times_max: how often at most, by application.
        promotions: index of the promotion, by application.
        offsets: where the uses of each application begin, and where the last ends.
        classes: class, by use.
        counts: pieces of one time, by use.
        party_times_max: how often all its applications at most, by promotion; 0 without limit.
        party_groups: exclusive group by promotion, -1 for none.
        steps_max: budget of the proof.

    Returns:
        (times by application, total, bound, steps).

    Raises:
        TypeError: A number is no integer.
        ValueError: A number is out of its range, or the arrays do not belong together.
        OverflowError: The largest value times all pieces is 2^62 or more.
        MemoryError: Memory is short.
    """
    cdef list arrays = [tuple(one) for one in (
        capacities, values, times_max, promotions, offsets, classes, counts,
        party_times_max, party_groups,
    )]
    _check_shape(arrays)
    cdef PackProblem problem
    cdef PackAnswer answer
    cdef int64_t *numbers[9]
    cdef Py_ssize_t total = sum([len(one) for one in arrays]) + len(arrays[1])
    cdef Py_ssize_t index
    cdef int status
    cdef int64_t *arena = <int64_t *> malloc((total + 1) * sizeof(int64_t))
    cdef int64_t *rest = arena
    if arena == NULL:
        raise MemoryError()
    try:
        for index in range(9):
            numbers[index] = _carve(&rest, len(arrays[index]))
            _read_numbers(arrays[index], numbers[index])
        problem = PackProblem(
            len(arrays[0]), len(arrays[1]), len(arrays[7]), numbers[0], numbers[1], numbers[2],
            numbers[3], numbers[4], numbers[5], numbers[6], numbers[7], numbers[8],
            _read_number(steps_max),
        )
        _check_offsets(problem.offsets, problem.applications_count, len(arrays[5]))
        answer.times = rest
        with nogil:
            status = pack_arrays(&problem, &answer)
        if status != PACK_DONE:
            raise _refusal(status, problem.promotions_count)
        times = [answer.times[index] for index in range(problem.applications_count)]
        return times, answer.total, answer.bound, answer.steps
    finally:
        free(arena)
