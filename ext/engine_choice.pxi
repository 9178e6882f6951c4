"""What a best lane chooses from: classes of equal pieces, and ways to choose some of them."""

cdef enum:
    APPLICATIONS_MAX = 2000
    WAYS_MAX = 20000

cdef struct PieceClass:
    # Pieces of an item that cost the same, or all of what is weighed as one piece.
    Py_ssize_t item
    int64_t capacity
    int64_t price_minor
    int64_t room_minor
    int64_t piece_milli

cdef struct ClassRange:
    Py_ssize_t start
    Py_ssize_t count

cdef struct Use:
    int64_t place
    int64_t pieces

cdef struct Uses:
    Use *rows
    Py_ssize_t count

cdef struct Ways:
    # Ways to choose pieces, each a range of `rows`: from the end of the one before to its own.
    Use *rows
    Py_ssize_t rows_count
    Py_ssize_t rows_size
    Py_ssize_t *ends
    Py_ssize_t count
    Py_ssize_t ends_size
    bint complete

cdef struct Lane:
    # The classes of a lane, and which of them belong to each item.
    PieceClass *classes
    Py_ssize_t classes_count
    ClassRange *of_items


cdef int64_t _piece_room(const Item *item, int64_t price_minor) except? -1:
    """What of a piece's price the floor lets go, so that all pieces together keep it."""
    if _item_room(item) >= item.start_minor:
        return price_minor
    return _least(price_minor, _scaled(_item_room(item), MILLI, item.quantity_milli, DOWN))


cdef int _add_class(
    Lane *lane, const Item *item, Py_ssize_t number, int64_t capacity, int64_t price_minor
) except -1:
    if not capacity or not price_minor:
        return 0
    lane.classes[lane.classes_count] = PieceClass(
        number, capacity, price_minor, _piece_room(item, price_minor), MILLI
    )
    lane.classes_count += 1
    lane.of_items[number].count += 1
    return 0


cdef int _open_classes(Scene *scene, Lane *lane) except -1:
    """Part the open pieces of items into classes, in canonical order, the dearer ones first."""
    cdef const Item *item
    cdef int64_t pieces, total_minor, low, dearer, room_minor
    cdef Py_ssize_t n
    lane.classes_count = 0
    lane.classes = <PieceClass *> _take(
        &scene.kept, 2 * scene.items_count, sizeof(PieceClass)
    )
    lane.of_items = <ClassRange *> _take(&scene.kept, scene.items_count, sizeof(ClassRange))
    for n in range(scene.items_count):
        item = &scene.items[n]
        lane.of_items[n].start, lane.of_items[n].count = lane.classes_count, 0
        if not item.counted:
            if item.open_milli == item.quantity_milli:
                room_minor = _least(item.start_minor, _item_room(item))
                lane.classes[lane.classes_count] = PieceClass(
                    n, 1, item.start_minor, room_minor, item.quantity_milli
                )
                lane.classes_count += 1
                lane.of_items[n].count = 1
            continue
        pieces = item.open_milli // MILLI
        if not pieces:
            continue
        total_minor = _scaled(item.start_minor, pieces * MILLI, item.quantity_milli, DOWN)
        low = total_minor // pieces
        dearer = total_minor - low * pieces
        _add_class(lane, item, n, dearer, low + 1)
        _add_class(lane, item, n, pieces - dearer, low)
    return 0


# --- places: numbers of classes, dearest first ------------------------------------------------

cdef Runs _places_of(
    Scene *scene, const Lane *lane, const Promotion *promotion, int64_t set_number, bint lowers
) except *:
    """The classes of a set that a promotion may work on, as runs whose item is the class."""
    cdef Range found = _members_of(scene, set_number)
    cdef Runs places = _new_runs(scene, 2 * found.count)
    cdef const Item *item
    cdef ClassRange own
    cdef Py_ssize_t n, m
    for n in range(found.count):
        item = &scene.items[found.items[n]]
        if not _knows(promotion, item):
            continue
        if not _is_usable(promotion, item) if lowers else not _earns_for(promotion, item):
            continue
        own = lane.of_items[found.items[n]]
        for m in range(own.start, own.start + own.count):
            _add_run(&places, m, lane.classes[m].capacity, 0, lane.classes[m].price_minor)
    _sort_runs(&places, True)
    return places


cdef Py_ssize_t *_places_by_article(
    Scene *scene, const Lane *lane, Runs *places, bint per_article, Py_ssize_t *groups_count
) except NULL:
    """Bring places together by article, in order of their skus; say where each group ends."""
    cdef Py_ssize_t *ends = <Py_ssize_t *> _take(
        &scene.scratch, places.count + 1, sizeof(Py_ssize_t)
    )
    cdef Py_ssize_t n
    groups_count[0] = 0
    if not per_article:
        groups_count[0] = 1
        ends[0] = places.count
        return ends
    for n in range(places.count):
        places.rows[n].skip = scene.items[lane.classes[places.rows[n].item].item].sku
        places.rows[n].skip = places.rows[n].skip * places.count + n
    qsort(places.rows, <size_t> places.count, sizeof(Run), &_compare_by_article)
    for n in range(places.count):
        places.rows[n].skip = scene.items[lane.classes[places.rows[n].item].item].sku
    for n in range(1, places.count + 1):
        if n == places.count or places.rows[n].skip != places.rows[n - 1].skip:
            ends[groups_count[0]] = n
            groups_count[0] += 1
    return ends


# --- ways -------------------------------------------------------------------------------------

cdef int _add_use(Arena *arena, Ways *ways, int64_t place, int64_t pieces) except -1:
    ways.rows = <Use *> _grown(
        arena, ways.rows, ways.rows_count, &ways.rows_size, sizeof(Use)
    )
    ways.rows[ways.rows_count] = Use(place, pieces)
    ways.rows_count += 1
    return 0


cdef int _end_way(Arena *arena, Ways *ways) except -1:
    ways.ends = <Py_ssize_t *> _grown(
        arena, ways.ends, ways.count, &ways.ends_size, sizeof(Py_ssize_t)
    )
    ways.ends[ways.count] = ways.rows_count
    ways.count += 1
    return 0


cdef Uses _way(const Ways *ways, Py_ssize_t number) noexcept:
    cdef Uses uses
    cdef Py_ssize_t start = ways.ends[number - 1] if number else 0
    uses.rows = ways.rows + start
    uses.count = ways.ends[number] - start
    return uses


cdef struct Choosing:
    # Counted places with the pieces of all from each on; what is chosen so far; where it goes.
    const Run *places
    Py_ssize_t places_count
    const int64_t *left_from
    Use *chosen
    Ways *ways
    Arena *arena
    Py_ssize_t ways_max


cdef int _every_way(
    Choosing *choosing, Py_ssize_t start, Py_ssize_t depth, int64_t count
) except -1:
    """Choose so many pieces from some place on in every way, most of the dearest first.

    Where what is left does not suffice nothing is tried: every branch ends in a way.
    """
    cdef Py_ssize_t at, n
    cdef int64_t pieces
    if not count:
        for n in range(depth):
            _add_use(
                choosing.arena, choosing.ways, choosing.chosen[n].place, choosing.chosen[n].pieces
            )
        return _end_way(choosing.arena, choosing.ways)
    for at in range(start, choosing.places_count):
        if choosing.left_from[at] < count:
            break
        pieces = _least(count, choosing.places[at].pieces)
        while pieces and choosing.left_from[at + 1] >= count - pieces:
            choosing.chosen[depth] = Use(choosing.places[at].item, pieces)
            _every_way(choosing, at + 1, depth + 1, count - pieces)
            if choosing.ways.count > choosing.ways_max:
                return 0
            pieces -= 1
    return 0


cdef int _without_gap(
    Arena *arena, const Run *places, Py_ssize_t places_count, int64_t count, Ways *ways
) except -1:
    """Some pieces of a class, then all of the next ones until there are enough."""
    cdef Py_ssize_t at, following, start
    cdef int64_t pieces, left, part
    for at in range(places_count):
        pieces = _least(count, places[at].pieces)
        while pieces:
            start = ways.rows_count
            _add_use(arena, ways, places[at].item, pieces)
            left = count - pieces
            following = at + 1
            while left and following < places_count:
                part = _least(left, places[following].pieces)
                _add_use(arena, ways, places[following].item, part)
                left -= part
                following += 1
            if left:
                ways.rows_count = start
            else:
                _end_way(arena, ways)
            pieces -= 1
    return 0


cdef int _choose_ways(
    Scene *scene, const Lane *lane, const Runs *places, int64_t count, Ways *ways
) except -1:
    """Add the ways to choose so many counted pieces, each dearest first.

    All ways, or if they are more than APPLICATIONS_MAX only those without a gap in the price.
    """
    cdef Runs counted = _new_runs(scene, places.count)
    cdef int64_t *left_from = _int64s(&scene.scratch, places.count + 1)
    cdef Choosing choosing
    cdef Py_ssize_t n, before_rows = ways.rows_count, before = ways.count
    for n in range(places.count):
        if scene.items[lane.classes[places.rows[n].item].item].counted:
            counted.rows[counted.count] = places.rows[n]
            counted.count += 1
    left_from[counted.count] = 0
    for n in range(counted.count - 1, -1, -1):
        left_from[n] = left_from[n + 1] + counted.rows[n].pieces
    choosing.places, choosing.places_count = counted.rows, counted.count
    choosing.left_from = left_from
    choosing.chosen = <Use *> _take(&scene.scratch, counted.count, sizeof(Use))
    choosing.ways, choosing.arena = ways, &scene.scratch
    choosing.ways_max = before + APPLICATIONS_MAX
    _every_way(&choosing, 0, 0, count)
    if ways.count <= choosing.ways_max:
        return 0
    ways.rows_count, ways.count = before_rows, before
    ways.complete = False
    return _without_gap(&scene.scratch, counted.rows, counted.count, count, ways)


cdef int _choose_by_group(
    Scene *scene,
    const Lane *lane,
    Runs *places,
    bint per_article,
    int64_t count,
    Ways *ways,
) except -1:
    """Ways to choose so many pieces of the set, or of each article."""
    cdef Py_ssize_t n, groups_count = 0, start = 0
    cdef Py_ssize_t *ends = _places_by_article(scene, lane, places, per_article, &groups_count)
    cdef Runs group
    for n in range(groups_count):
        group = _slice(places, start, ends[n])
        start = ends[n]
        _choose_ways(scene, lane, &group, count, ways)
    return 0


cdef int _compare_uses(const void *left, const void *right) noexcept nogil:
    return _compare((<const Use *> left).place, (<const Use *> right).place)


cdef Uses _copy_uses(Arena *arena, Uses uses) except *:
    """A copy in ascending order of classes."""
    cdef Uses copied
    cdef Py_ssize_t n
    copied.rows = <Use *> _take(arena, uses.count, sizeof(Use))
    copied.count = uses.count
    if uses.count:
        memcpy(copied.rows, uses.rows, <size_t> uses.count * sizeof(Use))
    for n in range(1, uses.count):
        if copied.rows[n - 1].place > copied.rows[n].place:
            qsort(copied.rows, <size_t> copied.count, sizeof(Use), &_compare_uses)
            break
    return copied


cdef int64_t _fits_times(const Lane *lane, Uses uses) except? -1:
    """How often the pieces are there."""
    cdef int64_t times = UNLIMITED
    cdef Py_ssize_t n
    for n in range(uses.count):
        times = _least(times, lane.classes[uses.rows[n].place].capacity // uses.rows[n].pieces)
    return times


cdef Uses _added_uses(Arena *arena, Uses left, Uses right) except *:
    """Both together, in ascending order of classes."""
    cdef Uses both, ordered
    cdef Py_ssize_t n
    both.rows = <Use *> _take(arena, left.count + right.count, sizeof(Use))
    if left.count:
        memcpy(both.rows, left.rows, <size_t> left.count * sizeof(Use))
    if right.count:
        memcpy(both.rows + left.count, right.rows, <size_t> right.count * sizeof(Use))
    both.count = left.count + right.count
    ordered = _copy_uses(arena, both)
    ordered.count = 0
    for n in range(both.count):
        if ordered.count and ordered.rows[ordered.count - 1].place == ordered.rows[n].place:
            ordered.rows[ordered.count - 1].pieces += ordered.rows[n].pieces
        else:
            ordered.rows[ordered.count] = ordered.rows[n]
            ordered.count += 1
    return ordered
