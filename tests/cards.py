"""A program with gift cards, and what a till does with them."""

from typing import Any

import grpc
import pytest

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from tests.serving import PROGRAM, reason_of, receipt_key, sale, test_program, with_totals

ACTIVATE = receipt_pb2.GIFT_CARD_OPERATION_ACTIVATE
RELOAD = receipt_pb2.GIFT_CARD_OPERATION_RELOAD
REDEEM = receipt_pb2.GIFT_CARD_OPERATION_REDEEM
BALANCE = receipt_pb2.GIFT_CARD_OPERATION_BALANCE
REVERSE = receipt_pb2.GIFT_CARD_OPERATION_REVERSE
GIFT_CARD, VOUCHER = receipt_pb2.TENDER_KIND_GIFT_CARD, receipt_pb2.TENDER_KIND_VOUCHER
NAMES = [{"language_code": "ru", "forms": [{"category": "other", "text": "подарочных"}]}]
CERTIFICATE = {
    "promotion_id": "certificate",
    "names": [{"language_code": "ru", "text": "Сертификат"}],
    "lane": "reward",
    "conditions": [{"code": "trigger", "any_of": ["certificate"]}],
    "gives": [{"code": "gift_certificate", "amount_minor": 5_000, "valid_days": 30}],
}
CARDS = test_program(
    assets=[*PROGRAM["assets"], {"code": "gift", "kind": "gift_money", "names": NAMES}],
    promotions=[CERTIFICATE],
)


def sold(
    number: int,
    code: str,
    amount_minor: int,
    operation: receipt_pb2.GiftCardOperation.ValueType = ACTIVATE,
    closed: bool = False,
) -> pb.CheckoutRequest:
    """A receipt on which a card is sold or reloaded, besides goods of 60,000."""
    made = sale("")
    made.lines.add(
        line_id="card",
        sku="gift-card",
        quantity_milli=1_000,
        unit=receipt_pb2.QUANTITY_UNIT_PIECE,
        unit_price_scaled=amount_minor,
        unit_price_scale=2,
        amount_minor=amount_minor,
        price_source=receipt_pb2.PRICE_SOURCE_SHELF,
        kind=receipt_pb2.LINE_KIND_GIFT_CARD,
        action=receipt_pb2.LINE_ACTION_SALE,
        gift_card_id=code,
        gift_card_operation=operation,
    )
    request = pb.CheckoutRequest(receipt_key=receipt_key(number), closed=closed)
    request.sale.CopyFrom(with_totals(made))
    return request


def paid(
    number: int,
    code: str,
    amount_minor: int,
    kind: receipt_pb2.TenderKind.ValueType = GIFT_CARD,
    operation: receipt_pb2.GiftCardOperation.ValueType = BALANCE,
    closed: bool = False,
    trigger: str = "",
) -> pb.CheckoutRequest:
    """A receipt of 60,000 that is paid in part with a card; BALANCE stands for no operation."""
    made = sale("")
    if trigger:
        made.header.manual_triggers.append(trigger)
    if code:
        tender = made.tenders.add(
            kind=kind, state=receipt_pb2.TENDER_STATE_PAID, amount_minor=amount_minor
        )
        tender.gift_card_id = code
        if operation != BALANCE:
            tender.gift_card_operation = operation
    return pb.CheckoutRequest(receipt_key=receipt_key(number), sale=made, closed=closed)


def left_on(till: Any, code: str) -> int | None:
    """What a quote says is on a card; None for one that is not known."""
    request = pb.QuoteRequest(basket_id=bytes(16), sale=paid(0, code, 0).sale)
    found = till.Quote(request).answer.gift_cards
    return found[0].available_minor if found else None


def refusal(call: Any, request: Any) -> tuple[str, dict[str, str]]:
    """Reason and facts of the refusal that a call ends in."""
    with pytest.raises(grpc.RpcError) as refused:
        call(request)
    return reason_of(refused.value)[1:]


def refunded(number: int, original: int, line_id: str, closed: bool = False) -> pb.RefundRequest:
    """A line of a receipt comes back, whole."""
    milli = 1_000 if line_id == "card" else 2_000
    return pb.RefundRequest(
        receipt_key=receipt_key(number),
        original_key=receipt_key(original),
        lines=[pb.RefundLine(line_id=line_id, quantity_milli=milli)],
        cashier_id="c1",
        reason_code="RETURN",
        closed=closed,
    )


def voided(number: int) -> pb.VoidRequest:
    """A receipt is undone."""
    return pb.VoidRequest(
        receipt_key=receipt_key(number), reason_code="PAYMENT_FAILED", cashier_id="c1"
    )
