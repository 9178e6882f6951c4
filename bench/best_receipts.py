"""Random receipts under mix-and-match promotions of a `best` lane, and what they pose as a packing.

The problem is written from what each promotion says, not from the engine's own lists of
applications: an application is worth what the promotion takes off those pieces. A seed gives the
same receipt on every machine.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations_with_replacement
from random import Random
from typing import NamedTuple

from bench.baskets import UNLIMITED, Problem, Uses
from bench.shelf import bench_program, line_of, sale_of
from rewards.authored import LocalText, ProductSet
from rewards.benefit import (
    AmountOff,
    Benefit,
    BundlePart,
    BundlePrice,
    CheapestFree,
    FixedPrice,
    PercentOff,
    Pieces,
)
from rewards.facts import AssetWindow, CustomerFacts, Facts, StoreFacts
from rewards.packing import Application, Party
from rewards.program import LaneSetting, Limits, Program, Promotion
from rewards.rounding import floor_div, round_half_up
from rewards.sale import Sale

CLASSES_MAX = 8
STEPS_MAX = 20_000
_NAMES = (LocalText("ru", "Набор"),)
_STORE = StoreFacts(frozenset(), 739_942, (("points", AssetWindow(0, 0)),), 720)


class Shelf(NamedTuple):
    """Articles of a receipt: pieces and prices, dearest first."""

    capacities: tuple[int, ...]
    prices: tuple[int, ...]

    def price_of(self, uses: Uses) -> int:
        """Price of some pieces, minor units."""
        return sum(self.prices[number] * count for number, count in uses)

    def named(self, members: Sequence[int]) -> ProductSet:
        """The set of some articles."""
        return ProductSet(skus=tuple(_sku(number) for number in members))


class Posed(NamedTuple):
    """A receipt with its program, and the same as a packing problem in minor units."""

    program: Program
    sale: Sale
    facts: Facts
    problem: Problem


class Offered(NamedTuple):
    """A promotion: its benefit and set, how often at most, and what it takes off which pieces."""

    gives: Benefit
    products: ProductSet
    times_max: int
    ways: dict[Uses, int]


Offer = Callable[[Random, Shelf, int], Offered]


def posed_receipt(seed: int) -> Posed:
    """Build a receipt of up to 8 articles under 2 to 6 promotions.

    Args:
        seed: of everything random in it.
    """
    random = Random(f"receipt {seed}")
    count = random.randint(2, CLASSES_MAX)
    prices = random.sample(range(2_000, 90_000), count)
    pieces = tuple(random.choice((1, 1, 1, 2, 2, 3, 6)) for _ in prices)
    shelf = Shelf(pieces, tuple(sorted(prices, reverse=True)))
    offers = [
        random.choice(OFFERS)(random, shelf, random.choice((0, 0, 0, 1, 2, 3)))
        for _ in range(random.randint(2, 6))
    ]
    groups = [random.choice((-1, -1, -1, 0, 1)) for _ in offers]
    promotions = tuple(
        _promotion(n, one, group) for n, (one, group) in enumerate(zip(offers, groups, strict=True))
    )
    lanes = (LaneSetting("price", "best", STEPS_MAX),)
    lines = [
        line_of(number, _sku(number), pieces, price)
        for number, (pieces, price) in enumerate(zip(shelf.capacities, shelf.prices, strict=True))
    ]
    problem = Problem(
        shelf.capacities,
        tuple(
            Application(number, minor, UNLIMITED, uses)
            for number, one in enumerate(offers)
            for uses, minor in sorted(one.ways.items())
            if minor > 0
        ),
        tuple(Party(one.times_max, group) for one, group in zip(offers, groups, strict=True)),
    )
    facts = Facts(CustomerFacts(), _STORE, ())
    return Posed(bench_program(promotions, lanes), sale_of(tuple(lines)), facts, problem)


def _sku(number: int) -> str:
    return f"sku-{number:06d}"


def _promotion(number: int, offered: Offered, group: int) -> Promotion:
    by_piece = isinstance(offered.gives, PercentOff | AmountOff | FixedPrice)
    return Promotion(
        promotion_id=f"promotion-{number:02d}",
        names=_NAMES,
        lane="price",
        gives=(offered.gives,),
        products=offered.products,
        limits=Limits(0 if by_piece else offered.times_max),
        exclusive_group=f"group-{group}" if group >= 0 else "",
    )


def _members(random: Random, shelf: Shelf) -> list[int]:
    """Some articles, ascending: dearest first."""
    count = len(shelf.prices)
    return sorted(random.sample(range(count), random.randint(1, count)))


def _by_piece(
    random: Random, shelf: Shelf, times_max: int, gives: Benefit, off: Callable[[int], int]
) -> Offered:
    members = _members(random, shelf)
    ways: dict[Uses, int] = {((n, 1),): off(shelf.prices[n]) for n in members}
    return Offered(gives, shelf.named(members), times_max, ways)


def _percent(random: Random, shelf: Shelf, times_max: int) -> Offered:
    rate_bp = random.randint(3, 40) * 100
    gives = PercentOff(rate_bp, pieces=Pieces(times_max))
    return _by_piece(
        random, shelf, times_max, gives, lambda price: round_half_up(price * rate_bp, 10_000)
    )


def _amount(random: Random, shelf: Shelf, times_max: int) -> Offered:
    minor = random.randint(5, 100) * 100
    gives = AmountOff(minor, pieces=Pieces(times_max))
    return _by_piece(random, shelf, times_max, gives, lambda price: min(minor, price))


def _fixed(random: Random, shelf: Shelf, times_max: int) -> Offered:
    minor = floor_div(random.choice(shelf.prices) * 8, 10)
    gives = FixedPrice(minor, Pieces(times_max))
    return _by_piece(random, shelf, times_max, gives, lambda price: price - minor)


def _by_set(
    random: Random,
    shelf: Shelf,
    times_max: int,
    count: int,
    gives: Benefit,
    off: Callable[[Uses], int],
) -> Offered:
    members = _members(random, shelf)
    ways = {uses: off(uses) for uses in _picks(shelf, members, count)}
    return Offered(gives, shelf.named(members), times_max, ways)


def _n_for_a_price(random: Random, shelf: Shelf, times_max: int) -> Offered:
    count = random.randint(2, 3)
    price = floor_div(random.choice(shelf.prices) * count * random.randint(50, 90), 100)
    gives = BundlePrice(set_count=count, price_minor=price)
    return _by_set(
        random, shelf, times_max, count, gives, lambda uses: shelf.price_of(uses) - price
    )


def _cheapest_free(random: Random, shelf: Shelf, times_max: int) -> Offered:
    count = random.randint(2, 3)
    return _by_set(
        random,
        shelf,
        times_max,
        count,
        CheapestFree(count),
        lambda uses: min(shelf.prices[number] for number, _ in uses),
    )


def _bundle(random: Random, shelf: Shelf, times_max: int) -> Offered:
    ones, others = _members(random, shelf), _members(random, shelf)
    rate_bp = random.randint(5, 30) * 100
    parts = (BundlePart(shelf.named(ones)), BundlePart(shelf.named(others)))
    pairs = [tuple(sorted((one, other))) for one in ones for other in others]
    ways = {
        uses: round_half_up(shelf.price_of(uses) * rate_bp, 10_000)
        for uses in (_uses(pair) for pair in pairs)
        if _fits(shelf, uses)
    }
    return Offered(BundlePrice(parts=parts, rate_bp=rate_bp), ProductSet(), times_max, ways)


OFFERS: tuple[Offer, ...] = (_percent, _amount, _fixed, _n_for_a_price, _cheapest_free, _bundle)


def _picks(shelf: Shelf, members: Sequence[int], count: int) -> Iterator[Uses]:
    for picked in combinations_with_replacement(members, count):
        uses = _uses(picked)
        if _fits(shelf, uses):
            yield uses


def _uses(picked: Sequence[int]) -> Uses:
    return tuple((number, picked.count(number)) for number in sorted(set(picked)))


def _fits(shelf: Shelf, uses: Uses) -> bool:
    return all(count <= shelf.capacities[number] for number, count in uses)
