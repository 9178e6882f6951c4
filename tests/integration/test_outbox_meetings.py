"""Goal: what comes while a worker is in the middle of a message is not lost.

Method: a real worker over a real database, through connections that let the other side go between
two statements, until it is done or waits for a lock.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rewards.commit import MessageFigure
from rewards.outbox import MessageState
from server.sms.recipient import phone_hash_of
from server.sms.transport import Accepted, Delivery, Fate, Submission, Unsure
from server.sms.worker import Worker
from server.store import outbox_work, recipients
from server.store.database import Database
from tests.outbox import (
    HOUR_US,
    SEED,
    SEED_PHONES,
    OpenGateway,
    new_message,
    worker_context,
    write_messages,
)
from tests.serving import CHAIN

START_US = 1_790_000_000_000_000
PHONE = "+79160000001"
LONG = tuple(MessageFigure("status", "", 1, f"статус «{n:040d}»", number=-1 - n) for n in range(3))
IS_WAITING = """
select exists (select from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock')
"""
WAIT_S = 20.0

Meeting = Callable[[], Awaitable[None]]


class Gateway(OpenGateway):
    """Takes every part, unless it is told to say that it does not know."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.is_unsure = False

    async def submit(self, submission: Submission) -> Fate:
        if self.is_unsure:
            return Unsure("lost")
        self.taken.append(submission.submission_id)
        return Accepted(f"a{len(self.taken)}")


class Met:
    """A connection on which something else happens once, after a statement has run."""

    def __init__(self, connection: Any, place: "MetDatabase") -> None:
        self._connection = connection
        self._place = place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetch(self, query: str, *arguments: object) -> object:
        found = await self._connection.fetch(query, *arguments)
        await self._place.pass_by(query)
        return found

    async def fetchrow(self, query: str, *arguments: object) -> object:
        found = await self._connection.fetchrow(query, *arguments)
        await self._place.pass_by(query)
        return found


class MetDatabase:
    """A database whose connections are met after some statement, the first time that it runs."""

    def __init__(self, database: Database, after: str, meeting: Meeting) -> None:
        self._database = database
        self._after = after
        self._meeting: Meeting | None = meeting

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Met]:
        async with self._database.reading() as connection:
            yield Met(connection, self)

    async def pass_by(self, query: str) -> None:
        if query == self._after and self._meeting is not None:
            meeting, self._meeting = self._meeting, None
            await meeting()


class World:
    """Two customers, one message to the first, and a gateway."""

    def __init__(self, dsn: str, database: Database, watcher: Any) -> None:
        self.dsn = dsn
        self.database = database
        self.watcher = watcher
        self.gateway = Gateway()
        self.now_us = START_US
        self.context = worker_context(self.clock, database)

    def clock(self) -> int:
        return self.now_us

    def worker(self, database: Any = None) -> Worker:
        context = worker_context(self.clock, database or self.database)
        return Worker(context, self.gateway, 1.0, 600.0, b"w" * 16)

    def met(self, after: str, meeting: Meeting) -> Worker:
        """A worker that is met after a statement."""
        return self.worker(MetDatabase(self.database, after, meeting))

    async def queue(self, *figures: MessageFigure) -> None:
        figures = figures or (MessageFigure("points", "points", 100),)
        await write_messages(self.dsn, (new_message(1, 1, self.now_us, figures),))

    async def stop(self, chain_id: str, phone: str) -> None:
        """Put a phone on a chain's stop list, as the back office does."""
        phone_hash = phone_hash_of(self.context, phone)
        async with self.database.reading() as connection:
            await recipients.set_stop(connection, chain_id, phone_hash, self.now_us, "")

    async def go_on(self, task: "asyncio.Task[Any]") -> None:
        """Let a task run until it is done or waits for a lock of the database."""
        async with asyncio.timeout(WAIT_S):
            while not task.done() and not await self.watcher.fetchval(IS_WAITING):
                pass

    async def standing(self) -> MessageState:
        return MessageState(await self.watcher.fetchval("select state from outbox_message"))

    async def notes(self) -> list[str]:
        rows = await self.watcher.fetch("select note from outbox_change order by turn")
        return [row[0] for row in rows]

    async def part_states(self) -> list[int]:
        rows = await self.watcher.fetch("select state from outbox_part order by part")
        return [row[0] for row in rows]


@pytest.fixture
async def world(pg_dsn: str) -> AsyncIterator[World]:
    database = Database(pg_dsn, Path("unused"), "test")
    await database.open()
    watcher = await asyncpg.connect(pg_dsn, timeout=10)
    try:
        for statement in (SEED, SEED_PHONES):
            await watcher.execute(statement)
        yield World(pg_dsn, database, watcher)
    finally:
        await watcher.close()
        await database.close()


async def test_a_receipt_while_it_is_recorded_as_sent(world: World) -> None:
    """The worker has read the parts before the receipt of the last one stands there."""
    await world.queue()
    told: list[asyncio.Task[None]] = []

    async def tell() -> None:
        taking = world.worker().take(Delivery("a1", PHONE, True, ""))
        told.append(asyncio.create_task(taking))
        await world.go_on(told[0])

    # The first time that a worker reads parts is when all of them were taken.
    assert await world.met(outbox_work.SELECT_PARTS, tell).run() == 1
    await asyncio.gather(*told)
    assert len(told) == 1
    assert await world.part_states() == [2]
    assert await world.standing() == MessageState.DELIVERED


async def test_two_receipts_at_once_that_do_not_say_whose_they_are(world: World) -> None:
    """Neither sees the part of the other, unless one waits for the other."""
    await world.queue(*LONG)
    assert await world.worker().run() == 1
    count = len(world.gateway.taken)
    assert count > 2
    for number in range(3, count + 1):
        await world.worker().take(Delivery(f"a{number}", PHONE, True, ""))
    told: list[asyncio.Task[None]] = []

    async def tell() -> None:
        told.append(asyncio.create_task(world.worker().take(Delivery("a2", "", True, ""))))
        await world.go_on(told[0])

    await world.met(outbox_work.SELECT_PARTS, tell).take(Delivery("a1", "", True, ""))
    await asyncio.gather(*told)
    assert len(told) == 1
    assert await world.part_states() == [2] * count
    assert await world.standing() == MessageState.DELIVERED


@pytest.mark.parametrize("is_resend", [False, True])
async def test_a_stop_after_the_stop_list_was_read(world: World, is_resend: bool) -> None:
    """It ends as if the stop had been there before; stops of another phone or chain are none."""
    await world.stop(CHAIN, "+79160000002")
    await world.stop("other", PHONE)
    await world.queue()
    if is_resend:
        world.gateway.is_unsure = True
        assert await world.worker().run() == 1
        assert (await world.notes())[-1] == "uncertain: lost"
        world.gateway.is_unsure = False
        world.now_us += HOUR_US
    meeting = partial(world.stop, CHAIN, PHONE)
    assert await world.met(recipients.SELECT_STOP, meeting).run() == 1
    assert world.gateway.taken == []
    assert await world.standing() == MessageState.STOPPED
    assert (await world.notes())[-1] == "the phone is on the stop list"


@pytest.mark.parametrize("is_stopped", [True, False])
@pytest.mark.parametrize("is_changed", [False, True])
async def test_a_stop_while_the_message_waits_for_its_own_row(
    world: World, is_changed: bool, is_stopped: bool
) -> None:
    """Whoever has the row leaves it as it was, or writes it anew. Waiting alone stops nothing."""
    await world.queue()
    holder = await asyncpg.connect(world.dsn, timeout=10)
    try:
        holding = holder.transaction()

        async def hold() -> None:
            await holding.start()
            await holder.execute("update outbox_message set changed_at_us = changed_at_us")

        sending = asyncio.create_task(world.met(recipients.SELECT_STOP, hold).run())
        await world.go_on(sending)
        assert not sending.done()
        await world.stop(CHAIN if is_stopped else "other", PHONE)
        await (holding.commit() if is_changed else holding.rollback())
        assert await sending == 1
    finally:
        await holder.close()
    assert len(world.gateway.taken) == (0 if is_stopped else 1)
    assert await world.standing() == (MessageState.STOPPED if is_stopped else MessageState.SENT)
    assert ("the phone is on the stop list" in await world.notes()) == is_stopped
