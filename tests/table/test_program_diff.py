"""The difference of two programs: one row a change, what is said of it, and what is no change."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from rewards.program import Program
from rewards.program_diff import (
    CHANGES_MAX,
    FIELDS_AN_ITEM_MAX,
    FIELDS_MAX,
    ITEM_KINDS,
    KINDS,
    SETTING,
    ChangeCount,
    Difference,
    diff_programs,
)
from rewards.spelling import VALUE_CHARS_MAX, spell

Tree = dict[str, Any]
PERCENT: Tree = {"code": "percent_off", "rate_bp": 100}
NAME = [{"language_code": "ru", "text": "x"}]


def promotion(promotion_id: str = "p", **changes: Any) -> Tree:
    fields = {"promotion_id": promotion_id, "names": NAME, "lane": "price", "gives": [PERCENT]}
    return fields | changes


def asset(code: str) -> Tree:
    forms = [{"category": "other", "text": "x"}]
    return {"code": code, "kind": "points", "names": [{"language_code": "ru", "forms": forms}]}


def program(**changes: Any) -> Program:
    tree = {
        "program_id": "a",
        "chain_id": "c",
        "currency_code": "RUB",
        "language_code": "ru",
        "assets": [asset("points")],
        "promotions": [promotion()],
    }
    return msgspec.convert(tree | changes, Program)


def said(old: Program | None, new: Program | None) -> list[str]:
    """A line an item, and a line a field that changes in it."""
    lines = []
    for item in diff_programs(old, new).changes:
        lines.append(f"{item.change} {item.kind} {item.item_id}")
        lines += [f"  {field.path}: {field.old} -> {field.new}" for field in item.fields]
    return lines


def of(**keys: Any) -> Tree:
    """Keys of a program with one promotion that says this besides."""
    return {"promotions": [promotion(**keys)]}


TEA = {"categories": ["tea"]}
SATURDAY = {"code": "weekdays", "days": [6]}
VIP = {"code": "segments", "any_of": ["vip"]}
GROUPS = [{"group_id": "a"}, {"group_id": "b"}]
TOBACCO = {"products": {"categories": ["tobacco"]}, "no_discount": True}
ALCOHOL = {"products": {"categories": ["alcohol"]}, "floor_bp": 100}
LINK = {"link_id": "l", "basket": TEA, "show": TEA, "texts": NAME}
FIELD = {"field_code": "f", "questions": NAME, "check": "choice", "choices": ["a", "b"]}
TIERS = {"code": "quantity_tiers", "tiers": [{"from_milli": 1000, "rate_bp": 1}]}

CHANGES: dict[str, tuple[Tree, Tree, list[str]]] = {
    "a setting": (
        {"prompts_max": 1},
        {"prompts_max": 2},
        ["changed setting prompts_max", "  prompts_max: 1 -> 2"],
    ),
    "a key of a setting": (
        {},
        {"coupon_rules": {"any_case": False}},
        ["changed setting coupon_rules", "  coupon_rules.any_case: true -> false"],
    ),
    "an asset comes, one goes": (
        {"assets": [asset("old"), asset("points")]},
        {"assets": [asset("points"), asset("new")]},
        [
            "added asset new",
            '  kind:  -> "points"',
            '  names:  -> [{ language_code = "ru", forms = [{ category = "other", text = "x" }] }]',
            "removed asset old",
            '  kind: "points" -> ',
            '  names: [{ language_code = "ru", forms = [{ category = "other", text = "x" }] }] -> ',
        ],
    ),
    "a number of a benefit": (
        {},
        of(gives=[{"code": "percent_off", "rate_bp": 200}]),
        ["changed promotion p", "  gives[percent_off].rate_bp: 100 -> 200"],
    ),
    "another benefit": (
        {},
        of(gives=[{"code": "amount_off", "amount_minor": 5}]),
        [
            "changed promotion p",
            '  gives[amount_off]:  -> { code = "amount_off", amount_minor = 5 }',
            '  gives[percent_off]: { code = "percent_off", rate_bp = 100 } -> ',
        ],
    ),
    "a benefit in front of another of its code": (
        {},
        of(gives=[{"code": "percent_off", "rate_bp": 200}, PERCENT]),
        [
            "changed promotion p",
            '  gives[percent_off]:  -> { code = "percent_off", rate_bp = 200 }',
        ],
    ),
    "the second of two benefits of a code": (
        of(gives=[PERCENT, {"code": "percent_off", "rate_bp": 200}]),
        of(gives=[PERCENT, {"code": "percent_off", "rate_bp": 300}]),
        ["changed promotion p", "  gives[percent_off#2].rate_bp: 200 -> 300"],
    ),
    "the order of benefits": (
        of(gives=[PERCENT, {"code": "amount_off", "amount_minor": 5}]),
        of(gives=[{"code": "amount_off", "amount_minor": 5}, PERCENT]),
        [
            "changed promotion p",
            '  gives order: ["percent_off", "amount_off"] -> ["amount_off", "percent_off"]',
        ],
    ),
    "a condition in front": (
        of(conditions=[VIP]),
        of(conditions=[SATURDAY, VIP]),
        ["changed promotion p", '  conditions[weekdays]:  -> { code = "weekdays", days = [6] }'],
    ),
    "a day of a condition": (
        of(conditions=[SATURDAY]),
        of(conditions=[{"code": "weekdays", "days": [6, 7]}]),
        ["changed promotion p", "  conditions[weekdays].days[]:  -> 7"],
    ),
    "articles of a set": (
        of(products={"skus": ["1", "2"]}),
        of(products={"skus": ["2", "3"], "categories": ["tea"]}),
        [
            "changed promotion p",
            '  products.skus[]: "1" -> ',
            '  products.skus[]:  -> "3"',
            '  products.categories[]:  -> "tea"',
        ],
    ),
    "a text in one language": (
        {"promotions": [promotion(names=[*NAME, {"language_code": "en", "text": "a"}])]},
        {"promotions": [promotion(names=[{"language_code": "en", "text": "b"}, *NAME])]},
        ["changed promotion p", '  names[en].text: "a" -> "b"'],
    ),
    "a cost comes": (
        {},
        of(cost={"asset_code": "points", "amount_minor": 5}),
        ["changed promotion p", '  cost:  -> { asset_code = "points", amount_minor = 5 }'],
    ),
    "a tier of many without a name": (
        of(gives=[TIERS]),
        of(gives=[TIERS | {"tiers": [*TIERS["tiers"], {"from_milli": 2000, "rate_bp": 2}]}]),
        [
            "changed promotion p",
            "  gives[quantity_tiers].tiers[1]:  -> { from_milli = 2000, rate_bp = 2 }",
        ],
    ),
    "a day of the period, and a limit": (
        {},
        of(when={"to_date": "2027-01-31"}, limits={"times_per_receipt": 1}),
        [
            "changed promotion p",
            '  when.to_date: "" -> "2027-01-31"',
            "  limits.times_per_receipt: 0 -> 1",
        ],
    ),
    "a product class in front": (
        {"product_classes": [ALCOHOL]},
        {"product_classes": [TOBACCO, ALCOHOL]},
        [
            "added product_class 0",
            '  products:  -> { categories = ["tobacco"] }',
            "  no_discount:  -> true",
        ],
    ),
    "the order of till groups": (
        {"till_groups": GROUPS},
        {"till_groups": GROUPS[::-1]},
        [
            "changed setting till_groups order",
            '  till_groups order: ["a", "b"] -> ["b", "a"]',
        ],
    ),
    "a till group in front": (
        {"till_groups": GROUPS[1:]},
        {"till_groups": GROUPS},
        [
            "changed setting till_groups order",
            '  till_groups order: ["b"] -> ["a", "b"]',
            "added till_group a",
        ],
    ),
    "a till group behind": (
        {"till_groups": GROUPS[:1]},
        {"till_groups": GROUPS},
        ["added till_group b"],
    ),
    "the order of choices": (
        {"profile_fields": [FIELD]},
        {"profile_fields": [FIELD | {"choices": ["b", "a"]}]},
        ["changed field f", '  choices: ["a", "b"] -> ["b", "a"]'],
    ),
    "a link, a lane, a group, a text": (
        {"cross_sell_links": [LINK]},
        {
            "cross_sell_links": [LINK | {"weight": 1}],
            "lanes": [{"lane": "price", "mode": "best"}],
            "exclusive_groups": [{"group_id": "g", "choose": "best"}],
            "texts": [{"text_code": "slip_points", "texts": NAME}],
        },
        [
            "added lane price",
            '  mode:  -> "best"',
            "added exclusive_group g",
            '  choose:  -> "best"',
            "changed link l",
            "  weight: 0 -> 1",
            "added text slip_points",
            '  texts:  -> [{ language_code = "ru", text = "x" }]',
        ],
    ),
}

NO_CHANGES: dict[str, tuple[Tree, Tree]] = {
    "the same": ({}, {}),
    "the order of promotions": (
        {"promotions": [promotion("a"), promotion("b")]},
        {"promotions": [promotion("b"), promotion("a")]},
    ),
    "the order of conditions": (of(conditions=[VIP, SATURDAY]), of(conditions=[SATURDAY, VIP])),
    "the order of languages": (
        of(names=[*NAME, {"language_code": "en", "text": "a"}]),
        of(names=[{"language_code": "en", "text": "a"}, *NAME]),
    ),
    "the order of assets": (
        {"assets": [asset("a"), asset("b")]},
        {"assets": [asset("b"), asset("a")]},
    ),
}


@pytest.mark.parametrize(("old", "new", "lines"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_said(old: Tree, new: Tree, lines: list[str]) -> None:
    assert said(program(**old), program(**new)) == lines


@pytest.mark.parametrize(("old", "new"), NO_CHANGES.values(), ids=NO_CHANGES.keys())
def test_what_has_no_meaning_is_no_change(old: Tree, new: Tree) -> None:
    assert diff_programs(program(**old), program(**new)) == Difference((), (), 0)


@pytest.mark.parametrize(("old", "new", "_lines"), CHANGES.values(), ids=CHANGES.keys())
def test_what_comes_there_goes_back(old: Tree, new: Tree, _lines: list[str]) -> None:
    back = diff_programs(program(**new), program(**old))
    forth = diff_programs(program(**old), program(**new))
    turned = [ChangeCount(c.kind, c.removed, c.added, c.changed) for c in forth.counts]
    # A till group in front is also another order; without it the others keep theirs.
    assert _items(back.counts) == _items(turned)


def _items(counts: Iterable[ChangeCount]) -> list[ChangeCount]:
    return [count for count in counts if count.kind != SETTING]


def test_a_new_program_is_all_added() -> None:
    lines = said(None, program())
    assert lines[0] == "added setting chain_id"
    assert "added promotion p" in lines
    assert not [line for line in lines if "prompts_max" in line], "defaults are not told"
    assert {count.changed + count.removed for count in diff_programs(None, program()).counts} == {0}


def test_a_program_that_goes_is_all_removed() -> None:
    lines = said(program(), None)
    assert "removed promotion p" in lines
    assert diff_programs(None, None) == Difference((), (), 0)


def test_kinds_come_in_their_order_and_ids_in_theirs() -> None:
    changes = diff_programs(
        program(),
        program(
            prompts_max=1,
            promotions=[promotion(name) for name in ("z", "p", "b")],
            till_groups=GROUPS,
        ),
    ).changes
    assert [(change.kind, change.item_id) for change in changes] == [
        ("setting", "prompts_max"),
        ("promotion", "b"),
        ("promotion", "z"),
        ("till_group", "a"),
        ("till_group", "b"),
    ]


def test_every_list_of_a_program_has_a_kind() -> None:
    lists = {
        field.name
        for field in msgspec.structs.fields(Program)
        if isinstance(field.default, tuple) or field.name == "assets"
    }
    assert lists == ITEM_KINDS.keys()
    assert len(set(KINDS)) == len(ITEM_KINDS) + 1


def test_what_is_listed_is_bounded_and_what_is_counted_is_complete() -> None:
    many = program(promotions=[promotion(f"p{n:05}") for n in range(3 * CHANGES_MAX)])
    found = diff_programs(replace(many, promotions=()), many)
    assert found.counts == (ChangeCount("promotion", 3 * CHANGES_MAX, 0, 0),)
    assert (len(found.changes), found.omitted) == (CHANGES_MAX, 2 * CHANGES_MAX)
    assert sum(len(change.fields) for change in found.changes) == FIELDS_MAX
    assert found.changes[-1].is_cut


def test_fields_of_an_item_are_bounded() -> None:
    skus = [str(n) for n in range(1_000)]
    found = diff_programs(program(), program(**of(products={"skus": skus})))
    assert len(found.changes[0].fields) == FIELDS_AN_ITEM_MAX
    assert found.changes[0].is_cut


def test_two_promotions_of_one_id_are_both_said() -> None:
    """Such a program is refused, but its plan must say so and not fail."""
    twice = program(promotions=[promotion(), promotion(priority=1)])
    assert said(program(), twice) == [
        "added promotion p#2",
        '  names:  -> [{ language_code = "ru", text = "x" }]',
        '  lane:  -> "price"',
        '  gives:  -> [{ code = "percent_off", rate_bp = 100 }]',
        "  priority:  -> 1",
    ]


SPELLED = {
    "text": ('a "b"\n', '"a \\"b\\"\\n"'),
    "flag": (True, "true"),
    "number": (-5, "-5"),
    "list": (("a", 1), '["a", 1]'),
    "nothing": ((), "[]"),
}


@pytest.mark.parametrize(("value", "spelled"), SPELLED.values(), ids=SPELLED.keys())
def test_a_value_is_spelled_as_in_toml(value: object, spelled: str) -> None:
    assert spell(value) == spelled


def test_a_long_value_is_cut() -> None:
    spelled = spell(tuple("0123456789" for _ in range(1_000_000)))
    assert len(spelled) == VALUE_CHARS_MAX
    assert spelled.endswith("…")
