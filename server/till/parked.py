"""Refunds and voids that wait for their sale: settled when it has come, or given up in time."""

from collections.abc import Iterable

from msgspec.structs import replace

from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import StatementEntry
from rewards.outcome import ForwardState
from rewards.refusal import Reason, Refusal
from rewards.sale import key_id_of
from server.codec.message import parsed
from server.codec.sale_pb import receipt_key_from_pb
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.store.forwarded import Parked
from server.till.advice import advice_from_pb
from server.till.break_off import void_key_id_of
from server.till.catching_up import NOT_HEARD_OF, catch_up
from server.till.context import Context
from server.till.durable import Decided, Operation, run_durable
from server.till.forward_back import (
    ForwardedRefund,
    ForwardedVoid,
    RefundAdvice,
    VoidAdvice,
    Waiting,
    unpark_key_of,
)
from server.till.history import read_history, turn_key
from server.till.quarantine import QUARANTINED, entry_of, quarantine_commit
from server.till.stored import stored_checkout


async def settle_parked(context: Context, waiting: Iterable[Parked], deadline_s: float) -> None:
    """Settle what waited for a sale that has come.

    Raises:
        Refusal: no time, or no database: the job that looks for it goes on.
    """
    for one in waiting:
        await settle_one(context, one, deadline_s)


async def settle_one(context: Context, parked: Parked, deadline_s: float) -> None:
    """Settle one refund or void whose sale has come; give up one whose time is over.

    Raises:
        Refusal: no time, or no database; trying again is safe.
    """
    known = KnownKey(0, b"", 0, parked.day)
    stored = await stored_checkout(context, parked.forward_key_id, known, deadline_s)
    request = parsed(pb.ForwardRequest, stored.request)
    own_key_id = unpark_key_of(parked.forward_key_id)
    try:
        waiting = Waiting(parked.forward_key_id, own_key_id)
        await _settle(context, request, waiting, deadline_s)
    except Refusal as problem:
        if problem.reason not in QUARANTINED:
            raise
        if problem.reason is Reason.RECEIPT_NOT_FOUND and context.clock() <= parked.until_us:
            return
        given_up = GivingUp(context, parked, own_key_id, request, problem)
        await run_durable(context, given_up, deadline_s)


async def _settle(
    context: Context, request: pb.ForwardRequest, waiting: Waiting, deadline_s: float
) -> None:
    """Settle it; what is not known here may have been there since the last poll: once again.

    Raises:
        Refusal: as `settle_one`, and what it cannot be settled for.
    """
    try:
        await run_durable(context, operation_of(context, request, waiting), deadline_s)
    except Refusal as problem:
        if problem.reason not in NOT_HEARD_OF:
            raise
        await catch_up(context, deadline_s)
        await run_durable(context, operation_of(context, request, waiting), deadline_s)


def operation_of(context: Context, request: pb.ForwardRequest, waiting: Waiting) -> Operation:
    """What settles something that waited.

    Raises:
        Refusal: it is no refund or void.
    """
    advice = advice_from_pb(context, request, waiting)
    if isinstance(advice, RefundAdvice):
        return ForwardedRefund(context, advice)
    if isinstance(advice, VoidAdvice):
        return ForwardedVoid(context, advice)
    raise Refusal(Reason.INCONSISTENT, "a sale does not wait for another one")


class GivingUp:
    """What waited too long goes into quarantine, as a durable operation."""

    def __init__(
        self,
        context: Context,
        parked: Parked,
        key_id: bytes,
        request: pb.ForwardRequest,
        problem: Refusal,
    ) -> None:
        """Say what to look up: the key under which it would have been settled.

        Args:
            context: ports.
            parked: what waited.
            key_id: that key, 16 bytes.
            request: as it was sent.
            problem: why it cannot be settled.
        """
        self._context = context
        self._parked = parked
        self._key_id = key_id
        self._entry = entry_of(context, request, problem)
        receipt_id = key_id_of(receipt_key_from_pb(request.receipt_key))
        is_void = request.HasField("void_receipt")
        self._stated_of = void_key_id_of(receipt_id) if is_void else receipt_id
        self.wanted = Wanted((key_id,), (), can_wait=True)

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """Somebody was faster."""
        return b""

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Give it up; what was stated of it ends so."""
        commit = quarantine_commit(self._key_id, self._entry, self._context.clock())
        history = await read_history(self._context, self._stated_of, deadline_s)
        ordinal, key_id = len(history), self._parked.forward_key_id
        waited = next(one for one in history if one.forward_key_id == key_id)
        statement = replace(waited.statement, state=ForwardState.QUARANTINED)
        entry = StatementEntry(
            self._stated_of, ordinal, statement, waited.base_key_id, waited.base_day
        )
        commit = replace(
            commit,
            keys=(*commit.keys, turn_key(self._stated_of, ordinal)),
            statements=(entry,),
            unparked=(self._parked.forward_key_id,),
        )
        return Decided(commit, b"")
