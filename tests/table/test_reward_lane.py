"""What the reward lane gives, to whom and on what: numbers worked out by hand.

Prices are minor units. A till that can do everything, and a known customer, unless a row says so.
"""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import DeferredDiscount
from rewards.evaluate import Evaluation
from rewards.facts import ANONYMOUS, UNKNOWN, CustomerFacts, CustomerState, Facts
from rewards.program import Promotion
from rewards.sale import Capabilities, Line, LineKind, PriceSource, TenderKind
from rewards.trace import Condition, TraceOutcome
from tests import make

SHELF_TILL = Capabilities()
"""A till that can do nothing beyond selling."""


def sold(
    promotions: list[Promotion], *lines: Line, known: Facts | None = None, **changes: Any
) -> Evaluation:
    return make.evaluated(promotions, make.sale(*lines, **changes), known or make.facts())


def to_pay(evaluation: Evaluation) -> int:
    return sum(outcome.amount_minor for outcome in evaluation.outcomes if outcome)


def granted(evaluation: Evaluation) -> list[int]:
    return [grant.amount_minor for grant in evaluation.grants]


def traced(evaluation: Evaluation) -> list[tuple[TraceOutcome, Condition, int]]:
    return [
        (TraceOutcome(entry.outcome), Condition(entry.condition), entry.missing)
        for entry in evaluation.trace
    ]


FIRED = (TraceOutcome.FIRED, Condition.NONE, 0)
FAILED = TraceOutcome.FAILED


@pytest.mark.parametrize(
    ("lines", "changes", "earned"),
    [
        ([make.line("a", 1, 10_000)], {}, [1_000]),
        ([make.line("a", 1, 19)], {}, [1]),  # 1.9, rounded down
        ([make.line("a", 1, 9)], {}, []),
        ([make.line("a", 1, 0)], {}, []),
        ([make.line("a", 1, 9_990), make.line("b", 1, 10)], {}, [1_000]),
        ([make.line("a", 1, 100), make.line("b", 1, 100, no_earn=True)], {}, [10]),
        ([make.line("a", 1, 100), make.line("f", 1, 100)], {}, [10]),  # the feed says no earning
        (
            [
                make.line("a", 1, 100),
                make.line("b", 1, 100, price_source=PriceSource.STICKER),
            ],
            {},
            [10],
        ),
        ([make.line("a", 1, 100), make.line("g", 1, 500, kind=LineKind.GIFT_CARD)], {}, [10]),
        ([make.line("a", 1, 100), make.line("d", 1, 500, kind=LineKind.DEPOSIT)], {}, [10]),
        (
            [make.line("a", 1, 10_000)],
            {"tenders": (make.tender(TenderKind.POINTS, 3_000), make.tender(amount_minor=7_000))},
            [700],
        ),
        (
            [make.line("a", 1, 10_000)],
            {"tenders": (make.tender(TenderKind.POINTS, 10_000),)},
            [],
        ),
        (
            [make.line("a", 1, 10_000)],
            {"tenders": (make.tender(TenderKind.POINTS, 99_000),)},
            [],
        ),
        ([make.line("a", 1, 10_000)], {"cash_rounding_minor": 50}, [1_000]),
    ],
)
def test_ten_percent_in_points(
    lines: list[Line], changes: dict[str, Any], earned: list[int]
) -> None:
    known = make.facts(make.product("f", no_earn=True))
    assert granted(sold([make.points(1_000)], *lines, known=known, **changes)) == earned


def test_points_are_earned_on_what_is_paid_after_discounts() -> None:
    promotions = [make.percent(1_000), make.amount_off(400), make.points(1_000)]
    assert granted(sold(promotions, make.line(price_minor=10_000))) == [860]


def test_points_are_earned_on_what_a_till_that_cannot_split_takes() -> None:
    promotions = [make.amount_off(10), make.points(10_000)]
    evaluation = sold(promotions, make.line("a", 3, 100), capabilities=SHELF_TILL)
    assert (to_pay(evaluation), granted(evaluation)) == (291, [291])


def test_points_are_valued_at_the_programs_rate() -> None:
    sale = make.sale(make.line(price_minor=10_001))
    evaluation = make.evaluated([make.points(1_000)], sale, point_value_micros=500_000)
    assert [(grant.amount_minor, grant.value_minor) for grant in evaluation.grants] == [
        (1_000, 500)
    ]


def test_a_grant_says_from_when_until_when() -> None:
    gives = DeferredDiscount("next", amount_minor=500)
    (grant,) = sold([make.promotion(gives=gives)], make.line()).grants
    until_us = make.NOON_US + make.DAY_US
    assert (grant.active_from_us, grant.expires_at_us) == (make.NOON_US, until_us)


@pytest.mark.parametrize(
    ("customer", "earned"),
    [
        (make.customer(), [10]),
        (make.customer(state=CustomerState.EARN_ONLY), [10]),
        (make.customer(state=CustomerState.BLOCKED), []),
        (UNKNOWN, []),
        (ANONYMOUS, []),
    ],
)
def test_who_earns(customer: CustomerFacts, earned: list[int]) -> None:
    evaluation = sold([make.points()], make.line(), known=make.facts(customer=customer))
    assert granted(evaluation) == earned
    failed = (TraceOutcome.FAILED, Condition.CUSTOMER, 0)
    assert traced(evaluation) == [FIRED if earned else failed]


def test_a_known_customer_who_earns_nothing_is_not_called_unknown() -> None:
    evaluation = sold([make.points(1_000)], make.line(price_minor=9))
    assert [entry.outcome for entry in evaluation.trace] == [TraceOutcome.FAILED]
    assert evaluation.trace[0].condition not in (Condition.CUSTOMER, Condition.NONE)


@pytest.mark.parametrize(
    ("gives", "price", "deferred"),
    [
        (DeferredDiscount("next", amount_minor=500), 100, [500]),
        (DeferredDiscount("next", amount_minor=500), 0, []),
        (DeferredDiscount("next", rate_bp=500), 1_000, [50]),
        (DeferredDiscount("next", rate_bp=500), 39, [1]),  # 1.95, rounded down
        (DeferredDiscount("next", rate_bp=500), 19, []),
    ],
)
def test_deferred_discount(gives: DeferredDiscount, price: int, deferred: list[int]) -> None:
    evaluation = sold([make.promotion(gives=gives)], make.line(price_minor=price))
    assert granted(evaluation) == deferred
    assert to_pay(evaluation) == price


def test_a_deferred_discount_is_worth_its_amount() -> None:
    gives = DeferredDiscount("next", amount_minor=500)
    (grant,) = sold([make.promotion(gives=gives)], make.line()).grants
    assert (grant.asset_code, grant.value_minor) == ("next", 500)


def test_what_a_reward_may_claim_once_earns_once() -> None:
    promotions = [make.points(1_000, "a"), make.points(2_000, "b")]
    assert granted(sold(promotions, make.line(price_minor=1_000))) == [100]
    stackable = [make.points(1_000, "a", stackable=True), make.points(2_000, "b", stackable=True)]
    assert granted(sold(stackable, make.line(price_minor=1_000))) == [100, 200]


ONLY_A, ONLY_B = ProductSet(skus=("a",)), ProductSet(skus=("b",))


@pytest.mark.parametrize(
    ("second", "earned", "lost_to"),
    [
        (make.points(2_000, "second"), [100, 200], -1),  # what is open: the b
        (make.points(2_000, "second", products=ONLY_A), [100], 0),
        (make.points(2_000, "second", products=ONLY_B), [100, 200], -1),
        (make.points(2_000, "second", products=ONLY_A, stackable=True), [100, 200], -1),
        (
            make.promotion("second", DeferredDiscount("next", rate_bp=2_000), products=ONLY_A),
            [100, 200],
            -1,
        ),
    ],
)
def test_claims_of_rewards_are_by_article_and_asset(
    second: Promotion, earned: list[int], lost_to: int
) -> None:
    first = make.points(1_000, "first", priority=1, products=ONLY_A)
    lines = (make.line("a", price_minor=1_000), make.line("b", price_minor=1_000))
    evaluation = sold([first, second], *lines)
    assert granted(evaluation) == earned
    assert evaluation.trace[1].lost_to == lost_to


def test_a_reward_that_gives_nothing_claims_nothing() -> None:
    promotions = [make.points(1, "a"), make.points(2_000, "b")]
    evaluation = sold(promotions, make.line(price_minor=1_000))
    assert granted(evaluation) == [200]
    assert traced(evaluation) == [(FAILED, Condition.NOTHING_EARNS, 0), FIRED]
