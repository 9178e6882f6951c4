"""Lanes, priorities, claims, bases, exclusive promotions: who works on what, after whom."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import (
    CheapestFree,
    FixedPrice,
    NPlusM,
    PercentOff,
    Pieces,
    PointsRate,
    ReceiptDiscount,
)
from rewards.condition import ReceiptAmount
from rewards.program import Promotion
from rewards.sale import PriceSource
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import FIRED, amounts, granted, sold, to_pay, traced

ONLY_A, ONLY_B = ProductSet(skus=("a",)), ProductSet(skus=("b",))


@pytest.mark.parametrize(
    ("first", "second", "paid"),
    [
        # One lane: one claim a piece, the higher priority first, then the id.
        ({"priority": 1}, {"priority": 2}, 800),
        ({"priority": 2}, {"priority": 1}, 900),
        ({}, {}, 900),
        # A lane after the other: 10 % off, then 20 % off what is left.
        ({}, {"lane": "basket"}, 720),
        ({"lane": "basket"}, {}, 720),
        # Who is stackable claims nothing; each works on what the ones before left.
        ({"stackable": True}, {"stackable": True}, 720),
        ({"stackable": True, "priority": 1}, {}, 720),
        ({"stackable": True}, {"priority": 1}, 720),
    ],
)
def test_ten_percent_called_a_and_twenty_called_b(
    first: dict[str, Any], second: dict[str, Any], paid: int
) -> None:
    promotions = [make.percent(1_000, "a", **first), make.percent(2_000, "b", **second)]
    for order in (promotions, promotions[::-1]):
        assert to_pay(sold(order, make.line(price_minor=1_000))) == paid


@pytest.mark.parametrize(
    ("base", "stackable", "lane", "paid"),
    [
        # 10 % off 1,000 by everybody's promotion of lane price; then 20 % off.
        ("running", True, "price", 720),
        ("running", False, "price", 720),
        ("lane_start", True, "price", 700),
        ("lane_start", False, "price", 700),
        ("as_sent", True, "price", 700),
        ("running", True, "basket", 720),
        ("lane_start", True, "basket", 720),
        ("lane_start", False, "basket", 720),
        ("as_sent", True, "basket", 700),
        ("as_sent", False, "basket", 700),
    ],
)
def test_of_which_price_a_percentage_is(base: Any, stackable: bool, lane: Any, paid: int) -> None:
    everybody = make.percent(1_000, "everybody", stackable=True, priority=1)
    card = make.percent(2_000, "card", lane=lane, stackable=stackable, base=base)
    assert to_pay(sold([everybody, card], make.line(price_minor=1_000))) == paid


def test_percentages_of_the_sent_price_stop_at_nothing() -> None:
    promotions = [
        make.percent(6_000, "a", stackable=True, base="as_sent"),
        make.percent(6_000, "b", stackable=True, base="as_sent"),
    ]
    assert to_pay(sold(promotions, make.line(price_minor=1_000))) == 0


def test_who_comes_too_late_lost_to_whom() -> None:
    promotions = [make.percent(1_000, "a"), make.percent(2_000, "b", priority=1)]
    winner, loser = sold(promotions, make.line()).trace
    assert (winner.outcome, winner.times) == (TraceOutcome.FIRED, 1)
    assert (loser.outcome, loser.lost_to, loser.times) == (TraceOutcome.LOST, winner.number, 0)


def test_pieces_that_a_set_does_not_use_stay_open_for_the_next() -> None:
    promotions = [make.n_plus_m(2, 1, priority=1), make.percent(1_000)]
    # Three pieces of four make the set; 10 % off the fourth.
    assert to_pay(sold(promotions, make.line("a", 4, 100))) == 200 + 90


def test_a_set_is_formed_of_open_pieces_alone() -> None:
    one = make.promotion("one", PercentOff(5_000, pieces=Pieces(2)), priority=1)
    three = make.promotion("three", CheapestFree(3))
    # Two of four are half off; the two that are left make no set of three.
    evaluation = sold([one, three], make.line("a", 4, 100))
    assert amounts(evaluation) == [300]
    assert traced(evaluation)[1] == (TraceOutcome.FAILED, Condition.QUANTITY, 1_000)


def test_a_stackable_set_works_on_claimed_pieces_at_their_price() -> None:
    promotions = [
        make.percent(5_000, priority=1),
        make.promotion("three", CheapestFree(3), stackable=True),
    ]
    assert to_pay(sold(promotions, make.line("a", 3, 100))) == 100


def test_a_reward_in_lane_price_claims_what_it_is_given_on() -> None:
    promotions = [make.points(1_000, lane="price", priority=1, products=ONLY_A), make.percent()]
    evaluation = sold(promotions, make.line("a", 1, 1_000), make.line("b", 1, 1_000))
    assert (amounts(evaluation), granted(evaluation)) == ([1_000, 900], [100])


@pytest.mark.parametrize(("lane", "earned"), [("price", 100), ("basket", 90), ("reward", 81)])
def test_points_are_earned_on_what_is_to_be_paid_at_their_place(lane: Any, earned: int) -> None:
    promotions = [
        make.points(1_000, lane=lane, priority=9, stackable=True),
        make.percent(1_000, "first"),
        make.percent(1_000, "second", lane="basket"),
    ]
    assert granted(sold(promotions, make.line(price_minor=1_000))) == [earned]


def test_points_beside_a_discount_are_earned_on_what_it_left() -> None:
    gives = (PercentOff(1_000), PointsRate("points", 1_000))
    evaluation = sold(make.promotion(gives=gives), make.line(price_minor=1_000))
    assert (to_pay(evaluation), granted(evaluation)) == (900, [90])


def test_points_beside_a_discount_that_was_not_given_are_not_given() -> None:
    gives = (FixedPrice(2_000), PointsRate("points", 1_000))
    evaluation = sold(make.promotion(gives=gives), make.line(price_minor=1_000))
    assert (to_pay(evaluation), granted(evaluation)) == (1_000, [])


# --- stickers -----------------------------------------------------------------------------------

STICKER = make.line("a", 3, 100, price_source=PriceSource.STICKER)


@pytest.mark.parametrize(
    "gives",
    [PercentOff(1_000), NPlusM(2, 1), CheapestFree(3), ReceiptDiscount(amount_minor=30)],
)
def test_a_markdown_sticker_is_for_promotions_that_say_so(gives: Any) -> None:
    plain = sold(make.promotion(gives=gives), STICKER)
    assert (amounts(plain), plain.offers) == ([300], ())
    assert traced(plain) == [(TraceOutcome.FAILED, Condition.FLOOR, 0)]
    assert to_pay(sold(make.promotion(gives=gives, on_stickers=True), STICKER)) in (270, 200)


def test_points_on_a_markdown_sticker_too() -> None:
    assert granted(sold(make.points(1_000), STICKER)) == []
    assert granted(sold(make.points(1_000, on_stickers=True), STICKER)) == [30]


# --- exclusive ----------------------------------------------------------------------------------


def exclusive(rate_bp: int, promotion_id: str = "exclusive", **changes: Any) -> Promotion:
    return make.percent(rate_bp, promotion_id, exclusive="receipt", **changes)


@pytest.mark.parametrize("lane", ["price", "basket"])
def test_an_exclusive_promotion_silences_all_others_whatever_their_priority(lane: Any) -> None:
    promotions = [
        make.percent(2_000, "price", priority=9),
        make.percent(2_000, "stackable", stackable=True),
        make.amount_off(100),
        make.points(1_000),
        exclusive(1_000, lane=lane, products=ONLY_A),
    ]
    evaluation = sold(promotions, make.line("a", 1, 1_000), make.line("b", 1, 1_000))
    assert amounts(evaluation) == [900, 1_000]
    assert granted(evaluation) == [190]  # rewards are given all the same
    winner, *losers, points = evaluation.trace
    assert (winner.times, points.times) == (1, 1)
    assert {(one.outcome, one.lost_to) for one in losers} == {(TraceOutcome.LOST, winner.number)}


def test_an_exclusive_promotion_that_does_not_fire_silences_nobody() -> None:
    promotions = [
        exclusive(5_000, conditions=(ReceiptAmount(5_000),)),
        exclusive(5_000, "other-goods", products=ONLY_B),
        make.percent(1_000),
    ]
    assert to_pay(sold(promotions, make.line("a", 1, 1_000))) == 900


def test_of_two_exclusive_promotions_the_first_by_priority() -> None:
    promotions = [exclusive(1_000, "a"), exclusive(2_000, "b", priority=1, products=ONLY_B)]
    evaluation = sold(promotions, make.line("a", 1, 1_000), make.line("b", 1, 1_000))
    assert amounts(evaluation) == [1_000, 800]


def test_who_is_exclusive_on_its_items_leaves_the_others_open() -> None:
    promotions = [
        make.percent(1_000, "own", exclusive="items", products=ONLY_A, priority=9),
        make.percent(2_000, "stackable", stackable=True),
        make.percent(2_000, "later", lane="basket"),
    ]
    evaluation = sold(promotions, make.line("a", 1, 1_000), make.line("b", 1, 1_000))
    assert amounts(evaluation) == [900, 640]


def test_who_finds_only_closed_items_lost_to_who_closed_them() -> None:
    promotions = [
        make.percent(1_000, "own", exclusive="items", priority=9),
        make.percent(2_000, "later", lane="basket"),
    ]
    evaluation = sold(promotions, make.line("a", 1, 1_000))
    assert traced(evaluation)[0] == FIRED
    assert evaluation.trace[1].outcome == TraceOutcome.LOST
    assert evaluation.trace[1].lost_to == 0
