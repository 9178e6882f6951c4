"""Brings a database's schema to what this build expects, and says when it cannot.

The SQL files and their record in the database are pogo's (docs: pogo-core); here are the three
things it leaves to its caller: one migrator at a time, the refusal of a schema that is newer than
this build, and errors that say what to do.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import asyncpg
from pogo_core import migration as pogo_migration
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate as pogo_migrate
from pogo_core.util import sql as pogo_sql

from server.store.pool import Connection

MIGRATIONS_DIR: Final = Path(__file__).parent / "migrations"
SCHEMA: Final = "public"
LOCK_KEY: Final = 0x6C6F79616C7479  # "loyalty" in ASCII: one migrator a database
LOCK_TIMEOUT_S: Final = 600.0  # the longest another server's migration may take
LOCK_POLL_S: Final = 0.05
CONNECT_TIMEOUT_S: Final = 10.0

_logger = logging.getLogger(__name__)


class MigrationError(RuntimeError):
    """The schema cannot be brought to what this build expects; the message says what to do."""


async def migrate(dsn: str, migrations_dir: Path = MIGRATIONS_DIR) -> list[str]:
    """Applies what is pending, each file in a transaction of its own; safe to call at once.

    A file that says `-- transaction: false` builds an index without locking its table, and can be
    applied again from its beginning.

    Args:
        dsn: The database; its role must be allowed to create tables in the schema `public`.
        migrations_dir: Where the SQL files are.

    Returns:
        Names of the files applied by this call, without suffix, in order; empty if none was
        pending or another process applied them meanwhile.

    Raises:
        MigrationError: The database has a migration that this build does not know, a file is
            malformed or fails (the files before it stay applied), or another process has been
            migrating for `LOCK_TIMEOUT_S`.
    """
    async with _connected(dsn) as connection, _locked(connection):
        names = await _pending(connection, migrations_dir)
        if names:
            # Exactly these, one transaction each; pogo logs every name.
            await _apply(connection, migrations_dir)
            left = await _pending(connection, migrations_dir)
            assert not left, f"still pending after migrating: {left}"
        return names


async def pending(dsn: str, migrations_dir: Path = MIGRATIONS_DIR) -> list[str]:
    """Names of the migrations that `migrate` would apply, in order; writes nothing.

    Raises:
        MigrationError: The database has a migration that this build does not know, or a file is
            malformed.
    """
    async with _connected(dsn) as connection:
        return await _pending(connection, migrations_dir)


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    connection: Connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=None,  # a migration of a large table takes as long as it takes
        statement_cache_size=0,  # DDL changes what a cached statement would mean
        server_settings={
            "application_name": "loyalty-migrate",
            "search_path": SCHEMA,
            "timezone": "UTC",
        },
    )
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def _locked(connection: Connection) -> AsyncIterator[None]:
    """Holds the database's migration lock.

    Tried again and again rather than waited for inside PostgreSQL: a waiting statement holds a
    snapshot, for which a CREATE INDEX CONCURRENTLY of the lock's holder would wait in turn.
    """
    deadline = asyncio.get_running_loop().time() + LOCK_TIMEOUT_S
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        if asyncio.get_running_loop().time() >= deadline:
            raise MigrationError(
                f"Another process has been migrating this database for {LOCK_TIMEOUT_S:.0f} s. "
                "Look for the application_name loyalty-migrate in pg_stat_activity."
            )
        await asyncio.sleep(LOCK_POLL_S)
    try:
        yield
    finally:
        # A lost connection has given the lock back already.
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)


async def _apply(connection: Connection, migrations_dir: Path) -> None:
    try:
        await pogo_migrate.apply(connection, migrations_dir, schema_name=SCHEMA, logger=_logger)
    except BadMigrationError as error:
        reason = f": {error.__cause__}" if error.__cause__ else ""
        raise MigrationError(
            f"{error}{reason}. Its transaction was rolled back, the migrations before it stand. "
            "Correct the cause and start again."
        ) from error


async def _pending(connection: Connection, migrations_dir: Path) -> list[str]:
    known = {path.stem for path in _files(migrations_dir)}
    applied = await _applied(connection)
    unknown = sorted(applied - known)
    if unknown:
        raise MigrationError(
            f"The database has migrations that this build does not know: {', '.join(unknown)}. "
            "A newer release has migrated it; run that release or a later one."
        )
    if known == applied:
        # To read them all costs each start some 70 ms of a core, and tells nothing more.
        return []
    return [name for name in _read_migrations(migrations_dir) if name not in applied]


def _files(migrations_dir: Path) -> list[Path]:
    return sorted(migrations_dir.glob("*.sql"))


def _read_migrations(migrations_dir: Path) -> list[str]:
    """Names of all migrations of this build in the order in which they depend on each other."""
    paths = _files(migrations_dir)
    # All are made before any is loaded: a file finds those it depends on by name.
    found = [pogo_migration.Migration(path.stem, path, None) for path in paths]
    try:
        ordered = pogo_migration.topological_sort([entry.load() for entry in found])
    except BadMigrationError as error:
        raise MigrationError(f"{migrations_dir}: {error}") from error
    return [entry.id for entry in ordered]


async def _applied(connection: Connection) -> set[str]:
    """Names recorded in the database; asks, and does not make, so that `pending` writes nothing."""
    if await connection.fetchval("SELECT to_regclass('public._pogo_migration')") is None:
        return set()
    return set(await pogo_sql.get_applied_migrations(connection, schema_name=SCHEMA))
