"""How fast one cash server empties its spool while tills of another one sell live.

The live rate is that of checkouts on streams, as fast as the server answers, nothing else running,
with a message for each call and with messages that calls share; measured before and after, as the
machine's own speed changes. In between a cash server that was cut off comes back with its spool
full of receipts sold at the plain price an hour ago, and forwards without a limit to its rate, as
many side by side as it does by itself; beside it live tills sell through a second cash server at a
steady rate, and their latency counts.
Server, PostgreSQL, both cash servers and the tills share the machine; fsync on.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.checkout import (
    START_TIMEOUT_S,
    Server,
    _free_port,
    _phase,
    _start_server,
    _stop,
    _wait_healthy,
)
from bench.receipts import checkout_requests
from bench.world import bench_program, seed_world
from loyalty.v1 import receipt_pb2
from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.entry import Entry, Kind, digest_of, spell_key
from pos_sim.cash_server.status import SpoolStatus, read_status
from server.clock import system_clock
from server.store.embedded import EmbeddedPostgres

HOUR_US = 3_600_000_000
LIVE_SHARE = 0.1
"""Of the live rate: what the live tills sell at meanwhile."""
EMPTIED_WITHIN_S = 1_800.0
POLL_S = 1.0
"""Counting what waits in a spool costs a core some 50 ms."""


class Size(NamedTuple):
    """How much is measured."""

    accounts: int
    live: int
    spooled: int


FULL = Size(accounts=100_000, live=6_000, spooled=50_000)
SMOKE = Size(accounts=1_000, live=200, spooled=300)


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Measure.

    Args:
        smoke: a small run that only shows that the benchmark works.
        servers: processes of the server; cash servers know them all.
        console: where progress goes.

    Returns:
        The figures by name.
    """
    size = SMOKE if smoke else FULL
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-") as place:
        data_dir = Path(place) / "postgres"
        console.print(f"seeding {size.accounts} accounts")
        asyncio.run(seed_world(data_dir, size.accounts, bench_program(100)))
        spool = Path(place) / "spool.sqlite"
        console.print(f"spooling {size.spooled:,} receipts")
        fill_spool(spool, size.spooled, size.accounts)
        with EmbeddedPostgres(data_dir) as embedded:
            server = _start_server(data_dir, embedded.postmaster_pid, servers)
            try:
                _phase(server, "stream", size.live, size.accounts, 1)  # warm
                before = _live_rates(server, size, console)
                rate = LIVE_SHARE * before["stream"]
                figures = _figures(size, rate, server.targets, spool, console)
                after = _live_rates(server, size, console)
                return {**figures, **_shares(figures["forward_rate"], before, after)}
            finally:
                _stop(server)


def _live_rates(server: Server, size: Size, console: Console) -> dict[str, float]:
    """Checkouts a second, by how calls travel."""
    found = {}
    for kind in ("stream", "together"):
        seed = time.time_ns() % 1_000_000
        found[kind] = _phase(server, kind, size.live, size.accounts, seed).rate
        console.print(f"live, {kind}: {found[kind]:,.0f}/s")
    return found


def _shares(
    forward_rate: float, before: dict[str, float], after: dict[str, float]
) -> dict[str, float]:
    """The live rates, and how much of each the forwarding is."""
    live_rate, together_rate = (mean((before[k], after[k])) for k in ("stream", "together"))
    return {
        "live_rate": round(live_rate, 1),
        "forward_share": round(forward_rate / live_rate, 3),
        "live_together_rate": round(together_rate, 1),
        "forward_share_of_together": round(forward_rate / together_rate, 3),
    }


def _figures(
    size: Size,
    rate: float,
    targets: tuple[str, ...],
    spool: Path,
    console: Console,
) -> dict[str, float]:
    with (
        _cash_server(targets, spool.with_name("live.sqlite"), ()) as live_target,
        _live_tills(live_target, rate, size.accounts) as tills,
    ):
        unlimited = ("--forward-rate", "0")
        begin_s = time.monotonic()
        with _cash_server(targets, spool, unlimited):
            status = _emptied(spool, size.spooled, console)
            elapsed_s = time.monotonic() - begin_s
        latency = tills()
    forward_rate = size.spooled / elapsed_s
    return {
        "forward_rate": round(forward_rate, 1),
        "live_p99_ms": latency["p99_ms"],
        "live_p50_ms": latency["p50_ms"],
        "live_max_ms": latency["max_ms"],
        "live_offered_rate": round(rate, 1),
        "live_answered": latency["answered"],
        "live_refused": latency["refused"],
        "live_unanswered": latency["unanswered"],
        "spooled": size.spooled,
        "recorded": status.tally.get("recorded", 0),
        "set_aside": status.by_state.get("SET_ASIDE", 0),
        "server_processes": len(targets),
    }


def fill_spool(path: Path, count: int, accounts: int) -> None:
    """Make a spool as a cash server leaves it that was cut off for an hour.

    Args:
        path: the file.
        count: receipts, of a thousand tills in turn.
        accounts: cards are drawn from these.
    """
    connection = spool_rows.open_rows(path, 0)
    now_us = system_clock()
    try:
        connection.execute("begin immediate")
        for request in checkout_requests(count, accounts, f"spool-{now_us}", 7):
            request.closed = True
            request.outcome.kind = receipt_pb2.OUTCOME_KIND_PLAIN
            request.outcome.number = 1
            key = request.receipt_key
            entry = Entry(
                till=f"{key.chain_id}/{key.store_id}/{key.till_id}",
                key=spell_key(key),
                kind=Kind.CHECKOUT,
                digest=digest_of(Kind.CHECKOUT, request),
                body=request.SerializeToString(),
                is_fact=True,
                has_outcome=True,
                arrived_at_us=now_us - HOUR_US,
                sold_at_us=now_us - HOUR_US,
                till_offset_us=0,
                amount_minor=request.sale.header.control_totals.amount_minor,
                is_advice=True,
            )
            spool_rows.admit(connection, entry, is_cut=True, has_queue=True, is_wanted=True)
        connection.execute("commit")
    finally:
        connection.close()


@contextmanager
def _cash_server(targets: tuple[str, ...], spool: Path, more: tuple[str, ...]) -> Iterator[str]:
    """A cash server as a process; the address where it takes tills."""
    listen = f"127.0.0.1:{_free_port()}"
    command = [sys.executable, "-m", "pos_sim", "cash-server", "run", "--listen", listen]
    command += ["--target", ",".join(targets), "--spool", str(spool), *more]
    environment = {**os.environ, "LOYALTY_LOG_LEVEL": "warning"}
    process = subprocess.Popen(command, env=environment)
    try:
        _wait_healthy(listen, process)
        yield listen
    finally:
        process.terminate()
        process.wait(timeout=START_TIMEOUT_S)


@contextmanager
def _live_tills(target: str, rate: float, accounts: int) -> Iterator["partial[dict[str, float]]"]:
    """Live tills as a process that sells from now on; call it to stop them and read the report."""
    run_id = f"live-{time.time_ns()}"
    command = [sys.executable, "-m", "bench.live", target, f"{rate:.3f}", str(accounts)]
    command += [run_id, "3"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        _say(process)
        try:
            yield partial(_report, process)
        finally:
            process.kill()


def _say(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n")
    process.stdin.flush()


def _report(process: "subprocess.Popen[bytes]") -> dict[str, float]:
    _say(process)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the live tills ended without a report: see their error above")
    found: dict[str, float] = json.loads(line)
    return found


def _emptied(spool: Path, count: int, console: Console) -> SpoolStatus:
    """Wait until nothing waits in a spool any more."""
    columns = (TextColumn("forwarding"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    until_s = time.monotonic() + EMPTIED_WITHIN_S
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("forwarding", total=count)
        while time.monotonic() < until_s:
            status = read_status(spool)
            progress.update(bar, completed=count - status.depth)
            if not status.depth:
                return status
            time.sleep(POLL_S)
    raise RuntimeError(f"{status.depth} of {count} still wait: {status.words}")
