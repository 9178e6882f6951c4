"""`loyaltyctl ledger`: proofs over the whole database; statements, reports, closing, expiry."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from server.clock import shifted_clock, system_clock
from server.ctl.budgets import budgets
from server.ctl.opening import open_database
from server.ctl.option import DATA_DIR, ClockFile, DataDir, Dsn
from server.ctl.period import close, exceptions, expire, periods, report
from server.ctl.say import CtlError, say, say_table
from server.ctl.statement import statement
from server.store.audit import Audit, audit_ledger
from server.store.database import StoreError

app = typer.Typer(help="Prove and report the ledger.", no_args_is_help=True)
for command in (statement, report, close, periods, expire, exceptions, budgets):
    app.command()(command)

COUNTS = (
    "transfers",
    "postings",
    "lots",
    "lot_changes",
    "balances",
    "holds",
    "budgets",
    "receipts",
    "accounts",
    "merged",
    "statements",
)

Json = Annotated[bool, typer.Option("--json", help="one JSON object, for scripts")]


@app.callback()
def ledger() -> None:
    """Prove and report the ledger."""


@app.command()
def audit(
    dsn: Dsn = "",
    data_dir: DataDir = DATA_DIR,
    json: Json = False,
    clock_file: ClockFile = "",
) -> None:
    """Prove that every transfer balances, and that balances equal postings and lots.

    Opens the database itself and reads one snapshot. Exit code 0: balanced and not empty.
    """
    clock = shifted_clock(Path(clock_file)) if clock_file else system_clock
    found = asyncio.run(_audit(dsn, data_dir, clock()))
    if json:
        say(msgspec.json.encode(_report(found)).decode())
    else:
        _show(found)
    if not found.is_balanced:
        raise typer.Exit(1)


async def _audit(dsn: str, data_dir: Path, at_us: int) -> Audit:
    async with open_database(dsn, data_dir) as database:
        try:
            return await audit_ledger(database, at_us)
        except StoreError as error:
            raise CtlError(f"the audit could not be finished: {error}") from None


def _report(found: Audit) -> dict[str, object]:
    return {"balanced": found.is_balanced, **msgspec.structs.asdict(found)}


def _show(found: Audit) -> None:
    rows = [(name, f"{getattr(found, name):,}") for name in COUNTS]
    say_table("Ledger", ("what", "read"), rows)
    for problem in found.problems:
        say(f"wrong: {problem}")
    verdict = "NOT BALANCED" if found.problems else "balanced"
    proved = "" if found.problems else ": every transfer sums to zero, balances = postings = lots"
    say(f"{verdict}{proved}")
