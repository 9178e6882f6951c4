"""The server with a heartbeat: `python -m bench.beating_server FILE` notes when its loop stalled.

A line of JSON for each beat that came late: `at_s` (wall clock, when it came), `late_ms`, and
`cpu_ms`, the CPU time that the process used meanwhile. A beat that is late without CPU waited for
the machine, not for the server: of the two the smaller is the server's own.
"""

import asyncio
import json
import os
import sys
import time
from typing import TextIO

# As `server.__main__` does.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import uvloop

from server.log import set_up_log
from server.main import serve
from server.settings import read_settings

BEAT_S = 0.002
LATE_S = 0.002
"""Less is not worth a line."""


async def beat(notes: TextIO) -> None:
    """Note every late beat, for ever."""
    due_s, spent_s = time.perf_counter() + BEAT_S, time.process_time()
    while True:
        await asyncio.sleep(BEAT_S)
        late_s = time.perf_counter() - due_s
        if late_s > LATE_S:
            cpu_ms = (time.process_time() - spent_s) * 1_000
            note = {"at_s": time.time(), "late_ms": late_s * 1_000, "cpu_ms": cpu_ms}
            notes.write(json.dumps(note) + "\n")
            notes.flush()
        due_s, spent_s = time.perf_counter() + BEAT_S, time.process_time()


async def main(place: str) -> None:
    """Serve, with the heartbeat beside."""
    settings = read_settings()
    set_up_log(settings.log_level)
    with open(place, "a") as notes:  # noqa: ASYNC230 - once, before anything is served
        beating = asyncio.create_task(beat(notes))
        try:
            await serve(settings)
        finally:
            beating.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
