"""What a promotion proposes: its price benefits together, cut down to its limits in money."""

cdef int _propose_one(Scene *scene, int64_t number, int64_t place, Proposal *proposal) except -1:
    """What one price benefit of a promotion would do now."""
    cdef Deal deal
    cdef Py_ssize_t n, found = 0
    cdef int64_t code
    memset(proposal, 0, sizeof(Proposal))
    _open_deal(scene, number, place, &deal)
    code = deal.benefit.code
    if code == BUNDLE_PRICE or code == BUY_GET:
        for n in range(deal.parts_count):
            found += deal.parts[n].count
    else:
        found = deal.items.count
    if not found:
        return _propose_nothing(proposal, IF_FLOOR, 0)
    _work_out(scene, &deal, code, proposal)
    if proposal.times and code != GIFT and not _discount_of(proposal):
        _propose_nothing(proposal, IF_FLOOR, 0)
    return 0


cdef int _work_out(Scene *scene, const Deal *deal, int64_t code, Proposal *proposal) except -1:
    if code == PERCENT_OFF:
        return _percent_off(scene, deal, proposal)
    if code == AMOUNT_OFF:
        return _amount_off(scene, deal, proposal)
    if code == FIXED_PRICE:
        return _fixed_price(scene, deal, proposal)
    if code == PRICE_LIST:
        return _price_list(scene, deal, proposal)
    if code == QUANTITY_TIERS:
        return _quantity_tiers(scene, deal, proposal)
    if code == N_PLUS_M:
        return _n_plus_m(scene, deal, proposal)
    if code == NTH_ITEM or code == CHEAPEST_FREE:
        return _of_sets(scene, deal, proposal)
    if code == BUY_GET:
        return _buy_get(scene, deal, proposal)
    if code == BUNDLE_PRICE:
        return _bundle_price(scene, deal, proposal)
    if code == RECEIPT_DISCOUNT:
        return _receipt_discount(scene, deal, proposal)
    return _gift(scene, deal, proposal)


cdef int _propose(Scene *scene, int64_t number, Proposal *proposal) except -1:
    """What all price benefits of a promotion would do now."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef Proposal *proposals
    cdef Py_ssize_t place
    if promotion.prices_count == 1:
        _propose_one(scene, number, 0, proposal)
    else:
        proposals = <Proposal *> _take(
            &scene.scratch, promotion.prices_count, sizeof(Proposal)
        )
        for place in range(promotion.prices_count):
            _propose_one(scene, number, place, &proposals[place])
        _put_together(scene, proposals, promotion.prices_count, proposal)
    return _cut_to_limits(scene, number, promotion, proposal)


cdef int _put_together(
    Scene *scene, const Proposal *proposals, Py_ssize_t count, Proposal *whole
) except -1:
    """Several benefits of one promotion at once: discounts of an item add up to its room."""
    cdef Py_ssize_t n, taken = 0, offers = 0
    cdef const Proposal *one
    memset(whole, 0, sizeof(Proposal))
    for n in range(count):
        taken += proposals[n].taken_count
        offers += proposals[n].offers_count
    whole.taken = <Taken *> _take(&scene.scratch, taken, sizeof(Taken))
    whole.offers = <Offer *> _take(&scene.scratch, offers, sizeof(Offer))
    for n in range(count):
        one = &proposals[n]
        if one.offers_count:
            memcpy(
                whole.offers + whole.offers_count,
                one.offers,
                <size_t> one.offers_count * sizeof(Offer),
            )
        whole.offers_count += one.offers_count
        whole.times = _most(whole.times, one.times)
        whole.units = _most(whole.units, one.units)
        if one.times:
            whole.capped = whole.capped or one.capped
    if not whole.times:
        return _propose_nothing(whole, proposals[0].condition, proposals[0].missing)
    _merge_taken(scene, proposals, count, whole)
    return 0


cdef void _merge_taken(
    Scene *scene, const Proposal *proposals, Py_ssize_t count, Proposal *whole
) noexcept:
    cdef uint64_t mark = _next_mark(scene)
    cdef const Taken *taken
    cdef Taken *own
    cdef Item *item
    cdef Py_ssize_t n, m
    for n in range(count):
        for m in range(proposals[n].taken_count):
            taken = &proposals[n].taken[m]
            item = &scene.items[taken.item]
            if item.mark != mark:
                item.mark = mark
                item.mark_place = whole.taken_count
                _take_some(whole, taken.item, 0, 0)
            own = &whole.taken[item.mark_place]
            own.discount_minor = _least(
                _item_room(item), own.discount_minor + taken.discount_minor
            )
            own.quantity_milli = _most(own.quantity_milli, taken.quantity_milli)


cdef int _cut_to_limits(
    Scene *scene, int64_t number, const Promotion *promotion, Proposal *proposal
) except -1:
    """Cut what a proposal takes off down to the promotion's limits in money."""
    cdef int64_t discount_minor = _discount_of(proposal)
    cdef int64_t cap_minor = UNLIMITED, left_minor
    if promotion.discount_max_minor:
        cap_minor = promotion.discount_max_minor
    if promotion.bounds_money:
        left_minor = _quota(scene, number).total_minor
        if left_minor >= 0:
            if left_minor < discount_minor and promotion.refuses:
                proposal.offers_count = 0
                return _propose_nothing(proposal, IF_BUDGET, 0)
            cap_minor = _least(cap_minor, left_minor)
    if discount_minor <= cap_minor:
        return 0
    return _cut_down(scene, proposal, discount_minor, cap_minor)


cdef int _cut_down(
    Scene *scene, Proposal *proposal, int64_t discount_minor, int64_t cap_minor
) except -1:
    """Cut a proposal down to a cap; its cost is due in proportion, rounded up."""
    cdef Py_ssize_t n, kept = 0, count = proposal.taken_count
    cdef int64_t *discounts = _int64s(&scene.scratch, count)
    cdef int64_t *parts = _int64s(&scene.scratch, count)
    for n in range(count):
        discounts[n] = proposal.taken[n].discount_minor
    _share_capped(&scene.scratch, cap_minor, discounts, discounts, count, parts)
    for n in range(count):
        if parts[n] or not discounts[n]:
            proposal.taken[kept] = proposal.taken[n]
            proposal.taken[kept].discount_minor = parts[n]
            kept += 1
    proposal.taken_count = kept
    proposal.units = _scaled(proposal.units, cap_minor, discount_minor, UP)
    proposal.condition, proposal.missing = NO_CONDITION, 0
    proposal.capped = True
    return 0
