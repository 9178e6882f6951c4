"""Goal: what goes back to gift cards over all refunds is what they had paid, never more."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rewards.cards_share import card_parts
from rewards.refund import PaidBack, Refund
from rewards.settling import PointsPart, ReturnRecord, Spending

NOTHING: Any = None
AMOUNTS = st.integers(1, 10_000)


def refund(whole_minor: int, before_minor: int, upto_minor: int) -> Refund:
    paid = PaidBack(whole_minor, upto_minor)
    none = (NOTHING, NOTHING, NOTHING)
    return Refund((), (), (), (), upto_minor - before_minor, 0, (), *none, {}, paid)


@given(st.lists(AMOUNTS, min_size=1, max_size=6), st.lists(AMOUNTS, max_size=3), st.data())
def test_all_refunds_together(steps: list[int], asked: list[int], data: st.DataObject) -> None:
    """Cards that paid no more than the whole have it all again; what is kept back comes off."""
    whole_minor = sum(steps)
    taken: list[int] = []
    for minor in asked:
        taken.append(min(minor, whole_minor - sum(taken)))
    spent = [(-1 - n, Spending("", "gift", ((b"lot", minor),))) for n, minor in enumerate(taken)]
    points_minor = data.draw(st.integers(0, whole_minor - sum(taken)))
    kept_back = [data.draw(st.integers(0, step)) for step in steps]
    records: list[ReturnRecord] = []
    before_minor = 0
    for step, kept_minor in zip(steps, kept_back, strict=True):
        upto_minor = before_minor + step
        by_points = points_minor * upto_minor // whole_minor
        by_points -= points_minor * before_minor // whole_minor
        part = PointsPart(max(0, step - kept_minor - by_points), by_points)
        cards, rest = card_parts(
            refund(whole_minor, before_minor, upto_minor), part, spent, records
        )
        given_back = tuple((one.account_id, one.comeback.amount_minor) for one in cards)
        assert rest.money_minor >= 0
        assert rest.money_minor + sum(minor for _, minor in given_back) == part.money_minor
        records.append(ReturnRecord((), to_cards=given_back))
        before_minor = upto_minor
    for account_id, spending in spent:
        back = sum(m for one in records for key, m in one.to_cards if key == account_id)
        assert back <= spending.amount_minor
        if not any(kept_back):
            assert back == spending.amount_minor


def test_what_cards_have_got_too_much_at_other_prices_stays_there() -> None:
    """A line of 90 of 100 came back on the card; at other prices the first two are 55 in all."""
    spent = [(-1, Spending("", "gift", ((b"lot", 100),)))]
    records = [ReturnRecord((), to_cards=((-1, 90),))]
    cards, rest = card_parts(refund(100, 10, 55), PointsPart(0, 0), spent, records)
    assert (cards, rest.money_minor) == ((), 0)
