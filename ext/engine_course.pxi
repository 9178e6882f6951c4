"""The course: promotions run one after another through a lane, each traced."""

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
