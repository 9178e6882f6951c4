"""A load of checkouts from a process of its own; prints one JSON line.

`python -m bench.load TARGETS stream|unary COUNT ACCOUNTS RUN SEED`; the connections are dealt out
evenly over the targets, which a comma parts. All requests are built before
the clock starts; answers are told apart by their first bytes, so that the client stays cheap.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import uvloop

from bench.world import checkout_requests
from loyalty.v1 import till_service_pb2 as pb
from server.till_servicer import SERVICE

STREAMS = 4
IN_FLIGHT = 256
"""Calls in flight together, on streams and unary alike."""
TIMEOUT_MS = 30_000
CHANNEL_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)

_ID_TAG = 0x08
_CHECKOUT_TAG = pb.SessionResponse.CHECKOUT_FIELD_NUMBER << 3 | 2


class RefusedError(Exception):
    """A checkout of the load was refused: the figures would mean nothing."""


def stream_bodies(count: int, accounts: int, run: str, seed: int) -> list[bytes]:
    """Session messages, correlation ids from 1."""
    return [
        pb.SessionRequest(
            correlation_id=n, timeout_ms=TIMEOUT_MS, checkout=request
        ).SerializeToString()
        for n, request in enumerate(checkout_requests(count, accounts, run, seed), start=1)
    ]


def unary_bodies(count: int, accounts: int, run: str, seed: int) -> list[bytes]:
    """Requests of unary calls."""
    requests = checkout_requests(count, accounts, run, seed)
    return [request.SerializeToString() for request in requests]


def is_checkout(message: bytes) -> bool:
    """Whether a session's message answers a checkout: the field behind the correlation id."""
    assert message[0] == _ID_TAG
    at = 1
    while message[at] & 0x80:
        at += 1
    return message[at + 1] == _CHECKOUT_TAG


async def run_streams(targets: Sequence[str], bodies: Sequence[bytes]) -> None:
    """Send all on a few streams, each with its share in flight."""
    work = [_run_stream(targets[n % len(targets)], bodies[n::STREAMS]) for n in range(STREAMS)]
    await asyncio.gather(*work)


async def _run_stream(target: str, bodies: Sequence[bytes]) -> None:
    async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        call: Any = channel.stream_stream(f"/{SERVICE}/Session")()
        waiting = iter(bodies)
        for _ in range(IN_FLIGHT // STREAMS):
            await _send_next(call, waiting)
        for _ in bodies:
            message = await call.read()
            if not is_checkout(message):
                raise RefusedError(pb.SessionResponse.FromString(message).status.message)
            await _send_next(call, waiting)
        await call.done_writing()


async def _send_next(call: Any, waiting: Iterator[bytes]) -> None:
    body = next(waiting, None)
    if body is not None:
        await call.write(body)


async def run_unary(targets: Sequence[str], bodies: Sequence[bytes]) -> None:
    """Send all as unary calls over a few channels."""
    waiting = iter(bodies)
    async with asyncio.TaskGroup() as group:
        for n in range(STREAMS):
            target = targets[n % len(targets)]
            channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
            call: Any = channel.unary_unary(f"/{SERVICE}/Checkout")
            for _ in range(IN_FLIGHT // STREAMS):
                group.create_task(_run_calls(call, waiting))


async def _run_calls(call: Any, waiting: Iterator[bytes]) -> None:
    for body in waiting:
        await call(body, timeout=TIMEOUT_MS / 1_000)


async def main(targets: str, kind: str, count: int, accounts: int, run: str, seed: int) -> None:
    """Build, wait for the word on standard input, send, report."""
    make, send = (stream_bodies, run_streams) if kind == "stream" else (unary_bodies, run_unary)
    bodies = make(count, accounts, run, seed)
    print("ready", flush=True)
    sys.stdin.readline()
    start_s = time.perf_counter()
    await send(targets.split(","), bodies)
    elapsed_s = time.perf_counter() - start_s
    report = {"count": count, "elapsed_s": elapsed_s, "rate": count / elapsed_s}
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    targets, kind, count, accounts, run, seed = sys.argv[1:]
    work = main(targets, kind, int(count), int(accounts), run, int(seed))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
