"""Reads postings for people: statements of an account, reports of a chain; closes its periods."""

import asyncpg
from msgspec import Struct

from rewards.report import Total
from server.instant import iso_instant
from server.store.database import Database
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

REPORT_TIMEOUT_S = 600.0
"""Reports and closing read the postings of a period, and may have to wait for a disk."""

# An account with those that were merged into it, as far as that was known.
_TREE = """
with recursive tree as (
    select account_id from account where account_id = $1
    union all
    select gone.account_id
      from account gone
      join tree on gone.merged_into = tree.account_id
     where gone.merged_into <> 0 and gone.merged_at_us <= $2
)"""

# What a merge moved within the tree sums to zero and is left out: its key is of kind 8.
SELECT_ENTRIES = f"""{_TREE},
entry as (
    select p.effective_at_us, p.transfer_id, p.asset_code,
           sum(p.amount_minor)::bigint as amount_minor,
           max(p.promotion_id) as promotion_id,
           max(p.recorded_at_us) as recorded_at_us
      from posting p
     where p.account_id = any(array(select account_id from tree))
       and p.book in (1, 6) and p.recorded_at_us <= $2
       and not exists (select from commit_key k
                        where k.key_id = substring(p.transfer_id from 1 for 16) and k.kind = 8)
     group by p.effective_at_us, p.transfer_id, p.asset_code
),
running as (
    select *, sum(amount_minor) over (partition by asset_code
                                      order by effective_at_us, transfer_id)::bigint
                as balance_minor
      from entry
)
select r.effective_at_us, r.recorded_at_us, r.transfer_id, r.asset_code, r.promotion_id,
       r.amount_minor, r.balance_minor, coalesce(k.kind, 0) as kind, coalesce(k.day, 0) as day
  from running r
  left join commit_key k on k.key_id = substring(r.transfer_id from 1 for 16)
 where r.effective_at_us >= $3 and r.effective_at_us < $4
   and (r.effective_at_us, r.transfer_id, r.asset_code) > ($5, $6, $7)
 order by r.effective_at_us, r.transfer_id, r.asset_code
 limit $8
"""

SELECT_BALANCES = f"""{_TREE}
select asset_code, sum(amount_minor)::bigint as amount_minor
  from posting
 where account_id = any(array(select account_id from tree))
   and book in (1, 6) and recorded_at_us <= $2 and effective_at_us <= $3
 group by asset_code
 order by asset_code
"""

SELECT_REQUEST = "select request from receipt where key_id = $1 and day = $2"

SELECT_PERIODS = """
select end_us, cut_tx, closed_at_us, closed_by
  from ledger_period
 where chain_id = $1
 order by end_us
"""

SELECT_STORED_TOTALS = """
select asset_code, book, party_id, sum(amount_minor) as amount_minor,
       sum(postings)::bigint as postings
  from ledger_period_total
 where chain_id = $1 and end_us > $2 and end_us <= $3
 group by asset_code, book, party_id
 order by asset_code, book, party_id
"""

# What is recorded before an instant, less what the closed period before it has. A posting of a
# transaction at or above the oldest running one waits: others of that age may still appear.
SELECT_TOTALS = """
select p.asset_code, p.book, p.party_id, sum(p.amount_minor) as amount_minor,
       count(*) as postings
  from posting p
  join account a on a.account_id = p.account_id
 where a.chain_id = $1
   and p.recorded_at_us < $2
   and p.recorded_tx < pg_snapshot_xmin(pg_current_snapshot())
   and not (p.recorded_at_us < $3 and p.recorded_tx < $4::xid8)
 group by p.asset_code, p.book, p.party_id
 order by p.asset_code, p.book, p.party_id
"""

LOCK_PERIODS = "lock table ledger_period in exclusive mode"

SELECT_LAST_PERIOD = """
select end_us, cut_tx from ledger_period where chain_id = $1 order by end_us desc limit 1
"""

INSERT_PERIOD = """
insert into ledger_period (chain_id, end_us, cut_tx, closed_at_us, closed_by)
values ($1, $2, pg_snapshot_xmin(pg_current_snapshot()), $3, $4)
"""

INSERT_TOTALS = f"""
insert into ledger_period_total (chain_id, end_us, asset_code, book, party_id, amount_minor,
                                 postings)
select $1, $2, asset_code, book, party_id, amount_minor, postings
  from ({SELECT_TOTALS}) as total
"""

COUNT_LEFT = """
select count(*)
  from posting p
  join account a on a.account_id = p.account_id
 where a.chain_id = $1
   and p.recorded_at_us < $2
   and p.recorded_tx >= pg_snapshot_xmin(pg_current_snapshot())
"""

SELECT_EXCEPTIONS = """
select e.key_id, e.ordinal, e.account_id, e.kind, e.detail, e.recorded_at_us
  from checkout_exception e
 where e.recorded_at_us >= $1 and e.recorded_at_us < $2
   and (e.recorded_at_us, e.key_id, e.ordinal) > ($3, $4, $5)
 order by e.recorded_at_us, e.key_id, e.ordinal
 limit $6
"""

HOT_STATEMENTS = {
    "SELECT_ENTRIES": SELECT_ENTRIES,
    "SELECT_BALANCES_AT": SELECT_BALANCES,
    "SELECT_REQUEST": SELECT_REQUEST,
}
"""What a customer's own look at the ledger runs; a test explains each on a million rows."""

NO_TX = "0"
EVERY_TX = str(2**64 - 1)


class Place(Struct, frozen=True):
    """Where a page of entries begins: after this one."""

    effective_at_us: int = -1
    transfer_id: bytes = b""
    asset_code: str = ""


class Entry(Struct, frozen=True):
    """What one transfer changed of an account in one asset, minor units.

    Attributes:
        balance_minor: of the asset after it, by the order of what counts when.
        kind: KeyKind of what caused it.
        day: where the receipt behind it stands.
    """

    effective_at_us: int
    recorded_at_us: int
    transfer_id: bytes
    asset_code: str
    promotion_id: str
    amount_minor: int
    balance_minor: int
    kind: int
    day: int


class Period(Struct, frozen=True):
    """A closed period of a chain: from the end of the one before to its own, not included."""

    end_us: int
    cut_tx: str
    closed_at_us: int
    closed_by: str


class ExceptionRow(Struct, frozen=True):
    """What could not be honoured of a fact; kind as ExceptionKind of the contract."""

    key_id: bytes
    ordinal: int
    account_id: int
    kind: int
    detail: str
    recorded_at_us: int


class PeriodOrderError(Exception):
    """A period ends where, or before, another one of the chain was closed.

    Attributes:
        last_end_us: end of the last closed period.
    """

    def __init__(self, last_end_us: int) -> None:
        """Keep the end."""
        super().__init__(f"the ledger is closed up to {iso_instant(last_end_us)}")
        self.last_end_us = last_end_us


async def read_entries(
    connection: AnyConnection,
    account_id: int,
    from_us: int,
    to_us: int,
    known_at_us: int,
    after: Place,
    limit: int,
) -> list[Entry]:
    """Read a page of what changed an account, by when it counts.

    What happened to accounts that were merged into it, before that, is told with it.

    Args:
        connection: any.
        account_id: whose.
        from_us: the first instant.
        to_us: the first instant after it all.
        known_at_us: what was recorded later is left out.
        after: where the page before ended.
        limit: at most so many.
    """
    rows = await connection.fetch(
        SELECT_ENTRIES,
        account_id,
        known_at_us,
        from_us,
        to_us,
        after.effective_at_us,
        after.transfer_id,
        after.asset_code,
        limit,
    )
    return [Entry(*row.values()) for row in rows]


async def read_balances_at(
    connection: AnyConnection, account_id: int, at_us: int, known_at_us: int
) -> dict[str, int]:
    """Read balances as they were at an instant, by what was recorded up to another one.

    Accounts that were merged into this one count with it, at every instant.
    """
    rows = await connection.fetch(SELECT_BALANCES, account_id, known_at_us, at_us)
    return {row["asset_code"]: row["amount_minor"] for row in rows}


async def read_request(connection: AnyConnection, key_id: bytes, day: int) -> bytes | None:
    """Read the stored request of a key; None if it has none."""
    found: bytes | None = await connection.fetchval(SELECT_REQUEST, key_id, day)
    return found


async def read_periods(connection: AnyConnection, chain_id: str) -> list[Period]:
    """List the closed periods of a chain, the first one first."""
    rows = await connection.fetch(SELECT_PERIODS, chain_id)
    return [
        Period(row["end_us"], str(row["cut_tx"]), row["closed_at_us"], row["closed_by"])
        for row in rows
    ]


async def read_stored_totals(
    connection: AnyConnection, chain_id: str, after_us: int, upto_us: int
) -> list[Total]:
    """Read what closed periods came to that end after one instant and not after another."""
    rows = await connection.fetch(SELECT_STORED_TOTALS, chain_id, after_us, upto_us)
    return [_total(row) for row in rows]


async def read_totals(
    connection: AnyConnection, chain_id: str, to_us: int, from_us: int, from_tx: str
) -> list[Total]:
    """Sum the postings of a chain that are recorded before an instant and not counted before.

    Args:
        connection: any.
        chain_id: whose.
        to_us: the first instant after it all.
        from_us: what is recorded before it by a transaction below `from_tx` is left out.
        from_tx: EVERY_TX leaves out all that is recorded before `from_us`.
    """
    rows = await connection.fetch(
        SELECT_TOTALS, chain_id, to_us, from_us, int(from_tx), timeout=REPORT_TIMEOUT_S
    )
    return [_total(row) for row in rows]


async def close_period(
    database: Database, chain_id: str, end_us: int, closed_at_us: int, closed_by: str
) -> tuple[int, int]:
    """Close the ledger of a chain up to an instant, for ever.

    Args:
        database: open.
        chain_id: whose.
        end_us: the first instant after the period.
        closed_at_us: the server's clock.
        closed_by: who closes it.

    Returns:
        Where the period begins, UTC microseconds; how many postings recorded before its end fall
        into the next one, because a transaction that began before them was still running.

    Raises:
        PeriodOrderError: it is closed up to there, or further.
        RetryError: the database cannot be reached just now.
    """
    async with (
        database.reading() as connection,
        connection.transaction(isolation="repeatable_read"),
    ):
        # Before the first read: that one takes the snapshot which all others see.
        await connection.execute(LOCK_PERIODS, timeout=REPORT_TIMEOUT_S)
        last = await connection.fetchrow(SELECT_LAST_PERIOD, chain_id)
        from_us, from_tx = (0, 0) if last is None else (last["end_us"], int(last["cut_tx"]))
        if end_us <= from_us:
            raise PeriodOrderError(from_us)
        await connection.execute(INSERT_PERIOD, chain_id, end_us, closed_at_us, closed_by)
        await connection.execute(
            INSERT_TOTALS, chain_id, end_us, from_us, from_tx, timeout=REPORT_TIMEOUT_S
        )
        left = await connection.fetchval(COUNT_LEFT, chain_id, end_us, timeout=REPORT_TIMEOUT_S)
        return from_us, left


async def read_exceptions(
    connection: AnyConnection, from_us: int, to_us: int, after: tuple[int, bytes, int], limit: int
) -> list[ExceptionRow]:
    """Read a page of exceptions by when they were recorded, after (instant, key, ordinal)."""
    rows = await connection.fetch(
        SELECT_EXCEPTIONS, from_us, to_us, *after, limit, timeout=REPORT_TIMEOUT_S
    )
    return [ExceptionRow(*row.values()) for row in rows]


def _total(row: asyncpg.Record) -> Total:
    asset_code, book, party_id, amount_minor, postings = row.values()
    return Total(asset_code, book, party_id, int(amount_minor), postings)
