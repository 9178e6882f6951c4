"""What a refund or a void takes off the turnover of its customer, on the local day of the sale."""

from collections.abc import Iterable

from rewards.refund import Evaluator
from rewards.sale import LineKind
from server.till.original import Original
from server.till.tiers import TurnoverChange, brought_back

_NO_GOODS = (LineKind.GIFT_CARD, LineKind.DEPOSIT)


def back_of_refund(
    original: Original, lines: Iterable[tuple[str, int]], *, is_gone: bool
) -> tuple[TurnoverChange, ...]:
    """What a refund takes off.

    Args:
        original: the sale.
        lines: (line_id, what comes back was sold for in minor units).
        is_gone: all that was sold has come back.
    """
    amount_minor = _goods_minor(original, lines)
    program = original.rules.program
    return brought_back(program, original.facts, amount_minor, is_gone=is_gone)


def back_of_void(original: Original, evaluate: Evaluator) -> tuple[TurnoverChange, ...]:
    """What a void takes off: what refunds have left of the sale.

    Args:
        original: the sale.
        evaluate: says what its lines were sold for.
    """
    program = original.rules.program
    if not program.tier_rules:
        return ()
    evaluation = evaluate(original.rules, original.sale, original.facts, None)
    sold = [
        (line.line_id, decided.amount_minor)
        for line, decided in zip(original.sale.lines, evaluation.outcomes, strict=True)
        if decided is not None
    ]
    back = [(line_id, minor) for record in original.records for line_id, _, minor in record.lines]
    left_minor = _goods_minor(original, sold) - _goods_minor(original, back)
    was_gone = bool(original.returns) and original.gone_with({})
    return brought_back(program, original.facts, left_minor, is_gone=not was_gone)


def _goods_minor(original: Original, lines: Iterable[tuple[str, int]]) -> int:
    goods = {line.line_id for line in original.sold if line.kind not in _NO_GOODS}
    return sum([minor for line_id, minor in lines if line_id in goods])
