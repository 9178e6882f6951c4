"""Databases with the world of `tests.serving` in them, and servers over them."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import pg
from tests.serving import ServerProcess, seed


@pytest.fixture(scope="session")
def seeded_template(
    pg_server_dsn: str, pg_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database to clone: migrated, seeded, the program in force."""
    dsn = pg.create_database(pg_server_dsn, template=pg_template)
    log = tmp_path_factory.mktemp("seed") / "server.log"
    server = ServerProcess({"LOYALTY_DSN": dsn}, log)
    try:
        seed(server.target)
    finally:
        assert server.stop() == 0
    yield urlsplit(dsn).path.removeprefix("/")
    pg.drop_database(dsn)


@pytest.fixture
def place(pg_server_dsn: str, seeded_template: str) -> Iterator[dict[str, str]]:
    """The environment that points a server at a fresh, seeded database."""
    dsn = pg.create_database(pg_server_dsn, template=seeded_template)
    yield {"LOYALTY_DSN": dsn}
    pg.drop_database(dsn)


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """Where the servers of a test log."""
    return tmp_path
