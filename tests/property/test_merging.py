"""A merge moves everything, owes nothing twice and gives away nothing; expiry takes what ended."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rewards.expiring import expire
from rewards.ledger import (
    NOTHING,
    Book,
    Hold,
    Holdings,
    LotKind,
    Movement,
    OwnedLot,
)
from rewards.merging import merge_accounts
from rewards.statement import positions
from tests import make
from tests.examples import at_most

KEY = make.key_id("merge")
AT_US = 1_000
ASSETS = ("points", "stamps")


def lots_of(name: str) -> st.SearchStrategy[tuple[OwnedLot, ...]]:
    """Lots of value and debts, some expired, pending, or funded by a party."""

    @st.composite
    def build(draw: st.DrawFn) -> tuple[OwnedLot, ...]:
        made = []
        for n in range(draw(st.integers(0, 6))):
            granted = draw(st.integers(1, 1_000))
            is_debt = draw(st.booleans()) and draw(st.booleans())
            funded = () if is_debt else draw(st.sampled_from([(), (("brand", granted),)]))
            made.append(
                OwnedLot(
                    make.key_id(f"{name}{n}") + b"\0\0",
                    draw(st.sampled_from(ASSETS)),
                    granted,
                    draw(st.integers(1, granted)),
                    draw(st.sampled_from([0, AT_US + 5])),
                    0 if is_debt else draw(st.sampled_from([0, AT_US - 1, AT_US, AT_US + 9])),
                    LotKind.DEBT if is_debt else LotKind.VALUE,
                    "promotion",
                    funded,
                )
            )
        return tuple(made)

    return build()


@st.composite
def holdings(draw: st.DrawFn, name: str) -> Holdings:
    """Lots, some of them held for a basket, with holds that have lapsed among them."""
    lots = draw(lots_of(name))
    holds = []
    for n, lot in enumerate(lots):
        if lot.kind == LotKind.VALUE and draw(st.booleans()):
            minor = draw(st.integers(1, lot.remaining_minor))
            ends = draw(st.sampled_from([AT_US - 1, AT_US]))
            pick = ((lot.lot_id, minor),)
            holds.append(Hold(make.key_id(f"h{name}{n}"), lot.asset_code, minor, pick, ends))
    return Holdings(lots, tuple(holds))


def net(lots: tuple[OwnedLot, ...]) -> Counter[str]:
    found: Counter[str] = Counter()
    for lot in lots:
        sign = -1 if lot.kind == LotKind.DEBT else 1
        found[lot.asset_code] += sign * lot.remaining_minor
    return found


def applied(lots: tuple[OwnedLot, ...], movement: Movement) -> dict[bytes, int]:
    """What is left in each lot after a movement."""
    left = {lot.lot_id: lot.remaining_minor for lot in lots}
    for lot in movement.lots:
        assert lot.lot_id not in left
        left[lot.lot_id] = lot.granted_minor
    for change in movement.lot_changes:
        left[change.lot_id] += change.change_minor
    return left


def posted(movement: Movement, *books: Book) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in movement.postings:
        if one.book in books:
            found[one.asset_code] += one.amount_minor
    return found


@at_most(5_000)
@given(holdings("a"), holdings("b"))
def test_a_merge_conserves(losing: Holdings, winning: Holdings) -> None:
    taken, given_ = merge_accounts(KEY, losing, winning, AT_US)
    # The losing account is empty, and CLEARING has nothing left of it.
    assert not any(applied(losing.lots, taken).values())
    clearing = posted(taken, Book.CLEARING)
    clearing.update(posted(given_, Book.CLEARING))
    assert not any(clearing.values())
    assert not any(one.book in (Book.ISSUER, Book.BREAKAGE) for one in taken.postings)
    # What both had together is there afterwards.
    left = applied(winning.lots, given_)
    kinds = {lot.lot_id: lot for lot in (*losing.lots, *winning.lots)}
    after: Counter[str] = Counter()
    for lot_id, minor in left.items():
        sign = -1 if kinds[lot_id].kind == LotKind.DEBT else 1
        after[kinds[lot_id].asset_code] += sign * minor
    before = net(losing.lots)
    before.update(net(winning.lots))
    assert {code: after[code] for code in ASSETS} == {code: before[code] for code in ASSETS}


@at_most(5_000)
@given(holdings("a"), holdings("b"))
def test_a_moved_lot_is_as_it_was(losing: Holdings, winning: Holdings) -> None:
    _, given_ = merge_accounts(KEY, losing, winning, AT_US)
    before = {lot.lot_id: lot for lot in losing.lots}
    for lot in given_.lots:
        was = before[lot.lot_id]
        dates = (lot.active_from_us, lot.expires_at_us, lot.kind, lot.promotion_id)
        assert dates == (was.active_from_us, was.expires_at_us, was.kind, was.promotion_id)
        assert lot.granted_minor <= was.remaining_minor
        assert sum([minor for _, minor in lot.funding]) in (0, lot.granted_minor)


@at_most(5_000)
@given(holdings("a"), holdings("b"))
def test_held_value_pays_no_debt(losing: Holdings, winning: Holdings) -> None:
    _, given_ = merge_accounts(KEY, losing, winning, AT_US)
    left = applied(winning.lots, given_)
    for hold in winning.holds:
        if hold.expires_at_us >= AT_US:
            for lot_id, minor in hold.picks:
                assert left[lot_id] >= minor


@at_most(5_000)
@given(holdings("a"))
def test_expiry_takes_all_that_ended_and_is_not_held(owned: Holdings) -> None:
    movement = expire(KEY, owned, AT_US)
    left = applied(owned.lots, movement)
    held: Counter[bytes] = Counter()
    for hold in owned.holds:
        if hold.expires_at_us >= AT_US:
            for lot_id, minor in hold.picks:
                held[lot_id] += minor
    for lot in owned.lots:
        ended = lot.kind == LotKind.VALUE and lot.has_expired(AT_US)
        assert left[lot.lot_id] == (held[lot.lot_id] if ended else lot.remaining_minor)
    again = Holdings(
        tuple(
            OwnedLot(
                lot.lot_id, lot.asset_code, lot.granted_minor, left[lot.lot_id],
                lot.active_from_us, lot.expires_at_us, lot.kind, lot.promotion_id, lot.funding,
            )
            for lot in owned.lots
        ),
        owned.holds,
    )  # fmt: skip
    assert expire(KEY, again, AT_US) == NOTHING
    # Nobody sees the job's delay: the position is the same before and after it.
    before = {one.asset_code: one for one in positions(owned, AT_US)}
    after = {one.asset_code: one for one in positions(again, AT_US)}
    assert before == after


@at_most(5_000)
@given(holdings("a"))
def test_a_position_is_active_and_pending_less_debt(owned: Holdings) -> None:
    for one in positions(owned, AT_US):
        assert one.amount_minor == one.active_minor + one.pending_minor - one.debt_minor
        assert 0 <= one.held_minor <= one.active_minor
        instants = [due.at_us for due in one.pending]
        assert instants == sorted(set(instants))
        assert all(due.at_us > AT_US for due in one.pending)
        assert sum([due.amount_minor for due in one.expiring]) <= (
            one.active_minor + one.pending_minor
        )
