"""Any interleaving of what happens to points leaves what a simple model of purses says.

The machine decides with the pure core (journal and picking) and keeps rows as the database does;
the model counts piles. Both are told the same, and after each step they agree.
"""

from collections import Counter
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.ledger import Book, Funding, Hold, LotKind, OwnedLot, part_of
from rewards.picking import expired, pick, pick_any, usable_minor
from tests import make
from tests.stateful.books import Account
from tests.stateful.purse import NEVER, Pile, Purse, Reserve, first_units, length

ACCOUNTS = (1, 2, 3)
ASSETS = ("points", "stamps")

# Mostly the same account, asset and basket: so that what happens to one meets the others.
account_ids = st.sampled_from((1, 1, 1, 1, 2, 3))
assets = st.sampled_from(("points", "points", "points", "stamps"))
baskets = st.sampled_from(("b1", "b1", "b2"))
amounts = st.integers(1, 60)
lifetimes = st.sampled_from([0, 2, 5, 9, 20])


class Granted(NamedTuple):
    """A grant that may be taken back: by whom it was paid, and what was taken back of it."""

    lot_id: bytes
    asset: str
    amount: int
    funding: Funding
    book: Book
    taken: int


class Spent(NamedTuple):
    """What was spent of a lot and may come back, with the lot's dates."""

    lot_id: bytes
    asset: str
    amount: int
    window: AssetWindow


class Ledger(RuleBasedStateMachine):
    """Accounts with points in them, and the model beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100
        self.keys = 0
        self.accounts = {account_id: Account() for account_id in ACCOUNTS}
        self.purses = {account_id: Purse() for account_id in ACCOUNTS}
        self.merged: dict[int, int] = {}
        self.grants: list[tuple[int, Granted]] = []
        self.spent: list[tuple[int, Spent]] = []
        self.paid: Counter[tuple[Book, str]] = Counter()
        self.broken: Counter[str] = Counter()
        self.cleared: Counter[str] = Counter()

    def place(self, account_id: int) -> int:
        """Where everything of an account is now."""
        while account_id in self.merged:
            account_id = self.merged[account_id]
        return account_id

    def journal(self, account_id: int) -> Journal:
        self.keys += 1
        lots = self.accounts[account_id].lots.values()
        return Journal(make.key_id(f"key {self.keys}"), lots)

    @initialize(
        lots=st.lists(
            st.tuples(st.lists(st.integers(1, 30), min_size=1, max_size=3), lifetimes),
            min_size=2, max_size=5,
        )
    )  # fmt: skip
    def begin(self, lots: list[tuple[list[int], int]]) -> None:
        """Something to begin with."""
        for shares, lasts in lots:
            self.earn(1, "points", shares, False, 0, lasts, Book.ISSUER)

    @rule(
        account=account_ids,
        asset=assets,
        shares=st.lists(st.integers(1, 30), min_size=1, max_size=3),
        alone=st.booleans(),
        starts=st.sampled_from([0, 0, 0, -2, 3]),
        lasts=lifetimes,
        book=st.sampled_from([Book.ISSUER, Book.ISSUER, Book.OVERRUN]),
    )
    def earn(
        self, account: int, asset: str, shares: list[int], alone: bool, starts: int, lasts: int,
        book: Book,
    ) -> None:  # fmt: skip
        account = self.place(account)
        amount = sum(shares)
        funding = () if alone else tuple((f"party {n}", one) for n, one in enumerate(shares))
        window = AssetWindow(self.now + starts, self.now + starts + lasts if lasts else 0)
        journal = self.journal(account)
        lot_id = journal.grant("p", asset, amount, window, funding, book)
        self.accounts[account].write(journal.movement())
        self.purses[account].earn(
            Pile(lot_id, asset, amount, window.active_from_us, window.expires_at_us or NEVER)
        )
        self.grants.append((account, Granted(lot_id, asset, amount, funding, book, 0)))
        paid = funding or (("", amount),)
        self.paid.update({(book, party_id): minor for party_id, minor in paid})

    @rule(account=account_ids, asset=assets, amount=amounts, basket=baskets, is_fact=st.booleans())
    def spend(self, account: int, asset: str, amount: int, basket: str, is_fact: bool) -> None:
        """A request that asks for too much is refused; a fact leaves a debt."""
        account = self.place(account)
        rows, purse = self.accounts[account], self.purses[account]
        units = purse.spendable(asset, self.now, basket)
        hold_id = make.key_id(basket)
        picked = pick(rows.holdings(), asset, amount, self.now, hold_id)
        assert dict(picked.picks) == first_units(units, amount)
        assert picked.missing_minor == max(0, amount - length(units))
        assert usable_minor(rows.holdings(), asset, self.now, hold_id) == length(units)
        if picked.missing_minor and not is_fact:
            return
        journal = self.journal(account)
        journal.take(Book.CLEARING, asset, picked.picks)
        if picked.missing_minor:
            journal.owe(Book.CLEARING, asset, picked.missing_minor, self.now)
        for lot_id, minor in picked.picks:
            lot = rows.lots[lot_id]
            window = AssetWindow(lot.active_from_us, lot.expires_at_us)
            self.spent.append((account, Spent(lot_id, asset, minor, window)))
        rows.write(journal.movement())
        rows.holds.pop(hold_id, None)
        purse.take(first_units(units, amount))
        purse.owe(asset, picked.missing_minor)
        purse.reserves.pop(basket, None)
        self.cleared[asset] += amount

    @rule(
        account=account_ids, asset=assets, amount=amounts, basket=baskets,
        lasts=st.integers(0, 6),
    )  # fmt: skip
    def reserve(self, account: int, asset: str, amount: int, basket: str, lasts: int) -> None:
        """A basket reserves what it can: instead of what it had."""
        account = self.place(account)
        rows, purse = self.accounts[account], self.purses[account]
        units = first_units(purse.spendable(asset, self.now, basket), amount)
        hold_id, ends = make.key_id(basket), self.now + lasts
        picked = pick(rows.holdings(), asset, amount, self.now, hold_id)
        assert dict(picked.picks) == units
        rows.holds.pop(hold_id, None)
        purse.reserves.pop(basket, None)
        if units:
            held = amount - picked.missing_minor
            rows.holds[hold_id] = Hold(hold_id, asset, held, picked.picks, ends)
            purse.reserves[basket] = Reserve(asset, ends, units)

    @rule(account=account_ids, basket=baskets)
    def release(self, account: int, basket: str) -> None:
        account = self.place(account)
        self.accounts[account].holds.pop(make.key_id(basket), None)
        self.purses[account].reserves.pop(basket, None)

    @rule(passed=st.integers(1, 4))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @rule(account=account_ids)
    def expire(self, account: int) -> None:
        account = self.place(account)
        rows, purse = self.accounts[account], self.purses[account]
        journal = self.journal(account)
        for asset, picks in expired(rows.holdings(), self.now).items():
            assert dict(picks) == purse.over(asset, self.now)
            journal.take(Book.BREAKAGE, asset, picks)
        rows.write(journal.movement())
        for asset in ASSETS:
            units = purse.over(asset, self.now)
            purse.take(units)
            self.broken[asset] += sum(units.values())
            assert purse.over(asset, self.now) == {}
        assert expired(rows.holdings(), self.now) == {}

    @precondition(lambda self: self.grants)
    @rule(data=st.data())
    def claw_back(self, data: st.DataObject) -> None:
        """From the lot that was granted, then from others; what is not there is owed."""
        n = data.draw(st.integers(0, len(self.grants) - 1))
        was, grant = self.grants[n]
        if grant.taken == grant.amount:
            return
        account = self.place(was)
        amount = data.draw(st.integers(1, grant.amount - grant.taken))
        self.grants[n] = was, grant._replace(taken=grant.taken + amount)
        rows, purse = self.accounts[account], self.purses[account]
        picked = pick_any(rows.holdings(), grant.asset, amount, self.now)
        units = first_units(purse.takeable(grant.asset, self.now), amount)
        assert dict(picked.picks) == units
        journal = self.journal(account)
        journal.take_instead("p", grant.asset, picked.picks, grant.funding, grant.taken, grant.book)
        if picked.missing_minor:
            taken = grant.taken + amount - picked.missing_minor
            parts = part_of(grant.funding, picked.missing_minor, taken)
            journal.owe(
                grant.book, grant.asset, picked.missing_minor, self.now, "p",
                parts if grant.funding else (),
            )  # fmt: skip
        rows.write(journal.movement())
        purse.take(units)
        purse.owe(grant.asset, picked.missing_minor)

    @precondition(lambda self: self.spent)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """To the lot it came from; what has no room there, or has expired, to a new lot."""
        n = data.draw(st.integers(0, len(self.spent) - 1))
        was, spent = self.spent[n]
        amount = data.draw(st.integers(1, spent.amount))
        if amount == spent.amount:
            del self.spent[n]
        else:
            self.spent[n] = was, spent._replace(amount=spent.amount - amount)
        account = self.place(was)
        rows, purse = self.accounts[account], self.purses[account]
        journal = self.journal(account)
        lot = rows.lots.get(spent.lot_id)
        room = 0
        if lot is not None and not lot.has_expired(self.now):
            room = min(amount, lot.granted_minor - lot.remaining_minor)
        journal.give_back(spent.asset, [(spent.lot_id, room)])
        rest = purse.put(spent.lot_id, amount, self.now)
        assert rest == amount - room
        if rest:
            lot_id = journal.grant(
                "", spent.asset, rest, AssetWindow(self.now, 0), (), Book.CLEARING
            )
            purse.earn(Pile(lot_id, spent.asset, rest, self.now, NEVER))
        rows.write(journal.movement())
        self.cleared[spent.asset] -= amount

    @rule(losing=st.sampled_from(ACCOUNTS), winning=st.sampled_from(ACCOUNTS))
    def merge(self, losing: int, winning: int) -> None:
        losing, winning = self.place(losing), self.place(winning)
        if losing == winning:
            return
        source, target = self.accounts[losing], self.accounts[winning]
        left = [lot for lot in source.lots.values() if lot.remaining_minor]
        gone, kept = self.journal(losing), self.journal(winning)
        for asset in ASSETS:
            gone.take(Book.CLEARING, asset, _picks(left, asset, LotKind.VALUE))
            gone.forgive(Book.CLEARING, asset, _picks(left, asset, LotKind.DEBT))
        for lot in left:
            kept.receive(lot, lot.remaining_minor)
        source.write(gone.movement())
        target.write(kept.movement())
        source.holds.clear()
        source.is_merged = True
        for lot in left:
            moved = target.lots[lot.lot_id]
            assert (moved.active_from_us, moved.expires_at_us) == (
                lot.active_from_us, lot.expires_at_us,
            )  # fmt: skip
            assert sum(minor for _, minor in moved.funding) in (0, moved.granted_minor)
        self.merged[losing] = winning
        self.purses[winning].swallow(self.purses[losing])

    @invariant()
    def the_rows_are_right(self) -> None:
        for rows in self.accounts.values():
            rows.audit(self.now)

    @invariant()
    def the_model_agrees(self) -> None:
        for account_id, rows in self.accounts.items():
            purse = self.purses[account_id]
            for asset in ASSETS:
                assert (rows.amounts[asset], rows.debts[asset]) == purse.worth(asset)
            left = {pile.pile_id: pile.left for pile in purse.piles.values() if pile.left}
            value = [lot for lot in rows.holdings().lots if lot.kind == LotKind.VALUE]
            assert {lot.lot_id: lot.remaining_minor for lot in value} == left

    def teardown(self) -> None:
        """Every book says what the model counted: parties, what was spent, what expired."""
        books: Counter[tuple[int, str]] = Counter()
        parties: Counter[tuple[int, str]] = Counter()
        for rows in self.accounts.values():
            for one in rows.postings:
                books[one.book, one.asset_code] += one.amount_minor
                book = Book.ISSUER if one.book == Book.FUNDING else one.book
                parties[book, one.party_id] += one.amount_minor
        for asset in ASSETS:
            assert books[Book.CLEARING, asset] == self.cleared[asset]
            assert books[Book.BREAKAGE, asset] == self.broken[asset]
        returned: Counter[tuple[Book, str]] = Counter()
        for _, grant in self.grants:
            for party_id, minor in part_of(grant.funding, grant.taken):
                returned[grant.book, party_id] += minor
        for who, paid in self.paid.items():
            assert parties[who] == returned[who] - paid
            assert parties[who] <= 0


def _picks(lots: list[OwnedLot], asset: str, kind: LotKind) -> list[tuple[bytes, int]]:
    found = [lot for lot in lots if lot.asset_code == asset and lot.kind == kind]
    return [(lot.lot_id, lot.remaining_minor) for lot in found]


TestLedger = Ledger.TestCase
# A run of fifty steps costs as much as several examples of other tests.
TestLedger.settings = settings(stateful_step_count=50, max_examples=settings().max_examples // 2)
