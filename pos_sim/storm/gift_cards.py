"""Gift cards in a storm: few cards that many customers pay with, and what must be left on them."""

import random

from msgspec import Struct

from loyalty.v1.answer_pb2 import Answer, RewardKind
from loyalty.v1.receipt_pb2 import (
    GiftCardOperation,
    Line,
    LineAction,
    LineKind,
    PriceSource,
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
SALE_SHARE = 0.08
"""Of receipts on which a card is sold or reloaded."""
RELOAD_SHARE = 0.5
RELOAD_MAX_MINOR = 60_000
ASKED_MAX = 50
GIFT_CARD = LineKind.LINE_KIND_GIFT_CARD
ACTIVATE = GiftCardOperation.GIFT_CARD_OPERATION_ACTIVATE
RELOAD = GiftCardOperation.GIFT_CARD_OPERATION_RELOAD
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


def draw_payment(rng: random.Random, known: list[str]) -> Payment | None:
    """Draw whether a customer shows a card, which of those known, and how much is to be paid."""
    if rng.random() >= CARD_SHARE:
        return None
    return Payment(rng.choice(known), rng.randint(1, PAYMENT_MAX_MINOR))


def write_cards_sale(place: Place, run: Run, index: int) -> Sale:
    """Write down the receipt on which all cards are sold."""
    item = Item("gift-card", 1_000, CARD_MINOR, QuantityUnit.QUANTITY_UNIT_PIECE, GIFT_CARD)
    sale = write_sale(
        place,
        Basket(
            index=index,
            items=(item,) * CARDS,
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


def write_balance_request(sale: Sale, codes: list[str]) -> Sale:
    """Add the question what is on some cards, at most ASKED_MAX."""
    for code in codes:
        asking = _card_tender(code, 0)
        asking.gift_card_operation = BALANCE
        sale.tenders.append(asking)
    return sale


def put_on(sale: Sale) -> list[tuple[str, int]]:
    """What a sale puts on cards: code, minor units."""
    sold = LineAction.LINE_ACTION_SALE
    cards = [line for line in sale.lines if line.kind == GIFT_CARD and line.action == sold]
    return [(line.gift_card_id, line.amount_minor) for line in cards]


def given_on(answer: Answer) -> list[tuple[str, int]]:
    """The certificates that an answer gives out: code, minor units."""
    kind = RewardKind.REWARD_KIND_GIFT_CERTIFICATE
    rewards = [one for one in answer.rewards.rewards if one.kind == kind]
    return [(code, one.amount_minor) for one in rewards for code in one.codes]


def sell_card(rng: random.Random, sale: Sale, new_code: str, known: list[str]) -> None:
    """Add a line by which a new card is sold, or money is put on a known one."""
    minor = rng.randint(1_000, RELOAD_MAX_MINOR)
    reloads = bool(known) and rng.random() < RELOAD_SHARE
    sale.lines.append(
        Line(
            line_id="card",
            sku="gift-card",
            quantity_milli=1_000,
            unit=QuantityUnit.QUANTITY_UNIT_PIECE,
            unit_price_scaled=minor,
            unit_price_scale=2,
            amount_minor=minor,
            price_source=PriceSource.PRICE_SOURCE_SHELF,
            kind=GIFT_CARD,
            action=LineAction.LINE_ACTION_SALE,
            gift_card_operation=RELOAD if reloads else ACTIVATE,
            gift_card_id=rng.choice(known) if reloads else new_code,
        )
    )
    sale.header.control_totals.line_count += 1
    sale.header.control_totals.amount_minor += minor


def _card_tender(code: str, amount_minor: int) -> Tender:
    return Tender(
        kind=TenderKind.TENDER_KIND_GIFT_CARD,
        state=TenderState.TENDER_STATE_PLANNED,
        amount_minor=amount_minor,
        gift_card_id=code,
    )
