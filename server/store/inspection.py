"""Looks at a database from outside: whether it answers, and how it is set up."""

from collections.abc import Mapping

import asyncpg
from msgspec import Struct

CONNECT_TIMEOUT_S = 5.0

SETTINGS_THAT_MATTER = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "max_connections",
    "deadlock_timeout",
)

SELECT_SETTINGS = "select name, setting from pg_settings where name = any($1::text[])"


class UnreachableError(Exception):
    """A database does not answer; the message says why."""


class Inspection(Struct, frozen=True):
    """What a database says of itself.

    Attributes:
        settings: `SETTINGS_THAT_MATTER` by name, as pg_settings spells them.
    """

    settings: Mapping[str, str]


async def inspect_database(dsn: str) -> Inspection:
    """Connect and ask.

    Args:
        dsn: the database.

    Raises:
        UnreachableError: it cannot be reached or does not let us in.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise UnreachableError(str(error) or type(error).__name__) from error
    try:
        rows = await connection.fetch(SELECT_SETTINGS, SETTINGS_THAT_MATTER)
    finally:
        await connection.close()
    return Inspection({row["name"]: row["setting"] for row in rows})
