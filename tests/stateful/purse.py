"""A simple model of what customers own and owe, which knows nothing of postings.

Points stand in piles with a first and a last instant. It counts unit by unit who may spend what.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

NEVER = 10**18
Units = dict[bytes, int]
"""How much of which pile."""
Queue = list[tuple[bytes, int]]
"""Units of piles in the order in which they are taken; a pile may stand there twice."""


@dataclass
class Pile:
    """What is left of what came at once; `room` is how much may come back to it."""

    pile_id: bytes
    asset: str
    left: int
    starts: int
    ends: int
    room: int = 0

    def is_over(self, now: int) -> bool:
        return self.ends < now

    def is_open(self, now: int) -> bool:
        return self.starts <= now <= self.ends


@dataclass
class Reserve:
    """What a basket was promised, until an instant."""

    asset: str
    ends: int
    units: Units


@dataclass
class Purse:
    """One account: piles, debts by asset with the oldest first, reserves by basket."""

    piles: dict[bytes, Pile] = field(default_factory=dict)
    debts: dict[str, list[int]] = field(default_factory=dict)
    reserves: dict[str, Reserve] = field(default_factory=dict)

    def earn(self, pile: Pile) -> None:
        """Pay debts, keep the rest."""
        owed = self.debts.setdefault(pile.asset, [])
        while owed and pile.left:
            part = min(owed[0], pile.left)
            owed[0] -= part
            pile.left -= part
            pile.room += part
            if not owed[0]:
                owed.pop(0)
        self.piles[pile.pile_id] = pile

    def owe(self, asset: str, amount: int) -> None:
        if amount:
            self.debts.setdefault(asset, []).append(amount)

    def promised(self, pile_id: bytes, now: int, but: str = "") -> int:
        """What baskets were promised of a pile; one of them may not count."""
        return sum(
            reserve.units.get(pile_id, 0)
            for basket, reserve in self.reserves.items()
            if basket != but and reserve.ends >= now
        )

    def spendable(self, asset: str, now: int, basket: str = "") -> Queue:
        """What a basket may spend, in order: its own reserve, then the soonest to be over."""
        own = self.reserves.get(basket)
        queue: Queue = []
        if own is not None and own.ends >= now and own.asset == asset:
            queue = [(p.pile_id, own.units.get(p.pile_id, 0)) for p in self._in_order(asset)]
        reserved = dict(queue)
        for pile in self._in_order(asset):
            if pile.is_open(now):
                free = pile.left - self.promised(pile.pile_id, now, basket)
                queue.append((pile.pile_id, free - reserved.get(pile.pile_id, 0)))
        return queue

    def takeable(self, asset: str, now: int) -> Queue:
        """What may be taken back: all that is not over, open piles first."""
        piles = sorted(self._in_order(asset), key=lambda pile: not pile.is_open(now))
        return self._unpromised(piles, now, lambda pile: not pile.is_over(now))

    def over(self, asset: str, now: int) -> Units:
        """What has expired and nobody was promised."""
        return dict(self._unpromised(self._in_order(asset), now, lambda pile: pile.is_over(now)))

    def _unpromised(self, piles: list[Pile], now: int, wanted: Callable[[Pile], bool]) -> Queue:
        free = [(p.pile_id, p.left - self.promised(p.pile_id, now)) for p in piles if wanted(p)]
        return [(pile_id, units) for pile_id, units in free if units]

    def take(self, units: Units) -> None:
        for pile_id, amount in units.items():
            self.piles[pile_id].left -= amount
            self.piles[pile_id].room += amount

    def put(self, pile_id: bytes, amount: int, now: int) -> int:
        """Put back what there is room for; gives the rest."""
        pile = self.piles.get(pile_id)
        if pile is None or pile.is_over(now):
            return amount
        part = min(amount, pile.room)
        pile.left += part
        pile.room -= part
        return amount - part

    def swallow(self, other: "Purse") -> None:
        """Take everything of another purse; its baskets lose what they were promised."""
        for pile in other.piles.values():
            if pile.left:
                self.piles[pile.pile_id] = replace(pile, room=0)
        for asset, owed in other.debts.items():
            self.debts.setdefault(asset, []).extend(owed)
        other.piles, other.debts, other.reserves = {}, {}, {}

    def worth(self, asset: str) -> tuple[int, int]:
        """Value less debt, and debt."""
        owed = sum(self.debts.get(asset, ()))
        value = sum(pile.left for pile in self.piles.values() if pile.asset == asset)
        return value - owed, owed

    def _in_order(self, asset: str) -> list[Pile]:
        mine = [pile for pile in self.piles.values() if pile.asset == asset and pile.left]
        return sorted(mine, key=lambda pile: (pile.ends, pile.pile_id))


def length(queue: Queue) -> int:
    """How many units there are."""
    return sum(units for _, units in queue)


def first_units(queue: Queue, amount: int) -> Units:
    """The first so many units, by pile."""
    found: Units = {}
    for pile_id, here in queue:
        part = min(here, amount)
        amount -= part
        if part:
            found[pile_id] = found.get(pile_id, 0) + part
    return found
