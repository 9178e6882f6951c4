"""Publishes programs: each publishing adds one immutable version of the whole ruleset."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from rewards.program import Program
from server.store.database import Database
from server.store.facts import AnyConnection
from server.store.rejections import EffectiveTooEarlyError, ProgramClashError

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

INSERT_VERSION = """
insert into ruleset_version (version, effective_at_us, published_at_us, published_by,
                             promotion_count, content, compiled)
values ($1, $2, $3, $4, $5, $6, $7)
"""

Compile = Callable[[int, tuple[Program, ...]], bytes]
"""Compiles the programs of a version, sorted by program_id, to the form that servers load."""

_CONTENT = msgspec.msgpack.Decoder(tuple[Program, ...])


class VersionHead(Struct, frozen=True):
    """A version without its content; instants in UTC microseconds."""

    version: int
    effective_at_us: int
    published_at_us: int
    published_by: str
    promotion_count: int


class Publication(Struct, frozen=True, kw_only=True):
    """What to publish.

    Attributes:
        program: checked (`program_check`); it replaces the one with the same program_id.
        effective_at_us: from when it counts, UTC microseconds; 0 is as soon as may be.
        published_by: who publishes.
        lead_us: time that servers need to load a version, microseconds.
    """

    program: Program
    published_by: str
    effective_at_us: int = 0
    lead_us: int


class _Newest(Struct, frozen=True):
    version: int
    effective_at_us: int
    content: bytes


_NOTHING = _Newest(0, 0, msgspec.msgpack.encode(()))


async def publish(
    database: Database,
    publication: Publication,
    compile_programs: Compile,
    now_us: Callable[[], int],
) -> VersionHead:
    """Add a version with the program in it; it is durable when this returns.

    Args:
        database: open.
        publication: what to publish.
        compile_programs: run in a thread; takes the new version's number.
        now_us: the clock; read only when all that takes time is done, so that the lead holds.

    Returns:
        The new version.

    Raises:
        EffectiveTooEarlyError: before now + lead, or not after the newest version.
        ProgramClashError: a promotion id, or the chain, is another program's.
        RetryError: the database cannot be reached just now; the version may have been added.
    """
    async with database.reading() as connection, connection.transaction():
        await connection.execute(LOCK_RULESET, timeout=PUBLISH_TIMEOUT_S)
        newest = await _read_newest(connection)
        programs = replace_program(_CONTENT.decode(newest.content), publication.program)
        version = newest.version + 1
        content = msgspec.msgpack.encode(programs)
        compiled = await asyncio.to_thread(compile_programs, version, programs)
        published_at_us = now_us()
        head = VersionHead(
            version=version,
            effective_at_us=_effective_at(publication, newest, published_at_us),
            published_at_us=published_at_us,
            published_by=publication.published_by,
            promotion_count=sum(len(program.promotions) for program in programs),
        )
        values = msgspec.structs.astuple(head)
        await connection.execute(
            INSERT_VERSION, *values, content, compiled, timeout=PUBLISH_TIMEOUT_S
        )
    return head


async def newest_programs(database: Database) -> tuple[Program, ...]:
    """Read the programs of the newest version, in force or to come; none if nothing was published.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        newest = await _read_newest(connection)
    return _CONTENT.decode(newest.content)


async def versions_from_now(database: Database, now_us: int) -> list[VersionHead]:
    """List the version in force at an instant and those to come, the one in force first.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        rows = await connection.fetch(SELECT_HEADS, now_us)
    return [VersionHead(*row.values()) for row in rows]


def replace_program(programs: tuple[Program, ...], program: Program) -> tuple[Program, ...]:
    """Put a program in the place of the one with its id, or beside the others.

    Returns:
        All programs, sorted by program_id.

    Raises:
        ProgramClashError: a promotion id, or the chain, is another program's.
    """
    others = [other for other in programs if other.program_id != program.program_id]
    _check_chain(program, programs)
    _check_promotion_ids(program, others)
    return tuple(sorted([*others, program], key=lambda one: one.program_id))


def _check_chain(program: Program, programs: Iterable[Program]) -> None:
    for other in programs:
        is_same_id = other.program_id == program.program_id
        is_same_chain = other.chain_id == program.chain_id
        if is_same_id and not is_same_chain:
            reason = f"program {other.program_id!r} is of chain {other.chain_id!r}"
            raise ProgramClashError("program_id", reason)
        if is_same_chain and not is_same_id:
            reason = f"the chain has program {other.program_id!r}; a chain has one program"
            raise ProgramClashError("chain_id", reason)


def _check_promotion_ids(program: Program, others: Iterable[Program]) -> None:
    owners = {
        promotion.promotion_id: other.program_id
        for other in others
        for promotion in other.promotions
    }
    for index, promotion in enumerate(program.promotions):
        owner = owners.get(promotion.promotion_id)
        if owner is not None:
            reason = f"{promotion.promotion_id!r} is a promotion of program {owner!r}"
            raise ProgramClashError(f"promotions[{index}].promotion_id", reason)


def _effective_at(publication: Publication, newest: _Newest, now_us: int) -> int:
    earliest_us = max(now_us + publication.lead_us, newest.effective_at_us + 1)
    effective_at_us = publication.effective_at_us or earliest_us
    if effective_at_us < earliest_us:
        raise EffectiveTooEarlyError(earliest_us)
    return effective_at_us


async def _read_newest(connection: AnyConnection) -> _Newest:
    row = await connection.fetchrow(SELECT_NEWEST, timeout=PUBLISH_TIMEOUT_S)
    return _NOTHING if row is None else _Newest(*row.values())
