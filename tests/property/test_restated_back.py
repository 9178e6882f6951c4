"""Goal: what a till states between two returns changes nothing of what comes back in all.

When all has come back, the customer has the money that the till says was paid, all that they paid
with their own assets, and limits have all that was used of them: as by one return after it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hypothesis import assume, example, given
from hypothesis import strategies as st

from rewards.benefit import CheapestFree
from rewards.facts import Spent
from rewards.outcome import is_plain, paid_by_line
from rewards.program import Policy
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
from tests import make
from tests.property.test_spends_back import Bought, Quantities, as_paid, given_of, sold

PLAIN = Outcome(OutcomeKind.PLAIN, 1, ())


class Return(NamedTuple):
    """What one return did."""

    refund: Refund
    record: ReturnRecord


def returned(
    bought: Bought,
    earlier: Sequence[Quantities],
    now: Quantities,
    returns: Sequence[ReturnRecord],
    stated: Outcome | None = None,
    settlement: Sequence[ReturnRecord] = (),
    is_since: bool = False,
) -> Return:
    rules, sale, facts = bought
    refund = decide_refund(
        rules,
        sale,
        facts,
        earlier,
        now,
        as_paid,
        paid_by_line(stated),
        settled=Settlement(stated, is_since) if stated is not None else None,
        paid_out=paid_out_by(returns, stated is not None and is_plain(stated)),
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


@st.composite
def statements(draw: st.DrawFn, bought: Bought) -> Outcome:
    # Which of two assets an earlier return has paid back with is not told apart.
    if len(bought.spendings) > 1 or draw(st.booleans()):
        return PLAIN
    lines = [(line.line_id, draw(st.integers(0, line.amount_minor))) for line in bought.sale.lines]
    # No till has sold for less than points have paid of it as a tender.
    tendered = [one.value_minor for one in bought.facts.spends if one.is_tender]
    assume(sum(minor for _, minor in lines) >= sum(tendered))
    return Outcome(OutcomeKind.OTHER, 1, tuple(lines))


class Case(NamedTuple):
    """A receipt, in what order its pieces come back, and what is stated after how many of them."""

    bought: Bought
    order: Sequence[str]
    early: int
    stated: Outcome


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bought = draw(sold())
    pieces = [one.line_id for one in bought.sale.lines for _ in range(one.quantity_milli // 1_000)]
    order = draw(st.permutations(pieces))
    early = draw(st.integers(0, len(order) - 1))
    return Case(bought, order, early, draw(statements(bought)))


def three_for_two() -> Bought:
    """Of three pieces each has a third of its price off; a first return keeps it back."""
    claws = make.promotion("sets", CheapestFree(3), policy=Policy("claw_back"))
    return Bought(make.rules(claws), make.sale(make.line("0", 3, 90, "0")), make.facts())


@example(Case(three_for_two(), "000", 1, PLAIN))
@given(cases())
def test_in_the_end_it_is_what_one_return_would_have_given(case: Case) -> None:
    bought, order, early, stated = case
    taken = {one.asset_code: one.amount_minor for one in bought.spendings}
    earlier: list[Quantities] = []
    returns: list[ReturnRecord] = []
    settlement: list[ReturnRecord] = []
    freed: dict[int, int] = {}
    upto: Quantities = {}
    most_minor = 0
    for n, line_id in enumerate(order):
        if n == early:
            settlement.append(settled(bought, stated, returns))
        known = stated if n >= early else None
        one = returned(
            bought, earlier, {line_id: 1_000}, returns, known, settlement, is_since=n == early
        )
        returns.append(one.record)
        upto = {**upto, line_id: upto.get(line_id, 0) + 1_000}
        earlier.append(upto)
        for number, minor in one.refund.freed.items():
            freed[number] = freed.get(number, 0) + minor
        alone = returned(bought, [], upto, [], known, settlement)
        most_minor = max(most_minor, alone.record.pay_back_minor)
        assert sum(record.pay_back_minor for record in returns) == most_minor
        back = given_of([*settlement, *returns])
        assert all(minor <= taken[code] for code, minor in back.items())
    at_once = returned(bought, [], upto, [], stated, [settled(bought, stated, [])])
    # What goods were paid too much before it is not asked for: points make up for it.
    if most_minor == at_once.record.pay_back_minor:
        assert given_of([*settlement, *returns]) == taken
    assert _of(freed) == _of(at_once.refund.freed)


def _of(minors: Mapping[int, int]) -> dict[int, int]:
    return {number: minor for number, minor in minors.items() if minor}
