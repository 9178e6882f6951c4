"""Goal: what a till states between returns changes nothing of what comes back in all.

When all has come back, the customer has the money that the till says was paid, all that they paid
with their own assets, and limits have all that was used of them: as by one return after it. So they
have when what is left is undone at any time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hypothesis import assume, example, given
from hypothesis import strategies as st

from rewards.benefit import CheapestFree
from rewards.facts import Spent
from rewards.outcome import is_plain, paid_by_line
from rewards.program import Limits, Policy
from rewards.quota import NOTHING, NetUse, bound_of, uses_of
from rewards.refund import Refund, decide_refund
from rewards.refund_price import Settlement
from rewards.rounding import floor_div
from rewards.sale import Outcome, OutcomeKind
from rewards.settling import (
    ReturnRecord,
    comebacks_of,
    comebacks_of_void,
    paid_out_by,
    pay_back,
)
from rewards.undelivered import undelivered
from rewards.uses_back import Counted, uses_back_of_refund, uses_back_of_rest
from tests import make
from tests.property.test_spends_back import (
    Bought,
    Quantities,
    as_paid,
    given_of,
    quota,
    sold,
)

LIMITS = Limits(customer_minor=10_000, customer_period="month", total_minor=10_000)
AS_ANSWERED = Outcome(OutcomeKind.AS_ANSWERED, 1, ())
PLAIN = Outcome(OutcomeKind.PLAIN, 1, ())


class Known(NamedTuple):
    """What is known of a receipt when goods come back.

    Attributes:
        stated: what the till stated last.
        by: what was settled; None if nothing is.
    """

    stated: Outcome
    by: Outcome | None = None

    def then(self, stated: Outcome) -> "Known":
        """What is known after one more statement: the first that is not as answered is settled."""
        is_by_lines = stated.kind != OutcomeKind.AS_ANSWERED
        return Known(stated, stated if self.by is None and is_by_lines else self.by)


class Return(NamedTuple):
    """What one return did."""

    refund: Refund
    record: ReturnRecord


def returned(
    bought: Bought,
    earlier: Sequence[Quantities],
    now: Quantities,
    returns: Sequence[ReturnRecord],
    known: Known,
    settlement: Sequence[ReturnRecord] = (),
) -> Return:
    rules, sale, facts = bought
    settled = None if known.by is None else Settlement(known.by, known.stated)
    refund = decide_refund(
        rules,
        sale,
        facts,
        earlier,
        now,
        as_paid,
        paid_by_line(known.stated),
        settled=settled,
        paid_out=paid_out_by(returns, settled is not None and settled.is_plain),
        kept_money=returns[-1].kept_money if returns else None,
    )
    assert isinstance(refund, Refund)
    part = pay_back(refund, returns)
    records = [*settlement, *returns]
    found = comebacks_of(refund, rules.program, part, bought.spendings, records)
    record = ReturnRecord(
        tuple((one.line_id, one.quantity_milli, one.amount_minor) for one in refund.lines),
        part.money_minor,
        part.by_points_minor,
        tuple(("", one.spending.asset_code, one.amount_minor) for one in found),
        kept_money=refund.keeps_money,
        by_assets=part.by_assets,
    )
    return Return(refund, record)


def settled(bought: Bought, stated: Outcome, returns: Sequence[ReturnRecord]) -> ReturnRecord:
    """What comes back of what was to be spent and was not taken."""
    evaluation = as_paid(*bought, None)
    missing = undelivered(bought.sale, evaluation, stated).spent
    found = []
    for one in comebacks_of_void(bought.spendings, returns):
        code, minor = one.spending.asset_code, one.amount_minor
        if not is_plain(stated):
            spent = next(spent for spent in bought.facts.spends if spent.asset_code == code)
            minor = min(minor, _not_taken(spent, missing.get(code, 0)))
        found.append(("", code, minor))
    return ReturnRecord((), given=tuple(found))


def _not_taken(spent: Spent, missing_minor: int) -> int:
    if spent.is_tender:
        return 0
    return -floor_div(-spent.amount_minor * missing_minor, spent.value_minor)


def paid_in_money(bought: Bought, known: Known) -> int:
    """What the till says that money has paid: all but points as a tender, if any have paid."""
    stated = paid_by_line(known.stated)
    outcomes = as_paid(*bought, None).outcomes
    minors = [one.amount_minor for one in outcomes if one is not None]
    if stated is not None:
        minors = [stated.get(line.line_id, line.amount_minor) for line in bought.sale.lines]
    tenders = [one.value_minor for one in bought.facts.spends if one.is_tender]
    is_all_money = known.by is not None and is_plain(known.by) and is_plain(known.stated)
    return sum(minors) - (0 if is_all_money else sum(tenders))


@st.composite
def statements(draw: st.DrawFn, bought: Bought) -> Outcome:
    if draw(st.booleans()):
        return draw(st.sampled_from((PLAIN, AS_ANSWERED)))
    lines = [(line.line_id, draw(st.integers(0, line.amount_minor))) for line in bought.sale.lines]
    # No till has sold for less than points have paid of it as a tender.
    tendered = [one.value_minor for one in bought.facts.spends if one.is_tender]
    assume(sum(minor for _, minor in lines) >= sum(tendered))
    return Outcome(OutcomeKind.OTHER, 1, tuple(lines))


class Case(NamedTuple):
    """A receipt, in what order its pieces come back, and what is stated after how many of them.

    Attributes:
        live: what came with the live Checkout.
    """

    bought: Bought
    order: Sequence[str]
    live: Outcome
    stated: Mapping[int, Outcome]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bought = draw(sold(LIMITS))
    pieces = [one.line_id for one in bought.sale.lines for _ in range(one.quantity_milli // 1_000)]
    order = draw(st.permutations(pieces))
    after = draw(st.lists(st.integers(0, len(order) - 1), max_size=3, unique=True))
    live = draw(st.one_of(st.just(AS_ANSWERED), statements(bought)))
    return Case(bought, order, live, {n: draw(statements(bought)) for n in after})


def three_for_two() -> Bought:
    """Of three pieces each has a third of its price off; a first return keeps it back."""
    claws = make.promotion("sets", CheapestFree(3), policy=Policy("claw_back"), limits=LIMITS)
    facts = make.facts(quotas=(quota("sets"),))
    return Bought(make.rules(claws), make.sale(make.line("0", 3, 90, "0")), facts)


class Counting:
    """What limits over many receipts count of a sale, minor units: the customer's, and budgets."""

    def __init__(self, bought: Bought) -> None:
        self._bought = bought
        rules, sale, facts = bought
        self.own = {}
        self.nets = []
        for number, amount in uses_of(rules.program, as_paid(rules, sale, facts, None)).items():
            bound = bound_of(rules.program, number, make.STORE, facts.store.local_day)
            (budget,) = bound.budgets
            self.own[bound.promotion_id] = amount.minor
            self.nets.append(NetUse(budget.budget_id, amount, NOTHING))
        self.used = dict(self.own)

    def come_back(self, refund: Refund) -> None:
        """Count what a refund gives back: never more than is counted."""
        program, key_id = self._bought.rules.program, make.key_id("sale")
        counted = Counted(program, make.STORE, key_id, self._bought.facts, tuple(self.nets))
        uses = uses_back_of_refund(counted, refund, (), (), is_gone=False)
        for use in uses.account_uses:
            self.own[use.promotion_id] += use.amount_minor
        back = {use.budget_id: use.amount_minor for use in uses.budget_uses}
        self.nets = [
            net._replace(used=net.used._replace(minor=net.used.minor + back.get(net.budget_id, 0)))
            for net in self.nets
        ]
        assert all(0 <= minor <= self.used[name] for name, minor in self.own.items())
        assert all(net.used.minor >= 0 for net in self.nets)

    def after_void(self, rest: Refund) -> list[int]:
        """What is counted once all that is left is undone; of budgets in all."""
        program, key_id = self._bought.rules.program, make.key_id("sale")
        counted = Counted(program, make.STORE, key_id, self._bought.facts, tuple(self.nets))
        uses = uses_back_of_rest(counted, rest, (), (), was_gone=False)
        own = dict(self.own)
        for use in uses.account_uses:
            own[use.promotion_id] += use.amount_minor
        left = sum(net.used.minor for net in self.nets)
        return [*own.values(), left + sum(use.amount_minor for use in uses.budget_uses)]


OTHER = Outcome(OutcomeKind.OTHER, 1, (("0", 180),))


@example(Case(three_for_two(), "000", AS_ANSWERED, {1: PLAIN}))
@example(Case(three_for_two(), "000", OTHER, {1: AS_ANSWERED}))
@example(Case(three_for_two(), "000", AS_ANSWERED, {1: OTHER, 2: AS_ANSWERED}))
@given(cases())
def test_in_the_end_it_is_what_one_return_would_have_given(case: Case) -> None:
    bought, order, live, stated = case
    taken = {one.asset_code: one.amount_minor for one in bought.spendings}
    known = Known(live)
    earlier: list[Quantities] = []
    returns: list[ReturnRecord] = []
    settlement: list[ReturnRecord] = []
    counting = Counting(bought)
    upto: Quantities = {}
    most_minor = 0
    for n, line_id in enumerate(order):
        if n in stated:
            now = known.then(stated[n])
            if now.by is not known.by:
                settlement.append(settled(bought, stated[n], returns))
            known = now
        if returns:
            rest = {code: 1_000 * pieces for code, pieces in Counter(order[n:]).items()}
            undone = returned(bought, earlier, rest, returns, known, settlement)
            assert not any(counting.after_void(undone.refund))
        one = returned(bought, earlier, {line_id: 1_000}, returns, known, settlement)
        returns.append(one.record)
        upto = {**upto, line_id: upto.get(line_id, 0) + 1_000}
        earlier.append(upto)
        counting.come_back(one.refund)
        alone = returned(bought, [], upto, [], known, settlement)
        most_minor = max(most_minor, alone.record.pay_back_minor)
        assert sum(record.pay_back_minor for record in returns) == most_minor
        back = given_of([*settlement, *returns])
        assert all(minor <= taken[code] for code, minor in back.items())
    first = [] if known.by is None else [settled(bought, known.by, [])]
    at_once = returned(bought, [], upto, [], known, first)
    assert at_once.record.pay_back_minor == paid_in_money(bought, known)
    # What goods were paid too much before it is not asked for: points make up for it.
    if most_minor == at_once.record.pay_back_minor:
        assert given_of([*settlement, *returns]) == taken
    assert not any(counting.own.values())
    assert not any(net.used.minor for net in counting.nets)
