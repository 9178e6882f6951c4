"""A case's promotions as one program of ours."""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from rewards.authored import LocalText
from rewards.benefit import Message, PriceBenefit, ReceiptDiscount
from rewards.benefit_check import repeats
from rewards.program import Asset, AssetName, CouponRules, Limits, PluralForm, Program, Promotion
from tests.peer_cases.case import Case, CasePromotion
from tests.peer_cases.conditions import conditions_of, when_of
from tests.peer_cases.limits import UNLIMITED, allowance_of
from tests.peer_cases.payments import TENDER_ACTIONS
from tests.peer_cases.plan import Plan
from tests.peer_cases.points import (
    LATER,
    POINTS,
    earn_bounds,
    earning_plans,
    point_decimals,
    spending_plans,
)
from tests.peer_cases.prices import price_plans
from tests.peer_cases.sets import (
    bundle_plans,
    buy_get_plans,
    cheapest_plans,
    gift_plans,
    nth_plans,
)
from tests.peer_cases.stacking import (
    base_of,
    by_article,
    exclusive_group,
    exclusive_of,
    group_of,
    lane_of,
    priority_of,
    second_lane_from,
)

CHAIN = "peer"
TEXTS = (LocalText("en", "peer"),)
SILENT = (Message(TEXTS),)
"""What a promotion gives of which only the conditions matter."""
LEAST = (ReceiptDiscount(amount_minor=1),)
"""The same where a budget in money is asked about."""

Planner = Callable[[Case, CasePromotion], list[Plan]]
PLANNERS: dict[str, Planner] = {
    "percent_off_line": price_plans,
    "percent_off_receipt": price_plans,
    "amount_off_line": price_plans,
    "amount_off_receipt": price_plans,
    "fixed_price": price_plans,
    "quantity_tier_price": price_plans,
    "bundle_price": bundle_plans,
    "nth_item_percent": nth_plans,
    "cheapest_free": cheapest_plans,
    "buy_n_get_m_free": buy_get_plans,
    "free_item": gift_plans,
    "points_earn_rate": earning_plans,
    "points_fixed": earning_plans,
    "points_redeem": spending_plans,
}


class Translation(Struct, frozen=True):
    """A program, and where its promotions come from.

    Attributes:
        sources: by id of our promotion, the id of the case's promotion.
        freed: ids of our promotions whose articles are gifts out of the basket.
    """

    program: Program
    sources: dict[str, str]
    freed: frozenset[str]


def translate(case: Case) -> Translation:
    """Make one program of all promotions of a case.

    Raises:
        Untranslatable: a promotion says what no promotion of ours can.
    """
    plans = [(source, plan) for source in case.promotions for plan in _plans(case, source)]
    second_from = second_lane_from(case, plans)
    promotions, sources, freed = [], {}, set()
    for number, (source, plan) in enumerate(plans):
        promotion = _promotion(case, source, plan, f"p{number:04}")
        lane = lane_of(source, plan, second_from)
        priority = priority_of(case, source, plan) - number
        promotions.append(replace(promotion, lane=lane, priority=priority))
        sources[promotion.promotion_id] = source.id
        if plan.is_taken_from_basket:
            freed.add(promotion.promotion_id)
    return Translation(_program(case, tuple(promotions)), sources, frozenset(freed))


def _plans(case: Case, source: CasePromotion) -> list[Plan]:
    if source.params.action in TENDER_ACTIONS:
        return []
    planner = PLANNERS.get(source.kind)
    if planner is not None:
        return by_article(case, source, planner(case, source))
    if allowance_of(case, source).total_minor != UNLIMITED:
        return [Plan(LEAST)]
    return [Plan(SILENT)]


def _program(case: Case, promotions: tuple[Promotion, ...]) -> Program:
    groups: dict[str, list[Promotion]] = {}
    for one in promotions:
        if one.exclusive_group:
            groups.setdefault(one.exclusive_group, []).append(one)
    return Program(
        program_id="peer",
        chain_id=CHAIN,
        currency_code=case.currency,
        language_code="en",
        assets=(_asset(POINTS, case), _asset(LATER, case)),
        promotions=promotions,
        exclusive_groups=tuple(exclusive_group(name, groups[name]) for name in groups),
        coupon_rules=CouponRules(any_case=_any_case(case)),
        earn_bounds=earn_bounds(case),
        point_value_micros=1_000_000,
    )


def _asset(code: str, case: Case) -> Asset:
    names = (AssetName("en", (PluralForm("other", "points"),)),)
    return Asset(code, "points", names, decimals=point_decimals(case))


def _any_case(case: Case) -> bool:
    """Codes are taken letter by letter unless a case says otherwise."""
    said = [one.conditions.case_sensitive for one in case.promotions]
    return False in said and True not in said


def _promotion(case: Case, source: CasePromotion, plan: Plan, promotion_id: str) -> Promotion:
    exclusive = exclusive_of(case, source, plan)
    alone = plan.claims or exclusive != "no" or plan.cost is not None
    return Promotion(
        promotion_id=promotion_id,
        names=TEXTS,
        lane=plan.lane,
        gives=plan.gives,
        when=when_of(source.conditions),
        products=plan.products,
        conditions=tuple(dict.fromkeys((*conditions_of(case, source), *plan.conditions))),
        limits=_limits(case, source, plan),
        cost=plan.cost,
        stackable=not alone,
        on_stickers=True,
        base=base_of(case, source) if isinstance(plan.gives[0], PriceBenefit) else "running",
        exclusive_group=f"{group}{plan.group}" if (group := group_of(source)) else "",
        exclusive=exclusive,
    )


def _limits(case: Case, source: CasePromotion, plan: Plan) -> Limits:
    return replace(
        allowance_of(case, source).limits,
        times_per_receipt=plan.times if any(map(repeats, plan.gives)) else 0,
        discount_max_minor=plan.discount_max_minor,
    )
