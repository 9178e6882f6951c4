"""Goal: an answer given before the version that asks about it is in force is known to its rules.

Method: a server in this process and a version for later; answers before, while and after it is
published, and the till's prompts once it is in force, on a clock of the tests.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from server.authoring.process import Workshop
from server.clock import set_offset
from server.main import composed
from server.publishing import Publishing
from server.settings import Settings
from server.store import rulesets
from server.till.context import Context
from server.till.enroll import enroll
from server.till.quote import quote
from server.till.submit_profile import submit_profile
from tests.accounts import identifier
from tests.refunding import basket
from tests.serving import CHAIN, STORE, test_program

LATER_S = 60.0
DAY_US = 86_400_000_000
NAME = [{"language_code": "ru", "text": "?"}]
FAMILY = {"field_code": "family", "questions": NAME, "check": "text"}
CLOSED = {**FAMILY, "check": "choice", "choices": ["married", "single"]}
SPOUSE = {
    "field_code": "spouse",
    "questions": NAME,
    "check": "text",
    "first_asked_if": ["family=married"],
}
STATES = """
select coalesce(jsonb_object_agg(customer_number, field_state -> 'family' ->> 1)::text, '{}')
  from customer where field_state ? 'family'
"""


class Desk:
    """A server in this process whose program asks about the family; the answer may be anything."""

    def __init__(self, context: Context, dsn: str, clock: Path) -> None:
        self.context = context
        self._dsn = dsn
        self._clock = clock
        self._publishing = Publishing(
            context.database, context.reference, context.clock, Workshop()
        )
        self._submitted = 0

    @property
    def deadline_s(self) -> float:
        """Time enough."""
        return asyncio.get_running_loop().time() + LATER_S

    async def publish(
        self, *fields: Any, in_days: int, is_loaded: bool = True, replaces: bool = False
    ) -> None:
        """Publish a version for later; the server loads it now, or has not looked for it yet."""
        program = test_program(profile_fields=list(fields))
        request = bo.PublishProgramRequest(
            program=program,
            published_by="test",
            effective_at_us=self.context.clock() + in_days * DAY_US,
            replaces_scheduled=replaces,
        )
        await self._publishing.publish(request.SerializeToString())
        if is_loaded:
            await self.context.reference.refresh()

    async def answer(self, card: str, value: str) -> None:
        self._submitted += 1
        request = pb.SubmitProfileRequest(
            submission_id=self._submitted.to_bytes(16, "big"),
            chain_id=CHAIN,
            store_id=STORE,
            identifier=identifier(card),
            channel=pb.PROFILE_CHANNEL_TILL,
        )
        request.answers.add(field_code="family", value=value)
        await submit_profile(self.context, request, self.deadline_s)

    async def enroll(self, card: str, value: str) -> None:
        request = pb.EnrollRequest(
            enrollment_id=bytes(16),
            chain_id=CHAIN,
            store_id=STORE,
            identifiers=[identifier(card)],
        )
        request.answers.add(field_code="family", value=value)
        await enroll(self.context, request, self.deadline_s)

    async def asked(self, card: str) -> list[str]:
        """The fields that the cashier is to ask for."""
        request = pb.QuoteRequest(basket_id=bytes(16), sale=basket(("sku9", 1, 100), card=card))
        answer = pb.QuoteResponse.FromString(await quote(self.context, request, self.deadline_s))
        return [one.field_code for one in answer.answer.prompts.prompts]

    async def kept(self) -> dict[str, str | None]:
        """What rules may read of the answer, by customer number."""
        connection = await asyncpg.connect(self._dsn)
        try:
            found = await connection.fetchval(STATES)
            return msgspec.json.decode(found, type=dict[str, str | None])
        finally:
            await connection.close()

    def at_day(self, days: int) -> None:
        set_offset(self._clock, days * DAY_US)


@pytest.fixture
async def desk(place_with: Callable[[Any], dict[str, str]], tmp_path: Path) -> AsyncIterator[Desk]:
    dsn = place_with(test_program(profile_fields=[FAMILY]))["LOYALTY_DSN"]
    clock = tmp_path / "clock"
    set_offset(clock, 0)
    async with composed(Settings(dsn=dsn, clock_file=str(clock))) as context:
        yield Desk(context, dsn, clock)


async def test_an_answer_between_publishing_and_coming_into_force(desk: Desk) -> None:
    await desk.publish(CLOSED, SPOUSE, in_days=5)
    await desk.answer("card1", "married")
    await desk.answer("card2", "single")
    await desk.answer("card3", "it is complicated")
    await desk.enroll("new", "married")
    kept = await desk.kept()
    assert {kept.pop(number) for number in ("1", "2", "3")} == {"married", "single", None}
    assert list(kept.values()) == ["married"], "and of who is new"
    assert await desk.asked("card1") == [], "nothing of the later version yet"
    desk.at_day(6)
    cards = ("card1", "card2", "card3", "new")
    assert [await desk.asked(card) for card in cards] == [["spouse"], [], [], ["spouse"]]


async def test_an_answer_to_a_server_that_has_not_looked_for_the_version_yet(desk: Desk) -> None:
    """The publisher has looked through all answers by then."""
    await desk.context.reference.stop()  # it would look by itself
    await desk.publish(CLOSED, SPOUSE, in_days=5, is_loaded=False)
    await desk.answer("card1", "married")
    assert await desk.kept() == {"1": "married"}
    await desk.publish(FAMILY, in_days=6, is_loaded=False)
    await desk.publish(CLOSED, in_days=7, is_loaded=False)
    await desk.enroll("new", "single")
    assert set((await desk.kept()).values()) == {"married", "single"}


async def test_an_answer_before_the_second_of_two_versions(desk: Desk) -> None:
    """The next version leaves the field as it is, the one after it closes it."""
    await desk.publish(FAMILY, in_days=2)
    await desk.publish(CLOSED, SPOUSE, in_days=4)
    await desk.answer("card1", "married")
    desk.at_day(3)
    await desk.answer("card2", "married")
    desk.at_day(5)
    assert [await desk.asked(card) for card in ("card1", "card2")] == [["spouse"], ["spouse"]]


async def test_an_answer_to_a_field_that_stays_open_is_not_kept(desk: Desk) -> None:
    """Nor is one to a field that is open again."""
    await desk.answer("card1", "married")
    await desk.publish(CLOSED, in_days=1)
    await desk.publish(FAMILY, in_days=2)
    desk.at_day(3)
    await desk.answer("card2", "married")
    assert await desk.kept() == {"1": "married", "2": None}


async def test_an_answer_is_kept_for_what_replaces_a_version_and_not_for_what_is_replaced(
    desk: Desk,
) -> None:
    """The replaced one has closed the field; so does the next one, and the last one does not."""
    await desk.publish(CLOSED, in_days=6)
    await desk.publish(CLOSED, SPOUSE, in_days=4, replaces=True)
    await desk.answer("card1", "married")
    await desk.publish(FAMILY, in_days=2, replaces=True)
    await desk.answer("card2", "married")
    assert await desk.kept() == {"1": "married", "2": None}
    await desk.publish(CLOSED, SPOUSE, in_days=4)
    assert await desk.kept() == {"1": "married", "2": "married"}
    desk.at_day(5)
    assert [await desk.asked(card) for card in ("card1", "card2")] == [["spouse"], ["spouse"]]


async def test_an_answer_while_it_is_published(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes after the answers from before were looked through; nobody has the version yet."""
    publish = rulesets.publish

    async def met(*arguments: Any) -> Any:
        await desk.answer("card1", "married")
        return await publish(*arguments)

    monkeypatch.setattr(rulesets, "publish", met)
    await desk.publish(CLOSED, SPOUSE, in_days=5)
    assert await desk.kept() == {"1": "married"}
    desk.at_day(6)
    assert await desk.asked("card1") == ["spouse"]
