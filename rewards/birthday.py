"""Birthdays: how far away one is, kept without the year."""

from calendar import isleap
from datetime import date

BIRTH_DATE_FIELD = "birth_date"
"""The profile field that the condition `birthday` reads."""
_MONTH = 100
_LEAP_DAY = 2 * _MONTH + 29


def birth_day_of(answer: str) -> int | None:
    """Month * 100 + day of a birth date; None if it is no date.

    Args:
        answer: as ISO 8601 writes it.
    """
    try:
        born = date.fromisoformat(answer)
    except ValueError:
        return None
    return born.month * _MONTH + born.day


def days_to_birthday(birth_day: int, local_day: int) -> int:
    """Days to the nearest birthday, negative after it; 29 February is the 28th in other years.

    Args:
        birth_day: month * 100 + day.
        local_day: proleptic ordinal of the local date.
    """
    year = date.fromordinal(local_day).year
    distances = [
        _birthday_in(birth_day, near) - local_day
        for near in (year - 1, year, year + 1)
        if date.min.year <= near <= date.max.year
    ]
    return min(distances, key=lambda days: (abs(days), days < 0))


def _birthday_in(birth_day: int, year: int) -> int:
    if birth_day == _LEAP_DAY and not isleap(year):
        birth_day -= 1
    month, day = divmod(birth_day, _MONTH)
    return date(year, month, day).toordinal()
