"""A promotion at work: what it may work on, at what prices; runs of pieces; what it proposes."""

cdef inline bint _is_usable(const Promotion *promotion, const Item *item) noexcept:
    """Whether a promotion may lower an item."""
    return (
        item.discountable
        and (promotion.on_stickers or not item.sticker)
        and item.closed_by == NOBODY
        and (promotion.stackable or item.open_milli != 0)
        and _knows(promotion, item)
    )


cdef int _usable(
    Scene *scene, const Promotion *promotion, Range found, Range *usable
) except -1:
    """Those of some items that a promotion may lower."""
    cdef Py_ssize_t n
    usable.items = <Py_ssize_t *> _take(&scene.scratch, found.count, sizeof(Py_ssize_t))
    usable.count = 0
    for n in range(found.count):
        if _is_usable(promotion, &scene.items[found.items[n]]):
            usable.items[usable.count] = found.items[n]
            usable.count += 1
    return 0


cdef int _open_deal(Scene *scene, int64_t number, int64_t place, Deal *deal) except -1:
    """A price benefit of a promotion with what it may work on now."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef const Benefit *benefit = &scene.plan.benefits[promotion.benefits + place]
    cdef const int64_t *parts = scene.plan.pool + benefit.parts
    cdef Py_ssize_t n
    deal.promotion, deal.benefit = promotion, benefit
    deal.arguments = scene.plan.pool + benefit.arguments
    deal.number, deal.place = number, place
    deal.parts_count = 1 if benefit.code == GIFT else benefit.parts_count
    deal.parts = <Range *> _take(&scene.scratch, deal.parts_count, sizeof(Range))
    if benefit.code == GIFT:
        _usable(scene, promotion, scene.all_items, &deal.parts[0])
    else:
        for n in range(deal.parts_count):
            _usable(scene, promotion, _members_of(scene, parts[n]), &deal.parts[n])
    _usable(scene, promotion, _members_of(scene, promotion.target), &deal.items)
    deal.units_max = _units_max(scene, promotion)
    deal.times_max = promotion.times_max if promotion.times_max else UNLIMITED
    deal.repeats_max = 1
    if promotion.cost_asset != NOBODY and promotion.cost_each:
        deal.repeats_max = _least(deal.units_max, deal.times_max)
    return 0


cdef inline int64_t _count_max(const Deal *deal) noexcept:
    """How often a deal may fire and be paid for."""
    return _least(deal.times_max, deal.units_max)


cdef inline int64_t _open_milli(const Deal *deal, const Item *item) noexcept:
    """How much of an item it may work on."""
    return item.quantity_milli if deal.promotion.stackable else item.open_milli


cdef inline bint _by_open_price(const Deal *deal) noexcept:
    return not deal.promotion.stackable and deal.promotion.price_basis == OF_RUNNING


cdef inline int64_t _basis_minor(const Deal *deal, const Item *item) noexcept:
    if deal.promotion.price_basis == OF_AS_SENT:
        return item.sent_minor
    if deal.promotion.price_basis == OF_LANE_START:
        return item.start_minor
    return item.amount_minor if deal.promotion.stackable else item.open_minor


cdef int64_t _open_price(const Item *item, int64_t milli, int64_t skip_milli) except? -1:
    """Running price of some of the open pieces of an item, after others of them."""
    cdef int64_t upto
    if not item.open_milli:
        return 0
    if not skip_milli and milli == item.open_milli:
        return item.open_minor
    upto = _scaled(item.open_minor, skip_milli + milli, item.open_milli, DOWN)
    if not skip_milli:
        return upto
    return upto - _scaled(item.open_minor, skip_milli, item.open_milli, DOWN)


cdef int64_t _price(
    const Deal *deal, const Item *item, int64_t milli, int64_t skip_milli
) except? -1:
    """Price of some of the pieces that a deal may work on, after others of them."""
    cdef int64_t total_minor = _basis_minor(deal, item)
    cdef int64_t before, upto
    if milli == item.quantity_milli:
        return total_minor
    if _by_open_price(deal):
        return _open_price(item, milli, skip_milli)
    before = item.quantity_milli - _open_milli(deal, item) + skip_milli
    upto = _scaled(total_minor, before + milli, item.quantity_milli, DOWN)
    return upto - (_scaled(total_minor, before, item.quantity_milli, DOWN) if before else 0)


cdef int64_t _price_rank(const Deal *deal, const Item *item) except? -1:
    """Price of a unit, for comparing only."""
    cdef int64_t milli = item.open_milli if _by_open_price(deal) else item.quantity_milli
    return _scaled(_basis_minor(deal, item), MILLI * MILLI, milli, DOWN)


cdef inline int64_t _item_room(const Item *item) noexcept:
    """How much the floor still lets an item be lowered."""
    return _most(0, item.amount_minor - item.floor_minor)


cdef inline int64_t _room(const Item *item, int64_t price_minor) noexcept:
    """How much of a price the item's floor lets go."""
    return _least(price_minor, _item_room(item))


# --- runs -------------------------------------------------------------------------------------

cdef int _dearest_first(const void *left, const void *right) noexcept nogil:
    cdef const Run *a = <const Run *> left
    cdef const Run *b = <const Run *> right
    if a.rank != b.rank:
        return -1 if a.rank > b.rank else 1
    return _compare(a.skip, b.skip) if a.skip != b.skip else _compare(a.item, b.item)


cdef int _cheapest_first(const void *left, const void *right) noexcept nogil:
    cdef const Run *a = <const Run *> left
    cdef const Run *b = <const Run *> right
    if a.rank != b.rank:
        return -1 if a.rank < b.rank else 1
    return _compare(a.skip, b.skip) if a.skip != b.skip else _compare(a.item, b.item)


cdef void _sort_runs(Runs *runs, bint dearest_first) noexcept:
    """Sort by price, equal ones by `skip`, then in canonical order; often they stand so."""
    cdef Py_ssize_t n
    cdef int (*order)(const void *, const void *) noexcept nogil
    order = &_dearest_first if dearest_first else &_cheapest_first
    for n in range(1, runs.count):
        if order(&runs.rows[n - 1], &runs.rows[n]) > 0:
            qsort(runs.rows, <size_t> runs.count, sizeof(Run), order)
            return


cdef Runs _new_runs(Scene *scene, Py_ssize_t count) except *:
    cdef Runs runs
    runs.rows = <Run *> _take(&scene.scratch, count, sizeof(Run))
    runs.count = 0
    return runs


cdef inline void _add_run(
    Runs *runs, Py_ssize_t item, int64_t pieces, int64_t skip, int64_t rank
) noexcept:
    runs.rows[runs.count] = Run(item, pieces, skip, rank)
    runs.count += 1


cdef Runs _counted_runs(Scene *scene, const Deal *deal, Range items) except *:
    """Pieces of counted goods that cost something and may be worked on, dearest first."""
    cdef Runs runs = _new_runs(scene, items.count)
    cdef const Item *item
    cdef Py_ssize_t n
    cdef int64_t rank
    for n in range(items.count):
        item = &scene.items[items.items[n]]
        if not item.counted or _open_milli(deal, item) < MILLI:
            continue
        rank = _price_rank(deal, item)
        if rank:
            _add_run(&runs, items.items[n], _open_milli(deal, item) // MILLI, 0, rank)
    _sort_runs(&runs, True)
    return runs


cdef int64_t _count_of(const Runs *runs) noexcept:
    cdef int64_t pieces = 0
    cdef Py_ssize_t n
    for n in range(runs.count):
        pieces += runs.rows[n].pieces
    return pieces


cdef Runs _first(Scene *scene, const Runs *runs, int64_t count) except *:
    """The first `count` pieces."""
    cdef Runs taken = _new_runs(scene, runs.count)
    cdef const Run *run
    cdef int64_t part
    cdef Py_ssize_t n
    for n in range(runs.count):
        run = &runs.rows[n]
        part = _least(run.pieces, count)
        if part:
            _add_run(&taken, run.item, part, run.skip, run.rank)
        count -= part
        if not count:
            break
    return taken


cdef int64_t _worth(Scene *scene, const Deal *deal, const Runs *runs) except? -1:
    """What the pieces of some runs cost."""
    cdef int64_t total = 0
    cdef const Run *run
    cdef Py_ssize_t n
    for n in range(runs.count):
        run = &runs.rows[n]
        total += _price(deal, &scene.items[run.item], run.pieces * MILLI, run.skip * MILLI)
    return total


# --- groups of runs by article ----------------------------------------------------------------

cdef int _compare_by_article(const void *left, const void *right) noexcept nogil:
    """By article, kept in the order in which runs stand: `skip` holds their place meanwhile."""
    cdef const Run *a = <const Run *> left
    cdef const Run *b = <const Run *> right
    return _compare(a.skip, b.skip)


cdef Py_ssize_t *_part_by_article(
    Scene *scene, Runs *runs, bint per_article, Py_ssize_t *groups_count
) except NULL:
    """Bring runs together by article, in order of their skus; say where each group ends.

    Runs of one article keep their order. Without `per_article` all are one group.
    """
    cdef Py_ssize_t *ends = <Py_ssize_t *> _take(
        &scene.scratch, runs.count + 1, sizeof(Py_ssize_t)
    )
    cdef Py_ssize_t n
    cdef bint sorted_already = True
    groups_count[0] = 0
    if not runs.count:
        return ends
    if not per_article:
        groups_count[0] = 1
        ends[0] = runs.count
        return ends
    for n in range(1, runs.count):
        if scene.items[runs.rows[n].item].sku < scene.items[runs.rows[n - 1].item].sku:
            sorted_already = False
    if not sorted_already:
        _sort_by_article(scene, runs)
    for n in range(1, runs.count + 1):
        if n == runs.count or (
            scene.items[runs.rows[n].item].sku != scene.items[runs.rows[n - 1].item].sku
        ):
            ends[groups_count[0]] = n
            groups_count[0] += 1
    return ends


cdef void _sort_by_article(Scene *scene, Runs *runs) noexcept:
    """Stable, by the number of the article; whole runs only, so `skip` is free for the place."""
    cdef Py_ssize_t n
    for n in range(runs.count):
        runs.rows[n].skip = scene.items[runs.rows[n].item].sku * runs.count + n
    qsort(runs.rows, <size_t> runs.count, sizeof(Run), &_compare_by_article)
    for n in range(runs.count):
        runs.rows[n].skip = 0


# --- proposals --------------------------------------------------------------------------------

cdef int _propose_nothing(Proposal *proposal, int64_t condition, int64_t missing) noexcept:
    """Nothing, and why; offers that are there stay."""
    proposal.times = proposal.units = 0
    proposal.condition, proposal.missing = condition, missing
    proposal.capped = False
    proposal.taken_count = 0
    return 0


cdef int _propose_some(
    Proposal *proposal, int64_t times, int64_t units, bint capped
) noexcept:
    proposal.times, proposal.units, proposal.capped = times, units, capped
    return 0


cdef inline void _take_some(
    Proposal *proposal, Py_ssize_t item, int64_t milli, int64_t discount_minor
) noexcept:
    proposal.taken[proposal.taken_count] = Taken(item, milli, discount_minor)
    proposal.taken_count += 1


cdef int64_t _discount_of(const Proposal *proposal) noexcept:
    """Money off, minor units."""
    cdef int64_t total = 0
    cdef Py_ssize_t n
    for n in range(proposal.taken_count):
        total += proposal.taken[n].discount_minor
    return total


cdef int _share_discount(
    Scene *scene,
    int64_t total_minor,
    const Py_ssize_t *items,
    const int64_t *prices,
    Py_ssize_t count,
    int64_t *parts,
) except -1:
    """Share a discount in proportion to prices; what a floor holds back goes to the others."""
    cdef int64_t *rooms = _int64s(&scene.scratch, count)
    cdef Py_ssize_t n
    for n in range(count):
        rooms[n] = _room(&scene.items[items[n]], prices[n])
    total_minor = _least(total_minor, _sum_of(rooms, count))
    return _share_capped(&scene.scratch, total_minor, prices, rooms, count, parts)
