"""loyaltyctl as an operator runs it: a process, its exit code, and what it says."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from server.ctl.instant import parse_instant
from tests.pg import create_database, drop_database, execute, run_apart
from tests.serving import ServerProcess, checkout_request, seed, serving, till_stub
from tests.starting import ROOT, run

DEMO = ROOT / "programs" / "demo_grocery.toml"


class World(NamedTuple):
    """A server and the DSN of its database."""

    server: ServerProcess
    dsn: str

    def ctl(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command against them."""
        return ctl(*arguments, LOYALTY_TARGET=self.server.target, LOYALTY_DSN=self.dsn)


@pytest.fixture(scope="module")
def world(
    pg_server_dsn: str, pg_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    dsn = create_database(pg_server_dsn, template=pg_template)
    with serving({"LOYALTY_DSN": dsn}, tmp_path_factory.mktemp("ctl")) as (server,):
        seed(server.target)
        yield World(server, dsn)
    drop_database(dsn)


def ctl(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command; nobody is asked, and nothing is folded to a terminal's width."""
    done = run("server.ctl", *arguments, COLUMNS="200", **environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_valid_program_file() -> None:
    done = ctl("program", "validate", DEMO)
    assert done.returncode == 0, done.stderr
    assert "valid, program demo-grocery of chain demo" in done.stdout


def test_every_file_is_checked(tmp_path: Path) -> None:
    text = DEMO.read_text(encoding="utf-8")
    unknown = write(tmp_path / "unknown.toml", text.replace("prompts_max", "prompt_max"))
    clash = write(tmp_path / "clash.toml", text.replace('lane = "price"', 'lane = "reward"', 1))
    done = ctl("program", "validate", unknown, DEMO, clash)
    assert done.returncode == 2
    assert "demo_grocery.toml: valid" in done.stdout
    lines = done.stderr.splitlines()
    assert lines[0] == "error: 2 problem(s) in 3 file(s)"
    assert lines[1].startswith(f"  {unknown}: prompt_max: is not known here; known: program_id")
    assert lines[2].startswith(f"  {clash}: promotions[0].lane: n_plus_m cannot stand in lane")


def test_a_program_is_validated_against_what_the_server_knows(world: World) -> None:
    done = world.ctl("program", "validate", DEMO, "--target", world.server.target)
    assert done.returncode == 0, done.stderr


def test_publish_waits_until_the_version_is_in_force(world: World) -> None:
    done = world.ctl("program", "publish", DEMO, "--by", "tester", "--wait")
    assert done.returncode == 0, done.stderr
    assert "demo-grocery" in done.stdout
    assert "is in force" in done.stdout
    status = world.ctl("program", "status")
    assert status.returncode == 0
    assert "in force" in status.stdout


def test_a_refusal_shows_its_reason_and_facts(world: World) -> None:
    done = world.ctl("program", "publish", DEMO, "--at", "2020-01-01T00:00:00Z")
    assert done.returncode == 2
    assert done.stderr.startswith("error: refused, EFFECTIVE_TOO_EARLY: ")
    found = re.search(r"effective from (\S+) on \(earliest_us=(\d+)", done.stderr)
    assert found is not None, done.stderr
    assert parse_instant(found[1]) == int(found[2]), "the text names the instant as people read it"


@pytest.mark.parametrize("at", ["tomorrow", "2027-01-01T00:00:00", "2027-13-01T00:00:00Z"])
def test_an_instant_needs_its_offset(at: str) -> None:
    done = ctl("program", "publish", DEMO, "--at", at, "--target", "127.0.0.1:1")
    assert done.returncode == 2
    assert "is not an instant: write now, or for example" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("program", "rollback", "9" * 23), "Invalid value for 'version'"),
        (
            ("program", "history", "a\udcffb"),
            "error: a word of the command is not UTF-8: 'a\\udcffb'",
        ),
        (
            ("program", "status", "--target", "a\udcffb"),
            "error: a word of the command is not UTF-8",
        ),
        (("program", "status", "--target", ""), "error: --target is empty"),
    ],
    ids=["number", "bytes", "bytes of a target", "empty target"],
)
def test_words_that_cannot_be_sent(words: tuple[str, ...], said: str) -> None:
    done = ctl(*words)
    assert done.returncode == 2
    assert said in done.stderr


def test_nobody_at_the_target() -> None:
    done = ctl("program", "status", "--target", "127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: nobody answers at 127.0.0.1:1")
    assert "--target" in done.stderr


STORES = """store_id,time_zone,currency_code,language_code,name,zones
n1,Europe/Moscow,RUB,ru,North,north;city
n2,Asia/Novosibirsk,RUB,ru,South,
"""
PRODUCTS = """sku,name,categories,properties,no_discount,minimum_price_minor,weighed
milk,Milk,food;dairy,fat=3;size=1,yes,100,no
bread,"Bread, white",food,,,,
"""
CUSTOMERS = """customer_number,identifier.card,identifier.phone,segments,answer.sex,answered_at
c1,111;112,+79000000001,vip;old,male,2026-01-02T03:04:05+03:00
c2,113,,,,
"""
RULE_FACTS = """customer_number,identifier.card,tier,counter.visits,offer_amount.x,offer.x
c1,111,gold,7,150000,dairy;bread
c2,113,,,,
"""
PRICES = """sku,price_minor,unit,zone,segment,customer_number,removed
milk,8900,piece,,,,
milk,8500,,north,,,
milk,8000,,,vip,,
milk,7000,,,,c1,
bread,,,,,,yes
"""


@pytest.mark.parametrize(
    ("what", "text", "count"),
    [
        ("stores", STORES, 2),
        ("products", PRODUCTS, 2),
        ("customers", CUSTOMERS, 2),
        ("customers", RULE_FACTS, 2),
        ("prices", PRICES, 5),
    ],
)
def test_a_file_is_imported(world: World, tmp_path: Path, what: str, text: str, count: int) -> None:
    file = write(tmp_path / f"{what}.csv", text)
    price_list = ("--list", "card") if what == "prices" else ()
    done = world.ctl("import", what, file, "--chain", "csv", *price_list)
    assert done.returncode == 0, done.stderr
    assert f"{file}: {count} imported" in done.stdout


BAD_FILES = {
    "unknown column": (
        "products",
        "sku,name,colour\n1,a,b\n",
        "line 1: column 'colour' is not known; known: sku, name, categories",
    ),
    "missing column": ("products", "sku\n1\n", "line 1: lacks the column(s) name"),
    "empty": ("products", "", "is empty"),
    "short row": ("products", "sku,name\n1,a\n2\n", "line 3: has not as many cells"),
    "bad flag": (
        "products",
        "sku,name,no_earn\n1,a,maybe\n",
        "line 2: no_earn: 'maybe' is neither yes nor no",
    ),
    "bad number": (
        "products",
        "sku,name,minimum_price_minor\n1,a,9.99\n",
        "line 2: minimum_price_minor: '9.99' is not a whole number",
    ),
    "refused by the server": (
        "stores",
        STORES.replace("Asia/Novosibirsk", "Asia/Nowhere"),
        "line 3: time_zone: Asia/Nowhere is not a time zone of IANA",
    ),
    "a price for two": (
        "prices",
        "sku,price_minor,zone,segment\nmilk,1,north,vip\n",
        "line 2: segment: a price is for one of zone and segment, not for both",
    ),
    "no price": ("prices", "sku,price_minor\nmilk,\n", "line 2: price_minor: is empty"),
    "two prices in one place": (
        "prices",
        "sku,price_minor\nmilk,1\nmilk,2\n",
        "line 3: sku: is also at prices[0]",
    ),
    "no instant of the answers": (
        "customers",
        CUSTOMERS.replace("2026-01-02T03:04:05+03:00", ""),
        "line 2: answered_at: '' is not an instant",
    ),
}


@pytest.mark.parametrize(("what", "text", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_is_refused_by_line(
    world: World, tmp_path: Path, what: str, text: str, reason: str
) -> None:
    file = write(tmp_path / "bad.csv", text)
    price_list = ("--list", "card") if what == "prices" else ()
    done = world.ctl("import", what, file, "--chain", "bad", *price_list)
    assert done.returncode == 2
    assert f"error: {file}: {reason}" in done.stderr


def test_a_file_that_is_not_there(world: World, tmp_path: Path) -> None:
    done = world.ctl("import", "stores", tmp_path / "none.csv", "--chain", "bad")
    assert done.returncode == 2
    assert "none.csv: No such file or directory" in done.stderr


def test_an_empty_ledger_fails(pg_dsn: str) -> None:
    done = ctl("ledger", "audit", "--dsn", pg_dsn)
    assert done.returncode == 1, done.stderr
    assert "the ledger is empty" in done.stdout
    assert "NOT BALANCED" in done.stdout


def test_a_ledger_is_proved_and_a_tampered_one_is_not(world: World) -> None:
    with grpc.insecure_channel(world.server.target) as channel:
        till_stub(channel).Checkout(checkout_request(1))
    done = world.ctl("ledger", "audit", "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["balanced"] is True
    assert (report["transfers"], report["postings"], report["lots"]) == (1, 2, 1)
    run_apart(lambda: execute(world.dsn, "update balance set amount_minor = amount_minor + 1"))
    shown = world.ctl("ledger", "audit")
    assert shown.returncode == 1
    assert "wrong: account" in shown.stdout
    run_apart(lambda: execute(world.dsn, "update balance set amount_minor = amount_minor - 1"))


def test_an_audit_does_not_make_a_database(tmp_path: Path) -> None:
    done = ctl("ledger", "audit", "--data-dir", tmp_path / "none", LOYALTY_DSN="")
    assert done.returncode == 2
    assert "there is no database in" in done.stderr
    assert not (tmp_path / "none").exists()


def test_a_schema_is_migrated_once(pg_empty_dsn: str) -> None:
    before = ctl("ledger", "audit", "--dsn", pg_empty_dsn)
    assert before.returncode == 2
    assert "loyaltyctl db migrate" in before.stderr
    first = ctl("db", "migrate", "--dsn", pg_empty_dsn)
    assert first.returncode == 0, first.stderr
    assert "applied 2026" in first.stdout
    again = ctl("db", "migrate", "--dsn", pg_empty_dsn)
    assert again.stdout == "the schema is up to date (0 applied)\n"


def test_the_doctor_names_what_is_not_durable(world: World) -> None:
    done = world.ctl("doctor")
    assert "server_version" in done.stdout
    # The cluster of the tests may run without fsync; then the doctor must say so, and fail.
    is_durable = "set fsync = on" not in done.stdout
    assert done.returncode == (0 if is_durable else 1), done.stdout


def test_the_doctor_of_an_unreachable_database() -> None:
    done = ctl("doctor", "--dsn", "postgresql://127.0.0.1:1/none")
    assert done.returncode == 1
    assert "the database cannot be reached" in done.stdout


def test_the_doctor_of_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    done = ctl("doctor", "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 1
    assert "data is no directory" in done.stdout


def test_help_needs_nothing() -> None:
    done = ctl("--help")
    assert done.returncode == 0
    for command in ("program", "import", "ledger", "db", "doctor"):
        assert command in done.stdout
