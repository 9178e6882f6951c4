"""Gifts: when they are called for, offered, found on the receipt: numbers worked out by hand.

The names are a grocer's: "хлеб" is what is bought, "кружка" and "ложка" are given.
"""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import Gift, NPlusM, PercentOff, PointsFixed
from rewards.evaluate import Evaluation
from rewards.program import Cost, Limits, Promotion
from rewards.sale import Capabilities, LineKind
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import CUT, FIRED, amounts, fired, offered, sold, spent, to_pay, traced

BREAD = ProductSet(skus=("хлеб",))
MUG = ("кружка",)
MUG_OR_SPOON = ("кружка", "ложка")


def bread_gift(gives: Gift, **changes: Any) -> Promotion:
    return make.promotion("gift", gives, products=BREAD, **changes)


def wanted(evaluation: Evaluation) -> list[tuple[str, int, int]]:
    """(sku, thousandths, price) of what may be added."""
    return [(one.sku, one.quantity_milli, one.amount_minor) for one in evaluation.offers]


bread, mug, spoon = (make.line(sku, 1, 100) for sku in ("хлеб", "кружка", "ложка"))
LACKS_THE_GIFT = (TraceOutcome.FAILED, Condition.QUANTITY, 1_000)


def test_a_gift_that_is_not_there_is_offered_and_has_not_fired() -> None:
    evaluation = sold(bread_gift(Gift(MUG)), bread)
    assert wanted(evaluation) == [("кружка", 1_000, 0)]
    assert (amounts(evaluation), traced(evaluation)) == ([100], [LACKS_THE_GIFT])


def test_a_gift_that_was_scanned_is_free_and_no_other_is_offered() -> None:
    evaluation = sold(bread_gift(Gift(MUG)), bread, mug)
    assert (amounts(evaluation), evaluation.offers) == ([100, 0], ())
    assert traced(evaluation) == [FIRED]


def test_one_of_two_that_were_scanned_is_free() -> None:
    assert amounts(sold(bread_gift(Gift(MUG)), bread, make.line("кружка", 2, 100))) == [100, 100]


def test_a_gift_that_the_till_added_for_nothing_settles_it() -> None:
    evaluation = sold(bread_gift(Gift(MUG)), bread, make.line("кружка", 1, 0))
    assert (amounts(evaluation), evaluation.offers) == ([100, 0], ())
    assert traced(evaluation) == [FIRED]


def test_without_what_calls_for_it_there_is_no_gift() -> None:
    evaluation = sold(bread_gift(Gift(MUG)), mug)
    assert (amounts(evaluation), evaluation.offers, traced(evaluation)) == ([100], (), [])


@pytest.mark.parametrize(
    ("price", "left", "to_add"),
    [(0, 0, 0), (30, 30, 30), (100, 100, 100), (150, 100, 150)],
)
def test_a_gift_at_a_price_never_gets_dearer(price: int, left: int, to_add: int) -> None:
    promotion = bread_gift(Gift(MUG, price_minor=price))
    assert amounts(sold(promotion, bread, mug)) == [100, left]
    assert wanted(sold(promotion, bread)) == [("кружка", 1_000, to_add)]


@pytest.mark.parametrize(("bought", "times"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (9, 4)])
def test_one_for_every_two(bought: int, times: int) -> None:
    promotion = bread_gift(Gift(MUG, for_each_count=2))
    assert offered(sold(promotion, make.line("хлеб", bought, 100))) == times * 1_000
    evaluation = sold(promotion, make.line("хлеб", bought, 100), make.line("кружка", 9, 100))
    assert amounts(evaluation) == [bought * 100, (9 - times) * 100]
    assert fired(evaluation) == [times]


def test_how_many_pieces_more_call_for_a_gift() -> None:
    promotion = bread_gift(Gift(MUG, for_each_count=5))
    lacks = (TraceOutcome.FAILED, Condition.QUANTITY, 3_000)
    assert traced(sold(promotion, make.line("хлеб", 2, 100))) == [lacks]


def test_several_pieces_of_a_gift_at_a_time() -> None:
    promotion = bread_gift(Gift(MUG, quantity_milli=3_000))
    evaluation = sold(promotion, bread, make.line("кружка", 2, 100))
    assert (amounts(evaluation), offered(evaluation)) == ([100, 0], 1_000)


def test_all_articles_of_a_gift_are_given() -> None:
    evaluation = sold(bread_gift(Gift(MUG_OR_SPOON)), bread, mug)
    assert (amounts(evaluation), wanted(evaluation)) == ([100, 0], [("ложка", 1_000, 0)])


def test_two_gifts_of_one_promotion() -> None:
    promotion = make.promotion("two", (Gift(MUG), Gift(("ложка",))), products=BREAD)
    assert wanted(sold(promotion, bread)) == [("кружка", 1_000, 0), ("ложка", 1_000, 0)]
    assert amounts(sold(promotion, bread, mug, spoon)) == [100, 0, 0]


# --- choice -------------------------------------------------------------------------------------


def test_the_customer_chooses_one_of_what_is_offered() -> None:
    evaluation = sold(bread_gift(Gift(MUG_OR_SPOON, choice=True)), bread)
    assert wanted(evaluation) == [("кружка", 1_000, 0), ("ложка", 1_000, 0)]
    groups = {offer.choice_group for offer in evaluation.offers}
    assert len(groups) == 1
    assert 0 not in groups


def test_of_two_that_may_be_chosen_and_were_scanned_one_is_free() -> None:
    evaluation = sold(bread_gift(Gift(MUG_OR_SPOON, choice=True)), bread, mug, spoon)
    assert (to_pay(evaluation), evaluation.offers) == (200, ())


def test_who_has_one_of_two_gifts_chooses_the_other() -> None:
    promotion = bread_gift(Gift(MUG_OR_SPOON, for_each_count=1, choice=True))
    evaluation = sold(promotion, make.line("хлеб", 2, 100), spoon)
    assert amounts(evaluation) == [200, 0]
    assert wanted(evaluation) == [("кружка", 1_000, 0), ("ложка", 1_000, 0)]


def test_two_choices_are_chosen_apart() -> None:
    cups = Gift(("кружка", "стакан"), choice=True)
    cutlery = Gift(("ложка", "вилка"), choice=True)
    evaluation = sold(make.promotion("two", (cups, cutlery), products=BREAD), bread)
    groups = {offer.sku: offer.choice_group for offer in evaluation.offers}
    assert groups["кружка"] == groups["стакан"] != groups["ложка"] == groups["вилка"]


# --- gifts that call for themselves -------------------------------------------------------------


@pytest.mark.parametrize(
    ("scanned", "paid", "to_add"),
    [(1, 1, 0), (2, 2, 1), (3, 2, 0), (4, 3, 0), (5, 4, 1), (6, 4, 0), (7, 5, 0), (8, 6, 1)],
)
def test_a_gift_of_the_same_article_is_as_n_plus_m(scanned: int, paid: int, to_add: int) -> None:
    same = make.promotion("same", Gift(("хлеб",), for_each_count=2), products=BREAD)
    for promotion in (same, make.promotion("n-plus-m", NPlusM(2, 1))):
        evaluation = sold(promotion, make.line("хлеб", scanned, 100))
        assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


@pytest.mark.parametrize(
    ("loaves", "mugs", "paid", "to_add"),
    [
        (1, 0, 1, 0),
        (2, 0, 2, 2),  # a loaf and a mug
        (3, 0, 2, 1),
        (3, 1, 2, 0),
        (2, 1, 2, 1),
        (4, 1, 3, 0),
        (5, 1, 4, 2),
    ],
)
def test_a_loaf_and_a_mug_for_two_loaves(loaves: int, mugs: int, paid: int, to_add: int) -> None:
    gives = Gift(("хлеб", "кружка"), for_each_count=2)
    counted = [make.line(sku, n, 100) for sku, n in (("хлеб", loaves), ("кружка", mugs)) if n]
    evaluation = sold(bread_gift(gives), *counted)
    assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


def test_what_the_till_added_of_the_same_article_settles_it() -> None:
    promotion = make.promotion("same", Gift(("хлеб",), for_each_count=2), products=BREAD)
    lines = (make.line("хлеб", 2, 100, line_id="1"), make.line("хлеб", 1, 0, line_id="2"))
    evaluation = sold(promotion, *lines)
    assert (amounts(evaluation), evaluation.offers) == ([200, 0], ())


def test_one_that_always_comes_on_top_is_offered_whatever_was_scanned() -> None:
    promotion = bread_gift(Gift(MUG, counts_in_basket=False))
    evaluation = sold(promotion, bread, mug)
    assert (amounts(evaluation), offered(evaluation)) == ([100, 100], 1_000)
    assert traced(evaluation) == [FIRED]


# --- limits, costs, tills -----------------------------------------------------------------------


def test_a_limit_cuts_the_gifts() -> None:
    promotion = bread_gift(Gift(MUG, for_each_count=1), limits=Limits(times_per_receipt=2))
    evaluation = sold(promotion, make.line("хлеб", 5, 100), make.line("кружка", 5, 100))
    assert (amounts(evaluation), traced(evaluation)) == ([500, 300], [CUT])


STAMPS = Cost("points", 10)
RICH = make.facts(customer=make.customer(balances=(("points", 25),)))


def test_a_gift_costs_stamps_when_it_is_on_the_receipt() -> None:
    promotion = bread_gift(Gift(MUG), cost=STAMPS)
    given = sold(promotion, bread, mug, known=RICH)
    assert (amounts(given), spent(given)) == ([100, 0], [10])
    offer = sold(promotion, bread, known=RICH)
    assert (offered(offer), spent(offer)) == (1_000, [])


def test_as_many_gifts_as_stamps_pay_for() -> None:
    promotion = bread_gift(Gift(MUG), cost=Cost("points", 10, each=True))
    evaluation = sold(promotion, bread, make.line("кружка", 5, 100), known=RICH)
    assert (amounts(evaluation), spent(evaluation)) == ([100, 300], [20])


def test_without_stamps_there_is_no_gift() -> None:
    evaluation = sold(bread_gift(Gift(MUG), cost=STAMPS), bread, mug)
    assert (amounts(evaluation), evaluation.offers) == ([100, 100], ())
    assert traced(evaluation) == [(TraceOutcome.FAILED, Condition.BALANCE, 10)]


@pytest.mark.parametrize(
    ("can", "price", "to_add"),
    [
        (Capabilities(add_piece=True, zero_price=True), 0, 1_000),
        (Capabilities(add_piece=True), 0, 0),
        (Capabilities(add_piece=True), 1, 1_000),
        (Capabilities(zero_price=True), 1, 0),
    ],
)
@pytest.mark.parametrize("counts", [True, False])
def test_what_the_till_cannot_add_is_not_offered_and_costs_nothing(
    can: Capabilities, price: int, to_add: int, counts: bool
) -> None:
    gives = Gift(MUG, price_minor=price, counts_in_basket=counts)
    evaluation = sold(bread_gift(gives, cost=STAMPS), bread, known=RICH, capabilities=can)
    assert offered(evaluation) == to_add
    assert spent(evaluation) == ([10] if to_add and not counts else [])


def test_a_floor_holds_of_gifts_too() -> None:
    known = make.facts(make.product("кружка", minimum_price_minor=40))
    assert amounts(sold(bread_gift(Gift(MUG)), bread, mug, known=known)) == [100, 40]


def test_nobody_gives_what_must_not_be_lowered() -> None:
    card = make.line("кружка", 1, 100, kind=LineKind.GIFT_CARD)
    evaluation = sold(bread_gift(Gift(MUG)), bread, card)
    assert (amounts(evaluation), offered(evaluation)) == ([100, 100], 1_000)


# --- beside others ------------------------------------------------------------------------------


def test_a_gift_that_is_only_offered_leaves_its_group_to_others() -> None:
    promotions = [
        bread_gift(Gift(MUG), priority=1, exclusive_group="one"),
        make.percent(1_000, exclusive_group="one"),
    ]
    evaluation = sold(promotions, bread)
    assert (amounts(evaluation), offered(evaluation)) == ([90], 1_000)


def test_a_gift_that_was_found_is_claimed() -> None:
    promotions = [bread_gift(Gift(MUG), priority=1), make.percent(1_000)]
    evaluation = sold(promotions, bread, make.line("кружка", 2, 100))
    assert amounts(evaluation) == [90, 90]  # 10 % off the bread and off the second mug


def test_a_discount_and_points_beside_a_gift() -> None:
    gives = (PercentOff(1_000), Gift(MUG), PointsFixed("points", 5))
    evaluation = sold(make.promotion("all", gives, products=BREAD), bread, mug)
    assert amounts(evaluation) == [90, 0]
    assert [grant.amount_minor for grant in evaluation.grants] == [5]
