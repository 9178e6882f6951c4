"""Migrations: applied once whoever starts, whole or not at all, never backwards."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from server.store.migrate import MIGRATIONS_DIR, MigrationError, migrate, pending

FIRST = """-- first
-- depends:

-- migrate: apply
CREATE TABLE first (id bigint PRIMARY KEY);
CREATE FUNCTION twice(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    -- a comment; with a semicolon
    RETURN n * 2;
END
$$;
-- migrate: rollback
DROP TABLE first;
"""
SECOND = """-- second
-- depends: 20260101_01_first

-- migrate: apply
CREATE TABLE second (id bigint PRIMARY KEY);
INSERT INTO second SELECT 1 / 1;
-- migrate: rollback
DROP TABLE second;
"""


async def fetch_value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@pytest.fixture
def two_files(tmp_path: Path) -> Path:
    (tmp_path / "20260101_01_first.sql").write_text(FIRST)
    (tmp_path / "20260101_02_second.sql").write_text(SECOND)
    return tmp_path


async def test_this_build_migrates_an_empty_database_once(pg_empty_dsn: str) -> None:
    expected = sorted(path.stem for path in MIGRATIONS_DIR.glob("*.sql"))
    assert expected
    assert sorted(await pending(pg_empty_dsn)) == expected
    assert sorted(await migrate(pg_empty_dsn)) == expected
    assert await pending(pg_empty_dsn) == []
    assert await migrate(pg_empty_dsn) == []


async def test_a_clone_of_the_template_has_nothing_pending(pg_dsn: str) -> None:
    assert await pending(pg_dsn) == []


async def test_asking_what_is_pending_writes_nothing(pg_empty_dsn: str) -> None:
    await pending(pg_empty_dsn)
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert await fetch_value(pg_empty_dsn, tables) == 0


async def test_what_is_applied_is_not_read_again(pg_empty_dsn: str, two_files: Path) -> None:
    await migrate(pg_empty_dsn, two_files)
    (two_files / "20260101_01_first.sql").write_text("not to be read")
    assert await migrate(pg_empty_dsn, two_files) == []
    assert await pending(pg_empty_dsn, two_files) == []


async def test_servers_that_start_at_once_apply_each_file_once(
    pg_empty_dsn: str, two_files: Path
) -> None:
    applied = await asyncio.gather(*(migrate(pg_empty_dsn, two_files) for _ in range(4)))
    names = ["20260101_01_first", "20260101_02_second"]
    assert sorted(applied) == [[], [], [], names]
    assert await fetch_value(pg_empty_dsn, "SELECT twice(21)") == 42


async def test_the_later_file_waits_for_what_it_depends_on(
    pg_empty_dsn: str, two_files: Path
) -> None:
    (two_files / "20250101_01_named_too_early.sql").write_text(
        SECOND.replace("second", "third").replace("_01_first", "_02_second")
    )
    assert (await migrate(pg_empty_dsn, two_files))[-1] == "20250101_01_named_too_early"


async def test_a_failing_file_leaves_nothing_of_itself(pg_empty_dsn: str, two_files: Path) -> None:
    (two_files / "20260101_02_second.sql").write_text(SECOND.replace("1 / 1", "1 / 0"))
    with pytest.raises(MigrationError, match=r"20260101_02_second.*division by zero"):
        await migrate(pg_empty_dsn, two_files)
    assert await fetch_value(pg_empty_dsn, "SELECT to_regclass('second') IS NULL")
    assert await fetch_value(pg_empty_dsn, "SELECT to_regclass('first') IS NOT NULL")
    assert await pending(pg_empty_dsn, two_files) == ["20260101_02_second"]


async def test_a_schema_newer_than_the_build_is_refused(pg_empty_dsn: str, two_files: Path) -> None:
    await migrate(pg_empty_dsn, two_files)
    (two_files / "20260101_02_second.sql").unlink()
    for refused in (migrate(pg_empty_dsn, two_files), pending(pg_empty_dsn, two_files)):
        with pytest.raises(MigrationError, match=r"does not know: 20260101_02_second\. A newer"):
            await refused


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CREATE TABLE t ();", "No '-- migrate: apply' found"),
        (FIRST.replace("-- depends:", "--"), "depends"),
        (FIRST.replace("-- depends:", "-- depends: nowhere"), "Could not resolve"),
    ],
)
async def test_a_malformed_file_is_named(
    pg_empty_dsn: str, tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "20260101_09_bad.sql").write_text(text)
    with pytest.raises(MigrationError, match=rf"20260101_09_bad.*{reason}|{reason}.*20260101_09"):
        await migrate(pg_empty_dsn, tmp_path)


BEFORE_RULE_FACTS = """
insert into account values (1, 5), (2, 1), (3, 1);
insert into commit_key values
    (decode(repeat('01', 16), 'hex'), 1, '', 1, 20000),
    (decode(repeat('02', 16), 'hex'), 1, '', 1, 20003),
    (decode(repeat('03', 16), 'hex'), 3, '', 1, 20004),
    (decode(repeat('04', 16), 'hex'), 4, '', 2, 20004),
    (decode(repeat('05', 16), 'hex'), 1, '', 0, 20004);
insert into customer values
    (1, 1, 'c', '1', 1, 'ru', '{}', '{}'),
    (2, 2, 'c', '2', 1, 'ru', '{}', '{}'),
    (3, 3, 'c', '3', 1, 'ru', '{}', '{}');
insert into profile_answer values
    (1, 1, 'birth_date', 1, '1980-01-01', 1, '', ''),
    (1, 1, 'birth_date', 2, '1980-02-29', 1, '', ''),
    (2, 2, 'birth_date', 1, 'in spring', 1, '', '');
"""


async def test_purchases_and_birthdays_of_before_are_counted(
    pg_empty_dsn: str, tmp_path: Path
) -> None:
    init = MIGRATIONS_DIR / "20261122_01_init.sql"
    (tmp_path / init.name).write_text(init.read_text())
    await migrate(pg_empty_dsn, tmp_path)
    connection = await asyncpg.connect(pg_empty_dsn, timeout=10)
    try:
        await connection.execute(BEFORE_RULE_FACTS)
        await migrate(pg_empty_dsn)
        accounts = (
            "select account_id, version, purchases, last_purchase_day from account order by 1"
        )
        assert [tuple(row) for row in await connection.fetch(accounts)] == [
            (1, 5, 1, 719163 + 20003),
            (2, 1, 0, 0),
            (3, 1, 0, 0),
        ]
        born = "select birth_day from customer order by customer_id"
        assert [row["birth_day"] for row in await connection.fetch(born)] == [229, None, None]
    finally:
        await connection.close()


WAITING = """
select count(*) = 1 from pg_stat_activity
 where application_name = 'loyalty-migrate' and datname = current_database()
   and wait_event_type = 'Lock'
"""
LEFT_BEHIND = "create index identifier__identifier_hash__new on identifier (kind)"


async def test_customers_are_looked_up_while_their_index_is_made_anew(
    pg_empty_dsn: str, tmp_path: Path
) -> None:
    """It has millions of rows; an enrolment is open, and a build that was broken off is behind."""
    last = "20261130_01_pages.sql"
    for path in MIGRATIONS_DIR.glob("*.sql"):
        if path.name != last:
            (tmp_path / path.name).write_text(path.read_text())
    await migrate(pg_empty_dsn, tmp_path)
    enrolling, reading = [await asyncpg.connect(pg_empty_dsn, timeout=10) for _ in range(2)]
    try:
        await enrolling.execute(LEFT_BEHIND)
        enrolment = enrolling.transaction()
        await enrolment.start()
        await enrolling.execute("insert into identifier values ($1, 1, 2, 3)", bytes(16))
        work = asyncio.create_task(migrate(pg_empty_dsn))
        while not await reading.fetchval(WAITING):
            assert not work.done()
        await reading.execute("set lock_timeout = '5s'")
        assert await reading.fetch("select * from identifier") == []
        await enrolment.commit()
        assert await work == [last.removesuffix(".sql")]
        made = "select pg_get_indexdef('identifier__identifier_hash__pk'::regclass)"
        assert (await reading.fetchval(made)).endswith(
            "(identifier_hash) INCLUDE (customer_id, account_id)"
        )
        left = "select count(*) from pg_indexes where tablename = 'identifier'"
        assert await reading.fetchval(left) == 2
    finally:
        await enrolling.close()
        await reading.close()
