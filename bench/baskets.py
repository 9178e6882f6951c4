"""Random baskets under mix-and-match promotions, as packing problems; hard ones of 60 pieces.

A seed gives the same problem on every machine. Prices and values are in minor units.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations_with_replacement, islice
from random import Random
from typing import NamedTuple

from rewards.packing import Application, Party
from rewards.rounding import RATE_BP_ONE, floor_div

WAYS_MAX = 40
"""Applications of one promotion of a basket; the dearest pieces come first."""
UNLIMITED = 10_000
HARD_PIECES = 60
HARD_APPLICATIONS = 1_000

Uses = tuple[tuple[int, int], ...]


class Problem(NamedTuple):
    """What is to be packed: pieces by class, applications, promotions."""

    capacities: tuple[int, ...]
    applications: tuple[Application, ...]
    parties: tuple[Party, ...]


class Basket(NamedTuple):
    """Pieces and their prices, by class, dearest first."""

    capacities: tuple[int, ...]
    prices: tuple[int, ...]

    def price_of(self, uses: Uses) -> int:
        """Price of the pieces of one time."""
        return sum(self.prices[number] * count for number, count in uses)


Way = tuple[Uses, int]
"""Pieces that a promotion works on once, and what it takes off."""
Gives = Callable[[Random, Basket], Iterator[Way]]


def basket_problem(seed: int) -> Problem:
    """Build a basket of up to 20 classes under 2 to 8 promotions.

    Args:
        seed: of everything random in it.
    """
    random = Random(f"basket {seed}")
    count = random.randint(2, 20)
    prices = sorted((_price(random) for _ in range(count)), reverse=True)
    basket = Basket(tuple(random.choice((1, 1, 1, 2, 2, 3, 6)) for _ in prices), tuple(prices))
    promotions = [_ways(random, basket) for _ in range(random.randint(2, 8))]
    parties = tuple(_party(random) for _ in promotions)
    return Problem(basket.capacities, _applications(promotions), parties)


def _price(random: Random) -> int:
    """A price as shops set them, mostly one kopeck below a rouble."""
    return random.randint(20, 900) * 100 - random.choice((0, 1, 10))


def _party(random: Random) -> Party:
    times_max = random.choice((0, 0, 0, 1, 2, 3))
    return Party(times_max, random.choice((-1, -1, -1, 0, 1)))


def _ways(random: Random, basket: Basket) -> dict[Uses, int]:
    """Ways of one promotion that take something off."""
    gives = random.choice(GIVES)
    ways = islice(gives(random, basket), WAYS_MAX)
    return {uses: minor for uses, minor in ways if minor > 0 and _fits(basket, uses)}


def _fits(basket: Basket, uses: Uses) -> bool:
    return all(count <= basket.capacities[number] for number, count in uses)


def _applications(promotions: Sequence[dict[Uses, int]]) -> tuple[Application, ...]:
    """Applications in canonical order."""
    return tuple(
        Application(promotion, minor, UNLIMITED, uses)
        for promotion, ways in enumerate(promotions)
        for uses, minor in sorted(ways.items())
    )


def _set(random: Random, basket: Basket, share_max: int = 1) -> list[int]:
    """A set of classes, ascending."""
    count = len(basket.prices)
    return sorted(
        random.sample(range(count), random.randint(1, max(1, floor_div(count, share_max))))
    )


def _percent(random: Random, basket: Basket) -> Iterator[Way]:
    rate_bp = random.randint(3, 40) * 100
    for number in _set(random, basket):
        yield ((number, 1),), floor_div(basket.prices[number] * rate_bp, RATE_BP_ONE)


def _amount(random: Random, basket: Basket) -> Iterator[Way]:
    amount = random.randint(5, 100) * 100
    for number in _set(random, basket):
        yield ((number, 1),), min(amount, basket.prices[number])


def _fixed_price(random: Random, basket: Basket) -> Iterator[Way]:
    members = _set(random, basket, 2)
    price = floor_div(basket.prices[random.choice(members)] * random.randint(60, 95), 100)
    for number in members:
        yield ((number, 1),), basket.prices[number] - price


def _n_for_a_price(random: Random, basket: Basket) -> Iterator[Way]:
    members, count = _set(random, basket), random.randint(2, 4)
    dearest = basket.prices[members[0]] * count
    price = floor_div(dearest * random.randint(40, 90), 100)
    for uses in _picks(members, count):
        yield uses, basket.price_of(uses) - price


def _cheapest_free(random: Random, basket: Basket) -> Iterator[Way]:
    members, count = _set(random, basket), random.randint(2, 4)
    for uses in _picks(members, count):
        yield uses, min(basket.prices[number] for number, _ in uses)


def _bundle(random: Random, basket: Basket) -> Iterator[Way]:
    ones, others = _set(random, basket, 2), _set(random, basket, 2)
    rate_bp = random.randint(5, 30) * 100
    for one in ones:
        for other in others:
            uses = ((min(one, other), 1), (max(one, other), 1)) if one != other else ((one, 2),)
            yield uses, floor_div(basket.price_of(uses) * rate_bp, RATE_BP_ONE)


GIVES: tuple[Gives, ...] = (
    _percent,
    _amount,
    _fixed_price,
    _n_for_a_price,
    _cheapest_free,
    _bundle,
)


def _picks(members: Sequence[int], count: int) -> Iterator[Uses]:
    """Ways to pick pieces of a set."""
    for picked in combinations_with_replacement(members, count):
        yield tuple((number, picked.count(number)) for number in sorted(set(picked)))


Values = Callable[[Random, Basket, int, Uses], int]


def hard_problem(kind: str, seed: int) -> Problem:
    """Build a basket of 60 pieces with 1,000 applications of sets of 2 to 6 pieces.

    Args:
        kind: one of HARD_KINDS.
        seed: of everything random in it.
    """
    random = Random(f"hard {kind} {seed}")
    promotions_count = random.randint(20, 60)
    classes = random.randint(12, 24) if kind in ("runs", "runs at one price") else HARD_PIECES
    prices = sorted((random.randint(5_000, 200_000) for _ in range(classes)), reverse=True)
    basket = Basket(_spread(random, classes), tuple(prices))
    sizes = [random.randint(2, 6) for _ in range(promotions_count)]
    members = [random.sample(range(classes), min(classes, 16)) for _ in sizes]
    promotions: list[dict[Uses, int]] = [{} for _ in sizes]
    found = 0
    while found < HARD_APPLICATIONS:
        number = random.randrange(promotions_count)
        own = kind in OWN_SETS
        size = sizes[number] if own else random.randint(2, 6)
        picked = random.choices(members[number] if own else range(classes), k=size)
        uses = tuple((one, picked.count(one)) for one in sorted(set(picked)))
        minor = HARD_KINDS[kind](random, basket, number, uses)
        if minor > 0 and _fits(basket, uses) and uses not in promotions[number]:
            promotions[number][uses] = minor
            found += 1
    parties = [_hard_party(random, kind, promotions_count) for _ in promotions]
    return Problem(basket.capacities, _applications(promotions), tuple(parties))


def _spread(random: Random, classes: int) -> tuple[int, ...]:
    capacities = [1] * classes
    for _ in range(HARD_PIECES - classes):
        capacities[random.randrange(classes)] += 1
    return tuple(capacities)


def _hard_party(random: Random, kind: str, promotions_count: int) -> Party:
    if kind != "limits and groups":
        return Party()
    group = random.randrange(floor_div(promotions_count, 4))
    return Party(random.choice((0, 0, 0, 1, 2, 3)), random.choice((-1, group)))


def _share(random: Random, basket: Basket, uses: Uses, least_bp: int, most_bp: int) -> int:
    return floor_div(basket.price_of(uses) * random.randint(least_bp, most_bp), RATE_BP_ONE)


def _any_share(random: Random, basket: Basket, number: int, uses: Uses) -> int:
    return _share(random, basket, uses, 500, 4_000)


def _close_shares(random: Random, basket: Basket, number: int, uses: Uses) -> int:
    return _share(random, basket, uses, 1_000, 1_200)


def _same_share(random: Random, basket: Basket, number: int, uses: Uses) -> int:
    rate_bp = 500 + number * 7_919 % 3_500
    return floor_div(basket.price_of(uses) * rate_bp, RATE_BP_ONE)


def _least_price(random: Random, basket: Basket, number: int, uses: Uses) -> int:
    return min(basket.prices[one] for one, _ in uses)


def _at_one_price(random: Random, basket: Basket, number: int, uses: Uses) -> int:
    average = floor_div(sum(basket.prices), len(basket.prices))
    pieces = sum(count for _, count in uses)
    return basket.price_of(uses) - floor_div(average * pieces * 8, 10)


HARD_KINDS: dict[str, Values] = {
    "any share of the price": _any_share,
    "close shares of the price": _close_shares,
    "one share a promotion": _same_share,
    "cheapest free": _least_price,
    "at one price": _at_one_price,
    "runs": _close_shares,
    "runs at one price": _at_one_price,
    "limits and groups": _any_share,
}
OWN_SETS = frozenset(
    {"one share a promotion", "cheapest free", "at one price", "runs at one price"}
)
