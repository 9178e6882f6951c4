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
        &scene.kept, scene.lines_count, sizeof(LineState)
    )
    for n in range(scene.lines_count):
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
    for n in range(scene.lines_count):
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


cdef void _withhold(Scene *scene, const int64_t *numbers, Py_ssize_t count) noexcept:
    cdef Py_ssize_t n
    for n in range(count):
        _put(scene, &scene.withheld[numbers[n]], 0)


cdef int64_t *_trimmed_away(
    Scene *scene, const int64_t *withheld, Py_ssize_t *count
) except? NULL:
    """Promotions that lowered items, of which nothing is left on the lines, behind those before."""
    cdef int64_t *numbers
    cdef const LineState *state
    cdef Py_ssize_t n, m
    cdef int64_t number
    if scene.header.can_split or not scene.effects_count:
        return <int64_t *> withheld
    numbers = _int64s(&scene.kept, count[0] + scene.effects_count)
    for n in range(count[0]):
        numbers[n] = withheld[n]
    for n in range(scene.lines_count):
        state = &scene.states[n]
        for m in range(state.adjustments_count):
            number = scene.adjustments[state.adjustments + m].number
            _put(scene, &scene.sold[number], 0)
    for n in range(scene.effects_count):
        number = scene.effects[n].number
        if not _is_put(scene, &scene.sold[number]):
            _put(scene, &scene.sold[number], 0)
            numbers[count[0]] = number
            count[0] += 1
    return numbers


# --- as lists ---------------------------------------------------------------------------------

cdef struct SoldRun:
    int64_t quantity_milli
    int64_t unit_price_minor
    int64_t amount_minor

cdef struct SoldLine:
    int64_t amount_minor
    int64_t run_count
    int64_t adjustment_count

cdef struct Row:
    # A row of what is found: as many of the columns count as its list says.
    int64_t columns[6]


cdef object _column(const int64_t *first, Py_ssize_t count, size_t width):
    """Every value of one column of rows of so many bytes, as a list; () if there is none."""
    cdef list values
    cdef object value
    cdef Py_ssize_t n, step = <Py_ssize_t> (width // sizeof(int64_t))
    if not count:
        return ()
    values = PyList_New(count)
    for n in range(count):
        value = first[n * step]
        Py_INCREF(value)
        PyList_SET_ITEM(values, n, value)
    return values


cdef object _flat(const Row *rows, Py_ssize_t count, Py_ssize_t width):
    """The first columns of some rows, one row behind the other; () if there is none."""
    cdef list values = []
    cdef Py_ssize_t n, m
    if not count:
        return ()
    for n in range(count):
        for m in range(width):
            values.append(rows[n].columns[m])
    return values


cdef int _add_runs(const Line *line, int64_t amount_minor, SoldRun *runs) except -1:
    """Part a line into runs that multiply to its amount exactly; say how many."""
    cdef int64_t pieces, low_minor, dearer, cheaper
    if line.unit != UNIT_PIECE:
        low_minor = _scaled(amount_minor, MILLI, line.quantity_milli, HALF_UP)
        runs[0] = SoldRun(line.quantity_milli, low_minor, amount_minor)
        return 1
    pieces = line.quantity_milli // MILLI
    low_minor = amount_minor // pieces
    dearer = amount_minor - low_minor * pieces
    if not dearer:
        runs[0] = SoldRun(line.quantity_milli, low_minor, amount_minor)
        return 1
    cheaper = pieces - dearer
    runs[0] = SoldRun(dearer * MILLI, low_minor + 1, dearer * (low_minor + 1))
    runs[1] = SoldRun(cheaper * MILLI, low_minor, cheaper * low_minor)
    return 2


cdef tuple _lines_as_lists(Scene *scene):
    """Columns of lines, of runs and of adjustments; a cancelled line has no run."""
    cdef Py_ssize_t count = scene.lines_count, runs_count = 0, adjusted = 0, n, m
    cdef SoldLine *sold = <SoldLine *> _take(&scene.kept, count, sizeof(SoldLine))
    cdef SoldRun *runs = <SoldRun *> _take(&scene.kept, 2 * count, sizeof(SoldRun))
    cdef Adjustment *made = <Adjustment *> _take(
        &scene.kept, scene.adjustments_count, sizeof(Adjustment)
    )
    cdef const LineState *state
    for n in range(count):
        state = &scene.states[n]
        sold[n] = SoldLine(state.amount_minor, 0, 0)
        if scene.lines[n].cancelled:
            continue
        sold[n].run_count = _add_runs(&scene.lines[n], state.amount_minor, runs + runs_count)
        sold[n].adjustment_count = state.adjustments_count
        runs_count += sold[n].run_count
        for m in range(state.adjustments_count):
            made[adjusted] = scene.adjustments[state.adjustments + m]
            made[adjusted].discount_minor = -made[adjusted].discount_minor
            adjusted += 1
    return (
        _column(&sold.amount_minor, count, sizeof(SoldLine)),
        _column(&sold.run_count, count, sizeof(SoldLine)),
        _column(&sold.adjustment_count, count, sizeof(SoldLine)),
        _column(&runs.quantity_milli, runs_count, sizeof(SoldRun)),
        _column(&runs.unit_price_minor, runs_count, sizeof(SoldRun)),
        _column(&runs.amount_minor, runs_count, sizeof(SoldRun)),
        _column(&made.number, adjusted, sizeof(Adjustment)),
        _column(&made.discount_minor, adjusted, sizeof(Adjustment)),
        _column(&made.quantity_milli, adjusted, sizeof(Adjustment)),
    )


cdef tuple _trace_as_lists(Scene *scene):
    """What became of each candidate as one number, and those that do not fit one as rows.

    The number is payload << 25 | condition << 20 | outcome << 17 | promotion; the payload is how
    often it fired, to whom it lost + 1, or how much is missing. A negative number is -1 - row.
    """
    cdef int64_t *codes = _int64s(&scene.kept, scene.trace_count)
    cdef Row *rows = NULL
    cdef const Entry *entry
    cdef int64_t payload
    cdef Py_ssize_t n, rows_count = 0, rows_size = 0
    for n in range(scene.trace_count):
        entry = &scene.trace[n]
        payload = entry.missing
        if entry.outcome == LOST:
            payload = entry.lost_to + 1
        elif entry.times:
            payload = entry.times
        if 0 <= payload < PAYLOAD_LIMIT and entry.number < NUMBER_LIMIT:
            codes[n] = (payload << 25) | (entry.condition << 20) | (entry.outcome << 17)
            codes[n] |= entry.number
            continue
        rows = <Row *> _grown(&scene.kept, rows, rows_count, &rows_size, sizeof(Row))
        rows[rows_count].columns = [
            entry.number,
            entry.outcome,
            entry.times,
            entry.lost_to,
            entry.condition,
            entry.missing,
        ]
        rows_count += 1
        codes[n] = -rows_count
    return _column(codes, scene.trace_count, sizeof(int64_t)), _flat(rows, rows_count, 6)


cdef Py_ssize_t _item_of_gift(const Scene *scene, int64_t gift) noexcept:
    """The first item of a gift's article on the receipt; NOBODY if there is none."""
    cdef Py_ssize_t n
    for n in range(scene.items_count):
        if scene.items[n].article.gift == gift:
            return n
    return NOBODY


cdef object _offers_as_list(Scene *scene):
    """For each offer: promotion, position, article of the plan or -1, milli, amount, choice."""
    cdef Row *rows = <Row *> _take(&scene.kept, scene.offers_count, sizeof(Row))
    cdef const Offer *offer
    cdef Py_ssize_t n, item
    for n in range(scene.offers_count):
        offer = &scene.offers[n]
        item = offer.item if offer.item != NOBODY else _item_of_gift(scene, offer.gift)
        rows[n].columns = [
            offer.number,
            -1 if item == NOBODY else scene.lines_of_items[scene.items[item].lines],
            offer.gift,
            offer.quantity_milli,
            offer.amount_minor,
            offer.choice_group,
        ]
    return _flat(rows, scene.offers_count, 6)


cdef object _grants_as_list(Scene *scene):
    """For each grant: promotion, place, amount, value."""
    cdef Row *rows = <Row *> _take(&scene.kept, scene.grants_count, sizeof(Row))
    cdef const Grant *grant
    cdef Py_ssize_t n
    for n in range(scene.grants_count):
        grant = &scene.grants[n]
        rows[n].columns = [
            grant.number, grant.place, grant.amount_minor, grant.value_minor, 0, 0
        ]
    return _flat(rows, scene.grants_count, 4)


cdef object _notices_as_list(
    Scene *scene, const Notice *notices, Py_ssize_t count, Py_ssize_t width
):
    """For each message promotion and place; for each spend promotion, asset and amount."""
    cdef Row *rows = <Row *> _take(&scene.kept, count, sizeof(Row))
    cdef Py_ssize_t n
    for n in range(count):
        rows[n].columns = [
            notices[n].number, notices[n].place, notices[n].amount_minor, 0, 0, 0
        ]
    return _flat(rows, count, width)


cdef object _proofs_as_list(Scene *scene):
    """For each lane of mode best: its number, whether it is proved, the gap, the steps."""
    cdef Row rows[4]
    cdef const Proof *proof
    cdef Py_ssize_t n
    for n in range(scene.proofs_count):
        proof = &scene.proofs[n]
        rows[n].columns = [
            proof.lane, proof.optimal, proof.gap_minor, proof.steps, 0, 0
        ]
    return _flat(rows, scene.proofs_count, 4)


cdef tuple _as_lists(Scene *scene):
    """All that was found; `rewards.raising.Found` says what each list holds."""
    return (
        *_lines_as_lists(scene),
        *_trace_as_lists(scene),
        _offers_as_list(scene),
        _grants_as_list(scene),
        _notices_as_list(scene, scene.messages, scene.messages_count, 2),
        _notices_as_list(scene, scene.spends, scene.spends_count, 3),
        _proofs_as_list(scene),
    )
