"""Which applications of promotions to choose so that they are worth most together, exactly.

Pieces of equal kind are one class with a capacity. An application uses pieces of some classes and
is worth something; promotions limit how often they apply and may exclude each other. The reference
twin of `ext.packing.pack`, written to be read; must not know what promotions or money are.

The problem falls into parts that share nothing (`packing_part`); `packing_search` solves each,
`packing_bound` says how good it could be, and `packing_cut` sharpens that. The order of the
arguments is the only thing that breaks ties, so the caller sorts classes, applications and
promotions by keys of their own.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from rewards.packing_bound import Uses
from rewards.packing_part import WORK_OF_STEP, Part
from rewards.packing_search import BOUND_MAX, Search
from rewards.rounding import floor_div

CAPACITY_MAX = 10_000
PIECES_MAX = 2**15
VALUE_MAX = 2**50 - 1
STEPS_MAX = 2**50
NUMBER_MAX = 2**62
GROUP_ROOM = 64
"""What the row of an exclusive group holds if a promotion of it may be taken more than once."""

Row = list[tuple[int, int]]
"""(application, count): what uses a row."""


class Application(Struct, frozen=True, gc=False):
    """A way in which a promotion may apply.

    Attributes:
        promotion: index of its promotion.
        value: worth of one time, 1..2^50-1, in any unit that all share.
        times_max: how often at most, 1..2^62.
        uses: (class, pieces of one time), at least one, classes ascending, pieces 1..2^62.
    """

    promotion: int
    value: int
    times_max: int
    uses: Uses


class Party(Struct, frozen=True, gc=False):
    """What holds for all applications of a promotion together.

    Attributes:
        times_max: how often they may be taken together, 0 for without limit.
        group: of the promotions of one group at most one may be taken; -1 for none, at most
            2^62.
    """

    times_max: int = 0
    group: int = -1


class Packing(Struct, frozen=True):
    """What was chosen.

    Attributes:
        times: how often each application is taken, in order.
        total: worth of all of them.
        bound: no choice is worth more; equal to the total if that is proved to be the most.
        steps: of the budget that were used.
    """

    times: tuple[int, ...]
    total: int
    bound: int
    steps: int

    @property
    def proved(self) -> bool:
        """Whether no choice is worth more than the total."""
        return self.bound == self.total


def pack(
    capacities: Sequence[int],
    applications: Sequence[Application],
    parties: Sequence[Party],
    steps_max: int,
) -> Packing:
    """Choose how often to take each application so that their worth is greatest.

    Args:
        capacities: pieces of each class, 0..10,000, at most 2^15 together.
        applications: what may be taken, in canonical order.
        parties: limits, by promotion.
        steps_max: budget of the proof, 0..2^50; never time. A step pays for looking at some 8,192
            numbers, which is one pass over 60 classes, or several over fewer.

    Returns:
        Times, total and bound. The same arguments give the same result everywhere; a larger
        budget never gives a lower total or a higher bound.

    Raises:
        ValueError: A number is out of its range.
        OverflowError: The largest value times all pieces is 2^62 or more.

    Source: DESIGN section 6, a lane that is `best`.
    """
    _check(capacities, applications, parties, steps_max)
    times_max = [_times_max(capacities, one, parties[one.promotion]) for one in applications]
    rows, rooms, groups = _rows(capacities, applications, parties, times_max)
    uses = _uses(rows, len(applications))
    times, total, bound, work = [0] * len(applications), 0, 0, 0
    for number, one in enumerate(applications):
        if not uses[number]:
            times[number] = times_max[number]
            total += times[number] * one.value
    bound = total
    for numbers in _parts(rows, uses, times_max):
        part = _part(numbers, applications, times_max, uses, rooms, groups, sum(capacities))
        search = Search(part, steps_max * WORK_OF_STEP - work)
        part_total, part_bound = search.run()
        total, bound = total + part_total, min(BOUND_MAX, bound + part_bound)
        work += search.work
        for number, count in zip(numbers, search.times, strict=True):
            times[number] = count
    assert total <= bound
    return Packing(tuple(times), total, bound, -floor_div(-work, WORK_OF_STEP))


def _times_max(capacities: Sequence[int], application: Application, party: Party) -> int:
    """How often an application could be taken if it were alone."""
    fits = [floor_div(capacities[number], count) for number, count in application.uses]
    return min(application.times_max, party.times_max or NUMBER_MAX, *fits)


def _rows(
    capacities: Sequence[int],
    applications: Sequence[Application],
    parties: Sequence[Party],
    times_max: Sequence[int],
) -> tuple[list[Row], list[int], list[int]]:
    """Rows that can bind: classes, limits, groups; what each holds; group by application.

    A row that holds all that could ever be asked of it is left out. Promotions of a group share a
    row. If each may be taken only once it keeps them apart. Else an application uses it by its
    share in the most its promotion could be worth, and the search must keep them apart: only then
    an application has its group.
    """
    rows: list[Row] = [[] for _ in capacities]
    limits: list[Row] = [[] for _ in parties]
    for number, one in enumerate(applications):
        if times_max[number] > 0:
            limits[one.promotion].append((number, 1))
            for used, count in one.uses:
                rows[used].append((number, count))
    asked = [min(_load(row, times_max), sum(capacities)) for row in limits]
    rooms = [*capacities, *(party.times_max or NUMBER_MAX for party in parties)]
    most = [min(pair) for pair in zip(asked, rooms[len(capacities) :], strict=True)]
    rows += limits
    kept = [
        n for n, row in enumerate(rows) if row and _is_binding(n, rooms, rows, times_max, asked)
    ]
    rows, rooms = [rows[n] for n in kept], [rooms[n] for n in kept]
    groups = [-1] * len(applications)
    for members in _groups(parties, limits):
        row, room = _group_row(capacities, applications, times_max, members, limits, most)
        rows.append(row)
        rooms.append(room)
        for promotion in members if room > 1 else ():
            for number, _ in limits[promotion]:
                groups[number] = parties[promotion].group
    return rows, rooms, groups


def _group_row(
    capacities: Sequence[int],
    applications: Sequence[Application],
    times_max: Sequence[int],
    members: Sequence[int],
    limits: Sequence[Row],
    most: Sequence[int],
) -> tuple[Row, int]:
    """Row of an exclusive group, and what it holds: 1 if that alone keeps the promotions apart.

    A time uses its share in GROUP_ROOM, at least 1; for those that are raised to 1 there is more
    room.
    """
    if max(most[promotion] for promotion in members) == 1:
        return [pair for promotion in members for pair in limits[promotion]], 1
    row: Row = []
    raised_max = 0
    for promotion in members:
        ways = [(n, applications[n], times_max[n]) for n, _ in limits[promotion]]
        worth = _worth_max(capacities, ways, most[promotion])
        shares = [(n, floor_div(one.value * GROUP_ROOM, worth)) for n, one, _ in ways]
        raised = sum(times_max[n] for n, share in shares if share == 0)
        raised_max = max(raised_max, min(raised, most[promotion]))
        row += [(n, max(1, share)) for n, share in shares]
    return row, GROUP_ROOM + raised_max


def _worth_max(
    capacities: Sequence[int], ways: Sequence[tuple[int, Application, int]], times_max: int
) -> int:
    """What the applications of a promotion could be worth together at most."""
    prices: dict[int, int] = {}
    for _, one, _ in ways:
        price = -floor_div(-one.value, sum(count for _, count in one.uses))
        for used, _ in one.uses:
            prices[used] = max(prices.get(used, 0), price)
    by_times = sum(one.value * times for _, one, times in ways)
    by_limit = times_max * max(one.value for _, one, _ in ways)
    by_pieces = sum(capacities[used] * price for used, price in prices.items())
    return min(by_times, by_limit, by_pieces)


def _is_binding(
    number: int,
    rooms: Sequence[int],
    rows: Sequence[Row],
    times_max: Sequence[int],
    asked: Sequence[int],
) -> bool:
    """Whether more could be asked of a class or a limit than it holds."""
    first_limit = len(rows) - len(asked)
    if number >= first_limit:
        return asked[number - first_limit] > rooms[number]
    return _load(rows[number], times_max) > rooms[number]


def _load(row: Row, times_max: Sequence[int]) -> int:
    """What is asked of a row if all is taken as often as it could be alone."""
    return sum(count * times_max[number] for number, count in row)


def _groups(parties: Sequence[Party], limits: Sequence[Row]) -> list[list[int]]:
    """Promotions that exclude each other, by group, where more than one has applications."""
    members: dict[int, list[int]] = {}
    for promotion, party in enumerate(parties):
        if party.group >= 0 and limits[promotion]:
            members.setdefault(party.group, []).append(promotion)
    return [members[group] for group in sorted(members) if len(members[group]) > 1]


def _uses(rows: Sequence[Row], applications_count: int) -> list[list[tuple[int, int]]]:
    """(row, count) by application, rows ascending."""
    uses: list[list[tuple[int, int]]] = [[] for _ in range(applications_count)]
    for number, row in enumerate(rows):
        for application, count in row:
            uses[application].append((number, count))
    return uses


def _parts(
    rows: Sequence[Row], uses: Sequence[Sequence[tuple[int, int]]], times_max: Sequence[int]
) -> list[list[int]]:
    """Applications that are joined by rows, the smallest parts first, then by first number."""
    parts: list[list[int]] = []
    seen: set[int] = set()
    for first in range(len(uses)):
        if first in seen or not uses[first] or times_max[first] == 0:
            continue
        seen.add(first)
        part = [first]
        for number in part:
            for row, _ in uses[number]:
                found = [other for other, _ in rows[row] if other not in seen]
                seen.update(found)
                part += found
        parts.append(sorted(part))
    return sorted(parts, key=lambda part: (len(part), part[0]))


def _part(
    numbers: Sequence[int],
    applications: Sequence[Application],
    times_max: Sequence[int],
    uses: Sequence[Sequence[tuple[int, int]]],
    rooms: Sequence[int],
    groups: Sequence[int],
    pieces: int,
) -> Part:
    """A part with rows and applications of its own numbering."""
    used = sorted({row for number in numbers for row, _ in uses[number]})
    place = {row: n for n, row in enumerate(used)}
    return Part(
        numbers=tuple(numbers),
        values=tuple(applications[number].value for number in numbers),
        times=tuple(times_max[number] for number in numbers),
        uses=tuple(tuple((place[row], c) for row, c in uses[number]) for number in numbers),
        promotions=tuple(applications[number].promotion for number in numbers),
        groups=tuple(groups[number] for number in numbers),
        rooms=tuple(rooms[row] for row in used),
        pieces=pieces,
    )


def _check(
    capacities: Sequence[int],
    applications: Sequence[Application],
    parties: Sequence[Party],
    steps_max: int,
) -> None:
    """Refuse the first number out of its range, as the kernel does."""
    _check_all("capacity", capacities, 0, CAPACITY_MAX)
    if sum(capacities) > PIECES_MAX:
        raise ValueError(f"capacities must sum to at most {PIECES_MAX}")
    _check_all("times_max of a promotion", (one.times_max for one in parties), 0, NUMBER_MAX)
    _check_all("group", (one.group for one in parties), -1, NUMBER_MAX)
    _check_all("value", (one.value for one in applications), 1, VALUE_MAX)
    _check_all("times_max", (one.times_max for one in applications), 1, NUMBER_MAX)
    _check_all("promotion", (one.promotion for one in applications), 0, len(parties) - 1)
    for one in applications:
        _check_uses(one.uses, len(capacities))
    _check_all("steps_max", (steps_max,), 0, STEPS_MAX)
    if max((one.value for one in applications), default=0) * sum(capacities) > BOUND_MAX:
        raise OverflowError("the largest value times all pieces must be below 2^62")


def _check_uses(uses: Uses, classes_count: int) -> None:
    if not uses:
        raise ValueError("an application must use a class")
    last = -1
    for number, count in uses:
        if not last < number < classes_count:
            raise ValueError("uses must name classes, each once, ascending")
        _check_all("count", (count,), 1, NUMBER_MAX)
        last = number


def _check_all(name: str, numbers: Iterable[int], least: int, most: int) -> None:
    for number in numbers:
        if not least <= number <= most:
            raise ValueError(f"{name} must be {least}..{most}")
