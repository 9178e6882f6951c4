"""Goal: whatever tills do at once, and whatever is killed meanwhile, the points are right.

Method: the simulator's storm, a black box with books of its own: quotes, holds, sales open and
closed, exchanges, repeats, coupons, gift cards, voids, refunds, receipts that are broken off and
stated by Forward in any order, merges, households, expiry, payouts, gestures, customers who are
imported and enrolled, get cards, are blocked or may only earn, and rules that change over two
server processes, with kill -9 of servers and of PostgreSQL and a clock that leaps; then every
receipt, balance, card, certificate, coupon, budget, transfer of money, limit of a customer,
turnover and purchase is held to what was answered on the way, every answer to what its customer was
when it was decided, and the ledger is audited.
"""

import asyncio
import io
from pathlib import Path

import pytest
from rich.console import Console

from pos_sim.run import Run
from pos_sim.storm.run import StormPlan, run_storm


def _blow(seed: int, acts: int, faults: int, data_dir: Path) -> list[str]:
    plan = StormPlan(Run(seed, seed), acts, faults)
    return asyncio.run(run_storm(Console(file=io.StringIO()), plan, data_dir))


def test_a_short_storm(tmp_path: Path) -> None:
    """Two hundred acts, a few faults."""
    assert _blow(1, 200, 4, tmp_path / "storm") == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 7))
def test_a_long_storm(seed: int, tmp_path: Path) -> None:
    """Thousands of acts, dozens of faults."""
    assert _blow(seed, 4_000, 30, tmp_path / "storm") == []
