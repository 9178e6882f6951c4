"""The journal: whatever it is told to post balances, and lots end as the transfers say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.facts import AssetWindow
from rewards.journal import AlreadyPostedError, Journal
from rewards.ledger import (
    NOTHING,
    Book,
    Funding,
    LotKind,
    Movement,
    OwnedLot,
    part_of,
)
from tests import make
from tests.examples import at_most

KEY = make.key_id("journal")
ALWAYS = AssetWindow(1, 0)
MINORS = st.integers(1, 1_000)
PARTS = st.lists(MINORS, max_size=3)


def funding_of(parts: list[int]) -> Funding:
    return tuple((f"party {n}", minor) for n, minor in enumerate(parts))


def lot_of(name: str, granted: int, left: int, **rest: object) -> OwnedLot:
    lot = OwnedLot(name.encode(), "points", granted, left, promotion_id="p")
    return replace(lot, **rest)


def debt_of(name: str, left: int, since_us: int = 0) -> OwnedLot:
    return lot_of(name, left, left, kind=LotKind.DEBT, active_from_us=since_us)


def by_book(movement: Movement) -> dict[tuple[int, str], int]:
    found: dict[tuple[int, str], int] = {}
    for one in movement.postings:
        key = one.book, one.party_id
        found[key] = found.get(key, 0) + one.amount_minor
    return {key: minor for key, minor in found.items() if minor}


def changed(movement: Movement) -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for one in movement.lot_changes:
        found[one.lot_id] = found.get(one.lot_id, 0) + one.change_minor
    return found


@given(st.lists(st.tuples(MINORS, st.integers(0, 3)), max_size=4), st.lists(MINORS, max_size=5))
def test_debts_are_paid_first_and_the_oldest_of_them(
    owed: list[tuple[int, int]], grants: list[int]
) -> None:
    lots = [debt_of(f"debt {n}", minor, since) for n, (minor, since) in enumerate(owed)]
    journal = Journal(KEY, lots)
    for minor in grants:
        journal.grant("p", "points", minor, ALWAYS)
    movement = journal.movement()
    paid = min(sum(grants), sum(minor for minor, _ in owed))
    change = sum(one.amount_minor for one in movement.balance_changes)
    assert change == sum(grants)
    assert sum(one.debt_minor for one in movement.balance_changes) == -paid
    in_order = sorted(lots, key=lambda lot: (lot.active_from_us, lot.lot_id))
    left = [journal.left_of(lot.lot_id) for lot in in_order]
    for earlier, later, lot in zip(left, left[1:], in_order[1:], strict=False):
        assert earlier == 0 or later == lot.granted_minor
    for new in movement.lots:
        assert journal.left_of(new.lot_id) == 0 or sum(left) == 0


@given(MINORS, MINORS)
def test_what_is_owed_is_paid_by_a_later_lot_of_the_same_key(owed: int, earned: int) -> None:
    journal = Journal(KEY)
    debt_id = journal.owe(Book.CLEARING, "points", owed, 1)
    lot_id = journal.grant("p", "points", earned, ALWAYS)
    assert journal.left_of(debt_id) == max(0, owed - earned)
    assert journal.left_of(lot_id) == max(0, earned - owed)
    (balance,) = journal.movement().balance_changes
    assert (balance.amount_minor, balance.debt_minor) == (earned - owed, max(0, owed - earned))
    assert {lot.lot_id: lot.remaining_minor for lot in journal.lots()} == {
        debt_id: max(0, owed - earned),
        lot_id: max(0, earned - owed),
    }


@at_most(5_000)
@given(PARTS, st.data())
def test_a_lot_taken_back_in_parts_gives_each_party_what_it_paid(
    parts: list[int], data: st.DataObject
) -> None:
    whole = sum(parts) or 100
    lot = lot_of("lot", whole, whole, funding=funding_of(parts))
    spent = data.draw(st.integers(0, whole))
    journal = Journal(KEY, [lot])
    journal.take(Book.CLEARING, "points", [(lot.lot_id, spent)])
    while left := journal.left_of(lot.lot_id):
        journal.take_back(lot.lot_id, data.draw(st.integers(1, left)))
    books = by_book(journal.movement())
    assert books.pop((Book.CUSTOMER, "")) == -whole
    assert books.pop((Book.CLEARING, ""), 0) == spent
    for party_id, minor in part_of(lot.funding, whole - spent, spent):
        book = Book.FUNDING if party_id else Book.ISSUER
        assert books.pop((book, party_id), 0) == minor
    assert books == {}


@given(PARTS, st.data())
def test_a_grant_that_is_taken_back_leaves_nobody_with_anything(
    parts: list[int], data: st.DataObject
) -> None:
    whole = sum(parts) or 100
    book = data.draw(st.sampled_from([Book.ISSUER, Book.CLEARING, Book.OVERRUN]))
    journal = Journal(KEY)
    lot_id = journal.grant("p", "points", whole, ALWAYS, funding_of(parts), book)
    granted = by_book(journal.movement())
    assert granted[Book.CUSTOMER, ""] == whole
    assert {key for key in granted if key[0] == Book.FUNDING} == {
        (Book.FUNDING, party_id) for party_id, _ in funding_of(parts) if book == Book.ISSUER
    }
    journal.take_back(lot_id, whole)
    assert by_book(journal.movement()) == {}


def test_an_overrun_stands_apart_with_the_party_whose_budget_it_was() -> None:
    journal = Journal(KEY)
    journal.grant("p", "points", 9, ALWAYS, (("brand", 5), ("", 4)), Book.OVERRUN)
    assert by_book(journal.movement()) == {
        (Book.CUSTOMER, ""): 9,
        (Book.OVERRUN, "brand"): -5,
        (Book.OVERRUN, ""): -4,
    }


@given(st.lists(st.tuples(MINORS, MINORS), min_size=1, max_size=4))
def test_what_is_spent_and_given_back_stands_where_it_stood(lots: list[tuple[int, int]]) -> None:
    owned = [lot_of(f"{n}", left + gone, left) for n, (left, gone) in enumerate(lots)]
    picks = [(lot.lot_id, lot.remaining_minor) for lot in owned]
    journal = Journal(KEY, owned)
    journal.take(Book.CLEARING, "points", picks)
    assert not any(lot.remaining_minor for lot in journal.lots())
    journal.give_back("points", picks)
    assert journal.lots() == owned
    movement = journal.movement()
    assert by_book(movement) == {}
    assert set(changed(movement).values()) == {0}


@given(PARTS, st.sampled_from(LotKind), st.data())
def test_a_lot_that_moves_keeps_its_id_dates_and_funding(
    parts: list[int], kind: LotKind, data: st.DataObject
) -> None:
    whole = sum(parts) or 100
    left = data.draw(st.integers(1, whole))
    lot = lot_of("lot", whole, left, funding=funding_of(parts), kind=kind)
    lot = replace(lot, active_from_us=5, expires_at_us=data.draw(st.sampled_from([0, 9])))
    source, target = Journal(KEY, [lot]), Journal(KEY)
    if kind == LotKind.DEBT:
        source.forgive(Book.CLEARING, "points", [(lot.lot_id, left)])
    else:
        source.take(Book.CLEARING, "points", [(lot.lot_id, left)])
    target.receive(data.draw(st.sampled_from([lot, *source.lots()])), left)
    (moved,) = target.lots()
    assert replace(moved, granted_minor=whole, funding=lot.funding) == lot
    assert moved.granted_minor == left
    assert moved.funding == (part_of(lot.funding, left, whole - left) if parts else ())
    both = (source.movement(), target.movement())
    assert sum(by_book(one).get((Book.CLEARING, ""), 0) for one in both) == 0
    (gone,), (got,) = (one.balance_changes for one in both)
    assert gone.amount_minor + got.amount_minor == 0
    assert gone.debt_minor + got.debt_minor == 0


@given(st.lists(MINORS, min_size=2, max_size=5))
def test_a_transfer_changes_a_lot_once_however_it_was_picked(minors: list[int]) -> None:
    whole = sum(minors)
    journal = Journal(KEY, [lot_of("lot", whole, whole)])
    journal.take(Book.CLEARING, "points", [(b"lot", minor) for minor in minors])
    (change,) = journal.movement().lot_changes
    assert change.change_minor == -whole


def test_nothing_is_posted_for_nothing() -> None:
    journal = Journal(KEY, [lot_of("lot", 9, 9), debt_of("debt", 9)])
    journal.take(Book.CLEARING, "points", [])
    journal.take_back(b"lot", 0)
    journal.take_instead("p", "points", [(b"lot", 0)])
    journal.give_back("points", ())
    journal.forgive(Book.ISSUER, "points", [])
    assert journal.movement() is NOTHING


@pytest.mark.parametrize(
    ("asset_code", "picks", "said"),
    [
        ("points", [(b"lot", 6)], "past its bounds"),
        ("points", [(b"lot", 3), (b"lot", 3)], "past its bounds"),
        ("points", [(b"lot", 4), (b"lot", -1)], "below zero"),
        ("stamps", [(b"lot", 1)], "another asset"),
    ],
)
def test_canary_a_lot_is_never_left_past_its_bounds(
    asset_code: str, picks: list[tuple[bytes, int]], said: str
) -> None:
    journal = Journal(KEY, [lot_of("lot", 9, 5)])
    with pytest.raises(AssertionError, match=said):
        journal.take(Book.CLEARING, asset_code, picks)


def test_canary_value_is_not_taken_as_debt_nor_debt_as_value() -> None:
    lots = [lot_of("lot", 9, 9), debt_of("debt", 9)]
    taken, forgiven = Journal(KEY, lots), Journal(KEY, lots)
    taken.take(Book.CLEARING, "points", [(b"debt", 1)])
    forgiven.forgive(Book.ISSUER, "points", [(b"lot", 1)])
    for journal in (taken, forgiven):
        with pytest.raises(AssertionError, match="postings differ from lots"):
            journal.movement()


def test_canary_a_lot_is_not_received_twice() -> None:
    journal = Journal(KEY, [lot_of("lot", 9, 9)])
    with pytest.raises(AlreadyPostedError, match="made once"):
        journal.receive(lot_of("lot", 9, 9), 9)
