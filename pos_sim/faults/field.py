"""The processes of a fault run, and what is done to them: servers, cash server, proxy, clock."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, STDOUT
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from loyalty.v1.receipt_pb2 import ReceiptKey
from loyalty.v1.till_service_pb2 import GetReceiptRequest
from pos_sim.faults.plan import GOOD, Deed, Step
from pos_sim.faults.proxy import Proxy
from pos_sim.faults.till import Conditions
from pos_sim.faults.world import CHAIN_ID
from pos_sim.refusal import LinkLostError, RefusedError
from pos_sim.server_process import (
    DemoError,
    ServerProcess,
    free_port,
    kill_database,
    open_log,
    set_clock_file,
    start_server,
)
from pos_sim.unary_link import UnaryLink

RUSH_PAUSE_S = 0.5
RUSH_PAUSE_MAX_S = 2.0
STATEMENT_WAIT_S = 3.0
LOOK_EVERY_S = 0.2
LOOK_TIMEOUT_MS = 1_000
ANSWERING_S_MAX = 60.0
SETTLE_S = RUSH_PAUSE_MAX_S * 1.2 + 1.5
"""After a fault: the longest pause of rush mode, and a look whether the link is back."""


class Stage:
    """The server and its clock, for all scenarios of a run."""

    def __init__(
        self,
        servers: list[ServerProcess],
        data_dir: Path,
        clock_file: Path,
        settings: Mapping[str, str],
    ) -> None:
        """Get ready.

        Args:
            servers: They run; one that is started again takes its place in the list.
            data_dir: Of their embedded database.
            clock_file: By which the clock of all is shifted.
            settings: More of the servers' environment.
        """
        self.servers = servers
        self.data_dir = data_dir
        self.clock_file = clock_file
        self._settings = settings
        self._offset_us = 0
        self._numbers = count()

    def next_index(self) -> int:
        """Number the next receipt: no two of all scenarios have the same."""
        return next(self._numbers)

    def leap(self, by_us: int) -> None:
        """Move the clock of all processes on, microseconds."""
        self._offset_us += by_us
        set_clock_file(self.clock_file, self._offset_us)

    async def wait_until_answering(self) -> None:
        """Wait until the server reads its database again."""
        nobody = ReceiptKey(
            chain_id=CHAIN_ID,
            store_id="nowhere",
            till_id="none",
            business_date="never",
            shift_id="0",
            receipt_number="0",
        )
        link = UnaryLink(self.servers[0].target)
        try:
            async with asyncio.timeout(ANSWERING_S_MAX):
                await _until_unknown(link, nobody)
        except TimeoutError:
            raise DemoError("the server does not find its database again") from None
        finally:
            await link.close()

    async def restart_server(self, is_killed: bool) -> None:
        """Stop the server in good order, or kill it, and start it again."""
        server = self.servers[0]
        await (server.kill() if is_killed else server.stop())
        again = await start_server(self.data_dir, 1, server.target, self.clock_file, self._settings)
        self.servers[0] = again
        await again.wait_until_ready()


class Field:
    """One scenario's cash server behind its proxy."""

    def __init__(self, stage: Stage, proxy: Proxy, spool: Path, conditions: Conditions) -> None:
        """Get ready.

        Args:
            stage: The servers.
            proxy: Before the first of them; listens.
            spool: File of the cash server's spool.
            conditions: Are told when things change.
        """
        self._stage = stage
        self._proxy = proxy
        self.spool = spool
        self._conditions = conditions
        self._target = f"127.0.0.1:{free_port()}"
        self._cash: ServerProcess | None = None
        self.count: Counter[str] = Counter()

    @property
    def target(self) -> str:
        """Where tills connect, host:port."""
        return self._target

    async def start_cash_server(self) -> None:
        """Start the cash server, and wait until it serves."""
        self._cash = await _start(self._target, self._proxy.target, self.spool, self._stage)
        await self._cash.wait_until_ready()

    async def stop_cash_server(self) -> None:
        """Stop it the way an operator does."""
        assert self._cash is not None, "it was started"
        await self._cash.stop()

    async def end(self) -> None:
        """End it, however the run went."""
        if self._cash is not None:
            await self._cash.end()

    async def play(self, steps: list[Step]) -> None:
        """Let happen what is planned, each step at its time or once the one before is done."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for step in steps:
            await asyncio.sleep(max(0.0, began_s + step.at_s - loop.time()))
            if step.weather is not None:
                self._proxy.change(step.weather, step.is_reset)
                self.count["changes of the link"] += 1
                self._conditions.change(step.weather == GOOD, loop.time())
            if step.deed is not None:
                self._conditions.change(False, loop.time())
                await self._do(step.deed, step.by_us)
                self._conditions.change(self._proxy.weather == GOOD, loop.time())

    async def _do(self, deed: Deed, by_us: int) -> None:
        self.count[deed.value] += 1
        if deed == Deed.LEAP_CLOCK:
            self._stage.leap(by_us)
        elif deed == Deed.KILL_DATABASE:
            kill_database(self._stage.data_dir)
            await self._stage.wait_until_answering()
        elif deed == Deed.KILL_CASH_SERVER:
            assert self._cash is not None, "it was started"
            await self._cash.kill()
            await self.start_cash_server()
        else:
            await self._stage.restart_server(deed == Deed.KILL_SERVER)


async def _until_unknown(link: UnaryLink, key: ReceiptKey) -> None:
    while True:
        if await _is_unknown(link, key):
            return
        await asyncio.sleep(LOOK_EVERY_S)


async def _is_unknown(link: UnaryLink, key: ReceiptKey) -> bool:
    """Whether the server knows that there is no such receipt: it has looked."""
    request = GetReceiptRequest(receipt_key=key)
    try:
        await link.ask("get_receipt", request, LOOK_TIMEOUT_MS)
    except RefusedError as error:
        return error.refusal.reason == "RECEIPT_NOT_FOUND"
    except LinkLostError:
        return False
    return False


async def play_weather(proxy: Proxy, steps: list[Step]) -> None:
    """Let happen to a link what is planned for it."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for step in steps:
        await asyncio.sleep(max(0.0, began_s + step.at_s - loop.time()))
        if step.weather is not None:
            proxy.change(step.weather, step.is_reset)


@asynccontextmanager
async def field_before(stage: Stage, spool: Path, conditions: Conditions) -> AsyncIterator[Field]:
    """A cash server behind a proxy before the server; both are ended in the end."""
    proxy = Proxy(stage.servers[0].target)
    await proxy.start()
    field = Field(stage, proxy, spool, conditions)
    try:
        await field.start_cash_server()
        yield field
    finally:
        await field.end()
        await proxy.stop()


async def _start(target: str, upstream: str, spool: Path, stage: Stage) -> ServerProcess:
    flags = {
        "--target": upstream,
        "--listen": target,
        "--spool": str(spool),
        "--rush-pause-s": str(RUSH_PAUSE_S),
        "--rush-pause-max-s": str(RUSH_PAUSE_MAX_S),
        "--statement-wait-s": str(STATEMENT_WAIT_S),
    }
    words = [word for pair in flags.items() for word in pair]
    log = spool.with_suffix(".log")
    with open_log(log) as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pos_sim",
            "cash-server",
            "run",
            *words,
            env={**os.environ, "LOYALTY_CLOCK_FILE": str(stage.clock_file)},
            stdin=DEVNULL,
            stdout=sink,
            stderr=STDOUT,
            start_new_session=True,
        )
    return ServerProcess(process, target, log)
