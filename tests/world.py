"""Databases with the world of `tests.serving` in them, and servers over them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.program_pb2 import Program
from server.clock import set_offset
from tests import pg
from tests.serving import ServerProcess, publish, seed


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


@pytest.fixture(scope="session")
def template_with(
    pg_server_dsn: str, seeded_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Program], str]]:
    """Databases to clone with other programs in force; each program is published once."""
    made: dict[bytes, str] = {}

    def template_of(program: Program) -> str:
        key = program.SerializeToString(deterministic=True)
        if key not in made:
            made[key] = pg.create_database(pg_server_dsn, template=seeded_template)
            folder = tmp_path_factory.mktemp("template")
            set_offset(folder / "clock", 0)
            place = {"LOYALTY_DSN": made[key], "LOYALTY_CLOCK_FILE": str(folder / "clock")}
            server = ServerProcess(place, folder / "server.log")
            with grpc.insecure_channel(server.target) as channel:
                publish(BackOfficeServiceStub(channel), program)
            assert server.stop() == 0
        return urlsplit(made[key]).path.removeprefix("/")

    yield template_of
    for dsn in made.values():
        pg.drop_database(dsn)


@pytest.fixture
def place_with(
    pg_server_dsn: str, template_with: Callable[[Program], str]
) -> Iterator[Callable[[Program], dict[str, str]]]:
    """Points servers at a fresh, seeded database with another program in force."""
    made: list[str] = []

    def place_of(program: Program) -> dict[str, str]:
        made.append(pg.create_database(pg_server_dsn, template=template_with(program)))
        return {"LOYALTY_DSN": made[-1]}

    yield place_of
    for dsn in made:
        pg.drop_database(dsn)


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """Where the servers of a test log."""
    return tmp_path
