"""Batches start further apart the busier the process is; for an idle one none waits long."""

import asyncio
from functools import partial

import pytest

from server.gathering import APART_TIMES_MAX, ENTRIES_ENOUGH, SLICE_S, Pace
from tests.unit.virtual_time import run_virtually

APART_S = 0.01
PAUSE_S = 60.0


async def _starts(busy: float, queued: int) -> list[float]:
    """When each of a few batches starts that are always waited for, seconds from the first."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    pace = Pace(APART_S, cpu_s=lambda: busy * (loop.time() - began_s))
    found = []
    for _ in range(4):
        await pace.ready(lambda: queued)
        found.append(loop.time() - began_s)
        await asyncio.sleep(APART_S / 10)
    return found


@pytest.mark.parametrize(
    ("busy", "times"), [(0.3, 1.0), (0.4, 1.0), (0.6, 2.5), (0.8, APART_TIMES_MAX), (1.0, 4.0)]
)
def test_how_far_apart_batches_start(busy: float, times: float) -> None:
    first, *others = run_virtually(partial(_starts, busy, 1))
    assert first == 0.0
    apart_s = [later - earlier for earlier, later in zip([first, *others], others, strict=False)]
    assert apart_s == pytest.approx([times * APART_S] * 3)


def test_an_idle_loop_makes_nobody_ready() -> None:
    """Whoever waits for company waits for one slice of it."""
    starts = run_virtually(partial(_starts, 0.0, 1))
    assert starts == pytest.approx([n * (APART_S / 10 + SLICE_S) for n in range(4)])


def test_a_batch_leaves_when_the_loop_falls_idle() -> None:
    """Busy for two slices, then no more: the batch leaves with the third."""

    async def idle_at_last() -> float:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        pace = Pace(APART_S, cpu_s=lambda: min(loop.time() - began_s, 2 * SLICE_S))
        await pace.ready(lambda: 1)
        await pace.ready(lambda: 1)
        return loop.time() - began_s

    assert run_virtually(idle_at_last) == pytest.approx(3 * SLICE_S)


def test_a_long_queue_does_not_wait() -> None:
    starts = run_virtually(partial(_starts, 1.0, ENTRIES_ENOUGH))
    assert starts == pytest.approx([n * APART_S / 10 for n in range(4)])


def test_a_queue_that_grows_long_waits_no_longer() -> None:
    """The batch leaves with the slice in which it has become long enough."""

    async def grown() -> float:
        loop = asyncio.get_running_loop()
        pace, queue = Pace(APART_S, cpu_s=loop.time), [0] * (ENTRIES_ENOUGH - 1)
        await pace.ready(lambda: len(queue))
        began_s = loop.time()
        loop.call_later(SLICE_S / 2, queue.append, 0)
        await pace.ready(lambda: len(queue))
        return loop.time() - began_s

    assert run_virtually(grown) == pytest.approx(SLICE_S)


def test_after_a_pause_nothing_waits() -> None:
    async def paused() -> float:
        loop = asyncio.get_running_loop()
        pace = Pace(APART_S, cpu_s=loop.time)
        await pace.ready(lambda: 1)
        await asyncio.sleep(PAUSE_S)
        before_s = loop.time()
        await pace.ready(lambda: 1)
        return loop.time() - before_s

    assert run_virtually(paused) == 0.0
