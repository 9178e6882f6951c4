"""The way to the billing server: several streams, and what is known of the link's health."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from zlib import crc32

import grpc
from google.protobuf.message import Message

from loyalty.v1.back_office_service_pb2 import GetRulesetRequest
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from pos_sim.cash_server.clock import Clock
from pos_sim.cash_server.clock_offset import Sample, ServerOffset
from pos_sim.cash_server.link_health import LinkHealth
from pos_sim.link import Link, open_channel
from pos_sim.refusal import LinkLostError, RefusedError
from pos_sim.session_link import SessionLink

HEDGE_SHARE = 0.45
"""Of a call's time: after it the call is sent once more, on another stream."""
ROUNDS = 2
PAUSE_S = 0.05
ATTEMPT_MS_MIN = 20
PULSE_EVERY_S = 10.0
PULSE_TIMEOUT_S = 2.0

LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)

OpenLink = Callable[[str], Link]


def open_session(target: str) -> SessionLink:
    """Open a stream that waits no longer for an answer than it is told."""
    return SessionLink(target, grace_s=0.0)


class Upstream:
    """Calls of all tills to the billing server."""

    def __init__(
        self,
        targets: Sequence[str],
        streams: int,
        health: LinkHealth,
        open_link: OpenLink = open_session,
    ) -> None:
        """Get ready; streams connect with their first call.

        Args:
            targets: Servers as host:port, one or more.
            streams: For calls of tills, to each server.
            health: Is told how calls end.
            open_link: Opens a stream for calls of tills.
        """
        self._health = health
        self._live = [open_link(target) for _ in range(streams) for target in targets]
        self._spool = [open_session(target) for target in targets]
        self._turn = 0

    async def ask(self, till: str, call: str, message: Message, budget_s: float) -> Message:
        """Make a call of a till, as often as the time allows; it is repeatable by its keys.

        A till stays on one stream, where the server finds what it keeps for the basket; another
        stream is tried when that one fails, or lets a call wait long.

        Args:
            till: Whose call it is.
            call: A field of SessionRequest.
            message: Its request.
            budget_s: How long an answer is of use, seconds.

        Raises:
            RefusedError: The server understood and refused.
            LinkLostError: No answer came in time.
        """
        if round(1_000 * budget_s) < ATTEMPT_MS_MIN:
            # Nothing is sent: a till that never leaves time must not cut off all the others.
            raise LinkLostError("no time was left")
        first = crc32(till.encode())
        links = [self._live[(first + n) % len(self._live)] for n in range(len(self._live))]
        try:
            answer = await _ask_any(links, call, message, budget_s)
        except LinkLostError:
            self._health.failed(asyncio.get_running_loop().time())
            raise
        except RefusedError:
            self._health.answered()
            raise
        self._health.answered()
        return answer

    async def ask_for_spool(self, call: str, request: bytes, timeout_s: float) -> Message:
        """Make a call of the spool, on a stream where it keeps no till waiting.

        Args:
            call: A field of SessionRequest.
            request: Its request, spelled.
            timeout_s: How long an answer is waited for.

        Raises:
            RefusedError, LinkLostError: See Link.
        """
        self._turn += 1
        link = self._spool[self._turn % len(self._spool)]
        loop = asyncio.get_running_loop()
        try:
            answer = await link.ask_spelled(call, request, round(1_000 * timeout_s))
        except LinkLostError:
            self._health.failed(loop.time())
            raise
        except RefusedError:
            self._health.answered()
            raise
        self._health.answered()
        return answer

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.gather(*(link.close() for link in (*self._live, *self._spool)))


async def _ask_any(links: Sequence[Link], call: str, message: Message, budget_s: float) -> Message:
    """Ask on the first stream; if that lets the call wait long, on the others at the same time."""
    until_s = asyncio.get_running_loop().time() + budget_s
    racers = [asyncio.create_task(_insist(links, call, message, until_s))]
    try:
        await asyncio.wait(racers, timeout=HEDGE_SHARE * budget_s)
        if not racers[0].done() and len(links) > 1:
            others = [*links[1:], links[0]]
            racers.append(asyncio.create_task(_insist(others, call, message, until_s)))
        lost = LinkLostError("no answer in time")
        for racer in asyncio.as_completed(racers):
            try:
                return await racer
            except LinkLostError as error:
                lost = error
        raise lost
    finally:
        for task in racers:
            task.cancel()
        await asyncio.gather(*racers, return_exceptions=True)


async def _insist(links: Sequence[Link], call: str, message: Message, until_s: float) -> Message:
    """Ask on one stream after the other while there is sense in it."""
    loop = asyncio.get_running_loop()
    last: Exception = LinkLostError("no time was left")
    for number in range(ROUNDS * len(links)):
        if number >= len(links):
            await asyncio.sleep(PAUSE_S)
        left_ms = round(1_000 * (until_s - loop.time()))
        if left_ms < ATTEMPT_MS_MIN:
            break
        try:
            return await links[number % len(links)].ask(call, message, left_ms)
        except LinkLostError as lost:
            last = lost
        except RefusedError as refused:
            if not refused.refusal.is_passing:
                raise
            last = refused
    raise LinkLostError(str(last)) from last


class Pulse:
    """Looks every now and then whether the server is there, and what its clock shows."""

    def __init__(
        self,
        targets: Sequence[str],
        health: LinkHealth,
        offset: ServerOffset,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        """Get ready.

        Args:
            targets: Servers as host:port, asked in turn.
            health: Is told, and says when to look again.
            offset: Is told what the server's clock shows.
            clock: Ours.
            rng: Spreads the looks.
        """
        self._targets = targets
        self._health = health
        self._offset = offset
        self._clock = clock
        self._rng = rng
        self._turn = 0
        self.last_error = ""

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self.look()
            if not self._health.is_rush:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PULSE_EVERY_S * self._rng.uniform(0.8, 1.2)):
                        await self._health.rush_began.wait()
            await asyncio.sleep(self._health.pause_left_s(loop.time()))

    async def look(self) -> None:
        """Ask one server for its clock."""
        self._turn += 1
        target = self._targets[self._turn % len(self._targets)]
        try:
            sample = await self._read_clock(target)
        except grpc.aio.AioRpcError as error:
            self.last_error = f"{target}: {error.code().name}: {error.details()}"
            if error.code() in LOST:
                self._health.failed(asyncio.get_running_loop().time())
            else:
                self._health.answered()  # it has no clock to show, but it is there
            return
        self._offset.add(sample)
        self._health.answered()

    async def _read_clock(self, target: str) -> Sample:
        async with open_channel(target) as channel:
            with suppress(TimeoutError):
                # Connecting is no part of the way there and back.
                await asyncio.wait_for(channel.channel_ready(), PULSE_TIMEOUT_S)
            loop = asyncio.get_running_loop()
            sent_s = loop.time()
            stub = BackOfficeServiceStub(channel)
            found = await stub.GetRuleset(GetRulesetRequest(), timeout=PULSE_TIMEOUT_S)
            received_us, took_s = self._clock(), loop.time() - sent_s
            # Our clock may have been set in between.
            return Sample(received_us - round(1e6 * took_s), found.now_us, received_us)
