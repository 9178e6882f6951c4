"""A till's calls, each insisted upon: sent again unchanged until an answer or a refusal comes."""

import asyncio
import random
from typing import TypeVar

from google.protobuf.message import Message

from loyalty.v1.till_service_pb2 import (
    BreakOffRequest,
    BreakOffResponse,
    CheckoutRequest,
    CheckoutResponse,
    EnrollRequest,
    EnrollResponse,
    ForwardRequest,
    ForwardResponse,
    GetReceiptRequest,
    GetReceiptResponse,
    IdentifyRequest,
    IdentifyResponse,
    QuoteRequest,
    QuoteResponse,
    RefundRequest,
    RefundResponse,
    ReleaseRequest,
    ReleaseResponse,
    SubmitProfileRequest,
    SubmitProfileResponse,
    VoidRequest,
    VoidResponse,
)
from pos_sim.link import Link
from pos_sim.refusal import GaveUpError, LinkLostError, RefusedError
from pos_sim.tally import Tally

ATTEMPTS_MAX = 16
FIRST_WAIT_S = 0.05
WAIT_S_MAX = 2.0

_A = TypeVar("_A", bound=Message)


class TillClient:
    """The calls of one till. Every repetition sends the same bytes under the same key."""

    def __init__(
        self,
        link: Link,
        tally: Tally,
        rng: random.Random,
        timeout_ms: int,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:
        """Make the calls of a till.

        Args:
            link: Where the calls go; may be shared with other tills.
            tally: Counts what is sent again and the server's faults.
            rng: Spreads the waits, so that tills do not come back all at once.
            timeout_ms: Deadline of each attempt, milliseconds.
            attempts_max: Attempts until a till gives up, 1 or more.
        """
        self._link = link
        self._tally = tally
        self._rng = rng
        self._timeout_ms = timeout_ms
        self._attempts_max = attempts_max

    async def identify(self, request: IdentifyRequest) -> IdentifyResponse:
        """Ask who a customer is."""
        return await self._insist("identify", request, IdentifyResponse)

    async def enroll(self, request: EnrollRequest) -> EnrollResponse:
        """Record a new customer, or new identifiers of one."""
        return await self._insist("enroll", request, EnrollResponse)

    async def quote(self, request: QuoteRequest) -> QuoteResponse:
        """Ask for the four sets of an open receipt."""
        return await self._insist("quote", request, QuoteResponse)

    async def checkout(self, request: CheckoutRequest) -> CheckoutResponse:
        """Sell."""
        return await self._insist("checkout", request, CheckoutResponse)

    async def break_off(self, request: BreakOffRequest) -> BreakOffResponse:
        """Give up on a key."""
        return await self._insist("break_off", request, BreakOffResponse)

    async def forward(self, request: ForwardRequest) -> ForwardResponse:
        """State what was done while the link was broken."""
        return await self._insist("forward", request, ForwardResponse)

    async def void(self, request: VoidRequest) -> VoidResponse:
        """Undo a whole receipt."""
        return await self._insist("void_receipt", request, VoidResponse)

    async def refund(self, request: RefundRequest) -> RefundResponse:
        """Take goods back."""
        return await self._insist("refund", request, RefundResponse)

    async def release(self, request: ReleaseRequest) -> ReleaseResponse:
        """Free what a basket holds."""
        return await self._insist("release", request, ReleaseResponse)

    async def get_receipt(self, request: GetReceiptRequest) -> GetReceiptResponse:
        """Ask what became of a receipt."""
        return await self._insist("get_receipt", request, GetReceiptResponse)

    async def submit_profile(self, request: SubmitProfileRequest) -> SubmitProfileResponse:
        """Hand in answers to prompts."""
        return await self._insist("submit_profile", request, SubmitProfileResponse)

    async def _insist(self, call: str, request: Message, answer_type: type[_A]) -> _A:
        """Send until answered.

        Raises:
            RefusedError: The server refused, and asking again would not help.
            GaveUpError: No answer in `attempts_max` attempts.
        """
        last: Exception = GaveUpError(call)
        for attempt in range(self._attempts_max):
            if attempt:
                self._tally.retried += 1
                await asyncio.sleep(self._wait_s(attempt, last))
            try:
                answer = await self._link.ask(call, request, self._timeout_ms)
            except LinkLostError as lost:
                last = lost
            except RefusedError as refused:
                self._raise_if_final(call, refused)
                last = refused
            else:
                assert isinstance(answer, answer_type), "the link answers the call it was given"
                return answer
        raise GaveUpError(f"{call}: {last}") from last

    def _raise_if_final(self, call: str, refused: RefusedError) -> None:
        if refused.refusal.is_fault:
            self._tally.count_fault(call, refused.refusal)
        if not refused.refusal.is_passing:
            raise refused

    def _wait_s(self, attempt: int, last: Exception) -> float:
        """Twice as long after each attempt, or as long as the server asks; a fifth is chance."""
        wait_s = min(WAIT_S_MAX, FIRST_WAIT_S * 2.0 ** (attempt - 1))
        if isinstance(last, RefusedError):
            wait_s = max(wait_s, min(WAIT_S_MAX, last.refusal.retry_after_s))
        return wait_s * self._rng.uniform(0.9, 1.1)
