"""What a `best` lane chooses from: classes of equal pieces, and applications of promotions to them.

A class is the pieces of an item that cost the same; an application is a set of pieces on which a
promotion fires once, with what it takes off and what it is worth. What each promotion may do is
said in `docs/engine.md`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from rewards.basket import Item
from rewards.benefit import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    CheapestFree,
    FixedPrice,
    NPlusM,
    NthItem,
    PercentOff,
    Pieces,
    PriceList,
    QuantityTier,
    QuantityTiers,
    ReceiptDiscount,
)
from rewards.bundle_benefits import bundle_discount_minor
from rewards.deal import UNLIMITED, Deal
from rewards.limits import MILLI
from rewards.piece_benefits import for_units, tier_discount_minor, tier_of
from rewards.rounding import RATE_BP_ONE, Rounding, floor_div, share_bp

APPLICATIONS_MAX = 2_000
"""Applications of one promotion that are looked at; past that the proof is not complete."""
WAYS_MAX = 10 * APPLICATIONS_MAX
"""Combinations of the parts of a benefit that are looked at."""


class PieceClass(Struct, frozen=True):
    """Pieces of an item that cost the same, or all of what is weighed as one piece.

    Attributes:
        capacity: how many pieces.
        price_minor: of one piece.
        room_minor: how much may be taken off one piece.
        piece_milli: thousandths in one piece.
    """

    item: Item
    capacity: int
    price_minor: int
    room_minor: int
    piece_milli: int = MILLI


Uses = tuple[tuple[int, int], ...]
"""(number of a class, pieces)."""
Places = Sequence[int]
"""Numbers of classes, dearest first, then by number."""


class Column(Struct, frozen=True):
    """An application of a promotion.

    Attributes:
        uses: (number of a class, pieces), ascending.
        bearing: those of them that bear the discount, by price.
        discount_minor: money off, 1 or more unless it is worth something else.
        times_max: how often at most.
    """

    uses: Uses
    discount_minor: int
    times_max: int
    bearing: Uses


def classes_of(items: Sequence[Item]) -> list[PieceClass]:
    """Part the open pieces of items into classes, in canonical order, the dearer ones first."""
    classes: list[PieceClass] = []
    for item in items:
        if not item.counted:
            if item.open_milli == item.quantity_milli:
                room_minor = min(item.start_minor, item.room_minor)
                quantity = item.quantity_milli
                classes.append(PieceClass(item, 1, item.start_minor, room_minor, quantity))
            continue
        pieces = floor_div(item.open_milli, MILLI)
        if not pieces:
            continue
        total_minor = floor_div(item.start_minor * pieces * MILLI, item.quantity_milli)
        low, dearer = divmod(total_minor, pieces)
        for count, price_minor in ((dearer, low + 1), (pieces - dearer, low)):
            if count and price_minor:
                classes.append(PieceClass(item, count, price_minor, _room_minor(item, price_minor)))
    return classes


def _room_minor(item: Item, price_minor: int) -> int:
    """What of a piece's price the floor lets go, so that all pieces together keep it."""
    if item.room_minor >= item.start_minor:
        return price_minor
    return min(price_minor, floor_div(item.room_minor * MILLI, item.quantity_milli))


class Columns(Struct, frozen=True):
    """Applications of one promotion.

    Attributes:
        complete: there are no others.
    """

    columns: tuple[Column, ...]
    complete: bool = True


class Choices(Struct, frozen=True):
    """Ways to choose pieces; `complete`: there are no others."""

    uses: tuple[Uses, ...]
    complete: bool = True


def columns_of(
    deal: Deal, benefit: Benefit, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    """List the applications of a promotion's price benefit that take something off.

    Args:
        deal: the promotion with what it may work on.
        benefit: its price benefit.
        classes: all classes of the lane.
        parts: numbers of the classes of the promotion's set, or of each set of the benefit.
    """
    found = _COLUMNS[type(benefit)](deal, benefit, classes, parts)
    kept = [column for column in found.columns if column.discount_minor > 0]
    return Columns(tuple(kept), found.complete)


def choose(classes: Sequence[PieceClass], places: Places, count: int) -> Choices:
    """Ways to choose so many pieces, each dearest first.

    All ways, or if they are more than APPLICATIONS_MAX only those without a gap in the price.
    """
    counted = [place for place in places if classes[place].item.counted]
    ways = _every_way(classes, counted, count, sum([classes[p].capacity for p in counted]))
    every = list(itertools.islice(ways, APPLICATIONS_MAX + 1))
    if len(every) <= APPLICATIONS_MAX:
        return Choices(tuple(every))
    return Choices(tuple(_without_gap(classes, counted, count)), complete=False)


def _every_way(
    classes: Sequence[PieceClass], places: Places, count: int, left: int
) -> Iterator[Uses]:
    """Every way to choose so many of the `left` pieces of some classes."""
    if not count:
        yield ()
        return
    for at, place in enumerate(places):
        # Where too few are left no way is found, and trying them all would never end.
        if left < count:
            return
        left -= classes[place].capacity
        for pieces in range(min(count, classes[place].capacity), 0, -1):
            for rest in _every_way(classes, places[at + 1 :], count - pieces, left):
                yield ((place, pieces), *rest)


def _without_gap(classes: Sequence[PieceClass], places: Places, count: int) -> Iterator[Uses]:
    """Some pieces of a class, then all of the next ones until there are enough."""
    for at, place in enumerate(places):
        for pieces in range(min(count, classes[place].capacity), 0, -1):
            uses, left = [(place, pieces)], count - pieces
            for following in places[at + 1 :]:
                if left:
                    uses.append((following, min(left, classes[following].capacity)))
                    left -= uses[-1][1]
            if not left:
                yield tuple(uses)


def _fits(uses: Uses, classes: Sequence[PieceClass]) -> int:
    """How often the pieces are there."""
    return min(floor_div(classes[place].capacity, pieces) for place, pieces in uses)


def _column(
    uses: Uses,
    discount_minor: int,
    classes: Sequence[PieceClass],
    times_max: int,
    bearing: Uses | None = None,
) -> Column:
    """An application, held to what the floors of its pieces let go."""
    bearing = uses if bearing is None else bearing
    room_minor = sum([classes[place].room_minor * pieces for place, pieces in bearing])
    discount_minor = min(discount_minor, room_minor)
    ordered = tuple(sorted(uses))
    times_max = min(times_max, _fits(ordered, classes))
    return Column(ordered, discount_minor, times_max, tuple(sorted(bearing)))


def _by_piece(
    deal: Deal,
    classes: Sequence[PieceClass],
    places: Places,
    pieces: Pieces,
    discount: Callable[[PieceClass], int],
) -> Columns:
    """One application for each class, or for each full group of pieces."""
    if not pieces.full_groups_of:
        singles = [((place, 1),) for place in places]
        chosen = Choices(tuple(singles))
    else:
        groups = _by_article(classes, places, pieces.per_article)
        chosen = _joined([choose(classes, group, pieces.full_groups_of) for group in groups])
    columns = [
        _column(uses, sum([discount(classes[p]) * n for p, n in uses]), classes, UNLIMITED)
        for uses in chosen.uses
    ]
    return Columns(tuple(columns), chosen.complete)


def _by_article(
    classes: Sequence[PieceClass], places: Places, per_article: bool
) -> list[list[int]]:
    """The classes together, or those of each article."""
    if not per_article:
        return [list(places)]
    articles: dict[str, list[int]] = {}
    for place in places:
        articles.setdefault(classes[place].item.sku, []).append(place)
    return [articles[sku] for sku in sorted(articles)]


def _joined(parts: Sequence[Choices]) -> Choices:
    uses = tuple(uses for part in parts for uses in part.uses)
    return Choices(uses, all(part.complete for part in parts))


def _percent(
    deal: Deal, benefit: PercentOff, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    def discount(one: PieceClass) -> int:
        return share_bp(one.price_minor, benefit.rate_bp, benefit.rounding)

    return _by_piece(deal, classes, parts[0], benefit.pieces, discount)


def _amount(
    deal: Deal, benefit: AmountOff, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    def discount(one: PieceClass) -> int:
        return for_units(benefit.amount_minor, one.piece_milli)

    return _by_piece(deal, classes, parts[0], benefit.pieces, discount)


def _fixed(
    deal: Deal, benefit: FixedPrice, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    def discount(one: PieceClass) -> int:
        return one.price_minor - for_units(benefit.price_minor, one.piece_milli)

    return _by_piece(deal, classes, parts[0], benefit.pieces, discount)


def _listed(
    deal: Deal, benefit: PriceList, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    def discount(one: PieceClass) -> int:
        price_minor = deal.prices.get((benefit.list_code, one.item.sku))
        if price_minor is None:
            return 0
        return one.price_minor - for_units(price_minor, one.piece_milli)

    return _by_piece(deal, classes, parts[0], Pieces(), discount)


def _tiers(
    deal: Deal, benefit: QuantityTiers, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    """All pieces of an article, or of the set, at the tier that they reach together."""
    columns = []
    for places in _by_article(classes, parts[0], benefit.per_article):
        uses = tuple((place, classes[place].capacity) for place in places)
        reached = sum([classes[place].piece_milli * count for place, count in uses])
        tier = tier_of(benefit, reached)
        if tier is not None:
            discounts = [_tier_minor(tier, classes[p], benefit.rounding) * n for p, n in uses]
            columns.append(_column(uses, sum(discounts), classes, 1))
    return Columns(tuple(columns))


def _tier_minor(tier: QuantityTier, one: PieceClass, rounding: Rounding) -> int:
    off_minor = tier_discount_minor(tier, one.piece_milli, one.price_minor, rounding)
    return min(one.room_minor, off_minor)


def _whole(
    deal: Deal, benefit: ReceiptDiscount, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    """All pieces of the set at once."""
    uses = tuple((place, classes[place].capacity) for place in parts[0])
    price_minor = sum([classes[place].price_minor * count for place, count in uses])
    total_minor = benefit.amount_minor or share_bp(price_minor, benefit.rate_bp, benefit.rounding)
    if benefit.price_minor:
        total_minor = max(0, price_minor - benefit.price_minor)
    if benefit.max_minor:
        total_minor = min(total_minor, benefit.max_minor)
    return Columns((_column(uses, total_minor, classes, 1),) if uses else ())


def _sets(
    deal: Deal,
    classes: Sequence[PieceClass],
    groups: Sequence[Places],
    set_count: int,
    lowered: tuple[int, int],
    rate_bp: int,
    spread: bool,
) -> Columns:
    """Sets of so many pieces; of each, dearest first, those between two places are lowered."""
    chosen = _joined([choose(classes, group, set_count) for group in groups])
    columns = []
    for uses in chosen.uses:
        low = _between(uses, *lowered)
        total_minor = sum([classes[place].price_minor * count for place, count in low])
        discount_minor = share_bp(total_minor, rate_bp, "half_up")
        bearing = None if spread else low
        columns.append(_column(uses, discount_minor, classes, deal.times_max, bearing))
    return Columns(tuple(columns), chosen.complete)


def _between(uses: Uses, start: int, stop: int) -> Uses:
    """The pieces of a set from one place to another, dearest first."""
    inside, before = [], 0
    for place, pieces in uses:
        count = min(before + pieces, stop) - max(before, start)
        if count > 0:
            inside.append((place, count))
        before += pieces
    return tuple(inside)


def _lowered_places(which: str, set_count: int, free_count: int) -> tuple[int, int]:
    if which == "cheapest":
        return set_count - free_count, set_count
    return 0, free_count


def _nth(
    deal: Deal, benefit: NthItem, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    groups = _by_article(classes, parts[0], benefit.per_article)
    lowered = _lowered_places(benefit.which, benefit.n, 1)
    return _sets(deal, classes, groups, benefit.n, lowered, benefit.rate_bp, benefit.spread)


def _cheapest(
    deal: Deal, benefit: CheapestFree, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    lowered = _lowered_places(benefit.which, benefit.set_count, benefit.free_count)
    return _sets(deal, classes, parts, benefit.set_count, lowered, benefit.rate_bp, benefit.spread)


def _n_plus_m(
    deal: Deal, benefit: NPlusM, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    """Full sets only: what is missing of a set is not weighed against other promotions."""
    groups = _by_article(classes, parts[0], benefit.per_article)
    set_count = benefit.pay_count + benefit.free_count
    lowered = (benefit.pay_count, set_count)
    return _sets(deal, classes, groups, set_count, lowered, RATE_BP_ONE, benefit.spread)


def _buy_get(
    deal: Deal, benefit: BuyGet, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    """Bought and given pieces; of those that both sets hold what is given is no dearer."""
    buys = choose(classes, parts[0], benefit.buy_count)
    gets = choose(classes, parts[1], benefit.get_count)
    both = set(parts[0]) & set(parts[1])
    columns: list[Column] = []
    for looked_at, (bought, given) in enumerate(itertools.product(buys.uses, gets.uses)):
        uses = _added(bought, given)
        if len(columns) == APPLICATIONS_MAX or looked_at == WAYS_MAX:
            return Columns(tuple(columns), complete=False)
        if _fits(uses, classes) and not _is_dearer(classes, bought, given, both):
            total_minor = sum([classes[place].price_minor * count for place, count in given])
            discount_minor = share_bp(total_minor, benefit.rate_bp, "half_up")
            bearing = None if benefit.spread else given
            columns.append(_column(uses, discount_minor, classes, deal.times_max, bearing))
    return Columns(tuple(columns), buys.complete and gets.complete)


def _is_dearer(classes: Sequence[PieceClass], bought: Uses, given: Uses, both: set[int]) -> bool:
    """Whether a piece is given that is dearer than one bought, where either could be the other."""
    lowest = min([classes[p].price_minor for p, _ in bought if p in both], default=None)
    highest = max([classes[p].price_minor for p, _ in given if p in both], default=0)
    return lowest is not None and highest > lowest


def _bundle(
    deal: Deal, benefit: BundlePrice, classes: Sequence[PieceClass], parts: Sequence[Places]
) -> Columns:
    """Pieces of every part; what several ways give alike comes once."""
    counts = [part.count for part in benefit.parts] or [benefit.set_count]
    chosen = [choose(classes, p, n) for p, n in zip(parts, counts, strict=True)]
    seen: dict[Uses, None] = {}
    looked_at = 0
    for ways in itertools.product(*[one.uses for one in chosen]):
        looked_at += 1
        uses = ways[0]
        for way in ways[1:]:
            uses = _added(uses, way)
        if _fits(uses, classes):
            seen[tuple(sorted(uses))] = None
        if len(seen) > APPLICATIONS_MAX or looked_at > WAYS_MAX:
            break
    complete = len(seen) <= APPLICATIONS_MAX and looked_at <= WAYS_MAX
    complete = complete and all(one.complete for one in chosen)
    columns = []
    for uses in list(seen)[:APPLICATIONS_MAX]:
        price_minor = sum([classes[place].price_minor * count for place, count in uses])
        discount_minor = bundle_discount_minor(benefit, price_minor)
        columns.append(_column(uses, discount_minor, classes, deal.times_max))
    return Columns(tuple(columns), complete)


def _added(left: Uses, right: Uses) -> Uses:
    counts = dict(left)
    for place, count in right:
        counts[place] = counts.get(place, 0) + count
    return tuple(sorted(counts.items()))


_COLUMNS: dict[type, Callable[..., Columns]] = {
    PercentOff: _percent,
    AmountOff: _amount,
    FixedPrice: _fixed,
    PriceList: _listed,
    QuantityTiers: _tiers,
    ReceiptDiscount: _whole,
    NthItem: _nth,
    CheapestFree: _cheapest,
    NPlusM: _n_plus_m,
    BuyGet: _buy_get,
    BundlePrice: _bundle,
}
"""The benefits that a `best` lane can weigh against each other."""


def is_weighable(benefit: Benefit) -> bool:
    """Whether a price benefit can be listed as applications that are worth so much each.

    What is rounded over several articles, or limited for each of them apart, cannot.
    """
    if isinstance(benefit, PercentOff | AmountOff | FixedPrice):
        pieces = benefit.pieces
        if isinstance(benefit, AmountOff) and benefit.per == "item":
            return False
        if isinstance(benefit, PercentOff) and benefit.rounded_on in ("total", "carried"):
            return False
        return not (pieces.count_max and pieces.per_article)
    return type(benefit) in _COLUMNS
