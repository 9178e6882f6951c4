"""How batches grow under load: they start a little apart, so that more calls join each.

A batch costs the database and this process much the same whatever its size. The first after a
pause leaves at once: idle, nobody waits and there is no timer (ADR 0017). While calls that can wait
are among them, as when a spool is emptied, batches start further apart (ADR 0042).
"""

import asyncio

ENTRIES_ENOUGH = 64
"""A queue of so many entries goes at once."""
PATIENT_TIMES = 2.5
"""How much further apart batches start after one with calls that can wait."""


class Pace:
    """Spaces the starts of batches."""

    def __init__(self, apart_s: float) -> None:
        """Start so that the first batch does not wait.

        Args:
            apart_s: least time between two starts while fewer than ENTRIES_ENOUGH are queued.
        """
        self._apart_s = apart_s
        self._last_s = 0.0
        self.is_patient = False
        """Whether the last batch had calls that can wait."""

    async def ready(self, queued: int) -> None:
        """Wait until the next batch should start.

        Args:
            queued: entries that wait.
        """
        loop = asyncio.get_running_loop()
        apart_s = self._apart_s * (PATIENT_TIMES if self.is_patient else 1.0)
        wait_s = self._last_s + apart_s - loop.time()
        # Without a wait, calls that are ready to run still join.
        await asyncio.sleep(max(wait_s, 0.0) if queued < ENTRIES_ENOUGH else 0.0)
        self._last_s = loop.time()
