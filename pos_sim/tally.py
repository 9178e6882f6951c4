"""What a run counted: how receipts ended, how calls failed, and how long they took."""

from collections import Counter

from hdrh.histogram import HdrHistogram
from msgspec import Struct, field

from pos_sim.refusal import Refusal

LATENCY_US_MAX = 600_000_000
FAULTS_KEPT = 20


class Latency:
    """How long one kind of call took, from the intended send to the answer."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, LATENCY_US_MAX, 3)

    def record(self, seconds: float) -> None:
        """Count one call that took so many seconds."""
        self._histogram.record_value(max(1, min(LATENCY_US_MAX, round(seconds * 1e6))))

    @property
    def count(self) -> int:
        """Calls counted."""
        return int(self._histogram.get_total_count())

    def percentile_ms(self, percentile: float) -> float:
        """The latency that so many percent of the calls did not exceed, milliseconds."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1000

    @property
    def max_ms(self) -> float:
        """The longest, milliseconds."""
        return self.percentile_ms(100.0) if self.count else 0.0


class Tally(Struct):
    """Counters of a run. Every receipt is answered, refused or without answer in the end.

    Attributes:
        answered: Checkout gave the four sets; `answered_before` of them were sold by an earlier
            run with the same keys.
        broken_off: The till gave up, BreakOff closed the key, and the receipt got another one.
        unanswered: No answer in as many attempts as allowed; `silent` of them in a row just now.
        refused: Receipts refused, by reason.
        retried: Calls sent again, all kinds together.
        faults: Calls that failed by a fault of the server; the first few in `fault_texts`.
        broken_promises: Answers that contradict the contract, the first few of them.
    """

    answered: int = 0
    answered_before: int = 0
    broken_off: int = 0
    unanswered: int = 0
    silent: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    refused_unexpectedly: int = 0
    retried: int = 0
    faults: int = 0
    fault_texts: list[str] = field(default_factory=list)
    broken_promise_count: int = 0
    broken_promises: list[str] = field(default_factory=list)
    quoted: int = 0
    quoted_again: int = 0
    pieces_added: int = 0
    identified: int = 0
    profiles_submitted: int = 0
    profiles_refused: Counter[str] = field(default_factory=Counter)
    looked_up: int = 0
    repeated: int = 0
    voided: int = 0
    quote_latency: Latency = field(default_factory=Latency)
    checkout_latency: Latency = field(default_factory=Latency)

    @property
    def done(self) -> int:
        """Receipts that have ended, in whatever way."""
        return self.answered + self.refused.total() + self.unanswered

    def count_fault(self, call: str, refusal: Refusal) -> None:
        """Count a call that failed by a fault of the server."""
        self.faults += 1
        if len(self.fault_texts) < FAULTS_KEPT:
            self.fault_texts.append(f"{call}: {refusal}")

    def count_broken_promise(self, what: str) -> None:
        """Count an answer that contradicts the contract."""
        self.broken_promise_count += 1
        if len(self.broken_promises) < FAULTS_KEPT:
            self.broken_promises.append(what)
