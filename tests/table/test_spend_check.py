"""Spend rules and earn bounds that can never do what they say."""

import pytest

from rewards.problem import Problem
from rewards.spend_check import check_spending
from tests.program_tree import Tree, program

ASSETS: list[Tree] = [
    {
        "code": code,
        "kind": kind,
        "names": [{"language_code": "en", "forms": [{"category": "other", "text": code}]}],
    }
    for code, kind in (
        ("points", "points"),
        ("stamps", "stamps"),
        ("next", "deferred_discount"),
        ("gift", "gift_money"),
    )
]
RULE: Tree = {"asset_code": "points", "step_minor": 100, "value_minor": 100}


def found(changes: Tree) -> tuple[Problem, ...]:
    return tuple(check_spending(program(assets=ASSETS, **changes)))


def rule(**changes: object) -> Tree:
    return {"spend_rules": [{**RULE, **changes}]}


def bound(**changes: object) -> Tree:
    return {"earn_bounds": [{"asset_code": "points", **changes}]}


VALID: dict[str, Tree] = {
    "points": rule(),
    "a discount by itself": rule(asset_code="next", automatic=True),
    "a tender": rule(mode="tender", share_max_bp=5_000),
    "by zone, then everywhere": {"spend_rules": [{**RULE, "zones": ["north"]}, RULE]},
    "a bound of a day": rule(customer_max_minor=1_000, customer_period="day"),
    "stamps are earned within bounds": bound(asset_code="stamps", receipt_max_minor=3),
}

WRONG: dict[str, tuple[Tree, str, str]] = {
    "no such asset": (rule(asset_code="x"), "spend_rules[0].asset_code", "no asset is named 'x'"),
    "stamps": (
        rule(asset_code="stamps"),
        "spend_rules[0].asset_code",
        "asset 'stamps' is of kind stamps, with which nobody pays; "
        "needed: points or deferred_discount",
    ),
    "gift money": (rule(asset_code="gift"), "spend_rules[0].asset_code", "of kind gift_money"),
    "a tender by itself": (
        rule(mode="tender", automatic=True),
        "spend_rules[0].automatic",
        "has no effect with tender",
    ),
    "never enough": (
        rule(customer_max_minor=400, minimum_minor=500),
        "spend_rules[0].customer_max_minor",
        "400 is below 500",
    ),
    "a period of nothing": (
        rule(customer_period="day"),
        "spend_rules[0].customer_period",
        "customer_max_minor is 0",
    ),
    "products in and out": (
        rule(products={"skus": ["a"], "except_skus": ["a"]}),
        "spend_rules[0].products.except_skus[0]",
        "both put in and left out",
    ),
    "a zone twice": (rule(zones=["n", "n"]), "spend_rules[0].zones[1]", "is already at"),
    "behind a rule for all": (
        {"spend_rules": [RULE, {**RULE, "segments": ["vip"]}]},
        "spend_rules[1]",
        "is never reached: spend_rules[0] fits every store and customer",
    ),
    "a bound of nothing": (bound(), "earn_bounds[0]", "bounds nothing"),
    "a bound of no asset": (
        bound(asset_code="x", receipt_max_minor=1),
        "earn_bounds[0].asset_code",
        "no asset is named 'x'; known: gift, next, points, stamps",
    ),
    "a bound's period": (
        bound(receipt_max_minor=1, customer_period="week"),
        "earn_bounds[0].customer_period",
        "customer_max_minor is 0",
    ),
}


@pytest.mark.parametrize("name", VALID)
def test_valid(name: str) -> None:
    assert found(VALID[name]) == ()


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name: str) -> None:
    changes, path, reason = WRONG[name]
    (problem,) = found(changes)
    assert problem.path == path
    assert reason in problem.reason
