"""What waits to be forwarded, by till: of each till the oldest first, one at a time.

Knows no clock: the time is an argument, seconds of any clock that only goes forward.
"""

import heapq
from collections import Counter, deque

from msgspec import Struct

from pos_sim.cash_server.ceiling import Waiting
from pos_sim.cash_server.entry import Entry


class Item(Struct, frozen=True, order=True):
    """An entry that waits.

    Attributes:
        is_settled_by: A request waits so long for what the till says, seconds of the clock; a fact
            waits for nothing.
    """

    entry_id: int
    till: str
    is_fact: bool
    has_outcome: bool
    amount_minor: int
    arrived_at_us: int
    is_settled_by: float


def item_of(entry: Entry, settled_by_s: float) -> Item:
    """What waits of an entry."""
    return Item(
        entry.entry_id,
        entry.till,
        entry.is_fact,
        entry.has_outcome,
        entry.amount_minor,
        entry.arrived_at_us,
        settled_by_s,
    )


class _Till:
    """What waits of one till."""

    __slots__ = ("heap", "is_busy", "not_before_s", "under_way")

    def __init__(self) -> None:
        self.heap: list[Item] = []
        self.is_busy = False
        self.not_before_s = 0.0
        self.under_way: Counter[int] = Counter()


class Backlog:
    """All that waits. Whoever takes an item gives it back, done or not."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._tills: dict[str, _Till] = {}
        self._turns: deque[str] = deque()
        self._items: dict[int, Item] = {}
        self._amount_minor = 0

    def __len__(self) -> int:
        """How many entries wait or are on their way."""
        return len(self._items)

    def has(self, till: str) -> bool:
        """Whether something of a till waits."""
        found = self._tills.get(till)
        return found is not None and bool(self._head(found))

    def waiting(self) -> Waiting:
        """What waits, summed; what came first is held to be the oldest."""
        first = next(iter(self._items.values()), None)
        oldest_at_us = first.arrived_at_us if first is not None else 0
        return Waiting(len(self._items), self._amount_minor, oldest_at_us)

    def add(self, item: Item) -> None:
        """Something waits from now on; adding it twice is adding it once."""
        if item.entry_id not in self._items:
            self._items[item.entry_id] = item
            self._amount_minor += item.amount_minor
            heapq.heappush(self._till(item.till).heap, item)

    def drop(self, entry_id: int) -> None:
        """An entry need not be forwarded any more."""
        item = self._items.pop(entry_id, None)
        self._amount_minor -= item.amount_minor if item is not None else 0

    def started(self, till: str, entry_id: int) -> None:
        """An entry is being tried live: what came after it waits for it."""
        self._till(till).under_way[entry_id] += 1

    def ended(self, till: str, entry_id: int) -> None:
        """It is tried no more."""
        under_way = self._till(till).under_way
        under_way[entry_id] -= 1
        if under_way[entry_id] <= 0:
            del under_way[entry_id]

    def take(self, now_s: float) -> Item | None:
        """Take the next entry that may go, of the till that has waited longest; None if none may.

        Nothing else of its till is given out until it is given back.
        """
        for _ in range(len(self._turns)):
            name = self._turns[0]
            self._turns.rotate(-1)
            till = self._tills[name]
            item = self._head(till)
            if item is None and not till.is_busy and not till.under_way:
                self._turns.pop()
                del self._tills[name]
            elif item is not None and self._may_go(till, item, now_s):
                till.is_busy = True
                return item
        return None

    def give_back(self, item: Item, not_before_s: float = 0.0) -> None:
        """Give an entry back: dropped before, or to be tried again, not before some time."""
        till = self._till(item.till)
        till.is_busy = False
        till.not_before_s = not_before_s

    def next_at_s(self, now_s: float) -> float | None:
        """When something may go that only time holds back; None if time alone frees nothing."""
        times = [
            max(till.not_before_s, 0.0 if item.is_fact else item.is_settled_by)
            for till in self._tills.values()
            if not till.is_busy and (item := self._head(till)) is not None
        ]
        later = [at_s for at_s in times if at_s > now_s]
        return min(later, default=None)

    def _may_go(self, till: _Till, item: Item, now_s: float) -> bool:
        if till.is_busy or now_s < till.not_before_s:
            return False
        if any(entry_id <= item.entry_id for entry_id in till.under_way):
            return False
        # A till sells one receipt after the other: with the next one it has done with the last.
        has_gone_on = len(till.heap) > 1 or any(one > item.entry_id for one in till.under_way)
        return item.is_fact or has_gone_on or now_s >= item.is_settled_by

    def _head(self, till: _Till) -> Item | None:
        while till.heap and till.heap[0].entry_id not in self._items:
            heapq.heappop(till.heap)
        return till.heap[0] if till.heap else None

    def _till(self, name: str) -> _Till:
        found = self._tills.get(name)
        if found is None:
            found = self._tills[name] = _Till()
            self._turns.append(name)
        return found
