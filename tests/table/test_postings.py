"""What is posted for rewards, leg by leg: who, whose promotion, how much, under which id."""

import pytest
from msgspec.structs import replace

from rewards.earning import post_grants
from rewards.journal import Journal
from rewards.ledger import (
    BalanceChange,
    Book,
    Lot,
    LotChange,
    LotKind,
    Movement,
    OwnedLot,
    Posting,
    checked,
)
from rewards.program import Funding
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
    journal = Journal(KEY)
    post_grants(journal, program, grants)
    assert journal.movement() == Movement(
        postings=(
            Posting(FIRST, 0, Book.CUSTOMER, "", "b", "points", 30),
            Posting(FIRST, 1, Book.ISSUER, "", "b", "points", -30),
            Posting(SECOND, 0, Book.CUSTOMER, "", "a", "next", 7),
            Posting(SECOND, 1, Book.ISSUER, "", "a", "next", -7),
        ),
        lots=(
            Lot(FIRST, "points", 30, 5, 9, LotKind.VALUE, "b"),
            Lot(SECOND, "next", 7, 6, 0, LotKind.VALUE, "a"),
        ),
        balance_changes=(BalanceChange("next", 7), BalanceChange("points", 30)),
    )


def test_parties_pay_their_shares_and_an_overrun_stands_apart() -> None:
    shared = replace(make.points(100, "a"), funding=(Funding("brand", 5_000, 10),))
    program = make.compiled(shared, make.points(100, "b"))
    journal = Journal(KEY)
    grants = (make.grant(0, "points", 30), make.grant(0, "points", 8), make.grant(1, "points", 5))
    post_grants(journal, program, grants, overrun={1})
    movement = journal.movement()
    assert [
        (one.transfer_id[-1], one.leg, one.book, one.party_id, one.amount_minor)
        for one in movement.postings
    ] == [
        (0, 0, Book.CUSTOMER, "", 30),
        (0, 1, Book.FUNDING, "brand", -10),
        (0, 2, Book.ISSUER, "", -20),
        (1, 0, Book.CUSTOMER, "", 8),
        (1, 1, Book.FUNDING, "brand", -4),
        (1, 2, Book.ISSUER, "", -4),
        (2, 0, Book.CUSTOMER, "", 5),
        (2, 1, Book.OVERRUN, "", -5),
    ]
    assert [lot.funding for lot in movement.lots] == [
        (("brand", 10), ("", 20)),
        (("brand", 4), ("", 4)),
        (),
    ]


def test_what_is_left_of_lots_is_taken_back() -> None:
    lots = (
        OwnedLot(b"one", "points", 30, 30, promotion_id="a"),
        OwnedLot(b"spent", "points", 10, 0, promotion_id="a"),
        OwnedLot(b"two", "points", 20, 5, promotion_id="b"),
    )
    journal = Journal(KEY, lots)
    for lot in lots:
        journal.take_back(lot.lot_id, lot.remaining_minor)
    assert journal.movement() == Movement(
        postings=(
            Posting(FIRST, 0, Book.CUSTOMER, "", "a", "points", -30),
            Posting(FIRST, 1, Book.ISSUER, "", "a", "points", 30),
            Posting(SECOND, 0, Book.CUSTOMER, "", "b", "points", -5),
            Posting(SECOND, 1, Book.ISSUER, "", "b", "points", 5),
        ),
        lot_changes=(LotChange(FIRST, b"one", -30), LotChange(SECOND, b"two", -5)),
        balance_changes=(BalanceChange("points", -35),),
    )


OWN = Posting(FIRST, 0, Book.CUSTOMER, "", "a", "points", 30)
BACK = Posting(FIRST, 1, Book.ISSUER, "", "a", "points", -30)
LOT = Lot(FIRST, "points", 30, 0, 0)
OWED = Lot(FIRST, "points", 30, 0, 0, LotKind.DEBT)
GIVEN = Movement((OWN, BACK), (LOT,), (), (BalanceChange("points", 30),))
OWING = Movement(
    (replace(OWN, book=Book.DEBT, amount_minor=-30), replace(BACK, amount_minor=30)),
    (OWED,),
    (),
    (BalanceChange("points", -30, 30),),
)


def test_what_balances_is_written_as_it_is() -> None:
    assert checked(GIVEN, {}) is GIVEN
    assert checked(OWING, {}) is OWING


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (replace(GIVEN, postings=(OWN,)), "^unbalanced"),
        (replace(GIVEN, postings=(OWN, replace(BACK, transfer_id=SECOND))), "^unbalanced"),
        (replace(GIVEN, postings=(OWN, replace(BACK, asset_code="next"))), "^unbalanced"),
        (replace(GIVEN, lots=()), "^postings differ from lots"),
        (replace(GIVEN, lots=(replace(LOT, asset_code="next"),)), "^postings differ from lots"),
        (replace(GIVEN, lots=(OWED,)), "^postings differ from"),
        (replace(GIVEN, balance_changes=(BalanceChange("points", 29),)), "^balances differ"),
        (replace(GIVEN, balance_changes=(BalanceChange("next", 30),)), "^balances differ"),
        (replace(GIVEN, balance_changes=()), "^balances differ"),
        (replace(OWING, lots=(LOT,)), "^postings differ from"),
        (replace(OWING, balance_changes=(BalanceChange("points", -30),)), "^balances differ"),
    ],
)
def test_canary_what_does_not_balance_is_not_written(moved: Movement, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        checked(moved, {})
