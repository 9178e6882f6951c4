"""`python -m bench NAME [--json] [--smoke]`: measure and print the figures."""

import json
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import bytecodes, checkout, customers, evaluate, forward, ledger, optimum, publish, tills

Bench = Callable[[bool, int, Console], dict[str, object]]

BENCHES: dict[str, Bench] = {
    "bytecodes": bytecodes.run,
    "checkout": checkout.run,
    "customers": customers.run,
    "evaluate": evaluate.run,
    "forward": forward.run,
    "ledger": ledger.run,
    "optimum": optimum.run,
    "publish": publish.run,
    "tills": tills.run,
}

NOT_IN_ALL = {"customers"}
"""Too large to be run unasked."""

app = typer.Typer(add_completion=False)


@app.command()
def main(
    name: Annotated[str, typer.Argument(help=f"{', '.join(BENCHES)}, or all")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object on stdout")] = False,
    smoke: Annotated[bool, typer.Option(help="small: only shows that it works")] = False,
    servers: Annotated[int, typer.Option(min=1, max=16, help="server processes")] = 1,
) -> None:
    """Measure one benchmark, or all of them."""
    if name != "all" and name not in BENCHES:
        known = ", ".join((*BENCHES, "all"))
        typer.echo(f"there is no benchmark {name!r}: choose one of {known}", err=True)
        raise typer.Exit(2)
    # As Ctrl-C does it: no server and no database is left behind.
    signal.signal(signal.SIGTERM, _end)
    console = Console(stderr=True, highlight=False)
    in_all = {known: run for known, run in BENCHES.items() if known not in NOT_IN_ALL}
    chosen = in_all if name == "all" else {name: BENCHES[name]}
    found = {known: run(smoke, servers, console) for known, run in chosen.items()}
    figures = found if name == "all" else found[name]
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        _show(found)


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _show(found: dict[str, dict[str, object]]) -> None:
    for name, figures in found.items():
        table = Table("figure", "value", title=name)
        for figure, value in figures.items():
            table.add_row(figure, str(value))
        Console().print(table)


app()
