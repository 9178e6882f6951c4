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


async def first_answer(
    context: Context,
    key_id: bytes,
    known: KnownKey,
    fingerprint: bytes,
    other: str,
    deadline_s: float,
    receipt_id: bytes = b"",
) -> bytes:
    """The answer that a key got when it was committed, if it was with the same.

    Args:
        context: ports.
        key_id: 16 bytes.
        known: what the key is known to stand for.
        fingerprint: of what is asked now.
        other: says that the key was committed with something else.
        deadline_s: the loop's time at which waiting ends.
        receipt_id: of a receipt, to be named in a refusal.

    Raises:
        Refusal: KEY_CONFLICT with what is committed and when; as `stored_checkout`.
    """
    stored = await stored_checkout(context, key_id, known, deadline_s)
    if known.fingerprint == fingerprint:
        return stored.answer
    metadata = {"receipt_id": receipt_id.hex()} if receipt_id else {}
    metadata["fingerprint"] = known.fingerprint.hex()
    metadata["committed_at_us"] = str(stored.recorded_at_us)
    raise Refusal(Reason.KEY_CONFLICT, other, metadata)
