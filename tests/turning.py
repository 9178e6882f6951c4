"""A server whose event loop goes round slowly, in a process of its own: how many turns calls take.

`python -m tests.turning HOST:PORT`; says `ready`. At a line of standard input the loop stands still
until the next line, so that calls gather; at the third it says how many turns the loop has made
from the first of them that was taken in to the last.
"""

import asyncio
import hashlib
import sys
from typing import Any

import grpc
import uvloop

from server.listeners import Listeners

METHOD = "/test.Service/Call"


class TurningCalls:
    """Answers each call with its own bytes, and notes in which turn it was taken in."""

    def __init__(self) -> None:
        """Start with none."""
        self.turn = 0
        self.taken_in: list[int] = []

    async def call(self, body: bytes, context: object) -> bytes:
        """Answer."""
        self.taken_in.append(self.turn)
        return body

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve METHOD."""
        handlers: dict[str, Any] = {"Call": grpc.unary_unary_rpc_method_handler(self.call)}
        service = METHOD.split("/")[1]
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))

    async def turn_slowly(self) -> None:
        """Compute in each turn for as long as deciding some receipts takes."""
        while True:
            self.turn += 1
            for _ in range(10):
                hashlib.sha256(bytes(200_000)).digest()
            await asyncio.sleep(0)

    def turns(self) -> int:
        """How many turns went by while the calls since the last question were taken in."""
        taken_in, self.taken_in = self.taken_in, []
        return taken_in[-1] - taken_in[0]


async def serve(listen: str) -> None:
    """Serve until standard input ends."""
    calls = TurningCalls()
    listeners = Listeners(listen, calls.add_to)
    await listeners.start()
    turning = asyncio.create_task(calls.turn_slowly())
    _say("ready")
    while await asyncio.to_thread(sys.stdin.readline):
        _say("standing")
        sys.stdin.readline()
        await asyncio.to_thread(sys.stdin.readline)
        _say(str(calls.turns()))
    turning.cancel()
    await listeners.stop(0.0)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
