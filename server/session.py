"""Session: all calls on one bidirectional stream, for the many tills of a cash server.

Answers leave in any order, those that are ready together in one message to who takes that. What one
call does wrong harms no other: even bytes that cannot be read are answered, with correlation id 0,
and the stream goes on.
"""

import asyncio
from collections import deque

import grpc

from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.codec.message import spliced
from server.session_frame import Frame, Till, Unfit, read_content
from server.status import status_of
from server.till_servicer import ANSWER_RESERVE_S, TillCalls

IN_FLIGHT_TILL_MAX = 16
IN_FLIGHT_SESSION_MAX = 4_096
TOGETHER_BYTES_MAX = 16_384
"""Of answers in one message, unless one is longer: none waits long for others on a slow link."""
ANSWERS_WAITING_MAX = 1_024
"""Answers that wait to be written before the stream is no longer read."""
GO_AWAY_GRACE_MS = 500
"""Between GO_AWAY and the first call that is refused as DRAINING."""


_END = b""
_MORE = pb.SessionResponse.MORE_FIELD_NUMBER
_TAKES_MORE = pb.SessionResponse(takes_more=True).SerializeToString()

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
        self._by_till: dict[Till | None, int] = {}
        self._together = False
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
                await write(self._gathered(message) if self._together else message)
        except (grpc.aio.BaseError, asyncio.InvalidStateError):
            return  # the client has gone; what it asked for is on disk or not, as it may be
        finally:
            self._room.set()

    def _gathered(self, first: bytes) -> bytes:
        """An answer with those behind it that are ready."""
        answers, parts, size = self._answers, [first], len(first)
        while answers and answers[0] != _END and size + len(answers[0]) <= TOGETHER_BYTES_MAX:
            one = answers.popleft()
            size += len(one)
            parts.append(spliced(_MORE, one))
        return b"".join(parts)

    def _take(self, body: bytes) -> None:
        """Start the calls of a message, or refuse them at once."""
        content = read_content(body)
        for call in content.calls:
            if isinstance(call, Unfit):
                self._refuse(call.correlation_id, call.refusal)
            else:
                self._start(call)
        if content.takes_more and not self._together:
            self._together = True
            self._send(_TAKES_MORE)

    def _start(self, frame: Frame) -> None:
        """Start one call, if there is room for it."""
        till = frame.known.till_of(frame.call)
        in_flight = self._by_till.get(till, 0)
        if in_flight >= IN_FLIGHT_TILL_MAX and till is not None:
            self._refuse(frame.correlation_id, _too_many("till", IN_FLIGHT_TILL_MAX))
        elif len(self._running) >= IN_FLIGHT_SESSION_MAX:
            self._refuse(frame.correlation_id, _too_many("session", IN_FLIGHT_SESSION_MAX))
        else:
            self._by_till[till] = in_flight + 1
            deadline_s = self._loop.time() + frame.timeout_ms / 1_000 - ANSWER_RESERVE_S
            self._running.add(self._loop.create_task(self._answer(frame, deadline_s, till)))

    async def _answer(self, frame: Frame, deadline_s: float, till: Till | None) -> None:
        try:
            answer = await self._calls.answer(frame.known.name, frame.call, deadline_s)
        except Refusal as refusal:
            self._refuse(frame.correlation_id, refusal)
        else:
            self._send(frame.known.spelled(frame.correlation_id, answer))
        finally:
            self._done(till)

    def _done(self, till: Till | None) -> None:
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


def _too_many(whose: str, most: int) -> Refusal:
    text = f"this {whose} has too many calls in flight"
    return Refusal(Reason.TOO_MANY_IN_FLIGHT, text, {"max": str(most)})
