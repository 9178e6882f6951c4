"""What is read of a lowered receipt: its parts, checked, and facts by what the plan asks about."""

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


cdef int _read_receipt(Scene *scene, list lines, dict articles, list lowered) except -1:
    """Find the parts of a lowered receipt (rewards/lowering.py says in which order they come)."""
    _read_lines(scene, lines, _read_articles(scene, articles))
    return _read_facts(scene, lowered)


cdef dict _read_articles(Scene *scene, dict articles):
    """Copy the articles; say by sku the place of each."""
    cdef dict places = {}
    cdef int64_t *numbers
    cdef const Article *article
    cdef Py_ssize_t place = 0, count
    cdef Py_ssize_t width = <Py_ssize_t> (sizeof(Article) // sizeof(int64_t))
    scene.articles_count = len(articles)
    scene.articles = <const Article **> _take(
        &scene.kept, scene.articles_count, sizeof(const Article *)
    )
    for sku, row in articles.items():
        count = len(<tuple?> row)
        numbers = _int64s(&scene.kept, count)
        _copy_numbers(<tuple> row, 0, count, numbers)
        article = scene.articles[place] = <const Article *> numbers
        if count < width or count != width + article.sets_count:
            raise ValueError("an article of the lowered receipt is of another width")
        _check_all(numbers + width, article.sets_count, 1, scene.plan.sets_count)
        places[sku] = place
        place += 1
    return places


cdef int _read_lines(Scene *scene, list lines, dict places) except -1:
    """Copy what is read of the lines; a line's values are those of `rewards.sale.Line`."""
    cdef Py_ssize_t n, count = len(lines)
    cdef Py_ssize_t width = <Py_ssize_t> (sizeof(Line) // sizeof(int64_t))
    cdef int64_t *skus = _int64s(&scene.kept, count)
    cdef Line *copied = <Line *> _take(&scene.kept, count, sizeof(Line))
    cdef tuple values
    for n in range(count):
        values = <tuple?> lines[n]
        if len(values) < LINE_NUMBERS + width:
            raise ValueError("a line of the lowered receipt is too short")
        place = places.get(values[LINE_SKU])
        if place is None:
            raise ValueError("a line of the lowered receipt is of no article")
        skus[n] = place
        _copy_numbers(values, LINE_NUMBERS, width, <int64_t *> &copied[n])
    scene.lines_count, scene.skus, scene.lines = count, skus, copied
    return 0


cdef int _copy_numbers(
    tuple values, Py_ssize_t first, Py_ssize_t count, int64_t *numbers
) except -1:
    """Copy Python integers; each must fit 64 bits."""
    cdef Py_ssize_t n
    for n in range(count):
        numbers[n] = PyLong_AsLongLong(<object> PyTuple_GET_ITEM(values, first + n))
    return 0


cdef int _read_facts(Scene *scene, list lowered) except -1:
    """Find the parts of the list."""
    cdef Reader reader
    cdef const Header *h
    cdef size_t one = sizeof(int64_t)
    reader.at = _read_numbers(&scene.kept, lowered)
    reader.left = len(lowered)
    h = scene.header = <const Header *> _next_rows(&reader, 1, sizeof(Header))
    scene.ranks = _next_rows(&reader, scene.lines_count if h.has_ranks else 0, one)
    scene.token_numbers = _next_rows(&reader, h.tokens_count, one)
    scene.coupon_numbers = _next_rows(&reader, h.coupons_count, one)
    scene.number_pairs = _next_rows(&reader, h.numbers_count, 2 * one)
    scene.balance_pairs = _next_rows(&reader, h.balances_count, 2 * one)
    scene.offer_pairs = _next_rows(&reader, h.offers_count, 2 * one)
    scene.quota_rows = <const Quota *> _next_rows(&reader, h.quotas_count, sizeof(Quota))
    scene.price_rows = _next_rows(&reader, h.prices_count, 3 * one)
    scene.extra_pairs = _next_rows(&reader, h.extras_count, 2 * one)
    scene.only = _next_rows(&reader, _most(h.only_count, 0), one)
    if reader.left:
        raise ValueError("the lowered receipt is too long")
    return _check_numbers(scene)


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
    _check_all(scene.token_numbers, h.tokens_count, 1, plan.tokens_count)
    _check_all(scene.coupon_numbers, h.coupons_count, 1, plan.tokens_count)
    _check_all(scene.number_pairs, h.numbers_count, 2, plan.numbers_count)
    _check_all(scene.balance_pairs, h.balances_count, 2, plan.assets_count)
    _check_all(scene.offer_pairs, h.offers_count, 2, plan.offers_count)
    _check_all(<const int64_t *> scene.quota_rows, h.quotas_count, 4, plan.promotions_count)
    _check_all(scene.price_rows + 1, h.prices_count, 3, scene.articles_count)
    _check_all(scene.extra_pairs, h.extras_count, 2, scene.articles_count)
    _check_all(scene.extra_pairs + 1, h.extras_count, 2, plan.sets_count)
    _check_all(scene.only, h.only_count, 1, plan.promotions_count)
    return 0


# --- slots ------------------------------------------------------------------------------------

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
        &scene.kept, scene.articles_count, sizeof(Py_ssize_t)
    )
    for n in range(scene.articles_count):
        scene.price_heads[n] = NOBODY
    for n in range(h.prices_count):
        row = scene.price_rows + 3 * n
        scene.prices[n] = ListPrice(row[0], row[1], row[2], scene.price_heads[row[1]])
        scene.price_heads[row[1]] = n
    return 0
