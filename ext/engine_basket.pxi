"""The basket: lines become items with their sets, classes and floors."""

cdef inline int _compare(int64_t left, int64_t right) noexcept nogil:
    return (left > right) - (left < right)


cdef int _compare_items(const LineKey *a, const LineKey *b) noexcept nogil:
    """Order lines by what makes them one item."""
    cdef int order = _compare(a.sku, b.sku)
    if order == 0:
        order = _compare(a.line.unit_price_scaled, b.line.unit_price_scaled)
    if order == 0:
        order = _compare(a.line.unit_price_scale, b.line.unit_price_scale)
    if order == 0:
        order = _compare(a.line.unit, b.line.unit)
    if order == 0:
        order = _compare(a.line.kind, b.line.kind)
    if order == 0:
        order = _compare(
            a.line.price_source == SOURCE_STICKER, b.line.price_source == SOURCE_STICKER
        )
    if order == 0:
        order = _compare(a.line.no_discount, b.line.no_discount)
    if order == 0:
        order = _compare(a.line.no_earn, b.line.no_earn)
    return order if order else _compare(a.own_id, b.own_id)


cdef int _compare_lines(const void *left, const void *right) noexcept nogil:
    """Items in canonical order, the lines of each by their ids."""
    cdef const LineKey *a = <const LineKey *> left
    cdef const LineKey *b = <const LineKey *> right
    cdef int order = _compare_items(a, b)
    if order == 0:
        order = _compare(a.rank, b.rank)
    return order if order else _compare(a.position, b.position)


cdef Py_ssize_t _sorted_lines(Scene *scene, LineKey *keys) except -1:
    """Sort the lines that are sold; say how many there are."""
    cdef Py_ssize_t position, count = 0
    cdef const Line *line
    cdef int64_t rank
    for position in range(scene.lines_count):
        line = &scene.lines[position]
        if line.cancelled or line.action == ACTION_RETURN:
            continue
        rank = scene.ranks[position] if scene.header.has_ranks else 0
        keys[count].line = line
        keys[count].sku = scene.skus[position]
        keys[count].own_id = rank + 1 if line.minimum_minor else 0
        keys[count].rank = rank
        keys[count].position = position
        count += 1
    qsort(keys, <size_t> count, sizeof(LineKey), &_compare_lines)
    return count


cdef int _build_items(Scene *scene) except -1:
    """Group the lines that are sold into items, in canonical order."""
    cdef Py_ssize_t n, count = scene.lines_count
    cdef LineKey *keys = <LineKey *> _take(&scene.kept, count, sizeof(LineKey))
    cdef Item *item = NULL
    scene.items = <Item *> _take(&scene.kept, count, sizeof(Item))
    scene.lines_of_items = <Py_ssize_t *> _take(&scene.kept, count, sizeof(Py_ssize_t))
    scene.items_count = 0
    count = _sorted_lines(scene, keys)
    for n in range(count):
        scene.lines_of_items[n] = keys[n].position
        if item == NULL or _compare_items(&keys[n - 1], &keys[n]) != 0:
            item = &scene.items[scene.items_count]
            scene.items_count += 1
            _start_item(scene, item, &keys[n])
            item.lines = n
        item.lines_count += 1
        item.quantity_milli += keys[n].line.quantity_milli
        item.sent_minor += keys[n].line.amount_minor
    scene.all_items.count = scene.items_count
    scene.all_items.items = <Py_ssize_t *> _take(
        &scene.kept, scene.items_count, sizeof(Py_ssize_t)
    )
    for n in range(scene.items_count):
        scene.all_items.items[n] = n
        scene.items[n].amount_minor = scene.items[n].sent_minor
    return 0


cdef void _start_item(Scene *scene, Item *item, const LineKey *key) noexcept:
    cdef const Line *line = key.line
    memset(item, 0, sizeof(Item))
    item.first = line
    item.article = scene.articles[key.sku]
    item.sku = key.sku
    item.claimed_by = item.closed_by = NOBODY
    item.effects_first = item.effects_last = NOBODY
    item.counted = line.unit == UNIT_PIECE
    item.goods = line.kind != KIND_GIFT_CARD and line.kind != KIND_DEPOSIT
    item.sticker = line.price_source == SOURCE_STICKER
    item.discountable = item.goods and not line.no_discount and not item.article.no_discount
    item.earns = item.goods and not line.no_earn and not item.article.no_earn
    item.has_floor = (
        line.minimum_minor > 0
        or not scene.header.zero_price
        or item.article.minimum_price_minor != 0
    )


# --- product sets -----------------------------------------------------------------------------

cdef bint _is_priced(Scene *scene, const Item *item, int64_t set_number) except -1:
    """Whether the price of a unit as sent lies in the set's range, if it asks for one."""
    cdef const PriceBounds *bounds = &scene.plan.bounds[set_number]
    cdef int64_t unit_minor
    if not bounds.has:
        return True
    unit_minor = _scaled(item.sent_minor, MILLI, item.quantity_milli, HALF_UP)
    if unit_minor < bounds.low_minor:
        return False
    return not bounds.high_minor or unit_minor <= bounds.high_minor


cdef Py_ssize_t _sets_of(Scene *scene, const Item *item, int64_t *found) except -1:
    """List the sets that an item is in, each once; say how many."""
    cdef const int64_t *numbers = <const int64_t *> (item.article + 1)
    cdef Py_ssize_t n, own, count = 0
    cdef int64_t number
    for n in range(item.article.sets_count):
        if _is_priced(scene, item, numbers[n]):
            found[count] = numbers[n]
            count += 1
    own = count
    for n in range(scene.header.extras_count):
        number = scene.extra_pairs[2 * n + 1]
        if scene.extra_pairs[2 * n] != item.sku or not _is_priced(scene, item, number):
            continue
        if not _holds(found, own, number):
            found[count] = number
            count += 1
    return count


cdef bint _holds(const int64_t *numbers, Py_ssize_t count, int64_t number) noexcept:
    cdef Py_ssize_t n
    for n in range(count):
        if numbers[n] == number:
            return True
    return False


cdef int _enter_sets(Scene *scene) except -1:
    """Say for each set that occurs which items it holds, in canonical order."""
    cdef Py_ssize_t n, m, total = 0
    cdef Py_ssize_t *counts = <Py_ssize_t *> _take(
        &scene.kept, scene.items_count, sizeof(Py_ssize_t)
    )
    cdef int64_t **found = <int64_t **> _take(
        &scene.kept, scene.items_count, sizeof(int64_t *)
    )
    cdef Slot *slot
    scene.item_sets_count = 0
    for n in range(scene.items_count):
        counts[n] = 0
        if not scene.items[n].goods:
            continue
        found[n] = _int64s(
            &scene.kept, scene.items[n].article.sets_count + scene.header.extras_count
        )
        counts[n] = _sets_of(scene, &scene.items[n], found[n])
        total += counts[n]
    scene.item_sets = <ItemSet *> _take(&scene.kept, total, sizeof(ItemSet))
    for n in range(scene.items_count):
        for m in range(counts[n]):
            slot = &scene.sets[found[n][m]]
            if not _is_put(scene, slot):
                _put(scene, slot, scene.item_sets_count)
                scene.item_sets[scene.item_sets_count].set_number = found[n][m]
                scene.item_sets[scene.item_sets_count].count = 0
                scene.item_sets_count += 1
            scene.item_sets[slot.value].count += 1
    _fill_sets(scene, found, counts, total)
    return 0


cdef int _fill_sets(
    Scene *scene, int64_t **found, const Py_ssize_t *counts, Py_ssize_t total
) except -1:
    cdef Py_ssize_t n, m, start = 0
    cdef ItemSet *own
    scene.members = <Py_ssize_t *> _take(&scene.kept, total, sizeof(Py_ssize_t))
    for n in range(scene.item_sets_count):
        scene.item_sets[n].start = start
        start += scene.item_sets[n].count
        scene.item_sets[n].count = 0
    for n in range(scene.items_count):
        for m in range(counts[n]):
            own = &scene.item_sets[scene.sets[found[n][m]].value]
            scene.members[own.start + own.count] = n
            own.count += 1
    return 0


cdef inline Range _members_of(Scene *scene, int64_t set_number) noexcept:
    """The items of a set, in canonical order."""
    cdef Range found
    cdef const Slot *slot = &scene.sets[set_number]
    found.items = NULL
    found.count = 0
    if _is_put(scene, slot):
        found.items = scene.members + scene.item_sets[slot.value].start
        found.count = scene.item_sets[slot.value].count
    return found


# --- classes and floors -----------------------------------------------------------------------

cdef int _enter_classes(Scene *scene) except -1:
    """Apply the chain's rules above all promotions, then work out the floors."""
    cdef Py_ssize_t n, m
    cdef const ProductClass *one
    cdef Item *item
    cdef Range found
    scene.has_no_coupon = False
    for n in range(scene.plan.classes_count):
        one = &scene.plan.classes[n]
        found = _members_of(scene, one.set_number)
        for m in range(found.count):
            item = &scene.items[found.items[m]]
            item.discountable = item.discountable and not one.no_discount
            item.earns = item.earns and not one.no_earn
            if one.no_coupon:
                item.no_coupon = scene.has_no_coupon = True
            if one.floor_bp:
                item.has_floor = True
                item.floor_bp = _most(item.floor_bp, one.floor_bp)
    for n in range(scene.items_count):
        if scene.items[n].has_floor:
            _set_floor(scene, &scene.items[n])
    return 0


cdef int64_t _line_floor(Scene *scene, const Item *item, const Line *line) except? -1:
    """What one line of an item never goes below."""
    cdef int64_t lowest = line.minimum_minor
    cdef int64_t pieces
    lowest = _most(
        lowest, _scaled(item.article.minimum_price_minor, line.quantity_milli, MILLI, DOWN)
    )
    lowest = _most(lowest, _share_of(line.amount_minor, item.floor_bp, DOWN))
    if not scene.header.zero_price:
        pieces = line.quantity_milli // MILLI if item.counted else 1
        lowest = _most(lowest, pieces)
    return _least(lowest, line.amount_minor)


cdef int _set_floor(Scene *scene, Item *item) except -1:
    """The feed's and the class's for the whole, or what its lines' come to."""
    cdef int64_t own_minor = 0
    cdef int64_t feed_minor
    cdef Py_ssize_t n
    feed_minor = _scaled(item.article.minimum_price_minor, item.quantity_milli, MILLI, DOWN)
    for n in range(item.lines_count):
        own_minor += _line_floor(
            scene, item, &scene.lines[scene.lines_of_items[item.lines + n]]
        )
    item.floor_minor = _most(
        _most(_least(feed_minor, item.amount_minor), own_minor),
        _share_of(item.amount_minor, item.floor_bp, UP),
    )
    return 0
