"""Publishes programs: each publishing adds one immutable version of the whole ruleset.

Content is stored and read as packed bytes: what is in it is the business of `server.authoring`.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from rewards.program import ProfileField
from server.store.database import Database
from server.store.facts import AnyConnection
from server.store.packed import unpack
from server.store.rejections import EffectiveTooEarlyError

PUBLISH_TIMEOUT_S = 60.0

LOCK_RULESET = "select pg_advisory_xact_lock(hashtext('ruleset'))"

SELECT_NEWEST = """
select version, effective_at_us, content
  from ruleset_version
 order by version desc
 limit 1
"""

SELECT_HEADS = """
select version, effective_at_us, published_at_us, published_by, promotion_count
  from ruleset_version
 where version >= coalesce(
           (select max(version) from ruleset_version where effective_at_us <= $1), 0)
 order by version
"""

SELECT_HEADS_BEFORE = """
select version, effective_at_us, published_at_us, published_by, promotion_count
  from ruleset_version
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


class Publication(Struct, frozen=True, kw_only=True):
    """How to publish.

    Attributes:
        published_by: who publishes.
        effective_at_us: from when it counts, UTC microseconds; 0 is as soon as may be.
        lead_us: time that servers need to load a version, microseconds.
    """

    published_by: str
    effective_at_us: int = 0
    lead_us: int


class BuiltVersion(Struct, frozen=True):
    """What a version is made of: the programs, and the form that servers load, both packed."""

    content: bytes
    compiled: bytes
    promotion_count: int


BuildVersion = Callable[[int, bytes], Awaitable[BuiltVersion]]
"""Makes a version: takes its number, and the content of the newest version."""


class _Newest(Struct, frozen=True):
    version: int
    effective_at_us: int
    content: bytes


_NOTHING = _Newest(0, 0, EMPTY_CONTENT)


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
) -> VersionHead:
    """Add a version; it is durable when this returns.

    Args:
        database: open.
        publication: how to publish.
        build: makes the version; no other version is published meanwhile. What it raises passes
            through, and nothing is published.
        now_us: the clock; read only when all that takes time is done, so that the lead holds.

    Returns:
        The new version.

    Raises:
        EffectiveTooEarlyError: before now + lead, or not after the newest version.
        RetryError: the database cannot be reached just now; the version may have been added.
    """
    async with database.reading() as connection, connection.transaction():
        await connection.execute(LOCK_RULESET, timeout=PUBLISH_TIMEOUT_S)
        newest = await _read_newest(connection)
        version = newest.version + 1
        built = await build(version, newest.content)
        published_at_us = now_us()
        head = VersionHead(
            version=version,
            effective_at_us=_effective_at(publication, newest, published_at_us),
            published_at_us=published_at_us,
            published_by=publication.published_by,
            promotion_count=built.promotion_count,
        )
        values = msgspec.structs.astuple(head)
        await connection.execute(
            INSERT_VERSION, *values, built.content, built.compiled, timeout=PUBLISH_TIMEOUT_S
        )
    return head


async def newest_fields(database: Database, chain_id: str) -> tuple[ProfileField, ...]:
    """Read a chain's profile fields as of the newest version, in force or to come.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        newest = await _read_newest(connection)
    programs = await asyncio.to_thread(_decode_fields, newest.content)
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

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        rows = await connection.fetch(SELECT_HEADS, now_us)
    return [VersionHead(*row.values()) for row in rows]


async def versions_before(database: Database, version: int, count: int) -> list[VersionHead]:
    """List versions below one, the newest first; below 0 means all.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        rows = await connection.fetch(SELECT_HEADS_BEFORE, version, count)
    return [VersionHead(*row.values()) for row in rows]


def earliest_at(now_us: int, lead_us: int, newest_effective_at_us: int) -> int:
    """From when on a version published now can count: after the lead, and after the newest."""
    return max(now_us + lead_us, newest_effective_at_us + 1)


def _effective_at(publication: Publication, newest: _Newest, now_us: int) -> int:
    earliest_us = earliest_at(now_us, publication.lead_us, newest.effective_at_us)
    effective_at_us = publication.effective_at_us or earliest_us
    if effective_at_us < earliest_us:
        raise EffectiveTooEarlyError(earliest_us)
    return effective_at_us


def _decode_fields(content: bytes) -> tuple[_ProgramFields, ...]:
    return _FIELDS.decode(unpack(content))


async def _read_newest(connection: AnyConnection) -> _Newest:
    row = await connection.fetchrow(SELECT_NEWEST, timeout=PUBLISH_TIMEOUT_S)
    return _NOTHING if row is None else _Newest(*row.values())
