"""Turns a plain tree (of TOML, or of a message) into a `Program`, or says which key is wrong.

Knows the types of `rewards.program` and nothing of where the tree came from.
"""

import re
from collections.abc import Iterable

import msgspec
from msgspec import inspect

from rewards.program import Program
from rewards.program_check import Problem

SHOWN_CHARACTERS_MAX = 200
"""Of a value that is wrong, in the reason."""
_AT = re.compile(r"^(?P<reason>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_NAMED_KEY = re.compile(r"^Object (missing required|contains unknown) field `(.*)`$", re.DOTALL)


class ProgramShapeError(ValueError):
    """A key of a program is unknown, missing, of the wrong type or out of its range.

    Attributes:
        problem: the place and the reason.
    """

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(f"{problem.path}: {problem.reason}" if problem.path else problem.reason)
        self.problem = problem


def shape_program(tree: object) -> Program:
    """Decode a tree of dicts, lists and scalars.

    Args:
        tree: keys as in `rewards.program`; a benefit's kind stands under `code`.

    Raises:
        ProgramShapeError: the first place that is wrong.
    """
    try:
        return msgspec.convert(tree, Program, strict=True)
    except msgspec.ValidationError as error:
        raise ProgramShapeError(_problem_of(str(error), tree)) from None


def _problem_of(text: str, tree: object) -> Problem:
    """Say an error of msgspec with the key's whole path and what would be right there."""
    match = _AT.match(text)
    assert match is not None
    reason, path = match["reason"], match["path"] or ""
    kind, value = _look_up(path, tree)
    named = _NAMED_KEY.match(reason)
    if named is None:
        return Problem(path, _with_choices(reason, kind, value))
    place = f"{path}.{named[2]}" if path else named[2]
    if named[1] == "missing required":
        return Problem(place, _missing_reason(kind, named[2]))
    return Problem(place, f"is not known here; known: {', '.join(_keys_of(kind))}")


def _missing_reason(kind: inspect.Type | None, key: str) -> str:
    if isinstance(kind, inspect.UnionType):
        return f"is required; one of: {', '.join(_tags_of(kind))}"
    return "is required"


def _with_choices(reason: str, kind: inspect.Type | None, value: object) -> str:
    """Add what is allowed where a closed set of words is."""
    if isinstance(kind, inspect.LiteralType):
        return f"{_shown(value)} is not one of: {', '.join(map(str, kind.values))}"
    reason = reason.replace("`", "").replace(" | null", "")
    if isinstance(kind, inspect.UnionType):
        return f"{reason}; its code is one of: {', '.join(_tags_of(kind))}"
    found = "" if isinstance(value, dict | list) or value is None else f", found {_shown(value)}"
    return reason + found


def _shown(value: object) -> str:
    """The value as an author wrote it, as far as a line holds it."""
    try:
        text = repr(value)
    except ValueError:
        # Python does not spell a number of thousands of digits; as a hexadecimal one it is read.
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}..."


def _look_up(path: str, tree: object) -> tuple[inspect.Type | None, object]:
    """Walk types and tree together to the place of an error."""
    kind: inspect.Type | None = inspect.type_info(Program)
    for step in _STEP.finditer(path):
        name, index = step[1], step[2]
        kind = _present(_type_below(_present(kind), tree, name))
        tree = _value_below(tree, name, index)
    return _resolved(kind, tree), tree


def _value_below(tree: object, name: str | None, index: str | None) -> object:
    if isinstance(tree, dict) and name is not None:
        return tree.get(name)
    if isinstance(tree, list | tuple) and index is not None:
        return tree[int(index)]
    return None


def _type_below(kind: inspect.Type | None, tree: object, name: str | None) -> inspect.Type | None:
    if name is None:
        return kind.item_type if isinstance(kind, inspect.VarTupleType) else None
    if isinstance(kind, inspect.UnionType) and name == "code":
        return inspect.LiteralType(tuple(_tags_of(kind)))
    resolved = _resolved(kind, tree)
    if isinstance(resolved, inspect.StructType):
        return next((field.type for field in resolved.fields if field.name == name), None)
    return None


def _present(kind: inspect.Type | None) -> inspect.Type | None:
    """Of what may be missing take what it is if it is there."""
    if not isinstance(kind, inspect.UnionType):
        return kind
    members = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
    return members[0] if len(members) == 1 else kind


def _resolved(kind: inspect.Type | None, tree: object) -> inspect.Type | None:
    """Of a union take the struct that the tree's code names, if it names one."""
    if isinstance(kind, inspect.Metadata):
        return _resolved(kind.type, tree)
    if isinstance(kind, inspect.UnionType) and isinstance(tree, dict):
        for struct in _structs_of(kind):
            if struct.tag == tree.get("code"):
                return struct
    return kind


def _keys_of(kind: inspect.Type | None) -> list[str]:
    if not isinstance(kind, inspect.StructType):
        return []
    tag = [kind.tag_field] if kind.tag_field else []
    return [*tag, *(field.name for field in kind.fields)]


def _tags_of(kind: inspect.UnionType) -> list[str]:
    return [str(struct.tag) for struct in _structs_of(kind)]


def _structs_of(kind: inspect.UnionType) -> Iterable[inspect.StructType]:
    return (member for member in kind.types if isinstance(member, inspect.StructType))
