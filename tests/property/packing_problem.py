"""Random packings, small enough to try every choice, and the most that any choice is worth."""

from collections.abc import Iterator, Sequence
from functools import cache

from hypothesis import strategies as st
from msgspec import Struct

from rewards.packing import Application, Packing, Party, pack


class Problem(Struct, frozen=True):
    """The arguments of `pack`, without the budget."""

    capacities: tuple[int, ...]
    applications: tuple[Application, ...]
    parties: tuple[Party, ...]


def solved(problem: Problem, steps_max: int) -> Packing:
    """What the reference twin chooses."""
    return pack(problem.capacities, problem.applications, problem.parties, steps_max)


@st.composite
def problems(
    draw: st.DrawFn,
    classes_max: int = 5,
    applications_max: int = 6,
    capacity_max: int = 4,
    value_max: int = 30,
) -> Problem:
    """Problems in which classes are scarce, values close, limits and groups frequent."""
    capacities = draw(st.lists(st.integers(0, capacity_max), min_size=1, max_size=classes_max))
    limit = st.just(0) | st.integers(1, 3)
    group = st.just(-1) | st.integers(0, 2)
    party = st.builds(Party, times_max=limit, group=group)
    parties = draw(st.lists(party, min_size=1, max_size=4))
    numbers = st.integers(0, len(capacities) - 1)
    count = st.just(1) | st.integers(1, 3)
    uses = st.dictionaries(numbers, count, min_size=1, max_size=4).map(_sorted)
    application = st.builds(
        Application,
        promotion=st.integers(0, len(parties) - 1),
        value=st.integers(1, value_max),
        times_max=st.just(10**6) | st.integers(1, 3),
        uses=uses,
    )
    applications = draw(st.lists(application, max_size=applications_max))
    return Problem(tuple(capacities), tuple(applications), tuple(parties))


def _sorted(uses: dict[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(uses.items()))


def most(problem: Problem) -> int:
    """What the best choice is worth, by trying all of them."""

    @cache
    def best(number: int, rooms: tuple[int, ...], taken: tuple[int, ...]) -> int:
        if number == len(problem.applications):
            return 0
        one = problem.applications[number]
        values = []
        for times, left in _ways(one, rooms):
            after = list(taken)
            after[one.promotion] += times
            if _allowed(problem.parties, after):
                values.append(times * one.value + best(number + 1, left, tuple(after)))
        return max(values)

    return best(0, problem.capacities, (0,) * len(problem.parties))


def _ways(one: Application, rooms: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """How often an application can be taken, and what is left then."""
    left = list(rooms)
    for times in range(one.times_max + 1):
        yield times, tuple(left)
        for number, count in one.uses:
            left[number] -= count
        if min(left) < 0:
            return


def _allowed(parties: Sequence[Party], taken: Sequence[int]) -> bool:
    limits = all(
        not party.times_max or times <= party.times_max
        for party, times in zip(parties, taken, strict=True)
    )
    fired = [party.group for party, times in zip(parties, taken, strict=True) if times]
    groups = [group for group in fired if group >= 0]
    return limits and len(groups) == len(set(groups))


def assert_feasible(problem: Problem, packing: Packing) -> None:
    """Assert that a choice keeps every limit and is worth what it says."""
    rooms = list(problem.capacities)
    taken = [0] * len(problem.parties)
    assert len(packing.times) == len(problem.applications)
    for one, times in zip(problem.applications, packing.times, strict=True):
        assert 0 <= times <= one.times_max
        taken[one.promotion] += times
        for number, count in one.uses:
            rooms[number] -= count * times
    assert min(rooms, default=0) >= 0
    assert _allowed(problem.parties, taken)
    values = [one.value for one in problem.applications]
    assert packing.total == sum(v * t for v, t in zip(values, packing.times, strict=True))
