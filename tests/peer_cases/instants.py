"""Dates and instants of a case, on the wall clock of one store in UTC."""

from datetime import UTC, date, datetime

from tests.peer_cases.case import Case

DEFAULT_NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
"""Where a case does not say when: any day that is neither long past nor far ahead."""
_DATE_LENGTH = len("2026-06-15")


def moment(text: str) -> date:
    """A date, or an instant in UTC."""
    if len(text) == _DATE_LENGTH:
        return date.fromisoformat(text)
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def now_of(case: Case) -> datetime:
    """When the receipt is; a day without a time is at noon."""
    if case.now is None:
        return DEFAULT_NOW
    at = moment(case.now)
    if isinstance(at, datetime):
        return at
    return datetime(at.year, at.month, at.day, 12, 0, tzinfo=UTC)
