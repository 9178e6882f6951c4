"""Commands: simulated tills, faults, and the cash server, which is no simulation."""

import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from pos_sim.cash_server import command as cash_server
from pos_sim.demo import Plan, run_demo, run_replay
from pos_sim.faults.messages import Carrier
from pos_sim.faults.plan import SCENARIOS
from pos_sim.faults.run import FaultPlan, run_faults
from pos_sim.run import Run
from pos_sim.server_process import DemoError
from pos_sim.storm.run import StormPlan, run_storm

app = typer.Typer(
    help="Simulated tills that go through gRPC, and the cash server of a region.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.add_typer(cash_server.app, name="cash-server")

Receipts = Annotated[
    Path | None,
    typer.Option(help="Directory of the real receipts; without it a grocery is generated."),
]
Count = Annotated[
    int | None, typer.Option(min=1, help="Receipts; default 2,500 generated, or all real ones.")
]
Tills = Annotated[int, typer.Option(min=1, max=1_000, help="Tills that work at once.")]
Seed = Annotated[int, typer.Option(help="What all random choices come from.")]
Rate = Annotated[
    float, typer.Option(min=0.0, help="Receipts a second over all tills; 0 is as fast as they can.")
]
Quotes = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share of the receipts quoted before checkout.")
]
Epoch = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2**32 - 1,
        help="Epoch of the receipt keys; default is now. The epoch of an earlier run, with the "
        "same seed, tills and count, sends the same receipts again.",
    ),
]
TILLS = 32
SEED = 20_261_122


@app.command()
def demo(
    receipts: Receipts = None,
    count: Count = None,
    tills: Tills = TILLS,
    seed: Seed = SEED,
    rate: Rate = 0.0,
    quotes: Quotes = 1.0,
    servers: Annotated[int, typer.Option(min=1, max=16, help="Server processes.")] = 1,
    data_dir: Annotated[Path, typer.Option(help="Where the server keeps its data.")] = Path(
        "var/demo"
    ),
) -> None:
    """Start a server, replay receipts, show one answer and the summary, stop the server."""
    console = _console()
    plan = Plan(_run(seed, None), tills, receipts, count, rate, quotes)
    _finish(console, run_demo(console, plan, servers, data_dir.absolute()))


@app.command()
def replay(
    target: Annotated[list[str], typer.Option(help="host:port of a server; may be repeated.")],
    receipts: Receipts = None,
    count: Count = None,
    tills: Tills = TILLS,
    seed: Seed = SEED,
    rate: Rate = 0.0,
    quotes: Quotes = 1.0,
    epoch: Epoch = None,
    prepare: Annotated[
        bool, typer.Option(help="Import the reference data and publish the program first.")
    ] = False,
) -> None:
    """Replay receipts against servers that run already."""
    console = _console()
    plan = Plan(_run(seed, epoch), tills, receipts, count, rate, quotes)
    _finish(console, run_replay(console, plan, tuple(target), is_prepared=not prepare))


@app.command()
def storm(
    acts: Annotated[int, typer.Option(min=1, help="Sales, voids and refunds.")] = 3_000,
    faults: Annotated[int, typer.Option(min=0, help="Kills and leaps of the clock.")] = 12,
    servers: Annotated[int, typer.Option(min=1, max=16, help="Server processes.")] = 2,
    tills: Annotated[int, typer.Option(min=1, max=200, help="Tills that work at once.")] = 12,
    customers: Annotated[int, typer.Option(min=2, help="Cards that meet at the tills.")] = 25,
    seed: Seed = SEED,
    data_dir: Annotated[Path, typer.Option(help="Where the servers keep their data.")] = Path(
        "var/storm"
    ),
) -> None:
    """Quote, sell, spend, void, refund and merge at random while servers are killed."""
    plan = StormPlan(_run(seed, None), acts, faults, servers, tills, customers)
    _finish(_console(), run_storm(_console(), plan, data_dir.absolute()))


@app.command()
def faults(
    scenario: Annotated[
        list[str], typer.Option(help="Name of a scenario, may be repeated; all plays every one.")
    ],
    seconds: Annotated[
        float, typer.Option(min=5.0, max=86_400.0, help="How long tills sell in each.")
    ] = 60.0,
    tills: Annotated[int, typer.Option(min=1, max=200, help="Tills that work at once.")] = 6,
    customers: Annotated[int, typer.Option(min=1, max=999, help="Cards of each scenario.")] = 12,
    seed: Seed = SEED,
    smsc: Annotated[
        str, typer.Option(help="host:port of an SMSC; without it messages go to a file.")
    ] = "",
    smsc_user: Annotated[str, typer.Option(help="system_id at the SMSC.")] = "field",
    smsc_password: Annotated[str, typer.Option(envvar="LOYALTY_SMS_PASSWORD")] = "",
    data_dir: Annotated[Path, typer.Option(help="Where the server keeps its data.")] = Path(
        "var/faults"
    ),
) -> None:
    """Sell through a cash server over links that fail by plan, and prove that all came right."""
    names = tuple(SCENARIOS) if "all" in scenario else tuple(dict.fromkeys(scenario))
    carrier = Carrier(smsc, smsc_user, smsc_password)
    plan = FaultPlan(_run(seed, None), names, seconds, tills, customers, carrier)
    _finish(_console(), run_faults(_console(), plan, data_dir.absolute()))


def _run(seed: int, epoch: int | None) -> Run:
    return Run(seed, int(time.time()) if epoch is None else epoch)


def _console() -> Console:
    # Elsewhere than in a terminal nobody says how wide a line may be: wide enough for the tables.
    return Console() if sys.stdout.isatty() else Console(width=100)


def _finish(console: Console, work: Coroutine[object, object, list[str]]) -> None:
    """Do the work, tell what is wrong, and exit with 0 if nothing is."""
    try:
        problems = asyncio.run(_interruptible(work))
    except DemoError as error:
        problems = [str(error)]
    for problem in problems:
        console.print(f"[bold red]failed[/bold red]: {escape(problem)}", highlight=False)
    if problems:
        raise typer.Exit(1)
    console.print("[bold green]all is well[/bold green]")


async def _interruptible(work: Coroutine[object, object, list[str]]) -> list[str]:
    """Let SIGTERM end the work as Ctrl-C does, so that no server is left behind."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise DemoError("interrupted") from None


if __name__ == "__main__":
    app()
