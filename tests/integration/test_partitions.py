"""Goal: partitions are made ahead of the calendar, and no commit waits for who reads for long."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from server.store.database import Database
from server.store.partitions import PartitionsBusyError, ensure_partitions

AT_US = 1_900_000_000_000_000
NAMES = ["receipt_203003", "receipt_203004", "receipt_203005"]


@pytest.fixture
async def database(pg_dsn: str, tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(pg_dsn, tmp_path, "test")
    await opened.open()
    yield opened
    await opened.close()


async def test_months_ahead_are_made_once(database: Database) -> None:
    assert await ensure_partitions(database, AT_US) == NAMES
    assert await ensure_partitions(database, AT_US) == []


async def test_who_reads_for_long_is_not_waited_for(database: Database, pg_dsn: str) -> None:
    """An audit or a dump; the months are made when it has gone."""
    connection = await asyncpg.connect(pg_dsn)
    async with connection.transaction():
        await connection.fetch("select from receipt limit 1")
        tries = await asyncio.gather(
            *[ensure_partitions(database, AT_US) for _ in range(2)], return_exceptions=True
        )
        assert {type(one) for one in tries} == {PartitionsBusyError}
    await connection.close()
    assert await ensure_partitions(database, AT_US) == NAMES
