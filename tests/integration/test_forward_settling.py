"""Goal: what a lost answer had taken comes back, what it had not given is given, exactly once.

Real servers over one database; the ledger is proved after each test. Points are hundredths.
"""

from typing import Any

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import customer_service_pb2, receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.customer_service_pb2_grpc import CustomerServiceStub
from tests.forwarding import (
    AS_ANSWERED,
    NOT_SOLD,
    OTHER,
    PLAIN,
    RECORDED,
    SETTLED,
    SUPERSEDED,
    UNKNOWN,
    Link,
)
from tests.refunding import basket, exchanged, settled
from tests.serving import CHAIN, receipt_key, with_totals

ONE = ("sku9", 1, 100_000)
"""Nothing is off; 5,000 points."""


def rich(link: Link, number: int = 90) -> str:
    """A customer with 5,000 points."""
    card = link.card()
    link.sell(number, basket(ONE, card=card))
    return card


def quoted(link: Link, made: Any, points: int, basket_id: bytes) -> pb.QuoteResponse:
    reserve = pb.Reservation(amounts=[pb.AssetAmount(asset_code="points", amount_minor=points)])
    request = pb.QuoteRequest(basket_id=basket_id, sale=made, reserve=reserve)
    found: pb.QuoteResponse = link.tills[0].Quote(request)
    return found


def test_points_that_were_spent_come_back_and_earned_points_stay(link: Link) -> None:
    """3,000 points were a discount of the lost answer; the till sold at the plain price."""
    card = rich(link)
    made = basket(("sku1", 1, 10_000), ("sku9", 1, 20_000), card=card)
    basket_id = link.n(1).to_bytes(16, "big")
    token = quoted(link, made, 3_000, basket_id).token
    link.sell(1, made, basket_id=basket_id, token=token)
    earned = link.balances(card)["points"] - 2_000
    assert earned == 1_300  # 5% of the 26,000 that money was to pay
    assert link.forward(1, made, PLAIN).state == SUPERSEDED
    assert link.balances(card) == {"points": 5_000 + earned + 1_000}
    back = link.refund(2, 1, {"sku1": 1_000})
    assert (back.amount_minor, back.by_points_minor) == (10_000, 0)
    assert settled(back)["points"][0] == 0, "what came back does not come back again"
    link.refund(3, 1, {"sku9": 1_000})
    assert link.balances(card) == {"points": 5_000}


def test_a_lapsed_hold_is_a_fact_all_the_same(link: Link) -> None:
    """The till gave the quoted discount while it was cut off; the points are gone since."""
    card = rich(link)
    made = basket(("sku9", 1, 20_000), card=card)
    basket_id = link.n(1).to_bytes(16, "big")
    quote = quoted(link, made, 5_000, basket_id)
    request = pb.ReleaseRequest(basket_id=basket_id)
    link.tills[1].Release(request)
    other = basket(("sku9", 1, 20_000), card=card)
    other_id = link.n(2).to_bytes(16, "big")
    link.sell(2, other, basket_id=other_id, token=quoted(link, other, 5_000, other_id).token)
    assert link.balances(card)["points"] == 750
    answer = link.forward(1, made, AS_ANSWERED, basket_id=basket_id, token=quote.token)
    assert answer.state == RECORDED
    # What it earned pays a part of what it owes; the exception says how much was not there.
    assert link.balances(card) == {"points": 750 + 750 - 5_000}
    told = link.state(1).checkout.exceptions
    assert {one.kind for one in told} == {pb.EXCEPTION_KIND_SPEND}
    assert "4250 of points were spent and not there: they are owed" in told[-1].detail


def test_other_gives_back_what_was_not_taken_line_by_line(link: Link) -> None:
    """Of 3,000 points off the till took a half, and half of the discount of 1,000."""
    card = rich(link)
    made = basket(("sku1", 1, 10_000), card=card)
    basket_id = link.n(1).to_bytes(16, "big")
    link.sell(1, made, basket_id=basket_id, token=quoted(link, made, 3_000, basket_id).token)
    earned = link.balances(card)["points"] - 2_000
    assert link.forward(1, made, OTHER, lines={"sku1": 7_500}).state == SUPERSEDED
    assert link.balances(card) == {"points": 2_000 + earned + 1_500}
    assert link.forward(1, made, OTHER, stated=2, lines={"sku1": 9_500}).state == SUPERSEDED
    assert link.balances(card)["points"] == 5_000 + earned_plain(9_000) + 500


def test_points_that_paid_at_other_prices_come_back_with_the_goods(link: Link) -> None:
    """Of 3,000 points off the till took a half: that half comes back with the pieces."""
    card = rich(link)
    made = basket(("sku1", 2, 10_000), card=card)
    basket_id = link.n(1).to_bytes(16, "big")
    link.sell(1, made, basket_id=basket_id, token=quoted(link, made, 3_000, basket_id).token)
    assert link.forward(1, made, OTHER, lines={"sku1": 16_500}).state == SUPERSEDED
    for number in (2, 3):
        back = link.refund(number, 1, {"sku1": 1_000})
        assert (back.amount_minor, back.by_points_minor) == (8_250, 750)
        assert back.lines[0].amount_minor == 9_000
    assert link.balances(card) == {"points": 5_000}


def test_points_come_back_with_the_line_that_they_paid(link: Link) -> None:
    """Nobody knew the receipt; all 3,000 points were off one line, the other was sold as sent."""
    card = rich(link)
    made = basket(("sku1", 1, 10_000), ("sku9", 1, 10_000), card=card)
    basket_id = link.n(1).to_bytes(16, "big")
    token = quoted(link, made, 3_000, basket_id).token
    stated: dict[str, Any] = {"basket_id": basket_id, "token": token}
    assert link.forward(1, made, OTHER, lines={"sku9": 7_000}, **stated).state == RECORDED
    assert link.balances(card) == {"points": 2_000 + earned_plain(16_000) + 1_000}
    back = link.refund(2, 1, {"sku9": 1_000})
    assert (back.amount_minor, back.by_points_minor) == (7_000, 3_000)
    back = link.refund(3, 1, {"sku1": 1_000})
    assert (back.amount_minor, back.by_points_minor) == (10_000, 0)
    assert link.balances(card) == {"points": 5_000}


def earned_plain(paid_minor: int) -> int:
    return paid_minor * 5 // 100


def test_a_coupon_and_what_it_bought(link: Link) -> None:
    """A coupon of the lost answer is there again; its discount is not given as points too."""
    code = f"code-{link.n(0)}"
    coupon = bo.ImportedCoupon(code=code)
    request = bo.ImportCouponsRequest(chain_id=CHAIN, series_code="half", coupons=[coupon])
    link.office.ImportCoupons(request)
    card = link.card()
    made = basket(("sku5", 1, 10_000), ("sku1", 1, 10_000), card=card)
    made.header.coupon_codes.append(code)
    link.sell(1, made)
    assert link.forward(1, made, PLAIN).state == SUPERSEDED
    assert link.balances(card)["points"] == 1_000 + earned_plain(18_000)
    again = link.sell(2, made)
    assert again.answer.lines.totals.amount_minor == 18_000
    link.void(1)
    used = link.sell(3, made)
    assert used.answer.lines.totals.amount_minor == 19_000, "a void gives no coupon twice"


def test_a_promotion_that_costs_and_was_not_given(link: Link) -> None:
    card = link.card()
    link.sell(1, basket(("sku9", 1, 10_000), card=card, triggers=["bonus"]))
    assert link.balances(card)["bonus"] == 500
    made = basket(("sku6", 1, 10_000), card=card)
    link.sell(2, made)
    assert "bonus" not in link.balances(card)
    before = link.balances(card)["points"]
    link.forward(2, made, PLAIN)
    assert link.balances(card) == {"points": before, "bonus": 500}
    link.void(2)
    assert link.balances(card) == {"points": 500, "bonus": 500}


def test_what_no_discount_was_given_for_is_not_charged_by_a_sale_nobody_knew(link: Link) -> None:
    """At other prices as at the plain one: a coupon and points for what the till did not give."""
    code = f"code-{link.n(0)}"
    coupon = bo.ImportedCoupon(code=code)
    request = bo.ImportCouponsRequest(chain_id=CHAIN, series_code="half", coupons=[coupon])
    link.office.ImportCoupons(request)
    card = link.card()
    link.sell(90, basket(("sku9", 1, 10_000), card=card, triggers=["bonus"]))
    made = basket(("sku5", 1, 10_000), ("sku6", 1, 10_000), ("sku1", 1, 10_000), card=card)
    made.header.coupon_codes.append(code)
    assert link.forward(1, made, OTHER, lines={"sku1": 9_000}).state == RECORDED
    assert link.balances(card) == {"points": 500 + earned_plain(29_000), "bonus": 500}
    assert link.forward(2, made, OTHER, lines={"sku5": 9_500, "sku6": 9_900}).state == RECORDED
    used = 500 + earned_plain(29_000) + earned_plain(27_000) + 500 + 900 + 1_000
    assert link.balances(card) == {"points": used}
    again = link.sell(3, made)
    assert again.answer.lines.totals.amount_minor == 29_000, "coupon and bonus were used"
    for number in (2, 1):
        link.void(number)
    assert link.balances(card) == {"points": 500 + earned_plain(29_000), "bonus": 500}


def carded(made: Any, code: str, amount_minor: int) -> Any:
    """The sale with a tender of a gift card."""
    made.tenders.add(
        kind=receipt_pb2.TENDER_KIND_GIFT_CARD,
        state=receipt_pb2.TENDER_STATE_PLANNED,
        amount_minor=amount_minor,
        gift_card_id=code,
    )
    return made


def card_sale(code: str, amount_minor: int) -> Any:
    made = basket(("sku9", 1, 100), card="")
    line = made.lines.add()
    line.CopyFrom(basket(("gift-card", 1, amount_minor)).lines[0])
    line.line_id, line.kind = "card", receipt_pb2.LINE_KIND_GIFT_CARD
    line.gift_card_operation = receipt_pb2.GIFT_CARD_OPERATION_ACTIVATE
    line.gift_card_id = code
    return with_totals(made)


def left_on(link: Link, code: str) -> int:
    made = basket(("sku9", 1, 100), card="")
    tender = made.tenders.add(kind=receipt_pb2.TENDER_KIND_GIFT_CARD, gift_card_id=code)
    tender.state = receipt_pb2.TENDER_STATE_PLANNED
    tender.gift_card_operation = receipt_pb2.GIFT_CARD_OPERATION_BALANCE
    request = pb.QuoteRequest(basket_id=bytes(16), sale=made)
    found: int = link.tills[0].Quote(request).answer.gift_cards[0].available_minor
    return found


def test_a_fact_paid_with_an_unnamed_card_is_recorded_and_noted(link: Link) -> None:
    """It is paid: what could not be taken off a card is for somebody to look at."""
    link.forward(1, carded(basket(("sku9", 1, 10_000), card=""), "", 5_000), AS_ANSWERED)
    told = link.state(1).checkout.exceptions
    assert [(one.kind, "NO_CARD" in one.detail) for one in told] == [
        (pb.EXCEPTION_KIND_GIFT_CARD, True)
    ]


def test_gift_card_money_comes_back_once(link: Link) -> None:
    code = f"gift-{link.n(0)}"
    link.sell(1, card_sale(code, 50_000))
    made = carded(basket(("sku1", 2, 10_000), card=link.card()), code, 18_000)
    link.sell(2, made)
    assert left_on(link, code) == 32_000
    link.forward(2, made, PLAIN)
    assert left_on(link, code) == 50_000
    back = link.refund(3, 2, {"sku1": 1_000})
    assert (back.amount_minor, back.by_gift_cards_minor) == (10_000, 0)
    link.void(2)
    assert left_on(link, code) == 50_000
    link.forward(4, made, PLAIN)
    assert left_on(link, code) == 50_000, "at the plain price nobody takes from a card"
    link.forward(5, made, AS_ANSWERED)
    assert left_on(link, code) == 32_000
    link.forward(5, made, NOT_SOLD, stated=2)
    assert left_on(link, code) == 50_000


def test_what_had_come_back_on_a_card_that_paid_nothing_comes_back_in_money(link: Link) -> None:
    """One of two came back on the card; then the till says that all was paid in money."""
    code = f"gift-{link.n(0)}"
    link.sell(1, card_sale(code, 50_000))
    made = carded(basket(("sku1", 2, 10_000), card=link.card()), code, 18_000)
    link.sell(2, made)
    early = link.refund(3, 2, {"sku1": 1_000})
    assert (early.amount_minor, early.by_gift_cards_minor) == (0, 9_000)
    link.forward(2, made, PLAIN)
    assert left_on(link, code) == 50_000
    back = link.refund(4, 2, {"sku1": 1_000})
    assert (back.amount_minor, back.by_gift_cards_minor) == (20_000, 0)
    assert left_on(link, code) == 50_000


def by_bonus(made: Any, amount_minor: int) -> Any:
    """The sale with a tender of bonus."""
    made.tenders.add(
        kind=receipt_pb2.TENDER_KIND_POINTS,
        state=receipt_pb2.TENDER_STATE_PAID,
        amount_minor=amount_minor,
        asset_code="bonus",
    )
    return made


def test_what_came_back_in_one_asset_is_not_held_against_the_other(link: Link) -> None:
    """Points and bonus paid, says the answer; points did not, says the till after a return."""
    card = link.card()
    link.sell(90, basket(ONE, card=card, triggers=["bonus"]))
    made = by_bonus(basket(("sku9", 2, 10_000), card=card), 4_000)
    basket_id = link.n(1).to_bytes(16, "big")
    link.sell(1, made, basket_id=basket_id, token=quoted(link, made, 3_000, basket_id).token)
    early = link.refund(2, 1, {"sku9": 1_000})
    assert (early.amount_minor, early.by_points_minor) == (6_500, 3_500)
    link.forward(1, made, OTHER, lines={"sku9": 20_000})
    back = link.refund(3, 1, {"sku9": 1_000})
    assert (back.amount_minor, back.by_points_minor) == (9_500, 2_000)
    assert link.balances(card) == {"points": 5_000, "bonus": 5_000}


@pytest.mark.parametrize(("kind", "paid_minor"), [(AS_ANSWERED, 20_000), (OTHER, 19_000)])
@pytest.mark.parametrize("is_early", [True, False], ids=["one came back before", "after"])
def test_points_that_a_statement_gave_back_are_not_paid_with_the_goods_as_well(
    link: Link, is_early: bool, kind: Any, paid_minor: int
) -> None:
    """4,000 bonus were a tender; the till says that they paid nothing, and later that they did."""
    card = link.card()
    link.sell(90, basket(("sku9", 1, 80_000), card=card, triggers=["bonus"]))
    made = basket(("sku9", 2, 10_000), card=card)
    link.sell(1, by_bonus(made, 4_000))
    assert link.balances(card).get("bonus", 0) == 0
    back = [link.refund(2, 1, {"sku9": 1_000})] if is_early else []
    link.forward(1, made, PLAIN)
    back += [] if is_early else [link.refund(2, 1, {"sku9": 1_000})]
    assert link.balances(card)["bonus"] == 4_000
    lines = {"sku9": paid_minor} if kind == OTHER else None
    assert link.forward(1, made, kind, stated=2, lines=lines).state == SUPERSEDED
    back.append(link.refund(3, 1, {"sku9": 1_000}))
    assert sum(one.amount_minor for one in back) == paid_minor - 4_000
    assert sum(one.by_points_minor for one in back) == 4_000
    assert link.balances(card) == {"points": 4_000, "bonus": 4_000}


@pytest.mark.parametrize("is_early", [True, False], ids=["one came back before", "after"])
def test_what_a_statement_put_on_a_card_is_not_paid_with_the_goods_as_well(
    link: Link, is_early: bool
) -> None:
    """The card paid nothing, says the till, and later that it did: its money is on it once."""
    code = f"gift-{link.n(0)}"
    link.sell(1, card_sale(code, 50_000))
    made = carded(basket(("sku1", 3, 10_000), card=link.card()), code, 15_000)
    link.sell(2, made)
    back = [link.refund(3, 2, {"sku1": 1_000})] if is_early else []
    link.forward(2, made, PLAIN)
    back += [] if is_early else [link.refund(3, 2, {"sku1": 1_000})]
    assert left_on(link, code) == 50_000
    link.forward(2, made, AS_ANSWERED, stated=2)
    back += [link.refund(number, 2, {"sku1": 1_000}) for number in (4, 5)]
    assert sum(one.amount_minor for one in back) == 27_000 - 15_000
    assert sum(one.by_gift_cards_minor for one in back) == 15_000
    assert left_on(link, code) == 50_000
    link.void(2)
    assert left_on(link, code) == 50_000


@pytest.mark.parametrize("was_live", [True, False], ids=["answer lost", "never arrived"])
def test_a_refund_takes_the_share_of_what_was_given_instead(link: Link, was_live: bool) -> None:
    """Two of four pieces come back in two refunds: half of what stood for the discount goes."""
    card = link.card()
    made = basket(("sku1", 2, 10_000), ("sku2", 2, 10_000), card=card)
    if was_live:
        link.sell(1, made)
    link.forward(1, made, PLAIN)
    assert link.balances(card) == {"points": 1_800 + 2_000, "later": 2_000}
    back = link.refund(2, 1, {"sku1": 1_000})
    assert back.amount_minor == 10_000
    link.refund(3, 1, {"sku2": 1_000})
    assert link.balances(card) == {"points": 900 + 1_000, "later": 1_000}
    link.refund(4, 1, {"sku1": 1_000, "sku2": 1_000})
    assert link.balances(card) == {}
    assert link.state(1).state == pb.RECEIPT_STATE_REFUNDED


def test_goods_that_came_back_before_the_statement_get_nothing_instead(link: Link) -> None:
    card = link.card()
    made = basket(("sku1", 4, 10_000), card=card)
    link.sell(1, made)
    link.refund(2, 1, {"sku1": 1_000})
    assert link.forward(1, made, PLAIN).state == SUPERSEDED
    assert link.balances(card) == {"points": 1_350 + 3_000}
    link.refund(3, 1, {"sku1": 1_000})
    assert link.balances(card) == {"points": 900 + 2_000}
    assert link.forward(1, made, OTHER, stated=2, lines={"sku1": 36_000}).state == SUPERSEDED
    assert link.balances(card) == {"points": 900 + 2_000}, "what was settled stands"
    link.void(1)
    assert link.balances(card) == {}


def test_what_goods_were_paid_short_before_the_statement_is_paid_with_the_next(link: Link) -> None:
    """One of four came back at the price that was answered; the customer had paid the plain one."""
    made = basket(("sku1", 4, 10_000), card=link.card())
    link.sell(1, made)
    assert link.refund(2, 1, {"sku1": 1_000}).amount_minor == 9_000
    link.forward(1, made, PLAIN)
    back = link.refund(3, 1, {"sku1": 1_000})
    assert (back.lines[0].amount_minor, back.amount_minor, back.kept_back_minor) == (
        10_000,
        11_000,
        -1_000,
    )
    assert link.refund(4, 1, {"sku1": 2_000}).amount_minor == 20_000


@pytest.mark.parametrize(("kind", "short_minor"), [(PLAIN, 2_000), (OTHER, 500), (OTHER, 0)])
def test_what_all_goods_were_paid_short_before_the_statement_is_told_to_the_chain(
    link: Link, kind: Any, short_minor: int
) -> None:
    """Nothing is left that a refund could pay it with."""
    card = link.card()
    made = basket(("sku1", 2, 10_000), card=card)
    link.sell(1, made)
    paid = [link.refund(number, 1, {"sku1": 1_000}).amount_minor for number in (2, 3)]
    assert sum(paid) == 18_000
    known = exceptions(link)
    lines = {"sku1": 18_000 + short_minor} if kind == OTHER else None
    assert link.forward(1, made, kind, lines=lines).state == SUPERSEDED
    told = [f"goods that have all come back were paid {short_minor} too little for them"]
    assert exceptions(link)[len(known) :] == (told if short_minor else [])
    assert link.balances(card) == {}


def exceptions(link: Link) -> list[str]:
    """What the chain is told of facts, oldest first."""
    rows = link.sql("select detail from checkout_exception order by recorded_at_us, ordinal")
    return [row["detail"] for row in rows]


@pytest.mark.parametrize("is_early", [True, False], ids=["one came back before", "all after"])
@pytest.mark.parametrize(
    ("kind", "paid_minor"), [(PLAIN, 20_000), (OTHER, 18_500), (OTHER, 19_500), (OTHER, 16_000)]
)
def test_what_was_paid_comes_back_and_so_do_points(
    link: Link, kind: Any, paid_minor: int, is_early: bool
) -> None:
    """3,000 points were a discount of the lost answer: the till took as many, fewer, or none."""
    card = rich(link)
    made = basket(("sku9", 2, 10_000), card=card)
    basket_id = link.n(1).to_bytes(16, "big")
    link.sell(1, made, basket_id=basket_id, token=quoted(link, made, 3_000, basket_id).token)
    early_minor = 0
    if is_early:
        early = link.refund(2, 1, {"sku9": 1_000})
        early_minor = early.amount_minor
        assert (early_minor, early.by_points_minor) == (8_500, 1_500)
    link.forward(1, made, kind, lines={"sku9": paid_minor} if kind == OTHER else None)
    back = link.refund(3, 1, {"sku9": 1_000 if is_early else 2_000})
    assert early_minor + back.amount_minor == paid_minor
    assert settled(back)["points"][0] == back.by_points_minor
    assert link.balances(card) == {"points": 5_000}


def test_discounts_are_not_made_good_twice_after_a_statement_that_changed_nothing(
    link: Link,
) -> None:
    """AS_ANSWERED came when goods had come back: it was kept, and the next one settles nothing."""
    card = link.card()
    made = basket(("sku1", 4, 10_000), card=card)
    link.forward(1, made, OTHER, lines={"sku1": 38_000})
    assert link.balances(card) == {"points": 1_800 + 2_000}
    link.refund(2, 1, {"sku1": 1_000})
    assert link.balances(card) == {"points": 1_350 + 1_500}
    for stated, kind in ((2, AS_ANSWERED), (3, PLAIN), (4, OTHER)):
        assert link.forward(1, made, kind, stated=stated).state == SUPERSEDED
        assert link.balances(card) == {"points": 1_350 + 1_500}, "what was settled stands"
    link.forward(1, made, NOT_SOLD, stated=5)
    assert link.balances(card) == {}


@pytest.mark.parametrize("is_live", [True, False], ids=["live", "never arrived"])
def test_points_that_an_outcome_other_has_taken_come_back_with_the_goods(
    link: Link, is_live: bool
) -> None:
    """The till sold a line 500 cheaper than it was quoted, with 3,000 points off besides."""
    card = rich(link)
    made = basket(("sku9", 2, 10_000), card=card)
    basket_id = link.n(1).to_bytes(16, "big")
    token = quoted(link, made, 3_000, basket_id).token
    if is_live:
        line = receipt_pb2.OutcomeLine(line_id="sku9", amount_minor=16_500)
        outcome = receipt_pb2.Outcome(kind=OTHER, number=1, lines=[line])
        link.sell(1, made, basket_id=basket_id, token=token, closed=True, outcome=outcome)
    else:
        link.forward(1, made, OTHER, lines={"sku9": 16_500}, basket_id=basket_id, token=token)
    back = [link.refund(2 + n, 1, {"sku9": 1_000}) for n in range(2)]
    assert [(one.amount_minor, one.by_points_minor) for one in back] == 2 * [(8_250, 1_500)]
    assert link.balances(card) == {"points": 5_000}


def test_a_void_is_the_end(link: Link) -> None:
    card = link.card()
    made = basket(("sku1", 1, 10_000), card=card)
    link.forward(1, made, PLAIN)
    link.void(1)
    assert link.balances(card) == {}
    assert link.state(1).state == pb.RECEIPT_STATE_VOIDED
    for kind in (AS_ANSWERED, PLAIN, NOT_SOLD, UNKNOWN):
        assert link.forward(1, made, kind, stated=9).state == SETTLED
    assert link.balances(card) == {}
    assert link.sql("select sum(purchases)::int from account where purchases < 0") == [(None,)]


def test_what_was_not_sold_cannot_come_back(link: Link) -> None:
    made = basket(("sku1", 1, 10_000), card=link.card())
    for number, kind, state in ((1, NOT_SOLD, "NOT_SOLD"), (2, UNKNOWN, "UNKNOWN")):
        link.forward(number, made, kind)
        request = pb.RefundRequest(
            receipt_key=receipt_key(link.n(80 + number)),
            original_key=receipt_key(link.n(number)),
            lines=[pb.RefundLine(line_id="sku1", quantity_milli=1_000)],
            cashier_id="c1",
            reason_code="X",
        )
        reason, metadata = link.refused(link.tills[0].Refund, request)
        assert (reason, metadata["state"]) == ("RECEIPT_STATE", state)
        link.void(number)
    assert link.balances(link.card()) == {}


def test_who_pays_for_a_discount_pays_for_what_stands_for_it(link: Link) -> None:
    made = basket(("sku4", 1, 10_000), card=link.card())
    link.forward(1, made, PLAIN)
    rows = link.sql(
        "select party_id, sum(amount_minor)::bigint from posting where promotion_id = 'off-sku4'"
        " and book in (2, 3) group by party_id order by party_id"
    )
    assert [tuple(row) for row in rows] == [("", -400), ("brand", -600)]


def test_a_statement_shows_a_late_receipt_at_its_purchase_time(link: Link) -> None:
    """A report of the chain has it when it was recorded; the customer when it was bought."""
    card = link.card()
    made = basket(("sku1", 1, 10_000), card=card)
    sold_at_us = link.sql("select (extract(epoch from now()) * 1000000)::bigint")[0][0]
    link.at_day(3)
    request_us = sold_at_us - 7_000_000
    link.forward(1, made, PLAIN, sold_at_us=request_us, clock_offset_us=7_000_000)
    request = customer_service_pb2.GetStatementRequest(chain_id=CHAIN)
    request.customer.customer_number = card

    with grpc.insecure_channel(link.targets[0]) as channel:
        stub: Any = CustomerServiceStub(channel)
        found = stub.GetStatement(request)
    shown = {(one.effective_at_us, one.kind, one.amount_minor) for one in found.entries}
    assert shown == {
        (sold_at_us, customer_service_pb2.ENTRY_KIND_CHECKOUT, 450),
        (sold_at_us, customer_service_pb2.ENTRY_KIND_CHECKOUT, 1_000),
    }
    recorded = {one.recorded_at_us - sold_at_us > 2 * 86_400_000_000 for one in found.entries}
    assert recorded == {True}
    told = link.state(1).statements[0]
    assert (told.sold_at_us, told.clock_offset_us) == (request_us, 7_000_000)


@pytest.mark.parametrize("way", ["forwarded", "live", "not sold between"])
def test_what_came_back_on_an_exchange_is_settled_once(link: Link, way: str) -> None:
    """It is sold anew by a later statement; its RETURN lines are not settled with it again."""
    card = link.card()
    link.sell(1, basket(("sku9", 4, 10_000), card=card))
    made = exchanged(link.n(1), ("sku9", 1, 10_000), ("sku1", 1, 20_000), card=card)
    if way == "live":
        link.sell(2, made)
    kinds = (PLAIN, NOT_SOLD, AS_ANSWERED) if way == "not sold between" else (PLAIN, AS_ANSWERED)
    for stated, kind in enumerate(kinds, start=1):
        link.forward(2, made, kind, stated=stated)
    back = [(one.lines[0].line_id, one.lines[0].quantity_milli) for one in link.state(1).returns]
    assert back == [("sku9", 1_000)]
    assert link.balances(card)["points"] == earned_plain(30_000) + earned_plain(18_000)
