"""What befalls a link and the processes on both sides of it: each scenario as a list by seed."""

import random
from collections.abc import Callable, Iterator
from enum import StrEnum

from msgspec import Struct

from pos_sim.faults.proxy import Weather

HOUR_US = 3_600_000_000
GOOD_DELAY_S = 0.05
"""One way on a link that is held to be good: a round trip of 100 ms."""
GOOD = Weather(delay_s=GOOD_DELAY_S)


class Deed(StrEnum):
    """What is done to a process or the clock."""

    KILL_SERVER = "server killed"
    STOP_SERVER = "server stopped in good order"
    KILL_DATABASE = "database killed"
    KILL_CASH_SERVER = "cash server killed"
    LEAP_CLOCK = "clock moved on"


class Step(Struct, frozen=True):
    """One thing that befalls a run.

    Attributes:
        at_s: When, seconds from its begin.
        weather: How the link is from then on; None leaves it as it is.
        is_reset: Connections are reset with it.
        deed: What is done besides.
        by_us: With LEAP_CLOCK: by how much, microseconds.
    """

    at_s: float
    weather: Weather | None = None
    is_reset: bool = False
    deed: Deed | None = None
    by_us: int = 0


def plan_smsc(scenario: str, seed: int, seconds: float) -> list[Step]:
    """Plan what befalls the link to the SMSC meanwhile: cuts, also amid a submission.

    Args:
        scenario: One of SCENARIOS.
        seed: Decides.
        seconds: How long tills sell.
    """
    rng = random.Random(f"{seed}/{scenario}/smsc")
    steps, at_s = [Step(0.0, GOOD)], rng.uniform(0.5, 3.0)
    while at_s < seconds:
        steps.append(Step(at_s, rng.choice((Weather(is_cut=True), Weather(holds_down=True)))))
        at_s += rng.uniform(0.3, 2.0)
        steps.append(Step(min(at_s, seconds), GOOD, is_reset=True))
        at_s += rng.uniform(1.0, 6.0)
    return steps


_Plan = Callable[[random.Random, float], Iterator[Step]]


def plan_steps(scenario: str, seed: int, seconds: float) -> list[Step]:
    """Plan a scenario; the same seed gives the same plan.

    Args:
        scenario: One of SCENARIOS.
        seed: Decides.
        seconds: How long tills sell.

    Returns:
        Steps in order; in the end the link is good.
    """
    rng = random.Random(f"{seed}/{scenario}")
    planned = [step for step in SCENARIOS[scenario](rng, seconds) if step.at_s < seconds]
    steps = sorted(planned, key=lambda step: step.at_s)
    return [Step(0.0, GOOD), *steps, Step(seconds, GOOD, is_reset=True)]


def _field_station(rng: random.Random, seconds: float) -> Iterator[Step]:
    """Cut half of the time, in every way a link can be cut."""
    at_s = 1.0
    while at_s < seconds:
        bad_s = rng.uniform(1.0, 5.0)
        bad = rng.choice(
            (
                Weather(is_cut=True),
                Weather(is_cut=True),
                Weather(holds_up=True, holds_down=True),
                Weather(holds_up=True),
                Weather(holds_down=True),
            )
        )
        yield Step(at_s, bad)
        yield Step(at_s + bad_s, GOOD, is_reset=rng.random() < 0.5)
        at_s += bad_s + rng.uniform(1.0, 5.0)


def _flapping(rng: random.Random, seconds: float) -> Iterator[Step]:
    """Up and down several times a second now and then; connections come twice."""
    at_s = 0.5
    while at_s < seconds:
        for _ in range(rng.randint(1, 4)):
            yield Step(at_s, Weather(is_cut=True))
            at_s += rng.uniform(0.05, 0.4)
            is_doubled = rng.random() < 0.5
            yield Step(at_s, Weather(delay_s=GOOD_DELAY_S, is_doubled=is_doubled))
            at_s += rng.uniform(0.1, 0.8)
        at_s += rng.uniform(0.5, 3.0)


def _slow_2g(rng: random.Random, seconds: float) -> Iterator[Step]:
    """Long ways, few bytes, stalls."""
    at_s = 0.2
    while at_s < seconds:
        slow = Weather(delay_s=rng.uniform(0.2, 0.9), bytes_per_s=rng.choice((4_000, 8_000)))
        yield Step(at_s, slow)
        at_s += rng.uniform(2.0, 6.0)
        if rng.random() < 0.3:
            yield Step(at_s, Weather(holds_up=True, holds_down=True))
            at_s += rng.uniform(0.5, 2.5)


def _answer_lost(rng: random.Random, seconds: float) -> Iterator[Step]:
    """The server gets everything, and now and then none of its answers comes back."""
    at_s = 1.0
    while at_s < seconds:
        yield Step(at_s, Weather(delay_s=GOOD_DELAY_S, holds_down=True))
        at_s += rng.uniform(0.3, 3.0)
        yield Step(at_s, GOOD, is_reset=True)
        at_s += rng.uniform(0.5, 4.0)


def _day_offline(rng: random.Random, seconds: float) -> Iterator[Step]:
    """Cut for more than a day, while the tills sell on."""
    cut_s = 0.15 * seconds
    yield Step(cut_s, Weather(is_cut=True))
    for number in range(6):
        at_s = cut_s + (number + rng.random()) * 0.1 * seconds
        yield Step(at_s, deed=Deed.LEAP_CLOCK, by_us=rng.randint(3, 6) * HOUR_US)
    yield Step(0.5 * seconds, deed=Deed.KILL_CASH_SERVER)
    yield Step(0.8 * seconds, GOOD)


def _server_restart(rng: random.Random, seconds: float) -> Iterator[Step]:
    """Servers stop, die and come back; so does the cash server."""
    at_s = 2.0
    for deed in (Deed.STOP_SERVER, Deed.KILL_CASH_SERVER, Deed.KILL_SERVER):
        if at_s < seconds:
            yield Step(at_s + rng.uniform(0.0, 1.0), deed=deed)
        at_s += max(4.0, seconds / 3)


def _database_restart(rng: random.Random, seconds: float) -> Iterator[Step]:
    """PostgreSQL is killed under the server, which starts it again."""
    at_s = 2.0
    while at_s < seconds:
        yield Step(at_s, deed=Deed.KILL_DATABASE)
        at_s += rng.uniform(6.0, 10.0)


SCENARIOS: dict[str, _Plan] = {
    "field-station": _field_station,
    "flapping": _flapping,
    "slow-2g": _slow_2g,
    "answer-lost": _answer_lost,
    "day-offline": _day_offline,
    "server-restart": _server_restart,
    "database-restart": _database_restart,
}
"""Scenarios by name."""
