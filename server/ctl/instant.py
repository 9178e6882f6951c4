"""Instants as operators write and read them."""

from datetime import UTC, datetime

from rewards.rounding import floor_div
from server.ctl.say import CtlError

_SECOND_US = 1_000_000


def parse_instant(text: str) -> int:
    """Read RFC 3339, or `now`.

    Returns:
        UTC microseconds; 0 for now, which to a server is as soon as may be.

    Raises:
        CtlError: it is neither.
    """
    if text == "now":
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - has no zone, and is refused below for that
    if moment.tzinfo is None:
        raise CtlError(
            f"{text!r} is not an instant: write now, or for example 2027-01-31T06:00:00+03:00"
        )
    whole_us = round(moment.replace(microsecond=0).timestamp()) * _SECOND_US
    return whole_us + moment.microsecond


def show_instant(at_us: int) -> str:
    """Spell an instant, UTC microseconds, to the second."""
    moment = datetime.fromtimestamp(floor_div(at_us, _SECOND_US), UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
