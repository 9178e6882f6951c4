"""Every movement balances: transfers sum to zero, lots and balances agree with the postings."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rewards.earning import post_grants
from rewards.journal import Journal
from rewards.ledger import NOTHING, Book, Movement, OwnedLot
from rewards.rewarding import Grant
from tests import make

ASSETS = ("next", "points")
PROGRAM = make.compiled(make.points(100, "a"), make.points(100, "b"), make.points(100, "c"))
SALE_KEY, VOID_KEY = make.key_id("sale"), make.key_id("void")

GRANTS = st.lists(
    st.builds(
        make.grant,
        number=st.integers(0, 2),
        asset_code=st.sampled_from(ASSETS),
        amount_minor=st.integers(1, 10**12),
        active_from_us=st.integers(1, 10**15),
        expires_at_us=st.integers(0, 10**15),
    ),
    max_size=8,
)


def earn(grants: Sequence[Grant]) -> Movement:
    journal = Journal(SALE_KEY)
    post_grants(journal, PROGRAM, grants)
    return journal.movement()


def take_back(lots: Sequence[OwnedLot]) -> Movement:
    """Take back what is left of lots."""
    journal = Journal(VOID_KEY, lots)
    for lot in lots:
        journal.take_back(lot.lot_id, lot.remaining_minor)
    return journal.movement()


def owned(movement: Movement, remaining: list[int]) -> list[OwnedLot]:
    """A sale's lots with what is left of each, as the store reads them back."""
    return [
        OwnedLot(lot.lot_id, lot.asset_code, lot.granted_minor, left, promotion_id=lot.promotion_id)
        for lot, left in zip(movement.lots, remaining, strict=True)
    ]


def assert_balanced(movement: Movement) -> None:
    """Each transfer has two legs that sum to zero in one asset; all views agree by asset."""
    by_transfer: dict[bytes, list[tuple[int, int, str, str, int]]] = {}
    for p in movement.postings:
        leg = (p.leg, p.book, p.asset_code, p.promotion_id, p.amount_minor)
        by_transfer.setdefault(p.transfer_id, []).append(leg)
    for legs in by_transfer.values():
        (first, own, asset, promotion, minor), (second, other, *rest, back_minor) = sorted(legs)
        assert (first, second) == (0, 1)
        assert (own, other) == (Book.CUSTOMER, Book.ISSUER)
        assert rest == [asset, promotion]
        assert minor + back_minor == 0
    posted: Counter[str] = Counter()
    for p in movement.postings:
        if p.book == Book.CUSTOMER:
            posted[p.asset_code] += p.amount_minor
    changes = movement.balance_changes
    assert {one.asset_code: one.amount_minor for one in changes} == dict(posted)
    assert [one.asset_code for one in changes] == sorted(posted)
    assert not any(one.debt_minor for one in changes)


@given(GRANTS)
def test_what_is_earned_balances_and_stands_in_lots(grants: list[Grant]) -> None:
    movement = earn(grants)
    assert_balanced(movement)
    assert movement.lot_changes == ()
    assert [
        (lot.asset_code, lot.granted_minor, lot.active_from_us, lot.expires_at_us)
        for lot in movement.lots
    ] == [(g.asset_code, g.amount_minor, g.active_from_us, g.expires_at_us) for g in grants]
    given_by = ["abc"[grant.number] for grant in grants]
    assert [lot.promotion_id for lot in movement.lots] == given_by
    ids = [lot.lot_id for lot in movement.lots]
    assert ids == sorted(set(ids))
    assert all(lot_id.startswith(SALE_KEY) and len(lot_id) == 18 for lot_id in ids)
    assert {p.transfer_id for p in movement.postings} == set(ids)


@given(GRANTS, st.data())
def test_what_is_taken_back_is_what_was_left(grants: list[Grant], data: st.DataObject) -> None:
    earned = earn(grants)
    remaining = [data.draw(st.integers(0, lot.granted_minor)) for lot in earned.lots]
    taken = take_back(owned(earned, remaining))
    assert_balanced(taken)
    assert taken.lots == ()
    changes = {change.lot_id: change.change_minor for change in taken.lot_changes}
    for lot, left in zip(earned.lots, remaining, strict=True):
        assert changes.pop(lot.lot_id, 0) == -left
    assert changes == {}
    assert 0 not in [posting.amount_minor for posting in taken.postings]
    earned_ids = {posting.transfer_id for posting in earned.postings}
    assert not earned_ids & {posting.transfer_id for posting in taken.postings}


@given(GRANTS)
def test_taking_back_at_once_returns_everything_to_zero(grants: list[Grant]) -> None:
    earned = earn(grants)
    taken = take_back(owned(earned, [lot.granted_minor for lot in earned.lots]))
    sums: Counter[tuple[int, str, str]] = Counter()
    for p in (*earned.postings, *taken.postings):
        sums[p.book, p.promotion_id, p.asset_code] += p.amount_minor
    assert set(sums.values()) <= {0}
    balances: Counter[str] = Counter()
    for change in (*earned.balance_changes, *taken.balance_changes):
        balances[change.asset_code] += change.amount_minor
    assert set(balances.values()) <= {0}


@given(GRANTS)
def test_the_same_key_posts_the_same(grants: list[Grant]) -> None:
    assert earn(grants) == earn(grants)


def test_nothing_earned_moves_nothing() -> None:
    assert earn(()) == NOTHING
    assert take_back(()) == NOTHING
