"""Goal: loyaltyctl shows what tills, customers and files call things as it is, whatever that is."""

from io import StringIO

import pytest
from rich.console import Console

from pos_sim.cash_server.status import SpoolStatus, show_status
from server.ctl.link import back_office
from server.ctl.say import CtlError, say, say_error, say_table

NAMES = [
    r"\[/red]",
    "[/red]",
    "[bold]x",
    "[link=http://till.example]x",
    "trailing\\",
    ":100:",
    "a\N{NO-BREAK SPACE}b",
    "Касса 1",
]
"""They read as markup, as its escapes, as a picture."""
UNSEEN = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]0;x\x07": r"\x1b]0;x\x07",
    "a\rb": r"a\rb",
    "\N{RIGHT-TO-LEFT OVERRIDE}1": r"\u202e1",
}
"""A terminal would obey: clear itself, rename its window, overwrite the line, turn it round."""


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    say_table(name, ("till",), [(name,)])
    assert capsys.readouterr().out.count(name) == 2
    say(name)
    say_error(CtlError(name, name))
    assert capsys.readouterr() == (f"{name}\n", f"error: {name}\n  {name}\n")


def test_a_row_that_is_piped_stays_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    cells = ("0123456789abcdef" * 4, "the reason " * 10, "till")
    say_table("Quarantine", ("id", "reason", "till"), [cells])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if cells[0] in line]
    assert cells[1] in line


@pytest.mark.parametrize(("sent", "shown"), UNSEEN.items())
def test_no_name_in_a_table_moves_the_terminal(
    sent: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say_table(sent, ("till",), [(sent,)])
    out = capsys.readouterr().out
    assert (out.count(shown), out.count(sent)) == (2, 0)


@pytest.mark.parametrize("target", ["kiosk", "127.0.0.1", "http://kiosk", "127.0.0.1:99999"])
def test_a_target_without_a_port_is_no_server_that_is_down(target: str) -> None:
    """Of those gRPC takes port 443, and of 99999 another one."""
    with pytest.raises(CtlError, match="is no host:port of a server; "), back_office(target):
        pass


@pytest.mark.parametrize("name", NAMES)
def test_a_cash_server_names_a_till_as_it_is(name: str) -> None:
    words = {"last_error": name, "spool_error": name, "link": name, "pid": "1", "seen_at_us": "9"}
    status = SpoolStatus(0, 0, 0, {}, {}, words, [(7, name, name)])
    out = StringIO()
    show_status(Console(file=out, width=200), status, 9)
    assert out.getvalue().count(name) == 5
