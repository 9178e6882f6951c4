"""Durable Checkout against the echo: streams and unary, and the CPU that durability costs.

Client, server and database share the machine; fsync on; new keys; rounds of echo and checkout
alternate, the middle figure of each counts. Source: DESIGN section 11.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from bench.receipts import SERVICE, checkout_requests
from bench.world import bench_program, seed_world
from loyalty.v1 import till_service_pb2 as pb
from server.store.embedded import EmbeddedPostgres

START_TIMEOUT_S = 60.0


class Size(NamedTuple):
    """How much is measured."""

    accounts: int
    promotions: int
    warm_up: int
    checkouts: int
    rounds: int


FULL = Size(accounts=100_000, promotions=100, warm_up=4_000, checkouts=12_000, rounds=3)
SMOKE = Size(accounts=1_000, promotions=100, warm_up=0, checkouts=300, rounds=1)


class Measured(NamedTuple):
    """One phase: calls a second, and CPU of server and PostgreSQL a call in microseconds."""

    rate: float
    cpu_us: float


class Server(NamedTuple):
    """What is under load, one process a core, and the processes whose CPU it costs."""

    targets: tuple[str, ...]
    processes: "tuple[subprocess.Popen[bytes], ...]"
    postmaster_pid: int | None


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Measure.

    Args:
        smoke: a small run that only shows that the benchmark works.
        servers: processes of the server, and of the echo.
        console: where progress goes.

    Returns:
        The figures by name.
    """
    size = SMOKE if smoke else FULL
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-") as place:
        data_dir = Path(place) / "postgres"
        console.print(f"seeding {size.accounts} accounts, {size.promotions} promotions")
        asyncio.run(seed_world(data_dir, size.accounts, bench_program(size.promotions)))
        with EmbeddedPostgres(data_dir) as embedded:
            server = _start_server(data_dir, embedded.postmaster_pid, servers)
            try:
                answer, request_bytes = asyncio.run(_one_answer(server.targets[0], size.accounts))
                answer_file = Path(place) / "answer"
                answer_file.write_bytes(answer)
                echo = _start_echo(answer_file, servers)
                try:
                    phases = _measure(server, echo, size, console)
                finally:
                    _stop(echo)
            finally:
                _stop(server)
    figures = _figures(phases)
    figures["answer_bytes"] = len(answer)
    figures["request_bytes"] = request_bytes
    figures["server_processes"] = servers
    figures["checkouts"] = size.checkouts * size.rounds
    return figures


def _measure(
    server: Server, echo: Server, size: Size, console: Console
) -> dict[str, list[Measured]]:
    phases: dict[str, list[Measured]] = {}
    seed = 0
    for number in range(-1 if size.warm_up else 0, size.rounds):
        for kind in ("stream", "together", "unary"):
            for name, subject in ((f"{kind}_echo", echo), (kind, server)):
                seed += 1
                count = size.warm_up if number < 0 else size.checkouts
                measured = _phase(subject, kind, count, size.accounts, seed)
                if number >= 0:
                    phases.setdefault(name, []).append(measured)
                    shown = f"{measured.rate:,.0f}/s, {measured.cpu_us:,.0f} us CPU"
                    console.print(f"round {number + 1} {name}: {shown}")
    return phases


def _figures(phases: dict[str, list[Measured]]) -> dict[str, object]:
    rate = {name: median(one.rate for one in found) for name, found in phases.items()}
    cpu_us = {name: median(one.cpu_us for one in found) for name, found in phases.items()}
    return {
        "stream_rate": round(rate["stream"], 1),
        "stream_echo_rate": round(rate["stream_echo"], 1),
        "stream_share": round(rate["stream"] / rate["stream_echo"], 3),
        "together_rate": round(rate["together"], 1),
        "together_echo_rate": round(rate["together_echo"], 1),
        "together_share": round(rate["together"] / rate["stream_echo"], 3),
        "together_share_of_together_echo": round(rate["together"] / rate["together_echo"], 3),
        "unary_rate": round(rate["unary"], 1),
        "unary_echo_rate": round(rate["unary_echo"], 1),
        "unary_share": round(rate["unary"] / rate["unary_echo"], 3),
        "extra_cpu_us": round(cpu_us["stream"] - cpu_us["stream_echo"], 1),
        "together_extra_cpu_us": round(cpu_us["together"] - cpu_us["stream_echo"], 1),
        "unary_extra_cpu_us": round(cpu_us["unary"] - cpu_us["unary_echo"], 1),
    }


def _phase(server: Server, kind: str, count: int, accounts: int, seed: int) -> Measured:
    """Run one load from a process of its own."""
    run_id = f"{time.time_ns()}"
    targets = ",".join(server.targets)
    command = [sys.executable, "-m", "bench.load", targets, kind, str(count)]
    command += [str(accounts), run_id, str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        load.stdout.readline()
        before_s = _cpu_s(server)
        load.stdin.write(b"go\n")
        load.stdin.flush()
        line = load.stdout.readline()
        after_s = _cpu_s(server)
    if not line:
        raise RuntimeError("the load ended without a report: see its error above")
    report = json.loads(line)
    return Measured(report["rate"], (after_s - before_s) * 1_000_000 / count)


def _cpu_s(server: Server) -> float:
    """CPU seconds that the server, and PostgreSQL behind it, have used."""
    processes = [psutil.Process(process.pid) for process in server.processes]
    if server.postmaster_pid is not None:
        postmaster = psutil.Process(server.postmaster_pid)
        processes += [postmaster, *postmaster.children(recursive=True)]
    spent_s = 0.0
    for process in processes:
        times = process.cpu_times()
        spent_s += times.user + times.system
    return spent_s


def _start_server(data_dir: Path, postmaster_pid: int | None, count: int) -> Server:
    targets, processes = [], []
    for _ in range(count):
        target = f"127.0.0.1:{_free_port()}"
        settings = {"LOYALTY_LISTEN": target, "LOYALTY_DATA_DIR": str(data_dir)}
        settings["LOYALTY_LOG_LEVEL"] = "warning"
        command = [sys.executable, "-m", "server"]
        process = subprocess.Popen(command, env={**os.environ, **settings})
        _wait_healthy(target, process)
        targets.append(target)
        processes.append(process)
    return Server(tuple(targets), tuple(processes), postmaster_pid)


def _start_echo(answer_file: Path, count: int) -> Server:
    targets, processes = [], []
    for _ in range(count):
        target = f"127.0.0.1:{_free_port()}"
        command = [sys.executable, "-m", "bench.echo_server", target, str(answer_file)]
        processes.append(subprocess.Popen(command))
        with grpc.insecure_channel(target) as channel:
            grpc.channel_ready_future(channel).result(timeout=START_TIMEOUT_S)
        targets.append(target)
    return Server(tuple(targets), tuple(processes), None)


def _wait_healthy(target: str, process: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    with grpc.insecure_channel(target) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}")
            try:
                request = health_pb2.HealthCheckRequest(service=SERVICE)
                if health.Check(request, timeout=1.0, wait_for_ready=True).status == 1:
                    return
            except grpc.RpcError:
                continue
    raise RuntimeError("the server did not get healthy in time")


def _stop(server: Server) -> None:
    for process in server.processes:
        process.send_signal(signal.SIGTERM)
    for process in server.processes:
        process.wait(timeout=30)


async def _one_answer(target: str, accounts: int) -> tuple[bytes, int]:
    """A typical answer for the echo to send, and the size of its request."""
    request = next(checkout_requests(1, accounts, f"probe-{time.time_ns()}", 1))
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary(f"/{SERVICE}/Checkout")
        answer: bytes = await call(request.SerializeToString(), timeout=10.0)
    sets = pb.CheckoutResponse.FromString(answer).answer
    four = (sets.lines.lines, sets.rewards.rewards, sets.prompts.prompts, sets.cross_sell.items)
    assert all(four), "the benchmark's answer has four non-empty sets"
    return answer, request.ByteSize()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
