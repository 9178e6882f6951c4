"""How a case's promotions stand to each other: order, lanes, groups, bases of percentages."""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from rewards.authored import ProductSet
from rewards.benefit import AmountOff, FixedPrice, PercentOff, Pieces
from rewards.condition import Coupon
from rewards.program import ExclusiveGroup, LaneName, Promotion
from tests.peer_cases.case import Case, CasePromotion
from tests.peer_cases.plan import Plan, Stage
from tests.peer_cases.products import is_everything
from tests.peer_cases.sets import FROM_BASKET

BEST_OF = "best_of:"
LAST_COUPON = frozenset({"voucher", "vouchers"})
FIRST_OF = frozenset({"first"})
PER_LINE = frozenset({"catalogue", "catalog", "line", "lines", "item", "items", "product"})
"""Groups whose one promotion is chosen for each line by itself."""
LAST_OF_EQUALS = frozenset({"line", "lines", "item", "items"})
"""Groups where of promotions worth the same the last takes effect; of others it is the first."""
STEP = 1_000
"""Priorities between two promotions of a case: what one of them becomes runs in its own order."""
STAGES: dict[Stage, int] = {"earning": 300_000, "multiplying": 200_000, "counting": 100_000}
Base = Literal["lane_start", "running", "as_sent"]


def group_of(source: CasePromotion) -> str:
    """The group of which one takes effect; empty if it stands for itself."""
    if not source.stacking.startswith(BEST_OF):
        return ""
    name = source.stacking.removeprefix(BEST_OF).lower()
    return "".join(sign if sign.isalnum() else "-" for sign in name)


def exclusive_group(group_id: str, members: Sequence[Promotion]) -> ExclusiveGroup:
    """How the one of a group is chosen: of vouchers the last that was shown, else the best."""
    shown = [any(isinstance(one, Coupon) for one in member.conditions) for member in members]
    if group_id in LAST_COUPON and all(shown):
        return ExclusiveGroup(group_id, "last_coupon")
    return ExclusiveGroup(group_id, "first" if group_id in FIRST_OF else "best")


def by_article(case: Case, source: CasePromotion, plans: list[Plan]) -> list[Plan]:
    """The same for each article by itself, where the best of each line is chosen.

    Only what lowers each article by itself can be told apart so.
    """
    rivals = [one for one in case.promotions if one.stacking == source.stacking]
    if group_of(source) not in PER_LINE or len(rivals) < 2:
        return plans
    return [part for plan in plans for part in _parted(case, plan)]


def _parted(case: Case, plan: Plan) -> list[Plan]:
    if not _works_by_article(plan):
        return [plan]
    return [
        replace(
            plan,
            products=replace(plan.products, skus=(sku,), categories=()),
            group=f"-{number}",
        )
        for number, (sku, tags) in enumerate(sorted(_tags_by_sku(case).items()))
        if _is_in(plan.products, sku, tags)
    ]


def _tags_by_sku(case: Case) -> dict[str, set[str]]:
    """Articles of the receipt; the number of each names its group for every promotion alike."""
    found: dict[str, set[str]] = {}
    for line in case.lines:
        found.setdefault(line.sku, set()).update(line.tags)
    return found


def _is_in(products: ProductSet, sku: str, tags: set[str]) -> bool:
    is_everything = not products.skus and not products.categories
    return is_everything or sku in products.skus or bool(tags.intersection(products.categories))


def _works_by_article(plan: Plan) -> bool:
    if plan.discount_max_minor or plan.times:
        return False
    for benefit in plan.gives:
        if not isinstance(benefit, PercentOff | AmountOff | FixedPrice):
            return False
        if benefit.pieces != Pieces() and not benefit.pieces.per_article:
            return False
    return True


def exclusive_of(
    case: Case, source: CasePromotion, plan: Plan
) -> Literal["no", "receipt", "items"]:
    """Alone on the receipt; or on its articles, if it or one before it is about some only."""
    if plan.lane == "reward":
        return "no"
    if source.params.stop_further_for_item or source.params.stop_further:
        return "items"
    if source.stacking != "exclusive":
        return "no"
    upto = [one for one in case.promotions if one.order <= source.order]
    exclusive = [one for one in upto if one.stacking == "exclusive"]
    is_alone = all(is_everything(one.params.target) for one in exclusive)
    return "receipt" if is_alone else "items"


def priority_of(case: Case, source: CasePromotion, plan: Plan) -> int:
    """The order of the case; points are given before they are spent or multiplied."""
    if plan.stage == "narrow_earning":
        return _narrow_place(case)
    return STAGES.get(plan.stage, 0) - STEP * _turn(case, source)


def _turn(case: Case, source: CasePromotion) -> int:
    """When a promotion has its turn: rivals who stand together may have theirs the other way."""
    if group_of(source) not in LAST_OF_EQUALS:
        return source.order
    rivals = [one.order for one in case.promotions if one.stacking == source.stacking]
    first, last = min(rivals), max(rivals)
    between = [one for one in case.promotions if first <= one.order <= last]
    return first + last - source.order if len(between) == len(rivals) else source.order


def _narrow_place(case: Case) -> int:
    """After the last promotion that lowers some articles only."""
    orders = [one.order for one in case.promotions if not is_everything(one.params.target)]
    return -STEP * max(orders, default=0) - STEP + 1


def second_lane_from(case: Case, plans: Sequence[tuple[CasePromotion, Plan]]) -> int | None:
    """From which order on promotions stand in the second lane; None if one lane does.

    A promotion that claims pieces, or gives a price, works on the prices at its lane's start, so
    that what came before it must have been in another lane. Where only some pieces of an article
    were lowered, the others still have the price at the start.
    """
    lowering = [one.order for one, plan in plans if plan.lowers_whole and not plan.claims]
    claiming = [
        one.order
        for one, plan in plans
        if plan.starts_at_lane or exclusive_of(case, one, plan) == "items"
    ]
    late = [order for order in claiming if min(lowering, default=order) < order]
    grouped = any(group_of(source) for source, _ in plans)
    return None if grouped or not late else min(late)


def lane_of(source: CasePromotion, plan: Plan, second_from: int | None) -> LaneName:
    """The lane of a plan."""
    is_late = second_from is not None and source.order >= second_from
    return "basket" if plan.lane == "price" and plan.stage == "price" and is_late else plan.lane


def base_of(case: Case, source: CasePromotion) -> Base:
    """What a percentage is of: the price that others left, or the price as sent.

    Percentages of all articles that stand side by side add up, as do promotions for so many pieces
    of all; on named articles they follow each other.
    """
    if source.params.base:
        return "as_sent" if source.params.base == "original" else "running"
    side_by_side = _is_side_by_side(case, source) or _is_after_free_pieces(case, source)
    return "as_sent" if side_by_side else "running"


def _is_after_free_pieces(case: Case, source: CasePromotion) -> bool:
    """Whether only free pieces came before: those that are left still have their own price."""
    before = {one.params.gift for one in case.promotions if one.order < source.order}
    return source.kind == "cheapest_free" and before == {FROM_BASKET}


def _is_side_by_side(case: Case, source: CasePromotion) -> bool:
    free = [one for one in case.promotions if _is_of_all_articles(one)]
    percentages = [one for one in free if one.kind == "percent_off_line"]
    picking = [one for one in free if one.params.max_units is not None and _is_by_piece(one)]
    return any(source in rivals and len(rivals) > 1 for rivals in (percentages, picking))


def _is_by_piece(one: CasePromotion) -> bool:
    return one.kind == "percent_off_line" or one.params.amount_basis == "per_unit"


def _is_of_all_articles(one: CasePromotion) -> bool:
    params = one.params
    by_itself = params.max_units is not None and not params.pick
    is_of_lines = one.kind in ("percent_off_line", "amount_off_line")
    if one.stacking != "stackable" or by_itself or not is_of_lines:
        return False
    return is_everything(params.target) and not params.rounding
