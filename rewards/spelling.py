"""Values of a program as its author writes them in TOML, in one bounded line."""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

VALUE_CHARS_MAX = 120
CUT = "…"


def spell(value: object) -> str:
    """Write a value in one line of at most VALUE_CHARS_MAX characters; what is too long is cut.

    Args:
        value: of a program: a text, number, flag, tuple or struct.
    """
    spelled = ""
    for piece in _pieces(value):
        spelled += piece
        if len(spelled) > VALUE_CHARS_MAX:
            return spelled[: VALUE_CHARS_MAX - len(CUT)] + CUT
    return spelled


def spelled_or_empty(value: object) -> str:
    """Write a value; nothing for None, which is a key that an author leaves out."""
    return "" if value is None else spell(value)


def told_fields(item: Struct) -> Iterator[tuple[str, object]]:
    """Fields of an item that its author had to write: those that are no defaults."""
    for field in msgspec.structs.fields(item):
        value = getattr(item, field.name)
        if field.default is msgspec.NODEFAULT or value != field.default:
            yield field.name, value


def _pieces(value: object) -> Iterator[str]:
    if isinstance(value, Struct):
        yield from _struct_pieces(value)
    elif isinstance(value, tuple):
        yield "["
        for place, item in enumerate(value):
            yield ", " if place else ""
            yield from _pieces(item)
        yield "]"
    else:
        yield msgspec.json.encode(value).decode()


def _struct_pieces(value: Struct) -> Iterator[str]:
    tag = value.__struct_config__.tag
    told = [("code", tag)] if isinstance(tag, str) else []
    yield "{ "
    for place, (name, item) in enumerate([*told, *told_fields(value)]):
        yield f"{', ' if place else ''}{name} = "
        yield from _pieces(item)
    yield " }"
