"""Goal: a merge is done whole or not at all, whatever is killed in the middle, and can be repeated.

Method: checkouts and merges of the same cards on two servers; `kill -9` of one amid them; everybody
sends again, as the contract says; then all is sent once more and the ledger is audited.
"""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import ledger_pb2 as lg
from tests.accounts import World, who, world
from tests.serving import CHAIN, ServerProcess, checkout_request, until_answered

CARDS = 8
RECEIPTS = 80
KILL_AFTER = 20
EARNED = 2_900
RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


async def merge(target: str, number: int) -> bytes:
    """Merge an even card's account into the next one's; ask until it is answered."""
    request = lg.MergeAccountsRequest(
        merge_id=number.to_bytes(16, "big"),
        chain_id=CHAIN,
        losing=who(f"card{number}"),
        winning=who(f"card{number + 1}"),
        merged_by="test",
    )
    for _ in range(200):
        try:
            async with grpc.aio.insecure_channel(target) as channel:
                call: Any = channel.unary_unary("/loyalty.v1.BackOfficeService/MergeAccounts")
                answer: bytes = await call(request.SerializeToString(), timeout=5.0)
                return answer
        except grpc.aio.AioRpcError as error:
            if error.code() not in (*RETRYABLE, grpc.StatusCode.CANCELLED):
                raise
            await asyncio.sleep(0.05)
    raise AssertionError("never answered")


async def run_all(targets: list[str], amid: Any) -> list[bytes]:
    """Send every receipt and merge; once enough are answered, do `amid`."""
    answered = 0

    async def counted(work: Any) -> bytes:
        nonlocal answered
        answer: bytes = await work
        answered += 1
        if answered == KILL_AFTER and amid is not None:
            await asyncio.to_thread(amid)
        return answer

    sales = [
        until_answered(targets[n % 2], checkout_request(n, f"card{n % CARDS}"))
        for n in range(RECEIPTS)
    ]
    merges = [merge(targets[n % 4 // 2], n) for n in range(0, CARDS, 2)]
    return await asyncio.gather(*(counted(one) for one in (*sales, *merges)))


@pytest.mark.timeout(240)
def test_merges_amid_checkouts_survive_a_killed_server(
    place: dict[str, str], log_dir: Path
) -> None:
    with world(place, log_dir, count=2) as made:
        _hold(made, place, log_dir)


def _hold(made: World, place: dict[str, str], log_dir: Path) -> None:
    victim = made.servers[1]
    settings = {**place, "LOYALTY_EXPIRY_S": "0", "LOYALTY_CLOCK_FILE": str(made.clock_file)}

    def strike() -> None:
        victim.kill()
        made.servers.append(ServerProcess(settings, log_dir / "again.log", victim.port))

    targets = [server.target for server in made.servers]
    first = asyncio.run(run_all(targets, strike))
    assert len(made.servers) == 3, "nothing was killed"
    assert asyncio.run(run_all(targets, None)) == first
    for number in range(CARDS):
        assert made.balance(f"card{number}") == 2 * EARNED * (RECEIPTS // CARDS)
    purchases = made.fetch("select purchases from account where purchases > 0")
    assert purchases == [(2 * (RECEIPTS // CARDS),)] * (CARDS // 2)
    made.check_ledger()
