"""Messages put into the outbox of a test's database, each in the transaction of a commit."""

import asyncpg

from rewards.commit import Commit, CommitKey, KeyKind, MessageFigure, NewMessage
from rewards.notice import TEMPLATE_REWARD, window_end_of
from rewards.sale import derived_key_id
from server.store.commits import write_batch
from tests.pg import run_apart
from tests.serving import CHAIN, STORE

HOUR_US = 3_600_000_000
PHONE = "+79161234567"
POINTS = MessageFigure("points", "points", 12_000)


def new_message(
    number: int,
    customer_id: int,
    at_us: int,
    figures: tuple[MessageFigure, ...] = (POINTS,),
    receipt_id: bytes = b"",
    sold_us_before: int = HOUR_US,
) -> NewMessage:
    """A message about a sale some time before an instant, which arrives at that instant."""
    own_key_id = derived_key_id(b"test", number.to_bytes(8, "big"))
    sold_at_us = at_us - sold_us_before
    window_end_us = window_end_of(sold_at_us, at_us)
    return NewMessage(
        message_id=derived_key_id(b"message", own_key_id),
        receipt_id=receipt_id or own_key_id,
        chain_id=CHAIN,
        store_id=STORE,
        customer_id=customer_id,
        ruleset_version=1,
        template_code=TEMPLATE_REWARD,
        figures=figures,
        sold_at_us=sold_at_us,
        arrived_at_us=at_us,
        not_before_us=at_us,
        window_end_us=window_end_us,
        is_late=window_end_us > sold_at_us + 24 * HOUR_US,
    )


async def write_messages(
    dsn: str, messages: tuple[NewMessage, ...], silenced: tuple[bytes, ...] = ()
) -> None:
    """Write messages as a forwarded receipt does: in a commit with a key."""
    key_id = derived_key_id(b"test", *[one.message_id for one in messages], *silenced)
    at_us = messages[0].arrived_at_us if messages else 0
    commit = Commit(
        keys=(CommitKey(key_id, KeyKind.BASKET, b""),),
        effective_at_us=at_us,
        recorded_at_us=at_us,
        messages=messages,
        silenced_key_ids=silenced,
    )
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await write_batch(connection, [commit])
    finally:
        await connection.close()


def put(dsn: str, *messages: NewMessage, silenced: tuple[bytes, ...] = ()) -> None:
    """The same from a test that has no loop."""
    run_apart(lambda: write_messages(dsn, messages, silenced))


def customers_of(dsn: str) -> dict[str, int]:
    """Customer ids of the test's chain by the chain's own number."""

    async def read() -> dict[str, int]:
        connection = await asyncpg.connect(dsn)
        try:
            rows = await connection.fetch("select customer_number, customer_id from customer")
        finally:
            await connection.close()
        return {row[0]: row[1] for row in rows}

    return run_apart(read)
