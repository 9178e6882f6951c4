"""A till that cannot split a line: what it cannot sell at all has not been given.

Two off three pieces at 100 leave 298, and no price of a piece comes to that: nothing is left of the
two. Three off leave 99 a piece.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from rewards.allocate import allocate
from rewards.benefit import CheapestFree, PercentOff, PointsFixed, ReceiptDiscount
from rewards.condition import Coupon
from rewards.evaluate import CouponState, Evaluation, evaluate
from rewards.program import Cost, ExclusiveGroup, LaneSetting, Promotion
from rewards.sale import Capabilities
from rewards.trace import Condition, TraceEntry, TraceOutcome
from server.evaluator import kernel_evaluator
from tests import make

CANNOT_SPLIT = Capabilities(zero_price=True, add_piece=True)
NOT_SOLD = (TraceOutcome.FAILED, 0, -1, Condition.FLOOR)
TWO_OFF = make.amount_off(2, "two", priority=1)
THREE_OFF = make.amount_off(3, "three")


def sold(*promotions: Promotion, can: Capabilities = CANNOT_SPLIT, **settings: Any) -> Evaluation:
    """Three pieces of tea at 100, as kernel and twin sell them."""
    rules = make.rules(*promotions, **settings)
    sale = make.sale(make.line("tea", 3), capabilities=can, coupon_codes=("SPRING",))
    facts = make.facts(customer=make.customer(balances=(("points", 50),)))
    found = evaluate(rules, sale, facts, allocate)
    assert kernel_evaluator(rules, sale, facts) == found
    return found


def paid(evaluation: Evaluation) -> int:
    return sum(one.amount_minor for one in evaluation.outcomes if one is not None)


def said(entry: TraceEntry) -> tuple[int, int, int, int]:
    return entry.outcome, entry.times, entry.lost_to, entry.condition


def test_it_has_not_fired_and_costs_and_gives_nothing() -> None:
    gives = (ReceiptDiscount(amount_minor=2), PointsFixed("points", 7))
    promotion = make.promotion(
        "two", gives, cost=Cost("points", 10), conditions=(Coupon(("SPRING",)),)
    )
    evaluation = sold(promotion)
    assert paid(evaluation) == 300
    assert [said(entry) for entry in evaluation.trace] == [NOT_SOLD]
    assert (evaluation.spends, evaluation.grants) == ((), ())
    assert evaluation.coupons[0].state == CouponState.NO_EFFECT
    able = sold(promotion, can=make.ABLE)
    assert (paid(able), able.trace[0].outcome) == (298, TraceOutcome.FIRED)
    assert (len(able.spends), len(able.grants)) == (1, 1)


def test_others_have_the_pieces() -> None:
    evaluation = sold(TWO_OFF, THREE_OFF)
    assert paid(evaluation) == 297
    fired = (TraceOutcome.FIRED, 1, -1, Condition.NONE)
    assert [said(entry) for entry in evaluation.trace] == [NOT_SOLD, fired]


def test_its_group_has_another_one() -> None:
    members = [replace(one, exclusive_group="g") for one in (TWO_OFF, THREE_OFF)]
    for choose in ("first", "best"):
        groups = (ExclusiveGroup("g", choose),)
        assert paid(sold(*members, exclusive_groups=groups)) == 297


def test_who_is_exclusive_and_gives_nothing_excludes_nobody() -> None:
    evaluation = sold(replace(TWO_OFF, exclusive="receipt"), THREE_OFF)
    assert paid(evaluation) == 297


def test_all_that_cannot_be_sold_is_left_out_one_after_another() -> None:
    one_off = make.amount_off(1, "one", priority=2)
    evaluation = sold(one_off, TWO_OFF, THREE_OFF)
    assert paid(evaluation) == 297
    assert [said(entry)[0] for entry in evaluation.trace] == [
        TraceOutcome.FAILED,
        TraceOutcome.FAILED,
        TraceOutcome.FIRED,
    ]


@pytest.mark.parametrize("mode", ["sequential", "best"])
def test_in_a_lane_of_either_mode(mode: str) -> None:
    """The best combination is the one that can be sold."""
    two = make.promotion("two", CheapestFree(3, rate_bp=200), priority=1)
    three = make.promotion("three", PercentOff(100), base="as_sent")
    lanes = (LaneSetting("price", mode),)  # type: ignore[arg-type]
    evaluation = sold(two, three, lanes=lanes)
    assert paid(evaluation) == 297
    assert evaluation.trace[0].times == 0


def test_what_is_cut_short_has_fired() -> None:
    """Four off become three."""
    evaluation = sold(make.amount_off(4, "four"))
    assert paid(evaluation) == 297
    assert evaluation.trace[0].outcome == TraceOutcome.FIRED
