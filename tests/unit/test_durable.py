"""Goal: a copy of a call gets the first answer, whatever it reads while the other is written.

Method: an operation that decides on a state in which the other copy has been committed already,
although the look-up of its key, a moment before, did not see it.

And: a batch of what nobody waits for keeps no till waiting; under the account's lock a call may
find that nothing is left to write; whose time is up before it had the lock has written nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from rewards.commit import AccountChange, Commit, CommitKey, KeyKind
from rewards.journal import AlreadyPostedError
from rewards.ledger import transfer_id_of
from rewards.refusal import Reason, Refusal
from server.budgets import Desk
from server.lookups import Seen, Wanted
from server.pipeline import Pipeline
from server.store.commits import WrittenBatch
from server.store.database import Database
from server.store.facts import KnownCustomer, KnownKey
from server.till.context import Context
from server.till.durable import ROUNDS_TOGETHER, Decided, run_durable
from tests import make
from tests.unit.virtual_time import run_virtually, virtual_loop

KEY_ID = make.key_id()
FIRST = b"the first answer"


class _Lookups:
    """Sees the key from the second look on, if it is there at all."""

    def __init__(self, is_committed: bool) -> None:
        self._is_committed = is_committed
        self._looks = 0

    async def look_up(self, wanted: Wanted, deadline_s: float) -> Seen:
        """Give what is seen."""
        self._looks += 1
        if self._is_committed and self._looks > 1:
            return Seen({KEY_ID: KnownKey(1, b"", 0, 0)}, None)
        return Seen({}, None)


class _Operation:
    """Cannot decide."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.wanted = Wanted((KEY_ID,), ())

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """Give the first answer."""
        return FIRST

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Fail."""
        raise self._error


class _Context:
    def __init__(self, is_committed: bool) -> None:
        self.lookups = _Lookups(is_committed)


def _run(error: Exception, is_committed: bool) -> bytes:
    context = cast("Context", cast("Any", _Context(is_committed)))
    return asyncio.run(run_durable(context, _Operation(error), 0.0))


ERRORS = [
    Refusal(Reason.SPEND_NOT_POSSIBLE, "the other copy has spent it"),
    AlreadyPostedError(transfer_id_of(KEY_ID, 0)),
]


@pytest.mark.parametrize("error", ERRORS, ids=["refusal", "lot"])
def test_what_the_other_copy_left_behind_is_no_refusal(error: Exception) -> None:
    """The other copy's answer is given."""
    assert _run(error, is_committed=True) == FIRST


def test_a_refusal_stands_where_nothing_is_committed() -> None:
    """Nothing is there: the refusal is the call's own."""
    with pytest.raises(Refusal, match="spent it"):
        _run(ERRORS[0], is_committed=False)


class _MovingLookups:
    """Sees the customer on an account that changes with each of the first looks."""

    def __init__(self, changes: int) -> None:
        self._changes = changes
        self.looks = 0

    async def look_up(self, wanted: Wanted, deadline_s: float) -> Seen:
        """Give what is seen."""
        version = min(self.looks, self._changes)
        self.looks += 1
        facts = make.customer(account_id=7, account_version=version)
        return Seen({}, KnownCustomer(facts, {}))


class _Spending(_Operation):
    """Is refused on every version of the account but one."""

    def __init__(self, possible_at: int) -> None:
        super().__init__(ERRORS[0])
        self._possible_at = possible_at

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Spend what is there."""
        assert seen.customer is not None
        if seen.customer.facts.account_version == self._possible_at:
            return Decided(None, b"spent")
        return await super().decide(seen, deadline_s)


def _spend(changes: int, possible_at: int) -> tuple[bytes, int]:
    context: Any = _Context(is_committed=False)
    context.lookups = _MovingLookups(changes)
    return asyncio.run(run_durable(context, _Spending(possible_at), 0.0)), context.lookups.looks


def test_a_refusal_does_not_stand_on_an_account_that_has_changed_meanwhile() -> None:
    """A merge may have emptied it between the look-up and what the decision read."""
    assert _spend(changes=2, possible_at=2) == (b"spent", 3)
    assert _spend(changes=3, possible_at=2) == (b"spent", 3)


@pytest.mark.parametrize("changes", [0, 1, 2, 1_000])
def test_it_does_stand_once_the_account_stays_or_keeps_changing(changes: int) -> None:
    """Not for ever."""
    with pytest.raises(Refusal, match="spent it"):
        _spend(changes, possible_at=-1)


WRITTEN_S = 5.0


class _Store:
    """Takes its time for each batch."""

    async def write(self, batch: Sequence[Commit]) -> WrittenBatch:
        """Write it at last."""
        await asyncio.sleep(WRITTEN_S)
        return WrittenBatch(tuple(range(len(batch))), ())

    async def known_keys(self, key_ids: Sequence[bytes]) -> dict[bytes, KnownKey]:
        """Know nothing."""
        return {}

    async def recover(self) -> None:
        """Be there."""


class _Sale:
    """Writes a commit under a key."""

    def __init__(self, name: str, can_wait: bool) -> None:
        self._key_id = make.key_id(name)
        self.wanted = Wanted((self._key_id,), (), can_wait=can_wait)

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """Give the first answer."""
        return FIRST

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Want a key written."""
        keys = (CommitKey(self._key_id, KeyKind.CHECKOUT, b""),)
        return Decided(Commit(keys, effective_at_us=0, recorded_at_us=0), self._key_id)


class _Writing(_Context):
    """A context that writes."""

    def __init__(self) -> None:
        super().__init__(is_committed=False)
        self.pipeline, self.patient = Pipeline(_Store()), Pipeline(_Store())
        self.pipeline.start()
        self.patient.start()


def test_a_till_does_not_wait_for_a_batch_that_nobody_waits_for() -> None:
    """Both take as long as their own batch, though the one is in flight when the other comes."""

    async def run() -> list[float]:
        context, loop = cast("Any", _Writing()), virtual_loop()

        async def written_at_s(name: str, can_wait: bool) -> float:
            sale = _Sale(name, can_wait)
            assert await run_durable(context, sale, loop.time() + 60.0) == make.key_id(name)
            return loop.time()

        forwarded = asyncio.create_task(written_at_s("forwarded", can_wait=True))
        await asyncio.sleep(WRITTEN_S / 2)
        began_s = loop.time()
        found = [await written_at_s("live", can_wait=False) - began_s, await forwarded - began_s]
        await context.pipeline.drain()
        await context.patient.drain()
        return found

    assert run_virtually(run) == pytest.approx([WRITTEN_S, WRITTEN_S / 2])


ACCOUNT_ID = 7
ALREADY = b"settled already"


class _Losing(_Store):
    """Another process is always a version ahead."""

    async def write(self, batch: Sequence[Commit]) -> WrittenBatch:
        """Lose it all."""
        return WrittenBatch((), tuple(range(len(batch))))


class _Overtaken(_Sale):
    """Wants something written until its account is locked; then another has settled it."""

    def __init__(self) -> None:
        super().__init__("overtaken", can_wait=False)
        self.decided = 0

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Want nothing written once it goes alone."""
        self.decided += 1
        if self.decided > ROUNDS_TOGETHER + 1:
            return Decided(None, ALREADY)
        decided = await super().decide(seen, deadline_s)
        assert decided.commit is not None
        change = AccountChange(ACCOUNT_ID, 0)
        return replace(decided, commit=replace(decided.commit, accounts=(change,)))


class _Connection:
    """Finds nothing, and says what becomes of its transaction."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def acquire(self) -> Any:
        """As a pool of one."""
        return self._acquired()

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator["_Connection"]:
        yield self

    def transaction(self) -> "_Connection":
        """Be the transaction as well."""
        return self

    async def start(self) -> None:
        self.told.append("start")

    async def commit(self) -> None:
        self.told.append("commit")

    async def rollback(self) -> None:
        self.told.append("rollback")

    async def fetch(self, query: str, *arguments: object) -> list[object]:
        return []

    async def fetchrow(self, query: str, *arguments: object) -> None:
        return None


def test_what_is_settled_by_the_time_of_the_lock_is_answered_and_not_written() -> None:
    async def run() -> tuple[bytes, list[str]]:
        context, connection = cast("Any", _Context(is_committed=False)), _Connection()
        context.pipeline = Pipeline(_Losing())
        context.pipeline.start()
        context.budgets = Desk(cast("Any", None), lambda: 0, bytes)
        context.database = Database("", Path(), "test")
        context.database._pool = connection
        answer = await run_durable(context, _Overtaken(), asyncio.get_running_loop().time() + 60.0)
        await context.pipeline.drain()
        return answer, connection.told

    assert run_virtually(run) == (ALREADY, ["start", "rollback"])


class _Contended(_Sale):
    """Changes an account that somebody else is always a version ahead on."""

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Want it changed."""
        decided = await super().decide(seen, deadline_s)
        assert decided.commit is not None
        change = AccountChange(ACCOUNT_ID, 0)
        return replace(decided, commit=replace(decided.commit, accounts=(change,)))


class _Locked:
    """A database whose lock, and then whose write, takes its time."""

    def __init__(self, lock_s: float, write_s: float) -> None:
        self._lock_s, self._write_s = lock_s, write_s
        self.written: list[Commit] = []
        self.refused: list[Reason] = []

    async def write_alone(self, account_ids: object, decide: Any) -> None:
        """Lock, decide, write."""
        await asyncio.sleep(self._lock_s)
        try:
            commit = await decide(_Connection())
        except Refusal as refusal:
            self.refused.append(refusal.reason)
            raise
        await asyncio.sleep(self._write_s)
        self.written.append(commit)


@pytest.mark.parametrize(
    ("lock_s", "write_s", "reason", "is_written"),
    [
        (100.0, 0.0, Reason.DEADLINE_PASSED, False),
        (60.0, 0.0, Reason.DEADLINE_PASSED, False),
        (1.0, 100.0, Reason.RESULT_UNKNOWN, True),
    ],
)
def test_whose_time_is_up_before_the_lock_is_had_writes_nothing(
    lock_s: float, write_s: float, reason: Reason, is_written: bool
) -> None:
    async def run() -> tuple[Reason, _Locked]:
        context, database = cast("Any", _Context(is_committed=False)), _Locked(lock_s, write_s)
        context.pipeline = Pipeline(_Losing())
        context.pipeline.start()
        context.budgets = Desk(cast("Any", None), lambda: 0, bytes)
        context.database = database
        until_s = asyncio.get_running_loop().time() + 60.0
        with pytest.raises(Refusal) as refused:
            await run_durable(context, _Contended("contended", can_wait=False), until_s)
        await asyncio.sleep(300.0)
        await context.pipeline.drain()
        return refused.value.reason, database

    told, database = run_virtually(run)
    assert told is reason
    assert bool(database.written) is is_written
    assert database.refused == ([] if is_written else [Reason.DEADLINE_PASSED])
