"""What a refund or void gives back of limits over many receipts: to budgets, and to the customer.

Money comes back as far as what was given is taken back or was returned with its pieces; that the
promotion has fired stays counted until all that was sold has come back.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rewards.commit import BudgetUse, PromotionUse
from rewards.evaluate import Evaluated
from rewards.facts import NO_ACCOUNT, Facts
from rewards.quota import (
    NOTHING,
    Amount,
    Bound,
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
from rewards.spend_posting import counted_by
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
    back = _amounts(sale, refund, times, refund.freed)
    bounds = _bounds(sale, back)
    wanted = _wanted(sale, bounds, back, refund.given)
    own = (*account_uses(bounds, back, -1), *_bounded(sale, times, claims, comebacks))
    return UsesBack(own, given_back(sale.receipt_id, sale.nets, wanted))


def uses_back_of_rest(
    sale: Counted,
    refund: Refund,
    claims: Iterable[Claim],
    comebacks: Iterable[Comeback],
    was_gone: bool,
) -> UsesBack:
    """What a void gives back of a sale of which something has come back before.

    Args:
        sale: as it was counted.
        refund: of all that is left; what promotions waive with it is not waived here.
        claims: all that was granted and not claimed yet.
        comebacks: all of the customer's assets that has not come back yet.
        was_gone: all that was sold had come back before.
    """
    times = 0 if was_gone else 1
    left = {n: minor + refund.given[n] for n, minor in refund.freed.items()}
    back = _amounts(sale, refund, times, left)
    own = account_uses(_bounds(sale, back), back, -1)
    own = (*own, *_bounded(sale, times, claims, comebacks))
    return UsesBack(own, all_given_back(sale.receipt_id, sale.nets))


def uses_back_of_void(
    sale: Counted, sold: Evaluated, claims: Iterable[Claim], comebacks: Iterable[Comeback]
) -> UsesBack:
    """What a void gives back of a sale of which no goods have come back before.

    Args:
        sale: as it was counted.
        sold: as it was decided.
        claims: all that was granted and no statement has taken back.
        comebacks: all of the customer's assets that no statement has given back.
    """
    uses = uses_of(sale.program, sold)
    own = (*account_uses(_bounds(sale, uses), uses, -1), *_bounded(sale, 1, claims, comebacks))
    return UsesBack(own, all_given_back(sale.receipt_id, sale.nets))


def uses_back_of_statement(
    sale: Counted, claims: Iterable[Claim], comebacks: Iterable[Comeback]
) -> tuple[PromotionUse, ...]:
    """What a statement gives back: what was not spent or earned after all counts no more.

    Limits of promotions keep what was used: a discount that was not given became something else.

    Args:
        sale: as it was counted.
        claims: what it takes back of what was granted.
        comebacks: what it gives back of the customer's assets.
    """
    return _bounded(sale, 0, claims, comebacks)


def _wanted(
    sale: Counted,
    bounds: Sequence[Bound],
    back: Mapping[int, Amount],
    given: Mapping[int, int],
) -> dict[bytes, Amount]:
    """What budgets should get back: what they got before is not taken again, nor given twice."""
    wanted = budgets_given_back(bounds, back, {})
    given_of = {one.budget_id: given.get(b.number, 0) for b in bounds for one in b.budgets}
    for net in sale.nets:
        amount = wanted.get(net.budget_id, NOTHING)
        lost_minor = max(0, net.whole.minor - given_of.get(net.budget_id, 0))
        wanted[net.budget_id] = amount._replace(minor=min(amount.minor, lost_minor))
    return wanted


def _amounts(
    sale: Counted, refund: Refund, times: int, minors: Mapping[int, int]
) -> dict[int, Amount]:
    counted = uses_of(sale.program, refund.sold)
    back = {n: Amount(times, minors.get(n, 0)) for n in counted}
    return {n: amount for n, amount in back.items() if amount != NOTHING}


def _bounds(sale: Counted, numbers: Iterable[int]) -> list[Bound]:
    day = sale.facts.store.local_day
    return [bound_of(sale.program, n, sale.store_id, day) for n in sorted(numbers)]


def _bounded(
    sale: Counted, times: int, claims: Iterable[Claim], comebacks: Iterable[Comeback]
) -> tuple[PromotionUse, ...]:
    """What comes back of the bounds of earning and spending."""
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
    found: dict[tuple[str, str], int] = {}
    for name, asset_code, period in counted_by(sale.program):
        amounts = spent if name == spend_use_id(asset_code) else taken
        if amounts.get(asset_code):
            key = name, period_name(period, sale.facts.store.local_day)
            found[key] = amounts[asset_code]
    return tuple(
        PromotionUse(name, period, -times, -minor) for (name, period), minor in found.items()
    )
