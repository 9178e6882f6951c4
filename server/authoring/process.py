"""Starts a worker for one operation and asks it; threads serve its pipes, never the loop."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import msgspec

from server.authoring.frame import read_frame, write_frame
from server.authoring.messages import Request

WORKERS_MAX = 2
"""At once, of one server: each takes a core while it works."""
ANSWER_S_MAX = 100.0
"""A worker that takes longer is taken to hang; within the time-out of `loyaltyctl`."""
END_S_MAX = 5.0

_ENVELOPE = msgspec.msgpack.Decoder(tuple[bool, msgspec.Raw])
_Answer = TypeVar("_Answer")


class WorkerError(Exception):
    """A worker gave no answer: it ended, hung, or failed; the message is for the log."""


class Worker:
    """A worker process, kept from one question to the next of an operation."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        """Take over a process that was just started."""
        self._process = process

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    async def ask(self, request: Request, kind: type[_Answer]) -> _Answer:
        """Ask, and wait for the answer.

        Args:
            request: see `messages` for what answers what.
            kind: type of the answer.

        Raises:
            WorkerError: there is none.
        """
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await asyncio.to_thread(self._exchange, request, kind)
        except TimeoutError:
            raise WorkerError(f"no answer within {ANSWER_S_MAX} s") from None

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait(END_S_MAX)
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            # What it had not read yet cannot be written any more.
            with suppress(BrokenPipeError):
                stream.close()

    def _exchange(self, request: Request, kind: type[_Answer]) -> _Answer:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            write_frame(stdin, msgspec.msgpack.encode(request))
            frame = read_frame(stdout)
        except (OSError, ValueError) as error:
            raise WorkerError(f"the worker is gone: {error}") from error
        if frame is None:
            raise WorkerError("the worker ended without an answer; its last words are above")
        is_answer, body = _ENVELOPE.decode(frame)
        if not is_answer:
            raise WorkerError(f"the worker failed:\n{msgspec.msgpack.decode(body, type=str)}")
        return msgspec.msgpack.decode(body, type=kind)


class Workshop:
    """Where a server has its workers; not many at once."""

    def __init__(self) -> None:
        """Start without any."""
        self._places = asyncio.Semaphore(WORKERS_MAX)

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """A worker for one operation; ended when the operation is."""
        async with self._places:
            # Whoever goes away while it starts leaves no process behind.
            starting = asyncio.ensure_future(asyncio.to_thread(_start))
            try:
                yield await asyncio.shield(starting)
            finally:
                worker = await starting
                await asyncio.shield(asyncio.to_thread(worker.end))


def _start() -> Worker:
    """Start a process. By exec, never by fork alone: the server has threads of gRPC."""
    command = [sys.executable, "-m", "server.authoring.worker"]
    return Worker(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
