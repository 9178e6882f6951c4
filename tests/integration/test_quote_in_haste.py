"""A Quote that had no time for the customer's facts forgets nothing that its basket holds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.main import composed
from server.settings import Settings
from server.till.checkout import checkout
from server.till.context import Context
from server.till.quote import quote
from tests.serving import PROGRAM, checkout_request, receipt_key, sale, test_program

BASKET = b"b" * 16
RULES: dict[str, Any] = {
    "promotions": [PROGRAM["promotions"][1]],
    "spend_rules": [{"asset_code": "points", "step_minor": 100, "value_minor": 100}],
}
LATER_S = 60.0


@pytest.fixture
async def context(place_with: Callable[[Any], dict[str, str]]) -> AsyncIterator[Context]:
    """A server in this process; the customer of card1 has points."""
    dsn = place_with(test_program(**RULES))["LOYALTY_DSN"]
    async with composed(Settings(dsn=dsn)) as made:
        await checkout(made, checkout_request(1, "card1"), _later_s())
        yield made


def _later_s() -> float:
    return asyncio.get_running_loop().time() + LATER_S


async def _quoted(context: Context, **fields: Any) -> bytes:
    """The token of a quote."""
    request = pb.QuoteRequest(basket_id=BASKET, sale=sale("card1"), **fields)
    body = await quote(context, request, _later_s())
    return pb.QuoteResponse.FromString(body).token


async def _holds(context: Context) -> int:
    async with context.database.reading() as connection:
        count: int = await connection.fetchval("select count(*) from hold")
        return count


async def _no_time(*looked_up: object) -> None:
    raise TimeoutError


def _points() -> pb.Reservation:
    reserve = pb.Reservation()
    reserve.amounts.add(asset_code="points", amount_minor=1_000)
    return reserve


async def test_what_is_held_ends_with_the_sale(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await _quoted(context, reserve=_points())
    assert await _holds(context) == 1
    with monkeypatch.context() as hasty:
        hasty.setattr(context.lookups, "look_up", _no_time)
        second = await _quoted(context, token=first)
    request = pb.CheckoutRequest(
        receipt_key=receipt_key(2), sale=sale("card1"), basket_id=BASKET, token=second
    )
    await checkout(context, request, _later_s())
    assert await _holds(context) == 0


async def test_what_is_to_be_held_is_not_dropped_without_a_word(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context.lookups, "look_up", _no_time)
    for reserve in (_points(), pb.Reservation(coupon_codes=["ABC"])):
        with pytest.raises(Refusal) as refused:
            await _quoted(context, reserve=reserve)
        assert refused.value.reason is Reason.DEADLINE_PASSED
    assert await _quoted(context, reserve=pb.Reservation(budgets=True))
