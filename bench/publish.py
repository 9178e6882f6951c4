"""Publishing ten thousand promotions while tills ask: does anybody wait for it?

One server with a heartbeat in its event loop, a steady flow of quotes from a process of its own,
and publishings one after the other. What counts as a stall is what the server caused: a beat that
is late without the process using CPU waited for the machine. Source: DESIGN sections 6 and 11.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from rich.console import Console

from bench import checkout
from bench.world import LIVELY, bench_program, many_promotions, seed_world
from loyalty.v1 import back_office_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from rewards.compilation import compile_encoded
from server.codec.program_pb import program_to_pb
from server.ctl.link import CALL_TIMEOUT_S, MESSAGE_BYTES_MAX
from server.store.embedded import EmbeddedPostgres

OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)
POLL_S = 0.05


class Size(NamedTuple):
    """How much is measured; `rate` is quotes a second, `quiet_s` how long nobody publishes."""

    promotions: int
    accounts: int
    rate: int
    quiet_s: float
    rounds: int


FULL = Size(promotions=10_000, accounts=10_000, rate=100, quiet_s=20.0, rounds=8)
SMOKE = Size(promotions=300, accounts=200, rate=20, quiet_s=1.0, rounds=1)


class Window(NamedTuple):
    """A span of wall clock, seconds since the epoch."""

    from_s: float
    to_s: float

    def holds(self, at_s: float) -> bool:
        """Whether an instant lies in it."""
        return self.from_s <= at_s < self.to_s


class Observed(NamedTuple):
    """What was seen: quotes as (when due, milliseconds), late beats, and what was going on."""

    quotes: list[list[float]]
    beats: list[dict[str, float]]
    quiet: Window
    publishing: list[Window]
    loading: list[Window]


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Measure.

    Args:
        smoke: a small run that only shows that the benchmark works.
        servers: always one here; two would share the cores with the worker.
        console: where progress goes.

    Returns:
        The figures by name.
    """
    size = SMOKE if smoke else FULL
    compile_s = _compile_s(size)
    console.print(f"{size.promotions} promotions compile in {compile_s:.3f} s")
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-") as place:
        data_dir = Path(place) / "postgres"
        asyncio.run(seed_world(data_dir, size.accounts, bench_program(LIVELY)))
        with EmbeddedPostgres(data_dir):
            observed = _observe(Path(place), data_dir, size, console)
    return {"compile_s_10000": round(compile_s, 3), **_figures(observed, size)}


def _compile_s(size: Size) -> float:
    program = many_promotions(size.promotions, 0)
    spent_s = []
    for _ in range(3):
        start_s = time.perf_counter()
        compile_encoded(1, (program,))
        spent_s.append(time.perf_counter() - start_s)
    return min(spent_s)


def _observe(place: Path, data_dir: Path, size: Size, console: Console) -> Observed:
    """Run server and quotes, first quietly, then publishing."""
    notes = place / "beats"
    target = f"127.0.0.1:{checkout._free_port()}"
    settings = {"LOYALTY_LISTEN": target, "LOYALTY_DATA_DIR": str(data_dir)}
    settings["LOYALTY_LOG_LEVEL"] = "warning"
    command = [sys.executable, "-m", "bench.beating_server", str(notes)]
    with subprocess.Popen(command, env={**os.environ, **settings}) as server:
        try:
            checkout._wait_healthy(target, server)
            with grpc.insecure_channel(target, options=OPTIONS) as channel:
                stub: Any = BackOfficeServiceStub(channel)
                _publish(stub, size, 0)
                quotes, quiet, publishing, loading = _measure(target, stub, size, console)
        finally:
            server.send_signal(signal.SIGTERM)
    beats = [json.loads(line) for line in notes.read_text().splitlines()]
    return Observed(quotes, beats, quiet, publishing, loading)


def _measure(
    target: str, stub: Any, size: Size, console: Console
) -> tuple[list[list[float]], Window, list[Window], list[Window]]:
    command = [sys.executable, "-m", "bench.quotes", target, str(size.rate), str(size.accounts)]
    publishing, loading = [], []
    with subprocess.Popen([*command, "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        load.stdout.readline()
        time.sleep(1.0)
        quiet = Window(time.time(), time.time() + size.quiet_s)
        time.sleep(size.quiet_s)
        for number in range(1, size.rounds + 1):
            published, loaded = _publish(stub, size, number)
            publishing.append(published)
            loading.append(loaded)
            spent = f"{published.to_s - published.from_s:.2f} s"
            console.print(f"round {number}: published in {spent}, loaded after")
        load.stdin.write(b"stop\n")
        load.stdin.close()
        quotes = json.loads(load.stdout.readline())
    return quotes, quiet, publishing, loading


def _publish(stub: Any, size: Size, number: int) -> tuple[Window, Window]:
    """Publish, and wait until the version is loaded and in force; when each was going on."""
    program = program_to_pb(many_promotions(size.promotions, number))
    request = pb.PublishProgramRequest(program=program, published_by="bench")
    start_s = time.time()
    version = stub.PublishProgram(request, timeout=CALL_TIMEOUT_S).version
    published_s, loaded_s = time.time(), 0.0
    while True:
        time.sleep(POLL_S)
        ruleset = stub.GetRuleset(pb.GetRulesetRequest(), timeout=CALL_TIMEOUT_S)
        known = next((one for one in ruleset.versions if one.version == version), None)
        if known is not None and known.loaded:
            loaded_s = loaded_s or time.time()
            if known.effective_at_us <= ruleset.now_us:
                return Window(start_s, published_s), Window(published_s, loaded_s)


def _figures(observed: Observed, size: Size) -> dict[str, object]:
    busy = [*observed.publishing, *observed.loading]
    quiet_ms = _latencies(observed.quotes, [observed.quiet])
    busy_ms = _latencies(observed.quotes, busy)
    spent_s = sorted(window.to_s - window.from_s for window in observed.publishing)
    return {
        "longest_stall_ms": _stall_ms(observed.beats, busy),
        "longest_stall_publishing_ms": _stall_ms(observed.beats, observed.publishing),
        "longest_stall_loading_ms": _stall_ms(observed.beats, observed.loading),
        "longest_stall_quiet_ms": _stall_ms(observed.beats, [observed.quiet]),
        "longest_late_beat_ms": round(_late_ms(observed.beats, busy, "late_ms"), 1),
        "longest_late_beat_quiet_ms": round(
            _late_ms(observed.beats, [observed.quiet], "late_ms"), 1
        ),
        "p99_quote_ms_while_publishing": _p99(busy_ms),
        "p99_quote_ms_quiet": _p99(quiet_ms),
        "quotes_while_publishing": len(busy_ms),
        "quotes_quiet": len(quiet_ms),
        "publish_s": round(spent_s[len(spent_s) // 2], 2),
        "promotions": size.promotions,
        "rounds": size.rounds,
    }


def _latencies(quotes: Iterable[list[float]], windows: list[Window]) -> list[float]:
    return sorted(ms for due_s, ms in quotes if any(window.holds(due_s) for window in windows))


def _p99(sorted_ms: list[float]) -> float:
    assert sorted_ms, "no quote fell into the time that was measured"
    return round(sorted_ms[min(len(sorted_ms) - 1, len(sorted_ms) * 99 // 100)], 2)


def _stall_ms(beats: list[dict[str, float]], windows: list[Window]) -> float:
    """The longest time that the loop stood still by the server's own doing."""
    own = [{**beat, "own_ms": min(beat["late_ms"], beat["cpu_ms"])} for beat in beats]
    return round(_late_ms(own, windows, "own_ms"), 1)


def _late_ms(beats: list[dict[str, float]], windows: list[Window], key: str) -> float:
    found = [beat[key] for beat in beats if any(window.holds(beat["at_s"]) for window in windows)]
    return max(found, default=0.0)
