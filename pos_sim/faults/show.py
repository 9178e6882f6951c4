"""What fault runs came to, as a table."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Column, Table

from pos_sim.faults.books import Books, Verdict, by_outcome


def show_verdicts(console: Console, verdicts: Iterable[Verdict]) -> None:
    """Show a row for each scenario."""
    right = ("receipts", "live", "as quoted", "plain", "not sold", "forwarded", "superseded")
    table = Table(
        "scenario",
        *(Column(name, justify="right") for name in right),
        Column("over a good link", justify="right"),
        Column("p99, slowest", justify="right"),
        Column("emptied in", justify="right"),
        "verdict",
    )
    for verdict in verdicts:
        books = verdict.books
        ended = by_outcome(books)
        good = f"{books.good_calls - books.good_misses:,} of {books.good_calls:,}"
        p99_s = books.latency.percentile_ms(99.0) / 1_000
        table.add_row(
            verdict.scenario,
            f"{len(books.receipts):,}",
            *(f"{ended[name]:,}" for name in ("live", "as_answered", "plain", "not_sold")),
            f"{verdict.spool.get('forwarded', 0):,}",
            f"{verdict.spool.get('superseded', 0):,}",
            good,
            f"{p99_s:.2f}, {books.slowest_s:.2f} s",
            f"{verdict.drained_s:.1f} s",
            _judged(books),
        )
    console.print(table)


def _judged(books: Books) -> str:
    wrong = books.count["problems"]
    return f"[bold red]{wrong} wrong[/bold red]" if wrong else "[green]well[/green]"
