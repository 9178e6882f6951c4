"""A return of part of a receipt, where a case expects something of it."""

from collections.abc import Callable, Collection
from decimal import Decimal

from msgspec import Struct

from rewards.evaluate import Evaluation
from rewards.facts import Facts
from rewards.refund import RefundRefusal, decide_refund
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from tests.peer_cases.amounts import milli
from tests.peer_cases.case import Case
from tests.peer_cases.points import LATER, POINTS, point_decimals

Evaluator = Callable[[ProgramRules, Sale, Facts, Collection[int] | None], Evaluation]


class Returned(Struct, frozen=True):
    """Points that a return takes back, and points that it gives back."""

    quantity: Decimal
    points_reversed: Decimal
    points_returned: Decimal


def returned_of(
    case: Case, rules: ProgramRules, sale: Sale, facts: Facts, evaluate: Evaluator
) -> Returned | None:
    """What comes of the return that a case tells of; None if there is none, or it is refused.

    How much is returned stands beside what is expected of it; it is of the first line.
    """
    told = case.expected.get("refund")
    if not isinstance(told, dict) or "qty" not in told or not case.lines:
        return None
    quantity = Decimal(str(told["qty"]))
    now = {case.lines[0].line_id: milli(quantity)}
    refund = decide_refund(rules, sale, facts, (), now, evaluate)
    if isinstance(refund, RefundRefusal):
        return None
    taken = [one.amount_minor for one in refund.rewards if one.asset_code in (POINTS, LATER)]
    costs = [one.amount_minor for one in refund.costs]
    return Returned(quantity, _points(case, sum(taken)), _points(case, sum(costs)))


def _points(case: Case, amount_minor: int) -> Decimal:
    return Decimal(amount_minor).scaleb(-point_decimals(case))
