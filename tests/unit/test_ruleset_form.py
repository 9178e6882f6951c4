"""Goal: a server starts on a database whose rulesets another build has compiled."""

import msgspec

from rewards.compilation import compile_ruleset, decode_or_compile
from rewards.program import Program
from rewards.ruleset import decode_ruleset, encode_ruleset
from tests.serving import PROGRAM

PROGRAMS = (msgspec.convert(PROGRAM, Program),)
COMPILED = compile_ruleset(7, PROGRAMS)
CONTENT = msgspec.msgpack.encode(PROGRAMS)


def test_the_stored_form_is_read_back() -> None:
    """The stored form of this build needs no content."""
    assert decode_or_compile(7, encode_ruleset(COMPILED), b"") == COMPILED


def test_the_form_of_another_build_is_compiled_again() -> None:
    """Another mark in front: the content is compiled."""
    other = bytes(8) + encode_ruleset(COMPILED)[8:]
    assert decode_ruleset(other) is None
    assert decode_or_compile(7, other, CONTENT) == COMPILED
