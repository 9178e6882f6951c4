"""Whatever dies, and wherever: no message is lost, and none is sent twice without a mark.

Real workers over a real database; the gateway is the model: it knows what it took. A process dies
where it asks for the time, which it does between any two things it does, or inside the gateway.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from rewards.commit import MessageFigure
from rewards.outbox import FOLLOWING, MessageState
from server.sms.transport import (
    Accepted,
    Delivery,
    Fate,
    NotNow,
    Submission,
    TakeDelivery,
    Unsure,
)
from server.sms.worker import Worker
from server.store.database import Database
from tests.outbox import SEED, SEED_PHONES, OpenGateway, new_message, worker_context, write_messages

START_US = 1_790_000_000_000_000
MINUTE_US = 60_000_000
UNCERTAIN_MINUTES = 10
CUSTOMERS = (1, 2)
SHORT = (MessageFigure("points", "points", 100),)
LONG = tuple(MessageFigure("status", "", 1, f"статус «{n:040d}»", number=-1 - n) for n in range(3))
TABLES = "outbox_message, outbox_change, outbox_part, outbox_receipt, commit_key"

BEHAVIOURS = (
    "ok", "ok", "told first", "busy", "taken, unsure", "lost, unsure", "taken, dies", "dies",
)  # fmt: skip


class DiedError(BaseException):
    """The process is gone: nothing of it runs any more, no handler either."""


class Gateway(OpenGateway):
    """Takes parts and remembers them; behaves as it is told, then well.

    Attributes:
        taken: by submission, how often it was taken, in the order of the first time.
        open: (provider id, phone) of parts without a receipt so far.
        troubles: how often nobody could know what became of a submission.
    """

    def __init__(self) -> None:
        self.behaviours: list[str] = []
        self.taken: Counter[str] = Counter()
        self.open: list[tuple[str, str]] = []
        self.ids = 0
        self.troubles = 0

    def start(self, take: TakeDelivery) -> None:
        self.take = take

    async def submit(self, submission: Submission) -> Fate:
        behaviour = self.behaviours.pop(0) if self.behaviours else "ok"
        if behaviour == "busy":
            return NotNow("busy")
        provider_id = ""
        if behaviour not in ("lost, unsure", "dies"):
            self.taken[submission.submission_id] += 1
            self.ids += 1
            provider_id = f"{self.ids:x}"
            self.open.append((provider_id, submission.phone))
        if behaviour == "told first":
            await self.take(Delivery(provider_id, submission.phone, True, ""))
            self.open.remove((provider_id, submission.phone))
        if behaviour in ("ok", "told first"):
            return Accepted(provider_id)
        self.troubles += 1
        if behaviour.endswith("dies"):
            raise DiedError
        return Unsure("lost")


class Place:
    """A database with two customers, for all examples."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.runner = asyncio.Runner()
        self.database = Database(dsn, Path("unused"), "test")
        self.runner.run(self.open())

    async def open(self) -> None:
        await self.database.open()
        for statement in (SEED, SEED_PHONES):
            await self.execute(statement)

    async def execute(self, statement: str) -> list[Any]:
        async with self.database.reading() as connection:
            return list(await connection.fetch(statement))

    def rows(self, statement: str) -> list[Any]:
        return self.runner.run(self.execute(statement))

    def close(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()


class Outbox(RuleBasedStateMachine):
    """Messages on their way while processes come and go."""

    place: Place

    def __init__(self) -> None:
        super().__init__()
        self.place.rows(f"truncate {TABLES}")
        self.now_us = START_US
        self.gateway = Gateway()
        self.number = 0
        self.deaths = 0
        self.asks_left = -1
        self.worker = self.new_worker()

    def new_worker(self) -> Worker:
        self.number += 1
        context = worker_context(self.clock, self.place.database)
        uncertain_s = UNCERTAIN_MINUTES * 60.0
        own = self.number.to_bytes(16, "big")
        worker = Worker(context, self.gateway, 1.0, uncertain_s, own)
        self.gateway.start(worker.take)
        return worker

    def clock(self) -> int:
        if self.asks_left == 0:
            raise DiedError
        self.asks_left -= 1
        return self.now_us

    def run(self) -> None:
        """Let the worker do a round; if it dies, another takes its place."""
        try:
            self.place.runner.run(self.worker.run())
        except DiedError:
            self.deaths += 1
            self.worker = self.new_worker()
        self.asks_left = -1

    @rule(customer=st.sampled_from(CUSTOMERS), figures=st.sampled_from([SHORT, SHORT, LONG]))
    def forward(self, customer: int, figures: tuple[MessageFigure, ...]) -> None:
        self.number += 1
        new = new_message(self.number, customer, self.now_us, figures)
        self.place.runner.run(write_messages(self.place.dsn, (new,)))

    @rule(behaviours=st.lists(st.sampled_from(BEHAVIOURS), max_size=4))
    def work(self, behaviours: list[str]) -> None:
        self.gateway.behaviours = behaviours
        self.run()
        self.gateway.behaviours = []

    @rule(asks=st.integers(0, 12))
    def work_and_die_between(self, asks: int) -> None:
        self.asks_left = asks
        self.run()

    @rule(minutes=st.sampled_from([1, 2, 15]))
    def time_passes(self, minutes: int) -> None:
        self.now_us += minutes * MINUTE_US

    @rule(place=st.integers(0, 9))
    def a_receipt_comes(self, place: int) -> None:
        if self.gateway.open:
            self.deliver(place % len(self.gateway.open))

    def deliver(self, place: int) -> None:
        provider_id, phone = self.gateway.open.pop(place)
        spelled = str(int(provider_id, 16)) if place % 2 else provider_id.upper()
        found = Delivery(spelled, phone, True, "")
        self.place.runner.run(self.worker.take(found))

    def teardown(self) -> None:
        """Everything goes well from now on: every message arrives."""
        for _ in range(4):
            self.now_us += 20 * MINUTE_US
            while self.place.runner.run(self.worker.run()):
                pass
        self.check_nothing_is_lost()
        while self.gateway.open:
            self.deliver(0)
        self.now_us += 48 * 60 * MINUTE_US
        while self.place.runner.run(self.worker.run()):
            pass
        self.check_all_ended()

    def check_nothing_is_lost(self) -> None:
        rows = self.place.rows(
            "select message_id, state, part_count, attempt, resends from outbox_message"
        )
        for row in rows:
            assert row["state"] in (MessageState.SENT, MessageState.DELIVERED), row
            copies = [
                self.gateway.taken[f"{row['message_id'].hex()}-{part}"]
                for part in range(1, row["part_count"] + 1)
            ]
            assert min(copies) >= 1, "a part is lost"
            assert max(copies) <= 1 + row["resends"], "a copy without a mark"
        assert (
            sum(row["resends"] for row in rows) <= self.deaths * len(rows) + self.gateway.troubles
        )

    def check_all_ended(self) -> None:
        states = self.place.rows("select message_id, state from outbox_message")
        assert {row["state"] for row in states} <= {MessageState.DELIVERED}
        changes = self.place.rows(
            "select message_id, state from outbox_change order by message_id, turn"
        )
        now: dict[bytes, MessageState] = {}
        for message_id, number in changes:
            before = now.get(message_id, MessageState.QUEUED)
            state = MessageState(number)
            assert state == before or state in FOLLOWING[before], (before, state)
            now[message_id] = state


@pytest.mark.timeout(600)
def test_processes_die_anywhere(pg_dsn: str) -> None:
    place = Place(pg_dsn)
    try:
        machine = type("OutboxMachine", (Outbox,), {"place": place})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=settings().max_examples // 10,
                stateful_step_count=15,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        place.close()
