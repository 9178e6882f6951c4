"""Quiet hours: when they end, over midnight and over changes of the clock."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.quiet import quiet_until_us

MOSCOW, BERLIN = ZoneInfo("Europe/Moscow"), ZoneInfo("Europe/Berlin")
ZONES = st.sampled_from([MOSCOW, BERLIN, ZoneInfo("Asia/Kamchatka"), ZoneInfo("America/St_Johns")])
WALL = st.builds("{:02d}:{:02d}".format, st.integers(0, 23), st.integers(0, 59))


def at_us(wall: str, zone: ZoneInfo, fold: int = 0) -> int:
    return int(datetime.fromisoformat(wall).replace(tzinfo=zone, fold=fold).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("now", "hours", "until"),
    [
        ("2026-11-28 20:59", ("21:00", "09:00"), ""),
        ("2026-11-28 21:00", ("21:00", "09:00"), "2026-11-29 09:00"),
        ("2026-11-28 23:59", ("21:00", "09:00"), "2026-11-29 09:00"),
        ("2026-11-29 00:00", ("21:00", "09:00"), "2026-11-29 09:00"),
        ("2026-11-29 08:59", ("21:00", "09:00"), "2026-11-29 09:00"),
        ("2026-11-29 09:00", ("21:00", "09:00"), ""),
        ("2026-11-28 13:30", ("13:00", "14:00"), "2026-11-28 14:00"),
        ("2026-11-28 12:59", ("13:00", "14:00"), ""),
        ("2026-11-28 23:30", ("23:00", "00:00"), "2026-11-29 00:00"),
        ("2026-11-28 12:00", ("", ""), ""),
    ],
)
def test_until_when_it_is_quiet(now: str, hours: tuple[str, str], until: str) -> None:
    expected = at_us(until, MOSCOW) if until else 0
    assert quiet_until_us(at_us(now, MOSCOW), MOSCOW, *hours) == expected


def test_hours_are_those_of_the_customer() -> None:
    now_us = at_us("2026-11-28 20:30", MOSCOW)
    assert not quiet_until_us(now_us, MOSCOW, "21:00", "09:00")
    kamchatka = ZoneInfo("Asia/Kamchatka")  # half past five in the morning there
    expected = at_us("2026-11-29 09:00", kamchatka)
    assert quiet_until_us(now_us, kamchatka, "21:00", "09:00") == expected


def test_the_clock_is_put_forward_over_the_end() -> None:
    """On 29 March 2026 half past two does not exist in Berlin."""
    end_us = quiet_until_us(at_us("2026-03-29 01:30", BERLIN), BERLIN, "21:00", "02:30")
    assert at_us("2026-03-29 03:00", BERLIN) <= end_us <= at_us("2026-03-29 03:30", BERLIN)


@given(st.integers(1_700_000_000, 1_900_000_000), ZONES, WALL, WALL)
def test_the_end_is_ahead(second: int, zone: ZoneInfo, starts: str, ends: str) -> None:
    """An end is never passed, and never more than a day and an hour away."""
    now_us = second * 1_000_000
    end_us = quiet_until_us(now_us, zone, starts, ends) if starts != ends else 0
    if end_us:
        assert now_us < end_us <= now_us + 25 * 3_600_000_000
