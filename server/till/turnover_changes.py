"""How the turnover of a sale's customer changes after the sale, on the local day of the sale.

What is counted of a receipt is at any time what the till took, by what it stated last, of what has
not come back. Each change is the difference of two such sums, so that together they leave nothing.
"""

from collections.abc import Mapping

from rewards.evaluate import Evaluated
from rewards.outcome import paid_by_line
from rewards.refund import Evaluator
from rewards.sale import Outcome
from rewards.tier import turnover_left
from server.till.original import Original
from server.till.tiers import TurnoverChange


def back_of_refund(
    original: Original, sold: Evaluated, now: Mapping[str, int], *, is_gone: bool
) -> tuple[TurnoverChange, ...]:
    """What a refund takes off: with all others no more than the sale has added.

    Args:
        original: the sale.
        sold: as it was decided.
        now: what comes back, thousandths by line_id.
        is_gone: all that was sold has come back.
    """
    if not _is_counted(original):
        return ()
    before = original.returned
    upto = {line_id: before.get(line_id, 0) + now.get(line_id, 0) for line_id in {*before, *now}}
    left_minor = turnover_left(original.sale, sold, original.paid, upto)
    was_minor = turnover_left(original.sale, sold, original.paid, before)
    return _changed(original, left_minor - was_minor, -int(is_gone))


def back_of_void(original: Original, evaluate: Evaluator) -> tuple[TurnoverChange, ...]:
    """What a void takes off: what refunds have left of the sale.

    Args:
        original: the sale.
        evaluate: says what its lines were sold for.
    """
    if not _is_counted(original):
        return ()
    sold = evaluate(original.rules, original.sale, original.facts, None)
    left_minor = turnover_left(original.sale, sold, original.paid, original.returned)
    was_gone = bool(original.returns) and original.gone_with({})
    return _changed(original, -left_minor, -int(not was_gone))


def restated(
    original: Original, outcome: Outcome, evaluate: Evaluator
) -> tuple[TurnoverChange, ...]:
    """How it changes when a till states anew at what it sold.

    Args:
        original: the sale, before that.
        outcome: what is stated of it, and counts from now on.
        evaluate: says what its lines were sold for.
    """
    paid = paid_by_line(outcome)
    if not _is_counted(original) or original.is_undone or paid == original.paid:
        return ()
    sold = evaluate(original.rules, original.sale, original.facts, None)
    now_minor = turnover_left(original.sale, sold, paid, original.returned)
    was_minor = turnover_left(original.sale, sold, original.paid, original.returned)
    return _changed(original, now_minor - was_minor, 0)


def _is_counted(original: Original) -> bool:
    """Whether turnover of the sale is counted at all."""
    return bool(original.rules.program.tier_rules and original.facts.customer.account_id)


def _changed(original: Original, minor: int, receipts: int) -> tuple[TurnoverChange, ...]:
    """A change on the day of the sale; none where nothing changes."""
    day = original.facts.store.local_day
    return ((day, minor, receipts),) if minor or receipts else ()
