"""Bundle prices and receipt discounts: numbers worked out by hand. Gifts stand in `test_gifts`.

Prices are minor units. A till that can do everything, and a known customer.
"""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import BundlePart, BundlePrice, ReceiptDiscount
from rewards.sale import Line, LineKind
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import CUT, FIRED, amounts, fired, sold, to_pay, traced

NO_ROOM = (TraceOutcome.FAILED, Condition.FLOOR, 0)


def lacks(pieces: int) -> tuple[TraceOutcome, Condition, int]:
    return TraceOutcome.FAILED, Condition.QUANTITY, pieces * 1_000


def each(*prices: int, pieces: int = 1) -> list[Line]:
    """An article at each price."""
    return [make.line(f"s{n}", pieces, price) for n, price in enumerate(prices)]


def given(gives: Any, *lines: Line, **changes: Any) -> list[int | None]:
    return amounts(sold(make.promotion(gives=gives, **changes), *lines))


def paid(gives: Any, *lines: Line, **changes: Any) -> int:
    return to_pay(sold(make.promotion(gives=gives, **changes), *lines))


# --- bundle of parts ----------------------------------------------------------------------------

BURGER, COLA, FRIES = (ProductSet(skus=(sku,)) for sku in ("бургер", "кола", "картошка"))
PARTS = (BundlePart(BURGER), BundlePart(COLA), BundlePart(FRIES))


def menu(burgers: int = 1, colas: int = 1, fries: int = 1) -> list[Line]:
    counted = (("бургер", burgers, 200), ("кола", colas, 100), ("картошка", fries, 80))
    return [make.line(*one) for one in counted if one[1]]


@pytest.mark.parametrize(
    ("says", "left"),
    [
        ({"price_minor": 300}, [158, 79, 63]),  # 80 over 380: 42.1, 21.05, 16.8
        ({"amount_off_minor": 38}, [180, 90, 72]),
        ({"rate_bp": 1_000}, [180, 90, 72]),
        ({"amount_off_minor": 500}, [0, 0, 0]),
        ({"price_minor": 380}, [200, 100, 80]),
        ({"price_minor": 400}, [200, 100, 80]),
    ],
)
def test_a_menu(says: dict[str, int], left: list[int]) -> None:
    evaluation = sold(make.promotion(gives=BundlePrice(PARTS, **says)), *menu())
    assert amounts(evaluation) == left
    assert traced(evaluation) == [NO_ROOM if sum(left) == 380 else FIRED]


@pytest.mark.parametrize(
    ("lines", "paid_minor", "times"),
    [
        (menu(2, 2, 2), 600, 2),
        (menu(2, 1, 1), 500, 1),
        (menu(3, 2, 5), 200 + 600 + 240, 2),
    ],
)
def test_as_many_menus_as_there_are(lines: list[Line], paid_minor: int, times: int) -> None:
    evaluation = sold(make.promotion(gives=BundlePrice(PARTS, price_minor=300)), *lines)
    assert (to_pay(evaluation), fired(evaluation)) == (paid_minor, [times])


def test_what_a_menu_lacks() -> None:
    evaluation = sold(make.promotion(gives=BundlePrice(PARTS, price_minor=300)), *menu(colas=0))
    assert (to_pay(evaluation), traced(evaluation)) == (280, [lacks(1)])


def test_several_pieces_of_a_part() -> None:
    parts = (BundlePart(BURGER, 2), BundlePart(COLA))
    gives = BundlePrice(parts, price_minor=400)
    assert paid(gives, *menu(2, 1, 0)) == 400
    assert paid(gives, *menu(3, 2, 0)) == 400 + 200 + 100
    assert traced(sold(make.promotion(gives=gives), *menu(1, 1, 0))) == [lacks(1)]


def test_menus_are_capped_by_the_limit() -> None:
    promotion = make.promotion(gives=BundlePrice(PARTS, price_minor=300), times_per_receipt=1)
    evaluation = sold(promotion, *menu(2, 2, 2))
    assert (to_pay(evaluation), traced(evaluation)) == (680, [CUT])


@pytest.mark.parametrize("parts", [(ProductSet(), COLA), (COLA, ProductSet())])
def test_a_piece_that_only_one_part_can_take_is_left_to_it(
    parts: tuple[ProductSet, ProductSet],
) -> None:
    gives = BundlePrice(tuple(BundlePart(part) for part in parts), price_minor=120)
    assert paid(gives, make.line("кола", 1, 100), make.line("вода", 1, 50)) == 120


def test_the_dearest_pieces_are_bundled_first() -> None:
    # 100 and 90 for 150; the 80 and the 70 cost that anyhow.
    assert given(BundlePrice(set_count=2, price_minor=150), *each(100, 90, 80, 70)) == [
        79,
        71,
        80,
        70,
    ]


@pytest.mark.parametrize(
    ("pieces", "paid_minor"), [(1, 100), (2, 200), (3, 250), (4, 350), (6, 500), (7, 600)]
)
def test_three_of_an_article_for_250(pieces: int, paid_minor: int) -> None:
    gives = BundlePrice(set_count=3, price_minor=250)
    assert paid(gives, make.line("a", pieces, 100)) == paid_minor


def test_a_rate_of_bundles_rounds_on_each() -> None:
    # 10 % of 10 + 5 is 1.5, so 2 a bundle.
    gives = BundlePrice(set_count=2, rate_bp=1_000)
    assert paid(gives, make.line("a", 2, 10), make.line("b", 2, 5)) == 30 - 2 - 1
    assert paid(gives, make.line("a", 1, 10), make.line("b", 1, 5)) == 13


def test_no_bundle_holds_what_is_weighed_or_free_of_rules() -> None:
    gives = BundlePrice(set_count=2, price_minor=150)
    assert paid(gives, make.line("a", 1, 100), make.weighed("b", 1_000, 100)) == 200
    card = make.line("b", 1, 100, kind=LineKind.GIFT_CARD)
    assert paid(gives, make.line("a", 1, 100), card) == 200


# --- receipt discount ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "prices", "left"),
    [
        (ReceiptDiscount(amount_minor=500), (1_000, 1_000, 1_000), [833, 833, 834]),
        (ReceiptDiscount(amount_minor=500), (3_000, 1_000, 1_000), [2_700, 900, 900]),
        (ReceiptDiscount(amount_minor=1), (10, 10), [9, 10]),
        (ReceiptDiscount(amount_minor=9_000), (1_000, 500), [0, 0]),
        (ReceiptDiscount(rate_bp=1_000), (999, 1), [899, 1]),
        (ReceiptDiscount(rate_bp=1_000), (5, 5, 5), [4, 4, 5]),  # 1.5 is 2
        (ReceiptDiscount(rate_bp=1_000, rounding="down"), (5, 5, 5), [4, 5, 5]),
        (ReceiptDiscount(rate_bp=10_000), (5, 0), [0, 0]),
        (ReceiptDiscount(rate_bp=1_000, max_minor=500), (10_000,), [9_500]),
        (ReceiptDiscount(rate_bp=1_000, max_minor=500), (4_000,), [3_600]),
        (ReceiptDiscount(price_minor=900), (1_000, 500), [600, 300]),
        (ReceiptDiscount(price_minor=1_500), (1_000, 500), [1_000, 500]),
        (ReceiptDiscount(price_minor=2_000), (1_000, 500), [1_000, 500]),
    ],
)
def test_receipt_discount(gives: ReceiptDiscount, prices: tuple[int, ...], left: list[int]) -> None:
    assert given(gives, *each(*prices)) == left


@pytest.mark.parametrize(
    ("share", "remainder", "prices", "left"),
    [
        # 100 by price: 33.3 and 66.7.
        ("proportional", "largest", (1_000, 2_000), [967, 1_933]),
        ("proportional", "first", (1_000, 2_000), [966, 1_934]),
        ("proportional", "last", (1_000, 2_000), [967, 1_933]),
        # By price: 16.7, 33.3, 50.
        ("proportional", "largest", (1_000, 2_000, 3_000), [983, 1_967, 2_950]),
        ("proportional", "first", (1_000, 2_000, 3_000), [983, 1_967, 2_950]),
        ("proportional", "last", (1_000, 2_000, 3_000), [984, 1_967, 2_949]),
        # By piece: 33.3 each.
        ("even", "largest", (1_000, 2_000, 3_000), [966, 1_967, 2_967]),
        ("even", "last", (1_000, 2_000, 3_000), [967, 1_967, 2_966]),
        # 34, 33, 33; the 13 that the second cannot bear are 7 and 6 more.
        ("even", "largest", (1_000, 20, 3_000), [959, 0, 2_961]),
        ("cheapest", "largest", (1_000, 60, 3_000), [960, 0, 3_000]),
    ],
)
def test_how_100_off_is_shared(
    share: Any, remainder: Any, prices: tuple[int, ...], left: list[int]
) -> None:
    gives = ReceiptDiscount(amount_minor=100, share=share, remainder=remainder)
    assert given(gives, *each(*prices)) == left


def test_an_even_share_is_by_piece() -> None:
    gives = ReceiptDiscount(amount_minor=300, share="even")
    assert given(gives, make.line("a", 1, 1_000), make.line("b", 2, 500)) == [900, 800]


def test_units_left_over_go_to_the_last_of_three_together() -> None:
    # 11 by 5 to 1 to 1 is 7.9, 1.6, 1.6: rounded down 7, 1, 1, and the last takes both units.
    gives = ReceiptDiscount(amount_minor=11, remainder="last")
    assert given(gives, *each(500, 100, 100)) == [493, 99, 97]


def test_the_last_article_is_the_last_by_sku_however_it_was_scanned() -> None:
    gives = ReceiptDiscount(amount_minor=100, remainder="last")
    lines = each(1_000, 2_000, 3_000)
    assert given(gives, *lines[::-1]) == [2_949, 1_967, 984]


@pytest.mark.parametrize("remainder", ["largest", "first", "last"])
def test_what_a_floor_holds_back_goes_to_the_others(remainder: Any) -> None:
    gives = ReceiptDiscount(amount_minor=10**9, remainder=remainder)
    lines = (
        make.line("a", 1, 10**9, minimum_amount_minor=10**9 - 1),
        make.line("b", 1, 10**9),
        make.line("c", 1, 10**9),
    )
    first, *others = given(gives, *lines)
    assert first == 10**9 - 1
    # 999,999,999 over two: one of them bears the odd unit.
    assert sorted(others, key=str) == [500_000_000, 500_000_001]


def test_what_no_floor_lets_go_is_not_given() -> None:
    line = make.line("a", 1, 1_000, minimum_amount_minor=800)
    assert given(ReceiptDiscount(amount_minor=500), line) == [800]


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        (LineKind.GOODS, [700, 2_800]),
        (LineKind.GIFT_CARD, [500, 3_000]),
        (LineKind.DEPOSIT, [500, 3_000]),
    ],
)
def test_only_goods_bear_a_receipt_discount(kind: LineKind, left: list[int]) -> None:
    # 500 over 1,000 and 3,000: 125 and 375; a gift card bears nothing.
    lines = (make.line("a", 1, 1_000), make.line("b", 1, 3_000, kind=kind))
    expected = [875, 2_625] if kind == LineKind.GOODS else left
    assert given(ReceiptDiscount(amount_minor=500), *lines) == expected


def test_a_receipt_discount_of_a_set_leaves_the_others_alone() -> None:
    gives = ReceiptDiscount(amount_minor=500)
    products = ProductSet(skus=("a", "b"))
    lines = [make.line(sku, 1, 1_000) for sku in "abc"]
    assert given(gives, *lines, products=products) == [750, 750, 1_000]


def test_weighed_goods_bear_their_part() -> None:
    lines = (make.line("a", 1, 100), make.weighed("b", 1_500, 200))
    assert given(ReceiptDiscount(amount_minor=100), *lines) == [75, 225]
