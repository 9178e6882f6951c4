"""A thousand tills with one receipt a second each, under ten thousand promotions.

Each receipt is a quote and a checkout; all calls travel on one stream to each server, as those of
a cash server do; nobody waits for anybody (open loop), so latency counts from when a call was due.
Tills, server and database share the machine; fsync on. Source: DESIGN section 11.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.console import Console

from bench.checkout import _start_server, _stop
from bench.world import LIVELY, many_promotions, seed_world
from server.store.embedded import EmbeddedPostgres

MIB = 1_048_576


class Size(NamedTuple):
    """How much is measured."""

    accounts: int
    promotions: int
    tills: int
    warm_up_s: int
    seconds: int


FULL = Size(accounts=100_000, promotions=10_000, tills=1_000, warm_up_s=5, seconds=60)
SMOKE = Size(accounts=1_000, promotions=LIVELY, tills=20, warm_up_s=0, seconds=1)


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Measure.

    Args:
        smoke: a small run that only shows that the benchmark works.
        servers: processes of the server; the tills are divided among them.
        console: where progress goes.

    Returns:
        The figures by name: milliseconds by call and percentile, shares of what was offered, and
        the memory of a server process in MiB at the end.
    """
    size = SMOKE if smoke else FULL
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-") as place:
        data_dir = Path(place) / "postgres"
        console.print(f"seeding {size.accounts:,} accounts, {size.promotions:,} promotions")
        asyncio.run(seed_world(data_dir, size.accounts, many_promotions(size.promotions, 0)))
        with EmbeddedPostgres(data_dir) as embedded:
            server = _start_server(data_dir, embedded.postmaster_pid, servers)
            try:
                console.print(f"{size.tills:,} tills sell for {size.warm_up_s + size.seconds} s")
                sold = _sold(server.targets, size)
                memory_mib = max(_memory_mib(process.pid) for process in server.processes)
            finally:
                _stop(server)
    return {**sold, "server_memory_mib": round(memory_mib, 1), "server_processes": servers}


def _sold(targets: tuple[str, ...], size: Size) -> dict[str, object]:
    """What tills in a process of their own measure."""
    command = [sys.executable, "-m", "bench.till_load", ",".join(targets), str(size.tills)]
    command += [str(size.warm_up_s), str(size.seconds), str(size.accounts), f"{time.time_ns()}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        load.stdout.readline()
        load.stdin.write(b"go\n")
        load.stdin.flush()
        line = load.stdout.readline()
    if not line:
        raise RuntimeError("the load ended without a report: see its error above")
    report: dict[str, object] = json.loads(line)
    return report


def _memory_mib(pid: int) -> float:
    resident: int = psutil.Process(pid).memory_info().rss
    return resident / MIB
