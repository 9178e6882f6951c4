"""Empties the spool when the link is back: in order by till, at a bounded rate, patiently."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from google.protobuf.message import Message
from msgspec import Struct

from loyalty.v1.receipt_pb2 import Outcome, OutcomeKind, ReceiptKey
from loyalty.v1.till_service_pb2 import (
    BreakOffRequest,
    BreakOffResponse,
    CheckoutRequest,
    ForwardRequest,
    ForwardResponse,
    ForwardState,
)
from pos_sim import splice
from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.backlog import Backlog, Item
from pos_sim.cash_server.clock import Clock
from pos_sim.cash_server.entry import UNSETTLED, Entry, Kind, State
from pos_sim.cash_server.link_health import LinkHealth
from pos_sim.cash_server.pace import Pace, Width, backoff_s
from pos_sim.cash_server.spool import Spool, SpoolError
from pos_sim.cash_server.upstream import Upstream
from pos_sim.refusal import LinkLostError, Refusal, RefusedError

LATER = frozenset({"NOT_OFFERED", "UNKNOWN_STORE", "NO_RULESET"})
"""Refusals that the back office, or another version of the server, mends."""
FAULTS_MAX = 5
IDLE_S = 1.0

_log = structlog.get_logger(__name__)


class ForwardRule(Struct, frozen=True):
    """How the spool is emptied.

    Attributes:
        rate: Entries a second at most; 0 is no limit.
        at_once: Tills whose entries are under way at the same time, at most.
        aim_s: As many of them as are answered within this time at the mean, seconds.
        timeout_s: How long one answer is waited for.
        wait_first_s: Wait of a till after a failure; each one after it twice as long.
        wait_max_s: The longest wait.
    """

    rate: float = 200.0
    at_once: int = 512
    aim_s: float = 0.15
    timeout_s: float = 10.0
    wait_first_s: float = 0.5
    wait_max_s: float = 60.0


class Forwarding:
    """Sends on what waits, as long as it runs."""

    def __init__(
        self,
        spool: Spool,
        backlog: Backlog,
        upstream: Upstream,
        health: LinkHealth,
        clock: Clock,
        offset_us: Callable[[], int],
        rule: ForwardRule,
        rng: random.Random,
        changed: asyncio.Event,
    ) -> None:
        """Get ready.

        Args:
            spool: What is kept.
            backlog: What of it waits.
            upstream: Where it goes.
            health: In rush mode nothing is sent but the pulse.
            clock: Instants.
            offset_us: Clock of the server minus ours, microseconds.
            rule: How fast and how patiently.
            rng: Spreads the waits.
            changed: Set by others when something may have become ready.
        """
        self._spool = spool
        self._backlog = backlog
        self._upstream = upstream
        self._health = health
        self._clock = clock
        self._offset_us = offset_us
        self._rule = rule
        self._rng = rng
        self._changed = changed
        self._pace = Pace(rule.rate)
        self._width = Width(rule.at_once, rule.aim_s)
        self._under_way = 0
        self._failures: Counter[int] = Counter()
        self._faults: Counter[int] = Counter()
        self.last_error = ""

    async def run(self) -> None:
        """Forward until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                item = await self._next()
                self._under_way += 1
                group.create_task(self._carry(item))

    async def _carry(self, item: Item) -> None:
        not_before_s = 0.0
        try:
            not_before_s = await self._deliver(item)
        except Exception as error:  # one that fails in whatever way must not take others with it
            _log.exception("not_forwarded", entry_id=item.entry_id, till=item.till)
            not_before_s = self._failed(item, f"a fault of ours: {error!r}", 0.0)
        finally:
            self._under_way -= 1
            self._backlog.give_back(item, not_before_s)
            self._changed.set()

    async def _next(self) -> Item:
        """Wait for what may go: nothing may in rush mode."""
        loop = asyncio.get_running_loop()
        while True:
            now_s = loop.time()
            may_go = self._under_way < self._width.at_once and not self._health.is_rush
            item = self._backlog.take(now_s) if may_go else None
            if item is not None:
                await asyncio.sleep(self._pace.take(now_s))
                return item
            at_s = self._backlog.next_at_s(now_s)
            wait_s = min(IDLE_S, at_s - now_s) if at_s is not None else IDLE_S
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.001, wait_s)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _deliver(self, item: Item) -> float:
        """Send one entry.

        Returns:
            Before when nothing of its till should be sent, seconds of the loop's clock.
        """
        try:
            entry, offset_us = await self._read(item)
        except SpoolError as error:
            return self._put_off(item, f"the spool cannot be read: {error}", 0.0)
        if entry is None or entry.state not in UNSETTLED:
            self._done(item)
            return 0.0
        if entry.state == State.LIVE and entry.has_outcome and not entry.is_fact:
            return self._put_off(item, "it is being tried again", 0.0)
        call, request = _write(entry, offset_us)
        loop = asyncio.get_running_loop()
        sent_at_s = loop.time()
        try:
            answer = await self._upstream.ask_for_spool(call, request, self._rule.timeout_s)
        except LinkLostError as lost:
            self._width.lost()
            return self._put_off(item, str(lost), 0.0)
        except RefusedError as error:
            return self._refused(item, error.refusal)
        self._width.answered(loop.time() - sent_at_s, self._under_way)
        state, note = _read(answer)
        self._settle(item, state, note)
        return 0.0

    async def _read(self, item: Item) -> tuple[Entry | None, int]:
        """An entry, and the clock of the server minus ours, by which its instants are reckoned."""
        while True:
            offset_us = self._offset_us()
            entry = await self._spool.do(lambda rows: spool_rows.take_out(rows, item.entry_id))
            if self._offset_us() == offset_us:  # else our clock may have been set in between
                return entry, offset_us

    def _refused(self, item: Item, refusal: Refusal) -> float:
        """Try again later what may succeed then; set aside what cannot: it blocks nobody."""
        if refusal.is_passing:
            self._width.lost()
        if refusal.is_passing or refusal.reason in LATER:
            return self._put_off(item, str(refusal), refusal.retry_after_s)
        if refusal.is_fault:
            return self._failed(item, str(refusal), refusal.retry_after_s)
        return self._set_aside(item, str(refusal))

    def _failed(self, item: Item, why: str, at_least_s: float) -> float:
        """Somebody is at fault: try again a few times, however often the link has failed before."""
        self._faults[item.entry_id] += 1
        if self._faults[item.entry_id] < FAULTS_MAX:
            return self._put_off(item, why, at_least_s)
        return self._set_aside(item, why)

    def _set_aside(self, item: Item, why: str) -> float:
        _log.warning("set_aside", entry_id=item.entry_id, till=item.till, why=why)
        self.last_error = why
        self._settle(item, State.SET_ASIDE, why)
        return 0.0

    def _put_off(self, item: Item, why: str, at_least_s: float) -> float:
        self.last_error = why
        self._failures[item.entry_id] += 1
        rule, failures = self._rule, self._failures[item.entry_id]
        wait_s = backoff_s(failures, rule.wait_first_s, rule.wait_max_s, self._rng)
        self._spool.do_later(lambda rows: spool_rows.note_failure(rows, item.entry_id, why))
        return asyncio.get_running_loop().time() + max(wait_s, at_least_s)

    def _settle(self, item: Item, state: State, note: str) -> None:
        now_us = self._clock()
        self._spool.do_later(partial(_settle, item.entry_id, state, note, now_us))
        self._done(item)

    def _done(self, item: Item) -> None:
        self._backlog.drop(item.entry_id)
        self._failures.pop(item.entry_id, None)
        self._faults.pop(item.entry_id, None)


def _write(entry: Entry, offset_us: int) -> tuple[str, bytes]:
    """The call that settles an entry; the clock of the server is by so much before ours."""
    if not entry.is_fact and not entry.has_outcome:
        asked = BreakOffRequest(receipt_key=ReceiptKey.FromString(entry.key))
        return Kind.BREAK_OFF.value, asked.SerializeToString()
    return Kind.FORWARD.value, write_forward(entry, offset_us + entry.till_offset_us)


def write_forward(entry: Entry, clock_offset_us: int) -> bytes:
    """Spell the ForwardRequest of an entry: what the till said, and nothing of our own.

    Args:
        entry: A fact, or a request that said its outcome beforehand.
        clock_offset_us: Clock of the server minus that of the till, microseconds.
    """
    if entry.kind == Kind.FORWARD:
        made = ForwardRequest.FromString(entry.body)
        made.clock_offset_us = clock_offset_us
        return made.SerializeToString()
    instant = ForwardRequest(sold_at_us=entry.sold_at_us, clock_offset_us=clock_offset_us)
    parts = [splice.field(_RECEIPT_KEY, entry.key), instant.SerializeToString()]
    if entry.kind == Kind.CHECKOUT:
        parts.append(_spell_sale(entry.body))
    else:
        number = _ADVICE[entry.kind]
        parts += [splice.field(number, entry.body), splice.field(_OUTCOME, _AS_SAID)]
    return b"".join(parts)


_RECEIPT_KEY = ForwardRequest.RECEIPT_KEY_FIELD_NUMBER
_OUTCOME = ForwardRequest.OUTCOME_FIELD_NUMBER
_ADVICE = {
    Kind.REFUND: ForwardRequest.REFUND_FIELD_NUMBER,
    Kind.VOID: ForwardRequest.VOID_RECEIPT_FIELD_NUMBER,
}
_OF_SALE = {
    CheckoutRequest.SALE_FIELD_NUMBER: ForwardRequest.SALE_FIELD_NUMBER,
    CheckoutRequest.OUTCOME_FIELD_NUMBER: _OUTCOME,
    CheckoutRequest.BASKET_ID_FIELD_NUMBER: ForwardRequest.BASKET_ID_FIELD_NUMBER,
    CheckoutRequest.TOKEN_FIELD_NUMBER: ForwardRequest.TOKEN_FIELD_NUMBER,
    CheckoutRequest.CHOICES_FIELD_NUMBER: ForwardRequest.CHOICES_FIELD_NUMBER,
}
"""What of a Checkout is forwarded, and as which field."""
_QUOTED, _PLAIN = OutcomeKind.OUTCOME_KIND_AS_ANSWERED, OutcomeKind.OUTCOME_KIND_PLAIN
_AS_SAID = Outcome(kind=_QUOTED, number=1).SerializeToString()
"""A refund or void has no outcome of its own: it was done as its request says."""
_UNSAID = {
    True: splice.field(_OUTCOME, _AS_SAID),
    False: splice.field(_OUTCOME, Outcome(kind=_PLAIN, number=1).SerializeToString()),
}
"""By whether it has a token, what a till is held to have done that says of a closed receipt nothing
but that it is paid: without an answer it can have sold as quoted, or at the plain price."""


def _spell_sale(body: bytes) -> bytes:
    """What is forwarded of a Checkout, from its bytes as the till sent them."""
    sent = [*splice.fields_of(body)]
    parts = [splice.field(_OF_SALE[n], content) for n, content in sent if n in _OF_SALE]
    numbers = {number for number, _ in sent}
    if CheckoutRequest.OUTCOME_FIELD_NUMBER not in numbers:
        parts.append(_UNSAID[CheckoutRequest.TOKEN_FIELD_NUMBER in numbers])
    return b"".join(parts)


def _read(answer: Message) -> tuple[State, str]:
    """How an entry ended by the server's answer, and a word about it."""
    if isinstance(answer, BreakOffResponse):
        is_sold = answer.HasField("checkout") or answer.HasField("refund")
        return (State.COMMITTED if is_sold else State.FENCED), ""
    assert isinstance(answer, ForwardResponse), "an entry is broken off or forwarded"
    name = ForwardState.Name(answer.state).removeprefix("FORWARD_STATE_")
    return State.FORWARDED, f"{name} {answer.reason}".strip()


def _settle(entry_id: int, state: State, note: str, now_us: int, rows: Any) -> None:
    spool_rows.settle(rows, entry_id, state, note, now_us)
    word = note.partition(" ")[0].lower()
    if state == State.FORWARDED and word:
        spool_rows.count(rows, word)
