"""How whole minor units are rounded and written out; knows no message and no language but two."""

GROUP = " "
"""Stands between thousands: a no-break space."""


def round_half_up(numerator: int, denominator: int) -> int:
    """Divide and round half away from zero, for amounts that are not negative.

    Args:
        numerator: 0 or more.
        denominator: 1 or more.

    Returns:
        The whole number nearest to the quotient; of two the larger.
    """
    return (2 * numerator + denominator) // (2 * denominator)


def price_of(unit_price_minor: int, quantity_milli: int) -> int:
    """Price a quantity at a unit price.

    Args:
        unit_price_minor: Price of one unit, minor units.
        quantity_milli: Quantity in thousandths of the unit.

    Returns:
        The amount in minor units, rounded half up; exact for whole pieces.
    """
    return round_half_up(unit_price_minor * quantity_milli, 1000)


def format_amount(amount: int, decimals: int, language_code: str) -> str:
    """Write an amount of minor units out, for example -123456 as "-1 234,56".

    Args:
        amount: In minor units of 10^-decimals.
        decimals: 0 to 6.
        language_code: "ru" gets a decimal comma, every other language a point.
    """
    whole, part = divmod(abs(amount), 10**decimals)
    sign = "-" if amount < 0 else ""
    text = sign + f"{whole:,}".replace(",", GROUP)
    if decimals == 0:
        return text
    return f"{text}{',' if language_code.startswith('ru') else '.'}{part:0{decimals}d}"


def format_quantity(quantity_milli: int, language_code: str) -> str:
    """Write a quantity of thousandths out: 2000 as "2", 734 as "0,734"."""
    whole, part = divmod(quantity_milli, 1000)
    if part == 0:
        return str(whole)
    return f"{whole}{',' if language_code.startswith('ru') else '.'}{part:03d}"
