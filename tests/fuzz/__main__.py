"""`make fuzz`: random programs and receipts, evaluated by the kernel and by its twin."""

import os
import sys
from pathlib import Path
from random import SystemRandom
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.fuzz import kernel_build
from tests.fuzz.run import Totals, run, worker_command
from tests.fuzz.spelling import spelled
from tests.strategies import Case

WORKERS_MAX = 2
WIDTH = 160

app = typer.Typer(add_completion=False)


@app.command()
def main(
    minutes: Annotated[float, typer.Option(min=0.01, help="for how long")] = 10.0,
    seed: Annotated[int | None, typer.Option(min=0, help="seed to begin with")] = None,
    only: Annotated[bool, typer.Option("--only", help="that seed alone, in this process")] = False,
    workers: Annotated[int, typer.Option(min=1, help="processes")] = min(
        os.cpu_count() or 1, WORKERS_MAX
    ),
    installed: Annotated[
        bool, typer.Option(help="the installed kernel, not a checked one")
    ] = False,
) -> None:
    """Compare kernel and twin; fails on a crash, a disagreement or a broken invariant."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    kernel = None if installed else _checked(console)
    first = SystemRandom().randrange(2**40) if seed is None else seed
    console.print(f"fuzz: {_kind(kernel)} kernel, from seed {first} on, {workers} workers")
    if only:
        raise typer.Exit(_judge_alone(console, kernel, first))
    totals = _run(console, kernel, first, workers, 60.0 * minutes)
    _show(console, totals, installed)
    raise typer.Exit(int(bool(totals.findings) or not totals.receipts))


def _checked(console: Console) -> Path:
    with console.status("building a checked kernel, beside the installed one"):
        try:
            return kernel_build.build_checked()
        except kernel_build.BuildError as error:
            console.print(str(error), markup=False)
            raise typer.Exit(2) from None


def _kind(kernel: Path | None) -> str:
    return "installed" if kernel is None else "checked"


def _judge_alone(console: Console, kernel: Path | None, seed: int) -> int:
    if kernel is not None:
        kernel_build.use(kernel)
    # The kernel is chosen by now, and imported by this.
    from tests.fuzz.judge import complaint, judge
    from tests.fuzz.shrink import shrink

    verdict = judge(seed)
    for one in verdict.findings:
        console.print(f"{one.change}: {one.text}", markup=False)
    kinds = {one.kind: one for one in reversed(verdict.findings)}
    for kind, one in kinds.items():
        if complaint(one.case) == kind:
            console.print(f"\nthe smallest case of {kind}:", style="bold")
            for part in _parts(shrink(one.case, complaint)):
                console.print(part, markup=False)
    console.print(f"{verdict.receipts} receipts, {len(verdict.findings)} findings")
    return int(bool(verdict.findings))


def _parts(case: Case) -> list[str]:
    """What one wants to see of a case."""
    program, sale = case.program, case.sale
    parts = [*program.promotions, *program.product_classes, *program.lanes, *sale.lines]
    return [spelled(part) for part in [*parts, sale.header, *sale.tenders, case.facts]]


def _run(console: Console, kernel: Path | None, seed: int, workers: int, seconds: float) -> Totals:
    columns = (TextColumn("fuzz"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console) as progress:
        bar = progress.add_task("", total=seconds)

        def show(totals: Totals) -> None:
            elapsed_s = progress.tasks[0].elapsed or 0.0
            a_second = totals.receipts / max(elapsed_s, 0.1)
            progress.update(
                bar,
                completed=elapsed_s,
                description=f"{totals.receipts:,} receipts, {a_second:,.0f}/s, "
                f"{totals.disagreements} disagreements, {totals.crashes} crashes",
            )

        return run(worker_command(kernel), seed, workers, seconds, show)


def _show(console: Console, totals: Totals, installed: bool) -> None:
    flag = " --installed" if installed else ""
    for finding in totals.findings:
        console.print(f"\nseed {finding.seed}", style="bold red")
        console.print(finding.text, markup=False)
        command = f"{Path(sys.executable).name} -m tests.fuzz --seed {finding.seed} --only{flag}"
        console.print(f"again: {command}", markup=False)
    table = Table("programs", "receipts", "refused as too large", "disagreements", "crashes")
    counts = (totals.seeds, totals.receipts, totals.refused, totals.disagreements, totals.crashes)
    table.add_row(*(f"{count:,}" for count in counts))
    console.print(table)


if __name__ == "__main__":
    app()
