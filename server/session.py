"""Session: all calls on one bidirectional stream, for the many tills of a cash server.

Answers leave in any order. What one message does wrong harms no other: even bytes that cannot be
read are answered, with correlation id 0, and the stream goes on.
"""

import asyncio
from collections import deque
from typing import Any

import grpc
from google.protobuf.message import Message

from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.codec.message import parsed, spliced
from server.status import status_of
from server.till_servicer import ANSWER_RESERVE_S, TillCalls

IN_FLIGHT_TILL_MAX = 16
IN_FLIGHT_SESSION_MAX = 4_096
TIMEOUT_MS_MAX = 600_000
ANSWERS_WAITING_MAX = 1_024
"""Answers that wait to be written before the stream is no longer read."""
GO_AWAY_GRACE_MS = 500
"""Between GO_AWAY and the first call that is refused as DRAINING."""


def _names(kind: type[Message], oneof: str, suffix: str) -> dict[str, tuple[str, int]]:
    """RPC name and field number by field of a oneof."""
    fields = kind.DESCRIPTOR.oneofs_by_name[oneof].fields
    kinds = [(field, field.message_type) for field in fields]
    return {
        field.name: (message.name.removesuffix(suffix), field.number)
        for field, message in kinds
        if message is not None
    }


_CALL_NAMES = {
    field: name for field, (name, _) in _names(pb.SessionRequest, "call", "Request").items()
}
_ANSWER_NUMBERS = dict(_names(pb.SessionResponse, "answer", "Response").values())
_END = b""

Context = grpc.aio.ServicerContext[bytes, bytes]


class Sessions:
    """All open sessions, so that a draining server can send them GO_AWAY."""

    def __init__(self, calls: TillCalls) -> None:
        """Start with none.

        Args:
            calls: what the messages call.
        """
        self._calls = calls
        self._open: set[_Session] = set()

    async def handle(self, requests: object, context: Context) -> None:
        """Serve one stream until the client ends it."""
        session = _Session(self._calls, context)
        self._open.add(session)
        try:
            await session.serve()
        finally:
            self._open.discard(session)

    def go_away(self, reason: str) -> None:
        """Ask all cash servers to reconnect elsewhere."""
        for session in self._open:
            session.go_away(reason)


class _Session:
    """One stream."""

    def __init__(self, calls: TillCalls, context: Context) -> None:
        self._calls = calls
        self._context = context
        self._answers: deque[bytes] = deque()
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._by_till: dict[str, int] = {}

    async def serve(self) -> None:
        """Read messages and answer them as they get ready.

        A client that does not read its answers is not read either.
        """
        writer = asyncio.create_task(self._write(), name="session-writer")
        try:
            while True:
                body: object = await self._context.read()
                if not isinstance(body, bytes):
                    break  # grpc.aio.EOF
                self._take(body)
                while len(self._answers) >= ANSWERS_WAITING_MAX and not writer.done():
                    self._room.clear()
                    await self._room.wait()
            if self._running:
                await asyncio.wait(self._running)
        finally:
            self._send(_END)
            await writer

    def go_away(self, reason: str) -> None:
        """Tell the cash server to open another stream."""
        away = pb.GoAway(reason=reason, grace_ms=GO_AWAY_GRACE_MS)
        self._send(pb.SessionResponse(go_away=away).SerializeToString())

    def _send(self, message: bytes) -> None:
        """Queue a message for the writer."""
        self._answers.append(message)
        self._more.set()

    async def _write(self) -> None:
        """The only writer of the stream: gRPC takes one message at a time."""
        try:
            while (message := await self._next_answer()) != _END:
                await self._context.write(message)
        except (grpc.aio.BaseError, asyncio.InvalidStateError):
            return  # the client has gone; what it asked for is on disk or not, as it may be
        finally:
            self._room.set()

    async def _next_answer(self) -> bytes:
        while not self._answers:
            self._more.clear()
            await self._more.wait()
        self._room.set()
        return self._answers.popleft()

    def _take(self, body: bytes) -> None:
        """Start one call, or refuse it at once."""
        correlation_id = 0
        try:
            request = parsed(pb.SessionRequest, body)
            correlation_id = request.correlation_id
            name, till = self._check(request)
        except Refusal as refusal:
            self._refuse(correlation_id, refusal)
            return
        field = request.WhichOneof("call")
        assert field is not None
        call = getattr(request, field)
        deadline_s = asyncio.get_running_loop().time() + request.timeout_ms / 1_000
        self._by_till[till] = self._by_till.get(till, 0) + 1
        work = self._answer(correlation_id, name, call, deadline_s - ANSWER_RESERVE_S, till)
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _check(self, request: pb.SessionRequest) -> tuple[str, str]:
        """Name the call and its till; refuse what is out of bounds."""
        field = request.WhichOneof("call")
        if field is None or not request.correlation_id:
            missing = "correlation_id" if field else "call"
            fields = ((missing, "required"),)
            raise Refusal(Reason.FIELD_REQUIRED, f"{missing} is required", fields=fields)
        if not 1 <= request.timeout_ms <= TIMEOUT_MS_MAX:
            text = f"{request.timeout_ms} is not within 1 to {TIMEOUT_MS_MAX}"
            raise Refusal(
                Reason.OUT_OF_RANGE, f"timeout_ms: {text}", fields=(("timeout_ms", text),)
            )
        till = till_of(getattr(request, field))
        if self._by_till.get(till, 0) >= IN_FLIGHT_TILL_MAX:
            metadata = {"max": str(IN_FLIGHT_TILL_MAX)}
            text = "this till has too many calls in flight"
            raise Refusal(Reason.TOO_MANY_IN_FLIGHT, text, metadata)
        if len(self._running) >= IN_FLIGHT_SESSION_MAX:
            metadata = {"max": str(IN_FLIGHT_SESSION_MAX)}
            text = "this session has too many calls in flight"
            raise Refusal(Reason.TOO_MANY_IN_FLIGHT, text, metadata)
        return _CALL_NAMES[field], till

    async def _answer(
        self, correlation_id: int, name: str, call: Message, deadline_s: float, till: str
    ) -> None:
        try:
            answer = await self._calls.answer(name, call, deadline_s)
        except Refusal as refusal:
            self._refuse(correlation_id, refusal)
        else:
            head = pb.SessionResponse(correlation_id=correlation_id).SerializeToString()
            self._send(head + spliced(_ANSWER_NUMBERS[name], answer))
        finally:
            self._by_till[till] -= 1
            if not self._by_till[till]:
                del self._by_till[till]

    def _refuse(self, correlation_id: int, refusal: Refusal) -> None:
        response = pb.SessionResponse(correlation_id=correlation_id, status=status_of(refusal))
        self._send(response.SerializeToString())


def till_of(call: Any) -> str:
    """The till that a call is of, as store and till; the store alone where no till is named."""
    place = call
    for step in _STEPS_TO_TILL.get(type(call), ()):
        place = getattr(place, step)
    return f"{place.store_id}/{getattr(place, 'till_id', '')}" if _names_store(place) else ""


def _names_store(place: Message) -> bool:
    return "store_id" in place.DESCRIPTOR.fields_by_name


def _steps_to_till(kind: type[Message]) -> tuple[str, ...]:
    """Where a request names its till: in its receipt key, its sale's header, or itself."""
    fields = kind.DESCRIPTOR.fields_by_name
    if "receipt_key" in fields:
        return ("receipt_key",)
    return ("sale", "header") if "sale" in fields else ()


_STEPS_TO_TILL = {
    getattr(pb, f"{name}Request"): _steps_to_till(getattr(pb, f"{name}Request"))
    for name in _CALL_NAMES.values()
}
