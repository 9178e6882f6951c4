"""Limits over many receipts: what a promotion is bound by, what is left, what a receipt uses.

A customer's limits are counted on the account. A limit over all receipts, or over all of a store,
is a budget: servers lease it in chunks and deal out of them (`docs/billing.md`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from hashlib import blake2b
from typing import NamedTuple

from msgspec import Struct

from rewards.commit import BudgetUse, PromotionUse
from rewards.evaluate import Evaluated
from rewards.facts import Facts, Quota
from rewards.reading import tokens_of
from rewards.rounding import floor_div
from rewards.ruleset import CompiledProgram, ProgramRules
from rewards.sale import Sale

NO_LIMIT = -1
BUDGET_ID_BYTES = 16
CHUNK_SHARE = 16
"""A lease takes at most one part in so many of what is left, unless more is asked for."""


class Amount(NamedTuple):
    """Receipts, and minor units of money; NO_LIMIT where something is without limit."""

    times: int
    minor: int


NOTHING = Amount(0, 0)


class Budget(Struct, frozen=True, gc=False):
    """What binds a promotion over all receipts, or all of a store, in one period.

    Attributes:
        budget_id: 16 bytes, of chain, promotion, store and period.
        store_id: empty is every store.
        period: names the period, for example 2026-11; empty is for ever.
        most: at most so much; NO_LIMIT where it is without limit.
    """

    budget_id: bytes
    chain_id: str
    promotion_id: str
    store_id: str
    period: str
    most: Amount


class Bound(Struct, frozen=True):
    """What a promotion is bound by on one receipt.

    Attributes:
        number: of the promotion.
        customer_period: name of the customer's period; None if the customer is not bound.
        customer_most: at most so much for the customer in it.
    """

    number: int
    promotion_id: str
    customer_period: str | None
    customer_most: Amount
    budgets: tuple[Budget, ...]


class QuotaIndex(NamedTuple):
    """The promotions with limits over many receipts, by what makes them candidates.

    Attributes:
        touched: by product set.
        called: by token.
        offered: by sets that a customer's own offer may add articles to.
    """

    touched: Mapping[int, tuple[int, ...]]
    called: Mapping[str, tuple[int, ...]]
    offered: tuple[int, ...]


def index_quotas(program: CompiledProgram) -> QuotaIndex | None:
    """Index the promotions with limits over many receipts; None if there are none."""
    counted = {n for n, one in enumerate(program.promotions) if one.has_quota}
    if not counted:
        return None
    touched = {
        number: tuple(n for n in candidates if n in counted)
        for number, candidates in enumerate(program.touched_by)
    }
    called = {
        token: tuple(n for n in candidates if n in counted)
        for token, candidates in program.called_by.items()
    }
    touched = {number: found for number, found in touched.items() if found}
    called = {token: found for token, found in called.items() if found}
    offered = {n for number in program.sets.offered for n in touched.get(number, ())}
    return QuotaIndex(touched, called, tuple(sorted(offered)))


def counted_candidates(
    index: QuotaIndex, rules: ProgramRules, sale: Sale, facts: Facts
) -> tuple[int, ...]:
    """Numbers of the promotions with such limits that a receipt could touch, ascending."""
    products = facts.products_by_sku
    found = set(index.offered)
    for sku in set(sale.columns.skus):
        for number in rules.sets.of(sku, products.get(sku)):
            found.update(index.touched.get(number, ()))
    if index.called:
        for token in tokens_of(rules.program, sale, facts):
            found.update(index.called.get(token, ()))
    return tuple(sorted(found))


def period_name(period: str, local_day: int) -> str:
    """Name the period of a limit that a day is in: 2026-11-22, 2026-W47, 2026-11, 2026, or empty.

    Args:
        period: day, week (ISO), month, year or ever.
        local_day: proleptic ordinal of the store's local date.
    """
    if period == "ever":
        return ""
    day = date.fromordinal(local_day)
    if period == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04}-W{week:02}"
    return day.isoformat()[: {"day": 10, "month": 7, "year": 4}[period]]


def bound_of(program: CompiledProgram, number: int, store_id: str, local_day: int) -> Bound:
    """What binds a promotion on a receipt of a store on a day."""
    promotion = program.promotions[number]
    limits = promotion.limits
    scopes = (
        ("", limits.total_period, _most(limits.total_times, limits.total_minor)),
        (store_id, limits.store_period, _most(limits.store_times, limits.store_minor)),
    )
    budgets = tuple(
        _budget(program.chain_id, promotion.promotion_id, store, period, local_day, most)
        for store, period, most in scopes
        if most != _UNBOUND
    )
    customer_most = _most(limits.customer_times, limits.customer_minor)
    period = None
    if customer_most != _UNBOUND:
        period = period_name(limits.customer_period, local_day)
    return Bound(number, promotion.promotion_id, period, customer_most, budgets)


_UNBOUND = Amount(NO_LIMIT, NO_LIMIT)


def _most(times: int, minor: int) -> Amount:
    return Amount(times or NO_LIMIT, minor or NO_LIMIT)


def _budget(
    chain_id: str, promotion_id: str, store_id: str, period: str, local_day: int, most: Amount
) -> Budget:
    name = period_name(period, local_day)
    text = "\x00".join((chain_id, promotion_id, store_id, name)).encode()
    budget_id = blake2b(text, digest_size=BUDGET_ID_BYTES, person=b"budget").digest()
    return Budget(budget_id, chain_id, promotion_id, store_id, name, most)


def quota_of(bound: Bound, customer_left: Amount, lefts: Sequence[Amount]) -> Quota:
    """Fold what is left for a promotion: the least counts.

    Args:
        bound: of the promotion.
        customer_left: what is left for the customer; NOTHING if there is none.
        lefts: what is left of each of its budgets.
    """
    own = _UNBOUND if bound.customer_period is None else customer_left
    times = _least([left.times for left in lefts])
    return Quota(
        bound.promotion_id, own.times, times, _least([own.minor, *[left.minor for left in lefts]])
    )


def _least(numbers: Iterable[int]) -> int:
    return min((number for number in numbers if number != NO_LIMIT), default=NO_LIMIT)


def customer_left(bound: Bound, used: Amount) -> Amount:
    """What is left of a customer's limits after what was used."""
    return less(bound.customer_most, used)


def less(most: Amount, used: Amount) -> Amount:
    """What is left of an amount, never below zero; what is without limit stays so."""
    return Amount(*[m if m == NO_LIMIT else max(0, m - u) for m, u in zip(most, used, strict=True)])


def as_shown(quota: Quota, shown_minor: int) -> Quota:
    """What a fact may use: what is left, or what its quote has shown, if that was more."""
    left = (quota.customer_times, quota.total_times, quota.total_minor)
    shown = (1, 1, shown_minor)
    return Quota(
        quota.promotion_id,
        *[one if one == NO_LIMIT else max(one, was) for one, was in zip(left, shown, strict=True)],
    )


def uses_of(program: CompiledProgram, evaluation: Evaluated) -> dict[int, Amount]:
    """What a receipt uses of the limits over many receipts, by number of the promotion.

    Returns:
        Of each such promotion that fired: one receipt, and money off with worth of rewards.
    """
    promotions = program.promotions
    fired = [one.number for one in evaluation.trace if one.times]
    given = {number: 0 for number in fired if promotions[number].has_quota}
    if not given:
        return {}
    for outcome in evaluation.outcomes:
        for adjustment in outcome.adjustments if outcome is not None else ():
            if adjustment.number in given:
                given[adjustment.number] -= adjustment.amount_minor
    for grant in evaluation.grants:
        if grant.number in given:
            given[grant.number] += grant.value_minor
    return {number: Amount(1, minor) for number, minor in given.items()}


def account_uses(
    bounds: Iterable[Bound], uses: Mapping[int, Amount], sign: int = 1
) -> tuple[PromotionUse, ...]:
    """What is counted on the customer's account; with sign -1 what is given back."""
    return tuple(
        PromotionUse(
            bound.promotion_id,
            bound.customer_period,
            sign * uses[bound.number].times,
            sign * uses[bound.number].minor,
        )
        for bound in bounds
        if bound.customer_period is not None and bound.number in uses
    )


class NetUse(NamedTuple):
    """What a sale has used of a budget, less what was given back since."""

    budget_id: bytes
    used: Amount
    overrun: Amount

    @property
    def whole(self) -> Amount:
        """Both together."""
        return Amount(self.used.times + self.overrun.times, self.used.minor + self.overrun.minor)


def all_given_back(receipt_id: bytes, nets: Sequence[NetUse]) -> tuple[BudgetUse, ...]:
    """What a void gives back: all that the sale has used and nobody has given back yet."""
    return given_back(receipt_id, nets, {net.budget_id: net.whole for net in nets})


def given_back(
    receipt_id: bytes, nets: Iterable[NetUse], wanted: Mapping[bytes, Amount]
) -> tuple[BudgetUse, ...]:
    """Give a part of what a sale has used back: first what was overrun, never more than it used.

    Args:
        receipt_id: key of the sale.
        nets: what it has used.
        wanted: what should come back, by budget.
    """
    found: list[BudgetUse] = []
    for net in nets:
        back = wanted.get(net.budget_id, NOTHING)
        for part, is_overrun in ((net.overrun, True), (net.used, False)):
            now = Amount(min(back.times, part.times), min(back.minor, part.minor))
            back = Amount(back.times - now.times, back.minor - now.minor)
            if now != NOTHING:
                found.append(
                    BudgetUse(net.budget_id, b"", -now.times, -now.minor, is_overrun, receipt_id)
                )
    return tuple(found)


def budgets_given_back(
    bounds: Iterable[Bound], before: Mapping[int, Amount], after: Mapping[int, Amount]
) -> dict[bytes, Amount]:
    """What a partial return should give back, by budget.

    Args:
        bounds: of the promotions, as at the sale.
        before: `uses_of` of what was kept until now.
        after: the same of what is kept from now on.
    """
    wanted: dict[bytes, Amount] = {}
    for bound in bounds:
        was, now = before.get(bound.number, NOTHING), after.get(bound.number, NOTHING)
        back = Amount(max(0, was.times - now.times), max(0, was.minor - now.minor))
        if back != NOTHING:
            wanted.update((budget.budget_id, back) for budget in bound.budgets)
    return wanted


def chunk_of(asked: int, left: int, last: int) -> int:
    """How much a lease takes of what is left.

    Twice what the last one took, if that did not last; never more than a small share of what is
    left, so that near the end nobody keeps what others are asked for; at least what is asked for.

    Args:
        asked: what receipts wait for.
        left: of the budget.
        last: size of the lease that was used up just before; 0 is none.
    """
    return min(left, max(asked, min(2 * last, floor_div(left, CHUNK_SHARE))))
