"""Writes customers that the back office imports, a batch a transaction."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from rewards.birthday import BIRTH_DATE_FIELD, birth_day_of
from rewards.facts import OwnOffer
from server.store.array_literal import array_literal
from server.store.database import Database
from server.store.facts import AnyConnection
from server.store.membership import read_places
from server.store.rejections import CustomerNumberError, IdentifierTakenError

IMPORT_TIMEOUT_S = 120.0
IMPORT_CHANNEL = 0
"""Channel of an imported answer: none of the contract's."""
NO_KEY = b""
"""Key of an imported answer: no submission brought it."""

# First of all and sorted, like every writer of accounts: so no two of them wait in a circle.
BUMP_ACCOUNTS = """
insert into account as a (account_id, version, chain_id)
select account_id, 1, $2 from unnest($1::bigint[]) as new (account_id)
on conflict (account_id)
do update set version = a.version + 1
"""

# A number whose id belongs to another number is not returned.
UPSERT_CUSTOMERS = """
insert into customer as c (account_id, customer_id, chain_id, customer_number, state, language_code,
                           segments, field_state, tier, counters, offers)
select account_id, customer_id, $1, customer_number, state, language_code, segments::text[], '{}',
       tier, counters::jsonb, offers::jsonb
  from unnest($2::bigint[], $3::bigint[], $4::text[], $5::smallint[], $6::text[], $7::text[],
              $8::text[], $9::text[], $10::text[])
    as new (account_id, customer_id, customer_number, state, language_code, segments, tier,
            counters, offers)
on conflict (account_id, customer_id)
do update set state = excluded.state,
              language_code = excluded.language_code,
              segments = excluded.segments,
              tier = excluded.tier,
              counters = excluded.counters,
              offers = excluded.offers
        where c.chain_id = excluded.chain_id
          and c.customer_number = excluded.customer_number
returning c.customer_id
"""

INSERT_IDENTIFIERS = """
insert into identifier (identifier_hash, kind, customer_id, account_id)
select *
  from unnest($1::bytea[], $2::smallint[], $3::bigint[], $4::bigint[])
on conflict (identifier_hash) do nothing
"""

SELECT_OWNERS = """
select identifier_hash, customer_id from identifier where identifier_hash = any($1::bytea[])
"""

INSERT_ANSWERS = """
insert into profile_answer (account_id, customer_id, field_code, answered_at_us, value, channel,
                            key_id, cashier_id)
select account_id, customer_id, field_code, answered_at_us, value, $6, $7, ''
  from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
    as new (account_id, customer_id, field_code, answered_at_us, value)
on conflict do nothing
"""

# At most one answer a field: the newest of the batch.
MERGE_FIELD_STATES = """
update customer c
   set field_state = c.field_state || fresh.field_state,
       birth_day = coalesce(fresh.birth_day, c.birth_day)
  from (select a.account_id, a.customer_id,
               jsonb_object_agg(a.field_code, jsonb_build_array(a.answered_at_us, a.kept))
                 as field_state,
               max(a.birth_day) as birth_day
          from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[],
                      $6::smallint[])
            as a (account_id, customer_id, field_code, answered_at_us, kept, birth_day)
          join customer now on now.account_id = a.account_id and now.customer_id = a.customer_id
         where a.answered_at_us > coalesce((now.field_state -> a.field_code ->> 0)::bigint, -1)
         group by a.account_id, a.customer_id) as fresh
 where c.account_id = fresh.account_id
   and c.customer_id = fresh.customer_id
"""

# Answers that came before their field had a closed set of answers, or before any program.
KEEP_VALUES = """
update customer c
   set field_state = jsonb_set(c.field_state, array[$3],
                               jsonb_build_array(a.answered_at_us, a.value))
  from profile_answer a
 where c.chain_id = $1
   and c.field_state -> $3 ->> 1 is null
   and c.field_state ? $3
   and c.account_id = any($2::bigint[])
   and a.account_id = c.account_id
   and a.customer_id = c.customer_id
   and a.field_code = $3
   and a.answered_at_us = (c.field_state -> $3 ->> 0)::bigint
"""

SELECT_ACCOUNTS_TO_KEEP = """
select account_id
  from customer
 where chain_id = $1
   and account_id > $2
   and field_state ? $3
   and field_state -> $3 ->> 1 is null
 order by account_id
 limit $4
"""


class IdentifierRow(Struct, frozen=True, gc=False):
    """An identifier: kind as IdentifierKind of the contract, and its keyed hash of 16 bytes."""

    kind: int
    identifier_hash: bytes


class AnswerRow(Struct, frozen=True, gc=False):
    """An answer; `kept_value` is what rules may ask about, else None."""

    field_code: str
    answered_at_us: int
    value: str
    kept_value: str | None


class CustomerRow(Struct, frozen=True):
    """A customer to import.

    Attributes:
        customer_id: a hash of chain and number, 1 to 2^63-1; also the id of a new one's account.
        state: 1 active, 2 earn only, 3 blocked.
        counters: (counter code, count).
    """

    customer_id: int
    customer_number: str
    state: int
    language_code: str
    segments: tuple[str, ...]
    identifiers: tuple[IdentifierRow, ...]
    answers: tuple[AnswerRow, ...]
    tier: str = ""
    counters: tuple[tuple[str, int], ...] = ()
    offers: tuple[OwnOffer, ...] = ()


async def import_customers(
    database: Database, chain_id: str, customers: Sequence[CustomerRow]
) -> None:
    """Insert or replace customers; balances and identifiers that are not named stay.

    Args:
        database: open.
        chain_id: whose they are.
        customers: no two with one number.

    Raises:
        CustomerNumberError: the id of a number is another number's.
        IdentifierTakenError: an identifier is another customer's.
        RetryError: the database cannot be reached just now; importing again is safe.
    """
    async with database.reading() as connection, connection.transaction():
        places = await _lock_accounts(connection, chain_id, customers)
        await _write_customers(connection, chain_id, customers, places)
        await _write_identifiers(connection, customers, places)
        await _write_answers(connection, customers, places)


async def keep_values(
    database: Database, chain_id: str, field_codes: Iterable[str], batch: int = 10_000
) -> None:
    """Let rules ask about answers given before their fields had a closed set of answers.

    Args:
        database: open.
        chain_id: whose customers.
        field_codes: fields whose check is choice or yes_no now.
        batch: customers a transaction.

    Raises:
        RetryError: the database cannot be reached just now; running it again is safe.
    """
    for field_code in field_codes:
        last = 0
        while account_ids := await _keep_some(database, chain_id, field_code, last, batch):
            last = account_ids[-1]


async def _keep_some(
    database: Database, chain_id: str, field_code: str, after: int, batch: int
) -> list[int]:
    async with database.reading() as connection, connection.transaction():
        rows = await connection.fetch(
            SELECT_ACCOUNTS_TO_KEEP, chain_id, after, field_code, batch, timeout=IMPORT_TIMEOUT_S
        )
        account_ids: list[int] = [row["account_id"] for row in rows]
        if account_ids:
            await connection.execute(
                KEEP_VALUES, chain_id, account_ids, field_code, timeout=IMPORT_TIMEOUT_S
            )
    return account_ids


async def _lock_accounts(
    connection: AnyConnection, chain_id: str, customers: Sequence[CustomerRow]
) -> dict[int, int]:
    """Hold the account of every customer until the transaction ends; give it by customer."""
    customer_ids = sorted(customer.customer_id for customer in customers)
    moved = await read_places(connection, customer_ids)
    while True:
        places = {customer_id: moved.get(customer_id, customer_id) for customer_id in customer_ids}
        account_ids = sorted(set(places.values()))
        await connection.execute(BUMP_ACCOUNTS, account_ids, chain_id, timeout=IMPORT_TIMEOUT_S)
        # A merge may have come before the lock; none comes after it.
        now = await read_places(connection, customer_ids)
        if now == moved:
            return places
        moved = now


async def _write_customers(
    connection: AnyConnection,
    chain_id: str,
    customers: Sequence[CustomerRow],
    places: Mapping[int, int],
) -> None:
    rows = sorted(
        (
            places[customer.customer_id],
            customer.customer_id,
            customer.customer_number,
            customer.state,
            customer.language_code,
            array_literal(customer.segments),
            customer.tier,
            _json_or_none(dict(customer.counters)),
            _json_or_none(customer.offers),
        )
        for customer in customers
    )
    written = await connection.fetch(
        UPSERT_CUSTOMERS, chain_id, *_columns(rows), timeout=IMPORT_TIMEOUT_S
    )
    known = {row["customer_id"] for row in written}
    for row, customer in enumerate(customers):
        if customer.customer_id not in known:
            raise CustomerNumberError(row)


async def _write_identifiers(
    connection: AnyConnection, customers: Sequence[CustomerRow], places: Mapping[int, int]
) -> None:
    rows = sorted(
        (
            identifier.identifier_hash,
            identifier.kind,
            customer.customer_id,
            places[customer.customer_id],
        )
        for customer in customers
        for identifier in customer.identifiers
    )
    if not rows:
        return
    columns = _columns(rows)
    await connection.execute(INSERT_IDENTIFIERS, *columns, timeout=IMPORT_TIMEOUT_S)
    found = await connection.fetch(SELECT_OWNERS, columns[0], timeout=IMPORT_TIMEOUT_S)
    owners = {row["identifier_hash"]: row["customer_id"] for row in found}
    for row, customer in enumerate(customers):
        for place, identifier in enumerate(customer.identifiers):
            if owners[identifier.identifier_hash] != customer.customer_id:
                raise IdentifierTakenError(row, place)


async def _write_answers(
    connection: AnyConnection, customers: Sequence[CustomerRow], places: Mapping[int, int]
) -> None:
    answers = sorted(
        (customer.customer_id, answer.field_code, answer.answered_at_us, answer)
        for customer in customers
        for answer in {(a.field_code, a.answered_at_us): a for a in customer.answers}.values()
    )
    if not answers:
        return
    rows = [
        (places[owner], owner, code, at_us, answer.value) for owner, code, at_us, answer in answers
    ]
    await connection.execute(
        INSERT_ANSWERS, *_columns(rows), IMPORT_CHANNEL, NO_KEY, timeout=IMPORT_TIMEOUT_S
    )
    # Sorted by instant, so the last one of a field stays in the dictionary.
    newest = {(owner, code): (at_us, answer) for owner, code, at_us, answer in answers}
    states = [
        (
            places[owner],
            owner,
            code,
            at_us,
            answer.kept_value,
            birth_day_of(answer.value) if code == BIRTH_DATE_FIELD else None,
        )
        for (owner, code), (at_us, answer) in newest.items()
    ]
    await connection.execute(MERGE_FIELD_STATES, *_columns(states), timeout=IMPORT_TIMEOUT_S)


def _json_or_none(kept: Mapping[str, int] | Sequence[OwnOffer]) -> str | None:
    """What a customer may have none of; most have none, and null costs a look-up nothing."""
    return msgspec.json.encode(kept).decode() if kept else None


def _columns(rows: Sequence[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Turn rows into the columns that unnest takes."""
    return list(zip(*rows, strict=True))
