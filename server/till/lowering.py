"""What a till did not give of a sale that is known, and what is given in its stead."""

from collections.abc import Mapping
from typing import NamedTuple

from rewards.evaluate import Evaluation
from rewards.refund import Refund
from rewards.sale import Outcome
from rewards.settling import Claim
from rewards.undelivered import Undelivered, bought, instead_back, undelivered
from server.till.context import Context
from server.till.original import Original, evaluator_of


class Lowering(NamedTuple):
    """What was decided of a sale and not given.

    Attributes:
        sold: the sale as it was decided.
        missing: what becomes what the promotions' policies say.
        undone: numbers of promotions whose price comes back, and nothing of which is left.
        coupons: (account, lot) of coupons that come back.
    """

    sold: Evaluation
    missing: Undelivered
    undone: frozenset[int] = frozenset()
    coupons: tuple[tuple[int, bytes], ...] = ()


def lowering_of(
    context: Context, original: Original, outcome: Outcome, *, is_base: bool
) -> Lowering:
    """Hold a sale against what the till states of it.

    Args:
        context: ports.
        original: the sale.
        outcome: PLAIN or OTHER.
        is_base: it was sold so by Forward, which took no price for what was not given.
    """
    rules, sale, facts = original.rules, original.sale, original.facts
    sold = evaluator_of(context)(rules, sale, facts, None)
    missing = undelivered(sale, sold, outcome)
    if is_base:
        return Lowering(sold, missing)
    undone, coupons = bought(rules, sale, facts, sold, missing)
    kept = {key: minor for key, minor in missing.discounts.items() if key[0] not in undone}
    return Lowering(sold, missing._replace(discounts=kept), undone, coupons)


def instead_claims(context: Context, original: Original, refund: Refund) -> tuple[Claim, ...]:
    """What a refund takes back of what was given for discounts that the till did not give."""
    statement, customer = original.by_lines, original.customer
    if statement is None or not statement.instead or customer is None:
        return ()
    lowering = lowering_of(context, original, statement.outcome, is_base=statement.is_base)
    return instead_back(
        original.rules.program,
        original.sale,
        lowering.missing,
        customer.granted[-len(statement.instead) :],
        statement.instead,
        original.records,
        dict(statement.returned),
        _upto(original, refund),
    )


def _upto(original: Original, refund: Refund) -> Mapping[str, int]:
    upto = original.returned
    for line in refund.lines:
        upto[line.line_id] = upto.get(line.line_id, 0) + line.quantity_milli
    return upto
