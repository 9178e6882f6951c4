"""How fast the spool is emptied.

At a limited rate, as many side by side as are answered in good time, and with longer and longer
waits after failures.

Knows no clock: the time is an argument, seconds of any clock that only goes forward.
"""

import random

NARROWEST = 16
"""So many side by side are no burden: a slow link may not make it fewer."""
WIDENS_BY, NARROWS_BY = 1.25, 0.75
"""At most, from one round of answers to the next."""


class Pace:
    """At most so many a second; what was not used in the last second may be caught up."""

    def __init__(self, rate: float) -> None:
        """Begin with a second's worth.

        Args:
            rate: Entries a second; 0 is no limit.
        """
        self._rate = rate
        self._left = max(1.0, rate)
        self._at_s = 0.0

    def take(self, now_s: float) -> float:
        """Take a turn.

        Returns:
            How long to wait before it is used, seconds.
        """
        if self._rate <= 0:
            return 0.0
        passed_s = max(0.0, now_s - self._at_s)
        self._left = min(max(1.0, self._rate), self._left + passed_s * self._rate)
        self._at_s = now_s
        self._left -= 1.0
        return max(0.0, -self._left / self._rate)


class Width:
    """How many entries may be under way side by side.

    Under load twice as many wait twice as long for their answers (Little's law), and what others
    ask of the same server waits with them. So after each round of answers, as many as may be under
    way, the width is set to what would have been answered within the aim. It widens only if it was
    used. Source: ADR 0045.
    """

    def __init__(self, widest: int, aim_s: float) -> None:
        """Begin narrow.

        Args:
            widest: Never more, 1 or more.
            aim_s: How long an answer should take at the mean of a round, seconds.
        """
        self._widest = widest
        self._aim_s = aim_s
        self._width = min(NARROWEST, widest)
        self._answers, self._took_s, self._most = 0, 0.0, 0

    @property
    def at_once(self) -> int:
        """How many, from the least of NARROWEST and the widest up to the widest."""
        return self._width

    def answered(self, took_s: float, under_way: int) -> None:
        """Learn from an answer.

        Args:
            took_s: How long it was waited for, seconds.
            under_way: Entries under way when it came, itself among them.
        """
        self._answers += 1
        self._took_s += took_s
        self._most = max(self._most, under_way)
        if self._answers < self._width:
            return
        grown = WIDENS_BY if self._most >= self._width else 1.0
        factor = self._aim_s * self._answers / max(self._took_s, 1e-9)
        self._begin_round(int(self._width * min(max(factor, NARROWS_BY), grown)))

    def lost(self) -> None:
        """Begin narrow again: the link or the server failed, or the server has too much to do."""
        self._begin_round(NARROWEST)

    def _begin_round(self, width: int) -> None:
        self._width = min(max(width, NARROWEST), self._widest)
        self._answers, self._took_s, self._most = 0, 0.0, 0


def backoff_s(attempt: int, first_s: float, max_s: float, rng: random.Random) -> float:
    """How long to wait after a failure: twice as long after each, a part of it is chance.

    Args:
        attempt: Failures so far, 1 or more.
        first_s: After the first one, seconds.
        max_s: Never longer, but for the chance.
        rng: Spreads the waits by a fifth to either side.
    """
    exponent = min(attempt - 1, 30)  # 2 ** 30 of anything is beyond max_s
    return min(max_s, first_s * 2.0**exponent) * rng.uniform(0.8, 1.2)
