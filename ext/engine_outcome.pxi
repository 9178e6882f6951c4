"""The way back: effects of items become adjustments and runs of lines; all becomes lists."""

cdef int _enter_line(
    Scene *scene, Py_ssize_t position, Py_ssize_t adjustments, Py_ssize_t count
) noexcept:
    scene.states[position].adjustments = adjustments
    scene.states[position].adjustments_count = count
    return 0


cdef int _effects_to_lines(Scene *scene) except -1:
    """Share the effects of each item over its lines, as adjustments in the order of effects."""
    cdef Py_ssize_t n, total = 0
    cdef const Item *item
    cdef const Line *line
    scene.states = <LineState *> _take(
        &scene.kept, scene.header.lines_count, sizeof(LineState)
    )
    for n in range(scene.header.lines_count):
        _enter_line(scene, n, 0, 0)
    for n in range(scene.items_count):
        total += scene.items[n].effects_count * scene.items[n].lines_count
    scene.adjustments = <Adjustment *> _take(&scene.kept, total, sizeof(Adjustment))
    scene.adjustments_count = 0
    for n in range(scene.items_count):
        item = &scene.items[n]
        _rewind(&scene.scratch)
        if item.lines_count == 1:
            _effects_to_line(scene, item)
        elif item.effects_count:
            _effects_to_each(scene, item)
    for n in range(scene.header.lines_count):
        line = &scene.lines[n]
        if not scene.header.can_split and scene.states[n].adjustments_count:
            _even_out(line, &scene.states[n], scene.adjustments)
        scene.states[n].amount_minor = line.amount_minor - _adjusted(scene, n)
    return 0


cdef int64_t _adjusted(const Scene *scene, Py_ssize_t position) noexcept:
    cdef const LineState *state = &scene.states[position]
    cdef int64_t total = 0
    cdef Py_ssize_t n
    for n in range(state.adjustments_count):
        total += scene.adjustments[state.adjustments + n].discount_minor
    return total


cdef int _effects_to_line(Scene *scene, const Item *item) except -1:
    """All effects of an item belong to its only line."""
    cdef Py_ssize_t n = item.effects_first
    cdef const Effect *effect
    _enter_line(
        scene, scene.lines_of_items[item.lines], scene.adjustments_count, item.effects_count
    )
    while n != NOBODY:
        effect = &scene.effects[n]
        scene.adjustments[scene.adjustments_count] = Adjustment(
            effect.number, effect.discount_minor, effect.quantity_milli
        )
        scene.adjustments_count += 1
        n = effect.next_one
    return 0


cdef int _effects_to_each(Scene *scene, const Item *item) except -1:
    """Share every effect of an item over its lines; no line goes below its floor."""
    cdef Py_ssize_t count = item.lines_count, effect_place = 0, n
    cdef Py_ssize_t effect = item.effects_first
    cdef int64_t *parts = _int64s(&scene.scratch, count * item.effects_count)
    cdef int64_t *milli = _int64s(&scene.scratch, count * item.effects_count)
    cdef int64_t *left = _int64s(&scene.scratch, count)
    cdef int64_t *floors = _int64s(&scene.scratch, count)
    cdef int64_t *rooms = _int64s(&scene.scratch, count)
    cdef int64_t *quantities = _int64s(&scene.scratch, count)
    cdef const Line *line
    for n in range(count):
        line = &scene.lines[scene.lines_of_items[item.lines + n]]
        left[n], quantities[n] = line.amount_minor, line.quantity_milli
        floors[n] = _line_floor(scene, item, line) if item.has_floor else 0
    while effect != NOBODY:
        for n in range(count):
            rooms[n] = left[n] - floors[n]
        if item.has_floor:
            _share_capped(
                &scene.scratch,
                scene.effects[effect].discount_minor,
                left,
                rooms,
                count,
                parts + effect_place * count,
            )
        else:
            _allocate(
                &scene.scratch,
                scene.effects[effect].discount_minor,
                left,
                count,
                parts + effect_place * count,
            )
        _allocate(
            &scene.scratch,
            scene.effects[effect].quantity_milli,
            quantities,
            count,
            milli + effect_place * count,
        )
        for n in range(count):
            left[n] -= parts[effect_place * count + n]
            assert left[n] >= 0, "a line went below zero"
        effect_place += 1
        effect = scene.effects[effect].next_one
    for n in range(count):
        _collect_line(scene, item, n, parts, milli)
    return 0


cdef void _collect_line(
    Scene *scene, const Item *item, Py_ssize_t n, const int64_t *parts, const int64_t *milli
) noexcept:
    """Bring what fell to one line of an item together."""
    cdef Py_ssize_t effect = item.effects_first, place = n, start = scene.adjustments_count
    while effect != NOBODY:
        if parts[place]:
            scene.adjustments[scene.adjustments_count] = Adjustment(
                scene.effects[effect].number, parts[place], milli[place]
            )
            scene.adjustments_count += 1
        place += item.lines_count
        effect = scene.effects[effect].next_one
    _enter_line(
        scene, scene.lines_of_items[item.lines + n], start, scene.adjustments_count - start
    )


cdef int _even_out(const Line *line, LineState *state, Adjustment *adjustments) except -1:
    """Shrink the last adjustments until the amount divides evenly over the pieces."""
    cdef int64_t pieces, surplus_minor, back_minor, amount_minor = line.amount_minor
    cdef Adjustment *last
    cdef Py_ssize_t n
    if line.unit != UNIT_PIECE:
        return 0
    for n in range(state.adjustments_count):
        amount_minor -= adjustments[state.adjustments + n].discount_minor
    pieces = line.quantity_milli // MILLI
    surplus_minor = -amount_minor % pieces
    while surplus_minor and state.adjustments_count:
        last = &adjustments[state.adjustments + state.adjustments_count - 1]
        back_minor = _least(last.discount_minor, surplus_minor)
        surplus_minor -= back_minor
        last.discount_minor -= back_minor
        if not last.discount_minor:
            state.adjustments_count -= 1
    return 0


cdef void _settle_items(Scene *scene) noexcept:
    """Where the till cannot split a line, some effects shrank: the items' amounts follow."""
    cdef Py_ssize_t n, m
    cdef Item *item
    if scene.header.can_split:
        return
    for n in range(scene.items_count):
        item = &scene.items[n]
        item.amount_minor = 0
        for m in range(item.lines_count):
            item.amount_minor += scene.states[scene.lines_of_items[item.lines + m]].amount_minor


# --- as lists ---------------------------------------------------------------------------------

cdef inline int _append(list values, int64_t value) except -1:
    return PyList_Append(values, value)


cdef tuple _lines_as_lists(Scene *scene):
    """Lists of lines, of runs and of adjustments.

    Lines: for each its amount, where its runs end and where its adjustments end; -1 if it is
    cancelled. Runs: quantity, unit price, amount. Adjustments: number, amount, quantity.
    """
    cdef list amounts = [], run_ends = [], adjustment_ends = []
    cdef list runs = [[], [], []]
    cdef list numbers = [], discounts = [], quantities = []
    cdef const LineState *state
    cdef const Adjustment *one
    cdef Py_ssize_t n, m, runs_count = 0, adjustments_count = 0
    for n in range(scene.header.lines_count):
        state = &scene.states[n]
        if scene.lines[n].cancelled:
            _append(amounts, -1)
        else:
            _append(amounts, state.amount_minor)
            runs_count += _add_runs(runs, &scene.lines[n], state.amount_minor)
            for m in range(state.adjustments_count):
                one = &scene.adjustments[state.adjustments + m]
                _append(numbers, one.number)
                _append(discounts, -one.discount_minor)
                _append(quantities, one.quantity_milli)
            adjustments_count += state.adjustments_count
        _append(run_ends, runs_count)
        _append(adjustment_ends, adjustments_count)
    return amounts, run_ends, adjustment_ends, *runs, numbers, discounts, quantities


cdef int _add_run_row(list runs, int64_t quantity, int64_t price, int64_t amount) except -1:
    _append(<list> runs[0], quantity)
    _append(<list> runs[1], price)
    _append(<list> runs[2], amount)
    return 0


cdef int _add_runs(list runs, const Line *line, int64_t amount_minor) except -1:
    """Part a line into runs that multiply to its amount exactly; say how many."""
    cdef int64_t pieces, low_minor, dearer
    if line.unit != UNIT_PIECE:
        low_minor = _scaled(amount_minor, MILLI, line.quantity_milli, HALF_UP)
        _add_run_row(runs, line.quantity_milli, low_minor, amount_minor)
        return 1
    pieces = line.quantity_milli // MILLI
    low_minor = amount_minor // pieces
    dearer = amount_minor - low_minor * pieces
    if not dearer:
        _add_run_row(runs, line.quantity_milli, low_minor, amount_minor)
        return 1
    _add_run_row(runs, dearer * MILLI, low_minor + 1, dearer * (low_minor + 1))
    _add_run_row(runs, (pieces - dearer) * MILLI, low_minor, (pieces - dearer) * low_minor)
    return 2


cdef tuple _trace_as_lists(Scene *scene):
    """What became of each candidate as one number, and those that do not fit one as rows.

    The number is payload << 25 | condition << 20 | outcome << 17 | promotion; the payload is how
    often it fired, to whom it lost + 1, or how much is missing. A negative number is -1 - row.
    """
    cdef list codes = [], rows = []
    cdef const Entry *entry
    cdef int64_t payload
    cdef Py_ssize_t n, rows_count = 0
    for n in range(scene.trace_count):
        entry = &scene.trace[n]
        payload = entry.missing
        if entry.outcome == LOST:
            payload = entry.lost_to + 1
        elif entry.times:
            payload = entry.times
        if 0 <= payload < PAYLOAD_LIMIT and entry.number < NUMBER_LIMIT:
            _append(
                codes,
                (payload << 25) | (entry.condition << 20) | (entry.outcome << 17) | entry.number,
            )
        else:
            rows += [
                entry.number,
                entry.outcome,
                entry.times,
                entry.lost_to,
                entry.condition,
                entry.missing,
            ]
            rows_count += 1
            _append(codes, -rows_count)
    return codes, rows


cdef list _offers_as_list(Scene *scene):
    """For each offer: promotion, position, article of the plan or -1, milli, amount, choice."""
    cdef list rows = []
    cdef const Offer *offer
    cdef Py_ssize_t n, m, item
    for n in range(scene.offers_count):
        offer = &scene.offers[n]
        item = offer.item
        if item == NOBODY:
            for m in range(scene.items_count):
                if scene.items[m].article.gift == offer.gift:
                    item = m
                    break
        rows += [
            offer.number,
            -1 if item == NOBODY else scene.lines_of_items[scene.items[item].lines],
            offer.gift,
            offer.quantity_milli,
            offer.amount_minor,
            offer.choice_group,
        ]
    return rows


cdef tuple _as_lists(Scene *scene):
    """All that was found; the stub says what each list holds."""
    cdef list grants = [], messages = [], spends = [], proofs = []
    cdef Py_ssize_t n
    for n in range(scene.grants_count):
        grants += [
            scene.grants[n].number,
            scene.grants[n].place,
            scene.grants[n].amount_minor,
            scene.grants[n].value_minor,
        ]
    for n in range(scene.messages_count):
        messages += [scene.messages[n].number, scene.messages[n].place]
    for n in range(scene.spends_count):
        spends += [
            scene.spends[n].number, scene.spends[n].place, scene.spends[n].amount_minor
        ]
    for n in range(scene.proofs_count):
        proofs += [
            scene.proofs[n].lane,
            scene.proofs[n].optimal,
            scene.proofs[n].gap_minor,
            scene.proofs[n].steps,
        ]
    return (
        *_lines_as_lists(scene),
        *_trace_as_lists(scene),
        _offers_as_list(scene),
        grants,
        messages,
        spends,
        proofs,
    )
