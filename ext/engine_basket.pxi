"""The receipt: what was lowered becomes items with their sets, classes and floors."""

cdef int64_t *_read_numbers(Arena *arena, list lowered) except NULL:
    """Copy a list of Python integers; each must fit 64 bits."""
    cdef Py_ssize_t n, count = len(lowered)
    cdef int64_t *numbers = _int64s(arena, count)
    for n in range(count):
        numbers[n] = PyLong_AsLongLong(<object> PyList_GET_ITEM(lowered, n))
    return numbers


cdef struct Reader:
    const int64_t *at
    int64_t left


cdef const int64_t *_next_rows(Reader *reader, int64_t count, size_t width) except NULL:
    """Step over some rows of so many bytes; refuses those that are not there."""
    cdef const int64_t *rows = reader.at
    cdef int64_t integers = <int64_t> (width // sizeof(int64_t))
    if count < 0 or count > reader.left // integers:
        raise ValueError("the lowered receipt is too short")
    reader.at = rows + count * integers
    reader.left -= count * integers
    return rows


cdef int _read_receipt(Scene *scene, list lowered) except -1:
    """Find the parts of a lowered receipt (rewards/lowering.py says in which order they come)."""
    cdef Reader reader
    cdef const Header *h
    cdef Py_ssize_t n
    cdef size_t one = sizeof(int64_t)
    reader.at = _read_numbers(&scene.kept, lowered)
    reader.left = len(lowered)
    h = scene.header = <const Header *> _next_rows(&reader, 1, sizeof(Header))
    scene.skus = _next_rows(&reader, h.lines_count, one)
    scene.ranks = _next_rows(&reader, h.lines_count if h.has_ranks else 0, one)
    scene.lines = <const Line *> _next_rows(&reader, h.lines_count, sizeof(Line))
    scene.token_numbers = _next_rows(&reader, h.tokens_count, one)
    scene.coupon_numbers = _next_rows(&reader, h.coupons_count, one)
    scene.number_pairs = _next_rows(&reader, h.numbers_count, 2 * one)
    scene.balance_pairs = _next_rows(&reader, h.balances_count, 2 * one)
    scene.offer_pairs = _next_rows(&reader, h.offers_count, 2 * one)
    scene.quota_rows = <const Quota *> _next_rows(&reader, h.quotas_count, sizeof(Quota))
    scene.price_rows = _next_rows(&reader, h.prices_count, 3 * one)
    scene.extra_pairs = _next_rows(&reader, h.extras_count, 2 * one)
    scene.only = _next_rows(&reader, _most(h.only_count, 0), one)
    if not 0 <= h.articles_count <= reader.left:
        raise ValueError("the lowered receipt is too short")
    _check_numbers(scene)
    scene.articles = <const Article **> _take(
        &scene.kept, h.articles_count, sizeof(const Article *)
    )
    for n in range(h.articles_count):
        scene.articles[n] = <const Article *> _next_rows(&reader, 1, sizeof(Article))
        _check_all(
            _next_rows(&reader, scene.articles[n].sets_count, one),
            scene.articles[n].sets_count,
            1,
            scene.plan.sets_count,
        )
    if reader.left:
        raise ValueError("the lowered receipt is too long")
    return 0


cdef int _check_all(
    const int64_t *numbers, int64_t count, Py_ssize_t step, int64_t limit
) except -1:
    """Refuse numbers that are none of the plan's."""
    cdef Py_ssize_t n
    for n in range(count):
        if not 0 <= numbers[n * step] < limit:
            raise ValueError("the lowered receipt speaks of what the plan does not have")
    return 0


cdef int _check_numbers(Scene *scene) except -1:
    cdef const Header *h = scene.header
    cdef const Plan *plan = &scene.plan
    _check_all(scene.skus, h.lines_count, 1, h.articles_count)
    _check_all(scene.token_numbers, h.tokens_count, 1, plan.tokens_count)
    _check_all(scene.coupon_numbers, h.coupons_count, 1, plan.tokens_count)
    _check_all(scene.number_pairs, h.numbers_count, 2, plan.numbers_count)
    _check_all(scene.balance_pairs, h.balances_count, 2, plan.assets_count)
    _check_all(scene.offer_pairs, h.offers_count, 2, plan.offers_count)
    _check_all(<const int64_t *> scene.quota_rows, h.quotas_count, 4, plan.promotions_count)
    _check_all(scene.price_rows + 1, h.prices_count, 3, h.articles_count)
    _check_all(scene.extra_pairs, h.extras_count, 2, h.articles_count)
    _check_all(scene.extra_pairs + 1, h.extras_count, 2, plan.sets_count)
    _check_all(scene.only, h.only_count, 1, plan.promotions_count)
    return 0


# --- facts ------------------------------------------------------------------------------------

cdef inline void _put(Scene *scene, Slot *slot, int64_t value) noexcept:
    slot.stamp = scene.stamp
    slot.value = value


cdef inline bint _is_put(const Scene *scene, const Slot *slot) noexcept:
    return slot.stamp == scene.stamp


cdef int _enter_facts(Scene *scene) except -1:
    """Spread the facts over the slots of what the plan asks about."""
    cdef const Header *h = scene.header
    cdef Py_ssize_t n
    cdef const int64_t *pair
    for n in range(h.tokens_count):
        _put(scene, &scene.tokens[scene.token_numbers[n]], 0)
    for n in range(h.coupons_count):
        _put(scene, &scene.tokens[scene.coupon_numbers[n]], n)
    for n in range(h.numbers_count):
        pair = scene.number_pairs + 2 * n
        _put(scene, &scene.numbers[pair[0]], pair[1])
    for n in range(h.offers_count):
        pair = scene.offer_pairs + 2 * n
        if not _is_put(scene, &scene.own_offers[pair[0]]):
            _put(scene, &scene.own_offers[pair[0]], pair[1])
    for n in range(h.quotas_count):
        _put(scene, &scene.quotas[scene.quota_rows[n].number], n)
    scene.balances = _int64s(&scene.kept, scene.plan.assets_count)
    scene.earned_minor = _int64s(&scene.kept, scene.plan.assets_count)
    scene.owners = <int32_t **> _take(&scene.kept, scene.plan.assets_count, sizeof(int32_t *))
    for n in range(scene.plan.assets_count):
        scene.balances[n] = scene.earned_minor[n] = 0
        scene.owners[n] = NULL
    for n in range(h.balances_count):
        pair = scene.balance_pairs + 2 * n
        scene.balances[pair[0]] = pair[1]
    return _enter_prices(scene)


cdef int _enter_prices(Scene *scene) except -1:
    """Chain the prices of each article, the last one first: it is the one that counts."""
    cdef const Header *h = scene.header
    cdef const int64_t *row
    cdef Py_ssize_t n
    if not h.prices_count:
        return 0
    scene.prices = <ListPrice *> _take(&scene.kept, h.prices_count, sizeof(ListPrice))
    scene.price_heads = <Py_ssize_t *> _take(
        &scene.kept, h.articles_count, sizeof(Py_ssize_t)
    )
    for n in range(h.articles_count):
        scene.price_heads[n] = NOBODY
    for n in range(h.prices_count):
        row = scene.price_rows + 3 * n
        scene.prices[n] = ListPrice(row[0], row[1], row[2], scene.price_heads[row[1]])
        scene.price_heads[row[1]] = n
    return 0


# --- items ------------------------------------------------------------------------------------

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
    for position in range(scene.header.lines_count):
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
    cdef Py_ssize_t n, count = scene.header.lines_count
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


# --- candidates -------------------------------------------------------------------------------

cdef Py_ssize_t _mark(Scene *scene, const int64_t *start, const int64_t *end) noexcept:
    """Set the bits of some promotions; say how many were new."""
    cdef Py_ssize_t count = 0
    cdef uint64_t bit
    cdef uint64_t *word
    while start != end:
        word = &scene.candidate_bits[start[0] >> 6]
        bit = <uint64_t> 1 << (start[0] & 63)
        if not word[0] & bit:
            word[0] |= bit
            scene.candidate_words[start[0] >> 12] |= <uint64_t> 1 << ((start[0] >> 6) & 63)
            count += 1
        start += 1
    return count


cdef Py_ssize_t _mark_called(Scene *scene, const int64_t *tokens, int64_t tokens_count) noexcept:
    cdef const Plan *plan = &scene.plan
    cdef Py_ssize_t n, count = 0
    for n in range(tokens_count):
        count += _mark(
            scene,
            plan.called + plan.called_starts[tokens[n]],
            plan.called + plan.called_starts[tokens[n] + 1],
        )
    return count


cdef int _find_candidates(Scene *scene) except -1:
    """List the promotions that a set on the receipt touches or a token calls, ascending.

    The bits are read and cleared by words of bits and words of words: what it costs is the
    candidates, not the promotions.
    """
    cdef const Plan *plan = &scene.plan
    cdef Py_ssize_t n, count = 0
    cdef int64_t word, number
    cdef uint64_t *words
    for n in range(scene.item_sets_count):
        number = scene.item_sets[n].set_number
        count += _mark(
            scene,
            plan.touched + plan.touched_starts[number],
            plan.touched + plan.touched_starts[number + 1],
        )
    count += _mark_called(scene, scene.token_numbers, scene.header.tokens_count)
    count += _mark_called(scene, scene.coupon_numbers, scene.header.coupons_count)
    scene.candidates = _int64s(&scene.kept, count)
    scene.candidates_count = 0
    for n in range((plan.promotions_count >> 12) + 1):
        words = &scene.candidate_words[n]
        while words[0]:
            word = (n << 6) + loyalty_lowest_bit(words[0])
            words[0] &= words[0] - 1
            while scene.candidate_bits[word]:
                number = (word << 6) + loyalty_lowest_bit(scene.candidate_bits[word])
                scene.candidate_bits[word] &= scene.candidate_bits[word] - 1
                scene.candidates[scene.candidates_count] = number
                scene.candidates_count += 1
    if scene.header.only_count >= 0:
        _keep_only(scene)
    return 0


cdef void _keep_only(Scene *scene) noexcept:
    """Drop the candidates that may not take part; both lists are ascending."""
    cdef Py_ssize_t n, at = 0, kept = 0
    for n in range(scene.candidates_count):
        while at < scene.header.only_count and scene.only[at] < scene.candidates[n]:
            at += 1
        if at < scene.header.only_count and scene.only[at] == scene.candidates[n]:
            scene.candidates[kept] = scene.candidates[n]
            kept += 1
    scene.candidates_count = kept
