"""How a batch grows: while calls that are ready to run keep adding to it, and no longer.

Idle, a batch leaves at once: there is no timer. Under load it is worth waiting for the calls that
are about to join, because a batch costs the database and this process much the same whatever its
size; the wait is bounded in entries and in time.
"""

import asyncio
from collections.abc import Callable

ENTRIES_ENOUGH = 64
WAIT_MAX_S = 0.01


async def gather_batch(queued: Callable[[], int]) -> None:
    """Let calls that are ready run, until they stop adding to the queue.

    Args:
        queued: says how many entries are queued.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + WAIT_MAX_S
    before = -1
    while before < (now := queued()) < ENTRIES_ENOUGH and loop.time() < until_s:
        before = now
        await asyncio.sleep(0)
