"""Statements that tills make by Forward, what waits for its sale, and the events of poor links."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from rewards.commit import Commit, KeyKind, having
from rewards.outcome import Statement
from rewards.rounding import floor_div
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

DAY_US = 86_400_000_000
REPORT_TIMEOUT_S = 600.0

INSERT_STATEMENTS = """
insert into receipt_statement (key_id, ordinal, forward_key_id, base_key_id, base_day,
                               recorded_at_us, content)
select * from unnest($1::bytea[], $2::integer[], $3::bytea[], $4::bytea[], $5::integer[],
                     $6::bigint[], $7::bytea[])
"""

SELECT_STATEMENTS = """
select forward_key_id, base_key_id, base_day, recorded_at_us, content
  from receipt_statement
 where key_id = $1
 order by ordinal
"""

SELECT_BASE_KEY = """
select base_key_id from receipt_statement where key_id = $1 order by ordinal desc limit 1
"""

INSERT_PARKED = """
insert into parked_receipt (forward_key_id, original_key_id, day, until_us)
select * from unnest($1::bytea[], $2::bytea[], $3::integer[], $4::bigint[])
"""

DELETE_PARKED = "delete from parked_receipt where forward_key_id = any($1::bytea[])"

SELECT_PARKED_OF = """
select forward_key_id, original_key_id, day, until_us
  from parked_receipt
 where original_key_id = any($1::bytea[])
 order by forward_key_id
"""

# What a job looks at: those whose sale has come by a live call, and those whose time is over.
SELECT_PARKED_DUE = """
select p.forward_key_id, p.original_key_id, p.day, p.until_us
  from parked_receipt p
  left join commit_key k on k.key_id = p.original_key_id
  left join receipt_statement s on s.key_id = p.original_key_id and s.ordinal = 0
 where p.forward_key_id > $1
   and (p.until_us < $2 or k.kind = 1 or s.key_id is not null)
 order by p.forward_key_id
 limit $3
"""

INSERT_LINK_EVENTS = """
insert into link_event (key_id, event, recorded_at_us, late_us)
select * from unnest($1::bytea[], $2::smallint[], $3::bigint[], $4::bigint[])
"""

WRITE_STATEMENTS = {
    "INSERT_STATEMENTS": INSERT_STATEMENTS,
    "SELECT_STATEMENTS": SELECT_STATEMENTS,
    "SELECT_BASE_KEY": SELECT_BASE_KEY,
    "INSERT_PARKED": INSERT_PARKED,
    "DELETE_PARKED": DELETE_PARKED,
    "SELECT_PARKED_OF": SELECT_PARKED_OF,
    "INSERT_LINK_EVENTS": INSERT_LINK_EVENTS,
}
"""What Forward runs besides; a test explains each on a million rows without statistics."""

SELECT_EVENTS = """
select event, count(*) as times
  from link_event
 where recorded_at_us >= $1 and recorded_at_us < $2
 group by event
"""

SELECT_LATENESS = """
select count(*) as receipts,
       percentile_disc(array[0.5, 0.9, 0.99, 1.0]) within group (order by late_us) as late_us
  from link_event
 where recorded_at_us >= $1 and recorded_at_us < $2 and late_us >= 0
"""

# A partition holds days of recording; the kind of a receipt stands with its key.
SELECT_LIVE = """
select count(*)
  from receipt r
  join commit_key k on k.key_id = r.key_id
 where r.day >= $1 and r.day < $2 and k.kind = $3
"""

SELECT_WAITING = """
select (select count(*) from quarantined_receipt where state = 1) as quarantined,
       (select count(*) from parked_receipt) as parked
"""

_STATEMENT = msgspec.msgpack.Decoder(Statement)
_ENCODER = msgspec.msgpack.Encoder()


class KnownStatement(Struct, frozen=True):
    """A statement as it was recorded: under which key, and where what was sold is stored."""

    forward_key_id: bytes
    base_key_id: bytes
    base_day: int
    recorded_at_us: int
    statement: Statement


class Parked(NamedTuple):
    """A refund or void that waits: its key, its sale's, its day of recording, until when."""

    forward_key_id: bytes
    original_key_id: bytes
    day: int
    until_us: int


class LinkReport(NamedTuple):
    """What poor links did in a period.

    Attributes:
        events: how many of each LinkEvent.
        measured: how many receipts the lateness is of.
        late_us: of 50, 90, 99 and 100 of 100 receipts, at most so late.
    """

    live: int
    events: dict[int, int]
    measured: int
    late_us: tuple[int, ...]
    quarantined_now: int
    parked_now: int


async def read_statements(connection: AnyConnection, key_id: bytes) -> tuple[KnownStatement, ...]:
    """Read what was stated of a receipt, oldest first."""
    rows = await connection.fetch(SELECT_STATEMENTS, key_id)
    return tuple(
        KnownStatement(row[0], row[1], row[2], row[3], _STATEMENT.decode(row[4])) for row in rows
    )


async def read_base_key(connection: AnyConnection, receipt_id: bytes) -> bytes:
    """The key under which what counts of a sale is stored and posted; of a live one its own."""
    found: bytes | None = await connection.fetchval(SELECT_BASE_KEY, receipt_id)
    return found or receipt_id


async def read_codes_key(connection: AnyConnection, receipt_id: bytes) -> bytes:
    """The key of which the codes of what counts of a sale are made."""
    statements = await read_statements(connection, receipt_id)
    base_key_id = statements[-1].base_key_id if statements else receipt_id
    return codes_key_of(base_key_id, statements)


def codes_key_of(base_key_id: bytes, statements: Sequence[KnownStatement]) -> bytes:
    """The key of which the codes of what a receipt gave out are made.

    Args:
        base_key_id: under which what was sold is stored; that of a live Checkout has no statement.
        statements: of the receipt.
    """
    made = [one.statement for one in statements if one.forward_key_id == base_key_id]
    return made[0].codes_key_id or base_key_id if made else base_key_id


async def read_parked_of(
    connection: AnyConnection, original_key_ids: Sequence[bytes]
) -> list[Parked]:
    """Read what waits for some sales."""
    return [Parked(*row) for row in await connection.fetch(SELECT_PARKED_OF, original_key_ids)]


async def read_parked_due(
    connection: AnyConnection, after: bytes, now_us: int, limit: int
) -> list[Parked]:
    """Read what waits no longer: its sale is there, or its time is over; by key."""
    return [Parked(*row) for row in await connection.fetch(SELECT_PARKED_DUE, after, now_us, limit)]


async def write_forwarded(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Write statements, what waits from now on and what does not any more, and events."""
    await _write_statements(connection, commits)
    parked = [
        (commit.keys[0].key_id, one.original_key_id, day_of(commit), one.until_us)
        for commit in having(commits, "parked")
        for one in commit.parked
    ]
    if parked:
        await connection.fetch(INSERT_PARKED, *zip(*parked, strict=True))
    unparked = [key_id for commit in having(commits, "unparked") for key_id in commit.unparked]
    if unparked:
        await connection.fetch(DELETE_PARKED, unparked)
    events = [
        (commit.keys[0].key_id, one.event, commit.recorded_at_us, one.late_us)
        for commit in having(commits, "link_events")
        for one in commit.link_events
    ]
    if events:
        await connection.fetch(INSERT_LINK_EVENTS, *zip(*events, strict=True))


async def _write_statements(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    rows = [
        (
            one.key_id,
            one.ordinal,
            commit.keys[0].key_id,
            one.base_key_id or commit.keys[0].key_id,
            one.base_day if one.base_key_id else day_of(commit),
            commit.recorded_at_us,
            _ENCODER.encode(one.statement),
        )
        for commit in having(commits, "statements")
        for one in commit.statements
    ]
    if rows:
        await connection.fetch(INSERT_STATEMENTS, *zip(*rows, strict=True))


async def read_link_report(connection: AnyConnection, from_us: int, to_us: int) -> LinkReport:
    """Read what poor links did between two instants, which begin days of UTC."""
    rows = await connection.fetch(SELECT_EVENTS, from_us, to_us, timeout=REPORT_TIMEOUT_S)
    late = await connection.fetchrow(SELECT_LATENESS, from_us, to_us, timeout=REPORT_TIMEOUT_S)
    days = floor_div(from_us, DAY_US), floor_div(to_us, DAY_US)
    live = await connection.fetchval(
        SELECT_LIVE, *days, KeyKind.CHECKOUT.value, timeout=REPORT_TIMEOUT_S
    )
    waiting = await connection.fetchrow(SELECT_WAITING, timeout=REPORT_TIMEOUT_S)
    assert late is not None
    assert waiting is not None
    assert isinstance(live, int)
    return LinkReport(
        live,
        {row[0]: row[1] for row in rows},
        late[0],
        tuple(one or 0 for one in late[1] or (0, 0, 0, 0)),
        waiting[0],
        waiting[1],
    )


def day_of(commit: Commit) -> int:
    """Day of recording, days since 1970-01-01 UTC."""
    return floor_div(commit.recorded_at_us, DAY_US)
