"""Composition of a cash server, and its life: open the spool, serve, forward, drain."""

import asyncio
import os
import random
import signal
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from msgspec import Struct

from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.backlog import Backlog, item_of
from pos_sim.cash_server.clock import Clock, WatchedClock, machine_clock, read_clock_file
from pos_sim.cash_server.clock_offset import ServerOffset
from pos_sim.cash_server.entry import Entry
from pos_sim.cash_server.forwarding import Forwarding, ForwardRule
from pos_sim.cash_server.link_health import LinkHealth, RushRule
from pos_sim.cash_server.relay import Relay, Rules
from pos_sim.cash_server.service import GO_AWAY_GRACE_MS, SERVICE, TillCalls
from pos_sim.cash_server.spool import Spool, SpoolError
from pos_sim.cash_server.upstream import Pulse, Upstream

WORDS_EVERY_S = 1.0
PRUNE_EVERY_S = 60.0
PRUNE_MOST = 5_000
DAY_US = 86_400_000_000
STOP_GRACE_S = 1.0
OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_concurrent_streams", 10_000),
    ("grpc.so_reuseport", 0),
)

_log = structlog.get_logger(__name__)


class CashSettings(Struct, frozen=True):
    """Settings of a cash server.

    Attributes:
        listen: Address and port for the tills.
        targets: Billing servers as host:port, one or more.
        spool: The file of the spool; one process has it.
        streams: Session streams to each server.
        spool_pages_max: Pages of 4 KiB the spool may grow to; 0 is no bound.
        keep_days: How long settled entries are kept, days.
        clock_file: Shifts the clock, in tests; empty is the machine's clock.
    """

    listen: str
    targets: tuple[str, ...]
    spool: Path
    streams: int = 2
    spool_pages_max: int = 0
    keep_days: int = 30
    clock_file: str = ""
    drain_s: float = 3.0
    rules: Rules = Rules()
    rush: RushRule = RushRule()
    forward: ForwardRule = ForwardRule()


class CashServer:
    """A cash server put together; `relay` answers, `forwarding` and `pulse` run beside it."""

    def __init__(self, settings: CashSettings, spool: Spool, words: dict[str, str]) -> None:
        """Put it together.

        Args:
            settings: As given.
            spool: Open.
            words: What the spool has kept from the run before.
        """
        rng = random.Random()
        self.spool = spool
        self.clock = WatchedClock(_clock(settings))
        self.health = LinkHealth(settings.rush, rng)
        self.backlog = Backlog()
        self.offset = ServerOffset(int(words.get("offset_us", "0")))
        self.upstream = Upstream(settings.targets, settings.streams, self.health)
        self.pulse = Pulse(settings.targets, self.health, self.offset, self.clock, rng)
        self.relay = Relay(
            spool, self.backlog, self.upstream, self.health, self.clock, settings.rules
        )
        self.forwarding = Forwarding(
            spool,
            self.backlog,
            self.upstream,
            self.health,
            self.clock,
            self.server_offset_us,
            settings.forward,
            rng,
            self.relay.changed,
        )

        self.clock.on_step += [
            self.offset.stepped,
            self.relay.tills.stepped,
            lambda step_us: spool.do_later(
                partial(spool_rows.shift, step_us=step_us, offset_us=self.offset.offset_us)
            ),
            lambda step_us: _log.warning("clock_set", step_us=step_us),
        ]
        self.offset.on_first.append(self._know_the_clock)

    def server_offset_us(self) -> int:
        """Clock of the server minus ours as it is now, microseconds."""
        self.clock()  # if it was set, this tells
        return self.offset.offset_us

    def _know_the_clock(self, step_us: int) -> None:
        """The server's clock was seen for the first time: so much was ours set since the last run.

        Args:
            step_us: Microseconds; 0 if it was not.
        """
        know = partial(spool_rows.know_clock, step_us=step_us, offset_us=self.offset.offset_us)
        self.spool.do_later(know)
        if step_us:
            _log.warning("clock_was_set", step_us=step_us)

    def words(self) -> dict[str, str]:
        """What `status` tells of a running cash server."""
        return {
            "pid": str(os.getpid()),
            "seen_at_us": str(self.clock()),
            "link": "rush" if self.health.is_rush else "up" if not self.health.failures else "poor",
            "offset_us": str(self.offset.offset_us),
            "last_error": self.forwarding.last_error or self.pulse.last_error,
            "spool_error": self.spool.last_error,
        }


async def tell(cash: CashServer) -> None:
    """Write down what `status` tells; take up what was set aside, if that was asked for.

    Raises:
        SpoolError: The disk is full, or broken.
    """
    words, now_s = cash.words(), asyncio.get_running_loop().time()

    def work(rows: sqlite3.Connection) -> list[Entry]:
        spool_rows.write_words(rows, words)
        return spool_rows.requeue(rows) if spool_rows.take_wish(rows) else []

    for entry in await cash.spool.do(work):
        cash.backlog.add(item_of(entry, now_s))
        cash.relay.changed.set()


async def run_cash_server(settings: CashSettings) -> None:
    """Serve tills until SIGTERM or SIGINT.

    Args:
        settings: As given.

    Raises:
        SystemExit: It cannot listen, or the spool cannot be opened.
    """
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        try:
            spool = Spool(settings.spool, settings.spool_pages_max)
        except SpoolError as error:
            raise SystemExit(f"the spool cannot be opened: {error}") from None
        stack.push_async_callback(spool.close)
        cash = CashServer(settings, spool, await spool.do(spool_rows.read_words))
        await take_up(cash, settings)
        stack.push_async_callback(cash.upstream.close)
        calls = TillCalls(cash.relay, settings.rules)
        server, health = _grpc_server(calls, settings.listen)
        beside = (
            cash.pulse.run,
            cash.forwarding.run,
            partial(_keep_telling, cash),
            partial(_prune, cash, settings),
        )
        for work in beside:
            stack.push_async_callback(_cancelled, asyncio.create_task(_kept_running(work)))
        await server.start()
        for name in ("", SERVICE):
            await health.set(name, health_pb2.HealthCheckResponse.SERVING)
        _log.info("serving", listen=settings.listen, targets=settings.targets)
        await stop.wait()
        await _drain(server, calls, health, settings.drain_s)
    _log.info("stopped")


async def take_up(cash: CashServer, settings: CashSettings) -> None:
    """Go on where the last run ended, however it ended."""
    now_s = asyncio.get_running_loop().time()
    wait_s = settings.rules.statement_wait_s
    left = await cash.spool.do(spool_rows.read_unsettled)
    for entry in left:
        cash.backlog.add(item_of(entry, now_s + wait_s))
    if left:
        _log.info("taken_up", entries=len(left))


async def _kept_running(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run something that must not end; if it does by a fault of ours, say so and begin again."""
    while True:
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception:
            _log.exception("failed", what=getattr(work, "__qualname__", str(work)))
            await asyncio.sleep(1.0)


async def _keep_telling(cash: CashServer) -> None:
    """Keep what `status` tells up to date, and hear what `requeue` asks for."""
    while True:
        await asyncio.sleep(WORDS_EVERY_S)
        try:
            await tell(cash)
        except SpoolError as error:
            _log.warning("spool", error=str(error))


async def _prune(cash: CashServer, settings: CashSettings) -> None:
    """Delete what was settled long ago, some at a time."""
    while True:
        before_us = cash.clock() - settings.keep_days * DAY_US

        def work(rows: sqlite3.Connection, before_us: int = before_us) -> int:
            return spool_rows.prune(rows, before_us, PRUNE_MOST)

        cash.spool.do_later(work)
        await asyncio.sleep(PRUNE_EVERY_S)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _clock(settings: CashSettings) -> Clock:
    return read_clock_file(Path(settings.clock_file)) if settings.clock_file else machine_clock


def _grpc_server(
    calls: TillCalls, listen: str
) -> tuple[grpc.aio.Server, health_aio.HealthServicer]:
    server = grpc.aio.server(options=OPTIONS)
    handlers = calls.handlers()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    try:
        bound = server.add_insecure_port(listen)
    except RuntimeError:
        bound = 0
    if not bound:
        raise SystemExit(f"cannot listen on {listen}: is the port taken?")
    return server, health


async def _drain(
    server: grpc.aio.Server, calls: TillCalls, health: health_aio.HealthServicer, drain_s: float
) -> None:
    """Leave health, send the tills away, answer what was taken, stop."""
    _log.info("draining")
    await health.enter_graceful_shutdown()
    calls.go_away()
    await asyncio.sleep(GO_AWAY_GRACE_MS / 1_000)
    try:
        async with asyncio.timeout(drain_s):
            await calls.drained()
    except TimeoutError:
        _log.warning("drained_late")
    await server.stop(grace=STOP_GRACE_S)
