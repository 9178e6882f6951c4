"""What a promotion does: it lowers, claims, costs, gives; or why it does not."""

cdef int _lower(
    Scene *scene, Item *item, int64_t number, const Taken *taken, bint claims
) except -1:
    """Lower an item's amount; what it does not claim gets cheaper, too."""
    cdef Effect *effect
    cdef int64_t share_minor
    if not claims:
        share_minor = _scaled(
            taken.discount_minor, item.open_milli, item.quantity_milli, DOWN
        )
        item.open_minor -= _least(share_minor, item.open_minor)
    item.amount_minor -= taken.discount_minor
    scene.to_pay_minor -= taken.discount_minor
    if item.goods:
        scene.goods_minor -= taken.discount_minor
    assert item.amount_minor >= item.floor_minor, "an item went below its floor"
    scene.effects = <Effect *> _grown(
        &scene.kept, scene.effects, scene.effects_count, &scene.effects_size, sizeof(Effect)
    )
    effect = &scene.effects[scene.effects_count]
    effect.number, effect.discount_minor = number, taken.discount_minor
    effect.quantity_milli, effect.next_one = taken.quantity_milli, NOBODY
    if item.effects_last == NOBODY:
        item.effects_first = scene.effects_count
    else:
        scene.effects[item.effects_last].next_one = scene.effects_count
    item.effects_last = scene.effects_count
    item.effects_count += 1
    scene.effects_count += 1
    return 0


cdef int _claim(Item *item, int64_t number, int64_t milli) except -1:
    """Close pieces for the other promotions of the lane."""
    assert 0 <= milli <= item.open_milli, "more is claimed than is open"
    item.open_minor -= _open_price(item, milli, 0)
    item.open_milli -= milli
    item.claimed_by = number
    return 0


cdef int _apply(Scene *scene, int64_t number, const Proposal *proposal) except -1:
    """Lower prices, claim pieces, take the cost, remember the offers."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef const Taken *taken
    cdef Item *item
    cdef Py_ssize_t n
    for n in range(proposal.taken_count):
        taken = &proposal.taken[n]
        item = &scene.items[taken.item]
        if not promotion.stackable:
            _claim(item, number, taken.quantity_milli)
        if taken.discount_minor:
            _lower(scene, item, number, taken, not promotion.stackable)
            _add_given(scene, number, taken.discount_minor)
            if promotion.exclusive == EXCLUSIVE_ITEMS:
                item.closed_by = number
    _keep_offers(scene, proposal)
    if promotion.cost_asset != NOBODY and proposal.units:
        _spend(scene, number, promotion, proposal.units)
    return 0


cdef int _keep_offers(Scene *scene, const Proposal *proposal) except -1:
    """Remember those offers that the till can take up."""
    cdef Py_ssize_t n
    cdef const Offer *offer
    if not scene.header.can_add:
        return 0
    for n in range(proposal.offers_count):
        offer = &proposal.offers[n]
        if offer.amount_minor or scene.header.zero_price:
            scene.offers = <Offer *> _grown(
                &scene.kept, scene.offers, scene.offers_count, &scene.offers_size, sizeof(Offer)
            )
            scene.offers[scene.offers_count] = offer[0]
            scene.offers_count += 1
    return 0


cdef int _spend(
    Scene *scene, int64_t number, const Promotion *promotion, int64_t units
) except -1:
    """Take a promotion's cost."""
    cdef int64_t amount_minor = _product(promotion.cost_minor, units)
    scene.spends[scene.spends_count] = Notice(number, promotion.cost_asset, amount_minor)
    scene.spends_count += 1
    scene.balances[promotion.cost_asset] -= amount_minor
    return 0


cdef Entry _nothing_open(Scene *scene, int64_t number) except *:
    """Why there was nothing to lower: all was claimed before, or nothing may be lowered."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef const int64_t *sets = scene.plan.pool + promotion.sets
    cdef Range found
    cdef const Item *item
    cdef Py_ssize_t n, m
    cdef int64_t rival = NOBODY
    cdef bint touched = False
    for n in range(promotion.sets_count):
        found = _members_of(scene, sets[n])
        for m in range(found.count):
            item = &scene.items[found.items[m]]
            if not _knows(promotion, item):
                continue
            touched = True
            if item.discountable and (promotion.on_stickers or not item.sticker):
                rival = _most(rival, _most(item.claimed_by, item.closed_by))
    if not touched:
        return Entry(number, FAILED, 0, NOBODY, IF_PRODUCTS, 0)
    if rival == NOBODY:
        return Entry(number, FAILED, 0, NOBODY, IF_FLOOR, 0)
    return Entry(number, LOST, 0, rival, NO_CONDITION, 0)


cdef bint _works_on(Scene *scene, const Promotion *promotion) noexcept:
    """Whether there is anything that a promotion's price benefits may lower."""
    cdef const int64_t *sets = scene.plan.pool + promotion.sets
    cdef Range found
    cdef Py_ssize_t n, m
    for n in range(promotion.sets_count):
        found = _members_of(scene, sets[n])
        for m in range(found.count):
            if _is_usable(promotion, &scene.items[found.items[m]]):
                return True
    return False


cdef Entry _take_effect(Scene *scene, int64_t number) except *:
    """Let a promotion do what it can; say what became of it."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef Proposal proposal
    cdef Shares shares
    cdef int64_t outcome
    if not promotion.prices_count:
        return _only_reward(scene, number, promotion)
    if not _works_on(scene, promotion):
        return _nothing_open(scene, number)
    if _is_put(scene, &scene.withheld[number]):
        return Entry(number, FAILED, 0, NOBODY, IF_FLOOR, 0)
    _propose(scene, number, &proposal)
    if not proposal.times:
        _keep_offers(scene, &proposal)
        outcome = LIMIT_REACHED if proposal.condition == IF_BUDGET else FAILED
        return Entry(number, outcome, 0, NOBODY, proposal.condition, proposal.missing)
    _apply(scene, number, &proposal)
    if promotion.benefits_count > promotion.prices_count:
        shares = _shares_of(scene, promotion, proposal.taken, proposal.taken_count)
        _reward(scene, number, &shares)
    outcome = LIMIT_REACHED if proposal.capped else FIRED
    return Entry(number, outcome, proposal.times, NOBODY, NO_CONDITION, 0)


cdef Entry _only_reward(Scene *scene, int64_t number, const Promotion *promotion) except *:
    """Let a promotion give that lowers nothing; before the reward lane it claims what it uses."""
    cdef Range found = _members_of(scene, promotion.target)
    cdef bint touched = False, is_open = False
    cdef bint claims = scene.lane != LANE_REWARD and not promotion.stackable
    cdef Shares shares
    cdef Entry entry
    cdef Py_ssize_t n
    for n in range(found.count):
        if _knows(promotion, &scene.items[found.items[n]]):
            touched = True
            is_open = is_open or scene.items[found.items[n]].open_milli != 0
    if not touched:
        return Entry(number, FAILED, 0, NOBODY, IF_PRODUCTS, 0)
    if claims and not is_open:
        return _nothing_open(scene, number)
    shares = _shares_of(scene, promotion, NULL, 0)
    entry = _reward(scene, number, &shares)
    if entry.times:
        if promotion.cost_asset != NOBODY:
            _spend(scene, number, promotion, 1)
        if claims:
            for n in range(shares.count):
                _claim(
                    &scene.items[shares.rows[n].item], number, shares.rows[n].quantity_milli
                )
    return entry
