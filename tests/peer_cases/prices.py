"""Percentages, amounts and prices: what lowers articles or the receipt."""

from decimal import Decimal

from msgspec.structs import replace

from rewards.authored import ProductSet
from rewards.benefit import (
    ALL_PIECES,
    AmountOff,
    Benefit,
    FixedPrice,
    PercentOff,
    PriceBenefit,
    QuantityTier,
    QuantityTiers,
    ReceiptDiscount,
)
from rewards.condition import Condition, Products, ReceiptAmount
from tests.peer_cases.amounts import bp, milli
from tests.peer_cases.case import Case, CasePromotion, Params, Tier
from tests.peer_cases.pieces import (
    is_rounded_on_total,
    pieces_of,
    remainder_of,
    rounded_on,
    rounding_of,
    share_of,
)
from tests.peer_cases.plan import Plan
from tests.peer_cases.products import EVERYTHING, benefit_set

ANY_PERCENT = Decimal(10)
"""Where a percentage does not matter."""
MOST_STEPS = 100
"""So often an amount is given again at most."""
LOWEST_TIER = 1_000
"""A tier from nothing on starts with the first piece."""
PER_LINE = frozenset({"per_line", "per_item", "per_article"})
ONCE = frozenset({"once", "per_order", "per_receipt", "per_basket"})
ON_RECEIPT = frozenset({"receipt", "order", "basket"})
ON_TARGET = frozenset({"eligible_units", "eligible", "target", "eligible_amount"})


def percent_of(params: Params) -> Decimal:
    """The percentage taken off."""
    if params.percent_to_pay is not None:
        return 100 - params.percent_to_pay
    return ANY_PERCENT if params.percent is None else params.percent


def price_plans(case: Case, promotion: CasePromotion) -> list[Plan]:
    """What a promotion of prices becomes: one promotion, or one a tier."""
    products = benefit_set(promotion, promotion.params.target)
    if _repeats(promotion):
        return _steps(_repeated(case, promotion), products, None)
    if not promotion.params.tiers:
        params = _leaving(case, promotion)
        return [_plan(promotion.kind, params, products)]
    if _counts_quantity(promotion.kind, promotion.params):
        return [Plan((_quantity_tiers(promotion.params),), products)]
    return _amount_tiers(case, promotion, products)


def _leaving(case: Case, promotion: CasePromotion) -> Params:
    """How an amount on a few articles is shared where nothing is said of it.

    It is taken from the cheapest first where a later one is about some of these articles only, so
    that this one finds something left.
    """
    params = promotion.params
    mine = set(params.target.values) if params.target else set()
    later = [one.params.target for one in case.promotions if one.order > promotion.order]
    is_competed = any(one and 0 < len(mine & set(one.values)) < len(mine) for one in later)
    if params.distribution or not params.amount_minor or not is_competed:
        return params
    return replace(params, distribution="cheapest")


def _repeats(promotion: CasePromotion) -> bool:
    """Whether an amount is given again for every so much that is spent."""
    several = (promotion.params.max_applications or 0) > 1
    step = promotion.params.every_amount_minor or promotion.conditions.min_amount_minor
    is_asked = promotion.params.every_amount_minor is not None or several
    return promotion.kind == "amount_off_receipt" and is_asked and bool(step)


def _repeated(case: Case, promotion: CasePromotion) -> CasePromotion:
    """The same amount as tiers: once, twice and so on, as far as this receipt could come."""
    params = promotion.params
    every = params.every_amount_minor or promotion.conditions.min_amount_minor or 1
    sent = sum((line.qty * (line.unit_price_minor or 0) for line in case.lines), Decimal(0))
    most = min(params.max_applications or MOST_STEPS, MOST_STEPS, max(int(sent) // every, 1))
    tiers = tuple(
        Tier(min_amount_minor=n * every, amount_minor=n * (params.amount_minor or 0))
        for n in range(1, most + 1)
    )
    return replace(promotion, params=replace(params, tiers=tiers))


def _plan(kind: str, params: Params, products: ProductSet) -> Plan:
    benefit = _benefit(kind, params)
    cap = params.max_discount_minor or 0
    is_capped_inside = isinstance(benefit, ReceiptDiscount)
    return Plan((benefit,), products, discount_max_minor=0 if is_capped_inside else cap)


def _benefit(kind: str, params: Params) -> PriceBenefit:
    said_nothing_else = params.percent is None and params.amount_minor is None
    if kind == "fixed_price" or (params.price_minor is not None and said_nothing_else):
        return _price(params)
    if kind.startswith("percent") or params.percent is not None:
        return percent_benefit(kind, params)
    return amount_benefit(kind, params)


def percent_benefit(kind: str, params: Params) -> PriceBenefit:
    """A percentage of each article, or of all together where the receipt or a cap is meant."""
    pieces = pieces_of(params)
    as_one = kind == "percent_off_receipt" or bool(params.max_discount_minor)
    if as_one and pieces == ALL_PIECES and is_rounded_on_total(params):
        return ReceiptDiscount(
            rate_bp=bp(percent_of(params)),
            max_minor=params.max_discount_minor or 0,
            rounding=rounding_of(params),
            share=share_of(params),
            remainder=remainder_of(params, kind),
        )
    return PercentOff(bp(percent_of(params)), rounding_of(params), rounded_on(params), pieces)


def amount_benefit(kind: str, params: Params) -> PriceBenefit:
    """An amount off the receipt or target, off each article, or off each piece."""
    pieces = pieces_of(params)
    amount_minor = params.amount_minor or 0
    once = kind == "amount_off_receipt" or params.amount_basis in ONCE
    if once and pieces == ALL_PIECES:
        return ReceiptDiscount(
            amount_minor=min(amount_minor, params.max_discount_minor or amount_minor),
            share=share_of(params),
            remainder=remainder_of(params),
        )
    # Once over at most one piece is an amount off that piece.
    per_item = params.amount_basis in PER_LINE
    return AmountOff(amount_minor, "item" if per_item else "unit", pieces)


def _price(params: Params) -> PriceBenefit:
    price_minor = params.price_minor or 0
    if params.target is not None and params.target.type in ON_RECEIPT:
        return ReceiptDiscount(price_minor=price_minor, share=share_of(params))
    return FixedPrice(price_minor, pieces_of(params))


def _counts_quantity(kind: str, params: Params) -> bool:
    by_quantity = all(tier.min_amount_minor is None for tier in params.tiers)
    on_receipt = params.tier_basis in ON_RECEIPT or kind.endswith("_receipt")
    by_piece = params.amount_basis not in PER_LINE | ONCE
    return by_quantity and by_piece and not on_receipt and pieces_of(params) == ALL_PIECES


def _quantity_tiers(params: Params) -> Benefit:
    tiers = tuple(
        QuantityTier(
            max(milli(tier.min_qty), LOWEST_TIER),
            0 if tier.percent is None else bp(tier.percent),
            tier.amount_minor or 0,
            tier.price_minor or 0,
        )
        for tier in params.tiers
    )
    return QuantityTiers(tiers, params.tier_basis not in ON_TARGET, rounding_of(params))


def _amount_tiers(case: Case, promotion: CasePromotion, products: ProductSet) -> list[Plan]:
    """One promotion a tier; where each line reaches a tier by itself, one an article and tier."""
    params = promotion.params
    if params.tier_basis in ON_RECEIPT or promotion.kind.endswith("_receipt"):
        return _steps(promotion, products, None)
    if params.tier_basis in ON_TARGET:
        return _steps(promotion, products, products)
    skus = dict.fromkeys(line.sku for line in case.lines)
    own = [replace(products, skus=(sku,)) for sku in skus if sku in (products.skus or skus)]
    return [plan for article in own for plan in _steps(promotion, article, article)]


def _steps(
    promotion: CasePromotion, products: ProductSet, reached_on: ProductSet | None
) -> list[Plan]:
    tiers = sorted(promotion.params.tiers, key=lambda tier: (_from_minor(tier), _from_milli(tier)))
    plans = []
    for tier, above in zip(tiers, (*tiers[1:], None), strict=True):
        stepped = replace(
            promotion.params,
            percent=tier.percent,
            amount_minor=tier.amount_minor,
            price_minor=tier.price_minor,
        )
        plan = _plan(promotion.kind, stepped, products)
        plans.append(replace(plan, conditions=_within(tier, above, reached_on)))
    return plans


def _within(tier: Tier, above: Tier | None, on: ProductSet | None) -> tuple[Condition, ...]:
    """What is reached on the receipt, or on a set, lies from this tier up to the next."""
    low, high = _from_minor(tier), _from_minor(above) - 1 if above else 0
    low_milli, high_milli = _from_milli(tier), _from_milli(above) - 1 if above else 0
    conditions: list[Condition] = []
    if low > 0 or high > 0:
        conditions.append(
            ReceiptAmount(low, max(high, 0), basis="as_sent")
            if on is None
            else Products(on, amount_from_minor=low, amount_to_minor=max(high, 0), basis="as_sent")
        )
    if low_milli > 0 or high_milli > 0:
        counted = EVERYTHING if on is None else on
        conditions.append(
            Products(counted, quantity_from_milli=low_milli, quantity_to_milli=max(high_milli, 0))
        )
    return tuple(conditions)


def _from_minor(tier: Tier | None) -> int:
    return (tier.min_amount_minor or 0) if tier else 0


def _from_milli(tier: Tier | None) -> int:
    return milli(tier.min_qty) if tier else 0
