"""Sharing loses nothing and favours nobody: the promises of `allocate`, against exact fractions."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.allocate import UNITS_MAX, allocate

TOTALS = st.integers(min_value=0, max_value=10**15) | st.integers(min_value=0, max_value=20)
WEIGHTS = st.lists(
    st.integers(min_value=0, max_value=10**15) | st.integers(min_value=0, max_value=5),
    min_size=1,
    max_size=40,
)


@given(TOTALS, WEIGHTS)
def test_parts_sum_to_the_total(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert len(parts) == len(weights)
    assert sum(parts) == total
    assert min(parts) >= 0


@given(TOTALS, WEIGHTS.filter(any))
def test_every_part_is_within_one_unit_of_its_exact_share(total: int, weights: list[int]) -> None:
    for part, weight in zip(allocate(total, weights), weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1


@given(TOTALS, WEIGHTS.filter(any))
def test_a_zero_weight_gets_nothing(total: int, weights: list[int]) -> None:
    parts = allocate(total, [0, *weights, 0])
    assert parts == [0, *allocate(total, weights), 0]


@given(TOTALS, WEIGHTS)
def test_parts_are_monotone_in_weight(total: int, weights: list[int]) -> None:
    parts_by_weight = sorted(zip(weights, allocate(total, weights), strict=True))
    for (weight, part), (next_weight, next_part) in pairwise(parts_by_weight):
        assert part <= next_part, f"weight {weight} got more than weight {next_weight}"


@given(TOTALS, WEIGHTS, st.data())
def test_a_permutation_moves_at_most_one_unit_between_tied_remainders(
    total: int, weights: list[int], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(weights))))
    direct = allocate(total, weights)
    permuted = allocate(total, [weights[i] for i in order])
    back = dict(zip(order, permuted, strict=True))
    divisor = sum(weights) or len(weights)
    moved = [i for i in range(len(weights)) if back[i] != direct[i]]
    assert all(abs(back[i] - direct[i]) == 1 for i in moved)
    shares = weights if any(weights) else [1] * len(weights)
    assert len({total * shares[i] % divisor for i in moved}) <= 1


@given(TOTALS, st.lists(st.integers(0, 10**12), min_size=1, max_size=20, unique=True), st.data())
def test_sorting_by_a_stable_key_makes_the_result_independent_of_order(
    total: int, weights: list[int], data: st.DataObject
) -> None:
    permuted = data.draw(st.permutations(weights))
    by_weight = dict(zip(sorted(weights), allocate(total, sorted(weights)), strict=True))
    again = dict(zip(sorted(permuted), allocate(total, sorted(permuted)), strict=True))
    assert by_weight == again


@given(TOTALS, st.integers(min_value=1, max_value=100))
def test_all_zero_weights_share_evenly(total: int, count: int) -> None:
    parts = allocate(total, [0] * count)
    assert parts == sorted(parts, reverse=True), "extra units go to the lower index"
    assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (0, [], []),
        (0, [3, 4], [0, 0]),
        (100, [1, 1, 1], [34, 33, 33]),
        (2, [1, 1, 1], [1, 1, 0]),
        (5, [0, 0, 0], [2, 2, 1]),
        (10, [1, 2, 3], [2, 3, 5]),
        (1, [1, 2], [0, 1]),
        (7, [5], [7]),
        (UNITS_MAX, [UNITS_MAX - 1, 1], [UNITS_MAX - 1, 1]),
    ],
)
def test_by_hand(total: int, weights: list[int], parts: list[int]) -> None:
    assert allocate(total, weights) == parts


@pytest.mark.parametrize(
    ("total", "weights", "error"),
    [
        ("1", [1], TypeError),
        (1.0, [1], TypeError),
        (1, 1, TypeError),
        (1, ["1"], TypeError),
        (-1, [1], ValueError),
        (1, [], ValueError),
        (1, [2, -1], ValueError),
        (UNITS_MAX + 1, [1], OverflowError),
        (1, [UNITS_MAX + 1], OverflowError),
        (1, [UNITS_MAX, 1], OverflowError),
    ],
)
def test_refusals(total: Any, weights: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        allocate(total, weights)
