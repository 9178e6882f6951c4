"""Goal: no answered receipt is lost and none is doubled, whatever is killed in the middle.

Method: a replay from many tills; `kill -9` amid it; every till sends again what it has no answer
to, as the contract says; then every receipt is sent once more and the whole ledger is audited.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from loyalty.v1 import till_service_pb2 as pb
from server.clock import system_clock
from server.store.audit import Audit, audit_ledger
from server.store.database import Database
from tests.serving import (
    ServerProcess,
    checkout_request,
    postmaster_pid,
    seed,
    serving,
    until_answered,
    wait_until,
)

RECEIPTS = 300
TILLS = 24
KILL_AFTER = 60


async def _replay(target: str, answers: dict[int, bytes], amid: Callable[[], None]) -> None:
    """Send all receipts from many tills; once enough are answered, do `amid`."""
    waiting = iter(range(RECEIPTS))
    struck = False

    async def till() -> None:
        nonlocal struck
        for number in waiting:
            request = checkout_request(number, f"card{number % 40}")
            answers[number] = await until_answered(target, request)
            if len(answers) >= KILL_AFTER and not struck:
                struck = True
                await asyncio.to_thread(amid)

    await asyncio.gather(*(till() for _ in range(TILLS)))
    assert struck


async def _send_all_again(target: str) -> dict[int, bytes]:
    numbers = range(RECEIPTS)
    calls = [until_answered(target, checkout_request(n, f"card{n % 40}")) for n in numbers]
    return dict(zip(numbers, await asyncio.gather(*calls), strict=True))


async def _audit(place: dict[str, str]) -> Audit:
    dsn = place.get("LOYALTY_DSN")
    database = Database(dsn, Path(place.get("LOYALTY_DATA_DIR", "")), "test-audit")
    await database.open()
    try:
        return await audit_ledger(database, system_clock())
    finally:
        await database.close()


def _hold_to_ledger(place: dict[str, str], answers: dict[int, bytes]) -> None:
    """Each receipt stands in the ledger once, with what its answer says."""
    audit = asyncio.run(_audit(place))
    assert not audit.problems
    earned = [
        sum(
            reward.amount_minor
            for reward in pb.CheckoutResponse.FromString(a).answer.rewards.rewards
        )
        for a in answers.values()
    ]
    assert len(answers) == RECEIPTS
    assert all(minor == 2_900 for minor in earned)
    assert (audit.receipts, audit.lots, audit.postings) == (RECEIPTS, RECEIPTS, 2 * RECEIPTS)


@pytest.mark.timeout(180)
def test_kill_of_the_server_loses_and_doubles_nothing(place: dict[str, str], log_dir: Path) -> None:
    """Kill -9 of the only server amid a replay; a new one takes its port."""
    with serving(place, log_dir) as servers:

        def strike() -> None:
            servers[0].kill()
            servers[0] = ServerProcess(place, log_dir / "again.log", servers[0].port)

        answers: dict[int, bytes] = {}
        asyncio.run(_replay(servers[0].target, answers, strike))
        assert asyncio.run(_send_all_again(servers[0].target)) == answers
        assert servers[0].stop() == 0
    _hold_to_ledger(place, answers)


@pytest.mark.timeout(180)
def test_kill_of_postgres_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Kill -9 of the embedded PostgreSQL amid a replay; the server brings it back."""
    place = {"LOYALTY_DATA_DIR": str(tmp_path / "data")}
    with serving(place, tmp_path) as servers:
        seed(servers[0].target)
        killed = postmaster_pid(tmp_path / "data")

        def strike() -> None:
            os.kill(killed, signal.SIGKILL)

        answers: dict[int, bytes] = {}
        asyncio.run(_replay(servers[0].target, answers, strike))
        assert asyncio.run(_send_all_again(servers[0].target)) == answers
        wait_until(lambda: postmaster_pid(tmp_path / "data") != killed, "a new PostgreSQL")
        assert servers[0].process.poll() is None, "the server itself lived on"
        assert servers[0].stop() == 0
    _hold_to_ledger(place, answers)


@pytest.mark.timeout(180)
def test_a_killed_postgres_comes_back_though_nobody_calls(tmp_path: Path) -> None:
    """After the last till's call the back office still wants to be answered."""
    data_dir = tmp_path / "data"
    with serving({"LOYALTY_DATA_DIR": str(data_dir)}, tmp_path) as servers:
        seed(servers[0].target)
        killed = postmaster_pid(data_dir)
        os.kill(killed, signal.SIGKILL)

        def is_back() -> bool:
            with contextlib.suppress(OSError):
                text = (data_dir / "pgdata" / "postmaster.pid").read_text()
                return "ready" in text and int(text.splitlines()[0]) != killed
            return False

        wait_until(is_back, "a new PostgreSQL")
        assert servers[0].stop() == 0
