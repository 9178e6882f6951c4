"""A decision that is taken in steps is the one that would have been taken at once.

Between two steps everything that others can replace is replaced: articles, and whatever a running
server reads of its reference data.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from loyalty.v1 import till_service_pb2 as pb
from rewards.product import Catalogue
from server.lookups import Seen
from server.main import composed
from server.settings import Settings
from server.till.checkout import CheckoutOperation, read_command
from server.till.context import Context
from server.till.durable import Decided, look_up_in_time
from server.till.quote import quote
from server.till.step import step_with
from tests.serving import checkout_request, test_program

STEPS = 6
LATER_S = 60.0


@pytest.fixture
async def context(place_with: Callable[[Any], dict[str, str]]) -> AsyncIterator[Context]:
    """A server in this process, whose clock stands."""
    dsn = place_with(test_program())["LOYALTY_DSN"]
    async with composed(Settings(dsn=dsn)) as made:
        now_us = made.clock()
        yield msgspec.structs.replace(made, clock=lambda: now_us)


async def seen_of(context: Context, operation: CheckoutOperation, in_step: bool) -> Seen:
    """What is looked up for it."""
    deadline_s = asyncio.get_running_loop().time() + LATER_S
    seen = await look_up_in_time(context, operation.wanted, deadline_s)
    return msgspec.structs.replace(seen, in_step=in_step)


def decided(
    operation: CheckoutOperation, seen: Seen, between: Callable[[], None]
) -> tuple[Decided, int]:
    """Decide, with something done after each step; how many steps there were."""
    work = operation.decide(seen, asyncio.get_running_loop().time() + LATER_S)
    steps = 0
    while True:
        try:
            assert work.send(None) is None, "a step waits for nothing"
        except StopIteration as end:
            return end.value, steps
        steps += 1
        between()


async def test_what_is_replaced_between_steps_changes_nothing(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace_all() -> None:
        monkeypatch.setattr(context.reference, "catalogue", lambda chain_id: Catalogue({}))
        monkeypatch.setattr(context.reference, "store", None)
        monkeypatch.setattr(context.reference, "rules_at", None)

    operation = CheckoutOperation(context, read_command(context, checkout_request(1)))
    seen = await seen_of(context, operation, in_step=True)
    at_once, none = decided(operation, msgspec.structs.replace(seen, in_step=False), lambda: None)
    stepped, steps = decided(operation, seen, replace_all)
    assert (none, steps) == (0, STEPS)
    assert stepped == at_once
    answer = pb.CheckoutResponse.FromString(stepped.answer).answer
    sets = (answer.lines.lines, answer.rewards.rewards, answer.prompts.prompts)
    assert all(sets), "there is something that could have changed"
    assert answer.cross_sell.items[0].name, "an item is spoken of by its article's name"


async def test_nor_does_it_change_a_quote(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    async def replace_all(seen: Seen | None) -> None:
        nonlocal steps
        steps += 1
        monkeypatch.setattr(context.reference, "catalogue", lambda chain_id: Catalogue({}))

    request = pb.QuoteRequest(basket_id=b"b" * 16, sale=checkout_request(1).sale)
    deadline_s = asyncio.get_running_loop().time() + LATER_S
    at_once = await quote(context, request, deadline_s)
    monkeypatch.setattr("server.till.quote.step_with", replace_all)
    stepped = await quote(context, request, deadline_s)
    assert steps == 3
    assert stepped == at_once
    assert pb.QuoteResponse.FromString(stepped).answer.cross_sell.items


async def test_calls_found_together_take_each_step_in_turn() -> None:
    taken: list[str] = []

    async def call(name: str, seen: Seen | None) -> None:
        for step in range(2):
            taken.append(f"{name}{step}")
            await step_with(seen)

    many, alone = Seen({}, None, in_step=True), Seen({}, None)
    async with asyncio.TaskGroup() as group:
        for name, seen in (("a", many), ("b", many), ("c", alone), ("d", None)):
            group.create_task(call(name, seen))
    assert taken == ["a0", "b0", "c0", "c1", "d0", "d1", "a1", "b1"]
