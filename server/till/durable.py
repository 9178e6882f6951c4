"""One way for every durable call: look up, decide, commit; repeat what the first answer was.

A lost account version means: look up and decide again; after two losses the call goes alone under
the account's lock. A taken key means: answer what the key stands for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from msgspec import Struct

from rewards.commit import BudgetUse, Commit
from rewards.journal import AlreadyPostedError
from rewards.refusal import Reason, Refusal
from server.budgets import Desk
from server.lookups import Seen, Wanted, seen_by
from server.pipeline import Committed, Fate, LeaseClosed, Pipeline, VersionLost
from server.store.commits import KeysTakenError, LeaseClosedError, PartlyLostError
from server.store.database import Found, PoisonError, RetryError
from server.store.facts import (
    AnyConnection,
    KnownKey,
    read_keys,
    read_owners,
)
from server.till.context import Context

ROUNDS_TOGETHER = 2
ROUNDS_MAX = 8
NOT_WRITTEN = (Reason.DEADLINE_PASSED, Reason.TOO_MANY_IN_FLIGHT)
"""Why a commit is refused of which nothing was written for certain."""


class Decided(Struct, frozen=True):
    """What an operation wants written (None: nothing) and the answer to give once it is."""

    commit: Commit | None
    answer: bytes


class Operation(Protocol):
    """A durable call after its request was read."""

    wanted: Wanted
    """What it looks up; the first key is its own."""

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """Answer for a key that exists: the first answer, or a Refusal."""

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Decide; raises Refusal."""


Run = Callable[[Context, Operation, float], Awaitable[bytes]]
"""What carries an operation out, as `run_durable` does."""


async def run_durable(context: Context, operation: Operation, deadline_s: float) -> bytes:
    """Carry an operation out.

    Args:
        context: ports.
        operation: what to do.
        deadline_s: the loop's time past which nothing is written.

    Raises:
        Refusal: the operation's own, DEADLINE_PASSED, RESULT_UNKNOWN, ...
    """
    own_key_id = operation.wanted.key_ids[0]
    lost = 0
    for rounds_left in reversed(range(ROUNDS_MAX)):
        seen = await look_up_in_time(context, operation.wanted, deadline_s)
        known = seen.keys.get(own_key_id)
        if known is not None:
            return await operation.settled(known, seen, deadline_s)
        try:
            decided = await operation.decide(seen, deadline_s)
        except (Refusal, AlreadyPostedError) as error:
            # What decisions read later than the keys may be what another copy has left behind, or
            # what is left of an account that a merge has emptied.
            now = await look_up_in_time(context, operation.wanted, deadline_s)
            known = now.keys.get(own_key_id)
            if known is not None:
                return await operation.settled(known, now, deadline_s)
            has_changed = _account_of(now) != _account_of(seen) and rounds_left
            if has_changed or isinstance(error, AlreadyPostedError):
                continue
            raise
        if decided.commit is None:
            return decided.answer
        if lost < ROUNDS_TOGETHER:
            pipeline = context.patient if operation.wanted.can_wait else context.pipeline
            if decided.commit.budget_uses:
                fate = await _with_budgets(context, pipeline, decided.commit, deadline_s)
            else:
                fate = await pipeline.submit(decided.commit, deadline_s)
        else:
            context.budgets.settle(decided.commit.budget_uses, was_written=False)
            account_ids = _accounts_of(decided.commit)
            try:
                return await _run_alone(context, operation, account_ids, deadline_s)
            except PartlyLostError:
                # It was decided on others than were locked: a merge moved the customer.
                continue
        if isinstance(fate, Committed):
            return decided.answer
        lost += isinstance(fate, VersionLost)
    raise Refusal(Reason.STORE_UNAVAILABLE, "the receipt's keys and account keep changing")


async def _with_budgets(
    context: Context, pipeline: Pipeline, commit: Commit, deadline_s: float
) -> Fate:
    """Write a commit with a batch; what it took of budgets is there again if it was not."""
    was_written = True  # or may be, where its fate is not known
    try:
        fate = await pipeline.submit(commit, deadline_s)
        was_written = not isinstance(fate, VersionLost)
        if isinstance(fate, LeaseClosed):
            context.budgets.doubt(commit.budget_uses)
        return fate
    except Refusal as refusal:
        was_written = refusal.reason not in NOT_WRITTEN
        raise
    finally:
        context.budgets.settle(commit.budget_uses, was_written)


def _account_of(seen: Seen) -> tuple[int, int]:
    """The customer's account and its version."""
    if seen.customer is None:
        return 0, 0
    facts = seen.customer.facts
    return facts.account_id, facts.account_version


def _accounts_of(commit: Commit) -> list[int]:
    return sorted(one.account_id for one in commit.accounts)


async def look_up_in_time(context: Context, wanted: Wanted, deadline_s: float) -> Seen:
    """Look up before the deadline.

    Raises:
        Refusal: DEADLINE_PASSED; nothing is recorded.
    """
    try:
        return await context.lookups.look_up(wanted, deadline_s)
    except TimeoutError:
        raise _no_time() from None


def _no_time() -> Refusal:
    text = "no time was left before the write; nothing is recorded"
    return Refusal(Reason.DEADLINE_PASSED, text)


async def _run_alone(
    context: Context, operation: Operation, account_ids: list[int], deadline_s: float
) -> bytes:
    """Decide while the account is locked. Shielded: the caller's end does not reach the write."""
    taken = _Taken(context.budgets)
    work = asyncio.ensure_future(_alone(context, operation, account_ids, deadline_s, taken))
    try:
        async with asyncio.timeout_at(deadline_s):
            return await asyncio.shield(work)
    except TimeoutError:
        work.add_done_callback(_swallow)
        if not taken.may_be_written:
            # It waits for the lock, and decides nothing when it has it after the deadline.
            raise _no_time() from None
        text = "the write was sent, its fate is not known: ask again with the same key"
        raise Refusal(Reason.RESULT_UNKNOWN, text) from None


class _Taken:
    """What a commit that goes alone took of budgets; there again unless it may be written.

    Attributes:
        may_be_written: a commit was decided, and has been written or may be.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.uses: tuple[BudgetUse, ...] = ()
        self.may_be_written = False

    def __enter__(self) -> None:
        self.uses = ()
        self.may_be_written = False

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, LeaseClosedError):
            self._desk.doubt(self.uses)
        refused = isinstance(error, PartlyLostError | PoisonError) or (
            isinstance(error, RetryError) and not error.fate_unknown
        )
        passed = isinstance(error, Refusal) and error.reason in NOT_WRITTEN
        self._desk.settle(self.uses, was_written=not (refused or passed))
        self.may_be_written = self.may_be_written and not refused


class _NothingToWriteError(Exception):
    """Ends the transaction of a call that goes alone: all is done already, this is the answer."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("there is nothing left to write")
        self.answer = answer


async def _alone(
    context: Context,
    operation: Operation,
    account_ids: list[int],
    deadline_s: float,
    taken: _Taken,
) -> bytes:
    answer = b""

    async def decide(connection: AnyConnection) -> Commit:
        nonlocal answer
        seen = await _read_now(connection, operation.wanted)
        own_key_id = operation.wanted.key_ids[0]
        if own_key_id in seen.keys:
            # Another copy of the call was first while this one waited for the lock.
            raise KeysTakenError(frozenset({own_key_id}))
        decided = await operation.decide(seen, deadline_s)
        if decided.commit is None:
            # What came in between has settled it.
            raise _NothingToWriteError(decided.answer)
        taken.uses = decided.commit.budget_uses
        if asyncio.get_running_loop().time() >= deadline_s:
            raise _no_time()
        answer, taken.may_be_written = decided.answer, True
        return decided.commit

    while True:
        try:
            with taken:
                await context.database.write_alone(account_ids, decide)
            return answer
        except _NothingToWriteError as nothing:
            return nothing.answer
        except LeaseClosedError:
            continue
        except KeysTakenError:
            seen = await look_up_in_time(context, operation.wanted, deadline_s)
            known = seen.keys.get(operation.wanted.key_ids[0])
            if known is not None:
                return await operation.settled(known, seen, deadline_s)
        except RetryError as error:
            if error.fate_unknown:
                text = "the write was sent, its fate is not known: ask again with the same key"
                raise Refusal(Reason.RESULT_UNKNOWN, text) from error
            await context.database.recover()
        except PoisonError as error:
            raise Refusal(Reason.INTERNAL, "the server made what cannot be stored") from error


async def _read_now(connection: AnyConnection, wanted: Wanted) -> Seen:
    """Look up on a connection that holds the account."""
    keys = await read_keys(connection, wanted.key_ids)
    identifiers, customers = await read_owners(connection, wanted.identifier_hashes)
    return seen_by(wanted, Found(keys, identifiers, customers))


def _swallow(work: "asyncio.Future[bytes]") -> None:
    """Take note of an end that nobody waits for any more."""
    if not work.cancelled():
        work.exception()
