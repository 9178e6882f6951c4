"""Goal: what this process has not heard of yet is asked for before a receipt is kept apart.

Method: a server in this process that knows all, and one over the same database that has heard of
nothing and does not poll.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from rewards.sale import key_id_of
from server.codec.sale_pb import receipt_key_from_pb
from server.main import composed
from server.reference import Reference
from server.settings import Settings
from server.store.database import RetryError
from server.store.feeds import Feeds
from server.store.forwarded import Parked
from server.till.checkout import checkout
from server.till.context import Context
from server.till.forward import forward
from server.till.history import read_history
from server.till.parked import settle_one
from tests.forwarding import (
    PARKED,
    PLAIN,
    QUARANTINED,
    RECORDED,
    forward_refund,
    forward_request,
)
from tests.refunding import basket
from tests.serving import receipt_key, test_program

SALE, REFUND = 1, 2
LATER_S = 20.0


@pytest.fixture
async def context(place_with: Callable[[Any], dict[str, str]]) -> AsyncIterator[Context]:
    """A server that knows all."""
    dsn = place_with(test_program())["LOYALTY_DSN"]
    async with composed(Settings(dsn=dsn, evaluator="reference")) as made:
        yield made


class Unheard(Reference):
    """Has heard of nothing; counts how often it asks, and fails where it is told to."""

    def __init__(self, context: Context, error: Exception | None = None) -> None:
        super().__init__(Feeds(context.database), context.clock)
        self.asked = 0
        self._error = error

    async def refresh(self) -> None:
        self.asked += 1
        if self._error is not None:
            raise self._error
        await super().refresh()


def behind(context: Context, error: Exception | None = None) -> Context:
    """A server that has heard of nothing."""
    return msgspec.structs.replace(context, reference=Unheard(context, error))


def deadline_s() -> float:
    """Time enough."""
    return asyncio.get_running_loop().time() + LATER_S


async def state_of(context: Context, request: pb.ForwardRequest) -> int:
    """Forward; what became of it."""
    return pb.ForwardResponse.FromString(await forward(context, request, deadline_s())).state


def made() -> Any:
    """A sale."""
    return basket(("sku1", 1, 10_000))


async def test_a_store_that_was_imported_since_the_last_poll(context: Context) -> None:
    assert await state_of(behind(context), forward_request(SALE, made(), PLAIN)) == RECORDED


async def test_a_program_that_was_published_since_the_last_poll(context: Context) -> None:
    """A refund that waits is kept as long as the program says."""
    request = forward_refund(REFUND, SALE, {"sku1": 1_000})
    assert await state_of(behind(context), request) == PARKED


async def test_a_store_that_nobody_knows_is_kept_apart(context: Context) -> None:
    request = forward_request(SALE, made(), PLAIN)
    request.receipt_key.store_id = request.sale.header.store_id = "nobody's"
    server = behind(context)
    assert await state_of(server, request) == QUARANTINED
    assert isinstance(server.reference, Unheard)
    assert server.reference.asked == 1, "every receipt of such a store asks again"


async def test_nothing_is_kept_apart_while_nobody_can_be_asked(context: Context) -> None:
    server = behind(context, RetryError("away", fate_unknown=False))
    with pytest.raises(Refusal) as refused:
        await state_of(server, forward_request(SALE, made(), PLAIN))
    assert refused.value.reason is Reason.STORE_UNAVAILABLE


async def test_what_cannot_be_loaded_keeps_no_spool_from_going_on(context: Context) -> None:
    server = behind(context, LookupError("a version that cannot be read"))
    request = forward_request(SALE, made(), PLAIN)
    answer = pb.ForwardResponse.FromString(await forward(server, request, deadline_s()))
    assert (answer.state, answer.reason) == (QUARANTINED, "UNKNOWN_STORE")
    assert isinstance(server.reference, Unheard)
    assert server.reference.asked == 1


async def test_what_has_waited_for_its_sale_is_not_given_up(context: Context) -> None:
    assert await state_of(context, forward_refund(REFUND, SALE, {"sku1": 1_000})) == PARKED
    live = pb.CheckoutRequest(receipt_key=receipt_key(SALE), sale=made(), closed=True)
    await checkout(context, live, deadline_s())
    parked: list[Parked] = await context.database.parked_of([key_of(SALE)])
    await settle_one(behind(context), parked[0], deadline_s())
    assert await context.database.parked_of([key_of(SALE)]) == []
    history = await read_history(context, key_of(REFUND), deadline_s())
    assert [one.statement.state for one in history] == [PARKED, RECORDED]


def key_of(number: int) -> bytes:
    """The key of a receipt."""
    return key_id_of(receipt_key_from_pb(receipt_key(number)))
