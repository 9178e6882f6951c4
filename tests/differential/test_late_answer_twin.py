"""The answer to a forwarded sale, spelled when it is asked for, is the one of when it was recorded.

Receipts of one server, drawn by seed: tenders of points, coupons, costs, limits, tiers, bounds of
balances, quotes with points as a discount, goods of earlier ones that come back, every outcome.
Each is forwarded; what would have been spelled then is kept aside and held against what GetReceipt
says.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from server.main import composed
from server.settings import Settings
from server.till.checkout import CheckoutOperation, Sold
from server.till.context import Context
from server.till.forward import forward
from server.till.forward_sale import ForwardedCheckout
from server.till.get_receipt import get_receipt
from server.till.quote import quote
from tests.forwarding import (
    AS_ANSWERED,
    NOT_SOLD,
    OTHER,
    PLAIN,
    PROGRAM_OFFLINE,
    RECORDED,
    UNKNOWN,
    forward_request,
    off,
)
from tests.refunding import basket
from tests.serving import receipt_key, test_program, with_totals

RECEIPTS = 120
DEADLINE_S = 60.0
LIMITED = {"limits": {"customer_times": 2, "total_minor": 50_000}}
PROGRAM: dict[str, Any] = {
    **PROGRAM_OFFLINE,
    "assets": [
        {**PROGRAM_OFFLINE["assets"][0], "balance_max_minor": 9_000},
        *PROGRAM_OFFLINE["assets"][1:],
    ],
    "promotions": [
        *PROGRAM_OFFLINE["promotions"],
        off("sku7", "points", **LIMITED),
        off("sku8", None, conditions=[{"code": "tier", "any_of": ["silver"]}]),
    ],
    "tier_rules": [{"tier_code": "silver", "amount_from_minor": 30_000, "rolling_days": 30}],
}
KINDS = (AS_ANSWERED, AS_ANSWERED, PLAIN, PLAIN, OTHER, OTHER, NOT_SOLD, UNKNOWN)
TRIGGERS = ("bonus", "coupon")


@pytest.fixture
async def context(place_with: Callable[[Any], dict[str, str]]) -> AsyncIterator[Context]:
    """A server in this process."""
    dsn = place_with(test_program(**PROGRAM))["LOYALTY_DSN"]
    async with composed(Settings(dsn=dsn)) as made:
        yield made


class Shop:
    """Draws receipts of a few customers, who use the coupons that earlier ones gave."""

    def __init__(self, context: Context, seed: int) -> None:
        self._context = context
        self._draw = random.Random(seed)
        self.coupons: list[str] = []
        self.sold: list[tuple[int, Any]] = []

    def deadline_s(self) -> float:
        """Far enough ahead."""
        return asyncio.get_running_loop().time() + DEADLINE_S

    async def forwarded(self, number: int) -> pb.ForwardRequest:
        """Draw what a till states of a receipt."""
        draw = self._draw
        made = self._sale()
        sold = [line for line in made.lines if line.action == receipt_pb2.LINE_ACTION_SALE]
        plain = {line.line_id: line.amount_minor for line in sold}
        kind = draw.choice(KINDS)
        lines = {}
        if kind == OTHER:
            chosen = draw.sample(sorted(plain), draw.randint(1, len(plain)))
            lines = {one: plain[one] * draw.randint(80, 100) // 100 for one in chosen}
        request = forward_request(number, made, kind, lines=lines)
        if draw.random() < 0.4:
            await self._quote(request, number)
        self.sold.append((number, sold[0]))
        return request

    def _sale(self) -> Any:
        draw = self._draw
        skus = draw.sample([f"sku{n}" for n in range(1, 10)], draw.randint(1, 5))
        rows = [(sku, draw.randint(1, 3), draw.choice((990, 5_000, 12_345))) for sku in skus]
        triggers = [one for one in TRIGGERS if draw.random() < 0.5]
        made = basket(*rows, card=f"card{draw.randint(0, 3)}", triggers=triggers)
        if self.coupons and draw.random() < 0.5:
            made.header.coupon_codes.append(self.coupons.pop())
        if draw.random() < 0.2:
            made.tenders.add(
                kind=receipt_pb2.TENDER_KIND_POINTS,
                state=receipt_pb2.TENDER_STATE_PAID,
                amount_minor=draw.randint(1, 300),
                asset_code="bonus",
            )
        with_totals(made)
        if self.sold and draw.random() < 0.3:
            self._bring_back(made, *self.sold.pop())
        return made

    def _bring_back(self, made: Any, number: int, sold: Any) -> None:
        """Let a piece of an earlier receipt come back, for less than it was sold at."""
        line = made.lines.add()
        line.CopyFrom(sold)
        line.line_id, line.action = "back", receipt_pb2.LINE_ACTION_RETURN
        line.quantity_milli, line.amount_minor, line.unit_price_scaled = 1_000, 100, 100
        line.return_origin.receipt_key.CopyFrom(receipt_key(number))
        line.return_origin.line_id = sold.line_id
        made.header.control_totals.line_count += 1
        made.header.control_totals.amount_minor -= line.amount_minor

    async def _quote(self, request: pb.ForwardRequest, number: int) -> None:
        """Let the till have a quote that spends points as a discount."""
        points = [pb.AssetAmount(asset_code="points", amount_minor=self._draw.randint(1, 2_000))]
        asked = pb.QuoteRequest(
            basket_id=number.to_bytes(16, "big"),
            sale=request.sale,
            reserve=pb.Reservation(amounts=points),
        )
        told = pb.QuoteResponse.FromString(await quote(self._context, asked, self.deadline_s()))
        request.basket_id, request.token = asked.basket_id, told.token


@pytest.mark.parametrize("seed", range(2))
async def test_it_is_spelled_as_it_would_have_been(
    context: Context, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spelled: list[pb.CheckoutResponse] = []

    def kept_aside(self: ForwardedCheckout, sold: Sold) -> bytes:
        spelled.append(pb.CheckoutResponse.FromString(CheckoutOperation._answer(self, sold)))
        return self._response(sold, None)

    monkeypatch.setattr(ForwardedCheckout, "_answer", kept_aside)
    shop = Shop(context, seed)
    seen: set[str] = set()
    for number in range(RECEIPTS):
        request = await shop.forwarded(number)
        before = len(spelled)
        told = pb.ForwardResponse.FromString(await forward(context, request, shop.deadline_s()))
        assert told.state == RECORDED, f"receipt {number}: {told}"
        found = pb.GetReceiptResponse.FromString(
            await get_receipt(
                context, pb.GetReceiptRequest(receipt_key=receipt_key(number)), shop.deadline_s()
            )
        ).checkout
        if len(spelled) == before:
            assert not found.HasField("answer"), "nothing was sold"
            continue
        assert found == spelled[-1], f"receipt {number}"
        seen |= what_is_in(found)
        shop.coupons += [code for one in found.answer.rewards.rewards for code in one.codes]
    assert seen == {"adjustments", "codes", "coupon", "returns", "rewards", "spent", "tier"}


async def test_what_an_earlier_version_has_stored_is_given_as_it_is(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its answer in the row, which is not spelled a second time."""
    monkeypatch.setattr(ForwardedCheckout, "_answer", CheckoutOperation._answer)
    shop = Shop(context, 1)
    request = forward_request(1, basket(("sku1", 1, 10_000), card="card1"), AS_ANSWERED)
    await forward(context, request, shop.deadline_s())
    asked = pb.GetReceiptRequest(receipt_key=receipt_key(1))
    before = await get_receipt(context, asked, shop.deadline_s())
    monkeypatch.undo()
    request.receipt_key.CopyFrom(receipt_key(2))
    await forward(context, request, shop.deadline_s())
    asked.receipt_key.CopyFrom(receipt_key(2))
    now = await get_receipt(context, asked, shop.deadline_s())
    amounts = [
        [
            one.amount_minor
            for one in pb.GetReceiptResponse.FromString(told).checkout.answer.lines.lines
        ]
        for told in (before, now)
    ]
    assert amounts == [[9_000], [9_000]]


def what_is_in(response: pb.CheckoutResponse) -> set[str]:
    """What of all that an answer may say is in it: no draw may leave one out."""
    answer = response.answer
    fired = [one for one in answer.trace if one.times]
    found = {
        "adjustments": any(one.adjustments for one in answer.lines.lines),
        "codes": any(one.codes for one in answer.rewards.rewards),
        "coupon": bool(answer.coupons),
        "returns": any(one.assets for one in response.returns),
        "rewards": bool(answer.rewards.rewards),
        "spent": bool(answer.spent),
        "tier": any(one.promotion_id == "off-sku8" for one in fired),
    }
    return {name for name, is_there in found.items() if is_there}
