"""Articles that may be added at a price; those on the receipt become as cheap."""

cdef struct Own:
    # The promotion's own products, in pieces that cost something; of the gift's articles among
    # them all pieces by article, and those that cost nothing as they are.
    int64_t pieces
    int64_t *by_article
    int64_t for_nothing


cdef Py_ssize_t _gift_place(const int64_t *given, const Item *item) noexcept:
    """Which of the gift's articles an item is; NOBODY if none."""
    cdef Py_ssize_t n
    if item.article.gift != NOBODY:
        for n in range(given[5]):
            if given[6 + n] == item.article.gift:
                return n
    return NOBODY


cdef int _count_own(Scene *scene, const Deal *deal, Own *own) except -1:
    cdef const int64_t *given = deal.arguments
    cdef Runs runs = _counted_runs(scene, deal, deal.items)
    cdef const Item *item
    cdef int64_t pieces
    cdef Py_ssize_t n, place
    own.pieces = _count_of(&runs)
    own.for_nothing = 0
    own.by_article = _int64s(&scene.scratch, given[5])
    memset(own.by_article, 0, <size_t> given[5] * sizeof(int64_t))
    for n in range(deal.items.count):
        item = &scene.items[deal.items.items[n]]
        place = _gift_place(given, item)
        if place != NOBODY and item.counted:
            pieces = _open_milli(deal, item) // MILLI
            own.by_article[place] += pieces
            if not _price_rank(deal, item):
                own.for_nothing += pieces
    return 0


cdef int64_t _calls(const int64_t *given, const Own *own, int64_t times) except? -1:
    """How often what is paid calls for the gift, if it is given so many times."""
    cdef int64_t free_max = _scaled(given[0], times, MILLI, DOWN), free = 0
    cdef Py_ssize_t n
    for n in range(given[5]):
        free += own.by_article[n] if given[3] else _least(own.by_article[n], free_max)
    if given[3]:
        free = _least(free, free_max)
    return (own.pieces - _most(0, free - own.for_nothing)) // given[2]


cdef int64_t _gift_times(const Deal *deal, const Own *own) except? -1:
    """How often the promotion's products call for the gift.

    Pieces of the gift do not call for a gift themselves, as the M of N+M do not.
    """
    cdef const int64_t *given = deal.arguments
    cdef int64_t low = 0, high, middle
    if not given[2]:
        return deal.repeats_max if deal.items.count else 0
    high = _calls(given, own, 0)
    while given[4] and low < high:
        middle = (low + high + 1) // 2
        if _calls(given, own, middle) >= middle:
            low = middle
        else:
            high = middle - 1
    return high + (1 if _calls(given, own, high) > high else 0)


cdef int _gift(Scene *scene, const Deal *deal, Proposal *proposal) except -1:
    """Articles that may be added at a price; those on the receipt become as cheap.

    Arguments: milli, price, for_each, choice, counts_in_basket, count, articles.
    """
    cdef const int64_t *given = deal.arguments
    cdef int64_t each = _most(1, given[2]), called, times, fired
    cdef int64_t *missing
    cdef Own own
    _count_own(scene, deal, &own)
    called = _gift_times(deal, &own)
    times = _least(called, _count_max(deal))
    if not times:
        return _propose_nothing(proposal, IF_QUANTITY, (each - own.pieces % each) * MILLI)
    proposal.taken = <Taken *> _take(
        &scene.scratch, deal.parts[0].count, sizeof(Taken)
    )
    missing = _int64s(&scene.scratch, given[5])
    fired = _find_gifts(scene, deal, &own, times, missing, proposal)
    _offer_gifts(scene, deal, missing, proposal)
    if not given[4]:
        if not proposal.offers_count:
            return _propose_nothing(proposal, IF_FLOOR, 0)
        return _propose_some(proposal, times, times, times < called)
    if not fired:
        return _propose_nothing(proposal, IF_QUANTITY, given[0])
    return _propose_some(proposal, fired, fired, times < called)


cdef int64_t _find_gifts(
    Scene *scene,
    const Deal *deal,
    const Own *own,
    int64_t times,
    int64_t *missing,
    Proposal *proposal,
) except? -1:
    """Take the pieces of the gift that were scanned; for how many times they are there.

    What calls for the gift is paid: of the promotion's own products only the others are free.
    """
    cdef const int64_t *given = deal.arguments
    cdef int64_t whole = _product(given[0], times), spare = UNLIMITED, milli, most = 0
    cdef uint64_t mark = _next_mark(scene)
    cdef Item *item
    cdef Py_ssize_t n, m, place
    if given[2]:
        spare = (own.pieces - times * given[2] + own.for_nothing) * MILLI
    for n in range(given[5]):
        missing[n] = whole
    for n in range(deal.items.count):
        scene.items[deal.items.items[n]].mark = mark
    for n in range(deal.parts[0].count if given[4] else 0):
        item = &scene.items[deal.parts[0].items[n]]
        place = _gift_place(given, item)
        if place == NOBODY:
            continue
        milli = _least(missing[place], _open_milli(deal, item))
        if item.mark == mark:
            milli = _least(milli, spare)
        if item.counted:
            milli -= milli % MILLI
        if not milli:
            continue
        _take_gift(deal, item, deal.parts[0].items[n], milli, proposal)
        if item.mark == mark:
            spare -= milli
        for m in range(given[5]):
            if given[3] or m == place:
                missing[m] -= milli
    for n in range(given[5]):
        most = _most(most, whole - missing[n])
    return _scaled(most, 1, given[0], UP)


cdef int _take_gift(
    const Deal *deal, const Item *item, Py_ssize_t place, int64_t milli, Proposal *proposal
) except -1:
    """Bring some of an item to the price of the gift."""
    cdef int64_t price_minor = _price(deal, item, milli, 0)
    cdef int64_t discount_minor = price_minor - _scaled(deal.arguments[1], milli, MILLI, DOWN)
    _take_some(
        proposal, place, milli, _most(0, _least(discount_minor, _room(item, price_minor)))
    )
    return 0


cdef int _offer_gifts(
    Scene *scene, const Deal *deal, const int64_t *missing, Proposal *proposal
) except -1:
    """What may be added, if the till can."""
    cdef const int64_t *given = deal.arguments
    cdef int64_t choice_group = deal.number * BENEFITS_MAX + deal.place + 1 if given[3] else 0
    cdef int64_t cost_minor
    cdef Py_ssize_t n
    if not scene.header.can_add or not (given[1] or scene.header.zero_price):
        return 0
    proposal.offers = <Offer *> _take(&scene.scratch, given[5], sizeof(Offer))
    for n in range(given[5]):
        if missing[n]:
            cost_minor = _scaled(given[1], missing[n], MILLI, DOWN)
            proposal.offers[proposal.offers_count] = Offer(
                deal.number, NOBODY, given[6 + n], missing[n], cost_minor, choice_group
            )
            proposal.offers_count += 1
    return 0
