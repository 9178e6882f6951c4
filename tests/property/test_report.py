"""A report adds up: what was given went to customers, was redeemed, or expired."""

from hypothesis import given
from hypothesis import strategies as st

from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.ledger import Book, Funding, Movement
from rewards.report import Total, report_assets
from tests import make
from tests.examples import at_most

ASSETS = ("points", "stamps")


@st.composite
def movements(draw: st.DrawFn) -> list[Movement]:
    """What some keys post: grants at several costs, spending, expiry, taking back, debts."""
    found = []
    for n in range(draw(st.integers(0, 6))):
        journal = Journal(make.key_id(str(n)))
        for _ in range(draw(st.integers(1, 4))):
            _post(draw, journal)
        found.append(journal.movement())
    return found


def _post(draw: st.DrawFn, journal: Journal) -> None:
    code = draw(st.sampled_from(ASSETS))
    amount_minor = draw(st.integers(2, 1_000))
    half_minor = amount_minor >> 1
    shared = (("brand", half_minor), ("", amount_minor - half_minor))
    funding: Funding = draw(st.sampled_from([(), shared]))
    book = draw(st.sampled_from([Book.ISSUER, Book.OVERRUN]))
    lot_id = journal.grant("p", code, amount_minor, AssetWindow(0, 0), funding, book)
    part_minor = min(journal.left_of(lot_id), draw(st.integers(0, amount_minor)))
    match draw(st.integers(0, 4)):
        case 0:
            journal.take(Book.CLEARING, code, [(lot_id, part_minor)])
        case 1:
            journal.take(Book.BREAKAGE, code, [(lot_id, part_minor)])
        case 2 if part_minor:
            journal.take_back(lot_id, part_minor)
        case 3:
            journal.owe(draw(st.sampled_from([Book.CLEARING, Book.ISSUER])), code, 5, 0)


def totals(made: list[Movement]) -> list[Total]:
    sums: dict[tuple[str, int, str], tuple[int, int]] = {}
    for one in [posting for movement in made for posting in movement.postings]:
        place = (one.asset_code, one.book, one.party_id)
        amount_minor, count = sums.get(place, (0, 0))
        sums[place] = amount_minor + one.amount_minor, count + 1
    return [Total(*place, *found) for place, found in sums.items()]


@at_most(2_000)
@given(movements(), movements())
def test_a_report_adds_up(before: list[Movement], period: list[Movement]) -> None:
    for one in report_assets(totals(before), totals(period)):
        given_minor = sum([minor for _, minor in one.costs]) + one.overrun_minor
        gone_minor = one.redeemed_minor + one.breakage_minor
        assert one.change_minor == given_minor - gone_minor
        assert one.liability_minor >= 0
        assert one.debt_minor >= 0
        assert one.postings == sum(
            posting.asset_code == one.asset_code
            for movement in period
            for posting in movement.postings
        )


@at_most(2_000)
@given(movements(), movements())
def test_periods_add_up_to_the_whole(first: list[Movement], second: list[Movement]) -> None:
    """What is owned at the end does not depend on where periods were cut."""
    whole = {one.asset_code: one for one in report_assets([], totals(first + second))}
    early = {one.asset_code: one for one in report_assets([], totals(first))}
    late = {one.asset_code: one for one in report_assets(totals(first), totals(second))}
    for code, one in whole.items():
        assert late[code].liability_minor == one.liability_minor
        assert late[code].debt_minor == one.debt_minor
        began_minor = early[code].change_minor if code in early else 0
        assert began_minor + late[code].change_minor == one.change_minor
