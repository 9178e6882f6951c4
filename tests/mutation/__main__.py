"""`make mutate`: changes rewards/ in many small ways and sees whether the tests notice."""

import os
import shutil
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tests.mutation.mutant import Mutant, choose
from tests.mutation.report import score_percent, show
from tests.mutation.run import RunError, generate, run_mutants
from tests.mutation.sandbox import make_sandbox

ROOT = Path(__file__).resolve().parents[2]
# Hidden, so that mypy and the rules of style do not take the copy for sources.
SANDBOX = ROOT / "var" / ".mutation"
SCORE_MIN_PERCENT = 80.0
WIDTH = 120

app = typer.Typer(add_completion=False)


@app.command()
def main(
    sample: Annotated[int, typer.Option(min=1, help="so many mutants, at random")] = 400,
    seed: Annotated[int, typer.Option(help="which ones")] = 1,
    everything: Annotated[bool, typer.Option("--all", help="all mutants; takes hours")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="of those alone, as rewards.gate.*; may be repeated")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = os.cpu_count() or 1,
    diffs: Annotated[int, typer.Option(min=0, help="survivors to show in full")] = 40,
    keep: Annotated[bool, typer.Option(help="leave the copy under var/ behind")] = False,
) -> None:
    """Run the tests on mutants of rewards/; fails below 80 % noticed."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    try:
        make_sandbox(ROOT, SANDBOX)
        made = generate(SANDBOX, workers, console)
        chosen = _chosen(made, only or ["*"], len(made) if everything else sample, seed)
        console.print(f"mutation: {len(chosen)} of {len(made)} mutants (seed {seed})")
        judged = run_mutants(SANDBOX, [mutant.name for mutant in chosen], workers, console)
        show(console, SANDBOX, judged, diffs)
        score = score_percent(judged)
    except RunError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(2) from None
    finally:
        if not keep:
            shutil.rmtree(SANDBOX, ignore_errors=True)
    console.print(f"score {score:.1f} %, at least {SCORE_MIN_PERCENT:.0f} % is required")
    raise typer.Exit(int(score < SCORE_MIN_PERCENT))


def _chosen(made: list[Mutant], only: list[str], count: int, seed: int) -> list[Mutant]:
    fitting = [one for one in made if any(fnmatchcase(one.name, pattern) for pattern in only)]
    if not fitting:
        raise RunError(f"no mutant is named like {' or '.join(only)}")
    return choose(fitting, count, seed)


if __name__ == "__main__":
    app()
