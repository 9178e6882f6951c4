"""A TCP proxy whose link is as good or bad as it is told: cut, slow, narrow, silent, doubled."""

import asyncio
import contextlib
from collections.abc import Callable

from msgspec import Struct

CHUNK_BYTES = 16 * 1024
CHUNKS_WAITING_MAX = 256


class Weather(Struct, frozen=True):
    """How the link is.

    Attributes:
        is_cut: Connections are reset, and new ones too.
        holds_up: What clients send goes nowhere, and they are not told: half-open.
        holds_down: The same of what servers send: the answer is lost.
        delay_s: Each way, seconds.
        bytes_per_s: Each way and connection; 0 is no limit.
        is_doubled: What clients send arrives a second time on a connection of its own.
    """

    is_cut: bool = False
    holds_up: bool = False
    holds_down: bool = False
    delay_s: float = 0.0
    bytes_per_s: int = 0
    is_doubled: bool = False


FAIR = Weather()


class Proxy:
    """Stands between clients and one server."""

    def __init__(self, target: str) -> None:
        """Get ready.

        Args:
            target: The server, host:port; it need not run.
        """
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._weather = FAIR
        self._changed = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.target = ""
        """Where clients connect, host:port."""

    @property
    def weather(self) -> Weather:
        """How the link is now."""
        return self._weather

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.target = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Reset what is connected, and listen no more."""
        if self._server is not None:
            self._server.close()
        self._reset_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def change(self, weather: Weather, is_reset: bool = False) -> None:
        """Make the link so from now on.

        Args:
            weather: How.
            is_reset: Reset the connections there are: what was held on them never arrives.
        """
        self._weather = weather
        if is_reset or weather.is_cut:
            self._reset_all()
        self._changed.set()
        self._changed = asyncio.Event()

    def _reset_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if not self._weather.is_cut:
                # Cancelled by `stop` alone, and then there is nothing left to do.
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await self._serve(reader, writer)
        finally:
            self._close(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until one side ends."""
        far_reader, far_writer = await self._connect()
        sinks, echoes = [far_writer], []
        if self._weather.is_doubled:
            twin_reader, twin_writer = await self._connect()
            sinks.append(twin_writer)
            echoes.append(_swallow(twin_reader))
        ways = [
            self._carry(reader, sinks, lambda: self._weather.holds_up),
            self._carry(far_reader, [writer], lambda: self._weather.holds_down),
            *echoes,
        ]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for sink in sinks:
                self._close(sink)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        self._writers.add(writer)
        return reader, writer

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        sinks: list[asyncio.StreamWriter],
        is_held: Callable[[], bool],
    ) -> None:
        """Carry bytes one way, as late and as slowly as the weather wants."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_WAITING_MAX)
        reading = asyncio.create_task(self._read(reader, chunks))
        try:
            while True:
                due_s, chunk = await chunks.get()
                if not chunk:
                    return
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                while is_held():
                    await self._changed.wait()
                if self._weather.bytes_per_s:
                    await asyncio.sleep(len(chunk) / self._weather.bytes_per_s)
                for sink in sinks:
                    sink.write(chunk)
                    await sink.drain()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(
        self, reader: asyncio.StreamReader, chunks: "asyncio.Queue[tuple[float, bytes]]"
    ) -> None:
        """Note of each piece when it would arrive; an empty one is the end."""
        loop = asyncio.get_running_loop()
        chunk = b"-"
        while chunk:
            try:
                chunk = await reader.read(CHUNK_BYTES)
            except OSError:
                chunk = b""
            await chunks.put((loop.time() + self._weather.delay_s, chunk))


async def _swallow(reader: asyncio.StreamReader) -> None:
    while await reader.read(CHUNK_BYTES):
        pass
