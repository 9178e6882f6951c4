"""The choice of `pack` is feasible, the best there is, and honest about what it has not proved."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.packing import Application, Party, pack
from tests.property.packing_problem import Problem, assert_feasible, most, problems, solved

ENOUGH = 1_000_000
BUDGETS = st.integers(0, 60)


@given(problems())
def test_it_is_the_best_of_all_choices(problem: Problem) -> None:
    packing = solved(problem, ENOUGH)
    assert_feasible(problem, packing)
    assert packing.total == most(problem)
    assert packing.proved


@given(problems(classes_max=2, applications_max=3, capacity_max=12, value_max=1_000))
def test_it_is_the_best_of_all_choices_with_more_pieces(problem: Problem) -> None:
    packing = solved(problem, ENOUGH)
    assert_feasible(problem, packing)
    assert packing.total == most(problem)
    assert packing.proved


@given(problems(), BUDGETS)
def test_whatever_the_budget_the_bound_holds(problem: Problem, steps_max: int) -> None:
    packing = solved(problem, steps_max)
    assert_feasible(problem, packing)
    assert packing.total <= most(problem) <= packing.bound
    assert packing.steps <= steps_max


@given(problems(classes_max=12, applications_max=40), BUDGETS, st.integers(1, 200))
def test_more_steps_never_worsen_total_or_bound(problem: Problem, few: int, more: int) -> None:
    small, large = solved(problem, few), solved(problem, few + more)
    assert small.total <= large.total <= large.bound <= small.bound
    assert small.steps <= large.steps


@given(problems(classes_max=12, applications_max=40), BUDGETS)
def test_a_proof_used_no_budget_it_did_not_need(problem: Problem, steps_max: int) -> None:
    packing = solved(problem, steps_max)
    if packing.proved and packing.steps < steps_max:
        assert packing == solved(problem, packing.steps)
        assert packing == solved(problem, ENOUGH)


@given(problems(classes_max=8, applications_max=16), st.integers(1, 50), st.data())
def test_a_raised_value_never_lowers_the_total(
    problem: Problem, more: int, data: st.DataObject
) -> None:
    if not problem.applications:
        return
    raised = data.draw(st.integers(0, len(problem.applications) - 1))
    applications = tuple(
        msgspec.structs.replace(one, value=one.value + more) if number == raised else one
        for number, one in enumerate(problem.applications)
    )
    before = solved(problem, ENOUGH)
    after = solved(msgspec.structs.replace(problem, applications=applications), ENOUGH)
    assert before.total <= after.total <= before.total + more * (10**4)


@given(problems(classes_max=8, applications_max=16), st.integers(2, 2**20))
def test_the_unit_of_the_values_does_not_matter(problem: Problem, unit: int) -> None:
    applications = tuple(
        msgspec.structs.replace(one, value=one.value * unit) for one in problem.applications
    )
    scaled = msgspec.structs.replace(problem, applications=applications)
    assert solved(scaled, ENOUGH).total == solved(problem, ENOUGH).total * unit


@given(problems(classes_max=8, applications_max=12), st.randoms(use_true_random=False))
def test_sorted_by_keys_the_order_of_the_caller_does_not_matter(
    problem: Problem, random: Any
) -> None:
    keyed = sorted(problem.applications, key=msgspec.json.encode)
    shuffled = list(problem.applications)
    random.shuffle(shuffled)
    again = sorted(shuffled, key=msgspec.json.encode)
    first = pack(problem.capacities, keyed, problem.parties, ENOUGH)
    assert first == pack(problem.capacities, again, problem.parties, ENOUGH)


HUGE = 2**48
BY_HAND = [
    ("nothing", (), (), (), 0),
    ("no piece", (0,), (Application(0, 5, 9, ((0, 1),)),), (Party(),), 0),
    ("one sku, 3 for 2", (6_001,), (Application(0, 7, 10**9, ((0, 3),)),), (Party(),), 14_000),
    ("as often as the till says", (9,), (Application(0, 7, 2, ((0, 1),)),), (Party(),), 14),
    (
        "fives before twos, one piece left over",
        (6_001,),
        (Application(0, 10, 10**9, ((0, 2),)), Application(0, 30, 10**9, ((0, 5),))),
        (Party(),),
        36_000,
    ),
    (
        "each pair half of the time",
        (2_000, 2_000, 2_000),
        (
            Application(0, 10, 10**9, ((0, 1), (1, 1))),
            Application(1, 12, 10**9, ((1, 1), (2, 1))),
            Application(2, 11, 10**9, ((0, 1), (2, 1))),
        ),
        (Party(), Party(), Party()),
        33_000,
    ),
    (
        "one promotion of a group, whatever the other still could",
        (10, 10),
        (Application(0, 4, 10**9, ((0, 1),)), Application(1, 3, 10**9, ((1, 1),))),
        (Party(group=7), Party(group=7)),
        40,
    ),
    (
        "values that leave no bits for fractions",
        (1_000, 1_000),
        (
            Application(0, HUGE + 1, 10**9, ((0, 2), (1, 1))),
            Application(0, HUGE, 10**9, ((0, 1), (1, 2))),
        ),
        (Party(),),
        334 * (HUGE + 1) + 332 * HUGE,
    ),
]


@pytest.mark.parametrize(
    ("capacities", "applications", "parties", "total"),
    [case[1:] for case in BY_HAND],
    ids=[case[0] for case in BY_HAND],
)
def test_by_hand(capacities: Any, applications: Any, parties: Any, total: int) -> None:
    packing = pack(capacities, applications, parties, ENOUGH)
    assert (packing.total, packing.bound) == (total, total)


def test_of_equal_choices_the_first_is_taken() -> None:
    one = Application(0, 5, 1, ((0, 1),))
    assert pack((1,), (one, one, one), (Party(),), ENOUGH).times == (1, 0, 0)


GOOD = Application(0, 1, 1, ((0, 1),))


@pytest.mark.parametrize(
    ("capacities", "application", "party", "steps_max", "error"),
    [
        ((-1,), GOOD, Party(), 0, ValueError),
        ((10_001,), GOOD, Party(), 0, ValueError),
        ((10_000,) * 105, GOOD, Party(), 0, ValueError),
        ((1,), GOOD, Party(times_max=-1), 0, ValueError),
        ((1,), GOOD, Party(group=-2), 0, ValueError),
        ((1,), Application(0, 0, 1, ((0, 1),)), Party(), 0, ValueError),
        ((1,), Application(0, 2**50, 1, ((0, 1),)), Party(), 0, ValueError),
        ((1,), Application(0, 1, 0, ((0, 1),)), Party(), 0, ValueError),
        ((1,), Application(1, 1, 1, ((0, 1),)), Party(), 0, ValueError),
        ((1,), Application(-1, 1, 1, ((0, 1),)), Party(), 0, ValueError),
        ((1,), Application(0, 1, 1, ()), Party(), 0, ValueError),
        ((1,), Application(0, 1, 1, ((1, 1),)), Party(), 0, ValueError),
        ((1,), Application(0, 1, 1, ((-1, 1),)), Party(), 0, ValueError),
        ((1, 1), Application(0, 1, 1, ((1, 1), (0, 1))), Party(), 0, ValueError),
        ((1,), Application(0, 1, 1, ((0, 1), (0, 1))), Party(), 0, ValueError),
        ((1,), Application(0, 1, 1, ((0, 0),)), Party(), 0, ValueError),
        ((1,), GOOD, Party(), -1, ValueError),
        ((10_000,), Application(0, 2**50 - 1, 1, ((0, 1),)), Party(), 0, OverflowError),
    ],
)
def test_refusals(
    capacities: Any, application: Application, party: Party, steps_max: int, error: Any
) -> None:
    with pytest.raises(error):
        pack(capacities, (application,), (party,), steps_max)
