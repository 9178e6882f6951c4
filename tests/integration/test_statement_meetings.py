"""Goal: who reads an account while it is merged reads one account, whole, or must begin again.

Method: a server in this process; merges between two pages, and between two statements of one call.
Points are hundredths.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from loyalty.v1 import customer_service_pb2 as cs
from loyalty.v1 import ledger_pb2 as lg
from rewards.refusal import Reason, Refusal
from server import membership as merging
from server.main import composed
from server.settings import Settings
from server.statements import get_balance, get_customer, get_statement
from server.store import membership
from server.till.context import Context
from server.till.forward import forward
from tests.accounts import who
from tests.forwarding import AS_ANSWERED, PROGRAM_OFFLINE, forward_request
from tests.refunding import basket
from tests.serving import CHAIN, test_program

LATER_S = 20.0
LATER_US = 3_600_000_000
EARNED = 500
"""5% of what is paid."""
Meeting = Callable[[], Awaitable[None]]
Entries = list[cs.StatementEntry]


class Met:
    """A connection on which something else happens once, after a statement has run."""

    def __init__(self, connection: Any, after: str, meetings: list[Meeting]) -> None:
        self._connection = connection
        self._after = after
        self._meetings = meetings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetch(self, query: str, *arguments: object) -> object:
        return await self._then_met(query, self._connection.fetch(query, *arguments))

    async def fetchrow(self, query: str, *arguments: object) -> object:
        return await self._then_met(query, self._connection.fetchrow(query, *arguments))

    async def _then_met(self, query: str, reading: Awaitable[object]) -> object:
        found = await reading
        if query == self._after and self._meetings:
            await self._meetings.pop()()
        return found


class Desk:
    """A server in this process: customer 1 has bought three times, customer 2 as often between."""

    def __init__(self, context: Context, patch: pytest.MonkeyPatch) -> None:
        self.context = context
        self._patch = patch

    @property
    def deadline_s(self) -> float:
        """Time enough."""
        return asyncio.get_running_loop().time() + LATER_S

    async def sell(self, number: int, card: str) -> None:
        made = basket(("sku9", 1, 10_000), card=card)
        await forward(self.context, forward_request(number, made, AS_ANSWERED), self.deadline_s)

    async def merge(self, losing: str = "card1", winning: str = "card2") -> None:
        request = lg.MergeAccountsRequest(
            chain_id=CHAIN, losing=who(losing), winning=who(winning), merged_by="test"
        )
        await merging.merge(self.context, request, self.deadline_s)

    async def join(self, card: str, member: str) -> None:
        request = lg.JoinHouseholdRequest(
            chain_id=CHAIN, join_id=bytes(16), customer=who(card), member=who(member),
            joined_by="test",
        )  # fmt: skip
        await merging.join(self.context, request, self.deadline_s)

    async def leave(self, card: str) -> None:
        request = lg.LeaveHouseholdRequest(
            chain_id=CHAIN, leave_id=bytes(16), customer=who(card), left_by="test"
        )
        await merging.leave(self.context, request, self.deadline_s)

    async def page(self, card: str, token: str = "", size: int = 1, **fields: Any) -> Any:
        request = cs.GetStatementRequest(
            chain_id=CHAIN, customer=who(card), page_token=token, page_size=size, **fields
        )
        answer = await get_statement(self.context, request, self.deadline_s)
        return cs.GetStatementResponse.FromString(answer)

    async def rest(self, card: str, first: Any, **fields: Any) -> Entries:
        """A statement from its first page on."""
        found, page = list(first.entries), first
        while page.next_page_token:
            page = await self.page(card, page.next_page_token, **fields)
            found.extend(page.entries)
        return found

    async def whole(self, card: str, **fields: Any) -> Entries:
        return list((await self.page(card, size=500, **fields)).entries)

    async def refused(self, reading: Awaitable[object]) -> list[str]:
        """The fields that a refusal names."""
        with pytest.raises(Refusal) as found:
            await reading
        assert found.value.reason == Reason.INCONSISTENT
        return [path for path, _ in found.value.fields]

    async def past(self, card: str, **fields: Any) -> dict[str, int]:
        """Balances an hour from now."""
        request = cs.GetBalanceRequest(
            chain_id=CHAIN, customer=who(card), at_us=self.context.clock() + LATER_US, **fields
        )
        answer = await get_balance(self.context, request, self.deadline_s)
        past = cs.GetBalanceResponse.FromString(answer).past
        return {one.asset_code: one.amount_minor for one in past}

    async def customer(self, card: str) -> lg.GetCustomerResponse:
        request = lg.GetCustomerRequest(chain_id=CHAIN, customer=who(card))
        answer = await get_customer(self.context, request, self.deadline_s)
        return lg.GetCustomerResponse.FromString(answer)

    def meet(self, meeting: Meeting, after: str = "") -> None:
        """Let something happen after a statement; without one before the first."""
        reading, meetings = self.context.database.reading, [meeting]

        @asynccontextmanager
        async def met() -> AsyncIterator[Any]:
            if not after and meetings:
                await meetings.pop()()
            async with reading() as connection:
                yield Met(connection, after, meetings)

        self._patch.setattr(self.context.database, "reading", met)


@pytest.fixture
async def desk(
    place_with: Callable[[Any], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    dsn = place_with(test_program(**PROGRAM_OFFLINE))["LOYALTY_DSN"]
    async with composed(Settings(dsn=dsn)) as context:
        made = Desk(context, monkeypatch)
        for number in range(1, 7):
            await made.sell(number, f"card{2 - number % 2}")
        yield made


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("card", ["card1", "card2"])
async def test_pages_go_on_with_the_account_that_they_began_on(
    desk: Desk, card: str, is_named: bool
) -> None:
    """Of the account that ends, and of the one that stays; whether the instant is named or not."""
    before = await desk.whole(card)
    assert [one.balance_minor for one in before] == [EARNED, 2 * EARNED, 3 * EARNED]
    first = await desk.page(card)
    await desk.merge()
    named = {"known_at_us": first.known_at_us} if is_named else {}
    assert await desk.rest(card, first, **named) == before
    assert [one.amount_minor for one in await desk.whole(card)] == 6 * [EARNED]


async def test_pages_go_on_by_what_was_known_when_they_began(desk: Desk) -> None:
    """What is recorded meanwhile is in the next statement."""
    first = await desk.page("card1")
    await desk.sell(7, "card1")
    found = await desk.rest("card1", first)
    assert (len(found), len(await desk.whole("card1"))) == (3, 4)
    other_us = first.known_at_us + 1
    named = desk.page("card1", first.next_page_token, known_at_us=other_us)
    assert await desk.refused(named) == ["known_at_us"]


async def test_pages_follow_an_account_through_two_merges_and_a_household(desk: Desk) -> None:
    before = await desk.whole("card1")
    first = await desk.page("card1")
    await desk.merge("card1", "card2")
    await desk.merge("card2", "card3")
    await desk.join("card1", "card4")
    assert await desk.rest("card1", first) == before


async def test_who_has_left_the_account_begins_again(desk: Desk) -> None:
    await desk.join("card2", "card1")
    first = await desk.page("card2")
    await desk.leave("card2")
    going_on = desk.page("card2", first.next_page_token)
    assert await desk.refused(going_on) == ["page_token"]
    assert await desk.whole("card2") == []
    assert len(await desk.rest("card1", await desk.page("card1"))) == 6


async def test_a_token_of_another_customer_shows_nothing_of_theirs(desk: Desk) -> None:
    token = (await desk.page("card2")).next_page_token
    assert await desk.refused(desk.page("card1", token)) == ["page_token"]
    for mangled in ("1", token.partition(".")[2], "x" + token):
        assert await desk.refused(desk.page("card2", mangled)) == ["page_token"]


async def test_a_merge_just_before_the_customer_is_found_is_known(desk: Desk) -> None:
    desk.meet(desk.merge)
    assert [one.amount_minor for one in await desk.whole("card1")] == 6 * [EARNED]


async def test_a_merge_just_before_the_customer_is_found_counts_in_a_past_balance(
    desk: Desk,
) -> None:
    desk.meet(desk.merge)
    assert await desk.past("card1") == {"points": 6 * EARNED}


async def test_a_past_balance_is_of_one_moment(desk: Desk) -> None:
    desk.meet(desk.merge, after=membership.SELECT_CUSTOMER)
    known_at_us = desk.context.clock() + LATER_US
    assert await desk.past("card1", known_at_us=known_at_us) == {"points": 3 * EARNED}
    assert await desk.past("card1", known_at_us=known_at_us) == {"points": 6 * EARNED}


async def test_a_customer_is_shown_as_of_one_moment(desk: Desk) -> None:
    before = await desk.customer("card1")
    assert [len(one.identifiers) for one in before.members] == [1]
    desk.meet(desk.merge, after=membership.SELECT_CUSTOMERS)
    assert await desk.customer("card1") == before
    assert [len(one.identifiers) for one in (await desk.customer("card1")).members] == [1, 1]
