"""The embedded PostgreSQL: one cluster for many processes, whoever is killed.

Every test has a cluster of its own in a directory below pytest's, which is closed to other users:
as root this also proves that data below a root-only directory work.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from server.store import embedded, embedded_host
from server.store.embedded import SETTINGS, EmbeddedPostgres, EmbeddedPostgresError

ROOT: Final = Path(__file__).parents[2]
WAIT_S_MAX: Final = 30.0

# One server process in little: joins, says who the postmaster is, leaves when told to.
USER_PROGRAM: Final = """
import sys
from pathlib import Path
from server.store.embedded import EmbeddedPostgres
postgres = EmbeddedPostgres(Path(sys.argv[1]))
postgres.ensure_running()
print(postgres.postmaster_pid, flush=True)
sys.stdin.readline()
postgres.stop()
"""

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about running as root")


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not is_true():
        assert time.monotonic() < deadline, f"not within {WAIT_S_MAX} s: {what}"
        time.sleep(0.005)


def is_alive(pid: int | None) -> bool:
    assert pid is not None
    return embedded_host.find_process(pid) is not None


def fetch(dsn: str, query: str) -> list[Any]:
    """First column of all rows, on a connection of its own."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            return [row[0] for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(run())


@contextlib.contextmanager
def user_processes(data_dir: Path, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """That many processes which start or join the cluster at the same moment."""
    command = (sys.executable, "-c", USER_PROGRAM, str(data_dir))
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        users = [
            stack.enter_context(
                subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
            )
            for _ in range(count)
        ]
        try:
            yield users
        finally:
            for user in users:
                user.kill()


def postmaster_of(user: subprocess.Popen[str]) -> int:
    assert user.stdout
    return int(user.stdout.readline())


def leave(user: subprocess.Popen[str]) -> None:
    user.communicate("leave\n", timeout=WAIT_S_MAX)
    assert user.returncode == 0


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "data") as running:
        yield running


def test_settings_are_the_explicit_ones(postgres: EmbeddedPostgres) -> None:
    dsn = postgres.ensure_running()
    for name in ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "jit"):
        assert fetch(dsn, f"SHOW {name}") == [SETTINGS[name]]
    for name in ("max_wal_size", "checkpoint_timeout", "wal_buffers", "deadlock_timeout"):
        assert fetch(dsn, f"SHOW {name}") == [SETTINGS[name]]
    assert fetch(dsn, "SHOW server_version_num")[0].startswith("18")
    assert fetch(dsn, "SHOW timezone") == ["UTC"]
    assert fetch(dsn, "SHOW listen_addresses") == [""]
    locale = "SELECT concat_ws(' ', pg_encoding_to_char(encoding), datlocprovider, datlocale)"
    assert fetch(dsn, f"{locale} FROM pg_database WHERE datname = current_database()") == [
        "UTF8 b C.UTF-8"
    ]


def test_it_is_nobody_elses_to_enter_or_to_signal(postgres: EmbeddedPostgres) -> None:
    assert postgres.postmaster_pid
    assert postgres.pgdata.stat().st_mode & 0o777 == 0o700
    assert (postgres.pgdata / embedded.SOCKET_NAME).stat().st_mode & 0o777 == 0o700
    # Control-C at the terminal reaches our process group, not PostgreSQL's.
    assert os.getsid(postgres.postmaster_pid) != os.getsid(0)
    assert os.getpgid(postgres.postmaster_pid) != os.getpgid(0)


def test_ensure_running_is_cheap_while_it_runs(postgres: EmbeddedPostgres) -> None:
    def call_duration_s() -> float:
        started = time.perf_counter()
        postgres.ensure_running()
        return time.perf_counter() - started

    assert min(call_duration_s() for _ in range(100)) < 0.001


def test_local_conf_wins_and_a_restart_keeps_the_rows(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "data") as first:
        fetch(first.ensure_running(), "CREATE TABLE kept AS SELECT 7 AS value")
        pid = first.postmaster_pid
        (first.pgdata / "local.conf").write_text("work_mem = '5MB'\n")
        (first.pgdata / "local.conf").chmod(0o644)
    assert not is_alive(pid)
    with EmbeddedPostgres(tmp_path / "data") as second:
        assert fetch(second.ensure_running(), "SELECT value FROM kept") == [7]
        assert fetch(second.ensure_running(), "SHOW work_mem") == ["5MB"]


@pytest.mark.parametrize("name", ["d" * 150, "with, a comma", "пробел и %41 & ?x=#"])
def test_any_path_will_do(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    with EmbeddedPostgres(tmp_path / name) as postgres:
        assert fetch(postgres.ensure_running(), "SELECT 1") == [1]
        runtime_dir = postgres._runtime.path
    assert not runtime_dir.exists()


def test_a_short_name_that_a_cleaner_took_is_made_again(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / ("d" * 150)) as postgres:
        shutil.rmtree(postgres._runtime.path)
        assert fetch(postgres.ensure_running(), "SELECT 1") == [1]


def test_processes_that_start_at_once_share_one_and_the_last_stops_it(tmp_path: Path) -> None:
    with user_processes(tmp_path / "data", 4) as users:
        pids = {postmaster_of(user) for user in users}
        assert len(pids) == 1
        pid = pids.pop()
        for user in users[:-1]:
            leave(user)
            assert is_alive(pid)
        leave(users[-1])
        assert not is_alive(pid)


def test_a_killed_user_neither_takes_it_down_nor_holds_it_up(tmp_path: Path) -> None:
    with user_processes(tmp_path / "data", 2) as (starter, other):
        pid = postmaster_of(starter)
        assert postmaster_of(other) == pid
        for user in (starter, other):
            user.kill()
            user.wait(timeout=WAIT_S_MAX)
        assert is_alive(pid)
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        assert postgres.postmaster_pid == pid
        assert fetch(postgres.ensure_running(), "SELECT 1") == [1]
    assert not is_alive(pid)


def test_another_postgresql_that_has_a_killed_ones_number_does_not_hold_it_up(
    tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    """Process ids come again, and a killed PostgreSQL leaves its own behind in a file."""
    postgres.ensure_running()
    other = postgres.postmaster_pid
    _leave_number_behind(tmp_path / "killed", other)
    with EmbeddedPostgres(tmp_path / "killed") as second:
        assert fetch(second.ensure_running(), "SELECT 1") == [1]
        assert second.postmaster_pid != other


def test_nor_is_it_taken_for_the_killed_one_while_a_backend_of_that_lives(
    tmp_path: Path, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ORPHANS_KILL_S", 0.05)
    monkeypatch.setattr(embedded, "ORPHANS_TIMEOUT_S", 0.1)
    postgres.ensure_running()
    _leave_number_behind(tmp_path / "killed", postgres.postmaster_pid)
    second = EmbeddedPostgres(tmp_path / "killed")
    with open(second.data_dir / "family.lock") as family:
        wait_until(lambda: embedded_host.try_lock(family.fileno()), "the end of the first one")
        with pytest.raises(EmbeddedPostgresError, match="earlier PostgreSQL still use"):
            second.ensure_running()


def _leave_number_behind(data_dir: Path, pid: int | None) -> None:
    """Leave a file behind as a killed PostgreSQL does, with another process's number in it."""
    with EmbeddedPostgres(data_dir) as first:
        left_behind = (first.pgdata / "postmaster.pid").read_text().splitlines(keepends=True)
    (first.pgdata / "postmaster.pid").write_text("".join([f"{pid}\n", *left_behind[1:]]))


def test_a_killed_postmaster_is_started_again_once_with_every_committed_row(
    postgres: EmbeddedPostgres,
) -> None:
    """Goal: recovery under contention. Method: kill -9 below an open, working connection."""
    dsn = postgres.ensure_running()
    killed_pid = postgres.postmaster_pid
    assert killed_pid

    async def kill_amid_work() -> None:
        connection = await asyncpg.connect(dsn, timeout=10)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        working = asyncio.create_task(connection.execute("SELECT pg_sleep(600)"))
        await asyncio.sleep(0)
        os.kill(killed_pid, signal.SIGKILL)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await working
        connection.terminate()

    asyncio.run(kill_amid_work())
    wait_until(lambda: not is_alive(killed_pid), "the postmaster's end")
    with user_processes(postgres.data_dir, 3) as users:
        assert postgres.ensure_running() == dsn
        assert {postmaster_of(user) for user in users} == {postgres.postmaster_pid}
        assert postgres.postmaster_pid != killed_pid
        assert fetch(dsn, "SELECT value FROM kept") == [7]
        for user in users:
            leave(user)
        assert fetch(dsn, "SELECT 1") == [1]


def test_a_backend_that_outlives_its_postmaster_is_ended(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ORPHANS_KILL_S", 0.2)
    dsn = postgres.ensure_running()
    killed_pid = postgres.postmaster_pid
    assert killed_pid

    async def orphan_one() -> int:
        connection = await asyncpg.connect(dsn, timeout=10)
        backend_pid = connection.get_server_pid()
        # Stopped, it cannot notice that its postmaster is gone.
        os.kill(backend_pid, signal.SIGSTOP)
        os.kill(killed_pid, signal.SIGKILL)
        connection.terminate()
        return backend_pid

    backend_pid = asyncio.run(orphan_one())
    wait_until(lambda: not is_alive(killed_pid), "the postmaster's end")
    assert fetch(postgres.ensure_running(), "SELECT 1") == [1]
    assert not is_alive(backend_pid)


def test_a_stale_pid_file_whose_number_was_given_to_another_process(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        assert postgres.postmaster_pid
        os.kill(postgres.postmaster_pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(postgres.postmaster_pid), "the postmaster's end")
        pid_file = postgres.pgdata / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        assert fetch(postgres.ensure_running(), "SELECT 1") == [1]


def test_a_half_made_cluster_is_made_anew(tmp_path: Path) -> None:
    half_made = tmp_path / "data" / "pgdata.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        assert fetch(postgres.ensure_running(), "SELECT 1") == [1]
    assert not half_made.exists()


def test_a_bad_setting_is_told_with_the_words_of_postgresql(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "data", settings={"max_connections": "many"})
    with pytest.raises(EmbeddedPostgresError) as caught:
        postgres.ensure_running()
    message = str(caught.value)
    assert 'invalid value for parameter "max_connections": "many"' in message
    assert "postgres.log" in message
    assert "LOYALTY_DSN" in message


def test_data_of_another_version_are_refused(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        version_path = postgres.pgdata / "PG_VERSION"
    version_path.write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match="was made by PostgreSQL 16"):
        EmbeddedPostgres(tmp_path / "data").ensure_running()


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(EmbeddedPostgresError, match="cannot be used"):
        EmbeddedPostgres(tmp_path / "data").ensure_running()


@only_root
def test_as_root_it_runs_as_somebody_else(postgres: EmbeddedPostgres) -> None:
    status = Path(f"/proc/{postgres.postmaster_pid}/status").read_text()
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert set(uids) == {str(postgres.pgdata.stat().st_uid)}
    assert "0" not in uids
    assert postgres.data_dir.stat().st_uid == 0


@only_root
def test_as_root_programs_below_a_closed_directory_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = embedded_host.installed_home()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    embedded_host.copy_home(home, closed / "packages")
    closed_home = closed / "packages" / home.parent.name / home.name
    monkeypatch.setattr(embedded, "installed_home", lambda: closed_home)
    with EmbeddedPostgres(tmp_path / "data") as postgres:
        dsn = postgres.ensure_running()
        assert fetch(dsn, "SELECT count(*) FROM pg_extension WHERE extname = 'plpgsql'") == [1]
        program = os.readlink(f"/proc/{postgres.postmaster_pid}/exe")
        assert program.startswith(str(postgres._runtime.path))
        assert closed.stat().st_mode & 0o777 == 0o700
    assert not postgres._runtime.path.exists()


@only_root
def test_as_root_data_of_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "pgdata").mkdir(parents=True)
    with pytest.raises(EmbeddedPostgresError, match="chown"):
        EmbeddedPostgres(tmp_path / "data").ensure_running()


@only_root
def test_as_root_an_unknown_account_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="no-such-user"):
        EmbeddedPostgres(tmp_path / "data", account_name="no-such-user").ensure_running()
