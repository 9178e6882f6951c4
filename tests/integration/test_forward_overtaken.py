"""Goal: what is undone to be sold anew is what that was decided on, whatever else comes between.

Method: a server in this process, in which another call runs to its end just before a statement is
undone, or just after. Points are hundredths.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from loyalty.v1 import till_service_pb2 as pb
from rewards.sale import key_id_of
from server.codec.sale_pb import receipt_key_from_pb
from server.main import composed
from server.settings import Settings
from server.store.forwarded import read_parked_of
from server.till import forward_back, forward_sale
from server.till.context import Context
from server.till.durable import Operation, run_durable
from server.till.forward import forward
from server.till.forward_sale import UndoOperation
from server.till.parked import settle_one
from server.till.refund import refund
from server.till.void import void_receipt
from tests.forwarding import (
    AS_ANSWERED,
    NOT_SOLD,
    OTHER,
    PARKED,
    PLAIN,
    PROGRAM_OFFLINE,
    QUARANTINED,
    RECORDED,
    SETTLED,
    SUPERSEDED,
    forward_refund,
    forward_request,
    forward_void,
)
from tests.refunding import basket, refund_request
from tests.serving import receipt_key, test_program

LATER_S = 20.0
SALE, REFUND, LATE = 1, 2, 3
LATE_KEY = receipt_key(LATE)
PIECES = 2
ANSWERED = 900
"""5% of the 18,000 that were answered; what the till took above it comes on top, in points."""
HALFWAY, PLAINLY = ANSWERED + 1_000, ANSWERED + 2_000
Meanwhile = Callable[[], Awaitable[object]]


class Server:
    """A server in this process, and its database."""

    def __init__(self, context: Context, dsn: str, patch: pytest.MonkeyPatch) -> None:
        self.context = context
        self._dsn = dsn
        self._patch = patch

    @property
    def deadline_s(self) -> float:
        """Time enough."""
        return asyncio.get_running_loop().time() + LATER_S

    async def forward(self, stated: int, kind: Any, lines: dict[str, int] | None = None) -> int:
        """Forward the sale; what became of it."""
        made = basket(("sku1", PIECES, 10_000))
        request = forward_request(SALE, made, kind, stated, lines)
        answer = await forward(self.context, request, self.deadline_s)
        return pb.ForwardResponse.FromString(answer).state

    async def advise(self, request: pb.ForwardRequest) -> int:
        """Forward a refund or void; what became of it."""
        answer = await forward(self.context, request, self.deadline_s)
        return pb.ForwardResponse.FromString(answer).state

    def after_lookup(self, module: Any, meanwhile: Meanwhile) -> None:
        """Let something else happen once, before the history is read and after the look-up."""
        reading = module.read_history

        async def read(*arguments: Any) -> Any:
            self._patch.setattr(module, "read_history", reading)
            await meanwhile()
            return await reading(*arguments)

        self._patch.setattr(module, "read_history", read)

    async def points(self) -> int:
        """What all customers have, and owe."""
        connection = await asyncpg.connect(self._dsn)
        try:
            rows = await connection.fetch("select amount_minor, debt_minor from balance")
            assert not any(row["debt_minor"] for row in rows)
            return sum(row["amount_minor"] for row in rows)
        finally:
            await connection.close()

    def at_undo(self, before: Meanwhile | None = None, after: Meanwhile | None = None) -> None:
        """Let something else happen at the next undoing; its own undoings are let alone."""

        async def run(context: Context, operation: Operation, deadline_s: float) -> bytes:
            if not isinstance(operation, UndoOperation):
                return await run_durable(context, operation, deadline_s)
            self._patch.setattr(forward_sale, "run_durable", run_durable)
            if before is not None:
                await before()
            answer = await run_durable(context, operation, deadline_s)
            if after is not None:
                await after()
            return answer

        self._patch.setattr(forward_sale, "run_durable", run)


@pytest.fixture
async def server(
    place_with: Callable[[Any], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Server]:
    """With a sale that was forwarded as sold plain, number 2."""
    dsn = place_with(test_program(**PROGRAM_OFFLINE))["LOYALTY_DSN"]
    async with composed(Settings(dsn=dsn)) as context:
        made = Server(context, dsn, monkeypatch)
        assert await made.forward(2, PLAIN) == RECORDED
        assert await made.points() == PLAINLY
        yield made


async def test_a_higher_number_that_came_between_counts(server: Server) -> None:
    states: list[int] = []

    async def higher() -> None:
        states.append(await server.forward(4, AS_ANSWERED))

    server.at_undo(before=higher)
    assert await server.forward(3, OTHER, {"sku1": 19_000}) == SETTLED
    assert states == [SUPERSEDED]
    assert await server.points() == ANSWERED


async def test_goods_that_came_back_between_leave_the_rest_its_reward(server: Server) -> None:
    """The statement is kept and changes nothing."""

    async def back() -> None:
        request = refund_request(REFUND, SALE, {"sku1": 1_000})
        await refund(server.context, request, server.deadline_s)

    server.at_undo(before=back)
    assert await server.forward(3, AS_ANSWERED) == SUPERSEDED
    assert await server.points() == PLAINLY // 2


async def test_a_void_that_came_between_is_the_end(server: Server) -> None:
    async def void() -> None:
        request = pb.VoidRequest(receipt_key=receipt_key(SALE), reason_code="X", cashier_id="c1")
        await void_receipt(server.context, request, server.deadline_s)

    server.at_undo(before=void)
    assert await server.forward(3, AS_ANSWERED) == SETTLED
    assert await server.points() == 0


async def test_a_lower_number_that_was_sold_between_is_undone_too(server: Server) -> None:
    found: list[int] = []

    async def lower() -> None:
        found.extend([await server.forward(3, OTHER, {"sku1": 19_000}), await server.points()])

    server.at_undo(after=lower)
    assert await server.forward(4, AS_ANSWERED) == SUPERSEDED
    assert found == [SUPERSEDED, HALFWAY]
    assert await server.points() == ANSWERED


async def test_two_copies_at_once_get_one_answer(server: Server) -> None:
    """One of them is recorded while the other is about to read what was stated."""
    found: list[int] = []

    async def copy() -> None:
        found.append(await server.forward(3, AS_ANSWERED))

    server.after_lookup(forward_sale, copy)
    assert await server.forward(3, AS_ANSWERED) == SUPERSEDED
    assert found == [SUPERSEDED]
    assert await server.points() == ANSWERED


async def test_of_two_outcomes_under_one_number_at_once_one_counts(server: Server) -> None:
    """The other one is kept apart, by whichever server it came to."""
    found: list[int] = []

    async def other() -> None:
        found.append(await server.forward(3, OTHER, {"sku1": 19_000}))

    server.after_lookup(forward_sale, other)
    assert await server.forward(3, AS_ANSWERED) == QUARANTINED
    assert found == [SUPERSEDED]
    assert await server.points() == HALFWAY


@pytest.mark.parametrize(
    "request_", [forward_refund(REFUND, SALE, {"sku1": 1_000}), forward_void(SALE)]
)
async def test_two_copies_of_a_refund_or_void_get_one_answer(
    server: Server, request_: pb.ForwardRequest
) -> None:
    found: list[int] = []

    async def copy() -> None:
        found.append(await server.advise(request_))

    server.after_lookup(forward_back, copy)
    assert await server.advise(request_) == RECORDED
    assert found == [RECORDED]


@pytest.mark.parametrize(
    "waits", [forward_refund(REFUND, LATE, {"sku1": 1_000}), forward_void(LATE)]
)
async def test_who_found_it_waiting_before_it_was_withdrawn_settles_nothing(
    server: Server, waits: pb.ForwardRequest
) -> None:
    """Another server withdraws it in between."""
    assert await server.advise(waits) == PARKED
    async with server.context.database.reading() as connection:
        [found] = await read_parked_of(connection, [key_id_of(receipt_key_from_pb(LATE_KEY))])
    not_done = pb.ForwardRequest()
    not_done.CopyFrom(waits)
    not_done.outcome.kind, not_done.outcome.number = NOT_SOLD, 2
    assert await server.advise(not_done) == SUPERSEDED
    await settle_one(server.context, found, server.deadline_s)
    assert await server.points() == PLAINLY
