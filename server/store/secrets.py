"""Keys that all servers share: signing keys of tokens, and the one key of identifiers' hashes."""

import secrets

from server.store.database import Database

SECRET_BYTES = 32

INSERT_SECRET = """
insert into server_secret (purpose, key_id, secret, created_at_us)
values ($1, 1, $2, $3)
on conflict do nothing
"""

SELECT_SECRETS = "select key_id, secret from server_secret where purpose = $1"


async def shared_secrets(database: Database, purpose: str, now_us: int) -> dict[int, bytes]:
    """Read the keys of a purpose; the first server ever makes the first key.

    Args:
        database: open.
        purpose: `token` or `identifier`.
        now_us: the clock, UTC microseconds.

    Returns:
        One or more keys of 32 bytes by their ids.
    """
    async with database.reading() as connection:
        new = secrets.token_bytes(SECRET_BYTES)
        await connection.execute(INSERT_SECRET, purpose, new, now_us)
        rows = await connection.fetch(SELECT_SECRETS, purpose)
    return {row["key_id"]: row["secret"] for row in rows}
