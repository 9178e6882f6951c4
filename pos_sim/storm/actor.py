"""One till in the storm: sells, undoes, takes back and spends at random, and repeats itself."""

from loyalty.v1.till_service_pb2 import (
    BreakOffRequest,
    CheckoutRequest,
    ReleaseRequest,
    VoidRequest,
)
from pos_sim.refusal import RefusedError
from pos_sim.storm.desk import Desk
from pos_sim.storm.forwarding import Forwarding
from pos_sim.storm.gift_cards import write_cards_sale
from pos_sim.storm.opening import draw_exchange, open_receipt, pay_back, quote
from pos_sim.storm.returning import draw_lines, draw_paid, write_refund
from pos_sim.storm.rules import OTHER, PLAIN
from pos_sim.storm.sold import Sold

REQUOTE_SHARE = 0.2
ABANDON_SHARE = 0.08
RELEASE_SHARE = 0.05
CLOSED_SHARE = 0.25
EXCHANGE_SHARE = 0.12
OTHERWISE_SHARE = 0.2
"""Of closed receipts that were not sold as they are answered."""
BUSINESS = frozenset(
    {
        "BASKET_SOLD",
        "GIFT_CARD_STATE",
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
NOT_DUE = frozenset({"RETURN_AMOUNT", "MORE_THAN_SOLD", "RECEIPT_STATE"})


class Actor:
    """A till whose cashier and customers do everything that may be done."""

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
        self._forwarding = Forwarding(desk, customers)

    async def sell_cards(self) -> None:
        """Sell the gift cards that customers will pay with."""
        index, desk = self._desk.next_index(), self._desk
        sale = write_cards_sale(desk.place, desk.run, index)
        await self._client.checkout(CheckoutRequest(receipt_key=desk.key(index), sale=sale))

    async def act(self) -> None:
        """Do one thing; what the storm itself makes impossible is counted, not a problem."""
        try:
            await self._draw_act()
        except RefusedError as error:
            reason = error.refusal.reason
            self._books.count[f"refused {reason}"] += 1
            if reason not in BUSINESS:
                self._books.problems.append(f"refused: {error}")

    async def _draw_act(self) -> None:
        rng, desk = self._rng, self._desk
        acts = (
            (0.18, self._refund),
            (0.05, self._void),
            (0.03, self._ask_again),
            (0.08, self._forwarding.state_again),
            (0.05, self._forwarding.refund),
        )
        drawn = rng.random()
        for share, act in acts if self._books.sold else ():
            if drawn < share:
                await act(desk.draw_sold())
                return
            drawn -= share
        if rng.random() < 0.2:
            await self._forwarding.sell()
        else:
            await self._sell()

    async def _sell(self) -> None:
        rng, desk = self._rng, self._desk
        receipt = open_receipt(desk, self._customers)
        is_exchange = bool(self._books.sold) and rng.random() < EXCHANGE_SHARE
        if is_exchange:
            draw_exchange(desk, receipt)
        try:
            await quote(desk, receipt)
            if is_exchange:
                pay_back(receipt)
                await quote(desk, receipt)
            if rng.random() < REQUOTE_SHARE:
                await quote(desk, receipt)
            if rng.random() < RELEASE_SHARE:
                await self._client.release(ReleaseRequest(basket_id=receipt.basket_id))
            if rng.random() < ABANDON_SHARE:
                self._books.count["abandoned"] += 1
                return
            request = receipt.request(closed=rng.random() < CLOSED_SHARE)
            sold = receipt.sold(request)
            if request.closed and rng.random() < OTHERWISE_SHARE:
                request.outcome.kind, request.outcome.number = rng.choice((PLAIN, OTHER)), 1
                sold.number = 1
                if request.outcome.kind == OTHER:
                    request.outcome.lines.extend(draw_paid(rng, sold))
            for response in await desk.ask(lambda: self._client.checkout(request)):
                self._books.note_sold(sold, response)
        except RefusedError as error:
            if not (is_exchange and error.refusal.reason in NOT_DUE):
                raise
            self._books.count["exchanges of what is not due refused"] += 1

    async def _void(self, sold: Sold) -> None:
        request = VoidRequest(
            receipt_key=sold.key, reason_code="PAYMENT_FAILED", cashier_id="storm"
        )
        answers = await self._desk.ask(lambda: self._client.void(request))
        self._books.hold(answers[0] == answers[-1], f"{sold.name}: the void got two answers")
        self._books.note_voided(sold, answers[0])

    async def _refund(self, sold: Sold) -> None:
        """Take some pieces back; now and then more than are left, or the same twice at once."""
        lines = draw_lines(self._rng, sold)
        if not lines:
            return
        closed = self._rng.random() < CLOSED_SHARE
        key = self._desk.key(self._desk.next_index(), "refund")
        request = write_refund(key, sold, lines, closed)
        try:
            answers = await self._desk.ask(lambda: self._client.refund(request))
        except RefusedError as error:
            if error.refusal.reason not in TOO_MUCH:
                raise
            self._books.count["refunds of too much refused"] += 1
            return
        is_same = all(answer == answers[0] for answer in answers)
        self._books.hold(is_same, f"{sold.name}: the same refund got two answers")
        self._books.note_refunded(sold, answers[0])
        back = {line.line_id: line.quantity_milli for line in answers[0].lines}
        is_told = back == lines or bool(answers[0].exceptions)
        self._books.hold(is_told, f"{sold.name}: {back} back of {lines}, without an exception")

    async def _ask_again(self, sold: Sold) -> None:
        """Whoever asks again gets the first answer."""
        if sold.response is None:
            return
        try:
            again = await self._client.checkout(sold.request)
        except RefusedError as error:
            if error.refusal.reason != "FORWARDED" or not sold.number:
                raise
            return
        ended = await self._client.break_off(BreakOffRequest(receipt_key=sold.key))
        is_same = again == sold.response == ended.checkout
        self._books.hold(is_same, f"{sold.name}: asked again, another answer")
