"""Loads a version of the ruleset into memory, in steps that no call notices.

Decoding ten thousand promotions at once is one step of C that holds the interpreter for some 70 ms,
most of it in the garbage collector. So their forms are decoded a few at a time in a thread, which
rests between, and what was loaded is taken out of the collector's sight.
"""

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, inspect

from rewards.compilation import decode_or_compile
from rewards.ruleset import COMPILED_FORM, CompiledProgram, CompiledRuleset, Ruleset
from server.store.feeds import VersionRecord
from server.store.packed import unpack

STEP_ITEMS = 250
"""Decoded at a time: about a millisecond."""
STEP_REST_S = 0.001


def _item_types() -> dict[str, type[Struct]]:
    """Lists of structs in a compiled program: what can be many, and is decoded in steps."""
    kind = inspect.type_info(CompiledProgram)
    assert isinstance(kind, inspect.StructType)
    return {
        field.name: field.type.item_type.cls
        for field in kind.fields
        if isinstance(field.type, inspect.VarTupleType)
        and isinstance(field.type.item_type, inspect.StructType)
    }


_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind) for name, kind in _item_types().items()
}
_RULESET = msgspec.msgpack.Decoder(tuple[int, dict[str, msgspec.Raw]])
_SHALLOW_PROGRAM = msgspec.msgpack.Decoder(
    msgspec.defstruct(
        "_ShallowProgram",
        [
            (field.name, tuple[msgspec.Raw, ...] if field.name in _DECODERS else field.type)
            for field in msgspec.structs.fields(CompiledProgram)
        ],
        array_like=True,
    )
)
"""A compiled program whose long lists are still spelled."""


async def load_version(record: VersionRecord) -> Ruleset | None:
    """Make a stored version ready for evaluation.

    Args:
        record: as stored.

    Returns:
        The ruleset; None if another build compiled it in another form.
    """
    ruleset = await asyncio.to_thread(_load, record.compiled)
    _settle()
    return ruleset


async def compile_version(record: VersionRecord, content: bytes) -> Ruleset:
    """Make a version that another build compiled ready for evaluation.

    Args:
        record: as stored.
        content: its programs, as stored.
    """
    ruleset = await asyncio.to_thread(_compile, record, content)
    _settle()
    return ruleset


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
    programs = {chain_id: _program(raw, rest_s) for chain_id, raw in raws.items()}
    return CompiledRuleset(version, programs)


def _load(stored: bytes) -> Ruleset | None:
    compiled = decode_in_steps(unpack(stored))
    return None if compiled is None else Ruleset(compiled)


def _compile(record: VersionRecord, content: bytes) -> Ruleset:
    stored = unpack(record.compiled)
    return Ruleset(decode_or_compile(record.version, stored, unpack(content)))


def _settle() -> None:
    """Take what was loaded out of the collector's sight.

    It lives for long and holds no cycles; a full collection would walk it for 40 ms.
    """
    gc.freeze()


def _program(spelled: msgspec.Raw, rest_s: float) -> CompiledProgram:
    shallow = _SHALLOW_PROGRAM.decode(spelled)
    values: dict[str, Any] = {
        name: tuple(_items(name, value, rest_s)) if name in _DECODERS else value
        for name, value in msgspec.structs.asdict(shallow).items()
    }
    return CompiledProgram(**values)


def _items(name: str, raws: tuple[msgspec.Raw, ...], rest_s: float) -> Iterator[Struct]:
    decode = _DECODERS[name].decode
    for first in range(0, len(raws), STEP_ITEMS):
        if first:
            time.sleep(rest_s)
        for raw in raws[first : first + STEP_ITEMS]:
            yield decode(raw)
