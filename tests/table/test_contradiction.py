"""Promotions that can never take effect: each part is right, and together they leave nothing."""

from typing import Any

import pytest

from tests.program_tree import (
    PERCENT,
    SKU,
    Tree,
    Wrong,
    asking,
    asset,
    check_wrong,
    problems,
    promotions,
    rewarding,
    texts,
)

PLACE = "promotions[0]"
FIRST = f"{PLACE}.conditions[0]"
SECOND = f"{PLACE}.conditions[1]"
SUNDAY = "2026-11-22"
NOBODY = {"code": "known_customer", "known": False}
COUPON = {"code": "coupon", "any_of": ["A"]}
OTHER_COUPON = {"code": "coupon", "any_of": ["B"]}
FIRST_PURCHASE = {"code": "nth_purchase", "n": 1}
POINTS = {"code": "points_fixed", "asset_code": "points", "amount_minor": 11}
BUNDLE = {
    "code": "bundle_price",
    "parts": [{"products": {"skus": [sku]}} for sku in "12"],
    "price_minor": 1,
}
NONE_OF_OWN = {"code": "products", "products": SKU, "none": True}


def on_sunday(*conditions: Tree, **hours: str) -> Tree:
    return asking(*conditions, when={"from_date": SUNDAY, "to_date": SUNDAY, **hours})


def segments(**names: list[str]) -> Tree:
    return {"code": "segments", **names}


def amount(**bounds: Any) -> Tree:
    return {"code": "receipt_amount", **bounds}


def history(**bounds: int) -> Tree:
    return {"code": "history", "counter_code": "c", **bounds}


def products(**keys: Any) -> Tree:
    return {"code": "products", **keys}


def at_most_a_unit(minor: int, *gives: Tree) -> Tree:
    return promotions(*gives, products={"unit_price_to_minor": minor})


def with_most(most_minor: int, keys: Tree) -> Tree:
    bounded = asset("points", balance_max_minor=most_minor)
    return {**keys, "assets": [bounded, asset("stamps")]}


def in_class(keys: Tree, *skus: str, **rule: Any) -> Tree:
    return {**keys, "product_classes": [{"products": {"skus": list(skus)}, **rule}]}


VALID: dict[str, Tree] = {
    "a day of the period": on_sunday({"code": "weekdays", "days": [6, 7]}),
    "any weekday of a week": asking(
        {"code": "weekdays", "days": [1]}, when={"from_date": SUNDAY, "to_date": "2026-11-28"}
    ),
    "hours of the day": on_sunday(
        {"code": "hours", "from_time": "09:00", "to_time": "10:00"}, from_time="09:59"
    ),
    "hours over midnight": on_sunday(
        {"code": "hours", "from_time": "22:00", "to_time": "02:00"}, to_time="01:00"
    ),
    "in one segment and not in another": asking(
        segments(any_of=["a", "b"]), segments(none_of=["a"])
    ),
    "amounts that meet": asking(amount(from_minor=5), amount(to_minor=5)),
    "amounts at different times": asking(amount(from_minor=5), amount(to_minor=4, basis="as_sent")),
    "counts that meet": asking(history(from_count=5), history(to_count=5)),
    "quantities of different sets": asking(
        products(quantity_from_milli=5_000), products(products=SKU, quantity_to_milli=1_000)
    ),
    "both coupons": asking(COUPON, OTHER_COUPON),
    "one coupon twice": {
        **asking(COUPON, {"code": "coupon", "any_of": ["a", "B"]}),
        "coupon_rules": {"choose": "first"},
    },
    "the first purchase or none for long": asking(
        FIRST_PURCHASE, {"code": "days_since_purchase", "from_days": 9, "never_counts": True}
    ),
    "as many articles as there are": asking(
        products(articles_from=2), products={"skus": ["1", "2"]}
    ),
    "articles of a category": asking(
        products(articles_from=2), products={"skus": ["1"], "categories": ["a"]}
    ),
    "others are not there": asking(products(products={"skus": ["2"]}, none=True), products=SKU),
    "none of what the bundle does not name": promotions(BUNDLE, conditions=[NONE_OF_OWN]),
    "a lower price": at_most_a_unit(100, {"code": "fixed_price", "price_minor": 99}),
    "a lower price of two": at_most_a_unit(
        100, {"code": "bundle_price", "set_count": 2, "price_minor": 199}
    ),
    "what somebody may own": with_most(11, rewarding(POINTS)),
    "own offer and another article": promotions(
        products={"skus": ["1"], "own_offer": "x"}, conditions=[NOBODY]
    ),
    "a gift to what is not lowered": in_class(
        promotions({"code": "gift", "skus": ["9"]}, products=SKU), "1", no_discount=True
    ),
    "more than the class": in_class(
        promotions(products={"skus": ["1", "2"]}), "1", no_discount=True
    ),
    "a discount where nothing is earned": in_class(promotions(products=SKU), "1", no_earn=True),
    "a message where nothing is earned": in_class(
        rewarding({"code": "message", "texts": texts()}, products=SKU), "1", no_earn=True
    ),
    "a discount without a coupon where none works": in_class(
        promotions(products=SKU), "1", no_coupon=True
    ),
    "a message with points where nothing is earned": in_class(
        rewarding(POINTS, {"code": "message", "texts": texts()}, products=SKU), "1", no_earn=True
    ),
    "a class of some articles of a brand": {
        **promotions(products=SKU),
        "product_classes": [
            {"products": {"skus": ["1"], "except_brands": ["x"]}, "no_discount": True}
        ],
    },
    "a coupon's code and another's series": {
        **asking(COUPON, {"code": "coupon", "any_of": ["B"], "series": ["s"]}),
        "coupon_rules": {"choose": "first"},
        "coupon_series": [{"series_code": "s"}],
    },
    "a goodwill that fits": {
        "assets": [asset("points", balance_max_minor=5, goodwill_max_minor=5), asset("stamps")]
    },
}

WRONG: Wrong = {
    "weekday outside the period": (
        on_sunday({"code": "weekdays", "days": [1, 6]}),
        f"{FIRST}.days",
        "none of these days is from 2026-11-22 to 2026-11-22",
    ),
    "hours before the day starts": (
        on_sunday({"code": "hours", "from_time": "08:00", "to_time": "09:00"}, from_time="09:00"),
        FIRST,
        "never holds: on 2026-11-22 the promotion is from 09:00 to 24:00",
    ),
    "hours after the day": (
        on_sunday({"code": "hours", "from_time": "18:00", "to_time": "19:00"}, to_time="18:00"),
        FIRST,
        "is from 00:00 to 18:00",
    ),
    "in a segment and not in it": (
        asking(segments(any_of=["a"]), segments(none_of=["b", "a"])),
        SECOND,
        "never holds: who is in a segment of any_of is in one of none_of; see promotions[0].co",
    ),
    "not in a segment and in it": (
        asking(segments(none_of=["a"]), segments(any_of=["a"])),
        SECOND,
        "never holds",
    ),
    "amounts that cross": (
        asking(amount(from_minor=6), amount(to_minor=5)),
        SECOND,
        "nothing is 6 or more and at most 5",
    ),
    "counts that cross": (
        asking(history(to_count=4), history(from_count=5)),
        SECOND,
        "no count is in both ranges",
    ),
    "quantities that cross": (
        asking(products(quantity_to_milli=1_000), products(quantity_from_milli=2_000)),
        SECOND,
        "nothing is 2000 or more and at most 1000",
    ),
    "amounts of products that cross": (
        asking(products(amount_to_minor=10), products(amount_from_minor=11)),
        SECOND,
        "nothing is 11 or more and at most 10",
    ),
    "none and some": (
        asking(
            products(products=SKU, none=True), products(products=SKU, quantity_from_milli=1_000)
        ),
        SECOND,
        "of the same products there must be none and some",
    ),
    "two coupons where one counts": (
        {**asking(COUPON, OTHER_COUPON), "coupon_rules": {"choose": "last"}},
        SECOND,
        "coupon_rules.choose lets one code of a receipt count",
    ),
    "days since before the first": (
        asking({"code": "days_since_purchase", "from_days": 3}, FIRST_PURCHASE),
        SECOND,
        "before the first purchase there is none",
    ),
    "more articles than are named": (
        asking(products(articles_from=2), products=SKU),
        f"{FIRST}.articles_from",
        "2 are never there: the set names 1",
    ),
    "its own products must not be there": (
        asking(NONE_OF_OWN, products=SKU),
        f"{FIRST}.products",
        "holds the promotion's own products",
    ),
    "nothing at all must be there": (
        asking(products(products={}, none=True), products=SKU),
        f"{FIRST}.products",
        "is every product",
    ),
    "a price that lowers nothing": (
        at_most_a_unit(100, {"code": "fixed_price", "price_minor": 100}),
        f"{PLACE}.gives[0].price_minor",
        "100 lowers nothing: products cost 100 at most, says unit_price_to_minor",
    ),
    "a tier that lowers nothing": (
        at_most_a_unit(
            100,
            {
                "code": "quantity_tiers",
                "tiers": [
                    {"from_milli": 2_000, "price_minor": 120},
                    {"from_milli": 3_000, "price_minor": 80},
                ],
            },
        ),
        f"{PLACE}.gives[0].tiers[0].price_minor",
        "120 lowers nothing",
    ),
    "two for what they cost": (
        at_most_a_unit(100, {"code": "bundle_price", "set_count": 2, "price_minor": 200}),
        f"{PLACE}.gives[0].price_minor",
        "products cost 200 at most",
    ),
    "a cost that nobody has": (
        with_most(10, promotions(cost={"asset_code": "points", "amount_minor": 11})),
        f"{PLACE}.cost.amount_minor",
        "11 is more than anybody owns: balance_max_minor of 'points' is 10",
    ),
    "a balance that nobody has": (
        with_most(10, asking({"code": "balance", "asset_code": "points", "from_minor": 11})),
        f"{FIRST}.from_minor",
        "more than anybody owns",
    ),
    "points that nobody can be given": (
        with_most(10, rewarding(POINTS)),
        f"{PLACE}.gives[0].amount_minor",
        "more than anybody owns",
    ),
    "a gesture that nobody can be given": (
        {"assets": [asset("points", balance_max_minor=5, goodwill_max_minor=6), asset("stamps")]},
        "assets[0].goodwill_max_minor",
        "6 is above balance_max_minor 5",
    ),
    "own offer of nobody": (
        promotions(products={"own_offer": "x"}, conditions=[NOBODY]),
        f"{PLACE}.products.own_offer",
        "known_customer says that the customer must not be known",
    ),
    "a discount that a class forbids": (
        in_class(promotions(products=SKU), "1", "2", no_discount=True),
        f"{PLACE}.products",
        "a class of products that nothing may lower",
    ),
    "a discount under a floor of everything": (
        in_class(promotions(products=SKU), "1", floor_bp=10_000),
        f"{PLACE}.products",
        "nothing may lower",
    ),
    "a coupon that a class forbids": (
        in_class(promotions(products=SKU, conditions=[COUPON]), "1", no_coupon=True),
        f"{PLACE}.products",
        "no coupon works on",
    ),
    "points that a class forbids": (
        in_class(rewarding(POINTS, products=SKU), "1", no_earn=True),
        f"{PLACE}.products",
        "on which nothing is earned",
    ),
    "a name of blanks": (
        promotions(names=[{"language_code": "ru", "text": "  "}]),
        f"{PLACE}.names[0].text",
        "is blank",
    ),
    "a message of blanks": (
        rewarding({"code": "message", "texts": [{"language_code": "ru", "text": "\n"}]}),
        f"{PLACE}.gives[0].texts[0].text",
        "is blank",
    ),
    "a party with a blank": (
        promotions(PERCENT, funding=[{"party_id": "brand ", "share_bp": 100}]),
        f"{PLACE}.funding[0].party_id",
        "'brand ' has blanks around it",
    ),
}


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID.keys())
def test_nothing_is_wrong_with(changes: Tree) -> None:
    assert problems(changes) == ()


@pytest.mark.parametrize(("changes", "path", "reason"), WRONG.values(), ids=WRONG.keys())
def test_is_found(changes: Tree, path: str, reason: str) -> None:
    check_wrong(changes, path, reason)
