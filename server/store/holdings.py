"""Reads what an account owns: its lots with what is left in them, and what of it is held."""

from collections.abc import Sequence

import asyncpg
import msgspec

from rewards.ledger import Funding, Hold, Holdings, LotChange, OwnedLot
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

SELECT_LOTS = """
select lot_id, asset_code, granted_minor, remaining_minor, active_from_us, expires_at_us, kind,
       promotion_id, funding, book
  from lot
 where account_id = $1 and remaining_minor > 0
"""

SELECT_LOTS_OF_KEY = """
select lot_id, asset_code, granted_minor, remaining_minor, active_from_us, expires_at_us, kind,
       promotion_id, funding, book
  from lot
 where account_id = $1 and lot_id >= $2 and lot_id < $3
 order by lot_id
"""

SELECT_LOTS_BY_ID = """
select lot_id, asset_code, granted_minor, remaining_minor, active_from_us, expires_at_us, kind,
       promotion_id, funding, book
  from lot
 where account_id = $1 and lot_id = any($2::bytea[])
"""

SELECT_ALL_LOTS = """
select lot_id, asset_code, granted_minor, remaining_minor, active_from_us, expires_at_us, kind,
       promotion_id, funding, book
  from lot
 where account_id = $1
"""

SELECT_HOLDS = """
select hold_id, asset_code, amount_minor, lot_ids, lot_minors, expires_at_us
  from hold
 where account_id = $1
"""

SELECT_CHANGES_OF_KEY = """
select transfer_id, lot_id, change_minor
  from lot_change
 where account_id = $1 and transfer_id >= $2 and transfer_id < $3
 order by transfer_id, lot_id
"""

SELECT_HELD_ACCOUNTS = "select distinct account_id from hold where hold_id = $1"

SELECT_HELD_BY_ID = """
select distinct hold_id, account_id
  from hold
 where hold_id = any($1::bytea[])
 order by hold_id, account_id
"""

HOT_STATEMENTS = {
    "SELECT_LOTS": SELECT_LOTS,
    "SELECT_LOTS_OF_KEY": SELECT_LOTS_OF_KEY,
    "SELECT_LOTS_BY_ID": SELECT_LOTS_BY_ID,
    "SELECT_ALL_LOTS": SELECT_ALL_LOTS,
    "SELECT_HOLDS": SELECT_HOLDS,
    "SELECT_CHANGES_OF_KEY": SELECT_CHANGES_OF_KEY,
    "SELECT_HELD_ACCOUNTS": SELECT_HELD_ACCOUNTS,
    "SELECT_HELD_BY_ID": SELECT_HELD_BY_ID,
}
"""What calls of a till run; a test explains each on a million rows without statistics."""

_FUNDING = msgspec.json.Decoder(Funding)


async def read_holdings(connection: AnyConnection, account_id: int) -> Holdings:
    """Read the lots of an account that are not empty, and its holds, lapsed ones too.

    Whoever commits on them names a version of the account that was read before them.
    """
    lots = [_lot(row) for row in await connection.fetch(SELECT_LOTS, account_id)]
    rows = await connection.fetch(SELECT_HOLDS, account_id)
    holds = [
        Hold(hold_id, code, minor, tuple(zip(lot_ids, minors, strict=True)), ends)
        for hold_id, code, minor, lot_ids, minors, ends in (row.values() for row in rows)
    ]
    return Holdings(tuple(lots), tuple(holds))


async def read_lots_of_key(
    connection: AnyConnection, account_id: int, key_id: bytes
) -> tuple[OwnedLot, ...]:
    """Read the lots that a key granted, as they stand, empty ones too."""
    rows = await connection.fetch(SELECT_LOTS_OF_KEY, account_id, *_range_of(key_id))
    return tuple(_lot(row) for row in rows)


async def read_lots(
    connection: AnyConnection, account_id: int, lot_ids: list[bytes]
) -> tuple[OwnedLot, ...]:
    """Read lots by their ids, empty ones too."""
    rows = await connection.fetch(SELECT_LOTS_BY_ID, account_id, lot_ids)
    return tuple(_lot(row) for row in rows)


async def read_lots_of_account(connection: AnyConnection, account_id: int) -> tuple[OwnedLot, ...]:
    """Read all lots of an account, empty ones too; only for a bearer's, which has few."""
    return tuple(_lot(row) for row in await connection.fetch(SELECT_ALL_LOTS, account_id))


async def read_changes_of_key(
    connection: AnyConnection, account_id: int, key_id: bytes
) -> tuple[LotChange, ...]:
    """Read what the transfers of a key changed of an account's lots."""
    rows = await connection.fetch(SELECT_CHANGES_OF_KEY, account_id, *_range_of(key_id))
    return tuple(LotChange(*row.values()) for row in rows)


async def read_held_accounts(connection: AnyConnection, hold_id: bytes) -> list[int]:
    """Read which accounts have a hold of this id, lapsed or not."""
    return [row[0] for row in await connection.fetch(SELECT_HELD_ACCOUNTS, hold_id)]


async def read_held_by_id(
    connection: AnyConnection, hold_ids: Sequence[bytes]
) -> dict[bytes, tuple[int, ...]]:
    """Read which accounts have holds of these ids, lapsed or not."""
    held: dict[bytes, tuple[int, ...]] = {}
    for hold_id, account_id in await connection.fetch(SELECT_HELD_BY_ID, hold_ids):
        held[hold_id] = (*held.get(hold_id, ()), account_id)
    return held


def _range_of(key_id: bytes) -> tuple[bytes, bytes]:
    """Ids of the transfers of a key: from the first on, and up to this one."""
    return key_id + b"\x00\x00", key_id + b"\xff\xff\x00"


def _lot(row: asyncpg.Record) -> OwnedLot:
    *values, funding, book = row.values()
    parties = () if funding is None else _FUNDING.decode(funding)
    return OwnedLot(*(*values, parties, book))
