"""Goal: whatever a link does, every receipt sold is in the ledger once, and no till waits too long.

Method: the simulator's fault scenarios against real processes: a server with its own PostgreSQL, a
cash server behind a proxy that cuts, holds, slows and doubles connections by seed, and tills that
sell through it, state what they did, void and refund; then every receipt, balance and statement is
held to what the tills know, and the ledger is audited.
"""

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from pos_sim.faults.plan import SCENARIOS, plan_steps
from pos_sim.faults.run import FaultPlan, run_faults
from pos_sim.run import Run


def _play(seed: int, scenarios: tuple[str, ...], seconds: float, data_dir: Path) -> list[str]:
    plan = FaultPlan(Run(seed, seed), scenarios, seconds, tills=3, customers=6)
    return asyncio.run(run_faults(Console(file=io.StringIO()), plan, data_dir))


def test_short_faults(tmp_path: Path) -> None:
    """Answers that are lost, and a station in a field that is cut half of the time."""
    assert _play(1, ("answer-lost", "field-station"), 6.0, tmp_path / "faults") == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 5))
def test_long_faults(seed: int, tmp_path: Path) -> None:
    """Every scenario, a minute each."""
    assert _play(seed, tuple(SCENARIOS), 60.0, tmp_path / "faults") == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_plan_is_the_seeds_alone(scenario: str) -> None:
    """The same seed, the same plan; another one, another; all of it within the time, in order."""
    steps = plan_steps(scenario, 7, 60.0)
    assert plan_steps(scenario, 7, 60.0) == steps
    assert plan_steps(scenario, 8, 60.0) != steps
    assert len(steps) > 3
    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    assert steps[-1].at_s == 60.0
