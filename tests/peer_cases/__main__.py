"""`make peer-cases`: runs a file of cases and prints each difference."""

import sys
import tomllib
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.peer_cases.reading import read_cases
from tests.peer_cases.run import Result, run_cases

HERE = Path(__file__).parent
CASES = HERE / "peer_cases.jsonl"
OWN_CASES = HERE / "own_cases.jsonl"
"""Cases of ours in the same form, about what the file hints at and does not hold."""
DEVIATIONS = HERE / "deviations.toml"
SHORTFALLS = HERE / "shortfalls.toml"


def reasons_of(path: Path) -> dict[str, str]:
    """Why cases are answered otherwise, by case id."""
    reasons: dict[str, str] = tomllib.loads(path.read_text())["cases"]
    return reasons


def main(arguments: list[str]) -> int:
    """Run the file that is named, or the project's own.

    The exit status says that the cases were run, not that they passed: that the test says.
    """
    path = Path(arguments[0]) if arguments else CASES
    console = Console(width=None if sys.stdout.isatty() else 160)
    cases = read_cases(path)
    bar = track(run_cases(cases), "peer cases", len(cases), console=Console(stderr=True))
    results = list(bar)
    _show_failures(console, [one for one in results if one.case.in_scope and not one.passed])
    _show_sums(console, results)
    return 0


def _show_failures(console: Console, failed: list[Result]) -> None:
    known = {**reasons_of(SHORTFALLS), **reasons_of(DEVIATIONS)}
    for result in failed:
        case = result.case
        console.print(f"{case.id}  {case.title}", style="bold", markup=False)
        for text in result.differences:
            console.print(f"    {text}", style="red", markup=False)
        if case.id in known:
            console.print(f"    known: {known[case.id]}", style="dim", markup=False)


def _show_sums(console: Console, results: list[Result]) -> None:
    table = Table("scope", "passed", "failed")
    for scope in sorted({one.case.scope for one in results}):
        passed, failed = _sums([one for one in results if one.case.scope == scope])
        table.add_row(scope, str(passed), str(failed))
    console.print(table)
    _show_not_understood(console, [one for one in results if one.case.in_scope and one.passed])
    passed, failed = _sums([one for one in results if one.case.in_scope])
    console.print(f"in scope: {passed} passed, {failed} failed", highlight=False)


def _show_not_understood(console: Console, passed: list[Result]) -> None:
    """A case may pass though a word of it says nothing to us: whoever reads the sum should know."""
    for result in passed:
        if result.case.not_understood:
            words = ", ".join(result.case.not_understood)
            console.print(f"{result.case.id} passes, not understood: {words}", markup=False)


def _sums(results: list[Result]) -> tuple[int, int]:
    passed = sum(1 for one in results if one.passed)
    return passed, len(results) - passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
