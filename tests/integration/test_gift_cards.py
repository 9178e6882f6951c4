"""Goal: what is paid onto a gift card or given as a certificate is there to be spent, once.

Method: two server processes over one database; the ledger is audited after each test.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from tests.cards import (
    ACTIVATE,
    BALANCE,
    CARDS,
    REDEEM,
    RELOAD,
    REVERSE,
    VOUCHER,
    left_on,
    paid,
    refunded,
    refusal,
    sold,
    voided,
)
from tests.serving import (
    PlaceWith,
    ServerProcess,
    raw_checkout,
    reason_of,
    serving,
    till_stub,
    with_totals,
)


@pytest.fixture
def servers(place_with: PlaceWith, log_dir: Path) -> Iterator[list[ServerProcess]]:
    """Two servers with the program of this file in force; the ledger is audited at the end."""
    with serving(place_with(CARDS), log_dir, 2) as found:
        yield found
        with grpc.insecure_channel(found[0].target) as channel:
            audited = BackOfficeServiceStub(channel).AuditLedger(bo.AuditLedgerRequest())
            assert list(audited.problems) == []


@pytest.fixture
def tills(servers: list[ServerProcess]) -> Iterator[list[Any]]:
    """A till at each server."""
    with (
        grpc.insecure_channel(servers[0].target) as one,
        grpc.insecure_channel(servers[1].target) as two,
    ):
        yield [till_stub(one), till_stub(two)]


def test_the_life_of_a_card(tills: list[Any]) -> None:
    """Sold, spent in part, reloaded, spent whole; every call again changes nothing."""
    assert left_on(tills[0], "C-1") is None
    requests = [
        sold(1, "C-1", 10_000),
        paid(2, "c-1", 4_000),
        sold(3, "C-1", 1_000, RELOAD),
        paid(4, "C-1", 7_000, VOUCHER),
    ]
    for n, (request, left) in enumerate(zip(requests, (10_000, 6_000, 7_000, 0), strict=True)):
        first = tills[n % 2].Checkout(request)
        assert left_on(tills[1], "c-1") == left
        assert tills[(n + 1) % 2].Checkout(request) == first
        assert left_on(tills[0], "c-1") == left


def test_two_cards_on_one_receipt(tills: list[Any]) -> None:
    """Each has its own money, and the ledger that is proved afterwards tells them apart."""
    request = sold(1, "C-1", 1_000)
    other = sold(2, "C-2", 700).sale.lines[-1]
    other.line_id = "other"
    request.sale.lines.append(other)
    with_totals(request.sale)
    tills[0].Checkout(request)
    tills[1].Checkout(paid(2, "C-1", 300))
    assert [left_on(tills[1], code) for code in ("C-1", "C-2")] == [700, 700]


def test_a_card_that_is_sold_while_a_basket_is_open(tills: list[Any]) -> None:
    """What is on it since the quote's frozen instant pays all the same."""
    basket_id = bytes(range(16))
    request = paid(2, "C-1", 900)
    quoted = tills[0].Quote(pb.QuoteRequest(basket_id=basket_id, sale=request.sale))
    tills[1].Checkout(sold(1, "C-1", 900))
    request.basket_id, request.token = basket_id, quoted.token
    assert not tills[0].Checkout(request).exceptions
    assert left_on(tills[1], "C-1") == 0


def test_more_than_is_on_it(tills: list[Any]) -> None:
    """An open receipt is refused and nothing moves; a paid one takes what is there, and says so."""
    tills[0].Checkout(sold(1, "C-1", 1_000))
    reason, metadata = refusal(tills[1].Checkout, paid(2, "C-1", 1_001))
    assert reason == "SPEND_NOT_POSSIBLE"
    assert (metadata["asset_code"], metadata["asked_minor"], metadata["most_minor"]) == (
        "gift",
        "1001",
        "1000",
    )
    assert left_on(tills[0], "C-1") == 1_000
    fact = tills[1].Checkout(paid(2, "C-1", 1_001, closed=True))
    assert [one.kind for one in fact.exceptions] == [pb.EXCEPTION_KIND_GIFT_CARD]
    assert left_on(tills[0], "C-1") == 0


def unnamed(number: int, amount_minor: int) -> pb.CheckoutRequest:
    """A receipt that is paid with a card of which the till does not say which."""
    request = paid(number, "C-1", amount_minor)
    request.sale.tenders[0].ClearField("gift_card_id")
    return request


BAD = {
    "unknown card spent": (paid(2, "C-9", 5), "UNKNOWN"),
    "unknown card reloaded": (sold(2, "C-9", 5, RELOAD), "UNKNOWN"),
    "card sold twice": (sold(2, "C-1", 5), "ALREADY_ACTIVE"),
    "reversed by a tender": (paid(2, "C-1", 5, operation=REVERSE), "REVERSE_BY_VOID"),
    "sold by a tender": (paid(2, "C-9", 5, operation=ACTIVATE), "PAID_IN_BY_LINE"),
    "reloaded by a tender": (paid(2, "C-1", 5, operation=RELOAD), "PAID_IN_BY_LINE"),
    "spent by a line": (sold(2, "C-1", 5, REDEEM), "REDEEM_BY_TENDER"),
    "nobody's card spent": (unnamed(2, 5), "NO_CARD"),
}


@pytest.mark.parametrize(("request_", "state"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_done_with_a_card(
    tills: list[Any], request_: pb.CheckoutRequest, state: str
) -> None:
    """An open receipt is refused with the card's state; a paid one is recorded with it."""
    tills[0].Checkout(sold(1, "C-1", 1_000))
    reason, metadata = refusal(tills[1].Checkout, request_)
    assert (reason, metadata["state"]) == ("GIFT_CARD_STATE", state)
    fact = pb.CheckoutRequest()
    fact.CopyFrom(request_)
    fact.closed = True
    answer = tills[1].Checkout(fact)
    assert [one.kind for one in answer.exceptions] == [pb.EXCEPTION_KIND_GIFT_CARD]
    assert state in answer.exceptions[0].detail


def test_an_unnamed_card_that_pays_nothing(tills: list[Any]) -> None:
    """It takes nothing off anybody's card: nothing is missing."""
    tills[0].Checkout(sold(1, "C-1", 1_000))
    assert not tills[0].Checkout(unnamed(2, 0)).exceptions


def test_an_enquiry_pays_nothing(tills: list[Any]) -> None:
    """Whoever asks for a balance takes nothing: with an amount it contradicts itself, paid or not.

    Its amount would count as paid, and be taken off no card.
    """
    tills[0].Checkout(sold(1, "C-1", 1_000))
    asking = paid(2, "C-1", 5)
    asking.sale.tenders[0].gift_card_operation = BALANCE
    quote = pb.QuoteRequest(basket_id=bytes(16), sale=asking.sale)
    paid_already = pb.CheckoutRequest()
    paid_already.CopyFrom(asking)
    paid_already.closed = True
    assert refusal(tills[0].Quote, quote)[0] == "INCONSISTENT"
    for request in (asking, paid_already):
        assert refusal(tills[1].Checkout, request)[0] == "INCONSISTENT"
    asking.sale.tenders[0].amount_minor = 0
    assert not tills[1].Checkout(asking).exceptions
    assert left_on(tills[0], "C-1") == 1_000


@pytest.mark.parametrize("operation", [ACTIVATE, RELOAD])
def test_a_tender_puts_nothing_on_a_card(tills: list[Any], operation: Any) -> None:
    """It pays, nobody pays for it: money would be on the card that no one has paid."""
    tills[0].Checkout(sold(1, "C-1", 1_000))
    tills[0].Checkout(paid(2, "C-1", 5, operation=operation, closed=True))
    assert left_on(tills[1], "C-1") == 1_000


def test_a_voucher_of_somebody_else(tills: list[Any]) -> None:
    """A voucher whose number the server does not know is a means of payment like others."""
    tills[0].Checkout(sold(1, "C-1", 1_000))
    assert not tills[0].Checkout(paid(2, "their-voucher", 500, VOUCHER)).exceptions


def test_a_certificate(tills: list[Any]) -> None:
    """Its code is answered, printed, and pays like a card, until nothing is left."""
    quoted = tills[0].Quote(
        pb.QuoteRequest(basket_id=bytes(16), sale=paid(0, "", 0, trigger="certificate").sale)
    )
    assert not quoted.answer.rewards.rewards[0].codes
    first = tills[0].Checkout(paid(1, "", 0, trigger="certificate"))
    [reward] = first.answer.rewards.rewards
    [code] = reward.codes
    assert reward.amount_minor == left_on(tills[1], code) == 5_000
    assert code in [text.text for text in first.answer.texts]
    tills[1].Checkout(paid(2, code, 2_000))
    assert left_on(tills[0], code) == 3_000
    assert refusal(tills[0].Checkout, paid(3, code, 3_001))[0] == "SPEND_NOT_POSSIBLE"
    tills[0].Checkout(paid(4, code, 3_000, VOUCHER))
    assert left_on(tills[0], code) == 0


def test_void_gives_back_and_takes_back(tills: list[Any]) -> None:
    """What was spent comes back to the card; the card that was sold is empty again."""
    tills[0].Checkout(sold(1, "C-1", 1_000))
    tills[0].Checkout(paid(2, "C-1", 400))
    tills[1].Void(voided(2))
    assert left_on(tills[0], "C-1") == 1_000
    tills[1].Void(voided(1))
    assert left_on(tills[0], "C-1") == 0


def test_a_card_that_comes_back_is_empty(tills: list[Any]) -> None:
    """The money of its line is taken off it, once; other lines leave it alone."""
    tills[0].Checkout(sold(1, "C-1", 1_000))
    tills[0].Checkout(sold(2, "C-1", 300, RELOAD))
    tills[1].Refund(refunded(10, 1, "2"))
    assert left_on(tills[0], "C-1") == 1_300
    for till in tills:
        assert till.Refund(refunded(11, 1, "card")).amount_minor == 1_000
    assert left_on(tills[0], "C-1") == 300
    tills[0].Void(voided(1))
    assert left_on(tills[0], "C-1") == 300


def test_a_card_that_was_spent_does_not_come_back(tills: list[Any]) -> None:
    """A request is refused; of a fact what is left is taken, and it is noted."""
    tills[0].Checkout(sold(1, "C-1", 1_000))
    tills[0].Checkout(paid(2, "C-1", 400))
    reason, metadata = refusal(tills[1].Refund, refunded(10, 1, "card"))
    assert (reason, metadata["most_minor"]) == ("SPEND_NOT_POSSIBLE", "600")
    assert left_on(tills[0], "C-1") == 600
    fact = tills[1].Refund(refunded(10, 1, "card", closed=True))
    assert [one.kind for one in fact.exceptions] == [pb.EXCEPTION_KIND_RETURN_LINES]
    assert left_on(tills[0], "C-1") == 0


@pytest.mark.parametrize("kind", ["sold", "spent"])
def test_two_tills_at_the_same_instant(
    servers: list[ServerProcess], tills: list[Any], kind: str
) -> None:
    """Of several receipts that sell one card, or spend its last money, one succeeds."""
    if kind == "spent":
        tills[0].Checkout(sold(1, "C-1", 700))

    def request(number: int) -> pb.CheckoutRequest:
        return sold(number, "C-1", 700) if kind == "sold" else paid(number, "C-1", 700)

    async def rush() -> list[Any]:
        async with (
            grpc.aio.insecure_channel(servers[0].target) as one,
            grpc.aio.insecure_channel(servers[1].target) as two,
        ):
            calls = [raw_checkout((one, two)[n % 2], request(10 + n)) for n in range(8)]
            return await asyncio.gather(*calls, return_exceptions=True)

    answers = asyncio.run(rush())
    reasons = sorted(
        reason_of(one)[1] if isinstance(one, grpc.RpcError) else "SOLD" for one in answers
    )
    refused = "GIFT_CARD_STATE" if kind == "sold" else "SPEND_NOT_POSSIBLE"
    assert reasons == [*[refused] * 7, "SOLD"] if refused < "SOLD" else ["SOLD", *[refused] * 7]
    assert left_on(tills[0], "C-1") == (700 if kind == "sold" else 0)
