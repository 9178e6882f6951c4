"""Refunds of receipts: what has come back of each, and what its sale moved on the accounts."""

from collections.abc import Iterable, Sequence

import asyncpg
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from rewards.commit import Commit, having
from rewards.given_before import Giving, Kept, kept_today
from rewards.ledger import Funding, OwnedLot, Pick
from rewards.settling import GrantedLot, ReturnRecord, Spending
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

MERGES_MAX = 100
"""How far an account is followed to where it was merged; more would be a circle."""

SELECT_RETURNS = """
select refund_key_id, content
  from receipt_refund
 where original_key_id = $1
 order by ordinal
"""

INSERT_RETURNS = """
insert into receipt_refund (original_key_id, ordinal, refund_key_id, recorded_at_us, content)
select * from unnest($1::bytea[], $2::integer[], $3::bytea[], $4::bigint[], $5::bytea[])
"""

SELECT_ACCOUNT = "select version, purchases, merged_into from account where account_id = $1"

SELECT_GRANTED = """
select account_id, lot_id, asset_code, granted_minor, remaining_minor, active_from_us,
       expires_at_us, kind, promotion_id, funding, book
  from lot
 where account_id = any($1::bigint[]) and lot_id >= $2 and lot_id < $3 and kind = 1
 order by lot_id
"""

SELECT_LOTS_ANYWHERE = """
select account_id, lot_id, asset_code, granted_minor, remaining_minor, active_from_us,
       expires_at_us, kind, promotion_id, funding, book
  from lot
 where account_id = any($1::bigint[]) and lot_id = any($2::bytea[])
"""

# What a sale took for a cost or as a payment: its transfers to CLEARING (5). What was not there is
# a debt, whose lot has the id of its transfer.
SELECT_SPENT = """
select p.promotion_id, p.asset_code, coalesce(c.lot_id, p.transfer_id) as lot_id,
       coalesce(-c.change_minor, p.amount_minor) as spent_minor
  from posting p
  left join lot_change c on c.account_id = p.account_id and c.transfer_id = p.transfer_id
 where p.account_id = any($1::bigint[])
   and p.transfer_id >= $2 and p.transfer_id < $3
   and p.book = 5 and p.amount_minor > 0 and coalesce(c.change_minor, -1) < 0
 order by p.transfer_id, c.lot_id
"""

# What of lots has expired unspent: transfers to BREAKAGE (4).
SELECT_LAPSED = """
select c.lot_id, sum(-c.change_minor)::bigint as lapsed_minor
  from lot_change c
  join posting p on p.account_id = c.account_id and p.transfer_id = c.transfer_id and p.book = 4
 where c.account_id = any($1::bigint[]) and c.lot_id = any($2::bytea[])
 group by c.lot_id
"""

# What was given less what was taken back, at whoever's cost: ISSUER (2), FUNDING (3), OVERRUN (7).
SELECT_KEPT = """
select p.account_id, p.promotion_id, p.asset_code, -sum(p.amount_minor)::bigint as kept_minor
  from unnest($2::bytea[]) as sold (key_id)
  join posting p
    on p.account_id = any($1::bigint[])
   and p.transfer_id >= sold.key_id || '\\x0000'::bytea
   and p.transfer_id < sold.key_id || '\\xffff00'::bytea
 where p.book in (2, 3, 7)
 group by p.account_id, p.promotion_id, p.asset_code
"""

HOT_STATEMENTS = {
    "SELECT_RETURNS": SELECT_RETURNS,
    "INSERT_RETURNS": INSERT_RETURNS,
    "SELECT_ACCOUNT": SELECT_ACCOUNT,
    "SELECT_GRANTED": SELECT_GRANTED,
    "SELECT_LOTS_ANYWHERE": SELECT_LOTS_ANYWHERE,
    "SELECT_SPENT": SELECT_SPENT,
    "SELECT_LAPSED": SELECT_LAPSED,
    "SELECT_KEPT": SELECT_KEPT,
}
"""What refunds and voids run; a test explains each on a million rows without statistics."""

_RECORD = msgspec.msgpack.Decoder(ReturnRecord)
_ENCODER = msgspec.msgpack.Encoder()
_FUNDING = msgspec.json.Decoder(Funding)


class KnownReturn(Struct, frozen=True):
    """A refund of a receipt: by which key, and what it did."""

    refund_key_id: bytes
    record: ReturnRecord


class Owner(Struct, frozen=True):
    """Whose account a sale was on, and whose it is since merges.

    Attributes:
        account_ids: from the sale's on to that of today.
        version: of today's.
    """

    account_ids: tuple[int, ...]
    version: int
    purchases: int

    @property
    def account_id(self) -> int:
        """The account of today."""
        return self.account_ids[-1]


async def read_returns(
    connection: AnyConnection, original_key_id: bytes
) -> tuple[KnownReturn, ...]:
    """Read what has come back of a receipt, oldest first."""
    rows = await connection.fetch(SELECT_RETURNS, original_key_id)
    return tuple(KnownReturn(row[0], _RECORD.decode(row[1])) for row in rows)


async def write_returns(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Write what the commits take back."""
    rows = [
        (
            one.original_key_id,
            one.ordinal,
            one.return_key_id or commit.keys[0].key_id,
            commit.recorded_at_us,
            _ENCODER.encode(one.record),
        )
        for commit in having(commits, "returns")
        for one in commit.returns
    ]
    if rows:
        await connection.fetch(INSERT_RETURNS, *zip(*rows, strict=True))


async def read_owner(connection: AnyConnection, account_id: int) -> Owner | None:
    """Follow an account to where it was merged; None if there is no such account.

    The version is read before anything of the account that a caller reads later.
    """
    path: list[int] = []
    while len(path) < MERGES_MAX:
        row = await connection.fetchrow(SELECT_ACCOUNT, account_id)
        if row is None:
            return None
        path.append(account_id)
        if not row["merged_into"]:
            return Owner(tuple(path), row["version"], row["purchases"])
        account_id = row["merged_into"]
    raise AssertionError("accounts were merged in a circle")


async def read_granted(
    connection: AnyConnection, owner: Owner, key_id: bytes
) -> tuple[GrantedLot, ...]:
    """Read the lots that a sale granted, in its order, as they stand where they are now."""
    rows = await connection.fetch(SELECT_GRANTED, list(owner.account_ids), *_range_of(key_id))
    by_lot: dict[bytes, list[asyncpg.Record]] = {}
    for row in rows:
        by_lot.setdefault(row["lot_id"], []).append(row)
    return tuple(
        GrantedLot(
            _present(found, owner),
            max(row["granted_minor"] for row in found),
            owner.account_ids[0],
        )
        for found in by_lot.values()
    )


async def read_spendings(
    connection: AnyConnection, owner: Owner, key_id: bytes
) -> tuple[Spending, ...]:
    """Read what a sale took, by promotion and asset, in the order in which it did."""
    rows = await connection.fetch(SELECT_SPENT, list(owner.account_ids), *_range_of(key_id))
    picks: dict[tuple[str, str], list[Pick]] = {}
    for promotion_id, asset_code, lot_id, minor in rows:
        picks.setdefault((promotion_id, asset_code), []).append((lot_id, minor))
    return tuple(Spending(*key, tuple(found)) for key, found in picks.items())


async def read_lots_since(
    connection: AnyConnection, owner: Owner, lot_ids: Sequence[bytes]
) -> dict[bytes, OwnedLot]:
    """Read lots as they stand where they are now, also those that did not come along."""
    if not lot_ids:
        return {}
    rows = await connection.fetch(SELECT_LOTS_ANYWHERE, list(owner.account_ids), list(lot_ids))
    by_lot: dict[bytes, list[asyncpg.Record]] = {}
    for row in rows:
        by_lot.setdefault(row["lot_id"], []).append(row)
    return {lot_id: _present(found, owner) for lot_id, found in by_lot.items()}


async def read_lapsed(
    connection: AnyConnection, owner: Owner, lot_ids: Sequence[bytes]
) -> dict[bytes, int]:
    """Read what of lots has expired unspent and was posted so, minor units."""
    if not lot_ids:
        return {}
    rows = await connection.fetch(SELECT_LAPSED, list(owner.account_ids), list(lot_ids))
    return {row["lot_id"]: row["lapsed_minor"] for row in rows}


async def read_kept(
    connection: AnyConnection, owners: Sequence[Owner], key_ids: Iterable[bytes]
) -> Kept:
    """Read what was given for a receipt and not taken back, by the account of today.

    Args:
        connection: to read on.
        owners: of the accounts.
        key_ids: under which it was given and taken back.
    """
    today = {home: one.account_id for one in owners for home in one.account_ids}
    rows = await connection.fetch(SELECT_KEPT, sorted(today), sorted(key_ids))
    moved = [Giving(*row.values()) for row in rows]
    return kept_today((one, today[one.account_id]) for one in moved)


def _present(rows: Sequence[asyncpg.Record], owner: Owner) -> OwnedLot:
    """The lot on the account of today, or what is known of it: nothing is left, nothing granted."""
    for row in rows:
        if row["account_id"] == owner.account_id:
            return _lot(row)
    return replace(_lot(rows[0]), granted_minor=0, remaining_minor=0)


def _lot(row: asyncpg.Record) -> OwnedLot:
    _, *values, funding, book = row.values()
    parties = () if funding is None else _FUNDING.decode(funding)
    return replace(OwnedLot(*values), funding=parties, book=book)


def _range_of(key_id: bytes) -> tuple[bytes, bytes]:
    """Ids of the transfers of a key: from the first on, and up to this one."""
    return key_id + b"\x00\x00", key_id + b"\xff\xff\x00"
