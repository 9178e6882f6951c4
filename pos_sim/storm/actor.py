"""One till in the storm: sells, undoes, takes back and spends at random, and repeats itself."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct

from loyalty.v1.answer_pb2 import AdjustmentKind, LineResult
from loyalty.v1.receipt_pb2 import ReceiptKey, Sale
from loyalty.v1.till_service_pb2 import (
    AssetAmount,
    CheckoutRequest,
    CheckoutResponse,
    QuoteRequest,
    QuoteResponse,
    RefundLine,
    RefundRequest,
    ReleaseRequest,
    Reservation,
    VoidRequest,
)
from pos_sim.refusal import RefusedError
from pos_sim.run import Run
from pos_sim.sale import Place, plan_payment, write_sale
from pos_sim.storm.books import POINTS, Books, Sold
from pos_sim.storm.gift_cards import Payment, add_payment, draw_payment, write_cards_sale
from pos_sim.storm.world import ANONYMOUS_SHARE, draw_basket
from pos_sim.till_client import TillClient

RESERVE_SHARE = 0.5
RESERVE_LIMITS_SHARE = 0.3
REQUOTE_SHARE = 0.2
ABANDON_SHARE = 0.08
RELEASE_SHARE = 0.05
CLOSED_SHARE = 0.25
REPEAT_SHARE = 0.1
VOID_SHARE = 0.06
REFUND_SHARE = 0.25
TOO_MUCH_SHARE = 0.1
LOOKED_BACK = 200
"""A refund or void is of one of so many receipts before it."""
SPENT = AdjustmentKind.ADJUSTMENT_KIND_SPENT
SPEND_MAX_MINOR = 40_000
BUSINESS = frozenset(
    {
        "BASKET_SOLD",
        "HOLD_EXPIRED",
        "PRICE_WOULD_RISE",
        "RECEIPT_STATE",
        "SPEND_NOT_POSSIBLE",
        "TOKEN_FOREIGN",
        "TOKEN_EXPIRED",
    }
)
"""Refusals that the storm itself brings about: a hold lapsed, somebody else was first."""
TOO_MUCH = frozenset({"MORE_THAN_SOLD", "RECEIPT_STATE"})
Answer = TypeVar("Answer")


class _Open(Struct):
    """A receipt while it is open."""

    name: str
    customer: str
    key: ReceiptKey
    basket_id: bytes
    sale: Sale
    payment: Payment | None = None
    quoted: QuoteResponse | None = None


class Actor:
    """A till whose cashier and customers do everything that may be done."""

    def __init__(
        self,
        place: Place,
        run: Run,
        client: TillClient,
        books: Books,
        customers: list[str],
        next_index: Callable[[], int],
    ) -> None:
        """Set up a till.

        Args:
            place: where it stands.
            run: names what it sends and decides what it does.
            client: makes its calls.
            books: of all tills.
            customers: who may come; grows and shrinks while the storm goes on.
            next_index: numbers the receipts of all tills.
        """
        self._place = place
        self._run = run
        self._client = client
        self._books = books
        self._customers = customers
        self._next_index = next_index
        till = place.till
        self._rng = run.chance(f"storm/{till.store_id}/{till.till_id}")

    async def sell_cards(self) -> None:
        """Sell the gift cards that customers will pay with."""
        index, till = self._next_index(), self._place.till
        key = self._run.receipt_key(
            self._place.chain_id, till.store_id, till.till_id, "day", index + 1
        )
        sale = write_cards_sale(self._place, self._run, index)
        await self._client.checkout(CheckoutRequest(receipt_key=key, sale=sale))

    async def act(self) -> None:
        """Do one thing; what the storm itself makes impossible is counted, not a problem."""
        rng = self._rng
        try:
            if self._books.sold and rng.random() < REFUND_SHARE:
                await self._refund(rng.choice(list(self._books.sold.values())[-LOOKED_BACK:]))
            elif self._books.sold and rng.random() < VOID_SHARE:
                await self._void(rng.choice(list(self._books.sold.values())[-LOOKED_BACK:]))
            else:
                await self._sell(self._next_index())
        except RefusedError as error:
            reason = error.refusal.reason
            self._books.count[f"refused {reason}"] += 1
            if reason not in BUSINESS:
                self._books.problems.append(f"refused: {error}")

    async def _sell(self, index: int) -> None:
        rng = self._rng
        is_known = rng.random() >= ANONYMOUS_SHARE
        customer = rng.choice(self._customers) if is_known else ""
        sale = write_sale(self._place, draw_basket(rng, self._run, index, customer))
        till = self._place.till
        key = self._run.receipt_key(
            self._place.chain_id, till.store_id, till.till_id, "day", index + 1
        )
        name = f"{till.store_id}/{till.till_id}/{index + 1}"
        basket_id = self._run.basket_id(index)
        receipt = _Open(name, customer, key, basket_id, sale, draw_payment(rng))
        await self._quote(receipt)
        if rng.random() < REQUOTE_SHARE:
            await self._quote(receipt)
        if rng.random() < RELEASE_SHARE:
            await self._client.release(ReleaseRequest(basket_id=receipt.basket_id))
        if rng.random() < ABANDON_SHARE:
            self._books.count["abandoned"] += 1
            return
        await self._check_out(receipt)

    async def _quote(self, receipt: _Open) -> None:
        request = QuoteRequest(basket_id=receipt.basket_id, sale=receipt.sale)
        if receipt.quoted is not None:
            request.token = receipt.quoted.token
        if receipt.customer and self._rng.random() < RESERVE_SHARE:
            amount = AssetAmount(
                asset_code=POINTS, amount_minor=self._rng.randint(1, SPEND_MAX_MINOR)
            )
            request.reserve.CopyFrom(Reservation(amounts=[amount]))
        if receipt.payment is not None and self._rng.random() < RESERVE_SHARE:
            request.reserve.gift_cards.append(receipt.payment.to_hold)
        if self._rng.random() < RESERVE_LIMITS_SHARE:
            request.reserve.budgets = True
        receipt.quoted = await self._client.quote(request)
        self._books.count["quoted"] += 1

    async def _check_out(self, receipt: _Open) -> None:
        rng = self._rng
        closed = rng.random() < CLOSED_SHARE
        assert receipt.quoted is not None
        to_pay_minor = receipt.quoted.answer.lines.totals.amount_minor
        request = CheckoutRequest(
            receipt_key=receipt.key,
            sale=_paid(receipt, to_pay_minor),
            closed=closed,
            basket_id=receipt.basket_id,
            token=receipt.quoted.token,
        )
        for response in await self._ask(lambda: self._client.checkout(request)):
            self._books.note_sold(_sold(receipt, request.sale, response, closed))
        self._books.count["sold"] += 1

    async def _void(self, sold: Sold) -> None:
        request = VoidRequest(
            receipt_key=self._key_of(sold), reason_code="PAYMENT_FAILED", cashier_id="storm"
        )
        response = await self._client.void(request)
        self._books.note_voided(sold, response.changes)

    async def _refund(self, sold: Sold) -> None:
        """Take some pieces back; now and then more than are left, or the same twice at once."""
        lines = _draw_lines(self._rng, sold)
        if not lines:
            return
        request = RefundRequest(
            receipt_key=self._run.receipt_key(
                self._place.chain_id,
                self._place.till.store_id,
                self._place.till.till_id,
                "refund",
                self._next_index() + 1,
            ),
            original_key=self._key_of(sold),
            lines=[RefundLine(line_id=line_id, quantity_milli=lines[line_id]) for line_id in lines],
            cashier_id="storm",
            reason_code="UNWANTED",
        )
        try:
            answers = await self._ask(lambda: self._client.refund(request))
        except RefusedError as error:
            if error.refusal.reason not in TOO_MUCH:
                raise
            self._books.count["refunds of too much refused"] += 1
            return
        if any(answer != answers[0] for answer in answers):
            self._books.problems.append(f"{sold.name}: the same refund got two answers")
        self._books.note_refunded(sold, lines, answers[0])

    async def _ask(self, call: Callable[[], Awaitable[Answer]]) -> list[Answer]:
        """Ask once, or twice at once; give all answers.

        Of two at once one may be refused, by a clock that has moved on, while the other is still on
        its way. Once that is answered, asking again must give its answer.
        """
        copies = 2 if self._rng.random() < REPEAT_SHARE else 1
        found = await asyncio.gather(*[call() for _ in range(copies)], return_exceptions=True)
        answers = [one for one in found if not isinstance(one, BaseException)]
        for error in [one for one in found if isinstance(one, BaseException)]:
            if not answers or not isinstance(error, RefusedError):
                raise error
            self._books.count["refused beside an answer"] += 1
            answers.append(await call())
        return answers

    def _key_of(self, sold: Sold) -> ReceiptKey:
        store_id, till_id, number = sold.name.split("/")
        return self._run.receipt_key(self._place.chain_id, store_id, till_id, "day", int(number))


def _paid(receipt: _Open, to_pay_minor: int) -> Sale:
    sale = plan_payment(receipt.sale, to_pay_minor)
    if receipt.payment is not None:
        add_payment(sale, receipt.payment)
    return sale


def _sold(receipt: _Open, sale: Sale, response: CheckoutResponse, closed: bool) -> Sold:
    lines = response.answer.lines.lines
    paid = {line.line_id: line.amount_minor for line in lines}
    by_points = {line.line_id: _by_points(line) for line in lines}
    return Sold(receipt.name, receipt.customer, sale, response, closed, paid, by_points)


def _by_points(line: LineResult) -> int:
    """What of a line is paid with points, minor units."""
    return -sum(one.amount_minor for one in line.adjustments if one.kind == SPENT)


def _draw_lines(rng: random.Random, sold: Sold) -> dict[str, int]:
    """Some of what is left of a receipt; now and then more than that."""
    found: dict[str, int] = {}
    for line in sold.sale.lines:
        left_milli = line.quantity_milli - sold.returned_milli[line.line_id]
        if rng.random() < TOO_MUCH_SHARE:
            found[line.line_id] = line.quantity_milli
        elif left_milli and rng.random() < 0.5:
            is_weighed = bool(line.quantity_milli % 1_000)
            pieces, _ = divmod(left_milli, 1_000)
            some_milli = 1_000 * rng.randint(1, max(1, pieces))
            found[line.line_id] = left_milli if is_weighed else min(left_milli, some_milli)
    return found
