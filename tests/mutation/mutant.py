"""Mutants as mutmut keeps them in a sandbox: their names, what became of them, how they differ."""

import ast
import difflib
import json
import random
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path

from msgspec import Struct

_BEFORE_NUMBER = "__mutmut_"
_KILLED = frozenset({1, 2, 3})  # a test failed, could not be collected, broke pytest
_NO_TESTS = frozenset({5, 33})
_TIMED_OUT = frozenset({24, 36, 152, 255, -24})


class Verdict(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    CRASHED = "crashed"
    SURVIVED = "survived"
    NOT_COVERED = "not covered"
    UNCLEAR = "unclear"


DETECTED = frozenset({Verdict.KILLED, Verdict.TIMED_OUT, Verdict.CRASHED})
"""A mutant that hangs or takes the interpreter down is noticed as surely as one that fails."""


class Mutant(Struct, frozen=True):
    """One change of one function.

    Attributes:
        name: module, mangled function and number, as mutmut takes it.
        exit_code: of its tests; None as long as they were not run.
    """

    name: str
    exit_code: int | None

    @property
    def module(self) -> str:
        """The module it changes."""
        return self.name.rpartition(".")[0]

    @property
    def function(self) -> str:
        """The function it changes, as the source spells it."""
        mangled = self.name.rpartition(".")[2].rpartition(_BEFORE_NUMBER)[0]
        if mangled.startswith("xǁ"):
            return mangled[2:].replace("ǁ", ".")
        return mangled.removeprefix("x_")

    @property
    def path(self) -> Path:
        """The file it changes."""
        return Path(*self.module.split(".")).with_suffix(".py")

    @property
    def verdict(self) -> Verdict | None:
        """What became of it; None as long as its tests were not run."""
        return None if self.exit_code is None else verdict_of(self.exit_code)


def verdict_of(exit_code: int) -> Verdict:
    """Read the exit status of the tests of a mutant."""
    if exit_code == 0:
        return Verdict.SURVIVED
    if exit_code in _KILLED:
        return Verdict.KILLED
    if exit_code in _NO_TESTS:
        return Verdict.NOT_COVERED
    if exit_code in _TIMED_OUT:
        return Verdict.TIMED_OUT
    return Verdict.CRASHED if exit_code < 0 else Verdict.UNCLEAR


def read_mutants(sandbox: Path) -> list[Mutant]:
    """Read all mutants of a sandbox, in the order of their names."""
    codes: dict[str, int | None] = {}
    for path in (sandbox / "mutants").rglob("*.meta"):
        codes.update(_exit_codes(path))
    return [Mutant(name, codes[name]) for name in sorted(codes)]


def choose(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """Take so many at random: the same ones for the same seed and sources."""
    chosen = random.Random(seed).sample(mutants, min(count, len(mutants)))
    return sorted(chosen, key=lambda mutant: mutant.name)


def difference(sandbox: Path, mutant: Mutant) -> str:
    """Show the lines it changes, as a diff without file names."""
    changed = mutant.name.rpartition(".")[2]
    original = changed.rpartition(_BEFORE_NUMBER)[0] + _BEFORE_NUMBER + "orig"
    functions = _functions(sandbox / "mutants" / mutant.path)
    lines = difflib.unified_diff(functions[original], functions[changed], n=1, lineterm="")
    # The first two lines name files, and the name of the function differs by its number alone.
    shown = [line for line in list(lines)[2:] if _BEFORE_NUMBER not in line]
    return "\n".join(line for line in shown if not line.startswith("@@"))


def _exit_codes(path: Path) -> Mapping[str, int | None]:
    """Read what mutmut knows of a file; nothing while it writes it."""
    try:
        known: dict[str, dict[str, int | None]] = json.loads(path.read_text())
    except json.JSONDecodeError:
        return {}
    return known["exit_code_by_key"]


@cache
def _functions(path: Path) -> dict[str, list[str]]:
    text = path.read_text()
    lines = text.splitlines()
    return {
        node.name: lines[node.lineno - 1 : node.end_lineno]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
