"""What the contract promises of every answer, checked from outside with nothing but the sale."""

from collections.abc import Iterator

from loyalty.v1.answer_pb2 import Answer, LineResult, SetCompleteness
from loyalty.v1.receipt_pb2 import Line, QuantityUnit, Sale

COMPLETE = SetCompleteness.SET_COMPLETENESS_COMPLETE


def find_broken(sale: Sale, answer: Answer, committed: bool) -> list[str]:
    """List what an answer contradicts.

    Args:
        sale: As sent. All its lines are sold.
        answer: To this sale.
        committed: It comes from Checkout: lines and rewards must be COMPLETE.

    Source: the till's contract, sections 2 to 4.
    """
    return [
        *(_completeness(answer) if committed else ()),
        *(_lines(sale, answer) if answer.lines.status.completeness == COMPLETE else ()),
        *_cross_sell(sale, answer),
        *_ids(answer),
    ]


def _completeness(answer: Answer) -> Iterator[str]:
    for name, status in (("lines", answer.lines.status), ("rewards", answer.rewards.status)):
        if status.completeness != COMPLETE:
            yield f"committed although {name} are not COMPLETE"


def _lines(sale: Sale, answer: Answer) -> Iterator[str]:
    if [line.line_id for line in sale.lines] != [line.line_id for line in answer.lines.lines]:
        yield "the answer's lines are not the sale's"
        return
    for line, result in zip(sale.lines, answer.lines.lines, strict=True):
        for what in _line(line, result):
            yield f"line {line.line_id}: {what}"
    yield from _totals(sale, answer)


def _line(line: Line, result: LineResult) -> Iterator[str]:
    if sum(run.quantity_milli for run in result.runs) != line.quantity_milli:
        yield "the runs' quantities do not sum to the quantity scanned"
    if sum(run.amount_minor for run in result.runs) != result.amount_minor:
        yield "the runs' amounts do not sum to the line's"
    adjusted = line.amount_minor + sum(a.amount_minor for a in result.adjustments)
    if adjusted != result.amount_minor:
        yield "the adjustments do not explain the amount"
    if not 0 <= result.amount_minor <= line.amount_minor:
        yield "the price rose or fell below zero"
    if line.unit == QuantityUnit.QUANTITY_UNIT_PIECE:
        for run in result.runs:
            if run.unit_price_minor * run.quantity_milli != 1000 * run.amount_minor:
                yield "price x quantity is not the amount of a run of counted goods"


def _totals(sale: Sale, answer: Answer) -> Iterator[str]:
    totals = answer.lines.totals
    if totals.amount_before_minor != sum(line.amount_minor for line in sale.lines):
        yield "the total before is not what was sent"
    if totals.amount_minor != sum(line.amount_minor for line in answer.lines.lines):
        yield "the total is not the sum of the lines"
    if totals.amount_before_minor + totals.adjustments_minor != totals.amount_minor:
        yield "the totals do not add up"


def _cross_sell(sale: Sale, answer: Answer) -> Iterator[str]:
    in_basket = {line.sku for line in sale.lines}
    for item in answer.cross_sell.items:
        if item.sku in in_basket:
            yield f"cross-sell shows {item.sku}, which is in the basket"


def _ids(answer: Answer) -> Iterator[str]:
    ids = [
        *(reward.id for reward in answer.rewards.rewards),
        *(prompt.id for prompt in answer.prompts.prompts),
        *(item.id for item in answer.cross_sell.items),
        *(piece.id for piece in answer.lines.to_add),
    ]
    if not all(ids):
        yield "something in the answer has no id"
    if len(set(ids)) != len(ids):
        yield "two things in the answer have the same id"
