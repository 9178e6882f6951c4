"""The clock of a cash server: the machine's, or shifted as those of the servers are in tests.

It may be set while it runs; what was measured by it then has to be told.
"""

import mmap
import struct
import time
from collections.abc import Callable
from pathlib import Path

_OFFSET = struct.Struct("<q")

STEP_MIN_US = 100_000
"""Less is left until it has become so much."""
READ_LONG_US = 10_000

Clock = Callable[[], int]
"""Gives the present instant in UTC microseconds."""


def machine_clock() -> int:
    """The machine's clock, UTC microseconds."""
    return time.time_ns() // 1_000


def passed_us() -> int:
    """What has passed since the machine was started, microseconds; nobody sets that."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000


class WatchedClock:
    """A clock that tells whenever it is read if it was set."""

    def __init__(
        self, clock: Clock, machine: Clock = machine_clock, passed: Clock = passed_us
    ) -> None:
        """Watch a clock.

        Args:
            clock: What is read.
            machine: The part of it that somebody may set, UTC microseconds.
            passed: A clock that nobody sets, microseconds.
        """
        self._clock = clock
        self._machine = machine
        self._passed = passed
        self._began_us = self._measure()
        self.on_step: list[Callable[[int], object]] = []
        """Are told by how much it was set, microseconds, before anybody reads it again."""

    def __call__(self) -> int:
        """The present instant, UTC microseconds."""
        began_us = self._measure()
        step_us = began_us - self._began_us
        if abs(step_us) >= STEP_MIN_US:
            self._began_us = began_us
            for tell in self.on_step:
                tell(step_us)
        return self._clock()

    def _measure(self) -> int:
        """When the clock that nobody sets showed 0, by the one that is watched."""
        while True:
            before_us, now_us, after_us = self._passed(), self._machine(), self._passed()
            if after_us - before_us < READ_LONG_US:  # else this process was held up in between
                return now_us - before_us


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
