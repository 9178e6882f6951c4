"""Each way in which parts of a program can contradict each other: the place and the reason.

Conditions, benefits and promotions have tables of their own.
"""

from typing import Any

import pytest

from tests.program_tree import (
    SKU,
    Tree,
    Wrong,
    asking,
    asset,
    check_wrong,
    problems,
    texts,
)


def field(code: str, check: str = "text", **changes: Any) -> Tree:
    return {"field_code": code, "questions": texts(), "check": check} | changes


def link(link_id: str = "l", **changes: Any) -> Tree:
    fields = {"link_id": link_id, "basket": {}, "show": SKU, "texts": texts()}
    return fields | changes


def template(text_code: str, text: str = "text", language: str = "ru") -> Tree:
    return {"text_code": text_code, "texts": [{"language_code": language, "text": text}]}


def classes(**keys: Any) -> Tree:
    return {"product_classes": [{"products": {"categories": ["tobacco"]}} | keys]}


SEX = field("sex", "choice", choices=["female", "male"])

VALID: dict[str, Tree] = {
    "nothing but assets": {},
    "question that depends on a choice": {
        "profile_fields": [
            SEX,
            field(
                "surname", valid_days=9, first_asked_if=["sex=male"], asked_again_if=["sex=male"]
            ),
        ]
    },
    "question that depends on yes or no": {
        "profile_fields": [field("car", "yes_no"), field("plate", first_asked_if=["car=yes"])]
    },
    "link that says the product": {
        "cross_sell_links": [link(texts=[{"language_code": "ru", "text": "{product}, {{}}"}])]
    },
    "last group fits every till": {
        "till_groups": [{"group_id": "a", "stores": ["s"]}, {"group_id": "b"}]
    },
    "texts need no default language": {"texts": [template("slip_saved", "text", "en")]},
    "nothing earned, no coupon": classes(no_discount=True, no_earn=True, no_coupon=True),
    "no cross-sell": classes(no_cross_sell=True),
    "a floor": classes(floor_bp=3_000),
    "a floor for everything": classes(products={}, floor_bp=3_000),
    "a floor by price": classes(products={"unit_price_to_minor": 100}, floor_bp=3_000),
    "text that names all its figures": {
        "texts": [template("reward_points", "{{{promotion}}}: {amount} {asset}")]
    },
}

WRONG: Wrong = {
    "asset code twice": (
        {"assets": [asset("points"), asset("points")]},
        "assets[1].code",
        "'points' is already at assets[0]",
    ),
    "two kinds of gift money": (
        {"assets": [asset("points"), asset("a", "gift_money"), asset("b", "gift_money")]},
        "assets[2].kind",
        "besides assets[1]",
    ),
    "gift money that has to be waited for": (
        {"assets": [asset("points"), asset("a", "gift_money", active_after_days=1)]},
        "assets[1].active_after_days",
        "as soon as it is paid for",
    ),
    "gift money with a bound": (
        {"assets": [asset("points"), asset("a", "gift_money", balance_max_minor=1)]},
        "assets[1].balance_max_minor",
        "gift money is on cards",
    ),
    "money with another worth": (
        {"assets": [asset("points"), asset("a", "deferred_discount", value_micros=1)]},
        "assets[1].value_micros",
        "is money itself",
    ),
    "series twice": (
        {"coupon_series": [{"series_code": "a"}, {"series_code": "a"}]},
        "coupon_series[1].series_code",
        "already",
    ),
    "series that nobody knows": (
        asking({"code": "coupon", "series": ["b"]}, lane="price")
        | {"coupon_series": [{"series_code": "a"}]},
        "promotions[0].conditions[0].series[0]",
        "no coupon_series is named 'b'",
    ),
    "coupon of nothing": (
        asking({"code": "coupon"}),
        "promotions[0].conditions[0]",
        "needs any_of or series",
    ),
    "tier for everybody": (
        {"tier_rules": [{"tier_code": "gold"}]},
        "tier_rules[0]",
        "needs amount_from_minor or receipts_from",
    ),
    "tier with blanks": (
        {"tier_rules": [{"tier_code": " gold", "receipts_from": 1}]},
        "tier_rules[0].tier_code",
        "has blanks around it",
    ),
    "asset without the default language": (
        {"language_code": "en", "assets": [asset("points")], "profile_fields": []},
        "assets[0].names",
        "lacks the program's default language en",
    ),
    "plural category twice": (
        {
            "assets": [
                asset(
                    "points",
                    names=[
                        {
                            "language_code": "ru",
                            "forms": [
                                {"category": "other", "text": "a"},
                                {"category": "other", "text": "b"},
                            ],
                        }
                    ],
                )
            ]
        },
        "assets[0].names[0].forms[1].category",
        "already",
    ),
    "plural without other": (
        {
            "assets": [
                asset(
                    "points",
                    names=[{"language_code": "ru", "forms": [{"category": "one", "text": "a"}]}],
                )
            ]
        },
        "assets[0].names[0].forms",
        "other",
    ),
    "points valued but none": (
        {"assets": [asset("later", "deferred_discount")]},
        "point_value_micros",
        "no asset is of kind points",
    ),
    "field code twice": (
        {"profile_fields": [field("a"), field("a")]},
        "profile_fields[1].field_code",
        "already",
    ),
    "question without the default language": (
        {"profile_fields": [field("a", questions=texts("en"))]},
        "profile_fields[0].questions",
        "lacks the program's default language ru",
    ),
    "choice without choices": (
        {"profile_fields": [field("a", "choice")]},
        "profile_fields[0].choices",
        "is empty, but the check is choice",
    ),
    "choices without choice": (
        {"profile_fields": [field("a", choices=["x"])]},
        "profile_fields[0].choices",
        "not choice",
    ),
    "choice twice": (
        {"profile_fields": [field("a", "choice", choices=["x", "x"])]},
        "profile_fields[0].choices[1]",
        "already",
    ),
    "depends on an unknown field": (
        {"profile_fields": [field("a", first_asked_if=["b=1"])]},
        "profile_fields[0].first_asked_if[0]",
        "no profile field is named 'b'",
    ),
    "depends on an open answer": (
        {"profile_fields": [field("a", first_asked_if=["b=1"]), field("b")]},
        "profile_fields[0].first_asked_if[0]",
        "only choice and yes_no",
    ),
    "depends on an answer nobody can give": (
        {"profile_fields": [SEX, field("a", valid_days=1, asked_again_if=["sex=none"])]},
        "profile_fields[1].asked_again_if[0]",
        "its answers: female, male",
    ),
    "depends on itself": (
        {"profile_fields": [field("a", "yes_no", first_asked_if=["a=yes"])]},
        "profile_fields[0].first_asked_if[0]",
        "its own answer",
    ),
    "fields wait for each other": (
        {
            "profile_fields": [
                field("a", "yes_no", first_asked_if=["b=yes"]),
                field("b", "yes_no", first_asked_if=["a=yes"]),
            ]
        },
        "profile_fields",
        "goes in a circle",
    ),
    "asked again, but valid for ever": (
        {"profile_fields": [SEX, field("a", asked_again_if=["sex=male"])]},
        "profile_fields[1].asked_again_if",
        "valid_days is 0",
    ),
    "never asked, but asked if": (
        {"profile_fields": [SEX, field("a", never_asked=True, first_asked_if=["sex=male"])]},
        "profile_fields[1].never_asked",
        "contradicts",
    ),
    "link id twice": (
        {"cross_sell_links": [link(), link()]},
        "cross_sell_links[1].link_id",
        "already",
    ),
    "link without the default language": (
        {"cross_sell_links": [link(texts=texts("en"))]},
        "cross_sell_links[0].texts",
        "lacks the program's default language ru",
    ),
    "link shows everything": (
        {"cross_sell_links": [link(show={"except_skus": ["1"]})]},
        "cross_sell_links[0].show",
        "names no products",
    ),
    "link with an unknown placeholder": (
        {"cross_sell_links": [link(texts=[{"language_code": "ru", "text": "{price}"}])]},
        "cross_sell_links[0].texts[0].text",
        "{price} is not known here",
    ),
    "link with an open brace": (
        {"cross_sell_links": [link(texts=[{"language_code": "ru", "text": "{product"}])]},
        "cross_sell_links[0].texts[0].text",
        "brace",
    ),
    "text of an unknown code": (
        {"texts": [template("slip_savd")]},
        "texts[0].text_code",
        "no text has the code 'slip_savd'; known: add_piece",
    ),
    "text with an unknown placeholder": (
        {"texts": [template("slip_earned_points", "{amount} {name}")]},
        "texts[0].texts[0].text",
        "{name} is not known here; known: {amount}, {asset}",
    ),
    "text with a placeholder where there is none": (
        {"texts": [template("slip_voided", "{amount}")]},
        "texts[0].texts[0].text",
        "{amount} is not known here; known: none",
    ),
    "text with a placeholder without a name": (
        {"texts": [template("slip_saved", "{}")]},
        "texts[0].texts[0].text",
        "{} is not known here; known: {amount}",
    ),
    "text with a placeholder of its own form": (
        {"texts": [template("slip_saved", "{amount!r:>9}")]},
        "texts[0].texts[0].text",
        "{amount!r:>9} is not known here; known: {amount}",
    ),
    "text with a stray brace": (
        {"texts": [template("slip_saved", "{amount}}")]},
        "texts[0].texts[0].text",
        "a brace has no partner",
    ),
    "basket of an own offer": (
        {"cross_sell_links": [link(basket={"own_offer": "favourite"})]},
        "cross_sell_links[0].basket.own_offer",
        "cannot be asked here; only promotions can",
    ),
    "link to a price": (
        {"cross_sell_links": [link(show=SKU | {"unit_price_from_minor": 1})]},
        "cross_sell_links[0].show.unit_price_from_minor",
        "cannot be asked here; only what is sold has a price",
    ),
    "link that shows what it leaves out": (
        {"cross_sell_links": [link(show=SKU | {"except_skus": ["1"]})]},
        "cross_sell_links[0].show.except_skus[0]",
        "both put in and left out",
    ),
    "class that says nothing": (classes(), "product_classes[0]", "says nothing; needs no_discount"),
    "class of a floor and no discount": (
        classes(no_discount=True, floor_bp=1),
        "product_classes[0].floor_bp",
        "stands beside no_discount, which keeps all of the price",
    ),
    "class of everything": (
        classes(products={}, no_earn=True),
        "product_classes[0].products",
        "is every product: no_earn would switch off all there is of it",
    ),
    "class of an own offer": (
        classes(products={"own_offer": "favourite"}, no_earn=True),
        "product_classes[0].products.own_offer",
        "a class is a rule of the chain",
    ),
    "class that nothing fits": (
        classes(products={"brands": ["b"], "except_brands": ["b"]}, no_earn=True),
        "product_classes[0].products.except_brands[0]",
        "both put in and left out",
    ),
    "group that is never reached": (
        {"till_groups": [{"group_id": "a"}, {"group_id": "b"}]},
        "till_groups[1]",
        "never reached",
    ),
    "text code twice": (
        {"texts": [template("slip_saved"), template("slip_saved")]},
        "texts[1].text_code",
        "already",
    ),
    "NUL in a text": (
        asking({"code": "segments", "any_of": ["a", "b\0"]}),
        "promotions[0].conditions[0].any_of[1]",
        "NUL",
    ),
}


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID.keys())
def test_nothing_is_wrong_with(changes: Tree) -> None:
    assert problems(changes) == ()


@pytest.mark.parametrize(("changes", "path", "reason"), WRONG.values(), ids=WRONG.keys())
def test_is_found(changes: Tree, path: str, reason: str) -> None:
    check_wrong(changes, path, reason)


def test_backslashes_are_not_nul() -> None:
    assert problems(asking({"code": "segments", "any_of": [r"\u0000"]})) == ()
