"""The rounding rules keep what their names promise, compared with exact fractions."""

from fractions import Fraction
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.rounding import Rounding, divide, floor_div, round_half_up, share_bp

NUMERATORS = st.integers(min_value=-(10**18), max_value=10**18)
DENOMINATORS = st.integers(min_value=1, max_value=10**9)
AMOUNTS_MINOR = st.integers(min_value=0, max_value=10**15)
RATES_BP = st.integers(min_value=0, max_value=50_000)
ROUNDINGS = st.sampled_from(get_args(Rounding))


@given(NUMERATORS, DENOMINATORS)
def test_floor_is_the_last_integer_not_above(numerator: int, denominator: int) -> None:
    quotient = floor_div(numerator, denominator)
    assert quotient <= Fraction(numerator, denominator) < quotient + 1


@given(NUMERATORS, DENOMINATORS)
def test_up_is_the_first_integer_not_below(numerator: int, denominator: int) -> None:
    quotient = divide(numerator, denominator, "up")
    assert quotient - 1 < Fraction(numerator, denominator) <= quotient


@given(NUMERATORS, DENOMINATORS)
def test_half_up_is_nearest_and_halves_go_up(numerator: int, denominator: int) -> None:
    distance = round_half_up(numerator, denominator) - Fraction(numerator, denominator)
    assert -Fraction(1, 2) < distance <= Fraction(1, 2)


@given(st.integers(min_value=-(10**12), max_value=10**12), DENOMINATORS, ROUNDINGS)
def test_every_rule_leaves_an_exact_quotient_alone(
    quotient: int, denominator: int, rounding: Rounding
) -> None:
    assert divide(quotient * denominator, denominator, rounding) == quotient


@given(AMOUNTS_MINOR, RATES_BP)
def test_share_bp_rules_bracket_the_exact_share(amount_minor: int, rate_bp: int) -> None:
    exact = Fraction(amount_minor * rate_bp, 10_000)
    low_minor = share_bp(amount_minor, rate_bp, "down")
    high_minor = share_bp(amount_minor, rate_bp, "up")
    middle_minor = share_bp(amount_minor, rate_bp, "half_up")
    assert low_minor <= exact <= high_minor <= low_minor + 1
    assert middle_minor in (low_minor, high_minor)


@given(AMOUNTS_MINOR, AMOUNTS_MINOR, RATES_BP, ROUNDINGS)
def test_share_bp_never_falls_as_the_amount_grows(
    amount_minor: int, more_minor: int, rate_bp: int, rounding: Rounding
) -> None:
    grown_minor = share_bp(amount_minor + more_minor, rate_bp, rounding)
    assert grown_minor >= share_bp(amount_minor, rate_bp, rounding)


@pytest.mark.parametrize(
    ("amount_minor", "rate_bp", "rounding", "share_minor"),
    [
        (1_000, 1_000, "down", 100),
        (999, 1_000, "down", 99),
        (999, 1_000, "up", 100),
        (994, 1_000, "half_up", 99),
        (995, 1_000, "half_up", 100),
        (1, 10_000, "down", 1),
        (1, 9_999, "down", 0),
        (100, 50_000, "down", 500),
    ],
)
def test_share_bp_by_hand(
    amount_minor: int, rate_bp: int, rounding: Rounding, share_minor: int
) -> None:
    assert share_bp(amount_minor, rate_bp, rounding) == share_minor


@pytest.mark.parametrize("denominator", [0, -1])
@pytest.mark.parametrize("rounding", get_args(Rounding))
def test_a_denominator_that_is_not_positive_is_a_bug(denominator: int, rounding: Rounding) -> None:
    with pytest.raises(AssertionError, match="denominator"):
        divide(1, denominator, rounding)


@pytest.mark.parametrize(("amount_minor", "rate_bp"), [(-1, 100), (100, -1)])
def test_share_bp_of_a_negative_is_a_bug(amount_minor: int, rate_bp: int) -> None:
    with pytest.raises(AssertionError, match="must not be negative"):
        share_bp(amount_minor, rate_bp, "down")
