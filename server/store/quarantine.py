"""Forwarded receipts that could not be taken: kept with their reason until somebody decides."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import astuple

from rewards.commit import Commit, QuarantineDecision, having
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

WAITING, MENDED, DROPPED = 1, 2, 3

INSERT_QUARANTINED = """
insert into quarantined_receipt (quarantine_id, chain_id, store_id, till_id, receipt_number,
                                 reason, detail, sold_at_us, arrived_at_us, body, size_bytes)
select * from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                     $7::text[], $8::bigint[], $9::bigint[], $10::bytea[], $11::integer[])
"""

_COLUMNS = """
select quarantine_id, chain_id, store_id, till_id, receipt_number, reason, detail, sold_at_us,
       arrived_at_us, size_bytes, state, changed_at_us, changed_by, note
  from quarantined_receipt
"""

SELECT_QUARANTINED = f"{_COLUMNS} where quarantine_id = $1"

SELECT_BODY = "select body from quarantined_receipt where quarantine_id = $1"

SELECT_PAGE = f"""{_COLUMNS}
 where ($1 = '' or chain_id = $1) and ($2 = 0 or state = $2)
   and (arrived_at_us, quarantine_id) < ($3, $4)
 order by arrived_at_us desc, quarantine_id desc
 limit $5
"""

# Counts no further than it matters.
SELECT_WAITING = """
select count(*) from (select from quarantined_receipt where state = 1 limit $1) as waiting
"""

# Of two that decide one does: the second waits for the row, and finds it decided.
DECIDE = """
update quarantined_receipt q
   set state = decision.state,
       changed_at_us = decision.at_us,
       changed_by = decision.changed_by,
       note = decision.note
  from unnest($1::bytea[], $2::smallint[], $3::text[], $4::text[], $5::bigint[])
    as decision (quarantine_id, state, changed_by, note, at_us)
 where q.quarantine_id = decision.quarantine_id
   and q.state = 1
returning q.quarantine_id
"""

WRITE_STATEMENTS = {
    "INSERT_QUARANTINED": INSERT_QUARANTINED,
    "SELECT_QUARANTINED": SELECT_QUARANTINED,
    "SELECT_WAITING": SELECT_WAITING,
    "DECIDE": DECIDE,
}
"""What Forward runs for what it cannot take."""


class Quarantined(Struct, frozen=True):
    """A receipt in quarantine, without what was sent; instants in UTC microseconds."""

    quarantine_id: bytes
    chain_id: str
    store_id: str
    till_id: str
    receipt_number: str
    reason: str
    detail: str
    sold_at_us: int
    arrived_at_us: int
    size_bytes: int
    state: int
    changed_at_us: int
    changed_by: str
    note: str


async def write_quarantined(
    connection: AnyConnection, commits: Sequence[Commit]
) -> frozenset[bytes]:
    """Write what could not be taken, and what is decided about that.

    Returns:
        The first key of each commit that decides about an entry which does not wait; if there are
        any, the transaction must be rolled back.
    """
    rows = [
        (
            commit.keys[0].key_id,
            one.chain_id,
            one.store_id,
            one.till_id,
            one.receipt_number,
            one.reason,
            one.detail,
            one.sold_at_us,
            commit.recorded_at_us,
            one.body,
            one.size_bytes,
        )
        for commit in having(commits, "quarantined")
        for one in commit.quarantined
    ]
    if rows:
        await connection.fetch(INSERT_QUARANTINED, *zip(*rows, strict=True))
    deciding = tuple(having(commits, "decisions"))
    return await _write_decisions(connection, deciding) if deciding else frozenset()


async def read_quarantined(connection: AnyConnection, quarantine_id: bytes) -> Quarantined | None:
    """Read one entry; None if there is none."""
    row = await connection.fetchrow(SELECT_QUARANTINED, quarantine_id)
    return None if row is None else Quarantined(*row.values())


async def read_body(connection: AnyConnection, quarantine_id: bytes) -> bytes:
    """Read what was sent; empty if it was too large to be kept, or there is no such entry."""
    found: bytes | None = await connection.fetchval(SELECT_BODY, quarantine_id)
    return found or b""


async def read_page(
    connection: AnyConnection, chain_id: str, state: int, before: tuple[int, bytes], limit: int
) -> list[Quarantined]:
    """Read a page, the newest first; an empty chain is every one, a state of 0 too."""
    rows = await connection.fetch(SELECT_PAGE, chain_id, state, *before, limit)
    return [Quarantined(*row.values()) for row in rows]


async def count_waiting(connection: AnyConnection, most: int) -> int:
    """Count what waits, no further than so many."""
    found: int = await connection.fetchval(SELECT_WAITING, most)
    return found


async def decide(
    connection: AnyConnection, decisions: Sequence[tuple[QuarantineDecision, int]]
) -> set[bytes]:
    """Decide on entries, each at an instant; answer those that had waited, the others stay."""
    rows = [(*astuple(one), at_us) for one, at_us in decisions]
    found = await connection.fetch(DECIDE, *zip(*rows, strict=True))
    return {row[0] for row in found}


async def _write_decisions(
    connection: AnyConnection, commits: Sequence[Commit]
) -> frozenset[bytes]:
    own = [(commit, one) for commit in commits for one in commit.decisions]
    decided = await decide(connection, [(one, commit.recorded_at_us) for commit, one in own])
    return frozenset(
        commit.keys[0].key_id for commit, one in own if one.quarantine_id not in decided
    )
