"""A database in memory that commits batches as the real one does, and fails where it is told to."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from enum import Enum

from rewards.commit import AccountChange, Commit
from server.store.commits import KeysTakenError, PartlyLostError, WrittenBatch
from server.store.database import PoisonError, RetryError
from server.store.facts import KnownKey


class Fault(Enum):
    """How a write fails."""

    NONE = "none"
    RETRY = "rolled back, run it again"
    UNKNOWN_LOST = "the connection broke at COMMIT, before it"
    UNKNOWN_DONE = "the connection broke at COMMIT, after it"
    BUG = "something nobody thought of"


class FakeStore:
    """Keys, account versions and commits.

    Attributes:
        faults: what happens to the next writes; then nothing does.
        poisoned: keys of commits that can never be stored.
        faulty: keys of commits at which the server itself fails.
        holding: writes wait while it is set.
        written: commits in the order in which they became durable.
        batches: what was asked to be written, in order.
        broken: batches that held two commits of one account.
    """

    def __init__(self) -> None:
        self.faults: deque[Fault] = deque()
        self.read_faults: deque[Exception] = deque()
        self.poisoned: set[bytes] = set()
        self.faulty: set[bytes] = set()
        self.written: list[Commit] = []
        self.batches: list[list[Commit]] = []
        self.in_flight: list[Commit] = []
        self.broken: list[list[Commit]] = []
        self.keys: dict[bytes, Commit | None] = {}
        self.versions: Counter[int] = Counter()
        self.recoveries = 0
        self.reads: list[list[bytes]] = []
        self.write_s = 0.01
        self.recover_s = 0.1
        self._free = asyncio.Event()
        self._free.set()

    def hold(self) -> None:
        """Let writes wait."""
        self._free.clear()

    def release(self) -> None:
        """Let them go on."""
        self._free.set()

    async def write(self, batch: Sequence[Commit]) -> WrittenBatch:
        """As `Database.write`: one transaction."""
        commits = list(batch)
        self.batches.append(commits)
        accounts = Counter(account_id for c in commits for account_id, _ in c.moved())
        if max(accounts.values(), default=1) > 1:
            self.broken.append(commits)
        self.in_flight = commits
        await asyncio.sleep(self.write_s)
        await self._free.wait()
        self.in_flight = []
        return self._transact(commits, self.faults.popleft() if self.faults else Fault.NONE)

    def _transact(self, commits: list[Commit], fault: Fault) -> WrittenBatch:
        if fault is Fault.RETRY:
            raise RetryError("rolled back", fate_unknown=False)
        if fault is Fault.BUG:
            raise LookupError("nobody thought of this")
        if any(key.key_id in self.faulty for commit in commits for key in commit.keys):
            raise AssertionError("one of them cannot be written")
        held = [[self._version_holds(change) for change in c.accounts] for c in commits]
        partly = frozenset(n for n, own in enumerate(held) if any(own) and not all(own))
        if partly:
            raise PartlyLostError(partly)
        won = [n for n, own in enumerate(held) if all(own)]
        self._check_keys([commits[n] for n in won])
        if any(key.key_id in self.poisoned for n in won for key in commits[n].keys):
            raise PoisonError("value out of range")
        if fault is Fault.UNKNOWN_LOST:
            raise RetryError("connection lost", fate_unknown=True)
        for n in won:
            self._store(commits[n])
        if fault is Fault.UNKNOWN_DONE:
            raise RetryError("connection lost", fate_unknown=True)
        lost = tuple(n for n in range(len(commits)) if n not in set(won))
        return WrittenBatch(tuple(won), lost)

    def _version_holds(self, change: AccountChange) -> bool:
        return change.version == self.versions[change.account_id]

    def _check_keys(self, commits: list[Commit]) -> None:
        """INSERT .. ON CONFLICT DO NOTHING RETURNING: a key that stands twice comes back once."""
        asked = [key.key_id for commit in commits for key in commit.keys]
        inserted = {key_id for key_id in asked if key_id not in self.keys}
        if len(inserted) < len(asked):
            raise KeysTakenError(frozenset(asked) - inserted)

    def _store(self, commit: Commit) -> None:
        self.written.append(commit)
        self.keys.update({key.key_id: commit for key in commit.keys})
        self.versions.update([change.account_id for change in commit.accounts])

    async def known_keys(self, key_ids: Sequence[bytes]) -> dict[bytes, KnownKey]:
        """As `Database.known_keys`."""
        self.reads.append(list(key_ids))
        await asyncio.sleep(self.write_s)
        if self.read_faults:
            raise self.read_faults.popleft()
        return {key_id: KnownKey(1, b"", 0, 0) for key_id in key_ids if key_id in self.keys}

    async def recover(self) -> None:
        """As `Database.recover`."""
        self.recoveries += 1
        await asyncio.sleep(self.recover_s)
