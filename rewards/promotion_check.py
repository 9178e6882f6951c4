"""Parts of one promotion that contradict each other: lane, time, limits, cost, who pays."""

from collections.abc import Iterator
from datetime import date

from rewards.benefit import (
    PointsFixed,
    PointsMultiplier,
    PointsRate,
    PriceBenefit,
    ReceiptDiscount,
)
from rewards.benefit_check import (
    LANES_ALLOWED,
    benefit_code,
    check_gives,
    has_worth,
    once_a_receipt,
    repeats,
    uses_products,
)
from rewards.condition import Products
from rewards.condition_check import asks_nobody, check_conditions
from rewards.problem import (
    COUNTED_KINDS,
    Problem,
    Scope,
    check_asset,
    check_languages,
    check_unique,
)
from rewards.product_set_check import EVERYTHING, check_product_set
from rewards.program import Limits, Promotion, When
from rewards.rewarding import needs_customer
from rewards.rounding import RATE_BP_ONE

_POINTS = PointsRate | PointsFixed | PointsMultiplier


def check_promotion(path: str, promotion: Promotion, scope: Scope) -> Iterator[Problem]:
    """Find what is wrong with a promotion by itself.

    Args:
        path: of the promotion.
        promotion: with each key in its range.
        scope: of its program.
    """
    languages = [text.language_code for text in promotion.names]
    yield from check_languages(f"{path}.names", languages, scope.language_code)
    yield from _check_lane(path, promotion)
    yield from check_gives(f"{path}.gives", promotion.gives, scope)
    yield from _check_when(f"{path}.when", promotion.when)
    yield from check_product_set(f"{path}.products", promotion.products)
    yield from _check_own_products(path, promotion)
    yield from check_conditions(f"{path}.conditions", promotion.conditions, scope)
    yield from _check_nobody(path, promotion)
    yield from _check_limits(f"{path}.limits", promotion)
    yield from _check_cost(path, promotion, scope)
    yield from _check_precedence(path, promotion)
    yield from _check_funding(f"{path}.funding", promotion)
    yield from _check_offline(f"{path}.policy.offline", promotion, scope)


def lowers_prices(promotion: Promotion) -> bool:
    """Whether any of its benefits is one on prices."""
    return any(isinstance(benefit, PriceBenefit) for benefit in promotion.gives)


def _check_lane(path: str, promotion: Promotion) -> Iterator[Problem]:
    for code in dict.fromkeys(map(benefit_code, promotion.gives)):
        allowed = LANES_ALLOWED[code]
        if promotion.lane not in allowed:
            reason = f"{code} cannot stand in lane {promotion.lane}; allowed: {', '.join(allowed)}"
            yield Problem(f"{path}.lane", reason)


def _check_when(path: str, when: When) -> Iterator[Problem]:
    for key in ("from", "to"):
        day, time = getattr(when, f"{key}_date"), getattr(when, f"{key}_time")
        if day and _parse_date(day) is None:
            yield Problem(f"{path}.{key}_date", f"there is no day {day}")
        if time and not day:
            reason = f"needs {key}_date; hours of every day are the condition hours"
            yield Problem(f"{path}.{key}_time", reason)
    if when.from_time == "24:00":
        yield Problem(f"{path}.from_time", "24:00 leaves nothing of the first day; give the next")
    if when.to_time == "00:00":
        yield Problem(
            f"{path}.to_time", "00:00 leaves nothing of the last day; give the one before"
        )
    first, last = _parse_date(when.from_date), _parse_date(when.to_date)
    if first and last and first > last:
        yield Problem(f"{path}.to_date", f"{last} is before from_date {first}")
    elif first and first == last and _is_over(when):
        reason = f"{when.to_time} is not after from_time {when.from_time} of the same day"
        yield Problem(f"{path}.to_time", reason)


def _is_over(when: When) -> bool:
    """Whether, on one day, the end is not after the start; HH:MM sorts as text."""
    return bool(when.from_time and when.to_time) and when.to_time <= when.from_time


def _parse_date(text: str) -> date | None:
    """Read YYYY-MM-DD; None if it is empty or there is no such day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _check_own_products(path: str, promotion: Promotion) -> Iterator[Problem]:
    asked = any(isinstance(one, Products) and not one.products for one in promotion.conditions)
    if asked or promotion.products == EVERYTHING:
        return
    if not any(map(uses_products, promotion.gives)):
        yield Problem(f"{path}.products", "has no effect: the bundle's parts name the products")


def _check_nobody(path: str, promotion: Promotion) -> Iterator[Problem]:
    """A promotion for customers that are not known has nobody to book anything for."""
    if not asks_nobody(promotion.conditions):
        return
    reason = "needs a customer, but the condition known_customer says there is none"
    for index, benefit in enumerate(promotion.gives):
        if not isinstance(benefit, PriceBenefit) and needs_customer(benefit):
            yield Problem(f"{path}.gives[{index}]", reason)
    if promotion.cost:
        yield Problem(f"{path}.cost", reason)
    for key in ("customer_times", "customer_minor"):
        if getattr(promotion.limits, key):
            yield Problem(f"{path}.limits.{key}", reason)


def _check_limits(path: str, promotion: Promotion) -> Iterator[Problem]:
    limits = promotion.limits
    if limits == Limits():
        return
    codes = ", ".join(map(benefit_code, promotion.gives))
    if limits.times_per_receipt and not _can_repeat(promotion):
        reason = f"has no effect: {codes} makes no sets to count; see pieces of a benefit"
        yield Problem(f"{path}.times_per_receipt", reason)
    if limits.discount_max_minor and not lowers_prices(promotion):
        yield Problem(f"{path}.discount_max_minor", f"has no effect: {codes} lowers no price")
    for key in ("customer_minor", "store_minor", "total_minor"):
        if getattr(limits, key) and not any(map(has_worth, promotion.gives)):
            yield Problem(f"{path}.{key}", f"has no effect: {codes} has no worth in money")
    yield from _check_periods(path, limits)
    if limits.on_shortage == "refuse" and not limits.bounds_money:
        reason = "has no effect: customer_minor, store_minor and total_minor are 0"
        yield Problem(f"{path}.on_shortage", f"{reason}, so nothing runs short")
    for benefit in promotion.gives:
        capped = isinstance(benefit, ReceiptDiscount) and benefit.max_minor
        if capped and 0 < limits.discount_max_minor <= capped:
            reason = f"makes max_minor {capped} of receipt_discount needless; give one"
            yield Problem(f"{path}.discount_max_minor", reason)


def _can_repeat(promotion: Promotion) -> bool:
    """Whether it can fire more than once on a receipt."""
    paid_each = promotion.cost is not None and promotion.cost.each
    return any(
        repeats(benefit) or (paid_each and once_a_receipt(benefit)) for benefit in promotion.gives
    )


def _check_periods(path: str, limits: Limits) -> Iterator[Problem]:
    """Limits of a customer, a store and all against each other; periods need a limit."""
    for scope in ("customer", "store", "total"):
        times, minor = getattr(limits, f"{scope}_times"), getattr(limits, f"{scope}_minor")
        if getattr(limits, f"{scope}_period") != "ever" and not (times or minor):
            reason = f"has no effect: {scope}_times and {scope}_minor are 0"
            yield Problem(f"{path}.{scope}_period", reason)
    for inner, outer in (("customer", "total"), ("store", "total")):
        # A longer period may add up to more than a shorter one allows.
        outer_period = getattr(limits, f"{outer}_period")
        if outer_period not in ("ever", getattr(limits, f"{inner}_period")):
            continue
        for unit in ("times", "minor"):
            own, bound = getattr(limits, f"{inner}_{unit}"), getattr(limits, f"{outer}_{unit}")
            if 0 < bound < own:
                reason = f"{own} is never reached: {outer}_{unit} is {bound}"
                yield Problem(f"{path}.{inner}_{unit}", reason)


def _check_cost(path: str, promotion: Promotion, scope: Scope) -> Iterator[Problem]:
    cost = promotion.cost
    if cost is None:
        return
    yield from check_asset(f"{path}.cost", cost.asset_code, COUNTED_KINDS, scope)
    if promotion.stackable and lowers_prices(promotion):
        reason = "stands beside stackable: pieces that are paid for so must be claimed"
        yield Problem(f"{path}.cost", reason)
    if cost.each and not any(map(once_a_receipt, promotion.gives)):
        reason = "has no effect: no benefit is a gift or an amount off that is given once a receipt"
        yield Problem(f"{path}.cost.each", reason)
    for index, benefit in enumerate(promotion.gives):
        if isinstance(benefit, _POINTS) and benefit.asset_code == cost.asset_code:
            reason = f"gives {cost.asset_code!r}, which is what the promotion costs"
            yield Problem(f"{path}.gives[{index}].asset_code", reason)


def _check_precedence(path: str, promotion: Promotion) -> Iterator[Problem]:
    if promotion.exclusive != "no" and promotion.stackable:
        reason = "contradicts stackable: works beside all others, and beside none"
        yield Problem(f"{path}.exclusive", reason)
    if promotion.exclusive != "no" and promotion.lane == "reward":
        yield Problem(f"{path}.exclusive", "has no effect: prices are settled before lane reward")
    if promotion.base == "as_sent" and not lowers_prices(promotion):
        yield Problem(f"{path}.base", "has no effect: no benefit lowers a price")


def _check_funding(path: str, promotion: Promotion) -> Iterator[Problem]:
    funding = promotion.funding
    yield from check_unique(path, "party_id", [one.party_id for one in funding])
    shares_bp = sum(one.share_bp for one in funding)
    if shares_bp > RATE_BP_ONE:
        yield Problem(path, f"shares sum to {shares_bp}, but 10000 is the whole")


def _check_offline(path: str, promotion: Promotion, scope: Scope) -> Iterator[Problem]:
    """A discount that a till could not give must have an asset in which it is given instead."""
    wanted = promotion.policy.offline == "deferred_discount" and lowers_prices(promotion)
    if wanted and "deferred_discount" not in scope.asset_kinds.values():
        yield Problem(path, "deferred_discount needs an asset of that kind; the program has none")
