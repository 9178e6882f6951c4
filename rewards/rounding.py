"""How a whole number is divided: each division of money or quantity names its rule here.

Must not know what is divided, nor see a float. All rules take and give plain integers.
"""

from typing import Literal

RATE_BP_ONE = 10_000
"""Basis points in a whole: a rate of 100 %."""


Rounding = Literal["down", "half_up", "half_down", "up"]
"""The named rules, as a program file spells them."""


def floor_div(numerator: int, denominator: int) -> int:
    """Divide, rounding toward minus infinity.

    Args:
        numerator: Any integer, in any unit.
        denominator: 1 or more.

    Returns:
        The largest integer that is at most the exact quotient.
    """
    assert denominator > 0, "denominator must be positive"
    return numerator // denominator


def round_half_up(numerator: int, denominator: int) -> int:
    """Divide, rounding to the nearest integer and a half toward plus infinity.

    Args:
        numerator: Any integer, in any unit. Round a refund's size and negate it afterwards: a
            negative half rounds toward zero here, so the two ways differ.
        denominator: 1 or more.

    Returns:
        The integer nearest to the exact quotient, at most half a unit from it.
    """
    assert denominator > 0, "denominator must be positive"
    return (2 * numerator + denominator) // (2 * denominator)


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """Divide by the rule that was chosen as a setting.

    Args:
        numerator: Any integer, in any unit.
        denominator: 1 or more.
        rounding: The rule.

    Returns:
        The quotient, less than one unit from the exact one.
    """
    assert denominator > 0, "denominator must be positive"
    if rounding == "down":
        return numerator // denominator
    if rounding == "half_up":
        return (2 * numerator + denominator) // (2 * denominator)
    if rounding == "half_down":
        return -((denominator - 2 * numerator) // (2 * denominator))
    return -(-numerator // denominator)


def fit_64_bits(value: int) -> int:
    """Give a result back if it fits 64 bits with a sign, as the kernel keeps it.

    Raises:
        OverflowError: it does not.
    """
    if not -(2**63) <= value < 2**63:
        raise OverflowError("a result does not fit 64 bits")
    return value


def share_bp(amount_minor: int, rate_bp: int, rounding: Rounding) -> int:
    """Take a rate of an amount: a percentage discount, points for a purchase.

    Args:
        amount_minor: Minor units, 0 or more.
        rate_bp: Basis points, 0 or more; above 10,000 the share exceeds the amount.
        rounding: The rule for the part of a minor unit.

    Returns:
        Minor units, 0 or more, at most `amount_minor` where the rate is at most 10,000.
    """
    assert amount_minor >= 0, "amount_minor must not be negative"
    assert rate_bp >= 0, "rate_bp must not be negative"
    share_minor = divide(amount_minor * rate_bp, RATE_BP_ONE, rounding)
    assert rate_bp > RATE_BP_ONE or share_minor <= amount_minor
    return share_minor
