"""The store's wall clock: local days, and when what is granted today starts and ends.

Expected instants stand as UTC; zones that shift their clocks at midnight are among them.
"""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.benefit import CouponReward, GiftCertificate
from rewards.facts import AssetWindow
from server.reference import StoreInfo
from tests import make

SECOND_US = 1_000_000


def utc(text: str) -> int:
    """UTC microseconds of an instant written in UTC."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return round(moment.timestamp()) * SECOND_US


def store(time_zone: str) -> StoreInfo:
    return StoreInfo(make.store_record(time_zone=time_zone, zones=("north",)))


MIDNIGHTS = [
    # (zone, local day, its first instant in UTC, that of the next day)
    ("UTC", "2026-11-22", "2026-11-22 00:00", "2026-11-23 00:00"),
    ("Europe/Moscow", "2026-11-22", "2026-11-21 21:00", "2026-11-22 21:00"),
    ("Asia/Kolkata", "2026-11-22", "2026-11-21 18:30", "2026-11-22 18:30"),
    ("Europe/Berlin", "2026-03-29", "2026-03-28 23:00", "2026-03-29 22:00"),  # 23 hours
    ("Europe/Berlin", "2026-10-25", "2026-10-24 22:00", "2026-10-25 23:00"),  # 25 hours
    # Clocks skip midnight: the day begins at one o'clock.
    ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00", "2018-11-05 02:00"),
    # Clocks go back from midnight to eleven: the day before has 25 hours.
    ("America/Sao_Paulo", "2019-02-16", "2019-02-16 02:00", "2019-02-17 03:00"),
    ("America/Sao_Paulo", "2019-02-17", "2019-02-17 03:00", "2019-02-18 03:00"),
    # Clocks go back from one to midnight: midnight comes twice, the day begins at the first.
    ("America/Havana", "2026-11-01", "2026-11-01 04:00", "2026-11-02 05:00"),
    ("Asia/Beirut", "2026-03-29", "2026-03-28 22:00", "2026-03-29 21:00"),
    # A day that was left out altogether: the 30th has no instant.
    ("Pacific/Apia", "2011-12-29", "2011-12-29 10:00", "2011-12-30 10:00"),
    ("Pacific/Apia", "2011-12-31", "2011-12-30 10:00", "2011-12-31 10:00"),
]


@pytest.mark.parametrize(("zone", "day", "first", "after"), MIDNIGHTS)
def test_a_local_day_holds_its_first_and_its_last_instant(
    zone: str, day: str, first: str, after: str
) -> None:
    here, number = store(zone), date.fromisoformat(day).toordinal()
    assert here.local_day(utc(first)) == number
    assert here.local_day(utc(after) - 1) == number
    assert here.local_day(utc(first) - 1) < number
    assert here.local_day(utc(after)) > number
    assert here.local_day(utc(first)) == number


ZONES = [zone for zone, *_ in MIDNIGHTS] + [
    "America/St_Johns",
    "Africa/Cairo",
    "Pacific/Kiritimati",
]


@given(
    st.sampled_from(sorted(set(ZONES))),
    st.lists(st.integers(utc("2010-01-01 00:00"), utc("2037-01-01 00:00")), max_size=6),
    st.sampled_from(MIDNIGHTS),
)
def test_the_local_day_is_that_of_the_wall_clock_whatever_was_asked_before(
    zone: str, instants: list[int], edge: tuple[str, str, str, str]
) -> None:
    here = store(zone)
    edges = [utc(edge[2]) + shift for shift in (-1, 0)] + [
        utc(edge[3]) + shift for shift in (-1, 0)
    ]
    for at_us in [*instants, *edges, *instants]:
        wall = datetime.fromtimestamp(at_us // SECOND_US, ZoneInfo(zone))
        assert here.local_day(at_us) == wall.date().toordinal()


def window(zone: str, at: str, active_after_days: int, active_days: int) -> AssetWindow:
    asset = make.asset(active_after_days=active_after_days, active_days=active_days)
    rules = make.rules(assets=(asset,))
    ((code, found),) = store(zone).facts_at(rules, utc(at)).windows
    assert code == asset.code
    return found


@pytest.mark.parametrize(
    ("zone", "active_after", "active_days", "active_from", "expires_before"),
    [
        ("UTC", 0, 0, "2026-10-20 12:00", None),
        ("UTC", 1, 0, "2026-10-21 00:00", None),
        ("UTC", 0, 1, "2026-10-20 12:00", "2026-10-21 00:00"),  # today is the one day
        ("UTC", 1, 1, "2026-10-21 00:00", "2026-10-22 00:00"),
        ("UTC", 3, 180, "2026-10-23 00:00", "2027-04-21 00:00"),
        # 2026-10-20 12:00 UTC is 14:00 in Berlin; the clocks go back on the 25th.
        ("Europe/Berlin", 5, 1, "2026-10-24 22:00", "2026-10-25 23:00"),
        ("Europe/Berlin", 6, 2, "2026-10-25 23:00", "2026-10-27 23:00"),
        # In Auckland it is the 21st already, one o'clock in the morning.
        ("Pacific/Auckland", 1, 1, "2026-10-21 11:00", "2026-10-22 11:00"),
    ],
)
def test_a_lot_is_active_for_whole_local_days_the_last_included(
    zone: str, active_after: int, active_days: int, active_from: str, expires_before: str | None
) -> None:
    found = window(zone, "2026-10-20 12:00", active_after, active_days)
    expires_at_us = 0 if expires_before is None else utc(expires_before) - 1
    assert found == AssetWindow(utc(active_from), expires_at_us)


def test_a_lot_that_starts_when_clocks_skip_midnight_starts_at_the_first_instant() -> None:
    found = window("America/Sao_Paulo", "2018-11-03 12:00", 1, 1)
    assert found == AssetWindow(utc("2018-11-04 03:00"), utc("2018-11-05 02:00") - 1)


def test_the_facts_are_of_the_instant_and_the_version_asked() -> None:
    here = store("Europe/Berlin")
    one = make.rules(assets=(make.asset(active_after_days=1),), version=1)
    two = make.rules(assets=(make.asset(active_after_days=2),), version=2)
    today, tomorrow = utc("2026-11-22 12:00"), utc("2026-11-23 12:00")
    starts = {
        (1, today): "2026-11-22 23:00",
        (2, today): "2026-11-23 23:00",
        (1, tomorrow): "2026-11-23 23:00",
        (2, tomorrow): "2026-11-24 23:00",
    }
    for rules, at_us in (
        (one, today),
        (two, today),
        (one, tomorrow),
        (one, today),
        (two, tomorrow),
    ):
        facts = here.facts_at(rules, at_us)
        assert facts.zones == {"north"}
        assert facts.local_day == here.local_day(at_us)
        assert facts.windows == (("points", AssetWindow(utc(starts[rules.version, at_us]), 0)),)


def test_a_lot_that_starts_at_once_starts_at_each_sale() -> None:
    here, rules = store("UTC"), make.rules(assets=(make.asset(),))
    for at_us in (utc("2026-11-22 12:00"), utc("2026-11-22 13:00")):
        assert here.facts_at(rules, at_us).windows == (("points", AssetWindow(at_us, 0)),)


@pytest.mark.parametrize(
    ("zone", "instant", "minute"),
    [
        ("Europe/Moscow", "2026-11-22 00:00", 180),
        ("Europe/Moscow", "2026-11-22 20:59", 1_439),
        ("Europe/Berlin", "2026-03-29 00:59", 119),
        ("Europe/Berlin", "2026-03-29 01:00", 180),
        ("Europe/Berlin", "2026-10-25 01:30", 150),
        ("Asia/Kolkata", "2026-11-22 00:00", 330),
    ],
)
def test_the_minute_is_that_of_the_wall_clock(zone: str, instant: str, minute: int) -> None:
    assert store(zone).facts_at(make.rules(), utc(instant)).local_minute == minute


@given(st.sampled_from(ZONES), st.integers(1_262_304_000, 1_893_456_000))
def test_the_minute_is_that_of_the_zone(zone: str, at_s: int) -> None:
    moment = datetime.fromtimestamp(at_s, ZoneInfo(zone))
    minute = store(zone).facts_at(make.rules(), at_s * SECOND_US).local_minute
    assert minute == moment.hour * 60 + moment.minute


def test_what_is_valid_for_days_ends_with_the_local_day_so_many_days_later() -> None:
    gives = (CouponReward("series", 2), GiftCertificate(100, 30))
    rules = make.rules(make.promotion(gives=gives))
    facts = store("Europe/Berlin").facts_at(rules, utc("2026-10-24 12:00"))
    assert facts.day_ends == (
        (2, utc("2026-10-26 23:00") - 1),
        (30, utc("2026-11-23 23:00") - 1),
    )
