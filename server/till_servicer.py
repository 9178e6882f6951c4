"""TillService over gRPC: unary calls and sessions. Bytes in, bytes out.

Requests are parsed by the calls themselves, so that what is no protobuf gets a clear refusal, and
stored answers leave byte for byte.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
import structlog
from google.protobuf.message import Message

from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server import status
from server.codec.message import parsed
from server.codec.sale_form import read_checkout, read_forward, read_quote
from server.store.database import RetryError
from server.till.break_off import break_off
from server.till.checkout import checkout
from server.till.context import Context
from server.till.enroll import enroll
from server.till.forward import forward
from server.till.get_receipt import get_receipt
from server.till.identify import identify
from server.till.quote import quote
from server.till.refund import refund
from server.till.release import release
from server.till.submit_profile import submit_profile
from server.till.void import void_receipt

SERVICE = "loyalty.v1.TillService"
TIMEOUT_DEFAULT_S = 10.0
"""For a unary call whose client named no deadline."""
TIMEOUT_MAX_S = 600.0
ANSWER_RESERVE_S = 0.015
"""What is kept of a deadline so that the answer still reaches the client."""

Handler = Callable[[Context, Any, float], Awaitable[bytes]]
"""A call: ports, its request message, the loop's time of its deadline; the answer's bytes."""
UnaryContext = grpc.aio.ServicerContext[bytes, bytes]
Unary = Callable[[bytes, UnaryContext], Awaitable[bytes]]

OFFERED: dict[str, Handler] = {
    "Identify": identify,
    "Enroll": enroll,
    "Quote": quote,
    "Checkout": checkout,
    "BreakOff": break_off,
    "Forward": forward,
    "Void": void_receipt,
    "Release": release,
    "Refund": refund,
    "GetReceipt": get_receipt,
    "SubmitProfile": submit_profile,
}
"""The calls of this version, by name."""

NOT_OFFERED = (
    "StartConfirmation",
    "Confirm",
    "ReportOutcome",
    "ClaimReceipt",
    "CloseShift",
)
"""Calls of the contract that this version answers with UNIMPLEMENTED. The one list of them."""

REQUEST_KINDS: dict[str, type[Message]] = {
    name: getattr(pb, f"{name}Request") for name in (*OFFERED, *NOT_OFFERED)
}
FORMS: dict[str, Callable[[bytes], Any]] = {
    "Checkout": read_checkout,
    "Quote": read_quote,
    "Forward": read_forward,
}
"""How calls that come often are read in one step; None is that the stubs are to read it."""

_log = structlog.get_logger(__name__)


class TillCalls:
    """The calls by name, counted while they run, refused while the server drains."""

    def __init__(self, context: Context) -> None:
        """Start with nothing in flight.

        Args:
            context: ports of the calls.
        """
        self._context = context
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    async def answer(self, name: str, request: Any, deadline_s: float) -> bytes:
        """Answer one call.

        Args:
            name: of the RPC.
            request: as `read_request` gives it.
            deadline_s: the loop's time by which the answer must leave.

        Raises:
            Refusal: why not.
        """
        handler = OFFERED.get(name)
        if handler is None:
            raise Refusal(Reason.NOT_OFFERED, f"{name} is not offered by this version")
        if self.draining:
            raise Refusal(Reason.DRAINING, "the server is draining: connect again")
        if not self._in_flight:
            self._idle.clear()
        self._in_flight += 1
        try:
            return await handler(self._context, request, deadline_s)
        except (Refusal, asyncio.CancelledError):
            raise
        except RetryError as error:
            reason = Reason.RESULT_UNKNOWN if error.fate_unknown else Reason.STORE_UNAVAILABLE
            text = "the database cannot be reached just now: ask again with the same key"
            raise Refusal(reason, text) from error
        except Exception as error:
            _log.exception("call_failed", call=name)
            text = f"a fault of the server: {type(error).__name__}"
            raise Refusal(Reason.INTERNAL, text) from error
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    async def drained(self) -> None:
        """Wait until no call is in flight."""
        await self._idle.wait()


def read_request(name: str, body: bytes) -> Any:
    """Read a request: by its form, or else by the stubs, its bytes read but not checked.

    Raises:
        Refusal: MALFORMED_MESSAGE.
    """
    form = FORMS.get(name)
    found = None if form is None else form(body)
    return parsed(REQUEST_KINDS[name], body) if found is None else found


def unary_handlers(calls: TillCalls) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
    """GRPC handlers of all unary calls, offered or not."""
    return {
        name: grpc.unary_unary_rpc_method_handler(_unary(calls, name))
        for name in (*OFFERED, *NOT_OFFERED)
    }


def _unary(calls: TillCalls, name: str) -> Unary:
    async def handle(body: bytes, context: UnaryContext) -> bytes:
        # None is no deadline, which the stubs of gRPC do not know.
        left_s = cast("float | None", context.time_remaining())
        budget_s = min(TIMEOUT_DEFAULT_S if left_s is None else left_s, TIMEOUT_MAX_S)
        deadline_s = asyncio.get_running_loop().time() + budget_s - ANSWER_RESERVE_S
        try:
            return await calls.answer(name, read_request(name, body), deadline_s)
        except Refusal as refusal:
            await status.abort(context, refusal)

    return handle


def check_contract() -> None:
    """Hold the two lists to the contract: every RPC but Session stands in exactly one."""
    service = pb.DESCRIPTOR.services_by_name["TillService"]
    named = {method.name for method in service.methods} - {"Session"}
    listed = [*OFFERED, *NOT_OFFERED]
    assert len(listed) == len(set(listed)), "an RPC stands in both lists"
    assert named == set(listed), "the lists differ from the contract"
