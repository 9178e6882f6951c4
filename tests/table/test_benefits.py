"""What each benefit does to a receipt: numbers worked out by hand, one rule a table.

Prices are minor units. A till that can do everything, and a known customer, unless a row says so.
"""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import CheapestFree, NPlusM, PercentOff, ReceiptDiscount
from rewards.evaluate import Evaluation
from rewards.facts import ANONYMOUS, UNKNOWN, Facts
from rewards.program import Promotion
from rewards.runs import Adjustment, Run
from rewards.sale import (
    Capabilities,
    Line,
    LineAction,
    LineKind,
    PriceSource,
    Sale,
    Unit,
)
from rewards.trace import Condition, TraceOutcome
from tests import make

SHELF_TILL = Capabilities()
"""A till that can do nothing beyond selling."""


def sold(
    promotions: list[Promotion], *lines: Line, known: Facts | None = None, **changes: Any
) -> Evaluation:
    return make.evaluated(promotions, make.sale(*lines, **changes), known or make.facts())


def amounts(evaluation: Evaluation) -> list[int | None]:
    return [None if outcome is None else outcome.amount_minor for outcome in evaluation.outcomes]


def to_pay(evaluation: Evaluation) -> int:
    return sum(outcome.amount_minor for outcome in evaluation.outcomes if outcome)


def runs(evaluation: Evaluation, position: int = 0) -> list[tuple[int, int]]:
    """(pieces in thousandths, unit price) of a line's runs."""
    outcome = evaluation.outcomes[position]
    assert outcome is not None
    return [(run.quantity_milli, run.unit_price_minor) for run in outcome.runs]


def offered(evaluation: Evaluation) -> int:
    """Pieces that may be added, in thousandths."""
    return sum(offer.quantity_milli for offer in evaluation.offers)


def granted(evaluation: Evaluation) -> list[int]:
    return [grant.amount_minor for grant in evaluation.grants]


def traced(evaluation: Evaluation) -> list[tuple[TraceOutcome, Condition, int]]:
    return [
        (TraceOutcome(entry.outcome), Condition(entry.condition), entry.missing)
        for entry in evaluation.trace
    ]


FIRED = (TraceOutcome.FIRED, Condition.NONE, 0)
FAILED, LIMIT = TraceOutcome.FAILED, TraceOutcome.LIMIT_REACHED


# --- percent ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate_bp", "rounding", "sent", "amount"),
    [
        (1_000, "half_up", 1_000, 900),
        (1_000, "half_up", 5, 4),  # half a kopeck off is a whole one
        (1_000, "down", 5, 5),
        (1_000, "up", 1, 0),
        (3_333, "half_up", 100, 67),
        (3_333, "up", 100, 66),
        (1, "half_up", 10_000, 9_999),
        (10_000, "half_up", 999, 0),
        (1_000, "half_up", 0, 0),
    ],
)
def test_percent_off_one_piece(rate_bp: int, rounding: Any, sent: int, amount: int) -> None:
    promotion = make.promotion(gives=PercentOff(rate_bp, rounding))
    assert amounts(sold([promotion], make.line(price_minor=sent))) == [amount]


def test_percent_is_explained_line_by_line() -> None:
    evaluation = sold([make.percent(1_000)], make.line("a", 3, 100), make.line("b", 1, 250))
    first, second = evaluation.outcomes
    assert first is not None
    assert second is not None
    assert first.adjustments == (Adjustment(0, -30, 3_000),)
    assert first.runs == (Run(3_000, 90, 270),)
    assert second.adjustments == (Adjustment(0, -25, 1_000),)
    assert second.amount_minor == 225


def test_percent_of_counted_goods_splits_into_runs_that_multiply() -> None:
    # 10 % of 295 is 29.5, half up 30: 265 over three pieces.
    assert runs(sold([make.percent(1_000)], make.line("a", 3, amount_minor=295))) == [
        (1_000, 89),
        (2_000, 88),
    ]


def test_percent_of_weighed_goods_keeps_one_run() -> None:
    line = make.line(unit=Unit.KILOGRAM, quantity_milli=750, price_minor=400, amount_minor=300)
    evaluation = sold([make.percent(1_000)], line)
    assert evaluation.outcomes[0] is not None
    assert evaluation.outcomes[0].runs == (Run(750, 360, 270),)


# --- N + M by quantity --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pay", "free", "scanned", "paid", "to_add"),
    [
        (10, 1, 9, 9, 0),
        (10, 1, 10, 10, 1),
        (10, 1, 11, 10, 0),
        (10, 1, 12, 11, 0),
        (10, 1, 20, 19, 0),
        (10, 1, 21, 20, 1),
        (10, 1, 22, 20, 0),
        (10, 1, 23, 21, 0),
        (3, 2, 2, 2, 0),
        (3, 2, 3, 3, 2),
        (3, 2, 4, 3, 1),
        (3, 2, 5, 3, 0),
        (3, 2, 8, 6, 2),
        (3, 2, 9, 6, 1),
        (3, 2, 10, 6, 0),
        (1, 1, 1, 1, 1),
        (1, 1, 2, 1, 0),
        (1, 1, 3, 2, 1),
        (10, 1, 6_600, 6_000, 0),
    ],
)
def test_n_plus_m(pay: int, free: int, scanned: int, paid: int, to_add: int) -> None:
    evaluation = sold([make.n_plus_m(pay, free)], make.line("a", scanned, 100))
    assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


@pytest.mark.parametrize(
    ("times", "scanned", "paid", "to_add"),
    [
        (1, 10, 10, 1),
        (1, 11, 10, 0),
        (1, 21, 20, 0),
        (1, 22, 21, 0),
        (2, 21, 20, 1),
        (2, 22, 20, 0),
        (2, 32, 30, 0),
        (2, 33, 31, 0),
    ],
)
def test_n_plus_m_is_capped_by_the_limit(times: int, scanned: int, paid: int, to_add: int) -> None:
    promotion = make.n_plus_m(times_per_receipt=times)
    evaluation = sold([promotion], make.line("a", scanned, 100))
    assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


def test_the_limit_of_n_plus_m_is_one_a_receipt_not_one_an_article() -> None:
    promotion = make.n_plus_m(times_per_receipt=1)
    evaluation = sold([promotion], make.line("a", 11, 100), make.line("b", 11, 100))
    assert to_pay(evaluation) == 2_100
    assert [entry.times for entry in evaluation.trace] == [1]


@pytest.mark.parametrize(
    ("times", "a", "b", "paid", "to_add"),
    [
        (2, 11, 11, 20, 0),
        (2, 22, 11, 31, 0),  # in the order of skus
        (2, 10, 11, 20, 1),
        (1, 10, 11, 20, 0),  # the b has fired: nothing is left for the a
        (1, 10, 10, 20, 1),
        (2, 10, 10, 20, 2),
    ],
)
def test_the_limit_of_n_plus_m_over_articles(
    times: int, a: int, b: int, paid: int, to_add: int
) -> None:
    promotion = make.n_plus_m(times_per_receipt=times)
    evaluation = sold([promotion], make.line("a", a, 100), make.line("b", b, 100))
    assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


def test_n_plus_m_counts_the_lines_of_one_sku_together() -> None:
    lines = (make.line("a", 6, 100, line_id="1"), make.line("a", 5, 100, line_id="2"))
    evaluation = sold([make.n_plus_m()], *lines)
    # 100 off 1,100, in proportion to 600 and 500.
    assert amounts(evaluation) == [545, 455]


def test_n_plus_m_makes_the_cheaper_piece_of_a_sku_free() -> None:
    lines = (make.line("a", 5, 100, line_id="1"), make.line("a", 6, 80, line_id="2"))
    evaluation = sold([make.n_plus_m()], *lines)
    # 80 off 980, in proportion to 500 and 480.
    assert amounts(evaluation) == [459, 441]


def test_n_plus_m_counts_every_sku_on_its_own() -> None:
    evaluation = sold([make.n_plus_m()], make.line("a", 6, 100), make.line("b", 5, 100))
    assert (to_pay(evaluation), evaluation.offers) == (1_100, ())
    evaluation = sold([make.n_plus_m()], make.line("a", 10, 100), make.line("b", 11, 100))
    assert amounts(evaluation) == [1_000, 1_000]
    assert [(offer.position, offer.quantity_milli) for offer in evaluation.offers] == [(0, 1_000)]


@pytest.mark.parametrize(
    ("can", "to_add"),
    [
        (Capabilities(add_piece=True, zero_price=True), 1_000),
        (Capabilities(add_piece=True), 0),
        (Capabilities(zero_price=True), 0),
        (SHELF_TILL, 0),
    ],
)
def test_a_piece_is_offered_only_to_a_till_that_can_add_it_at_zero(
    can: Capabilities, to_add: int
) -> None:
    evaluation = sold([make.n_plus_m()], make.line("a", 10, 100), capabilities=can)
    assert offered(evaluation) == to_add


def test_no_piece_is_offered_that_its_floor_would_make_dear() -> None:
    known = make.facts(make.product("a", minimum_price_minor=100))
    ten, eleven = make.line("a", 10, 100), make.line("a", 11, 100)
    assert to_pay(sold([make.n_plus_m()], eleven, known=known)) == 1_100
    assert sold([make.n_plus_m()], ten, known=known).offers == ()


@pytest.mark.parametrize(
    ("minimum_price_minor", "price", "to_add"),
    [(90, 100, 1_000), (91, 100, 0), (0, 0, 0)],
)
def test_a_piece_is_offered_only_if_the_floor_lets_it_be_free(
    minimum_price_minor: int, price: int, to_add: int
) -> None:
    known = make.facts(make.product("a", minimum_price_minor=minimum_price_minor))
    evaluation = sold([make.n_plus_m()], make.line("a", 10, price), known=known)
    assert offered(evaluation) == to_add


def test_n_plus_m_does_not_count_what_is_weighed() -> None:
    line = make.line("a", unit=Unit.KILOGRAM, quantity_milli=11_000, amount_minor=1_100)
    evaluation = sold([make.n_plus_m()], line)
    assert amounts(evaluation) == [1_100]
    assert traced(evaluation) == [(TraceOutcome.FAILED, Condition.NOT_COUNTED, 0)]


# --- cheapest free ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "paid"),
    [
        ([100, 80], 180),
        ([100, 80, 60], 180),
        ([100, 80, 60, 50], 230),  # dearest first: the third of the set is the 60
        ([100, 90, 80, 70, 60, 50], 320),  # 80 and 50 are free
        ([50, 60, 70, 80, 90, 100], 320),
        ([100] * 7, 500),
        ([100, 100, 100, 100, 100, 50], 400),
        ([5, 5, 5], 10),
    ],
)
def test_cheapest_of_three(prices: list[int], paid: int) -> None:
    lines = [make.line(f"s{n}", 1, price) for n, price in enumerate(prices)]
    assert to_pay(sold([make.promotion(gives=CheapestFree(3))], *lines)) == paid


def test_cheapest_of_three_is_spread_over_its_set() -> None:
    lines = [make.line(sku, 1, price) for sku, price in (("a", 100), ("b", 80), ("c", 60))]
    # 60 over 240: a quarter of each.
    assert amounts(sold([make.promotion(gives=CheapestFree(3))], *lines)) == [75, 60, 45]


def test_cheapest_of_three_leaves_the_rest_of_the_set_alone() -> None:
    prices = (("a", 100), ("b", 80), ("c", 60), ("d", 50))
    lines = [make.line(sku, 1, price) for sku, price in prices]
    assert amounts(sold([make.promotion(gives=CheapestFree(3))], *lines)) == [75, 60, 45, 50]


def test_cheapest_of_three_over_runs() -> None:
    # (100, 100, 100) and (100, 100, 50): 150 off 550.
    lines = (make.line("a", 5, 100), make.line("b", 1, 50))
    evaluation = sold([make.promotion(gives=CheapestFree(3))], *lines)
    assert amounts(evaluation) == [364, 36]


def test_6000_pieces_of_one_sku() -> None:
    evaluation = sold([make.promotion(gives=CheapestFree(3))], make.line("a", 6_000, 100))
    # 400,000 over 6,000 pieces: two runs, not 6,000 things.
    assert runs(evaluation) == [(4_000_000, 67), (2_000_000, 66)]
    assert [entry.times for entry in evaluation.trace] == [2_000]


def test_cheapest_free_is_capped_by_the_limit() -> None:
    promotion = make.promotion(gives=CheapestFree(3), times_per_receipt=1)
    evaluation = sold([promotion], make.line("a", 7, 100))
    assert to_pay(evaluation) == 600
    assert traced(evaluation) == [(TraceOutcome.LIMIT_REACHED, Condition.NONE, 0)]


# --- receipt discount ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "paid", "missing"),
    [(2_999, 2_999, 1), (3_000, 2_500, 0), (3_001, 2_501, 0), (400, 400, 2_600)],
)
def test_receipt_discount_from_an_amount(sent: int, paid: int, missing: int) -> None:
    promotion = make.amount_off(500, receipt_amount_from_minor=3_000)
    evaluation = sold([promotion], make.line(price_minor=sent))
    assert to_pay(evaluation) == paid
    failed = (TraceOutcome.FAILED, Condition.RECEIPT_AMOUNT, missing)
    assert traced(evaluation) == [failed if missing else FIRED]


def test_the_amount_to_reach_is_that_before_the_lane() -> None:
    promotions = [make.percent(1_000), make.amount_off(500, receipt_amount_from_minor=3_000)]
    evaluation = sold(promotions, make.line(price_minor=3_000))
    assert to_pay(evaluation) == 2_700
    assert traced(evaluation) == [FIRED, (TraceOutcome.FAILED, Condition.RECEIPT_AMOUNT, 300)]


@pytest.mark.parametrize("kind", [LineKind.GIFT_CARD, LineKind.DEPOSIT])
def test_gift_cards_and_deposits_do_not_reach_an_amount(kind: LineKind) -> None:
    promotion = make.amount_off(500, receipt_amount_from_minor=3_000)
    lines = (make.line("a", price_minor=2_000), make.line("g", price_minor=1_000, kind=kind))
    assert amounts(sold([promotion], *lines)) == [2_000, 1_000]


@pytest.mark.parametrize(
    ("gives", "prices", "left"),
    [
        (ReceiptDiscount(amount_minor=500), [1_000, 1_000, 1_000], [833, 833, 834]),
        (ReceiptDiscount(amount_minor=500), [3_000, 1_000, 1_000], [2_700, 900, 900]),
        (ReceiptDiscount(amount_minor=1), [10, 10], [9, 10]),
        (ReceiptDiscount(amount_minor=9_000), [1_000, 500], [0, 0]),
        (ReceiptDiscount(rate_bp=1_000), [1_005], [904]),  # 100.5 is 101
        (ReceiptDiscount(rate_bp=1_000), [5, 5, 5], [4, 4, 5]),  # 1.5 of the whole, not of each
        (ReceiptDiscount(rate_bp=10_000), [1_000, 1], [0, 0]),
    ],
)
def test_receipt_discount_is_shared_exactly(gives: Any, prices: list[int], left: list[int]) -> None:
    lines = [make.line(f"s{n}", 1, price) for n, price in enumerate(prices)]
    assert amounts(sold([make.promotion(gives=gives)], *lines)) == left


def test_what_a_floor_holds_back_goes_to_the_others() -> None:
    lines = (
        make.line("a", price_minor=1_000, minimum_amount_minor=950),
        make.line("b", price_minor=1_000),
    )
    assert amounts(sold([make.amount_off(500)], *lines)) == [950, 550]


# --- floors and flags ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line_minimum", "feed_price", "amount"),
    [
        (0, 0, 100),
        (150, 0, 150),
        (0, 70, 140),
        (150, 70, 150),  # the stricter one, whichever it is
        (100, 70, 140),
        (0, 99, 198),
        (0, 120, 200),  # a floor above the price raises nothing
        (200, 0, 200),
    ],
)
def test_half_off_two_pieces_at_100(line_minimum: int, feed_price: int, amount: int) -> None:
    line = make.line("a", 2, 100, minimum_amount_minor=line_minimum)
    known = make.facts(make.product("a", minimum_price_minor=feed_price))
    assert amounts(sold([make.percent(5_000)], line, known=known)) == [amount]


def test_no_line_of_a_sku_goes_below_its_own_floor() -> None:
    # A cashier has lowered the second line: 200 and 100 with a floor of 80 each.
    lines = (
        make.line("a", 1, 200, line_id="1"),
        make.line("a", 1, 200, line_id="2", amount_minor=100),
    )
    known = make.facts(make.product("a", minimum_price_minor=80))
    first, second = amounts(sold([make.amount_off(140)], *lines, known=known))
    assert first is not None
    assert second is not None
    assert (first + second, min(first, second)) == (160, 80)


def test_a_floor_per_kilogram_does_not_depend_on_how_the_weight_is_scanned() -> None:
    known = make.facts(make.product("a", minimum_price_minor=333))
    kilogram = make.line("a", unit=Unit.KILOGRAM, quantity_milli=1_000, amount_minor=400)
    halves = [
        make.line("a", line_id=name, unit=Unit.KILOGRAM, quantity_milli=500, amount_minor=200)
        for name in ("1", "2")
    ]
    assert to_pay(sold([make.percent(10_000)], kilogram, known=known)) == 333
    assert to_pay(sold([make.percent(10_000)], *halves, known=known)) == 333


FLAGGED = [
    make.line("a", 11, 100, no_discount=True),
    make.line("a", 11, 100, price_source=PriceSource.STICKER),
]
EVERY_DISCOUNT = [
    make.percent(1_000),
    make.n_plus_m(10, 1),
    make.promotion("cheapest", CheapestFree(3)),
    make.amount_off(500),
]


@pytest.mark.parametrize("line", FLAGGED)
@pytest.mark.parametrize("promotion", EVERY_DISCOUNT)
def test_what_is_flagged_is_never_discounted(line: Line, promotion: Promotion) -> None:
    evaluation = sold([promotion], line)
    assert (amounts(evaluation), evaluation.offers) == ([1_100], ())
    assert traced(evaluation) == [(TraceOutcome.FAILED, Condition.FLOOR, 0)]


@pytest.mark.parametrize("promotion", EVERY_DISCOUNT)
def test_what_the_feed_flags_is_never_discounted(promotion: Promotion) -> None:
    known = make.facts(make.product("a", no_discount=True))
    assert amounts(sold([promotion], make.line("a", 11, 100), known=known)) == [1_100]


@pytest.mark.parametrize("kind", [LineKind.GIFT_CARD, LineKind.DEPOSIT])
@pytest.mark.parametrize("promotion", [*EVERY_DISCOUNT, make.points()])
def test_no_rule_touches_gift_cards_and_deposits(kind: LineKind, promotion: Promotion) -> None:
    evaluation = sold([promotion], make.line("a", 11, 100, kind=kind))
    assert (amounts(evaluation), evaluation.grants, evaluation.trace) == ([1_100], (), ())


@pytest.mark.parametrize("kind", [LineKind.GOODS, LineKind.FUEL, LineKind.SERVICE, LineKind.BAG])
def test_other_kinds_are_discounted(kind: LineKind) -> None:
    assert amounts(sold([make.percent(1_000)], make.line("a", 1, 100, kind=kind))) == [90]


def test_cancelled_lines_take_no_part() -> None:
    lines = (make.line("a", 6, 100, line_id="1"), make.line("a", 5, 100, "2", cancelled=True))
    evaluation = sold([make.n_plus_m(), make.points()], *lines)
    assert amounts(evaluation) == [600, None]
    assert granted(evaluation) == [60]


def test_return_lines_are_taken_back_at_what_was_sent() -> None:
    lines = (
        make.line("a", 6, 100, line_id="1"),
        make.line("a", 5, 100, line_id="2", action=LineAction.RETURN),
    )
    evaluation = sold([make.n_plus_m(), make.percent(1_000)], *lines)
    assert amounts(evaluation) == [540, 500]
    assert evaluation.outcomes[1] is not None
    assert evaluation.outcomes[1].adjustments == ()


@pytest.mark.parametrize(
    ("products", "amount"),
    [
        (ProductSet(), 90),
        (ProductSet(skus=("a",)), 90),
        (ProductSet(categories=("sweets",)), 100),
        (ProductSet(brands=("brand",)), 100),
        (ProductSet(properties=("size=big",)), 100),
        (ProductSet(except_skus=("a",)), 100),
        (ProductSet(skus=("b",)), 100),
    ],
)
def test_an_unknown_sku_is_priced_as_sent(products: ProductSet, amount: int) -> None:
    evaluation = sold([make.percent(1_000, products=products)], make.line("a", 1, 100))
    assert amounts(evaluation) == [amount]


@pytest.mark.parametrize(
    ("products", "amount"),
    [
        (ProductSet(categories=("food",)), 90),
        (ProductSet(categories=("sweets",)), 90),
        (ProductSet(brands=("brand",)), 90),
        (ProductSet(properties=("size=big",)), 90),
        (ProductSet(skus=("b",), brands=("brand",)), 90),  # in any of the lists
        (ProductSet(brands=("brand",), except_categories=("sweets",)), 100),
        (ProductSet(except_categories=("food",)), 100),
        (ProductSet(categories=("toys",)), 100),
    ],
)
def test_a_known_sku_is_found_by_what_the_feed_says(products: ProductSet, amount: int) -> None:
    known = make.facts(
        make.product("a", categories=("food", "sweets"), brand="brand", properties=("size=big",))
    )
    evaluation = sold([make.percent(1_000, products=products)], make.line("a", 1, 100), known=known)
    assert amounts(evaluation) == [amount]


# --- lanes, priorities, claims ------------------------------------------------------------------


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
        # Who is stackable claims nothing.
        ({"stackable": True}, {"stackable": True}, 720),
        ({"stackable": True, "priority": 1}, {}, 720),
        ({"stackable": True, "priority": 1}, {"base": "lane_start"}, 700),
    ],
)
def test_ten_percent_called_a_and_twenty_called_b(
    first: dict[str, Any], second: dict[str, Any], paid: int
) -> None:
    promotions = [make.percent(1_000, "a", **first), make.percent(2_000, "b", **second)]
    for order in (promotions, promotions[::-1]):
        assert to_pay(sold(order, make.line(price_minor=1_000))) == paid


def test_who_comes_too_late_lost_to_whom() -> None:
    promotions = [make.percent(1_000, "a"), make.percent(2_000, "b", priority=1)]
    evaluation = sold(promotions, make.line())
    winner, loser = evaluation.trace
    assert (winner.outcome, winner.times) == (TraceOutcome.FIRED, 1)
    assert (loser.outcome, loser.lost_to, loser.times) == (TraceOutcome.LOST, winner.number, 0)


def test_pieces_that_a_set_does_not_use_stay_open_for_the_next() -> None:
    promotions = [make.n_plus_m(2, 1, priority=1), make.percent(1_000)]
    # Three pieces of four make the set; 10 % off the fourth.
    assert to_pay(sold(promotions, make.line("a", 4, 100))) == 200 + 90


# --- when and who -------------------------------------------------------------------------------

PENSIONER = make.customer(segments=("pensioner",))
GATES = [
    ({"from_date": "2026-11-22", "to_date": "2026-11-22"}, {}, None),
    ({"from_date": "2026-11-23"}, {}, Condition.PERIOD),
    ({"to_date": "2026-11-21"}, {}, Condition.PERIOD),
    ({"zones": ("north",)}, {"zones": ("south", "north")}, None),
    ({"zones": ("north", "west")}, {"zones": ("west",)}, None),
    ({"zones": ("north",)}, {"zones": ("south",)}, Condition.ZONE),
    ({"zones": ("north",)}, {}, Condition.ZONE),
    ({"channels": ("staffed",)}, {}, None),
    ({"channels": ("web", "pump")}, {}, Condition.CHANNEL),
    ({"channels": ("web", "pump")}, {"till_type": 4}, None),
    ({"segments": ("pensioner",)}, {"customer": PENSIONER}, None),
    ({"segments": ("student", "pensioner")}, {"customer": PENSIONER}, None),
    ({"segments": ("student",)}, {"customer": PENSIONER}, Condition.SEGMENT),
    ({"segments": ("student",)}, {"customer": ANONYMOUS}, Condition.SEGMENT),
    ({"customer_required": True}, {}, None),
    ({"customer_required": True}, {"customer": ANONYMOUS}, Condition.CUSTOMER),
    ({"customer_required": True}, {"customer": UNKNOWN}, Condition.CUSTOMER),
    ({}, {"customer": ANONYMOUS}, None),
]


@pytest.mark.parametrize(("gate", "there", "failed"), GATES)
def test_gates(gate: dict[str, Any], there: dict[str, Any], failed: Condition | None) -> None:
    store = make.store_facts(zones=there.get("zones", ()))
    known = make.facts(customer=there.get("customer", make.customer()), store=store)
    till_type = there.get("till_type", 1)
    evaluation = sold([make.percent(1_000, **gate)], make.line(), known=known, till_type=till_type)
    assert amounts(evaluation) == [90 if failed is None else 100]
    assert traced(evaluation) == [
        FIRED if failed is None else (TraceOutcome.FAILED, failed, 0),
    ]


@pytest.mark.parametrize(("day", "paid"), [(-1, 100), (0, 90), (1, 90), (2, 90), (3, 100)])
def test_the_period_holds_its_first_and_its_last_local_day(day: int, paid: int) -> None:
    promotion = make.percent(1_000, from_date="2026-11-22", to_date="2026-11-24")
    store = make.store_facts(local_day=make.TODAY.toordinal() + day)
    assert amounts(sold([promotion], make.line(), known=make.facts(store=store))) == [paid]


# --- what the till cannot do --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promotion", "line", "left"),
    [
        (make.amount_off(10), make.line("a", 3, 100), (3_000, 97)),  # 290 would be two prices
        (make.amount_off(1), make.line("a", 3, 100), (3_000, 100)),
        (make.amount_off(3), make.line("a", 3, 100), (3_000, 99)),
        (make.percent(1_000), make.line("a", 3, 100), (3_000, 90)),
        (make.n_plus_m(2, 1), make.line("a", 3, 101), (3_000, 68)),  # 202 is not 3 x 67
    ],
)
def test_a_till_that_cannot_split_sells_at_one_price(
    promotion: Promotion, line: Line, left: tuple[int, int]
) -> None:
    evaluation = sold([promotion], line, capabilities=Capabilities(zero_price=True))
    assert runs(evaluation) == [left]


def test_a_till_that_cannot_split_is_told_only_the_discount_it_gives() -> None:
    evaluation = sold([make.amount_off(10)], make.line("a", 3, 100), capabilities=SHELF_TILL)
    assert evaluation.outcomes[0] is not None
    assert evaluation.outcomes[0].adjustments == (Adjustment(0, -9, 3_000),)


@pytest.mark.parametrize(
    ("line", "amount"),
    [
        (make.line("a", 3, 100), 3),
        (make.line("a", 3, 0), 0),  # as it was sent
        (make.line("a", 3, amount_minor=2), 2),
        (make.line("a", unit=Unit.KILOGRAM, quantity_milli=2_500, amount_minor=250), 1),
        (make.line("a", 3, 100, minimum_amount_minor=150), 150),
    ],
)
def test_what_a_till_without_zero_price_takes_at_least(line: Line, amount: int) -> None:
    promotions = [make.percent(10_000), make.points(10_000)]
    for can in (SHELF_TILL, Capabilities(split_line=True)):
        evaluation = sold(promotions, line, capabilities=can)
        assert amounts(evaluation) == [amount]
        assert granted(evaluation) == ([amount] if amount else [])


@pytest.mark.parametrize("promotion", [make.percent(10_000), make.amount_off(100_000)])
def test_a_till_without_zero_price_is_given_none(promotion: Promotion) -> None:
    can = Capabilities(split_line=True)
    evaluation = sold([promotion], make.line("a", 3, 100), capabilities=can)
    assert min(price for _, price in runs(evaluation)) > 0


# --- the trace ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("promotion", "line", "expected"),
    [
        (make.percent(1_000), make.line("a", 1, 100), FIRED),
        (make.percent(1_000), make.line("a", 1, 4), (FAILED, Condition.FLOOR, 0)),  # 0.4 is nothing
        (make.n_plus_m(), make.line("a", 7, 100), (FAILED, Condition.QUANTITY, 3_000)),
        (make.n_plus_m(), make.line("a", 10, 100), (FAILED, Condition.QUANTITY, 1_000)),
        (make.n_plus_m(3, 2), make.line("a", 3, 100), (FAILED, Condition.QUANTITY, 2_000)),
        (make.n_plus_m(), make.line("a", 11, 100), FIRED),
        (
            make.promotion(gives=CheapestFree(3)),
            make.line("a", 1, 9),
            (FAILED, Condition.QUANTITY, 2_000),
        ),
        (make.amount_off(5), make.line("a", 1, 0), (FAILED, Condition.FLOOR, 0)),
        (make.n_plus_m(times_per_receipt=1), make.line("a", 11, 100), FIRED),
        (make.n_plus_m(times_per_receipt=1), make.line("a", 22, 100), (LIMIT, Condition.NONE, 0)),
    ],
)
def test_the_trace_says_why(promotion: Promotion, line: Line, expected: tuple[int, ...]) -> None:
    assert traced(sold([promotion], line)) == [expected]


@pytest.mark.parametrize("gives", [NPlusM(10, 1), CheapestFree(3)])
def test_no_promotion_fires_more_often_than_its_limit(gives: Any) -> None:
    """The other benefits have no times to count: program_check refuses a limit of theirs."""
    lines = (make.line("a", 22, 100), make.line("b", 22, 100))
    evaluation = sold([make.promotion(gives=gives, times_per_receipt=1)], *lines)
    assert [entry.times for entry in evaluation.trace] == [1]


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
    sale: Sale = make.sale(make.line("a", 2, 100))
    evaluation = make.evaluated([], sale)
    assert amounts(evaluation) == [200]
    assert (evaluation.grants, evaluation.offers, evaluation.trace) == ((), (), ())
