"""Settling: what a refund or void takes back and gives back, lot by lot."""

from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.ledger import Book, Hold, LotKind, Movement, OwnedLot
from rewards.settling import (
    Claim,
    Comeback,
    GrantedLot,
    ReturnRecord,
    Settled,
    SettledAsset,
    Spending,
    Standing,
    claims_of_void,
    comebacks_of_void,
    settle,
)

KEY = bytes(range(16))
NOW_US, LATER_US, PAST_US = 1_000, 2_000, 500
RETURNED = AssetWindow(NOW_US, 5_000)
FUNDING = (("brand", 60), ("", 40))


def lot(
    name: str, granted: int, left: int | None = None, ends: int = 0, **more: object
) -> OwnedLot:
    remaining = granted if left is None else left
    made = OwnedLot(name.encode(), "points", granted, remaining, 0, ends)
    return replace(made, **more)


def standing(
    *spent: OwnedLot,
    holds: Sequence[Hold] = (),
    lapsed: Mapping[bytes, int] | None = None,
    debt: bool = True,
) -> Standing:
    lots = {one.lot_id: one for one in spent}
    return Standing(tuple(holds), lots, lapsed or {}, RETURNED, debt, NOW_US)


def claim(granted: OwnedLot, minor: int, before: int = 0) -> Claim:
    return Claim(GrantedLot(granted, granted.granted_minor), minor, before)


def settled(
    lots: Sequence[OwnedLot],
    known: Standing,
    claims: Sequence[Claim] = (),
    comebacks: Sequence[Comeback] = (),
) -> tuple[Settled, Movement]:
    journal = Journal(KEY, lots)
    found = settle(journal, known, claims, comebacks)
    return found, journal.movement()


def changes(movement: Movement) -> dict[bytes, int]:
    sums: dict[bytes, int] = {}
    for change in movement.lot_changes:
        sums[change.lot_id] = sums.get(change.lot_id, 0) + change.change_minor
    return sums


def in_book(movement: Movement, book: Book, party_id: str = "") -> int:
    return sum(
        one.amount_minor
        for one in movement.postings
        if (one.book, one.party_id) == (book, party_id)
    )


# --- taking back --------------------------------------------------------------------------------


def test_what_is_left_of_the_lot_goes_first() -> None:
    own, other = lot("own", 100, 40), lot("other", 50)
    found, movement = settled([own, other], standing(), [claim(own, 70)])
    assert changes(movement) == {b"own": -40, b"other": -30}
    assert found.assets == (SettledAsset("points", taken_minor=70),)
    assert in_book(movement, Book.ISSUER) == 70


def test_what_is_nowhere_any_more_is_owed() -> None:
    own, other = lot("own", 100, 0), lot("other", 50)
    found, movement = settled([own, other], standing(), [claim(own, 70)])
    assert found.assets == (SettledAsset("points", taken_minor=50, owed_minor=20),)
    (debt,) = movement.lots
    assert (debt.kind, debt.granted_minor) == (LotKind.DEBT, 20)
    assert in_book(movement, Book.DEBT) == -20


def test_or_waived_where_the_program_says_so() -> None:
    own = lot("own", 100, 30)
    found, movement = settled([own], standing(debt=False), [claim(own, 100)])
    assert found.assets == (SettledAsset("points", taken_minor=30, waived_minor=70),)
    assert not movement.lots


def test_nothing_is_owed_for_what_expired_unspent() -> None:
    """Of 100 granted 30 were spent and 70 expired: 70 of the claim are free, 30 are owed."""
    own = lot("own", 100, 0, ends=PAST_US)
    found, _ = settled([own], standing(lapsed={b"own": 70}), [claim(own, 100)])
    assert found.assets == (SettledAsset("points", owed_minor=30),)
    assert found.lapsed == ((b"own", 70),)


def test_what_expired_and_is_not_posted_yet_is_taken_from_the_lot() -> None:
    own, other = lot("own", 100, 70, ends=PAST_US), lot("other", 100)
    found, movement = settled([own, other], standing(), [claim(own, 60)])
    assert changes(movement) == {b"own": -60}
    assert found.assets == (SettledAsset("points", taken_minor=60),)


def test_what_a_basket_holds_is_not_taken() -> None:
    own = lot("own", 100)
    held = Hold(b"h", "points", 80, ((b"own", 80),), LATER_US)
    found, movement = settled([own], standing(holds=[held]), [claim(own, 50)])
    assert changes(movement) == {b"own": -20}
    assert found.assets == (SettledAsset("points", taken_minor=20, owed_minor=30),)


def test_a_lapsed_hold_binds_nobody() -> None:
    own = lot("own", 100)
    held = Hold(b"h", "points", 80, ((b"own", 80),), PAST_US)
    found, _ = settled([own], standing(holds=[held]), [claim(own, 50)])
    assert found.assets == (SettledAsset("points", taken_minor=50),)


@pytest.mark.parametrize("cuts", [(100,), (1, 99), (33, 33, 34), (7, 13, 41, 39)])
def test_funders_get_back_in_parts_what_they_paid(cuts: tuple[int, ...]) -> None:
    """However a lot is taken back, from itself and from others, each gets its share exactly."""
    own, other = lot("own", 100, 45, funding=FUNDING), lot("other", 500)
    lots, before, back = [own, other], 0, {"brand": 0, "": 0}
    for cut in cuts:
        _, movement = settled(lots, standing(), [claim(lots[0], cut, before)])
        before += cut
        moved = changes(movement)
        lots = [
            replace(one, remaining_minor=one.remaining_minor + moved.get(one.lot_id, 0))
            for one in lots
        ]
        back["brand"] += in_book(movement, Book.FUNDING, "brand")
        back[""] += in_book(movement, Book.ISSUER)
    assert back == {"brand": 60, "": 40}


def test_a_coupon_that_was_used_is_neither_owed_nor_taken_from_another() -> None:
    used = replace(lot("used", 1, 0), asset_code="coupon.tea")
    other = replace(lot("other", 1), asset_code="coupon.tea")
    found, movement = settled([used, other], standing(), [claim(used, 1)])
    assert not movement.postings
    assert found.assets == (SettledAsset("coupon.tea", waived_minor=1),)


@pytest.mark.parametrize("asset_code", ["tier.gold", "draw.car", "prize.toys"])
def test_what_is_only_counted_is_never_owed(asset_code: str) -> None:
    """A debt would eat the next tier that is given, and no slip has words for it."""
    gone = replace(lot("gone", 3, 1), asset_code=asset_code)
    found, movement = settled([gone], standing(), [claim(gone, 3)])
    assert found.assets == (SettledAsset(asset_code, taken_minor=1, waived_minor=2),)
    assert in_book(movement, Book.DEBT) == 0


# --- giving back --------------------------------------------------------------------------------


def spending(*picks: tuple[str, int], promotion_id: str = "") -> Spending:
    return Spending(promotion_id, "points", tuple((name.encode(), minor) for name, minor in picks))


def test_what_was_spent_goes_back_to_its_lots_in_the_order_it_was_taken() -> None:
    one, two = lot("one", 100, 70), lot("two", 100, 20)
    took = spending(("one", 30), ("two", 80))
    first, movement = settled([one, two], standing(one, two), (), [Comeback(took, 50)])
    assert changes(movement) == {b"one": 30, b"two": 20}
    assert first.assets == (SettledAsset("points", given_minor=50),)
    _, movement = settled([one, two], standing(one, two), (), [Comeback(took, 60, 50)])
    assert changes(movement) == {b"two": 60}


def test_of_a_lot_that_has_expired_it_comes_in_a_new_one() -> None:
    gone = lot("gone", 100, 0, ends=PAST_US)
    _, movement = settled([gone], standing(gone), (), [Comeback(spending(("gone", 40)), 40)])
    (made,) = movement.lots
    window = (made.active_from_us, made.expires_at_us)
    assert (made.granted_minor, window) == (40, (NOW_US, 5_000))
    assert in_book(movement, Book.CLEARING) == -40


def test_of_a_lot_that_a_merge_left_behind_it_comes_in_a_new_one_with_its_dates() -> None:
    behind = replace(lot("behind", 0, 0, ends=LATER_US), active_from_us=7)
    _, movement = settled([], standing(behind), (), [Comeback(spending(("behind", 40)), 40)])
    (made,) = movement.lots
    assert (made.granted_minor, made.active_from_us, made.expires_at_us) == (40, 7, LATER_US)


def test_what_comes_back_is_there_to_be_taken() -> None:
    """Points earned and points spent on one receipt: nothing is owed where enough comes back."""
    earned, old = lot("earned", 100, 0), lot("old", 200, 100)
    took = spending(("old", 100))
    found, movement = settled(
        [earned, old], standing(old), [claim(earned, 100)], [Comeback(took, 100)]
    )
    assert found.assets == (SettledAsset("points", given_minor=100, taken_minor=100),)
    assert changes(movement) == {b"old": 0}


@pytest.mark.parametrize(("still", "forgiven", "new"), [(40, 40, 0), (15, 15, 25), (0, 0, 40)])
def test_what_was_spent_and_owed_is_forgiven_as_far_as_it_is_unpaid(
    still: int, forgiven: int, new: int
) -> None:
    owed = lot("owed", 40, still, kind=LotKind.DEBT)
    lots = [owed] if still else []
    took = spending(("owed", 40))
    found, movement = settled(lots, standing(owed), (), [Comeback(took, 40)])
    assert in_book(movement, Book.DEBT) == forgiven
    assert sum(one.granted_minor for one in movement.lots) == new
    assert in_book(movement, Book.CLEARING) == -40
    assert found.assets == (SettledAsset("points", given_minor=40),)


# --- a void after refunds -------------------------------------------------------------------------


def test_a_void_undoes_what_refunds_have_left() -> None:
    granted = GrantedLot(lot("own", 100, 60), 100, 7)
    records = [
        ReturnRecord((), given=(("", "points", 10),), claimed=((7, b"own", 40),)),
        ReturnRecord((), given=(("", "points", 5),)),
    ]
    (left,) = claims_of_void([granted], records)
    assert (left.amount_minor, left.before_minor) == (60, 40)
    took = spending(("old", 30))
    assert comebacks_of_void([took], records) == (Comeback(took, 15, 15),)


def test_a_lot_of_another_account_with_the_same_id_is_another_lot() -> None:
    granted = GrantedLot(lot("own", 100), 100, -5)
    records = [ReturnRecord((), claimed=((7, b"own", 100),))]
    assert [one.amount_minor for one in claims_of_void([granted], records)] == [100]
