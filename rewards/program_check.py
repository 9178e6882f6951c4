"""What is wrong with a program that strict types cannot see: fields that contradict each other.

Must not know where the program came from; `Problem.path` names the place in every form of it.
"""

from collections.abc import Iterator

from rewards.benefit_check import LANES_ALLOWED, benefit_code
from rewards.birthday import BIRTH_DATE_FIELD
from rewards.contradiction import check_class
from rewards.lane_check import check_lanes
from rewards.message_check import check_messages
from rewards.problem import Problem, Scope, check_languages, check_unique
from rewards.product_set_check import (
    EVERYTHING,
    check_fixed_set,
    check_product_set,
    names_products,
)
from rewards.profile_check import check_profile_fields
from rewards.program import Asset, ProductClass, Program, TillGroup
from rewards.promotion_check import check_promotion
from rewards.spend_check import check_spending
from rewards.text_check import check_placeholders, check_text_templates, check_texts
from rewards.wording import LINK_FIGURES

__all__ = ["LANES_ALLOWED", "Problem", "benefit_code", "check_program"]

_CLASS_FLAGS = ("no_discount", "no_earn", "no_coupon", "no_cross_sell")


def check_program(program: Program) -> tuple[Problem, ...]:
    """Find every place where fields of a program contradict each other or what must hold.

    Args:
        program: A program whose single fields are in range, as the decoders give it.

    Returns:
        The problems, part by part; none if it is valid.
    """
    problems = (
        *check_texts(program),
        *_check_assets(program),
        *_check_coupon_series(program),
        *_check_tier_rules(program),
        *_check_promotions(program),
        *check_lanes(program),
        *check_spending(program),
        *_check_product_classes(program),
        *check_profile_fields(program),
        *check_messages(program),
        *_check_cross_sell_links(program),
        *_check_till_groups(program),
        *check_text_templates(program),
    )
    assert all(problem.path and problem.reason for problem in problems)
    return problems


def _check_assets(program: Program) -> Iterator[Problem]:
    yield from check_unique("assets", "code", [asset.code for asset in program.assets])
    for index, asset in enumerate(program.assets):
        yield from _check_asset_names(f"assets[{index}].names", asset, program.language_code)
        yield from _check_worth(f"assets[{index}]", asset)
    yield from _check_gift_money(program)
    has_points = any(asset.kind == "points" for asset in program.assets)
    if program.point_value_micros and not has_points:
        yield Problem("point_value_micros", "values points, but no asset is of kind points")


def _check_asset_names(path: str, asset: Asset, language_code: str) -> Iterator[Problem]:
    languages = [name.language_code for name in asset.names]
    yield from check_languages(path, languages, language_code)
    for index, name in enumerate(asset.names):
        categories = [form.category for form in name.forms]
        yield from check_unique(f"{path}[{index}].forms", "category", categories)
        if "other" not in categories:
            reason = "lacks the plural category other, which stands in for those not given"
            yield Problem(f"{path}[{index}].forms", reason)


def _check_worth(path: str, asset: Asset) -> Iterator[Problem]:
    if asset.value_micros and asset.kind not in ("points", "stamps"):
        yield Problem(f"{path}.value_micros", f"values {asset.kind}, which is money itself")
    if 0 < asset.balance_max_minor < asset.goodwill_max_minor:
        reason = f"{asset.goodwill_max_minor} is above balance_max_minor {asset.balance_max_minor}"
        yield Problem(f"{path}.goodwill_max_minor", reason)
    if asset.kind == "gift_money" and asset.active_after_days:
        reason = "gift money is there as soon as it is paid for"
        yield Problem(f"{path}.active_after_days", reason)
    if asset.kind == "gift_money" and asset.balance_max_minor:
        reason = "bounds what a customer owns, and gift money is on cards"
        yield Problem(f"{path}.balance_max_minor", reason)


def _check_gift_money(program: Program) -> Iterator[Problem]:
    found = [n for n, asset in enumerate(program.assets) if asset.kind == "gift_money"]
    for index in found[1:]:
        reason = f"is a second asset of kind gift_money, besides assets[{found[0]}]"
        yield Problem(f"assets[{index}].kind", f"{reason}: a gift card has one kind of money")


def _check_coupon_series(program: Program) -> Iterator[Problem]:
    codes = [one.series_code for one in program.coupon_series]
    yield from check_unique("coupon_series", "series_code", codes)


def _check_tier_rules(program: Program) -> Iterator[Problem]:
    for index, rule in enumerate(program.tier_rules):
        path = f"tier_rules[{index}]"
        if not rule.amount_from_minor and not rule.receipts_from:
            yield Problem(path, "holds for everybody; needs amount_from_minor or receipts_from")
        if rule.tier_code != rule.tier_code.strip():
            yield Problem(f"{path}.tier_code", f"{rule.tier_code!r} has blanks around it")


def _check_promotions(program: Program) -> Iterator[Problem]:
    ids = [promotion.promotion_id for promotion in program.promotions]
    yield from check_unique("promotions", "promotion_id", ids)
    scope = Scope(
        language_code=program.language_code,
        asset_kinds={asset.code: asset.kind for asset in program.assets},
        any_case=program.coupon_rules.any_case,
        has_birth_date=any(
            field.field_code == BIRTH_DATE_FIELD and field.check == "date"
            for field in program.profile_fields
        ),
        series_codes=frozenset(one.series_code for one in program.coupon_series),
        balance_max_minor={
            asset.code: asset.balance_max_minor
            for asset in program.assets
            if asset.balance_max_minor
        },
        one_coupon_counts=program.coupon_rules.choose != "all",
    )
    for index, promotion in enumerate(program.promotions):
        path = f"promotions[{index}]"
        yield from check_promotion(path, promotion, scope)
        for rule in program.product_classes:
            yield from check_class(path, rule, promotion)


def _check_product_classes(program: Program) -> Iterator[Problem]:
    for index, product_class in enumerate(program.product_classes):
        yield from _check_product_class(f"product_classes[{index}]", product_class)


def _check_product_class(path: str, rule: ProductClass) -> Iterator[Problem]:
    yield from check_product_set(f"{path}.products", rule.products)
    if rule.products.own_offer:
        reason = "is another set for each customer, but a class is a rule of the chain"
        yield Problem(f"{path}.products.own_offer", reason)
    flags = [key for key in _CLASS_FLAGS if getattr(rule, key)]
    if not flags and not rule.floor_bp:
        yield Problem(path, f"says nothing; needs {', '.join(_CLASS_FLAGS)} or floor_bp")
    if rule.no_discount and rule.floor_bp:
        yield Problem(f"{path}.floor_bp", "stands beside no_discount, which keeps all of the price")
    if flags and rule.products == EVERYTHING:
        reason = f"is every product: {flags[0]} would switch off all there is of it"
        yield Problem(f"{path}.products", reason)


def _check_cross_sell_links(program: Program) -> Iterator[Problem]:
    ids = [link.link_id for link in program.cross_sell_links]
    yield from check_unique("cross_sell_links", "link_id", ids)
    for index, link in enumerate(program.cross_sell_links):
        path = f"cross_sell_links[{index}]"
        languages = [text.language_code for text in link.texts]
        yield from check_languages(f"{path}.texts", languages, program.language_code)
        yield from check_placeholders(f"{path}.texts", link.texts, LINK_FIGURES)
        yield from check_fixed_set(f"{path}.basket", link.basket)
        yield from check_fixed_set(f"{path}.show", link.show)
        if not names_products(link.show):
            yield Problem(f"{path}.show", "names no products, so every product would be shown")


def _check_till_groups(program: Program) -> Iterator[Problem]:
    groups = program.till_groups
    yield from check_unique("till_groups", "group_id", [group.group_id for group in groups])
    for index, group in enumerate(groups[:-1]):
        if _fits_every_till(group):
            reason = f"is never reached: group {group.group_id!r} before it fits every till"
            yield Problem(f"till_groups[{index + 1}]", reason)
            return


def _fits_every_till(group: TillGroup) -> bool:
    return not group.till_types and not group.stores
