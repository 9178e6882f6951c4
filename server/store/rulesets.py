"""Publishes programs: each publishing adds one immutable version of the whole ruleset.

Content is stored and read as packed bytes: what is in it is the business of `server.authoring`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct

from rewards.program import ProfileField
from server.store.database import Database
from server.store.facts import AnyConnection
from server.store.packed import unpack
from server.store.rejections import EffectiveTooEarlyError

PUBLISH_TIMEOUT_S = 60.0

LOCK_RULESET = "select pg_advisory_xact_lock(hashtext('ruleset'))"

SELECT_NEWEST_CONTENT = """
select content
  from ruleset_version
 order by version desc
 limit 1
"""

SELECT_HEADS = """
select version, effective_at_us, published_at_us, published_by, promotion_count
  from ruleset_version one
 where version >= coalesce(
           (select max(version) from ruleset_version where effective_at_us <= $1), 0)
   and not exists (select from ruleset_version other
                    where other.version > one.version
                      and other.effective_at_us < one.effective_at_us)
 order by version
"""

SELECT_HEADS_BEFORE = """
select version, effective_at_us, published_at_us, published_by, promotion_count,
       coalesce((select max(version) from ruleset_version other
                  where other.version < one.version
                    and other.effective_at_us <= one.effective_at_us), 0) as base_version,
       coalesce((select min(version) from ruleset_version other
                  where other.version > one.version
                    and other.effective_at_us < one.effective_at_us), 0) as replaced_by
  from ruleset_version one
 where version < $1 or $1 = 0
 order by version desc
 limit $2
"""

SELECT_CONTENT = "select content from ruleset_version where version = $1"

INSERT_VERSION = """
insert into ruleset_version (version, effective_at_us, published_at_us, published_by,
                             promotion_count, content, compiled)
values ($1, $2, $3, $4, $5, $6, $7)
"""

EMPTY_CONTENT = msgspec.msgpack.encode(())
"""Content of a ruleset without programs: what was in force before the first version."""


class VersionHead(Struct, frozen=True):
    """A version without its content; instants in UTC microseconds."""

    version: int
    effective_at_us: int
    published_at_us: int
    published_by: str
    promotion_count: int


class PastHead(VersionHead, frozen=True):
    """A version with its place among the others.

    Attributes:
        base_version: what it was built on; 0 is nothing.
        replaced_by: the version because of which it never comes into force; 0 is none.
    """

    base_version: int
    replaced_by: int


class Publication(Struct, frozen=True, kw_only=True):
    """How to publish.

    Attributes:
        published_by: who publishes.
        effective_at_us: from when it counts, UTC microseconds; 0 is as soon as may be.
        lead_us: time that servers need to load a version, microseconds.
        replaces_scheduled: versions with a later instant never come into force; without it there
            may be none.
    """

    published_by: str
    effective_at_us: int = 0
    lead_us: int
    replaces_scheduled: bool = False


class Slot(Struct, frozen=True):
    """Where a version stands among the others.

    Attributes:
        effective_at_us: from when it counts, UTC microseconds.
        base: what it is built on: what is in force at that instant without it; None is nothing.
        replaced: what never comes into force because of it.
    """

    effective_at_us: int
    base: VersionHead | None
    replaced: tuple[VersionHead, ...]


class Foundation(Struct, frozen=True):
    """What the next version is made upon.

    Attributes:
        version: its number.
        base_version: what it is built on; 0 is nothing.
        content: of that one.
        replaces: whether others never come into force because of it.
    """

    version: int
    base_version: int
    content: bytes
    replaces: bool


class Published(Struct, frozen=True):
    """The new version, and what never comes into force because of it."""

    head: VersionHead
    replaced: tuple[VersionHead, ...]


class BuiltVersion(Struct, frozen=True):
    """What a version is made of: the programs, and the form that servers load, both packed."""

    content: bytes
    compiled: bytes
    promotion_count: int


BuildVersion = Callable[[Foundation], Awaitable[BuiltVersion]]
"""Makes a version. Called again if what is in force at its instant changes meanwhile."""


class _ProgramFields(Struct, frozen=True):
    """Of a stored program its profile fields; the rest is skipped, which is fast."""

    chain_id: str
    profile_fields: tuple[ProfileField, ...] = ()


_FIELDS = msgspec.msgpack.Decoder(tuple[_ProgramFields, ...])


async def publish(
    database: Database,
    publication: Publication,
    build: BuildVersion,
    now_us: Callable[[], int],
) -> Published:
    """Add a version; it is durable when this returns.

    Args:
        database: open.
        publication: how to publish.
        build: makes the version; no other version is published meanwhile. What it raises passes
            through, and nothing is published.
        now_us: the clock; read again when all that takes time is done, so that the lead holds.

    Returns:
        The new version, and those that it replaces.

    Raises:
        EffectiveTooEarlyError: before now + lead, or not after what is scheduled.
        RetryError: the database cannot be reached just now; the version may have been added.
    """
    async with database.reading() as connection, connection.transaction():
        await connection.execute(LOCK_RULESET, timeout=PUBLISH_TIMEOUT_S)
        published_at_us = now_us()
        heads = await _read_heads(connection, published_at_us)
        slot = slot_of(heads, publication, published_at_us)
        version = heads[-1].version + 1 if heads else 1
        while True:
            base = slot.base
            built = await build(await _foundation(connection, version, slot))
            published_at_us = now_us()
            slot = slot_of(heads, publication, published_at_us)
            if slot.base == base:
                break
        head = VersionHead(
            version=version,
            effective_at_us=slot.effective_at_us,
            published_at_us=published_at_us,
            published_by=publication.published_by,
            promotion_count=built.promotion_count,
        )
        values = msgspec.structs.astuple(head)
        await connection.execute(
            INSERT_VERSION, *values, built.content, built.compiled, timeout=PUBLISH_TIMEOUT_S
        )
    return Published(head, slot.replaced)


async def newest_fields(database: Database, chain_id: str) -> tuple[ProfileField, ...]:
    """Read a chain's profile fields as of the newest version, in force or to come.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        content = await connection.fetchval(SELECT_NEWEST_CONTENT)
    if content is None:
        return ()
    programs = await asyncio.to_thread(_decode_fields, content)
    return tuple(
        field
        for program in programs
        if program.chain_id == chain_id
        for field in program.profile_fields
    )


async def content_of(database: Database, version: int) -> bytes | None:
    """Read the content of a version, packed; None if there is no such version.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        content: bytes | None = await connection.fetchval(SELECT_CONTENT, version)
    return content


async def versions_from_now(database: Database, now_us: int) -> list[VersionHead]:
    """List the version in force at an instant and those to come, the one in force first.

    Their instants ascend as they do: replaced ones are left out.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        return await _read_heads(connection, now_us)


async def versions_before(database: Database, version: int, count: int) -> list[PastHead]:
    """List versions below one, the newest first; below 0 means all.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        rows = await connection.fetch(SELECT_HEADS_BEFORE, version, count)
    return [PastHead(*row.values()) for row in rows]


def earliest_at(heads: Sequence[VersionHead], publication: Publication, now_us: int) -> int:
    """From when on a version published now can count, UTC microseconds.

    After the lead; and after the newest version, unless what is scheduled is replaced.

    Args:
        heads: as `versions_from_now` lists them.
        publication: how it would be published; its own instant does not count.
        now_us: the present instant, UTC microseconds.
    """
    after_lead_us = now_us + publication.lead_us
    if publication.replaces_scheduled or not heads:
        return after_lead_us
    return max(after_lead_us, heads[-1].effective_at_us + 1)


def slot_of(heads: Sequence[VersionHead], publication: Publication, now_us: int) -> Slot:
    """Where a version published now stands among the others.

    "As soon as may be" follows a version that was published just now, by a lead at most; it never
    waits for one that is scheduled.

    Args:
        heads: as `versions_from_now` lists them.
        publication: how to publish.
        now_us: the present instant, UTC microseconds.

    Raises:
        EffectiveTooEarlyError: before now + lead, or not after what is scheduled.
    """
    earliest_us = earliest_at(heads, publication, now_us)
    effective_at_us = publication.effective_at_us or earliest_us
    waits = not publication.effective_at_us and earliest_us > now_us + 2 * publication.lead_us
    if waits or effective_at_us < earliest_us:
        is_scheduled = earliest_us > now_us + publication.lead_us
        newest = (heads[-1].version, heads[-1].effective_at_us) if is_scheduled else None
        raise EffectiveTooEarlyError(earliest_us, newest)
    before = [head for head in heads if head.effective_at_us <= effective_at_us]
    base = before[-1] if before else None
    return Slot(effective_at_us, base, tuple(heads[len(before) :]))


def _decode_fields(content: bytes) -> tuple[_ProgramFields, ...]:
    return _FIELDS.decode(unpack(content))


async def _read_heads(connection: AnyConnection, now_us: int) -> list[VersionHead]:
    rows = await connection.fetch(SELECT_HEADS, now_us, timeout=PUBLISH_TIMEOUT_S)
    return [VersionHead(*row.values()) for row in rows]


async def _foundation(connection: AnyConnection, version: int, slot: Slot) -> Foundation:
    if slot.base is None:
        return Foundation(version, 0, EMPTY_CONTENT, bool(slot.replaced))
    base_version = slot.base.version
    content = await connection.fetchval(SELECT_CONTENT, base_version, timeout=PUBLISH_TIMEOUT_S)
    return Foundation(version, base_version, content, bool(slot.replaced))
