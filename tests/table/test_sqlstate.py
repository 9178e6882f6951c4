"""What each error of the store means for its batch: the table, then errors as they really arise."""

import asyncio
from typing import Any

import asyncpg
import pytest

from server.store.pool import Fate, PoolSettings, append_rows, classify, create_pool

KEY = "receipt__receipt_id__pk"


def server_error(sqlstate: str, constraint: str | None = None) -> asyncpg.PostgresError:
    fields = {"C": sqlstate, "M": "message", "n": constraint}
    error: Any = asyncpg.PostgresError
    made: asyncpg.PostgresError = error.new({k: v for k, v in fields.items() if v is not None})
    return made


@pytest.mark.parametrize(
    ("sqlstate", "fate"),
    [
        ("22001", "poison"),  # string data right truncation
        ("22003", "poison"),  # numeric value out of range
        ("22021", "poison"),  # character not in repertoire: NUL in a text
        ("22P02", "poison"),  # invalid text representation
        ("23502", "poison"),  # not null violation
        ("23503", "poison"),  # foreign key violation
        ("23505", "poison"),  # unique violation of something that is no key
        ("23514", "poison"),  # check violation
        ("08000", "retry"),  # connection exception
        ("08003", "retry"),  # connection does not exist
        ("08006", "retry"),  # connection failure
        ("40001", "retry"),  # serialization failure
        ("40003", "retry"),  # statement completion unknown
        ("40P01", "retry"),  # deadlock detected
        ("53100", "retry"),  # disk full
        ("53200", "retry"),  # out of memory
        ("53300", "retry"),  # too many connections
        ("57014", "retry"),  # query cancelled
        ("57P01", "retry"),  # admin shutdown
        ("57P02", "retry"),  # crash shutdown
        ("57P03", "retry"),  # cannot connect now: starting up or in recovery
        ("25006", "retry"),  # read-only transaction: a standby that is not promoted yet
        ("25P02", "fatal"),  # in failed transaction
        ("26000", "fatal"),  # unknown prepared statement
        ("28P01", "fatal"),  # invalid password
        ("3D000", "fatal"),  # unknown database
        ("0A000", "fatal"),  # feature not supported
        ("42601", "fatal"),  # syntax error
        ("42P01", "fatal"),  # undefined table
        ("55P03", "fatal"),  # lock not available: nobody asks with NOWAIT
        ("P0001", "fatal"),  # raise exception
        ("XX000", "fatal"),  # internal error
        ("XX001", "fatal"),  # data corrupted
        ("99999", "fatal"),  # not assigned
    ],
)
def test_fate_by_sqlstate(sqlstate: str, fate: Fate) -> None:
    assert classify(server_error(sqlstate), frozenset({KEY})) == fate


def test_a_key_that_is_taken_is_a_conflict_and_only_with_that_key() -> None:
    error = server_error("23505", KEY)
    assert classify(error, frozenset({KEY})) == "conflict"
    assert classify(error, frozenset({"other"})) == "poison"
    assert classify(error) == "poison"
    # Only uniqueness makes a conflict, whatever the constraint is called.
    assert classify(server_error("23514", KEY), frozenset({KEY})) == "poison"


@pytest.mark.parametrize(
    ("error", "fate"),
    [
        (asyncpg.InterfaceError("cannot perform operation: connection is closed"), "retry"),
        (asyncpg.InterfaceError("cannot call X(): the underlying connection is closed"), "retry"),
        (asyncpg.InterfaceError("pool is closing"), "retry"),
        # What a pooled connection says that broke while its user was busy elsewhere.
        (asyncpg.InterfaceError("cannot call X(): connection has been released back"), "retry"),
        (asyncpg.InterfaceError("cannot perform operation: another operation is in"), "fatal"),
        (asyncpg.exceptions.OutdatedSchemaCacheError("type changed"), "retry"),
        (asyncpg.exceptions.InternalClientError("unexpected state"), "retry"),
        (asyncpg.exceptions.InvalidCachedStatementError("plan changed"), "retry"),
        (asyncpg.exceptions.ProtocolError("unexpected message"), "fatal"),
        (ConnectionResetError("reset"), "retry"),
        (ConnectionRefusedError("refused"), "retry"),
        (FileNotFoundError("no socket"), "retry"),
        (TimeoutError(), "retry"),
        (asyncio.CancelledError(), "fatal"),
        (AssertionError("bug"), "fatal"),
        (ValueError("bug"), "fatal"),
        (KeyError("bug"), "fatal"),
    ],
    ids=repr,
)
def test_fate_of_errors_without_sqlstate(error: BaseException, fate: Fate) -> None:
    assert classify(error) == fate


@pytest.mark.parametrize(
    ("query", "argument", "fate"),
    [
        ("SELECT $1::bigint", 2**63, "poison"),
        ("SELECT $1::bigint", "seven", "poison"),
        ("SELECT $1::text", "a\0b", "poison"),
        ("SELECT $1::text", "\ud800", "poison"),
        ("SELECT $1::bigint[]", [1, 2**70], "poison"),
        ("SELECT 1 / $1::int", 0, "poison"),
        ("SELECT pg_terminate_backend(pg_backend_pid()), $1::int", 0, "retry"),
        ("SELECT pg_sleep($1::int)", 60, "retry"),
        ("SELECT $1::int FROM no_such_table", 0, "fatal"),
        ("SELECT 1", 7, "fatal"),
    ],
)
async def test_fate_of_errors_as_they_arise(
    pg_empty_dsn: str, query: str, argument: object, fate: Fate
) -> None:
    settings = PoolSettings(size_min=1, size_max=1, command_timeout_s=0.5)
    pool = await create_pool(pg_empty_dsn, settings, application_name="test")
    try:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)) as caught:
            await pool.fetch(query, argument)
        assert classify(caught.value) == fate
        assert await pool.fetchval("SHOW plan_cache_mode") == settings.plan_cache_mode
    finally:
        await pool.close()


@pytest.mark.parametrize(
    "row", [(2**70, "x"), ("seven", "x"), (1, "\ud800"), (1, "a\0b"), (None, "")]
)
async def test_what_no_column_takes_is_poison_by_copy_too(
    pg_empty_dsn: str, row: tuple[object, ...]
) -> None:
    """Refused by the driver or by PostgreSQL; the connection goes on and nothing was appended."""
    connection = await asyncpg.connect(pg_empty_dsn, timeout=10)
    try:
        await connection.execute("CREATE TEMP TABLE kept (id bigint NOT NULL, name text)")
        with pytest.raises(asyncpg.PostgresError) as caught:
            async with connection.transaction():
                await append_rows(connection, "kept", ("id", "name"), [(1, "x"), row])
        assert classify(caught.value) == "poison"
        await append_rows(connection, "kept", ("id", "name"), [])
        assert await connection.fetchval("SELECT count(*) FROM kept") == 0
    finally:
        await connection.close()


async def test_copy_to_a_connection_that_is_gone_is_run_again(pg_empty_dsn: str) -> None:
    connection = await asyncpg.connect(pg_empty_dsn, timeout=10)
    connection.terminate()
    with pytest.raises(asyncpg.InterfaceError) as caught:
        await append_rows(connection, "kept", ("id",), [(1,)])
    assert classify(caught.value) == "retry"


async def test_fate_when_the_connection_is_gone_before_the_statement(pg_empty_dsn: str) -> None:
    connection = await asyncpg.connect(pg_empty_dsn, timeout=10)
    connection.terminate()
    with pytest.raises(asyncpg.InterfaceError) as caught:
        await connection.execute("SELECT 1")
    assert classify(caught.value) == "retry"
