"""Connections to PostgreSQL, and what an error of a statement means for the batch it was in."""

import dataclasses
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import asyncpg
import asyncpg.pool
import asyncpg.protocol.protocol

if TYPE_CHECKING:  # generic in the stubs only
    Connection = asyncpg.Connection[asyncpg.Record]
    PooledConnection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    PooledConnection = asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

Fate = Literal["poison", "conflict", "retry", "fatal"]

# SQLSTATE classes; https://www.postgresql.org/docs/18/errcodes-appendix.html
POISON_CLASSES: Final = frozenset({"22", "23"})  # data exception, integrity constraint violation
RETRY_CLASSES: Final = frozenset(
    {
        "08",  # connection exception
        "40",  # transaction rollback: serialization failure, deadlock
        "53",  # insufficient resources: disk full, out of memory, too many connections
        "57",  # operator intervention: cancelled, shutting down, starting up
    }
)
UNIQUE_VIOLATION: Final = "23505"
READ_ONLY: Final = "25006"
"""A write at a standby that is not promoted yet, or a primary that is one no more."""

# asyncpg has no class of its own for a connection that is gone, only these words; its other
# InterfaceErrors are misuse, and repeating misuse would hide the bug.
_CONNECTION_GONE: Final = (
    "connection is closed",
    "connection has been released back",
    "pool is closing",
    "pool is closed",
)

assert not POISON_CLASSES & RETRY_CLASSES

# For each element of an array the driver asks two abstract classes whether it is an array itself,
# by way of Python code: a hundredth of what a Checkout costs. These are all that we give it.
_ARRAYS: Final = (list, tuple, set, frozenset)
vars(asyncpg.protocol.protocol).update(IterableABC=_ARRAYS, SizedABC=_ARRAYS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """Every library default that we rely on, by name."""

    size_min: int = 2
    """Connections kept open."""
    size_max: int = 8
    """Connections at most; all server processes together stay below PostgreSQL's 100."""
    connect_timeout_s: float = 5.0
    """For one connection attempt."""
    command_timeout_s: float = 10.0
    """For one statement, by the client's clock; TimeoutError past it."""
    statement_cache_count: int = 512
    """Prepared statements a connection keeps; more than the server has."""
    statement_size_max: int = 64 * 1024
    """Bytes of SQL text up to which a statement is cached."""
    plan_cache_mode: Literal["auto", "force_generic_plan", "force_custom_plan"] = (
        "force_generic_plan"
    )
    """Generic: planned once a connection, and the plan a test explains is the plan that runs."""

    def __post_init__(self) -> None:
        assert 1 <= self.size_min <= self.size_max
        assert self.connect_timeout_s > 0
        assert self.command_timeout_s > 0


async def create_pool(
    dsn: str,
    settings: PoolSettings,
    *,
    application_name: str,
    init: Callable[[Connection], Coroutine[Any, Any, None]] | None = None,
) -> Pool:
    """Opens a pool; `size_min` connections are open when it returns.

    Args:
        dsn: The database.
        settings: Sizes and times.
        application_name: What pg_stat_activity shows, 63 ASCII characters at most.
        init: Called once with each new connection, for instance to set type codecs.

    Raises:
        asyncpg.PostgresError: PostgreSQL refused the connection.
        OSError: It could not be reached, or not in time.
    """
    assert len(application_name) < 64
    pool: Pool = asyncpg.create_pool(
        dsn,
        init_size=settings.size_min,
        min_size=settings.size_min,
        max_size=settings.size_max,
        # A connection is as good after its millionth query; replacing it would cost every
        # prepared statement in the middle of a rush hour.
        max_queries=2**62,
        max_inactive_connection_lifetime=0.0,
        init=init,
        reset=_keep_session,
        timeout=settings.connect_timeout_s,
        command_timeout=settings.command_timeout_s,
        statement_cache_size=settings.statement_cache_count,
        max_cached_statement_lifetime=0,  # no limit
        max_cacheable_statement_size=settings.statement_size_max,
        server_settings={
            "application_name": application_name,
            "jit": "off",  # a batch is short: compiling it takes longer than running it
            "plan_cache_mode": settings.plan_cache_mode,
            "timezone": "UTC",
        },
    )
    await pool
    return pool


async def _keep_session(connection: Connection) -> None:
    """Saves the round trip in which asyncpg resets a session at each release.

    The store leaves nothing behind in a session: it sets only LOCAL values, takes only
    transaction-level advisory locks, and listens on connections outside the pool.
    """


async def append_rows(
    connection: Connection | PooledConnection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Append rows by COPY, which costs both sides less than an insert of arrays does.

    Args:
        connection: Inside a transaction.
        table: Its name.
        columns: Of the rows' values; the others get their defaults.
        rows: None is fine.

    Raises:
        asyncpg.PostgresError: As PostgreSQL says; SQLSTATE 22000 for a value that no column of
            that type takes, which never reaches PostgreSQL.
    """
    if not rows:
        return
    try:
        await connection.copy_records_to_table(table, records=rows, columns=columns)
    except asyncpg.InterfaceError:
        raise
    except (OverflowError, TypeError, ValueError) as error:
        # Here the driver does not say, as it does for arguments, that the value is to blame.
        raise asyncpg.DataError(f"a row of {table}: {error}") from error


def classify(error: BaseException, key_constraints: frozenset[str] = frozenset()) -> Fate:
    """What an error of a statement means for the batch it was in.

    Args:
        error: What the store raised.
        key_constraints: Names of the unique constraints on the keys of receipts and operations.

    Returns:
        `conflict`: one of `key_constraints` was hit; run the batch again without those keys.
        `poison`: some row can never be stored; bisect the batch.
        `retry`: nothing is wrong with the rows; run the whole batch again. If the error came
        from COMMIT, read the keys first: it may have committed.
        `fatal`: a bug; no repetition helps.

    Source: DESIGN section 9.
    """
    if isinstance(error, asyncpg.PostgresError):
        return _classify_sqlstate(error, key_constraints)
    if isinstance(error, asyncpg.InterfaceError):
        return _classify_interface_error(error)
    if isinstance(error, asyncpg.exceptions.OutdatedSchemaCacheError):
        return "retry"  # asyncpg has dropped its cache of types: the next run reads them anew
    if type(error) is asyncpg.exceptions.InternalClientError:
        # A guard of asyncpg's that a connection trips which breaks at the wrong moment, as when
        # PostgreSQL is killed. The pool discards the connection; the rows are innocent.
        return "retry"
    # TimeoutError (a command's time is up) and ConnectionError are kinds of OSError.
    return "retry" if isinstance(error, OSError) else "fatal"


def _classify_sqlstate(error: asyncpg.PostgresError, key_constraints: frozenset[str]) -> Fate:
    fields: Any = error  # set from the server's message, unknown to the type stubs
    sqlstate: str = fields.sqlstate or ""
    if sqlstate == UNIQUE_VIOLATION and fields.constraint_name in key_constraints:
        return "conflict"
    if sqlstate[:2] in POISON_CLASSES:
        return "poison"
    if sqlstate[:2] in RETRY_CLASSES or sqlstate == READ_ONLY:
        return "retry"
    # A migration under a running server: asyncpg prepares anew, but not inside a transaction.
    if isinstance(error, asyncpg.exceptions.InvalidCachedStatementError):
        return "retry"
    return "fatal"


def _classify_interface_error(error: asyncpg.InterfaceError) -> Fate:
    # A value that cannot be encoded for its column never reaches PostgreSQL's class 22. The
    # class is apart from the public DataError, which is PostgreSQL's own.
    if isinstance(error, ValueError) and "query argument" in str(error):
        return "poison"
    if any(words in str(error) for words in _CONNECTION_GONE):
        return "retry"
    return "fatal"
