"""A mutation run counts what it should: names, verdicts, samples, scores, diffs."""

from pathlib import Path

import pytest

from tests.mutation.mutant import Mutant, Verdict, choose, difference, read_mutants, verdict_of
from tests.mutation.report import score_percent

METHOD = Mutant("rewards.gate.xǁGateǁopen__mutmut_12", None)
FUNCTION = Mutant("rewards.gate.x__open__mutmut_3", 0)


def test_a_mutant_says_what_it_changes() -> None:
    assert (METHOD.module, METHOD.function) == ("rewards.gate", "Gate.open")
    assert (FUNCTION.path, FUNCTION.function) == (Path("rewards/gate.py"), "_open")
    assert (METHOD.verdict, FUNCTION.verdict) == (None, Verdict.SURVIVED)


@pytest.mark.parametrize(
    ("exit_code", "verdict"),
    [
        (0, Verdict.SURVIVED),
        (1, Verdict.KILLED),
        (2, Verdict.KILLED),
        (4, Verdict.UNCLEAR),
        (33, Verdict.NOT_COVERED),
        (-24, Verdict.TIMED_OUT),
        (-11, Verdict.CRASHED),
    ],
)
def test_verdicts(exit_code: int, verdict: Verdict) -> None:
    assert verdict_of(exit_code) == verdict


def test_the_score_counts_what_no_test_runs_as_missed() -> None:
    codes = (1, 1, 1, 24, 0, 33, 4, -11)
    assert score_percent([Mutant("m", code) for code in codes]) == 100 * 5 / 8


def test_a_sample_is_the_same_for_a_seed_and_never_too_large() -> None:
    mutants = [Mutant(f"m{n}", None) for n in range(50)]
    assert choose(mutants, 10, 1) == choose(mutants, 10, 1) != choose(mutants, 10, 2)
    assert sorted(choose(mutants, 99, 1), key=lambda one: one.name) == choose(mutants, 50, 1)


MUTATED = """
def x__open__mutmut_orig(door):
    return door + 1

def x__open__mutmut_3(door):
    return door - 1
"""


def test_a_sandbox_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "mutants" / "rewards"
    folder.mkdir(parents=True)
    (folder / "gate.py.meta").write_text(f'{{"exit_code_by_key": {{"{FUNCTION.name}": 0}}}}')
    (folder / "ledger.py.meta").write_text('{"exit_code_by')  # while mutmut writes it
    (folder / "gate.py").write_text(MUTATED)
    assert read_mutants(tmp_path) == [FUNCTION]
    assert difference(tmp_path, FUNCTION) == "-    return door + 1\n+    return door - 1"
