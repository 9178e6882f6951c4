"""Limits over many receipts at the till: what is left goes into the facts, what fired is taken.

A receipt is decided on what is thought to be left, and what it uses is taken at once, without
waiting in between. If the desk has less, more is leased and the receipt is decided again; of a
budget of which no more can be leased only what is at hand counts, which is exact.
"""

from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from rewards.commit import BudgetUse, PromotionUse
from rewards.decide import Decision
from rewards.facts import Facts, Quota
from rewards.quota import (
    NO_LIMIT,
    NOTHING,
    Amount,
    Bound,
    QuotaIndex,
    account_uses,
    as_shown,
    bound_of,
    counted_candidates,
    customer_left,
    index_quotas,
    quota_of,
    uses_of,
)
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from server.budgets import Desk, Shortage, Want
from server.lookups import Wanted
from server.store.budget_holds import HeldLease
from server.store.database import RetryError
from server.till import evaluation as work

Shown = tuple[tuple[str, int], ...]
"""(promotion, minor units of money) that a Quote gave out of limits over many receipts."""


class Asking(Struct, frozen=True):
    """How a call deals with limits over many receipts.

    Attributes:
        takes: what fires is used up, or held; else it is only shown.
        held: what the basket holds of budgets: that is there for it alone.
        shown: of a fact, what its quote gave: that much it may use, whatever is left.
    """

    takes: bool
    held: tuple[HeldLease, ...] = ()
    shown: Shown = ()


class Kept(Struct, frozen=True):
    """A decision within limits over many receipts.

    Attributes:
        facts: with the quotas.
        uses: what it uses, by number of the promotion.
        budget_uses: what was taken of budgets; whoever does not commit it must give it back.
        account_uses: what is to be counted on the customer's account.
        overrun: promotions, by number, that gave more than was left, as shown before.
        is_whole: nothing was left out because it could not be read in time.
    """

    facts: Facts
    decision: Decision
    uses: Mapping[int, Amount] = {}
    budget_uses: tuple[BudgetUse, ...] = ()
    account_uses: tuple[PromotionUse, ...] = ()
    overrun: frozenset[int] = frozenset()
    is_whole: bool = True

    def shown_by(self, rules: ProgramRules) -> Shown:
        """What a token keeps of it."""
        promotions = rules.program.promotions
        return tuple((promotions[n].promotion_id, use.minor) for n, use in self.uses.items())


class _Limits(Struct, frozen=True):
    """The promotions with such limits that a receipt could touch.

    Attributes:
        for_customer: what is left for the customer, one for each bound.
    """

    bounds: tuple[Bound, ...]
    for_customer: tuple[Amount, ...]


_INDEXES: WeakKeyDictionary[ProgramRules, tuple[QuotaIndex | None]] = WeakKeyDictionary()


async def decide(scene: work.Scene, facts: Facts, asking: Asking, deadline_s: float) -> Kept:
    """Decide lines and rewards within limits over many receipts; at once where there are none.

    Args:
        scene: the sale, and when and by which rules it is evaluated.
        facts: everything else, with the version of the account.
        asking: what becomes of what fires.
        deadline_s: the loop's time at which waiting ends.

    Raises:
        Refusal: DEADLINE_PASSED, of a call that takes.
    """
    index = index_of(scene.rules)
    numbers = counted_candidates(index, scene.rules, scene.sale, facts) if index else ()
    if not numbers:
        return Kept(facts, work.decide_prices(scene, facts))
    place, program = scene.sale.header.store_id, scene.rules.program
    bounds = tuple(bound_of(program, n, place, facts.store.local_day) for n in numbers)
    if not asking.takes:
        return await _shown(scene, facts, bounds, asking, deadline_s)
    try:
        limits = _Limits(bounds, await _left_for_customer(scene, facts, bounds, deadline_s))
        return await _take(scene, facts, limits, asking, deadline_s)
    except TimeoutError:
        text = "no time was left before the write; nothing is recorded"
        raise Refusal(Reason.DEADLINE_PASSED, text) from None


async def _shown(
    scene: work.Scene, facts: Facts, bounds: tuple[Bound, ...], asking: Asking, deadline_s: float
) -> Kept:
    """What a Quote shows; without time for it only what is at hand, and nothing for a customer."""
    budgets = [budget for bound in bounds for budget in bound.budgets]
    try:
        for_customer = await _left_for_customer(scene, facts, bounds, deadline_s)
        await scene.context.budgets.meet(budgets, deadline_s)
    except (TimeoutError, RetryError):
        nothing = _Limits(bounds, (NOTHING,) * len(bounds))
        at_hand = [budget.budget_id for budget in budgets]
        return replace(_decided(scene, facts, nothing, asking, at_hand), is_whole=False)
    return _decided(scene, facts, _Limits(bounds, for_customer), asking, ())


async def _take(
    scene: work.Scene, facts: Facts, limits: _Limits, asking: Asking, deadline_s: float
) -> Kept:
    """Decide and take, until the desk has what the decision uses."""
    desk = scene.context.budgets
    dry: set[bytes] = set()
    while True:
        kept = _decided(scene, facts, limits, asking, dry)
        wants = _wants(kept.uses, limits.bounds, asking, dry)
        taken, shortages = desk.take(wants, asking.held)
        if not shortages:
            return _with_taken(kept, limits, taken)
        await _lease(scene, desk, shortages, deadline_s)
        dry.update(one.budget.budget_id for one in shortages if desk.is_dry(one))


async def _lease(
    scene: work.Scene, desk: Desk, shortages: Sequence[Shortage], deadline_s: float
) -> None:
    try:
        await desk.lease(shortages, deadline_s)
    except RetryError:
        await scene.context.database.recover()


def _decided(
    scene: work.Scene,
    facts: Facts,
    limits: _Limits,
    asking: Asking,
    exactly: Iterable[bytes],
) -> Kept:
    """Decide on what is left; of some budgets only what is at hand counts."""
    desk, shown = scene.context.budgets, dict(asking.shown)
    quotas: list[Quota] = []
    for bound, for_customer in zip(limits.bounds, limits.for_customer, strict=True):
        lefts = [desk.left(one, one.budget_id in exactly, asking.held) for one in bound.budgets]
        quota = quota_of(bound, for_customer, lefts)
        if bound.promotion_id in shown:
            quota = as_shown(quota, shown[bound.promotion_id])
        quotas.append(quota)
    facts = replace(facts, quotas=tuple(quotas))
    decision = work.decide_prices(scene, facts)
    return Kept(facts, decision, uses_of(scene.rules.program, decision.evaluation))


def _wants(
    uses: Mapping[int, Amount],
    bounds: Sequence[Bound],
    asking: Asking,
    dry: set[bytes],
) -> list[Want]:
    shown = {promotion_id for promotion_id, _ in asking.shown}
    return [
        Want(budget, uses[bound.number], budget.budget_id in dry and bound.promotion_id in shown)
        for bound in bounds
        if bound.number in uses
        for budget in bound.budgets
    ]


def _with_taken(kept: Kept, limits: _Limits, taken: tuple[BudgetUse, ...]) -> Kept:
    overrun = {use.budget_id for use in taken if use.is_overrun}
    beyond = {
        bound.number
        for bound, left in zip(limits.bounds, limits.for_customer, strict=True)
        if bound.number in kept.uses
        and (
            any(budget.budget_id in overrun for budget in bound.budgets)
            or (bound.customer_period is not None and _exceeds(kept.uses[bound.number], left))
        )
    }
    return replace(
        kept,
        budget_uses=taken,
        account_uses=account_uses(limits.bounds, kept.uses) if _has_account(kept) else (),
        overrun=frozenset(beyond),
    )


def _has_account(kept: Kept) -> bool:
    return bool(kept.facts.customer.account_id)


def _exceeds(use: Amount, left: Amount) -> bool:
    return any(most != NO_LIMIT and one > most for one, most in zip(use, left, strict=True))


async def _left_for_customer(
    scene: work.Scene, facts: Facts, bounds: Sequence[Bound], deadline_s: float
) -> tuple[Amount, ...]:
    """What is left for the customer; nothing for nobody. Read after the account's version."""
    account_id = facts.customer.account_id
    periods = {b.customer_period for b in bounds if b.customer_period is not None}
    if not account_id or not periods:
        return (NOTHING,) * len(bounds)
    wanted = Wanted((), (), (), (account_id, tuple(sorted(periods))))
    found = (await scene.context.lookups.look_up(wanted, deadline_s)).uses
    return tuple(
        NOTHING
        if bound.customer_period is None
        else customer_left(bound, found.get((bound.promotion_id, bound.customer_period), NOTHING))
        for bound in bounds
    )


def index_of(rules: ProgramRules) -> QuotaIndex | None:
    """The promotions with such limits; best made when rules are loaded, as it takes a while."""
    found = _INDEXES.get(rules)
    if found is None:
        found = _INDEXES[rules] = (index_quotas(rules.program),)
    return found[0]
