"""One simulated till: rings up its baskets one after the other, the way a cashier does."""

import asyncio
from collections.abc import Callable
from zlib import crc32

from msgspec import Struct

from loyalty.v1.answer_pb2 import Prompt
from loyalty.v1.receipt_pb2 import ReceiptKey, Sale
from loyalty.v1.till_service_pb2 import (
    BreakOffRequest,
    BreakOffResponse,
    CheckoutRequest,
    CheckoutResponse,
    GetReceiptRequest,
    IdentifyRequest,
    ProfileAnswer,
    ProfileChannel,
    QuoteRequest,
    QuoteResponse,
    ReceiptState,
    SubmitProfileRequest,
    VoidRequest,
)
from pos_sim.auditor import Auditor
from pos_sim.habit import Habits, Intent
from pos_sim.profile_answer import answer_prompt
from pos_sim.promise import find_broken
from pos_sim.refusal import GaveUpError, Refusal, RefusedError
from pos_sim.run import Run
from pos_sim.sale import Place, add_pieces, plan_payment, write_identifier, write_sale
from pos_sim.showcase import Showcase
from pos_sim.tally import Tally
from pos_sim.till_client import TillClient
from pos_sim.workload import Basket

QUOTE_AGAIN = frozenset(
    {"PRICE_WOULD_RISE", "TOKEN_EXPIRED", "TOKEN_FOREIGN", "TOKEN_INVALID"},
)
QUOTES_MAX = 3
GIVE_UP_S_MAX = 0.02
SILENT_OF = 3
"""One customer in so many never answers: however often a run is repeated on the same data, there
is somebody left to ask."""
AGAIN = "-2"
"""Ends the receipt number of a receipt that is rung up again."""


class Books(Struct, frozen=True):
    """What all tills of a run write into."""

    tally: Tally
    auditor: Auditor
    showcase: Showcase


class _Open(Struct):
    """A receipt while it is open."""

    basket: Basket
    intent: Intent
    key: ReceiptKey
    basket_id: bytes
    sale: Sale
    quoted: QuoteResponse | None = None

    def to_checkout(self) -> CheckoutRequest:
        """The request that sells it, as last quoted."""
        request = CheckoutRequest(receipt_key=self.key, sale=self.sale)  # copies both
        if self.quoted is not None:
            request.basket_id = self.basket_id
            request.token = self.quoted.token
        return request


class Till:
    """A till with its cashier."""

    def __init__(
        self,
        place: Place,
        run: Run,
        client: TillClient,
        habits: Habits,
        books: Books,
    ) -> None:
        """Set up a till.

        Args:
            place: Where it stands.
            run: Names its receipts, and decides what happens to each.
            client: Makes its calls.
            habits: How often it does what.
            books: Where it writes down how its receipts ended.
        """
        self._place = place
        self._run = run
        self._client = client
        self._habits = habits
        self._books = books

    async def work(
        self, intended_at: Callable[[Basket], float], goes_on: Callable[[], bool]
    ) -> None:
        """Ring up all baskets of this till.

        Args:
            intended_at: When a basket's first call should be sent, seconds of the loop's clock.
            goes_on: Called after each receipt: whether there is sense in the next.
        """
        loop = asyncio.get_running_loop()
        for number, basket in enumerate(self._place.till.baskets, start=1):
            at = intended_at(basket)
            if at > loop.time():
                await asyncio.sleep(at - loop.time())
            await self.ring_up(number, basket, at)
            if not goes_on():
                return

    async def ring_up(self, number: int, basket: Basket, intended_at: float) -> None:
        """Ring up one basket and write down how it ended.

        Args:
            number: Its receipt number, from 1.
            basket: What is on the belt.
            intended_at: When its first call should be sent, seconds of the loop's clock.
        """
        receipt = self._open(number, basket)
        tally = self._books.tally
        try:
            await self._sell(receipt, intended_at)
            tally.silent = 0
        except RefusedError as error:
            tally.silent = 0
            tally.refused[error.refusal.reason] += 1
            tally.refused_unexpectedly += not basket.is_beyond_limit
        except GaveUpError:
            tally.unanswered += 1
            tally.silent += 1
            self._books.auditor.note_uncertain(basket.customer_number)

    def _open(self, number: int, basket: Basket) -> _Open:
        place = self._place
        till = place.till
        key = self._run.receipt_key(
            place.chain_id, till.store_id, till.till_id, basket.business_date, number
        )
        chance = self._run.chance(f"receipt/{basket.index}")
        intent = self._habits.decide(chance)
        sale = write_sale(place, basket)
        return _Open(basket, intent, key, self._run.basket_id(basket.index), sale)

    async def _sell(self, receipt: _Open, intended_at: float) -> None:
        """From the first scan to the payment."""
        if receipt.intent.quote:
            await self._quote(receipt, intended_at)
            await self._ask_customer(receipt)
        amount_minor = (
            receipt.quoted.answer.lines.totals.amount_minor
            if receipt.quoted
            else receipt.sale.header.control_totals.amount_minor
        )
        receipt.sale = plan_payment(receipt.sale, amount_minor)
        if receipt.quoted and receipt.intent.quote_payment:
            await self._quote_once(receipt)
        is_sold = receipt.intent.break_off and await self._give_up(receipt)
        if not is_sold:
            await self._check_out(receipt)

    async def _quote(self, receipt: _Open, intended_at: float) -> None:
        """Quote, perhaps add what is offered, and quote again.

        A quote that is refused stops no sale: the checkout says why it cannot be.
        """
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        await self._identify(receipt)
        spent_s = loop.time() - started_at
        try:
            await self._quote_once(receipt)
        except RefusedError:
            return
        self._books.tally.quote_latency.record(loop.time() - intended_at - spent_s)
        offered = receipt.quoted.answer.lines.to_add if receipt.quoted else ()
        if offered and receipt.intent.add_pieces:
            receipt.sale, taken = add_pieces(receipt.sale, offered, self._place.prices)
            self._books.tally.pieces_added += taken
            if taken:
                await self._quote_once(receipt)

    async def _quote_once(self, receipt: _Open) -> None:
        token = receipt.quoted.token if receipt.quoted else b""
        request = QuoteRequest(basket_id=receipt.basket_id, sale=receipt.sale, token=token)
        receipt.quoted = await self._client.quote(request)
        self._books.tally.quoted += 1
        self._check(receipt, find_broken(receipt.sale, receipt.quoted.answer, committed=False))

    async def _identify(self, receipt: _Open) -> None:
        given = receipt.basket.given
        if given is not None and receipt.intent.identify:
            request = IdentifyRequest(
                chain_id=self._place.chain_id,
                store_id=self._place.till.store_id,
                identifier=write_identifier(given),
            )
            await self._client.identify(request)
            self._books.tally.identified += 1

    async def _ask_customer(self, receipt: _Open) -> None:
        """Ask what the server wants to know, and hand in the answers."""
        given, quoted = receipt.basket.given, receipt.quoted
        prompts = quoted.answer.prompts.prompts if quoted else ()
        if given is None or not prompts or not receipt.intent.answer:
            return
        if crc32(given.value.encode()) % SILENT_OF == 0:
            return
        index, codes = receipt.basket.index, [prompt.field_code for prompt in prompts]
        request = SubmitProfileRequest(
            submission_id=self._run.submission_id(index, codes),
            chain_id=self._place.chain_id,
            store_id=self._place.till.store_id,
            identifier=write_identifier(given),
            answers=[self._answer(index, prompt) for prompt in prompts],
            channel=ProfileChannel.PROFILE_CHANNEL_TILL,
            cashier_id=self._place.cashier_id,
        )
        try:
            await self._client.submit_profile(request)
            self._books.tally.profiles_submitted += 1
        except RefusedError as error:
            self._books.tally.profiles_refused[error.refusal.reason] += 1

    def _answer(self, index: int, prompt: Prompt) -> ProfileAnswer:
        chance = self._run.chance(f"answer/{index}/{prompt.field_code}")
        return ProfileAnswer(field_code=prompt.field_code, value=answer_prompt(prompt, chance))

    async def _check_out(self, receipt: _Open) -> None:
        """Sell, quoting again if the server asks for it."""
        loop = asyncio.get_running_loop()
        for attempt in range(1, QUOTES_MAX + 1):
            intended_at = loop.time()
            request = receipt.to_checkout()
            try:
                response = await self._client.checkout(request)
            except RefusedError as error:
                if error.refusal.reason not in QUOTE_AGAIN or attempt == QUOTES_MAX:
                    raise
                self._books.tally.quoted_again += 1
                receipt.quoted = None
                await self._quote_once(receipt)
            else:
                self._books.tally.checkout_latency.record(loop.time() - intended_at)
                await self._sold(receipt, request, response)
                return

    async def _give_up(self, receipt: _Open) -> bool:
        """Do not wait for the answer: break off, and see that both calls end the same way.

        The checkout is held up on its way until the key is closed, or it races the break-off.

        Returns:
            Whether the receipt is sold. If not, its key is closed, and it has got a new one, under
            which the cashier can ring it up again.
        """
        request = receipt.to_checkout()
        is_sent = asyncio.Event()
        late = asyncio.create_task(self._outcome_of(request, is_sent))
        if not receipt.intent.hold_up:
            is_sent.set()
            chance = self._run.chance(f"patience/{receipt.basket.index}")
            await asyncio.sleep(chance.uniform(0, GIVE_UP_S_MAX))
        try:
            ended = await self._client.break_off(BreakOffRequest(receipt_key=receipt.key))
        finally:
            is_sent.set()
            outcome = await late
        if ended.state == ReceiptState.RECEIPT_STATE_BROKEN_OFF:
            self._books.tally.broken_off += 1
            if isinstance(outcome, CheckoutResponse):
                self._check(receipt, ["broken off, and yet sold"])
            receipt.key.receipt_number += AGAIN
            return False
        self._check(receipt, _contradictions(ended, outcome))
        await self._sold(receipt, request, ended.checkout)
        return True

    async def _outcome_of(
        self, request: CheckoutRequest, is_sent: asyncio.Event
    ) -> CheckoutResponse | Refusal | None:
        await is_sent.wait()
        try:
            return await self._client.checkout(request)
        except RefusedError as error:
            return error.refusal
        except GaveUpError:
            return None

    async def _sold(
        self, receipt: _Open, request: CheckoutRequest, response: CheckoutResponse
    ) -> None:
        """Write the sale down, and now and then see whether the server remembers it."""
        books = self._books
        books.tally.answered += 1
        if not books.auditor.note_sold(receipt.basket.customer_number, response):
            books.tally.answered_before += 1
        books.showcase.offer(request.sale, response, receipt.quoted)
        self._check(receipt, find_broken(request.sale, response.answer, committed=True))
        try:
            await self._follow_up(receipt, request, response)
        except (RefusedError, GaveUpError) as error:
            # The receipt is sold and counted. What is left open is whether a void took effect.
            books.auditor.note_uncertain(receipt.basket.customer_number)
            self._check(receipt, [f"sold, but then: {error}"])

    async def _follow_up(
        self, receipt: _Open, request: CheckoutRequest, response: CheckoutResponse
    ) -> None:
        if receipt.intent.repeat:
            again = await self._client.checkout(request)
            self._books.tally.repeated += 1
            self._compare(receipt, "the answer to the same checkout", response, again)
        if receipt.intent.void:
            await self._void(receipt)
        if receipt.intent.look_up:
            found = await self._client.get_receipt(GetReceiptRequest(receipt_key=receipt.key))
            self._books.tally.looked_up += 1
            self._compare(receipt, "the answer that GetReceipt gives", response, found.checkout)

    async def _void(self, receipt: _Open) -> None:
        request = VoidRequest(
            receipt_key=receipt.key,
            reason_code="PAYMENT_FAILED",
            cashier_id=self._place.cashier_id,
        )
        response = await self._client.void(request)
        self._books.auditor.note_voided(receipt.basket.customer_number, response)
        self._books.tally.voided += 1

    def _compare(
        self, receipt: _Open, what: str, first: CheckoutResponse, again: CheckoutResponse
    ) -> None:
        if first.SerializeToString(deterministic=True) != again.SerializeToString(
            deterministic=True
        ):
            self._check(receipt, [f"{what} is not the first one"])

    def _check(self, receipt: _Open, broken: list[str]) -> None:
        for what in broken:
            number = receipt.key.receipt_number
            where = f"{receipt.key.store_id}/{receipt.key.till_id}/{number}"
            self._books.tally.count_broken_promise(f"receipt {where}: {what}")


def _contradictions(
    ended: BreakOffResponse, outcome: CheckoutResponse | Refusal | None
) -> list[str]:
    """How the answers to a BreakOff that came too late and to its Checkout differ."""
    if outcome is None or outcome == ended.checkout:
        return []
    return ["BreakOff says sold, and the checkout ended in another way"]
