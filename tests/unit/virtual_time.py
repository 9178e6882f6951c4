"""An event loop whose time passes only when everybody waits: deadlines without waiting for them."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class StuckError(Exception):
    """Everybody waits for ever."""


class _Selector(selectors.DefaultSelector):
    """Never waits: what would have been waited is added to the loop's time."""

    def __init__(self, loop_time: list[float]) -> None:
        super().__init__()
        self._loop_time = loop_time

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise StuckError("every task waits and no timer runs")
        if not ready and timeout:
            self._loop_time[0] += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop of virtual time; it starts at 1,000 s."""

    def __init__(self) -> None:
        self._now_s = [1_000.0]
        super().__init__(_Selector(self._now_s))

    def time(self) -> float:
        return self._now_s[0]

    def work_for(self, seconds: float) -> None:
        """Let the running step take so long: nothing else of the loop runs meanwhile."""
        self._now_s[0] += seconds


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run_virtually(main: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run to the end in virtual time; what would wait for ever, or fails unheard, fails at once."""
    unheard: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unheard.append(context))
        result = runner.run(main())
    assert unheard == []
    return result


async def settle(rounds: int = 20) -> None:
    """Let everybody who can run do so, while no time passes."""
    for _ in range(rounds):
        await asyncio.sleep(0)
