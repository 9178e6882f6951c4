"""One timer for all who wait: most of them are answered long before their time is up.

A timer of its own costs a call more than all else that waiting costs it. Source: ADR 0050.
"""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

RINGS_APART_S = 0.005
"""So much later than at the deadline a call may be told: each ring looks at all who wait."""

Waiting = TypeVar("Waiting")


class Deadlines(Generic[Waiting]):
    """Tells whose time is up, RINGS_APART_S after that at the latest."""

    def __init__(self, expire: Callable[[Waiting], None]) -> None:
        """Watch nobody yet.

        Args:
            expire: called once for each that is still watched at its deadline; must not raise.
        """
        self._expire = expire
        self._deadlines_s: dict[Waiting, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at_s = inf

    def watch(self, waiting: Waiting, deadline_s: float) -> None:
        """Watch until `forget`.

        Args:
            waiting: who waits, told from others by equality.
            deadline_s: the loop's time.
        """
        self._deadlines_s[waiting] = deadline_s
        if deadline_s < self._rings_at_s:
            self._ring_at(deadline_s)

    def forget(self, waiting: Waiting) -> None:
        """Watch no longer; nothing if it is not watched. The timer stays: it finds others."""
        self._deadlines_s.pop(waiting, None)

    def _ring_at(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at_s = at_s
        self._timer = asyncio.get_running_loop().call_at(at_s, self._ring)

    def _ring(self) -> None:
        """Tell whose time is up, and wait for the next one."""
        self._timer, self._rings_at_s = None, inf
        now_s = asyncio.get_running_loop().time()
        late = [one for one, deadline_s in self._deadlines_s.items() if deadline_s <= now_s]
        for one in late:
            del self._deadlines_s[one]
        for one in late:
            self._expire(one)
        if self._deadlines_s:
            self._ring_at(max(min(self._deadlines_s.values()), now_s + RINGS_APART_S))
