"""TillService for the tills: unary calls and sessions, bytes in, messages out."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Never

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status

from loyalty.v1 import till_service_pb2 as pb
from pos_sim.cash_server import answer
from pos_sim.cash_server.answer import CashServerError
from pos_sim.cash_server.relay import Call, Relay, Rules
from pos_sim.refusal import DETAILS_KEY, RefusedError

SERVICE = "loyalty.v1.TillService"
CLOCK_KEY = "loyalty-till-clock-us"
"""Metadata of a unary call: what the till's clock shows, UTC microseconds."""
CLOCK_DIGITS_MAX = 16
"""Of UTC microseconds, up to the year 2286."""
TIMEOUT_DEFAULT_S = 2.25
TIMEOUT_MS_MAX = 600_000
IN_FLIGHT_MAX = 4_096
GO_AWAY_GRACE_MS = 500

_CALLS = {
    field.name: field.message_type.name.removesuffix("Request")
    for field in pb.SessionRequest.DESCRIPTOR.oneofs_by_name["call"].fields
    if field.message_type is not None
}
"""RPC names by the fields of SessionRequest."""
_Context = grpc.aio.ServicerContext[bytes, bytes]
_Handler = Callable[[bytes, _Context], Awaitable[bytes]]
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


class TillCalls:
    """The calls of the tills, counted while they run."""

    def __init__(self, relay: Relay, rules: Rules) -> None:
        """Get ready.

        Args:
            relay: Answers them.
            rules: Say how long a call may take.
        """
        self._relay = relay
        self._rules = rules
        self._sessions: set[_Session] = set()
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def handlers(self) -> "dict[str, grpc.RpcMethodHandler[bytes, bytes]]":
        """GRPC handlers of all calls."""
        found: dict[str, Any] = {
            rpc: grpc.unary_unary_rpc_method_handler(self._unary(name, rpc))
            for name, rpc in _CALLS.items()
        }
        found["Session"] = grpc.stream_stream_rpc_method_handler(self._session)
        return found

    async def answer(
        self, name: str, request: Message, timeout_s: float, till_clock_us: int = 0
    ) -> Message:
        """Answer a call, by its field in SessionRequest, in so many seconds."""
        self._in_flight += 1
        self._idle.clear()
        budget_s = min(self._rules.budget_s, timeout_s - self._rules.reserve_s)
        until_s = asyncio.get_running_loop().time() + max(0.0, budget_s)
        # What was begun is finished although the till may have hung up: the spool depends on it.
        work = self._relay.answer(Call(name, request, until_s, till_clock_us))
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def go_away(self) -> None:
        """Ask the tills to connect elsewhere, or again."""
        for session in self._sessions:
            session.go_away()

    async def drained(self) -> None:
        """Wait until no call is in flight."""
        await self._idle.wait()

    def _ended(self, task: "asyncio.Future[Message]") -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()
        if not task.cancelled():
            task.exception()  # whoever waited has heard it; nobody may have waited

    def _unary(self, name: str, rpc: str) -> _Handler:
        kind: type[Message] = getattr(pb, f"{rpc}Request")

        async def handle(body: bytes, context: _Context) -> bytes:
            try:
                request = _parsed(kind, body)
                timeout_s = context.time_remaining() or TIMEOUT_DEFAULT_S
                made = await self.answer(name, request, timeout_s, _till_clock_us(context))
            except (CashServerError, RefusedError) as error:
                await _abort(context, error)
            return made.SerializeToString()

        return handle

    async def _session(self, requests: object, context: _Context) -> None:
        session = _Session(self, context)
        self._sessions.add(session)
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)


class _Session:
    """One stream of tills."""

    def __init__(self, calls: TillCalls, context: _Context) -> None:
        self._calls = calls
        self._context = context
        self._answers: asyncio.Queue[pb.SessionResponse | None] = asyncio.Queue()
        self._running: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Read calls and answer each as it gets ready."""
        writer = asyncio.create_task(self._write())
        try:
            while isinstance(body := await self._read(), bytes):
                await self._take(body)
            if self._running:
                await asyncio.wait(self._running)
        finally:
            self._answers.put_nowait(None)
            await writer

    def go_away(self) -> None:
        """Say that this stream will end."""
        away = pb.GoAway(reason="the cash server is stopping", grace_ms=GO_AWAY_GRACE_MS)
        self._answers.put_nowait(pb.SessionResponse(go_away=away))

    async def _read(self) -> object:
        return await self._context.read()

    async def _take(self, body: bytes) -> None:
        request = pb.SessionRequest()
        try:
            request.ParseFromString(body)
            name = _check_frame(request, len(self._running))
        except DecodeError:
            malformed = answer.refused(_INVALID, "MALFORMED_MESSAGE", "not a SessionRequest")
            self._refuse(0, malformed.status)
        except CashServerError as error:
            self._refuse(request.correlation_id, error.status)
        else:
            task = asyncio.create_task(self._answer(request, name))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, request: pb.SessionRequest, name: str) -> None:
        call = getattr(request, name)
        try:
            made = await self._calls.answer(name, call, request.timeout_ms / 1_000)
        except (CashServerError, RefusedError) as error:
            self._refuse(request.correlation_id, _status_of(error))
            return
        response = pb.SessionResponse(correlation_id=request.correlation_id)
        getattr(response, name).CopyFrom(made)
        self._answers.put_nowait(response)

    def _refuse(self, correlation_id: int, status: Status) -> None:
        self._answers.put_nowait(pb.SessionResponse(correlation_id=correlation_id, status=status))

    async def _write(self) -> None:
        with suppress(grpc.aio.BaseError, asyncio.InvalidStateError):
            while (response := await self._answers.get()) is not None:
                await self._context.write(response.SerializeToString())


def _check_frame(request: pb.SessionRequest, in_flight: int) -> str:
    """Which call a message carries.

    Raises:
        CashServerError: None, or one that cannot be taken.
    """
    name = request.WhichOneof("call")
    if name is None or not request.correlation_id:
        missing = "call" if name is None else "correlation_id"
        raise answer.refused(_INVALID, "FIELD_REQUIRED", f"{missing} is required")
    if not 1 <= request.timeout_ms <= TIMEOUT_MS_MAX:
        text = f"timeout_ms: {request.timeout_ms} is not within 1 to {TIMEOUT_MS_MAX}"
        raise answer.refused(_INVALID, "OUT_OF_RANGE", text)
    if in_flight >= IN_FLIGHT_MAX:
        exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
        text = "too many calls in flight"
        raise answer.refused(exhausted, "TOO_MANY_IN_FLIGHT", text, max=str(IN_FLIGHT_MAX))
    return name


def _parsed(kind: type[Message], body: bytes) -> Message:
    request = kind()
    try:
        request.ParseFromString(body)
    except DecodeError:
        text = f"not a {kind.DESCRIPTOR.name}"
        raise answer.refused(_INVALID, "MALFORMED_MESSAGE", text) from None
    return request


def _status_of(error: CashServerError | RefusedError) -> Status:
    if error.status is not None:
        return error.status
    assert isinstance(error, RefusedError), "a cash server says why"
    number: int = error.refusal.code.value[0]
    return Status(code=number, message=error.refusal.message)


async def _abort(context: _Context, error: CashServerError | RefusedError) -> Never:
    status = _status_of(error)
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    details = ((DETAILS_KEY, status.SerializeToString()),)
    await context.abort(code, status.message, details)
    raise AssertionError("abort raises")


def _till_clock_us(context: _Context) -> int:
    for key, value in context.invocation_metadata() or ():
        if key == CLOCK_KEY and isinstance(value, str):
            return read_clock_us(value)
    return 0


def read_clock_us(value: str) -> int:
    """Read what a till says its clock shows; 0 if that is no instant, as if it had said nothing."""
    is_number = value.isascii() and value.isdigit() and len(value) <= CLOCK_DIGITS_MAX
    return int(value) if is_number else 0
