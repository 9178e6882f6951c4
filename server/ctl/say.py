"""How loyaltyctl speaks: results on standard output, one clear line for what went wrong."""

import unicodedata
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Nothing that is shown is written for rich: of a name it would make a picture.
out = Console(emoji=False)
if not out.is_terminal:
    out.width = 10_000  # what reads a pipe line by line needs each row of a table in one
err = Console(stderr=True, emoji=False)
_OBEYED = ("Cc", "Cf")
"""Categories of characters that a terminal does not show but obeys."""


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
    """Show rows as a table; nothing in them is read as markup, or obeyed by the terminal.

    Cells are folded to the width of a terminal, and never elsewhere.
    """
    table = Table(title=_shown(title), title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(_shown, row))
    out.print(table)


def _shown(text: str) -> Text:
    """Show a text that may come from a till; only a line may end in it."""
    return Text("".join([_spelled(one) for one in text]))


def _spelled(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _OBEYED:
        return character
    return character.encode("unicode_escape").decode()
