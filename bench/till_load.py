"""A thousand tills in a process of their own; prints one JSON line.

`python -m bench.till_load TARGETS TILLS WARM_UP_S SECONDS ACCOUNTS RUN` sells one receipt a till
and second: a Quote, and PAYING_S later the Checkout with its token. Open loop: what is due leaves
when its time has come, whatever became of what was sent before, and its latency counts from that
time. What the first WARM_UP_S seconds send is not counted. Calls travel as those of a cash server
do, by the link of one. Begins at the word `go` on standard input.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import uvloop
from google.protobuf.message import Message
from hdrh.histogram import HdrHistogram

from bench.receipts import checkout_requests
from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from pos_sim.refusal import LinkLostError, RefusedError
from pos_sim.session_link import SessionLink

TIMEOUT_MS = 2_250
"""What a till waits at most: the service level of DESIGN section 1."""
PAYING_S = 0.5
"""From the instant of a Quote to that of its Checkout."""
SEED = 1
"""Of the draw of receipts."""
LATENCY_MS_MAX = 60_000
COMPLETE = answer_pb2.SET_COMPLETENESS_COMPLETE


class Due(NamedTuple):
    """When a call is to leave, by the loop's clock, and whether it counts."""

    at_s: float
    counts: bool


class Tills:
    """All tills, on one stream to each server."""

    def __init__(self) -> None:
        """Nothing is sold yet."""
        self.latencies_us = {
            name: HdrHistogram(1, LATENCY_MS_MAX * 1_000, 3) for name in ("quote", "checkout")
        }
        self.offered = self.complete = self.refused = self.unanswered = self.late = 0

    async def run(
        self,
        targets: Sequence[str],
        requests: Sequence[pb.CheckoutRequest],
        rate: float,
        warm_up_s: float,
    ) -> None:
        """Sell all of it.

        Args:
            targets: the servers; receipts are dealt out evenly over them.
            requests: one after the other.
            rate: receipts a second.
            warm_up_s: what is due in the first seconds is not counted.
        """
        links = [SessionLink(target) for target in targets]
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        async with asyncio.TaskGroup() as group:
            for n, request in enumerate(requests):
                due = Due(start_s + n / rate, counts=n / rate >= warm_up_s)
                await asyncio.sleep(max(0.0, due.at_s - loop.time()))
                self.offered += 2 * due.counts
                group.create_task(self._sell(links[n % len(links)], request, due))
        for link in links:
            await link.close()

    async def _sell(self, link: SessionLink, request: pb.CheckoutRequest, due: Due) -> None:
        """Quote, and check out as soon as that is due, or now if the quote came later than that."""
        asked = pb.QuoteRequest(basket_id=request.basket_id, sale=request.sale)
        quote: Any = await self._answer(link, "quote", asked, due)
        if quote is not None:
            request.token = quote.token
            due = due._replace(at_s=due.at_s + PAYING_S)
            await asyncio.sleep(max(0.0, due.at_s - asyncio.get_running_loop().time()))
            await self._answer(link, "checkout", request, due)

    async def _answer(
        self, link: SessionLink, name: str, request: Message, due: Due
    ) -> Message | None:
        """Make a call and count what came of it; None if that is no answer."""
        answer: Any = None
        try:
            answer = await link.ask(name, request, TIMEOUT_MS)
        except RefusedError:
            self.refused += due.counts
        except LinkLostError:
            self.unanswered += due.counts
        if answer is not None and due.counts:
            latency_s = asyncio.get_running_loop().time() - due.at_s
            self.latencies_us[name].record_value(max(1, round(1_000_000 * latency_s)))
            self.late += latency_s * 1_000 > TIMEOUT_MS
            sets: answer_pb2.Answer = answer.answer
            four = (sets.lines, sets.rewards, sets.prompts, sets.cross_sell)
            self.complete += all(one.status.completeness == COMPLETE for one in four)
        found: Message | None = answer
        return found

    def report(self) -> dict[str, object]:
        """What was measured, milliseconds; of a quote without an answer the checkout is missing."""
        both = HdrHistogram(1, LATENCY_MS_MAX * 1_000, 3)
        figures: dict[str, object] = {}
        for name, found in self.latencies_us.items():
            both.add(found)
            figures |= _percentiles(name, found)
        return {
            **figures,
            **_percentiles("all", both),
            "offered": self.offered,
            "answered_share": round((both.get_total_count() - self.late) / self.offered, 5),
            "complete_share": round(self.complete / self.offered, 5),
            "refused": self.refused,
            "unanswered": self.unanswered,
            "late": self.late,
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
    sold = Tills()
    await sold.run(targets.split(","), requests, tills, warm_up_s)
    print(json.dumps(sold.report()), flush=True)


if __name__ == "__main__":
    targets, tills, warm_up_s, seconds, accounts, run = sys.argv[1:]
    work = main(targets, int(tills), int(warm_up_s), int(seconds), int(accounts), run)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
