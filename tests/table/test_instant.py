"""Instants in what operators are told: people read no microseconds, and options take them."""

import pytest

from rewards.limits import INSTANT_US_MAX
from server.ctl.instant import parse_instant
from server.instant import iso_instant
from server.store.rejections import EffectiveTooEarlyError
from server.store.statements import PeriodOrderError

AT_US = 1_796_054_724_000_007
AT = "2026-11-30T16:05:24.000007+00:00"


@pytest.mark.parametrize(
    ("at_us", "text"),
    [
        (AT_US, AT),
        (AT_US - 7, "2026-11-30T16:05:24+00:00"),
        (1, "1970-01-01T00:00:00.000001+00:00"),
        (INSTANT_US_MAX + 1, "2100-01-01T00:00:00.000001+00:00"),
    ],
)
def test_an_instant_is_named_to_its_microsecond(at_us: int, text: str) -> None:
    """Rounded down it would be too early once more."""
    assert iso_instant(at_us) == text
    assert parse_instant(text) == at_us


@pytest.mark.parametrize("error", [EffectiveTooEarlyError(AT_US), PeriodOrderError(AT_US)])
def test_people_are_told_an_instant_they_can_read(error: Exception) -> None:
    assert AT in str(error)
    assert str(AT_US) not in str(error)
