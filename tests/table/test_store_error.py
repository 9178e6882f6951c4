"""Goal: an error around COMMIT never lets anybody hear that nothing is recorded when it may be."""

import asyncpg
import pytest

from server.store.database import PoisonError, RetryError, store_error


class Fault(Exception):
    """An error that nobody thought of."""


@pytest.mark.parametrize(
    ("error", "commit_sent", "expected"),
    [
        (ConnectionResetError("cut"), False, RetryError),
        (ConnectionResetError("cut"), True, RetryError),
        (asyncpg.exceptions.ProtocolError("odd message"), True, RetryError),
        (asyncpg.exceptions.ProtocolError("odd message"), False, asyncpg.exceptions.ProtocolError),
        (Fault("bug"), True, RetryError),
        (Fault("bug"), False, Fault),
    ],
)
def test_what_an_error_means(error: Exception, commit_sent: bool, expected: type) -> None:
    """Once COMMIT was sent, only PostgreSQL's own answer settles its fate."""
    found = store_error(error, commit_sent)
    assert type(found) is expected
    if isinstance(found, RetryError):
        assert found.fate_unknown is commit_sent


def test_what_postgresql_refused_is_known() -> None:
    """PostgreSQL answered: the rows are poison, before COMMIT or at it."""
    refused = asyncpg.exceptions.NumericValueOutOfRangeError("too large")
    assert type(store_error(refused, True)) is PoisonError
    assert type(store_error(refused, False)) is PoisonError
