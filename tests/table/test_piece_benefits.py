"""Percentages, amounts, prices, lists and tiers: numbers worked out by hand.

Prices are minor units. A till that can do everything, and a known customer.
"""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import (
    AmountOff,
    FixedPrice,
    PercentOff,
    Pieces,
    PriceList,
    QuantityTier,
    QuantityTiers,
)
from rewards.facts import ListPrice
from rewards.runs import Adjustment, Run
from rewards.sale import Line, LineKind, Unit
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import FIRED, amounts, fired, runs, sold, traced

NOT_COUNTED = (TraceOutcome.FAILED, Condition.NOT_COUNTED, 0)
NO_ROOM = (TraceOutcome.FAILED, Condition.FLOOR, 0)
NO_PRICE = (TraceOutcome.FAILED, Condition.PRICE, 0)


def given(gives: Any, *lines: Line, **changes: Any) -> list[int | None]:
    return amounts(sold(make.promotion(gives=gives, **changes), *lines))


# --- percent off --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_bp", "rounding", "sent", "amount"),
    [
        (1_000, "half_up", 1_000, 900),
        (1_000, "half_up", 5, 4),  # half a kopeck off is a whole one
        (1_000, "half_down", 5, 5),
        (1_000, "half_down", 6, 5),
        (1_000, "half_down", 15, 14),  # 1.5 is 1
        (1_000, "down", 5, 5),
        (1_000, "down", 19, 18),
        (1_000, "up", 1, 0),
        (1_000, "up", 11, 9),
        (3_333, "half_up", 100, 67),
        (3_333, "up", 100, 66),
        (1, "half_up", 10_000, 9_999),
        (10_000, "half_up", 999, 0),
        (1_000, "half_up", 0, 0),
    ],
)
def test_percent_off_one_piece(rate_bp: int, rounding: Any, sent: int, amount: int) -> None:
    assert given(PercentOff(rate_bp, rounding), make.line(price_minor=sent)) == [amount]


def test_percent_is_explained_line_by_line() -> None:
    evaluation = sold([make.percent(1_000)], make.line("a", 3, 100), make.line("b", 1, 250))
    first, second = evaluation.outcomes
    assert first is not None
    assert second is not None
    assert first.adjustments == (Adjustment(0, -30, 3_000),)
    assert first.runs == (Run(3_000, 90, 270),)
    assert second.adjustments == (Adjustment(0, -25, 1_000),)
    assert second.amount_minor == 225
    assert fired(evaluation) == [2]


def test_percent_of_counted_goods_splits_into_runs_that_multiply() -> None:
    # 10 % of 295 is 29.5, half up 30: 265 over three pieces.
    assert runs(sold([make.percent(1_000)], make.line("a", 3, amount_minor=295))) == [
        (1_000, 89),
        (2_000, 88),
    ]


def test_percent_of_weighed_goods_keeps_one_run() -> None:
    evaluation = sold([make.percent(1_000)], make.weighed("яблоки", 750, 400))
    assert evaluation.outcomes[0] is not None
    assert evaluation.outcomes[0].runs == (Run(750, 360, 270),)


THREE_FIVES = [make.line(sku, 1, 5) for sku in ("а", "б", "в")]


@pytest.mark.parametrize(
    ("rounded_on", "rounding", "left"),
    [
        ("item", "half_up", [4, 4, 4]),  # 0.5 of each is 1
        ("item", "down", [5, 5, 5]),
        ("item", "up", [4, 4, 4]),
        ("piece", "half_up", [4, 4, 4]),
        ("total", "half_up", [4, 4, 5]),  # 1.5 of all is 2, one each to the first two
        ("total", "down", [4, 5, 5]),
        ("carried", "half_up", [4, 5, 4]),  # 0.5 is 1, 1.0 is 1, 1.5 is 2 so far
        ("carried", "down", [5, 4, 5]),
        ("carried", "up", [4, 5, 4]),
    ],
)
def test_where_a_rate_is_rounded(rounded_on: Any, rounding: Any, left: list[int]) -> None:
    assert given(PercentOff(1_000, rounding, rounded_on), *THREE_FIVES) == left


@pytest.mark.parametrize(
    ("rounded_on", "amount"), [("item", 13), ("piece", 12), ("total", 13), ("carried", 13)]
)
def test_rounded_on_each_of_three_pieces_of_an_article(rounded_on: Any, amount: int) -> None:
    # 10 % of 15 is 1.5, of 5 it is 0.5.
    gives = PercentOff(1_000, rounded_on=rounded_on)
    assert given(gives, make.line("a", 3, 5)) == [amount]


def test_rounded_on_pieces_of_an_article_whose_prices_are_not_equal() -> None:
    # 16 over three pieces is 6, 5, 5: 0.6 is 1, 0.5 is 1 twice.
    gives = PercentOff(1_000, rounded_on="piece")
    assert given(gives, make.line("a", 3, amount_minor=16)) == [13]


def test_what_is_weighed_has_no_pieces_to_round() -> None:
    gives = PercentOff(1_000, rounded_on="piece")
    assert given(gives, make.weighed("яблоки", 3_000, 5)) == [13]


# --- which pieces -------------------------------------------------------------------------------

PRICED = [make.line(sku, 1, price) for sku, price in (("а", 100), ("б", 80), ("в", 60))]


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        (Pieces(), [50, 40, 30]),
        (Pieces(1), [100, 80, 30]),
        (Pieces(2), [100, 40, 30]),
        (Pieces(2, "dearest"), [50, 40, 60]),
        (Pieces(9), [50, 40, 30]),
        (Pieces(full_groups_of=2), [100, 40, 30]),
        (Pieces(full_groups_of=3), [50, 40, 30]),
        (Pieces(1, per_article=True), [50, 40, 30]),
        (Pieces(1, "dearest", per_article=True), [50, 40, 30]),
    ],
)
def test_half_off_some_of_three_articles(pieces: Pieces, left: list[int]) -> None:
    assert given(PercentOff(5_000, pieces=pieces), *PRICED) == left


@pytest.mark.parametrize(
    ("pieces", "left"),
    [
        (Pieces(2), [300, 80]),  # both of the cheaper ones
        (Pieces(3), [250, 80]),
        (Pieces(3, "dearest"), [150, 160]),
        (Pieces(full_groups_of=4), [200, 80]),
        (Pieces(1, per_article=True), [250, 120]),
        (Pieces(full_groups_of=3, per_article=True), [150, 160]),
        (Pieces(full_groups_of=2, per_article=True), [200, 80]),
        (Pieces(4, full_groups_of=3), [250, 80]),  # full groups within the four
        (Pieces(full_groups_of=6), [300, 160]),
    ],
)
def test_half_off_some_of_three_and_two_pieces(pieces: Pieces, left: list[int]) -> None:
    lines = (make.line("а", 3, 100), make.line("б", 2, 80))
    assert given(PercentOff(5_000, pieces=pieces), *lines) == left


def test_pieces_that_cost_nothing_are_never_picked() -> None:
    lines = (make.line("а", 1, 0), make.line("б", 1, 50))
    assert given(PercentOff(5_000, pieces=Pieces(1)), *lines) == [0, 25]


def test_a_choice_leaves_out_what_is_weighed() -> None:
    promotion = make.promotion(gives=PercentOff(5_000, pieces=Pieces(1)))
    both = sold(promotion, make.line("чай", 2, 100), make.weighed("яблоки", 1_000, 200))
    assert amounts(both) == [150, 200]
    alone = sold(promotion, make.weighed("яблоки", 1_000, 200))
    assert (amounts(alone), traced(alone)) == ([200], [NOT_COUNTED])


def test_pieces_that_are_left_over_stay_open_for_others() -> None:
    promotions = [
        make.promotion("one", PercentOff(5_000, pieces=Pieces(1)), priority=1),
        make.percent(1_000),
    ]
    # 50 off one of three at 100, then 10 % of the other two.
    assert amounts(sold(promotions, make.line("a", 3, 100))) == [230]


# --- amount off ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "line", "amount"),
    [
        (AmountOff(15), make.line("a", 1, 100), 85),
        (AmountOff(15), make.line("a", 3, 100), 255),
        (AmountOff(15), make.line("a", 3, 10), 0),  # never below nothing
        (AmountOff(15), make.weighed("сыр", 1_500, 200), 277),  # 22.5 is 23 off 300
        (AmountOff(10), make.weighed("сыр", 333, 300), 97),  # 3.33 off 100
        (AmountOff(200), make.weighed("бензин", 40_500, 5_500, unit=Unit.LITRE), 214_650),
        (AmountOff(15, "item"), make.line("a", 3, 100), 285),
        (AmountOff(15, "item"), make.weighed("сыр", 1_500, 200), 285),
        (AmountOff(15, pieces=Pieces(2)), make.line("a", 3, 100), 270),
    ],
)
def test_amount_off(gives: AmountOff, line: Line, amount: int) -> None:
    assert given(gives, line) == [amount]


def test_an_article_at_two_prices_is_two_items() -> None:
    lines = (make.line("a", 1, 100, line_id="1"), make.line("a", 1, 90, line_id="2"))
    assert given(AmountOff(15, "item"), *lines) == [85, 75]


def test_an_article_at_one_price_is_one_item_on_however_many_lines() -> None:
    lines = (make.line("a", 1, 100, line_id="1"), make.line("a", 2, 100, line_id="2"))
    # 15 off 300, in proportion to 100 and 200.
    assert given(AmountOff(15, "item"), *lines) == [95, 190]


# --- fixed price and lists ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "line", "amount"),
    [
        (80, make.line("a", 1, 100), 80),
        (80, make.line("a", 3, 100), 240),
        (0, make.line("a", 1, 100), 0),
        (80, make.line("a", 1, 80), 80),
        (80, make.line("a", 1, 70), 70),
        (80, make.weighed("сыр", 1_500, 100), 120),
        (80, make.weighed("сыр", 333, 100), 27),  # 26.64
        (80, make.line("a", 3, amount_minor=250), 240),
    ],
)
def test_fixed_price_is_never_dearer(price: int, line: Line, amount: int) -> None:
    evaluation = sold(make.promotion(gives=FixedPrice(price)), line)
    assert amounts(evaluation) == [amount]
    assert traced(evaluation) == [FIRED if amount < line.amount_minor else NO_PRICE]


def test_a_fixed_price_for_two_pieces_of_three() -> None:
    assert given(FixedPrice(80, Pieces(2)), make.line("a", 3, 100)) == [260]


def test_a_fixed_price_after_what_is_stackable_is_still_that_price() -> None:
    promotions = [
        make.percent(1_000, "everybody", stackable=True, priority=1),
        make.promotion("card", FixedPrice(80)),
    ]
    assert amounts(sold(promotions, make.line("a", 1, 100))) == [80]


CARD_PRICES = (
    ListPrice("card", "чай", 80),
    ListPrice("card", "хлеб", 50),
    ListPrice("card", "сыр", 500),
    ListPrice("другой", "соль", 1),
)
ON_THE_LIST = make.facts(prices=CARD_PRICES)


@pytest.mark.parametrize(
    ("line", "amount"),
    [
        (make.line("чай", 1, 100), 80),
        (make.line("чай", 3, 100), 240),
        (make.line("хлеб", 1, 45), 45),  # already cheaper
        (make.weighed("сыр", 1_500, 600), 750),
        (make.line("соль", 1, 100), 100),  # on another list
        (make.line("чай", 1, 100, kind=LineKind.FUEL), 80),
    ],
)
def test_price_list(line: Line, amount: int) -> None:
    evaluation = sold(make.promotion(gives=PriceList("card")), line, known=ON_THE_LIST)
    assert amounts(evaluation) == [amount]
    assert traced(evaluation) == [FIRED if amount < line.amount_minor else NO_PRICE]


def test_a_price_list_is_about_the_promotions_products() -> None:
    promotion = make.promotion(gives=PriceList("card"), products=ProductSet(skus=("чай",)))
    lines = (make.line("чай", 1, 100), make.line("хлеб", 1, 100))
    assert amounts(sold(promotion, *lines, known=ON_THE_LIST)) == [80, 100]


# --- quantity tiers -----------------------------------------------------------------------------

RATES = (QuantityTier(3_000, rate_bp=1_000), QuantityTier(10_000, rate_bp=2_000))


@pytest.mark.parametrize(
    ("pieces", "amount"), [(3, 270), (9, 810), (10, 800), (11, 880), (100, 8_000)]
)
def test_the_highest_tier_counts_for_all_pieces(pieces: int, amount: int) -> None:
    assert given(QuantityTiers(RATES), make.line("a", pieces, 100)) == [amount]


def test_below_the_first_tier() -> None:
    evaluation = sold(make.promotion(gives=QuantityTiers(RATES)), make.line("a", 2, 100))
    assert amounts(evaluation) == [200]
    assert traced(evaluation) == [(TraceOutcome.FAILED, Condition.QUANTITY, 1_000)]


@pytest.mark.parametrize(
    ("tier", "amount"),
    [
        (QuantityTier(3_000, amount_off_minor=15), 255),
        (QuantityTier(3_000, price_minor=80), 240),
        (QuantityTier(3_000, price_minor=110), 300),
        (QuantityTier(3_000, rate_bp=3_333), 200),  # 99.99 off
    ],
)
def test_what_a_tier_gives_on_three_at_100(tier: QuantityTier, amount: int) -> None:
    assert given(QuantityTiers((tier,)), make.line("a", 3, 100)) == [amount]


@pytest.mark.parametrize(("per_article", "left"), [(True, [200, 270]), (False, [180, 270])])
def test_a_tier_of_an_article_or_of_the_set(per_article: bool, left: list[int]) -> None:
    gives = QuantityTiers(RATES, per_article=per_article)
    assert given(gives, make.line("а", 2, 100), make.line("б", 3, 100)) == left


def test_an_article_at_two_prices_reaches_a_tier_together() -> None:
    lines = (make.line("a", 2, 100, line_id="1"), make.line("a", 1, 80, line_id="2"))
    assert given(QuantityTiers(RATES), *lines) == [180, 72]


def test_tiers_of_what_is_weighed() -> None:
    tiers = (QuantityTier(2_500, price_minor=180),)
    assert given(QuantityTiers(tiers), make.weighed("сахар", 2_500, 200)) == [450]
    assert given(QuantityTiers(tiers), make.weighed("сахар", 2_499, 200)) == [500]


# --- nothing to lower ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gives", [PercentOff(100), AmountOff(1), FixedPrice(0), QuantityTiers((RATES[0],))]
)
def test_what_is_at_its_floor_is_not_lowered(gives: Any) -> None:
    line = make.line("a", 3, 100, minimum_amount_minor=300)
    evaluation = sold(make.promotion(gives=gives), line)
    assert amounts(evaluation) == [300]
    assert traced(evaluation)[0][0] == TraceOutcome.FAILED


def test_a_discount_that_rounds_to_nothing_has_not_fired() -> None:
    evaluation = sold(make.percent(1_000), make.line("a", 1, 4))
    assert traced(evaluation) == [NO_ROOM]


# --- several at once ----------------------------------------------------------------------------


def test_two_benefits_of_one_promotion_add_up() -> None:
    # Both of the price at its start: 10 and 15 off 100.
    assert given((PercentOff(1_000), AmountOff(15)), make.line("a", 1, 100)) == [75]


def test_two_benefits_of_one_promotion_stop_at_nothing() -> None:
    assert given((PercentOff(9_000), AmountOff(15)), make.line("a", 1, 100)) == [0]
