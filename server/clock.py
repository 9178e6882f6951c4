"""The clock port: the only place that reads the time.

With LOYALTY_CLOCK_FILE the clock is shifted by the number in that file: 8 bytes, little-endian,
signed microseconds. All processes map the file, so that a test or simulation sets the time of all
of them at once. Instants never come from SQL now().
"""

import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path

from rewards.rounding import floor_div

OFFSET_BYTES = 8
_OFFSET = struct.Struct("<q")

Clock = Callable[[], int]
"""Gives the present instant in UTC microseconds."""


def system_clock() -> int:
    """The machine's clock, UTC microseconds."""
    return floor_div(time.time_ns(), 1_000)


def shifted_clock(path: Path) -> Clock:
    """The machine's clock plus the offset in a file.

    Args:
        path: the file; made with offset 0 if it is not there.
    """
    with path.open("ab") as grown:
        # An empty or short file is grown with zeros, which is offset 0; what is there stays.
        if grown.tell() < OFFSET_BYTES:
            grown.truncate(OFFSET_BYTES)
    with path.open("rb") as file:
        shared = mmap.mmap(file.fileno(), OFFSET_BYTES, access=mmap.ACCESS_READ)

    def now_us() -> int:
        offset_us: int = _OFFSET.unpack_from(shared)[0]
        return system_clock() + offset_us

    return now_us


def set_offset(path: Path, offset_us: int) -> None:
    """Shift the clock of every process that maps the file, microseconds."""
    mode = "r+b" if path.exists() else "w+b"
    with path.open(mode) as file:
        file.write(_OFFSET.pack(offset_us))
