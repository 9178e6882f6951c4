"""Tells how far a run is: a bar in a terminal, a plain line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pos_sim.tally import Tally

PLAIN_EVERY_S = 5.0
REFRESH_EVERY_S = 0.1


class RunProgress:
    """Shows receipts done, their rate and the refused ones."""

    def __init__(self, console: Console, total: int) -> None:
        """Show a run.

        Args:
            console: Where to; whether it is a terminal decides how.
            total: Receipts of the run.
        """
        self._console = console
        self._total = total
        self._started_at = self._told_at = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        """Begin."""
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("receipts"),
                BarColumn(bar_width=None),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]:,.0f}/s"),
                TextColumn("refused {task.fields[refused]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                expand=True,
            )
            self._task = self._bar.add_task("receipts", total=self._total, rate=0.0, refused=0)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, whatever happened."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, tally: Tally) -> None:
        """Tell that one more receipt has ended."""
        now = time.monotonic()
        is_last = tally.done == self._total
        every_s = REFRESH_EVERY_S if self._bar is not None else PLAIN_EVERY_S
        if now - self._told_at < every_s and not is_last:
            return
        self._told_at = now
        rate = tally.done / max(1e-9, now - self._started_at)
        if self._bar is not None:
            refused = tally.refused.total()
            self._bar.update(self._task, completed=tally.done, rate=rate, refused=refused)
        else:
            self._tell_plainly(tally, rate)

    def _tell_plainly(self, tally: Tally, rate: float) -> None:
        percent = 100 * tally.done // max(1, self._total)
        self._console.print(
            f"  {tally.done:,} of {self._total:,} receipts ({percent}%), "
            f"{rate:,.0f}/s, refused {tally.refused.total()}",
            highlight=False,
        )
