"""Commands of the cash server: run it, look at its spool, send on what was set aside."""

import asyncio
import logging
import sqlite3
import sys
import tomllib
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
import typer
import uvloop
from rich.console import Console

from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.answer import SMS_TEXTS
from pos_sim.cash_server.ceiling import Ceilings
from pos_sim.cash_server.clock import machine_clock, read_clock_file
from pos_sim.cash_server.forwarding import ForwardRule
from pos_sim.cash_server.link_health import RushRule
from pos_sim.cash_server.relay import Rules
from pos_sim.cash_server.run import CashSettings, run_cash_server
from pos_sim.cash_server.status import read_status, show_status

app = typer.Typer(help="Relays the tills of a region over a poor link.", no_args_is_help=True)

SpoolFile = Annotated[
    Path, typer.Option(envvar="LOYALTY_CASH_SPOOL", help="File of the spool; one process has it.")
]
ClockFile = Annotated[
    str, typer.Option(envvar="LOYALTY_CLOCK_FILE", help="Shifts the clock, in tests.")
]
Targets = Annotated[
    list[str],
    typer.Option(envvar="LOYALTY_CASH_TARGET", help="host:port of a server; may be repeated."),
]
Listen = Annotated[
    str, typer.Option(envvar="LOYALTY_CASH_LISTEN", help="Address and port for the tills.")
]
Streams = Annotated[
    int, typer.Option(envvar="LOYALTY_CASH_STREAMS", min=1, help="Streams to each server.")
]
BudgetMs = Annotated[
    int,
    typer.Option(envvar="LOYALTY_CASH_BUDGET_MS", min=100, max=60_000, help="Wait for an answer."),
]
StatementWait = Annotated[
    float,
    typer.Option(
        envvar="LOYALTY_CASH_STATEMENT_WAIT_S",
        min=0.0,
        help="A request that was broken off waits so long for what the till says.",
    ),
]
RushAfter = Annotated[
    int,
    typer.Option(
        envvar="LOYALTY_CASH_RUSH_AFTER", min=1, help="Failures in a row until rush mode."
    ),
]
RushPause = Annotated[
    float, typer.Option(envvar="LOYALTY_CASH_RUSH_PAUSE_S", min=0.1, help="First pause of it.")
]
RushPauseMax = Annotated[
    float, typer.Option(envvar="LOYALTY_CASH_RUSH_PAUSE_MAX_S", min=0.1, help="Longest pause.")
]
ForwardRate = Annotated[
    float,
    typer.Option(
        envvar="LOYALTY_CASH_FORWARD_RATE", min=0.0, help="Receipts a second; 0: no limit."
    ),
]
ForwardAtOnce = Annotated[
    int,
    typer.Option(
        envvar="LOYALTY_CASH_FORWARD_AT_ONCE",
        min=1,
        max=4_096,
        help="Tills whose receipts are forwarded at the same time, at most.",
    ),
]
ForwardAim = Annotated[
    int,
    typer.Option(
        envvar="LOYALTY_CASH_FORWARD_AIM_MS",
        min=1,
        help="As many of them as are answered within this time at the mean.",
    ),
]
CeilingAmount = Annotated[
    int,
    typer.Option(
        envvar="LOYALTY_CASH_CEILING_AMOUNT_MINOR",
        min=0,
        help="Most that may be sold while cut off, minor units; 0: no bound.",
    ),
]
CeilingCount = Annotated[
    int,
    typer.Option(envvar="LOYALTY_CASH_CEILING_COUNT", min=0, help="Most receipts; 0: no bound."),
]
CeilingAge = Annotated[
    int,
    typer.Option(
        envvar="LOYALTY_CASH_CEILING_AGE_S",
        min=0,
        help="Age of the oldest that waits, seconds; 0: no bound.",
    ),
]
SpoolMbMax = Annotated[
    int,
    typer.Option(
        envvar="LOYALTY_CASH_SPOOL_MB_MAX", min=0, help="Room for the spool, MiB; 0: all."
    ),
]
KeepDays = Annotated[
    int, typer.Option(envvar="LOYALTY_CASH_KEEP_DAYS", min=1, help="Keep what is settled, days.")
]
Texts = Annotated[
    Path | None,
    typer.Option(
        envvar="LOYALTY_CASH_TEXTS",
        help='TOML file: what to print after a break-off, as ru = "...".',
    ),
]
LogLevel = Annotated[str, typer.Option(envvar="LOYALTY_LOG_LEVEL")]
SPOOL = Path("var/cash/spool.sqlite")


@app.command()
def run(
    target: Targets,
    listen: Listen = "127.0.0.1:50061",
    spool: SpoolFile = SPOOL,
    streams: Streams = 2,
    budget_ms: BudgetMs = 1_900,
    statement_wait_s: StatementWait = 30.0,
    rush_after: RushAfter = 3,
    rush_pause_s: RushPause = 2.0,
    rush_pause_max_s: RushPauseMax = 30.0,
    forward_rate: ForwardRate = 200.0,
    forward_at_once: ForwardAtOnce = 512,
    forward_aim_ms: ForwardAim = 150,
    ceiling_amount_minor: CeilingAmount = 0,
    ceiling_count: CeilingCount = 0,
    ceiling_age_s: CeilingAge = 0,
    spool_mb_max: SpoolMbMax = 0,
    keep_days: KeepDays = 30,
    texts: Texts = None,
    log_level: LogLevel = "info",
    clock_file: ClockFile = "",
) -> None:
    """Run a cash server until it is stopped."""
    rules = Rules(
        budget_s=budget_ms / 1_000,
        statement_wait_s=statement_wait_s,
        ceilings=Ceilings(ceiling_amount_minor, ceiling_count, ceiling_age_s),
        texts=_read_texts(texts),
    )
    settings = CashSettings(
        listen=listen,
        targets=tuple(one for given in target for one in given.split(",") if one),
        spool=spool,
        streams=streams,
        spool_pages_max=256 * spool_mb_max,
        keep_days=keep_days,
        clock_file=clock_file,
        rules=rules,
        rush=RushRule(rush_after, rush_pause_s, max(rush_pause_s, rush_pause_max_s)),
        forward=ForwardRule(forward_rate, forward_at_once, forward_aim_ms / 1_000),
    )
    _set_up_log(log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_cash_server(settings))


@app.command()
def status(
    spool: SpoolFile = SPOOL,
    clock_file: ClockFile = "",
    json: Annotated[bool, typer.Option(help="One JSON object.")] = False,
) -> None:
    """Tell what waits, since when, and how the link is."""
    try:
        found = read_status(spool)
    except (FileNotFoundError, sqlite3.Error) as error:
        raise SystemExit(f"no spool at {spool}: {error}") from None
    now_us = read_clock_file(Path(clock_file))() if clock_file else machine_clock()
    if json:
        told = {**msgspec.to_builtins(found), "is_running": found.is_running(now_us)}
        typer.echo(msgspec.json.encode(told))
    else:
        show_status(Console(width=None if sys.stdout.isatty() else 120), found, now_us)


@app.command()
def requeue(spool: SpoolFile = SPOOL) -> None:
    """Forward again what was set aside: at once if the cash server runs, else when it does."""
    if not spool.exists():
        raise SystemExit(f"no spool at {spool}")
    try:
        with closing(sqlite3.connect(spool, timeout=5.0)) as connection, connection:
            count = spool_rows.wish(connection)
    except sqlite3.Error as error:
        raise SystemExit(f"{spool}: {error}") from None
    Console().print(f"{count} to be forwarded again")


def _read_texts(path: Path | None) -> Mapping[str, str]:
    """The texts of the chain, or those that are built in."""
    if path is None:
        return SMS_TEXTS
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), dict[str, str])
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path}: {error}") from None
    return found


class _PatientLogger(structlog.PrintLogger):
    """Writes a line if there is room for it: no call of a till fails for want of that."""

    def msg(self, message: str) -> None:
        """Write a line."""
        with suppress(OSError):
            super().msg(message)

    debug = info = warning = error = critical = exception = msg


def _set_up_log(level: str) -> None:
    """One JSON object a line on standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=lambda *_: _PatientLogger(sys.stderr),
    )
