"""What one account owns and owes, counted by the words of docs/billing.md, without a ledger.

Time is in seconds from a local midnight; amounts are in minor units.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

DAY_S = 86_400
HOLD_S = 15 * 60
Stamp = tuple[int, int]
"""Seconds, and a number that tells apart what happens within the same second."""
Picks = dict[bytes, int]


@dataclass
class Lot:
    """What came at once; `ends` is the first second at which it is over."""

    lot_id: bytes
    asset: str
    granted: int
    left: int
    starts: Stamp
    ends: int

    def is_over(self, now: int) -> bool:
        return now >= self.ends

    def is_open(self, now: int) -> bool:
        return self.starts[0] <= now < self.ends


@dataclass
class Debt:
    """What is owed."""

    lot_id: bytes
    asset: str
    left: int
    since: Stamp


@dataclass
class Held:
    """What a basket was promised."""

    asset: str
    ends: int
    picks: Picks

    def is_live(self, now: int) -> bool:
        return now <= self.ends


@dataclass
class Wallet:
    """One account; holds by basket."""

    lots: dict[bytes, Lot] = field(default_factory=dict)
    debts: dict[bytes, Debt] = field(default_factory=dict)
    holds: dict[bytes, Held] = field(default_factory=dict)

    def in_order(self, asset: str) -> list[Lot]:
        """The soonest to be over first."""
        mine = [lot for lot in self.lots.values() if lot.asset == asset and lot.left]
        return sorted(mine, key=lambda lot: (lot.ends, lot.lot_id))

    def owed(self, asset: str) -> list[Debt]:
        """The oldest first."""
        mine = [debt for debt in self.debts.values() if debt.asset == asset and debt.left]
        return sorted(mine, key=lambda debt: (debt.since, debt.lot_id))

    def free(self, lot: Lot, now: int, basket: bytes = b"") -> int:
        """What of a lot no other basket was promised."""
        promised = [
            held.picks.get(lot.lot_id, 0)
            for of, held in self.holds.items()
            if of != basket and held.is_live(now)
        ]
        return max(0, lot.left - sum(promised))

    def pick(self, asset: str, amount: int, now: int, basket: bytes) -> Picks:
        """What a basket takes: what it was promised, then the soonest to be over."""
        own = self.holds.get(basket)
        promised = own.picks if own and own.is_live(now) and own.asset == asset else {}
        found: Counter[bytes] = Counter()
        for lot in self.in_order(asset):
            part = min(amount, promised.get(lot.lot_id, 0), self.free(lot, now, basket))
            found[lot.lot_id] += part
            amount -= part
        for lot in self.in_order(asset):
            if lot.is_open(now):
                part = min(amount, self.free(lot, now, basket) - found[lot.lot_id])
                found[lot.lot_id] += part
                amount -= part
        return {lot_id: part for lot_id, part in found.items() if part}

    def usable(self, asset: str, now: int, basket: bytes) -> int:
        return sum(self.pick(asset, 10**18, now, basket).values())

    def take(self, picks: Picks) -> None:
        for lot_id, part in picks.items():
            self.lots[lot_id].left -= part

    def earn(self, lot: Lot) -> None:
        """Pay debts, keep the rest."""
        for debt in self.owed(lot.asset):
            part = min(debt.left, lot.left)
            debt.left -= part
            lot.left -= part
        self.lots[lot.lot_id] = lot

    def takeable(self, asset: str, now: int, but: bytes = b"") -> Picks:
        """What may be taken back in place of something: open lots first, never what is held."""
        lots = [one for one in self.in_order(asset) if not one.is_over(now) and one.lot_id != but]
        lots.sort(key=lambda lot: not lot.is_open(now))
        return {lot.lot_id: self.free(lot, now) for lot in lots}

    def take_any(self, asset: str, amount: int, now: int, but: bytes = b"") -> int:
        """Take back what is there; give how much that is."""
        taken = first(self.takeable(asset, now, but), amount)
        self.take(taken)
        return sum(taken.values())

    def forgive(self, asset: str, amount: int) -> None:
        for debt in self.owed(asset):
            part = min(debt.left, amount)
            debt.left -= part
            amount -= part

    def expire(self, now: int) -> Picks:
        """Lose what is over and no basket was promised; give what that is."""
        over = [lot for lot in self.lots.values() if lot.is_over(now)]
        gone = {lot.lot_id: self.free(lot, now) for lot in over}
        self.take(gone)
        return gone

    def swallow(self, other: "Wallet", now: int) -> None:
        """Become the account of both: debts of each are paid by the other, the rest moves."""
        other.holds.clear()
        assets = {lot.asset for lot in other.lots.values()}
        for asset in sorted(assets | {debt.asset for debt in other.debts.values()}):
            here, there = self.takeable(asset, now), other.takeable(asset, now)
            owed_here = sum(debt.left for debt in self.owed(asset))
            owed_there = sum(debt.left for debt in other.owed(asset))
            for payer, has, debtor, owed in (
                (other, there, self, owed_here),
                (self, here, other, owed_there),
            ):
                paid = first(has, owed)
                payer.take(paid)
                debtor.forgive(asset, sum(paid.values()))
        for lot in other.lots.values():
            if lot.left:
                self.lots[lot.lot_id] = replace(lot, granted=lot.left)
        for debt in other.debts.values():
            if debt.left:
                self.debts[debt.lot_id] = replace(debt)
        other.lots, other.debts = {}, {}

    def shown(self, asset: str, now: int) -> tuple[int, int, int, int]:
        """What is told: all of it less what is owed; what counts later; held; owed."""
        lots = [lot for lot in self.in_order(asset) if not lot.is_over(now)]
        open_minor = sum(lot.left for lot in lots if lot.is_open(now))
        later_minor = sum(lot.left for lot in lots) - open_minor
        owed_minor = sum(debt.left for debt in self.owed(asset))
        holds = [one for one in self.holds.values() if one.asset == asset and one.is_live(now)]
        held_minor = sum(sum(one.picks.values()) for one in holds)
        amount_minor = open_minor + later_minor - owed_minor
        return amount_minor, later_minor, min(open_minor, held_minor), owed_minor

    def rows(self) -> list[tuple[bytes, str, int]]:
        """What is left, by the key that made it; debts below zero."""
        value = [(lot.lot_id[:16], lot.asset, lot.left) for lot in self.lots.values()]
        owed = [(debt.lot_id[:16], debt.asset, -debt.left) for debt in self.debts.values()]
        return sorted(row for row in [*value, *owed] if row[2])


def first(picks: Picks, amount: int) -> Picks:
    """The first so many units."""
    found = {}
    for lot_id, here in picks.items():
        part = min(here, amount)
        amount -= part
        if part:
            found[lot_id] = part
    return found
