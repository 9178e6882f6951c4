"""What is within reach of a receipt: how near, for whom, in which order."""

import pytest

from rewards.allocate import allocate
from rewards.authored import LocalText, ProductSet
from rewards.benefit import (
    AmountOff,
    Benefit,
    CouponReward,
    Message,
    NPlusM,
    NthItem,
    PercentOff,
    PointsRate,
    ReceiptDiscount,
)
from rewards.condition import Products, ReceiptAmount
from rewards.evaluate import evaluate
from rewards.facts import ANONYMOUS, Facts
from rewards.hints import NOWHERE, Hint, find_hints
from rewards.program import Promotion
from rewards.sale import Sale, Unit
from tests import make

TEA = ProductSet(skus=("tea",))
PERCENT = PercentOff(1_000)


def hints(
    sale: Sale,
    *promotions: Promotion,
    facts: Facts = make.facts(),  # noqa: B008 - immutable
) -> tuple[Hint, ...]:
    rules = make.rules(*promotions)
    return find_hints(rules, sale, facts, evaluate(rules, sale, facts, allocate))


def basket(pieces: int = 2, price_minor: int = 5_000) -> Sale:
    return make.sale(make.line("tea", pieces=pieces, price_minor=price_minor))


def from_amount(amount_minor: int, gives: Benefit = PERCENT, **keys: object) -> Promotion:
    condition = ReceiptAmount(amount_minor)
    return make.promotion(gives=gives, conditions=(condition,), **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("amount_minor", "missing_minor"),
    [(10_000, None), (10_001, 1), (12_000, 2_000), (12_001, None)],
)
def test_an_amount_is_near_within_a_share_of_the_receipt(
    amount_minor: int, missing_minor: int | None
) -> None:
    found = hints(basket(), from_amount(amount_minor))
    assert [hint.missing_minor for hint in found] == ([missing_minor] if missing_minor else [])


@pytest.mark.parametrize(("n", "missing_milli"), [(3, 1_000), (5, 3_000), (6, None)])
def test_pieces_are_near_up_to_three(n: int, missing_milli: int | None) -> None:
    found = hints(basket(), make.promotion(gives=NthItem(n, 5_000), products=TEA))
    assert found == (() if missing_milli is None else (Hint(0, 0, missing_milli),))


def test_a_condition_on_products_names_its_own_set() -> None:
    condition = Products(ProductSet(skus=("cake", "tea")), quantity_from_milli=3_000)
    sale = make.sale(make.line("tea", pieces=1), make.line("cake", pieces=1, line_id="2"))
    promotion = make.promotion(conditions=(condition,), products=TEA)
    assert hints(sale, promotion) == (Hint(0, NOWHERE, 1_000),)
    condition = Products(ProductSet(skus=("cake",)), quantity_from_milli=3_000)
    promotion = make.promotion(conditions=(condition,), products=TEA)
    assert hints(sale, promotion) == (Hint(0, 1, 2_000),)


def test_weighed_goods_are_not_counted_in_pieces() -> None:
    condition = Products(TEA, quantity_from_milli=1_000)
    line = make.line("tea", quantity_milli=500, unit=Unit.KILOGRAM, amount_minor=500)
    assert hints(make.sale(line), make.promotion(conditions=(condition,))) == ()


def test_free_pieces_come_first_then_pieces_then_money() -> None:
    found = hints(
        basket(),
        from_amount(11_000, promotion_id="money", priority=9),
        make.promotion("third", NthItem(3, 5_000), priority=8, stackable=True),
        make.promotion("free", NPlusM(2, 1), priority=7, stackable=True),
        from_amount(10_500, promotion_id="less-money", priority=6),
    )
    assert [(hint.missing_milli, hint.missing_minor, hint.is_free) for hint in found] == [
        (1_000, 0, True),
        (1_000, 0, False),
        (0, 500, False),
    ]


@pytest.mark.parametrize(
    ("gives", "is_for_strangers"),
    [
        (PointsRate("points", 500), False),
        (CouponReward("series"), True),
        (ReceiptDiscount(500), True),
    ],
)
def test_nobody_is_told_of_what_they_cannot_get(gives: Benefit, is_for_strangers: bool) -> None:
    promotion = from_amount(10_001, gives)
    assert len(hints(basket(), promotion)) == 1
    stranger = make.facts(customer=ANONYMOUS)
    assert len(hints(basket(), promotion, facts=stranger)) == is_for_strangers


def test_a_message_is_nothing_to_buy_more_for() -> None:
    message = Message((LocalText("en", "Hello"),))
    assert hints(basket(), from_amount(10_001, message, lane="price")) == ()


def test_a_group_that_has_its_winner_promises_nothing_more() -> None:
    winner = make.promotion("winner", AmountOff(1), priority=1, exclusive_group="g")
    assert hints(basket(), winner, from_amount(10_500, exclusive_group="g")) == ()
    assert len(hints(basket(), winner, from_amount(10_500))) == 1
