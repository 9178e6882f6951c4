"""Gates: conditions of a promotion in the few forms in which they are tested.

A fact that rules ask about by name is a token (`segment:vip`, `zone:north`); one that they compare
is a named number (`minute`, `purchase`). What a receipt must hold is asked of product sets. The
kernel tests the same forms, with tokens, names and sets as numbers.
"""

from datetime import date

from msgspec import Struct

from rewards.condition import (
    Balance,
    Birthday,
    Channels,
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
from rewards.condition import Condition as Authored
from rewards.program import CouponRules, When
from rewards.trace import Condition

NUMBER_MAX = 2**62
MINUTES_A_DAY = 1_440
BASES = {"running": 0, "lane_start": 1, "as_sent": 2}
"""What amounts are taken of, as the kernel numbers it."""


class TokenGate(Struct, frozen=True, array_like=True):
    """The receipt's tokens include one of these, or none of these."""

    condition: int
    tokens: frozenset[str]
    none_of: bool = False


class NumberGate(Struct, frozen=True, array_like=True):
    """`number - offset`, modulo `modulo` if that is not 0, lies in low to high, both included.

    Attributes:
        absent_fits: whether a customer without that number fits.
    """

    condition: int
    name: str
    low: int
    high: int
    offset: int = 0
    modulo: int = 0
    absent_fits: bool = False


class AmountGate(Struct, frozen=True, array_like=True, tag=1):
    """The receipt's goods come to low to high minor units, both included.

    Attributes:
        basis: a number of BASES.
        own_offer: the customer's offer whose amount is added to `low`; empty for none.
    """

    low: int
    high: int
    basis: int
    own_offer: str = ""


class ProductsGate(Struct, frozen=True, array_like=True, tag=2):
    """The receipt holds so much of a product set; bounds are included.

    Attributes:
        set_number: position in the index of sets.
        none: nothing of it; then the bounds say nothing.
    """

    set_number: int
    quantity_low: int
    quantity_high: int
    line_quantity_low: int
    articles_low: int
    amount_low: int
    amount_high: int
    basis: int
    none: bool


Gate = TokenGate | NumberGate
BasketGate = AmountGate | ProductsGate


def token(kind: str, name: str) -> str:
    """Spell a token."""
    return f"{kind}:{name}"


def coupon_token(code: str, rules: CouponRules) -> str:
    """Spell the token of a coupon code, as the program compares letters."""
    return token("coupon", code.lower() if rules.any_case else code)


def series_token(series_code: str) -> str:
    """Spell the token of a series of coupons: one of it can be used on the receipt."""
    return token("series", series_code)


def coupon_tokens_of(condition: Coupon, rules: CouponRules) -> frozenset[str]:
    """Tokens of the codes and series that a condition asks for."""
    codes = [coupon_token(code, rules) for code in condition.any_of]
    return frozenset([*codes, *map(series_token, condition.series)])


def gates_of(
    when: When, conditions: tuple[Authored, ...], rules: CouponRules
) -> tuple[tuple[TokenGate, ...], tuple[NumberGate, ...]]:
    """Compile what does not depend on the basket: gates on tokens and gates on numbers.

    They are tested in this order, each kind in the order of its conditions: period first.
    """
    tokens: list[TokenGate] = []
    numbers = list(_period(when))
    for condition in conditions:
        for gate in _compiled(condition, rules):
            if isinstance(gate, TokenGate):
                tokens.append(gate)
            else:
                numbers.append(gate)
    return tuple(tokens), tuple(numbers)


def _period(when: When) -> tuple[NumberGate, ...]:
    low, high = -NUMBER_MAX, NUMBER_MAX
    if when.from_date:
        low = _minute(when.from_date, when.from_time or "00:00")
    if when.to_date:
        high = _minute(when.to_date, when.to_time or "24:00") - 1
    if (low, high) == (-NUMBER_MAX, NUMBER_MAX):
        return ()
    return (NumberGate(Condition.PERIOD, "minute", low, high),)


def _minute(day: str, time: str) -> int:
    return date.fromisoformat(day).toordinal() * MINUTES_A_DAY + _minute_of_day(time)


def _minute_of_day(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)


def _tokens(
    condition: Condition, kind: str, names: tuple[object, ...], none_of: bool = False
) -> TokenGate:
    return TokenGate(condition, frozenset(token(kind, str(name)) for name in names), none_of)


def _compiled(condition: Authored, rules: CouponRules) -> tuple[Gate, ...]:
    """The gates of one condition; none for those on the basket."""
    match condition:
        case Weekdays():
            return (_tokens(Condition.WEEKDAY, "weekday", condition.days),)
        case Zones():
            return (_tokens(Condition.ZONE, "zone", condition.any_of),)
        case Channels():
            return (_tokens(Condition.CHANNEL, "channel", condition.any_of),)
        case Tier():
            return (_tokens(Condition.TIER, "tier", condition.any_of),)
        case Trigger():
            return (_tokens(Condition.TRIGGER, "trigger", condition.any_of),)
        case Coupon():
            return (TokenGate(Condition.COUPON, coupon_tokens_of(condition, rules)),)
        case Segments():
            return _segments(condition)
        case Tender():
            paid = [token("tender", name) for name in condition.any_of]
            paid += [token("bin", card_bin) for card_bin in condition.card_bins]
            return (TokenGate(Condition.TENDER, frozenset(paid)),)
        case KnownCustomer():
            return (_tokens(Condition.CUSTOMER, "customer", ("known",), not condition.known),)
        case StaffPurchase():
            return (_tokens(Condition.STAFF, "staff", ("purchase",), not condition.staff),)
        case Products() | ReceiptAmount():
            return ()
    return (_number(condition),)


def _segments(condition: Segments) -> tuple[Gate, ...]:
    gates = []
    if condition.any_of:
        gates.append(_tokens(Condition.SEGMENT, "segment", condition.any_of))
    if condition.none_of:
        gates.append(_tokens(Condition.SEGMENT, "segment", condition.none_of, True))
    return tuple(gates)


def _number(
    condition: Hours | Birthday | NthPurchase | DaysSincePurchase | History | Balance,
) -> NumberGate:
    match condition:
        case Hours():
            start = _minute_of_day(condition.from_time)
            length = (_minute_of_day(condition.to_time) - start) % MINUTES_A_DAY
            return NumberGate(Condition.HOUR, "minute", 0, length - 1, start, MINUTES_A_DAY)
        case Birthday():
            low, high = -condition.days_after, condition.days_before
            return NumberGate(Condition.BIRTHDAY, "birthday", low, high)
        case NthPurchase():
            if condition.every:
                return NumberGate(Condition.PURCHASE, "purchase", 0, 0, 0, condition.n)
            return NumberGate(Condition.PURCHASE, "purchase", condition.n, condition.n)
        case DaysSincePurchase():
            return NumberGate(
                Condition.PURCHASE,
                "days_since_purchase",
                condition.from_days,
                condition.to_days,
                absent_fits=condition.never_counts,
            )
        case History():
            name = f"history:{condition.counter_code}"
            return NumberGate(Condition.HISTORY, name, condition.from_count, condition.to_count)
        case Balance():
            name = f"balance:{condition.asset_code}"
            return NumberGate(Condition.BALANCE, name, condition.from_minor, NUMBER_MAX)


def amount_gate(condition: ReceiptAmount) -> AmountGate:
    """Compile a condition on what the receipt comes to."""
    return AmountGate(
        condition.from_minor + condition.strict,
        condition.to_minor or NUMBER_MAX,
        BASES[condition.basis],
        condition.own_offer,
    )


def products_gate(condition: Products, set_number: int) -> ProductsGate:
    """Compile a condition on a product set of the number."""
    amount_low = condition.amount_from_minor
    return ProductsGate(
        set_number,
        condition.quantity_from_milli,
        condition.quantity_to_milli or NUMBER_MAX,
        condition.line_quantity_from_milli,
        condition.articles_from,
        amount_low + condition.strict if amount_low else 0,
        condition.amount_to_minor or NUMBER_MAX,
        BASES[condition.basis],
        condition.none,
    )
