"""Sells a receipt under some promotions, and reads what came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewards.evaluate import Evaluation
from rewards.facts import Facts
from rewards.program import Promotion
from rewards.sale import Line
from rewards.trace import Condition, TraceOutcome
from tests import make

FIRED = (TraceOutcome.FIRED, Condition.NONE, 0)
"""As `traced` gives it."""
CUT = (TraceOutcome.LIMIT_REACHED, Condition.NONE, 0)
"""The same: it fired as often, or gave as much, as a limit of the receipt lets it."""


def sold(
    promotions: Sequence[Promotion] | Promotion,
    *lines: Line,
    known: Facts | None = None,
    program: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Evaluation:
    """Evaluate a receipt of these lines.

    Args:
        promotions: the program's, or its only one.
        lines: at least one.
        known: facts; without them a known customer in a store without zones.
        program: other fields of the program, by name.
        changes: fields of the sale or its header, by name.
    """
    all_of_them = [promotions] if isinstance(promotions, Promotion) else promotions
    made = make.sale(*lines, **changes)
    return make.evaluated(all_of_them, made, known or make.facts(), **(program or {}))


def amounts(evaluation: Evaluation) -> list[int | None]:
    """What each line costs; None if it is cancelled."""
    return [None if outcome is None else outcome.amount_minor for outcome in evaluation.outcomes]


def to_pay(evaluation: Evaluation) -> int:
    """What all lines cost together."""
    return sum(outcome.amount_minor for outcome in evaluation.outcomes if outcome)


def runs(evaluation: Evaluation, position: int = 0) -> list[tuple[int, int]]:
    """(pieces in thousandths, unit price) of a line's runs."""
    outcome = evaluation.outcomes[position]
    assert outcome is not None
    return [(run.quantity_milli, run.unit_price_minor) for run in outcome.runs]


def offered(evaluation: Evaluation) -> int:
    """Pieces that may be added, in thousandths."""
    return sum(offer.quantity_milli for offer in evaluation.offers)


def granted(evaluation: Evaluation) -> list[int]:
    """The amount of each reward."""
    return [grant.amount_minor for grant in evaluation.grants]


def spent(evaluation: Evaluation) -> list[int]:
    """What each promotion cost the customer in its asset."""
    return [one.amount_minor for one in evaluation.spends]


def traced(evaluation: Evaluation) -> list[tuple[TraceOutcome, Condition, int]]:
    """Outcome, condition and by how much it failed, of each candidate."""
    return [
        (TraceOutcome(entry.outcome), Condition(entry.condition), entry.missing)
        for entry in evaluation.trace
    ]


def fired(evaluation: Evaluation) -> list[int]:
    """How often each candidate fired."""
    return [entry.times for entry in evaluation.trace]
