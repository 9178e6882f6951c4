"""Monthly partitions of the receipts, made before they are needed."""

from datetime import UTC, date, datetime, timedelta

import asyncpg

from rewards.rounding import floor_div
from server.store.database import Database

EPOCH = date(1970, 1, 1)
MONTHS_AHEAD = 2
LONGEST_MONTH = timedelta(days=32)

# Commits queue behind who waits for the lock that a new partition takes.
WAIT_BRIEFLY = "set local lock_timeout = '200ms'"
LOCK_PARTITIONS = "select pg_advisory_xact_lock(hashtext('receipt-partitions'))"
SELECT_PARTITION = "select to_regclass($1) is not null"


class PartitionsBusyError(Exception):
    """Somebody reads receipts for long, an audit or a dump: try again later."""


async def ensure_partitions(database: Database, now_us: int) -> list[str]:
    """Make the partitions of this month and the next ones; give the names of the new ones.

    Days outside of all partitions are kept in `receipt_other`: nothing is lost when a clock is
    far off, and a month that has rows there already stays there.

    Args:
        database: open and migrated.
        now_us: the clock, UTC microseconds.

    Raises:
        PartitionsBusyError: some are missing, and cannot be made just now.
    """
    first = datetime.fromtimestamp(floor_div(now_us, 1_000_000), UTC).date().replace(day=1)
    made = []
    for _ in range(MONTHS_AHEAD + 1):
        after = (first + LONGEST_MONTH).replace(day=1)
        try:
            if await _make(database, first, after):
                made.append(_name(first))
        except asyncpg.LockNotAvailableError as error:
            raise PartitionsBusyError(f"{_name(first)}: {error}") from error
        first = after
    return made


def _name(first: date) -> str:
    return f"receipt_{first:%Y%m}"


async def _make(database: Database, first: date, after: date) -> bool:
    start, end = (first - EPOCH).days, (after - EPOCH).days
    async with database.reading() as connection, connection.transaction():
        await connection.execute(WAIT_BRIEFLY)
        await connection.execute(LOCK_PARTITIONS)
        if await connection.fetchval(SELECT_PARTITION, _name(first)):
            return False
        taken = "select exists (select from receipt_other where day >= $1 and day < $2)"
        if await connection.fetchval(taken, start, end):
            return False
        await connection.execute(
            f"create table {_name(first)} partition of receipt"
            f" for values from ({start}) to ({end}) with (toast_tuple_target = 8160)"
        )
        for column in ("request", "facts", "answer"):
            await connection.execute(
                f"alter table {_name(first)} alter column {column} set storage external"
            )
    return True
