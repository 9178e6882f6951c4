"""Random packings, small enough to try every choice, and the most that any choice is worth."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from random import Random

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


def problems(
    classes_max: int = 5, applications_max: int = 6, capacity_max: int = 4, value_max: int = 30
) -> st.SearchStrategy[Problem]:
    """Problems in which classes are scarce, values close, limits and groups frequent.

    A problem follows from a seed and from how many applications it has: hypothesis draws two
    numbers, and makes a failing problem smaller by leaving out its last applications.
    """
    make = partial(_problem, classes_max, capacity_max, value_max)
    return st.builds(make, st.integers(0, 2**62), st.sampled_from(range(applications_max + 1)))


def _problem(classes_max: int, capacity_max: int, value_max: int, seed: int, count: int) -> Problem:
    random = Random(seed)
    most = min(capacity_max, random.choice((2, 4, capacity_max, capacity_max)))
    classes = random.randint((1 + classes_max) >> 1, classes_max)
    capacities = tuple(random.choice((0, 1, most, random.randint(1, most))) for _ in range(classes))
    parties = tuple(
        Party(random.choice((0, 0, 1, 2, 3)), random.choice((-1, -1, 0, 1, 2)))
        for _ in range(random.randint(1, 4))
    )
    highest = random.choice((value_max, value_max, min(value_max, 9)))
    lowest = random.choice((1, 1, highest - (highest >> 2)))
    applications = tuple(
        Application(
            random.randrange(len(parties)),
            random.randint(lowest, highest),
            random.choice((10**6, 10**6, 1, 2, 3)),
            _uses(random, classes),
        )
        for _ in range(count)
    )
    return Problem(capacities, applications, parties)


def _uses(random: Random, classes: int) -> tuple[tuple[int, int], ...]:
    numbers = random.sample(range(classes), min(classes, random.randint(1, 4)))
    return tuple((number, random.choice((1, 1, 2, 3))) for number in sorted(numbers))


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
