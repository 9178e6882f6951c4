"""The proxy does to a connection what it is told, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pos_sim.faults.proxy import FAIR, Proxy, Weather

OPEN: list[asyncio.StreamWriter] = []
"""Connections of the test that runs."""
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that gives back what it gets, and keeps it by connection."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.append(task)
        heard = bytearray()
        self.heard.append(heard)
        try:
            while chunk := await reader.read(1_000):
                heard += chunk
                writer.write(chunk.upper())
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[Proxy, Echo]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    proxy = Proxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await proxy.start()
    try:
        yield proxy, echo
    finally:
        for writer in OPEN:
            writer.transport.abort()
        OPEN.clear()
        await proxy.stop()
        server.close()
        await asyncio.gather(*echo.tasks, return_exceptions=True)


async def connect(proxy: Proxy) -> Ends:
    host, _, port = proxy.target.rpartition(":")
    ends = await asyncio.open_connection(host, int(port))
    OPEN.append(ends[1])
    return ends


async def exchange(ends: Ends, said: bytes) -> bytes:
    ends[1].write(said)
    async with asyncio.timeout(20.0):
        return await ends[0].readexactly(len(said))


async def test_in_fair_weather_all_arrives() -> None:
    async with proxied() as (proxy, echo):
        ends = await connect(proxy)
        said = b"abcdefgh" * 50_000
        assert await exchange(ends, said) == said.upper()
        ends[1].close()
    assert bytes(echo.heard[0]) == said


async def test_a_cut_resets_what_is_connected_and_what_comes() -> None:
    async with proxied() as (proxy, _):
        ends = await connect(proxy)
        assert await exchange(ends, b"a") == b"A"
        proxy.change(Weather(is_cut=True))
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await exchange(ends, b"b")
        late = await connect(proxy)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await exchange(late, b"c")
        proxy.change(FAIR)
        again = await connect(proxy)
        assert await exchange(again, b"d") == b"D"


async def test_what_is_held_down_was_done_and_arrives_later() -> None:
    """The server hears the call; its answer comes when the link is fair, unless it is reset."""
    async with proxied() as (proxy, echo):
        ends = await connect(proxy)
        assert await exchange(ends, b"a") == b"A"
        proxy.change(Weather(holds_down=True))
        answer = asyncio.ensure_future(exchange(ends, b"b"))
        async with asyncio.timeout(20.0):
            while bytes(echo.heard[0]) != b"ab":  # noqa: ASYNC110  the echo runs in this loop
                await asyncio.sleep(0.005)
        assert not answer.done()
        proxy.change(FAIR)
        assert await answer == b"B"


async def test_what_is_held_up_and_reset_never_arrives() -> None:
    async with proxied() as (proxy, echo):
        ends = await connect(proxy)
        assert await exchange(ends, b"a") == b"A"
        proxy.change(Weather(holds_up=True))
        answer = asyncio.ensure_future(exchange(ends, b"b"))
        await asyncio.sleep(0)
        proxy.change(FAIR, is_reset=True)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await answer
        again = await connect(proxy)
        assert await exchange(again, b"c") == b"C"
    assert [bytes(one) for one in echo.heard] == [b"a", b"c"]


async def test_a_doubled_connection_is_heard_twice_and_answered_once() -> None:
    async with proxied() as (proxy, echo):
        proxy.change(Weather(is_doubled=True))
        ends = await connect(proxy)
        assert await exchange(ends, b"abc") == b"ABC"
        async with asyncio.timeout(20.0):
            while [bytes(one) for one in echo.heard] != [b"abc", b"abc"]:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        ends[1].close()
        assert await ends[0].read() == b""
