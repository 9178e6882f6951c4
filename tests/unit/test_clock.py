"""The clock port: the machine's time, or that time shifted for all processes at once."""

import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server.clock import OFFSET_BYTES, set_offset, shifted_clock, system_clock

YEAR_US = 365 * 86_400_000_000


def within(now_us: int, before_us: int, after_us: int) -> bool:
    return before_us <= now_us <= after_us


def test_the_system_clock_is_in_microseconds() -> None:
    before_us = time.time_ns() // 1_000
    now_us = system_clock()
    assert within(now_us, before_us, time.time_ns() // 1_000)


def test_a_new_file_shifts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    clock = shifted_clock(path)
    before_us = system_clock()
    assert within(clock(), before_us, system_clock())
    assert path.read_bytes() == bytes(OFFSET_BYTES)


@pytest.mark.parametrize("offset_us", [0, 1, -1, YEAR_US, -10 * YEAR_US, 2**62])
def test_an_offset_shifts_clocks_that_are_open_already(tmp_path: Path, offset_us: int) -> None:
    path = tmp_path / "clock"
    clocks = [shifted_clock(path), shifted_clock(path)]
    set_offset(path, offset_us)
    for clock in clocks:
        before_us = system_clock()
        assert within(clock() - offset_us, before_us, system_clock())
    assert path.read_bytes() == struct.pack("<q", offset_us)


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    set_offset(path, YEAR_US)
    before_us = system_clock()
    assert within(shifted_clock(path)() - YEAR_US, before_us, system_clock())


def test_the_offset_can_be_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    clock = shifted_clock(path)
    for offset_us in (YEAR_US, 0):
        set_offset(path, offset_us)
    before_us = system_clock()
    assert within(clock(), before_us, system_clock())


SHIFT = "import sys; from server.clock import *; set_offset(Path(sys.argv[1]), int(sys.argv[2]))"


def test_another_process_shifts_the_clock_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    clock = shifted_clock(path)
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", SHIFT, str(path), str(YEAR_US)], check=True, timeout=60, cwd=root
    )
    before_us = system_clock()
    assert within(clock() - YEAR_US, before_us, system_clock())


def test_a_file_that_another_process_is_just_making_shifts_nothing(tmp_path: Path) -> None:
    """Between making the file and writing to it, it is empty."""
    path = tmp_path / "clock"
    path.touch()
    clock = shifted_clock(path)
    before_us = system_clock()
    assert within(clock(), before_us, system_clock())
