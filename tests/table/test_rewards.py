"""Points, deferred discounts, coupons, certificates and the like: numbers worked out by hand.

Prices are minor units. A till that can do everything, and a known customer, unless a row says so.
"""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import (
    Benefit,
    CouponReward,
    DeferredDiscount,
    DrawEntries,
    GiftCertificate,
    Message,
    MoneyTransfer,
    PercentOff,
    PointsFixed,
    PointsMultiplier,
    PointsRate,
    Prize,
    Status,
)
from rewards.facts import ANONYMOUS, UNKNOWN, CustomerFacts, CustomerState
from rewards.program import Promotion
from rewards.sale import Capabilities, Line, LineKind, PriceSource, TenderKind
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import FIRED, granted, sold, to_pay, traced

SHELF_TILL = Capabilities()
"""A till that can do nothing beyond selling."""
NOTHING_EARNS = (TraceOutcome.FAILED, Condition.NOTHING_EARNS, 0)
NO_CUSTOMER = (TraceOutcome.FAILED, Condition.CUSTOMER, 0)


def points_of(gives: Any, *lines: Line, **changes: Any) -> list[int]:
    return granted(sold(make.promotion(gives=gives), *lines, **changes))


# --- points at a rate ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "changes", "earned"),
    [
        ([make.line("a", 1, 10_000)], {}, [1_000]),
        ([make.line("a", 1, 19)], {}, [1]),  # 1.9, rounded down
        ([make.line("a", 1, 9)], {}, []),
        ([make.line("a", 1, 0)], {}, []),
        ([make.line("a", 1, 9_990), make.line("b", 1, 10)], {}, [1_000]),
        ([make.weighed("a", 1_500, 200)], {}, [30]),
        ([make.line("a", 1, 100), make.line("b", 1, 100, no_earn=True)], {}, [10]),
        ([make.line("a", 1, 100), make.line("f", 1, 100)], {}, [10]),  # the feed says no earning
        (
            [make.line("a", 1, 100), make.line("b", 1, 100, price_source=PriceSource.STICKER)],
            {},
            [10],
        ),
        ([make.line("a", 1, 100), make.line("g", 1, 500, kind=LineKind.GIFT_CARD)], {}, [10]),
        ([make.line("a", 1, 100), make.line("d", 1, 500, kind=LineKind.DEPOSIT)], {}, [10]),
        ([make.line("a", 1, 10_000)], {"cash_rounding_minor": 50}, [1_000]),
    ],
)
def test_ten_percent_in_points(
    lines: list[Line], changes: dict[str, Any], earned: list[int]
) -> None:
    known = make.facts(make.product("f", no_earn=True))
    assert granted(sold([make.points(1_000)], *lines, known=known, **changes)) == earned


@pytest.mark.parametrize(
    ("gives", "sent", "earned"),
    [
        (PointsRate("points", 1_000, "half_up"), 15, [2]),
        (PointsRate("points", 1_000, "half_down"), 15, [1]),
        (PointsRate("points", 1_000, "up"), 11, [2]),
        (PointsRate("points", 20_000), 15, [30]),
        (PointsRate("points", 1, "up"), 1, [1]),
        (PointsRate("points", 1_000, step_minor=1_000), 2_999, [200]),
        (PointsRate("points", 1_000, step_minor=1_000), 999, []),
        (PointsRate("points", 1_000, step_minor=1_000), 1_000, [100]),
    ],
)
def test_points_by_settings(gives: PointsRate, sent: int, earned: list[int]) -> None:
    assert points_of(gives, make.line(price_minor=sent)) == earned


def test_steps_count_the_receipt_not_its_lines() -> None:
    gives = PointsRate("points", 1_000, step_minor=1_000)
    assert points_of(gives, make.line("a", 1, 600), make.line("b", 1, 600)) == [100]


BY_POINTS = make.tender(TenderKind.POINTS, 3_000)


@pytest.mark.parametrize(
    ("rate_bp", "by_points", "earned"),
    [
        (0, 3_000, [700]),
        (0, 10_000, []),
        (0, 99_000, []),
        (5_000, 5_000, []),  # all of what is left to pay
        (5_000, 2_500, [250]),
        (2_000, 2_000, [600]),
    ],
)
def test_what_is_paid_with_points_earns_nothing(
    rate_bp: int, by_points: int, earned: list[int]
) -> None:
    discounts = [make.percent(rate_bp)] if rate_bp else []
    tenders = (make.tender(TenderKind.POINTS, by_points), make.tender(TenderKind.CASH, 1))
    line = make.line(price_minor=10_000)
    assert granted(sold([*discounts, make.points(1_000)], line, tenders=tenders)) == earned


def test_points_pay_for_gift_cards_too() -> None:
    lines = (make.line("a", 1, 1_000), make.line("g", 1, 9_000, kind=LineKind.GIFT_CARD))
    tenders = (make.tender(TenderKind.POINTS, 5_000),)
    # Half of the receipt is paid with points, so half of the goods.
    assert granted(sold(make.points(1_000), *lines, tenders=tenders)) == [50]


def test_paying_with_a_gift_card_earns() -> None:
    tenders = (make.tender(TenderKind.GIFT_CARD, 10_000),)
    assert granted(sold(make.points(1_000), make.line(price_minor=10_000), tenders=tenders)) == [
        1_000
    ]


@pytest.mark.parametrize(("base", "earned"), [("paid", 860), ("as_sent", 1_000)])
def test_points_on_what_is_paid_or_on_what_was_sent(base: Any, earned: int) -> None:
    promotions = [
        make.percent(1_000),
        make.amount_off(400),
        make.promotion("points", PointsRate("points", 1_000, base=base)),
    ]
    assert granted(sold(promotions, make.line(price_minor=10_000))) == [earned]


def test_points_are_earned_on_what_a_till_that_cannot_split_takes() -> None:
    promotions = [make.amount_off(10), make.points(10_000)]
    evaluation = sold(promotions, make.line("a", 3, 100), capabilities=SHELF_TILL)
    assert (to_pay(evaluation), granted(evaluation)) == (291, [291])


@pytest.mark.parametrize(
    ("micros", "value"), [(1_000_000, 1_000), (500_000, 500), (0, 0), (1_500, 1)]
)
def test_points_are_valued_at_the_programs_rate(micros: int, value: int) -> None:
    program = {"point_value_micros": micros}
    (grant,) = sold(make.points(1_000), make.line(price_minor=10_001), program=program).grants
    assert (grant.amount_minor, grant.value_minor) == (1_000, value)


# --- a number of points -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "lines", "earned"),
    [
        (PointsFixed("points", 50), [make.line("a", 9, 100)], [50]),
        (PointsFixed("points", 50, 1), [make.line("a", 9, 100)], [450]),
        (PointsFixed("points", 50, 2), [make.line("a", 9, 100)], [200]),
        (PointsFixed("points", 50, 2), [make.line("a", 1, 100), make.line("b", 1, 9)], [50]),
        (PointsFixed("points", 50, 2), [make.line("a", 1, 100)], []),
        (PointsFixed("points", 50, 1), [make.weighed("a", 3_000)], []),  # no pieces
        (PointsFixed("points", 1, 0, 500), [make.line("a", 9, 100)], [1]),
        (PointsFixed("points", 1, 0, 500), [make.line("a", 10, 100)], [2]),
        (PointsFixed("points", 1, 0, 500), [make.line("a", 4, 100)], []),
        (PointsFixed("points", 50), [make.weighed("a", 3_000)], [50]),
        (PointsFixed("points", 50), [make.line("a", 1, 0)], []),  # nothing is paid
        (PointsFixed("points", 50), [make.line("a", 1, 100, no_earn=True)], []),
        (
            PointsFixed("points", 50, 1),
            [make.line("a", 2, 100), make.line("b", 3, 100, no_earn=True)],
            [100],
        ),
    ],
)
def test_a_number_of_points(gives: PointsFixed, lines: list[Line], earned: list[int]) -> None:
    evaluation = sold(make.promotion(gives=gives), *lines)
    assert granted(evaluation) == earned
    assert traced(evaluation) == [FIRED if earned else NOTHING_EARNS]


def test_points_for_each_lowered_piece() -> None:
    gives = (PercentOff(1_000), PointsFixed("points", 5, 1))
    evaluation = sold(make.promotion(gives=gives), make.line("a", 3, 100))
    assert (to_pay(evaluation), granted(evaluation)) == (270, [15])


# --- multiplied ---------------------------------------------------------------------------------

ONLY_A, ONLY_B = ProductSet(skus=("a",)), ProductSet(skus=("b",))


def times(factor_bp: int, promotion_id: str = "z", **changes: Any) -> Promotion:
    gives = PointsMultiplier("points", factor_bp, **changes.pop("says", {}))
    return make.promotion(promotion_id, gives, **changes)


@pytest.mark.parametrize(
    ("multiplier", "earned"),
    [
        (times(20_000), [300, 300]),
        (times(15_000), [300, 150]),
        (times(30_000, products=ONLY_A), [300, 200]),  # 100 of the 300 are of the a
        (times(20_000, products=ProductSet(skus=("c",))), [300]),
        (times(20_000, priority=1), [300]),  # before there is anything
    ],
)
def test_points_times_a_factor(multiplier: Promotion, earned: list[int]) -> None:
    lines = (make.line("a", 1, 1_000), make.line("b", 1, 2_000))
    assert granted(sold([make.points(1_000), multiplier], *lines)) == earned


def test_a_factor_is_of_its_asset_alone() -> None:
    promotions = [
        make.promotion("a", DeferredDiscount("next", amount_minor=50)),
        make.points(1_000),
        times(20_000),
    ]
    assert sorted(granted(sold(promotions, make.line(price_minor=1_000)))) == [50, 100, 100]


def test_a_factor_multiplies_a_number_of_points_too() -> None:
    promotions = [make.promotion("a", PointsFixed("points", 70)), times(20_000)]
    assert granted(sold(promotions, make.line(price_minor=1_000))) == [70, 70]


def test_two_factors_multiply() -> None:
    promotions = [make.points(1_000), times(20_000, "y"), times(30_000, "z")]
    # 100, as much again, and of each twice as much again.
    earned = granted(sold(promotions, make.line(price_minor=1_000)))
    assert (earned[:2], sum(earned)) == ([100, 100], 600)


def test_a_factor_rounds_by_its_rule() -> None:
    for rounding, extra in (("down", 1), ("half_up", 2), ("up", 2)):
        promotions = [make.points(1_000), times(15_000, says={"rounding": rounding})]
        assert granted(sold(promotions, make.line(price_minor=30))) == [3, extra]


# --- claims -------------------------------------------------------------------------------------


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
        (make.promotion("second", PointsFixed("points", 7), products=ONLY_A), [100], 0),
        (make.promotion("second", CouponReward("next"), products=ONLY_A), [100, 1], -1),
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


def test_what_a_reward_may_claim_once_earns_once() -> None:
    promotions = [make.points(1_000, "a"), make.points(2_000, "b")]
    assert granted(sold(promotions, make.line(price_minor=1_000))) == [100]
    stackable = [make.points(1_000, "a", stackable=True), make.points(2_000, "b", stackable=True)]
    assert granted(sold(stackable, make.line(price_minor=1_000))) == [100, 200]


def test_a_reward_that_gives_nothing_claims_nothing() -> None:
    promotions = [make.points(1, "a"), make.points(2_000, "b")]
    evaluation = sold(promotions, make.line(price_minor=1_000))
    assert granted(evaluation) == [200]
    assert traced(evaluation) == [NOTHING_EARNS, FIRED]


# --- money --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "price", "earned"),
    [
        (DeferredDiscount("next", amount_minor=500), 100, [500]),
        (DeferredDiscount("next", amount_minor=500), 0, []),
        (DeferredDiscount("next", rate_bp=500), 1_000, [50]),
        (DeferredDiscount("next", rate_bp=500), 39, [1]),  # 1.95, rounded down
        (DeferredDiscount("next", rate_bp=500), 19, []),
        (MoneyTransfer("телефон", amount_minor=500), 100, [500]),
        (MoneyTransfer("телефон", amount_minor=500), 0, []),
        (MoneyTransfer("телефон", rate_bp=500), 39, [1]),
        (GiftCertificate(500), 100, [500]),
        (GiftCertificate(500), 0, []),
    ],
)
def test_money_to_come(gives: Any, price: int, earned: list[int]) -> None:
    evaluation = sold(make.promotion(gives=gives), make.line(price_minor=price))
    assert (granted(evaluation), to_pay(evaluation)) == (earned, price)
    assert [grant.value_minor for grant in evaluation.grants] == earned  # worth its amount


# --- what is counted ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "price", "count"),
    [
        (CouponReward("next"), 100, [1]),
        (CouponReward("next", count=3), 100, [3]),
        (Prize("pool", 2), 100, [2]),
        (Status("золото"), 100, [1]),
        (DrawEntries("draw"), 100, [1]),
        (DrawEntries("draw", 5), 100, [5]),
        (DrawEntries("draw", for_each_minor=500), 1_999, [3]),
        (DrawEntries("draw", 2, 500), 1_000, [4]),
        (DrawEntries("draw", 1_000, 1), 100_000_000, [2**32 - 1]),
        (DrawEntries("draw", for_each_minor=500), 499, []),
        (DrawEntries("draw"), 0, []),
        (CouponReward("next"), 0, []),
        (Prize("pool"), 0, []),
        (Status("золото"), 0, []),
    ],
)
def test_how_many(gives: Any, price: int, count: list[int]) -> None:
    evaluation = sold(make.promotion(gives=gives), make.line(price_minor=price))
    assert granted(evaluation) == count
    assert all((g.asset_code, g.value_minor) == ("", 0) for g in evaluation.grants)
    assert traced(evaluation) == [FIRED if count else NOTHING_EARNS]


# --- when ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "starts_us", "ends_us"),
    [
        (PointsFixed("points", 1), make.NOON_US, 0),
        (DeferredDiscount("next", 500), make.NOON_US, make.NOON_US + make.DAY_US),
        (CouponReward("next"), 0, 0),
        (CouponReward("next", valid_days=14), 0, make.NOON_US + 14 * make.DAY_US),
        (GiftCertificate(500, valid_days=30), 0, make.NOON_US + 30 * make.DAY_US),
        (Status("золото", valid_days=7), 0, make.NOON_US + 7 * make.DAY_US),
    ],
)
def test_a_grant_says_from_when_until_when(gives: Any, starts_us: int, ends_us: int) -> None:
    (grant,) = sold(make.promotion(gives=gives), make.line()).grants
    assert (grant.active_from_us, grant.expires_at_us) == (starts_us, ends_us)


# --- who ----------------------------------------------------------------------------------------

OF_A_CUSTOMER: list[Benefit] = [
    PointsRate("points", 1_000),
    PointsFixed("points", 10),
    DeferredDiscount("next", 10),
    MoneyTransfer("card", 10),
    Status("gold"),
    DrawEntries("draw"),
]
OF_THE_BEARER: list[Benefit] = [CouponReward("next"), GiftCertificate(10), Prize("pool")]


@pytest.mark.parametrize(
    ("customer", "earns"),
    [
        (make.customer(), True),
        (make.customer(state=CustomerState.EARN_ONLY), True),
        (make.customer(state=CustomerState.BLOCKED), False),
        (UNKNOWN, False),
        (ANONYMOUS, False),
    ],
)
def test_who_earns(customer: CustomerFacts, earns: bool) -> None:
    known = make.facts(customer=customer)
    for gives in OF_A_CUSTOMER:
        evaluation = sold(make.promotion(gives=gives), make.line(), known=known)
        assert bool(evaluation.grants) == earns
        assert traced(evaluation) == [FIRED if earns else NO_CUSTOMER]
    for gives in OF_THE_BEARER:
        evaluation = sold(make.promotion(gives=gives), make.line(), known=known)
        assert (len(evaluation.grants), traced(evaluation)) == (1, [FIRED])


def test_a_known_customer_who_earns_nothing_is_not_called_unknown() -> None:
    evaluation = sold([make.points(1_000)], make.line(price_minor=9))
    assert traced(evaluation) == [NOTHING_EARNS]


def test_of_several_rewards_those_are_given_that_can() -> None:
    gives = (PointsRate("points", 1_000), CouponReward("next"))
    known = make.facts(customer=ANONYMOUS)
    evaluation = sold(make.promotion(gives=gives), make.line(), known=known)
    assert ([g.place for g in evaluation.grants], traced(evaluation)) == ([1], [FIRED])


# --- messages -----------------------------------------------------------------------------------


def test_a_message_is_for_anybody() -> None:
    promotion = make.promotion(gives=Message(make.texts("спасибо")), products=ONLY_A)
    known = make.facts(customer=ANONYMOUS)
    evaluation = sold(promotion, make.line("a"), known=known)
    assert (evaluation.messages, traced(evaluation)) == (((0, 0),), [FIRED])
    assert sold(promotion, make.line("b"), known=known).messages == ()


def test_a_message_beside_a_discount_is_shown_if_that_was_given() -> None:
    gives = (PercentOff(1_000), Message(make.texts("спасибо")))
    promotion = make.promotion(gives=gives)
    assert sold(promotion, make.line("a", 1, 100)).messages == ((0, 1),)
    assert sold(promotion, make.line("a", 1, 0)).messages == ()
