"""Which answer of the run is worth showing in full."""

from msgspec import Struct

from loyalty.v1.answer_pb2 import Answer, SetCompleteness
from loyalty.v1.receipt_pb2 import Sale
from loyalty.v1.till_service_pb2 import CheckoutResponse, QuoteResponse

KINDS_WANTED = 3
LINES_MAX = 16
"""A longer receipt does not fit a screen."""


class Shown(Struct, frozen=True):
    """A receipt with its answer.

    Attributes:
        hints: What its last quote said was within reach.
    """

    sale: Sale
    response: CheckoutResponse
    hints: tuple[str, ...] = ()


def is_full(answer: Answer) -> bool:
    """Whether all four sets are COMPLETE and none is empty."""
    sets = (answer.lines, answer.rewards, answer.prompts, answer.cross_sell)
    complete = SetCompleteness.SET_COMPLETENESS_COMPLETE
    filled = (
        any(line.adjustments for line in answer.lines.lines),
        answer.rewards.rewards,
        answer.prompts.prompts,
        answer.cross_sell.items,
    )
    return all(s.status.completeness == complete for s in sets) and all(filled)


class Showcase:
    """Keeps the first full answer, and replaces it only by one with more kinds of adjustments."""

    def __init__(self) -> None:
        self.best: Shown | None = None
        self._score = (False, 0)

    def offer(
        self, sale: Sale, response: CheckoutResponse, quoted: QuoteResponse | None = None
    ) -> None:
        """Consider an answer, with the quote before it."""
        if self._score == (True, KINDS_WANTED) or not is_full(response.answer):
            return
        lines = response.answer.lines.lines
        kinds = {adjustment.kind for line in lines for adjustment in line.adjustments}
        score = (len(lines) <= LINES_MAX, min(KINDS_WANTED, len(kinds)))
        if self.best is None or score > self._score:
            hints = tuple(hint.text for hint in quoted.answer.hints) if quoted else ()
            self.best, self._score = Shown(sale, response, hints), score
