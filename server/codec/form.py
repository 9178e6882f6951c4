"""Forms of messages that are read without the stubs: their fields, as the stubs know them."""

from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ext.form import Form

_NUMBER, _ZIGZAG, _FLAG, _TEXT, _OCTETS, _RAW, _MESSAGE, _TEXTS, _MESSAGES = range(9)
"""As `Kind` in `ext/form.pyx`."""
_KINDS = {
    FieldDescriptor.TYPE_INT64: _NUMBER,
    FieldDescriptor.TYPE_UINT32: _NUMBER,
    FieldDescriptor.TYPE_ENUM: _NUMBER,
    FieldDescriptor.TYPE_SINT32: _ZIGZAG,
    FieldDescriptor.TYPE_SINT64: _ZIGZAG,
    FieldDescriptor.TYPE_BOOL: _FLAG,
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: _OCTETS,
    FieldDescriptor.TYPE_MESSAGE: _MESSAGE,
}
_REPEATED = {_TEXT: _TEXTS, _MESSAGE: _MESSAGES}


class Field(NamedTuple):
    """A field of a form.

    Attributes:
        name: as in the contract.
        least: bounds of its value; of a text, bytes or repeated field of their length. A message
            must be there with 1.
        most: see `least`.
        form: of a message.
        each_most: characters of each of several texts.
        is_raw: a message whose bytes are kept as they are.
    """

    name: str
    least: int = 0
    most: int = 1
    form: Form | None = None
    each_most: int = 0
    is_raw: bool = False


def form_of(
    message: type[Message],
    *fields: Field,
    make: Callable[..., Any] | None = None,
    tail: int = -1,
    absent: Any = None,
) -> Form:
    """The form of a message; fields that are not named make it give up.

    Args:
        message: its generated class.
        fields: what is read, in the order of the values.
        make: gives what the message is read as, from the values.
        tail: see `ext.form.Form`.
        absent: stands for a message that was not sent.

    Raises:
        KeyError: there is no such field, or its kind is never read.
    """
    known = message.DESCRIPTOR.fields_by_name
    rows = [(known[one.name], one) for one in fields]
    return Form(
        tuple(
            [
                (
                    f.number,
                    _kind(f, one),
                    one.least,
                    one.most,
                    one.each_most,
                    one.form,
                )
                for f, one in rows
            ]
        ),
        make,
        tail,
        absent,
    )


def _kind(known: Any, field: Field) -> int:
    if field.is_raw:
        return _RAW
    kind = _KINDS[known.type]
    return _REPEATED[kind] if known.is_repeated else kind
