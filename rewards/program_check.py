"""What is wrong with a program that strict types cannot see: fields that contradict each other.

Must not know where the program came from; `Problem.path` names the place in every form of it.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from graphlib import CycleError, TopologicalSorter
from string import Formatter

import msgspec
from msgspec import Struct

from rewards.program import (
    Asset,
    Benefit,
    CheapestFree,
    DeferredDiscount,
    LaneName,
    LocalText,
    NPlusM,
    PointsRate,
    ProductSet,
    ProfileField,
    Program,
    Promotion,
    ReceiptDiscount,
    TillGroup,
    When,
)
from rewards.wording import FIGURES, LINK_FIGURES

LANES_ALLOWED: dict[str, tuple[LaneName, ...]] = {
    "percent_off": ("price", "basket"),
    "n_plus_m": ("price",),
    "cheapest_free": ("price",),
    "receipt_discount": ("basket",),
    "points_rate": ("reward",),
    "deferred_discount": ("reward",),
}
"""Lanes in which a benefit may stand, by its code."""

YES_NO = ("yes", "no")
"""The closed set of answers of a field whose check is yes_no."""


class Problem(Struct, frozen=True):
    """A place in a program that is wrong.

    Attributes:
        path: the key, for example `promotions[2].gives.rate_bp`.
        reason: what is wrong there and what is expected.
    """

    path: str
    reason: str


def check_program(program: Program) -> tuple[Problem, ...]:
    """Find every place where fields of a program contradict each other or what must hold.

    Args:
        program: A program whose single fields are in range, as the decoders give it.

    Returns:
        The problems in the order of the program's own fields; none if it is valid.
    """
    problems = (
        *_check_texts(program),
        *_check_assets(program),
        *_check_promotions(program),
        *_check_profile_fields(program),
        *_check_cross_sell_links(program),
        *_check_till_groups(program),
        *_check_text_templates(program),
    )
    assert all(problem.path and problem.reason for problem in problems)
    return problems


def _check_texts(program: Program) -> Iterator[Problem]:
    """Refuse NUL anywhere; the walk is dear, so the encoded form is asked first."""
    if b"\\u0000" in msgspec.json.encode(program):
        for path, text in _walk_texts(msgspec.to_builtins(program), ""):
            if "\0" in text:
                yield Problem(path, "holds NUL (U+0000), which no text may")


def _walk_texts(node: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, child in node.items():
            yield from _walk_texts(child, f"{path}.{key}" if path else key)
    elif isinstance(node, list | tuple):
        for index, child in enumerate(node):
            yield from _walk_texts(child, f"{path}[{index}]")


def _check_assets(program: Program) -> Iterator[Problem]:
    yield from _check_unique("assets", "code", [asset.code for asset in program.assets])
    for index, asset in enumerate(program.assets):
        yield from _check_asset_names(f"assets[{index}].names", asset, program.language_code)
    has_points = any(asset.kind == "points" for asset in program.assets)
    if program.point_value_micros and not has_points:
        yield Problem("point_value_micros", "values points, but no asset is of kind points")


def _check_asset_names(path: str, asset: Asset, language_code: str) -> Iterator[Problem]:
    languages = [name.language_code for name in asset.names]
    yield from _check_languages(path, languages, language_code)
    for index, name in enumerate(asset.names):
        categories = [form.category for form in name.forms]
        yield from _check_unique(f"{path}[{index}].forms", "category", categories)
        if "other" not in categories:
            reason = "lacks the plural category other, which stands in for those not given"
            yield Problem(f"{path}[{index}].forms", reason)


def _check_promotions(program: Program) -> Iterator[Problem]:
    ids = [promotion.promotion_id for promotion in program.promotions]
    yield from _check_unique("promotions", "promotion_id", ids)
    kinds: dict[str, str] = {asset.code: asset.kind for asset in program.assets}
    for index, promotion in enumerate(program.promotions):
        path = f"promotions[{index}]"
        yield from _check_local_texts(f"{path}.names", promotion.names, program.language_code)
        yield from _check_lane(path, promotion)
        yield from _check_benefit(f"{path}.gives", promotion.gives, kinds)
        yield from _check_limits(f"{path}.limits", promotion)
        yield from _check_when(f"{path}.when", promotion.when)
        yield from _check_product_set(f"{path}.what.products", promotion.what.products)


def _check_lane(path: str, promotion: Promotion) -> Iterator[Problem]:
    code = benefit_code(promotion.gives)
    allowed = LANES_ALLOWED[code]
    if promotion.lane not in allowed:
        reason = f"{code} cannot stand in lane {promotion.lane}; allowed: {', '.join(allowed)}"
        yield Problem(f"{path}.lane", reason)


def benefit_code(benefit: Benefit) -> str:
    """Name the kind of a benefit as authors write it, for example `n_plus_m`."""
    code = type(benefit).__struct_config__.tag
    assert isinstance(code, str)
    return code


def _check_benefit(path: str, gives: Benefit, kinds: dict[str, str]) -> Iterator[Problem]:
    if isinstance(gives, ReceiptDiscount | DeferredDiscount):
        yield from _check_one_of_two(path, gives.rate_bp, gives.amount_minor)
    if isinstance(gives, PointsRate):
        yield from _check_asset_code(path, gives.asset_code, "points", kinds)
    if isinstance(gives, DeferredDiscount):
        yield from _check_asset_code(path, gives.asset_code, "deferred_discount", kinds)


def _check_one_of_two(path: str, rate_bp: int, amount_minor: int) -> Iterator[Problem]:
    if rate_bp and amount_minor:
        yield Problem(f"{path}.amount_minor", "stands beside rate_bp; give one of the two")
    elif not rate_bp and not amount_minor:
        yield Problem(path, "needs one of rate_bp and amount_minor above zero")


def _check_asset_code(
    path: str, asset_code: str, kind: str, kinds: dict[str, str]
) -> Iterator[Problem]:
    found = kinds.get(asset_code)
    if found is None:
        known = ", ".join(sorted(code for code in kinds if kinds[code] == kind)) or "none"
        reason = f"no asset is named {asset_code!r}; of kind {kind} there are: {known}"
        yield Problem(f"{path}.asset_code", reason)
    elif found != kind:
        reason = f"asset {asset_code!r} is of kind {found}, but {kind} is needed"
        yield Problem(f"{path}.asset_code", reason)


def _check_limits(path: str, promotion: Promotion) -> Iterator[Problem]:
    counted = isinstance(promotion.gives, NPlusM | CheapestFree)
    if promotion.limits.times_per_receipt and not counted:
        code = benefit_code(promotion.gives)
        reason = f"{code} has no times to count; only n_plus_m and cheapest_free fire by sets"
        yield Problem(f"{path}.times_per_receipt", reason)


def _check_when(path: str, when: When) -> Iterator[Problem]:
    first = _parse_date(when.from_date)
    last = _parse_date(when.to_date)
    if when.from_date and first is None:
        yield Problem(f"{path}.from_date", f"there is no day {when.from_date}")
    if when.to_date and last is None:
        yield Problem(f"{path}.to_date", f"there is no day {when.to_date}")
    if first and last and first > last:
        yield Problem(f"{path}.to_date", f"{last} is before from_date {first}")


def _parse_date(text: str) -> date | None:
    """Read YYYY-MM-DD; None if it is empty or there is no such day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _check_product_set(path: str, products: ProductSet) -> Iterator[Problem]:
    yield from _check_disjoint(f"{path}.except_skus", products.skus, products.except_skus)
    yield from _check_disjoint(
        f"{path}.except_categories", products.categories, products.except_categories
    )


def _check_disjoint(
    path: str, included: Sequence[str], excluded: Sequence[str]
) -> Iterator[Problem]:
    wanted = frozenset(included)
    for index, name in enumerate(excluded):
        if name in wanted:
            yield Problem(f"{path}[{index}]", f"{name!r} is also among those put in")


def _check_profile_fields(program: Program) -> Iterator[Problem]:
    fields = {field.field_code: field for field in program.profile_fields}
    codes = [field.field_code for field in program.profile_fields]
    yield from _check_unique("profile_fields", "field_code", codes)
    for index, field in enumerate(program.profile_fields):
        path = f"profile_fields[{index}]"
        yield from _check_local_texts(f"{path}.questions", field.questions, program.language_code)
        yield from _check_choices(f"{path}.choices", field)
        yield from _check_asked(path, field)
        for key, pairs in (
            ("first_asked_if", field.first_asked_if),
            ("asked_again_if", field.asked_again_if),
        ):
            yield from _check_pairs(f"{path}.{key}", field.field_code, pairs, fields)
    yield from _check_asking_order(program.profile_fields)


def _check_choices(path: str, field: ProfileField) -> Iterator[Problem]:
    if field.check == "choice" and not field.choices:
        yield Problem(path, "is empty, but the check is choice")
    if field.check != "choice" and field.choices:
        yield Problem(path, f"is given, but the check is {field.check}, not choice")
    yield from _check_unique(path, "", field.choices)


def _check_asked(path: str, field: ProfileField) -> Iterator[Problem]:
    if field.asked_again_if and not field.valid_days:
        reason = "has no effect: valid_days is 0, so the field is never asked again"
        yield Problem(f"{path}.asked_again_if", reason)
    if field.never_asked and (field.first_asked_if or field.asked_again_if):
        yield Problem(f"{path}.never_asked", "contradicts first_asked_if or asked_again_if")


def _check_pairs(
    path: str, own_code: str, pairs: Sequence[str], fields: dict[str, ProfileField]
) -> Iterator[Problem]:
    for index, pair in enumerate(pairs):
        code, _, value = pair.partition("=")
        reason = _pair_reason(own_code, fields.get(code), code, value)
        if reason:
            yield Problem(f"{path}[{index}]", reason)


def _pair_reason(own_code: str, field: ProfileField | None, code: str, value: str) -> str:
    """Say why a field cannot be asked about for this answer; empty if it can."""
    if field is None:
        return f"no profile field is named {code!r}"
    if code == own_code:
        return "a field cannot depend on its own answer"
    answers = field.choices if field.check == "choice" else YES_NO
    if field.check not in ("choice", "yes_no"):
        return (
            f"field {code!r} is checked as {field.check}; only choice and yes_no can be asked about"
        )
    if value not in answers:
        return f"{value!r} is no answer of field {code!r}; its answers: {', '.join(answers)}"
    return ""


def _check_asking_order(fields: Sequence[ProfileField]) -> Iterator[Problem]:
    """Refuse fields that wait for each other's first answer: none of them would be asked."""
    waits_for = {
        field.field_code: {pair.partition("=")[0] for pair in field.first_asked_if}
        - {field.field_code}
        for field in fields
    }
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        yield Problem("profile_fields", f"first_asked_if goes in a circle: {circle}")


def _check_cross_sell_links(program: Program) -> Iterator[Problem]:
    ids = [link.link_id for link in program.cross_sell_links]
    yield from _check_unique("cross_sell_links", "link_id", ids)
    for index, link in enumerate(program.cross_sell_links):
        path = f"cross_sell_links[{index}]"
        yield from _check_local_texts(f"{path}.texts", link.texts, program.language_code)
        yield from _check_placeholders(f"{path}.texts", link.texts, LINK_FIGURES)
        yield from _check_product_set(f"{path}.basket", link.basket)
        yield from _check_product_set(f"{path}.show", link.show)
        if not _names_products(link.show):
            yield Problem(f"{path}.show", "names no products, so every product would be shown")


def _names_products(products: ProductSet) -> bool:
    return any((products.skus, products.categories, products.brands, products.properties))


def _check_till_groups(program: Program) -> Iterator[Problem]:
    groups = program.till_groups
    yield from _check_unique("till_groups", "group_id", [group.group_id for group in groups])
    for index, group in enumerate(groups[:-1]):
        if _fits_every_till(group):
            reason = f"is never reached: group {group.group_id!r} before it fits every till"
            yield Problem(f"till_groups[{index + 1}]", reason)
            return


def _fits_every_till(group: TillGroup) -> bool:
    return not group.till_types and not group.stores


def _check_text_templates(program: Program) -> Iterator[Problem]:
    codes = [template.text_code for template in program.texts]
    yield from _check_unique("texts", "text_code", codes)
    for index, template in enumerate(program.texts):
        path = f"texts[{index}]"
        languages = [text.language_code for text in template.texts]
        yield from _check_unique(f"{path}.texts", "language_code", languages)
        figures = FIGURES.get(template.text_code)
        if figures is None:
            reason = f"no text has the code {template.text_code!r}; known: {', '.join(FIGURES)}"
            yield Problem(f"{path}.text_code", reason)
        else:
            yield from _check_placeholders(f"{path}.texts", template.texts, figures)


def _check_placeholders(
    path: str, texts: Sequence[LocalText], figures: frozenset[str]
) -> Iterator[Problem]:
    for index, text in enumerate(texts):
        reason = _placeholder_reason(text.text, figures)
        if reason:
            yield Problem(f"{path}[{index}].text", reason)


def _placeholder_reason(text: str, figures: frozenset[str]) -> str:
    """Say why a text cannot be filled in; empty if it can."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        return "a brace has no partner; write {{ or }} for a brace itself"
    for _, name, form, conversion in parts:
        if name is not None and (name not in figures or form or conversion):
            known = ", ".join(f"{{{figure}}}" for figure in sorted(figures)) or "none"
            return f"{_spelled(name, form, conversion)} is not known here; known: {known}"
    return ""


def _spelled(name: str, form: str | None, conversion: str | None) -> str:
    """A placeholder as its author wrote it."""
    converted = f"!{conversion}" if conversion else ""
    return f"{{{name}{converted}{f':{form}' if form else ''}}}"


def _check_local_texts(
    path: str, texts: Sequence[LocalText], language_code: str
) -> Iterator[Problem]:
    yield from _check_languages(path, [text.language_code for text in texts], language_code)


def _check_languages(path: str, languages: Sequence[str], language_code: str) -> Iterator[Problem]:
    yield from _check_unique(path, "language_code", languages)
    if language_code not in languages:
        yield Problem(path, f"lacks the program's default language {language_code}")


def _check_unique(path: str, key: str, values: Sequence[str]) -> Iterator[Problem]:
    """Refuse the second of two equal values, naming the first."""
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(value, index)
        if first != index:
            place = f"{path}[{index}].{key}" if key else f"{path}[{index}]"
            yield Problem(place, f"{value!r} is already at {path}[{first}]")
