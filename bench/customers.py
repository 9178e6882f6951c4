"""Throughput with 25 million customers against 100,000, each with points of their own.

Two embedded databases and a server on each, side by side; rounds of durable checkouts on streams
alternate, the middle figure of each counts. Customers are drawn evenly, so that with 25 million
nearly every receipt is of one whose rows nobody has read before. A server that runs has in memory
what fits into it, one just loaded what was written last: what receipts use of customers is read
through once before they are measured. Takes some 35 GB of disk and half an hour, most of it to load
the 25 million, so `all` leaves it out. Source: DESIGN section 11.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    track,
)

from bench.checkout import Measured, Server, _phase, _start_server, _stop
from bench.world import bench_program, files_of_customers, seed_world, vacuum
from server.store.embedded import EmbeddedPostgres

POINTS_MINOR = 12_300
"""Of each customer, in one lot."""

READ_BYTES = 1 << 20


class Size(NamedTuple):
    """How much is measured."""

    few: int
    many: int
    promotions: int
    warm_up: int
    checkouts: int
    rounds: int


FULL = Size(100_000, 25_000_000, promotions=100, warm_up=12_000, checkouts=12_000, rounds=5)
SMOKE = Size(500, 2_000, promotions=100, warm_up=0, checkouts=200, rounds=1)


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Measure.

    Args:
        smoke: a small run that only shows that the benchmark works.
        servers: processes of the server on each database.
        console: where progress goes.

    Returns:
        The figures by name.
    """
    size = SMOKE if smoke else FULL
    found: dict[int, list[Measured]] = {size.few: [], size.many: []}
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-") as place, ExitStack() as stack:
        worlds = {
            accounts: stack.enter_context(_world(Path(place), accounts, size, servers, console))
            for accounts in found
        }
        _read_through(Path(place) / str(size.many), console)
        for number in range(-1 if size.warm_up else 0, size.rounds):
            for accounts, server in worlds.items():
                count = size.warm_up if number < 0 else size.checkouts
                console.print(f"{count:,} receipts of {accounts:,} customers")
                measured = _phase(server, "stream", count, accounts, number + 2)
                if number >= 0:
                    found[accounts].append(measured)
                    shown = f"{measured.rate:,.0f}/s, {measured.cpu_us:,.0f} us CPU"
                    console.print(f"round {number + 1}, {accounts:,} customers: {shown}")
    return _figures(found[size.few], found[size.many]) | {"customers": size.many}


@contextmanager
def _world(
    place: Path, accounts: int, size: Size, servers: int, console: Console
) -> Iterator[Server]:
    """A database of so many customers, and servers on it."""
    data_dir = place / str(accounts)
    program = bench_program(size.promotions)
    with _progress(console, accounts) as told:
        asyncio.run(seed_world(data_dir, accounts, program, POINTS_MINOR, told))
    asyncio.run(vacuum(data_dir))
    with EmbeddedPostgres(data_dir) as embedded:
        server = _start_server(data_dir, embedded.postmaster_pid, servers)
        try:
            yield server
        finally:
            _stop(server)


def _read_through(data_dir: Path, console: Console) -> None:
    """Have the operating system hold what it can of the customers' pages."""
    heads = asyncio.run(files_of_customers(data_dir))
    files = [file for head in heads for file in sorted(head.parent.glob(f"{head.name}*"))]
    for path in track(files, "reading customers", console=console):
        with path.open("rb") as file:
            while file.read(READ_BYTES):
                pass


@contextmanager
def _progress(console: Console, accounts: int) -> Iterator[Callable[[int], None]]:
    columns = (
        TextColumn("seeding customers"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("seeding", total=accounts)
        yield lambda count: progress.advance(task, count)


def _figures(few: list[Measured], many: list[Measured]) -> dict[str, object]:
    few_rate, many_rate = (median(one.rate for one in found) for found in (few, many))
    return {
        "few_rate": round(few_rate, 1),
        "many_rate": round(many_rate, 1),
        "many_share": round(many_rate / few_rate, 3),
        "few_cpu_us": round(median(one.cpu_us for one in few), 1),
        "many_cpu_us": round(median(one.cpu_us for one in many), 1),
    }
