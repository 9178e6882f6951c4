"""BreakOff: "I gave up on this key". It ends one way for everybody."""

from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import Commit, CommitKey, KeyKind, LinkEntry, LinkEvent
from rewards.sale import derived_key_id, key_id_of
from server.codec import check
from server.codec.message import spliced
from server.codec.sale_pb import receipt_key_from_pb
from server.lookups import Seen, Wanted
from server.store.facts import KnownKey
from server.till.context import Context
from server.till.durable import Decided, run_durable
from server.till.stored import stored_checkout

_NO_FINGERPRINT = b""
_CHECKOUT_FIELD = pb.BreakOffResponse.CHECKOUT_FIELD_NUMBER
_REFUND_FIELD = pb.BreakOffResponse.REFUND_FIELD_NUMBER


async def break_off(context: Context, request: pb.BreakOffRequest, deadline_s: float) -> bytes:
    """Close the key to live checkouts, or give back what was committed.

    Raises:
        Refusal: a bad request, or no time.
    """
    if not request.HasField("receipt_key"):
        check.refuse_required("receipt_key")
    key_id = key_id_of(receipt_key_from_pb(request.receipt_key))
    return await run_durable(context, BreakOffOperation(context, key_id), deadline_s)


class BreakOffOperation:
    """A BreakOff as a durable operation."""

    def __init__(self, context: Context, key_id: bytes) -> None:
        """Say what to look up: the receipt's key and that of its void.

        Args:
            context: ports.
            key_id: the receipt's, 16 bytes.
        """
        self._context = context
        self._key_id = key_id
        self._void_key_id = void_key_id_of(key_id)
        self.wanted = Wanted((key_id, self._void_key_id), ())

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """The key has ended already: say how."""
        if known.kind in (KeyKind.FENCE, KeyKind.FORWARD):
            return _response(pb.RECEIPT_STATE_BROKEN_OFF)
        if known.kind == KeyKind.REFUND:
            stored = await stored_checkout(self._context, self._key_id, known, deadline_s)
            return _response(pb.RECEIPT_STATE_COMMITTED) + spliced(_REFUND_FIELD, stored.answer)
        voided = self._void_key_id in seen.keys
        state = pb.RECEIPT_STATE_VOIDED if voided else pb.RECEIPT_STATE_COMMITTED
        stored = await stored_checkout(self._context, self._key_id, known, deadline_s)
        return _response(state) + spliced(_CHECKOUT_FIELD, stored.answer)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Close the key."""
        now_us = self._context.clock()
        key = CommitKey(self._key_id, KeyKind.FENCE, _NO_FINGERPRINT)
        commit = Commit(
            keys=(key,),
            effective_at_us=now_us,
            recorded_at_us=now_us,
            link_events=(LinkEntry(LinkEvent.BROKEN_OFF),),
        )
        return Decided(commit, _response(pb.RECEIPT_STATE_BROKEN_OFF))


def void_key_id_of(key_id: bytes) -> bytes:
    """The key under which a receipt is voided, 16 bytes."""
    return derived_key_id(b"void", key_id)


def _response(state: pb.ReceiptState.ValueType) -> bytes:
    response = pb.BreakOffResponse(result=pb.DURABLE_RESULT_COMMITTED, state=state)
    return response.SerializeToString()
