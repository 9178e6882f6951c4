"""`loyaltyctl doctor`: whether this machine and its database can bill, and what to do if not."""

import asyncio
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import typer

from ext import kernel
from rewards.allocate import allocate
from rewards.rounding import floor_div
from server.ctl.opening import pending_migrations, running_database
from server.ctl.option import DATA_DIR, DataDir, Dsn
from server.ctl.say import CtlError, say_table
from server.store.inspection import inspect_database

OK, WARN, BAD = "ok", "warn", "BAD"
POSTGRES_OLDEST = 15
MIB = 1024 * 1024
FREE_MIB_WARN = 5_120
FREE_MIB_BAD = 512

DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
"""Settings without which an answered receipt can be lost."""
_DURABLE_VALUES = frozenset({"on", "local", "remote_write", "remote_apply"})


class Finding(NamedTuple):
    """One thing looked at: what, how it stands, what was seen, what to do."""

    what: str
    state: str
    seen: str
    advice: str = ""


def doctor(dsn: Dsn = "", data_dir: DataDir = DATA_DIR) -> None:
    """Look at Python, kernel, disk and database, and say what to do about each."""
    findings = [_python(), _assertions(), _kernel(), _disk(data_dir)]
    findings += asyncio.run(_database(dsn, data_dir))
    say_table("Doctor", ("what", "state", "seen", "what to do"), findings)
    if any(finding.state == BAD for finding in findings):
        raise typer.Exit(1)


def _python() -> Finding:
    version = platform.python_version()
    if version.startswith("3.11."):
        return Finding("Python", OK, version)
    return Finding("Python", BAD, version, "run with Python 3.11")


def _assertions() -> Finding:
    if __debug__:
        return Finding("assertions", OK, "on")
    return Finding("assertions", BAD, "off", "drop -O and PYTHONOPTIMIZE: the server refuses it")


def _kernel() -> Finding:
    total, weights = 100, [1, 1, 1]
    if list(kernel.allocate(total, weights)) == allocate(total, weights):
        return Finding("kernel", OK, "loaded, agrees with its twin")
    advice = "install again (make setup), or set LOYALTY_EVALUATOR=reference"
    return Finding("kernel", BAD, "differs from its twin", advice)


def _disk(data_dir: Path) -> Finding:
    if data_dir.exists() and not data_dir.is_dir():
        return Finding("disk", BAD, f"{data_dir} is no directory", "name one with --data-dir")
    place = next(path for path in (data_dir, *data_dir.absolute().parents) if path.exists())
    free_mib = floor_div(shutil.disk_usage(place).free, MIB)
    seen = f"{free_mib:,} MiB free at {place}"
    if free_mib < FREE_MIB_BAD:
        return Finding("disk", BAD, seen, "make room: PostgreSQL stops when the disk is full")
    if free_mib < FREE_MIB_WARN:
        return Finding("disk", WARN, seen, "make room soon: a receipt takes about 12 KB")
    return Finding("disk", OK, seen)


async def _database(dsn: str, data_dir: Path) -> list[Finding]:
    where = "LOYALTY_DSN" if dsn else f"embedded, {data_dir}"
    try:
        async with running_database(dsn, data_dir, make=False) as database:
            found_dsn = await database.ensure_running()
            settings = (await inspect_database(found_dsn)).settings
            findings = [Finding("database", OK, where), *_settings(settings)]
            return [*findings, await _migrations(found_dsn)]
    except CtlError as error:
        advice = "see that it runs, and that the DSN is right" if dsn else "make serve starts one"
        return [Finding("database", BAD if dsn else WARN, error.lines[0], advice)]


def _settings(settings: Mapping[str, str]) -> Iterator[Finding]:
    version = settings["server_version"]
    is_new = int(version.partition(".")[0].partition(" ")[0]) >= POSTGRES_OLDEST
    advice = f"use PostgreSQL {POSTGRES_OLDEST} or later; 18 is what is tested"
    yield Finding("server_version", OK if is_new else BAD, version, "" if is_new else advice)
    for name in DURABLE:
        is_durable = settings[name] in _DURABLE_VALUES
        advice = f"set {name} = on: an answer must be on disk before it leaves"
        yield Finding(name, OK if is_durable else BAD, settings[name], "" if is_durable else advice)
    count = settings["max_connections"]
    is_enough = int(count) >= 50
    advice = "100 or more: each server process opens up to 8"
    yield Finding("max_connections", OK if is_enough else WARN, count, "" if is_enough else advice)
    wait = settings["deadlock_timeout"]
    is_short = int(wait) <= 1_000
    advice = "100 ms: a batch that meets a deadlock is simply run again"
    yield Finding("deadlock_timeout", OK if is_short else WARN, wait, "" if is_short else advice)


async def _migrations(dsn: str) -> Finding:
    try:
        missing = await pending_migrations(dsn)
    except CtlError as error:
        return Finding("schema", BAD, error.lines[0], "run the newer release")
    if missing:
        seen = f"{len(missing)} pending: {', '.join(missing)}"
        return Finding("schema", WARN, seen, "loyaltyctl db migrate; a starting server does it too")
    return Finding("schema", OK, "up to date")
