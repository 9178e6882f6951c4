"""Points: what a receipt earns, and what customers get for them.

Points that a receipt gives may be spent on it at once, unless the case says that they are for the
next one. They are then earned in the lane of prices, before whoever spends them.
"""

from decimal import Decimal

from msgspec.structs import replace

from rewards.benefit import (
    AmountOff,
    Benefit,
    CouponReward,
    Gift,
    PercentOff,
    PointsFixed,
    PointsMultiplier,
    PointsRate,
    ReceiptDiscount,
)
from rewards.condition import Balance, Condition, Trigger
from rewards.program import Cost, EarnBound, LaneName
from tests.peer_cases.amounts import MILLI, bp, whole
from tests.peer_cases.case import Case, CasePromotion, Params
from tests.peer_cases.pieces import pieces_of, rounding_of
from tests.peer_cases.plan import Plan, Stage, Untranslatable
from tests.peer_cases.products import benefit_set, is_everything
from tests.peer_cases.sets import FROM_BASKET, NEXT_VISIT, SERIES, freed_from_basket

POINTS = "points"
LATER = "later"
"""Points that are good from the next receipt on."""
EARNING = frozenset({"points_earn_rate", "points_fixed"})
SPENDING = "points_redeem"
POINT_DECIMALS = 4
"""Enough for every fraction of a point that peers give."""
PAID = frozenset({"after_discount", "after_discounts", "paid"})
ONE = Decimal(1)
RATE_ONE = 10_000


def has_points(case: Case) -> bool:
    """Whether anything gives or takes points."""
    return any(one.kind in EARNING or one.kind == SPENDING for one in case.promotions)


def point_decimals(case: Case) -> int:
    """Decimals of the asset: none where points are rounded to whole ones."""
    rounded = {one.params.rounding for one in case.promotions if one.kind in EARNING}
    return 0 if rounded - {"", "none"} else POINT_DECIMALS


def point_minor(case: Case, points: Decimal) -> int:
    """Points in minor units of the asset."""
    return whole(points * 10 ** point_decimals(case))


def earn_bounds(case: Case) -> tuple[EarnBound, ...]:
    """The most that a receipt gives, where whoever gives points says so."""
    told = [one.params.max_points for one in case.promotions if one.kind in EARNING]
    most = [number for number in told if number is not None]
    if not most:
        return ()
    bound = point_minor(case, sum(most, Decimal(0)))
    return (EarnBound(POINTS, receipt_max_minor=bound),) if len(most) == len(told) else ()


def event_name(params: Params) -> str:
    """What happened, if a promotion is about something else than a receipt."""
    return params.event or ("event" if params.per == "event" else "")


def earning_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """Points at a rate, a number or a factor."""
    params = promotion.params
    if params.points == 0 or (params.multiplier is not None and not _has_rate(case)):
        return []
    products = benefit_set(promotion, params.target)
    later = params.redeem in NEXT_VISIT
    gives: tuple[Benefit, ...] = (_earned(case, params, LATER if later else POINTS),)
    if later:
        gives = (*gives, CouponReward(SERIES))
    lane, stage = _place(case, promotion)
    event = event_name(params)
    happened: tuple[Condition, ...] = (Trigger((event,)),) if event else ()
    return [Plan(gives, products, happened, lane=lane, stage=stage)]


def _earned(case: Case, params: Params, asset: str) -> Benefit:
    if params.multiplier is not None:
        return PointsMultiplier(asset, bp(params.multiplier * 100), rounding_of(params))
    if params.points_per_unit is not None:
        minor = point_minor(case, ONE) * params.points_per_unit
        rate_bp = whole(minor * RATE_ONE / 10**case.minor_units)
        paid = params.basis in PAID
        return PointsRate(asset, rate_bp, rounding_of(params), "paid" if paid else "as_sent")
    each = params.points_per_unit_bought
    number = each if each is not None else params.points or ONE
    if params.per_amount_minor:
        return PointsFixed(asset, point_minor(case, number), 0, params.per_amount_minor)
    every = 1 if each is not None or params.per in ("unit", "piece") else 0
    return PointsFixed(asset, point_minor(case, number), every)


def _has_rate(case: Case) -> bool:
    """Whether there are points to multiply."""
    earning = [one.params for one in case.promotions if one.params.multiplier is None]
    return any(params.points_per_unit is not None for params in earning)


def _place(case: Case, promotion: CasePromotion) -> tuple[LaneName, Stage]:
    """In which lane points are given.

    A discount on the whole receipt lowers points on the receipt, not points on some of it: these
    are given before it.
    """
    params = promotion.params
    if params.multiplier is not None:
        return "reward", "multiplying"
    if params.points_per_unit is None:
        return _earning_lane(case, promotion), "counting"
    if params.basis not in PAID:
        return _earning_lane(case, promotion), "earning"
    if is_everything(params.target):
        return "reward", "earning"
    return "price", "narrow_earning"


def _earning_lane(case: Case, promotion: CasePromotion) -> LaneName:
    """Where somebody spends points, or prices compete with them, they are given before."""
    is_spent = any(one.kind == SPENDING for one in case.promotions)
    return "price" if is_spent or promotion.stacking != "stackable" else "reward"


def spending_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """A reward that costs points."""
    params = promotion.params
    plan = _reward(promotion)
    required = params.required_points or ONE
    several = _pays_for_several(case, params, required)
    cost = Cost(
        POINTS,
        point_minor(case, required),
        with_earned=not several or not params.gift_sku,
        each=several,
    )
    floor: tuple[Condition, ...] = ()
    if params.min_points is not None:
        floor = (Balance(POINTS, point_minor(case, params.min_points)),)
    times, cap = params.max_applications or 0, params.max_discount_minor or 0
    if params.max_points is not None and params.value_per_point_minor is not None:
        most = whole(params.max_points * params.value_per_point_minor)
        cap = min(cap or most, most)
    return [replace(plan, cost=cost, conditions=floor, times=times, discount_max_minor=cap)]


def _reward(promotion: CasePromotion) -> Plan:
    params = promotion.params
    if params.gift_sku:
        return _gift(params)
    products = benefit_set(promotion, params.target)
    if params.value_per_point_minor is not None:
        amount = whole(params.value_per_point_minor * (params.required_points or ONE))
        return Plan((ReceiptDiscount(amount_minor=amount),), products)
    return Plan((_discount(params),), products)


def _discount(params: Params) -> Benefit:
    """Once, whatever number of pieces it is about: its cost must be due once."""
    count = pieces_of(params).count_max
    if params.amount_minor is not None:
        if count:
            return AmountOff(params.amount_minor, "unit", pieces_of(params))
        return ReceiptDiscount(amount_minor=params.amount_minor)
    if params.percent is None:
        raise Untranslatable("says not what points are good for")
    if count:
        return PercentOff(bp(params.percent), rounding_of(params), pieces=pieces_of(params))
    return ReceiptDiscount(
        rate_bp=bp(params.percent),
        max_minor=params.max_discount_minor or 0,
        rounding=rounding_of(params),
    )


def _gift(params: Params) -> Plan:
    count = int(params.gift_qty or params.qty or 1)
    if params.gift == FROM_BASKET:
        return freed_from_basket((params.gift_sku,), count)
    gift = Gift((params.gift_sku,), quantity_milli=count * MILLI, counts_in_basket=False)
    return Plan((gift,))


def _pays_for_several(case: Case, params: Params, required: Decimal) -> bool:
    """Whether a reward is taken as often as it can be paid.

    Points that are money are. Of gifts the customer takes several for what the card held before;
    what this receipt earns pays for one.
    """
    if params.value_per_point_minor is not None:
        return True
    balance = case.customer.points_balance if case.customer else None
    if params.max_applications == 1:
        return False
    return bool(params.gift_sku) and (balance or 0) >= required
