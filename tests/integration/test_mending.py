"""Goal: of all that is decided about one receipt in quarantine one thing is done, to its end.

Method: a server in this process, in which another command runs to its end just before one writes,
or which stops between two writes of one command. Points are hundredths.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from loyalty.v1 import forward_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import Commit
from rewards.refusal import Reason, Refusal
from server import quarantined
from server.main import composed
from server.pipeline import Fate
from server.settings import Settings
from server.till.context import Context
from server.till.forward import forward
from tests.forwarding import (
    AS_ANSWERED,
    PLAIN,
    PROGRAM_OFFLINE,
    QUARANTINED,
    RECORDED,
    SETTLED,
    SUPERSEDED,
    forward_request,
)
from tests.refunding import basket
from tests.serving import test_program

LATER_S = 20.0
EARNED = 500
"""5% of what is paid."""
WAITING, MENDED, DROPPED = 1, 2, 3
Command = Callable[[], Awaitable[object]]
Submit = Callable[[Commit, float], Awaitable[Fate]]


class Office:
    """A server in this process with one receipt in quarantine, and who decides about it."""

    def __init__(self, context: Context, dsn: str, patch: pytest.MonkeyPatch) -> None:
        self.context = context
        self._dsn = dsn
        self._patch = patch
        self.quarantine_id = b""

    @property
    def deadline_s(self) -> float:
        """Time enough."""
        return asyncio.get_running_loop().time() + LATER_S

    async def take_in(self) -> None:
        """Forward what cannot be taken."""
        request = sale(9)
        request.sale.header.control_totals.amount_minor += 1
        assert await self.forward(request) == QUARANTINED
        ((self.quarantine_id,),) = await self.sql("select quarantine_id from quarantined_receipt")

    async def forward(self, request: pb.ForwardRequest) -> int:
        answer = await forward(self.context, request, self.deadline_s)
        return pb.ForwardResponse.FromString(answer).state

    async def mend(
        self, request: pb.ForwardRequest, by: str = "ann"
    ) -> forward_pb2.MendQuarantinedResponse:
        command = forward_pb2.MendQuarantinedRequest(
            quarantine_id=self.quarantine_id, request=request, mended_by=by, note="mended"
        )
        answer = await quarantined.mend_quarantined(self.context, command, self.deadline_s)
        return forward_pb2.MendQuarantinedResponse.FromString(answer)

    async def drop(self, by: str = "bob") -> forward_pb2.QuarantinedReceipt:
        command = forward_pb2.DropQuarantinedRequest(
            quarantine_id=self.quarantine_id, dropped_by=by, note="dropped"
        )
        answer = await quarantined.drop_quarantined(self.context, command, self.deadline_s)
        return forward_pb2.DropQuarantinedResponse.FromString(answer).receipt

    async def refused(self, command: Awaitable[object]) -> dict[str, str]:
        """The facts with which a command is refused for the state of its entry."""
        with pytest.raises(Refusal) as found:
            await command
        assert found.value.reason == Reason.QUARANTINE_STATE
        return dict(found.value.metadata)

    async def sql(self, query: str) -> list[Any]:
        connection = await asyncpg.connect(self._dsn)
        try:
            rows: list[Any] = await connection.fetch(query)
            return rows
        finally:
            await connection.close()

    async def state(self) -> tuple[int, str]:
        ((state, by),) = await self.sql("select state, changed_by from quarantined_receipt")
        return state, by

    async def points(self) -> int:
        """What the customer has."""
        rows = await self.sql("select coalesce(sum(amount_minor), 0)::bigint from balance")
        return int(rows[0][0])

    def at_write(self, meeting: Command, nth: int = 1) -> None:
        """Let something else happen just before a write of a command, the n-th from now on."""
        pipeline = self.context.patient
        submit, left = pipeline.submit, [nth]

        async def met(commit: Commit, deadline_s: float) -> Fate:
            left[0] -= 1
            if left[0] == 0:
                await meeting()
            return await submit(commit, deadline_s)

        self._patch.setattr(pipeline, "submit", met)


def sale(number: int, kind: Any = AS_ANSWERED, stated: int = 1, **changes: Any) -> Any:
    """A receipt of the customer, forwarded."""
    made = basket(("sku9", 1, 10_000), card="card1")
    return forward_request(number, made, kind, stated, **changes)


@pytest.fixture
async def office(
    place_with: Callable[[Any], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Office]:
    dsn = place_with(test_program(**PROGRAM_OFFLINE))["LOYALTY_DSN"]
    async with composed(Settings(dsn=dsn)) as context:
        made = Office(context, dsn, monkeypatch)
        await made.take_in()
        yield made


async def test_a_drop_that_comes_between_leaves_nothing_of_a_mending(office: Office) -> None:
    office.at_write(office.drop)
    facts = await office.refused(office.mend(sale(1)))
    assert facts == {"state": "DROPPED", "changed_by": "bob"}
    assert await office.state() == (DROPPED, "bob")
    assert await office.points() == 0
    assert (await office.drop("cid")).changed_by == "bob", "the same decision again is no other one"


async def test_a_mending_that_comes_between_stands_against_a_drop(office: Office) -> None:
    async def mend() -> None:
        assert (await office.mend(sale(1))).forwarded.state == RECORDED

    office.at_write(mend)
    facts = await office.refused(office.drop())
    assert facts == {"state": "MENDED", "changed_by": "ann"}
    assert await office.state() == (MENDED, "ann")
    assert await office.points() == EARNED


async def test_of_two_mendings_with_different_keys_one_is_done(office: Office) -> None:
    async def other() -> None:
        await office.mend(sale(2), "cid")

    office.at_write(other)
    first = sale(1)
    facts = await office.refused(office.mend(first))
    assert facts == {"state": "MENDED", "changed_by": "cid"}
    assert await office.points() == EARNED
    assert await office.refused(office.mend(first)) == facts
    again = await office.mend(sale(2), "dan")
    assert (again.forwarded.state, again.receipt.changed_by) == (RECORDED, "cid")
    assert await office.points() == EARNED
    assert await office.forward(first) == RECORDED, "its key is still free"


async def test_the_same_mending_twice_at_once_is_one(office: Office) -> None:
    request = sale(1)

    async def same() -> None:
        await office.mend(request, "cid")

    office.at_write(same)
    answer = await office.mend(request)
    assert (answer.forwarded.state, answer.receipt.changed_by) == (RECORDED, "cid")
    assert await office.points() == EARNED


@pytest.mark.parametrize("stated", [1, 2])
async def test_what_was_in_already_is_mended_by_it_unless_it_was_dropped(
    office: Office, stated: int
) -> None:
    """Under the same number nothing is written of it, under a higher one that it was stated."""
    request = sale(1)
    assert await office.forward(request) == RECORDED
    request.outcome.number = stated
    office.at_write(office.drop)
    facts = await office.refused(office.mend(request))
    assert facts["state"] == "DROPPED"
    assert (await office.sql("select count(*) from receipt_statement"))[0][0] == 1
    assert await office.points() == EARNED


async def test_what_was_in_already_is_a_mending_that_stands(office: Office) -> None:
    request = sale(1)
    assert await office.forward(request) == RECORDED
    answer = await office.mend(request)
    assert (answer.forwarded.state, answer.receipt.state) == (RECORDED, MENDED)
    assert (await office.refused(office.drop()))["state"] == "MENDED"
    assert (await office.refused(office.mend(sale(2))))["state"] == "MENDED"
    assert await office.points() == EARNED


async def test_a_row_that_was_decided_without_its_key_decides_too(office: Office) -> None:
    """A server of an earlier build writes the row alone."""

    async def drop() -> None:
        await office.sql("update quarantined_receipt set state = 3, changed_by = 'old'")

    office.at_write(drop)
    facts = await office.refused(office.mend(sale(1)))
    assert facts == {"state": "DROPPED", "changed_by": "old"}
    assert await office.points() == 0
    assert (await office.refused(office.drop()))["changed_by"] == "old"


async def test_a_training_receipt_ends_it_once(office: Office) -> None:
    """Nothing is ever written of such a receipt."""
    request = sale(1)
    request.sale.header.mode = 2
    office.at_write(office.drop)
    assert (await office.refused(office.mend(request)))["state"] == "DROPPED"


class DiedError(Exception):
    """The process that was mending."""


async def dies_after_undoing(office: Office) -> Any:
    """What was mended by a process that died: a statement by lines, undone and not sold anew."""
    assert await office.forward(sale(1, PLAIN, 2)) == RECORDED
    request = sale(1, AS_ANSWERED, 3)

    async def die() -> None:
        raise DiedError

    office.at_write(die, nth=2)
    with pytest.raises(DiedError):
        await office.mend(request)
    return request


async def test_who_dies_between_undoing_and_selling_leaves_it_to_the_same_mending(
    office: Office,
) -> None:
    """A statement by lines is undone before it is sold anew: two commits."""
    request = await dies_after_undoing(office)
    assert await office.points() == 0
    assert await office.state() == (WAITING, "")
    assert await office.refused(office.drop()) == {"state": "MENDING", "changed_by": ""}
    assert (await office.refused(office.mend(sale(2))))["state"] == "MENDING"
    answer = await office.mend(request, "cid")
    assert (answer.forwarded.state, answer.receipt.changed_by) == (SUPERSEDED, "cid")
    assert await office.state() == (MENDED, "cid")
    assert await office.points() == EARNED


async def test_a_mending_that_somebody_else_has_ended_is_still_noted(office: Office) -> None:
    """It died after the undoing; meanwhile the till itself has sold what was undone."""
    request = await dies_after_undoing(office)
    assert await office.forward(sale(1, AS_ANSWERED, 4)) == SUPERSEDED
    assert (await office.mend(request)).forwarded.state == SETTLED
    assert await office.state() == (MENDED, "ann")
    assert await office.points() == EARNED
