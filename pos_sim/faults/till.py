"""A till that sells through a cash server whatever the link does, and measures its waits."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from loyalty.v1.receipt_pb2 import Outcome, Sale
from loyalty.v1.till_service_pb2 import (
    CheckoutRequest,
    CheckoutResponse,
    DurableResult,
    QuoteRequest,
    QuoteResponse,
    RefundLine,
    RefundRequest,
    VoidRequest,
)
from pos_sim.cash_server.clock import Clock
from pos_sim.faults.books import AS_ANSWERED, NOT_SOLD, PLAIN, Books, Sold
from pos_sim.faults.world import CHAIN_ID, draw_basket
from pos_sim.link import Link
from pos_sim.refusal import LinkLostError, RefusedError
from pos_sim.run import Run
from pos_sim.sale import Place, plan_payment, write_sale

TIMEOUT_MS = 2_250
AGAIN_S = 0.3
QUOTE_SHARE = 0.5
CLOSED_SHARE = 0.2
NOT_SOLD_SHARE = 0.1
VOID_SHARE = 0.05
REFUND_SHARE = 0.1
ANONYMOUS_SHARE = 0.1
BREAKS = frozenset({"LINK_BROKEN_OFF", "OFFLINE_CEILING"})
PAUSE_S = (0.05, 0.4)
HEARTBEAT_S = 0.02
HEARTBEATS_KEPT = 500


class Conditions:
    """Whether the link has been good for so long that nothing of the last fault is left."""

    def __init__(self, settle_s: float) -> None:
        """Begin with a link that is not good yet.

        Args:
            settle_s: So long after a fault it is held against nobody.
        """
        self._settle_s = settle_s
        self._good_since_s: float | None = None
        self._changes = 0

    def change(self, is_good: bool, now_s: float) -> None:
        """The link, or a process, has changed."""
        self._changes += 1
        self._good_since_s = now_s if is_good else None

    def begin(self, now_s: float) -> int:
        """What `held` asks for: which times these are; 0 if they are not good."""
        since_s = self._good_since_s
        return self._changes if since_s is not None and now_s - since_s >= self._settle_s else 0

    def held(self, begun: int) -> bool:
        """Whether it was good from then until now."""
        return begun != 0 and begun == self._changes


class Heartbeat:
    """Notices when this process stood still: what a till then waits is nobody's fault."""

    def __init__(self) -> None:
        """Begin; nothing is noticed before `beat` runs."""
        self._lags: deque[tuple[float, float]] = deque(maxlen=HEARTBEATS_KEPT)

    async def beat(self) -> None:
        """Look at the clock, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + HEARTBEAT_S
            await asyncio.sleep(HEARTBEAT_S)
            self._lags.append((loop.time(), loop.time() - due_s))

    def lag_since(self, at_s: float) -> float:
        """The longest standstill since some time of the loop's clock, seconds."""
        return max((lag_s for seen_s, lag_s in self._lags if seen_s >= at_s), default=0.0)


class FieldTill:
    """A till of a filling station; its journal states again what nobody has taken yet."""

    def __init__(
        self,
        place: Place,
        run: Run,
        scenario: str,
        link: Link,
        clock: Clock,
        books: Books,
        conditions: Conditions,
        heartbeat: Heartbeat,
        customers: list[str],
        next_index: Callable[[], int],
    ) -> None:
        """Set up a till.

        Args:
            place: Where it stands.
            run: Names what it sends and decides what it does.
            scenario: Label of its receipt keys.
            link: To the cash server.
            clock: The till's.
            books: Of the scenario.
            conditions: Of the link behind the cash server.
            heartbeat: Of this process.
            customers: Who may come.
            next_index: Numbers the receipts of all tills.
        """
        self._place = place
        self._run = run
        self._scenario = scenario
        self._link = link
        self._clock = clock
        self._books = books
        self._conditions = conditions
        self._heartbeat = heartbeat
        self._customers = customers
        self._next_index = next_index
        till = place.till
        self._name = f"{till.store_id}/{till.till_id}"
        self._rng: random.Random = run.chance(f"{scenario}/{self._name}")
        self._journal: asyncio.Queue[tuple[str, Message, Sold | None]] = asyncio.Queue()

    async def sell(self, until_s: float) -> None:
        """Ring up receipts until some time of the loop's clock; then see the journal emptied."""
        loop = asyncio.get_running_loop()
        stating = asyncio.create_task(self._state())
        try:
            while loop.time() < until_s:
                await self._ring_up()
                await asyncio.sleep(self._rng.uniform(*PAUSE_S))
            await self._journal.join()
        finally:
            stating.cancel()
            await asyncio.gather(stating, return_exceptions=True)

    async def _ring_up(self) -> None:
        rng, index = self._rng, self._next_index()
        customer = "" if rng.random() < ANONYMOUS_SHARE else rng.choice(self._customers)
        basket = draw_basket(rng, index, customer, self._clock(), self._scenario)
        key = self._run.receipt_key(
            CHAIN_ID, self._place.till.store_id, self._place.till.till_id, self._scenario, index + 1
        )
        sold = Sold(f"{self._name}/{index + 1}", key, basket)
        sale = write_sale(self._place, basket)
        quoted = await self._quote(index, sale) if rng.random() < QUOTE_SHARE else None
        paid_minor = sale.header.control_totals.amount_minor
        if quoted is not None:
            paid_minor = quoted.answer.lines.totals.amount_minor
        request = CheckoutRequest(receipt_key=key, sale=plan_payment(sale, paid_minor))
        if quoted is not None:
            request.basket_id, request.token = self._run.basket_id(index), quoted.token
        self._books.receipts[sold.name] = sold
        if quoted is not None and rng.random() < CLOSED_SHARE:
            request.closed = True
            request.outcome.CopyFrom(Outcome(kind=AS_ANSWERED, number=1))
            await self._fact("checkout", request, sold)
        else:
            await self._check_out(request, sold)
        await self._follow_up(sold)

    async def _quote(self, index: int, sale: Sale) -> QuoteResponse | None:
        request = QuoteRequest(basket_id=self._run.basket_id(index), sale=sale)
        answer = await self._ask("quote", request)
        return answer if isinstance(answer, QuoteResponse) else None

    async def _check_out(self, request: CheckoutRequest, sold: Sold) -> None:
        """Sell by request; without an answer go on and state what was done."""
        answer = await self._ask("checkout", request)
        if isinstance(answer, CheckoutResponse):
            self._answered(answer, sold)
            return
        stated = CheckoutRequest()
        stated.CopyFrom(request)
        stated.closed = True
        sold.outcome = self._decide(is_quoted=bool(request.token))
        stated.outcome.CopyFrom(Outcome(kind=sold.outcome, number=1))
        sold.is_taken = False
        self._journal.put_nowait(("checkout", stated, sold))

    def _decide(self, is_quoted: bool) -> Any:
        """What the cashier does without an answer."""
        if self._rng.random() < NOT_SOLD_SHARE:
            return NOT_SOLD
        return AS_ANSWERED if is_quoted and self._rng.random() < 0.5 else PLAIN

    async def _fact(self, call: str, request: Message, sold: Sold) -> None:
        """State what is done already; if nobody takes it the journal does so again."""
        sold.is_taken = False
        answer = await self._ask(call, request)
        if answer is None:
            self._journal.put_nowait((call, request, sold))
        else:
            self._taken(answer, sold)

    async def _follow_up(self, sold: Sold) -> None:
        """Now and then undo it, or take a line back."""
        rng = self._rng
        if sold.answer is None:
            return
        if rng.random() < VOID_SHARE:
            sold.is_voided = True
            void = VoidRequest(
                receipt_key=sold.key, reason_code="PAYMENT_FAILED", cashier_id="field"
            )
            await self._fact("void_receipt", void, sold)
        elif rng.random() < REFUND_SHARE:
            await self._refund(sold)

    async def _refund(self, sold: Sold) -> None:
        """Take the first line back, paid out already."""
        assert sold.answer is not None, "it was answered"
        line = sold.answer.answer.lines.lines[0]
        request = RefundRequest(
            receipt_key=self._run.receipt_key(
                CHAIN_ID,
                self._place.till.store_id,
                self._place.till.till_id,
                f"{self._scenario}-refund",
                self._next_index() + 1,
            ),
            original_key=sold.key,
            lines=[
                RefundLine(line_id=line.line_id, quantity_milli=sold.basket.items[0].quantity_milli)
            ],
            cashier_id="field",
            reason_code="UNWANTED",
            closed=True,
        )
        sold.refunded_minor = line.amount_minor
        await self._fact("refund", request, sold)

    async def _state(self) -> None:
        """Empty the journal in order, each until it is taken; no customer waits for it."""
        while True:
            call, request, sold = await self._journal.get()
            answer = await self._insist(call, request)
            if sold is not None:
                self._taken(answer, sold)
            self._journal.task_done()

    def _taken(self, answer: Message, sold: Sold) -> None:
        sold.is_taken = True
        is_live = getattr(answer, "result", 0) == DurableResult.DURABLE_RESULT_COMMITTED
        if is_live and isinstance(answer, CheckoutResponse):
            self._answered(answer, sold)
        self._books.count["facts taken"] += 1

    def _answered(self, answer: CheckoutResponse, sold: Sold) -> None:
        sold.answer = answer
        self._books.check_answer(sold)

    async def _ask(self, call: str, request: Message) -> Message | None:
        """Make a call for which a customer waits.

        Returns:
            The answer; None if it was broken off, by the cash server or because it is not there.
        """
        loop = asyncio.get_running_loop()
        begun, started_s = self._conditions.begin(loop.time()), loop.time()
        ended, answer = "answered", None
        try:
            answer = await self._link.ask(call, request, TIMEOUT_MS)
            if getattr(answer, "result", 0) == DurableResult.DURABLE_RESULT_SPOOLED:
                ended = "spooled"
        except RefusedError as error:
            ended = error.refusal.reason
            self._books.hold(ended in BREAKS or error.refusal.is_passing, f"{call}: {error}")
        except LinkLostError:
            ended = "without a cash server"
        waited_s = loop.time() - started_s
        lag_s, is_good = self._heartbeat.lag_since(started_s), self._conditions.held(begun)
        self._books.note_call(call, waited_s, ended, is_good, lag_s)
        return answer

    async def _insist(self, call: str, request: Message) -> Message:
        while True:
            answer = await self._try(call, request)
            if answer is not None:
                return answer
            await asyncio.sleep(AGAIN_S)

    async def _try(self, call: str, request: Message) -> Message | None:
        try:
            return await self._link.ask(call, request, TIMEOUT_MS)
        except LinkLostError:
            return None
        except RefusedError as error:
            self._books.hold(error.refusal.is_passing, f"stating a {call}: {error}")
            return None
