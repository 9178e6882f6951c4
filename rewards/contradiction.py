"""Parts of a promotion, each right by itself, that together leave it nothing to do.

A promotion that can never take effect is a mistake that nobody notices at a till.
"""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from rewards.authored import ProductSet
from rewards.benefit import (
    BundlePrice,
    BuyGet,
    FixedPrice,
    Gift,
    Message,
    PointsFixed,
    PriceBenefit,
    QuantityTiers,
)
from rewards.benefit_check import uses_products
from rewards.condition import (
    Balance,
    Condition,
    Coupon,
    DaysSincePurchase,
    History,
    Hours,
    KnownCustomer,
    NthPurchase,
    Products,
    ReceiptAmount,
    Segments,
    Weekdays,
)
from rewards.problem import Problem, Scope
from rewards.product_set_check import EVERYTHING, names_products, names_skus_alone
from rewards.program import ProductClass, Promotion, When
from rewards.rounding import RATE_BP_ONE

_DAYS_A_WEEK = 7


def check_contradictions(path: str, promotion: Promotion, scope: Scope) -> Iterator[Problem]:
    """Find why a promotion can never take effect, or never give what it says.

    Args:
        path: of the promotion.
        promotion: with each key in its range.
        scope: of its program.
    """
    yield from _check_sets(path, promotion)
    yield from _check_prices(path, promotion)
    yield from _check_balances(path, promotion, scope)
    conditions = promotion.conditions
    if not conditions:
        return
    for index, condition in enumerate(conditions):
        place = f"{path}.conditions[{index}]"
        yield from _check_time(place, condition, promotion.when)
        if isinstance(condition, Products):
            yield from _check_products(place, condition, promotion)
        for number, other in enumerate(conditions[:index]):
            reason = _excludes(other, condition, scope)
            if reason:
                yield Problem(place, f"{reason}; see {path}.conditions[{number}]")


def check_class(path: str, rule: ProductClass, promotion: Promotion) -> Iterator[Problem]:
    """Refuse a promotion for articles alone on which a class of products allows it nothing.

    Args:
        path: of the promotion.
        rule: a class.
        promotion: with each key in its range.
    """
    gives = promotion.gives
    if not covers(rule.products, promotion.products) or not all(map(uses_products, gives)):
        return
    prices = [one for one in gives if isinstance(one, PriceBenefit)]
    own = prices and not any(isinstance(one, Gift | BuyGet) for one in prices)
    if own and (rule.no_discount or rule.floor_bp == RATE_BP_ONE):
        yield Problem(f"{path}.products", "is in a class of products that nothing may lower")
    if rule.no_coupon and any(isinstance(one, Coupon) for one in promotion.conditions):
        yield Problem(f"{path}.products", "is in a class of products that no coupon works on")
    shows = any(isinstance(one, Message) for one in gives)
    if rule.no_earn and not prices and not shows:
        yield Problem(f"{path}.products", "is in a class of products on which nothing is earned")


def covers(outer: ProductSet, inner: ProductSet) -> bool:
    """Whether a set surely holds all of another one; only equal sets and articles are seen."""
    if outer == inner:
        return True
    if not outer.skus or not inner.skus:
        return False
    both = names_skus_alone(outer) and names_skus_alone(inner)
    return both and frozenset(inner.skus) <= frozenset(outer.skus)


# --- sets, prices, balances ---------------------------------------------------------------------


def _check_sets(path: str, promotion: Promotion) -> Iterator[Problem]:
    """Products of the customer's own offer where there must be no customer."""
    nobody = any(isinstance(one, KnownCustomer) and not one.known for one in promotion.conditions)
    if nobody and promotion.products.own_offer and not names_products(promotion.products):
        reason = "holds nothing: known_customer says that the customer must not be known"
        yield Problem(f"{path}.products.own_offer", reason)


def _check_prices(path: str, promotion: Promotion) -> Iterator[Problem]:
    """Prices that are no lower than what an article of the set may cost."""
    dearest_minor = promotion.products.unit_price_to_minor
    if not dearest_minor:
        return
    for number, benefit in enumerate(promotion.gives):
        place = f"{path}.gives[{number}]"
        prices: list[tuple[str, int, int]] = []
        match benefit:
            case FixedPrice():
                prices = [(f"{place}.price_minor", benefit.price_minor, dearest_minor)]
            case QuantityTiers():
                prices = [
                    (f"{place}.tiers[{index}].price_minor", tier.price_minor, dearest_minor)
                    for index, tier in enumerate(benefit.tiers)
                ]
            case BundlePrice() if not benefit.parts:
                most_minor = dearest_minor * benefit.set_count
                prices = [(f"{place}.price_minor", benefit.price_minor, most_minor)]
        for key, price_minor, most_minor in prices:
            if price_minor >= most_minor:
                reason = f"lowers nothing: products cost {most_minor} at most"
                yield Problem(key, f"{price_minor} {reason}, says unit_price_to_minor")


def _check_balances(path: str, promotion: Promotion, scope: Scope) -> Iterator[Problem]:
    """What is more than a customer can own of an asset."""
    asked = [
        (f"{path}.conditions[{n}].from_minor", one.asset_code, one.from_minor)
        for n, one in enumerate(promotion.conditions)
        if isinstance(one, Balance)
    ]
    given = [
        (f"{path}.gives[{n}].amount_minor", one.asset_code, one.amount_minor)
        for n, one in enumerate(promotion.gives)
        if isinstance(one, PointsFixed)
    ]
    cost = promotion.cost
    paid = [(f"{path}.cost.amount_minor", cost.asset_code, cost.amount_minor)] if cost else []
    for place, asset_code, amount_minor in (*asked, *given, *paid):
        most_minor = scope.balance_max_minor.get(asset_code, 0)
        if most_minor and amount_minor > most_minor:
            reason = f"{amount_minor} is more than anybody owns: balance_max_minor of"
            yield Problem(place, f"{reason} {asset_code!r} is {most_minor}")


# --- conditions ---------------------------------------------------------------------------------


def _check_time(path: str, condition: Condition, when: When) -> Iterator[Problem]:
    """Days and hours that the promotion's period does not have."""
    try:
        first, last = date.fromisoformat(when.from_date), date.fromisoformat(when.to_date)
    except ValueError:
        return
    if isinstance(condition, Weekdays) and 0 <= (last - first).days < _DAYS_A_WEEK - 1:
        days = range((last - first).days + 1)
        there = {(first + timedelta(days=day)).isoweekday() for day in days}
        if there.isdisjoint(condition.days):
            reason = f"never holds: none of these days is from {first} to {last}"
            yield Problem(f"{path}.days", reason)
    if isinstance(condition, Hours) and first == last and condition.from_time < condition.to_time:
        starts, ends = when.from_time or "00:00", when.to_time or "24:00"
        if condition.to_time <= starts or condition.from_time >= ends:
            reason = f"never holds: on {first} the promotion is from {starts} to {ends}"
            yield Problem(path, reason)


def _check_products(path: str, condition: Products, promotion: Promotion) -> Iterator[Problem]:
    chosen = promotion.products if condition.products is None else condition.products
    if names_skus_alone(chosen) and condition.articles_from > len(frozenset(chosen.skus)):
        reason = f"{condition.articles_from} are never there: the set names {len(chosen.skus)}"
        yield Problem(f"{path}.articles_from", reason)
    if not condition.none or condition.products is None:
        return
    own_parts = any(isinstance(one, BundlePrice) and one.parts for one in promotion.gives)
    if condition.products == EVERYTHING:
        yield Problem(f"{path}.products", "is every product: only an empty receipt has none")
    elif not own_parts and covers(condition.products, promotion.products):
        reason = "holds the promotion's own products, which must be there for it to fire"
        yield Problem(f"{path}.products", reason)


def _excludes(one: Condition, other: Condition, scope: Scope) -> str:
    """Why two conditions never hold at once; empty if they may."""
    match one, other:
        case Segments(), Segments():
            return _exclude_segments(one, other) or _exclude_segments(other, one)
        case ReceiptAmount(), ReceiptAmount() if one.basis == other.basis:
            return _exclude_amounts(one, other)
        case History(), History() if one.counter_code == other.counter_code:
            if max(one.from_count, other.from_count) > min(one.to_count, other.to_count):
                return "never holds: no count is in both ranges"
        case Products(), Products() if one.products == other.products:
            return _exclude_quantities(one, other)
        case Coupon(), Coupon() if scope.one_coupon_counts:
            if not (one.series or other.series) and not _share_code(one, other, scope.any_case):
                return "never holds: coupon_rules.choose lets one code of a receipt count"
        case (NthPurchase(), DaysSincePurchase()) | (DaysSincePurchase(), NthPurchase()):
            return _exclude_first(*((one, other) if isinstance(one, NthPurchase) else (other, one)))
    return ""


def _exclude_segments(one: Segments, other: Segments) -> str:
    if one.any_of and frozenset(one.any_of) <= frozenset(other.none_of):
        return "never holds: who is in a segment of any_of is in one of none_of"
    return ""


def _exclude_amounts(one: ReceiptAmount, other: ReceiptAmount) -> str:
    low = max(one.from_minor, other.from_minor)
    bounds = [bound for bound in (one.to_minor, other.to_minor) if bound]
    return _crossing(low, bounds)


def _exclude_quantities(one: Products, other: Products) -> str:
    if one.none != other.none:
        asked = other if one.none else one
        if asked.quantity_from_milli or asked.line_quantity_from_milli or asked.articles_from:
            return "never holds: of the same products there must be none and some"
        return ""
    low = max(one.quantity_from_milli, other.quantity_from_milli)
    bounds = [bound for bound in (one.quantity_to_milli, other.quantity_to_milli) if bound]
    crossing = _crossing(low, bounds)
    if crossing or one.basis != other.basis:
        return crossing
    low = max(one.amount_from_minor, other.amount_from_minor)
    bounds = [bound for bound in (one.amount_to_minor, other.amount_to_minor) if bound]
    return _crossing(low, bounds)


def _crossing(low: int, bounds: Sequence[int]) -> str:
    if bounds and low > min(bounds):
        return f"never holds: nothing is {low} or more and at most {min(bounds)}"
    return ""


def _share_code(one: Coupon, other: Coupon, any_case: bool) -> bool:
    read = str.lower if any_case else str
    return not {read(code) for code in one.any_of}.isdisjoint(map(read, other.any_of))


def _exclude_first(nth: Condition, since: Condition) -> str:
    first = isinstance(nth, NthPurchase) and nth.n == 1 and not nth.every
    if first and isinstance(since, DaysSincePurchase) and not since.never_counts:
        return "never holds: before the first purchase there is none; see never_counts"
    return ""
