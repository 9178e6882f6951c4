"""Finds accounts with lots that have expired, in bounded portions."""

from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

SELECT_EXPIRED = """
select expires_at_us, account_id
  from lot
 where remaining_minor > 0 and expires_at_us > 0
   and expires_at_us < $1
   and (expires_at_us, account_id) > ($2, $3)
 order by expires_at_us, account_id
 limit $4
"""

HOT_STATEMENTS = {"SELECT_EXPIRED": SELECT_EXPIRED}
"""What the job runs every minute; a test explains it on a million rows without statistics."""


async def read_expired(
    connection: AnyConnection, at_us: int, after: tuple[int, int], limit: int
) -> list[tuple[int, int]]:
    """Read a portion of what has expired at an instant: (expires_at_us, account), ascending.

    An account stands there as often as it has lots; those that baskets hold are among them.

    Args:
        connection: any.
        at_us: the instant, UTC microseconds.
        after: the last of the portion before; (0, 0) begins.
        limit: at most so many lots.
    """
    rows = await connection.fetch(SELECT_EXPIRED, at_us, *after, limit)
    return [(row["expires_at_us"], row["account_id"]) for row in rows]
