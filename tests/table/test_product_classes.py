"""Floors, flags, product classes and sets: what no promotion may touch, and what it finds."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import (
    CheapestFree,
    CouponReward,
    GiftCertificate,
    PercentOff,
    PointsFixed,
    PointsRate,
    Prize,
    Status,
)
from rewards.condition import Coupon, Products, ReceiptAmount
from rewards.evaluate import Evaluation
from rewards.facts import ANONYMOUS, OwnOffer
from rewards.program import ProductClass, Promotion
from rewards.sale import Capabilities, Line, LineAction, LineKind, PriceSource, Unit
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import amounts, granted, runs, sold, to_pay, traced

NO_ROOM = (TraceOutcome.FAILED, Condition.FLOOR, 0)

# --- floors -------------------------------------------------------------------------------------


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
    # 140 over 200 and 100 is 93 and 47; the second can bear 20, so the first bears 120.
    assert amounts(sold([make.amount_off(140)], *lines, known=known)) == [80, 80]


def test_a_floor_per_kilogram_does_not_depend_on_how_the_weight_is_scanned() -> None:
    known = make.facts(make.product("a", minimum_price_minor=333))
    kilogram = make.weighed("a", 1_000, 400)
    halves = [make.weighed("a", 500, 400, line_id=name) for name in ("1", "2")]
    assert to_pay(sold([make.percent(10_000)], kilogram, known=known)) == 333
    assert to_pay(sold([make.percent(10_000)], *halves, known=known)) == 333


# --- flags --------------------------------------------------------------------------------------

EVERY_DISCOUNT = [
    make.percent(1_000),
    make.n_plus_m(10, 1),
    make.promotion("cheapest", CheapestFree(3)),
    make.amount_off(500),
]


@pytest.mark.parametrize("flag", [{"no_discount": True}, {"price_source": PriceSource.STICKER}])
@pytest.mark.parametrize("promotion", EVERY_DISCOUNT)
def test_what_is_flagged_is_never_discounted(flag: dict[str, Any], promotion: Promotion) -> None:
    evaluation = sold([promotion], make.line("a", 11, 100, **flag))
    assert (amounts(evaluation), evaluation.offers) == ([1_100], ())
    assert traced(evaluation) == [NO_ROOM]


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
    assert (amounts(evaluation), granted(evaluation)) == ([600, None], [60])


def test_return_lines_are_taken_back_at_what_was_sent() -> None:
    lines = (
        make.line("a", 6, 100, line_id="1"),
        make.line("a", 5, 100, line_id="2", action=LineAction.RETURN),
    )
    evaluation = sold([make.n_plus_m(), make.percent(1_000), make.points(1_000)], *lines)
    assert (amounts(evaluation), granted(evaluation)) == ([540, 500], [54])
    assert evaluation.outcomes[1] is not None
    assert evaluation.outcomes[1].adjustments == ()


def test_a_receipt_of_returns_alone_fires_nothing() -> None:
    back = make.line("a", 11, 100, action=LineAction.RETURN)
    evaluation = sold([make.n_plus_m(), make.points(), make.percent()], back)
    assert (amounts(evaluation), evaluation.trace, evaluation.grants) == ([1_100], (), ())


# --- classes ------------------------------------------------------------------------------------

TOBACCO = ProductSet(categories=("табак",))
VODKA = ProductSet(categories=("водка",))
KNOWN = make.facts(
    make.product("сигареты", categories=("табак",)), make.product("водка", categories=("водка",))
)
cigarettes = make.line("сигареты", 1, 2_000)
vodka = make.line("водка", 2, 500)
bread = make.line("хлеб", 1, 1_500)


def ruled(
    promotions: list[Promotion] | Promotion, *lines: Line, classes: tuple[ProductClass, ...]
) -> Evaluation:
    program = {"product_classes": classes}
    return sold(promotions, *lines, known=KNOWN, program=program, coupon_codes=("A",))


def test_no_promotion_lowers_a_class_without_discount() -> None:
    classes = (ProductClass(TOBACCO, no_discount=True),)
    for promotion in (make.percent(1_000), make.amount_off(150), make.percent(on_stickers=True)):
        assert amounts(ruled(promotion, cigarettes, bread, classes=classes)) == [2_000, 1_350]


@pytest.mark.parametrize(
    "gives",
    [
        PointsRate("points", 1_000),
        PointsFixed("points", 150),
        CouponReward("next"),
        GiftCertificate(150),
        Prize("pool"),
        Status("gold"),
    ],
)
def test_nothing_is_earned_on_a_class_without_earning(gives: Any) -> None:
    classes = (ProductClass(TOBACCO, no_earn=True),)
    promotion = make.promotion(gives=gives)
    alone = ruled(promotion, cigarettes, classes=classes)
    assert (granted(alone), traced(alone)) == (
        [],
        [(TraceOutcome.FAILED, Condition.NOTHING_EARNS, 0)],
    )
    beside = ruled(promotion, cigarettes, bread, classes=classes)
    assert granted(beside) in ([150], [1])


def test_a_class_without_coupons_does_not_count_for_them() -> None:
    classes = (ProductClass(TOBACCO, no_coupon=True),)
    lines = (cigarettes, bread)
    with_coupon = make.amount_off(500, conditions=(Coupon(("A",)),))
    assert amounts(ruled(with_coupon, *lines, classes=classes)) == [2_000, 1_000]
    assert amounts(ruled(make.amount_off(700), *lines, classes=classes)) == [1_600, 1_200]


@pytest.mark.parametrize(
    ("condition", "failure"),
    [
        (ReceiptAmount(3_000), (Condition.RECEIPT_AMOUNT, 1_500)),
        (Products(ProductSet(), amount_from_minor=3_000), (Condition.PRODUCTS_AMOUNT, 1_500)),
        (Products(ProductSet(), quantity_from_milli=2_000), (Condition.PRODUCTS, 1_000)),
    ],
)
def test_nor_does_it_reach_an_amount_with_a_coupon(condition: Any, failure: Any) -> None:
    classes = (ProductClass(TOBACCO, no_coupon=True),)
    with_coupon = make.amount_off(500, conditions=(Coupon(("A",)), condition))
    failed = ruled(with_coupon, cigarettes, bread, classes=classes)
    assert traced(failed) == [(TraceOutcome.FAILED, *failure)]
    without = make.amount_off(500, conditions=(condition,))
    assert to_pay(ruled(without, cigarettes, bread, classes=classes)) == 3_000


@pytest.mark.parametrize(
    ("floor_bp", "rate_bp", "amount"),
    [
        (5_000, 9_000, 500),
        (5_000, 4_000, 600),
        (3_333, 9_000, 334),  # 333.3 rounded up
        (10_000, 9_000, 1_000),
        (0, 9_000, 100),
    ],
)
def test_a_class_keeps_its_floor(floor_bp: int, rate_bp: int, amount: int) -> None:
    classes = (ProductClass(VODKA, floor_bp=floor_bp),)
    assert amounts(ruled(make.percent(rate_bp), vodka, classes=classes)) == [amount]


def test_a_floor_of_a_class_is_of_what_was_sent_over_all_lanes() -> None:
    classes = (ProductClass(VODKA, floor_bp=8_000),)
    promotions = [make.percent(1_500), make.percent(1_500, "later", lane="basket")]
    assert amounts(ruled(promotions, vodka, classes=classes)) == [800]


def test_splitting_a_line_does_not_raise_the_floor_of_its_class() -> None:
    classes = (ProductClass(VODKA, floor_bp=5_000),)
    whole = ruled(make.percent(10_000), make.line("водка", 3, 1), classes=classes)
    thirds = [make.line("водка", 1, 1, line_id=name) for name in "123"]
    assert to_pay(whole) == to_pay(ruled(make.percent(10_000), *thirds, classes=classes)) == 2


def test_the_stricter_of_two_classes_holds() -> None:
    classes = (
        ProductClass(VODKA, floor_bp=5_000, no_earn=True),
        ProductClass(ProductSet(), floor_bp=7_000),
    )
    promotions = [make.percent(9_000), make.points(1_000)]
    evaluation = ruled(promotions, vodka, classes=classes)
    assert (amounts(evaluation), granted(evaluation)) == ([700], [])


# --- product sets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("products", "amount"),
    [
        (ProductSet(), 90),
        (ProductSet(skus=("a",)), 90),
        (ProductSet(categories=("сладости",)), 100),
        (ProductSet(brands=("Заря",)), 100),
        (ProductSet(properties=("size=big",)), 100),
        (ProductSet(properties_all=("size=big",)), 100),
        (ProductSet(except_skus=("a",)), 100),
        (ProductSet(except_brands=("Заря",)), 90),
        (ProductSet(skus=("b",)), 100),
    ],
)
def test_an_unknown_sku_is_priced_as_sent(products: ProductSet, amount: int) -> None:
    evaluation = sold([make.percent(1_000, products=products)], make.line("a", 1, 100))
    assert amounts(evaluation) == [amount]


@pytest.mark.parametrize(
    ("products", "amount"),
    [
        (ProductSet(categories=("еда",)), 90),
        (ProductSet(categories=("сладости",)), 90),
        (ProductSet(brands=("Заря",)), 90),
        (ProductSet(brands=("заря",)), 100),  # names are what they are
        (ProductSet(properties=("size=big",)), 90),
        (ProductSet(properties=("size=small", "size=big")), 90),
        (ProductSet(skus=("b",), brands=("Заря",)), 90),  # in any of the lists
        (ProductSet(properties_all=("size=big", "diet=vegan")), 90),
        (ProductSet(properties_all=("size=big", "diet=none")), 100),
        (ProductSet(categories=("еда",), properties_all=("diet=none",)), 100),
        (ProductSet(brands=("Заря",), except_categories=("сладости",)), 100),
        (ProductSet(categories=("еда",), except_brands=("Заря",)), 100),
        (ProductSet(categories=("еда",), except_properties=("diet=vegan",)), 100),
        (ProductSet(categories=("еда",), except_skus=("a",)), 100),
        (ProductSet(except_categories=("еда",)), 100),
        (ProductSet(categories=("игрушки",)), 100),
    ],
)
def test_a_known_sku_is_found_by_what_the_feed_says(products: ProductSet, amount: int) -> None:
    known = make.facts(
        make.product(
            "a",
            categories=("еда", "сладости"),
            brand="Заря",
            properties=("size=big", "diet=vegan"),
        )
    )
    evaluation = sold([make.percent(1_000, products=products)], make.line("a", 1, 100), known=known)
    assert amounts(evaluation) == [amount]


@pytest.mark.parametrize(
    ("low", "high", "line", "found"),
    [
        (100, 0, make.line("a", 3, 100), True),
        (101, 0, make.line("a", 3, 100), False),
        (0, 100, make.line("a", 3, 100), True),
        (0, 99, make.line("a", 3, 100), False),
        (100, 100, make.line("a", 3, amount_minor=301), True),  # 100.3 is 100
        (101, 0, make.line("a", 2, amount_minor=201), True),  # 100.5 is 101
        (200, 200, make.weighed("a", 1_500, 200), True),
    ],
)
def test_a_set_by_unit_price(low: int, high: int, line: Line, found: bool) -> None:
    products = ProductSet(unit_price_from_minor=low, unit_price_to_minor=high)
    evaluation = sold(make.percent(1_000, products=products), line)
    assert (to_pay(evaluation) < line.amount_minor) == found


FAVOURITES = make.customer(offers=(OwnOffer("favourite", categories=("сыр", "чай")),))


@pytest.mark.parametrize(
    ("products", "customer", "left"),
    [
        (ProductSet(own_offer="favourite"), FAVOURITES, [900, 1_000]),
        (ProductSet(own_offer="other"), FAVOURITES, [1_000, 1_000]),
        (ProductSet(own_offer="favourite"), make.customer(), [1_000, 1_000]),
        (ProductSet(own_offer="favourite"), ANONYMOUS, [1_000, 1_000]),
        (ProductSet(own_offer="favourite", skus=("хлеб",)), FAVOURITES, [900, 900]),
        (ProductSet(own_offer="favourite", except_skus=("гауда",)), FAVOURITES, [1_000, 1_000]),
    ],
)
def test_the_customers_favourite_categories(
    products: ProductSet, customer: Any, left: list[int]
) -> None:
    known = make.facts(make.product("гауда", categories=("еда", "сыр")), customer=customer)
    lines = (make.line("гауда", 1, 1_000), make.line("хлеб", 1, 1_000))
    assert amounts(sold(make.percent(1_000, products=products), *lines, known=known)) == left


# --- what the till cannot do --------------------------------------------------------------------

SHELF_TILL = Capabilities()
"""A till that can do nothing beyond selling."""


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


@pytest.mark.parametrize(
    ("line", "amount"),
    [
        (make.line("a", 3, 100), 3),
        (make.line("a", 3, 0), 0),  # as it was sent
        (make.line("a", 3, amount_minor=2), 2),
        (make.weighed("a", 2_500, 100, unit=Unit.METRE), 1),
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


def test_a_discount_that_the_till_cannot_sell_is_not_told() -> None:
    """Of 10 off three pieces it gives nine, and says so."""
    evaluation = sold([make.amount_off(10)], make.line("a", 3, 100), capabilities=SHELF_TILL)
    outcome = evaluation.outcomes[0]
    assert outcome is not None
    assert [(one.amount_minor, one.quantity_milli) for one in outcome.adjustments] == [(-9, 3_000)]


def test_percent_of_pieces_of_nothing() -> None:
    evaluation = sold(make.promotion(gives=PercentOff(1_000)), make.line("a", 3, 0))
    assert (amounts(evaluation), traced(evaluation)) == ([0], [NO_ROOM])
