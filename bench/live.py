"""Live tills behind a cash server, in a process of their own; prints one JSON line.

`python -m bench.live TARGET RATE ACCOUNTS RUN SEED`; begins at the word `go` on standard input and
ends at the next line. Open loop: a checkout leaves when its time has come, whatever became of those
before it, and its latency counts from that time.
"""

import asyncio
import json
import sys
from typing import Any

import grpc
import uvloop
from hdrh.histogram import HdrHistogram

from bench.load import CHANNEL_OPTIONS, TIMEOUT_MS, is_checkout, stream_bodies
from bench.receipts import SERVICE

STREAMS = 4
READY_AHEAD = 20_000
"""Requests made before the clock starts."""
LATENCY_MS_MAX = 60_000


class Live:
    """Checkouts at a steady rate over a few streams."""

    def __init__(self, rate: float) -> None:
        """Get ready.

        Args:
            rate: checkouts a second over all streams.
        """
        self._rate = rate
        self._due_s: dict[int, float] = {}
        self._latencies_us = HdrHistogram(1, LATENCY_MS_MAX * 1_000, 3)
        self.refused = 0

    async def run(self, target: str, bodies: list[bytes], stop: asyncio.Event) -> None:
        """Send until told to stop, then wait for the answers of what was sent."""
        channels = [
            grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) for _ in range(STREAMS)
        ]
        calls: list[Any] = [channel.stream_stream(f"/{SERVICE}/Session")() for channel in channels]
        readers = [asyncio.create_task(self._read(call)) for call in calls]
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for n, body in enumerate(bodies):
            due_s = start_s + n / self._rate
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            if stop.is_set():
                break
            self._due_s[n + 1] = due_s
            await calls[n % STREAMS].write(body)
        for call in calls:
            await call.done_writing()
        await asyncio.gather(*readers)
        for channel in channels:
            await channel.close()

    async def _read(self, call: Any) -> None:
        """Answers of one stream; a cash server answers each message once."""
        loop = asyncio.get_running_loop()
        while isinstance(message := await call.read(), bytes):
            latency_s = loop.time() - self._due_s.pop(_correlation_id(message))
            self._latencies_us.record_value(max(1, round(1_000_000 * latency_s)))
            self.refused += not is_checkout(message)

    def report(self) -> dict[str, object]:
        """What was measured, milliseconds."""
        at = self._latencies_us.get_value_at_percentile
        return {
            "answered": self._latencies_us.get_total_count(),
            "unanswered": len(self._due_s),
            "refused": self.refused,
            "p50_ms": at(50.0) / 1_000,
            "p99_ms": at(99.0) / 1_000,
            "max_ms": self._latencies_us.get_max_value() / 1_000,
        }


def _correlation_id(message: bytes) -> int:
    """The varint behind the first tag."""
    number, shift = 0, 0
    for byte in message[1:]:
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return number


async def main(target: str, rate: float, accounts: int, run: str, seed: int) -> None:
    """Build, wait for the word, send until the next one, report."""
    bodies = stream_bodies(READY_AHEAD, accounts, run, seed)
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    stop, live = asyncio.Event(), Live(rate)
    work = asyncio.create_task(live.run(target, bodies, stop))
    await loop.run_in_executor(None, sys.stdin.readline)
    stop.set()
    async with asyncio.timeout(TIMEOUT_MS / 1_000):
        await work
    print(json.dumps(live.report()), flush=True)


if __name__ == "__main__":
    target, rate, accounts, run, seed = sys.argv[1:]
    work = main(target, float(rate), int(accounts), run, int(seed))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
