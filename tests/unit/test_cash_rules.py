"""What a cash server decides without any input or output: ways, order, rush mode, pace, clocks."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pos_sim.cash_server.backlog import Backlog, Item
from pos_sim.cash_server.ceiling import Ceilings, Reached, Waiting, find_reached
from pos_sim.cash_server.clock import STEP_MIN_US, WatchedClock
from pos_sim.cash_server.clock_offset import Sample, ServerOffset, TillOffsets
from pos_sim.cash_server.entry import Entry, Kind, Known, State, Way, find_way, is_stated_by
from pos_sim.cash_server.link_health import LinkHealth, RushRule
from pos_sim.cash_server.pace import NARROWEST, Pace, Width, backoff_s
from pos_sim.cash_server.service import read_clock_us

OWN, OTHER = b"own", b"other"
HOUR_US = 3_600_000_000


def entry(kind: Kind, is_fact: bool) -> Entry:
    return Entry("c/s/t", b"key", kind, OWN, b"", is_fact, False, 0, 0, 0, 0)


def known(kind: Kind, is_fact: bool, state: State, digest: bytes = OTHER) -> Known:
    return Known(1, kind, digest, is_fact, state)


REQUEST, FACT = (Kind.CHECKOUT, False), (Kind.CHECKOUT, True)
VOID, FORWARD, BREAK_OFF = (Kind.VOID, True), (Kind.FORWARD, True), (Kind.BREAK_OFF, False)
WAYS = [
    (REQUEST, None, Way.TRY),
    (REQUEST, (*REQUEST, State.LIVE, OWN), Way.TRY),
    (REQUEST, (*REQUEST, State.DOUBT, OWN), Way.TRY),
    (REQUEST, (*REQUEST, State.DOUBT, OTHER), Way.TRY),
    (REQUEST, (*REQUEST, State.COMMITTED, OWN), Way.TRY),
    (REQUEST, (*REQUEST, State.FENCED, OWN), Way.BROKEN_OFF),
    (REQUEST, (*REQUEST, State.DUE, OWN), Way.BROKEN_OFF),
    (REQUEST, (*REQUEST, State.FORWARDED, OWN), Way.BROKEN_OFF),
    (REQUEST, (*BREAK_OFF, State.FENCED, OTHER), Way.BROKEN_OFF),
    (REQUEST, (*FACT, State.DUE, OTHER), Way.BROKEN_OFF),
    (REQUEST, (*FACT, State.FORWARDED, OTHER), Way.BROKEN_OFF),
    (FACT, None, Way.TRY),
    (FACT, (*FACT, State.LIVE, OWN), Way.TRY),
    (FACT, (*FACT, State.DUE, OWN), Way.TAKEN),
    (FACT, (*FACT, State.FORWARDED, OWN), Way.TAKEN),
    (FACT, (*FACT, State.SET_ASIDE, OWN), Way.TAKEN),
    (FACT, (*REQUEST, State.LIVE, OTHER), Way.FORWARD),
    (FACT, (*REQUEST, State.DOUBT, OTHER), Way.FORWARD),
    (FACT, (*REQUEST, State.FENCED, OTHER), Way.FORWARD),
    (FACT, (*FACT, State.FORWARDED, OTHER), Way.FORWARD),
    (VOID, None, Way.TRY),
    (VOID, (*FACT, State.DUE, OTHER), Way.FORWARD),
    (FORWARD, (*FORWARD, State.FORWARDED, OWN), Way.TAKEN),
    (BREAK_OFF, (*FACT, State.DUE, OTHER), Way.TRY),
]


@pytest.mark.parametrize(("new", "before", "way"), WAYS)
def test_the_way_of_a_call(
    new: tuple[Kind, bool], before: tuple[Kind, bool, State, bytes] | None, way: Way
) -> None:
    others = [known(*before)] if before else []
    assert find_way(entry(*new), others, has_queue=False) == way


def test_what_differs_from_any_answer_is_never_tried() -> None:
    advice = replace(entry(*FACT), is_advice=True)
    assert find_way(advice, [], has_queue=False) == Way.FORWARD
    assert find_way(advice, [known(*FACT, State.DUE, OWN)], has_queue=True) == Way.TAKEN


def test_a_void_does_not_overtake_what_its_till_has_sold() -> None:
    assert find_way(entry(*VOID), [], has_queue=True) == Way.FORWARD
    assert find_way(entry(*FACT), [], has_queue=True) == Way.TRY


def test_only_a_sale_or_refund_says_what_became_of_a_request() -> None:
    request = known(*REQUEST, State.DOUBT)
    assert is_stated_by(request, entry(*FACT))
    assert is_stated_by(known(*REQUEST, State.DUE), entry(*FACT))
    assert not is_stated_by(request, entry(*VOID))
    assert not is_stated_by(known(*FACT, State.DUE), entry(*FACT))


def item(entry_id: int, till: str = "a", is_fact: bool = True, settled_by_s: float = 0.0) -> Item:
    return Item(entry_id, till, is_fact, False, 100, 1_000 + entry_id, settled_by_s)


def taken(backlog: Backlog, now_s: float = 0.0) -> int:
    found = backlog.take(now_s)
    return found.entry_id if found is not None else 0


@given(st.data())
def test_each_till_goes_in_order_whatever_fails(data: st.DataObject) -> None:
    """Entries of three tills are added in any order, and now and then one has to come again."""
    numbers = data.draw(st.permutations(range(1, 16)))
    backlog = Backlog()
    for number in numbers:
        backlog.add(item(number, "abc"[number % 3]))
    gone: dict[str, list[int]] = {}
    now_s = 0.0
    while len(backlog):
        found = backlog.take(now_s)
        assert found is not None
        if data.draw(st.booleans()):
            backlog.give_back(found, now_s + 1.0)
            now_s += 2.0
        else:
            backlog.drop(found.entry_id)
            backlog.give_back(found)
            gone.setdefault(found.till, []).append(found.entry_id)
    assert all(ids == sorted(ids) for ids in gone.values())
    assert sum(map(len, gone.values())) == 15


def test_a_till_has_one_entry_under_way_and_tills_take_turns() -> None:
    backlog = Backlog()
    for number, till in enumerate("aaabb", start=1):
        backlog.add(item(number, till))
    first = backlog.take(0.0)
    assert first is not None
    assert (first.entry_id, taken(backlog), taken(backlog)) == (1, 4, 0)
    backlog.drop(first.entry_id)
    backlog.give_back(first)
    assert taken(backlog) == 2


def test_what_is_tried_live_holds_up_what_came_after_it() -> None:
    backlog = Backlog()
    backlog.started("a", 1)
    backlog.add(item(2))
    assert taken(backlog) == 0
    backlog.ended("a", 1)
    assert taken(backlog) == 2


def test_what_is_tried_once_more_is_not_fenced_meanwhile() -> None:
    backlog = Backlog()
    backlog.add(item(1, is_fact=False))
    backlog.started("a", 1)
    assert taken(backlog) == 0
    backlog.ended("a", 1)
    assert taken(backlog) == 1


def test_a_request_waits_for_what_the_till_says_or_for_its_next_receipt() -> None:
    backlog = Backlog()
    backlog.add(item(1, is_fact=False, settled_by_s=30.0))
    assert (taken(backlog, 29.9), backlog.next_at_s(29.9)) == (0, 30.0)
    assert taken(backlog, 30.0) == 1
    other = Backlog()
    other.add(item(1, is_fact=False, settled_by_s=30.0))
    other.started("a", 2)
    assert taken(other) == 1


def test_what_waits_is_summed() -> None:
    backlog = Backlog()
    assert backlog.waiting() == Waiting()
    backlog.add(item(1))
    backlog.add(item(2))
    backlog.add(item(2))
    assert backlog.waiting() == Waiting(2, 200, 1_001)
    backlog.drop(1)
    backlog.drop(1)
    assert backlog.waiting() == Waiting(1, 100, 1_002)
    assert backlog.has("a")
    assert not backlog.has("b")


CEILINGS = Ceilings(amount_minor=1_000, count=3, age_s=60)
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("waiting", "amount_minor", "reached"),
    [
        (Waiting(), 1_000, None),
        (Waiting(), 1_001, Reached("AMOUNT", 1_000, 1_001)),
        (Waiting(2, 900, HOUR_US), 100, None),
        (Waiting(2, 901, HOUR_US), 100, Reached("AMOUNT", 1_000, 1_001)),
        (Waiting(3, 10, HOUR_US), 1, Reached("COUNT", 3, 4)),
        (Waiting(1, 10, HOUR_US - 60_999_999), 1, None),
        (Waiting(1, 10, HOUR_US - 61_000_000), 1, Reached("AGE", 60, 61)),
    ],
)
def test_ceilings(waiting: Waiting, amount_minor: int, reached: Reached | None) -> None:
    assert find_reached(CEILINGS, waiting, amount_minor, HOUR_US) == reached
    assert find_reached(Ceilings(), waiting, amount_minor, HOUR_US) is None


class Steady(random.Random):
    """No chance: the middle of every range."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def test_rush_mode_begins_after_failures_in_a_row_and_pauses_grow() -> None:
    health = LinkHealth(RushRule(3, 2.0, 5.0), Steady())
    health.failed(0.0)
    health.failed(0.0)
    health.answered()
    for now_s in (10.0, 10.0):
        health.failed(now_s)
    assert (health.is_rush, health.pause_left_s(10.0)) == (False, 0.0)
    health.failed(10.0)
    assert (health.is_rush, health.pause_left_s(10.0)) == (True, 2.0)
    health.failed(11.0)  # a call that was under way: the pause is not longer for it
    assert health.pause_left_s(11.0) == 1.0
    health.failed(12.0)
    assert health.pause_left_s(12.0) == 4.0
    health.failed(16.0)
    assert health.pause_left_s(16.0) == 5.0
    assert health.rush_began.is_set()
    health.answered()
    assert (health.is_rush, health.rush_began.is_set()) == (False, False)
    for _ in range(3):
        health.failed(20.0)
    assert health.pause_left_s(20.0) == 2.0


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60), st.integers(1, 20))
def test_the_pace_is_never_exceeded(gaps_s: list[float], rate: int) -> None:
    """In no window of seconds more goes than the rate allows, and a second's worth besides."""
    pace, now_s, at_s = Pace(rate), 100.0, []
    for gap_s in gaps_s:
        now_s += gap_s
        at_s.append(now_s + pace.take(now_s))
    for first in range(len(at_s)):
        for last in range(first, len(at_s)):
            window_s = at_s[last] - at_s[first]
            assert last - first + 1 <= rate * window_s + rate + 1e-6


def test_no_limit_waits_for_nothing() -> None:
    pace = Pace(0.0)
    assert [pace.take(0.0) for _ in range(1_000)] == [0.0] * 1_000


def busy_server(width: Width, each_s: float, rounds: int) -> None:
    """Answers of a server that needs so long for one entry and is never idle: Little's law."""
    for _ in range(rounds):
        at_once = width.at_once
        for _ in range(at_once):
            width.answered(at_once * each_s, at_once)


def is_whole_part(found: int, wanted: float) -> bool:
    """Whether it is the whole part, but for the last bits of sums of floats."""
    return wanted - 1.0 - 1e-6 <= found <= wanted + 1e-6


@given(st.integers(200, 5_000), st.integers(1, 2_000))
def test_the_width_is_what_is_answered_within_the_aim(per_s: int, widest: int) -> None:
    width = Width(widest, aim_s=0.2)
    busy_server(width, 1.0 / per_s, 60)
    wanted = min(max(0.2 * per_s, NARROWEST), widest)
    assert is_whole_part(width.at_once, wanted)
    busy_server(width, 10.0 / per_s, 60)
    wanted = min(max(0.02 * per_s, NARROWEST), widest)
    assert is_whole_part(width.at_once, wanted), "a server that slows down is asked for less"


def test_a_slow_link_is_no_reason_to_forward_fewer() -> None:
    width = Width(512, aim_s=0.2)
    for _ in range(1_000):
        width.answered(3.0, NARROWEST)
    assert width.at_once == NARROWEST


def test_the_width_grows_only_by_use_and_begins_again_after_a_failure() -> None:
    width = Width(512, aim_s=0.2)
    for _ in range(1_000):
        width.answered(0.001, NARROWEST - 1)
    assert width.at_once == NARROWEST
    busy_server(width, 0.001, 60)
    assert width.at_once > NARROWEST
    width.lost()
    assert width.at_once == NARROWEST


def test_back_off_doubles_up_to_its_most() -> None:
    waits_s = [backoff_s(attempt, 0.5, 8.0, Steady()) for attempt in (1, 2, 3, 5, 6, 10_000)]
    assert waits_s == [0.5, 1.0, 2.0, 8.0, 8.0, 8.0]
    spread = {backoff_s(1, 1.0, 8.0, random.Random(seed)) for seed in range(50)}
    assert 0.8 <= min(spread) < 0.9 < 1.1 < max(spread) <= 1.2


def test_the_offset_is_that_of_the_shortest_way() -> None:
    offset = ServerOffset(7)
    assert offset.offset_us == 7
    offset.add(Sample(1_000_000, 6_900_000, 2_800_000))
    assert offset.offset_us == 5_000_000
    offset.add(Sample(10_000_000, 15_020_000, 10_040_000))
    assert offset.offset_us == 5_000_000
    offset.add(Sample(20_000_000, 25_700_000, 20_900_000))
    assert offset.offset_us == 5_000_000


@pytest.mark.parametrize(("server_us", "step_us"), [(5_000_110, 0), (5_100_000, -99_990)])
def test_the_first_sample_says_how_our_clock_was_set(server_us: int, step_us: int) -> None:
    """What a sample may be wrong by is no step; later ones say nothing of it."""
    offset, told = ServerOffset(4_000_000), list[int]()
    offset.on_first.append(told.append)
    for _ in range(2):
        offset.add(Sample(1_000_000, server_us, 1_000_020))
    assert told == [step_us]


def test_a_clock_that_is_set_is_believed_at_once() -> None:
    offset = ServerOffset()
    for second in range(10):
        at_us = second * 1_000_000
        offset.add(Sample(at_us, at_us + 10, at_us + 20))
    offset.add(Sample(20_000_000, 3_620_000_100, 20_000_200))
    assert offset.offset_us == 3_600_000_000


def test_a_step_of_a_clock_is_told_once_and_a_slow_reading_is_none() -> None:
    """What has passed by the clock that nobody sets is no step, nor is what reading takes."""
    told: list[int] = []
    wall_us, passed_us = [1_000_000_000], [0]
    clock = WatchedClock(lambda: wall_us[0], lambda: wall_us[0], lambda: passed_us[0])
    clock.on_step.append(told.append)
    for stepped_us, step_us in ((0, 0), (STEP_MIN_US - 1, 0), (1, STEP_MIN_US), (-HOUR_US,) * 2):
        passed_us[0] += 5_000_000
        wall_us[0] += 5_000_000 + stepped_us
        told.clear()
        assert (clock(), clock()) == (wall_us[0], wall_us[0])
        assert told == [step_us] * bool(step_us)


def test_what_was_measured_by_a_clock_that_is_set_stays_true() -> None:
    offset, tills = ServerOffset(), TillOffsets()
    offset.add(Sample(1_000, 5_010, 1_020))
    tills.told("a", till_us=700, now_us=1_000)
    for one in (offset.stepped, tills.stepped):
        one(HOUR_US)
    assert offset.offset_us == 4_000 - HOUR_US
    assert tills.offset_us("a") == 300 + HOUR_US
    offset.add(Sample(HOUR_US + 2_000, 6_100, HOUR_US + 2_200))
    assert offset.offset_us == 4_000 - HOUR_US  # the better one of before is kept


def test_a_till_has_not_opened_a_receipt_in_the_future() -> None:
    tills = TillOffsets()
    tills.seen("a", opened_us=500, now_us=1_000)
    assert tills.offset_us("a") == 0  # it may have been open for long
    tills.seen("a", opened_us=1_500, now_us=1_000)
    assert tills.offset_us("a") == -500
    tills.told("a", till_us=700, now_us=1_000)
    assert tills.offset_us("a") == 300
    assert tills.offset_us("b") == 0


def test_a_till_whose_clock_was_set_right_is_believed_again() -> None:
    """One receipt of a clock that was years ahead is no reason to hold it so for ever."""
    tills, now_us = TillOffsets(), 1_790_000_000_000_000
    tills.seen("a", opened_us=2 * now_us, now_us=now_us)
    tills.seen("a", opened_us=now_us - 5, now_us=now_us)
    assert tills.offset_us("a") == 0
    # An hour ahead, it may as well have been open for an hour.
    tills.seen("a", opened_us=now_us + HOUR_US, now_us=now_us)
    tills.seen("a", opened_us=now_us, now_us=now_us)
    assert tills.offset_us("a") == -HOUR_US


@pytest.mark.parametrize(
    ("said", "clock_us"),
    [
        ("1790000000000000", 1_790_000_000_000_000),
        ("9" * 19, 0),
        ("\N{SUPERSCRIPT TWO}", 0),
        ("-1", 0),
        ("", 0),
    ],
)
def test_a_clock_that_shows_no_instant_says_nothing(said: str, clock_us: int) -> None:
    assert read_clock_us(said) == clock_us
