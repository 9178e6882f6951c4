"""Benefits on sets of pieces: N+M, nth item, cheapest free, buy and get."""

cdef Runs _slice(const Runs *runs, Py_ssize_t start, Py_ssize_t end) noexcept:
    cdef Runs part
    part.rows = runs.rows + start
    part.count = end - start
    return part


cdef int _n_plus_m(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Of N+M pieces the M cheapest are free.

    Arguments: pay, free, per_article, as_quantity, partly, spread.
    """
    cdef const int64_t *given = deal.arguments
    cdef int64_t pay = given[0], free = given[1], whole = given[0] + given[1]
    cdef Runs runs = _counted_runs(scene, deal, deal.items)
    cdef Runs group
    cdef int64_t left = _count_max(deal), times = 0, lacking = whole
    cdef int64_t full, rest, sets, fired, pieces
    cdef Py_ssize_t n, groups_count = 0, start = 0, begun = 0, cheapest
    cdef Py_ssize_t *ends
    cdef bint capped = False
    if not runs.count:
        return _propose_nothing(proposal, IF_NOT_COUNTED, 0)
    ends = _part_by_article(scene, &runs, <bint> given[2], &groups_count)
    proposal.taken = <Taken *> _take(&scene.scratch, runs.count, sizeof(Taken))
    proposal.offers = <Offer *> _take(&scene.scratch, groups_count, sizeof(Offer))
    for n in range(groups_count):
        group = _slice(&runs, start, ends[n])
        start = ends[n]
        pieces = _count_of(&group)
        full, rest = pieces // whole, pieces % whole
        sets = full + (1 if rest > pay and given[4] else 0)
        fired = _least(sets, left)
        capped = capped or fired < sets
        lacking = _least(lacking, _n_plus_m_lacks(given, rest))
        cheapest = group.rows[group.count - 1].item
        if rest >= pay and fired == sets and _adds_for_nothing(scene, deal, cheapest):
            # What is missing is worked out when it is known how often it fired.
            proposal.offers[begun] = Offer(deal.number, cheapest, NOBODY, rest, 0, 0)
            begun += 1
        if fired:
            pieces = _least(fired, full) * free + (rest - pay if fired > full else 0)
            _lower_last(scene, deal, &group, fired * whole, pieces, <bint> given[5], proposal)
            times += fired
            left -= fired
    _offer_missing(given, proposal, begun, left)
    if times:
        return _propose_some(proposal, times, times, capped)
    return _propose_nothing(proposal, IF_QUANTITY, lacking * MILLI)


cdef int64_t _n_plus_m_lacks(const int64_t *given, int64_t rest) noexcept:
    """How many pieces the next set lacks until something of it is free."""
    cdef int64_t whole = given[0] + given[1]
    if given[3]:
        return (given[0] if rest < given[0] else whole) - rest
    if given[4] and rest <= given[0]:
        return given[0] + 1 - rest
    return whole - rest


cdef bint _adds_for_nothing(Scene *scene, const Deal *deal, Py_ssize_t place) except -1:
    """Whether pieces may be added, and the floor lets those of a set be wholly free."""
    cdef const int64_t *given = deal.arguments
    cdef const Item *item = &scene.items[place]
    cdef int64_t price_minor
    if not given[3]:
        return False
    price_minor = _price(deal, item, _open_milli(deal, item), 0)
    if price_minor <= 0:
        return False
    return loyalty_compare_products(
        price_minor, given[1], _room(item, price_minor), given[0] + given[1]
    ) <= 0


cdef void _offer_missing(
    const int64_t *given, Proposal *proposal, Py_ssize_t begun, int64_t times_left
) noexcept:
    """Turn the sets begun into offers of what they lack; `quantity_milli` holds their rest."""
    cdef Py_ssize_t n
    cdef int64_t rest
    cdef Offer offer
    for n in range(begun):
        offer = proposal.offers[n]
        rest = offer.quantity_milli
        if rest == given[0] or not given[4]:
            if not times_left:
                continue
            times_left -= 1
        offer.quantity_milli = (given[0] + given[1] - rest) * MILLI
        proposal.offers[proposal.offers_count] = offer
        proposal.offers_count += 1


cdef int _lower_last(
    Scene *scene,
    const Deal *deal,
    const Runs *group,
    int64_t used_count,
    int64_t lowered_count,
    bint spread,
    Proposal *proposal,
) except -1:
    """Make the last pieces of the used ones free."""
    cdef Runs used = _first(scene, group, used_count)
    cdef Runs lowered = _last_of(scene, &used, lowered_count)
    return _share_set(
        scene, deal, &used, &used if spread else &lowered, _worth(scene, deal, &lowered), proposal
    )


cdef Runs _last_of(Scene *scene, const Runs *runs, int64_t count) except *:
    """The last `count` pieces of some runs, in the order of the runs."""
    cdef Runs last = _new_runs(scene, runs.count)
    cdef const Run *run
    cdef Py_ssize_t n
    cdef int64_t passed = _count_of(runs) - count, part
    for n in range(runs.count):
        run = &runs.rows[n]
        part = _least(run.pieces, _most(0, run.pieces - passed))
        passed -= run.pieces - part
        if part:
            _add_run(&last, run.item, part, run.skip + run.pieces - part, run.rank)
    return last


cdef int _share_set(
    Scene *scene,
    const Deal *deal,
    const Runs *used,
    const Runs *bearing,
    int64_t total_minor,
    Proposal *proposal,
) except -1:
    """Share a discount over the pieces that bear it; all used ones are taken, one a run."""
    cdef Py_ssize_t count = bearing.count, n
    cdef Py_ssize_t *items = <Py_ssize_t *> _take(&scene.scratch, count, sizeof(Py_ssize_t))
    cdef int64_t *prices = _int64s(&scene.scratch, count)
    cdef int64_t *parts = _int64s(&scene.scratch, count)
    cdef const Run *run
    cdef Item *item
    cdef uint64_t mark = _next_mark(scene)
    for n in range(count):
        run = &bearing.rows[n]
        items[n] = run.item
        prices[n] = _price(
            deal, &scene.items[run.item], run.pieces * MILLI, run.skip * MILLI
        )
    _share_discount(scene, total_minor, items, prices, count, parts)
    for n in range(count):
        scene.items[items[n]].mark = mark
        scene.items[items[n]].mark_place = n
    for n in range(used.count):
        run = &used.rows[n]
        item = &scene.items[run.item]
        _take_some(
            proposal,
            run.item,
            run.pieces * MILLI,
            parts[item.mark_place] if item.mark == mark else 0,
        )
    return 0


# --- the nth, the cheapest --------------------------------------------------------------------

cdef int64_t _reached(int64_t pieces, int64_t set_count, int64_t skip, int64_t count) noexcept:
    """How many of the chosen pieces of each set are among the first ones."""
    cdef int64_t full = pieces // set_count
    return full * count + _least(_most(0, pieces - full * set_count - skip), count)


cdef int _of_sets(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Of every set of pieces lower the last, or the first, ones.

    Arguments: set_count, free_count, rate, which, spread, per_article.
    """
    cdef const int64_t *given = deal.arguments
    cdef Runs runs = _counted_runs(scene, deal, deal.items)
    cdef Runs group
    cdef int64_t left = _count_max(deal), times = 0, lacking = given[0]
    cdef int64_t pieces, sets, fired
    cdef Py_ssize_t n, groups_count = 0, start = 0
    cdef Py_ssize_t *ends
    cdef bint capped = False
    if not runs.count:
        return _propose_nothing(proposal, IF_NOT_COUNTED, 0)
    ends = _part_by_article(scene, &runs, <bint> given[5], &groups_count)
    proposal.taken = <Taken *> _take(&scene.scratch, runs.count, sizeof(Taken))
    for n in range(groups_count):
        group = _slice(&runs, start, ends[n])
        start = ends[n]
        pieces = _count_of(&group)
        sets = pieces // given[0]
        fired = _least(sets, left)
        capped = capped or fired < sets
        lacking = _least(lacking, given[0] - pieces % given[0])
        if fired:
            _lower_every(scene, deal, &group, fired * given[0], proposal)
            times += fired
            left -= fired
    if times:
        return _propose_some(proposal, times, times, capped)
    return _propose_nothing(proposal, IF_QUANTITY, lacking * MILLI)


cdef int _lower_every(
    Scene *scene, const Deal *deal, const Runs *group, int64_t used_count, Proposal *proposal
) except -1:
    """Lower some pieces of every set: within a run the last ones, or the first ones."""
    cdef const int64_t *given = deal.arguments
    cdef bint dearest = given[3] == PICK_DEAREST
    cdef int64_t skip = 0 if dearest else given[0] - given[1]
    cdef Runs used = _first(scene, group, used_count)
    cdef Runs lowered = _new_runs(scene, used.count)
    cdef const Run *run
    cdef int64_t before = 0, after, count
    cdef Py_ssize_t n
    for n in range(used.count):
        run = &used.rows[n]
        after = before + run.pieces
        count = _reached(after, given[0], skip, given[1]) - _reached(
            before, given[0], skip, given[1]
        )
        _add_run(
            &lowered, run.item, count, run.skip + (0 if dearest else run.pieces - count), run.rank
        )
        before = after
    return _share_set(
        scene,
        deal,
        &used,
        &used if given[4] else &lowered,
        _share_of(_worth(scene, deal, &lowered), given[2], HALF_UP),
        proposal,
    )


# --- buy and get ------------------------------------------------------------------------------

cdef Runs _without(Scene *scene, const Runs *runs, const Runs *used) except *:
    """What is left of runs when the first pieces of some items are used."""
    cdef Runs left = _new_runs(scene, runs.count)
    cdef uint64_t mark = _next_mark(scene)
    cdef const Run *run
    cdef Py_ssize_t n
    cdef int64_t gone
    for n in range(used.count):
        scene.items[used.rows[n].item].mark = mark
        scene.items[used.rows[n].item].mark_place = n
    for n in range(runs.count):
        run = &runs.rows[n]
        gone = 0
        if scene.items[run.item].mark == mark:
            gone = used.rows[scene.items[run.item].mark_place].pieces
        if run.pieces > gone:
            _add_run(&left, run.item, run.pieces - gone, run.skip + gone, run.rank)
    return left


cdef int64_t _left_to_give(
    Scene *scene, const Runs *buys, const Runs *gets, int64_t bought_count
) except? -1:
    """How many pieces are left to give when so many are bought."""
    cdef Runs bought = _first(scene, buys, bought_count)
    cdef Runs left = _without(scene, gets, &bought)
    return _count_of(&left)


cdef int64_t _buy_get_sets(
    Scene *scene, const int64_t *given, const Runs *buys, const Runs *gets
) except? -1:
    """The largest number of sets: bought pieces are the dearest, given is what is left."""
    cdef int64_t low = 0, high = _count_of(buys) // given[0]
    cdef int64_t middle, needed
    while low < high:
        middle = (low + high + 1) // 2
        needed = middle * given[1]
        if given[4]:
            needed = (middle - 1) * given[1] + 1
        if _left_to_give(scene, buys, gets, middle * given[0]) >= needed:
            low = middle
        else:
            high = middle - 1
    return low


cdef int64_t _buy_get_lacks(
    Scene *scene, const int64_t *given, const Runs *buys, const Runs *gets
) except? -1:
    """How many pieces the first set lacks."""
    cdef int64_t bought = _count_of(buys)
    if bought < given[0]:
        return given[0] - bought
    return _most(1, (1 if given[4] else given[1]) - _left_to_give(scene, buys, gets, given[0]))


cdef Runs _joined(Scene *scene, const Runs *bought, const Runs *given) except *:
    """Bought and given pieces, those of one item as one run."""
    cdef Runs joined = _new_runs(scene, bought.count + given.count)
    cdef uint64_t mark = _next_mark(scene)
    cdef const Run *run
    cdef Item *item
    cdef Py_ssize_t n
    for n in range(bought.count):
        joined.rows[n] = bought.rows[n]
        scene.items[bought.rows[n].item].mark = mark
        scene.items[bought.rows[n].item].mark_place = n
    joined.count = bought.count
    for n in range(given.count):
        run = &given.rows[n]
        item = &scene.items[run.item]
        if item.mark == mark:
            joined.rows[item.mark_place].pieces += run.pieces
        else:
            _add_run(&joined, run.item, run.pieces, 0, run.rank)
    return joined


cdef int _buy_get(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """For so many dearest pieces of one set lower the cheapest, or dearest, ones of another.

    Arguments: buy, get, rate, which, partly, spread.
    """
    cdef const int64_t *given = deal.arguments
    cdef Runs buys = _counted_runs(scene, deal, deal.parts[0])
    cdef Runs gets = _counted_runs(scene, deal, deal.parts[1])
    cdef Runs bought, others, lowered, used
    cdef int64_t sets, times, count, total_minor
    if not buys.count:
        return _propose_nothing(proposal, IF_QUANTITY, given[0] * MILLI)
    sets = _buy_get_sets(scene, given, &buys, &gets)
    times = _least(sets, _count_max(deal))
    if not times:
        return _propose_nothing(
            proposal, IF_QUANTITY, _buy_get_lacks(scene, given, &buys, &gets) * MILLI
        )
    bought = _first(scene, &buys, times * given[0])
    others = _without(scene, &gets, &bought)
    count = _least(times * given[1], _count_of(&others))
    if given[3] == PICK_DEAREST:
        lowered = _first(scene, &others, count)
    else:
        lowered = _last_of(scene, &others, count)
    total_minor = _share_of(_worth(scene, deal, &lowered), given[2], HALF_UP)
    used = _joined(scene, &bought, &lowered)
    proposal.taken = <Taken *> _take(&scene.scratch, used.count, sizeof(Taken))
    _share_set(scene, deal, &used, &used if given[5] else &lowered, total_minor, proposal)
    return _propose_some(proposal, times, times, times < sets)
