"""Reads whom a message is for, and what has become of the receipt that it is about."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from rewards.commit import KeyKind
from rewards.settling import ReturnRecord
from server.store.facts import AnyConnection, read_answers
from server.store.forwarded import read_base_key

SELECT_RECIPIENT = """
select c.account_id, c.language_code
  from customer c
 where c.account_id = coalesce((select m.account_id from membership m where m.customer_id = $1), $1)
   and c.customer_id = $1
"""

SELECT_RECORDS = "select content from receipt_refund where original_key_id = $1"

SELECT_LOT_ASSETS = """
select account_id, lot_id, asset_code
  from lot
 where account_id = any($1::bigint[]) and lot_id = any($2::bytea[])
"""

SELECT_KEY = "select 1 from commit_key where key_id = $1 and kind = $2"

SELECT_SENDING_MONEY = """
select sum(case when state = 5 then 0 else amount_minor end)::bigint
  from money_transfer
 where transfer_id >= $1 and transfer_id < $2
"""

SELECT_STOP = "select 1 from outbox_stop where chain_id = $1 and phone_hash = $2"

SET_STOP = """
insert into outbox_stop (chain_id, phone_hash, stopped_at_us, note)
values ($1, $2, $3, $4)
on conflict do nothing
"""

CLEAR_STOP = "delete from outbox_stop where chain_id = $1 and phone_hash = $2"

HOT_STATEMENTS = {
    "SELECT_RECIPIENT": SELECT_RECIPIENT,
    "SELECT_RECORDS": SELECT_RECORDS,
    "SELECT_LOT_ASSETS": SELECT_LOT_ASSETS,
    "SELECT_VOID_KEY": SELECT_KEY,
    "SELECT_SENDING_MONEY": SELECT_SENDING_MONEY,
    "SELECT_STOP": SELECT_STOP,
}
"""What is read for every message; a test explains each on a million rows without statistics."""

_RECORD = msgspec.msgpack.Decoder(ReturnRecord)


class Addressee(Struct, frozen=True):
    """A customer of today. Personal: neither logged nor stored with the message.

    Attributes:
        language_code: empty where it is not known.
        answers: the newest, by field.
    """

    language_code: str
    answers: Mapping[str, str]


class ComeBack(Struct, frozen=True):
    """What has become of a receipt.

    Attributes:
        claimed: by asset what refunds have claimed of its lots, minor units.
        sending_minor: money transfers of it that still stand; None is none were asked for.
    """

    is_voided: bool
    claimed: Mapping[str, int]
    sending_minor: int | None


async def read_addressee(
    connection: AnyConnection, customer_id: int, field_codes: Sequence[str]
) -> Addressee | None:
    """Read a customer's language and answers; None if there is no such customer any more.

    Answers move to another account with their customer: both are read again, until the customer is
    where the answers were looked for.
    """
    row = await connection.fetchrow(SELECT_RECIPIENT, customer_id)
    while row is not None:
        account_id = row["account_id"]
        answers = await read_answers(connection, account_id, customer_id, field_codes)
        row = await connection.fetchrow(SELECT_RECIPIENT, customer_id)
        if row is not None and row["account_id"] == account_id:
            return Addressee(row["language_code"], answers)
    return None


async def read_come_back(
    connection: AnyConnection, receipt_id: bytes, void_key_id: bytes
) -> ComeBack:
    """Read what of a receipt's rewards has lost its ground since."""
    voided = await connection.fetchrow(SELECT_KEY, void_key_id, KeyKind.VOID)
    records = await connection.fetch(SELECT_RECORDS, receipt_id)
    claimed = [place for row in records for place in _RECORD.decode(row[0]).claimed]
    by_asset: dict[str, int] = {}
    if claimed:
        accounts, lots, _ = (list(column) for column in zip(*claimed, strict=True))
        rows = await connection.fetch(SELECT_LOT_ASSETS, accounts, lots)
        assets = {(row["account_id"], row["lot_id"]): row["asset_code"] for row in rows}
        for account_id, lot_id, minor in claimed:
            asset_code = assets.get((account_id, lot_id), "")
            by_asset[asset_code] = by_asset.get(asset_code, 0) + minor
    base_key_id = await read_base_key(connection, receipt_id)
    ends = (base_key_id + b"\x00\x00", base_key_id + b"\xff\xff\x00")
    money = await connection.fetchrow(SELECT_SENDING_MONEY, *ends)
    return ComeBack(voided is not None, by_asset, None if money is None else money[0])


async def is_stopped(connection: AnyConnection, chain_id: str, phone_hash: bytes) -> bool:
    """Whether a phone stands on a chain's stop list."""
    return await connection.fetchrow(SELECT_STOP, chain_id, phone_hash) is not None


async def set_stop(
    connection: AnyConnection, chain_id: str, phone_hash: bytes, at_us: int, note: str
) -> None:
    """Put a phone on a chain's stop list; one that stands there stays as it is."""
    await connection.fetch(SET_STOP, chain_id, phone_hash, at_us, note)


async def clear_stop(connection: AnyConnection, chain_id: str, phone_hash: bytes) -> None:
    """Take a phone off a chain's stop list."""
    await connection.fetch(CLEAR_STOP, chain_id, phone_hash)
