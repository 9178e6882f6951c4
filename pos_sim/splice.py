"""Takes spelled messages apart and puts them together by their fields, without reading them.

What a till has sent stands in the spool as bytes, and most of it goes on as it stands. Source:
protobuf.dev, "Encoding".
"""

from collections.abc import Iterator

_VARINT, _FIXED_64, _OCTETS, _FIXED_32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED_64: 8, _FIXED_32: 4}


def fields_of(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message that are texts, bytes or messages: number and content.

    Args:
        message: as it was spelled.

    Raises:
        ValueError: it is no message.
    """
    at, end = 0, len(message)
    try:
        while at < end:
            tag, at = _varint(message, at)
            kind = tag & 7
            if kind == _VARINT:
                _, at = _varint(message, at)
            elif kind == _OCTETS:
                size, at = _varint(message, at)
                yield tag >> 3, message[at : at + size]
                at += size
            else:
                at += _FIXED_BYTES[kind]
    except (IndexError, KeyError):
        at = end + 1
    if at != end:
        raise ValueError("not a message")


def field(number: int, content: bytes) -> bytes:
    """Spell a field that is a text, bytes or a message.

    Args:
        number: of the field.
        content: what it holds, spelled.
    """
    return b"".join((_spelled(number << 3 | _OCTETS), _spelled(len(content)), content))


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Read a varint: its value, and where it ends."""
    found, shift = 0, 0
    while True:
        byte = message[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, at
        shift += 7


def _spelled(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
