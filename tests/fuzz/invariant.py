"""What must hold of every evaluation, whoever made it."""

from collections.abc import Iterator

from rewards.evaluate import Evaluation
from rewards.limits import MILLI
from rewards.rounding import floor_div
from rewards.runs import LineOutcome
from rewards.sale import Line, Unit
from tests.strategies import Case


def broken(case: Case, evaluation: Evaluation) -> list[str]:
    """Say what does not hold; nothing is all well."""
    found = [*_rewards(evaluation), *_trace(evaluation), *_proofs(evaluation)]
    if len(evaluation.outcomes) != len(case.sale.lines):
        return [*found, "not one outcome a line"]
    floors = {product.sku: product.minimum_price_minor for product in case.facts.products}
    for line, outcome in zip(case.sale.lines, evaluation.outcomes, strict=True):
        if (outcome is None) != line.cancelled:
            found.append(f"{line.line_id}: an outcome of a cancelled line, or none of another")
        elif outcome is not None:
            texts = _line(line, outcome, floors.get(line.sku, 0))
            found += [f"{line.line_id}: {text}" for text in texts]
    return found


def _line(line: Line, outcome: LineOutcome, floor_minor: int) -> Iterator[str]:
    effects = [adjustment.amount_minor for adjustment in outcome.adjustments]
    if sum(effects) != outcome.amount_minor - line.amount_minor:
        yield "the adjustments do not explain the amount"
    if any(effect >= 0 for effect in effects):
        yield "an adjustment does not lower"
    feed_minor = floor_div(floor_minor * line.quantity_milli, MILLI)
    lowest_minor = min(max(line.minimum_amount_minor, feed_minor, 0), line.amount_minor)
    if not lowest_minor <= outcome.amount_minor <= line.amount_minor:
        yield "the amount is not between the floor and what was sent"
    yield from _runs(line, outcome)


def _runs(line: Line, outcome: LineOutcome) -> Iterator[str]:
    if sum(run.quantity_milli for run in outcome.runs) != line.quantity_milli:
        yield "the runs do not sum to the quantity"
    if sum(run.amount_minor for run in outcome.runs) != outcome.amount_minor:
        yield "the runs do not sum to the amount"
    if any(run.quantity_milli <= 0 or run.unit_price_minor < 0 for run in outcome.runs):
        yield "a run of nothing, or below zero"
    counted = outcome.runs if line.unit == Unit.PIECE else ()
    if any(
        run.quantity_milli * run.unit_price_minor != run.amount_minor * MILLI for run in counted
    ):
        yield "a run is not its quantity times its price"


def _rewards(evaluation: Evaluation) -> Iterator[str]:
    if any(grant.amount_minor < 1 or grant.value_minor < 0 for grant in evaluation.grants):
        yield "a reward of nothing, or below zero"
    if any(spend.amount_minor < 1 for spend in evaluation.spends):
        yield "a spend of nothing, or below zero"
    if any(offer.quantity_milli < 1 or offer.amount_minor < 0 for offer in evaluation.offers):
        yield "an offer of nothing, or below zero"


def _trace(evaluation: Evaluation) -> Iterator[str]:
    numbers = [entry.number for entry in evaluation.trace]
    if len(numbers) != len(set(numbers)):
        yield "a promotion stands twice in the trace"
    fired = {entry.number for entry in evaluation.trace if entry.times}
    named = {grant.number for grant in evaluation.grants}
    named |= {spend.number for spend in evaluation.spends}
    for outcome in evaluation.outcomes:
        named |= {one.number for one in outcome.adjustments} if outcome else set()
    if not named <= fired:
        yield "a promotion gave or took something and did not fire"


def _proofs(evaluation: Evaluation) -> Iterator[str]:
    if any(proof.gap_minor < 0 or proof.steps < 0 for proof in evaluation.proofs):
        yield "a proof has a negative gap"
    if any(proof.optimal and proof.gap_minor for proof in evaluation.proofs):
        yield "a proof is optimal and has a gap"
