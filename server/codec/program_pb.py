"""Programs as messages: `loyalty.v1.Program` to `rewards.program.Program` and back.

Both have the same names, so that one generic walk serves: it knows nothing of any field. A test
proves that they do have the same fields. A message with a oneof `kind` is a union: a tagged type.
"""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from google.protobuf.message import Message
from msgspec import Struct

from loyalty.v1 import program_pb2 as pb
from rewards.problem import Problem
from rewards.program import Program
from server.program_shape import ProgramShapeError, shape_program


class _Repeated(Protocol):
    """A repeated field as protobuf gives it."""

    def add(self) -> Message:
        """Append an empty message."""

    def append(self, value: object, /) -> None:
        """Append a scalar."""


# The classes of descriptors differ with the implementation that protobuf runs on.
_Field = Any
_Enum = Any
_Oneof = Any

CODE_KEY = "code"
"""Under this key stands which field of a union is set."""
UNION_ONEOF = "kind"
"""Name of the oneof that makes a message a union; others are those of single optional fields."""

_SPELLINGS: dict[str, tuple[dict[int, str], dict[str, int]]] = {}


def program_from_pb(message: pb.Program) -> Program:
    """Read a program.

    Messages, enums and fields marked optional that are not set get the default of the type; other
    scalars count as the zero that the wire makes of them.

    Raises:
        ProgramShapeError: the first place that is missing, out of its range, or an enum value
            that this version does not know.
    """
    return shape_program(_tree_of(message, ""))


def program_to_pb(program: Program) -> pb.Program:
    """Spell a program as a message; `program_from_pb` gives back an equal one."""
    message = pb.Program()
    _fill(message, program)
    return message


def _tree_of(message: Message, path: str) -> dict[str, object]:
    tree: dict[str, object] = {}
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            tree[field.name] = _items(message, field, f"{path}{field.name}")
        elif field.message_type is None:
            _put_scalar(tree, message, field, path)
        elif message.HasField(field.name):
            child = getattr(message, field.name)
            tree[field.name] = _child_tree(child, f"{path}{field.name}.")
    return tree


def _items(message: Message, field: _Field, path: str) -> list[object]:
    values: Iterable[Any] = getattr(message, field.name)
    places = ((f"{path}[{index}]", value) for index, value in enumerate(values))
    if field.enum_type is not None:
        return [_enum_name(field.enum_type, value, place) for place, value in places]
    if field.message_type is not None:
        return [_child_tree(value, f"{place}.") for place, value in places]
    return list(values)


def _put_scalar(tree: dict[str, object], message: Message, field: _Field, path: str) -> None:
    if field.has_presence and not message.HasField(field.name):
        return
    value = getattr(message, field.name)
    if field.enum_type is None:
        tree[field.name] = value
    elif value:
        tree[field.name] = _enum_name(field.enum_type, value, f"{path}{field.name}")


def _child_tree(message: Message, path: str) -> dict[str, object]:
    """Of a union the code of its kind beside the kind's fields."""
    choice = _union_of(message)
    if choice is None:
        return _tree_of(message, path)
    code = message.WhichOneof(choice.name)
    return {CODE_KEY: code, **_tree_of(getattr(message, code), path)} if code else {}


def _union_of(message: Message) -> _Oneof | None:
    return message.DESCRIPTOR.oneofs_by_name.get(UNION_ONEOF)


def _enum_name(kind: _Enum, number: int, path: str) -> str:
    names, _ = _spelling(kind)
    if number not in names:
        reason = f"{number} is not a value of this version; known: {', '.join(names.values())}"
        raise ProgramShapeError(Problem(path, reason))
    return names[number]


def _spelling(kind: _Enum) -> tuple[dict[int, str], dict[str, int]]:
    """Names of an enum's values in lower case without their prefix, and back."""
    known = _SPELLINGS.get(kind.full_name)
    if known is None:
        prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
        names = {
            value.number: value.name.removeprefix(prefix).lower()
            for value in kind.values
            if value.number
        }
        known = names, {name: number for number, name in names.items()}
        _SPELLINGS[kind.full_name] = known
    return known


def _fill(message: Message, struct: Struct) -> None:
    """Set every field of a message from the field of a struct that has the same name."""
    for info in msgspec.structs.fields(struct):
        value = getattr(struct, info.name)
        field = message.DESCRIPTOR.fields_by_name[info.name]
        if value is None:
            continue
        if isinstance(value, Struct):
            child = getattr(message, info.name)
            child.SetInParent()
            _fill_child(child, value)
        elif field.is_repeated:
            _fill_items(getattr(message, info.name), field, value)
        else:
            setattr(message, info.name, _wire_value(field, value))


def _fill_items(container: _Repeated, field: _Field, values: Iterable[object]) -> None:
    for value in values:
        if isinstance(value, Struct):
            _fill_child(container.add(), value)
        else:
            container.append(_wire_value(field, value))


def _wire_value(field: _Field, value: Any) -> object:
    """A scalar as it is, a word as the number that stands for it."""
    return value if field.enum_type is None else _spelling(field.enum_type)[1][value]


def _fill_child(message: Message, struct: Struct) -> None:
    """Fill a message; of a union the field that the struct's tag names."""
    if _union_of(message) is None:
        _fill(message, struct)
        return
    code = struct.__struct_config__.tag
    assert isinstance(code, str)
    chosen = getattr(message, code)
    chosen.SetInParent()
    _fill(chosen, struct)
