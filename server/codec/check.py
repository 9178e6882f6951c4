"""Checks at the edge: what a database or a rule could not take is refused here, naming the field.

Each check takes the value, the path of the field for BadRequest, and its bounds.
"""

from typing import Never

from rewards.limits import LANGUAGE_MAX, TEXT_ID_MAX, TEXT_LABEL_MAX
from rewards.refusal import Reason, Refusal


def refuse_required(path: str) -> Never:
    """Refuse for a missing field."""
    raise Refusal(Reason.FIELD_REQUIRED, f"{path} is required", fields=((path, "required"),))


def refuse_range(path: str, actual: int, least: int, most: int) -> Never:
    """Refuse for a number out of its range."""
    text = f"{actual} is not within {least} to {most}"
    metadata = {"min": str(least), "max": str(most), "actual": str(actual)}
    raise Refusal(Reason.OUT_OF_RANGE, f"{path}: {text}", metadata, ((path, text),))


def refuse_text(path: str, value: str, least: int, most: int) -> Never:
    """Refuse for a text that is missing, too long, or holds NUL."""
    if not value and least:
        refuse_required(path)
    if "\x00" in value:
        text = "holds the character NUL"
        raise Refusal(Reason.BAD_TEXT, f"{path} {text}", fields=((path, text),))
    text = f"{len(value)} characters are not within {least} to {most}"
    metadata = {"min": str(least), "max": str(most), "actual": str(len(value))}
    raise Refusal(Reason.OUT_OF_RANGE, f"{path}: {text}", metadata, ((path, text),))


def refuse_count(path: str, actual: int, most: int) -> Never:
    """Refuse for more entries than the limit."""
    text = f"{actual} entries are more than {most}"
    metadata = {"max": str(most), "actual": str(actual)}
    raise Refusal(Reason.LIMIT_EXCEEDED, f"{path}: {text}", metadata, ((path, text),))


def refuse_enum(path: str, actual: int) -> Never:
    """Refuse for an enum value: missing, or not known to this version."""
    if not actual:
        refuse_required(path)
    text = f"{actual} is not a value of this version"
    raise Refusal(Reason.UNKNOWN_ENUM_VALUE, f"{path}: {text}", fields=((path, text),))


def refuse_inconsistent(path: str, text: str) -> Never:
    """Refuse for fields that contradict each other."""
    raise Refusal(Reason.INCONSISTENT, f"{path}: {text}", fields=((path, text),))


def text_of(value: str, path: str, most: int = TEXT_ID_MAX, least: int = 1) -> str:
    """Pass a text of `least` to `most` characters without NUL."""
    if not least <= len(value) <= most or "\x00" in value:
        refuse_text(path, value, least, most)
    return value


def label_of(value: str, path: str) -> str:
    """Pass a required text of at most 32 characters."""
    return text_of(value, path, TEXT_LABEL_MAX)


def optional_text_of(value: str, path: str, most: int = TEXT_ID_MAX) -> str:
    """Pass a text that may be empty."""
    return text_of(value, path, most, least=0) if value else value


def number_of(value: int, path: str, least: int, most: int) -> int:
    """Pass a number within its range."""
    if not least <= value <= most:
        refuse_range(path, value, least, most)
    return value


def enum_of(value: int, path: str, last: int) -> int:
    """Pass a required enum value, 1 to `last`."""
    if not 0 < value <= last:
        refuse_enum(path, value)
    return value


def optional_enum_of(value: int, path: str, last: int) -> int:
    """Pass an enum value that may be unspecified."""
    return enum_of(value, path, last) if value else value


def language_of(value: str, path: str) -> str:
    """Pass a language code of 2 to 35 characters."""
    return text_of(value, path, LANGUAGE_MAX, least=2)


def id_of(value: bytes, path: str, size: int = 16) -> bytes:
    """Pass an id of exactly `size` bytes."""
    if len(value) != size:
        if not value:
            refuse_required(path)
        refuse_inconsistent(path, f"{len(value)} bytes are not {size}")
    return value


def count_of(actual: int, path: str, most: int, least: int = 0) -> None:
    """Hold a number of entries to its limit."""
    if actual > most:
        refuse_count(path, actual, most)
    if actual < least:
        refuse_required(path)
