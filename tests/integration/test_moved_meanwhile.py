"""A customer who moves to another account while being looked up is found, and never a stranger.

Method: a connection that moves the customer, as a merge does, each time after it has said where
the customer is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from loyalty.v1 import till_service_pb2 as pb
from server.customer_reference import CustomerName, find_party
from server.main import composed
from server.settings import Settings
from server.store import facts, holdings, membership, recipients
from server.store.facts import read_owners
from server.store.membership import read_member_by_hash, read_member_by_id
from server.store.recipients import Addressee, read_addressee
from server.till.identify import identify
from tests.accounts import identifier
from tests.serving import CHAIN, STORE, test_program

CUSTOMER_ID, MOVES = 7, 5
DIGEST, LOT_ID = b"h" * 16, b"l" * 20
NUMBER = "1"
MOVE = """
with one as (select customer_id, account_id as old_id,
                    (select max(account_id) + 1 from account) as new_id
               from customer where customer_number = '1'),
     opened as (insert into account (account_id, version, kind, chain_id)
                select new_id, 0, 1, 'test' from one),
     moved as (update customer c set account_id = new_id
                 from one where c.customer_id = one.customer_id),
     lots as (update lot set account_id = new_id from one where account_id = old_id),
     answers as (update profile_answer set account_id = new_id from one where account_id = old_id),
     noted as (insert into membership (customer_id, account_id)
               select customer_id, new_id from one
               on conflict (customer_id) do update set account_id = excluded.account_id)
update identifier i set account_id = new_id from one where i.customer_id = one.customer_id
"""
GRANT = """
insert into lot (account_id, lot_id, asset_code, granted_minor, remaining_minor, active_from_us,
                 expires_at_us, kind, promotion_id, book)
select account_id, $1, 'points', 5, 5, 0, 4102444800000000, 1, '', 1
  from customer where customer_number = '1'
"""
ANSWER = """
insert into profile_answer (account_id, customer_id, field_code, answered_at_us, value, channel,
                            key_id, cashier_id)
values ($1, $1, 'mobile', 1, '+79160000001', 1, '', '')
"""


class Moving:
    """A connection to a database in which the customer moves after some statements."""

    def __init__(self, connection: Any, moves: int) -> None:
        self._connection = connection
        self.moves_left = moves
        self.moves_after = (
            facts.SELECT_IDENTIFIERS,
            membership.SELECT_OWNER,
            membership.SELECT_PLACE,
            recipients.SELECT_RECIPIENT,
        )

    async def fetch(self, query: str, *arguments: object) -> object:
        return await self._then_moved(query, self._connection.fetch(query, *arguments))

    async def fetchrow(self, query: str, *arguments: object) -> object:
        return await self._then_moved(query, self._connection.fetchrow(query, *arguments))

    async def fetchval(self, query: str, *arguments: object) -> object:
        return await self._then_moved(query, self._connection.fetchval(query, *arguments))

    async def _then_moved(self, query: str, reading: Awaitable[object]) -> object:
        found = await reading
        if query in self.moves_after and self.moves_left:
            self.moves_left -= 1
            await self._connection.execute(MOVE)
        return found


@pytest.fixture
async def moving(place_with: Callable[[Any], dict[str, str]]) -> AsyncIterator[Any]:
    """One customer with one identifier, on the way."""
    connection = await asyncpg.connect(place_with(test_program())["LOYALTY_DSN"], timeout=10)
    try:
        await connection.execute(
            "truncate customer, identifier, membership, account, lot, profile_answer"
        )
        await connection.execute(
            "insert into account (account_id, version, kind, chain_id) values ($1, 0, 1, $2)",
            CUSTOMER_ID,
            CHAIN,
        )
        await connection.execute(
            membership.INSERT_CUSTOMERS, [CUSTOMER_ID], [CHAIN], [NUMBER], ["ru"]
        )
        await connection.execute(
            membership.INSERT_IDENTIFIERS, [DIGEST], [1], [CUSTOMER_ID], [CUSTOMER_ID]
        )
        await connection.execute(GRANT, LOT_ID)
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


@pytest.mark.parametrize("after", ["SELECT_ACCOUNT", "SELECT_LOTS", "SELECT_CUSTOMERS"])
async def test_with_what_they_own(moving: Any, after: str) -> None:
    moving.moves_after = (getattr(holdings if after == "SELECT_LOTS" else membership, after),)
    party = await find_party(moving, CustomerName(CHAIN, "customer", identifier_hash=DIGEST))
    moved = 0 if after == "SELECT_CUSTOMERS" else MOVES
    assert party.account.account_id == CUSTOMER_ID + moved
    assert [lot.remaining_minor for lot in party.holdings.lots] == [5]


async def test_by_identify(place: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The customer goes to another account, with all that they own, after they were looked up."""
    request = pb.IdentifyRequest(chain_id=CHAIN, store_id=STORE, identifier=identifier("card1"))
    async with composed(Settings(dsn=place["LOYALTY_DSN"])) as context:
        reading, later_s = context.database.reading, asyncio.get_running_loop().time() + 60.0
        async with reading() as connection:
            await connection.execute(GRANT, LOT_ID)
        before = pb.IdentifyResponse.FromString(await identify(context, request, later_s))
        moves = 0

        @asynccontextmanager
        async def moving() -> AsyncIterator[Any]:
            nonlocal moves
            async with reading() as connection:
                if moves < MOVES:
                    moves += 1
                    await connection.execute(MOVE)
                yield connection

        monkeypatch.setattr(context.database, "reading", moving)
        after = pb.IdentifyResponse.FromString(await identify(context, request, later_s))
    assert moves == MOVES
    assert before.balances[0].amount_minor == 5
    assert after == before


async def test_for_a_message(moving: Any) -> None:
    found = await read_addressee(moving, CUSTOMER_ID, ["mobile"])
    assert found == Addressee("ru", {"mobile": "+79160000001"})
    assert moving.moves_left == 0
    assert await read_addressee(moving, CUSTOMER_ID + 1, ["mobile"]) is None
