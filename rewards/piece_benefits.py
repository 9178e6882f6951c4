"""Benefits on each piece, kilogram or litre: percentage, amount, price, price by quantity.

What each does exactly stands in `docs/engine.md`.
"""

from collections.abc import Callable, Sequence

from rewards.basket import Item
from rewards.benefit import (
    ALL_PIECES,
    AmountOff,
    FixedPrice,
    PercentOff,
    Pieces,
    PriceList,
    QuantityTier,
    QuantityTiers,
)
from rewards.deal import Deal, Proposal, Taken, failed
from rewards.limits import MILLI
from rewards.rounding import RATE_BP_ONE, Rounding, divide, floor_div, round_half_up, share_bp
from rewards.set_benefits import Run, count_of, counted_runs, first, groups_of
from rewards.trace import Condition

Chosen = list[tuple[Item, int]]
"""Items with the quantity that is taken of each, in thousandths."""


def percent_off(deal: Deal, benefit: PercentOff) -> Proposal:
    """Take a percentage off the chosen pieces."""
    chosen = choose_pieces(deal, benefit.pieces)
    prices = [deal.price_minor(item, milli) for item, milli in chosen]
    if benefit.rounded_on == "total":
        total_minor = share_bp(sum(prices), benefit.rate_bp, benefit.rounding)
        return _fired(deal, deal.share(total_minor, chosen, prices))
    if benefit.rounded_on == "carried":
        discounts = _carried(prices, benefit.rate_bp, benefit.rounding)
    elif benefit.rounded_on == "piece":
        discounts = [
            _by_piece(item, milli, price, benefit)
            for (item, milli), price in zip(chosen, prices, strict=True)
        ]
    else:
        discounts = [share_bp(price, benefit.rate_bp, benefit.rounding) for price in prices]
    return _lowered(deal, chosen, prices, discounts)


def amount_off(deal: Deal, benefit: AmountOff) -> Proposal:
    """Take an amount off each unit of the chosen pieces, or off each item."""
    chosen = choose_pieces(deal, benefit.pieces)
    prices = [deal.price_minor(item, milli) for item, milli in chosen]
    if benefit.per == "item":
        return _lowered(deal, chosen, prices, [benefit.amount_minor] * len(chosen))
    discounts = [for_units(benefit.amount_minor, milli) for _, milli in chosen]
    return _lowered(deal, chosen, prices, discounts)


def fixed_price(deal: Deal, benefit: FixedPrice) -> Proposal:
    """Bring the chosen pieces to a price."""
    chosen = choose_pieces(deal, benefit.pieces)
    return _at_prices(deal, chosen, [benefit.price_minor] * len(chosen))


def price_list(deal: Deal, benefit: PriceList) -> Proposal:
    """Bring the articles that stand on a list to its prices."""
    listed = [
        (item, deal.prices[benefit.list_code, item.sku])
        for item in deal.items
        if (benefit.list_code, item.sku) in deal.prices
    ]
    if not listed:
        return failed(Condition.PRICE)
    chosen = choose_pieces(deal, ALL_PIECES, [item for item, _ in listed])
    prices = {id(item): price_minor for item, price_minor in listed}
    return _at_prices(deal, chosen, [prices[id(item)] for item, _ in chosen])


def quantity_tiers(deal: Deal, benefit: QuantityTiers) -> Proposal:
    """Apply to every article, or to all of them, the highest tier that its quantity reaches."""
    chosen = choose_pieces(deal, ALL_PIECES)
    reached = _reached_milli(chosen, benefit.per_article)
    prices = [deal.price_minor(item, milli) for item, milli in chosen]
    tiers = [tier_of(benefit, reached[item.sku]) for item, _ in chosen]
    if not any(tiers):
        lacking = benefit.tiers[0].from_milli - max(reached.values(), default=0)
        return failed(Condition.QUANTITY, lacking)
    discounts = [
        tier_discount_minor(tier, milli, price, benefit.rounding) if tier else 0
        for tier, (_, milli), price in zip(tiers, chosen, prices, strict=True)
    ]
    return _lowered(deal, chosen, prices, discounts)


def choose_pieces(deal: Deal, pieces: Pieces, items: Sequence[Item] | None = None) -> Chosen:
    """Say how much of each item a benefit takes, in canonical order of the items.

    Only counted goods have pieces to choose from: a choice leaves out what is weighed. Where the
    cost cannot be paid for all, it is paid for as many pieces and weighed articles as it can.

    Args:
        deal: the promotion at work.
        pieces: how many and which.
        items: of these items; without it of all of the deal's.
    """
    items = deal.items if items is None else items
    takes_all = not (pieces.count_max or pieces.full_groups_of)
    if takes_all and sum([_units(deal, item) for item in items]) <= deal.units_max:
        return [(item, deal.open_milli(item)) for item in items]
    runs = counted_runs(deal, items)
    if takes_all:
        runs += [Run(item, 1) for item in items if not item.counted]
    runs = sorted(runs, key=lambda run: _pick_order(deal, run.item, pieces.pick))
    groups = groups_of(runs, pieces.per_article)
    if pieces.count_max:
        groups = [first(group, pieces.count_max) for group in groups]
    if pieces.full_groups_of:
        groups = [first(group, _full(group, pieces.full_groups_of)) for group in groups]
    kept = first([run for group in groups for run in group], deal.units_max)
    counts = {id(run.item): run.pieces for run in kept}
    return [
        (item, counts[id(item)] * MILLI if item.counted else deal.open_milli(item))
        for item in items
        if id(item) in counts
    ]


def _pick_order(deal: Deal, item: Item, pick: str) -> int:
    rank = deal.price_rank(item)
    return -rank if pick == "dearest" else rank


def _full(runs: Sequence[Run], group: int) -> int:
    """How many pieces make full groups."""
    return floor_div(count_of(runs), group) * group


def _units(deal: Deal, item: Item) -> int:
    """How often the cost is due for all of an item: for each piece, or once for what is weighed."""
    return floor_div(deal.open_milli(item), MILLI) if item.counted else 1


def _carried(prices: Sequence[int], rate_bp: int, rounding: Rounding) -> list[int]:
    """Round the running sum, so that what one price loses by rounding the next one gets."""
    discounts, before, given = [], 0, 0
    for price in prices:
        before += price
        upto = share_bp(before, rate_bp, rounding)
        discounts.append(upto - given)
        given = upto
    return discounts


def _by_piece(item: Item, milli: int, price: int, benefit: PercentOff) -> int:
    """Round on each piece; prices of an item's pieces differ by at most one unit."""
    if not item.counted:
        return share_bp(price, benefit.rate_bp, benefit.rounding)
    pieces = floor_div(milli, MILLI)
    low, dearer = divmod(price, pieces)
    return (pieces - dearer) * share_bp(low, benefit.rate_bp, benefit.rounding) + (
        dearer * share_bp(low + 1, benefit.rate_bp, benefit.rounding)
    )


def for_units(amount_minor: int, milli: int) -> int:
    """An amount for every unit: pieces, kilograms, litres; parts of one round half up."""
    return round_half_up(amount_minor * milli, MILLI)


def _at_prices(deal: Deal, chosen: Chosen, unit_prices: Sequence[int]) -> Proposal:
    prices = [deal.price_minor(item, milli) for item, milli in chosen]
    discounts = [
        max(0, price - for_units(unit_minor, milli))
        for (_, milli), price, unit_minor in zip(chosen, prices, unit_prices, strict=True)
    ]
    return _lowered(deal, chosen, prices, discounts, Condition.PRICE)


def _reached_milli(chosen: Chosen, per_article: bool) -> dict[str, int]:
    by_sku: dict[str, int] = {}
    for item, milli in chosen:
        by_sku[item.sku] = by_sku.get(item.sku, 0) + milli
    if per_article:
        return by_sku
    return dict.fromkeys(by_sku, sum(by_sku.values()))


def tier_of(benefit: QuantityTiers, milli: int) -> QuantityTier | None:
    """The highest tier that a quantity reaches."""
    reached = [tier for tier in benefit.tiers if tier.from_milli <= milli]
    return reached[-1] if reached else None


def tier_discount_minor(tier: QuantityTier, milli: int, price: int, rounding: Rounding) -> int:
    """What a tier takes off the price of a quantity."""
    if tier.rate_bp:
        return divide(price * tier.rate_bp, RATE_BP_ONE, rounding)
    if tier.amount_off_minor:
        return for_units(tier.amount_off_minor, milli)
    return max(0, price - for_units(tier.price_minor, milli))


def _lowered(
    deal: Deal,
    chosen: Chosen,
    prices: Sequence[int],
    discounts: Sequence[int],
    nothing: Condition = Condition.FLOOR,
) -> Proposal:
    """Lower each item by its own discount, as far as its price and floor go."""
    taken = [
        Taken(item, milli, min(discount, deal.room_minor(item, price)))
        for (item, milli), price, discount in zip(chosen, prices, discounts, strict=True)
    ]
    return _fired(deal, tuple(taken), nothing)


def _fired(deal: Deal, taken: tuple[Taken, ...], nothing: Condition = Condition.FLOOR) -> Proposal:
    """Fire once for each item that is lowered; the others are not taken."""
    lowered = tuple(one for one in taken if one.discount_minor)
    if not lowered:
        return failed(nothing if taken else Condition.NOT_COUNTED)
    units = sum(floor_div(one.quantity_milli, MILLI) if one.item.counted else 1 for one in lowered)
    return Proposal(len(lowered), lowered, units)


PIECE_BENEFITS: dict[type, Callable[..., Proposal]] = {
    PercentOff: percent_off,
    AmountOff: amount_off,
    FixedPrice: fixed_price,
    PriceList: price_list,
    QuantityTiers: quantity_tiers,
}
