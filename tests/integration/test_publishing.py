"""Plans, roll-backs and history over a real database, with workers, on a clock of the tests."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loyalty.v1 import back_office_service_pb2 as pb
from rewards.program import Program
from rewards.refusal import Reason, Refusal
from server.authoring.process import Workshop
from server.codec.program_pb import program_to_pb
from server.instant import iso_instant
from server.publishing import Plan, Publishing, RollBack
from server.reference import PUBLISH_LEAD_US, Reference
from server.ruleset_history import History, RulesetHistory, Wanted
from server.store.database import Database
from server.store.feeds import Feeds
from server.store.packed import pack
from server.store.rulesets import (
    BuiltVersion,
    Foundation,
    Publication,
    Published,
    VersionHead,
    publish,
)

NOW_US = 1_800_000_000_000_000
HOUR_US = 3_600_000_000
NAME = [{"language_code": "ru", "text": "x"}]


def program(program_id: str = "a", rate_bp: int = 100, *promotion_ids: str) -> Program:
    forms = [{"category": "other", "text": "x"}]
    asset = {"code": "points", "kind": "points", "names": [{"language_code": "ru", "forms": forms}]}
    gives = [{"code": "percent_off", "rate_bp": rate_bp}]
    tree = {
        "program_id": program_id,
        "chain_id": f"chain-{program_id}",
        "currency_code": "RUB",
        "language_code": "ru",
        "assets": [asset],
        "promotions": [
            {"promotion_id": name, "names": NAME, "lane": "price", "gives": gives}
            for name in promotion_ids or (f"{program_id}-1",)
        ],
    }
    return msgspec.convert(tree, Program)


class Office:
    """The back office's programs; `now_us` is the clock."""

    def __init__(self, database: Database) -> None:
        """Work on a database."""
        self.database = database
        self.now_us = NOW_US
        workshop = Workshop()
        reference = Reference(Feeds(database), self.clock)
        self.publishing = Publishing(database, reference, self.clock, workshop)
        self.past = RulesetHistory(database, self.clock, workshop)

    def clock(self) -> int:
        """The present instant of the test."""
        return self.now_us

    async def publish(self, one: Program, at_us: int = 0) -> VersionHead:
        """Publish, and let the version come into force unless it is for later."""
        request = pb.PublishProgramRequest(
            program=program_to_pb(one), published_by="anna", effective_at_us=at_us
        )
        head = (await self.publishing.publish(request.SerializeToString())).head
        if not at_us:
            self.now_us = head.effective_at_us
        return head

    async def publish_before(self, one: Program, at_us: int = 0) -> Published:
        """Publish in place of what is scheduled."""
        request = pb.PublishProgramRequest(
            program=program_to_pb(one),
            published_by="anna",
            effective_at_us=at_us,
            replaces_scheduled=True,
        )
        return await self.publishing.publish(request.SerializeToString())

    async def plan(self, one: Program, at_us: int = 0, replaces: bool = False) -> Plan:
        """Plan a program."""
        request = pb.PlanProgramRequest(
            program=program_to_pb(one), effective_at_us=at_us, replaces_scheduled=replaces
        )
        return await self.publishing.plan(request.SerializeToString())

    async def plan_version(self, version: int, **fields: Any) -> Plan:
        """Plan a roll-back."""
        request = pb.PlanProgramRequest(version=version, **fields)
        return await self.publishing.plan(request.SerializeToString())

    async def roll_back(
        self, version: int, program_id: str = "", at_us: int = 0, newest: int = 0
    ) -> VersionHead:
        """Roll back, and let the version come into force."""
        wanted = RollBack(version, program_id, at_us, "boris", newest)
        head = (await self.publishing.roll_back(wanted)).head
        self.now_us = head.effective_at_us
        return head

    async def roll_back_before(
        self, version: int, program_id: str = "", newest: int = 0
    ) -> Published:
        """Roll back in place of what is scheduled."""
        wanted = RollBack(version, program_id, 0, "boris", newest, replaces_scheduled=True)
        return await self.publishing.roll_back(wanted)

    async def history(self, before: int = 0, size: int = 0, **only: str) -> History:
        """Read a page of versions."""
        wanted = Wanted(only.get("program", ""), only.get("chain", ""), before, size)
        return await self.past.page(wanted)


@pytest.fixture
async def office(pg_dsn: str, tmp_path: Path) -> AsyncIterator[Office]:
    database = Database(pg_dsn, tmp_path, "test")
    await database.open()
    yield Office(database)
    await database.close()


def said(plan: Plan) -> list[str]:
    """Programs and items that change."""
    return [
        f"{change.program_id} {item.change} {item.kind} {item.item_id}"
        for change in plan.changes
        for item in change.difference.changes
    ]


def refused(error: pytest.ExceptionInfo[Refusal]) -> tuple[Reason, list[str]]:
    return error.value.reason, [path for path, _ in error.value.fields]


async def test_before_the_first_version_all_is_added(office: Office) -> None:
    plan = await office.plan(program())
    assert (plan.base, plan.newest, plan.problems) == (None, None, ())
    assert [change.change for change in plan.changes] == ["added"]
    assert plan.earliest_us == NOW_US + PUBLISH_LEAD_US


async def test_what_was_published_just_now_changes_nothing(office: Office) -> None:
    """A script that publishes and plans again must see that it is done, within the lead too."""
    head = await office.publish(program(), NOW_US + PUBLISH_LEAD_US)
    plan = await office.plan(program())
    assert (plan.base, plan.changes) == (head, ())


async def test_only_the_planned_program_is_compared(office: Office) -> None:
    await office.publish(program("a"))
    await office.publish(program("b"))
    plan = await office.plan(program("b", 200))
    assert said(plan) == ["b changed promotion b-1"]
    assert plan.base == plan.newest
    field = plan.changes[0].difference.changes[0].fields[0]
    assert (field.path, field.old, field.new) == ("gives[percent_off].rate_bp", "100", "200")


async def test_a_plan_compares_with_what_is_in_force_at_its_instant(office: Office) -> None:
    live = await office.publish(program("a", 100))
    later_us = office.now_us + HOUR_US
    scheduled = await office.publish(program("a", 200), later_us)
    now, then = (
        await office.plan(program("a", 200)),
        await office.plan(program("a", 200), later_us + HOUR_US),
    )
    assert (now.base, now.newest, said(now)) == (live, scheduled, ["a changed promotion a-1"])
    assert (then.base, then.newest, said(then)) == (scheduled, scheduled, [])
    assert now.earliest_us == later_us + 1


async def test_an_instant_before_the_newest_version_is_a_problem(office: Office) -> None:
    await office.publish(program(), NOW_US + HOUR_US)
    plan = await office.plan(program(), NOW_US + HOUR_US)
    assert [problem.path for problem in plan.problems] == ["effective_at_us"]
    assert (await office.plan(program(), NOW_US + HOUR_US + 1)).problems == ()


async def test_a_plan_names_problems_and_clashes(office: Office) -> None:
    await office.publish(program("a", 100, "x"))
    plan = await office.plan(program("b", 100, "x", "y", "y"))
    assert [problem.path for problem in plan.problems] == [
        "promotions[2].promotion_id",
        "promotions[0].promotion_id",
    ]
    assert "is a promotion of program 'a'" in plan.problems[1].reason


async def test_a_clash_is_not_published(office: Office) -> None:
    await office.publish(program("a", 100, "x"))
    with pytest.raises(Refusal) as error:
        await office.publish(program("b", 100, "x"))
    assert refused(error) == (Reason.PROGRAM_INVALID, ["program.promotions[0].promotion_id"])
    assert len((await office.history()).versions) == 1


async def test_rolling_back_publishes_the_old_content_as_a_new_version(office: Office) -> None:
    await office.publish(program("a", 100))
    await office.publish(program("a", 200))
    await office.publish(program("b"))
    plan = await office.plan_version(1)
    assert said(plan)[0] == "a changed promotion a-1"
    assert [(change.program_id, change.change) for change in plan.changes] == [
        ("a", "changed"),
        ("b", "removed"),
    ]
    head = await office.roll_back(1, newest=3)
    assert (head.version, head.published_by, head.promotion_count) == (4, "boris", 1)
    assert (await office.plan(program("a", 100))).changes == ()
    assert (await office.plan(program("b"))).changes[0].change == "added"


async def test_one_program_can_be_rolled_back_alone(office: Office) -> None:
    await office.publish(program("a", 100))
    await office.publish(program("b"))
    await office.publish(program("a", 200))
    plan = await office.plan_version(1, program_id="a")
    assert [(change.program_id, change.change) for change in plan.changes] == [("a", "changed")]
    await office.roll_back(1, program_id="a")
    assert (await office.plan(program("a", 100))).changes == ()
    assert (await office.plan(program("b"))).changes == ()


async def test_a_scheduled_version_is_called_off_by_rolling_back_to_the_live_one(
    office: Office,
) -> None:
    await office.publish(program("a", 100))
    scheduled = await office.publish(program("a", 200), office.now_us + HOUR_US)
    plan = await office.plan_version(1, replaces_scheduled=True)
    assert (plan.problems, plan.changes, plan.replaced) == ((), (), (scheduled,))
    published = await office.roll_back_before(1, newest=2)
    assert published.replaced == (scheduled,)
    assert published.head.effective_at_us == office.now_us + PUBLISH_LEAD_US
    office.now_us = scheduled.effective_at_us
    assert (await office.plan(program("a", 100))).changes == ()
    assert (await office.history()).live_version == 3
    with pytest.raises(Refusal) as error:
        await office.roll_back_before(1)
    assert refused(error) == (Reason.INCONSISTENT, ["version"])
    assert "version 3" in str(error.value), "what it equals is what it would follow"


async def test_a_roll_back_in_place_of_what_is_scheduled(office: Office) -> None:
    """The other program stays as it is in force, not as it was scheduled."""
    await office.publish(program("a", 100))
    await office.publish(program("a", 200))
    await office.publish(program("b", 300))
    scheduled = await office.publish(program("b", 400), office.now_us + HOUR_US)
    with pytest.raises(Refusal) as error:
        await office.roll_back(1, "a")
    assert error.value.reason is Reason.EFFECTIVE_TOO_EARLY
    with pytest.raises(Refusal) as error:
        await office.roll_back_before(1, "a", newest=3)
    assert refused(error) == (Reason.INCONSISTENT, ["newest_version"])
    published = await office.roll_back_before(1, "a", newest=4)
    assert (published.head.version, published.replaced) == (5, (scheduled,))
    office.now_us = scheduled.effective_at_us
    for one in (program("a", 100), program("b", 300)):
        assert (await office.plan(one)).changes == ()


async def test_what_is_scheduled_can_be_replaced(office: Office) -> None:
    await office.publish(program("a", 100))
    far_us = office.now_us + 24 * HOUR_US
    scheduled = await office.publish(program("b", 100), far_us)
    plan = await office.plan(program("a", 200), replaces=True)
    assert (plan.problems, plan.replaced) == ((), (scheduled,))
    assert plan.base is not None
    assert (plan.base.version, plan.earliest_us) == (1, office.now_us + PUBLISH_LEAD_US)
    published = await office.publish_before(program("a", 200))
    assert (published.head.effective_at_us, published.replaced) == (plan.earliest_us, plan.replaced)
    office.now_us = plan.earliest_us
    head = await office.publish(program("a", 300))
    assert head.effective_at_us == plan.earliest_us + PUBLISH_LEAD_US
    office.now_us = far_us
    added = (await office.plan(program("b", 100))).changes
    assert [change.change for change in added] == ["added"], "it never came into force"
    found = await office.history()
    shown = [(one.head.version, one.head.replaced_by) for one in found.versions]
    assert (found.live_version, shown) == (4, [(4, 0), (3, 0), (2, 3), (1, 0)])
    third = found.versions[1].summary.changes
    assert [(change.program_id, change.change) for change in third] == [("a", "changed")]


async def test_a_clash_is_with_what_it_is_built_on(office: Office) -> None:
    await office.publish(program("a", 100))
    await office.publish(program("b", 100, "x"), office.now_us + HOUR_US)
    clash = await office.plan(program("c", 100, "x"), office.now_us + 2 * HOUR_US)
    assert [problem.path for problem in clash.problems] == ["promotions[0].promotion_id"]
    assert (await office.plan(program("c", 100, "x"), replaces=True)).problems == ()
    assert (await office.publish_before(program("c", 100, "x"))).head.version == 3


@pytest.mark.parametrize("at_us", [0, NOW_US + HOUR_US])
async def test_a_refusal_names_what_is_scheduled_and_what_to_do(office: Office, at_us: int) -> None:
    await office.publish(program("a", 100))
    far_us = NOW_US + 24 * HOUR_US
    await office.publish(program("b", 100), far_us)
    with pytest.raises(Refusal) as error:
        await office.publish(program("a", 200), at_us)
    assert error.value.reason is Reason.EFFECTIVE_TOO_EARLY
    text = str(error.value)
    assert f"version 2 is scheduled for {iso_instant(far_us)}" in text
    assert "publish again with replaces_scheduled" in text
    assert error.value.metadata == {
        "earliest_us": str(far_us + 1),
        "scheduled_version": "2",
        "scheduled_at_us": str(far_us),
    }
    plan = await office.plan(program("a", 200), at_us)
    assert [(found.path, found.reason) for found in plan.problems] == [("effective_at_us", text)]


@pytest.mark.parametrize(
    ("version", "program_id", "newest", "reason", "fields"),
    [
        (9, "", 0, Reason.NO_RULESET, []),
        (2, "", 0, Reason.INCONSISTENT, ["version"]),
        (1, "nope", 0, Reason.INCONSISTENT, ["program_id"]),
        (1, "", 1, Reason.INCONSISTENT, ["newest_version"]),
    ],
)
async def test_a_roll_back_is_refused(
    office: Office,
    version: int,
    program_id: str,
    newest: int,
    reason: Reason,
    fields: list[str],
) -> None:
    await office.publish(program("a", 100))
    await office.publish(program("a", 200))
    with pytest.raises(Refusal) as error:
        await office.roll_back(version, program_id, newest=newest)
    assert refused(error) == (reason, fields)
    assert len((await office.history()).versions) == 2


async def test_a_roll_back_keeps_the_order_of_instants(office: Office) -> None:
    await office.publish(program("a", 100))
    await office.publish(program("a", 200), office.now_us + HOUR_US)
    with pytest.raises(Refusal) as error:
        await office.roll_back(1, at_us=office.now_us + HOUR_US)
    assert error.value.reason is Reason.EFFECTIVE_TOO_EARLY


async def test_history_says_what_each_version_changed(office: Office) -> None:
    await office.publish(program("a", 100))
    await office.publish(program("b"))
    await office.publish(program("a", 200, "a-1", "a-2"), office.now_us + HOUR_US)
    found = await office.history()
    assert (found.live_version, found.next_before) == (2, 0)
    assert [past.head.version for past in found.versions] == [3, 2, 1]
    (change,) = found.versions[0].summary.changes
    counts = [(c.kind, c.added, c.removed, c.changed) for c in change.difference.counts]
    assert (change.program_id, change.promotion_count) == ("a", 2)
    assert counts == [("promotion", 1, 0, 1)]
    assert change.difference.changes == ()
    assert [past.summary.changes[0].change for past in found.versions[1:]] == ["added", "added"]
    assert found.versions[0].head.published_by == "anna"


async def test_history_comes_in_pages(office: Office) -> None:
    for rate_bp in range(1, 6):
        await office.publish(program("a", rate_bp))
    first = await office.history(size=2)
    second = await office.history(first.next_before, size=2)
    last = await office.history(second.next_before, size=2)
    pages = [[past.head.version for past in page.versions] for page in (first, second, last)]
    assert pages == [[5, 4], [3, 2], [1]]
    assert (first.next_before, second.next_before, last.next_before) == (4, 2, 0)
    assert last.versions[0].summary.changes[0].change == "added"
    assert second.versions[1].summary.changes[0].change == "changed"


async def test_history_of_one_program_or_chain(office: Office) -> None:
    await office.publish(program("a", 100))
    await office.publish(program("b"))
    await office.publish(program("a", 200))
    versions = {
        key: [past.head.version for past in page.versions]
        for key, page in {
            "a": await office.history(program="a"),
            "chain-b": await office.history(chain="chain-b"),
            "nope": await office.history(program="nope"),
        }.items()
    }
    assert versions == {"a": [3, 1], "chain-b": [2], "nope": []}


async def test_history_of_nothing(office: Office) -> None:
    assert await office.history() == History((), 0, 0)


async def test_a_version_of_another_build_is_listed_and_not_rolled_back_to(office: Office) -> None:
    tree = msgspec.to_builtins(program("a")) | {"who": "?"}

    async def build(upon: Foundation) -> BuiltVersion:
        return BuiltVersion(pack(msgspec.msgpack.encode((tree,))), b"another form", 1)

    publication = Publication(published_by="old", lead_us=PUBLISH_LEAD_US)
    head = (await publish(office.database, publication, build, office.clock)).head
    office.now_us = head.effective_at_us
    (past,) = (await office.history(program="a")).versions
    assert (past.summary.is_read, past.summary.changes) == (False, ())
    plan = await office.plan(program("a"))
    assert [warning.path for warning in plan.warnings] == ["program_id"]
    await office.publish(program("a"))
    assert [problem.path for problem in (await office.plan_version(1)).problems] == ["version"]
    with pytest.raises(Refusal) as error:
        await office.roll_back(1)
    assert error.value.reason is Reason.PROGRAM_INVALID


async def test_publishers_and_planners_at_once(office: Office) -> None:
    work: list[Any] = [office.publish(program(f"p{n}")) for n in range(4)]
    work += [office.plan(program(f"p{n}")) for n in range(4)]
    await asyncio.gather(*work)
    found = await office.history()
    assert [past.head.version for past in found.versions] == [4, 3, 2, 1]
