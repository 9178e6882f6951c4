"""Exclusive groups, limits, quotas and costs: numbers worked out by hand."""

from typing import Any

import pytest
from msgspec.structs import replace

from rewards.authored import ProductSet
from rewards.benefit import (
    AmountOff,
    CheapestFree,
    FixedPrice,
    MoneyTransfer,
    PercentOff,
    Pieces,
    PointsFixed,
    PointsRate,
    ReceiptDiscount,
    Status,
)
from rewards.condition import Coupon, ReceiptAmount
from rewards.evaluate import Evaluation
from rewards.facts import ANONYMOUS, CustomerState, Facts, Quota
from rewards.program import Cost, ExclusiveGroup, Limits, Promotion
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import CUT, FIRED, amounts, fired, granted, sold, spent, to_pay, traced

ONLY_A, ONLY_B, ONLY_C = (ProductSet(skus=(sku,)) for sku in "abc")
THOUSAND = make.line("a", 1, 1_000)


def groups(choose: Any) -> dict[str, Any]:
    return {"program": {"exclusive_groups": (ExclusiveGroup("g", choose),)}}


def lost_to(evaluation: Evaluation) -> list[int]:
    return [entry.lost_to for entry in evaluation.trace]


# --- groups -------------------------------------------------------------------------------------


def member(gives: Any, promotion_id: str, **changes: Any) -> Promotion:
    return make.promotion(promotion_id, gives, exclusive_group="g", **changes)


def test_of_a_group_the_first_that_fires() -> None:
    promotions = [
        member(PercentOff(1_000), "a", priority=3, conditions=(ReceiptAmount(5_000),)),
        member(PercentOff(2_000), "b", priority=2, products=ONLY_A),
        member(PercentOff(3_000), "c", priority=1, products=ONLY_B),
    ]
    evaluation = sold(promotions, THOUSAND, make.line("b", 1, 1_000))
    assert amounts(evaluation) == [800, 1_000]
    assert lost_to(evaluation) == [-1, -1, 1]


def test_who_of_a_group_has_nothing_to_lower_leaves_it_to_the_next() -> None:
    promotions = [
        member(FixedPrice(2_000), "a", priority=1),
        member(PercentOff(1_000), "b"),
    ]
    evaluation = sold(promotions, THOUSAND)
    assert (to_pay(evaluation), fired(evaluation)) == (900, [0, 1])


def test_a_group_reaches_over_lanes() -> None:
    promotions = [
        member(PercentOff(1_000), "a"),
        member(ReceiptDiscount(amount_minor=500), "b"),
        member(PointsFixed("points", 5), "c"),
    ]
    evaluation = sold(promotions, THOUSAND)
    assert (to_pay(evaluation), granted(evaluation)) == (900, [])
    assert lost_to(evaluation) == [-1, 0, 0]


@pytest.mark.parametrize(("choose", "paid"), [("first", 900), ("best", 850)])
def test_the_first_or_the_best_of_a_group(choose: Any, paid: int) -> None:
    ten = member(PercentOff(1_000), "ten", priority=1)
    amount = member(AmountOff(150), "amount")
    assert to_pay(sold([ten, amount], THOUSAND, **groups(choose))) == paid


def test_the_best_of_a_group_counts_points_at_their_worth() -> None:
    ten = member(PercentOff(1_000), "ten", lane="price")
    both = member((PercentOff(500), PointsRate("points", 1_000)), "both", lane="price")
    # 100 against 50 and 95 points.
    dear = sold([ten, both], THOUSAND, **groups("best"))
    assert (to_pay(dear), granted(dear)) == (950, [95])
    # 100 against 50 and 95 points at half a minor unit.
    cheap = {**groups("best")["program"], "point_value_micros": 500_000}
    assert to_pay(sold([ten, both], THOUSAND, program=cheap)) == 900


def test_points_beside_a_discount_are_worth_what_the_discount_leaves() -> None:
    both = member((PercentOff(1_000), PointsRate("points", 1_000)), "both", lane="price")
    amount = member(AmountOff(195), "amount")
    # 100 and 90 against 195.
    assert to_pay(sold([both, amount], THOUSAND, **groups("best"))) == 805


def test_of_equals_the_first_by_priority_is_the_best() -> None:
    promotions = (member(PercentOff(1_000), "a"), member(AmountOff(100), "b", priority=1))
    assert fired(sold(promotions, THOUSAND, **groups("best"))) == [1, 0]


def test_nobody_loses_to_a_best_one_that_gives_nothing_after_all() -> None:
    everything = make.points(1_000, "everything", priority=9)
    points = member(PointsRate("points", 5_000), "points", priority=1)
    status = member(Status("gold"), "status")
    evaluation = sold([everything, points, status], THOUSAND, **groups("best"))
    assert [(g.asset_code, g.amount_minor) for g in evaluation.grants] == [("points", 100), ("", 1)]
    assert lost_to(evaluation) == [-1, 0, -1]


BY_COUPON = (
    member(PercentOff(1_000), "a", conditions=(Coupon(("A",)),)),
    member(PercentOff(2_000), "b", conditions=(Coupon(("B",)),)),
    member(FixedPrice(9_000), "c", conditions=(Coupon(("C",)),)),
)


@pytest.mark.parametrize(
    ("codes", "paid"),
    [
        (("A", "B"), 800),
        (("B", "A"), 900),
        (("A",), 900),
        (("B", "A", "C"), 900),  # the last one lowers nothing
        (("C",), 1_000),
    ],
)
def test_the_one_whose_coupon_was_shown_last(codes: tuple[str, ...], paid: int) -> None:
    evaluation = sold(BY_COUPON, THOUSAND, coupon_codes=codes, **groups("last_coupon"))
    assert to_pay(evaluation) == paid


def test_two_groups_do_not_know_of_each_other() -> None:
    promotions = [
        make.percent(1_000, "a", exclusive_group="one", stackable=True),
        make.percent(1_000, "b", exclusive_group="two", stackable=True),
    ]
    assert to_pay(sold(promotions, THOUSAND)) == 810


def test_an_exclusive_promotion_of_a_group_silences_others_before_its_place() -> None:
    promotions = [
        member(PercentOff(500), "p1", exclusive="receipt", priority=3, products=ONLY_A),
        make.percent(2_000, "p2", exclusive="receipt", priority=2, products=ONLY_A),
        member(PercentOff(1_000), "p3", exclusive="receipt", priority=1, products=ONLY_B),
    ]
    lines = (make.line("a", 1, 100), make.line("b", 1, 10_000))
    assert amounts(sold(promotions, *lines, **groups("best"))) == [100, 9_000]


# --- limits of a receipt ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "cap", "left"),
    [
        (PercentOff(1_000), 1_000, [900, 1_800]),
        (PercentOff(1_000), 300, [900, 1_800]),
        (PercentOff(1_000), 100, [967, 1_933]),  # 100 and 200 cut down to 33 and 67
        (ReceiptDiscount(amount_minor=600), 100, [967, 1_933]),
        (CheapestFree(2), 100, [967, 1_933]),
    ],
)
def test_money_off_a_receipt_is_capped(gives: Any, cap: int, left: list[int]) -> None:
    promotion = make.promotion(gives=gives, limits=Limits(discount_max_minor=cap))
    evaluation = sold(promotion, make.line("a", 1, 1_000), make.line("b", 1, 2_000))
    assert amounts(evaluation) == left
    assert traced(evaluation) == [FIRED if cap >= 300 else CUT]


# --- quotas -------------------------------------------------------------------------------------

LIMITED = Limits(customer_times=3, total_times=100, total_minor=10_000)


def left(customer_times: int = -1, total_times: int = -1, total_minor: int = -1) -> Facts:
    return make.facts(quotas=(Quota("p", customer_times, total_times, total_minor),))


@pytest.mark.parametrize(
    ("known", "limit"),
    [
        (left(), None),
        (left(1, 1, 100), None),
        (left(customer_times=0), Condition.CUSTOMER_LIMIT),
        (left(total_times=0), Condition.TOTAL_LIMIT),
        (left(total_minor=0), Condition.BUDGET),
        (make.facts(), Condition.CUSTOMER_LIMIT),  # nothing is known of it: nothing is left
    ],
)
@pytest.mark.parametrize("gives", [PercentOff(1_000), PointsFixed("points", 100)])
def test_what_many_receipts_have_used_up(gives: Any, known: Facts, limit: Condition | None) -> None:
    evaluation = sold(make.promotion("p", gives, limits=LIMITED), THOUSAND, known=known)
    expected = FIRED if limit is None else (TraceOutcome.LIMIT_REACHED, limit, 0)
    assert traced(evaluation) == [expected]
    assert to_pay(evaluation) + sum(granted(evaluation)) in (
        (900, 1_100) if not limit else (1_000,)
    )


def test_no_limit_over_receipts_asks_for_no_quota() -> None:
    limits = Limits(discount_max_minor=1_000, times_per_receipt=1)
    assert to_pay(sold(make.percent(limits=limits), THOUSAND)) == 900


OVER = (TraceOutcome.LIMIT_REACHED, Condition.BUDGET, 0)


@pytest.mark.parametrize(
    ("shortage", "minor", "paid", "outcome"),
    [
        ("part", 100, 900, FIRED),
        ("part", 99, 901, CUT),
        ("part", 1, 999, CUT),
        ("refuse", 100, 900, FIRED),
        ("refuse", 99, 1_000, OVER),
    ],
)
@pytest.mark.parametrize(
    "bound",
    [Limits(customer_minor=10_000), Limits(store_minor=10_000), Limits(total_minor=10_000)],
)
def test_what_is_left_of_a_budget_for_discounts(
    shortage: Any, minor: int, paid: int, outcome: Any, bound: Limits
) -> None:
    limits = replace(bound, on_shortage=shortage)
    promotion = make.percent(1_000, "p", limits=limits)
    evaluation = sold(promotion, THOUSAND, known=left(total_minor=minor))
    assert (to_pay(evaluation), traced(evaluation)) == (paid, [outcome])


@pytest.mark.parametrize(
    ("shortage", "minor", "earned", "outcome"),
    [
        ("part", 100, [100], FIRED),
        ("part", 60, [60], FIRED),
        ("refuse", 100, [100], FIRED),
        ("refuse", 99, [], OVER),
    ],
)
def test_what_is_left_of_a_budget_for_rewards(
    shortage: Any, minor: int, earned: list[int], outcome: Any
) -> None:
    limits = Limits(total_minor=10_000, on_shortage=shortage)
    promotion = make.promotion("p", PointsFixed("points", 100), limits=limits)
    evaluation = sold(promotion, THOUSAND, known=left(total_minor=minor))
    assert (granted(evaluation), traced(evaluation)) == (earned, [outcome])


@pytest.mark.parametrize(
    ("gives", "paid", "earned"),
    [
        ((PointsFixed("points", 60), MoneyTransfer("card", 60)), 1_000, [60, 40]),
        ((PercentOff(600), PointsFixed("points", 60)), 940, [60 - 20]),
        ((PercentOff(1_000), PointsFixed("points", 60)), 900, []),
    ],
)
def test_a_budget_holds_for_all_that_a_promotion_gives_on_a_receipt(
    gives: Any, paid: int, earned: list[int]
) -> None:
    promotion = make.promotion("p", gives, limits=Limits(total_minor=10_000))
    evaluation = sold(promotion, THOUSAND, known=left(total_minor=100))
    assert (to_pay(evaluation), granted(evaluation)) == (paid, earned)


# --- costs --------------------------------------------------------------------------------------


def owns(minor: int, **changes: Any) -> Facts:
    return make.facts(customer=make.customer(balances=(("points", minor),), **changes))


STAMPS = Cost("points", 10)
NO_STAMPS = (TraceOutcome.FAILED, Condition.BALANCE, 10)


@pytest.mark.parametrize(
    ("gives", "lines", "balance", "paid", "cost"),
    [
        (PercentOff(1_000), [THOUSAND], 10, 900, [10]),
        (PercentOff(1_000), [make.line("a", 3, 100)], 30, 270, [30]),  # each piece
        (PercentOff(1_000), [make.line("a", 3, 100)], 25, 280, [20]),
        (PercentOff(1_000), [make.weighed("a", 1_500, 200)], 25, 270, [10]),
        (PercentOff(1_000), [make.line("a", 1, 0)], 25, 0, []),  # nothing to lower
        (FixedPrice(80), [make.line("a", 1, 100), make.line("b", 1, 70)], 99, 150, [10]),
        (CheapestFree(3), [make.line("a", 6, 100)], 99, 400, [20]),  # each set
        (CheapestFree(3), [make.line("a", 6, 100)], 19, 500, [10]),
        (ReceiptDiscount(rate_bp=1_000), [THOUSAND], 99, 900, [10]),  # once
        (ReceiptDiscount(amount_minor=100), [THOUSAND], 99, 900, [10]),
        (PointsFixed("bonus", 5), [THOUSAND], 99, 1_000, [10]),
    ],
)
def test_what_it_costs(
    gives: Any, lines: list[Any], balance: int, paid: int, cost: list[int]
) -> None:
    promotion = make.promotion(gives=gives, cost=STAMPS)
    assets = {"assets": (make.POINTS, make.NEXT_DISCOUNT, make.asset("bonus"))}
    store = make.store_facts(
        windows=(*make.store_facts().windows, ("bonus", make.store_facts().windows[0][1]))
    )
    known = make.facts(customer=make.customer(balances=(("points", balance),)), store=store)
    evaluation = sold(promotion, *lines, known=known, program=assets)
    assert (to_pay(evaluation), spent(evaluation)) == (paid, cost)


@pytest.mark.parametrize(
    ("known", "failure"),
    [
        (make.facts(), (TraceOutcome.FAILED, Condition.BALANCE, 10)),
        (owns(9), (TraceOutcome.FAILED, Condition.BALANCE, 1)),
        (owns(-5), (TraceOutcome.FAILED, Condition.BALANCE, 10)),
        (owns(99, state=CustomerState.EARN_ONLY), (TraceOutcome.FAILED, Condition.CUSTOMER, 0)),
        (owns(99, state=CustomerState.BLOCKED), (TraceOutcome.FAILED, Condition.CUSTOMER, 0)),
        (make.facts(customer=ANONYMOUS), (TraceOutcome.FAILED, Condition.CUSTOMER, 0)),
    ],
)
def test_who_cannot_pay(known: Facts, failure: Any) -> None:
    evaluation = sold(make.percent(cost=STAMPS), THOUSAND, known=known)
    assert (to_pay(evaluation), spent(evaluation), traced(evaluation)) == (1_000, [], [failure])


def test_what_is_spent_once_is_gone() -> None:
    promotions = [
        make.percent(1_000, "a", products=ONLY_A, cost=STAMPS, priority=1),
        make.percent(1_000, "b", products=ONLY_B, cost=STAMPS),
    ]
    evaluation = sold(promotions, THOUSAND, make.line("b", 1, 1_000), known=owns(15))
    assert (amounts(evaluation), spent(evaluation)) == ([900, 1_000], [10])
    assert traced(evaluation)[1] == (TraceOutcome.FAILED, Condition.BALANCE, 5)


WITH_EARNED = Cost("points", 100, with_earned=True)


@pytest.mark.parametrize(
    ("balance", "cost", "left_over", "paid"),
    [
        (0, WITH_EARNED, [100], [900, 1_000]),
        (100, WITH_EARNED, [100, 100], [900, 900]),
        (50, WITH_EARNED, [100], [900, 1_000]),
        (-50, WITH_EARNED, [], [1_000, 1_000]),  # a debt is paid first
        (0, Cost("points", 100), [], [1_000, 1_000]),
        (100, Cost("points", 100), [100], [900, 1_000]),
    ],
)
def test_what_this_receipt_earned_is_spent_once(
    balance: int, cost: Cost, left_over: list[int], paid: list[int]
) -> None:
    promotions = [
        make.promotion("earn", PointsFixed("points", 100), "price", priority=9, stackable=True),
        make.percent(1_000, "a", products=ONLY_A, cost=cost, priority=1),
        make.percent(1_000, "b", products=ONLY_B, cost=cost),
    ]
    evaluation = sold(promotions, THOUSAND, make.line("b", 1, 1_000), known=owns(balance))
    assert (amounts(evaluation), spent(evaluation)) == (paid, left_over)


EACH = Cost("points", 100, each=True)


@pytest.mark.parametrize(
    ("balance", "sent", "limits", "paid", "cost"),
    [
        (500, 1_000, Limits(), 500, 500),
        (99_999, 1_000, Limits(), 0, 1_000),
        (99_999, 1_050, Limits(), 0, 1_100),  # the last one is not wholly used
        (500, 1_000, Limits(times_per_receipt=2), 800, 200),
        (1_000, 1_000, Limits(discount_max_minor=150), 850, 200),
        (1_000, 1_000, Limits(discount_max_minor=200), 800, 200),
    ],
)
def test_points_are_money(balance: int, sent: int, limits: Limits, paid: int, cost: int) -> None:
    """100 points are good for 100 minor units off, as often as there are points."""
    gives = ReceiptDiscount(amount_minor=100)
    promotion = make.promotion(gives=gives, cost=EACH, limits=limits)
    evaluation = sold(promotion, make.line("a", 1, sent), known=owns(balance))
    assert (to_pay(evaluation), spent(evaluation)) == (paid, [cost])


def test_a_cap_cuts_the_cost_of_pieces_too() -> None:
    # Ten pieces lowered by 10 each for 10 points each; a cap of 45 is worth four and a half.
    promotion = make.percent(cost=STAMPS, limits=Limits(discount_max_minor=45))
    evaluation = sold(promotion, make.line("a", 10, 100), known=owns(1_000))
    assert (to_pay(evaluation), spent(evaluation)) == (955, [50])


def test_the_cost_is_paid_for_as_many_as_it_can_also_where_some_is_weighed() -> None:
    lines = (make.line("a", 5, 100), make.weighed("b", 1_500, 100))
    # Five of six can be paid; at equal prices pieces come before what is weighed.
    evaluation = sold(make.percent(1_000, cost=STAMPS), *lines, known=owns(50))
    assert (to_pay(evaluation), spent(evaluation)) == (650 - 50, [50])


def test_half_off_one_piece_for_stamps() -> None:
    gives = PercentOff(5_000, pieces=Pieces(1, "dearest"))
    promotion = make.promotion(gives=gives, cost=STAMPS)
    lines = (make.line("a", 2, 100), make.line("b", 1, 300))
    evaluation = sold(promotion, *lines, known=owns(1_000))
    assert (amounts(evaluation), spent(evaluation)) == ([200, 150], [10])
