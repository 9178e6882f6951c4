"""The desk deals budgets out of its leases, gives back what it does not use, and holds for baskets.

In virtual time, over a database of leases in memory.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from rewards.commit import BudgetUse
from rewards.quota import NO_LIMIT, NOTHING, Amount, Budget
from server.budgets import IDLE_S, LEASE_LIFE_US, RENEWED_BEFORE_US, Desk, Shortage, Want
from server.store.database import RetryError
from tests.unit.lease_store import LeaseStoreFake
from tests.unit.virtual_time import run_virtually, virtual_loop

LATE_S = 1_000_000.0


class Scene:
    """A desk, its store, a clock."""

    def __init__(self, times: int = 100, minor: int = NO_LIMIT) -> None:
        self.budget = Budget(b"b" * 16, "c", "p", "", "", Amount(times, minor))
        self.store = LeaseStoreFake()
        self.now_us = 0
        self._ids = itertools.count()
        self.desk = self.another()

    def another(self) -> Desk:
        return Desk(self.store, lambda: self.now_us, lambda: next(self._ids).to_bytes(16, "big"))

    def want(self, minor: int = 0, may_overrun: bool = False) -> list[Want]:
        return [Want(self.budget, Amount(1, minor), may_overrun)]

    async def taken(self, minor: int = 0) -> tuple[BudgetUse, ...]:
        """Take what is there for one receipt, leasing it."""
        while True:
            uses, shortages = self.desk.take(self.want(minor))
            if not shortages:
                return uses
            await self.desk.lease(shortages, LATE_S)

    @property
    def leased(self) -> Amount:
        return self.store.leased.get(self.budget.budget_id, NOTHING)


def virtually(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        run_virtually(test)

    run.__name__ = test.__name__
    return run


@virtually
async def test_what_is_not_there_is_not_taken() -> None:
    scene = Scene()
    uses, shortages = scene.desk.take(scene.want())
    assert (uses, shortages) == ((), [Shortage(scene.budget, Amount(1, 0))])
    assert scene.desk.left(scene.budget) == Amount(100, NO_LIMIT), "nobody has leased any yet"
    assert scene.desk.left(scene.budget, exactly=True) == Amount(0, NO_LIMIT)


@virtually
async def test_receipts_that_wait_together_are_leased_for_at_once() -> None:
    scene = Scene()
    taken = await asyncio.gather(*[scene.taken() for _ in range(20)])
    assert all(len(uses) == 1 for uses in taken)
    assert scene.store.calls.count("lease") < 5


@virtually
async def test_leases_grow_while_they_do_not_last_and_are_small_near_the_end() -> None:
    scene = Scene(1_000)
    sizes = []
    for _ in range(1_000):
        before = len(scene.store.rows)
        await scene.taken()
        if len(scene.store.rows) > before:
            sizes.append(list(scene.store.rows.values())[-1][1].chunk.times)
    assert sizes[:5] == [1, 2, 4, 8, 16]
    assert max(sizes) <= 1_000 // 16
    assert sizes[-1] == 1
    assert scene.leased == Amount(1_000, 0)
    _, shortages = scene.desk.take(scene.want())
    await scene.desk.lease(shortages, LATE_S)
    assert scene.desk.is_dry(shortages[0])
    assert scene.desk.left(scene.budget) == Amount(0, NO_LIMIT)


@virtually
async def test_a_receipt_may_use_several_leases() -> None:
    scene = Scene(NO_LIMIT, 100)
    await scene.taken(30)
    scene.desk.settle(await scene.taken(30), was_written=False)
    uses = await scene.taken(70)
    assert sum(use.amount_minor for use in uses) == 70
    assert len({use.lease_id for use in uses}) == len(uses) == 2
    assert scene.desk.left(scene.budget) == Amount(NO_LIMIT, 0)


@virtually
async def test_only_what_was_not_written_is_there_again() -> None:
    scene = Scene(2)
    first, second = await scene.taken(), await scene.taken()
    scene.desk.settle(first, was_written=True)
    scene.desk.settle(second, was_written=False)
    assert scene.desk.left(scene.budget) == Amount(1, NO_LIMIT)


@virtually
async def test_a_fact_takes_what_is_there_and_overruns_the_rest() -> None:
    scene = Scene(NO_LIMIT, 100)
    await scene.taken(80)
    _, shortages = scene.desk.take(scene.want(50))
    await scene.desk.lease(shortages, LATE_S)
    uses, shortages = scene.desk.take(scene.want(50, may_overrun=True))
    assert not shortages
    assert [(use.amount_minor, use.is_overrun) for use in uses] == [(20, False), (30, True)]


@virtually
async def test_idle_leases_go_back() -> None:
    scene = Scene()
    for _ in range(10):
        scene.desk.settle(await scene.taken(), was_written=True)
    await asyncio.sleep(IDLE_S)
    await scene.desk.look_after()
    assert not [row for _, row in scene.store.rows.values() if row.is_open]
    assert scene.leased == NOTHING, "the store has seen no commit"


HOLD = b"h" * 16


@virtually
async def test_of_a_lease_that_a_basket_holds_from_the_rest_goes_back() -> None:
    scene = Scene()
    *others, uses = [await scene.taken() for _ in range(4)]
    for one in others:
        scene.desk.settle(one, was_written=False)
    assert await scene.desk.hold(HOLD, uses, (), expires_at_us=1_000)
    await asyncio.sleep(IDLE_S)
    await scene.desk.look_after()
    assert scene.leased == Amount(1, 0)
    scene.now_us = 1_001
    await scene.desk.look_after()
    assert scene.leased == NOTHING, "the hold has lapsed"


@virtually
async def test_a_basket_finds_at_any_desk_what_it_holds() -> None:
    """The last receipt of a limit is the basket's; the desk that took it may be gone."""
    scene = Scene(1)
    assert await scene.desk.hold(HOLD, await scene.taken(), (), 1_000)
    other = scene.another()
    held = await other.held(HOLD)
    await other.meet([scene.budget], LATE_S)
    assert other.left(scene.budget) == Amount(0, NO_LIMIT)
    assert other.left(scene.budget, held=held) == Amount(1, NO_LIMIT)
    uses, shortages = other.take(scene.want(5), held)
    assert not shortages
    assert scene.store.commit(uses)
    other.settle(uses, was_written=True)
    other.close_later(held)
    await other.look_after()
    assert scene.leased == Amount(1, 5), "used, and nothing more"
    assert not other.take(scene.want(), await other.held(HOLD))[0]


@virtually
async def test_a_basket_replaces_what_it_holds() -> None:
    """More is cut out of the desk's lease, less goes back, nothing is held twice."""
    scene = Scene(NO_LIMIT, 100)
    assert await scene.desk.hold(HOLD, await scene.taken(60), (), 1_000)
    scene.desk = scene.another()
    for minor in (90, 30, 30, 100):
        held = await scene.desk.held(HOLD)
        while True:
            uses, shortages = scene.desk.take(scene.want(minor), held)
            if not shortages:
                break
            await scene.desk.lease(shortages, LATE_S)
        assert await scene.desk.hold(HOLD, uses, held, 1_000)
        [now] = await scene.desk.held(HOLD)
        assert now.left == Amount(NO_LIMIT, minor)
        assert scene.leased.minor <= 100
    assert await scene.desk.hold(HOLD, (), await scene.desk.held(HOLD), 0)
    assert await scene.desk.held(HOLD) == ()
    await asyncio.sleep(IDLE_S)
    await scene.desk.look_after()
    assert scene.leased == NOTHING


@virtually
async def test_what_a_receipt_has_used_meanwhile_is_not_held_again() -> None:
    scene = Scene(1)
    assert await scene.desk.hold(HOLD, await scene.taken(), (), 1_000)
    held = await scene.desk.held(HOLD)
    again, _ = scene.desk.take(scene.want(), held)
    sold, _ = scene.another().take(scene.want(), held)
    assert scene.store.commit(sold)
    assert not await scene.desk.hold(HOLD, again, held, 1_000)
    assert scene.leased == Amount(1, 0)
    assert scene.desk.left(scene.budget, True, await scene.desk.held(HOLD)) == Amount(0, NO_LIMIT)


@virtually
async def test_a_hold_of_unknown_fate_gives_nothing_twice() -> None:
    """Written or not: neither is its part dealt again before the lease is closed."""
    for was_written in (True, False):
        scene = Scene(1)
        uses = await scene.taken()
        scene.store.faults.append(was_written)
        with pytest.raises(RetryError):
            await scene.desk.hold(HOLD, uses, (), 1_000)
        assert scene.desk.left(scene.budget, exactly=True) == Amount(0, NO_LIMIT)
        assert len(await scene.desk.held(HOLD)) == was_written
        await asyncio.sleep(IDLE_S)
        await scene.desk.look_after()
        assert scene.leased == Amount(int(was_written), 0)


@virtually
async def test_who_goes_away_while_it_holds_loses_nothing() -> None:
    scene = Scene(3)
    uses = await scene.taken()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(scene.store.delay_s / 2):
            await scene.desk.hold(HOLD, uses, (), 1_000)
    await asyncio.sleep(1.0)
    [held] = await scene.desk.held(HOLD)
    assert held.left == Amount(1, NO_LIMIT)


@virtually
async def test_leases_are_renewed_while_the_server_lives() -> None:
    scene = Scene()
    uses = await scene.taken()
    other = scene.another()
    for _ in range(10):
        scene.now_us += LEASE_LIFE_US - RENEWED_BEFORE_US + 1
        await scene.desk.look_after()
        other.left(scene.budget)
        await other.look_after()
        assert scene.store.rows[uses[0].lease_id][1].is_open


@virtually
async def test_a_dead_servers_lease_comes_back_when_it_has_expired() -> None:
    scene = Scene(1)
    await scene.taken()
    scene.desk = scene.another()
    _, shortages = scene.desk.take(scene.want())
    await scene.desk.lease(shortages, LATE_S)
    assert scene.desk.is_dry(shortages[0])
    scene.now_us += LEASE_LIFE_US + 1
    assert await scene.taken()


@virtually
async def test_a_lease_that_was_found_closed_is_not_dealt_from() -> None:
    scene = Scene()
    for _ in range(3):
        uses = await scene.taken()
        scene.desk.settle(uses, was_written=False)
    scene.now_us += LEASE_LIFE_US + 1
    await scene.store.close_expired(scene.now_us)
    uses = await scene.taken()
    assert not scene.store.commit(uses)
    scene.desk.doubt(uses)
    scene.desk.settle(uses, was_written=False)
    again = await scene.taken()
    assert scene.store.commit(again)


@virtually
async def test_a_quote_waits_for_what_is_left_no_longer_than_it_has_time() -> None:
    scene = Scene(5)
    scene.store.delay_s = 10.0
    with pytest.raises(TimeoutError):
        await scene.desk.meet([scene.budget], deadline_s=asyncio.get_running_loop().time() + 1.0)
    scene.store.delay_s = 0.0
    await scene.desk.meet([scene.budget], LATE_S)
    assert scene.desk.left(scene.budget).times == 5


@virtually
async def test_a_quote_reads_what_is_left_once() -> None:
    scene = Scene(5)
    other = scene.another()
    for _ in range(3):
        await scene.taken()
    for _ in range(4):
        await other.meet([scene.budget], LATE_S)
    assert scene.store.calls.count("left_of") == 1
    assert other.left(scene.budget).times == 5 - scene.leased.times


@virtually
async def test_a_lease_of_unknown_fate_is_nobodys_until_it_expires() -> None:
    scene = Scene(1)
    scene.store.faults.append(True)
    _, shortages = scene.desk.take(scene.want())
    with pytest.raises(RetryError):
        await scene.desk.lease(shortages, LATE_S)
    await scene.desk.lease(shortages, LATE_S)
    assert scene.desk.is_dry(shortages[0])
    scene.now_us += LEASE_LIFE_US + 1
    assert await scene.taken()


@virtually
async def test_who_goes_away_leaves_the_lease_to_the_others() -> None:
    scene = Scene()
    _, shortages = scene.desk.take(scene.want())
    with pytest.raises(TimeoutError):
        await scene.desk.lease(shortages, virtual_loop().time() + scene.store.delay_s / 2)
    await asyncio.sleep(1.0)
    uses, _ = scene.desk.take(scene.want())
    assert uses


@virtually
async def test_stopping_gives_everything_back() -> None:
    scene = Scene()
    scene.desk.start()
    scene.desk.settle(await scene.taken(), was_written=False)
    held = await scene.taken()
    assert await scene.desk.hold(HOLD, held, (), LEASE_LIFE_US)
    await scene.desk.stop()
    assert scene.leased == Amount(1, 0), "a basket's hold outlives the server"
