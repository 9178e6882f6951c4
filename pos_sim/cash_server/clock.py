"""The clock of a cash server: the machine's, or shifted as those of the servers are in tests."""

import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path

_OFFSET = struct.Struct("<q")

Clock = Callable[[], int]
"""Gives the present instant in UTC microseconds."""


def machine_clock() -> int:
    """The machine's clock, UTC microseconds."""
    return time.time_ns() // 1_000


def read_clock_file(path: Path) -> Clock:
    """The machine's clock plus the offset in a file that many processes share.

    Args:
        path: Holds 8 bytes, little-endian, signed microseconds; must be there.
    """
    with path.open("rb") as file:
        shared = mmap.mmap(file.fileno(), _OFFSET.size, access=mmap.ACCESS_READ)

    def now_us() -> int:
        offset_us: int = _OFFSET.unpack_from(shared)[0]
        return machine_clock() + offset_us

    return now_us
