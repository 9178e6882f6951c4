"""Numbers of a case in our units."""

from decimal import ROUND_HALF_UP, Decimal

from tests.peer_cases.case import Case

MILLI = 1_000


def whole(number: Decimal) -> int:
    """The nearest whole number."""
    return int(number.to_integral_value(ROUND_HALF_UP))


def milli(quantity: Decimal | None) -> int:
    """Thousandths of a quantity; nothing asked is 0."""
    return 0 if quantity is None else whole(quantity * MILLI)


def bp(percent: Decimal) -> int:
    """Basis points of a percentage."""
    return whole(percent * 100)


def with_tax(case: Case, amount_minor: int, is_net: bool) -> int:
    """An amount as a till has it: where prices contain tax, a net amount gains it."""
    rate = case.tax.rate_percent
    if not is_net or rate is None or case.tax.mode != "gross":
        return amount_minor
    return whole(amount_minor * (100 + rate) / 100)
