"""PostgreSQL for tests: one cluster a session, a migrated template, a fresh clone of it a test.

With LOYALTY_TEST_DSN set, that cluster is used (its role must be allowed to create databases);
otherwise an embedded one is started in a temporary directory and stopped at the end.
"""

import asyncio
import os
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from server.store.embedded import EmbeddedPostgres
from server.store.migrate import migrate

Result = TypeVar("Result")

# A killed process loses nothing without fsync, only a power cut does, and no test cuts the power;
# cloning a database takes 26 ms instead of 40.
TEST_SETTINGS: Final = {"fsync": "off", "shared_buffers": "128MB", "autovacuum_naptime": "1h"}


def run_apart(make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Runs a coroutine on a loop of its own in another thread, whatever loop the test has."""
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(make()))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def with_database(dsn: str, database: str) -> str:
    """The same cluster, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


async def execute(dsn: str, statement: str) -> None:
    """Runs one statement on a connection of its own, outside any transaction."""
    connection = await asyncpg.connect(dsn, statement_cache_size=0, timeout=10)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def create_database(dsn: str, *, template: str = "template1") -> str:
    """Creates a database with a new name on the cluster of `dsn` and returns its DSN."""
    name = f"loyalty_test_{uuid.uuid4().hex}"
    run_apart(lambda: execute(dsn, f"CREATE DATABASE {name} TEMPLATE {template}"))
    return with_database(dsn, name)


def drop_database(dsn: str) -> None:
    """Drops the database of `dsn`, also from under connections that a test has left open."""
    name = urlsplit(dsn).path.removeprefix("/")
    server = with_database(dsn, "postgres")
    run_apart(lambda: execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def pg_server_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """DSN of the session's cluster."""
    given = os.environ.get("LOYALTY_TEST_DSN")
    if given:
        yield given
        return
    data_dir: Path = tmp_path_factory.mktemp("postgres")
    with EmbeddedPostgres(data_dir, settings=TEST_SETTINGS) as postgres:
        yield postgres.ensure_running()


@pytest.fixture(scope="session")
def pg_template(pg_server_dsn: str) -> Iterator[str]:
    """Name of a database with the schema of this build; nobody stays connected to it."""
    template_dsn = create_database(pg_server_dsn)
    run_apart(lambda: migrate(template_dsn))
    yield urlsplit(template_dsn).path.removeprefix("/")
    drop_database(template_dsn)


@pytest.fixture
def pg_dsn(pg_server_dsn: str, pg_template: str) -> Iterator[str]:
    """DSN of a database of the test's own, with the schema of this build and no rows."""
    dsn = create_database(pg_server_dsn, template=pg_template)
    yield dsn
    drop_database(dsn)


@pytest.fixture
def pg_empty_dsn(pg_server_dsn: str) -> Iterator[str]:
    """DSN of a database of the test's own with nothing in it."""
    dsn = create_database(pg_server_dsn)
    yield dsn
    drop_database(dsn)
