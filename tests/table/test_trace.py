"""What the trace says of each promotion that could have applied, and why."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import CheapestFree, NPlusM
from rewards.program import Promotion
from rewards.sale import Line
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import CUT, FIRED, amounts, fired, sold, traced

FAILED = TraceOutcome.FAILED


@pytest.mark.parametrize(
    ("promotion", "line", "expected"),
    [
        (make.percent(1_000), make.line("a", 1, 100), FIRED),
        (make.percent(1_000), make.line("a", 1, 4), (FAILED, Condition.FLOOR, 0)),  # 0.4 is nothing
        (make.n_plus_m(), make.line("a", 7, 100), (FAILED, Condition.QUANTITY, 3_000)),
        (make.n_plus_m(), make.line("a", 10, 100), (FAILED, Condition.QUANTITY, 1_000)),
        (make.n_plus_m(3, 2), make.line("a", 3, 100), (FAILED, Condition.QUANTITY, 2_000)),
        (make.n_plus_m(), make.line("a", 11, 100), FIRED),
        (make.n_plus_m(), make.weighed("a", 11_000), (FAILED, Condition.NOT_COUNTED, 0)),
        (
            make.promotion(gives=CheapestFree(3)),
            make.line("a", 1, 9),
            (FAILED, Condition.QUANTITY, 2_000),
        ),
        (make.amount_off(5), make.line("a", 1, 0), (FAILED, Condition.FLOOR, 0)),
        (make.n_plus_m(times_per_receipt=1), make.line("a", 11, 100), FIRED),
        (make.n_plus_m(times_per_receipt=1), make.line("a", 22, 100), CUT),
        (
            make.amount_off(5, receipt_amount_from_minor=3_000),
            make.line("a", 1, 400),
            (FAILED, Condition.RECEIPT_AMOUNT, 2_600),
        ),
    ],
)
def test_the_trace_says_why(promotion: Promotion, line: Line, expected: tuple[int, ...]) -> None:
    assert traced(sold([promotion], line)) == [expected]


@pytest.mark.parametrize("gives", [NPlusM(10, 1), CheapestFree(3)])
def test_no_promotion_fires_more_often_than_its_limit(gives: Any) -> None:
    lines = (make.line("a", 22, 100), make.line("b", 22, 100))
    assert fired(sold([make.promotion(gives=gives, times_per_receipt=1)], *lines)) == [1]


def test_every_candidate_stands_in_the_trace_once() -> None:
    only_b = ProductSet(skus=("b",))
    promotions = [
        make.percent(1_000, "fires", priority=3),
        make.percent(1_000, "loses", priority=2),
        make.percent(1_000, "too-early", from_date="2027-01-01"),
        make.percent(1_000, "other-article", products=only_b),
        make.points(1_000, "earns"),
        make.points(1_000, "other-reward", products=only_b),
    ]
    made = make.rules(*promotions)
    evaluation = make.evaluated(promotions, make.sale(make.line("a", 1, 100)))
    ids = [made.program.promotions[entry.number].promotion_id for entry in evaluation.trace]
    assert ids == ["fires", "loses", "too-early", "earns"]


def test_an_empty_program_sells_as_sent() -> None:
    evaluation = sold([], make.line("a", 2, 100))
    assert amounts(evaluation) == [200]
    assert (evaluation.grants, evaluation.offers, evaluation.trace) == ((), (), ())
