"""Goal: an enrolment makes a customer, or gives identifiers, once; nobody's identifier is taken."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import answer_pb2
from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.till_service_pb2_grpc import TillServiceStub
from tests.accounts import World, identifier, world
from tests.serving import CHAIN, STORE, checkout_request, reason_of

ACTIVE = answer_pb2.CUSTOMER_STATE_ACTIVE


@pytest.fixture
def place_of_two(place: dict[str, str], log_dir: Path) -> Iterator[World]:
    with world(place, log_dir, count=2) as made:
        yield made


def request(number: int, *cards: str, existing: str = "", **fields: Any) -> pb.EnrollRequest:
    made = pb.EnrollRequest(
        enrollment_id=number.to_bytes(16, "big"),
        chain_id=CHAIN,
        store_id=STORE,
        identifiers=[identifier(card) for card in cards],
        **fields,
    )
    if existing:
        made.existing.CopyFrom(identifier(existing))
    return made


def identified(stub: Any, card: str) -> pb.IdentifyResponse:
    found: pb.IdentifyResponse = stub.Identify(
        pb.IdentifyRequest(chain_id=CHAIN, store_id=STORE, identifier=identifier(card))
    )
    return found


def refused(call: Any, made: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.RpcError) as error:
        call(made, timeout=10)
    return reason_of(error.value)


def test_enrolments(place_of_two: World) -> None:
    """One server pair, everything that may be enrolled and what is refused."""
    till = place_of_two.till
    answers = [pb.ProfileAnswer(field_code="mobile", value="+7 916 123-45-67")]
    first = request(1, "new1", "new2", answers=answers)
    enrolled = till.Enroll(first)
    assert (enrolled.result, enrolled.state) == (pb.DURABLE_RESULT_COMMITTED, ACTIVE)
    assert enrolled.texts
    assert till.Enroll(first) == enrolled
    call = pb.SessionRequest(correlation_id=7, timeout_ms=5_000, enroll=first)
    (repeated,) = till.Session(iter([call]))
    assert repeated.enroll == enrolled
    assert [identified(till, card).state for card in ("new1", "new2")] == [ACTIVE, ACTIVE]
    kept = place_of_two.fetch("select customer_id, value from profile_answer")
    assert [value for _, value in kept] == ["+79161234567"]

    sold = till.Checkout(checkout_request(1, "new1"))
    assert sold.result == pb.DURABLE_RESULT_COMMITTED
    assert place_of_two.balance("new2") == 2_900

    more = till.Enroll(request(2, "new3", "new1", existing="new2"))
    assert more.customer_number == enrolled.customer_number
    assert place_of_two.balance("new3") == 2_900

    assert refused(till.Enroll, request(1, "other"))[1] == "KEY_CONFLICT"
    assert refused(till.Enroll, request(3, "fresh", "card1"))[1] == "IDENTIFIER_TAKEN"
    assert identified(till, "fresh").state == answer_pb2.CUSTOMER_STATE_UNKNOWN
    assert refused(till.Enroll, request(4, "card1", existing="new1"))[1] == "IDENTIFIER_TAKEN"
    assert refused(till.Enroll, request(5, "fresh", existing="none"))[1] == "CUSTOMER_NOT_FOUND"
    assert refused(till.Enroll, request(6, "fresh", "fresh"))[1] == "INCONSISTENT"
    wrong = [pb.ProfileAnswer(field_code="mobile", value="nonsense")]
    assert refused(till.Enroll, request(7, "fresh", answers=wrong))[1] == "ANSWER_REJECTED"
    assert refused(till.Enroll, request(8))[1] == "FIELD_REQUIRED"

    # The back office goes on with the number that the enrolment made.
    imported = bo.ImportedIdentifier(kind="card", value="new4")
    one = bo.Customer(customer_number=enrolled.customer_number, identifiers=[imported])
    place_of_two.office.ImportCustomers(bo.ImportCustomersRequest(chain_id=CHAIN, customers=[one]))
    assert place_of_two.balance("new4") == 2_900
    place_of_two.check_ledger()


def test_of_enrolments_that_race_for_an_identifier_one_wins(place_of_two: World) -> None:
    """Two servers, the same cards at the same time, each time under keys of their own."""
    targets = [server.target for server in place_of_two.servers]

    async def enroll(number: int, target: str, card: str) -> str:
        async with grpc.aio.insecure_channel(target) as channel:
            stub: Any = TillServiceStub(channel)
            try:
                await stub.Enroll(request(number, card, f"own{number}"), timeout=20)
            except grpc.aio.AioRpcError as error:
                return reason_of(error)[1]
            return "enrolled"

    async def race() -> list[str]:
        work = [enroll(n, targets[n % 2], f"race{n >> 3}") for n in range(64)]
        return await asyncio.gather(*work)

    ends = asyncio.run(race())
    for n in range(0, 64, 8):
        assert sorted(ends[n : n + 8]) == sorted(["enrolled"] + 7 * ["IDENTIFIER_TAKEN"])
    # Who lost has left nothing behind: every enrolled customer has both cards.
    counts = place_of_two.fetch(
        "select count(*) from identifier where customer_id in"
        " (select customer_id from customer where customer_number like 'enrolled-%')"
        " group by customer_id"
    )
    assert counts == 8 * [(2,)]
