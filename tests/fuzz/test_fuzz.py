"""The fuzz run stays within the contract, and sees what goes wrong: canaries of every kind."""

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from rewards import limits
from rewards.allocate import allocate
from rewards.evaluate import Evaluation, evaluate
from rewards.limits import MILLI
from rewards.program_check import check_program
from rewards.rewarding import Grant
from rewards.sale import Unit
from rewards.trace import TraceEntry
from tests.fuzz import judge as judging
from tests.fuzz.case import CHANGES, cases_of
from tests.fuzz.invariant import broken
from tests.fuzz.judge import judge
from tests.fuzz.run import cpu_s, run
from tests.fuzz.shrink import shrink
from tests.strategies import Case

SEEDS = range(60)


def _evaluated(case: Case) -> Evaluation:
    return evaluate(case.rules(), case.sale, case.facts, allocate)


def test_a_seed_is_the_same_cases_again() -> None:
    assert [list(cases_of(seed)) for seed in SEEDS] == [list(cases_of(seed)) for seed in SEEDS]


def test_every_change_occurs() -> None:
    names = {name for seed in SEEDS for name, _ in cases_of(seed)}
    assert names == {"as made", *CHANGES}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_made_is_within_the_limits(seed: int) -> None:
    for _, case in cases_of(seed):
        reasons = [problem.reason for problem in check_program(case.program)]
        assert all("nothing to multiply" in reason for reason in reasons)
        milli = 0
        for line in case.sale.lines:
            assert 0 < line.quantity_milli <= limits.QUANTITY_MILLI_MAX
            assert 0 <= line.minimum_amount_minor <= line.amount_minor <= limits.AMOUNT_MINOR_MAX
            assert line.unit_price_scaled <= limits.UNIT_PRICE_SCALED_MAX
            milli += line.quantity_milli if line.unit == Unit.PIECE else MILLI
        assert milli <= limits.PIECES_MAX * MILLI


def test_figures_come_near_the_limits() -> None:
    lines = [line for seed in SEEDS for _, case in cases_of(seed) for line in case.sale.lines]
    assert max(line.amount_minor for line in lines) * 10 > limits.AMOUNT_MINOR_MAX


@pytest.mark.parametrize("seed", SEEDS)
def test_the_twin_breaks_no_invariant(seed: int) -> None:
    for _, case in cases_of(seed):
        assert broken(case, _evaluated(case)) == []


# --- canaries -----------------------------------------------------------------------------------


def _with_first_outcome(evaluation: Evaluation, **changes: Any) -> Evaluation:
    first, *others = evaluation.outcomes
    assert first is not None
    return replace(evaluation, outcomes=(replace(first, **changes), *others))


NOTHING = Grant(0, 0, "points", 0, -1, 0, 0)
TAMPERED: list[tuple[Callable[[Evaluation], Evaluation], str]] = [
    (lambda found: _with_first_outcome(found, amount_minor=-1), "floor"),
    (lambda found: _with_first_outcome(found, amount_minor=10**13), "explain"),
    (lambda found: _with_first_outcome(found, runs=()), "quantity"),
    (lambda found: replace(found, outcomes=found.outcomes[1:]), "one outcome a line"),
    (lambda found: replace(found, grants=(NOTHING,)), "reward of nothing"),
    (lambda found: replace(found, trace=(TraceEntry(0, 1), TraceEntry(0, 1))), "stands twice"),
]


@pytest.mark.parametrize(("tamper", "said"), TAMPERED)
def test_canary_a_broken_invariant_is_said(
    tamper: Callable[[Evaluation], Evaluation], said: str
) -> None:
    case = next(c for seed in SEEDS for _, c in cases_of(seed) if _evaluated(c).outcomes[0])
    assert any(said in text for text in broken(case, tamper(_evaluated(case))))


def test_canary_a_kernel_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_trace(rules: Any, sale: Any, facts: Any) -> Evaluation:
        return replace(evaluate(rules, sale, facts, allocate), trace=())

    monkeypatch.setattr(judging, "kernel_evaluator", without_trace)
    assert any("trace[0] is nothing" in one.text for one in judge(0).findings)


def test_canary_a_twin_that_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Evaluation:
        raise AssertionError("floor")

    monkeypatch.setattr(judging, "evaluate", fail)
    assert {one.kind for one in judge(0).findings} == {"twin raises"}


def test_a_case_is_made_smaller_as_long_as_it_is_wrong() -> None:
    case = next(c for seed in SEEDS for _, c in cases_of(seed) if len(c.sale.lines) > 5)
    wanted = case.sale.lines[3]
    small = shrink(case, lambda one: "wrong" if wanted in one.sale.lines else "")
    assert (small.sale.lines, small.program.promotions) == ((wanted,), ())


def test_canary_a_refusal_of_what_fits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(rules: Any, sale: Any, facts: Any) -> Evaluation:
        raise OverflowError("too large")

    monkeypatch.setattr(judging, "kernel_evaluator", refuse)
    verdict = judge(0)
    assert verdict.receipts == len(verdict.findings) > verdict.refused == 0


CRASH = """
import os, sys, time
seed = int(sys.argv[1])
print('{"type":"begun","seed":%d}' % seed, flush=True)
if seed == 7:
    os.kill(os.getpid(), 11)
print('{"type":"done","seed":%d,"receipts":3,"refused":0,"findings":[]}' % seed, flush=True)
time.sleep(60)
"""


def test_canary_a_crash_is_seen_with_its_seed_and_the_run_goes_on() -> None:
    totals = run([sys.executable, "-c", CRASH], seed=7, workers=1, seconds=2.0)
    assert [(one.seed, one.text) for one in totals.findings] == [
        (7, "the worker was killed by SIGSEGV")
    ]
    assert (totals.crashes, totals.seeds, totals.receipts) == (1, 1, 3)


def test_what_a_process_has_worked_is_read() -> None:
    before = cpu_s(os.getpid())
    started = time.process_time()
    while time.process_time() - started < 0.1:
        pass
    assert cpu_s(os.getpid()) > before
