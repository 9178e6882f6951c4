"""Receipts that a till breaks off and states by Forward: in any order, twice, beside live calls."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from loyalty.v1.receipt_pb2 import Outcome, OutcomeKind
from loyalty.v1.till_service_pb2 import (
    BreakOffRequest,
    CheckoutResponse,
    ForwardRequest,
    ForwardResponse,
    ForwardState,
    GetReceiptRequest,
    GetReceiptResponse,
    VoidRequest,
)
from pos_sim.refusal import RefusedError
from pos_sim.storm.books import Forwarded
from pos_sim.storm.desk import Desk
from pos_sim.storm.opening import draw_exchange, open_receipt, pay_back, quote
from pos_sim.storm.returning import draw_lines, draw_paid, write_refund
from pos_sim.storm.sold import NOT_SOLD, Sold, close

UNQUOTED_SHARE = 0.15
EARLY_REFUND_SHARE = 0.2
EXCHANGE_SHARE = 0.12
VOID_SHARE = 0.1
WITHDRAWN_SHARE = 0.15
KINDS = (
    *[OutcomeKind.OUTCOME_KIND_AS_ANSWERED] * 6,
    *[OutcomeKind.OUTCOME_KIND_PLAIN] * 6,
    *[OutcomeKind.OUTCOME_KIND_OTHER] * 5,
    *[OutcomeKind.OUTCOME_KIND_NOT_SOLD] * 2,
    OutcomeKind.OUTCOME_KIND_UNKNOWN,
)
REFUSED_BESIDE = frozenset(
    {
        "FORWARDED",
        "MORE_THAN_SOLD",
        "RECEIPT_STATE",
        "RETURN_AMOUNT",
        "BROKEN_OFF",
        "BASKET_SOLD",
        "GIFT_CARD_STATE",
        "HOLD_EXPIRED",
        "PRICE_WOULD_RISE",
        "SPEND_NOT_POSSIBLE",
        "TOKEN_FOREIGN",
        "TOKEN_EXPIRED",
    }
)
"""How a live Checkout may end whose receipt is stated, or broken off, beside it."""


class Forwarding:
    """What one till does when its link is poor."""

    def __init__(self, desk: Desk, customers: list[str]) -> None:
        """Set up a till.

        Args:
            desk: where it stands.
            customers: who may come.
        """
        self._desk = desk
        self._rng = desk.rng
        self._books = desk.books
        self._client = desk.client
        self._customers = customers

    async def sell(self) -> None:
        """Sell while the link breaks: one or several statements, and perhaps a live call beside."""
        rng, receipt = self._rng, open_receipt(self._desk, self._customers)
        at_us = self._desk.clock_us()
        is_exchange = bool(self._books.sold) and rng.random() < EXCHANGE_SHARE
        if is_exchange:
            draw_exchange(self._desk, receipt)
        if is_exchange or rng.random() >= UNQUOTED_SHARE:
            await quote(self._desk, receipt)
        if is_exchange:
            pay_back(receipt)
            await quote(self._desk, receipt)
        request = receipt.request(closed=rng.random() < 0.5)
        sold = receipt.sold(request)
        beside: list[Awaitable[object]] = []
        if rng.random() < EARLY_REFUND_SHARE:
            beside.append(self.refund(sold))
        way = rng.choice(("unheard", "fenced", "alone"))
        if way == "fenced":
            await self._break_off(sold)
        elif way == "unheard":
            beside.append(self._check_out(sold))
        # Sold anew, an exchange does not say again what has come of its RETURN lines.
        times = 1 if is_exchange else rng.choice((1, 1, 1, 2, 3))
        statements = [self._statement(sold, at_us) for _ in range(times)]
        rng.shuffle(statements)
        if rng.random() < 0.5:
            await asyncio.gather(*beside, *[self._forward(sold, one) for one in statements])
        else:
            await asyncio.gather(*beside)
            for one in statements:
                await self._forward(sold, one)
        await self._look(sold)

    async def state_again(self, sold: Sold) -> None:
        """State something else of a receipt, under a higher number; perhaps beside a live retry."""
        statement = self._statement(sold, self._desk.clock_us())
        beside = [self._check_out(sold)] if self._rng.random() < 0.3 else []
        await asyncio.gather(self._forward(sold, statement), *beside)
        await self._look(sold)

    async def refund(self, sold: Sold) -> None:
        """Forward a refund or void; its sale may come later."""
        rng, desk = self._rng, self._desk
        lines = draw_lines(rng, sold)
        outcome = Outcome(kind=OutcomeKind.OUTCOME_KIND_AS_ANSWERED, number=1)
        request = ForwardRequest(outcome=outcome, sold_at_us=desk.clock_us())
        if rng.random() < VOID_SHARE and not sold.is_exchange:
            void = VoidRequest(receipt_key=sold.key, reason_code="BROKEN", cashier_id="storm")
            request.receipt_key.CopyFrom(sold.key)
            request.void_receipt.CopyFrom(void)
            self._books.forwarded.append(Forwarded(sold.key, sold, is_void=True))
        elif lines:
            key = desk.key(desk.next_index(), "refund")
            request.receipt_key.CopyFrom(key)
            request.refund.CopyFrom(write_refund(key, sold, lines, closed=True))
            self._books.forwarded.append(Forwarded(key, sold, is_void=False))
        else:
            return
        await self._forward(sold, request)
        if request.HasField("refund") and rng.random() < WITHDRAWN_SHARE:
            # Whether it waits still, and is never settled, or is settled already, its key says.
            request.outcome.kind, request.outcome.number = NOT_SOLD, 2
            await self._forward(sold, request)

    async def _check_out(self, sold: Sold) -> None:
        """Send the live Checkout, whose answer is heard or not."""
        try:
            response = await self._client.checkout(sold.request)
        except RefusedError as error:
            if error.refusal.reason not in REFUSED_BESIDE:
                raise
            self._books.count[f"beside a statement {error.refusal.reason}"] += 1
        else:
            self._books.note_sold(sold, response)

    async def _break_off(self, sold: Sold) -> None:
        """Give up on the key while the Checkout is on its way: it ends one way for both."""
        fence = self._client.break_off(BreakOffRequest(receipt_key=sold.key))
        ended, _ = await asyncio.gather(fence, self._check_out(sold))
        was_sold = ended.HasField("checkout")
        known: CheckoutResponse | None = sold.response
        is_one = ended.checkout == known if was_sold else known is None
        self._books.hold(is_one, f"{sold.name}: broken off, and sold")
        self._books.count["broken off"] += not was_sold

    def _statement(self, sold: Sold, at_us: int) -> ForwardRequest:
        """What the till says next that it did."""
        sold.number += 1
        outcome = Outcome(kind=self._rng.choice(KINDS), number=sold.number)
        if outcome.kind == OutcomeKind.OUTCOME_KIND_OTHER:
            outcome.lines.extend(draw_paid(self._rng, sold))
        return ForwardRequest(
            receipt_key=sold.key,
            sale=sold.sale,
            outcome=outcome,
            sold_at_us=at_us,
            basket_id=sold.request.basket_id,
            token=sold.request.token,
        )

    async def _forward(self, sold: Sold, request: ForwardRequest) -> None:
        answers: list[ForwardResponse] = await self._desk.ask(lambda: self._client.forward(request))
        is_same = all(one == answers[0] for one in answers)
        self._books.hold(is_same, f"{sold.name}: the same statement got two answers")
        state = ForwardState.Name(answers[0].state).removeprefix("FORWARD_STATE_")
        what: Any = request.WhichOneof("advice")
        self._books.count[f"forwarded {what} {state}"] += 1
        is_taken = answers[0].state != ForwardState.FORWARD_STATE_QUARANTINED
        self._books.hold(is_taken, f"{sold.name}: quarantined, {answers[0].reason}")

    async def _look(self, sold: Sold) -> None:
        """See what became of it, for what is done to it later."""
        final: GetReceiptResponse = await self._client.get_receipt(
            GetReceiptRequest(receipt_key=sold.key)
        )
        if final.HasField("checkout"):
            self._books.note_cards(sold, final.checkout)
            self._books.note_exchanged(sold, final.checkout)
            sold.take(final.checkout, close(sold, final).outcome)
        self._books.sold.setdefault(sold.name, sold)
