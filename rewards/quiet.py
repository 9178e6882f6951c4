"""Quiet hours: until when a customer is not to be disturbed."""

from datetime import UTC, datetime, timedelta, tzinfo

from rewards.rounding import floor_div

SECOND_US = 1_000_000


def quiet_until_us(at_us: int, zone: tzinfo, quiet_from: str, quiet_to: str) -> int:
    """When the quiet hours end that an instant lies in.

    Args:
        at_us: the instant, UTC microseconds.
        zone: where the customer is.
        quiet_from: HH:MM of the local day; empty is no quiet hours.
        quiet_to: HH:MM, that minute not included; if it is not after `quiet_from`, of the next day.

    Returns:
        UTC microseconds, after the instant; 0 if it is not quiet. Where the clock is put forward
        over the end, the first instant after the gap.
    """
    if not quiet_from:
        return 0
    local = datetime.fromtimestamp(floor_div(at_us, SECOND_US), UTC).astimezone(zone)
    starts, ends, now = _minutes(quiet_from), _minutes(quiet_to), local.hour * 60 + local.minute
    over_midnight = ends <= starts
    is_quiet = (now >= starts or now < ends) if over_midnight else starts <= now < ends
    if not is_quiet:
        return 0
    day = local.date() + timedelta(days=1 if over_midnight and now >= starts else 0)
    hour, minute = divmod(ends, 60)
    end = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
    end_us = int(end.timestamp()) * SECOND_US
    # An hour that the clock shows twice may show the end a second time, after it has passed.
    return max(end_us, at_us + SECOND_US)


def _minutes(wall: str) -> int:
    hour, minute = wall.split(":")
    return int(hour) * 60 + int(minute)
