"""Opens the database itself, for commands that no server needs to be asked for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from server.ctl.say import CtlError
from server.store.database import Database
from server.store.embedded import EmbeddedPostgresError
from server.store.inspection import UnreachableError, inspect_database
from server.store.migrate import MigrationError, pending

APPLICATION_NAME = "loyaltyctl"


@asynccontextmanager
async def running_database(dsn: str, data_dir: Path, *, make: bool) -> AsyncIterator[Database]:
    """A database that runs and answers, not yet connected to.

    Args:
        dsn: a real database; empty is the embedded one.
        data_dir: of the embedded one.
        make: make the embedded one if it is not there.

    Raises:
        CtlError: it is not there, or cannot be reached.
    """
    if not dsn and not make and not (data_dir / "pgdata").exists():
        raise CtlError(
            f"there is no database in {data_dir}",
            "name its directory with --data-dir, or a real PostgreSQL with --dsn",
        )
    database = Database(dsn or None, data_dir, APPLICATION_NAME)
    try:
        await inspect_database(await database.ensure_running())
        yield database
    except (EmbeddedPostgresError, UnreachableError) as error:
        raise CtlError(
            f"the database cannot be reached: {error}",
            "loyaltyctl doctor looks for the cause",
        ) from None
    finally:
        await database.close()


@asynccontextmanager
async def open_database(dsn: str, data_dir: Path) -> AsyncIterator[Database]:
    """An open database whose schema is this build's.

    Raises:
        CtlError: as `running_database`, or migrations are pending.
    """
    async with running_database(dsn, data_dir, make=False) as database:
        missing = await pending_migrations(await database.ensure_running())
        if missing:
            raise CtlError(
                f"the database lacks {len(missing)} migration(s): {', '.join(missing)}",
                "loyaltyctl db migrate applies them; so does a starting server",
            )
        await database.open()
        yield database


async def pending_migrations(dsn: str) -> list[str]:
    """Name the migrations a database lacks.

    Raises:
        CtlError: it is newer than this build.
    """
    try:
        return await pending(dsn)
    except MigrationError as error:
        raise CtlError(str(error)) from None
