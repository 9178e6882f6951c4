"""A steady flow of quotes from a process of its own; prints one JSON line.

`python -m bench.quotes TARGET RATE ACCOUNTS SEED` sends RATE quotes a second, answered or not,
until a line comes on standard input. Each is timed from the instant at which it was due.
"""

import asyncio
import json
import sys
import time
from itertools import cycle
from typing import Any

import grpc
import uvloop

from bench.receipts import SERVICE, checkout_requests
from loyalty.v1 import till_service_pb2 as pb

REQUESTS = 500
"""Different ones; then they come again, which to a quote is nothing special."""
TIMEOUT_S = 10.0


def bodies(accounts: int, seed: int) -> list[bytes]:
    """Quotes of baskets of ten lines, with a card."""
    return [
        pb.QuoteRequest(basket_id=n.to_bytes(16, "big"), sale=checkout.sale).SerializeToString()
        for n, checkout in enumerate(checkout_requests(REQUESTS, accounts, "quotes", seed), start=1)
    ]


async def flow(call: Any, rate: int, sent: list[bytes], stop: asyncio.Event) -> list[list[float]]:
    """Send at a rate until stopped; give (when due by the wall clock, milliseconds) of each."""
    times: list[list[float]] = []

    async def one(body: bytes, due_s: float) -> None:
        await call(body, timeout=TIMEOUT_S)
        times.append([wall_s + due_s, (time.perf_counter() - start_s - due_s) * 1_000])

    wall_s, start_s = time.time(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for n, body in enumerate(cycle(sent)):
            due_s = n / rate
            await asyncio.sleep(max(0.0, start_s + due_s - time.perf_counter()))
            if stop.is_set():
                break
            group.create_task(one(body, due_s))
    return times


async def main(target: str, rate: int, accounts: int, seed: int) -> None:
    """Build, say that it begins, send until told to stop, report."""
    sent = bodies(accounts, seed)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), stop.set)
    async with grpc.aio.insecure_channel(target) as channel:
        await channel.channel_ready()
        print("begins", flush=True)
        times = await flow(channel.unary_unary(f"/{SERVICE}/Quote"), rate, sent, stop)
    loop.remove_reader(sys.stdin.fileno())
    print(json.dumps(times), flush=True)


if __name__ == "__main__":
    target, *numbers = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(target, *map(int, numbers)))
