"""Writes a batch of commits in one transaction: all rows of the winners, nothing of the others.

Accounts come first, sorted, so that no two batches wait for each other in a circle; then
everything else for those whose account version still held. Source: DESIGN section 9.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from rewards.birthday import BIRTH_DATE_FIELD, birth_day_of
from rewards.commit import Commit, StoredReceipt, account_changes_of, having
from rewards.ledger import Movement, Posting
from rewards.rounding import floor_div
from server.store import (
    account_changes,
    budgets,
    forwarded,
    instruments,
    membership,
    outbox,
    quarantine,
    refunds,
    transfers,
    turnover,
)
from server.store.pool import Connection, PooledConnection, append_rows

DAY_US = 86_400_000_000

LOCK_ACCOUNTS = """
update account a
   set version = a.version + 1,
       purchases = greatest(0, a.purchases + expected.purchases),
       last_purchase_day = case when expected.last_day < 0 then a.last_purchase_day
                                else expected.last_day end
  from unnest($1::bigint[], $2::bigint[], $3::integer[], $4::integer[])
    as expected (account_id, version, purchases, last_day)
 where a.account_id = expected.account_id
   and a.version = expected.version
returning a.account_id
"""

INSERT_KEYS = """
insert into commit_key (key_id, kind, fingerprint, account_id, day)
select * from unnest($1::bytea[], $2::smallint[], $3::bytea[], $4::bigint[], $5::integer[])
on conflict do nothing
returning key_id
"""

RECEIPT_COLUMNS = (*StoredReceipt.__struct_fields__, "account_id", "day", "recorded_at_us")

POSTING_COLUMNS = (
    "account_id", *Posting.__struct_fields__, "effective_at_us", "recorded_at_us"
)  # fmt: skip

LOT_COLUMNS = (
    "account_id",
    "lot_id",
    "asset_code",
    "granted_minor",
    "remaining_minor",
    "active_from_us",
    "expires_at_us",
    "kind",
    "promotion_id",
    "funding",
    "book",
)

INSERT_EXCEPTIONS = """
insert into checkout_exception (key_id, ordinal, account_id, kind, detail, recorded_at_us)
select * from unnest($1::bytea[], $2::smallint[], $3::bigint[], $4::smallint[], $5::text[],
                     $6::bigint[])
"""

INSERT_ANSWERS = """
insert into profile_answer (account_id, customer_id, field_code, answered_at_us, value, channel,
                            key_id, cashier_id)
select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[],
                     $6::smallint[], $7::bytea[], $8::text[])
"""

CHANGE_FIELD_STATES = """
update customer c
   set field_state = c.field_state || change.field_state,
       birth_day = coalesce(change.birth_day, c.birth_day)
  from (select account_id, customer_id,
               jsonb_object_agg(field_code, jsonb_build_array(answered_at_us, kept)) as field_state,
               max(birth_day) as birth_day
          from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[],
                      $6::smallint[])
            as answer (account_id, customer_id, field_code, answered_at_us, kept, birth_day)
         group by account_id, customer_id) as change
 where c.account_id = change.account_id
   and c.customer_id = change.customer_id
"""

HOT_STATEMENTS = {
    "LOCK_ACCOUNTS": LOCK_ACCOUNTS,
    "INSERT_KEYS": INSERT_KEYS,
    "INSERT_EXCEPTIONS": INSERT_EXCEPTIONS,
    "INSERT_ANSWERS": INSERT_ANSWERS,
    "CHANGE_FIELD_STATES": CHANGE_FIELD_STATES,
    **account_changes.HOT_STATEMENTS,
    **budgets.HOT_STATEMENTS,
    **membership.HOT_STATEMENTS,
    **instruments.WRITE_STATEMENTS,
    **turnover.WRITE_STATEMENTS,
    **transfers.WRITE_STATEMENTS,
    **forwarded.WRITE_STATEMENTS,
    **quarantine.WRITE_STATEMENTS,
    **outbox.WRITE_STATEMENTS,
}
"""What the commit pipeline runs beside COPY; a test explains each on a million rows without
statistics."""

AnyConnection = Connection | PooledConnection

_EXPECTED = attrgetter("account_id", "version", "purchases", "last_purchase_day")
_Placed = tuple[Commit, int, int]
"""A commit with its customer's account and its day of recording."""


class KeysTakenError(Exception):
    """Keys of the batch exist already; the transaction must be rolled back.

    Attributes:
        key_ids: all keys of the batch that were taken.
    """

    def __init__(self, key_ids: frozenset[bytes]) -> None:
        """Keep the keys."""
        super().__init__(f"{len(key_ids)} keys are taken")
        self.key_ids = key_ids


class PartlyLostError(Exception):
    """Some accounts of a commit had changed, others not; the transaction must be rolled back.

    Attributes:
        lost: positions of those commits in the batch.
    """

    def __init__(self, lost: frozenset[int]) -> None:
        """Keep the positions."""
        super().__init__(f"{len(lost)} commits lost one of their accounts")
        self.lost = lost


class LeaseClosedError(PartlyLostError):
    """Some commits use a lease that has been closed or used up; roll back as for a part lost."""


class WrittenBatch(Struct, frozen=True):
    """What became of a batch: positions of the commits that won and that lost their version."""

    won: tuple[int, ...]
    lost: tuple[int, ...]


async def write_batch(connection: AnyConnection, commits: Sequence[Commit]) -> WrittenBatch:
    """Write all rows of the commits that win, inside the caller's transaction.

    Args:
        connection: inside a transaction; the caller commits it.
        commits: at most one for each key and each account.

    Returns:
        Who won. Losers have left nothing behind.

    Raises:
        KeysTakenError: some keys exist; roll back and run without their commits.
        PartlyLostError: roll back and run without those commits.
        asyncpg.PostgresError: as PostgreSQL says; roll back.
    """
    winners = await _lock_accounts(connection, commits)
    won = _winners(commits, winners)
    chosen = [commits[n] for n in won]
    if chosen:
        await _use_leases(connection, chosen, won)
        placed = [(commit, commit.account_id, day_of(commit)) for commit in chosen]
        await _insert_keys(connection, placed)
        await _insert_receipts(connection, placed)
        await account_changes.open_accounts(connection, chosen)
        await instruments.write_instruments(connection, chosen)
        if taken := await membership.write_members(connection, chosen):
            raise KeysTakenError(taken)
        await _write_movements(connection, chosen)
        await account_changes.write_changes(connection, chosen)
        await turnover.write_turnover(connection, chosen)
        await transfers.write_transfers(connection, chosen)
        await outbox.write_messages(connection, chosen)
        await budgets.write_uses(connection, chosen)
        await refunds.write_returns(connection, chosen)
        await forwarded.write_forwarded(connection, chosen)
        if taken := await quarantine.write_quarantined(connection, chosen):
            raise KeysTakenError(taken)
        await _insert_exceptions(connection, chosen)
        await _insert_answers(connection, chosen)
    lost = {*range(len(commits))}.difference(won)
    return WrittenBatch(won, tuple(sorted(lost)))


def _winners(commits: Sequence[Commit], locked: set[int]) -> tuple[int, ...]:
    """Positions of the commits all of whose accounts were as they were decided on.

    Raises:
        PartlyLostError: of some commits only a part was.
    """
    if len(locked) == len(account_changes_of(commits)):
        return tuple(range(len(commits)))
    held = [[change.account_id in locked for change in commit.accounts] for commit in commits]
    partly = frozenset(n for n, own in enumerate(held) if any(own) and not all(own))
    if partly:
        raise PartlyLostError(partly)
    return tuple(n for n, own in enumerate(held) if all(own))


async def _use_leases(
    connection: AnyConnection, chosen: Sequence[Commit], won: Sequence[int]
) -> None:
    closed = await budgets.use_leases(connection, chosen)
    if closed:
        raise LeaseClosedError(frozenset(won[n] for n in closed))


async def _lock_accounts(connection: AnyConnection, commits: Sequence[Commit]) -> set[int]:
    expected = sorted(map(_EXPECTED, account_changes_of(commits)))
    if not expected:
        return set()
    rows = await connection.fetch(LOCK_ACCOUNTS, *zip(*expected, strict=True))
    return {row[0] for row in rows}


async def _insert_keys(connection: AnyConnection, placed: Sequence[_Placed]) -> None:
    rows = [
        (key.key_id, key.kind, key.fingerprint, account_id, day)
        for commit, account_id, day in placed
        for key in commit.keys
    ]
    if not rows:
        return
    inserted = await connection.fetch(INSERT_KEYS, *zip(*sorted(rows), strict=True))
    if len(inserted) < len(rows):
        new = {row[0] for row in inserted}
        raise KeysTakenError(frozenset(row[0] for row in rows if row[0] not in new))


async def _insert_receipts(connection: AnyConnection, placed: Sequence[_Placed]) -> None:
    rows = [
        (*astuple(commit.receipt), account_id, day, commit.recorded_at_us)
        for commit, account_id, day in placed
        if commit.receipt is not None
    ]
    await append_rows(connection, "receipt", RECEIPT_COLUMNS, rows)


async def _write_movements(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    moving = [
        (commit, account_id, movement)
        for commit in commits
        for account_id, movement in commit.moved()
        if movement.postings
    ]
    if not moving:
        return
    await append_rows(connection, "posting", POSTING_COLUMNS, _posting_rows(moving))
    await append_rows(connection, "lot", LOT_COLUMNS, _lot_rows(moving))
    balances = [
        (account_id, change.asset_code, change.amount_minor, change.debt_minor)
        for _, account_id, movement in moving
        for change in movement.balance_changes
    ]
    await account_changes.change_balances(connection, sorted(balances))
    changes = [
        (account_id, change.transfer_id, change.lot_id, change.change_minor)
        for _, account_id, movement in moving
        for change in movement.lot_changes
    ]
    await account_changes.change_lots(connection, changes)


_Moving = tuple[Commit, int, Movement]


def _posting_rows(moving: Iterable[_Moving]) -> list[tuple[object, ...]]:
    return [
        (account_id, *astuple(posting), commit.effective_at_us, commit.recorded_at_us)
        for commit, account_id, movement in moving
        for posting in movement.postings
    ]


def _lot_rows(moving: Iterable[_Moving]) -> list[tuple[object, ...]]:
    return [
        (
            account_id,
            lot.lot_id,
            lot.asset_code,
            lot.granted_minor,
            lot.granted_minor,
            lot.active_from_us,
            lot.expires_at_us,
            lot.kind,
            lot.promotion_id,
            msgspec.json.encode(lot.funding).decode() if lot.funding else None,
            lot.book,
        )
        for _, account_id, movement in moving
        for lot in movement.lots
    ]


async def _insert_exceptions(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    rows = [
        (
            commit.keys[0].key_id,
            ordinal,
            commit.account_id,
            entry.kind,
            entry.detail,
            commit.recorded_at_us,
        )
        for commit in having(commits, "exceptions")
        for ordinal, entry in enumerate(commit.exceptions)
    ]
    await _run(connection, INSERT_EXCEPTIONS, rows)


async def _insert_answers(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    answered = [
        (commit, answer) for commit in having(commits, "answers") for answer in commit.answers
    ]
    rows = [
        (
            commit.account_id,
            answer.customer_id,
            answer.field_code,
            commit.effective_at_us,
            answer.value,
            answer.channel,
            commit.keys[0].key_id,
            answer.cashier_id,
        )
        for commit, answer in answered
    ]
    await _run(connection, INSERT_ANSWERS, rows)
    states = [
        (
            commit.account_id,
            answer.customer_id,
            answer.field_code,
            commit.effective_at_us,
            answer.kept_value,
            birth_day_of(answer.value) if answer.field_code == BIRTH_DATE_FIELD else None,
        )
        for commit, answer in answered
    ]
    await _run(connection, CHANGE_FIELD_STATES, states)


async def _run(
    connection: AnyConnection, statement: str, rows: Sequence[tuple[object, ...]]
) -> None:
    if rows:
        await connection.fetch(statement, *zip(*rows, strict=True))


def day_of(commit: Commit) -> int:
    """Day of recording, days since 1970-01-01 UTC: it names the partition of the receipt."""
    return floor_div(commit.recorded_at_us, DAY_US)
