"""How far clocks are apart: the server's from ours, from questions asked; ours from a till's."""

from collections import deque
from collections.abc import Callable

from msgspec import Struct

KEPT = 8
OPEN_LONGEST_US = 86_400_000_000
"""So long a receipt may have been open, suspended ones among them."""


class Sample(Struct, frozen=True):
    """The server's clock as read between two readings of ours, UTC microseconds."""

    sent_us: int
    server_us: int
    received_us: int

    @property
    def offset_us(self) -> int:
        """Server minus ours, if both ways took as long."""
        return self.server_us - (self.sent_us + self.received_us) // 2

    @property
    def error_us(self) -> int:
        """By how much that may be wrong."""
        return (self.received_us - self.sent_us + 1) // 2


class ServerOffset:
    """The best of the last samples: the one with the shortest way."""

    def __init__(self, offset_us: int = 0) -> None:
        """Begin with what was measured last, microseconds; 0 if nothing was."""
        self._offset_us = offset_us
        self._is_measured = False
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self.on_first: list[Callable[[int], object]] = []
        """Are told with the first sample by how much ours was set since what was measured last,
        microseconds; 0 if it need not have been."""

    @property
    def offset_us(self) -> int:
        """Clock of the server minus ours, microseconds."""
        return self._offset_us

    def add(self, sample: Sample) -> None:
        """Take a sample in. One that cannot be true beside the others means a clock was set."""
        if any(_contradict(sample, one) for one in self._samples):
            self._samples.clear()
        self._samples.append(sample)
        step_us = self._offset_us - sample.offset_us
        self._offset_us = min(self._samples, key=lambda one: one.error_us).offset_us
        if not self._is_measured:
            self._is_measured = True
            for tell in self.on_first:
                tell(step_us if abs(step_us) > sample.error_us + DRIFT_US else 0)

    def stepped(self, step_us: int) -> None:
        """Our clock was set by so much: what was measured holds in the new reckoning."""
        kept = [
            Sample(one.sent_us + step_us, one.server_us, one.received_us + step_us)
            for one in self._samples
        ]
        self._samples.clear()
        self._samples.extend(kept)
        self._offset_us -= step_us


class TillOffsets:
    """How far ours is from the clocks of the tills, by till."""

    def __init__(self) -> None:
        """Begin with tills whose clocks are ours."""
        self._by_till: dict[str, int] = {}

    def told(self, till: str, till_us: int, now_us: int) -> None:
        """A till has said what its clock shows."""
        self._by_till[till] = now_us - till_us

    def seen(self, till: str, opened_us: int, now_us: int) -> None:
        """A till has opened a receipt by its clock: it did so before now, not after.

        If it would have been open for longer than receipts are, by what is held of a clock that was
        ahead, that clock has been set since.

        Args:
            till: Which.
            opened_us: When, by the till's clock.
            now_us: Our clock.
        """
        offset_us = self.offset_us(till)
        if opened_us > now_us - offset_us:
            self._by_till[till] = now_us - opened_us
        elif offset_us < 0 and opened_us < now_us - offset_us - OPEN_LONGEST_US:
            self._by_till[till] = min(0, now_us - opened_us)

    def stepped(self, step_us: int) -> None:
        """Our clock was set by so much; those of the tills were not."""
        for till in self._by_till:
            self._by_till[till] += step_us

    def offset_us(self, till: str) -> int:
        """Our clock minus the till's, microseconds."""
        return self._by_till.get(till, 0)


def _contradict(one: Sample, other: Sample) -> bool:
    return abs(one.offset_us - other.offset_us) > one.error_us + other.error_us + DRIFT_US


DRIFT_US = 50_000
"""What two good clocks may drift apart while samples are kept."""
