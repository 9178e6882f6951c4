"""A customer who moves to another account while being looked up is found, and never a stranger.

Method: a connection that moves the customer, as a merge does, each time after it has said where
the customer is.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from server.store import facts, membership, recipients
from server.store.facts import read_owners
from server.store.membership import read_member_by_hash, read_member_by_id
from server.store.recipients import Addressee, read_addressee
from tests.serving import CHAIN, test_program

CUSTOMER_ID, MOVES = 7, 5
DIGEST = b"h" * 16
MOVE = """
with moved as (update customer set account_id = account_id + 1),
     noted as (insert into membership (customer_id, account_id)
               select customer_id, account_id + 1 from customer
               on conflict (customer_id) do update set account_id = excluded.account_id),
     answered as (update profile_answer set account_id = account_id + 1)
update identifier set account_id = account_id + 1
"""
ANSWER = """
insert into profile_answer (account_id, customer_id, field_code, answered_at_us, value, channel,
                            key_id, cashier_id)
values ($1, $1, 'mobile', 1, '+79160000001', 1, '', '')
"""
SAY_WHERE = (
    facts.SELECT_IDENTIFIERS,
    membership.SELECT_OWNER,
    membership.SELECT_PLACE,
    recipients.SELECT_RECIPIENT,
)


class Moving:
    """A connection to a database in which the customer moves whenever their place was read."""

    def __init__(self, connection: Any, moves: int) -> None:
        self._connection = connection
        self.moves_left = moves

    async def fetch(self, query: str, *arguments: object) -> object:
        return await self._then_moved(query, self._connection.fetch(query, *arguments))

    async def fetchrow(self, query: str, *arguments: object) -> object:
        return await self._then_moved(query, self._connection.fetchrow(query, *arguments))

    async def fetchval(self, query: str, *arguments: object) -> object:
        return await self._then_moved(query, self._connection.fetchval(query, *arguments))

    async def _then_moved(self, query: str, reading: Awaitable[object]) -> object:
        found = await reading
        if query in SAY_WHERE and self.moves_left:
            self.moves_left -= 1
            await self._connection.execute(MOVE)
        return found


@pytest.fixture
async def moving(place_with: Callable[[Any], dict[str, str]]) -> AsyncIterator[Any]:
    """One customer with one identifier, on the way."""
    connection = await asyncpg.connect(place_with(test_program())["LOYALTY_DSN"], timeout=10)
    try:
        await connection.execute(
            "truncate customer, identifier, membership, account, profile_answer"
        )
        for number in range(MOVES + 1):
            await connection.execute(
                "insert into account (account_id, version, kind, chain_id) values ($1, 0, 1, $2)",
                CUSTOMER_ID + number,
                CHAIN,
            )
        await connection.execute(
            membership.INSERT_CUSTOMERS, [CUSTOMER_ID], [CHAIN], ["number"], ["ru"]
        )
        await connection.execute(
            membership.INSERT_IDENTIFIERS, [DIGEST], [1], [CUSTOMER_ID], [CUSTOMER_ID]
        )
        await connection.execute(ANSWER, CUSTOMER_ID)
        yield Moving(connection, MOVES)
    finally:
        await connection.close()


async def test_by_an_identifier(moving: Any) -> None:
    found = await read_member_by_hash(moving, DIGEST)
    assert moving.moves_left == 0
    assert found is not None
    assert (found.customer_id, found.account_id) == (CUSTOMER_ID, CUSTOMER_ID + MOVES)
    assert await read_member_by_hash(moving, b"x" * 16) is None


async def test_by_the_customers_id(moving: Any) -> None:
    found = await read_member_by_id(moving, CUSTOMER_ID)
    assert moving.moves_left == 0
    assert found is not None
    assert found.account_id == CUSTOMER_ID + MOVES
    assert await read_member_by_id(moving, CUSTOMER_ID + 1) is None


async def test_for_a_sale(moving: Any) -> None:
    identifiers, customers = await read_owners(moving, [DIGEST, b"x" * 16])
    assert moving.moves_left == 0
    assert identifiers == {DIGEST: (CUSTOMER_ID + MOVES, CUSTOMER_ID)}
    assert list(customers) == [(CUSTOMER_ID + MOVES, CUSTOMER_ID)]


async def test_for_a_message(moving: Any) -> None:
    found = await read_addressee(moving, CUSTOMER_ID, ["mobile"])
    assert found == Addressee("ru", {"mobile": "+79160000001"})
    assert moving.moves_left == 0
    assert await read_addressee(moving, CUSTOMER_ID + 1, ["mobile"]) is None
