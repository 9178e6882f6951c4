"""The applications of a promotion in a best lane: pieces it fires on once, and what is off then."""

cdef struct Column:
    Uses uses
    Uses bearing
    int64_t discount_minor
    int64_t times_max
    int64_t worth

cdef struct Columns:
    Column *rows
    Py_ssize_t count
    Py_ssize_t size
    bint complete

cdef struct Weighing:
    # A promotion whose applications are listed; `deal` only where it lowers a price.
    Scene *scene
    const Lane *lane
    int64_t number
    const Promotion *promotion
    const Deal *deal
    Columns *columns


cdef int64_t _uses_price(const Lane *lane, Uses uses) noexcept:
    cdef int64_t total = 0
    cdef Py_ssize_t n
    for n in range(uses.count):
        total += lane.classes[uses.rows[n].place].price_minor * uses.rows[n].pieces
    return total


cdef int64_t _points_worth(
    const Weighing *weighing, Uses uses, int64_t discount_minor
) except? -1:
    """What the points of an application are worth, hundredths of a minor unit."""
    cdef Scene *scene = weighing.scene
    cdef const Promotion *promotion = weighing.promotion
    cdef const Benefit *benefit
    cdef const int64_t *given
    cdef const PieceClass *one
    cdef int64_t paid_minor = 0, worth = 0, points, value_micros
    cdef bint earning = False
    cdef Py_ssize_t n
    if not scene.header.earns:
        return 0
    for n in range(uses.count):
        one = &weighing.lane.classes[uses.rows[n].place]
        if _earns_for(promotion, &scene.items[one.item]):
            earning = True
            paid_minor += one.price_minor * uses.rows[n].pieces
    paid_minor = _most(0, paid_minor - discount_minor)
    for n in range(promotion.prices_count, promotion.benefits_count):
        benefit = &scene.plan.benefits[promotion.benefits + n]
        given = scene.plan.pool + benefit.arguments
        points = 0
        if benefit.code == POINTS_RATE:
            points = _scaled_to(
                POINTS_MAX, paid_minor, given[0] * WORTH_SCALE, RATE_ONE, DOWN
            )
        elif benefit.code == POINTS_FIXED and earning:
            points = paid_minor // given[2] if given[2] else 1
            points = _product_to(POINTS_MAX, given[0] * WORTH_SCALE, points)
        value_micros = scene.plan.assets[benefit.asset].value_micros if points else NOBODY
        if value_micros >= 0:
            points = _scaled_to(POINTS_MAX, points, value_micros, MICROS, DOWN)
        worth += points
    return worth


cdef int _add_column(
    Weighing *weighing, Uses uses, Uses bearing, int64_t discount_minor, int64_t times_max
) except -1:
    """Add an application that is worth something; its pieces are copied."""
    cdef Columns *columns = weighing.columns
    cdef Arena *kept = &weighing.scene.kept
    cdef int64_t worth = _product(discount_minor, WORTH_SCALE)
    cdef Column *column
    worth += _points_worth(weighing, uses, discount_minor)
    if worth <= 0:
        return 0
    columns.rows = <Column *> _grown(
        kept, columns.rows, columns.count, &columns.size, sizeof(Column)
    )
    column = &columns.rows[columns.count]
    column.uses = _copy_uses(kept, uses)
    column.bearing = column.uses
    if bearing.rows != uses.rows or bearing.count != uses.count:
        column.bearing = _copy_uses(kept, bearing)
    column.discount_minor, column.worth = discount_minor, worth
    column.times_max = _least(times_max, _fits_times(weighing.lane, uses))
    columns.count += 1
    return 0


cdef int _add_lowering(
    Weighing *weighing, Uses uses, Uses bearing, int64_t discount_minor, int64_t times_max
) except -1:
    """Add an application that takes something off, held to what the floors of its pieces let go."""
    cdef int64_t room_minor = 0
    cdef Py_ssize_t n
    for n in range(bearing.count):
        room_minor += weighing.lane.classes[bearing.rows[n].place].room_minor * (
            bearing.rows[n].pieces
        )
    discount_minor = _least(discount_minor, room_minor)
    if discount_minor <= 0:
        return 0
    return _add_column(weighing, uses, bearing, discount_minor, times_max)


cdef Ways _no_ways() noexcept:
    cdef Ways ways
    memset(&ways, 0, sizeof(Ways))
    ways.complete = True
    return ways


# --- on pieces --------------------------------------------------------------------------------

cdef int64_t _off_piece(const Weighing *weighing, const PieceClass *one) except? -1:
    """What the benefit takes off one piece."""
    cdef const int64_t *given = weighing.deal.arguments
    cdef int64_t code = weighing.deal.benefit.code, price_minor
    if code == PERCENT_OFF:
        return _share_of(one.price_minor, given[4], given[5])
    if code == AMOUNT_OFF:
        return _for_units(given[4], one.piece_milli)
    price_minor = given[4] if code == FIXED_PRICE else _listed_price(
        weighing.scene, &weighing.scene.items[one.item], given[0]
    )
    if price_minor < 0:
        return 0
    return one.price_minor - _for_units(price_minor, one.piece_milli)


cdef int _weigh_pieces(Weighing *weighing, Runs *places) except -1:
    """One application for each class, or for each full group of pieces."""
    cdef Scene *scene = weighing.scene
    cdef const int64_t *given = weighing.deal.arguments
    cdef bint grouped = weighing.deal.benefit.code != PRICE_LIST and given[2] != 0
    cdef Ways ways = _no_ways()
    cdef Uses uses
    cdef int64_t discount_minor
    cdef Py_ssize_t n, m
    if grouped:
        _choose_by_group(scene, weighing.lane, places, <bint> given[3], given[2], &ways)
    else:
        for n in range(places.count):
            _add_use(&scene.scratch, &ways, places.rows[n].item, 1)
            _end_way(&scene.scratch, &ways)
    for n in range(ways.count):
        uses = _way(&ways, n)
        discount_minor = 0
        for m in range(uses.count):
            discount_minor += uses.rows[m].pieces * _off_piece(
                weighing, &weighing.lane.classes[uses.rows[m].place]
            )
        _add_lowering(weighing, uses, uses, discount_minor, UNLIMITED)
    weighing.columns.complete = ways.complete
    return 0


cdef Uses _all_of(Scene *scene, const Runs *places) except *:
    """All pieces of some places."""
    cdef Uses uses
    cdef Py_ssize_t n
    uses.rows = <Use *> _take(&scene.scratch, places.count, sizeof(Use))
    uses.count = places.count
    for n in range(places.count):
        uses.rows[n] = Use(places.rows[n].item, places.rows[n].pieces)
    return uses


cdef int _weigh_tiers(Weighing *weighing, Runs *places) except -1:
    """All pieces of an article, or of the set, at the tier that they reach together."""
    cdef Scene *scene = weighing.scene
    cdef const int64_t *given = weighing.deal.arguments
    cdef const int64_t *tier
    cdef const PieceClass *one
    cdef Py_ssize_t n, m, groups_count = 0, start = 0
    cdef Py_ssize_t *ends
    cdef Runs group
    cdef int64_t reached, discount_minor
    ends = _places_by_article(scene, weighing.lane, places, <bint> given[0], &groups_count)
    for n in range(groups_count):
        group = _slice(places, start, ends[n])
        start = ends[n]
        reached = discount_minor = 0
        for m in range(group.count):
            one = &weighing.lane.classes[group.rows[m].item]
            reached += one.piece_milli * one.capacity
        tier = _tier_of(given, reached)
        if tier == NULL:
            continue
        for m in range(group.count):
            one = &weighing.lane.classes[group.rows[m].item]
            discount_minor += one.capacity * _least(
                one.room_minor, _tier_discount(tier, one.piece_milli, one.price_minor, given[1])
            )
        _add_lowering(
            weighing, _all_of(scene, &group), _all_of(scene, &group), discount_minor, 1
        )
    return 0


cdef int _weigh_whole(Weighing *weighing, Runs *places) except -1:
    """All pieces of the set at once."""
    cdef const int64_t *given = weighing.deal.arguments
    cdef Uses uses = _all_of(weighing.scene, places)
    cdef int64_t price_minor = _uses_price(weighing.lane, uses), total_minor = given[1]
    if not total_minor:
        total_minor = _share_of(price_minor, given[0], given[4])
    if given[2]:
        total_minor = _most(0, price_minor - given[2])
    if given[3]:
        total_minor = _least(total_minor, given[3])
    if not uses.count:
        return 0
    return _add_lowering(weighing, uses, uses, total_minor, 1)
