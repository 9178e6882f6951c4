"""A `best` lane: the combination of promotions that is worth most to the customer, exactly.

Each promotion says on which pieces it could fire and what that is worth (`column`); `packing`
chooses. Worth is money off and points at the program's rate, in hundredths of a minor unit.
Promotions that claim nothing, or that cannot be weighed so, run afterwards by priority.
"""

from collections.abc import Sequence

from msgspec import Struct

from rewards.basket import share_capped
from rewards.benefit import (
    AmountOff,
    Benefit,
    FixedPrice,
    PercentOff,
    PointsFixed,
    PointsRate,
    PriceBenefit,
    PriceList,
    QuantityTiers,
)
from rewards.column import (
    Column,
    Columns,
    PieceClass,
    Places,
    Uses,
    choose,
    classes_of,
    columns_of,
    is_weighable,
)
from rewards.course import Course
from rewards.deal import Proposal, Taken
from rewards.limits import REWARD_MINOR_MAX
from rewards.packing import VALUE_MAX, Application, Packing, Party, pack
from rewards.rewarding import earns_for, value_micros_of
from rewards.rounding import RATE_BP_ONE, fit_64_bits, floor_div
from rewards.ruleset import CompiledPromotion

WORTH_SCALE = 100
"""Hundredths of a minor unit in one."""
POINTS_MAX = REWARD_MINOR_MAX * WORTH_SCALE
"""Hundredths that no reward is weighed above."""
SUM_MAX = 2**61
"""Above what all pieces could be worth no exact choice is made."""
_MICROS = 1_000_000
PIECE_CHOICES = PercentOff | AmountOff | FixedPrice
COUNTED_BY_ITEM = PIECE_CHOICES | PriceList | QuantityTiers


class LaneProof(Struct, frozen=True):
    """How good the combination of a `best` lane is.

    Attributes:
        lane: number of the lane.
        optimal: no other combination is worth more.
        gap_minor: at most so much more another one could be worth, minor units of money.
        steps: of the budget that were used.
    """

    lane: int
    optimal: bool
    gap_minor: int
    steps: int


class Weighed(Struct, frozen=True):
    """A promotion with its applications and what each is worth, hundredths of a minor unit."""

    number: int
    columns: tuple[Column, ...]
    worths: tuple[int, ...]
    complete: bool


class Combination(Struct, frozen=True):
    """What a lane chose.

    Attributes:
        proposals: by promotion, of those that fire.
        weighed: promotions that could fire on some pieces.
        proof: how good it is.
    """

    proposals: dict[int, Proposal]
    weighed: frozenset[int]
    proof: LaneProof


def can_weigh(promotion: CompiledPromotion) -> bool:
    """Whether a promotion's applications can be listed and weighed against others.

    It claims what it works on, costs nothing, has no limit in money, and lowers prices by one
    benefit or gives points.
    """
    if promotion.stackable or promotion.cost is not None or promotion.has_quota:
        return False
    if promotion.limits.discount_max_minor:
        return False
    prices = [one for one in promotion.gives if isinstance(one, PriceBenefit)]
    if prices:
        return len(prices) == 1 and is_weighable(prices[0])
    return any(isinstance(one, PointsRate | PointsFixed) for one in promotion.gives)


def combine(course: Course, numbers: Sequence[int], steps_max: int) -> Combination:
    """Choose the combination of promotions that is worth most.

    Args:
        course: at the start of the lane.
        numbers: promotions that may take effect and can be weighed, ascending.
        steps_max: budget of the proof.
    """
    classes = classes_of(course.items)
    weighed = [_weigh(course, number, classes) for number in numbers]
    packing = _packed(course, weighed, classes, steps_max)
    proposals: dict[int, Proposal] = {}
    at = 0
    for one in weighed:
        times = packing.times[at : at + len(one.columns)]
        at += len(one.columns)
        if any(times):
            proposals[one.number] = _proposal(course, one, times, classes)
    complete = all(one.complete for one in weighed)
    bound = packing.bound if complete else max(packing.bound, _most(course, classes, weighed))
    gap_minor = -floor_div(packing.total - bound, WORTH_SCALE)
    proof = LaneProof(course.lane, bound == packing.total, gap_minor, packing.steps)
    could = frozenset(one.number for one in weighed if one.columns)
    return Combination(proposals, could, proof)


def _weigh(course: Course, number: int, classes: Sequence[PieceClass]) -> Weighed:
    promotion = course.program.promotions[number]
    prices = [n for n, one in enumerate(promotion.gives) if isinstance(one, PriceBenefit)]
    if prices:
        deal = course.deal(number, prices[0])
        sets = promotion.part_sets[prices[0]] or (promotion.target,)
        parts = [_places(course, promotion, classes, (one,)) for one in sets]
        found = columns_of(deal, promotion.gives[prices[0]], classes, parts)
    else:
        found = _reward_columns(course, promotion, classes)
    worths = tuple(
        fit_64_bits(
            column.discount_minor * WORTH_SCALE + _points_worth(course, promotion, column, classes)
        )
        for column in found.columns
    )
    kept = [n for n, worth in enumerate(worths) if worth > 0]
    return Weighed(
        number,
        tuple(found.columns[n] for n in kept),
        tuple(worths[n] for n in kept),
        found.complete,
    )


def _places(
    course: Course,
    promotion: CompiledPromotion,
    classes: Sequence[PieceClass],
    sets: Sequence[int],
    lowers: bool = True,
) -> Places:
    """Numbers of the classes that a promotion may work on, dearest first."""
    items = course.touched(promotion, sets)
    if lowers:
        items = list(course.usable(promotion, items))
    own = {id(item) for item in items}
    places = [n for n, one in enumerate(classes) if id(one.item) in own]
    return sorted(places, key=lambda n: (-classes[n].price_minor, n))


def _reward_columns(
    course: Course, promotion: CompiledPromotion, classes: Sequence[PieceClass]
) -> Columns:
    """Applications of a promotion that only gives points: pieces, sets of them, or all."""
    places = _places(course, promotion, classes, (promotion.target,), lowers=False)
    places = [place for place in places if earns_for(promotion, classes[place].item)]
    fixed = [one for one in promotion.gives if isinstance(one, PointsFixed)]
    if not fixed:
        return Columns(tuple(_giving(((n, 1),), classes[n].capacity) for n in sorted(places)))
    count = fixed[0].for_each_count
    if not count or fixed[0].for_each_minor:
        uses = tuple((place, classes[place].capacity) for place in sorted(places))
        return Columns((_giving(uses, 1),) if uses else ())
    chosen = choose(classes, places, count)
    columns = []
    for uses in chosen.uses:
        times = min(floor_div(classes[place].capacity, pieces) for place, pieces in uses)
        columns.append(_giving(tuple(sorted(uses)), times))
    return Columns(tuple(columns), chosen.complete)


def _giving(uses: Uses, times_max: int) -> Column:
    """An application that takes nothing off."""
    return Column(uses, 0, times_max, uses)


def _points_worth(
    course: Course, promotion: CompiledPromotion, column: Column, classes: Sequence[PieceClass]
) -> int:
    """What the points of an application are worth, hundredths of a minor unit."""
    if not course.earns():
        return 0
    earning = [(p, n) for p, n in column.uses if earns_for(promotion, classes[p].item)]
    paid_minor = sum([classes[p].price_minor * n for p, n in earning]) - column.discount_minor
    worth = 0
    for benefit in promotion.gives:
        points = 0
        if isinstance(benefit, PointsRate):
            points = floor_div(max(0, paid_minor) * benefit.rate_bp * WORTH_SCALE, RATE_BP_ONE)
        elif isinstance(benefit, PointsFixed) and earning:
            steps = 1
            if benefit.for_each_minor:
                steps = floor_div(max(0, paid_minor), benefit.for_each_minor)
            points = benefit.amount_minor * steps * WORTH_SCALE
        worth += _worth_of(course, benefit, min(points, POINTS_MAX))
    return worth


def _worth_of(course: Course, benefit: Benefit, points: int) -> int:
    if not isinstance(benefit, PointsRate | PointsFixed) or not points:
        return 0
    value_micros = value_micros_of(course.program, benefit.asset_code)
    if value_micros is None:
        return points
    return min(POINTS_MAX, floor_div(points * value_micros, _MICROS))


def _packed(
    course: Course, weighed: Sequence[Weighed], classes: Sequence[PieceClass], steps_max: int
) -> Packing:
    capacities = [one.capacity for one in classes]
    shift = _shift(weighed, sum(capacities))
    applications = [
        Application(place, max(1, worth >> shift), column.times_max, column.uses)
        for place, one in enumerate(weighed)
        for column, worth in zip(one.columns, one.worths, strict=True)
    ]
    parties = [_party(course.program.promotions[one.number]) for one in weighed]
    packing = pack(capacities, applications, parties, steps_max)
    if not shift:
        return packing
    # Each piece could have lost less than one unit of the coarser worth.
    most = fit_64_bits((packing.bound + sum(capacities)) << shift)
    return Packing(packing.times, packing.total << shift, most, packing.steps)


def _shift(weighed: Sequence[Weighed], pieces: int) -> int:
    """Bits by which worths are coarser where they are too large to be weighed exactly."""
    most = max([worth for one in weighed for worth in one.worths], default=0)
    shift = 0
    while most >> shift > VALUE_MAX or (most >> shift) * pieces >= SUM_MAX:
        shift += 1
    return shift


def _party(promotion: CompiledPromotion) -> Party:
    """How often all applications of a promotion together may be used, and its exclusive group."""
    times_max = promotion.limits.times_per_receipt
    for benefit in promotion.gives:
        if isinstance(benefit, PIECE_CHOICES):
            pieces = benefit.pieces
            times_max = floor_div(pieces.count_max, pieces.full_groups_of or 1)
    return Party(times_max, promotion.group)


def _proposal(
    course: Course, one: Weighed, times: Sequence[int], classes: Sequence[PieceClass]
) -> Proposal:
    """What the chosen applications of a promotion come to, by item.

    A discount on pieces of several classes is shared over all of them in proportion to their
    prices.
    """
    promotion = course.program.promotions[one.number]
    milli: dict[int, int] = {}
    own: dict[int, int] = {}
    shared: dict[int, int] = {}
    rooms: dict[int, int] = {}
    total_minor = 0
    for column, count in zip(one.columns, times, strict=True):
        for place, pieces in column.uses if count else ():
            item = id(classes[place].item)
            milli[item] = milli.get(item, 0) + pieces * count * classes[place].piece_milli
        if not count:
            continue
        if len(column.uses) == 1:
            item = id(classes[column.uses[0][0]].item)
            own[item] = own.get(item, 0) + column.discount_minor * count
            continue
        total_minor += column.discount_minor * count
        for place, pieces in column.bearing:
            item = id(classes[place].item)
            price_minor = classes[place].price_minor * pieces * count
            shared[item] = shared.get(item, 0) + price_minor
            room_minor = classes[place].room_minor * pieces * count
            rooms[item] = rooms.get(item, 0) + room_minor
    items = [item for item in course.items if id(item) in milli]
    # Each promotion keeps to the rooms of its own pieces: the item may be another's, too.
    prices = [shared.get(id(item), 0) for item in items]
    held = [rooms.get(id(item), 0) for item in items]
    parts = share_capped(total_minor, prices, held, course.allocate)
    taken = tuple(
        Taken(item, milli[id(item)], own.get(id(item), 0) + part)
        for item, part in zip(items, parts, strict=True)
    )
    return Proposal(_times(promotion, taken, times), taken, offers=())


def _times(promotion: CompiledPromotion, taken: Sequence[Taken], times: Sequence[int]) -> int:
    """Sets that fired, or items that were lowered, as in a sequential lane."""
    for benefit in promotion.gives:
        if isinstance(benefit, COUNTED_BY_ITEM):
            return sum([1 for one in taken if one.discount_minor])
        if isinstance(benefit, PriceBenefit):
            return sum(times)
    return 1


def _most(course: Course, classes: Sequence[PieceClass], weighed: Sequence[Weighed]) -> int:
    """An upper bound where applications were left out: every piece free, with the most points."""
    promotions = [course.program.promotions[one.number] for one in weighed]
    most = 0
    for place, one in enumerate(classes):
        alone = _giving(((place, 1),), 1)
        points = [_points_worth(course, promotion, alone, classes) for promotion in promotions]
        worth = one.price_minor * WORTH_SCALE + max(points, default=0)
        most = fit_64_bits(most + one.capacity * worth)
    return most
