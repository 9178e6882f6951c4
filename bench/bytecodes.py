"""What calls on a stream run through in the server: bytecodes and Python frames.

Of all that is measured here the only thing that no other load on the machine can change, so it
shows what a change of the code is worth before its time can be told from noise. Sessions and
database are real; in place of gRPC messages are handed to the session and taken from it. What C
code does between is not seen.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import grpc
import uvloop
from rich.console import Console
from rich.table import Table

from bench.load import quote_bodies, quoted_bodies, stream_bodies
from bench.receipts import checkout_requests
from bench.world import bench_program, seed_world
from server.log import set_up_log
from server.main import composed
from server.session import Sessions
from server.settings import Settings
from server.store.embedded import EmbeddedPostgres
from server.till_servicer import TillCalls

ROOT = Path(__file__).parents[1]
STREAMS = 4
IN_FLIGHT = 64
"""Calls of one stream in flight together."""
WARM_UP = 512
PROMOTIONS = 100
FILES_SHOWN = 25


class _Stream:
    """The context of a session that asks for so much at once."""

    def __init__(self, bodies: list[bytes]) -> None:
        self._bodies: Iterator[bytes] = iter(bodies)
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self.answers: list[bytes] = []

    async def read(self) -> object:
        await self._room.acquire()
        return next(self._bodies, grpc.aio.EOF)

    async def write(self, message: bytes) -> None:
        self.answers.append(message)
        self._room.release()


class _Counter:
    """Counts what is run through while it is on."""

    def __init__(self) -> None:
        self.bytecodes: Counter[CodeType] = Counter()
        self.frames: Counter[CodeType] = Counter()

    def __enter__(self) -> "_Counter":
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename == __file__:
            return None
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            self.frames[frame.f_code] += 1
        elif event == "opcode":
            self.bytecodes[frame.f_code] += 1
        return self._trace


def run(smoke: bool, servers: int, console: Console) -> dict[str, object]:
    """Count.

    Args:
        smoke: a small run that only shows that it works.
        servers: not used: one process is counted.
        console: where the files that most is spent in go.

    Returns:
        `bytecodes` and `frames` (begun or resumed) of a durable Checkout without a quote; the same
        of a Quote, and of a Checkout with its token.
    """
    set_up_log("warning")
    accounts, count = (1_000, 128) if smoke else (20_000, 1_024)
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-") as place:
        data_dir = Path(place) / "postgres"
        console.print(f"seeding {accounts} accounts, {PROMOTIONS} promotions")
        asyncio.run(seed_world(data_dir, accounts, bench_program(PROMOTIONS)))
        with (
            EmbeddedPostgres(data_dir),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            settings = Settings(data_dir=data_dir)
            checkout, quote, quoted = runner.run(_counted(settings, accounts, count))
    _show(checkout, count, console)
    figures: dict[str, object] = {"checkouts": count}
    for name, counter in (("", checkout), ("quote_", quote), ("quoted_checkout_", quoted)):
        figures[f"{name}bytecodes"] = round(counter.bytecodes.total() / count)
        figures[f"{name}frames"] = round(counter.frames.total() / count)
    return figures


async def _counted(settings: Settings, accounts: int, count: int) -> tuple[_Counter, ...]:
    async with composed(settings) as context:
        sessions = Sessions(TillCalls(context))
        await _each_counted(sessions, WARM_UP, accounts, 1)
        return await _each_counted(sessions, count, accounts, 2)


async def _each_counted(
    sessions: Sessions, count: int, accounts: int, seed: int
) -> tuple[_Counter, ...]:
    """What checkouts, then quotes, then the checkouts of what was quoted run through."""
    checkout, quote, quoted = _Counter(), _Counter(), _Counter()
    bodies = stream_bodies(count, accounts, f"alone {seed}", seed)
    with checkout:
        await _sell(sessions, bodies)
    requests = list(checkout_requests(count, accounts, f"quoted {seed}", seed))
    bodies = quote_bodies(requests)
    with quote:
        answers = await _sell(sessions, bodies)
    bodies = quoted_bodies(requests, answers)
    with quoted:
        await _sell(sessions, bodies)
    return checkout, quote, quoted


async def _sell(sessions: Sessions, bodies: list[bytes]) -> list[bytes]:
    """Send all on a few streams, and wait for the answers."""
    streams: list[Any] = [_Stream(bodies[n::STREAMS]) for n in range(STREAMS)]
    await asyncio.gather(*[sessions.handle(None, stream) for stream in streams])
    answers = [answer for stream in streams for answer in stream.answers]
    assert len(answers) == len(bodies), "each call is answered"
    return answers


def _show(counter: _Counter, count: int, console: Console) -> None:
    by_file: Counter[str] = Counter()
    for code, number in counter.bytecodes.items():
        by_file[_name_of(Path(code.co_filename))] += number
    table = Table("file", "bytecodes a Checkout", title="where most of them are")
    for name, number in by_file.most_common(FILES_SHOWN):
        table.add_row(name, f"{number / count:,.0f}")
    console.print(table)


def _name_of(file: Path) -> str:
    """A file of the project by its path in it, another one by its name and folder."""
    return str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else "/".join(file.parts[-2:]))
