"""What is posted for rewards, leg by leg: who, whose promotion, how much, under which id."""

import pytest

from rewards.ledger import Book, Lot, LotChange, OwnedLot, Posting, _checked, earn, take_back
from rewards.ledger import Movement as Moved
from tests import make

KEY = bytes(range(16))
FIRST, SECOND = KEY + b"\x00\x00", KEY + b"\x00\x01"


def test_each_reward_that_is_an_asset_is_a_transfer_and_a_lot() -> None:
    program = make.compiled(make.points(100, "a"), make.points(100, "b"))
    grants = (
        make.grant(1, "points", 30, active_from_us=5, expires_at_us=9),
        make.grant(0, "", 1),
        make.grant(0, "next", 7, active_from_us=6, expires_at_us=0),
    )
    assert earn(KEY, program, grants) == Moved(
        postings=(
            Posting(FIRST, 0, Book.CUSTOMER, "", "b", "points", 30),
            Posting(FIRST, 1, Book.ISSUER, "", "b", "points", -30),
            Posting(SECOND, 0, Book.CUSTOMER, "", "a", "next", 7),
            Posting(SECOND, 1, Book.ISSUER, "", "a", "next", -7),
        ),
        lots=(Lot(FIRST, "points", 30, 5, 9), Lot(SECOND, "next", 7, 6, 0)),
        balance_changes=(("next", 7), ("points", 30)),
    )


def test_what_is_left_of_lots_is_taken_back() -> None:
    lots = (
        OwnedLot(b"one", "points", 30, 30, "a"),
        OwnedLot(b"spent", "points", 10, 0, "a"),
        OwnedLot(b"two", "points", 20, 5, "b"),
    )
    assert take_back(KEY, lots) == Moved(
        postings=(
            Posting(FIRST, 0, Book.CUSTOMER, "", "a", "points", -30),
            Posting(FIRST, 1, Book.ISSUER, "", "a", "points", 30),
            Posting(SECOND, 0, Book.CUSTOMER, "", "b", "points", -5),
            Posting(SECOND, 1, Book.ISSUER, "", "b", "points", 5),
        ),
        lot_changes=(LotChange(b"one", -30), LotChange(b"two", -5)),
        balance_changes=(("points", -35),),
    )


OWN = Posting(FIRST, 0, Book.CUSTOMER, "", "a", "points", 30)
BACK = Posting(FIRST, 1, Book.ISSUER, "", "a", "points", -30)
LOT = Lot(FIRST, "points", 30, 0, 0)


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (Moved((OWN,), (LOT,), (), (("points", 30),)), "^unbalanced"),
        (Moved((OWN, BACK), (), (), (("points", 30),)), "^postings differ from lots"),
        (Moved((OWN, BACK), (LOT,), (), (("points", 29),)), "^$"),
    ],
)
def test_canary_what_does_not_balance_is_not_written(moved: Moved, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        _checked(moved)
