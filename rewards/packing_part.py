"""A part of a packing: applications that compete for the same rows, and their scaled values.

Must not know how it is searched.
"""

from collections.abc import Sequence

from msgspec import Struct

from rewards.packing_bound import Uses
from rewards.rounding import floor_div

SHIFT_MAX = 32
SCALED_BITS = 55
"""The largest value times all pieces stays below 2^55 when it is shifted."""
WORK_OF_STEP = 8
"""Work that a step of the budget pays for."""
SCATTER = 2_654_435_761
"""Multiplier that spreads consecutive numbers over 32 bits."""


class Part(Struct, frozen=True):
    """Applications that compete for the same rows; all sequences but `rooms` are by application.

    Attributes:
        numbers: of the applications in the whole problem, ascending.
        values: worth of one time, above 0.
        times: how often at most, 1 or more.
        uses: (row, count of one time), not empty.
        promotions: their promotions.
        groups: exclusive group, or -1 if a row alone keeps the promotions of the group apart.
        rooms: pieces of each row.
        pieces: all pieces of the problem; each time of an application uses at least one.
    """

    numbers: tuple[int, ...]
    values: tuple[int, ...]
    times: tuple[int, ...]
    uses: tuple[Uses, ...]
    promotions: tuple[int, ...]
    groups: tuple[int, ...]
    rooms: tuple[int, ...]
    pieces: int


def shift_of(value_max: int, pieces: int) -> int:
    """Bits to shift values by, below 0 if they are too large to be kept whole."""
    return min(SHIFT_MAX, SCALED_BITS - (value_max * pieces).bit_length())


def scattered(number: int) -> int:
    """Some number of 32 bits, another one for each number."""
    return (number + 1) * SCATTER & 0xFFFF_FFFF


def scaled(values: Sequence[int], shift: int, pieces: int) -> list[int]:
    """Shift values, up if bits are lost, and raise each by a fraction of its own.

    The fractions make equal values differ, without which the basis changes in circles, and favour
    the lower number. Over all pieces they stay below a quarter: they raise no bound by a unit.
    """
    if shift < 0:
        return [-(-value >> -shift) for value in values]
    width = floor_div(1 << shift, 4 * pieces * len(values))
    return [
        (value << shift) + width * (len(values) - number) - ((scattered(number) * width) >> 32)
        for number, value in enumerate(values)
    ]


def floors(rooms: Sequence[int], shift: int) -> list[int]:
    """Least prices of rows: less than a quarter of a unit for all rows together.

    They are to rows what their fractions are to values: without them the basis changes in circles
    where rows are worth nothing.
    """
    width = floor_div(1 << max(0, shift), 4 * sum(rooms))
    return [(scattered(row) * width) >> 32 for row in range(len(rooms))]


def pass_cost(part: Part) -> int:
    """Work of one pass: 1, and 1 more for each 1,024 numbers that it may look at."""
    return 1 + ((len(part.rooms) ** 2 + sum(map(len, part.uses))) >> 10)
