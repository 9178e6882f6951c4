"""Server processes that a demo starts, watches and stops, knowing only what an operator knows."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import struct
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeVar

from pos_sim.back_office import wait_until_serving

READY_S_MAX = 90.0
STOP_S_MAX = 45.0
END_S_MAX = 15.0
PUBLISH_S_MAX = 120.0
TAIL_LINES = 25

_R = TypeVar("_R")


class DemoError(Exception):
    """Something around the replay went wrong; the message is for whoever ran it."""


class ServerProcess:
    """One server process."""

    def __init__(self, process: Process, target: str, log: Path) -> None:
        """Watch a process that serves on host:port and writes a log."""
        self._process = process
        self.target = target
        self.log = log

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.returncode is None

    async def stop(self) -> None:
        """Stop it the way an operator does.

        Raises:
            DemoError: It had ended before, does not end, or does not end with 0.
        """
        if not self.is_alive:
            raise await self.died()
        self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S_MAX):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise DemoError(self._told(f"no end {STOP_S_MAX:.0f} s after SIGTERM")) from None
        if code != 0:
            raise DemoError(self._told(f"the server ended with {code} after SIGTERM"))

    async def end(self) -> None:
        """End it, if it still runs, in good order if that can be had soon."""
        if not self.is_alive:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(END_S_MAX):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def kill(self) -> None:
        """Kill it the way a power cut does: it finishes nothing."""
        self._process.kill()
        await self._process.wait()

    async def died(self) -> DemoError:
        """Wait until it ends, although nobody asked it to; tells how."""
        code = await self._process.wait()
        return DemoError(self._told(f"the server ended by itself ({code})"))

    async def wait_until_ready(self) -> None:
        """Wait until it serves.

        Raises:
            DemoError: It died, or took too long.
        """
        if not await wait_until_serving(self.target, READY_S_MAX, lambda: self.is_alive):
            what = "did not become ready" if self.is_alive else "died while starting"
            raise DemoError(self._told(f"the server {what}"))

    def _told(self, what: str) -> str:
        """What went wrong, with the end of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"{what}; the end of {self.log}:", *lines[-TAIL_LINES:]])


@asynccontextmanager
async def run_servers(
    count: int,
    data_dir: Path,
    clock_file: Path | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[list[ServerProcess]]:
    """Run servers over one database, each on a port of its own so that each can be watched.

    Args:
        count: How many, 1 or more.
        data_dir: Where the first one keeps its database.
        clock_file: Shifts the clock of all of them; None leaves them the machine's.
        settings: More of their environment.

    Yields:
        The servers, ready. What still runs in the end is ended.

    Raises:
        DemoError: One did not start.
    """
    servers: list[ServerProcess] = []
    try:
        for number in range(1, count + 1):
            server = await start_server(data_dir, number, clock_file=clock_file, settings=settings)
            servers.append(server)
            await server.wait_until_ready()
        yield servers
    finally:
        for server in reversed(servers):
            await server.end()


async def unless_one_dies(servers: list[ServerProcess], work: Awaitable[_R]) -> _R:
    """Do some work as long as all servers run.

    Args:
        servers: They run.
        work: Is cancelled when one ends.

    Returns:
        What the work gives.

    Raises:
        DemoError: A server ended first.
    """
    working = asyncio.ensure_future(work)
    watching = [asyncio.create_task(server.died()) for server in servers]
    try:
        await asyncio.wait([working, *watching], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise next(watcher.result() for watcher in watching if watcher.done())
        return await working
    finally:
        for task in (working, *watching):
            task.cancel()
        await asyncio.gather(working, *watching, return_exceptions=True)


async def publish(program: Path, target: str) -> str:
    """Publish a program with the operator's own command, and wait until it is in force.

    Args:
        program: The file.
        target: host:port.

    Returns:
        What the command said.

    Raises:
        DemoError: It failed, or took too long.
    """
    command = ("program", "publish", str(program), "--target", target, "--wait")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "server.ctl",
        *command,
        stdin=DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(PUBLISH_S_MAX):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise DemoError(f"loyaltyctl {' '.join(command)} took too long") from None
    said = output.decode(errors="replace").strip()
    if process.returncode != 0:
        raise DemoError(f"loyaltyctl {' '.join(command)} failed:\n{said}")
    return said


async def start_server(
    data_dir: Path,
    number: int,
    target: str = "",
    clock_file: Path | None = None,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> ServerProcess:
    """Start a server process; it is not ready yet.

    Args:
        data_dir: Where it keeps its database.
        number: Names its log.
        target: host:port; empty takes a free port.
        clock_file: Shifts its clock; None leaves it the machine's.
        settings: More of its environment.
    """
    target = target or f"127.0.0.1:{free_port()}"
    env = {**os.environ, **settings}
    env |= {"LOYALTY_LISTEN": target, "LOYALTY_DATA_DIR": str(data_dir)}
    # Messages to customers are lines of a file, unless the environment names a transport.
    env.setdefault("LOYALTY_SMS_TRANSPORT", "file")
    env.setdefault("LOYALTY_SMS_FILE", str(data_dir.with_name(f"{data_dir.name}.sms.jsonl")))
    if clock_file is not None:
        env["LOYALTY_CLOCK_FILE"] = str(clock_file)
    log = data_dir.with_name(f"{data_dir.name}.server-{number}.log")
    with open_log(log) as sink:
        # In a session of its own: Ctrl-C is ours, and we stop the server in good order.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "server",
            env=env,
            stdin=DEVNULL,
            stdout=sink,
            stderr=STDOUT,
            start_new_session=True,
        )
    return ServerProcess(process, target, log)


def kill_database(data_dir: Path) -> None:
    """Kill PostgreSQL as a whole, the way a power cut does; the servers start it again.

    Args:
        data_dir: Where the servers keep it.
    """
    text = next(data_dir.rglob("postmaster.pid")).read_text(encoding="utf-8")
    found = re.match(r"\d+", text)
    assert found is not None, "a postmaster writes its process id"
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(found.group()), signal.SIGKILL)


def set_clock_file(clock_file: Path, offset_us: int) -> None:
    """Shift the clock of all processes that have a file mapped.

    Args:
        clock_file: The file; it is there.
        offset_us: From the machine's clock, microseconds.
    """
    # Written over, never cut short: others have it mapped.
    with clock_file.open("r+b") as file:
        file.write(struct.pack("<q", offset_us))


def open_log(log: Path) -> BinaryIO:
    """Open a log for a process to write into, and make its directory."""
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("ab")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
