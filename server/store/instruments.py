"""Writes and reads codes of coupons and gift cards, and reads the accounts that they open."""

from collections.abc import Sequence

from msgspec import Struct

from rewards.commit import Commit, having
from rewards.ledger import NO_HOLDINGS, Holdings, OwnedLot
from server.store.facts import AnyConnection
from server.store.holdings import read_holdings, read_lots, read_lots_of_account

INSERT_INSTRUMENTS = """
insert into instrument (code_hash, kind, account_id, lot_id, asset_code, key_id)
select * from unnest($1::bytea[], $2::smallint[], $3::bigint[], $4::bytea[], $5::text[],
                     $6::bytea[])
"""

MOVE_INSTRUMENTS = """
update instrument i
   set account_id = moved.account_id, lot_id = moved.lot_id
  from unnest($1::bytea[], $2::bigint[], $3::bytea[]) as moved (code_hash, account_id, lot_id)
 where i.code_hash = moved.code_hash
"""

SELECT_INSTRUMENTS = """
select code_hash, kind, account_id, lot_id, asset_code, key_id
  from instrument
 where code_hash = any($1::bytea[])
"""

SELECT_GIVEN_OUT = """
select code_hash, kind, account_id, lot_id, asset_code, key_id
  from instrument
 where key_id = any($1::bytea[])
 order by code_hash
"""

SELECT_VERSIONS = "select account_id, version from account where account_id = any($1::bigint[])"

WRITE_STATEMENTS = {
    "INSERT_INSTRUMENTS": INSERT_INSTRUMENTS,
    "MOVE_INSTRUMENTS": MOVE_INSTRUMENTS,
}
"""What the commit pipeline runs besides."""
HOT_STATEMENTS = {
    "SELECT_INSTRUMENTS": SELECT_INSTRUMENTS,
    "SELECT_GIVEN_OUT": SELECT_GIVEN_OUT,
    "SELECT_VERSIONS": SELECT_VERSIONS,
}
"""What calls of a till run; a test explains each on a million rows without statistics."""


class Code(Struct, frozen=True, gc=False):
    """A code that was given out; see `rewards.commit.NewInstrument`."""

    code_hash: bytes
    kind: int
    account_id: int
    lot_id: bytes
    asset_code: str
    key_id: bytes


class Standing(Struct, frozen=True):
    """An account as it was read.

    Attributes:
        version: read before all the rest: whoever commits on an older state loses.
        holdings: lots that are not empty, and holds.
        lots: all lots of a bearer's account, or those that codes name, empty ones too.
    """

    version: int
    holdings: Holdings = NO_HOLDINGS
    lots: tuple[OwnedLot, ...] = ()


async def write_instruments(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Write the codes that the commits give out, of which none may exist; move others."""
    rows = sorted(
        (one.code_hash, one.kind, one.account_id, one.lot_id, one.asset_code, one.key_id)
        for commit in having(commits, "new_instruments")
        for one in commit.new_instruments
    )
    if rows:
        await connection.fetch(INSERT_INSTRUMENTS, *zip(*rows, strict=True))
    moved = sorted(
        (one.code_hash, one.account_id, one.lot_id)
        for commit in having(commits, "moved_instruments")
        for one in commit.moved_instruments
    )
    if moved:
        await connection.fetch(MOVE_INSTRUMENTS, *zip(*moved, strict=True))


async def read_codes(connection: AnyConnection, hashes: Sequence[bytes]) -> dict[bytes, Code]:
    """Read what codes open, by their hashes; those that nobody gave out are missing."""
    rows = await connection.fetch(SELECT_INSTRUMENTS, hashes)
    return {row["code_hash"]: Code(*row.values()) for row in rows}


async def read_given_out(connection: AnyConnection, key_ids: Sequence[bytes]) -> list[Code]:
    """Read the codes that receipts or batches gave out."""
    return [Code(*row.values()) for row in await connection.fetch(SELECT_GIVEN_OUT, key_ids)]


async def read_standings(
    connection: AnyConnection, codes: Sequence[Code], more: Sequence[int] = ()
) -> dict[int, Standing]:
    """Read the accounts that codes open, as they stand at one moment.

    Args:
        connection: open, outside a transaction.
        codes: as read.
        more: accounts besides, of which all that is not empty is wanted.
    """
    # One snapshot: a coupon that is used between two reads would be there in one of them.
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await _read_standings(connection, codes, more)


async def _read_standings(
    connection: AnyConnection, codes: Sequence[Code], more: Sequence[int]
) -> dict[int, Standing]:
    account_ids = sorted({code.account_id for code in codes} | set(more))
    rows = await connection.fetch(SELECT_VERSIONS, account_ids)
    standings = {}
    for account_id, version in [tuple(row.values()) for row in rows]:
        holdings = await read_holdings(connection, account_id)
        named = [code.lot_id for code in codes if code.account_id == account_id and code.lot_id]
        lots = await read_lots(connection, account_id, named) if named else ()
        if not named and account_id < 0:
            lots = await read_lots_of_account(connection, account_id)
        standings[account_id] = Standing(version, holdings, lots)
    return standings
