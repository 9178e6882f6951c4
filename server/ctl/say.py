"""How loyaltyctl speaks: results on standard output, one clear line for what went wrong."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

out = Console()
err = Console(stderr=True)


class CtlError(Exception):
    """The operator can put this right.

    Attributes:
        lines: what is wrong and what to do about it, a line each.
        exit_code: of the process.
    """

    def __init__(self, *lines: str, exit_code: int = 2) -> None:
        """Keep the lines."""
        super().__init__(lines[0])
        self.lines = lines
        self.exit_code = exit_code


def say_error(error: CtlError) -> None:
    """Say what went wrong on standard error, never folded, so that it can be searched for."""
    for number, line in enumerate(error.lines):
        prefix = "error: " if number == 0 else "  "
        err.print(prefix + line, markup=False, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Say a line of the result as it is."""
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def say_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Show rows as a table; texts of ours and the operator's are never read as markup."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(text.replace("[", r"\[") for text in row))
    out.print(table)
