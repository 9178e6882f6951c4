"""Goal: a server that dies takes nothing of a budget with it, and nothing is given twice.

Method: two servers sell under one limit, one is killed with `kill -9` amid it; what it had leased
comes back once its lease has expired, by the clock, and is given to the last unit and no further.
"""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.budgets import LEASE_LIFE_US
from server.clock import set_offset, system_clock
from server.store.audit import audit_ledger
from server.store.database import Database
from tests.serving import (
    ServerProcess,
    checkout_request,
    publish,
    serving,
    test_program,
    until_answered,
    wait_until,
)

LIMIT = 400
RECEIPTS = 360
TILLS = 24
LIMITED = {
    "promotion_id": "limited",
    "names": [{"language_code": "ru", "text": "limited"}],
    "lane": "reward",
    "limits": {"total_times": LIMIT},
    "gives": [{"code": "points_fixed", "asset_code": "points", "amount_minor": 1}],
}


async def _replay(servers: list[ServerProcess], answers: dict[int, bytes]) -> None:
    """Send all receipts to both servers; one is killed early, its tills go on with the other."""
    waiting = iter(range(RECEIPTS))
    doomed = servers[1]

    async def till(number: int) -> None:
        for receipt in waiting:
            request = checkout_request(receipt, f"card{receipt % 40}")
            target = servers[number % 2].target if doomed.process.poll() is None else ""
            answers[receipt] = await _sold(target or servers[0].target, servers[0].target, request)
            if len(answers) >= RECEIPTS // 4 and doomed.process.poll() is None:
                doomed.process.kill()

    await asyncio.gather(*(till(number) for number in range(TILLS)))
    doomed.process.wait()


async def _sold(target: str, other: str, request: pb.CheckoutRequest) -> bytes:
    try:
        async with grpc.aio.insecure_channel(target) as channel:
            call: Any = channel.unary_unary("/loyalty.v1.TillService/Checkout")
            answer: bytes = await call(request.SerializeToString(), timeout=10.0)
            return answer
    except grpc.aio.AioRpcError:
        return await until_answered(other, request)


def _fired(answer: bytes) -> bool:
    return bool(pb.CheckoutResponse.FromString(answer).answer.rewards.rewards)


async def _values(dsn: str, statement: str) -> tuple[Any, ...]:
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(statement)
        assert row is not None
        return tuple(row)
    finally:
        await connection.close()


async def _is_balanced(dsn: str) -> bool:
    database = Database(dsn, Path(), "test-audit")
    await database.open()
    try:
        return (await audit_ledger(database, system_clock())).is_balanced
    finally:
        await database.close()


@pytest.mark.timeout(180)
def test_a_killed_servers_lease_comes_back_and_nothing_is_over(
    place: dict[str, str], log_dir: Path, tmp_path: Path
) -> None:
    dsn, clock_file = place["LOYALTY_DSN"], tmp_path / "clock"
    set_offset(clock_file, 0)
    place = {**place, "LOYALTY_CLOCK_FILE": str(clock_file)}
    answers: dict[int, bytes] = {}
    with serving(place, log_dir, count=2) as servers:
        with grpc.insecure_channel(servers[0].target) as channel:
            publish(BackOfficeServiceStub(channel), test_program(promotions=[LIMITED]))
        with grpc.insecure_channel(servers[1].target) as channel:
            _wait_for_program(channel)
        asyncio.run(_replay(servers, answers))
        set_offset(clock_file, 2 * LEASE_LIFE_US)
        numbers = iter(range(RECEIPTS, 10 * RECEIPTS))

        def is_given_out() -> bool:
            for number in [next(numbers) for _ in range(10)]:
                request = checkout_request(number, f"card{number % 40}")
                answers[number] = asyncio.run(until_answered(servers[0].target, request))
            return sum(map(_fired, answers.values())) >= LIMIT

        wait_until(is_given_out, "the last unit", timeout_s=60.0)
        for number in [next(numbers) for _ in range(20)]:
            request = checkout_request(number, f"card{number % 40}")
            answers[number] = asyncio.run(until_answered(servers[0].target, request))
        assert sum(map(_fired, answers.values())) == LIMIT
        assert servers[0].stop() == 0
    statement = "select sum(times), count(*) from budget_use"
    assert asyncio.run(_values(dsn, statement)) == (LIMIT, LIMIT)
    leased = "select leased_times, (select count(*) from budget_lease where is_open) from budget"
    assert asyncio.run(_values(dsn, leased)) == (LIMIT, 0)
    assert asyncio.run(_is_balanced(dsn))


def _wait_for_program(channel: grpc.Channel) -> None:
    office: Any = BackOfficeServiceStub(channel)

    def in_force() -> bool:
        found = office.GetRuleset(bo.GetRulesetRequest())
        live = [one for one in found.versions if one.effective_at_us <= found.now_us]
        newest = max(live, key=lambda one: one.version)
        return bool(newest.loaded)

    wait_until(in_force, "the program")
