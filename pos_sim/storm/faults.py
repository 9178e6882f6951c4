"""What befalls the servers in a storm: killed, their database killed, their clock moved on."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pos_sim.server_process import ServerProcess, kill_database, set_clock_file, start_server

HOUR_US = 3_600_000_000
CLOCK_STEPS_US = (HOUR_US // 6, 6 * HOUR_US, 30 * HOUR_US, 120 * HOUR_US)
"""A hold lapses; a day passes in one store; a day passes in both; points grow old."""


class Faults:
    """Does harm to servers that run over one database."""

    def __init__(
        self,
        servers: list[ServerProcess],
        data_dir: Path,
        clock_file: Path,
        rng: random.Random,
        count: Counter[str],
        settings: Mapping[str, str],
    ) -> None:
        """Get ready.

        Args:
            servers: all of them; one that is started again takes its place in the list.
            data_dir: of their embedded database.
            clock_file: by which their clock is shifted.
            rng: decides.
            count: how often each fault befell them.
            settings: more of their environment.
        """
        self._servers = servers
        self._data_dir = data_dir
        self._clock_file = clock_file
        self._rng = rng
        self._count = count
        self._settings = settings
        self._offset_us = 0

    def now_us(self) -> int:
        """The clock of all servers, UTC microseconds."""
        return time.time_ns() // 1_000 + self._offset_us

    async def strike(self) -> None:
        """Do one harm and mend it: afterwards all servers run and serve again."""
        kind = self._rng.choice(("server", "server", "database", "clock", "clock"))
        self._count[f"fault: {kind}"] += 1
        if kind == "server":
            await self._kill_server(self._rng.randrange(len(self._servers)))
        elif kind == "database":
            kill_database(self._data_dir)
        else:
            self.move_clock(self._rng.choice(CLOCK_STEPS_US))

    def move_clock(self, by_us: int) -> None:
        """Move the clock of all servers on, microseconds."""
        self._offset_us += by_us
        set_clock_file(self._clock_file, self._offset_us)

    async def _kill_server(self, place: int) -> None:
        target = self._servers[place].target
        await self._servers[place].kill()
        await asyncio.sleep(self._rng.uniform(0.0, 0.3))
        server = await start_server(
            self._data_dir, place + 1, target, self._clock_file, self._settings
        )
        self._servers[place] = server
        await server.wait_until_ready()
