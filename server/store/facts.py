"""Reads what decisions are made on, many keys at a time. Every look-up is by one indexed column."""

from collections.abc import Sequence
from operator import itemgetter

import asyncpg
import msgspec
from msgspec import Struct

from rewards.facts import CustomerFacts, FieldState, OwnOffer
from rewards.quota import Amount
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

SELECT_KEYS = """
select key_id, kind, fingerprint, account_id, day
  from commit_key
 where key_id = any($1::bytea[])
"""

SELECT_IDENTIFIERS = """
select identifier_hash, customer_id, account_id
  from identifier
 where identifier_hash = any($1::bytea[])
"""

SELECT_CUSTOMERS = """
select c.account_id, c.customer_id, c.state, c.language_code, c.segments, c.field_state,
       c.tier, c.birth_day, c.counters, c.offers, a.version, a.purchases, a.last_purchase_day
  from customer c
  join account a on a.account_id = c.account_id
 where c.account_id = any($1::bigint[])
"""

SELECT_BALANCES = """
select account_id, asset_code, amount_minor, debt_minor
  from balance
 where account_id = any($1::bigint[])
 order by account_id, asset_code
"""

SELECT_USES = """
select account_id, promotion_id, period, times, amount_minor
  from promotion_use
 where account_id = any($1::bigint[])
   and period = any($2::text[])
"""

SELECT_RECEIPT = """
select ruleset_version, evaluated_at_us, recorded_at_us, request, facts, answer
  from receipt
 where key_id = $1 and day = $2
"""

SELECT_ACCOUNT = "select version, purchases from account where account_id = $1"

SELECT_ACCOUNT_LOCKED = "select version from account where account_id = $1 for update"

SELECT_DISPLAY_NAME = """
select distinct on (field_code) field_code, value
  from profile_answer
 where account_id = $1 and customer_id = $2 and field_code = any($3::text[])
 order by field_code, answered_at_us desc
"""

HOT_STATEMENTS = {
    "SELECT_KEYS": SELECT_KEYS,
    "SELECT_IDENTIFIERS": SELECT_IDENTIFIERS,
    "SELECT_CUSTOMERS": SELECT_CUSTOMERS,
    "SELECT_BALANCES": SELECT_BALANCES,
    "SELECT_USES": SELECT_USES,
    "SELECT_RECEIPT": SELECT_RECEIPT,
    "SELECT_ACCOUNT": SELECT_ACCOUNT,
    "SELECT_ACCOUNT_LOCKED": SELECT_ACCOUNT_LOCKED,
    "SELECT_DISPLAY_NAME": SELECT_DISPLAY_NAME,
}
"""What calls of a till run; a test explains each on a million rows without statistics."""

_ACCOUNT_ID = itemgetter(0)
_FIELD_STATES = msgspec.json.Decoder(dict[str, FieldState])
_COUNTERS = msgspec.json.Decoder(dict[str, int])
_OFFERS = msgspec.json.Decoder(tuple[OwnOffer, ...])


class KnownKey(Struct, frozen=True, gc=False):
    """A key that is taken: by what, and where its receipt stands."""

    kind: int
    fingerprint: bytes
    account_id: int
    day: int


class KnownCustomer(Struct, frozen=True):
    """A customer with what is personal and never stored elsewhere.

    Attributes:
        fields: what is known of the profile fields.
        birth_day: month * 100 + day; None is not known.
        in_debt: the account owes something of some asset.
    """

    facts: CustomerFacts
    fields: dict[str, FieldState]
    birth_day: int | None = None
    in_debt: bool = False


class AccountRow(Struct, frozen=True, gc=False):
    """An account: its version, its purchases so far, and its balances in minor units by asset."""

    version: int
    purchases: int
    balances: dict[str, int]


class StoredRow(Struct, frozen=True, gc=False):
    """A receipt as it was stored."""

    ruleset_version: int
    evaluated_at_us: int
    recorded_at_us: int
    request: bytes
    facts: bytes
    answer: bytes


async def read_keys(connection: AnyConnection, key_ids: Sequence[bytes]) -> dict[bytes, KnownKey]:
    """Read which keys are taken."""
    rows = await connection.fetch(SELECT_KEYS, key_ids)
    return {
        row["key_id"]: KnownKey(row["kind"], row["fingerprint"], row["account_id"], row["day"])
        for row in rows
    }


async def read_identifiers(
    connection: AnyConnection, hashes: Sequence[bytes]
) -> dict[bytes, tuple[int, int]]:
    """Read whose identifiers these are: (account id, customer id) by hash."""
    rows = await connection.fetch(SELECT_IDENTIFIERS, hashes)
    return {digest: (account_id, customer_id) for digest, customer_id, account_id in rows}


async def read_customers(
    connection: AnyConnection, account_ids: Sequence[int]
) -> dict[tuple[int, int], KnownCustomer]:
    """Read customers with the version and balances of their accounts."""
    # Versions first: a commit between the two reads then leaves an old version, which loses, and
    # never a new version with old balances.
    customers = await connection.fetch(SELECT_CUSTOMERS, account_ids)
    balances: dict[int, list[tuple[str, int]]] = {}
    owing: set[int] = set()
    for account_id, asset_code, amount_minor, debt_minor in await connection.fetch(
        SELECT_BALANCES, account_ids
    ):
        balances.setdefault(account_id, []).append((asset_code, amount_minor))
        if debt_minor:
            owing.add(account_id)
    return {
        (row["account_id"], row["customer_id"]): _customer(row, balances, owing)
        for row in customers
    }


async def read_owners(
    connection: AnyConnection, hashes: Sequence[bytes]
) -> tuple[dict[bytes, tuple[int, int]], dict[tuple[int, int], KnownCustomer]]:
    """Read whose identifiers these are, and those customers: as the two reads above.

    A customer who moves to another account between the two reads is no stranger: both are read
    again, until all are found or the same ones are missing as before.
    """
    missing: set[tuple[int, int]] = set()
    while True:
        identifiers = await read_identifiers(connection, hashes)
        account_ids = sorted(set(map(_ACCOUNT_ID, identifiers.values())))
        customers = await read_customers(connection, account_ids) if account_ids else {}
        before, missing = missing, set(identifiers.values()) - customers.keys()
        if not missing or missing == before:
            return identifiers, customers


async def read_uses(
    connection: AnyConnection, wanted: Sequence[tuple[int, tuple[str, ...]]]
) -> dict[int, dict[tuple[str, str], Amount]]:
    """Read what promotions have been used for accounts, each in its periods.

    Returns:
        By account, then by promotion and period; other accounts' periods may be among them.
    """
    accounts = sorted({account_id for account_id, _ in wanted})
    periods = sorted({period for _, own in wanted for period in own})
    found: dict[int, dict[tuple[str, str], Amount]] = {}
    for account_id, promotion_id, period, times, minor in await connection.fetch(
        SELECT_USES, accounts, periods
    ):
        found.setdefault(account_id, {})[promotion_id, period] = Amount(times, minor)
    return found


async def read_receipt(connection: AnyConnection, key_id: bytes, day: int) -> StoredRow | None:
    """Read a stored receipt by its key and the day its key names."""
    row = await connection.fetchrow(SELECT_RECEIPT, key_id, day)
    return None if row is None else StoredRow(*row.values())


async def read_answers(
    connection: AnyConnection, account_id: int, customer_id: int, field_codes: Sequence[str]
) -> dict[str, str]:
    """Read the newest answers to some fields. Personal: for the cashier's eyes only."""
    rows = await connection.fetch(SELECT_DISPLAY_NAME, account_id, customer_id, field_codes)
    return {row["field_code"]: row["value"] for row in rows}


async def read_account(connection: AnyConnection, account_id: int) -> AccountRow | None:
    """Read an account's version and purchases, and then its balances."""
    account = await connection.fetchrow(SELECT_ACCOUNT, account_id)
    if account is None:
        return None
    rows = await connection.fetch(SELECT_BALANCES, [account_id])
    balances = {row["asset_code"]: row["amount_minor"] for row in rows}
    return AccountRow(account["version"], account["purchases"], balances)


async def lock_account(connection: AnyConnection, account_id: int) -> None:
    """Hold an account until the transaction ends. One account only: Citus allows no more."""
    await connection.fetchrow(SELECT_ACCOUNT_LOCKED, account_id)


def _customer(
    row: asyncpg.Record, balances: dict[int, list[tuple[str, int]]], owing: set[int]
) -> KnownCustomer:
    (
        account_id,
        customer_id,
        state,
        language_code,
        segments,
        fields,
        tier,
        birth_day,
        counters,
        offers,
        version,
        purchases,
        last_purchase_day,
    ) = row.values()
    facts = CustomerFacts(
        account_id,
        version,
        customer_id,
        state,
        language_code,
        frozenset(segments),
        tuple(balances.get(account_id, ())),
        tier,
        None,
        purchases,
        last_purchase_day,
        tuple(sorted(_COUNTERS.decode(counters).items())) if counters else (),
        _OFFERS.decode(offers) if offers else (),
    )
    return KnownCustomer(facts, _FIELD_STATES.decode(fields), birth_day, account_id in owing)
