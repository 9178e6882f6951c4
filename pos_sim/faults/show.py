"""What fault runs came to, as a table."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from pos_sim.faults.books import Books, Verdict, by_outcome


def show_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Show a row for each scenario."""
    table = Table(
        "scenario",
        Column("receipts", justify="right"),
        Column("live", justify="right"),
        Column("as quoted, plain, not sold", justify="right"),
        Column("forwarded, superseding", justify="right"),
        Column("good link", justify="right"),
        Column("slowest", justify="right"),
        "verdict",
    )
    for verdict in verdicts:
        books = verdict.books
        ended = by_outcome(books)
        broken_off = (f"{ended[name]:,}" for name in ("as_answered", "plain", "not_sold"))
        forwarded = (f"{verdict.spool.get(name, 0):,}" for name in ("forwarded", "superseded"))
        table.add_row(
            verdict.scenario,
            f"{len(books.receipts):,}",
            f"{ended['live']:,}",
            ", ".join(broken_off),
            ", ".join(forwarded),
            f"{books.good_calls - books.good_misses.total():,} of {books.good_calls:,}",
            f"{books.slowest_s:.2f} s",
            _judged(books),
        )
    console.print(table)
    console.print("good link: calls answered live of those made while no fault was near")


def _judged(books: Books) -> str:
    wrong = books.count["problems"]
    return f"[bold red]{wrong} wrong[/bold red]" if wrong else "[green]well[/green]"
