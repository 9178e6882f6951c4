"""The examples of docs/programs.md are right, and none of the authoring language is left out."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rewards import authored, benefit, condition
from rewards import program as types
from rewards.benefit import Benefit
from rewards.condition import Condition
from rewards.program import Program
from rewards.program_check import check_program
from rewards.wording import FIGURES
from tests import program_tree

DOC = (Path(__file__).parents[2] / "docs" / "programs.md").read_text()
INDENT = "    "
NO_EXAMPLES = (".venv/bin/", "error: ")
PLURALS = ("one", "few", "many", "other")
KINDS: dict[str, Any] = {
    kind.__struct_config__.tag: kind for kind in (*Condition.__args__, *Benefit.__args__)
}


def blocks() -> Iterator[str]:
    """Every indented block that shows a program or a part of one."""
    for found in re.finditer(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", DOC, re.MULTILINE):
        text = "\n".join(line.removeprefix(INDENT) for line in found[0].splitlines())
        if not text.startswith(NO_EXAMPLES):
            yield text


BLOCKS = list(blocks())
PARTS = [block for block in BLOCKS[1:] if not block.startswith("{")]
LINES = [line for block in BLOCKS for line in block.splitlines() if line.startswith("{ code =")]


def of_line(line: str) -> dict[str, Any]:
    tree: dict[str, Any] = tomllib.loads(f"one = {line.rstrip(',')}")["one"]
    return tree


def test_the_first_example_is_a_valid_program() -> None:
    program = msgspec.convert(tomllib.loads(BLOCKS[0]), Program)
    assert check_program(program) == ()


@pytest.mark.parametrize("line", LINES)
def test_a_condition_or_benefit_is_right(line: str) -> None:
    tree = of_line(line)
    msgspec.convert(tree, KINDS[tree["code"]])


@pytest.mark.parametrize("block", PARTS)
def test_a_part_of_a_program_is_right(block: str) -> None:
    tree = tomllib.loads(re.sub(r"^\{.*$", "", block, flags=re.MULTILINE))
    promotions = tree.get("promotions")
    if tree.keys() <= set(Program.__struct_fields__) and not isinstance(promotions, dict):
        fields = program_tree.program()
        changed = msgspec.to_builtins(fields) | tree
    else:
        changes = promotions if isinstance(promotions, dict) else tree
        changed = msgspec.to_builtins(program_tree.program(**program_tree.promotions(**changes)))
    msgspec.convert(changed, Program)


def test_every_condition_and_benefit_has_an_example() -> None:
    shown = {of_line(line)["code"] for line in LINES}
    shown |= set(re.findall(r'code = "([a-z_]+)"', "\n".join(BLOCKS)))
    assert KINDS.keys() <= shown


def test_every_key_is_explained() -> None:
    """As `key` or as the end of `some.key`."""
    structs = [
        found
        for module in (authored, condition, benefit, types)
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, authored.Authored)
    ]
    keys = {field.name for struct in structs for field in msgspec.structs.fields(struct)}
    prose = set(re.findall(r"`(?:[a-z_]+\.)?([a-z_]+)(?: = [^`]*)?`", DOC))
    assert keys - prose - set(re.findall(r"([a-z_]+) = ", "\n".join(BLOCKS))) == set()


def test_every_text_is_explained() -> None:
    named = set(re.findall(r"`([a-z_]+)`", DOC))
    plurals = {f"{noun}_{form}" for noun in ("coupon", "prize", "entry") for form in PLURALS}
    assert set(FIGURES) - plurals <= named
    assert plurals <= set(FIGURES)
