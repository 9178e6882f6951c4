"""Instants as people read them in messages, and as options of `loyaltyctl` take them."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_instant(at_us: int) -> str:
    """Spell an instant, UTC microseconds, as ISO 8601: to the microsecond, so that it is exact."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat()
