"""Stored answers: what was said once is said again, byte for byte."""

import asyncio

from rewards.refusal import Reason, Refusal
from server.store.database import RetryError
from server.store.facts import KnownKey, StoredRow, read_receipt
from server.till.context import Context


async def stored_checkout(
    context: Context, key_id: bytes, known: KnownKey, deadline_s: float
) -> StoredRow:
    """Read the stored row of a key that is known to exist; waits while the database is away.

    Args:
        context: ports.
        key_id: 16 bytes.
        known: what the key is known to stand for.
        deadline_s: the loop's time at which waiting ends.

    Raises:
        Refusal: STORE_UNAVAILABLE when the time is up; INTERNAL if the row is missing, which an
            audit would find too.
    """
    while True:
        try:
            async with (
                asyncio.timeout_at(deadline_s),
                context.database.reading() as connection,
            ):
                row = await read_receipt(connection, key_id, known.day)
        except RetryError:
            await context.database.recover()
            continue
        except TimeoutError:
            text = "the database cannot be reached in time: ask again with the same key"
            raise Refusal(Reason.STORE_UNAVAILABLE, text) from None
        if row is None:
            raise Refusal(Reason.INTERNAL, f"the row of key {key_id.hex()} is missing")
        return row
