"""The durable spool: SQLite in a thread of its own, which commits together what waits together.

The event loop never waits for the disk: it hands in operations and is told when they are durable.
"""

import asyncio
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Generic, TypeVar

from pos_sim.cash_server import spool_rows as rows

BATCH_MAX = 256

_R = TypeVar("_R")
Work = Callable[[sqlite3.Connection], _R]


class SpoolError(Exception):
    """The spool cannot be written or read: the disk is full, or broken."""


class _Job(Generic[_R]):
    """An operation and who waits for it; nobody does if it must only be done in the end."""

    __slots__ = ("future", "work")

    def __init__(self, work: Work[_R], future: "asyncio.Future[_R] | None") -> None:
        self.work = work
        self.future = future


class Spool:
    """The spool of a cash server; one process at a time may have it open for writing."""

    def __init__(self, path: Path, pages_max: int = 0) -> None:
        """Open it and start its thread, inside a running loop.

        Args:
            path: The file; made if it is not there.
            pages_max: Pages of 4 KiB it may grow to; 0 is no bound.

        Raises:
            SpoolError: It cannot be opened.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = rows.lock(path)
            self._connection = rows.open_rows(path, pages_max)
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"{path}: {error}") from error
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._overdue: deque[_Job[Any]] = deque()
        self.last_error = ""
        self.do_later(rows.recover)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    async def do(self, work: Work[_R]) -> _R:
        """Do something in a transaction; when this returns it is on disk.

        Raises:
            SpoolError: It is not, and will not be.
        """
        future: asyncio.Future[_R] = self._loop.create_future()
        self._jobs.put(_Job(work, future))
        return await future

    def do_later(self, work: Work[Any]) -> None:
        """Do something soon. If the disk is full it is done when there is room again.

        What is lost by a crash before that must not matter.
        """
        self._jobs.put(_Job(work, None))

    async def close(self) -> None:
        """Finish what was handed in, and close the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)
        self._connection.close()
        self._lock.close()

    def _run(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = self._next_batch()
            overdue = [self._overdue.popleft() for _ in range(len(self._overdue))]
            jobs = [*overdue, *batch]
            if jobs and not self._commit(jobs):
                # One that does not fit must not take the others with it.
                for job in jobs:
                    self._commit([job], is_alone=True)

    def _next_batch(self) -> tuple[list[_Job[Any]], bool]:
        """All that waits, at least one; and whether more may come."""
        batch: list[_Job[Any]] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == BATCH_MAX or self._jobs.empty():
                return batch, True
            job = self._jobs.get()
        return batch, False

    def _commit(self, jobs: list[_Job[Any]], is_alone: bool = False) -> bool:
        """Do operations in one transaction.

        Args:
            jobs: The operations.
            is_alone: If it fails, it has failed; else it is to be tried alone.

        Returns:
            Whether it is done with.
        """
        connection = self._connection
        try:
            connection.execute("begin immediate")
            results = [job.work(connection) for job in jobs]
            connection.execute("commit")
        except Exception as error:  # of whatever kind: all others need this thread
            self._roll_back()
            self.last_error = str(error)
            if is_alone or len(jobs) == 1:
                self._fail(jobs[0], error)
            return is_alone or len(jobs) == 1
        self._tell([(job.future, result) for job, result in zip(jobs, results, strict=True)])
        return True

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):  # then it is still open, and the next one rolls back
                self._connection.execute("rollback")

    def _fail(self, job: _Job[Any], error: Exception) -> None:
        if job.future is None:
            if isinstance(error, sqlite3.Error):  # else it would fail the same way for ever
                self._overdue.append(job)
            return
        failure = SpoolError(str(error))
        self._loop.call_soon_threadsafe(_set_failure, job.future, failure)

    def _tell(self, results: "list[tuple[asyncio.Future[Any] | None, Any]]") -> None:
        heard = [(future, result) for future, result in results if future is not None]
        if heard:
            self._loop.call_soon_threadsafe(_set_results, heard)


def _set_results(results: "list[tuple[asyncio.Future[Any], Any]]") -> None:
    for future, result in results:
        if not future.done():
            future.set_result(result)


def _set_failure(future: "asyncio.Future[Any]", failure: SpoolError) -> None:
    if not future.done():
        future.set_exception(failure)
