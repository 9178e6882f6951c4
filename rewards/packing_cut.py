"""Rows that no packing breaks but the solution behind a bound does: cuts of Chvatal and Gomory.

Rows are added up and divided by 2, 3 or 4; as applications are taken whole times, what they use
of the sum and what the sum holds may be rounded down. Three pieces of which any two make a pair
hold one pair and not one and a half. An application that is taken as often as it may be can be
rounded up instead, if the sum holds so much more. Cuts hold for the whole part.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from rewards.packing_bound import FAR, FRACTION_BITS, ONE, Uses
from rewards.packing_part import scattered
from rewards.rounding import floor_div

DIVISORS = (2, 3, 4)
CUTS_MAX = 3
"""Cuts found at a time."""
FRACTION_MIN = ONE >> 10
"""What is nearer to a whole number counts as whole."""
_VIOLATION_MIN = ONE >> 4
_MARK_BITS = 62


class Solution(Struct, frozen=True):
    """The solution behind a bound, at the root.

    Attributes:
        amounts: how often each application is taken, with fraction bits, by application.
        times: how often it may be taken, by application.
        uses: (row, count of one time), by application.
        rooms: what the rows hold that may be added up; further rows may not.
        prices: of the rows.
    """

    amounts: dict[int, int]
    times: Sequence[int]
    uses: Sequence[Uses]
    rooms: Sequence[int]
    prices: Sequence[int]


class Cut(Struct, frozen=True):
    """A row, and by how much it is broken.

    Attributes:
        violation: with fraction bits.
        room: what the row holds.
        counts: what one time of an application uses, above 0, by application.
    """

    violation: int
    room: int
    counts: dict[int, int]

    @property
    def mark(self) -> tuple[int, int, int]:
        """What two equal cuts have in common."""
        spread = sum(count * scattered(n) for n, count in self.counts.items())
        return self.violation, self.room, spread & ((1 << _MARK_BITS) - 1)


def is_split(amount: int) -> bool:
    """Whether an amount is no whole number."""
    return FRACTION_MIN < amount & (ONE - 1) < ONE - FRACTION_MIN


def find_cuts(solution: Solution, spend: Callable[[], bool]) -> list[Cut]:
    """Find the cuts that the solution breaks most.

    Args:
        solution: of the root.
        spend: pays for one sum of rows; False ends the search without a cut.
    """
    wholes = _wholes(solution)
    parts = [rows - {row} for rows in wholes if len(rows) > 2 for row in sorted(rows)]
    for sums in (wholes, parts):
        found: list[Cut] = []
        for rows in sums:
            if not spend():
                return []
            found += _broken(solution, rows)
        if found:
            different: dict[tuple[int, int, int], Cut] = {}
            for cut in sorted(found, key=lambda cut: -cut.violation):
                different.setdefault(cut.mark, cut)
            return list(different.values())[:CUTS_MAX]
    return []


def _wholes(solution: Solution) -> list[frozenset[int]]:
    """Rows that may be worth adding up: what is joined to a split application, and all of them.

    Only rows with a price are looked at.
    """
    priced = [row for row in range(len(solution.rooms)) if solution.prices[row] > 0]
    wholes = _joined(solution, priced)
    if frozenset(priced) not in wholes:
        wholes.append(frozenset(priced))
    return [rows for rows in wholes if len(rows) > 1]


def _broken(solution: Solution, rows: frozenset[int]) -> list[Cut]:
    """Cuts that are made of a sum of rows and that the solution breaks."""
    counts = {
        n: sum(count for row, count in solution.uses[n] if row in rows) for n in solution.amounts
    }
    room = sum(solution.rooms[row] for row in rows)
    cuts = [
        _rounded(solution, counts, room, divisor, rises)
        for divisor in DIVISORS
        for rises in (False, True)
    ]
    return [cut for cut in cuts if cut.violation > _VIOLATION_MIN]


def _joined(solution: Solution, priced: Sequence[int]) -> list[frozenset[int]]:
    """Rows that taken applications join, where one of these is split; by lowest row."""
    uses = {
        n: [row for row, _ in solution.uses[n] if row in priced]
        for n, amount in solution.amounts.items()
        if amount > FRACTION_MIN
    }
    label = {row: row for row in priced}
    for rows in uses.values():
        for row in rows[1:]:
            old, new = sorted((label[rows[0]], label[row]), reverse=True)
            label = {one: new if mark == old else mark for one, mark in label.items()}
    split = {label[r] for n, rows in uses.items() if is_split(solution.amounts[n]) for r in rows}
    return [frozenset(r for r in priced if label[r] == mark) for mark in sorted(split)]


def _rounded(
    solution: Solution, counts: dict[int, int], room: int, divisor: int, rises: bool
) -> Cut:
    """Divide a sum of rows and round; `rises` rounds up what is taken as often as it may be."""
    rounded: dict[int, int] = {}
    used = 0
    for n, count in counts.items():
        amount = min(solution.amounts[n], solution.times[n] * ONE)
        whole = floor_div(count, divisor)
        is_full = amount >= solution.times[n] * ONE - FRACTION_MIN
        if rises and is_full and whole * divisor < count:
            whole += 1
            room += (whole * divisor - count) * solution.times[n]
        if whole > 0:
            rounded[n] = whole
            used = min(FAR, used + whole * amount)
    room = floor_div(room, divisor)
    return Cut(used - (room << FRACTION_BITS), room, rounded)
