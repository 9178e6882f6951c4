"""Frames between a server and its worker: a length, then a message in msgpack."""

from typing import IO

_LENGTH_BYTES = 8


def write_frame(stream: IO[bytes], body: bytes) -> None:
    """Send a message.

    Raises:
        OSError: the other side is gone.
    """
    stream.write(len(body).to_bytes(_LENGTH_BYTES, "big"))
    stream.write(body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """Receive a message; None if the other side has closed, or broken off within one."""
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    body = stream.read(length)
    return body if len(body) == length else None
