"""Whether the link is worth waiting for: after some failures in a row nobody waits for a while.

Knows no clock: the time is an argument, seconds of any clock that only goes forward.
"""

import asyncio
import random

from msgspec import Struct


class RushRule(Struct, frozen=True):
    """When to stop trying, and for how long.

    Attributes:
        failures_max: Failures in a row until nobody tries any more, 1 or more.
        pause_first_s: How long the first pause lasts; each one after it twice as long.
        pause_max_s: The longest pause.
    """

    failures_max: int = 3
    pause_first_s: float = 2.0
    pause_max_s: float = 30.0


class LinkHealth:
    """Counts failures; between too many of them and the next answer it is rush mode.

    In rush mode calls of tills are broken off at once, so that a lane keeps its speed. The pulse
    alone tries the link whenever a pause is over; no customer waits for it.
    """

    def __init__(self, rule: RushRule, rng: random.Random) -> None:
        """Begin with a link that is held to be good.

        Args:
            rule: When to stop trying.
            rng: Spreads the pauses, so that cash servers do not come back all at once.
        """
        self._rule = rule
        self._rng = rng
        self._failures = 0
        self._pauses = 0
        self._pause_until_s = 0.0
        self.rush_began = asyncio.Event()
        """Set while it is rush mode."""

    @property
    def is_rush(self) -> bool:
        """Whether tills are answered without trying."""
        return self._failures >= self._rule.failures_max

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    def pause_left_s(self, now_s: float) -> float:
        """How long nothing should be tried, seconds; 0 outside rush mode."""
        return max(0.0, self._pause_until_s - now_s) if self.is_rush else 0.0

    def failed(self, now_s: float) -> None:
        """Count a call that was not answered in time."""
        self._failures += 1
        if self.is_rush:
            self.rush_began.set()
        if self.is_rush and now_s >= self._pause_until_s:
            rule = self._rule
            pause_s = min(rule.pause_max_s, rule.pause_first_s * 2.0**self._pauses)
            self._pauses += 1
            self._pause_until_s = now_s + pause_s * self._rng.uniform(0.8, 1.2)

    def answered(self) -> None:
        """The server has answered: the link is good."""
        self._failures = self._pauses = 0
        self._pause_until_s = 0.0
        self.rush_began.clear()
