"""Whether a promotion may fire: its gates, its cost, its limits over many receipts."""

cdef struct Failure:
    int64_t condition
    int64_t missing


cdef inline bint _fails(Failure *failure, int64_t condition, int64_t missing) noexcept:
    failure.condition = condition
    failure.missing = missing
    return True


cdef bint _number_fails(Scene *scene, const NumberGate *gate, Failure *failure) except -1:
    """Whether a gate on a number fails, and how much more it would take."""
    cdef const Slot *slot = &scene.numbers[gate.slot]
    cdef int64_t value = 0
    cdef bint counts
    if _is_put(scene, slot):
        value = slot.value
    elif gate.slot < FACT_NUMBERS or not scene.header.is_known:
        if gate.absent_fits and scene.header.is_known:
            return False
        return _fails(failure, gate.condition, 0)
    value -= gate.offset
    if gate.modulo:
        value = value % gate.modulo
    if gate.low <= value <= gate.high:
        return False
    counts = not gate.modulo and gate.condition != IF_PERIOD
    return _fails(failure, gate.condition, _most(0, gate.low - value) if counts else 0)


cdef bint _has_token(const Scene *scene, const int64_t *tokens, int64_t count) noexcept:
    cdef Py_ssize_t n
    for n in range(count):
        if _is_put(scene, &scene.tokens[tokens[n]]):
            return True
    return False


cdef bint _tokens_fail(Scene *scene, const Promotion *promotion, Failure *failure) noexcept:
    """Whether a gate on tokens fails."""
    cdef const int64_t *gate = scene.plan.pool + promotion.token_gates
    cdef Py_ssize_t n
    for n in range(promotion.token_gates_count):
        # A gate is condition, none_of, count and its tokens.
        if _has_token(scene, gate + 3, gate[2]) == <bint> gate[1]:
            return _fails(failure, gate[0], 0)
        gate += 3 + gate[2]
    return False


cdef inline bint _knows(const Promotion *promotion, const Item *item) noexcept:
    """Whether an item exists for a promotion: those of some classes do not for coupons."""
    return not (promotion.uses_coupon and item.no_coupon)


cdef inline int64_t _amount_by(const Item *item, int64_t basis) noexcept:
    if basis == OF_AS_SENT:
        return item.sent_minor
    return item.start_minor if basis == OF_LANE_START else item.amount_minor


cdef int64_t _goods_minor(
    Scene *scene, const Promotion *promotion, int64_t basis
) except? -1:
    """What the receipt's goods come to."""
    cdef int64_t total = 0
    cdef Py_ssize_t n
    cdef const Item *item
    if promotion.uses_coupon and scene.has_no_coupon:
        for n in range(scene.items_count):
            item = &scene.items[n]
            if item.goods and not item.no_coupon:
                total += _amount_by(item, basis)
        return total
    if basis == OF_AS_SENT:
        return scene.goods_sent_minor
    return scene.goods_start_minor if basis == OF_LANE_START else scene.goods_minor


cdef bint _amount_fails(
    Scene *scene, const Promotion *promotion, const BasketGate *gate, Failure *failure
) except -1:
    """Whether the receipt's goods come to too little or too much."""
    cdef int64_t low = gate.amount_low
    cdef int64_t amount_minor
    if gate.own_offer != NOBODY:
        if not _is_put(scene, &scene.own_offers[gate.own_offer]):
            return _fails(failure, IF_OWN_OFFER, 0)
        low += scene.own_offers[gate.own_offer].value
    amount_minor = _goods_minor(scene, promotion, gate.amount_basis)
    if low <= amount_minor <= gate.amount_high:
        return False
    return _fails(failure, IF_RECEIPT_AMOUNT, _most(0, low - amount_minor))


cdef bint _products_fail(
    Scene *scene, const Promotion *promotion, const BasketGate *gate, Failure *failure
) except -1:
    """Whether the receipt holds too little or too much of a set."""
    cdef Range found = _members_of(scene, gate.set_number)
    cdef int64_t quantity = 0, own = 0, most = 0, articles = 0, amount_minor = 0, sku = NOBODY
    cdef const Item *item
    cdef Py_ssize_t n
    for n in range(found.count):
        item = &scene.items[found.items[n]]
        if not _knows(promotion, item):
            continue
        if item.sku != sku:
            # Items of one article stand side by side.
            sku = item.sku
            own = 0
            articles += 1
        own += item.quantity_milli
        most = _most(most, own)
        quantity += item.quantity_milli
        amount_minor += _amount_by(item, gate.amount_basis)
    if gate.none:
        return _fails(failure, IF_EXCLUDED_PRODUCTS, 0) if articles else False
    if quantity < gate.quantity_low or quantity > gate.quantity_high:
        return _fails(failure, IF_PRODUCTS, _most(0, gate.quantity_low - quantity))
    if most < gate.line_quantity_low:
        return _fails(failure, IF_PRODUCTS, gate.line_quantity_low - most)
    if articles < gate.articles_low:
        return _fails(failure, IF_ARTICLES, gate.articles_low - articles)
    if amount_minor < gate.amount_low or amount_minor > gate.amount_high:
        return _fails(failure, IF_PRODUCTS_AMOUNT, _most(0, gate.amount_low - amount_minor))
    return False


cdef int64_t _balance(const Scene *scene, const Promotion *promotion) except? -1:
    """What the customer can spend on a promotion, in the asset of its cost."""
    cdef int64_t own = scene.balances[promotion.cost_asset]
    if promotion.cost_with_earned:
        own += scene.earned_minor[promotion.cost_asset]
    return _most(0, own)


cdef int64_t _units_max(const Scene *scene, const Promotion *promotion) except? -1:
    """How often the customer can pay a promotion's cost."""
    if promotion.cost_asset == NOBODY:
        return UNLIMITED
    return _balance(scene, promotion) // promotion.cost_minor


cdef bint _gates_fail(Scene *scene, const Promotion *promotion, Failure *failure) except -1:
    """Find the first condition that does not hold, and by how much."""
    cdef const NumberGate *numbers = <const NumberGate *> (
        scene.plan.pool + promotion.number_gates
    )
    cdef const BasketGate *baskets = <const BasketGate *> (
        scene.plan.pool + promotion.basket_gates
    )
    cdef Py_ssize_t n
    for n in range(promotion.number_gates_count):
        if _number_fails(scene, &numbers[n], failure):
            return True
    if promotion.token_gates_count and _tokens_fail(scene, promotion, failure):
        return True
    for n in range(promotion.basket_gates_count):
        if baskets[n].set_number == NOBODY:
            if _amount_fails(scene, promotion, &baskets[n], failure):
                return True
        elif _products_fail(scene, promotion, &baskets[n], failure):
            return True
    if promotion.cost_asset == NOBODY:
        return False
    if not scene.header.may_spend:
        return _fails(failure, IF_CUSTOMER, 0)
    if _units_max(scene, promotion):
        return False
    return _fails(failure, IF_BALANCE, promotion.cost_minor - _balance(scene, promotion))


cdef Quota _quota(const Scene *scene, int64_t number) noexcept:
    """What is left of a promotion's limits; one that is missing has nothing left."""
    cdef const Slot *slot = &scene.quotas[number]
    if _is_put(scene, slot):
        return scene.quota_rows[slot.value]
    return Quota(number, 0, 0, 0)


cdef int64_t _used_up(const Scene *scene, const Promotion *promotion, int64_t number) noexcept:
    """The limit over many receipts that is used up; NO_CONDITION if none is."""
    cdef Quota quota
    if not promotion.has_quota:
        return NO_CONDITION
    quota = _quota(scene, number)
    if quota.customer_times == 0:
        return IF_CUSTOMER_LIMIT
    if quota.total_times == 0:
        return IF_TOTAL_LIMIT
    return IF_BUDGET if quota.total_minor == 0 else NO_CONDITION


cdef int64_t _given(const Scene *scene, int64_t number) noexcept:
    """What a promotion has given so far, minor units of money."""
    cdef const Slot *slot = &scene.given[number]
    return slot.value if _is_put(scene, slot) else 0


cdef void _add_given(Scene *scene, int64_t number, int64_t amount_minor) noexcept:
    _put(scene, &scene.given[number], _given(scene, number) + amount_minor)


cdef bint _is_unfit(Scene *scene, int64_t number, Entry *entry) except -1:
    """Whether a promotion may not take effect by itself, and why."""
    cdef const Promotion *promotion = &scene.plan.promotions[number]
    cdef Failure failure
    cdef int64_t condition
    if _gates_fail(scene, promotion, &failure):
        entry[0] = Entry(number, FAILED, 0, NOBODY, failure.condition, failure.missing)
        return True
    condition = _used_up(scene, promotion, number)
    if condition:
        entry[0] = Entry(number, LIMIT_REACHED, 0, NOBODY, condition, 0)
        return True
    return False
