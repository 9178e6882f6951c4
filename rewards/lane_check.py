"""What promotions of a program do to each other: in a lane, in a group, one after another."""

from collections.abc import Iterator, Sequence

from rewards.benefit import PointsFixed, PointsMultiplier, PointsRate
from rewards.condition import Coupon
from rewards.problem import Problem, check_unique
from rewards.program import LaneName, Program, Promotion

_LANE_ORDER: dict[LaneName, int] = {"price": 1, "basket": 2, "reward": 3}

_Running = tuple[int, int, str]
"""Sorts promotions as they run: lane, priority, id."""


def check_lanes(program: Program) -> Iterator[Problem]:
    """Find lanes and groups that contradict their promotions.

    Args:
        program: with each key in its range.
    """
    yield from check_unique("lanes", "lane", [setting.lane for setting in program.lanes])
    yield from _check_groups(program)
    yield from _check_multipliers(program.promotions)


def _check_groups(program: Program) -> Iterator[Problem]:
    groups = program.exclusive_groups
    yield from check_unique("exclusive_groups", "group_id", [group.group_id for group in groups])
    used = {promotion.exclusive_group for promotion in program.promotions}
    for index, group in enumerate(groups):
        if group.group_id not in used:
            reason = f"no promotion has the exclusive_group {group.group_id!r}"
            yield Problem(f"exclusive_groups[{index}].group_id", reason)
    by_coupon = {group.group_id for group in groups if group.choose == "last_coupon"}
    first_of: dict[str, Promotion] = {}
    for index, promotion in enumerate(program.promotions):
        group_id, path = promotion.exclusive_group, f"promotions[{index}].exclusive_group"
        if not group_id:
            continue
        first = first_of.setdefault(group_id, promotion)
        if promotion.lane != first.lane:
            reason = f"promotion {first.promotion_id!r} of the group is in lane {first.lane}"
            yield Problem(path, f"{reason}, this one in {promotion.lane}; a group has one lane")
        if group_id in by_coupon and not _asks_coupon(promotion):
            reason = f"{group_id!r} chooses by the last coupon, but there is no condition coupon"
            yield Problem(path, reason)


def _asks_coupon(promotion: Promotion) -> bool:
    return any(isinstance(condition, Coupon) for condition in promotion.conditions)


def _check_multipliers(promotions: Sequence[Promotion]) -> Iterator[Problem]:
    """A multiplier that runs before all that it could multiply never does anything."""
    first: dict[str, _Running] = {}
    for promotion in promotions:
        for benefit in promotion.gives:
            if isinstance(benefit, PointsRate | PointsFixed):
                code, place = benefit.asset_code, _running(promotion)
                first[code] = min(place, first.get(code, place))
    for index, promotion in enumerate(promotions):
        place = _running(promotion)
        for number, benefit in enumerate(promotion.gives):
            if not isinstance(benefit, PointsMultiplier) or promotion.lane != "reward":
                continue
            if first.get(benefit.asset_code, place) >= place:
                given = f"no promotion that runs before gives {benefit.asset_code!r}"
                reason = f"has nothing to multiply: {given}"
                yield Problem(f"promotions[{index}].gives[{number}]", reason)


def _running(promotion: Promotion) -> _Running:
    return _LANE_ORDER[promotion.lane], -promotion.priority, promotion.promotion_id
