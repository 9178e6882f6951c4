"""Exclusive groups: of their promotions one takes effect, chosen before their turn if need be."""

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
