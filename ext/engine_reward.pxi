"""What a promotion gives besides prices: points, discounts to come, coupons, prizes, messages."""

cdef inline bint _earns_for(const Promotion *promotion, const Item *item) noexcept:
    """Whether a promotion gives rewards on an item."""
    return item.earns and (promotion.on_stickers or not item.sticker)


cdef Shares _shares_of(
    Scene *scene, const Promotion *promotion, const Taken *taken, Py_ssize_t taken_count
) except *:
    """What rewards are given on: what was taken, or what is still there to take."""
    cdef Range found = _members_of(scene, promotion.target)
    cdef Shares shares
    cdef const Item *item
    cdef uint64_t mark
    cdef Py_ssize_t n
    cdef int64_t milli
    shares.rows = <Share *> _take(
        &scene.scratch, _most(found.count, taken_count), sizeof(Share)
    )
    shares.count = 0
    if taken_count and not promotion.stackable:
        mark = _next_mark(scene)
        for n in range(found.count):
            scene.items[found.items[n]].mark = mark
        for n in range(taken_count):
            item = &scene.items[taken[n].item]
            if item.mark == mark and _earns_for(promotion, item):
                shares.rows[shares.count] = Share(taken[n].item, taken[n].quantity_milli)
                shares.count += 1
        return shares
    for n in range(found.count):
        item = &scene.items[found.items[n]]
        milli = item.quantity_milli
        if not promotion.stackable and scene.lane != LANE_REWARD:
            milli = item.open_milli
        if milli and _knows(promotion, item) and _earns_for(promotion, item):
            shares.rows[shares.count] = Share(found.items[n], milli)
            shares.count += 1
    return shares


cdef bint _is_paid(const Scene *scene, const Shares *shares) noexcept:
    """Whether anything of what a reward is given on is paid for."""
    cdef Py_ssize_t n
    for n in range(shares.count):
        if scene.items[shares.rows[n].item].amount_minor:
            return True
    return False


cdef int64_t _share_minor(const Scene *scene, const Share *share, bint as_sent) except? -1:
    """What one share amounts to."""
    cdef const Item *item = &scene.items[share.item]
    cdef int64_t amount_minor = item.sent_minor if as_sent else item.amount_minor
    if share.quantity_milli == item.quantity_milli:
        return amount_minor
    return _scaled(amount_minor, share.quantity_milli, item.quantity_milli, DOWN)


cdef int64_t _earning_minor(Scene *scene, const Shares *shares, bint as_sent) except? -1:
    """What earns: what is paid for the shares now, without the part paid with points."""
    cdef int64_t total = 0, by_points_minor = scene.header.by_points_minor, to_pay_minor
    cdef Py_ssize_t n
    for n in range(shares.count):
        total += _share_minor(scene, &shares.rows[n], as_sent)
    if not by_points_minor:
        return total
    to_pay_minor = _most(scene.to_pay_minor, by_points_minor)
    return _scaled(total, to_pay_minor - by_points_minor, to_pay_minor, DOWN)


cdef int64_t _times_fixed(
    const Scene *scene, const Shares *shares, int64_t for_each_count
) except? -1:
    """How often a fixed number is given: once, or for every so many pieces."""
    cdef int64_t milli = 0
    cdef Py_ssize_t n
    if not for_each_count:
        return 1
    for n in range(shares.count):
        if scene.items[shares.rows[n].item].counted:
            milli += shares.rows[n].quantity_milli
    return milli // (for_each_count * MILLI)


cdef int64_t _multiplied(
    Scene *scene, const Benefit *benefit, const int64_t *given, const Shares *shares
) except? -1:
    """What comes on top of earlier grants of the asset for the part earned on these items."""
    cdef int64_t extra = 0, whole, part, result
    cdef const Grant *grant
    cdef uint64_t mark = _next_mark(scene)
    cdef Py_ssize_t n, m
    cdef int reason
    for n in range(shares.count):
        scene.items[shares.rows[n].item].mark = mark
    for n in range(scene.grants_count):
        grant = &scene.grants[n]
        if grant.asset != benefit.asset:
            continue
        whole = part = 0
        for m in range(grant.bases_count):
            whole += grant.bases[m].amount_minor
            if scene.items[grant.bases[m].item].mark == mark:
                part += grant.bases[m].amount_minor
        if not whole:
            continue
        result = 0
        reason = loyalty_scale_twice(
            grant.amount_minor, part, given[0] - RATE_ONE, whole, RATE_ONE, <int> given[1], &result
        )
        extra += _at_most(REWARD_MINOR_MAX, reason, result)
    return _least(extra, REWARD_MINOR_MAX)


cdef int64_t _amount_of(
    Scene *scene, const Benefit *benefit, const Shares *shares
) except? -1:
    """How much a reward comes to, at most the largest: minor units, or how many."""
    cdef const int64_t *given = scene.plan.pool + benefit.arguments
    cdef int64_t code = benefit.code, earning, most = REWARD_MINOR_MAX
    if code == POINTS_RATE:
        # rate, rounding, as_sent, step
        earning = _earning_minor(scene, shares, <bint> given[2])
        if given[3]:
            earning -= earning % given[3]
        return _scaled_to(most, earning, given[0], RATE_ONE, <int> given[1])
    if code == POINTS_FIXED:
        # amount, for_each_count, for_each_minor
        if given[2]:
            return _product_to(most, given[0], _earning_minor(scene, shares, False) // given[2])
        return _product_to(most, given[0], _times_fixed(scene, shares, given[1]))
    if code == POINTS_MULTIPLIER:
        return _multiplied(scene, benefit, given, shares)
    if code == DEFERRED_DISCOUNT or code == MONEY_TRANSFER:
        # amount, rate
        earning = _earning_minor(scene, shares, False)
        if not earning or given[0]:
            return given[0] if earning else 0
        return _scaled_to(most, earning, given[1], RATE_ONE, DOWN)
    if code == DRAW_ENTRIES:
        earning = _earning_minor(scene, shares, False)
        if not earning:
            return 0
        return _product_to(most, given[0], earning // given[1] if given[1] else 1)
    return 1 if code == STATUS else given[0]


cdef int64_t _value_of(
    const Scene *scene, const Benefit *benefit, int64_t amount_minor
) except? -1:
    """What a reward is worth, minor units of money."""
    cdef int64_t code = benefit.code, value_micros
    if code == POINTS_RATE or code == POINTS_FIXED or code == POINTS_MULTIPLIER:
        value_micros = scene.plan.assets[benefit.asset].value_micros
        if value_micros >= 0:
            return _scaled_to(REWARD_MINOR_MAX, amount_minor, value_micros, MICROS, DOWN)
        return amount_minor
    if code == DEFERRED_DISCOUNT or code == GIFT_CERTIFICATE or code == MONEY_TRANSFER:
        return amount_minor
    return 0


cdef int64_t _rewards_worth(
    Scene *scene, const Promotion *promotion, const Shares *shares
) except? -1:
    """What a promotion's rewards would be worth now, minor units of money."""
    cdef const Benefit *benefit
    cdef int64_t worth = 0
    cdef Py_ssize_t place
    if not _is_paid(scene, shares):
        return 0
    for place in range(promotion.prices_count, promotion.benefits_count):
        benefit = &scene.plan.benefits[promotion.benefits + place]
        if benefit.code == MESSAGE or (benefit.needs_customer and not scene.header.earns):
            continue
        worth += _value_of(scene, benefit, _amount_of(scene, benefit, shares))
    return worth


# --- who has earned on what -------------------------------------------------------------------

cdef inline bint _claims_asset(
    const Scene *scene, const Promotion *promotion, const Benefit *benefit
) noexcept:
    """Whether only one promotion earns this on an item."""
    return (
        scene.lane == LANE_REWARD
        and not promotion.stackable
        and benefit.code != POINTS_MULTIPLIER
        and benefit.asset != NOBODY
    )


cdef Shares _unclaimed(
    Scene *scene, const Promotion *promotion, const Benefit *benefit, const Shares *shares,
    int64_t *lost_to
) except *:
    """The shares on which nobody has earned the asset yet, and who did if none is left."""
    cdef Shares free
    cdef const int32_t *owners
    cdef Py_ssize_t n
    cdef int64_t rival = NOBODY
    lost_to[0] = NOBODY
    if not _claims_asset(scene, promotion, benefit) or scene.owners[benefit.asset] == NULL:
        return shares[0]
    owners = scene.owners[benefit.asset]
    free.rows = <Share *> _take(&scene.scratch, shares.count, sizeof(Share))
    free.count = 0
    for n in range(shares.count):
        if owners[shares.rows[n].item] == NOBODY:
            free.rows[free.count] = shares.rows[n]
            free.count += 1
        else:
            rival = _most(rival, owners[shares.rows[n].item])
    if not _is_paid(scene, &free):
        lost_to[0] = rival
    return free


cdef int _claim_asset(
    Scene *scene, int64_t asset, const Shares *shares, int64_t number
) except -1:
    cdef Py_ssize_t n
    if scene.owners[asset] == NULL:
        scene.owners[asset] = <int32_t *> _take(
            &scene.kept, scene.items_count, sizeof(int32_t)
        )
        for n in range(scene.items_count):
            scene.owners[asset][n] = NOBODY
    for n in range(shares.count):
        scene.owners[asset][shares.rows[n].item] = <int32_t> number
    return 0


# --- grants -----------------------------------------------------------------------------------

cdef int _cut_to_budget(Scene *scene, const Promotion *promotion, Grant *grant) except -1:
    """Cut a grant down to what is left of the promotion's budget in money."""
    cdef int64_t left_minor
    if not promotion.bounds_money:
        return 0
    left_minor = _quota(scene, grant.number).total_minor
    if left_minor < 0:
        return 0
    left_minor = _most(0, left_minor - _given(scene, grant.number))
    if grant.value_minor <= left_minor:
        return 0
    if promotion.refuses:
        grant.amount_minor = 0
    else:
        grant.amount_minor = _scaled(grant.amount_minor, left_minor, grant.value_minor, DOWN)
    grant.value_minor = left_minor if grant.amount_minor else 0
    return 0


cdef int _note_bases(Scene *scene, const Shares *shares, Grant *grant) except -1:
    """Remember on what an asset was earned, if another promotion may multiply it."""
    cdef Py_ssize_t n
    grant.bases, grant.bases_count = NULL, 0
    if grant.asset == NOBODY or not scene.plan.assets[grant.asset].is_multiplied:
        return 0
    grant.bases = <Basis *> _take(&scene.kept, shares.count, sizeof(Basis))
    grant.bases_count = shares.count
    for n in range(shares.count):
        grant.bases[n].item = shares.rows[n].item
        grant.bases[n].amount_minor = _share_minor(scene, &shares.rows[n], False)
    return 0


cdef int _give(
    Scene *scene, int64_t number, int64_t place, const Benefit *benefit, const Shares *shares
) except -1:
    """Give a reward: 1 if it was, 0 if it comes to nothing, 2 if the budget leaves nothing."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef Grant grant
    if not _is_paid(scene, shares):
        return 0
    grant.number, grant.place, grant.asset = number, place, benefit.asset
    grant.amount_minor = _amount_of(scene, benefit, shares)
    if not grant.amount_minor:
        return 0
    grant.value_minor = _value_of(scene, benefit, grant.amount_minor)
    _cut_to_budget(scene, promotion, &grant)
    if not grant.amount_minor:
        return 2
    _note_bases(scene, shares, &grant)
    scene.grants = <Grant *> _grown(
        &scene.kept, scene.grants, scene.grants_count, &scene.grants_size, sizeof(Grant)
    )
    scene.grants[scene.grants_count] = grant
    scene.grants_count += 1
    if benefit.asset != NOBODY:
        scene.earned_minor[benefit.asset] += grant.amount_minor
    _add_given(scene, number, grant.value_minor)
    if _claims_asset(scene, promotion, benefit):
        _claim_asset(scene, benefit.asset, shares, number)
    return 1


cdef int _add_message(Scene *scene, int64_t number, int64_t place) except -1:
    scene.messages = <Notice *> _grown(
        &scene.kept, scene.messages, scene.messages_count, &scene.messages_size, sizeof(Notice)
    )
    scene.messages[scene.messages_count] = Notice(number, place, 0)
    scene.messages_count += 1
    return 0


cdef Entry _reward(Scene *scene, int64_t number, const Shares *shares) except *:
    """Give a promotion's rewards on some items; say whether there was anything to give."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef const Benefit *benefit
    cdef Shares free
    cdef int64_t nothing = IF_NOTHING_EARNS, rival = NOBODY, lost_to = NOBODY
    cdef Py_ssize_t place
    cdef int given = 0, one
    for place in range(promotion.prices_count, promotion.benefits_count):
        benefit = &scene.plan.benefits[promotion.benefits + place]
        if benefit.code == MESSAGE:
            _add_message(scene, number, place)
            given += 1
        elif benefit.needs_customer and not scene.header.earns:
            nothing = IF_CUSTOMER
        else:
            free = _unclaimed(scene, promotion, benefit, shares, &lost_to)
            rival = _most(rival, lost_to)
            one = _give(scene, number, place, benefit, &free)
            if one == 2:
                nothing = IF_BUDGET
            else:
                given += one
    if given:
        return Entry(number, FIRED, 1, NOBODY, NO_CONDITION, 0)
    if rival != NOBODY:
        return Entry(number, LOST, 0, rival, NO_CONDITION, 0)
    if nothing == IF_BUDGET:
        return Entry(number, LIMIT_REACHED, 0, NOBODY, nothing, 0)
    return Entry(number, FAILED, 0, NOBODY, nothing, 0)
