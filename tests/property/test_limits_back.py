"""Goal: of limits over many receipts refunds give back, together, what one of them would have.

Money that is let go again counts for the customer again. What a budget got back stays given back,
since others may have it by now, and a reward that was taken is not given again: of these comes
back the most that one refund would have given.
"""

from collections.abc import Collection, Sequence
from typing import Any, Literal, NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from rewards.benefit import CheapestFree, MoneyTransfer, PercentOff, ReceiptDiscount
from rewards.evaluate import Evaluation
from rewards.facts import Facts, Quota
from rewards.program import Limits, Policy
from rewards.quota import NOTHING, NetUse, bound_of, uses_of
from rewards.refund import Least, Refund, decide_refund
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from rewards.uses_back import Counted, UsesBack, uses_back_of_refund, uses_back_of_rest
from tests import make
from tests.table.test_refund import by_reference

LIMITS = Limits(customer_minor=10_000, customer_period="month", total_minor=10_000)
REWARDS = ("phone", "fund")
EVALUATIONS_MAX = 5
"""All that was sold; what was left before and what is left after, each at most twice."""
Quantities = dict[str, int]


class Bought(NamedTuple):
    """A receipt whose promotions are all bound, and in what order its pieces come back."""

    rules: ProgramRules
    sale: Sale
    facts: Facts
    order: Sequence[str]


class Counting:
    """The reference; counts how often it is asked."""

    def __init__(self) -> None:
        self.evaluations = 0

    def __call__(
        self, rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None
    ) -> Evaluation:
        self.evaluations += 1
        return by_reference(rules, sale, facts, only)


class Back(NamedTuple):
    """By promotion what came back, minor units of money: for the customer, and to its budget."""

    own: dict[str, int]
    budget: dict[str, int]


def bought(
    policy: Literal["rewards", "claw_back", "waive"],
    set_pieces: int,
    rate_bp: int,
    froms: Sequence[int],
    has_half: bool,
    pieces: Sequence[tuple[int, int]],
    order: Sequence[str],
) -> Bought:
    """Sets that are lost with their threshold: others may get what they have lost again."""
    bound: Any = {"limits": LIMITS, "policy": Policy(policy)}
    sets, off = CheapestFree(set_pieces), ReceiptDiscount(rate_bp=rate_bp)
    fund = MoneyTransfer("fund", 40)
    promotions = [
        make.promotion("sets", sets, priority=9, receipt_amount_from_minor=froms[0], **bound),
        make.promotion("off", off, receipt_amount_from_minor=froms[1], stackable=True, **bound),
        make.promotion("phone", MoneyTransfer("mobile", rate_bp=1_000), **bound),
        make.promotion("fund", fund, receipt_amount_from_minor=froms[2], **bound),
    ]
    if has_half:
        promotions.append(make.promotion("half", PercentOff(5_000), priority=5, **bound))
    lines = [
        make.line(f"sku{n}", count, price_minor, line_id=str(n))
        for n, (price_minor, count) in enumerate(pieces)
    ]
    quotas = tuple(Quota(one.promotion_id, -1, -1, 10_000) for one in promotions)
    return Bought(make.rules(*promotions), make.sale(*lines), make.facts(quotas=quotas), order)


@st.composite
def sold(draw: st.DrawFn) -> Bought:
    some = st.integers(0, 14).map(lambda fifties: 50 * fifties)
    one = st.tuples(st.sampled_from((7, 50, 100, 149)), st.integers(1, 6))
    pieces = draw(st.lists(one, min_size=1, max_size=3))
    line_ids = [str(n) for n, (_, count) in enumerate(pieces) for _ in range(count)]
    return bought(
        draw(st.sampled_from(("rewards", "claw_back", "waive"))),
        draw(st.integers(2, 3)),
        draw(st.integers(500, 6_000)),
        draw(st.tuples(some, some, some)),
        draw(st.booleans()),
        pieces,
        draw(st.permutations(line_ids)),
    )


def came_back(
    one: Bought, steps: Sequence[Quantities], now: Quantities, nets: dict[str, NetUse]
) -> Back:
    refund = decided(one, steps, now)
    return _summed(uses_back_of_refund(counted(one, nets), refund, (), (), False), nets)


def undone(one: Bought, steps: Sequence[Quantities], nets: dict[str, NetUse]) -> Back:
    """What a void of the rest gives back."""
    before = steps[-1]
    rest = {
        line.line_id: line.quantity_milli - before.get(line.line_id, 0) for line in one.sale.lines
    }
    rest = {line_id: milli for line_id, milli in rest.items() if milli}
    refund = decided(one, steps, rest)
    return _summed(uses_back_of_rest(counted(one, nets), refund, (), (), not rest), nets)


def decided(one: Bought, steps: Sequence[Quantities], now: Quantities) -> Refund:
    refund = decide_refund(one.rules, one.sale, one.facts, steps, now, by_reference)
    assert isinstance(refund, Refund)
    return refund


def _summed(uses: UsesBack, nets: dict[str, NetUse]) -> Back:
    names = {net.budget_id: name for name, net in nets.items()}
    own = {use.promotion_id: -use.amount_minor for use in uses.account_uses}
    return Back(own, {names[use.budget_id]: -use.amount_minor for use in uses.budget_uses})


def counted(one: Bought, nets: dict[str, NetUse]) -> Counted:
    key_id = make.key_id("sale")
    return Counted(one.rules.program, make.STORE, key_id, one.facts, tuple(nets.values()))


def budgets(one: Bought) -> dict[str, NetUse]:
    """What the sale has used."""
    found = {}
    uses = uses_of(one.rules.program, by_reference(one.rules, one.sale, one.facts, None))
    for number, amount in uses.items():
        bound = bound_of(one.rules.program, number, make.STORE, one.facts.store.local_day)
        (budget,) = bound.budgets
        found[bound.promotion_id] = NetUse(budget.budget_id, amount, NOTHING)
    return found


def less(nets: dict[str, NetUse], back: dict[str, int]) -> dict[str, NetUse]:
    """What is used of budgets after some has come back."""
    return {
        name: net._replace(used=net.used._replace(minor=net.used.minor - back.get(name, 0)))
        for name, net in nets.items()
    }


# The second piece breaks the sets, so that the half is due again on what the first took it from;
# with the third it goes for good.
@example(bought("claw_back", 3, 500, (600, 0, 0), True, ((100, 6), (50, 2)), "00100001"))
@given(sold())
def test_they_give_back_what_one_of_them_would(one: Bought) -> None:
    used = budgets(one)
    nets = used
    own: dict[str, int] = {}
    most: dict[str, int] = {}
    steps: list[Quantities] = []
    before: Quantities = {}
    for line_id in one.order:
        back = came_back(one, steps, {line_id: 1_000}, nets)
        nets = less(nets, back.budget)
        before = {**before, line_id: before.get(line_id, 0) + 1_000}
        steps.append(before)
        alone = came_back(one, [], before, used)
        for name in used:
            own[name] = own.get(name, 0) + back.own.get(name, 0)
            most[name] = max(most.get(name, 0), alone.own.get(name, 0))
            expected = most if name in REWARDS else alone.own
            assert own[name] == expected.get(name, 0)
        assert {name: used[name].used.minor - net.used.minor for name, net in nets.items()} == most
        rest = undone(one, steps, nets)
        for name, net in used.items():
            assert own[name] + rest.own.get(name, 0) == net.used.minor
            assert rest.budget.get(name, 0) == nets[name].used.minor


@given(sold())
def test_what_was_kept_of_limited_rewards_stands_for_all_refunds_before(one: Bought) -> None:
    """A refund that is told it decides the same, and evaluates no more than the first one."""
    steps: list[Quantities] = []
    before: Quantities = {}
    least: Least | None = ()
    for line_id in one.order:
        counting = Counting()
        refund = decide_refund(
            one.rules, one.sale, one.facts, steps, {line_id: 1_000}, counting, least=least
        )
        assert isinstance(refund, Refund)
        anew = decided(one, steps, {line_id: 1_000})
        assert (refund.freed, refund.given, refund.least) == (anew.freed, anew.given, anew.least)
        assert counting.evaluations <= EVALUATIONS_MAX
        least = refund.least
        before = {**before, line_id: before.get(line_id, 0) + 1_000}
        steps.append(before)
