"""What a refund or a void takes off the turnover of its customer, on the local day of the sale."""

from collections.abc import Mapping

from rewards.evaluate import Evaluated
from rewards.refund import Evaluator
from rewards.tier import turnover_gone, turnover_of
from server.till.original import Original
from server.till.tiers import TurnoverChange, brought_back


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
    before = original.returned
    upto = {line_id: before.get(line_id, 0) + now.get(line_id, 0) for line_id in {*before, *now}}
    gone_minor = turnover_gone(original.sale, sold, before)
    amount_minor = turnover_gone(original.sale, sold, upto) - gone_minor
    program = original.rules.program
    return brought_back(program, original.facts, amount_minor, is_gone=is_gone)


def back_of_void(original: Original, evaluate: Evaluator) -> tuple[TurnoverChange, ...]:
    """What a void takes off: what refunds have left of the sale.

    Args:
        original: the sale.
        evaluate: says what its lines were sold for.
    """
    program, sale = original.rules.program, original.sale
    if not program.tier_rules:
        return ()
    sold = evaluate(original.rules, sale, original.facts, None)
    gone_minor = turnover_gone(sale, sold, original.returned)
    left_minor = turnover_of(sale, sold).amount_minor - gone_minor
    was_gone = bool(original.returns) and original.gone_with({})
    return brought_back(program, original.facts, left_minor, is_gone=not was_gone)
