"""Bytes to messages: what is no message of the call is refused, never an internal error."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from rewards.refusal import Reason, Refusal

_Message = TypeVar("_Message", bound=Message)


def parsed(kind: type[_Message], body: bytes) -> _Message:
    """Parse a request.

    Raises:
        Refusal: MALFORMED_MESSAGE.
    """
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        text = f"the bytes are no {kind.DESCRIPTOR.name}"
        raise Refusal(Reason.MALFORMED_MESSAGE, text) from error
    return message


def tag_of(field_number: int) -> bytes:
    """Spell the tag of a field that has a length: a message, bytes or text."""
    return varint(field_number << 3 | 2)


def spliced(field_number: int, body: bytes) -> bytes:
    """Spell a message field from its bytes, to be put behind a serialized message.

    Stored answers travel inside other messages byte for byte, without being parsed.
    """
    return b"".join((tag_of(field_number), varint(len(body)), body))


def varint(value: int) -> bytes:
    """Spell a number of 0 or more as protobuf does."""
    spelled = bytearray()
    while value > 0x7F:
        spelled.append(value & 0x7F | 0x80)
        value >>= 7
    spelled.append(value)
    return bytes(spelled)
