"""The commit pipeline: dynamic batches, each durable before anybody is answered.

Whatever queued while the last batch was in flight goes next; there is no timer when idle. A batch
holds at most one commit for each key and each account. Source: DESIGN section 9.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol

import structlog
from msgspec import Struct

from rewards.commit import Commit
from rewards.refusal import Reason, Refusal
from server.deadlines import Deadlines
from server.gathering import Pace
from server.store.commits import (
    KeysTakenError,
    LeaseClosedError,
    PartlyLostError,
    WrittenBatch,
)
from server.store.database import PoisonError, RetryError
from server.store.facts import KnownKey

BATCH_COMMITS_MAX = 256
BATCH_ROWS_MAX = 8_192
QUEUE_MAX = 20_000
BATCHES_APART_S = 0.012
"""Under load; a batch of ENTRIES_ENOUGH or the first after a pause does not wait."""

_ACCOUNT_ID = attrgetter("account_id")
_COMMIT = attrgetter("commit")
_KEY_ID = attrgetter("key_id")
_MOVEMENT = attrgetter("movement")

_log = structlog.get_logger(__name__)


class Committed(Struct, frozen=True):
    """It is on disk."""


class VersionLost(Struct, frozen=True):
    """The account has changed since the decision: read and decide again."""


class LeaseClosed(VersionLost, frozen=True):
    """A lease of a budget has been closed since the decision: read and decide again."""


class KeysTaken(Struct, frozen=True):
    """Keys of this commit exist already: answer what they stand for."""

    key_ids: frozenset[bytes]


Fate = Committed | VersionLost | KeysTaken
COMMITTED = Committed()
VERSION_LOST = VersionLost()
LEASE_CLOSED = LeaseClosed()


class BatchStore(Protocol):
    """What the pipeline needs of the database."""

    async def write(self, batch: Sequence[Commit]) -> WrittenBatch:
        """Write a batch; see `server.store.database.Database.write`."""

    async def known_keys(self, key_ids: Sequence[bytes]) -> dict[bytes, KnownKey]:
        """Read which keys exist."""

    async def recover(self) -> None:
        """Wait until the next attempt makes sense."""


class _Entry(Struct, eq=False):
    """A commit on its way."""

    commit: Commit
    fate: "asyncio.Future[Fate]"
    deadline_s: float
    key_id: bytes
    rows: int
    writing: bool = False
    leader: "_Entry | None" = None
    followers: "list[_Entry]" = []

    def settle(self, fate: Fate) -> None:
        if not self.fate.done():
            self.fate.set_result(fate)

    def refuse(self, refusal: Refusal) -> None:
        if not self.fate.done():
            self.fate.set_exception(refusal)

    def expire(self) -> None:
        """The caller's time is up: say whether anything may have been written under the key."""
        if self.writing or (self.leader is not None and self.leader.writing):
            self.refuse(_unknown())
        else:
            text = "no time was left before the write; nothing is recorded"
            self.refuse(Refusal(Reason.DEADLINE_PASSED, text))


def _unknown() -> Refusal:
    text = "the write was sent, its fate is not known: ask again with the same key"
    return Refusal(Reason.RESULT_UNKNOWN, text)


class Pipeline:
    """Takes commits from all calls of this process and writes them in batches."""

    def __init__(self, store: BatchStore) -> None:
        """Start idle; `start` begins to work.

        Args:
            store: where batches go.
        """
        self._store = store
        self._queue: deque[_Entry] = deque()
        self._leaders: dict[bytes, _Entry] = {}
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._closing = False
        self._pace = Pace(BATCHES_APART_S)
        self._deadlines = Deadlines(_Entry.expire)

    def start(self) -> None:
        """Begin to write batches."""
        self._worker = asyncio.create_task(self._work(), name="commit-pipeline")

    async def drain(self) -> None:
        """Write what was taken, then stop."""
        self._closing = True
        self._wake.set()
        if self._worker is not None:
            await self._worker

    async def submit(self, commit: Commit, deadline_s: float) -> Fate:
        """Queue a commit and wait for its fate.

        A caller that is cancelled leaves the queue if its commit is not being written yet; a
        commit that is being written is written.

        Args:
            commit: what to write.
            deadline_s: the loop's time after which nothing is written.

        Raises:
            Refusal: DEADLINE_PASSED or TOO_MANY_IN_FLIGHT (nothing is recorded), RESULT_UNKNOWN,
                or INTERNAL for a commit that can never be stored.
        """
        if len(self._queue) >= QUEUE_MAX:
            metadata = {"max": str(QUEUE_MAX)}
            raise Refusal(Reason.TOO_MANY_IN_FLIGHT, "the commit queue is full", metadata)
        loop = asyncio.get_running_loop()
        fate: asyncio.Future[Fate] = loop.create_future()
        entry = _Entry(commit, fate, deadline_s, key_of(commit), rows_of(commit))
        self._deadlines.watch(entry, deadline_s)
        leader = self._leaders.get(entry.key_id)
        if leader is not None:
            entry.leader = leader
            leader.followers.append(entry)
        else:
            self._enqueue(entry)
        try:
            return await fate
        finally:
            self._deadlines.forget(entry)

    def _enqueue(self, entry: _Entry) -> None:
        self._leaders[entry.key_id] = entry
        self._queue.append(entry)
        self._wake.set()

    async def _work(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
            await self._pace.ready(lambda: len(self._queue))
            batch = self._take()
            if batch:
                await self._write(batch)

    def _take(self) -> list[_Entry]:
        """Take the next batch: one commit an account and a key at most; others keep their turn."""
        queue = self._queue
        batch: list[_Entry] = []
        busy: set[int | bytes] = set()
        waiting: list[_Entry] = []
        rows = 0
        now_s = asyncio.get_running_loop().time()
        while queue and len(batch) < BATCH_COMMITS_MAX and rows < BATCH_ROWS_MAX:
            entry = queue.popleft()
            if now_s >= entry.deadline_s:
                entry.expire()
            if entry.fate.done():
                self._release(entry, None)
                continue
            own = _kept_busy(entry.commit)
            if busy.isdisjoint(own):
                busy.update(own)
                batch.append(entry)
                rows += entry.rows
            else:
                waiting.append(entry)
        queue.extendleft(reversed(waiting))
        return batch

    async def _write(self, batch: list[_Entry]) -> None:
        """Write a batch until each of its commits has a fate, whatever happens."""
        for entry in batch:
            entry.writing = True
        try:
            await self._write_all(batch)
        except Exception as error:
            _log.exception("batch_failed", commits=len(batch))
            text = f"a fault of the server: {type(error).__name__}"
            left = [entry for entry in batch if self._leaders.get(entry.key_id) is entry]
            await self._part(left, Refusal(Reason.INTERNAL, text))

    async def _write_all(self, batch: list[_Entry]) -> None:
        while batch:
            try:
                written = await self._store.write(list(map(_COMMIT, batch)))
            except KeysTakenError as error:
                batch = self._settle_taken(batch, error.key_ids)
            except PartlyLostError as error:
                fate = LEASE_CLOSED if isinstance(error, LeaseClosedError) else VERSION_LOST
                batch = self._settle_partly_lost(batch, error.lost, fate)
            except PoisonError as error:
                if len(batch) == 1:
                    _log.error("poisoned_commit", key_id=batch[0].key_id.hex(), error=str(error))
                text = "the server made something that cannot be stored; nothing is recorded"
                await self._part(batch, Refusal(Reason.INTERNAL, text))
                return
            except RetryError as error:
                batch = await self._after_failure(batch, error)
            else:
                self._settle_written(batch, written)
                return

    def _settle_written(self, batch: Sequence[_Entry], written: WrittenBatch) -> None:
        for n in written.lost:
            self._release(batch[n], VERSION_LOST)
        for n in written.won:
            self._release(batch[n], COMMITTED)

    def _settle_taken(self, batch: Sequence[_Entry], taken: frozenset[bytes]) -> list[_Entry]:
        """Settle the commits whose keys exist; give the others."""
        rest = []
        for entry in batch:
            own = frozenset(key.key_id for key in entry.commit.keys) & taken
            if own:
                self._release(entry, KeysTaken(own))
            else:
                rest.append(entry)
        assert len(rest) < len(batch), "the taken keys are of this batch"
        return rest

    def _settle_partly_lost(
        self, batch: list[_Entry], lost: frozenset[int], fate: Fate
    ) -> list[_Entry]:
        """Settle the commits of which only a part would have won; give the others."""
        for n in lost:
            self._release(batch[n], fate)
        return [entry for n, entry in enumerate(batch) if n not in lost]

    async def _part(self, batch: list[_Entry], refusal: Refusal) -> None:
        """Halve a batch of which something cannot be written, until that one is alone."""
        if len(batch) <= 1:
            self._refuse_all(batch, refusal)
            return
        middle = len(batch) >> 1
        await self._write(batch[:middle])
        await self._write(batch[middle:])

    async def _after_failure(self, batch: list[_Entry], error: RetryError) -> list[_Entry]:
        """Wait for the database; drop who has gone; after an unknown COMMIT read the keys first."""
        _log.warning("batch_retried", commits=len(batch), error=str(error))
        if not error.fate_unknown:
            await self._store.recover()
            return self._still_wanted(batch)
        try:
            known = await self._known_keys(batch)
        except Exception:
            # Written or not: nobody may be told that it was not.
            self._refuse_all(batch, _unknown())
            raise
        rest = []
        for entry in batch:
            if entry.key_id in known:
                self._release(entry, KeysTaken(frozenset({entry.key_id})))
            else:
                rest.append(entry)
        return self._still_wanted(rest)

    async def _known_keys(self, batch: Sequence[_Entry]) -> dict[bytes, KnownKey]:
        """Read which keys of a batch exist, as soon as the database is there again."""
        while True:
            await self._store.recover()
            try:
                return await self._store.known_keys([entry.key_id for entry in batch])
            except RetryError:
                continue

    def _still_wanted(self, batch: Sequence[_Entry]) -> list[_Entry]:
        for entry in batch:
            if entry.fate.done():
                self._release(entry, None)
        return [entry for entry in batch if not entry.fate.done()]

    def _refuse_all(self, batch: Sequence[_Entry], refusal: Refusal) -> None:
        for entry in batch:
            if self._leaders.get(entry.key_id) is entry:
                entry.refuse(refusal)
                self._release(entry, None)

    def _release(self, entry: _Entry, fate: Fate | None) -> None:
        """Give an entry its fate, and those who wait for the same key theirs."""
        del self._leaders[entry.key_id]
        if fate is not None:
            entry.settle(fate)
        if not entry.followers:
            return
        followers = [follower for follower in entry.followers if not follower.fate.done()]
        entry.followers = []
        own_exists = isinstance(fate, Committed) or (
            isinstance(fate, KeysTaken) and entry.key_id in fate.key_ids
        )
        if own_exists:
            for follower in followers:
                follower.settle(KeysTaken(frozenset({entry.key_id})))
        elif followers:
            first, *others = followers
            first.leader = None
            self._enqueue(first)
            for other in others:
                other.leader = first
            first.followers = others


def key_of(commit: Commit) -> bytes:
    """By what a commit is known in the queue; one without a key stands for itself alone."""
    return commit.keys[0].key_id if commit.keys else id(commit).to_bytes(16, "big")


def rows_of(commit: Commit) -> int:
    """About how many rows a commit writes."""
    rows = 4 + len(commit.answers)
    for movement in map(_MOVEMENT, commit.accounts + commit.new_accounts):
        rows += 2 * len(movement.postings) + len(movement.lot_changes)
    return rows


def _kept_busy(commit: Commit) -> set[int | bytes]:
    """What a commit shares with no other of its batch: its keys and its account."""
    accounts = map(_ACCOUNT_ID, commit.accounts + commit.new_accounts)
    return {*map(_KEY_ID, commit.keys), *accounts}
