"""Shapes of messages that are spelled without the stubs: their fields, as the stubs know them."""

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ext.wire import Shape

_VARINT, _ZIGZAG, _TEXT, _OCTETS, _MESSAGE, _TEXTS, _MESSAGES = range(7)
"""As `Kind` in `ext/wire.pyx`."""
_KINDS = {
    FieldDescriptor.TYPE_INT64: _VARINT,
    FieldDescriptor.TYPE_UINT64: _VARINT,
    FieldDescriptor.TYPE_UINT32: _VARINT,
    FieldDescriptor.TYPE_BOOL: _VARINT,
    FieldDescriptor.TYPE_ENUM: _VARINT,
    FieldDescriptor.TYPE_SINT64: _ZIGZAG,
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: _OCTETS,
    FieldDescriptor.TYPE_MESSAGE: _MESSAGE,
}
_REPEATED = {_TEXT: _TEXTS, _MESSAGE: _MESSAGES}


def shape_of(message: type[Message], *names: str) -> Shape:
    """The shape of a message.

    Args:
        message: its generated class.
        names: the fields that are spelled, by number: the order of the values.

    Raises:
        KeyError: there is no such field, or its kind is never spelled.
        ValueError: the names do not stand by number.
    """
    fields = [message.DESCRIPTOR.fields_by_name[name] for name in names]
    return Shape(tuple([(f.number, _kind(f.type, f.is_repeated)) for f in fields]))


def _kind(field_type: int, is_repeated: bool) -> int:
    kind = _KINDS[field_type]
    return _REPEATED[kind] if is_repeated else kind
