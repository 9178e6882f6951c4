"""All listeners of a process serve all that it serves, and take in calls beside each other."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.authoring.process import WORKERS_MAX
from server.listeners import LISTENERS, Listeners
from tests.serving import free_port, serving, test_program
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


def _send_all(calls: list[Any]) -> list[Any]:
    return [call.future(b"%d" % n, timeout=30) for n, call in enumerate(calls)]


def _answers(sent: list[Any]) -> list[bytes]:
    return [one.result() for one in sent]


class _TurningServer:
    """A process of `tests.turning`."""

    def __init__(self, target: str) -> None:
        command = [sys.executable, "-m", "tests.turning", target]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "_TurningServer":
        assert self.heard() == "ready\n"
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def heard(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def test_calls_on_many_connections_are_taken_in_within_few_turns() -> None:
    target = f"127.0.0.1:{free_port()}"
    turns = []
    with _TurningServer(target) as server, _connections(target, CONNECTIONS) as each:
        for _ in range(ROUNDS):
            server.tell("stand still")
            assert server.heard() == "standing\n"
            sent = _send_all(each)
            server.tell("go on")
            assert _answers(sent) == [b"%d" % n for n in range(CONNECTIONS)]
            server.tell("say")
            turns.append(int(server.heard()))
    # One server alone takes four turns a call; wake-ups that pile up cost some 200 turns at a time.
    assert max(turns) < CONNECTIONS, turns


async def test_nobody_is_served_after_stop() -> None:
    target = f"127.0.0.1:{free_port()}"
    listeners = Listeners(target, TurningCalls().add_to)
    await listeners.start()
    with _connections(target, LISTENERS) as each:
        assert await asyncio.to_thread(_answers, _send_all(each))
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


def test_a_limit_is_of_the_process_whatever_connections_calls_come_by(
    place: dict[str, str], log_dir: Path
) -> None:
    """Services are made once: else each listener would have its own workers and locks."""
    request = bo.ValidateProgramRequest(program=test_program())
    workers = []
    with serving(place, log_dir, 1) as (server,), ExitStack() as stack:
        process = psutil.Process(server.process.pid)
        channels = [
            stack.enter_context(grpc.insecure_channel(server.target, OWN_CONNECTION))
            for _ in range(LISTENERS)
        ]
        stubs: list[Any] = [BackOfficeServiceStub(channel) for channel in channels]
        sent = [stub.ValidateProgram.future(request, timeout=60) for stub in stubs]
        while not all(one.done() for one in sent):
            workers.append(len(process.children()))
        assert not any(one.result().problems for one in sent)
    assert max(workers) == WORKERS_MAX
