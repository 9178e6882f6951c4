"""Goal: what a customer paid with their own assets comes back with the goods, all of it in the end.

Where promotions keep money back, money is lowered before points are. All returns together pay the
most that one of them alone would have paid, and in money no more than in all less in points.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st

from rewards.allocate import allocate
from rewards.benefit import CheapestFree, PercentOff, ReceiptDiscount
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import Facts, Quota
from rewards.ledger import Holdings, OwnedLot
from rewards.program import Limits, Policy, SpendRule
from rewards.refund import Refund, decide_refund
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from rewards.settling import ReturnRecord, Spending, comebacks_of, paid_out_by, pay_back
from rewards.spending import Purse, Wish, as_sold, decide_spending
from tests import make
from tests.table.test_refund import kept_back_by

Quantities = dict[str, int]


def as_paid(
    rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None
) -> Evaluation:
    """By the reference, with what is spent on it."""

    def among(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluation:
        return evaluate(rules, sale, facts, allocate, only)

    return as_sold(rules, sale, facts, among).raised()


class Bought(NamedTuple):
    """A receipt with what its customer spent on it."""

    rules: ProgramRules
    sale: Sale
    facts: Facts

    @property
    def spendings(self) -> list[Spending]:
        """What was taken for it."""
        spends = self.facts.spends
        return [Spending("", one.asset_code, ((b"lot", one.amount_minor),)) for one in spends]


def _rule(draw: st.DrawFn, asset_code: str, mode: Literal["discount", "tender"]) -> SpendRule:
    share_bp = draw(st.integers(1_000, 10_000))
    step_minor, value_minor = draw(st.integers(1, 9)), draw(st.integers(1, 40))
    return SpendRule(asset_code, step_minor, value_minor, mode, share_bp)


def quota(promotion_id: str) -> Quota:
    """What is left of a limit: more than is ever given."""
    return Quota(promotion_id, -1, -1, 10_000)


@st.composite
def sold(draw: st.DrawFn, limits: Limits | None = None) -> Bought:
    """Discounts that may be lost as goods come back, and two assets that paid for a part."""
    bound: Any = {} if limits is None else {"limits": limits}
    bound["policy"] = Policy(draw(st.sampled_from(("rewards", "claw_back"))))
    froms = draw(st.tuples(st.integers(0, 400), st.integers(0, 400)))
    off = ReceiptDiscount(rate_bp=draw(st.integers(500, 6_000)))
    sets = CheapestFree(draw(st.integers(2, 4)))
    rules = make.rules(
        make.promotion("sets", sets, priority=9, receipt_amount_from_minor=froms[0], **bound),
        make.promotion("half", PercentOff(5_000), priority=5, **bound),
        make.promotion("off", off, receipt_amount_from_minor=froms[1], stackable=True, **bound),
        assets=(make.asset("points"), make.asset("bonus")),
        spend_rules=(_rule(draw, "points", "discount"), _rule(draw, "bonus", "tender")),
    )
    prices = draw(st.lists(st.integers(1, 200), min_size=1, max_size=3))
    lines = [
        make.line(f"sku{n}", draw(st.integers(1, 4)), minor, line_id=str(n))
        for n, minor in enumerate(prices)
    ]
    wishes = [Wish(code, draw(st.integers(0, 300))) for code in ("points", "bonus")]
    lots = tuple(OwnedLot(one.asset_code.encode(), one.asset_code, 999, 999) for one in wishes)
    purse = Purse(Holdings(lots), {}, make.NOON_US, b"hold")
    quotas = () if limits is None else tuple([quota(code) for code in ("sets", "half", "off")])
    sale, facts = make.sale(*lines), make.facts(quotas=quotas)
    asked = [one for one in wishes if one.amount_minor]

    def plain(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluation:
        return evaluate(rules, sale, facts, allocate)

    decided = decide_spending(rules, sale, facts, asked, purse, plain)
    return Bought(rules, sale, decided.facts)


def returned(
    bought: Bought,
    earlier: Sequence[Quantities],
    now: Quantities,
    records: list[ReturnRecord],
    paid: Mapping[str, int] | None = None,
) -> ReturnRecord:
    rules, sale, facts = bought
    out = paid_out_by(records)
    refund = decide_refund(rules, sale, facts, earlier, now, as_paid, paid, paid_out=out)
    assert isinstance(refund, Refund)
    part = pay_back(refund, records)
    found = comebacks_of(refund, rules.program, part, bought.spendings, records)
    return ReturnRecord(
        tuple((one.line_id, one.quantity_milli, one.amount_minor) for one in refund.lines),
        part.money_minor,
        part.by_points_minor,
        tuple(("", one.spending.asset_code, one.amount_minor) for one in found),
    )


def given_of(records: list[ReturnRecord]) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in records:
        for _, asset_code, minor in record.given:
            found[asset_code] = found.get(asset_code, 0) + minor
    return found


@given(sold(), st.data())
def test_they_pay_the_most_that_one_of_them_would(bought: Bought, data: st.DataObject) -> None:
    lines = bought.sale.lines
    pieces = [line.line_id for line in lines for _ in range(line.quantity_milli // 1_000)]
    taken = {one.asset_code: one.amount_minor for one in bought.spendings}
    earlier: list[Quantities] = []
    back_milli: Quantities = {}
    records: list[ReturnRecord] = []
    most_minor = most_money_minor = 0
    for line_id in data.draw(st.permutations(pieces)):
        records.append(returned(bought, earlier, {line_id: 1_000}, records))
        back_milli = {**back_milli, line_id: back_milli.get(line_id, 0) + 1_000}
        earlier.append(back_milli)
        alone = returned(bought, [], back_milli, [])
        most_minor = max(most_minor, alone.pay_back_minor + alone.by_points_minor)
        most_money_minor = max(most_money_minor, alone.pay_back_minor)
        money_minor = sum(one.pay_back_minor for one in records)
        by_points_minor = sum(one.by_points_minor for one in records)
        assert (money_minor + by_points_minor, money_minor) == (most_minor, most_money_minor)
        back = given_of(records)
        assert all(minor <= taken[code] for code, minor in back.items())
        if kept_back_by(records) == 0:
            assert back == given_of([alone])
    assert kept_back_by(records) == 0
    assert given_of(records) == taken


@given(sold(), st.data())
def test_at_other_prices_all_that_was_taken_comes_back(bought: Bought, data: st.DataObject) -> None:
    lines = bought.sale.lines
    paid = {one.line_id: data.draw(st.integers(0, one.amount_minor)) for one in lines}
    spends = bought.facts.spends
    tenders_minor = sum(one.value_minor for one in spends if one.is_tender)
    assume(sum(paid.values()) >= tenders_minor)
    pieces = [line.line_id for line in lines for _ in range(line.quantity_milli // 1_000)]
    earlier: list[Quantities] = []
    back_milli: Quantities = {}
    records: list[ReturnRecord] = []
    for line_id in data.draw(st.permutations(pieces)):
        records.append(returned(bought, earlier, {line_id: 1_000}, records, paid))
        back_milli = {**back_milli, line_id: back_milli.get(line_id, 0) + 1_000}
        earlier.append(back_milli)
    assert given_of(records) == {one.asset_code: one.amount_minor for one in spends}
    assert sum(one.pay_back_minor for one in records) == sum(paid.values()) - tenders_minor
    assert sum(one.by_points_minor for one in records) == sum(one.value_minor for one in spends)
