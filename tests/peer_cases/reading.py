"""Reads a file of cases: one JSON object a line, spelled by whomever.

A line that is no case is a case that fails and says why; the others still run. Words that are not
understood are kept and told, as they might be what the answer hangs on.
"""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tests.peer_cases.case import Case, Conditions, Params, Tier
from tests.peer_cases.pieces import DEAREST
from tests.peer_cases.prices import ON_RECEIPT
from tests.peer_cases.products import OTHER_TYPES, SKU_TYPES, TAG_TYPES
from tests.peer_cases.program import PLANNERS
from tests.peer_cases.stacking import BEST_OF

PROSE = frozenset({"comment", "description", "label", "name", "note", "notes", "title"})
"""Keys that speak to people only."""
KINDS = PLANNERS.keys() | {"other"}
STACKINGS = frozenset({"", "stackable", "exclusive"})
PARTS: dict[str, type[Struct]] = {"params": Params, "conditions": Conditions}
LISTS = frozenset(
    field.name
    for known in PARTS.values()
    for field in msgspec.structs.fields(known)
    if field.type == tuple[str, ...]
)
"""Keys of lists of texts."""
ALIASES = {
    "conditions": {
        "requires_any_skus": "requires_any_sku",
        "requires_any_tags": "requires_any_tag",
        "requires_tags": "requires_all_tags",
        "segment": "segments_any",
        "segments": "segments_any",
        "tier": "tiers_any",
        "tiers": "tiers_any",
    },
}
"""Names of ours for keys that another writer may spell otherwise."""
TARGETS = frozenset({"target", "exclude", "buy_target", "get_target", "scope"})
TARGET_TYPES = (
    TAG_TYPES | SKU_TYPES | OTHER_TYPES | DEAREST | ON_RECEIPT | {"all", "cheapest", "shipping"}
)


def read_cases(path: Path) -> list[Case]:
    """Read a file of cases."""
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    return [_ordered(_read_case(line, number)) for number, line in enumerate(lines, start=1)]


def _ordered(case: Case) -> Case:
    """Promotions that are not numbered run as they stand."""
    if all(one.order for one in case.promotions):
        return case
    numbered = (replace(one, order=n) for n, one in enumerate(case.promotions, start=1))
    return replace(case, promotions=tuple(numbered))


def _read_case(line: bytes, number: int) -> Case:
    """As it is spelled if that is understood, else as another writer may have meant it."""
    try:
        case = msgspec.json.decode(line, type=Case)
    except msgspec.DecodeError:
        return _read_tidied(line, number)
    return case if not _foreign(json.loads(line)) else _read_tidied(line, number)


def _read_tidied(line: bytes, number: int) -> Case:
    try:
        spelled = _tidied(json.loads(line, parse_float=Decimal))
        case = msgspec.convert(spelled, Case, strict=False)
    except (ValueError, RecursionError) as error:
        name = re.search(rb'"id"\s*:\s*"([^"]*)"', line)
        case_id = name[1].decode(errors="replace") if name else f"line {number}"
        scope = "in" if b'"out' not in line else "out: not read"
        return Case(case_id, (), (), {}, (), scope, unreadable=str(error))
    return replace(case, not_understood=_foreign(spelled))


def _tidied(value: Any, part: str = "") -> Any:
    """Without keys of null, but for expectations; whole numbers as integers; keys by our names.

    Args:
        value: as JSON has it.
        part: the key that it stands at.
    """
    if isinstance(value, dict):
        names = ALIASES.get(part, {})
        return {
            names.get(key, key): child if key == "expected" else _tidied_child(part, key, child)
            for key, child in value.items()
            if child is not None or key == "unit_price_minor"
        }
    if isinstance(value, list):
        return [_tidied(child, part) for child in value]
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def _tidied_child(part: str, key: str, child: Any) -> Any:
    """A target that is one word is its type; one text that stands for a list is a list of it."""
    if part not in PARTS or not isinstance(child, str):
        return _tidied(child, key)
    if key in TARGETS:
        return {"type": child}
    return [child] if ALIASES.get(part, {}).get(key, key) in LISTS else child


def _foreign(spelled: Mapping[str, Any]) -> tuple[str, ...]:
    words = (word for one in spelled["promotions"] for word in _foreign_words(one))
    return tuple(dict.fromkeys(words))


def _foreign_words(promotion: Mapping[str, Any]) -> Iterator[str]:
    """Kinds, keys, ways of stacking and types of targets that are not known."""
    kind, stacking = promotion.get("kind"), promotion.get("stacking") or ""
    if kind not in KINDS:
        yield f"kind {kind}"
    if stacking not in STACKINGS and not stacking.startswith(BEST_OF):
        yield f"stacking {stacking}"
    for part, known in PARTS.items():
        spelled = promotion.get(part) or {}
        yield from (f"{part}.{key}" for key in _unknown(spelled, known.__struct_fields__))
        for tier in spelled.get("tiers") or () if known is Params else ():
            yield from (f"tiers.{key}" for key in _unknown(tier, Tier.__struct_fields__))
        for name in TARGETS & spelled.keys():
            target = spelled[name]
            target_type = target.get("type", "all") if isinstance(target, dict) else target
            if target_type is not None and target_type not in TARGET_TYPES:
                yield f"{part}.{name} of {target_type}"


def _unknown(spelled: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[str]:
    """Keys that say something; null, false and empty do not."""
    for key, value in spelled.items():
        if key not in known and key not in PROSE and value not in (None, False, "", [], {}):
            yield key
