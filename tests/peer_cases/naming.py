"""Names of articles whose order is that of the lines.

Among equals the engine goes by the names of articles, never by the order of lines; a case, whose
names mean nothing, goes by the order of its lines.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from msgspec.structs import replace

from tests.peer_cases.case import Case, CasePromotion, Conditions, Params, Target
from tests.peer_cases.products import EXCEPT_SKUS, SKU_TYPES

_NOT_ON_RECEIPT = 9_999
_SKU_LISTS = ("requires_skus", "requires_any_sku", "forbidden_skus", "exclude_skus", "gift_choice")
_Part = TypeVar("_Part", Params, Conditions)


def in_line_order(case: Case) -> Case:
    """The same case with articles that sort as their first lines do."""
    names: dict[str, str] = {}
    for position, line in enumerate(case.lines):
        names.setdefault(line.sku, _name(position, line.sku))
    return replace(
        case,
        lines=tuple(replace(line, sku=names[line.sku]) for line in case.lines),
        promotions=tuple(_promotion(one, names) for one in case.promotions),
        unit_floor_minor={_of(names, sku): n for sku, n in case.unit_floor_minor.items()},
        net_unit_prices_minor={_of(names, sku): n for sku, n in case.net_unit_prices_minor.items()},
    )


def plain(sku: str) -> str:
    """The name as the case has it."""
    return sku.partition("|")[2] or sku


def _name(position: int, sku: str) -> str:
    return f"{position:04}|{sku}"


def _of(names: Mapping[str, str], sku: str) -> str:
    return names.get(sku) or _name(_NOT_ON_RECEIPT, sku)


def _promotion(one: CasePromotion, names: Mapping[str, str]) -> CasePromotion:
    return replace(
        one, params=_renamed(one.params, names), conditions=_renamed(one.conditions, names)
    )


def _renamed(part: _Part, names: Mapping[str, str]) -> _Part:
    changes: dict[str, Any] = {}
    for field in part.__struct_fields__:
        value = getattr(part, field)
        if isinstance(value, Target) and value.type in SKU_TYPES | EXCEPT_SKUS:
            changes[field] = Target(value.type, tuple(_of(names, sku) for sku in value.values))
        elif field in _SKU_LISTS:
            changes[field] = tuple(_of(names, sku) for sku in value)
        elif field == "gift_sku" and value:
            changes[field] = _of(names, value)
    return replace(part, **changes)
