"""How batches grow under load: they start a little apart, so that more calls join each.

A batch costs the database and this process much the same whatever its size. The first after a
pause leaves at once: idle, nobody waits and there is no timer. The busier the process, the further
apart they start; once it has nothing to compute, whoever could have joined has (ADR 0017).
"""

import asyncio
import time
from collections.abc import Callable

ENTRIES_ENOUGH = 64
"""A queue of so many entries goes at once."""
APART_TIMES_MAX = 4.0
"""How much further apart batches start while the process is busy."""
SLICE_S = 0.003
"""How often a batch that waits for company looks whether any is being made ready."""
IDLE_BELOW = 0.25
"""Of a slice: computing less than that the loop makes nobody ready."""
BUSY_FROM, BUSY_FULLY = 0.4, 0.8
"""Of a core: up to there batches start no further apart, from there on furthest."""


class Pace:
    """Spaces the starts of batches."""

    def __init__(self, apart_s: float, cpu_s: Callable[[], float] = time.thread_time) -> None:
        """Start so that the first batch does not wait.

        Args:
            apart_s: least time between two starts while fewer than ENTRIES_ENOUGH are queued.
            cpu_s: what the loop's thread has computed so far, seconds.
        """
        self._apart_s = apart_s
        self._cpu_s = cpu_s
        self._last_s = 0.0
        self._last_cpu_s = 0.0

    async def ready(self, queued: Callable[[], int]) -> None:
        """Wait until the next batch should start, or the loop is idle.

        Args:
            queued: says how many entries wait.
        """
        loop = asyncio.get_running_loop()
        until_s = self._last_s + self._apart_s * self._times(loop.time())
        # Without a wait, calls that are ready to run still join.
        await asyncio.sleep(0.0)
        while queued() < ENTRIES_ENOUGH and (now_s := loop.time()) < until_s:
            before_s = self._cpu_s()
            await asyncio.sleep(min(until_s - now_s, SLICE_S))
            if self._cpu_s() - before_s < IDLE_BELOW * (loop.time() - now_s):
                break
        self._last_s = loop.time()
        self._last_cpu_s = self._cpu_s()

    def _times(self, now_s: float) -> float:
        """How much further apart than the least, by how busy the loop was since the last batch."""
        elapsed_s = now_s - self._last_s
        if elapsed_s <= 0.0:
            return 1.0
        busy = (self._cpu_s() - self._last_cpu_s) / elapsed_s
        share = (busy - BUSY_FROM) / (BUSY_FULLY - BUSY_FROM)
        return 1.0 + (APART_TIMES_MAX - 1.0) * min(max(share, 0.0), 1.0)
