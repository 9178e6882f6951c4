"""How batches grow: while this process is busy with other calls, they may join.

A batch costs the database and this process much the same whatever its size. Idle, a batch leaves
at once and there is no timer; under load it lets the calls that are about to join run first.
"""

import asyncio
from collections.abc import Callable

ENTRIES_ENOUGH = 64
"""A queue of so many entries goes at once."""
BUSY_PASS_S = 0.000_1
"""A pass of the loop that takes longer has run other calls: more may be about to join."""


async def let_join(queued: Callable[[], int], wait_max_s: float) -> None:
    """Let calls that are ready run, as long as there are any.

    Args:
        queued: says how many entries wait.
        wait_max_s: the longest that the first of them waits for others, seconds.
    """
    loop = asyncio.get_running_loop()
    now_s = loop.time()
    until_s = now_s + wait_max_s
    while now_s < until_s and queued() < ENTRIES_ENOUGH:
        await asyncio.sleep(0)
        before_s, now_s = now_s, loop.time()
        if now_s - before_s < BUSY_PASS_S:
            return
