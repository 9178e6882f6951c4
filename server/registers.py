"""Names that registers outside of us keep: currencies of ISO 4217, time zones of IANA."""

from functools import cache
from zoneinfo import available_timezones

from babel import Locale, UnknownLocaleError
from babel.numbers import list_currencies


def is_currency(code: str) -> bool:
    """Whether ISO 4217 knows a currency by this code."""
    return code in _currencies()


def is_time_zone(name: str) -> bool:
    """Whether the IANA database knows a time zone by this name, and tells its rules."""
    return name in _time_zones()


def is_language(code: str) -> bool:
    """Whether CLDR knows the language of a BCP 47 code; its region and script may be any."""
    try:
        Locale.parse(code.partition("-")[0])
    except (UnknownLocaleError, ValueError):
        return False
    return True


@cache
def _currencies() -> frozenset[str]:
    return frozenset(list_currencies())


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
