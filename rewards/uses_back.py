"""What a refund or void gives back of limits over many receipts: to budgets, and to the customer.

Money comes back as far as what was given is taken back or was returned with its pieces; that the
promotion has fired stays counted until all that was sold has come back.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rewards.commit import BudgetUse, PromotionUse
from rewards.evaluate import Evaluated
from rewards.facts import NO_ACCOUNT, Facts
from rewards.quota import (
    NOTHING,
    Amount,
    NetUse,
    account_uses,
    all_given_back,
    bound_of,
    budgets_given_back,
    given_back,
    period_name,
    uses_of,
)
from rewards.refund import Refund
from rewards.ruleset import CompiledProgram
from rewards.settling import Claim, Comeback
from rewards.spend_posting import counted_by, spending_uses
from rewards.spending import spend_use_id


class UsesBack(NamedTuple):
    """What comes back: on the customer's account, and to budgets."""

    account_uses: tuple[PromotionUse, ...] = ()
    budget_uses: tuple[BudgetUse, ...] = ()


class Counted(NamedTuple):
    """A sale as limits over many receipts counted it.

    Attributes:
        receipt_id: its key.
        nets: what it has used of budgets and has not come back.
    """

    program: CompiledProgram
    store_id: str
    receipt_id: bytes
    facts: Facts
    nets: tuple[NetUse, ...]


def uses_back_of_refund(
    sale: Counted,
    refund: Refund,
    claims: Iterable[Claim],
    comebacks: Iterable[Comeback],
    is_gone: bool,
) -> UsesBack:
    """What a refund gives back.

    Args:
        sale: as it was counted.
        refund: as decided.
        claims: what of rewards has lost its ground, no lot beyond its grant.
        comebacks: what of the customer's assets comes back.
        is_gone: all that was sold has come back with it.
    """
    times = 1 if is_gone else 0
    counted = uses_of(sale.program, refund.sold)
    back = {n: Amount(times, refund.freed.get(n, 0)) for n in counted}
    back = {n: amount for n, amount in back.items() if amount != NOTHING}
    bounds = [
        bound_of(sale.program, n, sale.store_id, sale.facts.store.local_day) for n in sorted(back)
    ]
    wanted = budgets_given_back(bounds, back, {})
    taken: dict[str, int] = {}
    for claim in claims:
        account_id, _ = claim.granted.place
        code = claim.granted.lot.asset_code if account_id > NO_ACCOUNT else ""
        taken[code] = taken.get(code, 0) + claim.amount_minor
    spent: dict[str, int] = {}
    for one in comebacks:
        if not one.spending.promotion_id:
            code = one.spending.asset_code
            spent[code] = spent.get(code, 0) + one.amount_minor
    own = (*account_uses(bounds, back, -1), *_bounded(sale, times, taken, spent))
    return UsesBack(own, given_back(sale.receipt_id, sale.nets, wanted))


def uses_back_of_void(sale: Counted, sold: Evaluated) -> UsesBack:
    """What a void gives back of a sale of which nothing has come back before."""
    uses = uses_of(sale.program, sold)
    bounds = [
        bound_of(sale.program, n, sale.store_id, sale.facts.store.local_day) for n in sorted(uses)
    ]
    own = (
        *account_uses(bounds, uses, -1),
        *spending_uses(sale.program, sale.facts, sold, -1),
    )
    return UsesBack(own, all_given_back(sale.receipt_id, sale.nets))


def _bounded(
    sale: Counted, times: int, taken: Mapping[str, int], spent: Mapping[str, int]
) -> tuple[PromotionUse, ...]:
    """What comes back of the bounds of earning and spending."""
    found: dict[tuple[str, str], int] = {}
    for name, asset_code, period in counted_by(sale.program):
        amounts = spent if name == spend_use_id(asset_code) else taken
        if amounts.get(asset_code):
            key = name, period_name(period, sale.facts.store.local_day)
            found[key] = amounts[asset_code]
    return tuple(
        PromotionUse(name, period, -times, -minor) for (name, period), minor in found.items()
    )
