"""Everybody who is still watched is told at the deadline, once, and nobody else.

Method: a loop whose clock moves by hand; drawn watches, answers and steps of time are held against
a plain list. Of timers there is one at most, never later than the first deadline.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.deadlines import RINGS_APART_S, Deadlines

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("watch"), st.integers(0, 9), st.integers(-2, 12)),
        st.tuples(st.just("forget"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.integers(1, 5)),
    ),
    max_size=60,
)


class Loop:
    """A loop with timers alone."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.rang = 0
        self.timers: list[tuple[float, Callable[[], None], list[bool]]] = []

    def time(self) -> float:
        return self.now_s

    def call_at(self, at_s: float, call: Callable[[], None]) -> Any:
        cancelled = [False]
        self.timers.append((at_s, call, cancelled))
        return SimpleNamespace(cancel=lambda: cancelled.__setitem__(0, True))

    def waiting(self) -> list[float]:
        return [at_s for at_s, _, cancelled in self.timers if not cancelled[0]]

    def move_to(self, now_s: float) -> None:
        """Let time pass, timer by timer."""
        while due := [one for one in self.timers if one[0] <= now_s and not one[2][0]]:
            first = min(due, key=lambda one: one[0])
            self.timers.remove(first)
            self.now_s = max(self.now_s, first[0])
            self.rang += 1
            first[1]()
        self.now_s = now_s


@given(STEPS)
def test_whoever_waits_is_told_in_time_and_nobody_else(steps: list[tuple[str, int, int]]) -> None:
    loop, told = Loop(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.get_running_loop", lambda: loop)
        deadlines: Deadlines[int] = Deadlines(lambda one: told.append((one, loop.now_s)))
        model: dict[int, float] = {}
        want = []
        for kind, one, by_s in steps:
            if kind == "watch":
                deadlines.watch(one, loop.now_s + by_s)
                model[one] = loop.now_s + by_s
            elif kind == "forget":
                deadlines.forget(one)
                model.pop(one, None)
            late_s = loop.now_s + (by_s if kind == "pass" else 0)
            begun_s = loop.now_s
            loop.move_to(late_s)
            late = {key: at_s for key, at_s in model.items() if at_s <= late_s}
            want += [(max(at_s, begun_s), key) for key, at_s in late.items()]
            model = {key: at_s for key, at_s in model.items() if key not in late}
            assert len(loop.waiting()) <= 1
            assert not model or loop.waiting()[0] <= min(model.values())
    assert sorted((at_s, one) for one, at_s in told) == sorted(want)


def test_of_many_that_are_late_some_are_told_together() -> None:
    loop, told = Loop(), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.get_running_loop", lambda: loop)
        deadlines: Deadlines[int] = Deadlines(lambda one: told.append((one, loop.now_s)))
        for n in range(1_000):
            deadlines.watch(n, 1.0 + n / 1_000)
        loop.move_to(3.0)
    assert [one for one, _ in told] == list(range(1_000))
    assert all(0.0 <= at_s - (1.0 + n / 1_000) <= RINGS_APART_S for n, at_s in told)
    assert loop.rang <= 1.0 / RINGS_APART_S + 2
