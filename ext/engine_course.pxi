"""The course: promotions run one after another through the lanes, propose, apply and claim."""

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
    if promotion.has_quota and promotion.total_minor:
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


# --- taking effect ----------------------------------------------------------------------------

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


# --- groups -----------------------------------------------------------------------------------

cdef struct Member:
    int64_t rank
    int64_t number


cdef int _compare_members(const void *left, const void *right) noexcept nogil:
    cdef const Member *a = <const Member *> left
    cdef const Member *b = <const Member *> right
    if a.rank != b.rank:
        return -1 if a.rank > b.rank else 1
    return _compare(a.number, b.number)


cdef int64_t _coupon_place(const Scene *scene, const Promotion *promotion) noexcept:
    """When the last of a promotion's coupons was shown; -1 if none was."""
    cdef const int64_t *gate = scene.plan.pool + promotion.token_gates
    cdef const Slot *slot
    cdef int64_t place = NOBODY
    cdef Py_ssize_t n, m
    for n in range(promotion.token_gates_count):
        if gate[0] == IF_COUPON:
            for m in range(gate[2]):
                slot = &scene.tokens[gate[3 + m]]
                if _is_put(scene, slot):
                    place = _most(place, slot.value)
        gate += 3 + gate[2]
    return place


cdef int64_t _worth_of(Scene *scene, int64_t number) except? -1:
    """What a promotion would be worth to the customer by itself, now."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef Proposal proposal
    cdef Shares shares
    cdef int64_t discount_minor, worth
    cdef Py_ssize_t n
    if not promotion.prices_count:
        shares = _shares_of(scene, promotion, NULL, 0)
        return _rewards_worth(scene, promotion, &shares)
    _propose(scene, number, &proposal)
    if not proposal.times:
        return 0
    discount_minor = _discount_of(&proposal)
    for n in range(proposal.taken_count):
        scene.items[proposal.taken[n].item].amount_minor -= proposal.taken[n].discount_minor
    scene.to_pay_minor -= discount_minor
    shares = _shares_of(scene, promotion, proposal.taken, proposal.taken_count)
    worth = _rewards_worth(scene, promotion, &shares)
    for n in range(proposal.taken_count):
        scene.items[proposal.taken[n].item].amount_minor += proposal.taken[n].discount_minor
    scene.to_pay_minor += discount_minor
    return discount_minor + worth


cdef Py_ssize_t _fit_members(Scene *scene, int64_t group, Member *members) except -1:
    """List the members of a group that run in this lane, have not run and may, best first."""
    cdef int64_t number
    cdef Py_ssize_t n, count = 0
    cdef Entry unfit
    for n in range(scene.lane_start, scene.lane_end):
        number = scene.candidates[n]
        if scene.plan.promotions[number].group != group:
            continue
        if _is_put(scene, &scene.traced[number]) or _is_unfit(scene, number, &unfit):
            continue
        _rewind(&scene.scratch)
        members[count].number = number
        if scene.plan.chooses[group] == CHOOSE_BEST:
            members[count].rank = _worth_of(scene, number)
        else:
            members[count].rank = _coupon_place(scene, &scene.plan.promotions[number])
        count += 1
    qsort(members, <size_t> count, sizeof(Member), &_compare_members)
    return count


cdef int _decide(Scene *scene, const Entry *entry) except -1:
    """Keep what became of a member of a group until its own place comes."""
    scene.decisions = <Entry *> _grown(
        &scene.kept, scene.decisions, scene.decisions_count, &scene.decisions_size, sizeof(Entry)
    )
    _put(scene, &scene.decided[entry.number], scene.decisions_count)
    scene.decisions[scene.decisions_count] = entry[0]
    scene.decisions_count += 1
    return 0


cdef Entry _run_member(Scene *scene, int64_t group, int64_t number) except *:
    """Let a member take effect; if it does, it is the one of its group."""
    cdef Entry entry = _take_effect(scene, number)
    if entry.times:
        _put(scene, &scene.winners[group], number)
        if scene.lane == LANE_EXCLUSIVE:
            scene.exclusive_by = number
    return entry


cdef Entry _run_group(Scene *scene, int64_t group, int64_t asked) except *:
    """Let the first member of a group take effect that can, the chosen one before others.

    Where the first one is chosen the others run at their own places: it is the one that runs now.
    """
    cdef Slot *winner = &scene.winners[group]
    cdef Member *members
    cdef Py_ssize_t n, count
    cdef Entry entry
    if scene.plan.chooses[group] == CHOOSE_FIRST:
        return _run_member(scene, group, asked)
    members = <Member *> _take(
        &scene.kept, scene.lane_end - scene.lane_start, sizeof(Member)
    )
    count = _fit_members(scene, group, members)
    for n in range(count):
        _rewind(&scene.scratch)
        if _is_put(scene, winner):
            entry = Entry(members[n].number, LOST, 0, winner.value, NO_CONDITION, 0)
        else:
            entry = _run_member(scene, group, members[n].number)
        _decide(scene, &entry)
    return scene.decisions[scene.decided[asked].value]


cdef bint _is_beaten(Scene *scene, int64_t number, Entry *entry) noexcept:
    """Whether another promotion has taken effect in a promotion's stead."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    if scene.exclusive_by != NOBODY and promotion.lane != LANE_REWARD:
        entry[0] = Entry(number, LOST, 0, scene.exclusive_by, NO_CONDITION, 0)
        return True
    if promotion.group != NOBODY and _is_put(scene, &scene.winners[promotion.group]):
        entry[0] = Entry(
            number, LOST, 0, scene.winners[promotion.group].value, NO_CONDITION, 0
        )
        return True
    return False


# --- lanes ------------------------------------------------------------------------------------

cdef int _trace(Scene *scene, Entry entry) except -1:
    scene.trace[scene.trace_count] = entry
    scene.trace_count += 1
    _put(scene, &scene.traced[entry.number], 0)
    return 0


cdef int _run(Scene *scene, int64_t number) except -1:
    """Let a promotion take effect if it may, and trace what became of it."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef Entry entry
    _rewind(&scene.scratch)
    if _is_put(scene, &scene.decided[number]):
        entry = scene.decisions[scene.decided[number].value]
    elif not _is_unfit(scene, number, &entry) and not _is_beaten(scene, number, &entry):
        if promotion.group == NOBODY:
            entry = _take_effect(scene, number)
        else:
            entry = _run_group(scene, promotion.group, number)
    _trace(scene, entry)
    if entry.times and promotion.lane == LANE_EXCLUSIVE:
        scene.exclusive_by = number
    return 0


cdef void _enter_lane(Scene *scene, int64_t lane) noexcept:
    """Open all pieces for the claims of a lane, at the price they have now."""
    cdef Py_ssize_t n
    cdef Item *item
    scene.lane = lane
    scene.goods_start_minor = scene.goods_minor = scene.to_pay_minor = 0
    for n in range(scene.items_count):
        item = &scene.items[n]
        item.start_minor = item.open_minor = item.amount_minor
        item.open_milli = item.quantity_milli
        item.claimed_by = NOBODY
        scene.to_pay_minor += item.amount_minor
        if item.goods:
            scene.goods_minor += item.amount_minor
    scene.goods_start_minor = scene.goods_minor
    scene.lane_start = scene.lane_end
    while scene.lane_end < scene.candidates_count:
        if scene.plan.promotions[scene.candidates[scene.lane_end]].lane != lane:
            break
        scene.lane_end += 1
