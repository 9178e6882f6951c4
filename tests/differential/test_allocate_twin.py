"""The compiled `allocate` equals its reference twin, refusals and their words included.

Method: the same generated arguments go to both; outcomes are compared whole. A canary breaks the
kernel's answer by one unit and by the place of one unit, and must be caught.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext import kernel
from rewards import allocate as reference

Allocate = Callable[[int, Sequence[int]], list[int]]
Outcome = tuple[str, object]

UNITS_MAX = reference.UNITS_MAX
AMOUNT_MAX = 10**15
LINES_MAX = 1_000

AMOUNTS = st.integers(min_value=0, max_value=AMOUNT_MAX) | st.integers(min_value=0, max_value=9)
EDGES = st.sampled_from([0, 1, 2**31, 2**32, 2**62, UNITS_MAX - 1, UNITS_MAX])
ANYTHING = (
    AMOUNTS
    | EDGES
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.sampled_from([None, 1.5, "7", True])
)


def _outcome(allocate: Allocate, total: Any, weights: Any) -> Outcome:
    """What the call gave: its parts, or the kind and the words of its refusal."""
    try:
        return "parts", allocate(total, weights)
    except (ValueError, OverflowError) as refusal:
        return type(refusal).__name__, str(refusal)
    except TypeError:
        return "TypeError", "in the words of whoever read the value"


def _assert_twins_agree(allocate: Allocate, total: Any, weights: Any) -> None:
    assert _outcome(allocate, total, weights) == _outcome(reference.allocate, total, weights)


@given(AMOUNTS | EDGES, st.lists(AMOUNTS, max_size=60))
def test_receipts(total: int, weights: list[int]) -> None:
    _assert_twins_agree(kernel.allocate, total, weights)


@given(st.integers(0, AMOUNT_MAX), st.integers(1, LINES_MAX), st.randoms(use_true_random=False))
def test_long_receipts(total: int, count: int, random: Any) -> None:
    highest = random.choice([0, 1, 3, 10**6, AMOUNT_MAX])
    weights = [random.randint(0, highest) for _ in range(count)]
    _assert_twins_agree(kernel.allocate, total, weights)


@given(AMOUNTS | EDGES, st.lists(EDGES, max_size=8))
def test_edges_of_64_bits(total: int, weights: list[int]) -> None:
    _assert_twins_agree(kernel.allocate, total, weights)


@given(ANYTHING, st.lists(ANYTHING, max_size=8) | st.just(None) | st.just(3))
def test_refusals(total: Any, weights: Any) -> None:
    _assert_twins_agree(kernel.allocate, total, weights)


@pytest.mark.parametrize(
    ("total", "weights"),
    [
        (0, []),
        (1, []),
        (AMOUNT_MAX, [0] * LINES_MAX),
        (AMOUNT_MAX, [AMOUNT_MAX] * LINES_MAX),
        (AMOUNT_MAX, list(range(LINES_MAX))),
        (LINES_MAX - 1, [1] * LINES_MAX),
        (UNITS_MAX, [UNITS_MAX]),
        (UNITS_MAX, [UNITS_MAX - 1, 1]),
        (UNITS_MAX, [UNITS_MAX // 2, UNITS_MAX // 2, 1]),
        (UNITS_MAX, [UNITS_MAX // LINES_MAX] * LINES_MAX),
        (2**70, [1]),
        (-(2**70), [1]),
        (1, [-(2**70)]),
        (-1, [-1]),
        (2**70, []),
        (0, [-1]),
    ],
)
def test_by_hand(total: int, weights: list[int]) -> None:
    _assert_twins_agree(kernel.allocate, total, weights)


def _one_unit_too_many(total: int, weights: Sequence[int]) -> list[int]:
    parts = kernel.allocate(total, weights)
    return [parts[0] + 1, *parts[1:]]


def _tie_to_the_higher_index(total: int, weights: Sequence[int]) -> list[int]:
    return kernel.allocate(total, weights[::-1])[::-1]


@pytest.mark.parametrize("mutant", [_one_unit_too_many, _tie_to_the_higher_index])
def test_canary_a_mutated_result_is_caught(mutant: Allocate) -> None:
    with pytest.raises(AssertionError):
        _assert_twins_agree(mutant, 100, [1, 1, 1])
