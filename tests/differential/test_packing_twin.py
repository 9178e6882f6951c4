"""The compiled `pack` equals its reference twin: times, total, bound, steps and refusals.

Method: the same generated problems go to both, with budgets that cut the proof and that do not;
results are compared whole. A canary breaks the kernel's answer and must be caught.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.baskets import basket_problem
from ext import packing as kernel
from rewards.packing import NUMBER_MAX, PIECES_MAX, STEPS_MAX, VALUE_MAX, Application, Party, pack
from tests.property.packing_problem import Problem, problems

Result = tuple[list[int], int, int, int]
Pack = Callable[..., Result]
COMPILED: Pack = kernel.pack
BUDGETS = st.integers(0, 80) | st.just(100_000)


def _arrays(problem: Problem) -> list[Sequence[int]]:
    """The problem as the kernel takes it."""
    applications, parties = problem.applications, problem.parties
    uses = [use for one in applications for use in one.uses]
    return [
        problem.capacities,
        [one.value for one in applications],
        [one.times_max for one in applications],
        [one.promotion for one in applications],
        [0, *accumulate(len(one.uses) for one in applications)],
        [number for number, _ in uses],
        [count for _, count in uses],
        [party.times_max for party in parties],
        [party.group for party in parties],
    ]


def _reference(problem: Problem, steps_max: int) -> tuple[str, object]:
    try:
        found = pack(problem.capacities, problem.applications, problem.parties, steps_max)
    except (ValueError, OverflowError) as refusal:
        return type(refusal).__name__, str(refusal)
    return "packing", (list(found.times), found.total, found.bound, found.steps)


def _outcome(compiled: Pack, problem: Problem, steps_max: int) -> tuple[str, object]:
    try:
        return "packing", compiled(*_arrays(problem), steps_max)
    except (ValueError, OverflowError) as refusal:
        return type(refusal).__name__, str(refusal)


def _assert_twins_agree(compiled: Pack, problem: Problem, steps_max: int) -> None:
    assert _outcome(compiled, problem, steps_max) == _reference(problem, steps_max)


@given(problems(), BUDGETS)
def test_small_problems(problem: Problem, steps_max: int) -> None:
    _assert_twins_agree(kernel.pack, problem, steps_max)


@given(problems(classes_max=12, applications_max=40, value_max=10**7), BUDGETS)
def test_baskets(problem: Problem, steps_max: int) -> None:
    _assert_twins_agree(kernel.pack, problem, steps_max)


@given(problems(classes_max=4, applications_max=8, capacity_max=10_000, value_max=500), BUDGETS)
def test_many_pieces(problem: Problem, steps_max: int) -> None:
    _assert_twins_agree(kernel.pack, problem, steps_max)


@given(problems(classes_max=5, applications_max=8, value_max=VALUE_MAX), BUDGETS)
def test_values_that_leave_few_bits(problem: Problem, steps_max: int) -> None:
    _assert_twins_agree(kernel.pack, problem, steps_max)


@given(problems(classes_max=4, applications_max=8, capacity_max=3_000, value_max=2**49), BUDGETS)
def test_values_that_leave_no_bits(problem: Problem, steps_max: int) -> None:
    _assert_twins_agree(kernel.pack, problem, steps_max)


def _hard(random: Random, classes: int, applications: int, capacity: int) -> Problem:
    """Sets of 2 to 6 pieces, worth about the same share of their prices."""
    prices = [random.randint(5_000, 200_000) for _ in range(classes)]
    parties = tuple(
        Party(random.choice([0, 0, 1, 2, 5]), random.choice([-1, -1, 3, 8]))
        for _ in range(random.randint(1, 8))
    )
    ways = []
    for _ in range(applications):
        picked = [random.randrange(classes) for _ in range(random.randint(2, 6))]
        uses = tuple((number, picked.count(number)) for number in sorted(set(picked)))
        price = sum(prices[number] * count for number, count in uses)
        value = price * random.randint(1_000, 1_300) // 10_000
        ways.append(Application(random.randrange(len(parties)), value, 10**6, uses))
    capacities = tuple(random.randint(1, capacity) for _ in range(classes))
    return Problem(capacities, tuple(ways), parties)


@pytest.mark.parametrize("seed", range(12))
def test_hard_problems(seed: int) -> None:
    random = Random(seed)
    problem = _hard(random, random.randint(10, 40), random.randint(40, 200), random.choice([1, 3]))
    for steps_max in (0, 3, 40, 400):
        _assert_twins_agree(kernel.pack, problem, steps_max)


@pytest.mark.parametrize("seed", [*range(60), 444, 556, 799, 813, 1390, 1443, 2132, 2166, 2413])
def test_baskets_of_the_benchmark(seed: int) -> None:
    problem = Problem(*basket_problem(seed))
    for steps_max in (30, 600):
        _assert_twins_agree(kernel.pack, problem, steps_max)


def test_a_part_too_large_to_keep_its_basis() -> None:
    _assert_twins_agree(kernel.pack, _hard(Random(1), 140, 300, 1), 300)


def test_a_part_too_large_to_search() -> None:
    chain = tuple(
        Application(0, 100 + number % 7, 1, ((number, 1), (number + 1, 1)))
        for number in range(1_100)
    )
    problem = Problem((1,) * 1_101, chain, (Party(),))
    _assert_twins_agree(kernel.pack, problem, 10**6)


GOOD = Application(0, 1, 1, ((0, 1),))
BAD_PROBLEMS = [
    Problem((-1,), (GOOD,), (Party(),)),
    Problem((10_001,), (GOOD,), (Party(),)),
    Problem((10_000,) * (PIECES_MAX // 10_000 + 1), (GOOD,), (Party(),)),
    Problem((1,), (GOOD,), (Party(times_max=-1),)),
    Problem((1,), (GOOD,), (Party(times_max=2**70),)),
    Problem((1,), (GOOD,), (Party(group=-2),)),
    Problem((1,), (GOOD,), (Party(group=NUMBER_MAX + 1),)),
    Problem((1,), (GOOD,), ()),
    Problem((1,), (Application(0, 0, 1, ((0, 1),)),), (Party(),)),
    Problem((1,), (Application(0, -(2**70), 1, ((0, 1),)),), (Party(),)),
    Problem((1,), (Application(0, VALUE_MAX + 1, 1, ((0, 1),)),), (Party(),)),
    Problem((1,), (Application(0, 1, 0, ((0, 1),)),), (Party(),)),
    Problem((1,), (Application(0, 1, NUMBER_MAX + 1, ((0, 1),)),), (Party(),)),
    Problem((1,), (Application(1, 1, 1, ((0, 1),)),), (Party(),)),
    Problem((1,), (Application(0, 1, 1, ()),), (Party(),)),
    Problem((1,), (Application(0, 1, 1, ((1, 1),)),), (Party(),)),
    Problem((1, 1), (Application(0, 1, 1, ((1, 1), (0, 1))),), (Party(),)),
    Problem((1,), (Application(0, 1, 1, ((0, 0),)),), (Party(),)),
    Problem((10_000,), (Application(0, VALUE_MAX, 1, ((0, 1),)),), (Party(),)),
]


@pytest.mark.parametrize("problem", BAD_PROBLEMS)
def test_refusals(problem: Problem) -> None:
    kind, _ = _outcome(kernel.pack, problem, 0)
    assert kind != "packing"
    _assert_twins_agree(kernel.pack, problem, 0)


@pytest.mark.parametrize("steps_max", [-1, STEPS_MAX, STEPS_MAX + 1, 2**70])
def test_budgets_at_the_edge(steps_max: int) -> None:
    _assert_twins_agree(kernel.pack, Problem((3,), (GOOD, GOOD), (Party(),)), steps_max)


@pytest.mark.parametrize(
    "broken",
    [
        {1: [1, 1]},
        {4: [0]},
        {4: [1, 1]},
        {4: [0, 2]},
        {4: []},
        {6: []},
        {7: []},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(broken: dict[int, list[int]]) -> None:
    arrays = _arrays(Problem((3,), (GOOD,), (Party(),)))
    for place, numbers in broken.items():
        arrays[place] = numbers
    with pytest.raises(ValueError, match=r"each|offsets"):
        COMPILED(*arrays, 0)


@pytest.mark.parametrize("place", range(9))
def test_what_is_no_integer_is_refused(place: int) -> None:
    arrays: list[Any] = list(_arrays(Problem((3,), (GOOD,), (Party(),))))
    arrays[place] = ["1"] * len(arrays[place])
    with pytest.raises((TypeError, ValueError)):
        COMPILED(*arrays, 0)


def _one_step_less(*arguments: Any) -> Result:
    times, total, bound, steps = kernel.pack(*arguments)
    return times, total, bound, steps - 1


def _the_last_of_equals(*arguments: Any) -> Result:
    times, total, bound, steps = kernel.pack(*arguments)
    return times[::-1], total, bound, steps


@pytest.mark.parametrize("mutant", [_one_step_less, _the_last_of_equals])
def test_canary_a_mutated_result_is_caught(mutant: Pack) -> None:
    problem = Problem((1,), (GOOD, GOOD), (Party(),))
    with pytest.raises(AssertionError):
        _assert_twins_agree(mutant, problem, 10)
