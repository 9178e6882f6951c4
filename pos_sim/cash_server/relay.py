"""What becomes of a till's call: answered live in time, or broken off and kept."""

import asyncio
import sqlite3
from collections.abc import Mapping
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import Message
from msgspec import Struct, field

from loyalty.v1.receipt_pb2 import OutcomeKind, ReceiptKey, SaleMode
from loyalty.v1.till_service_pb2 import BreakOffResponse, ReceiptState
from pos_sim.cash_server import answer, spool_rows
from pos_sim.cash_server.answer import CashServerError
from pos_sim.cash_server.backlog import Backlog, item_of
from pos_sim.cash_server.ceiling import Ceilings, Reached, find_reached
from pos_sim.cash_server.clock import Clock
from pos_sim.cash_server.clock_offset import TillOffsets
from pos_sim.cash_server.entry import Entry, Kind, State, Way, digest_of, spell_key
from pos_sim.cash_server.link_health import LinkHealth
from pos_sim.cash_server.spool import Spool, SpoolError
from pos_sim.cash_server.upstream import Upstream
from pos_sim.refusal import LinkLostError, RefusedError

KINDS = {kind.value: kind for kind in Kind}
ONLY_FORWARDED: Mapping[Kind, frozenset[str]] = {
    Kind.CHECKOUT: frozenset({"BROKEN_OFF", "FORWARDED"}),
    Kind.REFUND: frozenset({"BROKEN_OFF", "FORWARDED", "RECEIPT_NOT_FOUND"}),
}
"""Refusals of a fact after which the server still takes it forwarded."""
DISK_SHARE = 0.5
"""Of a call's time: so long the disk is waited for."""
_Admitting = asyncio.Future[spool_rows.Admitted]
ENDED = frozenset({ReceiptState.RECEIPT_STATE_COMMITTED, ReceiptState.RECEIPT_STATE_VOIDED})


class Rules(Struct, frozen=True):
    """How a cash server answers.

    Attributes:
        budget_s: How long the server has for an answer, seconds, from the till's call on.
        reserve_s: What is kept of a till's own deadline for the way back to it.
        statement_wait_s: How long a request that was broken off waits for what the till says.
        texts: What to print after a break-off, by language.
    """

    budget_s: float = 1.9
    reserve_s: float = 0.1
    statement_wait_s: float = 30.0
    ceilings: Ceilings = Ceilings()
    texts: Mapping[str, str] = field(default_factory=lambda: answer.SMS_TEXTS)


class Call(Struct, frozen=True):
    """A call as it came from a till.

    Attributes:
        name: A field of SessionRequest.
        until_s: By when it must be answered, seconds of the loop's clock.
        till_clock_us: What the till said its clock shows, UTC microseconds; 0 if it did not say.
    """

    name: str
    request: Any
    until_s: float
    till_clock_us: int = 0


class _SlowDiskError(SpoolError):
    """The disk takes too long to keep a call.

    Attributes:
        work: Ends when it has it.
    """

    def __init__(self, work: _Admitting) -> None:
        super().__init__("the disk is too slow")
        self.work = work


class Relay:
    """Answers the calls of all tills."""

    def __init__(
        self,
        spool: Spool,
        backlog: Backlog,
        upstream: Upstream,
        health: LinkHealth,
        clock: Clock,
        rules: Rules,
    ) -> None:
        """Get ready.

        Args:
            spool: Where calls are kept before they are sent.
            backlog: Is told what must be forwarded.
            upstream: Where they are sent.
            health: Says whether to try.
            clock: Instants.
            rules: How to answer.
        """
        self._spool = spool
        self._backlog = backlog
        self._upstream = upstream
        self._health = health
        self._clock = clock
        self._rules = rules
        self.tills = TillOffsets()
        self.changed = asyncio.Event()
        """Set when something may have become ready to be forwarded."""

    async def answer(self, call: Call) -> Message:
        """Answer a call.

        Raises:
            RefusedError: The billing server understood and refused.
            CashServerError: Nobody answered in time, or it cannot be taken; how the till goes on.
        """
        kind = KINDS.get(call.name)
        if kind is None or _is_training(kind, call.request):
            return await self._pass_on(call)
        entry = self._read_entry(kind, call)
        try:
            admitted = await self._admit(entry, call)
        except SpoolError as error:
            return await self._without_spool(entry, call, error)
        if admitted.way == Way.TRY:
            assert admitted.entry is not None, "what is tried is kept"
            return await self._try(admitted.entry, call)
        for entry_id in admitted.stated:
            self._backlog.drop(entry_id)
        if admitted.entry is not None:
            self._wait(admitted.entry)
        if entry.is_fact:
            return answer.taken(entry.kind, self._rules.texts, _language_of(call.request))
        is_kept = admitted.entry is not None
        raise self._broken_off(entry, call, is_kept, is_sent=admitted.is_known)

    async def _admit(self, entry: Entry, call: Call) -> spool_rows.Admitted:
        """Keep a call, before it is sent anywhere; a ceiling may refuse it first."""
        is_cut = self._health.is_rush
        is_wanted = entry.has_outcome or entry.kind == Kind.BREAK_OFF
        reached = self._reached(entry) if is_cut else None
        if reached is not None:
            raise answer.over_ceiling(reached, is_sent=False)
        has_queue = self._backlog.has(entry.till)
        work = asyncio.ensure_future(
            self._spool.do(lambda rows: spool_rows.admit(rows, entry, is_cut, has_queue, is_wanted))
        )
        patience_s = DISK_SHARE * self._left_s(call, asyncio.get_running_loop().time())
        done, _ = await asyncio.wait([work], timeout=patience_s)
        if not done:
            raise _SlowDiskError(work)
        return work.result()

    def _kept_late(self, is_answered: bool, work: _Admitting) -> None:
        """The disk had it after all when nobody waited any more.

        Args:
            is_answered: The server has answered it meanwhile; else it is broken off.
            work: Is done.
        """
        if work.cancelled() or work.exception() is not None:
            return
        entry = work.result().entry
        if entry is None:
            return
        if is_answered and entry.state == State.LIVE:
            self._spool.do_later(lambda rows: spool_rows.forget(rows, entry, False))
        else:
            self._spool.do_later(lambda rows: spool_rows.give_up(rows, entry))
            self._wait(entry)

    async def _try(self, entry: Entry, call: Call) -> Message:
        """Send a call that is kept, and wait for the answer while that is of use."""
        self._backlog.started(entry.till, entry.entry_id)
        try:
            response = await self._ask(entry, call)
        except RefusedError as error:
            if _is_only_forwarded(entry, error):
                return self._give_up(entry, call)
            if not await self._forget(entry, call, with_requests=False):
                return self._give_up(entry, call)
            raise
        except LinkLostError:
            return self._give_up(entry, call)
        else:
            if not await self._ended(entry, call, response):
                return self._give_up(entry, call)
            return response
        finally:
            self._backlog.ended(entry.till, entry.entry_id)
            self.changed.set()

    async def _ended(self, entry: Entry, call: Call, response: Message) -> bool:
        """Forget what was answered live; a key that the till has closed is remembered.

        Returns:
            As `_forget`.
        """
        if not isinstance(response, BreakOffResponse) or response.state in ENDED:
            return await self._forget(entry, call, with_requests=True)
        now_us = self._clock()
        self._spool.do_later(
            lambda rows: spool_rows.settle(rows, entry.entry_id, State.FENCED, "", now_us)
        )
        return True

    async def _forget(self, entry: Entry, call: Call, with_requests: bool) -> bool:
        """Forget what was answered live.

        Later is soon enough, unless the entry, left behind by a crash, would be forwarded as sold
        otherwise than the till is told now: then the till is told when it is forgotten.

        Returns:
            Whether the till may be told; not if the entry stays, because the disk is full.
        """

        def work(rows: sqlite3.Connection) -> None:
            spool_rows.forget(rows, entry, with_requests)

        if not _is_forwarded_otherwise(entry, call.request):
            self._spool.do_later(work)
            return True
        forgetting = asyncio.ensure_future(self._spool.do(work))
        patience_s = self._rules.reserve_s + self._left_s(call, asyncio.get_running_loop().time())
        done, _ = await asyncio.wait([forgetting], timeout=patience_s)
        if done:
            return forgetting.exception() is None
        # The disk is slow, and has it next; the till has no time left to wait for that.
        forgetting.add_done_callback(_swallow)
        self._spool.do_later(work)
        return True

    def _give_up(self, entry: Entry, call: Call) -> Message:
        """Break a call off that was sent: the spool has it, and settles it later."""
        self._spool.do_later(lambda rows: spool_rows.give_up(rows, entry))
        self._wait(entry)
        if entry.is_fact:
            return answer.taken(entry.kind, self._rules.texts, _language_of(call.request))
        raise self._broken_off(entry, call, is_kept=True, is_sent=True)

    def _wait(self, entry: Entry) -> None:
        """Have an entry forwarded when the link is back."""
        if entry.state in (State.LIVE, State.DOUBT, State.DUE):
            wait_s = self._rules.statement_wait_s
            until_s = asyncio.get_running_loop().time() + wait_s
            self._backlog.add(item_of(entry, until_s))
            self.changed.set()

    def _broken_off(
        self, entry: Entry, call: Call, is_kept: bool, is_sent: bool
    ) -> CashServerError:
        reached = self._reached(entry)
        if reached is not None:
            return answer.over_ceiling(reached, is_sent)
        language = _language_of(call.request)
        return answer.broken_off(self._rules.texts, language, is_kept, is_sent)

    def _reached(self, entry: Entry) -> Reached | None:
        """Which ceiling a request breaks; facts and requests that sell nothing break none."""
        if entry.is_fact or entry.kind != Kind.CHECKOUT:
            return None
        waiting, now_us = self._backlog.waiting(), self._clock()
        return find_reached(self._rules.ceilings, waiting, entry.amount_minor, now_us)

    async def _without_spool(self, entry: Entry, call: Call, error: SpoolError) -> Message:
        """The disk is full: the sale goes on, but the till is told to keep what is not answered."""
        is_cut = self._health.is_rush
        is_sent = not is_cut and not await self._must_be_kept(entry, call, error)
        is_answered = is_sent
        try:
            if is_sent:
                return await self._ask(entry, call)
        except LinkLostError:
            is_answered = False
        except RefusedError as refused:
            if not _is_only_forwarded(entry, refused):
                raise
            is_answered = False
        finally:
            if isinstance(error, _SlowDiskError):
                error.work.add_done_callback(partial(self._kept_late, is_answered))
        if entry.is_fact:
            raise answer.not_kept(str(error))
        # A request that was not sent for what the spool has of its key was sent before.
        raise self._broken_off(entry, call, is_kept=False, is_sent=not is_cut)

    async def _must_be_kept(self, entry: Entry, call: Call, error: SpoolError) -> bool:
        """Whether a call may not be sent live although it is not kept.

        It can only be forwarded, or not yet, or what the spool holds of its key will contradict the
        answer when it is forwarded. A disk that is only slow is not asked: it has the call next.
        """
        if entry.is_advice or (entry.kind == Kind.VOID and self._backlog.has(entry.till)):
            return True
        if isinstance(error, _SlowDiskError):
            return False
        patience_s = DISK_SHARE * self._left_s(call, asyncio.get_running_loop().time())
        try:
            async with asyncio.timeout(patience_s):
                return await self._spool.do(lambda rows: spool_rows.has_promised(rows, entry.key))
        except SpoolError:
            return False
        except TimeoutError:
            return True

    async def _pass_on(self, call: Call) -> Message:
        """Relay a call that is not kept."""
        request, loop = call.request, asyncio.get_running_loop()
        language = _language_of(request)
        broken_off = answer.broken_off(self._rules.texts, language, False, is_sent=False)
        if self._health.is_rush:
            raise broken_off
        till = _till_of(request)
        try:
            left_s = self._left_s(call, loop.time())
            return await self._upstream.ask(till, call.name, request, left_s)
        except LinkLostError:
            raise answer.broken_off(self._rules.texts, language, False, is_sent=True) from None

    async def _ask(self, entry: Entry, call: Call) -> Message:
        left_s = self._left_s(call, asyncio.get_running_loop().time())
        request = call.request
        if entry.kind == Kind.CHECKOUT and not entry.is_fact and entry.has_outcome:
            request = type(request)()
            request.CopyFrom(call.request)
            request.ClearField("outcome")  # said to us, not to the server
        return await self._upstream.ask(entry.till, call.name, request, left_s)

    def _left_s(self, call: Call, now_s: float) -> float:
        return max(0.0, min(self._rules.budget_s, call.until_s - now_s))

    def _read_entry(self, kind: Kind, call: Call) -> Entry:
        """What to keep of a call.

        Raises:
            CashServerError: It has no receipt key, so that nothing can be kept of it.
        """
        request, now_us = call.request, self._clock()
        key: ReceiptKey = request.receipt_key
        if not (key.chain_id and key.store_id and key.till_id and key.receipt_number):
            invalid = grpc.StatusCode.INVALID_ARGUMENT
            raise answer.refused(invalid, "FIELD_REQUIRED", "receipt_key is required")
        till = _till_of(request)
        opened_us = _opened_us(request)
        if call.till_clock_us:
            self.tills.told(till, call.till_clock_us, now_us)
        elif opened_us:
            self.tills.seen(till, opened_us, now_us)
        offset_us = self.tills.offset_us(till)
        is_forward = kind == Kind.FORWARD
        return Entry(
            till=till,
            key=spell_key(key),
            kind=kind,
            digest=digest_of(kind, request),
            body=request.SerializeToString(),
            is_fact=_is_fact(kind, request),
            has_outcome=kind == Kind.CHECKOUT and request.HasField("outcome"),
            arrived_at_us=now_us,
            sold_at_us=request.sold_at_us if is_forward else now_us - offset_us,
            till_offset_us=offset_us,
            amount_minor=_amount_of(kind, request),
            is_advice=is_forward or _differs(kind, request),
        )


def _is_training(kind: Kind, request: Any) -> bool:
    """Nothing is recorded of a training sale, so that nothing need be kept."""
    is_sale = kind == Kind.CHECKOUT
    return is_sale and bool(request.sale.header.mode == SaleMode.SALE_MODE_TRAINING)


def _is_fact(kind: Kind, request: Any) -> bool:
    if kind in (Kind.CHECKOUT, Kind.REFUND):
        return bool(request.closed)
    return kind != Kind.BREAK_OFF


def _differs(kind: Kind, request: Any) -> bool:
    """Whether a till says that it sold otherwise than any answer: that only Forward can settle."""
    if kind != Kind.CHECKOUT or not request.closed or not request.HasField("outcome"):
        return False
    return bool(request.outcome.kind != OutcomeKind.OUTCOME_KIND_AS_ANSWERED)


def _is_only_forwarded(entry: Entry, error: RefusedError) -> bool:
    """Whether a fact was refused that the server takes forwarded."""
    return entry.is_fact and error.refusal.reason in ONLY_FORWARDED.get(entry.kind, ())


def _is_forwarded_otherwise(entry: Entry, request: Any) -> bool:
    """Whether forwarding an entry would say that it was sold otherwise than it is answered."""
    if entry.kind != Kind.CHECKOUT:
        return False
    if entry.has_outcome:
        return bool(request.outcome.kind != OutcomeKind.OUTCOME_KIND_AS_ANSWERED)
    return entry.is_fact and not request.token


def _swallow(work: "asyncio.Future[None]") -> None:
    """Take note of an end that nobody waits for any more."""
    if not work.cancelled():
        work.exception()


def _amount_of(kind: Kind, request: Any) -> int:
    """What a call sells, minor units; 0 if it sells nothing."""
    if kind in (Kind.CHECKOUT, Kind.FORWARD):
        return max(0, int(request.sale.header.control_totals.amount_minor))
    return 0


def _opened_us(request: Any) -> int:
    has_sale = "sale" in request.DESCRIPTOR.fields_by_name
    return int(request.sale.header.till_time_us) if has_sale else 0


def _language_of(request: Any) -> str:
    has_sale = "sale" in request.DESCRIPTOR.fields_by_name
    return str(request.sale.header.language_code) if has_sale else ""


def _till_of(request: Any) -> str:
    """Chain, store and till of a call, as far as it says."""
    place, fields = request, request.DESCRIPTOR.fields_by_name
    if "receipt_key" in fields:
        place = request.receipt_key
    elif "sale" in fields:
        place = request.sale.header
    names = (getattr(place, name, "") for name in ("chain_id", "store_id", "till_id"))
    return "/".join(names)
