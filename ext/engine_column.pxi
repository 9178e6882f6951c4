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
    cdef int64_t paid_minor = 0, worth = 0, points
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
            points = _scaled(paid_minor, given[0] * WORTH_SCALE, RATE_ONE, DOWN)
        elif benefit.code == POINTS_FIXED and earning:
            points = paid_minor // given[2] if given[2] else 1
            points = _product(given[0] * WORTH_SCALE, points)
        if points and scene.plan.assets[benefit.asset].is_points:
            points = _scaled(points, scene.plan.point_value_micros, MICROS, DOWN)
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


# --- on sets ----------------------------------------------------------------------------------

cdef Uses _between(Scene *scene, Uses uses, int64_t start, int64_t stop) except *:
    """The pieces of a set from one place to another, dearest first."""
    cdef Uses inside
    cdef int64_t before = 0, count
    cdef Py_ssize_t n
    inside.rows = <Use *> _take(&scene.scratch, uses.count, sizeof(Use))
    inside.count = 0
    for n in range(uses.count):
        count = _least(before + uses.rows[n].pieces, stop) - _most(before, start)
        if count > 0:
            inside.rows[inside.count] = Use(uses.rows[n].place, count)
            inside.count += 1
        before += uses.rows[n].pieces
    return inside


cdef int _weigh_sets(
    Weighing *weighing,
    Runs *places,
    bint per_article,
    int64_t set_count,
    int64_t start,
    int64_t stop,
    int64_t rate_bp,
    bint spread,
) except -1:
    """Sets of so many pieces; of each, dearest first, those between two places are lowered."""
    cdef Scene *scene = weighing.scene
    cdef Ways ways = _no_ways()
    cdef Uses uses, low
    cdef int64_t discount_minor
    cdef Py_ssize_t n
    _choose_by_group(scene, weighing.lane, places, per_article, set_count, &ways)
    for n in range(ways.count):
        uses = _way(&ways, n)
        low = _between(scene, uses, start, stop)
        discount_minor = _share_of(_uses_price(weighing.lane, low), rate_bp, HALF_UP)
        _add_lowering(
            weighing, uses, uses if spread else low, discount_minor, weighing.deal.times_max
        )
    weighing.columns.complete = ways.complete
    return 0


cdef bint _gives_dearer(
    Scene *scene, const Lane *lane, Uses bought, Uses given, const bint *both
) noexcept:
    """Whether a piece is given that is dearer than one bought, where each could be the other."""
    cdef int64_t lowest = UNLIMITED, highest = 0
    cdef Py_ssize_t n
    for n in range(bought.count):
        if both[bought.rows[n].place]:
            lowest = _least(lowest, lane.classes[bought.rows[n].place].price_minor)
    for n in range(given.count):
        if both[given.rows[n].place]:
            highest = _most(highest, lane.classes[given.rows[n].place].price_minor)
    return highest > lowest


cdef bint *_in_both(
    Scene *scene, const Lane *lane, const Runs *left, const Runs *right
) except NULL:
    """For each class whether it is in both."""
    cdef bint *both = <bint *> _take(&scene.scratch, lane.classes_count + 1, sizeof(bint))
    cdef bint *one = <bint *> _take(&scene.scratch, lane.classes_count + 1, sizeof(bint))
    cdef Py_ssize_t n
    memset(both, 0, <size_t> (lane.classes_count + 1) * sizeof(bint))
    memset(one, 0, <size_t> (lane.classes_count + 1) * sizeof(bint))
    for n in range(left.count):
        one[left.rows[n].item] = True
    for n in range(right.count):
        both[right.rows[n].item] = one[right.rows[n].item]
    return both


cdef int _weigh_buy_get(Weighing *weighing, Runs *buys, Runs *gets) except -1:
    """Bought and given pieces; of those that both sets hold what is given is no dearer."""
    cdef Scene *scene = weighing.scene
    cdef const Lane *lane = weighing.lane
    cdef const int64_t *given = weighing.deal.arguments
    cdef const bint *both = _in_both(scene, lane, buys, gets)
    cdef Ways bought = _no_ways(), got = _no_ways()
    cdef Uses low, uses
    cdef int64_t discount_minor, fitting = 0, looked_at = 0
    cdef Arena here
    cdef Py_ssize_t n, m
    _choose_ways(scene, lane, buys, given[0], &bought)
    _choose_ways(scene, lane, gets, given[1], &got)
    weighing.columns.complete = bought.complete and got.complete
    here = _here(&scene.scratch)
    for n in range(bought.count):
        for m in range(got.count):
            if fitting == APPLICATIONS_MAX or looked_at == WAYS_MAX:
                weighing.columns.complete = False
                return 0
            looked_at += 1
            _go_back(&scene.scratch, &here)
            low = _way(&got, m)
            uses = _added_uses(&scene.scratch, _way(&bought, n), low)
            if not _fits_times(lane, uses):
                continue
            if _gives_dearer(scene, lane, _way(&bought, n), low, both):
                continue
            fitting += 1
            discount_minor = _share_of(_uses_price(lane, low), given[2], HALF_UP)
            _add_lowering(
                weighing, uses, uses if given[5] else low, discount_minor, weighing.deal.times_max
            )
    return 0


# --- on bundles -------------------------------------------------------------------------------

cdef enum:
    SEEN_SIZE = 8192  # a power of two, more than twice as many as are ever in it

cdef struct Seen:
    # Different sets of uses in the order in which they were met, with a table of their hashes.
    Uses *rows
    Py_ssize_t count
    int32_t *table


cdef bint _same_uses(Uses left, Uses right) noexcept:
    cdef Py_ssize_t n
    if left.count != right.count:
        return False
    for n in range(left.count):
        if left.rows[n].place != right.rows[n].place:
            return False
        if left.rows[n].pieces != right.rows[n].pieces:
            return False
    return True


cdef bint _see(Seen *seen, Uses uses) noexcept:
    """Remember uses; say whether they are new."""
    cdef uint64_t found = 14695981039346656037u
    cdef Py_ssize_t n
    cdef int32_t at
    for n in range(uses.count):
        found = loyalty_mix(found, <uint64_t> uses.rows[n].place)
        found = loyalty_mix(found, <uint64_t> uses.rows[n].pieces)
    n = <Py_ssize_t> (found & (SEEN_SIZE - 1))
    while True:
        at = seen.table[n]
        if at < 0:
            break
        if _same_uses(seen.rows[at], uses):
            return False
        n = (n + 1) & (SEEN_SIZE - 1)
    seen.table[n] = <int32_t> seen.count
    seen.rows[seen.count] = uses
    seen.count += 1
    return True


cdef bint _next_ways(const Ways *chosen, Py_ssize_t *at, Py_ssize_t parts_count) noexcept:
    """Go on to the next combination, the last part first; False after the last one."""
    cdef Py_ssize_t n = parts_count - 1
    while n >= 0:
        at[n] += 1
        if at[n] < chosen[n].count:
            return True
        at[n] = 0
        n -= 1
    return False


cdef int _look_at_ways(
    Weighing *weighing, const Ways *chosen, Py_ssize_t parts_count, Seen *seen, bint *complete
) except -1:
    """Put one way of each part together, in every combination; what several give comes once."""
    cdef Arena *scratch = &weighing.scene.scratch
    cdef Py_ssize_t *at = <Py_ssize_t *> _take(scratch, parts_count, sizeof(Py_ssize_t))
    cdef int64_t looked_at = 0
    cdef Uses uses
    cdef Arena here
    cdef Py_ssize_t n
    for n in range(parts_count):
        at[n] = 0
        if not chosen[n].count:
            return 0
    while True:
        looked_at += 1
        here = _here(scratch)
        uses = _copy_uses(scratch, _way(&chosen[0], at[0]))
        for n in range(1, parts_count):
            uses = _added_uses(scratch, uses, _way(&chosen[n], at[n]))
        if not _fits_times(weighing.lane, uses) or not _see(seen, uses):
            _go_back(scratch, &here)
        if seen.count > APPLICATIONS_MAX or looked_at > WAYS_MAX:
            complete[0] = False
            return 0
        if not _next_ways(chosen, at, parts_count):
            return 0


cdef int _weigh_bundle(Weighing *weighing, Runs *parts) except -1:
    """Pieces of every part."""
    cdef Scene *scene = weighing.scene
    cdef const Deal *deal = weighing.deal
    cdef Ways *chosen = <Ways *> _take(&scene.scratch, deal.parts_count, sizeof(Ways))
    cdef Seen seen
    cdef bint complete = True
    cdef int64_t discount_minor
    cdef Py_ssize_t n
    for n in range(deal.parts_count):
        chosen[n] = _no_ways()
        _choose_ways(scene, weighing.lane, &parts[n], deal.arguments[3 + n], &chosen[n])
        complete = complete and chosen[n].complete
    seen.rows = <Uses *> _take(&scene.scratch, APPLICATIONS_MAX + 1, sizeof(Uses))
    seen.table = <int32_t *> _take(&scene.scratch, SEEN_SIZE, sizeof(int32_t))
    seen.count = 0
    memset(seen.table, 0xFF, SEEN_SIZE * sizeof(int32_t))
    _look_at_ways(weighing, chosen, deal.parts_count, &seen, &complete)
    for n in range(_least(seen.count, APPLICATIONS_MAX)):
        discount_minor = _bundle_discount(
            deal.arguments, _uses_price(weighing.lane, seen.rows[n])
        )
        _add_lowering(weighing, seen.rows[n], seen.rows[n], discount_minor, deal.times_max)
    weighing.columns.complete = complete
    return 0


# --- only rewards -----------------------------------------------------------------------------

cdef int _weigh_rewards(Weighing *weighing) except -1:
    """Applications of a promotion that only gives points: pieces, sets of them, or all of them."""
    cdef Scene *scene = weighing.scene
    cdef const Promotion *promotion = weighing.promotion
    cdef const Benefit *benefit
    cdef const int64_t *fixed = NULL
    cdef Runs places
    cdef Ways ways = _no_ways()
    cdef Uses uses
    cdef Py_ssize_t n
    places = _places_of(scene, weighing.lane, promotion, promotion.target, False)
    for n in range(promotion.benefits_count - 1, -1, -1):
        benefit = &scene.plan.benefits[promotion.benefits + n]
        if benefit.code == POINTS_FIXED:
            fixed = scene.plan.pool + benefit.arguments
    if fixed == NULL:
        uses = _copy_uses(&scene.scratch, _all_of(scene, &places))
        for n in range(uses.count):
            _add_use(&scene.scratch, &ways, uses.rows[n].place, 1)
            _end_way(&scene.scratch, &ways)
    elif not fixed[1] or fixed[2]:
        uses = _all_of(scene, &places)
        if uses.count:
            _add_column(weighing, uses, uses, 0, 1)
    else:
        _choose_ways(scene, weighing.lane, &places, fixed[1], &ways)
    for n in range(ways.count):
        uses = _way(&ways, n)
        _add_column(weighing, uses, uses, 0, UNLIMITED)
    weighing.columns.complete = ways.complete
    return 0


# --- any --------------------------------------------------------------------------------------

cdef int _weigh_prices(Weighing *weighing) except -1:
    """List the applications of a promotion's price benefit."""
    cdef Scene *scene = weighing.scene
    cdef const Promotion *promotion = weighing.promotion
    cdef const Benefit *benefit = weighing.deal.benefit
    cdef const int64_t *given = weighing.deal.arguments
    cdef const int64_t *sets = scene.plan.pool + benefit.parts
    cdef Py_ssize_t n, count = _most(1, benefit.parts_count)
    cdef Runs *parts = <Runs *> _take(&scene.scratch, count, sizeof(Runs))
    cdef int64_t code = benefit.code, start, stop
    if not benefit.parts_count:
        sets = &promotion.target
    for n in range(count):
        parts[n] = _places_of(scene, weighing.lane, promotion, sets[n], True)
    if code == QUANTITY_TIERS:
        return _weigh_tiers(weighing, &parts[0])
    if code == RECEIPT_DISCOUNT:
        return _weigh_whole(weighing, &parts[0])
    if code == N_PLUS_M:
        # pay, free, per_article, as_quantity, partly, spread: full sets only.
        return _weigh_sets(
            weighing, &parts[0], <bint> given[2], given[0] + given[1], given[0],
            given[0] + given[1], RATE_ONE, <bint> given[5]
        )
    if code == NTH_ITEM or code == CHEAPEST_FREE:
        # set_count, free_count, rate, which, spread, per_article
        start = 0 if given[3] == PICK_DEAREST else given[0] - given[1]
        stop = given[1] if given[3] == PICK_DEAREST else given[0]
        return _weigh_sets(
            weighing, &parts[0], <bint> given[5], given[0], start, stop, given[2], <bint> given[4]
        )
    if code == BUY_GET:
        return _weigh_buy_get(weighing, &parts[0], &parts[1])
    if code == BUNDLE_PRICE:
        return _weigh_bundle(weighing, parts)
    return _weigh_pieces(weighing, &parts[0])
