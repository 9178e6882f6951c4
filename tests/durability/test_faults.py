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

from pos_sim.faults.messages import Carrier
from pos_sim.faults.plan import SCENARIOS, plan_steps
from pos_sim.faults.run import FaultPlan, run_faults
from pos_sim.run import Run
from tests.smsc import PASSWORD, smsc


def _play(
    seed: int,
    scenarios: tuple[str, ...],
    seconds: float,
    data_dir: Path,
    carrier: Carrier = Carrier(),  # noqa: B008  frozen
) -> list[str]:
    plan = FaultPlan(Run(seed, seed), scenarios, seconds, 3, 6, carrier)
    return asyncio.run(run_faults(Console(file=io.StringIO()), plan, data_dir))


def test_answers_are_lost(tmp_path: Path) -> None:
    """A few seconds in which the server commits and tills are not told; messages go to a file."""
    assert _play(1, ("answer-lost",), 6.0, tmp_path / "faults") == []


def test_a_station_in_a_field_and_an_smsc(tmp_path: Path) -> None:
    """Cut half of the time, and so is the link to an SMSC that others wrote."""
    with smsc() as peer:
        carrier = Carrier(f"127.0.0.1:{peer.port}", "field", PASSWORD)
        assert _play(1, ("field-station",), 6.0, tmp_path / "faults", carrier) == []
        assert len(peer.submits()) > 5


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 5))
def test_long_faults(seed: int, tmp_path: Path) -> None:
    """Every scenario, a minute each."""
    assert _play(seed, tuple(SCENARIOS), 60.0, tmp_path / "faults") == []


@pytest.mark.long
def test_long_faults_and_an_smsc(tmp_path: Path) -> None:
    """Servers that die between a submission and its answer, too."""
    with smsc() as peer:
        carrier = Carrier(f"127.0.0.1:{peer.port}", "field", PASSWORD)
        scenarios = ("field-station", "server-restart", "database-restart", "day-offline")
        assert _play(5, scenarios, 45.0, tmp_path / "faults", carrier) == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_plan_is_the_seeds_alone(scenario: str) -> None:
    """The same seed, the same plan; another one, another; all of it within the time, in order."""
    steps = plan_steps(scenario, 7, 60.0)
    assert plan_steps(scenario, 7, 60.0) == steps
    assert plan_steps(scenario, 8, 60.0) != steps
    assert len(steps) > 3
    assert [step.at_s for step in steps] == sorted(step.at_s for step in steps)
    assert steps[-1].at_s == 60.0
