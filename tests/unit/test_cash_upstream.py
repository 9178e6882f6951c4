"""How a call finds its way over several streams, in virtual time."""

import asyncio
import random
from zlib import crc32

import grpc
import pytest
from google.protobuf.message import Message

from loyalty.v1.till_service_pb2 import IdentifyRequest, IdentifyResponse
from pos_sim.cash_server.link_health import LinkHealth, RushRule
from pos_sim.cash_server.upstream import HEDGE_SHARE, Upstream
from pos_sim.refusal import LinkLostError, Refusal, RefusedError
from tests.unit.virtual_time import run_virtually

BUDGET_S = 2.0
REQUEST = IdentifyRequest(chain_id="c")


class Stream:
    """A link that answers, or fails, after some seconds; it counts what it is asked."""

    def __init__(self, after_s: float, failure: Exception | None = None) -> None:
        self.after_s = after_s
        self.failure = failure
        self.asked = 0
        self.under_way = 0

    async def ask(self, call: str, message: Message, timeout_ms: int) -> Message:
        self.asked += 1
        self.under_way += 1
        try:
            async with asyncio.timeout(timeout_ms / 1_000):
                await asyncio.sleep(self.after_s)
        except TimeoutError:
            raise LinkLostError("no answer") from None
        finally:
            self.under_way -= 1
        if self.failure is not None:
            raise self.failure
        return IdentifyResponse(display_name=str(id(self)))

    async def close(self) -> None:
        """Nothing is open."""


def refusal(code: grpc.StatusCode, reason: str) -> RefusedError:
    return RefusedError(Refusal(code, reason, "why"))


FINAL = refusal(grpc.StatusCode.INVALID_ARGUMENT, "BAD_TEXT")
DRAINING = refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING")
LOST = LinkLostError("reset")


def upstream(*streams: Stream) -> tuple[Upstream, LinkHealth]:
    """Calls over these streams."""
    health = LinkHealth(RushRule(failures_max=1), random.Random(1))
    waiting = iter(streams)
    made = Upstream(["server"], len(streams), health, lambda target: next(waiting))
    return made, health


def asked(
    *streams: Stream, budget_s: float = BUDGET_S
) -> tuple[Message | Exception, float, LinkHealth]:
    """Ask once; how that ended, after how many seconds."""

    async def main() -> tuple[Message | Exception, float, LinkHealth]:
        made, health = upstream(*streams)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        ended: Message | Exception
        try:
            ended = await made.ask(till_of(len(streams)), "identify", REQUEST, budget_s)
        except (LinkLostError, RefusedError) as error:
            ended = error
        assert [one.under_way for one in streams] == [0] * len(streams)
        return ended, loop.time() - began_s, health

    return run_virtually(main)


def till_of(count: int) -> str:
    """A till whose calls go over the first of so many streams."""
    return next(f"c/s/t{n}" for n in range(1_000) if crc32(f"c/s/t{n}".encode()) % count == 0)


def test_a_stream_that_answers_is_asked_alone() -> None:
    first, second = Stream(0.3), Stream(0.0)
    ended, took_s, health = asked(first, second)
    assert isinstance(ended, IdentifyResponse)
    assert (round(took_s, 3), first.asked, second.asked) == (0.3, 1, 0)
    assert health.failures == 0


def test_a_silent_stream_is_overtaken_by_another() -> None:
    silent, second = Stream(60.0), Stream(0.1)
    ended, took_s, health = asked(silent, second)
    assert isinstance(ended, IdentifyResponse)
    assert round(took_s, 3) == round(HEDGE_SHARE * BUDGET_S + 0.1, 3)
    assert not health.is_rush


def test_a_slow_answer_counts_although_another_stream_was_asked() -> None:
    slow, silent = Stream(1.5), Stream(60.0)
    ended, took_s, _ = asked(slow, silent)
    assert isinstance(ended, IdentifyResponse)
    assert round(took_s, 3) == 1.5


@pytest.mark.parametrize("failure", [LOST, DRAINING])
def test_what_fails_early_is_asked_elsewhere_at_once(failure: Exception) -> None:
    bad, good = Stream(0.01, failure), Stream(0.01)
    ended, took_s, health = asked(bad, good)
    assert isinstance(ended, IdentifyResponse)
    assert round(took_s, 3) == 0.02
    assert health.failures == 0


def test_a_refusal_is_final_and_no_failure_of_the_link() -> None:
    refusing, other = Stream(0.1, FINAL), Stream(0.0)
    ended, took_s, health = asked(refusing, other)
    assert ended is FINAL
    assert (round(took_s, 3), other.asked, health.failures) == (0.1, 0, 0)


def test_with_all_streams_silent_the_call_ends_in_time() -> None:
    ended, took_s, health = asked(Stream(60.0), Stream(60.0))
    assert isinstance(ended, LinkLostError)
    assert round(took_s, 3) == BUDGET_S
    assert health.is_rush


def test_a_till_that_leaves_no_time_says_nothing_of_the_link() -> None:
    stream = Stream(0.0)
    ended, took_s, health = asked(stream, budget_s=0.0)
    assert isinstance(ended, LinkLostError)
    assert (took_s, stream.asked) == (0.0, 0)
    assert not health.is_rush


def test_with_all_streams_broken_nobody_waits_for_the_end() -> None:
    ended, took_s, health = asked(Stream(0.0, LOST), Stream(0.0, LOST))
    assert isinstance(ended, LinkLostError)
    assert took_s < 0.5
    assert health.is_rush
