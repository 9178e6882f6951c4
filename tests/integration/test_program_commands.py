"""`loyaltyctl program plan`, `history` and `rollback` as an operator and a script run them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.pg import create_database, drop_database
from tests.serving import ServerProcess, serving
from tests.starting import run

KIOSK = """
program_id = "kiosk"
chain_id = "kiosk"
currency_code = "RUB"
language_code = "en"
prompts_max = 1

[[assets]]
code = "points"
kind = "points"
names = [{ language_code = "en", forms = [{ category = "other", text = "points" }] }]

[[promotions]]
promotion_id = "tea-10"
names = [{ language_code = "en", text = "10% off [bold]tea" }]
lane = "price"
products.categories = ["tea"]
gives = [{ code = "percent_off", rate_bp = 1000 }]
"""
TEA_15 = KIOSK.replace("rate_bp = 1000", "rate_bp = 1500").replace("prompts_max = 1", "")


class World(NamedTuple):
    """A server, and a directory for files."""

    server: ServerProcess
    place: Path

    def ctl(self, *arguments: str | Path, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of `loyaltyctl program`."""
        settings = {"COLUMNS": "200", "LOYALTY_TARGET": self.server.target}
        done = run("server.ctl", "program", *arguments, said=said, **settings)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def file(self, name: str, text: str) -> Path:
        """Write a program file."""
        path = self.place / name
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture
def world(pg_server_dsn: str, pg_template: str, tmp_path: Path) -> Iterator[World]:
    """A server on which nothing is published."""
    dsn = create_database(pg_server_dsn, template=pg_template)
    with serving({"LOYALTY_DSN": dsn}, tmp_path) as (server,):
        yield World(server, tmp_path)
    drop_database(dsn)


def test_from_plan_to_rollback(world: World) -> None:
    """One story, because each step needs the versions of those before."""
    kiosk, tea_15 = world.file("kiosk.toml", KIOSK), world.file("tea15.toml", TEA_15)
    first = world.ctl("plan", kiosk)
    assert first.returncode == 2, first.stderr
    assert "compared with nothing: no version is in force" in first.stdout
    assert "Program kiosk of chain kiosk: added" in first.stdout
    assert 'text = "10% off [bold]tea"' in first.stdout
    assert world.ctl("publish", kiosk, "--by", "anna").returncode == 0
    same = world.ctl("plan", kiosk)
    assert (same.returncode, "nothing changes" in same.stdout) == (0, True), same.stderr
    _changed(world, tea_15)
    assert world.ctl("publish", tea_15, "--wait").returncode == 0
    _history(world)
    _rolled_back(world, kiosk)


def _changed(world: World, tea_15: Path) -> None:
    shown = world.ctl("plan", tea_15)
    assert shown.returncode == 2
    assert "gives[percent_off].rate_bp" in shown.stdout
    assert "1000 -> 1500" in shown.stdout
    assert "kiosk: setting ~1, promotion ~1" in shown.stdout
    done = world.ctl("plan", tea_15, "--json")
    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert report["exit_code"] == 2
    (planned,) = report["files"]
    assert (planned["base_version"], planned["problems"], planned["warnings"]) == (1, [], [])
    (program,) = planned["programs"]
    assert program["counts"][1] == {"kind": "promotion", "added": 0, "removed": 0, "changed": 1}
    assert program["items"][1] == {
        "kind": "promotion",
        "item_id": "tea-10",
        "change": "changed",
        "fields": [{"path": "gives[percent_off].rate_bp", "old": "1000", "new": "1500"}],
        "fields_cut": False,
    }


def _history(world: World) -> None:
    shown = world.ctl("history", "kiosk")
    assert shown.returncode == 0
    assert "anna" in shown.stdout
    assert "kiosk: setting ~1, promotion ~1" in shown.stdout
    report = json.loads(world.ctl("history", "--chain", "kiosk", "--json").stdout)
    states = [(version["version"], version["state"]) for version in report["versions"]]
    assert states == [(2, "live"), (1, "past")]
    limited = json.loads(world.ctl("history", "--limit", "1", "--json").stdout)
    assert [version["version"] for version in limited["versions"]] == [2]
    none = world.ctl("history", "nope")
    assert (none.returncode, none.stderr) == (1, "error: no version was published that fits\n")


def _rolled_back(world: World, kiosk: Path) -> None:
    refused = world.ctl("rollback", "1", said="n\n")
    assert refused.returncode == 1
    assert "1500 -> 1000" in refused.stdout
    assert "Publish version 1 again?" in refused.stdout
    assert world.ctl("rollback", "1").returncode == 1, "nobody answered"
    done = world.ctl("rollback", "1", "--by", "boris", "--wait", said="y\n")
    assert done.returncode == 0, done.stderr
    assert "version 3 is in force" in done.stdout
    assert world.ctl("plan", kiosk).returncode == 0
    again = world.ctl("rollback", "1", "--yes")
    assert again.returncode == 2
    assert again.stderr == "error: version 1 equals version 3: nothing would change\n"
    unknown = world.ctl("rollback", "9", "--yes")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("error: refused, NO_RULESET: there is no version 9")
    yes = world.ctl("rollback", "2", "--yes", "--program", "kiosk", "--at", "2099-01-01T00:00:00Z")
    assert yes.returncode == 0, yes.stderr
    report = json.loads(world.ctl("history", "--json").stdout)
    assert [version["state"] for version in report["versions"][:2]] == ["scheduled", "live"]
    _scheduled(world, kiosk)


def _scheduled(world: World, kiosk: Path) -> None:
    """Version 4 is to come: a plan for now says so, a plan for then compares with it."""
    now = world.ctl("plan", kiosk)
    assert now.returncode == 1, "publishing would be refused"
    assert "version 4 (from 2099-01-01 00:00:00 UTC) is to come" in now.stdout
    then = world.ctl("plan", kiosk, "--at", "2099-01-02T00:00:00Z")
    assert (then.returncode, "1500 -> 1000" in then.stdout) == (2, True)
    early = world.ctl("plan", kiosk, "--at", "2098-01-01T00:00:00Z")
    assert early.returncode == 1
    assert "a version can become effective from 2099-01-01T00:00:00.000001+00:00" in early.stderr
    _refused_before(world, kiosk)
    _called_off(world)
    _replaced(world)


def _refused_before(world: World, kiosk: Path) -> None:
    """Nothing waits in silence until 2099."""
    for words in (("publish", kiosk), ("rollback", "1", "--yes")):
        done = world.ctl(*words)
        assert done.returncode == 2
        assert "version 4 is scheduled for 2099-01-01T00:00:00+00:00" in done.stderr
        assert "--replace-scheduled" in done.stderr
    report = json.loads(world.ctl("history", "--json").stdout)
    assert report["versions"][0]["version"] == 4


def _called_off(world: World) -> None:
    """Back to what is in force: nothing changes but that nothing is to come."""
    asked = world.ctl("rollback", "3", "--replace-scheduled", said="n\n")
    assert asked.returncode == 1
    assert "(from 2099-01-01 00:00:00 UTC) would never come into force" in asked.stdout
    assert "Publish version 3 again, in place of what is scheduled (4)?" in asked.stdout
    off = world.ctl("rollback", "3", "--replace-scheduled", "--wait", said="y\n")
    assert off.returncode == 0, off.stderr
    assert "compared with version 3" in off.stdout
    assert "(from 2099-01-01 00:00:00 UTC) never comes into force" in off.stdout
    assert "version 5 is in force" in off.stdout
    again = world.ctl("rollback", "5", "--replace-scheduled", "--yes")
    assert again.stderr == "error: version 5 equals version 5: nothing would change\n"


def _replaced(world: World) -> None:
    """Publishing a program in place of what is scheduled; the history says what became of it."""
    tea_15 = world.file("tea15.toml", TEA_15)
    later = world.ctl("publish", tea_15, "--at", "2098-01-01T00:00:00Z", "--by", "anna")
    assert later.returncode == 0, later.stderr
    planned = world.ctl("plan", tea_15, "--replace-scheduled", "--json")
    assert planned.returncode == 2, planned.stderr
    (plan,) = json.loads(planned.stdout)["files"]
    assert (plan["base_version"], plan["replaced_versions"]) == (5, [6])
    done = world.ctl("publish", tea_15, "--replace-scheduled", "--wait")
    assert done.returncode == 0, done.stderr
    text = "version 6 of anna (from 2098-01-01 00:00:00 UTC) never comes into force"
    assert text in done.stdout
    assert "replaced by 7" in world.ctl("history").stdout
    report = json.loads(world.ctl("history", "--limit", "4", "--json").stdout)
    states = [(one["version"], one["state"], one["base_version"]) for one in report["versions"]]
    assert states == [(7, "live", 5), (6, "replaced", 5), (5, "past", 3), (4, "replaced", 3)]
    status = world.ctl("status")
    assert "2098" not in status.stdout


def test_a_plan_with_problems_ends_with_1(world: World) -> None:
    """Scripts tell changes (2) from problems (1) by the exit code alone."""
    bad = world.file("bad.toml", KIOSK.replace('"RUB"', '"QQQ"'))
    no_file = world.place / "none.toml"
    twice = world.file("twice.toml", KIOSK)
    done = world.ctl("plan", bad, no_file, twice)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[:2] == [
        f"error: {bad}: 1 problem(s)",
        "  currency_code: ISO 4217 has no currency QQQ",
    ]
    assert f"error: {no_file}: 1 problem(s)" in lines
    assert f"  program_id: 'kiosk' is also in {bad}" in lines
    report = json.loads(world.ctl("plan", bad, "--json").stdout)
    assert report["exit_code"] == 1
    assert report["files"][0]["problems"][0]["path"] == "currency_code"


@pytest.mark.parametrize("arguments", [("--target", "127.0.0.1:1"), ("--at", "tomorrow")])
def test_a_plan_that_cannot_be_made_ends_with_1(tmp_path: Path, arguments: tuple[str, str]) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(KIOSK, encoding="utf-8")
    command = [sys.executable, "-m", "server.ctl", "program", "plan", str(file), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
