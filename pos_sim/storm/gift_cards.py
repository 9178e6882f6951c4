"""Gift cards in a storm: few cards that many customers pay with, and what must be left on them."""

import random
from collections import Counter

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
from loyalty.v1.till_service_pb2 import CheckoutResponse, ExceptionKind, GiftCardAmount
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


class CardBook:
    """What must be left on each card by what was answered."""

    def __init__(self) -> None:
        """Begin with cards that are sold."""
        self.left = Counter(dict.fromkeys(card_codes(), CARD_MINOR))

    def note_paid(self, sale: Sale, response: CheckoutResponse) -> tuple[str, int, str]:
        """Count what a receipt took off a card.

        Returns:
            The card, what was taken, and what is wrong with it; empty if there is none, or all is
            well. A fact takes what other baskets hold, and no more than is there.
        """
        for tender in sale.tenders:
            if tender.gift_card_id:
                [state] = response.answer.gift_cards
                there_minor = state.available_minor + state.held_by_others_minor
                taken_minor = min(tender.amount_minor, there_minor)
                self.left[tender.gift_card_id] -= taken_minor
                kinds = {one.kind for one in response.exceptions}
                is_marked = ExceptionKind.EXCEPTION_KIND_GIFT_CARD in kinds
                is_right = is_marked == (taken_minor < tender.amount_minor)
                problem = "" if is_right else f"{taken_minor} of {tender.amount_minor} off a card"
                return tender.gift_card_id, taken_minor, problem
        return "", 0, ""

    def note_back(self, code: str, amount_minor: int) -> None:
        """Something comes back to a card."""
        self.left[code] += amount_minor

    def difference(self, code: str, available_minor: int) -> str:
        """What is wrong with a card in the end; empty if nothing is."""
        if self.left[code] == available_minor:
            return ""
        return f"card {code}: answers leave {self.left[code]}, the server says {available_minor}"
