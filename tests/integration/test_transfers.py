"""Goal: money for a customer's account is asked for once, and goes through its states exactly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from tests.serving import (
    CHAIN,
    PROGRAM,
    PlaceWith,
    publish,
    reason_of,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
)

REQUESTED = bo.MONEY_TRANSFER_STATE_REQUESTED
SENT = bo.MONEY_TRANSFER_STATE_SENT
DONE = bo.MONEY_TRANSFER_STATE_DONE
RETURNED = bo.MONEY_TRANSFER_STATE_RETURNED
CANCELLED = bo.MONEY_TRANSFER_STATE_CANCELLED
CASHBACK = {
    "promotion_id": "cashback",
    "names": [{"language_code": "ru", "text": "Кешбэк"}],
    "lane": "reward",
    "gives": [{"code": "money_transfer", "destination_code": "phone", "rate_bp": 100}],
}
LARGE = {
    "promotion_id": "large",
    "names": [{"language_code": "ru", "text": "30%"}],
    "lane": "basket",
    "conditions": [
        {"code": "trigger", "any_of": ["large"]},
        {"code": "receipt_amount", "from_minor": 50_000},
    ],
    "gives": [{"code": "receipt_discount", "rate_bp": 3_000}],
    "policy": {"refund": "claw_back"},
}
PAYING = test_program(promotions=[CASHBACK, LARGE, PROGRAM["promotions"][1]])


@pytest.fixture
def calls(place_with: PlaceWith, log_dir: Path) -> Iterator[tuple[Any, Any]]:
    """A till and the back office, over two servers; the ledger is audited at the end."""
    with (
        serving(place_with(PAYING), log_dir, 2) as servers,
        grpc.insecure_channel(servers[0].target) as channel,
        grpc.insecure_channel(servers[1].target) as other,
    ):
        office = BackOfficeServiceStub(other)
        yield till_stub(channel), office
        assert list(office.AuditLedger(bo.AuditLedgerRequest()).problems) == []


def bought(till: Any, number: int, card: str = "card1") -> Any:
    return till.Checkout(pb.CheckoutRequest(receipt_key=receipt_key(number), sale=sale(card)))


def listed(office: Any, state: int = REQUESTED, **page: Any) -> list[Any]:
    request = bo.ListMoneyTransfersRequest(
        chain_id=CHAIN, state=bo.MoneyTransferState.ValueType(state), **page
    )
    return list(office.ListMoneyTransfers(request).transfers)


def advance(office: Any, transfer: Any, turn: int, to_state: int, note: str = "") -> Any:
    request = bo.AdvanceMoneyTransferRequest(
        chain_id=CHAIN,
        transfer_id=transfer.transfer_id,
        turn=turn,
        to_state=bo.MoneyTransferState.ValueType(to_state),
        note=note,
    )
    return office.AdvanceMoneyTransfer(request).transfer


def refusal(office: Any, transfer: Any, turn: int, to_state: int) -> tuple[str, dict[str, str]]:
    with pytest.raises(grpc.RpcError) as refused:
        advance(office, transfer, turn, to_state)
    return reason_of(refused.value)[1:]


def test_a_transfer_is_worked_off(calls: tuple[Any, Any]) -> None:
    """Asked for once however often the receipt is sent; returned and sent again; all is kept."""
    till, office = calls
    first = bought(till, 1)
    assert bought(till, 1) == first
    [reward] = [one for one in first.answer.rewards.rewards if one.detail_code]
    [transfer] = listed(office)
    assert transfer.amount_minor == reward.amount_minor == 600
    assert (transfer.destination_code, transfer.promotion_id) == ("phone", "cashback")
    assert (transfer.customer_number, transfer.turn) == ("1", 0)
    steps = [(SENT, "batch 1"), (RETURNED, "no such phone"), (SENT, "batch 2"), (DONE, "")]
    for turn, (state, note) in enumerate(steps):
        now = advance(office, transfer, turn, state, note)
        assert advance(office, transfer, turn, state, note) == now
        assert (now.state, now.turn) == (state, turn + 1)
    assert [(one.state, one.note) for one in now.changes] == steps
    assert (listed(office), [one.turn for one in listed(office, DONE)]) == ([], [4])


def test_what_a_state_does_not_allow(calls: tuple[Any, Any]) -> None:
    """Neither steps that do not follow, nor any on a state that was seen before another's step."""
    till, office = calls
    bought(till, 1)
    [transfer] = listed(office)
    reason, metadata = refusal(office, transfer, 0, DONE)
    assert (reason, metadata["state"], metadata["turn"]) == ("TRANSFER_STATE", "REQUESTED", "0")
    advance(office, transfer, 0, SENT)
    advance(office, transfer, 1, RETURNED)
    assert refusal(office, transfer, 1, DONE)[0] == "TRANSFER_STATE"
    assert refusal(office, transfer, 3, SENT)[0] == "TRANSFER_STATE"
    assert refusal(office, transfer, 2, CANCELLED)[0] == "TRANSFER_STATE"
    transfer.transfer_id = bytes(18)
    assert refusal(office, transfer, 0, SENT)[0] == "TRANSFER_NOT_FOUND"


def test_the_id_of_a_transfer_has_its_length(calls: tuple[Any, Any]) -> None:
    """What was sent as one is not said again: a refusal has little room."""
    till, office = calls
    bought(till, 1)
    ids = [bytes(size) for size in (0, 17, 500_000)]
    asked = [bo.MoneyTransfer(transfer_id=one) for one in ids]
    reasons = [refusal(office, one, 0, SENT)[0] for one in asked]
    assert reasons == ["FIELD_REQUIRED", "INCONSISTENT", "INCONSISTENT"]


def voided(till: Any, number: int) -> None:
    key = receipt_key(number)
    till.Void(pb.VoidRequest(receipt_key=key, reason_code="ERROR", cashier_id="c1"))


def test_a_void_cancels_what_nobody_has_sent(calls: tuple[Any, Any]) -> None:
    """What was sent is not called back."""
    till, office = calls
    bought(till, 1)
    [sent] = listed(office)
    advance(office, sent, 0, SENT)
    bought(till, 2)
    [waiting] = listed(office)
    voided(till, 1)
    voided(till, 2)
    assert [one.transfer_id for one in listed(office, SENT)] == [sent.transfer_id]
    assert [one.transfer_id for one in listed(office, CANCELLED)] == [waiting.transfer_id]
    assert refusal(office, waiting, 1, SENT)[0] == "TRANSFER_STATE"


def test_pages(calls: tuple[Any, Any]) -> None:
    """Page by page every transfer is there once; a stranger's receipt has none."""
    till, office = calls
    for number in range(5):
        bought(till, number)
    bought(till, 9, card="")
    found, after = [], b""
    while page := listed(office, after_transfer_id=after, page_size=2):
        found += [one.transfer_id for one in page]
        after = found[-1]
    assert found == sorted(one.transfer_id for one in listed(office))
    assert len(found) == 5


def refunded(till: Any, number: int, original: int, line_id: str, pieces: int) -> Any:
    return till.Refund(
        pb.RefundRequest(
            receipt_key=receipt_key(number),
            original_key=receipt_key(original),
            lines=[pb.RefundLine(line_id=line_id, quantity_milli=pieces * 1_000)],
            cashier_id="c1",
            reason_code="RETURN",
        )
    )


def test_a_refund_lowers_what_nobody_has_sent(calls: tuple[Any, Any]) -> None:
    """Whoever saw the old amount is too late; nothing is left of it when all comes back."""
    till, office = calls
    bought(till, 1)
    [seen] = listed(office)
    for _ in range(2):
        assert refunded(till, 10, 1, "2", 2).amount_minor == 20_000
    [left] = listed(office)
    assert (left.amount_minor, left.turn) == (400, 1)
    assert refusal(office, seen, seen.turn, SENT)[0] == "TRANSFER_STATE"
    refunded(till, 11, 1, "1", 2)
    refunded(till, 12, 1, "3", 2)
    [gone] = listed(office, CANCELLED)
    assert (gone.transfer_id, gone.turn, listed(office)) == (seen.transfer_id, 3, [])


def test_what_is_taken_and_given_again_is_cut_once(calls: tuple[Any, Any]) -> None:
    """Of 420, 350 are left, then 400 would be due on what is kept at its full price, then 300."""
    till, office = calls
    made = sale("card1")
    made.header.manual_triggers.append("large")
    till.Checkout(pb.CheckoutRequest(receipt_key=receipt_key(1), sale=made))
    amounts, taken = [], []
    for number, line_id in ((10, "1"), (11, "1"), (12, "2")):
        told = refunded(till, number, 1, line_id, 1)
        taken.append(sum(one.taken_back_minor for one in told.assets))
        [transfer] = listed(office)
        amounts.append((transfer.amount_minor, transfer.turn))
    assert amounts == [(350, 1), (350, 1), (300, 2)]
    # Points are a rate of the same.
    assert taken[1] == 0
    assert taken[0] * 50 == taken[2] * 70
    sent = advance(office, transfer, 2, SENT, "batch 1")
    assert [one.note for one in sent.changes] == ["refunded 70", "refunded 50", "batch 1"]


def test_a_refund_does_not_call_back_what_was_sent(calls: tuple[Any, Any]) -> None:
    till, office = calls
    bought(till, 1)
    [transfer] = listed(office)
    advance(office, transfer, 0, SENT)
    refunded(till, 10, 1, "2", 2)
    [sent] = listed(office, SENT)
    assert (sent.amount_minor, sent.turn) == (600, 1)


def test_a_refund_takes_back_entries_to_a_draw(calls: tuple[Any, Any]) -> None:
    till, office = calls
    entries = {
        "promotion_id": "draw",
        "names": [{"language_code": "ru", "text": "Розыгрыш"}],
        "lane": "reward",
        "gives": [{"code": "draw_entries", "draw_code": "car", "for_each_minor": 20_000}],
    }
    publish(office, test_program(promotions=[entries]))
    bought(till, 1)
    told = refunded(till, 10, 1, "2", 2).assets
    moved = [(one.asset_code, one.taken_back_minor, one.owed_minor) for one in told]
    assert moved == [("draw.car", 1, 0)]
