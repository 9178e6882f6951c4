"""Benefits on the whole: bundle price, receipt discount, gift.

What each does exactly stands in `docs/engine.md`.
"""

from collections.abc import Callable, Sequence

import msgspec

from rewards.basket import Item, share_capped
from rewards.benefit import BundlePrice, Gift, ReceiptDiscount
from rewards.deal import UNLIMITED, Deal, Offer, Proposal, Taken, failed
from rewards.limits import BENEFITS_MAX, MILLI
from rewards.rounding import floor_div, share_bp
from rewards.set_benefits import Run, count_of, counted_runs
from rewards.trace import Condition


def bundle_price(deal: Deal, benefit: BundlePrice) -> Proposal:
    """Give some pieces of each part for a price, an amount off or a percentage off.

    Bundles are made of the dearest pieces first, those of the scarcest part before the others, as
    long as the customer wins by them.
    """
    wanted = [part.count for part in benefit.parts] or [benefit.set_count]
    found = [counted_runs(deal, items) for items in deal.parts]
    scarce_first = sorted(range(len(found)), key=lambda n: (count_of(found[n]), n))
    counts, runs = [wanted[n] for n in scarce_first], [found[n] for n in scarce_first]
    used: dict[int, Run] = {}
    total_minor = times = 0
    while times < deal.count_max:
        bundle = _next_bundle(runs, counts, used)
        if isinstance(bundle, int):
            if times:
                break
            return failed(Condition.QUANTITY, bundle * MILLI)
        price_minor = sum(
            deal.price_minor(run.item, run.pieces * MILLI, run.skip * MILLI) for run in bundle
        )
        discount_minor = bundle_discount_minor(benefit, price_minor)
        if discount_minor <= 0:
            break
        total_minor += discount_minor
        times += 1
        for run in bundle:
            own = used.get(id(run.item))
            used[id(run.item)] = Run(run.item, run.pieces + (own.pieces if own else 0))
    if not times:
        return failed(Condition.FLOOR)
    capped = times == deal.count_max and not isinstance(_next_bundle(runs, counts, used), int)
    taken = [(run.item, run.pieces * MILLI) for run in used.values()]
    prices = [deal.price_minor(item, milli) for item, milli in taken]
    return Proposal(times, deal.share(total_minor, taken, prices), times, capped=capped)


def receipt_discount(deal: Deal, benefit: ReceiptDiscount) -> Proposal:
    """Take a rate or an amount off the set as a whole and share it over the items.

    An item that its floor holds back leaves its part to the others.
    """
    chosen = [(item, deal.open_milli(item)) for item in deal.items]
    prices = [deal.price_minor(item, milli) for item, milli in chosen]
    rooms = [deal.room_minor(item, price) for (item, _), price in zip(chosen, prices, strict=True)]
    times, total_minor = 1, benefit.amount_minor
    if benefit.rate_bp:
        total_minor = share_bp(sum(prices), benefit.rate_bp, benefit.rounding)
    elif benefit.price_minor:
        total_minor = max(0, sum(prices) - benefit.price_minor)
    elif deal.repeats_max > 1:
        times = min(deal.repeats_max, max(1, -floor_div(-sum(rooms), total_minor)))
        total_minor *= times
    if benefit.max_minor:
        total_minor = min(total_minor, benefit.max_minor)
    total_minor = min(total_minor, sum(rooms))
    parts = _parts(deal, benefit, total_minor, chosen, prices, rooms)
    taken = tuple(
        Taken(item, milli, part) for (item, milli), part in zip(chosen, parts, strict=True) if part
    )
    return Proposal(1, taken, times) if taken else failed(Condition.FLOOR)


def gift(deal: Deal, benefit: Gift) -> Proposal:
    """Offer pieces at a price; those that were scanned already become as cheap.

    It fires for what is on the receipt. A gift that always comes on top fires when it is offered,
    as nobody can tell it from what is bought.
    """
    called = _gift_times(deal, benefit)
    times = min(called, deal.count_max)
    if not times:
        pieces = count_of(counted_runs(deal, deal.items))
        each = max(1, benefit.for_each_count)
        return failed(Condition.QUANTITY, (each - pieces % each) * MILLI)
    taken, missing = _found(deal, benefit, times)
    offers = _gift_offers(deal, benefit, missing)
    if not benefit.counts_in_basket:
        if not offers:
            return failed(Condition.FLOOR)
        return Proposal(times, (), times, offers=offers, capped=times < called)
    fired = _fired_times(benefit, taken)
    if not fired:
        return failed(Condition.QUANTITY, benefit.quantity_milli, offers)
    return Proposal(fired, tuple(taken), fired, offers=offers, capped=times < called)


def _found(deal: Deal, benefit: Gift, times: int) -> tuple[list[Taken], dict[str, int]]:
    """The pieces of the gift on the receipt, and how much of each article is missing."""
    given_milli = benefit.quantity_milli * times
    spare_milli = _spare_milli(deal, benefit, times)
    taken: list[Taken] = []
    missing = dict.fromkeys(sorted(benefit.skus), given_milli)
    for item in deal.parts[0] if benefit.counts_in_basket else ():
        if item.sku not in missing:
            continue
        is_own = item in deal.items
        milli = min(missing[item.sku], deal.open_milli(item))
        milli = min(milli, spare_milli) if is_own else milli
        if item.counted:
            milli -= milli % MILLI
        if milli:
            taken.append(_given(deal, benefit, item, milli))
            spare_milli -= milli if is_own else 0
            for sku in missing if benefit.choice else (item.sku,):
                missing[sku] -= milli
    return taken, missing


def _given(deal: Deal, benefit: Gift, item: Item, milli: int) -> Taken:
    """Some of an item brought to the price of the gift."""
    price_minor = deal.price_minor(item, milli)
    discount = price_minor - floor_div(benefit.price_minor * milli, MILLI)
    return Taken(item, milli, max(0, min(discount, deal.room_minor(item, price_minor))))


def _spare_milli(deal: Deal, benefit: Gift, times: int) -> int:
    """How much of the promotion's own products may be a gift: what calls for it is paid."""
    if not benefit.for_each_count:
        return UNLIMITED
    pieces = count_of(counted_runs(deal, deal.items))
    spare = pieces - times * benefit.for_each_count
    return (spare + sum(_for_nothing(deal, benefit).values())) * MILLI


def _gift_offers(deal: Deal, benefit: Gift, missing: dict[str, int]) -> tuple[Offer, ...]:
    """What may be added, if the till can."""
    if not deal.can_add or not (benefit.price_minor or deal.zero_price):
        return ()
    group = deal.number * BENEFITS_MAX + deal.place + 1 if benefit.choice else 0
    return tuple(
        Offer(sku, None, milli, floor_div(benefit.price_minor * milli, MILLI), group)
        for sku, milli in missing.items()
        if milli
    )


def _fired_times(benefit: Gift, taken: Sequence[Taken]) -> int:
    """For how many times the gift is on the receipt, begun ones included."""
    by_sku: dict[str, int] = {}
    for one in taken:
        sku = "" if benefit.choice else one.item.sku
        by_sku[sku] = by_sku.get(sku, 0) + one.quantity_milli
    most_milli = max(by_sku.values(), default=0)
    return -floor_div(-most_milli, benefit.quantity_milli)


def _next_bundle(
    runs: Sequence[Sequence[Run]], counts: Sequence[int], used: dict[int, Run]
) -> list[Run] | int:
    """The dearest pieces of each part that are left, or how many the first lacking part lacks."""
    bundle: dict[int, Run] = {}
    for part, count in zip(runs, counts, strict=True):
        needed = count
        for run in part:
            gone = sum(
                taken[id(run.item)].pieces for taken in (used, bundle) if id(run.item) in taken
            )
            pieces = min(needed, run.pieces - gone)
            if pieces:
                own = bundle.get(id(run.item))
                skip = gone - (own.pieces if own else 0)
                bundle[id(run.item)] = Run(run.item, pieces + (own.pieces if own else 0), skip)
                needed -= pieces
            if not needed:
                break
        if needed:
            return needed
    return list(bundle.values())


def bundle_discount_minor(benefit: BundlePrice, price_minor: int) -> int:
    """What a bundle takes off its price; below 0 if it is dearer than its pieces."""
    if benefit.rate_bp:
        return share_bp(price_minor, benefit.rate_bp, "half_up")
    if benefit.amount_off_minor:
        return min(price_minor, benefit.amount_off_minor)
    return price_minor - benefit.price_minor


def _parts(
    deal: Deal,
    benefit: ReceiptDiscount,
    total_minor: int,
    chosen: Sequence[tuple[Item, int]],
    prices: Sequence[int],
    rooms: Sequence[int],
) -> list[int]:
    """Share the discount as the benefit says; no part is above its room."""
    if benefit.share == "cheapest":
        ranks = [deal.price_rank(item) for item, _ in chosen]
        return _cheapest_first(total_minor, ranks, rooms)
    weights = list(prices)
    if benefit.share == "even":
        weights = [milli if room else 0 for (_, milli), room in zip(chosen, rooms, strict=True)]
    if benefit.remainder == "largest":
        return share_capped(total_minor, weights, rooms, deal.allocate)
    return _floors_first(total_minor, weights, rooms, benefit.remainder == "last")


def _cheapest_first(total: int, ranks: Sequence[int], rooms: Sequence[int]) -> list[int]:
    parts = [0] * len(rooms)
    for n in sorted(range(len(rooms)), key=lambda n: (ranks[n], n)):
        parts[n] = min(total, rooms[n])
        total -= parts[n]
    return parts


def _floors_first(
    total: int, weights: Sequence[int], rooms: Sequence[int], last: bool
) -> list[int]:
    """Round every share down; what a full room cannot take goes to the others by weight."""
    parts = [0] * len(weights)
    full: set[int] = set()
    while True:
        left = total - sum([rooms[n] for n in full])
        whole = sum([weight for n, weight in enumerate(weights) if n not in full])
        for n, weight in enumerate(weights):
            if n not in full:
                parts[n] = floor_div(left * weight, whole) if whole else 0
        filled = {n for n in range(len(parts)) if n not in full and parts[n] > rooms[n]}
        if not filled:
            break
        full |= filled
        for n in filled:
            parts[n] = rooms[n]
    _hand_out(total - sum(parts), parts, rooms, last)
    return parts


def _hand_out(left: int, parts: list[int], rooms: Sequence[int], last: bool) -> None:
    """Give what rounding left over to the last part, or unit by unit to the first ones."""
    order = range(len(parts) - 1, -1, -1) if last else range(len(parts))
    while left:
        for n in order:
            more = min(left, rooms[n] - parts[n], left if last else 1)
            parts[n] += more
            left -= more


def _gift_times(deal: Deal, benefit: Gift) -> int:
    """How often the promotion's products call for the gift.

    Pieces of the gift do not call for a gift themselves, as the M of N+M do not.
    """
    if not benefit.for_each_count:
        return deal.repeats_max if deal.items else 0
    low, high = 0, _calls(deal, benefit, 0)
    while benefit.counts_in_basket and low < high:
        middle = floor_div(low + high + 1, 2)
        if _calls(deal, benefit, middle) >= middle:
            low = middle
        else:
            high = middle - 1
    return high + (1 if _calls(deal, benefit, high) > high else 0)


def _calls(deal: Deal, benefit: Gift, times: int) -> int:
    """How often what is paid calls for the gift, if it is given so many times."""
    own = _own_pieces(deal, benefit)
    free_max = floor_div(benefit.quantity_milli * times, MILLI)
    if benefit.choice:
        free = min(sum(own.values()), free_max)
    else:
        free = sum([min(pieces, free_max) for pieces in own.values()])
    priced = max(0, free - sum(_for_nothing(deal, benefit).values()))
    return floor_div(count_of(counted_runs(deal, deal.items)) - priced, benefit.for_each_count)


def _own_pieces(deal: Deal, benefit: Gift) -> dict[str, int]:
    """By sku the pieces of the gift among the promotion's own products."""
    own: dict[str, int] = {}
    for item in deal.items:
        if item.counted and item.sku in benefit.skus:
            own[item.sku] = own.get(item.sku, 0) + floor_div(deal.open_milli(item), MILLI)
    return own


def _for_nothing(deal: Deal, benefit: Gift) -> dict[str, int]:
    """Those of them that cost nothing as they are."""
    free = [item for item in deal.items if not deal.price_rank(item)]
    return _own_pieces(msgspec.structs.replace(deal, items=tuple(free)), benefit)


BUNDLE_BENEFITS: dict[type, Callable[..., Proposal]] = {
    BundlePrice: bundle_price,
    ReceiptDiscount: receipt_discount,
    Gift: gift,
}
