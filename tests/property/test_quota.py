"""Goal: a budget is never given out beyond its limit by one unit, and nothing of it gets lost.

Method: several desks over one store in memory, on a loop of virtual time. Receipts of random
amounts are decided at random desks while the database fails before or after it has done its work,
commits are lost, their fate gets unknown, desks die, and clocks jump. The store itself holds every
lease to its chunk; the sums are held to the limit after every receipt.
"""

import asyncio
import itertools
from datetime import date
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.commit import BudgetUse
from rewards.quota import (
    NO_LIMIT,
    NOTHING,
    Amount,
    Budget,
    NetUse,
    all_given_back,
    chunk_of,
    given_back,
    period_name,
)
from server.budgets import LEASE_LIFE_US, Desk, Want
from server.store.database import RetryError
from tests.examples import at_most
from tests.unit.lease_store import LeaseStoreFake, added
from tests.unit.virtual_time import run_virtually

DEADLINE_S = 10_000.0
WRITTEN, LOST, UNKNOWN_WRITTEN, UNKNOWN_LOST = range(4)


class Step(NamedTuple):
    """A receipt at a desk, what becomes of its commit, and what happens before it."""

    desk: int
    amount: Amount
    fate: int
    pause_s: float
    kills: bool
    jump_us: int
    fault: bool | None


def steps() -> st.SearchStrategy[Step]:
    return st.builds(
        Step,
        st.integers(0, 2),
        st.builds(Amount, st.just(1), st.integers(0, 40)),
        st.sampled_from([WRITTEN] * 5 + [LOST, UNKNOWN_WRITTEN, UNKNOWN_LOST]),
        st.sampled_from([0.0, 0.0, 0.0002, 0.01, 0.6, 3.0]),
        st.sampled_from([False] * 9 + [True]),
        st.sampled_from([0] * 9 + [LEASE_LIFE_US + 1]),
        st.sampled_from([None] * 9 + [False, True]),
    )


MOST = st.builds(Amount, st.integers(1, 12), st.integers(1, 300)) | st.sampled_from(
    [Amount(5, NO_LIMIT), Amount(NO_LIMIT, 100)]
)


class World:
    """Desks over one store, and a clock that all have."""

    def __init__(self, most: Amount) -> None:
        self.budget = Budget(b"b" * 16, "c", "p", "", "", most)
        self.store = LeaseStoreFake()
        self.now_us = 0
        self._ids = itertools.count()
        self.desks = [self.new_desk() for _ in range(3)]

    def new_desk(self) -> Desk:
        return Desk(self.store, lambda: self.now_us, lambda: next(self._ids).to_bytes(16, "big"))

    @property
    def written(self) -> Amount:
        return self.store.written.get(self.budget.budget_id, NOTHING)

    def check(self) -> None:
        for used, most in zip(self.written, self.budget.most, strict=True):
            assert most == NO_LIMIT or used <= most

    async def sell(self, desk: Desk, step: Step) -> None:
        """Give as much of an amount as there is, as a promotion that gives a part does."""
        is_dry = False
        while True:
            left = desk.left(self.budget, is_dry)
            amount = _part(step.amount, left)
            taken, shortages = desk.take([Want(self.budget, amount)])
            if not shortages:
                break
            assert not is_dry, "what was at hand can be taken"
            try:
                await desk.lease(shortages, DEADLINE_S)
            except RetryError:
                continue
            is_dry = desk.is_dry(shortages[0])
        await asyncio.sleep(0.001)
        self.finish(desk, taken, step.fate)

    def finish(self, desk: Desk, taken: tuple[BudgetUse, ...], fate: int) -> None:
        is_written = fate in (WRITTEN, UNKNOWN_WRITTEN) and self.store.commit(taken)
        if fate == WRITTEN and not is_written:
            desk.doubt(taken)
        desk.settle(taken, is_written or fate in (UNKNOWN_WRITTEN, UNKNOWN_LOST))
        self.check()

    async def settle_down(self) -> None:
        """Let everybody stop, and what nobody looks after expire."""
        self.store.faults.clear()
        for desk in self.desks:
            await desk.stop()
        self.now_us += 2 * LEASE_LIFE_US
        await self.store.close_expired(self.now_us)


def _part(amount: Amount, left: Amount) -> Amount:
    if left.times == 0 or left.minor == 0:
        return NOTHING
    return amount if left.minor == NO_LIMIT else Amount(1, min(amount.minor, left.minor))


@at_most(1_000)
@given(MOST, st.lists(steps(), max_size=40))
def test_no_interleaving_gives_more_than_the_limit(most: Amount, plan: list[Step]) -> None:
    async def run() -> None:
        world = World(most)
        running: list[asyncio.Task[None]] = []
        for step in plan:
            world.now_us += step.jump_us + round(step.pause_s * 1_000_000)
            if step.kills:
                world.desks[step.desk] = world.new_desk()
            if step.fault is not None:
                world.store.faults.append(step.fault)
            desk = world.desks[step.desk]
            running.append(asyncio.create_task(world.sell(desk, step)))
            await asyncio.sleep(step.pause_s)
            try:
                await world.desks[step.desk].look_after()
            except RetryError:
                continue
        await asyncio.gather(*running)
        await world.settle_down()
        leased = world.store.leased.get(world.budget.budget_id, NOTHING)
        assert leased == world.written, "nothing of the budget is lost, and nothing is given twice"

    run_virtually(run)


@at_most(1_000)
@given(st.integers(1, 40), st.lists(st.integers(0, 2), min_size=60, max_size=60))
def test_who_keeps_asking_gets_the_last_unit(most: int, desks: list[int]) -> None:
    """With nobody failing, what receipts ask for is given to the last unit."""

    async def run() -> None:
        world = World(Amount(most, NO_LIMIT))
        step = Step(0, Amount(1, 0), WRITTEN, 0.0, False, 0, None)
        await asyncio.gather(*[world.sell(world.desks[n], step) for n in desks])
        for desk in world.desks:
            await asyncio.sleep(5.0)
            await desk.look_after()
            await desk.look_after()
        await asyncio.gather(*[world.sell(world.desks[n], step) for n in desks])
        assert world.written.times == most

    run_virtually(run)


@given(st.integers(1, 10**6), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_chunk_is_what_is_asked_for_and_within_what_is_left(
    asked: int, left: int, last: int
) -> None:
    chunk = chunk_of(asked, left, last)
    assert min(asked, left) <= chunk <= left
    assert chunk <= max(asked, left // 16)


NETS = st.lists(
    st.builds(
        NetUse,
        st.binary(min_size=1, max_size=2),
        st.builds(Amount, st.integers(0, 2), st.integers(0, 50)),
        st.builds(Amount, st.integers(0, 2), st.integers(0, 50)),
    ),
    max_size=4,
    unique_by=lambda net: net.budget_id,
)


@given(NETS, st.lists(st.builds(Amount, st.integers(0, 1), st.integers(0, 40)), max_size=4))
def test_never_more_is_given_back_than_was_used(nets: list[NetUse], parts: list[Amount]) -> None:
    """Whatever returns ask for one after another, and then a void: all comes back, once."""
    back: dict[tuple[bytes, bool], Amount] = {}

    def note(uses: tuple[BudgetUse, ...]) -> None:
        for use in uses:
            amount = Amount(-use.times, -use.amount_minor)
            assert (amount.times, amount.minor) >= (0, 0)
            key = use.budget_id, use.is_overrun
            back[key] = added(back.get(key, NOTHING), amount)

    def rest() -> list[NetUse]:
        return [
            NetUse(
                net.budget_id,
                added(net.used, back.get((net.budget_id, False), NOTHING), -1),
                added(net.overrun, back.get((net.budget_id, True), NOTHING), -1),
            )
            for net in nets
        ]

    for part in parts:
        note(given_back(b"r" * 16, rest(), {net.budget_id: part for net in nets}))
        assert all(min(*net.used, *net.overrun) >= 0 for net in rest())
    note(all_given_back(b"r" * 16, rest()))
    assert all(net.whole == NOTHING for net in rest())


@pytest.mark.parametrize(
    ("period", "day", "name"),
    [
        ("day", date(2026, 11, 22), "2026-11-22"),
        ("week", date(2026, 11, 22), "2026-W47"),
        ("week", date(2027, 1, 3), "2026-W53"),
        ("month", date(2026, 11, 22), "2026-11"),
        ("year", date(2026, 11, 22), "2026"),
        ("ever", date(2026, 11, 22), ""),
    ],
)
def test_periods_have_names(period: str, day: date, name: str) -> None:
    assert period_name(period, day.toordinal()) == name
