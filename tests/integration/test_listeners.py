"""All listeners of a process serve all that it serves, and take in calls beside each other."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import grpc
import pytest

from server.listeners import LISTENERS, Listeners
from tests.serving import free_port
from tests.turning import METHOD, TurningCalls

CONNECTIONS = 4 * LISTENERS
ROUNDS = 3
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


@contextmanager
def _connections(target: str, count: int) -> Iterator[list[Any]]:
    """A call on each of so many connections, each known to be there."""
    with ExitStack() as stack:
        channels = [
            stack.enter_context(grpc.insecure_channel(target, OWN_CONNECTION)) for _ in range(count)
        ]
        for channel in channels:
            grpc.channel_ready_future(channel).result(timeout=30)
        yield [channel.unary_unary(METHOD) for channel in channels]


def _call_all(calls: list[Any]) -> list[bytes]:
    sent = [call.future(b"%d" % n, timeout=30) for n, call in enumerate(calls)]
    return [answer.result() for answer in sent]


def test_calls_on_many_connections_are_taken_in_within_fewer_turns_than_there_are_calls() -> None:
    target = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "tests.turning", target]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        turns = []
        with _connections(target, CONNECTIONS) as each:
            for _ in range(ROUNDS):
                assert _call_all(each) == [b"%d" % n for n in range(CONNECTIONS)]
                server.stdin.write("\n")
                server.stdin.flush()
                turns.append(int(server.stdout.readline()))
        server.stdin.close()
    # One server alone takes four turns a call; wake-ups that pile up cost some 200 turns at a time.
    assert max(turns) < CONNECTIONS, turns


async def test_nobody_is_served_after_stop() -> None:
    target = f"127.0.0.1:{free_port()}"
    listeners = Listeners(target, TurningCalls().add_to)
    await listeners.start()
    with _connections(target, LISTENERS) as each:
        assert await asyncio.to_thread(_call_all, each)
        await listeners.stop(0.0)
        late = [call.future(b"", timeout=30) for call in each]
        codes = {await asyncio.to_thread(one.code) for one in late}
    assert codes == {grpc.StatusCode.UNAVAILABLE}


async def test_a_port_of_another_program_is_refused() -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SystemExit, match=f"cannot listen on {target}"):
            Listeners(target, TurningCalls().add_to)
