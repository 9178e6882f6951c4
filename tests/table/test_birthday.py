"""How far away a birthday is: over the turn of the year, and on 29 February."""

from datetime import date

import pytest

from rewards.birthday import birth_day_of, days_to_birthday


@pytest.mark.parametrize(
    ("answer", "birth_day"),
    [
        ("1980-02-29", 229),
        ("2001-12-31", 1231),
        ("1980-02-30", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_what_is_kept_of_a_birth_date(answer: str, birth_day: int | None) -> None:
    assert birth_day_of(answer) == birth_day


@pytest.mark.parametrize(
    ("birth_day", "today", "days"),
    [
        (1122, "2026-11-22", 0),
        (1125, "2026-11-22", 3),
        (1119, "2026-11-22", -3),
        (101, "2026-12-30", 2),
        (1231, "2026-01-02", -2),
        (229, "2026-02-28", 0),
        (229, "2026-03-01", -1),
        (229, "2028-02-28", 1),
        (229, "2028-02-29", 0),
        (1122, "2026-05-23", -182),
        (1122, "2026-05-24", 182),
    ],
)
def test_days_to_the_nearest_birthday(birth_day: int, today: str, days: int) -> None:
    assert days_to_birthday(birth_day, date.fromisoformat(today).toordinal()) == days
