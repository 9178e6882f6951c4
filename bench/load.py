"""A load of checkouts from a process of its own; prints one JSON line.

`python -m bench.load TARGETS stream|together|unary COUNT ACCOUNTS RUN SEED`; the connections are
dealt out evenly over the targets, which a comma parts. `stream` sends each call in a message of its
own, `together` speaks as a cash server does: what is ready together goes in one message. All
requests are built before the clock starts; answers are told apart by their first bytes, so that the
client stays cheap.
"""

import asyncio
import json
import sys
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import grpc
import uvloop

from bench.receipts import SERVICE, checkout_requests
from ext.form import split
from loyalty.v1 import till_service_pb2 as pb
from pos_sim.session_link import next_message

STREAMS = 4
IN_FLIGHT = 256
"""Calls in flight together, on streams and unary alike."""
TIMEOUT_MS = 30_000
CHANNEL_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)

_ID_TAG = 0x08
_CHECKOUT_TAG = pb.SessionResponse.CHECKOUT_FIELD_NUMBER << 3 | 2
_MORE, _TAKES_MORE = (
    pb.SessionResponse.MORE_FIELD_NUMBER,
    pb.SessionResponse.TAKES_MORE_FIELD_NUMBER,
)

RunStream = Callable[[str, Sequence[bytes]], Awaitable[None]]
Bodies = Callable[[int, int, str, int], list[bytes]]
Send = Callable[[Sequence[str], Sequence[bytes]], Awaitable[None]]


class RefusedError(Exception):
    """A checkout of the load was refused: the figures would mean nothing."""


def stream_bodies(count: int, accounts: int, run: str, seed: int) -> list[bytes]:
    """Session messages, correlation ids from 1."""
    return _messages(checkout_requests(count, accounts, run, seed))


def _messages(requests: Iterable[pb.CheckoutRequest]) -> list[bytes]:
    return [
        pb.SessionRequest(
            correlation_id=n, timeout_ms=TIMEOUT_MS, checkout=request
        ).SerializeToString()
        for n, request in enumerate(requests, start=1)
    ]


def quote_bodies(requests: Sequence[pb.CheckoutRequest]) -> list[bytes]:
    """Session messages with the quotes of checkouts, each a basket; correlation ids from 1."""
    bodies = []
    for n, request in enumerate(requests, start=1):
        request.basket_id = uuid.uuid4().bytes
        quote = pb.QuoteRequest(basket_id=request.basket_id, sale=request.sale)
        message = pb.SessionRequest(correlation_id=n, timeout_ms=TIMEOUT_MS, quote=quote)
        bodies.append(message.SerializeToString())
    return bodies


def quoted_bodies(requests: Sequence[pb.CheckoutRequest], answers: Sequence[bytes]) -> list[bytes]:
    """Session messages with checkouts, each with the token that its quote was answered with."""
    for answer in map(pb.SessionResponse.FromString, answers):
        requests[answer.correlation_id - 1].token = answer.quote.token
    return _messages(requests)


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


async def _run_streams(run: RunStream, targets: Sequence[str], bodies: Sequence[bytes]) -> None:
    """Send all on a few streams, each with its share in flight."""
    work = [run(targets[n % len(targets)], bodies[n::STREAMS]) for n in range(STREAMS)]
    await asyncio.gather(*work)


async def _run_singly(target: str, bodies: Sequence[bytes]) -> None:
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


async def _run_together(target: str, bodies: Sequence[bytes]) -> None:
    """Calls and answers that are ready together share a message."""
    async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        call: Any = channel.stream_stream(f"/{SERVICE}/Session")()
        waiting = deque(bodies)
        asked = pb.SessionRequest(takes_more=True).SerializeToString()
        await call.write(waiting.popleft() + asked)
        ready, answered, takes_more = IN_FLIGHT // STREAMS - 1, 0, False
        while answered < len(bodies):
            count, says_so = _answers_in(await call.read())
            takes_more |= says_so
            answered += count
            ready += count
            while ready and waiting:
                calls, body = next_message(waiting, ready if takes_more else 1)
                ready -= calls
                await call.write(body)
        await call.done_writing()


def _answers_in(message: bytes) -> tuple[int, bool]:
    """How many checkouts a message answers; whether the server takes several calls in one."""
    parts = split(message, IN_FLIGHT)
    assert parts is not None, "a server sends messages"
    answers = [content for number, content in parts if number == _MORE]
    if parts[0][0] == pb.SessionResponse.CORRELATION_ID_FIELD_NUMBER:
        answers.append(message)
    found = [one for one in answers if isinstance(one, bytes) and one[0] == _ID_TAG]
    for one in found:
        if not is_checkout(one):
            raise RefusedError(pb.SessionResponse.FromString(one).status.message)
    says_so = (_TAKES_MORE, 1) in parts or len(found) < len(answers)
    return len(found), says_so


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


_KINDS: dict[str, tuple[Bodies, Send]] = {
    "stream": (stream_bodies, partial(_run_streams, _run_singly)),
    "together": (stream_bodies, partial(_run_streams, _run_together)),
    "unary": (unary_bodies, run_unary),
}


async def main(targets: str, kind: str, count: int, accounts: int, run: str, seed: int) -> None:
    """Build, wait for the word on standard input, send, report."""
    make, send = _KINDS[kind]
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
