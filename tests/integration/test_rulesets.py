"""Publishing over a real database: versions, instants, clashes, and publishers at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rewards.compilation import decode_or_compile
from rewards.program import Program
from server.authoring.draft import ClashError, Draft
from server.authoring.messages import BuildRequest
from server.ruleset_loading import decode_in_steps
from server.store.database import Database
from server.store.feeds import Feeds
from server.store.packed import unpack
from server.store.rejections import EffectiveTooEarlyError
from server.store.rulesets import (
    EMPTY_CONTENT,
    BuildVersion,
    BuiltVersion,
    Foundation,
    Publication,
    Published,
    VersionHead,
    content_of,
    newest_fields,
    publish,
    versions_before,
    versions_from_now,
)

NOW_US = 1_800_000_000_000_000
LEAD_US = 3_000_000


def program(program_id: str = "a", chain_id: str = "", promotion_ids: str = "") -> Program:
    tree: dict[str, Any] = {
        "program_id": program_id,
        "chain_id": chain_id or f"chain-{program_id}",
        "currency_code": "RUB",
        "language_code": "ru",
        "assets": [
            {
                "code": "points",
                "kind": "points",
                "names": [{"language_code": "ru", "forms": [{"category": "other", "text": "б"}]}],
            }
        ],
        "promotions": [
            {
                "promotion_id": promotion_id,
                "names": [{"language_code": "ru", "text": "x"}],
                "lane": "price",
                "gives": [{"code": "percent_off", "rate_bp": 100}],
            }
            for promotion_id in promotion_ids.split()
        ],
    }
    return msgspec.convert(tree, Program)


@pytest.fixture
async def database(pg_dsn: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(pg_dsn, tmp_path, "test")
    await opened.open()
    yield opened
    await opened.close()


async def put(
    database: Database, new: Program, effective_at_us: int = 0, now_us: int = NOW_US
) -> VersionHead:
    publication = Publication(published_by="test", effective_at_us=effective_at_us, lead_us=LEAD_US)
    return (await publish(database, publication, building(new), lambda: now_us)).head


async def put_before(
    database: Database, new: Program, effective_at_us: int = 0, now_us: int = NOW_US
) -> Published:
    """Publish in place of what is scheduled."""
    publication = Publication(
        published_by="test",
        effective_at_us=effective_at_us,
        lead_us=LEAD_US,
        replaces_scheduled=True,
    )
    return await publish(database, publication, building(new), lambda: now_us)


def building(new: Program) -> BuildVersion:
    """Build versions in this process; the worker has tests of its own."""

    async def build(upon: Foundation) -> BuiltVersion:
        request = BuildRequest(upon.version, upon.content, False)
        built = Draft((new,), is_whole=False).build(request)
        if built.clash is not None:
            raise ClashError(built.clash)
        return BuiltVersion(built.content, built.compiled, built.promotion_count)

    return build


async def newest_programs(database: Database) -> tuple[Program, ...]:
    heads = await versions_before(database, 0, 1)
    content = await content_of(database, heads[0].version) if heads else EMPTY_CONTENT
    assert content is not None
    return msgspec.msgpack.decode(unpack(content), type=tuple[Program, ...])


async def test_the_first_version_is_effective_after_the_lead(database: Database) -> None:
    head = await put(database, program("a", promotion_ids="x y"))
    assert head == VersionHead(1, NOW_US + LEAD_US, NOW_US, "test", 2)
    feeds = Feeds(database)
    (record,) = await feeds.versions_from(1)
    assert await feeds.version_of(1) == record
    assert await feeds.version_of(2) is None
    content = await feeds.content_of(1)
    stored = unpack(record.compiled)
    compiled = decode_or_compile(record.version, stored, unpack(content))
    assert compiled.programs.keys() == {"chain-a"}
    assert decode_in_steps(stored) == compiled


async def test_a_program_replaces_the_one_with_its_id_and_leaves_the_others(
    database: Database,
) -> None:
    await put(database, program("b", promotion_ids="x"))
    await put(database, program("a", promotion_ids="y"))
    head = await put(database, program("b", promotion_ids="z w"))
    assert (head.version, head.promotion_count) == (3, 3)
    newest = await newest_programs(database)
    assert newest == (program("a", promotion_ids="y"), program("b", promotion_ids="z w"))


async def test_nothing_is_published_at_first(database: Database) -> None:
    assert await newest_programs(database) == ()
    assert await versions_from_now(database, NOW_US) == []


async def test_a_version_within_the_lead_is_rejected(database: Database) -> None:
    with pytest.raises(EffectiveTooEarlyError) as rejected:
        await put(database, program(), NOW_US + LEAD_US - 1)
    assert rejected.value.earliest_us == NOW_US + LEAD_US
    assert await newest_programs(database) == ()


async def test_versions_are_effective_in_their_order(database: Database) -> None:
    later_us = NOW_US + 10 * LEAD_US
    await put(database, program(), later_us)
    with pytest.raises(EffectiveTooEarlyError) as rejected:
        await put(database, program(), later_us)
    assert rejected.value.earliest_us == later_us + 1
    assert rejected.value.scheduled == (1, later_us)
    head = await put(database, program(), later_us + 1)
    assert head.effective_at_us == later_us + 1


async def test_as_soon_as_may_be_follows_what_was_published_just_now(database: Database) -> None:
    """By another server, whose clock is ahead."""
    await put(database, program(), NOW_US + 2 * LEAD_US - 1)
    head = await put(database, program())
    assert head.effective_at_us == NOW_US + 2 * LEAD_US


async def test_as_soon_as_may_be_is_not_after_what_is_scheduled(database: Database) -> None:
    await put(database, program(), NOW_US + 2 * LEAD_US)
    with pytest.raises(EffectiveTooEarlyError) as rejected:
        await put(database, program())
    assert rejected.value.scheduled == (1, NOW_US + 2 * LEAD_US)
    assert len(await versions_before(database, 0, 9)) == 1


async def test_a_version_replaces_those_with_a_later_instant(database: Database) -> None:
    """It is built on what is in force at its instant, and the next one is built on it."""
    second_us, later_us = NOW_US + 10 * LEAD_US, NOW_US + 20 * LEAD_US
    await put(database, program("a"))
    second = await put(database, program("b"), second_us)
    dropped = [await put(database, program("c"), later_us + n) for n in range(2)]
    published = await put_before(database, program("d"), second_us + 1)
    assert (published.head.version, published.head.effective_at_us) == (5, second_us + 1)
    assert published.replaced == tuple(dropped)
    assert [found.program_id for found in await newest_programs(database)] == ["a", "b", "d"]
    heads = await versions_from_now(database, NOW_US + LEAD_US)
    assert [head.version for head in heads] == [1, 2, 5]
    feeds = Feeds(database)
    assert [record.version for record in await feeds.versions_from(2)] == [2, 5]
    instants = (second_us, second_us + 1, later_us, later_us + LEAD_US)
    assert [await feeds.version_in_force(at_us) for at_us in instants] == [2, 5, 5, 5]
    assert second.effective_at_us == second_us
    after = await put(database, program("e"), now_us=later_us)
    assert (after.version, after.effective_at_us) == (6, later_us + LEAD_US)
    assert [head.version for head in await versions_from_now(database, later_us)] == [5, 6]


async def test_a_replaced_version_says_by_which(database: Database) -> None:
    await put(database, program("a"))
    await put(database, program("b"), NOW_US + 20 * LEAD_US)
    await put_before(database, program("c"), NOW_US + 10 * LEAD_US)
    await put_before(database, program("d"), NOW_US + 5 * LEAD_US)
    await put(database, program("e"), NOW_US + 30 * LEAD_US)
    found = [
        (h.version, h.base_version, h.replaced_by) for h in await versions_before(database, 0, 9)
    ]
    assert found == [(5, 4, 0), (4, 1, 0), (3, 1, 4), (2, 1, 3), (1, 0, 0)]


async def test_the_first_version_can_be_replaced_too(database: Database) -> None:
    wrong = await put(database, program("a"), NOW_US + 20 * LEAD_US)
    published = await put_before(database, program("b"))
    assert published.head.effective_at_us == NOW_US + LEAD_US
    assert published.replaced == (wrong,)
    assert [found.program_id for found in await newest_programs(database)] == ["b"]


async def test_a_version_cannot_replace_within_the_lead(database: Database) -> None:
    await put(database, program(), NOW_US + 20 * LEAD_US)
    with pytest.raises(EffectiveTooEarlyError) as rejected:
        await put_before(database, program(), NOW_US + LEAD_US - 1)
    assert (rejected.value.earliest_us, rejected.value.scheduled) == (NOW_US + LEAD_US, None)


async def test_what_comes_into_force_while_it_is_built_is_built_upon(database: Database) -> None:
    """The instant is known only when all is done: then the scheduled version counts before it."""
    await put(database, program("a"), NOW_US + LEAD_US)
    await put(database, program("b"), NOW_US + 11 * LEAD_US)
    clock, built_on = [NOW_US + LEAD_US], []
    build = building(program("c"))

    async def build_slowly(upon: Foundation) -> BuiltVersion:
        clock[0] += 10 * LEAD_US
        built_on.append((upon.base_version, upon.replaces))
        return await build(upon)

    publication = Publication(published_by="test", lead_us=LEAD_US, replaces_scheduled=True)
    published = await publish(database, publication, build_slowly, lambda: clock[0])
    assert built_on == [(1, True), (2, False)]
    assert published.replaced == ()
    assert published.head.effective_at_us == clock[0] + LEAD_US
    assert [found.program_id for found in await newest_programs(database)] == ["a", "b", "c"]


async def test_the_lead_counts_from_when_compiling_is_done(database: Database) -> None:
    clock = [NOW_US]

    async def build_slowly(upon: Foundation) -> BuiltVersion:
        clock[0] += 60_000_000
        return BuiltVersion(EMPTY_CONTENT, b"compiled", 0)

    publication = Publication(published_by="test", lead_us=LEAD_US)
    published = await publish(database, publication, build_slowly, lambda: clock[0])
    assert published.head.effective_at_us == NOW_US + 60_000_000 + LEAD_US


async def test_a_compiler_that_fails_leaves_nothing(database: Database) -> None:
    async def fail(upon: Foundation) -> BuiltVersion:
        raise ValueError("no")

    publication = Publication(published_by="test", lead_us=LEAD_US)
    with pytest.raises(ValueError, match="no"):
        await publish(database, publication, fail, lambda: NOW_US)
    assert await newest_programs(database) == ()


async def test_the_version_in_force_stands_first(database: Database) -> None:
    for n in range(4):
        await put(database, program(), NOW_US + (n + 1) * LEAD_US)
    at_us = NOW_US + 2 * LEAD_US
    assert [head.version for head in await versions_from_now(database, at_us)] == [2, 3, 4]
    assert [head.version for head in await versions_from_now(database, NOW_US)] == [1, 2, 3, 4]


async def test_a_promotion_of_another_program_is_rejected(database: Database) -> None:
    await put(database, program("a", promotion_ids="x y"))
    with pytest.raises(ClashError) as rejected:
        await put(database, program("b", promotion_ids="z y"))
    assert rejected.value.problem.path == "promotions[1].promotion_id"
    assert rejected.value.problem.reason == "'y' is a promotion of program 'a'"


@pytest.mark.parametrize(
    ("second", "path"),
    [(program("b", "chain-a"), "chain_id"), (program("a", "chain-b"), "program_id")],
)
async def test_a_chain_has_one_program(database: Database, second: Program, path: str) -> None:
    await put(database, program("a"))
    with pytest.raises(ClashError) as rejected:
        await put(database, second)
    assert rejected.value.problem.path == path


async def test_publishers_at_once_lose_nothing(database: Database) -> None:
    names = [f"p{n}" for n in range(12)]
    heads = await asyncio.gather(*(put(database, program(name)) for name in names))
    assert sorted(head.version for head in heads) == list(range(1, 13))
    instants = [head.effective_at_us for head in sorted(heads, key=lambda head: head.version)]
    assert instants == sorted(set(instants))
    newest = await newest_programs(database)
    assert [found.program_id for found in newest] == sorted(names)


async def test_history_is_read_from_the_newest_down(database: Database) -> None:
    for n in range(5):
        await put(database, program(), NOW_US + (n + 1) * LEAD_US)
    assert [head.version for head in await versions_before(database, 0, 2)] == [5, 4]
    assert [head.version for head in await versions_before(database, 4, 9)] == [3, 2, 1]
    assert await content_of(database, 6) is None


async def test_profile_fields_are_those_of_the_newest_version(database: Database) -> None:
    field = {
        "field_code": "sex",
        "questions": [{"language_code": "ru", "text": "?"}],
        "check": "yes_no",
    }
    tree = msgspec.to_builtins(program("a")) | {"profile_fields": [field]}
    await put(database, msgspec.convert(tree, Program))
    await put(database, program("b"))
    assert [found.field_code for found in await newest_fields(database, "chain-a")] == ["sex"]
    assert await newest_fields(database, "chain-b") == ()
