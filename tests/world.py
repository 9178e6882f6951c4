"""Databases with the world of `tests.serving` in them, and servers over them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.program_pb2 import Program
from tests import pg
from tests.serving import publish, publishing, seed


@pytest.fixture(scope="session")
def seeded_template(
    pg_server_dsn: str, pg_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database to clone: migrated, seeded, the program in force."""
    dsn = pg.create_database(pg_server_dsn, template=pg_template)
    with publishing(dsn, tmp_path_factory.mktemp("seed")) as (target, clock_file):
        seed(target, clock_file)
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
            with (
                publishing(made[key], folder) as (target, clock_file),
                grpc.insecure_channel(target) as channel,
            ):
                publish(BackOfficeServiceStub(channel), program, clock_file)
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
