"""Conditions on what the receipt holds and comes to: one row a case, worked out by hand."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import ReceiptDiscount
from rewards.condition import Products, ReceiptAmount
from rewards.facts import ANONYMOUS, OwnOffer
from rewards.program import Promotion
from rewards.sale import Line, LineAction, LineKind, PriceSource
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import FIRED, amounts, sold, to_pay, traced

HOLDS = None
Failure = tuple[Condition, int] | None
TEA, COFFEE, APPLES = (ProductSet(skus=(sku,)) for sku in ("чай", "кофе", "яблоки"))
DRINKS = ProductSet(categories=("напитки",))
KNOWN = make.facts(
    make.product("чай", categories=("напитки",)), make.product("кофе", categories=("напитки",))
)
BASKET = (
    make.line("чай", 2, 100, line_id="1"),
    make.line("кофе", 1, 300, line_id="2"),
    make.weighed("яблоки", 1_500, 200, line_id="3"),
)
"""Drinks: three pieces for 500; apples: a kilogram and a half for 300."""


def asked(condition: Any, *lines: Line, known: Any = KNOWN, **changes: Any) -> Failure:
    promotion = make.percent(conditions=(condition,), **changes)
    (entry,) = traced(sold(promotion, *(lines or BASKET), known=known))
    assert entry[0] in (TraceOutcome.FIRED, TraceOutcome.FAILED)
    return HOLDS if entry == FIRED else entry[1:]


# --- products -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "failure"),
    [
        (Products(TEA, quantity_from_milli=2_000), HOLDS),
        (Products(TEA, quantity_from_milli=3_000), (Condition.PRODUCTS, 1_000)),
        (Products(TEA, quantity_to_milli=2_000), HOLDS),
        (Products(TEA, quantity_to_milli=1_000), (Condition.PRODUCTS, 0)),
        (Products(DRINKS, quantity_from_milli=3_000), HOLDS),
        (Products(DRINKS, quantity_from_milli=4_000), (Condition.PRODUCTS, 1_000)),
        (Products(DRINKS, line_quantity_from_milli=2_000), HOLDS),
        (Products(DRINKS, line_quantity_from_milli=3_000), (Condition.PRODUCTS, 1_000)),
        (Products(DRINKS, articles_from=2), HOLDS),
        (Products(DRINKS, articles_from=3), (Condition.ARTICLES, 1)),
        (Products(DRINKS, amount_from_minor=500), HOLDS),
        (Products(DRINKS, amount_from_minor=501), (Condition.PRODUCTS_AMOUNT, 1)),
        (Products(DRINKS, amount_from_minor=500, strict=True), (Condition.PRODUCTS_AMOUNT, 1)),
        (Products(DRINKS, amount_from_minor=499, strict=True), HOLDS),
        (Products(DRINKS, amount_to_minor=500), HOLDS),
        (Products(DRINKS, amount_to_minor=499), (Condition.PRODUCTS_AMOUNT, 0)),
        (Products(APPLES, quantity_from_milli=1_500), HOLDS),
        (Products(APPLES, quantity_from_milli=1_501), (Condition.PRODUCTS, 1)),
        (Products(ProductSet(), amount_from_minor=800), HOLDS),
        (Products(ProductSet(), amount_from_minor=801), (Condition.PRODUCTS_AMOUNT, 1)),
        (Products(ProductSet(skus=("соль",)), none=True), HOLDS),
        (Products(APPLES, none=True), (Condition.EXCLUDED_PRODUCTS, 0)),
        (Products(ProductSet(skus=("соль",)), articles_from=1), (Condition.ARTICLES, 1)),
    ],
)
def test_products(condition: Products, failure: Failure) -> None:
    assert asked(condition) == failure


def test_all_bounds_must_hold() -> None:
    both = Products(DRINKS, quantity_from_milli=3_000, amount_from_minor=600)
    assert asked(both) == (Condition.PRODUCTS_AMOUNT, 100)


def test_without_a_set_it_is_the_promotions_own() -> None:
    condition = Products(quantity_from_milli=3_000)
    assert asked(condition, products=TEA) == (Condition.PRODUCTS, 1_000)
    assert asked(condition, products=DRINKS) is HOLDS


def test_an_article_on_two_lines_counts_together() -> None:
    lines = (make.line("чай", 1, 100, line_id="1"), make.line("чай", 1, 90, line_id="2"))
    assert asked(Products(TEA, line_quantity_from_milli=2_000), *lines) is HOLDS
    assert asked(Products(TEA, articles_from=2), *lines) == (Condition.ARTICLES, 1)


@pytest.mark.parametrize(
    ("flags", "counts"),
    [
        ({}, True),
        ({"price_source": PriceSource.STICKER}, True),
        ({"no_discount": True}, True),
        ({"no_earn": True}, True),
        ({"kind": LineKind.FUEL}, True),
        ({"kind": LineKind.GIFT_CARD}, False),
        ({"kind": LineKind.DEPOSIT}, False),
        ({"cancelled": True}, False),
        ({"action": LineAction.RETURN}, False),
    ],
)
def test_what_counts(flags: dict[str, Any], counts: bool) -> None:
    lines = (make.line("хлеб", 1, 100), make.line("чай", 2, 100, **flags))
    lacking = HOLDS if counts else (Condition.PRODUCTS, 2_000)
    assert asked(Products(TEA, quantity_from_milli=2_000), *lines) == lacking
    amount = HOLDS if counts else (Condition.RECEIPT_AMOUNT, 200)
    assert asked(ReceiptAmount(300), *lines) == amount


def test_one_line_that_does_not_count_does_not_spoil_the_others() -> None:
    lines = (*BASKET, make.line("табак", 1, 500, no_discount=True))
    assert asked(Products(DRINKS, amount_from_minor=500), *lines) is HOLDS


def test_a_condition_claims_nothing() -> None:
    """Two promotions that ask for the same two packs both fire."""
    two = (Products(TEA, quantity_from_milli=2_000),)
    promotions = [
        make.percent(1_000, "a", conditions=two, products=COFFEE),
        make.percent(1_000, "b", conditions=two, products=APPLES),
    ]
    assert amounts(sold(promotions, *BASKET)) == [200, 270, 270]


# --- the receipt's amount -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "failure"),
    [
        (ReceiptAmount(800), HOLDS),
        (ReceiptAmount(801), (Condition.RECEIPT_AMOUNT, 1)),
        (ReceiptAmount(800, strict=True), (Condition.RECEIPT_AMOUNT, 1)),
        (ReceiptAmount(799, strict=True), HOLDS),
        (ReceiptAmount(to_minor=800), HOLDS),
        (ReceiptAmount(to_minor=799), (Condition.RECEIPT_AMOUNT, 0)),
        (ReceiptAmount(500, 900), HOLDS),
    ],
)
def test_receipt_amount(condition: ReceiptAmount, failure: Failure) -> None:
    assert asked(condition) == failure


def test_articles_outside_of_the_set_reach_the_amount_too() -> None:
    assert asked(ReceiptAmount(800), products=TEA) is HOLDS


SPEND_STRETCH = make.customer(offers=(OwnOffer("stretch", 700), OwnOffer("big", 5_000)))


@pytest.mark.parametrize(
    ("condition", "customer", "failure"),
    [
        (ReceiptAmount(own_offer="stretch"), SPEND_STRETCH, HOLDS),
        (ReceiptAmount(own_offer="big"), SPEND_STRETCH, (Condition.RECEIPT_AMOUNT, 4_200)),
        (ReceiptAmount(own_offer="other"), SPEND_STRETCH, (Condition.OWN_OFFER, 0)),
        (ReceiptAmount(own_offer="stretch"), make.customer(), (Condition.OWN_OFFER, 0)),
        (ReceiptAmount(own_offer="stretch"), ANONYMOUS, (Condition.OWN_OFFER, 0)),
        (ReceiptAmount(to_minor=750, own_offer="stretch"), SPEND_STRETCH, Condition.RECEIPT_AMOUNT),
    ],
)
def test_the_customers_own_amount(condition: Any, customer: Any, failure: Any) -> None:
    expected = (failure, 0) if isinstance(failure, Condition) else failure
    assert asked(condition, known=make.facts(customer=customer)) == expected


def test_more_than_the_customers_own_amount() -> None:
    exactly = make.facts(customer=make.customer(offers=(OwnOffer("stretch", 800),)))
    assert asked(ReceiptAmount(own_offer="stretch"), known=exactly) is HOLDS
    more = ReceiptAmount(own_offer="stretch", strict=True)
    assert asked(more, known=exactly) == (Condition.RECEIPT_AMOUNT, 1)


# --- when it is looked at -----------------------------------------------------------------------


def discounted(*conditions: Any, lane: Any = "basket") -> list[Promotion]:
    """10 % off all in lane price; then 500 off under conditions."""
    first = make.percent(1_000, "first", priority=9, stackable=True)
    gives = ReceiptDiscount(amount_minor=500)
    return [first, make.promotion("second", gives, lane, conditions=conditions)]


@pytest.mark.parametrize(
    ("lane", "basis", "sent", "paid"),
    [
        ("basket", "lane_start", 3_000, 2_700),  # 2,700 at the lane's start
        ("basket", "lane_start", 3_334, 2_501),  # 3,001 at the lane's start
        ("basket", "as_sent", 3_000, 2_200),
        ("basket", "as_sent", 2_999, 2_699),
        ("basket", "running", 3_000, 2_700),
        ("price", "lane_start", 3_000, 2_200),  # the first is of the same lane
        ("price", "running", 3_000, 2_700),
        ("price", "running", 3_334, 2_501),
    ],
)
def test_an_amount_before_or_after_other_promotions(
    lane: Any, basis: Any, sent: int, paid: int
) -> None:
    for condition in (
        ReceiptAmount(3_000, basis=basis),
        Products(ProductSet(), amount_from_minor=3_000, basis=basis),
    ):
        promotions = discounted(condition, lane=lane)
        assert to_pay(sold(promotions, make.line(price_minor=sent))) == paid
