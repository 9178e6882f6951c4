"""A best lane: the combination of promotions that is worth most to the customer, exactly.

What cannot be weighed against other promotions runs afterwards, by priority.
"""

cdef Entry _why_not(Scene *scene, int64_t number) except *:
    """Why a promotion can fire on no pieces at all."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef Proposal proposal
    cdef int64_t condition
    if not promotion.prices_count:
        condition = IF_NOTHING_EARNS if scene.header.earns else IF_CUSTOMER
        return Entry(number, FAILED, 0, NOBODY, condition, 0)
    if not _works_on(scene, promotion):
        return _nothing_open(scene, number)
    _rewind(&scene.scratch)
    _propose(scene, number, &proposal)
    condition = proposal.condition if proposal.condition else IF_FLOOR
    return Entry(number, FAILED, 0, NOBODY, condition, proposal.missing)


cdef Entry _outweighed(Scene *scene, int64_t number) except *:
    """To whom a promotion lost that another combination is worth more than."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    if promotion.group != NOBODY and _is_put(scene, &scene.winners[promotion.group]):
        return Entry(
            number, LOST, 0, scene.winners[promotion.group].value, NO_CONDITION, 0
        )
    return _nothing_open(scene, number)


cdef int _apply_chosen(Scene *scene, const Weighed *one) except -1:
    """Let a promotion of a combination take effect."""
    cdef const Promotion *promotion = &scene.plan.promotions[one.number]
    cdef Shares shares
    _rewind(&scene.scratch)
    _apply(scene, one.number, &one.proposal)
    shares = _shares_of(scene, promotion, one.proposal.taken, one.proposal.taken_count)
    _reward(scene, one.number, &shares)
    _trace(scene, Entry(one.number, FIRED, one.proposal.times, NOBODY, NO_CONDITION, 0))
    if promotion.group != NOBODY:
        _put(scene, &scene.winners[promotion.group], one.number)
    return 0


cdef int _compare_entries(const void *left, const void *right) noexcept nogil:
    return _compare((<const Entry *> left).number, (<const Entry *> right).number)


cdef inline bint _is_weighed(const Scene *scene, int64_t number) noexcept:
    """Whether a promotion is weighed against others, not run afterwards."""
    if _is_put(scene, &scene.withheld[number]):
        return False
    return _can_weigh(scene, &scene.plan.promotions[number])


cdef int _run_best(Scene *scene) except -1:
    """Let the best combination of a lane take effect, then by priority what cannot be weighed."""
    cdef Py_ssize_t start = scene.trace_count, n, refused_count = 0
    cdef Py_ssize_t size = scene.lane_end - scene.lane_start
    cdef Entry *refused = <Entry *> _take(&scene.kept, size, sizeof(Entry))
    cdef Combination combination
    cdef int64_t number
    memset(&combination, 0, sizeof(Combination))
    combination.weighed = <Weighed *> _take(&scene.kept, size, sizeof(Weighed))
    memset(combination.weighed, 0, <size_t> size * sizeof(Weighed))
    for n in range(scene.lane_start, scene.lane_end):
        number = scene.candidates[n]
        if not _is_weighed(scene, number):
            continue
        if _is_unfit(scene, number, &refused[refused_count]) or _is_beaten(
            scene, number, &refused[refused_count]
        ):
            refused_count += 1
        else:
            combination.weighed[combination.count].number = number
            combination.count += 1
    _combine(scene, &combination)
    _settle(scene, &combination, refused, refused_count)
    for n in range(scene.lane_start, scene.lane_end):
        number = scene.candidates[n]
        if not _is_weighed(scene, number):
            _run(scene, number)
    qsort(
        &scene.trace[start],
        <size_t> (scene.trace_count - start),
        sizeof(Entry),
        &_compare_entries,
    )
    return 0


cdef int _settle(
    Scene *scene, Combination *combination, const Entry *refused, Py_ssize_t refused_count
) except -1:
    """Let what was chosen take effect, and trace what became of all that was weighed."""
    cdef Entry *unable = <Entry *> _take(&scene.kept, combination.count, sizeof(Entry))
    cdef const Weighed *one
    cdef Py_ssize_t n
    for n in range(combination.count):
        if not combination.weighed[n].columns.count:
            unable[n] = _why_not(scene, combination.weighed[n].number)
    for n in range(combination.count):
        if combination.weighed[n].fires:
            _apply_chosen(scene, &combination.weighed[n])
    for n in range(refused_count):
        _trace(scene, refused[n])
    for n in range(combination.count):
        one = &combination.weighed[n]
        if not one.columns.count:
            _trace(scene, unable[n])
        elif not one.fires:
            _trace(scene, _outweighed(scene, one.number))
    return 0


cdef int _run_lane(Scene *scene, int64_t lane) except -1:
    """Let the promotions of a lane run: the best combination of them, or one after another."""
    cdef Py_ssize_t n
    _enter_lane(scene, lane)
    if scene.lane_start < scene.lane_end and scene.plan.steps_max[lane]:
        return _run_best(scene)
    for n in range(scene.lane_start, scene.lane_end):
        _run(scene, scene.candidates[n])
    return 0
