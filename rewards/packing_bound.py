"""What a part of a packing is worth at most: a linear bound, computed in whole numbers only.

Every row (a price class, a limit, an exclusive group) gets a price a piece. At any prices of 0
and more the pieces, sold at their prices, and the margins of the applications above them are an
upper bound. The dual simplex method looks for the prices of the lowest bound. Its inverse of the
basis is rounded, so it only says where to look: the bound is always computed afresh from whole
prices and therefore holds whatever was rounded. Must not know what is being packed.

Scales: values, prices and margins are shifted left by the part's own shift; quantities of the
basis have FRACTION_BITS bits after the point.
"""

from collections.abc import Sequence
from heapq import heapify, heappop

from msgspec import Struct

FRACTION_BITS = 32
ONE = 1 << FRACTION_BITS
HALF = ONE >> 1
FAR = 1 << 61
"""Stands for any larger number, so that the kernel's 64 bits suffice."""
SPOILED_AT = 1 << 46
"""A basis with a larger entry has lost its precision and is given up."""
TINY = 1 << 24
"""Entries nearer to zero count as zero."""
TOLERANCE = 1 << 18
REFINE_EVERY = 16
_LENGTH_BITS = 16
_LENGTH_MAX = 1 << 24
_EXCESS_MAX = 1 << 31
PASSES_MAX = 40
"""Passes over a node whose parent's basis is at hand; a fresh basis needs more."""

Uses = tuple[tuple[int, int], ...]


class Budget:
    """Work that may still be done, and what one pass over a part costs."""

    def __init__(self, work_max: int, cost: int) -> None:
        self.work = 0
        self.is_spent = False
        self._work_max = work_max
        self.cost = cost

    def spend(self) -> bool:
        """Pay for one pass, or say that it cannot be paid; then nothing can be paid any more."""
        self.is_spent = self.is_spent or self.work + self.cost > self._work_max
        if not self.is_spent:
            self.work += self.cost
        return not self.is_spent


class Scope(Struct):
    """What is left to decide at a node.

    Attributes:
        rooms: pieces left, by row.
        times: how often each application may still be taken; 0 for those out of `active`.
        active: applications that may be taken, ascending.
    """

    rooms: list[int]
    times: list[int]
    active: list[int]


class Relaxation:
    """Prices of the rows, and the basis they come from; both go on from node to node.

    Columns 0..n-1 are the applications, n..n+rows-1 what is left over of each row.
    """

    def __init__(self, values: Sequence[int], uses: Sequence[Uses], floors: Sequence[int]) -> None:
        """Begin with an empty basis.

        Args:
            values: worth of one time, shifted, above 0.
            uses: (row, count) of one time, by application.
            floors: least price of each row, shifted, 0 or more.
        """
        self.values = values
        self.uses = uses
        self.rows = range(len(floors))
        self.floors = floors
        self.price_max = max(values)
        self.margins = [0] * len(values)
        self.amounts = [0] * len(floors)
        self.worth = FAR
        self.restart()

    def restart(self) -> None:
        """Go back to the least prices, with what is left over as the basis."""
        first = len(self.values)
        self.prices = list(self.floors)
        self.inverse = [[ONE if row == place else 0 for row in self.rows] for place in self.rows]
        self.basic = [first + row for row in self.rows]
        self.place = [-1] * first + list(self.rows)
        self.is_fresh = True

    def saved(self) -> tuple[list[int], list[list[int]], list[int]]:
        """Copy of prices and basis."""
        return self.prices.copy(), [row.copy() for row in self.inverse], self.basic.copy()

    def restore(self, saved: tuple[list[int], list[list[int]], list[int]]) -> None:
        """Go back to a copy, which stays as it is."""
        prices, inverse, basic = saved
        self.prices, self.basic = prices.copy(), basic.copy()
        self.inverse = [row.copy() for row in inverse]
        self.place = [-1] * len(self.place)
        for place, column in enumerate(self.basic):
            self.place[column] = place
        self.is_fresh = False

    def solve(self, scope: Scope, enough: int, budget: Budget) -> int:
        """Lower the bound until it is lowest, low enough, or the passes are used up.

        Args:
            scope: what is left to decide, with at least one application.
            enough: a bound that is not above this ends the work.
            budget: pays for each pass.

        Returns:
            The lowest bound seen, shifted, at most FAR. `margins`, `amounts` and `worth` are those
            of the last pass, unless the bound is low enough or the budget spent.
        """
        passes_max = 10 * len(self.rows) + 100 if self.is_fresh else PASSES_MAX
        self.is_fresh = False
        lowest = FAR
        for turn in range(passes_max + 1):
            if not budget.spend():
                return lowest
            if turn % REFINE_EVERY == 0:
                self._refine()
            self._evaluate(scope)
            lowest = min(lowest, self.worth)
            if lowest <= enough:
                return lowest
            place = self._worst(scope)
            if place < 0 or turn == passes_max or not self._step(scope, place):
                break
        return lowest

    def amount(self, scope: Scope, application: int) -> int:
        """How often the solution of the last pass takes an application, with fraction bits."""
        if self.place[application] >= 0:
            return max(0, self.amounts[self.place[application]])
        return scope.times[application] * ONE if self.margins[application] > 0 else 0

    def _margin(self, column: int) -> int:
        """Worth of one time above the prices of its pieces; zero at a column of the basis."""
        first = len(self.values)
        if column >= first:
            return self.floors[column - first] - self.prices[column - first]
        return self.values[column] - sum(c * self.prices[row] for row, c in self.uses[column])

    def _refine(self) -> None:
        """Move the prices so that the margins of the basis vanish, which rounding disturbed."""
        margins = [self._margin(column) for column in self.basic]
        for margin, direction in zip(margins, self.inverse, strict=True):
            if margin != 0:
                for row, entry in enumerate(direction):
                    moved = self.prices[row] + _scaled(margin, entry)
                    self.prices[row] = max(-FAR, min(FAR, moved))
        self.prices = [self._clamped(row, price) for row, price in enumerate(self.prices)]

    def _clamped(self, row: int, price: int) -> int:
        return max(self.floors[row], min(self.price_max, price))

    def _evaluate(self, scope: Scope) -> None:
        """Compute the bound at the prices, and how often the basis takes its columns there."""
        worth = 0
        for room, price in zip(scope.rooms, self.prices, strict=True):
            worth = min(FAR, worth + room * price)
        slack = scope.rooms.copy()
        for application in scope.active:
            margin = self.margins[application] = self._margin(application)
            if margin > 0:
                times = scope.times[application]
                worth = min(FAR, worth + times * margin)
                if self.place[application] < 0:
                    for row, count in self.uses[application]:
                        slack[row] -= count * times
        self.worth = worth
        for place, direction in enumerate(self.inverse):
            amount = sum(entry * left for entry, left in zip(direction, slack, strict=True))
            self.amounts[place] = max(-FAR, min(FAR, amount))

    def _excess(self, scope: Scope, place: int) -> tuple[int, int]:
        """How far the basis is out of its limits at a place: 1 if below, -1 if above."""
        if self.amounts[place] < 0:
            return -self.amounts[place], 1
        column = self.basic[place]
        times_max = scope.times[column] * ONE if column < len(self.values) else FAR
        return self.amounts[place] - times_max, -1

    def _worst(self, scope: Scope) -> int:
        """Place of the basis furthest out of its limits, -1 if none is.

        An excess is measured by the length of its direction, so that the bound falls steeply.
        """
        found, worst, worst_length = -1, 0, 1
        for place in self.rows:
            excess, _ = self._excess(scope, place)
            if excess > TOLERANCE:
                square = min(excess >> _LENGTH_BITS, _EXCESS_MAX) ** 2
                length = sum(map(_square, self.inverse[place]))
                if found < 0 or square * worst_length > worst * length:
                    found, worst, worst_length = place, square, length
        return found

    def _step(self, scope: Scope, place: int) -> bool:
        """Move the prices to the lowest bound in one direction and change the basis."""
        excess, sign = self._excess(scope, place)
        direction = [sign * entry for entry in self.inverse[place]]
        entering, length = self._turning_point(scope, direction, excess)
        if entering < 0:
            return False
        for row, entry in enumerate(direction):
            moved = self.prices[row] + _scaled(length, entry)
            self.prices[row] = self._clamped(row, moved)
        if self._exchange(place, entering):
            return True
        self.restart()
        self._evaluate(scope)
        return False

    def _turning_point(self, scope: Scope, direction: Sequence[int], slope: int) -> tuple[int, int]:
        """Column at which the bound stops falling along a direction, and how far that is.

        The bound falls by `slope` at first. Where a margin changes its sign it falls less; where
        a price reaches its floor the direction ends.
        """
        first = len(self.values)
        turns: list[tuple[int, int, int]] = []
        for column in scope.active:
            if self.place[column] < 0:
                slant = sum(count * direction[row] for row, count in self.uses[column])
                margin = self.margins[column]
                if abs(slant) <= SPOILED_AT and (slant > TINY if margin > 0 else slant < -TINY):
                    length = (abs(margin) << FRACTION_BITS) // abs(slant)
                    turns.append((length, column, abs(slant) * scope.times[column]))
        for row in self.rows:
            if self.place[first + row] < 0 and direction[row] < -TINY:
                above = self.prices[row] - self.floors[row]
                length = (above << FRACTION_BITS) // -direction[row]
                turns.append((length, first + row, slope))
        turns = [turn for turn in turns if turn[0] < FAR]
        heapify(turns)
        entering, length = -1, 0
        while turns and slope > 0:
            length, entering, gain = heappop(turns)
            slope -= gain
        return entering, length

    def _exchange(self, place: int, entering: int) -> bool:
        """Put a column into the basis at a place; False if that would spoil it."""
        first = len(self.values)
        if entering < first:
            uses = self.uses[entering]
            column = [sum(c * entries[row] for row, c in uses) for entries in self.inverse]
        else:
            column = [entries[entering - first] for entries in self.inverse]
        pivot = column[place]
        if abs(pivot) < TINY or max(map(abs, column)) > SPOILED_AT:
            return False
        direction = [_divided(entry, pivot) for entry in self.inverse[place]]
        self.inverse[place] = direction
        largest = max(map(abs, direction))
        for other, factor in enumerate(column):
            if other != place and factor != 0:
                entries = self.inverse[other]
                for row, entry in enumerate(direction):
                    entries[row] -= _scaled(factor, entry)
                largest = max(largest, max(map(abs, entries)))
        self.place[self.basic[place]] = -1
        self.basic[place] = entering
        self.place[entering] = place
        return largest <= SPOILED_AT


def _square(entry: int) -> int:
    """Share of an entry in the squared length of its direction."""
    return min(abs(entry) >> _LENGTH_BITS, _LENGTH_MAX) ** 2


def _scaled(factor: int, entry: int) -> int:
    """Product with an entry of the basis, rounded to the nearest, half up."""
    return (factor * entry + HALF) >> FRACTION_BITS


def _divided(entry: int, pivot: int) -> int:
    """Quotient of two entries of the basis, rounded towards zero."""
    quotient = (abs(entry) << FRACTION_BITS) // abs(pivot)
    return quotient if (entry < 0) == (pivot < 0) else -quotient
