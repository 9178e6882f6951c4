"""Stored answers: what was said once is said again, byte for byte."""

import asyncio

from rewards.refusal import Reason, Refusal
from server.store.database import RetryError
from server.store.facts import KnownKey, StoredRow, read_receipt
from server.till.context import Context


async def stored_checkout(context: Context, key_id: bytes, known: KnownKey) -> StoredRow:
    """Read the stored row of a key that is known to exist; waits while the database is away.

    Raises:
        Refusal: INTERNAL if the row is missing, which an audit would find too.
    """
    while True:
        try:
            async with context.database.reading() as connection:
                row = await read_receipt(connection, key_id, known.day)
        except RetryError:
            await context.database.recover()
            await asyncio.sleep(0)
            continue
        if row is None:
            raise Refusal(Reason.INTERNAL, f"the row of key {key_id.hex()} is missing")
        return row
