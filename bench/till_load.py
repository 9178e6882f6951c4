"""A thousand tills in a process of their own; prints one JSON line.

`python -m bench.till_load TARGETS TILLS WARM_UP_S SECONDS ACCOUNTS RUN` sells one receipt a till
and second: a Quote, and PAYING_S later the Checkout with its token. Open loop: what is due leaves
when its time has come, whatever became of what was sent before, and its latency counts from that
time. What the first WARM_UP_S seconds send is not counted. Begins at the word `go` on standard
input.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc
import uvloop
from hdrh.histogram import HdrHistogram

from bench.load import CHANNEL_OPTIONS
from bench.receipts import SERVICE, checkout_requests
from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb

TIMEOUT_MS = 2_250
"""What a till waits at most: the service level of DESIGN section 1."""
PAYING_S = 0.5
"""From the instant of a Quote to that of its Checkout."""
SEED = 1
"""Of the draw of receipts."""
LATENCY_MS_MAX = 60_000
COMPLETE = answer_pb2.SET_COMPLETENESS_COMPLETE


class Receipt(NamedTuple):
    """One to sell, when its quote is due on the loop's clock, and what waits for its stream."""

    checkout: pb.CheckoutRequest
    quote_due_s: float
    counts: bool
    stream: "asyncio.Queue[bytes | None]"


class Sent(NamedTuple):
    """A call that is under way."""

    receipt: Receipt
    is_quote: bool
    due_s: float


class Tills:
    """All tills, on one stream to each server."""

    def __init__(self, warm_up_s: int) -> None:
        """Nothing is sold yet.

        Args:
            warm_up_s: what is due in the first seconds is not counted.
        """
        self._warm_up_s = warm_up_s
        self._sent: dict[int, Sent] = {}
        self._last_id = 0
        self.latencies_us = {
            name: HdrHistogram(1, LATENCY_MS_MAX * 1_000, 3) for name in ("quote", "checkout")
        }
        self.offered = self.complete = self.refused = self.late = 0

    async def run(
        self, targets: Sequence[str], requests: Sequence[pb.CheckoutRequest], rate: float
    ) -> None:
        """Sell all of it.

        Args:
            targets: the servers; tills are dealt out evenly over them.
            requests: one after the other.
            rate: receipts a second.
        """
        streams: list[asyncio.Queue[bytes | None]] = [asyncio.Queue() for _ in targets]
        async with asyncio.TaskGroup() as group:
            for target, stream in zip(targets, streams, strict=True):
                group.create_task(self._serve(target, stream))
            await self._quote_all(requests, rate, streams)
            await asyncio.sleep(PAYING_S + TIMEOUT_MS / 1_000)
            for stream in streams:
                stream.put_nowait(None)

    async def _serve(self, target: str, stream: "asyncio.Queue[bytes | None]") -> None:
        """Write what waits for a stream, and read its answers, until it is ended."""
        async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
            call: Any = channel.stream_stream(f"/{SERVICE}/Session")()
            reader = asyncio.create_task(self._read(call))
            while (body := await stream.get()) is not None:
                await call.write(body)
            await call.done_writing()
            await reader

    async def _quote_all(
        self,
        requests: Sequence[pb.CheckoutRequest],
        rate: float,
        streams: "Sequence[asyncio.Queue[bytes | None]]",
    ) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for n, request in enumerate(requests):
            due_s = start_s + n / rate
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            counts = due_s >= start_s + self._warm_up_s
            receipt = Receipt(request, due_s, counts, streams[n % len(streams)])
            quote = pb.QuoteRequest(basket_id=request.basket_id, sale=request.sale)
            self._send(Sent(receipt, is_quote=True, due_s=due_s), pb.SessionRequest(quote=quote))
            self.offered += 2 * counts

    def _send(self, sent: Sent, message: pb.SessionRequest) -> None:
        self._last_id += 1
        self._sent[self._last_id] = sent
        message.correlation_id, message.timeout_ms = self._last_id, TIMEOUT_MS
        sent.receipt.stream.put_nowait(message.SerializeToString())

    async def _read(self, call: Any) -> None:
        loop = asyncio.get_running_loop()
        while isinstance(body := await call.read(), bytes):
            message = pb.SessionResponse.FromString(body)
            sent = self._sent.pop(message.correlation_id)
            self._note(sent, message, loop.time() - sent.due_s)
            if sent.is_quote and message.WhichOneof("answer") == "quote":
                self._pay(sent.receipt, message.quote.token)

    def _note(self, sent: Sent, message: pb.SessionResponse, latency_s: float) -> None:
        """Count what came of a call."""
        if not sent.receipt.counts:
            return
        name = "quote" if sent.is_quote else "checkout"
        if message.WhichOneof("answer") != name:
            self.refused += 1
            return
        self.latencies_us[name].record_value(max(1, round(1_000_000 * latency_s)))
        self.late += latency_s * 1_000 > TIMEOUT_MS
        sets: answer_pb2.Answer = getattr(message, name).answer
        four = (sets.lines, sets.rewards, sets.prompts, sets.cross_sell)
        self.complete += all(one.status.completeness == COMPLETE for one in four)

    def _pay(self, receipt: Receipt, token: bytes) -> None:
        """Check out as soon as it is due, or now if the quote came later than that."""
        due_s = receipt.quote_due_s + PAYING_S
        receipt.checkout.token = token
        sent = Sent(receipt, is_quote=False, due_s=due_s)
        message = pb.SessionRequest(checkout=receipt.checkout)
        asyncio.get_running_loop().call_at(due_s, self._send, sent, message)

    def report(self) -> dict[str, object]:
        """What was measured, milliseconds."""
        both = HdrHistogram(1, LATENCY_MS_MAX * 1_000, 3)
        figures: dict[str, object] = {}
        for name, found in self.latencies_us.items():
            both.add(found)
            figures |= _percentiles(name, found)
        answered = both.get_total_count() - self.late
        return {
            **figures,
            **_percentiles("all", both),
            "offered": self.offered,
            "answered_share": round(answered / self.offered, 5),
            "complete_share": round(self.complete / self.offered, 5),
            "refused": self.refused,
            "late": self.late,
            "unanswered": self.offered - both.get_total_count() - self.refused,
        }


def _percentiles(name: str, found: HdrHistogram) -> dict[str, float]:
    at = found.get_value_at_percentile
    return {
        f"{name}_p50_ms": at(50.0) / 1_000,
        f"{name}_p99_ms": at(99.0) / 1_000,
        f"{name}_p999_ms": at(99.9) / 1_000,
        f"{name}_max_ms": found.get_max_value() / 1_000,
    }


async def main(
    targets: str, tills: int, warm_up_s: int, seconds: int, accounts: int, run: str
) -> None:
    """Build, wait for the word, sell, report."""
    requests = list(checkout_requests(tills * (warm_up_s + seconds), accounts, run, SEED))
    for request in requests:
        request.basket_id = uuid.uuid4().bytes
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    sold = Tills(warm_up_s)
    await sold.run(targets.split(","), requests, tills)
    print(json.dumps(sold.report()), flush=True)


if __name__ == "__main__":
    targets, tills, warm_up_s, seconds, accounts, run = sys.argv[1:]
    work = main(targets, int(tills), int(warm_up_s), int(seconds), int(accounts), run)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
