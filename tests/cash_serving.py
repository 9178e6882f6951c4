"""A cash server as a process for tests, and a proxy in a thread between it and its server."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from loyalty.v1.till_service_pb2_grpc import TillServiceStub
from pos_sim.cash_server.status import SpoolStatus, read_status
from pos_sim.faults.proxy import Proxy, Weather
from tests.serving import RECONNECT_SOON, free_port, wait_until
from tests.starting import Started

QUICK = ("--rush-pause-s", "0.2", "--rush-pause-max-s", "0.4", "--statement-wait-s", "0.2")
"""Pauses short enough for a test."""


class CashProcess:
    """One cash server process."""

    def __init__(
        self, targets: list[str], spool: Path, *flags: str, port: int = 0, file_bytes_max: int = 0
    ) -> None:
        """Start it and wait until it listens."""
        self.port = port or free_port()
        self.target = f"127.0.0.1:{self.port}"
        self.spool = spool
        self._log = spool.with_suffix(".log")
        aimed = [word for target in targets for word in ("--target", target)]
        command = ("cash-server", "run", *aimed, "--listen", self.target, "--spool", str(spool))
        self._log.parent.mkdir(parents=True, exist_ok=True)
        files = (Path(os.devnull), self._log, self._log)
        self.process = Started(
            "pos_sim",
            *command,
            *flags,
            environment=dict(os.environ),
            files=files,
            file_bytes_max=file_bytes_max,
        )
        wait_until(self._listens, "the cash server")

    def stub(self, channel: grpc.Channel) -> Any:
        """A stub of the till's service."""
        return TillServiceStub(channel)

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; give the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=30)

    def status(self) -> SpoolStatus:
        """What its spool says."""
        return read_status(self.spool)

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the cash server ended:\n{self._log.read_text()[-4_000:]}")
        with grpc.insecure_channel(self.target, RECONNECT_SOON) as channel:
            try:
                grpc.channel_ready_future(channel).result(timeout=0.5)
            except grpc.FutureTimeoutError:
                return False
        return True


@contextmanager
def cash_serving(
    targets: list[str], spool: Path, *flags: str, port: int = 0, file_bytes_max: int = 0
) -> Iterator[CashProcess]:
    """A cash server; killed at the end if it still runs.

    Args:
        targets: of servers.
        spool: its file.
        flags: more of the command.
        port: to listen on; 0 is a free one.
        file_bytes_max: as on a full disk, until its process `has_room`; 0 is no bound.
    """
    cash = CashProcess(targets, spool, *flags, port=port, file_bytes_max=file_bytes_max)
    try:
        yield cash
    finally:
        if cash.process.poll() is None:
            cash.kill()


class ProxyThread:
    """A proxy on a loop of its own, for tests that are not asynchronous."""

    def __init__(self, target: str) -> None:
        """Start it before a server."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = Proxy(target)
        self._do(self._proxy.start())
        self.target = self._proxy.target

    def change(self, weather: Weather, is_reset: bool = False) -> None:
        """Make the link so."""

        async def change() -> None:
            self._proxy.change(weather, is_reset)

        self._do(change())

    def stop(self) -> None:
        """Stop it."""
        self._do(self._proxy.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)


@contextmanager
def proxying(target: str) -> Iterator[ProxyThread]:
    """A proxy before a server."""
    proxy = ProxyThread(target)
    try:
        yield proxy
    finally:
        proxy.stop()
