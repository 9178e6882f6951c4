"""Session: all calls on one bidirectional stream, for the many tills of a cash server.

Answers leave in any order. What one message does wrong harms no other: even bytes that cannot be
read are answered, with correlation id 0, and the stream goes on.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple, Never

import grpc
from google.protobuf.message import Message

from ext.form import split
from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.codec.message import parsed, tag_of, varint
from server.status import status_of
from server.till_servicer import ANSWER_RESERVE_S, FORMS, TillCalls

IN_FLIGHT_TILL_MAX = 16
IN_FLIGHT_SESSION_MAX = 4_096
TIMEOUT_MS_MAX = 600_000
ANSWERS_WAITING_MAX = 1_024
"""Answers that wait to be written before the stream is no longer read."""
GO_AWAY_GRACE_MS = 500
"""Between GO_AWAY and the first call that is refused as DRAINING."""


_END = b""
_ID_TAG = b"\x08"
"""Of `SessionResponse.correlation_id`: field 1, a varint."""

Context = grpc.aio.ServicerContext[bytes, bytes]
Till = tuple[str, str]
"""Store and till; the store alone, or neither, where a call names no more."""


class _Call:
    """What a session knows of one of the calls, by its field in SessionRequest."""

    __slots__ = ("name", "tag", "till_of")

    def __init__(self, name: str, kind: type[Message]) -> None:
        self.name = name
        answer = pb.SessionResponse.DESCRIPTOR.oneofs_by_name["answer"].fields
        kinds = {field.message_type.name: field.number for field in answer if field.message_type}
        self.tag = tag_of(kinds[f"{name}Response"])
        self.till_of = _till_reader(kind)


def _till_reader(kind: type[Message]) -> Callable[[Any], Till]:
    """How to read the till of a request: from its receipt key, its sale's header, or itself."""
    place, fields = "", kind.DESCRIPTOR.fields_by_name
    if "receipt_key" in fields:
        place, fields = "receipt_key.", receipt_pb2.ReceiptKey.DESCRIPTOR.fields_by_name
    elif "sale" in fields:
        place, fields = "sale.header.", receipt_pb2.Header.DESCRIPTOR.fields_by_name
    if "till_id" in fields:
        return attrgetter(f"{place}store_id", f"{place}till_id")
    if "store_id" in fields:
        store_of = attrgetter(f"{place}store_id")
        return lambda call: (store_of(call), "")
    return lambda call: ("", "")


def _calls() -> dict[str, _Call]:
    fields = pb.SessionRequest.DESCRIPTOR.oneofs_by_name["call"].fields
    kinds = [(field.name, field.message_type) for field in fields]
    return {
        name: _Call(kind.name.removesuffix("Request"), getattr(pb, kind.name))
        for name, kind in kinds
        if kind is not None
    }


_CALLS = _calls()
_HEAD = (
    pb.SessionRequest.CORRELATION_ID_FIELD_NUMBER,
    pb.SessionRequest.TIMEOUT_MS_FIELD_NUMBER,
)
"""Field numbers in front of a call, in the order in which they are written."""
_FORMED = {
    field.number: (_CALLS[field.name], FORMS[_CALLS[field.name].name])
    for field in pb.SessionRequest.DESCRIPTOR.oneofs_by_name["call"].fields
    if _CALLS[field.name].name in FORMS
}


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
        self._by_till: dict[Till, int] = {}
        self._loop = asyncio.get_running_loop()

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
        answers, write = self._answers, self._context.write
        try:
            while True:
                while not answers:
                    self._more.clear()
                    await self._more.wait()
                self._room.set()
                message = answers.popleft()
                if message == _END:
                    return
                await write(message)
        except (grpc.aio.BaseError, asyncio.InvalidStateError):
            return  # the client has gone; what it asked for is on disk or not, as it may be
        finally:
            self._room.set()

    def _take(self, body: bytes) -> None:
        """Start one call, or refuse it at once."""
        correlation_id = 0
        try:
            frame = _formed(body)
            if frame is None:
                request = parsed(pb.SessionRequest, body)
                correlation_id = request.correlation_id
                frame = _parsed_frame(request)
            correlation_id, timeout_ms, known, call = frame
            till = known.till_of(call)
            in_flight = self._room_for(till)
        except Refusal as refusal:
            self._refuse(correlation_id, refusal)
            return
        self._by_till[till] = in_flight + 1
        deadline_s = self._loop.time() + timeout_ms / 1_000 - ANSWER_RESERVE_S
        work = self._answer(correlation_id, known, call, deadline_s, till)
        self._running.add(self._loop.create_task(work))

    def _room_for(self, till: Till) -> int:
        """How many calls of a till are in flight; refuse one too many."""
        in_flight = self._by_till.get(till, 0)
        if in_flight >= IN_FLIGHT_TILL_MAX:
            metadata = {"max": str(IN_FLIGHT_TILL_MAX)}
            text = "this till has too many calls in flight"
            raise Refusal(Reason.TOO_MANY_IN_FLIGHT, text, metadata)
        if len(self._running) >= IN_FLIGHT_SESSION_MAX:
            metadata = {"max": str(IN_FLIGHT_SESSION_MAX)}
            text = "this session has too many calls in flight"
            raise Refusal(Reason.TOO_MANY_IN_FLIGHT, text, metadata)
        return in_flight

    async def _answer(
        self, correlation_id: int, known: _Call, call: Any, deadline_s: float, till: Till
    ) -> None:
        try:
            answer = await self._calls.answer(known.name, call, deadline_s)
        except Refusal as refusal:
            self._refuse(correlation_id, refusal)
        else:
            # As protobuf would spell SessionResponse, without reading the answer again.
            head = (_ID_TAG, varint(correlation_id), known.tag, varint(len(answer)))
            self._send(b"".join((*head, answer)))
        finally:
            self._done(till)

    def _done(self, till: Till) -> None:
        """Make room for the next call. The running task leaves by itself: no callback, no turn."""
        task = asyncio.current_task(self._loop)
        assert task is not None, "a call runs as a task"
        self._running.discard(task)
        in_flight = self._by_till[till] - 1
        if in_flight:
            self._by_till[till] = in_flight
        else:
            del self._by_till[till]

    def _refuse(self, correlation_id: int, refusal: Refusal) -> None:
        response = pb.SessionResponse(correlation_id=correlation_id, status=status_of(refusal))
        self._send(response.SerializeToString())


class _Frame(NamedTuple):
    """A message of the stream: its id and time, and the call with its request."""

    correlation_id: int
    timeout_ms: int
    known: _Call
    call: Any


def _formed(body: bytes) -> _Frame | None:
    """Read a message whose call has a form; None is that the stubs are to read it."""
    parts = split(body)
    if parts is None or len(parts) != len(_HEAD) + 1:
        return None
    (first, correlation_id), (second, timeout_ms), (number, call_body) = parts
    if (first, second) != _HEAD or number not in _FORMED:
        return None
    if not isinstance(correlation_id, int) or not isinstance(timeout_ms, int):
        return None
    if not correlation_id or not 1 <= timeout_ms <= TIMEOUT_MS_MAX:
        return None
    known, form = _FORMED[number]
    call = form(call_body) if isinstance(call_body, bytes) else None
    return None if call is None else _Frame(correlation_id, timeout_ms, known, call)


def _parsed_frame(request: pb.SessionRequest) -> _Frame:
    """Take a message apart that the stubs have read.

    Raises:
        Refusal: what is wrong around the call.
    """
    field = request.WhichOneof("call")
    timeout_ms = request.timeout_ms
    if field is None or not request.correlation_id or not 1 <= timeout_ms <= TIMEOUT_MS_MAX:
        _refuse_frame(request)
    return _Frame(request.correlation_id, timeout_ms, _CALLS[field], getattr(request, field))


def _refuse_frame(request: pb.SessionRequest) -> Never:
    """Say what is wrong around a call."""
    field = request.WhichOneof("call")
    if field is None or not request.correlation_id:
        missing = "correlation_id" if field else "call"
        fields = ((missing, "required"),)
        raise Refusal(Reason.FIELD_REQUIRED, f"{missing} is required", fields=fields)
    text = f"{request.timeout_ms} is not within 1 to {TIMEOUT_MS_MAX}"
    raise Refusal(Reason.OUT_OF_RANGE, f"timeout_ms: {text}", fields=(("timeout_ms", text),))
