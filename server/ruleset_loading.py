"""Loads a version of the ruleset into memory, in steps that no call notices.

Decoding ten thousand promotions at once is one step of C that holds the interpreter for some 70 ms,
most of it in the garbage collector. So lists and maps of a program are decoded a few entries at a
time in a thread, which rests between, and what was loaded is taken out of the collector's sight.
"""

import asyncio
import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Struct

from rewards.compilation import decode_or_compile
from rewards.ruleset import COMPILED_FORM, CompiledProgram, CompiledRuleset, Ruleset
from server.store.feeds import VersionRecord
from server.store.packed import unpack

STEP_ITEMS = 250
"""Decoded at a time: about a millisecond."""
STEP_REST_S = 0.001


_RAWS = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...])
_NAMED_RAWS = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_RULESET = msgspec.msgpack.Decoder(tuple[int, dict[str, msgspec.Raw]])


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


async def load_version(record: VersionRecord) -> Ruleset | None:
    """Make a stored version ready for evaluation.

    Args:
        record: as stored.

    Returns:
        The ruleset; None if another build compiled it in another form.
    """
    with _out_of_sight():
        return await asyncio.to_thread(_load, record.compiled)


async def compile_version(record: VersionRecord, content: bytes) -> Ruleset:
    """Make a version that another build compiled ready for evaluation.

    Args:
        record: as stored.
        content: its programs, as stored.
    """
    with _out_of_sight():
        return await asyncio.to_thread(_compile, record, content)


def decode_in_steps(stored: bytes, rest_s: float = STEP_REST_S) -> CompiledRuleset | None:
    """Read what `encode_ruleset` wrote, as `decode_ruleset` does, resting between steps.

    Args:
        stored: the compiled form, unpacked.
        rest_s: how long to rest, seconds.

    Returns:
        The ruleset; None if another build wrote it in another form.
    """
    if stored[: len(COMPILED_FORM)] != COMPILED_FORM:
        return None
    version, raws = _RULESET.decode(memoryview(stored)[len(COMPILED_FORM) :])
    programs = {key: _struct(raw, CompiledProgram, rest_s) for key, raw in raws.items()}
    return CompiledRuleset(version, programs)


def _load(stored: bytes) -> Ruleset | None:
    compiled = decode_in_steps(unpack(stored))
    return None if compiled is None else Ruleset(compiled)


def _compile(record: VersionRecord, content: bytes) -> Ruleset:
    stored = unpack(record.compiled)
    return Ruleset(decode_or_compile(record.version, stored, unpack(content)))


@contextmanager
def _out_of_sight() -> Iterator[None]:
    """Keep the collector away from what is loaded.

    It lives for long and holds no cycles. Otherwise each fifty thousand objects cost a collection
    of some milliseconds while they are made, and a full one would walk them all for 40 ms.
    """
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if is_on:
            gc.enable()


def _struct(spelled: msgspec.Raw, kind: type[Struct], rest_s: float) -> Any:
    """Read a struct field by field: what may be long, in steps."""
    fields = msgspec.structs.fields(kind)
    if kind.__struct_config__.array_like:
        parts: Iterable[msgspec.Raw] = _RAWS.decode(spelled)
    else:
        named = _NAMED_RAWS.decode(spelled)
        parts = (named[field.encode_name] for field in fields)
    found = {
        field.name: _value(part, field.type, rest_s)
        for field, part in zip(fields, parts, strict=True)
    }
    return kind(**found)


def _value(spelled: msgspec.Raw, kind: Any, rest_s: float) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _struct(spelled, kind, rest_s)
    match get_origin(kind), get_args(kind):
        case (origin, (item, last)) if origin is tuple and last is ...:
            return tuple(_items(_RAWS.decode(spelled), item, rest_s))
        case (origin, (key, item)) if origin is dict and key is str:
            named = _NAMED_RAWS.decode(spelled)
            return dict(zip(named, _items(named.values(), item, rest_s), strict=True))
    return _decoder(kind).decode(spelled)


def _items(spelled: Iterable[msgspec.Raw], kind: Any, rest_s: float) -> Iterator[Any]:
    decode = _decoder(kind).decode
    for place, item in enumerate(spelled, start=1):
        yield decode(item)
        if not place % STEP_ITEMS:
            time.sleep(rest_s)
