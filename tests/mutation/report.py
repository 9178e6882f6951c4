"""Prints what a mutation run found: the counts, the score and the mutants nobody noticed."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from tests.mutation.mutant import DETECTED, Mutant, Verdict, difference


def score_percent(mutants: list[Mutant]) -> float:
    """The part of the mutants that the tests noticed."""
    return 100.0 * sum(mutant.verdict in DETECTED for mutant in mutants) / len(mutants)


def show(console: Console, sandbox: Path, mutants: list[Mutant], diffs_max: int) -> None:
    """Print diffs of what was not noticed, then a table by file, then the sums."""
    unnoticed = [mutant for mutant in mutants if mutant.verdict not in DETECTED]
    for mutant in unnoticed[:diffs_max]:
        console.print(f"\n{mutant.path} {mutant.function}: {mutant.verdict}  [dim]{mutant.name}")
        console.print(Syntax(difference(sandbox, mutant), "diff", background_color="default"))
    if len(unnoticed) > diffs_max:
        console.print(f"\n... and {len(unnoticed) - diffs_max} more (--diffs shows more)")
    console.print(_table(mutants))


def _table(mutants: list[Mutant]) -> Table:
    """One row a file that something survived in, and the sums."""
    table = Table("file", *map(str, Verdict), "score", show_footer=True)
    columns = table.columns
    by_path: dict[Path, list[Mutant]] = {}
    for mutant in mutants:
        by_path.setdefault(mutant.path, []).append(mutant)
    for path, found in by_path.items():
        if any(mutant.verdict not in DETECTED for mutant in found):
            table.add_row(str(path), *_cells(found))
    for column, cell in zip(columns, ["all", *_cells(mutants)], strict=True):
        column.footer = cell
        column.justify = "left" if cell == "all" else "right"
    return table


def _cells(mutants: list[Mutant]) -> list[str]:
    counts = Counter(mutant.verdict for mutant in mutants)
    return [*(str(counts[verdict]) for verdict in Verdict), f"{score_percent(mutants):.1f} %"]
