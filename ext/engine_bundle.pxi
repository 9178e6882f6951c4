"""Benefits on the whole: bundle price, receipt discount."""

cdef struct Bundles:
    # What is used of each run's item, by its mark_place: in all bundles, and in the next one.
    Runs *parts
    int64_t *counts
    Py_ssize_t parts_count
    Runs used
    Runs bundle
    uint64_t mark


cdef int _enter_parts(Scene *scene, const Deal *deal, Bundles *bundles) except -1:
    """The runs of each part, the scarcest part first. Arguments from 3 on: pieces of each part."""
    cdef Py_ssize_t n, m, total = 0
    cdef Runs runs
    cdef int64_t count
    bundles.parts_count = deal.parts_count
    bundles.parts = <Runs *> _take(&scene.scratch, deal.parts_count, sizeof(Runs))
    bundles.counts = _int64s(&scene.scratch, deal.parts_count)
    for n in range(deal.parts_count):
        runs = _counted_runs(scene, deal, deal.parts[n])
        count = deal.arguments[3 + n]
        total += runs.count
        m = n
        while m and _count_of(&bundles.parts[m - 1]) > _count_of(&runs):
            bundles.parts[m] = bundles.parts[m - 1]
            bundles.counts[m] = bundles.counts[m - 1]
            m -= 1
        bundles.parts[m] = runs
        bundles.counts[m] = count
    bundles.used = _new_runs(scene, total)
    bundles.bundle = _new_runs(scene, total)
    bundles.mark = _next_mark(scene)
    return 0


cdef int64_t _next_bundle(Scene *scene, Bundles *bundles) except? -1:
    """Form a bundle of the dearest pieces left; how many the first lacking part lacks, or 0.

    An item's `mark_place` is its place in `used`, where it stands from when it is first met.
    A row of `bundle` holds the place in `used` as its rank.
    """
    cdef Py_ssize_t n, m
    cdef Run *run
    cdef Run *own
    cdef Item *item
    cdef int64_t needed = 0, pieces
    bundles.bundle.count = 0
    for n in range(bundles.parts_count):
        needed = bundles.counts[n]
        for m in range(bundles.parts[n].count):
            run = &bundles.parts[n].rows[m]
            item = &scene.items[run.item]
            if item.mark != bundles.mark:
                item.mark = bundles.mark
                item.mark_place = bundles.used.count
                _add_run(&bundles.used, run.item, 0, NOBODY, 0)
            # Of a row of `used`, `skip` is its place in the bundle, NOBODY if it is not there.
            own = &bundles.used.rows[item.mark_place]
            pieces = run.pieces - own.pieces
            if own.skip != NOBODY:
                pieces -= bundles.bundle.rows[own.skip].pieces
            pieces = _least(needed, pieces)
            if pieces > 0:
                if own.skip == NOBODY:
                    own.skip = bundles.bundle.count
                    _add_run(&bundles.bundle, run.item, 0, own.pieces, item.mark_place)
                bundles.bundle.rows[own.skip].pieces += pieces
                needed -= pieces
            if not needed:
                break
        if needed:
            break
    for m in range(bundles.bundle.count):
        bundles.used.rows[bundles.bundle.rows[m].rank].skip = NOBODY
    return needed


cdef void _use_bundle(Bundles *bundles, Runs *order) noexcept:
    """Count the pieces of the bundle as used; `order` lists items as they are first used."""
    cdef Py_ssize_t n
    cdef Run *own
    for n in range(bundles.bundle.count):
        own = &bundles.used.rows[bundles.bundle.rows[n].rank]
        if not own.pieces:
            _add_run(order, own.item, 0, 0, bundles.bundle.rows[n].rank)
        own.pieces += bundles.bundle.rows[n].pieces


cdef int64_t _bundle_discount(const int64_t *given, int64_t price_minor) except? -1:
    """What a bundle takes off its price; below 0 if it is dearer than its pieces."""
    if given[2]:
        return _share_of(price_minor, given[2], HALF_UP)
    if given[1]:
        return _least(price_minor, given[1])
    return price_minor - given[0]


cdef int _bundle_price(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Some pieces of each part for a price, an amount off or a percentage off.

    Arguments: price, amount off, rate, then the pieces of each part.
    """
    cdef Bundles bundles
    cdef Runs order
    cdef int64_t total_minor = 0, times = 0, lacking, discount_minor
    cdef int64_t count_max = _count_max(deal)
    cdef bint capped
    _enter_parts(scene, deal, &bundles)
    order = _new_runs(scene, bundles.used.count + _parts_total(&bundles))
    while times < count_max:
        lacking = _next_bundle(scene, &bundles)
        if lacking:
            if times:
                break
            return _propose_nothing(proposal, IF_QUANTITY, lacking * MILLI)
        discount_minor = _bundle_discount(
            deal.arguments, _worth(scene, deal, &bundles.bundle)
        )
        if discount_minor <= 0:
            break
        total_minor += discount_minor
        times += 1
        _use_bundle(&bundles, &order)
        _drop_used_up(scene, &bundles)
    if not times:
        return _propose_nothing(proposal, IF_FLOOR, 0)
    capped = times == count_max and not _next_bundle(scene, &bundles)
    _share_bundles(scene, deal, &bundles, &order, total_minor, proposal)
    return _propose_some(proposal, times, times, capped)


cdef Py_ssize_t _parts_total(const Bundles *bundles) noexcept:
    cdef Py_ssize_t n, total = 0
    for n in range(bundles.parts_count):
        total += bundles.parts[n].count
    return total


cdef void _drop_used_up(Scene *scene, Bundles *bundles) noexcept:
    """Pass over runs at the front of a part of which nothing is left."""
    cdef Py_ssize_t n
    cdef const Run *run
    cdef const Item *item
    for n in range(bundles.parts_count):
        while bundles.parts[n].count:
            run = bundles.parts[n].rows
            item = &scene.items[run.item]
            if item.mark != bundles.mark:
                break
            if bundles.used.rows[item.mark_place].pieces < run.pieces:
                break
            bundles.parts[n].rows += 1
            bundles.parts[n].count -= 1


cdef int _share_bundles(
    Scene *scene,
    const Deal *deal,
    const Bundles *bundles,
    const Runs *order,
    int64_t total_minor,
    Proposal *proposal,
) except -1:
    """Share the discount of all bundles over what they use."""
    cdef Py_ssize_t n, count = order.count
    cdef Py_ssize_t *items = <Py_ssize_t *> _take(&scene.scratch, count, sizeof(Py_ssize_t))
    cdef int64_t *milli = _int64s(&scene.scratch, count)
    cdef int64_t *prices = _int64s(&scene.scratch, count)
    cdef int64_t *parts = _int64s(&scene.scratch, count)
    for n in range(count):
        items[n] = order.rows[n].item
        milli[n] = bundles.used.rows[order.rows[n].rank].pieces * MILLI
        prices[n] = _price(deal, &scene.items[items[n]], milli[n], 0)
    _share_discount(scene, total_minor, items, prices, count, parts)
    proposal.taken = <Taken *> _take(&scene.scratch, count, sizeof(Taken))
    for n in range(count):
        _take_some(proposal, items[n], milli[n], parts[n])
    return 0


# --- receipt discount -------------------------------------------------------------------------

cdef int _receipt_discount(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """A rate or an amount off the set as a whole, or a price for it.

    Arguments: rate, amount, price, max, rounding, share, remainder.
    """
    cdef const int64_t *given = deal.arguments
    cdef Py_ssize_t n, count = deal.items.count
    cdef int64_t *prices = _int64s(&scene.scratch, count)
    cdef int64_t *rooms = _int64s(&scene.scratch, count)
    cdef int64_t *parts = _int64s(&scene.scratch, count)
    cdef int64_t times = 1, total_minor = given[1], room_minor, price_minor
    cdef const Item *item
    for n in range(count):
        item = &scene.items[deal.items.items[n]]
        prices[n] = _price(deal, item, _open_milli(deal, item), 0)
        rooms[n] = _room(item, prices[n])
    price_minor, room_minor = _sum_of(prices, count), _sum_of(rooms, count)
    if given[0]:
        total_minor = _share_of(price_minor, given[0], given[4])
    elif given[2]:
        total_minor = _most(0, price_minor - given[2])
    elif deal.repeats_max > 1:
        times = _least(deal.repeats_max, _most(1, _scaled(room_minor, 1, total_minor, UP)))
        total_minor = _product(total_minor, times)
    if given[3]:
        total_minor = _least(total_minor, given[3])
    _part_discount(scene, deal, _least(total_minor, room_minor), prices, rooms, parts)
    proposal.taken = <Taken *> _take(&scene.scratch, count, sizeof(Taken))
    for n in range(count):
        if parts[n]:
            item = &scene.items[deal.items.items[n]]
            _take_some(proposal, deal.items.items[n], _open_milli(deal, item), parts[n])
    if not proposal.taken_count:
        return _propose_nothing(proposal, IF_FLOOR, 0)
    return _propose_some(proposal, 1, times, False)


cdef int _part_discount(
    Scene *scene,
    const Deal *deal,
    int64_t total_minor,
    int64_t *weights,
    const int64_t *rooms,
    int64_t *parts,
) except -1:
    """Share a discount as the benefit says; no part is above its room."""
    cdef int64_t share = deal.arguments[5], remainder = deal.arguments[6]
    cdef Py_ssize_t n, count = deal.items.count
    if share == SHARE_CHEAPEST:
        return _part_cheapest_first(scene, deal, total_minor, rooms, parts)
    if share == SHARE_EVEN:
        for n in range(count):
            weights[n] = 0
            if rooms[n]:
                weights[n] = _open_milli(deal, &scene.items[deal.items.items[n]])
    if remainder == REMAINDER_LARGEST:
        return _share_capped(&scene.scratch, total_minor, weights, rooms, count, parts)
    return _part_by_floors(
        scene, total_minor, weights, rooms, count, remainder == REMAINDER_LAST, parts
    )


cdef int _part_cheapest_first(
    Scene *scene, const Deal *deal, int64_t total_minor, const int64_t *rooms, int64_t *parts
) except -1:
    cdef Runs runs = _new_runs(scene, deal.items.count)
    cdef Py_ssize_t n, place
    for n in range(deal.items.count):
        _add_run(&runs, n, 0, 0, _price_rank(deal, &scene.items[deal.items.items[n]]))
    _sort_runs(&runs, False)
    for n in range(runs.count):
        place = runs.rows[n].item
        parts[place] = _least(total_minor, rooms[place])
        total_minor -= parts[place]
    return 0


cdef int _part_by_floors(
    Scene *scene,
    int64_t total_minor,
    const int64_t *weights,
    const int64_t *rooms,
    Py_ssize_t count,
    bint last,
    int64_t *parts,
) except -1:
    """Round every share down; what a full room cannot take goes to the others by weight."""
    cdef int64_t left = total_minor, whole, more
    cdef Py_ssize_t n, place
    cdef bint fits = False
    # A full room stands with its amount in `parts` and is marked by a weight of -1.
    cdef int64_t *open_weights = _int64s(&scene.scratch, count)
    memcpy(open_weights, weights, <size_t> count * sizeof(int64_t))
    while not fits:
        fits = True
        left, whole = total_minor, 0
        for n in range(count):
            if open_weights[n] < 0:
                left -= rooms[n]
            else:
                whole += open_weights[n]
        for n in range(count):
            if open_weights[n] >= 0:
                parts[n] = _scaled(left, open_weights[n], whole, DOWN) if whole else 0
        for n in range(count):
            if parts[n] > rooms[n]:
                fits = False
                parts[n] = rooms[n]
                open_weights[n] = NOBODY
    left = total_minor - _sum_of(parts, count)
    while left:
        for n in range(count):
            place = count - 1 - n if last else n
            more = _least(_least(left, rooms[place] - parts[place]), left if last else 1)
            parts[place] += more
            left -= more
    return 0
