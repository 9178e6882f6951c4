"""Goal: a server that has too much to do is asked for less at once, not only later.

Method: the forwarding of a cash server over a real spool, against a server that holds its answers
back until the test gives them.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
from msgspec.structs import replace

from loyalty.v1.till_service_pb2 import CheckoutRequest, ForwardResponse, ForwardState
from pos_sim.cash_server.backlog import Backlog, item_of
from pos_sim.cash_server.forwarding import Forwarding, ForwardRule
from pos_sim.cash_server.link_health import LinkHealth, RushRule
from pos_sim.cash_server.pace import NARROWEST, WIDENS_BY
from pos_sim.cash_server.spool import Spool
from pos_sim.refusal import Refusal, RefusedError
from tests.unit.test_cash_spool import admit, entry

PATIENCE_S = 30.0
TILLS = 200
NEVER_IN_THIS_TEST_S = 3_600.0
TAKEN = ForwardResponse(state=ForwardState.FORWARD_STATE_RECORDED)
TOO_MUCH = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_IN_FLIGHT", "the queue is full")


class Server:
    """Keeps what it is asked until it is told how to answer."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[ForwardResponse]] = []
        self._asked = asyncio.Condition()

    async def ask_for_spool(self, call: str, request: bytes, timeout_s: float) -> ForwardResponse:
        """Take a call."""
        found: asyncio.Future[ForwardResponse] = asyncio.get_running_loop().create_future()
        async with self._asked:
            self.waiting.append(found)
            self._asked.notify_all()
        return await found

    async def has(self, count: int) -> list["asyncio.Future[ForwardResponse]"]:
        """Wait until so many calls wait; whoever asks may answer them."""
        async with asyncio.timeout(PATIENCE_S), self._asked:
            await self._asked.wait_for(lambda: len(self.waiting) >= count)
        found, self.waiting = self.waiting, []
        return found


@asynccontextmanager
async def forwarding(spool: Spool, server: Server) -> AsyncIterator[None]:
    """Forward what is in the spool, each entry of a till of its own."""
    backlog, body = Backlog(), CheckoutRequest(closed=True).SerializeToString()
    for number in range(TILLS):
        admitted = await admit(spool, replace(entry(number, body=body), till=f"t{number}"), True)
        assert admitted.entry is not None
        backlog.add(item_of(admitted.entry, 0.0))
    rule = ForwardRule(rate=0.0, aim_s=PATIENCE_S, wait_first_s=NEVER_IN_THIS_TEST_S)
    made = Forwarding(
        spool,
        backlog,
        cast("Any", server),
        LinkHealth(RushRule(), random.Random(1)),
        lambda: 0,
        lambda: 0,
        rule,
        random.Random(1),
        asyncio.Event(),
    )
    running = asyncio.create_task(made.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_refusals_that_pass_make_it_narrow_again(tmp_path: Path) -> None:
    spool, server = Spool(tmp_path / "spool"), Server()
    async with forwarding(spool, server):
        for answer in await server.has(NARROWEST):
            answer.set_result(TAKEN)
        wider = await server.has(int(NARROWEST * WIDENS_BY))
        assert len(wider) > NARROWEST
        for answer in wider:
            answer.set_exception(RefusedError(TOO_MUCH))
        asked = await server.has(NARROWEST)
        # Whatever was taken from the spool besides would have been read before this.
        for _ in range(3):
            await spool.do(lambda rows: None)
        assert len(asked) + len(server.waiting) == NARROWEST
    await spool.close()
