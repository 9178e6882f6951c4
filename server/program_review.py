"""What is wrong with a program by itself, and where it names stores or articles nobody knows."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from msgspec import Struct

from rewards.authored import ProductSet
from rewards.benefit import Gift
from rewards.condition import Zones
from rewards.problem import Problem
from rewards.program import Program, TillGroup
from rewards.program_check import check_program
from server.registers import is_currency, is_language

UNKNOWN_SAID_MAX = 1_000
"""A program that was written for another chain names nothing that is known: enough is enough."""

_WHAT = {
    "zone": "store of the chain is in zone",
    "store": "store of the chain is",
    "sku": "article has sku",
    "category": "article is in category",
    "brand": "article is of brand",
    "property": "article has property",
}
_SET_LISTS = (
    ("skus", "sku"),
    ("categories", "category"),
    ("brands", "brand"),
    ("properties", "property"),
    ("properties_all", "property"),
    ("except_skus", "sku"),
    ("except_categories", "category"),
    ("except_brands", "brand"),
    ("except_properties", "property"),
)

Names = Mapping[str, Iterable[str]]
"""Names by kind: zone, store, sku, category, brand, property."""


def review_program(program: Program) -> tuple[Problem, ...]:
    """Find what makes a program impossible to publish.

    Args:
        program: as decoded.
    """
    return (*_check_registers(program), *check_program(program))


def names_in(program: Program) -> dict[str, tuple[str, ...]]:
    """List what a program names, by kind, each name once, sorted."""
    found: dict[str, set[str]] = {}
    for _, kind, names in _named(program):
        found.setdefault(kind, set()).update(names)
    return {kind: tuple(sorted(names)) for kind, names in sorted(found.items())}


def review_unknown(
    program: Program, unknown: Names, foreign: tuple[str, str] | None
) -> tuple[Problem, ...]:
    """Say where a program names what is not known: there it would never have an effect.

    Args:
        program: as decoded.
        unknown: names that nothing is called by, by kind.
        foreign: a store that sells in another currency, if there is one.

    Returns:
        At most UNKNOWN_SAID_MAX problems.
    """
    return tuple(islice(_check_unknown(program, unknown, foreign), UNKNOWN_SAID_MAX))


def _check_registers(program: Program) -> Iterator[Problem]:
    if not is_currency(program.currency_code):
        yield Problem("currency_code", f"ISO 4217 has no currency {program.currency_code}")
    if not is_language(program.language_code):
        yield Problem("language_code", f"CLDR has no language {program.language_code}")


def _check_unknown(
    program: Program, unknown: Names, foreign: tuple[str, str] | None
) -> Iterator[Problem]:
    if foreign is not None:
        yield Problem("currency_code", f"store {foreign[0]!r} sells in {foreign[1]}")
    sets = {kind: frozenset(names) for kind, names in unknown.items()}
    for path, kind, names in _named(program) if sets else ():
        missing = sets.get(kind, frozenset())
        for index, name in enumerate(names):
            if name in missing:
                yield Problem(f"{path}[{index}]", f"no {_WHAT[kind]} {name!r}")


def _named(program: Program) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Every list of names in a program: its path, the kind of its names, and the names."""
    for key in program.__struct_fields__:
        yield from _named_below(key, getattr(program, key))


def _named_below(path: str, node: object) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    match node:
        case ProductSet():
            for key, kind in _SET_LISTS:
                names = getattr(node, key)
                if names:
                    yield f"{path}.{key}", kind, names
        case Zones():
            yield f"{path}.any_of", "zone", node.any_of
        case Gift():
            yield f"{path}.skus", "sku", node.skus
        case TillGroup():
            yield f"{path}.stores", "store", node.stores
        case Struct():
            for key in node.__struct_fields__:
                yield from _named_below(f"{path}.{key}", getattr(node, key))
        case (Struct(), *_):
            for index, item in enumerate(node):
                yield from _named_below(f"{path}[{index}]", item)
