"""What each benefit on prices does to the items of its product set. One function a kind.

Each takes the items in an order that no line order changes, claims the pieces it uses (unless the
promotion is stackable) and lowers their amounts. Each returns how often it fired and what missed.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec import Struct

from rewards.basket import Allocate, Item, share_capped
from rewards.limits import MILLI
from rewards.program import CheapestFree, NPlusM, PercentOff, ReceiptDiscount
from rewards.rounding import floor_div, share_bp
from rewards.ruleset import CompiledPromotion
from rewards.trace import Condition


class Offer(Struct, frozen=True):
    """Pieces that become free when added: an item and a quantity in thousandths."""

    item: Item
    quantity_milli: int


class Effect(Struct, frozen=True):
    """What a benefit did.

    Attributes:
        times: how often it fired; 0 is not at all.
        condition: what failed if it did not fire.
        missing: by how much, in the condition's unit.
        offers: pieces that may be added.
        capped: a limit kept it from firing more often.
    """

    times: int
    condition: Condition = Condition.NONE
    missing: int = 0
    offers: tuple[Offer, ...] = ()
    capped: bool = False


class Run(Struct, frozen=True):
    """Open pieces of one item: how many."""

    item: Item
    pieces: int


def percent_off(
    promotion: CompiledPromotion, number: int, items: Sequence[Item], allocate: Allocate
) -> Effect:
    """Take a percentage off every open piece; fires once for each item it lowers."""
    benefit = _expect(promotion, PercentOff)
    times = 0
    for item in items:
        base_minor, quantity_milli = _base(promotion, item)
        discount_minor = share_bp(base_minor, benefit.rate_bp, benefit.rounding)
        if item.lower(number, discount_minor, quantity_milli):
            times += 1
            _claim(promotion, number, item, quantity_milli)
    return Effect(times) if times else _HELD_BY_FLOOR


def n_plus_m(
    promotion: CompiledPromotion, number: int, items: Sequence[Item], allocate: Allocate
) -> Effect:
    """Of N+M pieces of one article make the M cheapest free, spread over the pieces of the sets.

    Pieces beyond N are free as they are scanned; whoever stops at N is offered the missing M.
    The limit counts the sets of all articles together, in the order of their skus.
    """
    benefit = _expect(promotion, NPlusM)
    pay, free = benefit.pay_count, benefit.free_count
    pieces = _open_pieces(items)
    if not pieces:
        return _NOT_COUNTED
    if len(items) == 1 and pieces < pay:
        return Effect(0, Condition.QUANTITY, (pay - pieces) * MILLI)
    left = promotion.times_max or pieces
    times, capped, lacking, begun = 0, False, pay, []
    for runs in _by_article(_counted_runs(items)):
        full, rest = divmod(sum([run.pieces for run in runs]), pay + free)
        sets = full + (1 if rest > pay else 0)
        fired = min(sets, left)
        capped = capped or fired < sets
        lacking = min(lacking, (pay - rest) or free)
        if rest >= pay and fired == sets and _adds_for_nothing(benefit, runs[0].item):
            begun.append((runs[0].item, rest))
        if fired:
            free_count = min(fired, full) * free + (rest - pay if fired > full else 0)
            used = _first(runs, fired * (pay + free))
            _give_free(promotion, number, used, _last(used, free_count), allocate)
            times += fired
            left -= fired
    offers = _offers(benefit, begun, left)
    if times:
        return Effect(times, offers=offers, capped=capped)
    return Effect(0, Condition.QUANTITY, lacking * MILLI, offers)


def cheapest_free(
    promotion: CompiledPromotion, number: int, items: Sequence[Item], allocate: Allocate
) -> Effect:
    """Of every `set_count` pieces, dearest first, make the cheapest free.

    The discount is spread over all pieces of the sets in proportion to their price, so that a
    refund of any of them pays its printed price (contract, section 5).
    """
    set_count = _expect(promotion, CheapestFree).set_count
    pieces = _open_pieces(items)
    if not pieces:
        return _NOT_COUNTED
    sets = floor_div(pieces, set_count)
    times = min(sets, promotion.times_max or sets)
    if not times:
        return Effect(0, Condition.QUANTITY, (set_count - pieces) * MILLI)
    used = _first(_counted_runs(items), times * set_count)
    _give_free(promotion, number, used, _every(used, set_count), allocate)
    return Effect(times, capped=times < sets)


def receipt_discount(
    promotion: CompiledPromotion, number: int, items: Sequence[Item], allocate: Allocate
) -> Effect:
    """Take a rate or an amount off the set and share it over the items in proportion.

    An item that its floor holds back leaves its part to the others.
    """
    benefit = _expect(promotion, ReceiptDiscount)
    bases = [_base(promotion, item) for item in items]
    prices = [base_minor for base_minor, _ in bases]
    total_minor = benefit.amount_minor
    if benefit.rate_bp:
        total_minor = share_bp(sum(prices), benefit.rate_bp, "half_up")
    rooms = [_room_minor(item, price) for item, price in zip(items, prices, strict=True)]
    parts = share_capped(min(total_minor, sum(rooms)), prices, rooms, allocate)
    for item, part_minor, (_, quantity_milli) in zip(items, parts, bases, strict=True):
        if item.lower(number, part_minor, quantity_milli):
            _claim(promotion, number, item, quantity_milli)
    return Effect(1) if any(parts) else _HELD_BY_FLOOR


BenefitRule = Callable[[CompiledPromotion, int, Sequence[Item], Allocate], Effect]

_HELD_BY_FLOOR = Effect(0, Condition.FLOOR)
_NOT_COUNTED = Effect(0, Condition.NOT_COUNTED)

PRICE_BENEFITS: dict[type, BenefitRule] = {
    PercentOff: percent_off,
    NPlusM: n_plus_m,
    CheapestFree: cheapest_free,
    ReceiptDiscount: receipt_discount,
}
"""The benefits that lower prices."""

_Kind = TypeVar("_Kind")


def _expect(promotion: CompiledPromotion, kind: type[_Kind]) -> _Kind:
    assert isinstance(promotion.benefit, kind)
    return promotion.benefit


def _base(promotion: CompiledPromotion, item: Item) -> tuple[int, int]:
    """Amount and quantity that the benefit works on: all at the running price, or what is open."""
    if promotion.stackable:
        return item.amount_minor, item.quantity_milli
    return item.portion_minor(item.open_milli), item.open_milli


def _room_minor(item: Item, price_minor: int) -> int:
    """How much of a price the item's floor lets go, minor units."""
    return max(0, min(price_minor, item.amount_minor - item.floor_minor))


def _claim(promotion: CompiledPromotion, number: int, item: Item, quantity_milli: int) -> None:
    if not promotion.stackable:
        item.claim(number, quantity_milli)


def _counted_runs(items: Sequence[Item]) -> list[Run]:
    """Open pieces of counted goods, dearest first."""
    runs = [
        Run(item, floor_div(item.open_milli, MILLI))
        for item in items
        if item.counted and item.open_milli >= MILLI
    ]
    return sorted(runs, key=lambda run: (-run.item.price_rank(), run.item.sku))


def _open_pieces(items: Sequence[Item]) -> int:
    """How many pieces of counted goods are open."""
    return sum([floor_div(item.open_milli, MILLI) for item in items if item.counted])


def _by_article(runs: Sequence[Run]) -> list[list[Run]]:
    articles: dict[str, list[Run]] = {}
    for run in runs:
        articles.setdefault(run.item.sku, []).append(run)
    return [articles[sku] for sku in sorted(articles)]


def _adds_for_nothing(benefit: NPlusM, item: Item) -> bool:
    """Whether the floor lets the free pieces of a set of the item be wholly free."""
    price_minor = item.portion_minor(item.quantity_milli)
    room_minor = item.amount_minor - item.floor_minor
    set_count = benefit.pay_count + benefit.free_count
    return 0 < price_minor * benefit.free_count <= room_minor * set_count


def _offers(
    benefit: NPlusM, begun: Sequence[tuple[Item, int]], times_left: int
) -> tuple[Offer, ...]:
    """What is missing of the sets begun.

    Args:
        benefit: the N and the M.
        begun: items with their pieces beyond the complete sets, N or more. Of more than N the
            set has fired already; at N it would be one more.
        times_left: how often the promotion may still fire.
    """
    offers = []
    for item, rest in begun:
        if rest == benefit.pay_count:
            if not times_left:
                continue
            times_left -= 1
        missing = benefit.pay_count + benefit.free_count - rest
        offers.append(Offer(item, missing * MILLI))
    return tuple(offers)


def _first(runs: Sequence[Run], count: int) -> list[Run]:
    """The first `count` pieces."""
    taken = []
    for run in runs:
        part = min(run.pieces, count)
        if part:
            taken.append(Run(run.item, part))
        count -= part
    return taken


def _last(runs: Sequence[Run], count: int) -> list[int]:
    """How many of the last `count` pieces stand in each run."""
    counts = [0] * len(runs)
    for n in range(len(runs) - 1, -1, -1):
        counts[n] = min(runs[n].pieces, count)
        count -= counts[n]
    return counts


def _every(runs: Sequence[Run], step: int) -> list[int]:
    """How many pieces of each run are the last of their step, counting through all runs."""
    counts, before = [], 0
    for run in runs:
        after = before + run.pieces
        counts.append(floor_div(after, step) - floor_div(before, step))
        before = after
    return counts


def _give_free(
    promotion: CompiledPromotion,
    number: int,
    used: Sequence[Run],
    free_counts: Sequence[int],
    allocate: Allocate,
) -> None:
    """Spread the price of the free pieces over all used ones and claim them."""
    worth = [run.item.portion_minor(run.pieces * MILLI) for run in used]
    total_minor = sum(
        _last_pieces_minor(run, free) for run, free in zip(used, free_counts, strict=True)
    )
    rooms = [_room_minor(run.item, price) for price, run in zip(worth, used, strict=True)]
    parts = share_capped(min(total_minor, sum(rooms)), worth, rooms, allocate)
    for run, part_minor in zip(used, parts, strict=True):
        run.item.lower(number, part_minor, run.pieces * MILLI)
        _claim(promotion, number, run.item, run.pieces * MILLI)


def _last_pieces_minor(run: Run, free: int) -> int:
    return run.item.portion_minor(free * MILLI, skip_milli=(run.pieces - free) * MILLI)
