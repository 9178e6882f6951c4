"""Each way in which fields of a program can contradict each other: the place and the reason."""

from typing import Any

import msgspec
import pytest

from rewards.benefit import Benefit
from rewards.program import Program
from rewards.program_check import LANES_ALLOWED, check_program


def texts(*languages: str) -> list[dict[str, str]]:
    return [{"language_code": language, "text": "text"} for language in languages or ("ru",)]


def promotion(promotion_id: str = "p", **changes: Any) -> dict[str, Any]:
    gives = {"code": "percent_off", "rate_bp": 100}
    fields = {"promotion_id": promotion_id, "names": texts(), "lane": "price", "gives": gives}
    return fields | changes


def asset(code: str, kind: str = "points", **changes: Any) -> dict[str, Any]:
    names = [{"language_code": "ru", "forms": [{"category": "other", "text": "балла"}]}]
    return {"code": code, "kind": kind, "names": names} | changes


def field(code: str, check: str = "text", **changes: Any) -> dict[str, Any]:
    return {"field_code": code, "questions": texts(), "check": check} | changes


def link(link_id: str = "l", **changes: Any) -> dict[str, Any]:
    fields = {"link_id": link_id, "basket": {}, "show": {"skus": ["1"]}, "texts": texts()}
    return fields | changes


def program(**changes: Any) -> Program:
    fields = {
        "program_id": "program",
        "chain_id": "chain",
        "currency_code": "RUB",
        "language_code": "ru",
        "assets": [asset("points"), asset("later", "deferred_discount")],
        "point_value_micros": 1_000_000,
    }
    return msgspec.convert(fields | changes, Program)


def gives(code: str, lane: str, **arguments: Any) -> dict[str, Any]:
    return {"promotions": [promotion(lane=lane, gives={"code": code, **arguments})]}


def limited(code: str, lane: str, **arguments: Any) -> dict[str, Any]:
    gives = {"code": code, **arguments}
    return {"promotions": [promotion(lane=lane, gives=gives, limits=ONCE)]}


def template(text_code: str, text: str = "text", language: str = "ru") -> dict[str, Any]:
    return {"text_code": text_code, "texts": [{"language_code": language, "text": text}]}


ONCE = {"times_per_receipt": 1}
SEX = field("sex", "choice", choices=["female", "male"])

VALID: dict[str, dict[str, Any]] = {
    "nothing but assets": {},
    "percent in lane basket": gives("percent_off", "basket", rate_bp=1),
    "receipt discount by rate": gives("receipt_discount", "basket", rate_bp=500),
    "receipt discount by amount": gives("receipt_discount", "basket", amount_minor=500),
    "points": gives("points_rate", "reward", asset_code="points", rate_bp=100),
    "deferred": gives("deferred_discount", "reward", asset_code="later", amount_minor=1),
    "one day": {
        "promotions": [promotion(when={"from_date": "2026-02-28", "to_date": "2026-02-28"})]
    },
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
    "text that names all its figures": {
        "texts": [template("reward_points", "{{{promotion}}}: {amount} {asset}")]
    },
    "limit of sets": {
        "promotions": [
            promotion("a", gives={"code": "cheapest_free", "set_count": 3}, limits=ONCE),
            promotion(
                "b", gives={"code": "n_plus_m", "pay_count": 1, "free_count": 1}, limits=ONCE
            ),
        ]
    },
}

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "asset code twice": (
        {"assets": [asset("points"), asset("points")]},
        "assets[1].code",
        "'points' is already at assets[0]",
    ),
    "asset without the default language": (
        {"language_code": "en", "assets": [asset("points")]},
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
    "promotion id twice": (
        {"promotions": [promotion("a"), promotion("b"), promotion("a")]},
        "promotions[2].promotion_id",
        "'a' is already at promotions[0]",
    ),
    "promotion without the default language": (
        {"promotions": [promotion(names=texts("en"))]},
        "promotions[0].names",
        "lacks the program's default language ru",
    ),
    "promotion named twice in a language": (
        {"promotions": [promotion(names=texts("ru", "ru"))]},
        "promotions[0].names[1].language_code",
        "already",
    ),
    "percent in lane reward": (
        gives("percent_off", "reward", rate_bp=1),
        "promotions[0].lane",
        "allowed: price, basket",
    ),
    "limit of a percentage": (
        {"promotions": [promotion(limits=ONCE)]},
        "promotions[0].limits.times_per_receipt",
        "percent_off has no times to count; only n_plus_m and cheapest_free",
    ),
    "limit of a receipt discount": (
        limited("receipt_discount", "basket", amount_minor=1),
        "promotions[0].limits.times_per_receipt",
        "receipt_discount has no times to count",
    ),
    "limit of points": (
        limited("points_rate", "reward", asset_code="points", rate_bp=1),
        "promotions[0].limits.times_per_receipt",
        "points_rate has no times to count",
    ),
    "limit of a deferred discount": (
        limited("deferred_discount", "reward", asset_code="later", amount_minor=1),
        "promotions[0].limits.times_per_receipt",
        "deferred_discount has no times to count",
    ),
    "day that does not exist": (
        {"promotions": [promotion(when={"from_date": "2026-02-29"})]},
        "promotions[0].when.from_date",
        "there is no day 2026-02-29",
    ),
    "ends before it starts": (
        {"promotions": [promotion(when={"from_date": "2026-03-02", "to_date": "2026-03-01"})]},
        "promotions[0].when.to_date",
        "2026-03-01 is before from_date 2026-03-02",
    ),
    "neither rate nor amount": (
        gives("receipt_discount", "basket"),
        "promotions[0].gives",
        "needs one of rate_bp and amount_minor",
    ),
    "both rate and amount": (
        gives("deferred_discount", "reward", asset_code="later", rate_bp=1, amount_minor=1),
        "promotions[0].gives.amount_minor",
        "give one of the two",
    ),
    "unknown asset": (
        gives("points_rate", "reward", asset_code="stars", rate_bp=1),
        "promotions[0].gives.asset_code",
        "no asset is named 'stars'; of kind points there are: points",
    ),
    "asset of the wrong kind": (
        gives("points_rate", "reward", asset_code="later", rate_bp=1),
        "promotions[0].gives.asset_code",
        "is of kind deferred_discount, but points is needed",
    ),
    "sku put in and left out": (
        {"promotions": [promotion(what={"products": {"skus": ["1"], "except_skus": ["1"]}})]},
        "promotions[0].what.products.except_skus[0]",
        "also among those put in",
    ),
    "field code twice": (
        {"profile_fields": [field("a"), field("a")]},
        "profile_fields[1].field_code",
        "already",
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
        "no text has the code 'slip_savd'; known: add_piece, reward_points",
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
        {"promotions": [promotion(who={"segments": ["a", "b\0"]})]},
        "promotions[0].who.segments[1]",
        "NUL",
    ),
}


@pytest.mark.parametrize("changes", VALID.values(), ids=VALID.keys())
def test_nothing_is_wrong_with(changes: dict[str, Any]) -> None:
    assert check_program(program(**changes)) == ()


@pytest.mark.parametrize(("changes", "path", "reason"), WRONG.values(), ids=WRONG.keys())
def test_is_found(changes: dict[str, Any], path: str, reason: str) -> None:
    problems = check_program(program(**changes))
    assert [problem.path for problem in problems] == [path]
    assert reason in problems[0].reason


def test_every_problem_is_found_at_once() -> None:
    found = check_program(
        program(promotions=[promotion(lane="reward"), promotion(when={"to_date": "2026-99-99"})])
    )
    assert [problem.path for problem in found] == [
        "promotions[1].promotion_id",
        "promotions[0].lane",
        "promotions[1].when.to_date",
    ]


def test_backslashes_are_not_nul() -> None:
    assert check_program(program(promotions=[promotion(who={"segments": [r"\u0000"]})])) == ()


def test_every_benefit_has_its_lanes() -> None:
    kinds = Benefit.__args__
    assert set(LANES_ALLOWED) == {kind.__struct_config__.tag for kind in kinds}
