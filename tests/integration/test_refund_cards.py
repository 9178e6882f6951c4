"""Goal: goods that were paid with a gift card come back to it, to the kopeck over all refunds.

Real servers over one database; the ledger is proved after each test.
"""

from typing import Any

import pytest

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from tests.refunding import POINTS_ASSET, Shop, basket, settled
from tests.serving import receipt_key, with_totals

GIFT = {"code": "gift", "kind": "gift_money", "names": POINTS_ASSET["names"]}


@pytest.fixture
def cards(shop: Shop) -> Shop:
    """A shop that sold the cards C-1 and C-2, with 100.00 on each."""
    shop.publish(assets=[POINTS_ASSET, GIFT], promotions=[], spend_rules=[])
    for number, code in enumerate(("C-1", "C-2")):
        made = basket(("card", 1, 10_000), card="")
        line = made.lines[0]
        line.kind, line.gift_card_id = receipt_pb2.LINE_KIND_GIFT_CARD, code
        line.gift_card_operation = receipt_pb2.GIFT_CARD_OPERATION_ACTIVATE
        shop.sell(100 + number, made)
    return shop


def paid_with(made: Any, **amounts: int) -> Any:
    """The sale with a tender of each card; C_1 stands for C-1."""
    for name, amount_minor in amounts.items():
        made.tenders.add(
            kind=receipt_pb2.TENDER_KIND_GIFT_CARD,
            state=receipt_pb2.TENDER_STATE_PAID,
            amount_minor=amount_minor,
            gift_card_id=name.replace("_", "-"),
        )
    return made


def left_on(shop: Shop, code: str) -> int:
    made = basket(("sku1", 1, 100), card="")
    tender = made.tenders.add(
        kind=receipt_pb2.TENDER_KIND_GIFT_CARD, state=receipt_pb2.TENDER_STATE_PLANNED
    )
    tender.gift_card_id = code
    tender.gift_card_operation = receipt_pb2.GIFT_CARD_OPERATION_BALANCE
    quoted = shop.tills[1].Quote(pb.QuoteRequest(basket_id=bytes(16), sale=made))
    left: int = quoted.answer.gift_cards[0].available_minor
    return left


def back(answer: Any) -> tuple[int, dict[str, int]]:
    """What is paid back in money, and on which cards."""
    by_card = {one.gift_card_id: one.amount_minor for one in answer.gift_cards}
    assert answer.by_gift_cards_minor == sum(by_card.values())
    return answer.amount_minor, by_card


def test_the_slip_speaks_of_the_card_and_of_no_discount(cards: Shop) -> None:
    """Money of a card has words of its own, for what goes back to it and what is taken off it."""
    cards.sell(1, paid_with(basket(("sku1", 1, 10_000), card=""), C_1=6_000))
    refunded = [text.text for text in cards.refund(2, 1, {"sku1": 1_000}).texts]
    assert "На подарочную карту возвращено: 60,00\xa0₽" in refunded
    assert "Снято с подарочной карты: 100,00\xa0₽" in [text.text for text in cards.void(101).texts]


def test_each_piece_brings_back_its_share(cards: Shop) -> None:
    """A third each time, to the kopeck."""
    made = paid_with(basket(("sku1", 3, 10_000), card=""), C_1=10_000, C_2=5_000)
    cards.sell(1, made)
    assert (left_on(cards, "C-1"), left_on(cards, "C-2")) == (0, 5_000)
    first = cards.refund(2, 1, {"sku1": 1_000})
    assert back(first) == (5_000, {"C-1": 3_334, "C-2": 1_666})
    assert settled(first) == {"gift": (5_000, 0, 0, 0)}
    assert cards.refund(2, 1, {"sku1": 1_000}) == first
    assert back(cards.refund(3, 1, {"sku1": 1_000}, closed=True))[1] == {"C-1": 3_333, "C-2": 1_667}
    assert back(cards.refund(4, 1, {"sku1": 1_000}))[1] == {"C-1": 3_333, "C-2": 1_667}
    assert (left_on(cards, "C-1"), left_on(cards, "C-2")) == (10_000, 10_000)
    found = cards.tills[0].GetReceipt(pb.GetReceiptRequest(receipt_key=receipt_key(1)))
    assert [one.by_gift_cards_minor for one in found.returns] == [5_000] * 3


def test_cards_share_in_the_order_of_the_tenders(cards: Shop) -> None:
    """Of two sales that name them the other way round, each puts its odd kopeck on its first."""
    bought = ("sku1", 3, 3_000)
    cards.sell(1, paid_with(basket(bought, card=""), C_1=1_000, C_2=1_000))
    cards.sell(2, paid_with(basket(bought, card=""), C_2=1_000, C_1=1_000))
    assert back(cards.refund(3, 1, {"sku1": 1_000})) == (2_333, {"C-1": 334, "C-2": 333})
    assert back(cards.refund(4, 2, {"sku1": 1_000})) == (2_333, {"C-1": 333, "C-2": 334})


def test_a_void_gives_back_what_refunds_have_left(cards: Shop) -> None:
    cards.sell(1, paid_with(basket(("sku1", 3, 10_000), card=""), C_1=10_000))
    cards.refund(2, 1, {"sku1": 1_000})
    assert settled(cards.void(1)) == {"gift": (6_666, 0, 0, 0)}
    assert left_on(cards, "C-1") == 10_000


def test_an_exchange_on_the_card_that_had_paid(cards: Shop) -> None:
    """The new goods take from it what was left, the old ones put back what they had taken."""
    cards.sell(1, paid_with(basket(("sku1", 2, 4_000), card=""), C_1=8_000))
    made = basket(("sku3", 1, 9_000), card="")
    line = made.lines.add()
    line.CopyFrom(basket(("sku1", 1, 1)).lines[0])
    line.line_id, line.action = "back", receipt_pb2.LINE_ACTION_RETURN
    line.amount_minor = line.unit_price_scaled = 0
    line.return_origin.receipt_key.CopyFrom(receipt_key(1))
    line.return_origin.line_id = "sku1"
    made = paid_with(with_totals(made), C_1=2_000)
    sold = cards.sell(2, made)
    (told,) = sold.returns
    assert back(told) == (0, {"C-1": 4_000})
    assert left_on(cards, "C-1") == 4_000
    assert cards.sell(2, made) == sold
