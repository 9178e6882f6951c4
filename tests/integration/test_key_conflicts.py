"""Whatever call a key was used for, who uses it for something else is told what is committed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest

from loyalty.v1 import customer_service_pb2 as cs
from loyalty.v1 import ledger_pb2 as lg
from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import KeyKind
from tests.accounts import World, identifier, who, world
from tests.serving import CHAIN, PROGRAM, STORE, checkout_request, reason_of

ID = bytes(range(16))
COMMITTED = """
select encode(fingerprint, 'hex') as fingerprint, recorded_at_us::text as committed_at_us
  from commit_key join receipt using (key_id) where kind = $1
"""


class Case(NamedTuple):
    """A call, what its key stands for, and what its request says differently another time."""

    call: Callable[[World], Any]
    kind: KeyKind
    request: Callable[[str], Any]


def sale(card: str) -> pb.CheckoutRequest:
    return checkout_request(1, card)


def enrolment(card: str) -> pb.EnrollRequest:
    return pb.EnrollRequest(
        enrollment_id=ID, chain_id=CHAIN, store_id=STORE, identifiers=[identifier(f"new {card}")]
    )


def submission(card: str) -> pb.SubmitProfileRequest:
    return pb.SubmitProfileRequest(
        submission_id=ID,
        chain_id=CHAIN,
        store_id=STORE,
        identifier=identifier(card),
        channel=pb.PROFILE_CHANNEL_TILL,
        answers=[pb.ProfileAnswer(field_code="mobile", value="+7 916 123-45-67")],
    )


def gesture(card: str) -> cs.PostGoodwillRequest:
    return cs.PostGoodwillRequest(
        goodwill_id=ID,
        chain_id=CHAIN,
        store_id=STORE,
        customer=who(card),
        asset_code="points",
        amount_minor=5,
        reason_code="late",
        agent_id="a1",
    )


def merge(card: str) -> lg.MergeAccountsRequest:
    return lg.MergeAccountsRequest(
        merge_id=ID, chain_id=CHAIN, losing=who(card), winning=who("card3"), merged_by="a1"
    )


CASES = {
    "Checkout": Case(lambda made: made.till.Checkout, KeyKind.CHECKOUT, sale),
    "Enroll": Case(lambda made: made.till.Enroll, KeyKind.ENROLLMENT, enrolment),
    "SubmitProfile": Case(lambda made: made.till.SubmitProfile, KeyKind.PROFILE, submission),
    "PostGoodwill": Case(lambda made: made.customers.PostGoodwill, KeyKind.GOODWILL, gesture),
    "MergeAccounts": Case(lambda made: made.office.MergeAccounts, KeyKind.MERGE, merge),
}


@pytest.fixture
def made(place: dict[str, str], log_dir: Path) -> Iterator[World]:
    points = {**PROGRAM["assets"][0], "goodwill_max_minor": 5}
    with world(place, log_dir, assets=[points]) as found:
        yield found


def told(call: Any, request: Any) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=10)
    return reason_of(error.value)


def test_a_conflict_names_what_is_committed(made: World) -> None:
    found, expected = {}, {}
    for name, case in CASES.items():
        call = case.call(made)
        first = call(case.request("card1"), timeout=10)
        code, reason, metadata = told(call, case.request("card2"))
        metadata.pop("receipt_id", None)
        found[name] = code, reason, metadata
        ((fingerprint, at_us),) = made.fetch(COMMITTED, case.kind)
        named = {"fingerprint": fingerprint, "committed_at_us": at_us, "result": "REFUSED"}
        expected[name] = grpc.StatusCode.ALREADY_EXISTS, "KEY_CONFLICT", named
        assert call(case.request("card1"), timeout=10) == first, name
    assert found == expected
