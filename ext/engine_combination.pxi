"""The combination of promotions worth most: their applications, packed, as proposals."""

cdef enum:
    VALUE_BITS = 50
    SUM_BITS = 61

cdef struct Weighed:
    int64_t number
    Columns columns
    Py_ssize_t first  # of its applications among all
    bint fires
    Proposal proposal

cdef struct Combination:
    Lane lane
    Weighed *weighed
    Py_ssize_t count
    Py_ssize_t columns_count
    PackProblem problem
    PackAnswer answer
    int shift


cdef bint _can_weigh(const Scene *scene, const Promotion *promotion) noexcept:
    """Whether a promotion's applications can be listed and weighed against others."""
    cdef const Benefit *benefits = scene.plan.benefits + promotion.benefits
    cdef const int64_t *given
    cdef Py_ssize_t n
    if promotion.stackable or promotion.cost_asset != NOBODY or promotion.has_quota:
        return False
    if promotion.discount_max_minor or promotion.prices_count > 1:
        return False
    if not promotion.prices_count:
        for n in range(promotion.benefits_count):
            if benefits[n].code == POINTS_RATE or benefits[n].code == POINTS_FIXED:
                return True
        return False
    if benefits.code > FIXED_PRICE:
        return benefits.code != GIFT
    given = scene.plan.pool + benefits.arguments
    if benefits.code == AMOUNT_OFF and given[5]:
        return False
    if benefits.code == PERCENT_OFF and given[6] >= ROUNDED_ON_TOTAL:
        return False
    return not (given[0] and given[3])


cdef int _weigh(Scene *scene, Combination *combination, Weighed *one) except -1:
    """List the applications of a promotion."""
    cdef Weighing weighing
    cdef Deal deal
    weighing.scene, weighing.lane, weighing.number = scene, &combination.lane, one.number
    weighing.promotion = &scene.plan.promotions[one.number]
    weighing.columns = &one.columns
    one.columns.complete = True
    _rewind(&scene.scratch)
    if not weighing.promotion.prices_count:
        return _weigh_rewards(&weighing)
    _open_deal(scene, one.number, 0, &deal)
    weighing.deal = &deal
    return _weigh_prices(&weighing)


# --- packing ----------------------------------------------------------------------------------

cdef int _find_shift(Combination *combination, int64_t pieces) except -1:
    """Bits by which worths are coarser where they are too large to be weighed exactly."""
    cdef int64_t most = 0
    cdef const Columns *columns
    cdef Py_ssize_t n, m
    for n in range(combination.count):
        columns = &combination.weighed[n].columns
        for m in range(columns.count):
            most = _most(most, columns.rows[m].worth)
    combination.shift = 0
    while most >> VALUE_BITS or loyalty_compare_products(
        most, pieces, <int64_t> 1 << SUM_BITS, 1
    ) >= 0:
        most = most >> 1
        combination.shift += 1
    return 0


cdef int64_t _party_times(const Scene *scene, const Promotion *promotion) noexcept:
    """How often all applications of a promotion together may be used; 0 is without limit."""
    cdef const Benefit *benefit = &scene.plan.benefits[promotion.benefits]
    cdef const int64_t *given = scene.plan.pool + benefit.arguments
    if benefit.code > FIXED_PRICE:
        return promotion.times_max
    return given[0] // given[2] if given[2] else given[0]


cdef int64_t _add_capacities(Scene *scene, Combination *combination) except? -1:
    """The pieces of each class; say how many there are."""
    cdef int64_t *capacities = _int64s(&scene.kept, combination.lane.classes_count)
    cdef int64_t pieces = 0
    cdef Py_ssize_t n
    for n in range(combination.lane.classes_count):
        capacities[n] = combination.lane.classes[n].capacity
        pieces += capacities[n]
    combination.problem.capacities = capacities
    combination.problem.classes_count = combination.lane.classes_count
    return pieces


cdef int _add_parties(Scene *scene, Combination *combination) except -1:
    cdef int64_t *times_max = _int64s(&scene.kept, combination.count)
    cdef int64_t *groups = _int64s(&scene.kept, combination.count)
    cdef const Promotion *promotion
    cdef Py_ssize_t n
    for n in range(combination.count):
        promotion = &scene.plan.promotions[combination.weighed[n].number]
        times_max[n], groups[n] = _party_times(scene, promotion), promotion.group
    combination.problem.party_times_max = times_max
    combination.problem.party_groups = groups
    combination.problem.promotions_count = combination.count
    return 0


cdef int _add_applications(Scene *scene, Combination *combination) except -1:
    """All applications one behind the other, in the order of their promotions."""
    cdef Py_ssize_t n, m, at = 0, uses_count = 0, k
    cdef Py_ssize_t count = combination.columns_count
    cdef int64_t *values = _int64s(&scene.kept, count)
    cdef int64_t *times_max = _int64s(&scene.kept, count)
    cdef int64_t *promotions = _int64s(&scene.kept, count)
    cdef int64_t *offsets = _int64s(&scene.kept, count + 1)
    cdef int64_t *classes
    cdef int64_t *counts
    cdef const Column *column
    for n in range(combination.count):
        for m in range(combination.weighed[n].columns.count):
            column = &combination.weighed[n].columns.rows[m]
            values[at] = _most(1, column.worth >> combination.shift)
            times_max[at], promotions[at], offsets[at] = column.times_max, n, uses_count
            uses_count += column.uses.count
            at += 1
    offsets[count] = uses_count
    classes, counts = _int64s(&scene.kept, uses_count), _int64s(&scene.kept, uses_count)
    at = 0
    for n in range(combination.count):
        for m in range(combination.weighed[n].columns.count):
            column = &combination.weighed[n].columns.rows[m]
            for k in range(column.uses.count):
                classes[at], counts[at] = column.uses.rows[k].place, column.uses.rows[k].pieces
                at += 1
    combination.problem.applications_count = count
    combination.problem.values, combination.problem.times_max = values, times_max
    combination.problem.promotions, combination.problem.offsets = promotions, offsets
    combination.problem.classes, combination.problem.counts = classes, counts
    return 0


cdef int _pack(Scene *scene, Combination *combination) except -1:
    """Choose how often each application is used."""
    cdef int64_t pieces = _add_capacities(scene, combination)
    cdef PackAnswer *answer = &combination.answer
    cdef int status
    _find_shift(combination, pieces)
    _add_parties(scene, combination)
    _add_applications(scene, combination)
    combination.problem.steps_max = scene.plan.steps_max[scene.lane]
    answer.times = _int64s(&scene.kept, combination.columns_count)
    # The interpreter lock stays held: the engine has one scene.
    status = pack_arrays(&combination.problem, answer)
    if status == PACK_NO_MEMORY:
        raise MemoryError()
    if status != PACK_DONE:
        raise ValueError(f"a best lane cannot be packed: reason {status}")
    if combination.shift:
        # Each piece could have lost less than one unit of the coarser worth.
        answer.bound = _product(answer.bound + pieces, <int64_t> 1 << combination.shift)
        answer.total = _product(answer.total, <int64_t> 1 << combination.shift)
    return 0


cdef int64_t _worth_at_most(Scene *scene, const Combination *combination) except? -1:
    """An upper bound where applications were left out: every piece free, with the most points."""
    cdef const PieceClass *one
    cdef Weighing weighing
    cdef Use use
    cdef Uses alone
    cdef int64_t total = 0, points
    cdef Py_ssize_t n, m
    weighing.scene, weighing.lane = scene, &combination.lane
    alone.rows, alone.count = &use, 1
    for n in range(combination.lane.classes_count):
        one = &combination.lane.classes[n]
        use = Use(n, 1)
        points = 0
        for m in range(combination.count):
            weighing.promotion = &scene.plan.promotions[combination.weighed[m].number]
            points = _most(points, _points_worth(&weighing, alone, 0))
        total += _product(one.capacity, one.price_minor * WORTH_SCALE + points)
    return total


cdef int _prove(Scene *scene, const Combination *combination) except -1:
    """Note how good the combination is."""
    cdef int64_t bound = combination.answer.bound, total = combination.answer.total
    cdef Proof *proof = &scene.proofs[scene.proofs_count]
    cdef Py_ssize_t n
    cdef bint complete = True
    for n in range(combination.count):
        complete = complete and combination.weighed[n].columns.complete
    if not complete:
        bound = _most(bound, _worth_at_most(scene, combination))
    proof.lane, proof.optimal = scene.lane, bound == total
    proof.gap_minor = _scaled(bound - total, 1, WORTH_SCALE, UP)
    proof.steps = combination.answer.steps
    scene.proofs_count += 1
    return 0


# --- what was chosen --------------------------------------------------------------------------

cdef struct Gathered:
    # By item: thousandths, discount of applications to it alone; price and room of its part of
    # others.
    int64_t *milli
    int64_t *own_minor
    int64_t *shared_minor
    int64_t *room_minor
    int64_t total_minor


cdef Gathered _gather(
    Scene *scene, const Combination *combination, const Weighed *one, const int64_t *times
) except *:
    """Bring the chosen applications of a promotion together by item."""
    cdef Gathered chosen
    cdef const Column *column
    cdef const PieceClass *piece = NULL
    cdef size_t size = <size_t> scene.items_count * sizeof(int64_t)
    cdef Py_ssize_t n, m
    chosen.milli = _int64s(&scene.scratch, scene.items_count)
    chosen.own_minor = _int64s(&scene.scratch, scene.items_count)
    chosen.shared_minor = _int64s(&scene.scratch, scene.items_count)
    chosen.room_minor = _int64s(&scene.scratch, scene.items_count)
    chosen.total_minor = 0
    memset(chosen.milli, 0, size)
    memset(chosen.own_minor, 0, size)
    memset(chosen.shared_minor, 0, size)
    memset(chosen.room_minor, 0, size)
    for n in range(one.columns.count):
        column = &one.columns.rows[n]
        if not times[n]:
            continue
        for m in range(column.uses.count):
            piece = &combination.lane.classes[column.uses.rows[m].place]
            chosen.milli[piece.item] += column.uses.rows[m].pieces * times[n] * piece.piece_milli
        if column.uses.count == 1:
            chosen.own_minor[piece.item] += column.discount_minor * times[n]
            continue
        chosen.total_minor += column.discount_minor * times[n]
        for m in range(column.bearing.count):
            piece = &combination.lane.classes[column.bearing.rows[m].place]
            chosen.shared_minor[piece.item] += (
                piece.price_minor * column.bearing.rows[m].pieces * times[n]
            )
            chosen.room_minor[piece.item] += (
                piece.room_minor * column.bearing.rows[m].pieces * times[n]
            )
    return chosen


cdef int _propose_chosen(
    Scene *scene, const Combination *combination, Weighed *one, const int64_t *times
) except -1:
    """What the chosen applications of a promotion come to; it is kept until it is applied."""
    cdef Gathered chosen
    cdef Proposal *proposal = &one.proposal
    cdef int64_t *prices
    cdef int64_t *rooms
    cdef int64_t *parts
    cdef Py_ssize_t n, count = 0
    _rewind(&scene.scratch)
    chosen = _gather(scene, combination, one, times)
    prices = _int64s(&scene.scratch, scene.items_count)
    rooms = _int64s(&scene.scratch, scene.items_count)
    parts = _int64s(&scene.scratch, scene.items_count)
    memset(proposal, 0, sizeof(Proposal))
    for n in range(scene.items_count):
        if chosen.milli[n]:
            prices[count] = chosen.shared_minor[n]
            rooms[count] = chosen.room_minor[n]  # of its own pieces: others may use the item, too
            count += 1
    _share_capped(&scene.scratch, chosen.total_minor, prices, rooms, count, parts)
    proposal.taken = <Taken *> _take(&scene.kept, count, sizeof(Taken))
    for n in range(scene.items_count):
        if chosen.milli[n]:
            _take_some(
                proposal,
                n,
                chosen.milli[n],
                chosen.own_minor[n] + parts[proposal.taken_count],
            )
    proposal.times = _times_chosen(scene, one, times)
    return 0


cdef int64_t _times_chosen(
    const Scene *scene, const Weighed *one, const int64_t *times
) noexcept:
    """Sets that fired, or items that were lowered, as in a sequential lane."""
    cdef const Promotion *promotion = &scene.plan.promotions[one.number]
    cdef int64_t count = 0
    cdef Py_ssize_t n
    if not promotion.prices_count:
        return 1
    if scene.plan.benefits[promotion.benefits].code <= QUANTITY_TIERS:
        for n in range(one.proposal.taken_count):
            count += one.proposal.taken[n].discount_minor != 0
        return count
    for n in range(one.columns.count):
        count += times[n]
    return count


cdef int _combine(Scene *scene, Combination *combination) except -1:
    """Choose the combination of the promotions that is worth most."""
    cdef Py_ssize_t n, m
    cdef Weighed *one
    _open_classes(scene, &combination.lane)
    combination.columns_count = 0
    for n in range(combination.count):
        one = &combination.weighed[n]
        _weigh(scene, combination, one)
        one.first = combination.columns_count
        combination.columns_count += one.columns.count
    _pack(scene, combination)
    for n in range(combination.count):
        one = &combination.weighed[n]
        for m in range(one.columns.count):
            if combination.answer.times[one.first + m]:
                one.fires = True
        if one.fires:
            _propose_chosen(scene, combination, one, combination.answer.times + one.first)
    return _prove(scene, combination)
