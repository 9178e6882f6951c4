"""Goal: a merge loses nothing, whatever is sold meanwhile, and whoever comes late finds the points.

Method: merges against checkouts of both cards on two servers, then what the database says; voids,
imports and look-ups after the merge; households; refusals that post nothing.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import customer_service_pb2 as cs
from loyalty.v1 import ledger_pb2 as lg
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from tests.accounts import World, who, world
from tests.serving import CHAIN, checkout_request, raw_checkout, reason_of, receipt_key

EARNED = 2_900
"""What the usual sale earns."""


@pytest.fixture
def place_of_two(place: dict[str, str], log_dir: Path) -> Iterator[World]:
    with world(place, log_dir, count=2) as made:
        yield made


def merge_request(losing: str, winning: str, **fields: Any) -> lg.MergeAccountsRequest:
    return lg.MergeAccountsRequest(
        chain_id=CHAIN, losing=who(losing), winning=who(winning), merged_by="test", **fields
    )


def state_of(call: Any, request: Any) -> str:
    """Why a call is refused: the reason, or the state that goes with MEMBERSHIP_STATE."""
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=10)
    _, reason, metadata = reason_of(error.value)
    return metadata.get("state", reason)


def test_a_merge_moves_everything_and_repeats(place_of_two: World) -> None:
    till, office = place_of_two.till, place_of_two.office
    for number, card in enumerate(["card1", "card1", "card2"]):
        till.Checkout(checkout_request(number, card))
    request = merge_request("card1", "card2")
    merged = office.MergeAccounts(request)
    assert (merged.lots, merged.customers) == (2, 1)
    assert [(one.asset_code, one.amount_minor) for one in merged.moved] == [("points", 2 * EARNED)]
    assert office.MergeAccounts(request) == merged
    assert [place_of_two.balance(card) for card in ("card1", "card2")] == 2 * [3 * EARNED]
    rows = place_of_two.fetch("select purchases, merged_into from account where purchases > 0")
    assert rows == [(3, 0)]

    # The card goes on earning, and the receipt from before the merge can be undone.
    till.Checkout(checkout_request(10, "card1"))
    assert place_of_two.balance("card2") == 4 * EARNED
    found = office.GetCustomer(lg.GetCustomerRequest(chain_id=CHAIN, customer=who("card1")))
    assert sorted(one.customer_number for one in found.members) == ["1", "2"]
    assert (found.purchases, found.customer_number) == (4, "1")

    # An import of the customer goes to where the account is now.
    imported = bo.ImportedIdentifier(kind="card", value="late")
    one = bo.Customer(customer_number="1", identifiers=[imported], segments=["gold"])
    office.ImportCustomers(bo.ImportCustomersRequest(chain_id=CHAIN, customers=[one]))
    assert place_of_two.balance("late") == 4 * EARNED
    places = place_of_two.fetch(
        "select count(*), count(distinct account_id) from customer where customer_number in"
        " ('1', '2')"
    )
    assert places == [(2, 1)]
    place_of_two.check_ledger()


def test_a_receipt_from_before_the_merge_is_voided(place_of_two: World) -> None:
    till, office = place_of_two.till, place_of_two.office
    till.Checkout(checkout_request(1, "card1"))
    till.Checkout(checkout_request(2, "card2"))
    office.MergeAccounts(merge_request("card1", "card2"))
    voided = till.Void(
        pb.VoidRequest(receipt_key=receipt_key(1), reason_code="WRONG", cashier_id="c1")
    )
    assert [(one.amount_minor, one.balance_minor) for one in voided.changes] == [(-EARNED, EARNED)]
    assert place_of_two.balance("card1") == EARNED
    place_of_two.check_ledger()

    # The statement tells both accounts' history as one; by what was known before, each its own.
    request = cs.GetStatementRequest(chain_id=CHAIN, customer=who("card1"))
    told = place_of_two.customers.GetStatement(request).entries
    assert [one.amount_minor for one in told] == [EARNED, EARNED, -EARNED]
    assert [one.balance_minor for one in told] == [EARNED, 2 * EARNED, EARNED]
    request.known_at_us = told[1].recorded_at_us
    before = place_of_two.customers.GetStatement(request).entries
    assert [one.effective_at_us for one in before] == [told[1].effective_at_us]
    past = cs.GetBalanceRequest(
        chain_id=CHAIN, customer=who("card2"), at_us=told[0].effective_at_us
    )
    found = place_of_two.customers.GetBalance(past).past
    assert [one.amount_minor for one in found] == [EARNED]


def test_what_cannot_be_merged(place_of_two: World) -> None:
    till, office = place_of_two.till, place_of_two.office
    till.Checkout(checkout_request(1, "card1"))
    before = place_of_two.fetch("select count(*) from posting")
    assert state_of(office.MergeAccounts, merge_request("card1", "card1")) == "SAME_CUSTOMER"
    assert state_of(office.MergeAccounts, merge_request("none", "card1")) == "CUSTOMER_NOT_FOUND"
    assert state_of(office.MergeAccounts, merge_request("card1", "none")) == "CUSTOMER_NOT_FOUND"
    merge_id = bytes(range(16))
    office.MergeAccounts(merge_request("card2", "card3", merge_id=merge_id))
    other = merge_request("card1", "card3", merge_id=merge_id)
    assert state_of(office.MergeAccounts, other) == "KEY_CONFLICT"
    assert state_of(office.MergeAccounts, merge_request("card3", "card2")) == "SAME_ACCOUNT"
    assert state_of(office.MergeAccounts, lg.MergeAccountsRequest()) == "FIELD_REQUIRED"
    assert place_of_two.fetch("select count(*) from posting") == before
    place_of_two.check_ledger()


def test_a_merge_in_the_middle_of_a_hundred_checkouts(place_of_two: World) -> None:
    """Every sale of either card is on the account that stays, once."""
    targets = [server.target for server in place_of_two.servers]

    async def sell(number: int) -> None:
        card = "card7" if number % 4 else "card8"
        async with grpc.aio.insecure_channel(targets[number % 2]) as channel:
            await raw_checkout(channel, checkout_request(number, card), timeout_s=60.0)

    async def merge() -> None:
        async with grpc.aio.insecure_channel(targets[0]) as channel:
            stub: Any = BackOfficeServiceStub(channel)
            await stub.MergeAccounts(merge_request("card7", "card8"), timeout=60.0)

    async def run() -> None:
        sales = [sell(number) for number in range(100)]
        await asyncio.gather(*sales[:50], merge(), *sales[50:])

    asyncio.run(run())
    assert place_of_two.balance("card7") == 100 * EARNED
    purchases = place_of_two.fetch("select purchases from account where purchases <> 0")
    assert purchases == [(100,)]
    losers = place_of_two.fetch(
        "select count(*) from lot l join account a using (account_id)"
        " where a.merged_into <> 0 and l.remaining_minor > 0"
    )
    assert losers == [(0,)]
    place_of_two.check_ledger()


def test_merges_of_a_circle_end_on_one_account(place_of_two: World) -> None:
    """Three accounts merged into each other at once: each merge wins or is refused."""
    for number, card in enumerate(["card1", "card2", "card3"]):
        place_of_two.till.Checkout(checkout_request(number, card))
    pairs = [("card1", "card2"), ("card2", "card3"), ("card3", "card1")]

    async def merge(losing: str, winning: str, target: str) -> str:
        async with grpc.aio.insecure_channel(target) as channel:
            stub: Any = BackOfficeServiceStub(channel)
            try:
                await stub.MergeAccounts(merge_request(losing, winning), timeout=30.0)
            except grpc.aio.AioRpcError as error:
                _, reason, metadata = reason_of(error)
                return metadata.get("state", reason)
            return "merged"

    async def run() -> list[str]:
        targets = [server.target for server in place_of_two.servers]
        work = [merge(*pair, targets[n % 2]) for n, pair in enumerate(pairs)]
        return await asyncio.gather(*work)

    assert sorted(asyncio.run(run())) == ["SAME_ACCOUNT", "merged", "merged"]
    assert {place_of_two.balance(f"card{n}") for n in (1, 2, 3)} == {3 * EARNED}
    place_of_two.check_ledger()


def test_households(place_of_two: World) -> None:
    till, office = place_of_two.till, place_of_two.office

    def join(number: int, card: str, member: str) -> lg.JoinHouseholdRequest:
        return lg.JoinHouseholdRequest(
            join_id=number.to_bytes(16, "big"),
            chain_id=CHAIN,
            customer=who(card),
            member=who(member),
            joined_by="test",
        )

    def leave(number: int, card: str) -> lg.LeaveHouseholdRequest:
        return lg.LeaveHouseholdRequest(
            leave_id=number.to_bytes(16, "big"),
            chain_id=CHAIN,
            customer=who(card),
            left_by="test",
        )

    for number, card in enumerate(["card1", "card2", "card3"]):
        till.Checkout(checkout_request(number, card))
    assert state_of(office.LeaveHousehold, leave(9, "card1")) == "NOT_IN_HOUSEHOLD"
    assert office.JoinHousehold(join(1, "card2", "card1")).members == 2
    joined = office.JoinHousehold(join(2, "card3", "card2"))
    assert (joined.members, place_of_two.balance("card1")) == (3, 3 * EARNED)
    assert office.JoinHousehold(join(2, "card3", "card2")) == joined
    assert state_of(office.JoinHousehold, join(3, "card1", "card4")) == "IN_HOUSEHOLD"

    # Who leaves, even the founder, has nothing; who stays has it all.
    assert office.LeaveHousehold(leave(1, "card1")).members == 2
    assert [place_of_two.balance(f"card{n}") for n in (1, 2, 3)] == [0, 3 * EARNED, 3 * EARNED]
    till.Checkout(checkout_request(5, "card1"))
    assert place_of_two.balance("card1") == EARNED
    assert office.LeaveHousehold(leave(1, "card1")).members == 2
    assert office.LeaveHousehold(leave(2, "card3")).members == 1
    assert state_of(office.LeaveHousehold, leave(3, "card2")) == "LAST_MEMBER"

    # The founder comes back, with what was earned meanwhile.
    assert office.JoinHousehold(join(4, "card1", "card2")).members == 2
    assert place_of_two.balance("card1") == 4 * EARNED
    kinds = place_of_two.fetch("select kind, merged_into <> 0 from account where purchases > 0")
    assert kinds == [(2, False)]
    place_of_two.check_ledger()
