"""From which lots a sale takes what is spent and what promotions cost, and what is owed then."""

from msgspec.structs import replace

from rewards.benefit import ReceiptDiscount
from rewards.course import Spend
from rewards.evaluate import Evaluation
from rewards.facts import AssetWindow, Spent
from rewards.journal import Journal
from rewards.ledger import Book, Holdings, LotKind, OwnedLot
from rewards.program import Cost
from rewards.spend_posting import Taking, owed_of, post_missing, post_takings, takings_of
from rewards.spending import Purse
from tests import make

KEY = make.key_id("sale")
OLD, NEW = b"old", b"new"
PURSE = Purse(
    Holdings((OwnedLot(OLD, "points", 50, 50, 0, 900), OwnedLot(NEW, "points", 50, 50))), at_us=10
)
FIRST = make.promotion("a", ReceiptDiscount(amount_minor=1), cost=Cost("points", 30, True))
SECOND = make.promotion("b", ReceiptDiscount(amount_minor=1), cost=Cost("points", 40))
PROGRAM = make.compiled(FIRST, SECOND)
NOTHING = Evaluation((), (), (), ())


def taken(spent_minor: int, *spends: Spend) -> tuple[Taking, ...]:
    own = (Spent("points", spent_minor, spent_minor, True, 0),) if spent_minor else ()
    facts = replace(make.facts(), spends=own)
    return takings_of(PROGRAM, facts, replace(NOTHING, spends=spends), PURSE)


def test_what_is_spent_comes_first_and_what_may_be_earned_last() -> None:
    """Lots that end first are taken first; nothing is taken twice."""
    found = taken(20, Spend(0, "points", 30), Spend(1, "points", 40))
    assert found == (
        Taking("points", "", ((OLD, 20),), 0),
        Taking("points", "b", ((OLD, 30), (NEW, 10)), 0),
        Taking("points", "a", ((NEW, 30),), 0, with_earned=True),
    )


def test_what_lots_do_not_cover_is_missing() -> None:
    spent, cost, early = taken(70, Spend(0, "points", 30), Spend(1, "points", 40))
    assert (spent.missing_minor, cost.missing_minor, early.missing_minor) == (0, 10, 30)
    assert owed_of((spent, cost, early)) == (cost,)


def test_the_rest_is_taken_of_what_this_sale_gave_or_owed() -> None:
    takings = (
        Taking("points", "b", (), 10),
        Taking("points", "a", (), 30, with_earned=True),
    )
    journal = Journal(KEY)
    post_takings(journal, takings)
    journal.grant("c", "points", 25, AssetWindow(0, 0))
    post_missing(journal, takings, 10)
    movement = journal.movement()
    debts = [lot for lot in movement.lots if lot.kind == LotKind.DEBT]
    assert sorted((lot.promotion_id, lot.granted_minor) for lot in debts) == [("a", 5), ("b", 10)]
    sums = dict.fromkeys((Book.CUSTOMER, Book.DEBT), 0)
    for one in movement.postings:
        if one.book in sums:
            sums[Book(one.book)] += one.amount_minor
    assert sums == {Book.CUSTOMER: 0, Book.DEBT: -15}
