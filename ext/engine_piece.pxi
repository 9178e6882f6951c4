"""Benefits on each piece, kilogram or litre: percentage, amount, price, price by quantity."""

cdef struct Chosen:
    Py_ssize_t *items
    int64_t *milli
    int64_t *prices
    int64_t *discounts
    Py_ssize_t count


cdef Chosen _new_chosen(Scene *scene, Py_ssize_t count) except *:
    cdef Chosen chosen
    chosen.items = <Py_ssize_t *> _take(&scene.scratch, count, sizeof(Py_ssize_t))
    chosen.milli = _int64s(&scene.scratch, count)
    chosen.prices = _int64s(&scene.scratch, count)
    chosen.discounts = _int64s(&scene.scratch, count)
    chosen.count = 0
    return chosen


cdef bint _pays_for_all(Scene *scene, const Deal *deal, Range items) except -1:
    """Whether the cost can be paid for each piece and each weighed article."""
    cdef int64_t units = 0
    cdef const Item *item
    cdef Py_ssize_t n
    if deal.units_max == UNLIMITED:
        return True
    for n in range(items.count):
        item = &scene.items[items.items[n]]
        units += _open_milli(deal, item) // MILLI if item.counted else 1
    return units <= deal.units_max


cdef Chosen _all_pieces(Scene *scene, const Deal *deal, Range items) except *:
    """All of the items, or as many pieces and weighed articles as can be paid for."""
    cdef int64_t[4] whole
    memset(whole, 0, sizeof(whole))
    return _choose_pieces(scene, deal, items, whole)


cdef Chosen _choose_pieces(
    Scene *scene, const Deal *deal, Range items, const int64_t *pieces
) except *:
    """How much of each item a benefit takes, in canonical order.

    `pieces` is count_max, pick, full_groups_of, per_article.
    """
    cdef Chosen chosen
    cdef Py_ssize_t n
    cdef int64_t own
    if pieces[0] or pieces[2] or not _pays_for_all(scene, deal, items):
        return _some_pieces(scene, deal, items, pieces)
    chosen = _new_chosen(scene, items.count)
    for n in range(items.count):
        own = _open_milli(deal, &scene.items[items.items[n]])
        _choose(scene, deal, &chosen, items.items[n], own)
    return chosen


cdef int _choose(
    Scene *scene, const Deal *deal, Chosen *chosen, Py_ssize_t item, int64_t milli
) except -1:
    chosen.items[chosen.count] = item
    chosen.milli[chosen.count] = milli
    chosen.prices[chosen.count] = _price(deal, &scene.items[item], milli, 0)
    chosen.count += 1
    return 0


cdef Chosen _some_pieces(
    Scene *scene, const Deal *deal, Range items, const int64_t *pieces
) except *:
    """As many pieces as the choice and the cost let it, in the order in which it picks."""
    cdef Runs runs = _counted_runs(scene, deal, items)
    cdef Chosen chosen = _new_chosen(scene, items.count)
    cdef uint64_t mark
    cdef Item *item
    cdef Py_ssize_t n
    cdef int64_t own
    if not pieces[0] and not pieces[2]:
        runs = _with_weighed(scene, deal, items, &runs)
    _sort_runs(&runs, pieces[1] == PICK_DEAREST)
    mark = _keep_pieces(scene, &runs, pieces, deal.units_max)
    for n in range(items.count):
        item = &scene.items[items.items[n]]
        if item.mark == mark:
            own = runs.rows[item.mark_place].pieces * MILLI
            if not item.counted:
                own = _open_milli(deal, item)
            _choose(scene, deal, &chosen, items.items[n], own)
    return chosen


cdef Runs _with_weighed(
    Scene *scene, const Deal *deal, Range items, const Runs *counted
) except *:
    """The runs, and what is weighed as one piece each; `skip` sorts those behind equal ones."""
    cdef Runs runs = _new_runs(scene, items.count)
    cdef const Item *item
    cdef Py_ssize_t n
    memcpy(runs.rows, counted.rows, <size_t> counted.count * sizeof(Run))
    runs.count = counted.count
    for n in range(items.count):
        item = &scene.items[items.items[n]]
        if not item.counted:
            _add_run(&runs, items.items[n], 1, 1, _price_rank(deal, item))
    return runs


cdef uint64_t _keep_pieces(
    Scene *scene, Runs *runs, const int64_t *pieces, int64_t units_max
) except 0:
    """Cut runs down to what is taken; mark their items with the place of the run."""
    cdef Py_ssize_t n, group, groups_count = 0, start = 0
    cdef Py_ssize_t *ends = _part_by_article(scene, runs, <bint> pieces[3], &groups_count)
    cdef int64_t left = units_max, kept, own
    cdef uint64_t mark = _next_mark(scene)
    for group in range(groups_count):
        kept = 0
        for n in range(start, ends[group]):
            kept += runs.rows[n].pieces
        if pieces[0]:
            kept = _least(kept, pieces[0])
        if pieces[2]:
            kept -= kept % pieces[2]
        kept = _least(kept, left)
        left -= kept
        for n in range(start, ends[group]):
            own = _least(runs.rows[n].pieces, kept)
            kept -= own
            if own:
                runs.rows[n].pieces = own
                scene.items[runs.rows[n].item].mark = mark
                scene.items[runs.rows[n].item].mark_place = n
        start = ends[group]
    return mark


cdef inline uint64_t _next_mark(Scene *scene) noexcept:
    """A mark that no item has."""
    scene.mark += 1
    return scene.mark


cdef int _lower_each(
    Scene *scene, Chosen *chosen, int64_t nothing, Proposal *proposal
) except -1:
    """Lower each item by its own discount, as far as its price and floor go."""
    cdef Py_ssize_t n
    for n in range(chosen.count):
        chosen.discounts[n] = _least(
            chosen.discounts[n], _room(&scene.items[chosen.items[n]], chosen.prices[n])
        )
    return _fire_each(scene, chosen, nothing, proposal)


cdef int _fire_each(
    Scene *scene, const Chosen *chosen, int64_t nothing, Proposal *proposal
) except -1:
    """Fire once for each item that is lowered; the others are not taken."""
    cdef Py_ssize_t n
    cdef int64_t units = 0
    proposal.taken = <Taken *> _take(&scene.scratch, chosen.count, sizeof(Taken))
    for n in range(chosen.count):
        if chosen.discounts[n]:
            _take_some(proposal, chosen.items[n], chosen.milli[n], chosen.discounts[n])
            units += chosen.milli[n] // MILLI if scene.items[chosen.items[n]].counted else 1
    if not proposal.taken_count:
        return _propose_nothing(proposal, nothing if chosen.count else IF_NOT_COUNTED, 0)
    return _propose_some(proposal, proposal.taken_count, units, False)


cdef int _percent_off(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Take a percentage off. Arguments: pieces (4), rate, rounding, rounded_on."""
    cdef const int64_t *given = deal.arguments
    cdef int64_t rate_bp = given[4], rounding = given[5], rounded_on = given[6]
    cdef Chosen chosen = _choose_pieces(scene, deal, deal.items, given)
    cdef int64_t before = 0, upto, taken = 0, total_minor
    cdef Py_ssize_t n
    if rounded_on == ROUNDED_ON_TOTAL:
        total_minor = _share_of(_sum_of(chosen.prices, chosen.count), rate_bp, rounding)
        _share_discount(
            scene, total_minor, chosen.items, chosen.prices, chosen.count, chosen.discounts
        )
        return _fire_each(scene, &chosen, IF_FLOOR, proposal)
    for n in range(chosen.count):
        if rounded_on == ROUNDED_ON_ITEM:
            chosen.discounts[n] = _share_of(chosen.prices[n], rate_bp, rounding)
        elif rounded_on == ROUNDED_ON_PIECE:
            chosen.discounts[n] = _percent_by_piece(
                &scene.items[chosen.items[n]], chosen.milli[n], chosen.prices[n], rate_bp, rounding
            )
        else:
            # What rounding takes of one item goes to the next.
            before += chosen.prices[n]
            upto = _share_of(before, rate_bp, rounding)
            chosen.discounts[n] = upto - taken
            taken = upto
    return _lower_each(scene, &chosen, IF_FLOOR, proposal)


cdef int64_t _percent_by_piece(
    const Item *item, int64_t milli, int64_t price_minor, int64_t rate_bp, int64_t rounding
) except? -1:
    """Round on each piece; prices of an item's pieces differ by at most one unit."""
    cdef int64_t pieces, low, dearer, discount
    if not item.counted:
        return _share_of(price_minor, rate_bp, rounding)
    pieces = milli // MILLI
    low = price_minor // pieces
    dearer = price_minor - low * pieces
    discount = (pieces - dearer) * _share_of(low, rate_bp, rounding)
    return discount + dearer * _share_of(low + 1, rate_bp, rounding)


cdef inline int64_t _for_units(int64_t amount_minor, int64_t milli) except? -1:
    """An amount for every unit; parts of one round half up."""
    return _scaled(amount_minor, milli, MILLI, HALF_UP)


cdef int _amount_off(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Take an amount off each unit or item. Arguments: pieces (4), amount, per_item."""
    cdef const int64_t *given = deal.arguments
    cdef Chosen chosen = _choose_pieces(scene, deal, deal.items, given)
    cdef Py_ssize_t n
    for n in range(chosen.count):
        chosen.discounts[n] = given[4] if given[5] else _for_units(given[4], chosen.milli[n])
    return _lower_each(scene, &chosen, IF_FLOOR, proposal)


cdef int _fixed_price(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Bring pieces to a price. Arguments: pieces (4), price."""
    cdef const int64_t *given = deal.arguments
    cdef Chosen chosen = _choose_pieces(scene, deal, deal.items, given)
    cdef Py_ssize_t n
    for n in range(chosen.count):
        chosen.discounts[n] = _most(
            0, chosen.prices[n] - _for_units(given[4], chosen.milli[n])
        )
    return _lower_each(scene, &chosen, IF_PRICE, proposal)


cdef int64_t _listed_price(const Scene *scene, const Item *item, int64_t list_number) noexcept:
    """The price of an article on a list; -1 if it is not on it."""
    cdef Py_ssize_t n
    if not scene.header.prices_count:
        return NOBODY
    n = scene.price_heads[item.sku]
    while n != NOBODY:
        if scene.prices[n].list_number == list_number:
            return scene.prices[n].price_minor
        n = scene.prices[n].next_one
    return NOBODY


cdef int _price_list(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Bring the articles of a list to its prices. Arguments: the list."""
    cdef Range listed
    cdef Chosen chosen
    cdef Py_ssize_t n
    cdef int64_t price_minor
    listed.items = <Py_ssize_t *> _take(&scene.scratch, deal.items.count, sizeof(Py_ssize_t))
    listed.count = 0
    for n in range(deal.items.count):
        if _listed_price(scene, &scene.items[deal.items.items[n]], deal.arguments[0]) != NOBODY:
            listed.items[listed.count] = deal.items.items[n]
            listed.count += 1
    if not listed.count:
        return _propose_nothing(proposal, IF_PRICE, 0)
    chosen = _all_pieces(scene, deal, listed)
    for n in range(chosen.count):
        price_minor = _listed_price(scene, &scene.items[chosen.items[n]], deal.arguments[0])
        chosen.discounts[n] = _most(
            0, chosen.prices[n] - _for_units(price_minor, chosen.milli[n])
        )
    return _lower_each(scene, &chosen, IF_PRICE, proposal)


# --- price by quantity ------------------------------------------------------------------------

cdef const int64_t *_tier_of(const int64_t *given, int64_t milli) noexcept:
    """The tier that a quantity reaches; NULL if none.

    `given` is per_article, rounding, count, then tiers of from, rate, amount off, price.
    """
    cdef const int64_t *reached = NULL
    cdef Py_ssize_t n
    for n in range(given[2]):
        if given[3 + 4 * n] <= milli:
            reached = given + 3 + 4 * n
    return reached


cdef int64_t _tier_discount(
    const int64_t *tier, int64_t milli, int64_t price_minor, int64_t rounding
) except? -1:
    if tier[1]:
        return _share_of(price_minor, tier[1], rounding)
    if tier[2]:
        return _for_units(tier[2], milli)
    return _most(0, price_minor - _for_units(tier[3], milli))


cdef int _quantity_tiers(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Apply to every article, or to all of them, the tier that its quantity reaches."""
    cdef const int64_t *given = deal.arguments
    cdef const int64_t *tier
    cdef Chosen chosen = _all_pieces(scene, deal, deal.items)
    cdef int64_t *reached = _int64s(&scene.scratch, chosen.count)
    cdef int64_t most = _reach(scene, &chosen, <bint> given[0], reached)
    cdef Py_ssize_t n
    cdef bint any_tier = False
    for n in range(chosen.count):
        tier = _tier_of(given, reached[n])
        chosen.discounts[n] = 0
        if tier != NULL:
            any_tier = True
            chosen.discounts[n] = _tier_discount(
                tier, chosen.milli[n], chosen.prices[n], given[1]
            )
    if not any_tier:
        return _propose_nothing(proposal, IF_QUANTITY, given[3] - most)
    return _lower_each(scene, &chosen, IF_FLOOR, proposal)


cdef int64_t _reach(
    Scene *scene, const Chosen *chosen, bint per_article, int64_t *reached
) except? -1:
    """Say for each item what its article, or all, come to; return the most."""
    cdef Py_ssize_t n, m, start = 0
    cdef int64_t total = 0, most = 0
    for n in range(chosen.count):
        total += chosen.milli[n]
        if per_article and n + 1 < chosen.count and (
            scene.items[chosen.items[n]].sku == scene.items[chosen.items[n + 1]].sku
        ):
            continue
        if not per_article and n + 1 < chosen.count:
            continue
        for m in range(start, n + 1):
            reached[m] = total
        most = _most(most, total)
        start = n + 1
        total = 0
    return most
