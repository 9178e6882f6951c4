"""`loyaltyctl db`: the database's schema."""

import asyncio
from pathlib import Path

import typer

from server.ctl.opening import running_database
from server.ctl.option import DATA_DIR, DataDir, Dsn
from server.ctl.say import CtlError, say
from server.store.migrate import MigrationError
from server.store.migrate import migrate as apply_pending

app = typer.Typer(help="The database's schema.", no_args_is_help=True)


@app.callback()
def db() -> None:
    """The database's schema."""


@app.command()
def migrate(dsn: Dsn = "", data_dir: DataDir = DATA_DIR) -> None:
    """Apply the migrations that are pending; a starting server does the same."""
    applied = asyncio.run(_migrate(dsn, data_dir))
    for name in applied:
        say(f"applied {name}")
    say(f"the schema is up to date ({len(applied)} applied)")


async def _migrate(dsn: str, data_dir: Path) -> list[str]:
    async with running_database(dsn, data_dir, make=True) as database:
        try:
            return await apply_pending(await database.ensure_running())
        except MigrationError as error:
            raise CtlError(str(error)) from None
