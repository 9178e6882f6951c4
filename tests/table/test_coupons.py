"""Coupon codes: how they are read, which count, what is said of each."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import (
    Benefit,
    CouponReward,
    DrawEntries,
    GiftCertificate,
    Message,
    PercentOff,
    PointsFixed,
    Prize,
    Status,
)
from rewards.condition import Coupon, ReceiptAmount, Trigger
from rewards.evaluate import CouponState, Evaluation
from rewards.program import CouponRules, Promotion
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import FIRED, amounts, sold, to_pay, traced

APPLIED, NO_EFFECT = CouponState.APPLIED, CouponState.NO_EFFECT
UNKNOWN, NOT_CHOSEN = CouponState.UNKNOWN, CouponState.NOT_CHOSEN


def coupon(
    *codes: str, rate_bp: int = 1_000, promotion_id: str = "coupon", **changes: Any
) -> Promotion:
    conditions = (Coupon(codes), *changes.pop("more", ()))
    return make.percent(rate_bp, promotion_id, conditions=conditions, **changes)


def shown(
    promotions: list[Promotion] | Promotion, *codes: str, rules: Any = None, **changes: Any
) -> Evaluation:
    """One article at 1,000, and these codes."""
    program = {"coupon_rules": rules or CouponRules()}
    line = make.line("хлеб", 1, 1_000)
    return sold(promotions, line, program=program, coupon_codes=codes, **changes)


def states(evaluation: Evaluation) -> dict[str, CouponState]:
    return {one.code: one.state for one in evaluation.coupons}


def test_a_code_that_is_shown_applies() -> None:
    evaluation = shown(coupon("СКИДКА10"), "СКИДКА10")
    assert (to_pay(evaluation), states(evaluation)) == (900, {"СКИДКА10": APPLIED})


def test_without_its_code_a_promotion_is_no_candidate() -> None:
    evaluation = shown(coupon("СКИДКА10"))
    assert (to_pay(evaluation), traced(evaluation), states(evaluation)) == (1_000, [], {})


def test_a_code_that_no_promotion_knows() -> None:
    evaluation = shown(coupon("СКИДКА10"), "СКИДКА11", "СКИДКА10")
    assert states(evaluation) == {"СКИДКА11": UNKNOWN, "СКИДКА10": APPLIED}
    assert [one.code for one in evaluation.coupons] == ["СКИДКА11", "СКИДКА10"]


@pytest.mark.parametrize(
    ("written", "code", "any_case", "state"),
    [
        ("СКИДКА", "скидка", True, APPLIED),
        ("скидка", "Скидка", True, APPLIED),
        ("СКИДКА", "скидка", False, UNKNOWN),
        ("СКИДКА", "СКИДКА", False, APPLIED),
        ("SALE10", "sale10", True, APPLIED),
        ("SALE10", "SALE1O", True, UNKNOWN),
    ],
)
def test_letters(written: str, code: str, any_case: bool, state: CouponState) -> None:
    evaluation = shown(coupon(written), code, rules=CouponRules(any_case))
    assert states(evaluation) == {code: state}
    assert to_pay(evaluation) == (900 if state == APPLIED else 1_000)


def test_a_code_twice_is_one_code() -> None:
    evaluation = shown(coupon("A"), "A", "a", "A")
    assert (to_pay(evaluation), states(evaluation)) == (900, {"A": APPLIED, "a": APPLIED})


def test_any_of_several_codes_fires_once() -> None:
    assert to_pay(shown(coupon("A", "B"), "B")) == 900
    assert to_pay(shown(coupon("A", "B"), "B", "A")) == 900


TWO = [
    coupon("A", rate_bp=1_000, promotion_id="a", stackable=True),
    coupon("B", rate_bp=2_000, promotion_id="b", stackable=True),
]


@pytest.mark.parametrize(
    ("choose", "codes", "paid", "said"),
    [
        ("all", ("A", "B"), 720, {"A": APPLIED, "B": APPLIED}),
        ("first", ("A", "B"), 900, {"A": APPLIED, "B": NOT_CHOSEN}),
        ("first", ("B", "A"), 800, {"B": APPLIED, "A": NOT_CHOSEN}),
        ("last", ("A", "B"), 800, {"A": NOT_CHOSEN, "B": APPLIED}),
        ("last", ("B", "A"), 900, {"B": NOT_CHOSEN, "A": APPLIED}),
        ("first", ("X", "A", "B"), 900, {"X": UNKNOWN, "A": APPLIED, "B": NOT_CHOSEN}),
        ("last", ("A", "X"), 900, {"A": APPLIED, "X": UNKNOWN}),
    ],
)
def test_which_codes_count(
    choose: Any, codes: tuple[str, ...], paid: int, said: dict[str, CouponState]
) -> None:
    evaluation = shown(TWO, *codes, rules=CouponRules(choose=choose))
    assert (to_pay(evaluation), states(evaluation)) == (paid, said)


def test_a_code_whose_promotion_fails_has_no_effect_and_the_trace_says_why() -> None:
    evaluation = shown(coupon("A", more=(ReceiptAmount(1_500),)), "A")
    assert states(evaluation) == {"A": NO_EFFECT}
    assert traced(evaluation) == [(TraceOutcome.FAILED, Condition.RECEIPT_AMOUNT, 500)]


def test_a_code_for_other_goods_says_that_it_is_about_them() -> None:
    evaluation = shown(coupon("DOG", products=ProductSet(skus=("корм",))), "DOG")
    assert states(evaluation) == {"DOG": NO_EFFECT}
    assert traced(evaluation) == [(TraceOutcome.FAILED, Condition.PRODUCTS, 0)]


def test_a_code_that_lost_to_another_promotion_has_no_effect() -> None:
    evaluation = shown([make.percent(priority=1), coupon("A")], "A")
    assert (to_pay(evaluation), states(evaluation)) == (900, {"A": NO_EFFECT})


@pytest.mark.parametrize("choose", ["all", "first", "last"])
@pytest.mark.parametrize("trigger_first", [True, False])
def test_a_code_and_what_the_cashier_says(choose: Any, trigger_first: bool) -> None:
    both = (Trigger(("билет",)), Coupon(("A",)))
    promotion = make.percent(conditions=both if trigger_first else both[::-1])
    rules = CouponRules(choose=choose)
    applied = shown(promotion, "A", rules=rules, manual_triggers=("билет",))
    assert (to_pay(applied), states(applied)) == (900, {"A": APPLIED})
    alone = shown(promotion, "A", rules=rules)
    assert (to_pay(alone), states(alone)) == (1_000, {"A": NO_EFFECT})


def test_two_codes_that_are_both_needed() -> None:
    promotion = coupon("A", more=(Coupon(("B",)),))
    both = shown(promotion, "B", "A")
    assert (to_pay(both), states(both)) == (900, {"B": APPLIED, "A": APPLIED})
    one = shown(promotion, "A")
    assert (to_pay(one), states(one)) == (1_000, {"A": NO_EFFECT})
    other = shown(promotion, "B")
    assert (to_pay(other), states(other)) == (1_000, {"B": NO_EFFECT})


REWARDS: list[Benefit] = [
    CouponReward("next"),
    GiftCertificate(500),
    Prize("pool"),
    Status("gold"),
    PointsFixed("points", 10),
    DrawEntries("draw"),
    Message(make.texts("спасибо")),
]


@pytest.mark.parametrize("gives", REWARDS)
@pytest.mark.parametrize("lane", ["price", "reward"])
@pytest.mark.parametrize("stackable", [True, False])
def test_a_reward_with_a_code_is_given_on_its_goods_alone(
    gives: Benefit, lane: Any, stackable: bool
) -> None:
    promotion = make.promotion(
        "dog",
        gives,
        lane,
        products=ProductSet(skus=("корм",)),
        conditions=(Coupon(("DOG",)),),
        stackable=stackable,
    )
    other = shown(promotion, "DOG")
    assert (other.grants, other.messages) == ((), ())
    assert traced(other) == [(TraceOutcome.FAILED, Condition.PRODUCTS, 0)]
    own = sold(promotion, make.line("корм", 1, 100), coupon_codes=("DOG",))
    assert traced(own) == [FIRED]
    assert len(own.grants) + len(own.messages) == 1


def test_a_percentage_and_a_message_with_one_code() -> None:
    gives = (PercentOff(1_000), Message(make.texts("спасибо")))
    promotion = make.promotion(gives=gives, conditions=(Coupon(("A",)),))
    evaluation = shown(promotion, "A")
    assert (amounts(evaluation), evaluation.messages) == ([900], ((0, 1),))
