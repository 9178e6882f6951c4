"""The calls of several tills over one Session stream at a time, as a cash server makes them."""

import asyncio
import contextlib
from collections import deque
from typing import Any

import grpc
from google.protobuf.message import Message

from loyalty.v1.till_service_pb2 import SessionRequest, SessionResponse
from pos_sim import splice
from pos_sim.link import GRACE_S, open_channel
from pos_sim.refusal import LinkLostError, RefusedError, read_status

SESSION = "/loyalty.v1.TillService/Session"
_NUMBERS = {
    field.name: field.number for field in SessionRequest.DESCRIPTOR.oneofs_by_name["call"].fields
}
_TAKES_MORE = SessionRequest(takes_more=True).SerializeToString()
TOGETHER_BYTES_MAX = 16_384
"""Of calls in one message, unless one is longer: none waits long for others on a slow link."""


class SessionLink:
    """A stream to one server; a new one when it is lost, silent or told to go away."""

    def __init__(self, target: str, grace_s: float | None = None) -> None:
        """Connect with the first call.

        Args:
            target: Server, host:port.
            grace_s: How much longer than its deadline an answer is waited for, seconds; None is
                as long as a till waits.
        """
        self._target = target
        self._grace_s = GRACE_S if grace_s is None else grace_s
        self._stream: _Stream | None = None
        self._retired: set[asyncio.Task[None]] = set()

    async def ask(self, call: str, message: Message, timeout_ms: int) -> Message:
        """Make a call (see Link)."""
        return await self.ask_spelled(call, message.SerializeToString(), timeout_ms)

    async def ask_spelled(self, call: str, request: bytes, timeout_ms: int) -> Message:
        """Make a call whose request is spelled already (see Link)."""
        stream = self._usable_stream()
        try:
            return await stream.ask(call, request, timeout_ms, timeout_ms / 1000 + self._grace_s)
        except TimeoutError as error:
            stream.is_usable = False
            raise LinkLostError(f"no answer to {call} in time") from error
        except RefusedError as error:
            if error.refusal.is_draining:
                stream.is_usable = False
            raise

    async def close(self) -> None:
        """Disconnect."""
        if self._stream is not None:
            await self._stream.close()
        await asyncio.gather(*self._retired)

    def _usable_stream(self) -> "_Stream":
        if self._stream is None or not self._stream.is_usable:
            if self._stream is not None:
                self._retire(self._stream)
            self._stream = _Stream(self._target)
        return self._stream

    def _retire(self, stream: "_Stream") -> None:
        """Let the calls in flight be answered, then close it."""
        task = asyncio.create_task(stream.drain())
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)


class _Stream:
    """One Session stream on a connection of its own."""

    def __init__(self, target: str) -> None:
        self.is_usable = True
        self.was_told_to_go = False
        self._channel = open_channel(target)
        self._call: Any = self._channel.stream_stream(SESSION)()
        self._pending: dict[int, asyncio.Future[SessionResponse]] = {}
        self._last_id = 0
        self._to_write: deque[bytes] = deque()
        self._more = asyncio.Event()
        self._together = False
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def ask(self, call: str, request: bytes, timeout_ms: int, patience_s: float) -> Message:
        self._last_id += 1
        correlation_id = self._last_id
        loop = asyncio.get_running_loop()
        future: asyncio.Future[SessionResponse] = loop.create_future()
        timer = loop.call_later(patience_s, _give_up, future)
        self._pending[correlation_id] = future
        self._to_write.append(_spelled(correlation_id, timeout_ms, call, request))
        self._more.set()
        try:
            response = await future
        finally:
            timer.cancel()
            self._pending.pop(correlation_id, None)
        if response.HasField("status"):
            raise RefusedError(read_status(response.status), response.status)
        answer: Message = getattr(response, call)
        return answer

    async def drain(self) -> None:
        """Wait for the calls in flight, then close."""
        futures = list(self._pending.values())
        if futures:
            await asyncio.wait(futures)
        await self.close()

    async def close(self) -> None:
        self._lose("closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()

    async def _write(self) -> None:
        # A task of its own: to cancel a write of grpc.aio is to cancel the whole stream.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            first = _TAKES_MORE
            while True:
                await self._more.wait()
                waiting = self._to_write
                _, message = next_message(waiting, len(waiting) if self._together else 1)
                if not waiting:
                    self._more.clear()
                await self._call.write(message + first)
                first = b""
        self.is_usable = False
        self._call.cancel()  # what is wrong with the stream, its reader is told

    async def _read(self) -> None:
        why = "the stream ended"
        try:
            async for message in self._call:
                response = SessionResponse.FromString(message)
                for one in (response, *response.more):
                    self._take(one)
        except grpc.aio.AioRpcError as error:
            why = f"{error.code().name}: {error.details()}"
        finally:
            self._lose(why)

    def _take(self, response: SessionResponse) -> None:
        self._together |= response.takes_more
        if response.HasField("go_away"):
            self.was_told_to_go, self.is_usable = True, False
            return
        future = self._pending.get(response.correlation_id)
        if future is not None and not future.done():
            future.set_result(response)

    def _lose(self, why: str) -> None:
        self.is_usable = False
        for future in self._pending.values():
            if not future.done():
                future.set_exception(LinkLostError(why))


def next_message(waiting: deque[bytes], calls_max: int) -> tuple[int, bytes]:
    """Take the next call off a queue, with those behind it that go in the same message.

    Args:
        waiting: spelled calls, 1 or more.
        calls_max: how many may go together, 1 or more.

    Returns:
        How many were taken, and the message: at most TOGETHER_BYTES_MAX bytes of calls, unless the
        first is longer.
    """
    parts = [waiting.popleft()]
    size = len(parts[0])
    while waiting and len(parts) < calls_max and size + len(waiting[0]) <= TOGETHER_BYTES_MAX:
        size += len(waiting[0])
        parts.append(splice.field(SessionRequest.MORE_FIELD_NUMBER, waiting.popleft()))
    return len(parts), b"".join(parts)


def _spelled(correlation_id: int, timeout_ms: int, call: str, request: bytes) -> bytes:
    """A SessionRequest, without reading its call again: what follows in bytes is a field of it."""
    head = SessionRequest(correlation_id=correlation_id, timeout_ms=timeout_ms)
    return head.SerializeToString() + splice.field(_NUMBERS[call], request)


def _give_up(future: "asyncio.Future[SessionResponse]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())
