"""What a program asks of articles that they cannot give: pieces of weighed goods, dear bundles."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.catalogue_check import SetFigures, check_figures, figures_of, sets_asked
from rewards.problem import Problem
from rewards.product import Product
from tests.program_tree import PERCENT, Tree, program, promotions, rewarding

PLACE = "promotions[0].gives[0]"


def article(sku: str, category: str, list_price_minor: int = 0, weighed: bool = False) -> Product:
    return Product(sku, sku, (category,), weighed=weighed, list_price_minor=list_price_minor)


CATALOGUE = {
    one.sku: one
    for one in (
        article("soup", "lunch", 300),
        article("salad", "lunch", 200),
        article("tea", "drinks", 100),
        article("cola", "drinks", 120),
        article("apples", "fruit", 90, weighed=True),
        article("pears", "fruit", 110, weighed=True),
        article("cheese", "dairy", 900, weighed=True),
        article("milk", "dairy", 80),
        article("bag", "other"),
    )
}
LUNCH: Tree = {"categories": ["lunch"]}
DRINKS: Tree = {"categories": ["drinks"]}
FRUIT: Tree = {"categories": ["fruit"]}
PARTS = [{"products": LUNCH}, {"products": DRINKS, "count": 2}]
TWO_PLUS_ONE = {"code": "n_plus_m", "pay_count": 2, "free_count": 1}


def found(changes: Tree) -> tuple[Problem, ...]:
    written = program(**changes)
    sets = sets_asked(written)
    return tuple(check_figures(written, dict(zip(sets, figures_of(sets, CATALOGUE), strict=True))))


def of(products: Tree, *gives: Tree) -> Tree:
    return promotions(*gives, products=products)


def bundle(**keys: Any) -> Tree:
    return promotions({"code": "bundle_price", **keys})


def tiers(*steps: Tree) -> Tree:
    return {"code": "quantity_tiers", "tiers": list(steps)}


VALID: dict[str, Tree] = {
    "a percentage of weighed goods": of(FRUIT, PERCENT),
    "pieces of what is partly weighed": of({"categories": ["dairy"]}, TWO_PLUS_ONE),
    "pieces of anything": promotions(TWO_PLUS_ONE),
    "pieces of what is not known": of({"skus": ["new"]}, TWO_PLUS_ONE),
    "pieces at some price": of({**FRUIT, "unit_price_to_minor": 100}, TWO_PLUS_ONE),
    "pieces of the customer's own offer": of({"own_offer": "favourite"}, TWO_PLUS_ONE),
    "a bundle below its dearest pieces": bundle(parts=PARTS, price_minor=539),
    "a bundle of what has no list price": bundle(
        parts=[{"products": {"skus": ["bag"]}, "count": 2}], price_minor=10_000
    ),
    "a price of what is not known": of(
        {"skus": ["tea", "new"]}, {"code": "fixed_price", "price_minor": 5_000}
    ),
    "a price below the dearest": of(LUNCH, {"code": "fixed_price", "price_minor": 299}),
    "an amount off each article": of(
        DRINKS, {"code": "amount_off", "amount_minor": 500, "per": "item"}
    ),
}

WRONG: dict[str, tuple[Tree, str, str]] = {
    "pieces of a weighed article": (
        of({"skus": ["milk", "cheese"]}, TWO_PLUS_ONE),
        "promotions[0].products.skus[1]",
        "'cheese' is not sold by the piece, and n_plus_m takes pieces",
    ),
    "pieces of nothing but weighed goods": (
        of(FRUIT, TWO_PLUS_ONE),
        "promotions[0].products",
        "none of its articles is sold by the piece, and n_plus_m takes pieces",
    ),
    "a part of weighed goods": (
        bundle(parts=[{"products": LUNCH}, {"products": FRUIT}], rate_bp=100),
        f"{PLACE}.parts[1].products",
        "none of its articles is sold by the piece",
    ),
    "weighed goods to get": (
        of(LUNCH, {"code": "buy_get", "buy_count": 1, "get_products": {"skus": ["apples"]}}),
        f"{PLACE}.get_products.skus[0]",
        "'apples' is not sold by the piece, and buy_get takes pieces",
    ),
    "some pieces of weighed goods": (
        of(FRUIT, {**PERCENT, "pieces": {"count_max": 1}}),
        "promotions[0].products",
        "percent_off takes pieces",
    ),
    "points for pieces of weighed goods": (
        rewarding(
            {
                "code": "points_fixed",
                "asset_code": "points",
                "amount_minor": 1,
                "for_each_count": 1,
            },
            products=FRUIT,
        ),
        "promotions[0].products",
        "points_fixed takes pieces",
    ),
    "a bundle as dear as its parts": (
        bundle(parts=PARTS, price_minor=540),
        f"{PLACE}.price_minor",
        "540 lowers nothing: at list price the dearest costs 540",
    ),
    "a bundle of one set as dear as its pieces": (
        of(DRINKS, {"code": "bundle_price", "set_count": 3, "price_minor": 400}),
        f"{PLACE}.price_minor",
        "at list price the dearest costs 360",
    ),
    "more off a bundle than it costs": (
        bundle(parts=PARTS, amount_off_minor=600),
        f"{PLACE}.amount_off_minor",
        "600 gives all away: at list price the dearest costs 540",
    ),
    "a price that is no lower": (
        of(LUNCH, {"code": "fixed_price", "price_minor": 300}),
        f"{PLACE}.price_minor",
        "300 lowers nothing",
    ),
    "more off than anything costs": (
        of(DRINKS, {"code": "amount_off", "amount_minor": 5_000}),
        f"{PLACE}.amount_minor",
        "5000 gives all away: at list price the dearest costs 120",
    ),
    "a tier that is no cheaper": (
        of(DRINKS, tiers({"from_milli": 3_000, "price_minor": 120})),
        f"{PLACE}.tiers[0].price_minor",
        "120 lowers nothing",
    ),
    "a tier that gives all away": (
        of(DRINKS, tiers({"from_milli": 3_000, "amount_off_minor": 130})),
        f"{PLACE}.tiers[0].amount_off_minor",
        "130 gives all away",
    ),
    "a gift at its price": (
        promotions({"code": "gift", "skus": ["cola"], "price_minor": 120}),
        f"{PLACE}.price_minor",
        "120 lowers nothing",
    ),
}


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID.keys())
def test_nothing_is_wrong_with(changes: Tree) -> None:
    assert found(changes) == ()


@pytest.mark.parametrize(("changes", "path", "reason"), WRONG.values(), ids=WRONG.keys())
def test_is_found(changes: Tree, path: str, reason: str) -> None:
    (problem,) = found(changes)
    assert problem.path == path
    assert reason in problem.reason


def test_figures_of_a_set() -> None:
    dairy, named = ProductSet(categories=("dairy",)), ProductSet(skus=("cheese", "milk", "bag"))
    assert figures_of((dairy, named), CATALOGUE) == (
        SetFigures(1, 1, (), 900),
        SetFigures(2, 1, ("cheese",), 0),
    )


def test_a_set_is_asked_about_once() -> None:
    written = program(**of(LUNCH, PERCENT, TWO_PLUS_ONE))
    assert sets_asked(written) == (ProductSet(categories=("lunch",)),)
