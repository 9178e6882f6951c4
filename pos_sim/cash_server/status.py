"""What a spool holds, read beside the cash server that writes it or after it has died."""

import sqlite3
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.entry import UNSETTLED, State

FRESH_US = 10_000_000
"""A cash server that has not written for so long does not run."""


class SpoolStatus(Struct, frozen=True):
    """What `status` tells.

    Attributes:
        depth: Entries that wait to be settled.
        oldest_at_us: When the oldest of them arrived, UTC microseconds; 0 if none waits.
        amount_minor: What they sell, minor units.
        by_state: Entries by state.
        tally: What was counted since the spool was made.
        words: What the cash server said last: link, pid, offset, errors.
        set_aside: Of entries that the server cannot take: id, till, why; at most 20.
    """

    depth: int
    oldest_at_us: int
    amount_minor: int
    by_state: dict[str, int]
    tally: dict[str, int]
    words: dict[str, str]
    set_aside: list[tuple[int, str, str]]

    def is_running(self, now_us: int) -> bool:
        """Whether a cash server has written lately, by the clock it uses, UTC microseconds."""
        return now_us - int(self.words.get("seen_at_us", "0")) < FRESH_US


def read_status(path: Path) -> SpoolStatus:
    """Read a spool without changing it.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: There is none.
        sqlite3.Error: It is no spool.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    connection = sqlite3.connect(path, timeout=5.0)
    try:
        connection.execute("pragma query_only = on")
        return _read(connection)
    finally:
        connection.close()


def show_status(console: Console, status: SpoolStatus, now_us: int) -> None:
    """Show it as a table."""
    words = status.words
    table = Table(show_header=False)
    is_running = status.is_running(now_us)
    table.add_row("cash server", f"runs, pid {words['pid']}" if is_running else "does not run")
    table.add_row("link", Text(words.get("link", "unknown") if is_running else "unknown"))
    table.add_row("clock of the server", f"{int(words.get('offset_us', '0')) / 1e6:+.3f} s")
    table.add_row("depth", f"{status.depth:,}")
    age_s = (now_us - status.oldest_at_us) // 1_000_000 if status.oldest_at_us else 0
    table.add_row("oldest", f"{age_s:,} s" if status.oldest_at_us else "-")
    table.add_row("sold by what waits", f"{status.amount_minor:,} minor units")
    # What tills are called, and what errors say of it, is no markup.
    table.add_row("last error", Text(words.get("last_error") or "-"))
    table.add_row("error of the disk", Text(words.get("spool_error") or "-"))
    for state in State:
        if state.value in status.by_state:
            table.add_row(f"entries {state.value}", f"{status.by_state[state.value]:,}")
    for name, times in sorted(status.tally.items()):
        table.add_row(f"so far {name}", f"{times:,}")
    for entry_id, till, why in status.set_aside:
        table.add_row(f"set aside {entry_id}", Text(f"{till}: {why}"))
    console.print(table)


def _read(connection: sqlite3.Connection) -> SpoolStatus:
    unsettled = ", ".join(f"'{state.value}'" for state in sorted(UNSETTLED))
    depth, oldest_at_us, amount_minor = connection.execute(
        "select count(*), coalesce(min(arrived_at_us), 0), coalesce(sum(amount_minor), 0) "
        f"from entry where state in ({unsettled})"
    ).fetchone()
    by_state = dict(connection.execute("select state, count(*) from entry group by state"))
    set_aside = connection.execute(
        "select entry_id, till, note from entry where state = 'SET_ASIDE' "
        "order by entry_id limit 20"
    ).fetchall()
    return SpoolStatus(
        depth=depth,
        oldest_at_us=oldest_at_us,
        amount_minor=amount_minor,
        by_state=by_state,
        tally=spool_rows.read_tally(connection),
        words=spool_rows.read_words(connection),
        set_aside=set_aside,
    )
