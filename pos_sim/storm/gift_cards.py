"""Gift cards in a storm: few cards that many customers pay with, and what must be left on them."""

import random

from msgspec import Struct

from loyalty.v1.receipt_pb2 import (
    GiftCardOperation,
    LineKind,
    QuantityUnit,
    Sale,
    Tender,
    TenderKind,
    TenderState,
)
from loyalty.v1.till_service_pb2 import GiftCardAmount
from pos_sim.run import Run
from pos_sim.sale import Place, write_sale
from pos_sim.workload import Basket, Item

CARDS = 12
CARD_MINOR = 400_000
"""What is put on each card: less than customers want to spend of it, in the end."""
PAYMENT_MAX_MINOR = 80_000
CARD_SHARE = 0.25
ACTIVATE = GiftCardOperation.GIFT_CARD_OPERATION_ACTIVATE
BALANCE = GiftCardOperation.GIFT_CARD_OPERATION_BALANCE


class Payment(Struct, frozen=True):
    """What a customer wants to pay with a card, minor units."""

    code: str
    amount_minor: int

    @property
    def to_hold(self) -> GiftCardAmount:
        """As a quote reserves it."""
        return GiftCardAmount(gift_card_id=self.code, amount_minor=self.amount_minor)


def card_codes() -> list[str]:
    """The cards that are sold before the storm."""
    return [f"GIFT-{number:02d}" for number in range(CARDS)]


def draw_payment(rng: random.Random) -> Payment | None:
    """Draw whether a customer shows a card, which, and how much is to be paid with it."""
    if rng.random() >= CARD_SHARE:
        return None
    return Payment(rng.choice(card_codes()), rng.randint(1, PAYMENT_MAX_MINOR))


def write_cards_sale(place: Place, run: Run, index: int) -> Sale:
    """Write down the receipt on which all cards are sold."""
    piece, kind = QuantityUnit.QUANTITY_UNIT_PIECE, LineKind.LINE_KIND_GIFT_CARD
    sale = write_sale(
        place,
        Basket(
            index=index,
            items=tuple(Item("gift-card", 1_000, CARD_MINOR, piece, kind) for _ in range(CARDS)),
            opened_at_us=run.started_at_us,
            utc_offset_minutes=120,
            business_date="day",
        ),
    )
    for line, code in zip(sale.lines, card_codes(), strict=True):
        line.gift_card_operation, line.gift_card_id = ACTIVATE, code
    return sale


def add_payment(sale: Sale, payment: Payment) -> None:
    """Pay a part with the card, and the rest as before: the sale has one other tender."""
    [other] = sale.tenders
    part_minor = min(payment.amount_minor, other.amount_minor)
    if part_minor:
        other.amount_minor -= part_minor
        sale.tenders.append(_card_tender(payment.code, part_minor))


def write_balance_request(sale: Sale, code: str) -> Sale:
    """Add the question what is on a card."""
    asking = _card_tender(code, 0)
    asking.gift_card_operation = BALANCE
    sale.tenders.append(asking)
    return sale


def _card_tender(code: str, amount_minor: int) -> Tender:
    return Tender(
        kind=TenderKind.TENDER_KIND_GIFT_CARD,
        state=TenderState.TENDER_STATE_PLANNED,
        amount_minor=amount_minor,
        gift_card_id=code,
    )
