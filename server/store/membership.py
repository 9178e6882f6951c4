"""Whose account is whose: reads customers with their accounts; writes who is new and who moves."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from rewards.commit import UNCHANGED, AccountChange, Commit, Move, having
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

SELECT_OWNER = "select account_id, customer_id from identifier where identifier_hash = $1"

SELECT_PLACE = "select account_id from membership where customer_id = $1"

SELECT_PLACES = """
select customer_id, account_id from membership where customer_id = any($1::bigint[])
"""

SELECT_CUSTOMER = """
select customer_id, account_id, chain_id, customer_number, state
  from customer
 where account_id = $1 and customer_id = $2
"""

SELECT_CUSTOMERS = """
select customer_id, account_id, chain_id, customer_number, state
  from customer
 where account_id = $1
 order by customer_id
"""

SELECT_ACCOUNT = """
select account_id, version, kind, purchases, last_purchase_day, merged_into, chain_id
  from account
 where account_id = $1
"""

COUNT_IDENTIFIERS = """
select customer_id, kind, count(*) as count
  from identifier
 where account_id = $1
 group by customer_id, kind
 order by customer_id, kind
"""

INSERT_CUSTOMERS = """
insert into customer (account_id, customer_id, chain_id, customer_number, state, language_code,
                      segments, field_state)
select customer_id, customer_id, chain_id, customer_number, 1, language_code, '{}', '{}'
  from unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
    as new (customer_id, chain_id, customer_number, language_code)
"""

INSERT_IDENTIFIERS = """
insert into identifier (identifier_hash, kind, customer_id, account_id)
select * from unnest($1::bytea[], $2::smallint[], $3::bigint[], $4::bigint[])
on conflict (identifier_hash) do nothing
returning identifier_hash
"""

MOVE_CUSTOMER = """
update customer set account_id = $3 where account_id = $2 and customer_id = $1
"""

MOVE_IDENTIFIERS = """
update identifier set account_id = $3 where account_id = $2 and customer_id = $1
"""

MOVE_ANSWERS = """
update profile_answer set account_id = $3 where account_id = $2 and customer_id = $1
"""

NOTE_PLACE = """
insert into membership as m (customer_id, account_id)
values ($1, $2)
on conflict (customer_id) do update set account_id = excluded.account_id
"""

MOVE_USES = """
insert into promotion_use as u (account_id, promotion_id, period, times, amount_minor)
select $2, promotion_id, period, times, amount_minor
  from promotion_use
 where account_id = $1
on conflict (account_id, promotion_id, period)
do update set times = u.times + excluded.times,
              amount_minor = u.amount_minor + excluded.amount_minor
"""

NOTE_MERGED = "update account set merged_at_us = $2 where account_id = $1"

DROP_USES = "delete from promotion_use where account_id = $1"

CHANGE_KIND = "update account set kind = $2 where account_id = $1"

HOT_STATEMENTS = {
    "SELECT_OWNER": SELECT_OWNER,
    "SELECT_PLACE": SELECT_PLACE,
    "SELECT_PLACES": SELECT_PLACES,
    "SELECT_CUSTOMER": SELECT_CUSTOMER,
    "SELECT_CUSTOMERS_OF_ACCOUNT": SELECT_CUSTOMERS,
    "SELECT_ACCOUNT_STATE": SELECT_ACCOUNT,
    "INSERT_CUSTOMERS": INSERT_CUSTOMERS,
    "INSERT_IDENTIFIERS": INSERT_IDENTIFIERS,
    "MOVE_CUSTOMER": MOVE_CUSTOMER,
    "MOVE_IDENTIFIERS": MOVE_IDENTIFIERS,
    "MOVE_ANSWERS": MOVE_ANSWERS,
    "NOTE_PLACE": NOTE_PLACE,
    "MOVE_USES": MOVE_USES,
    "DROP_USES": DROP_USES,
}
"""What enrolments and merges run; a test explains each on a million rows without statistics."""


class Member(Struct, frozen=True, gc=False):
    """A customer and the account they have; state as CustomerState."""

    customer_id: int
    account_id: int
    chain_id: str
    customer_number: str
    state: int


class AccountState(Struct, frozen=True, gc=False):
    """An account without what it owns; kind as AccountKind, merged_into 0 is nowhere."""

    account_id: int
    version: int
    kind: int
    purchases: int
    last_purchase_day: int
    merged_into: int
    chain_id: str


async def read_member_by_hash(connection: AnyConnection, identifier_hash: bytes) -> Member | None:
    """Find who has an identifier, whatever account they are on by now."""

    async def place() -> tuple[int, int] | None:
        row = await connection.fetchrow(SELECT_OWNER, identifier_hash)
        return None if row is None else (row["account_id"], row["customer_id"])

    return await _member_at(connection, place)


async def read_member_by_id(connection: AnyConnection, customer_id: int) -> Member | None:
    """Find a customer by their id, whatever account they are on by now."""

    async def place() -> tuple[int, int]:
        return await connection.fetchval(SELECT_PLACE, customer_id) or customer_id, customer_id

    return await _member_at(connection, place)


async def read_members(connection: AnyConnection, account_id: int) -> tuple[Member, ...]:
    """List the customers of an account, by id."""
    rows = await connection.fetch(SELECT_CUSTOMERS, account_id)
    return tuple(Member(*row.values()) for row in rows)


async def read_account_state(connection: AnyConnection, account_id: int) -> AccountState | None:
    """Read an account."""
    row = await connection.fetchrow(SELECT_ACCOUNT, account_id)
    return None if row is None else AccountState(*row.values())


async def read_places(connection: AnyConnection, customer_ids: Sequence[int]) -> dict[int, int]:
    """Read the account of each customer whose account is not their own id, by customer."""
    rows = await connection.fetch(SELECT_PLACES, customer_ids)
    return {row["customer_id"]: row["account_id"] for row in rows}


async def count_identifiers(
    connection: AnyConnection, account_id: int
) -> list[tuple[int, int, int]]:
    """Count an account's identifiers: (customer, kind as IdentifierKind, how many)."""
    rows = await connection.fetch(COUNT_IDENTIFIERS, account_id)
    return [(row["customer_id"], row["kind"], row["count"]) for row in rows]


async def write_members(connection: AnyConnection, commits: Sequence[Commit]) -> frozenset[bytes]:
    """Write new customers and identifiers, and move customers between accounts.

    Returns:
        Keys of the identifiers that somebody has already; if there are any, the transaction must
        be rolled back.
    """
    customers = sorted(
        (new.customer_id, new.chain_id, new.customer_number, new.language_code)
        for commit in having(commits, "new_customers")
        for new in commit.new_customers
    )
    if customers:
        await connection.fetch(INSERT_CUSTOMERS, *zip(*customers, strict=True))
    for commit in commits:
        for move in commit.moves:
            await _move(connection, move)
        for change in commit.accounts:
            if change.merged_into or change.kind != UNCHANGED:
                await _change_place(connection, change, commit.recorded_at_us)
    return await _insert_identifiers(connection, commits)


async def _member_at(
    connection: AnyConnection, place: Callable[[], Awaitable[tuple[int, int] | None]]
) -> Member | None:
    """Read the customer at a place: (account id, customer id).

    One who is not there any more has moved since the place was read, which is asked for again; who
    is not there although the place is the same is nowhere.
    """
    last = None
    while (found := await place()) not in (None, last):
        row = await connection.fetchrow(SELECT_CUSTOMER, *found)
        if row is not None:
            return Member(*row.values())
        last = found
    return None


async def _insert_identifiers(
    connection: AnyConnection, commits: Sequence[Commit]
) -> frozenset[bytes]:
    new = {
        one.identifier_hash: one
        for commit in having(commits, "new_identifiers")
        for one in commit.new_identifiers
    }
    if not new:
        return frozenset()
    rows = [
        (digest, new[digest].kind, new[digest].customer_id, new[digest].account_id)
        for digest in sorted(new)
    ]
    inserted = await connection.fetch(INSERT_IDENTIFIERS, *zip(*rows, strict=True))
    written = {row["identifier_hash"] for row in inserted}
    return frozenset(new[digest].key_id for digest in new.keys() - written)


async def _move(connection: AnyConnection, move: Move) -> None:
    place = (move.customer_id, move.account_id, move.to_account_id)
    for statement in (MOVE_CUSTOMER, MOVE_IDENTIFIERS, MOVE_ANSWERS):
        await connection.execute(statement, *place)
    await connection.execute(NOTE_PLACE, move.customer_id, move.to_account_id)


async def _change_place(connection: AnyConnection, change: AccountChange, at_us: int) -> None:
    """Change an account's kind; one that was merged leaves its uses of promotions too."""
    if change.merged_into:
        await connection.execute(MOVE_USES, change.account_id, change.merged_into)
        await connection.execute(DROP_USES, change.account_id)
        await connection.execute(NOTE_MERGED, change.account_id, at_us)
    if change.kind != UNCHANGED:
        await connection.execute(CHANGE_KIND, change.account_id, change.kind)
