"""What the store relies on in its driver, asyncpg."""

import abc
import sys
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

import pytest

from server.store.database import Database

NUMBERS = list(range(100))
TEXTS = [f"текст {n}" for n in NUMBERS]
OCTETS = [b"%d" % n for n in NUMBERS]
SELECT = """
select array_agg(number order by number), array_agg(words order by number),
       array_agg(octets order by number)
  from unnest($1::bigint[], $2::text[], $3::bytea[]) as one (number, words, octets)
"""


async def _told_back(database: Database, *arrays: object) -> tuple[object, ...]:
    async with database.reading() as connection:
        row = await connection.fetchrow(SELECT, *arrays)
    assert row is not None
    return tuple(row.values())


@pytest.fixture
async def database(pg_dsn: str, tmp_path: Path) -> Database:
    return Database(pg_dsn, tmp_path, "test")


@pytest.mark.parametrize("kind", [list, tuple])
async def test_elements_of_arrays_are_not_asked_whether_they_are_arrays(
    database: Database, kind: type[list[object] | tuple[object, ...]]
) -> None:
    called: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            called[frame.f_code] += 1

    await database.open()
    try:
        arrays = [kind(values) for values in (NUMBERS, TEXTS, OCTETS)]
        sys.setprofile(note)
        try:
            found = await _told_back(database, *arrays)
        finally:
            sys.setprofile(None)
    finally:
        await database.close()
    assert found == (NUMBERS, TEXTS, OCTETS)
    assert called, "calls are seen"
    assert called[abc.ABCMeta.__instancecheck__.__code__] < len(NUMBERS)


async def test_sets_and_elements_without_value_are_arrays_too(database: Database) -> None:
    await database.open()
    try:
        found = await _told_back(database, {7}, frozenset(["один"]), [None])
    finally:
        await database.close()
    assert found == ([7], ["один"], [None])
