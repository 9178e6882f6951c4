"""Conditions that can never hold, that say nothing, or that contradict one another."""

from collections.abc import Iterator, Sequence

from rewards.birthday import BIRTH_DATE_FIELD
from rewards.condition import (
    Balance,
    Birthday,
    Channels,
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
    StaffPurchase,
    Tender,
    Tier,
    Trigger,
    Weekdays,
    Zones,
)
from rewards.problem import (
    Problem,
    Scope,
    check_asset,
    check_milli,
    check_names,
    check_range,
    check_unique,
)
from rewards.product_set_check import check_product_set

BIN_DIGITS = range(6, 9)
"""How many digits of a card a till sends."""

_ONLY_ONE = (
    Weekdays
    | Hours
    | Channels
    | Tier
    | KnownCustomer
    | StaffPurchase
    | Birthday
    | NthPurchase
    | DaysSincePurchase
)
"""A second one would have to hold besides the first, which its author cannot mean."""
_OF_A_CUSTOMER = Tier | Birthday | NthPurchase | DaysSincePurchase | History | Balance
_ANY_DAYS = DaysSincePurchase().to_days
_ANY_COUNT = History("any").to_count


def condition_code(condition: Condition) -> str:
    """Name the kind of a condition as authors write it, for example `receipt_amount`."""
    code = type(condition).__struct_config__.tag
    assert isinstance(code, str)
    return code


def check_conditions(path: str, conditions: Sequence[Condition], scope: Scope) -> Iterator[Problem]:
    """Find the conditions of a promotion that cannot be meant.

    Args:
        path: the list.
        conditions: all must hold.
        scope: of the program.
    """
    for index, condition in enumerate(conditions):
        yield from _check_condition(f"{path}[{index}]", condition, scope)
    yield from _check_repeated(path, conditions)
    if asks_nobody(conditions):
        yield from _check_nobody(path, conditions)


def asks_nobody(conditions: Sequence[Condition]) -> bool:
    """Whether the customer must not be known."""
    return any(isinstance(one, KnownCustomer) and not one.known for one in conditions)


def _check_repeated(path: str, conditions: Sequence[Condition]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for index, condition in enumerate(conditions):
        code = condition_code(condition)
        first = seen.setdefault(code, index)
        if first == index:
            continue
        if isinstance(condition, _ONLY_ONE):
            reason = (
                f"is a second {code}, besides {path}[{first}]; all conditions must hold at once"
            )
            yield Problem(f"{path}[{index}]", f"{reason}, so join the two or make two promotions")
        elif condition in conditions[:index]:
            yield Problem(
                f"{path}[{index}]", f"is already at {path}[{conditions.index(condition)}]"
            )


def _check_nobody(path: str, conditions: Sequence[Condition]) -> Iterator[Problem]:
    for index, condition in enumerate(conditions):
        asked = isinstance(condition, Segments) and condition.any_of
        offered = isinstance(condition, ReceiptAmount) and condition.own_offer
        if asked or offered or isinstance(condition, _OF_A_CUSTOMER):
            reason = "never holds: known_customer says that the customer must not be known"
            yield Problem(f"{path}[{index}]", reason)


def _check_condition(path: str, condition: Condition, scope: Scope) -> Iterator[Problem]:
    match condition:
        case Weekdays():
            yield from check_unique(f"{path}.days", "", condition.days)
        case Hours():
            yield from _check_hours(path, condition)
        case Channels():
            yield from check_unique(f"{path}.any_of", "", condition.any_of)
        case Zones() | Tier() | Trigger():
            yield from check_names(f"{path}.any_of", condition.any_of)
        case Coupon():
            yield from _check_coupon(f"{path}.any_of", condition, scope.any_case)
            yield from _check_series(path, condition, scope)
        case Segments():
            yield from _check_segments(path, condition)
        case Tender():
            yield from _check_tender(path, condition)
        case Products():
            yield from _check_products(path, condition)
        case ReceiptAmount():
            yield from _check_receipt_amount(path, condition)
        case Balance():
            yield from check_asset(path, condition.asset_code, (), scope)
            if not condition.from_minor:
                yield Problem(f"{path}.from_minor", "is 0, which everybody owns; say how much")
        case NthPurchase() | DaysSincePurchase() | History():
            yield from _check_past(path, condition)
        case Birthday():
            if not scope.has_birth_date:
                reason = f"never holds: no profile field {BIRTH_DATE_FIELD} is checked as date"
                yield Problem(path, reason)
        case KnownCustomer() | StaffPurchase():
            pass


def _check_hours(path: str, hours: Hours) -> Iterator[Problem]:
    for key, value in (("from_time", hours.from_time), ("to_time", hours.to_time)):
        if not value:
            yield Problem(f"{path}.{key}", "is empty; write HH:MM")
    if hours.from_time == "24:00":
        yield Problem(f"{path}.from_time", "24:00 is the end of a day; write 00:00 for its start")
    elif hours.from_time and hours.from_time == hours.to_time:
        yield Problem(f"{path}.to_time", f"{hours.to_time} is from_time, too: no hours are left")
    elif (hours.from_time, hours.to_time) == ("00:00", "24:00"):
        yield Problem(path, "is the whole day; leave the condition out")


def _check_coupon(path: str, coupon: Coupon, any_case: bool) -> Iterator[Problem]:
    yield from check_names(path, coupon.any_of)
    if not any_case or len(frozenset(coupon.any_of)) < len(coupon.any_of):
        return
    for problem in check_unique(path, "", [code.lower() for code in coupon.any_of]):
        reason = f"{problem.reason}: coupon_rules.any_case takes capital and small letters alike"
        yield Problem(problem.path, reason)


def _check_series(path: str, coupon: Coupon, scope: Scope) -> Iterator[Problem]:
    if not coupon.any_of and not coupon.series:
        yield Problem(path, "names no coupon; needs any_of or series")
    yield from check_unique(f"{path}.series", "", coupon.series)
    for index, series_code in enumerate(coupon.series):
        if series_code not in scope.series_codes:
            yield Problem(f"{path}.series[{index}]", f"no coupon_series is named {series_code!r}")


def _check_segments(path: str, segments: Segments) -> Iterator[Problem]:
    yield from check_names(f"{path}.any_of", segments.any_of)
    yield from check_names(f"{path}.none_of", segments.none_of)
    if not segments.any_of and not segments.none_of:
        yield Problem(path, "names no segment; needs any_of or none_of")
    for index, name in enumerate(segments.none_of):
        if name in segments.any_of:
            yield Problem(f"{path}.none_of[{index}]", f"{name!r} is also in any_of")


def _check_tender(path: str, tender: Tender) -> Iterator[Problem]:
    yield from check_unique(f"{path}.any_of", "", tender.any_of)
    yield from check_unique(f"{path}.card_bins", "", tender.card_bins)
    if not tender.any_of and not tender.card_bins:
        yield Problem(path, "names no means of payment; needs any_of or card_bins")
    if "card" in tender.any_of and tender.card_bins:
        reason = "has no effect: any_of takes every card; leave card out of it"
        yield Problem(f"{path}.card_bins", reason)
    for index, card_bin in enumerate(tender.card_bins):
        if not (card_bin.isascii() and card_bin.isdigit() and len(card_bin) in BIN_DIGITS):
            reason = f"{card_bin!r} is no BIN: the first 6 to 8 digits of a card"
            yield Problem(f"{path}.card_bins[{index}]", reason)


def _check_products(path: str, condition: Products) -> Iterator[Problem]:
    if condition.products is not None:
        yield from check_product_set(f"{path}.products", condition.products)
    for key in ("quantity_from_milli", "quantity_to_milli", "line_quantity_from_milli"):
        yield from check_milli(f"{path}.{key}", getattr(condition, key))
    if condition.none:
        yield from _check_absence(path, condition)
    elif not any(_bounds(condition).values()):
        yield Problem(path, f"asks for nothing; needs one of {', '.join(_bounds(condition))}")
    low, high = condition.quantity_from_milli, condition.quantity_to_milli
    yield from check_range(path, "quantity_to_milli", low, high)
    low, high = condition.line_quantity_from_milli, condition.quantity_to_milli
    if low > condition.quantity_from_milli:
        yield from check_range(path, "quantity_to_milli", low, high)
    low, high = condition.amount_from_minor, condition.amount_to_minor
    yield from check_range(path, "amount_to_minor", low, high)
    yield from _check_strict(path, condition.strict, low, high, "amount_from_minor")
    if condition.basis != "lane_start" and not low and not high and not condition.none:
        yield Problem(f"{path}.basis", "has no effect: no amount is asked for")


def _bounds(condition: Products) -> dict[str, int]:
    return {
        "quantity_from_milli": condition.quantity_from_milli,
        "quantity_to_milli": condition.quantity_to_milli,
        "line_quantity_from_milli": condition.line_quantity_from_milli,
        "articles_from": condition.articles_from,
        "amount_from_minor": condition.amount_from_minor,
        "amount_to_minor": condition.amount_to_minor,
    }


def _check_absence(path: str, condition: Products) -> Iterator[Problem]:
    """What is said beside `none`: of what must not be there nothing else can be asked."""
    if condition.products is None:
        reason = "needs products: without them the promotion's own must not be there"
        yield Problem(f"{path}.none", reason)
    for key, bound in _bounds(condition).items():
        if bound:
            yield Problem(f"{path}.{key}", "stands beside none: what is not there has no bound")


def _check_strict(path: str, strict: bool, low: int, high: int, low_key: str) -> Iterator[Problem]:
    if strict and not low:
        yield Problem(f"{path}.strict", f"has no effect without {low_key}")
    elif strict and low == high:
        yield Problem(f"{path}.strict", f"nothing is more than {low} and at most {high}")


def _check_receipt_amount(path: str, condition: ReceiptAmount) -> Iterator[Problem]:
    low, high = condition.from_minor, condition.to_minor
    if condition.own_offer:
        if low:
            reason = "has no effect: own_offer says the lower end"
            yield Problem(f"{path}.from_minor", reason)
        return
    if not low and not high:
        yield Problem(path, "asks for nothing; needs from_minor, to_minor or own_offer")
    yield from check_range(path, "to_minor", low, high)
    yield from _check_strict(path, condition.strict, low, high, "from_minor")


def _check_past(
    path: str, condition: NthPurchase | DaysSincePurchase | History
) -> Iterator[Problem]:
    match condition:
        case NthPurchase():
            if condition.every and condition.n == 1:
                yield Problem(path, "is every purchase; leave the condition out")
        case DaysSincePurchase():
            low, high = condition.from_days, condition.to_days
            if low > high:
                yield Problem(f"{path}.to_days", f"{high} is below from_days {low}")
            elif condition.never_counts and (low, high) == (0, _ANY_DAYS):
                yield Problem(path, "holds for everybody; give from_days or to_days")
        case History():
            low, high = condition.from_count, condition.to_count
            if low > high:
                yield Problem(f"{path}.to_count", f"{high} is below from_count {low}")
            elif (low, high) == (0, _ANY_COUNT):
                yield Problem(path, "asks for nothing; needs from_count or to_count")
