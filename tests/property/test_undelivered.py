"""Goal: what a till did not give is given otherwise once, never more, and goes with its goods."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.evaluate import Evaluation, evaluate
from rewards.ledger import OwnedLot
from rewards.outcome import Instead
from rewards.program import Cost, Policy
from rewards.sale import Outcome, OutcomeKind, Sale
from rewards.settling import GrantedLot, ReturnRecord
from rewards.undelivered import (
    Undelivered,
    instead_back,
    instead_of,
    left_of,
    undelivered,
    without_price,
)
from tests import make

POLICIES: tuple[Any, ...] = ("points", "deferred_discount", "nothing")
PROMOTIONS = tuple(
    make.percent(
        1_000, f"off-{n}", products=ProductSet(skus=(name,)), policy=Policy("rewards", name)
    )
    for n, name in enumerate(POLICIES)
)
VALUE: dict[str, Any] = {"point_value_micros": 2_000_000}
"""A point is worth two minor units of money."""
PROGRAM = make.rules(*PROMOTIONS, **VALUE).program


@st.composite
def sold(draw: Any) -> tuple[Sale, Evaluation]:
    """A receipt with an article of each policy on one or two lines."""
    lines = [
        make.line(sku, draw(st.integers(1, 5)), draw(st.integers(10, 999)), f"{sku}-{n}")
        for sku in POLICIES
        for n in range(draw(st.integers(1, 2)))
    ]
    made = make.sale(*lines)
    return made, make.evaluated(PROMOTIONS, made, **VALUE)


@st.composite
def stated(draw: Any, made: Sale) -> Outcome:
    """The plain price, or amounts of the till's own on some lines."""
    if draw(st.booleans()):
        return Outcome(OutcomeKind.PLAIN, 1, ())
    amounts = [(one.line_id, draw(st.integers(0, one.amount_minor))) for one in made.lines]
    return Outcome(OutcomeKind.OTHER, 1, tuple(one for one in amounts if draw(st.booleans())))


@given(sold(), st.data())
def test_what_was_not_given_is_the_gap_of_each_line(
    receipt: tuple[Sale, Evaluation], data: st.DataObject
) -> None:
    made, evaluation = receipt
    outcome = data.draw(stated(made))
    missing = undelivered(made, evaluation, outcome)
    paid = dict(outcome.lines)
    for line, decided in zip(made.lines, evaluation.outcomes, strict=True):
        assert decided is not None
        gap = paid.get(line.line_id, line.amount_minor) - decided.amount_minor
        off = line.amount_minor - decided.amount_minor
        own = [minor for (_, key), minor in missing.discounts.items() if key == line.line_id]
        assert sum(own) == min(off, max(0, gap))
        assert (line.line_id in missing.below) == (gap < 0)


@given(sold(), st.data())
def test_it_is_given_once_and_goes_with_the_goods(
    receipt: tuple[Sale, Evaluation], data: st.DataObject
) -> None:
    """Some pieces come back before it is settled, others after it, at last all of them."""
    made, evaluation = receipt
    missing = undelivered(made, evaluation, data.draw(stated(made)))
    pieces = [line.line_id for line in made.lines for _ in range(line.quantity_milli // 1_000)]
    order = data.draw(st.permutations(pieces))
    early = data.draw(st.integers(0, len(order)))
    before = returned(order[:early])
    left = left_of(made, missing, before)
    assert all(0 < left[n] <= missing.by_promotion[n] for n in left)
    given_now = instead_of(PROGRAM, make.facts(), left, {})
    check_worth(left, given_now)
    instead = tuple(one for _, one in given_now)
    lots = [lot(n, one) for n, one in enumerate(instead)]
    records: list[ReturnRecord] = []
    for upto in range(early + 1, len(order) + 1):
        if upto < len(order) and data.draw(st.booleans()):
            continue
        gone = returned(order[:upto])
        claims = instead_back(PROGRAM, made, missing, lots, instead, records, before, gone)
        records.append(
            ReturnRecord((), claimed=tuple((*c.granted.place, c.amount_minor) for c in claims))
        )
    taken = sum(minor for record in records for _, _, minor in record.claimed)
    assert taken == sum(one.amount_minor for one in instead)


def returned(line_ids: Any) -> dict[str, int]:
    return {key: 1_000 * line_ids.count(key) for key in set(line_ids)}


def lot(n: int, one: Instead) -> GrantedLot:
    owned = OwnedLot(bytes([n]), one.asset_code, one.amount_minor, one.amount_minor)
    return GrantedLot(owned, one.amount_minor, 7)


def check_worth(left: dict[int, int], given_now: Any) -> None:
    """Nothing for the policy nothing; points at their value, rounded down; money one to one."""
    expected = {}
    for number, minor in left.items():
        policy = PROGRAM.promotions[number].policy.offline
        if policy == "points" and minor // 2:
            expected[number] = ("points", minor // 2)
        elif policy == "deferred_discount":
            expected[number] = ("next", minor)
    assert {n: (one.asset_code, one.amount_minor) for n, one in given_now} == expected


def test_nobody_who_earns_nothing_is_given_anything() -> None:
    missing = Undelivered({(0, "1"): 100}, {}, ())
    for customer in (make.customer(account_id=0), make.customer(state=3)):
        known = make.facts(customer=customer)
        assert instead_of(PROGRAM, known, missing.by_promotion, {}) == ()


def test_a_price_is_let_go_where_nothing_else_was_paid_in_the_same_asset() -> None:
    """Two promotions cost 100 points each; the till has given both, one, or none of them."""
    rules = make.rules(
        *(
            make.percent(1_000, sku, products=ProductSet(skus=(sku,)), cost=Cost("points", 100))
            for sku in ("a", "b")
        )
    )
    made = make.sale(make.line("a", 1, 1_000, "a"), make.line("b", 1, 1_000, "b"))
    facts = make.facts(customer=make.customer(balances=(("points", 200),)))
    for paid, left in (
        ((900, 900), 200),
        ((900, 1_000), 200),
        ((1_000, 999), 200),
        ((1_000,) * 2, 0),
    ):
        sold_as = evaluate(rules, made, facts, allocate)
        assert len(sold_as.spends) == 2
        outcome = Outcome(OutcomeKind.OTHER, 1, tuple(zip("ab", paid, strict=True)))
        less = without_price(rules, made, facts, sold_as, outcome)
        known = facts if less is None else less
        assert {**dict(facts.customer.balances), **dict(known.customer.usable)}["points"] == left
