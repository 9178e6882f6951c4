"""How fast the spool is emptied: a limit on the rate, and longer and longer waits after failures.

Knows no clock: the time is an argument, seconds of any clock that only goes forward.
"""

import random


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
