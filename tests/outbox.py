"""Messages put into the outbox of a test's database, each in the transaction of a commit.

And what a worker needs that is to see to them without a server.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import asyncpg

from rewards.commit import Commit, CommitKey, KeyKind, MessageFigure, NewMessage
from rewards.notice import TEMPLATE_REWARD, window_end_of
from rewards.sale import derived_key_id
from server.reference import StoreInfo
from server.sms.transport import Delivery, TakeDelivery
from server.store.commits import write_batch
from server.till.context import Context
from tests import make
from tests.pg import run_apart
from tests.serving import CHAIN, STORE

HOUR_US = 3_600_000_000
PHONE = "+79161234567"
POINTS = MessageFigure("points", "points", 12_000)
SEED = """
insert into customer (account_id, customer_id, chain_id, customer_number, state, language_code,
                      segments, field_state)
select n, n, 'test', n::text, 1, 'ru', '{}', '{}' from generate_series(1, 2) n
"""
SEED_PHONES = """
insert into profile_answer (account_id, customer_id, field_code, answered_at_us, value, channel,
                            key_id, cashier_id)
select n, n, 'mobile', 1, '+7916000000' || n, 1, '', '' from generate_series(1, 2) n
"""
"""With SEED, two customers for a worker without a server."""

_PROGRAM = make.rules(profile_fields=(make.field("mobile", check="phone"),))
_STORE_INFO = StoreInfo(make.store_record(chain_id=CHAIN, store_id=STORE))


class OpenGateway:
    """What a gateway of the tests says that is always there and is never asked."""

    @property
    def is_ready(self) -> bool:
        """Yes."""
        return True

    @property
    def must_be_asked(self) -> bool:
        """No."""
        return False

    def start(self, take: TakeDelivery) -> None:
        """Nothing is to be connected."""

    async def stop(self) -> None:
        """Nothing is to be disconnected."""

    async def ask(self, provider_ids: Sequence[str]) -> list[Delivery]:
        """Nothing is known."""
        return []


class _Reference:
    """The rules and the store of a worker without a server."""

    def rules_at(self, chain_id: str, at_us: int) -> Any:
        return _PROGRAM

    async def rules_of(self, chain_id: str, version: int) -> Any:
        return _PROGRAM

    def store(self, chain_id: str, store_id: str) -> StoreInfo:
        return _STORE_INFO


def worker_context(clock: Callable[[], int], database: Any) -> Context:
    """What a worker needs, and nothing else."""
    return Context(
        clock=clock,
        reference=cast(Any, _Reference()),
        lookups=cast(Any, None),
        pipeline=cast(Any, None),
        patient=cast(Any, None),
        database=database,
        signer=cast(Any, None),
        hash_identifier=make.hash_identifier,
        evaluate=cast(Any, None),
        budgets=cast(Any, None),
    )


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
