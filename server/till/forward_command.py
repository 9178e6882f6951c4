"""A forwarded receipt after its request was read: what was stated of it, and when it was sold."""

from msgspec import Struct

from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.commit import LinkEntry, LinkEvent
from rewards.notice import Told
from rewards.outcome import Advice, ForwardState, Statement, instant_limit, is_same
from rewards.refusal import Reason, Refusal
from rewards.sale import Outcome, OutcomeKind, ReceiptKey, derived_key_id, key_id_of
from server.codec import check
from server.codec.sale_pb import check_choices, outcome_from_pb, receipt_key_from_pb
from server.till.context import Context

_OFFSET_US_MAX = limits.INSTANT_US_MAX
_EVENTS = {
    ForwardState.RECORDED: LinkEvent.RECORDED,
    ForwardState.SUPERSEDED: LinkEvent.SUPERSEDED,
    ForwardState.PARKED: LinkEvent.PARKED,
}


class Forwarded(Struct, frozen=True):
    """What all forwarded receipts have.

    Attributes:
        key_id: of the receipt that was forwarded.
        own_key_id: of this statement: the receipt's key and its number.
        sold_at_us: by the till's clock, UTC microseconds.
        clock_offset_us: server clock minus till clock.
    """

    key: ReceiptKey
    key_id: bytes
    own_key_id: bytes
    outcome: Outcome
    sold_at_us: int
    clock_offset_us: int

    @property
    def at_us(self) -> int:
        """When it was sold, UTC microseconds."""
        return self.sold_at_us + self.clock_offset_us

    def stated(
        self,
        advice: Advice,
        state: ForwardState,
        fingerprint: bytes,
    ) -> Statement:
        """The statement as it is kept."""
        return Statement(
            advice, self.outcome, state, fingerprint, self.sold_at_us, self.clock_offset_us
        )

    def told(self, customer_id: int, now_us: int) -> Told:
        """What a message needs of it; 0 is a customer that nobody knows."""
        return Told(
            self.own_key_id,
            self.key_id,
            self.key.chain_id,
            self.key.store_id,
            customer_id,
            self.at_us,
            now_us,
        )

    def event(self, state: ForwardState, now_us: int) -> LinkEntry:
        """What the report counts, with how late it came."""
        return LinkEntry(_EVENTS[state], max(0, now_us - self.at_us))


def forwarded_from_pb(request: pb.ForwardRequest, advice: Advice) -> Forwarded:
    """Read what all forwarded receipts have.

    Args:
        request: as it was sent.
        advice: of what kind it is.

    Raises:
        Refusal: names the field.
    """
    if not request.HasField("receipt_key"):
        check.refuse_required("receipt_key")
    key = receipt_key_from_pb(request.receipt_key)
    if not request.HasField("outcome"):
        check.refuse_required("outcome")
    outcome = outcome_from_pb(request.outcome)
    sold_at_us = check.number_of(request.sold_at_us, "sold_at_us", 1, limits.INSTANT_US_MAX)
    offset_us = request.clock_offset_us
    check.number_of(offset_us, "clock_offset_us", -_OFFSET_US_MAX, _OFFSET_US_MAX)
    check_choices(request.choices)
    return forwarded_of(key, outcome, sold_at_us, offset_us, advice)


def forwarded_of(
    key: ReceiptKey, outcome: Outcome, sold_at_us: int, offset_us: int, advice: Advice
) -> Forwarded:
    """Put together what all forwarded receipts have, of fields that were checked."""
    key_id = key_id_of(key)
    statement = bytes([advice]), outcome.number.to_bytes(4, "big")
    own_key_id = derived_key_id(b"forward", key_id, *statement)
    return Forwarded(key, key_id, own_key_id, outcome, sold_at_us, offset_us)


def check_instant(context: Context, forwarded: Forwarded) -> None:
    """Hold an instant to the limits of the chain's program.

    Raises:
        Refusal: INSTANT_NOT_ACCEPTED; UNKNOWN_STORE, NO_RULESET.
    """
    key, now_us = forwarded.key, context.clock()
    context.reference.store(key.chain_id, key.store_id)
    rules = context.reference.rules_at(key.chain_id, now_us).program.forward
    limit = instant_limit(rules, forwarded.sold_at_us, forwarded.clock_offset_us, now_us)
    if limit:
        metadata = {
            "sold_at_us": str(forwarded.sold_at_us),
            "clock_offset_us": str(forwarded.clock_offset_us),
            "now_us": str(now_us),
            "limit": limit,
        }
        text = f"the instant of the sale is beyond the limit {limit}"
        raise Refusal(Reason.INSTANT_NOT_ACCEPTED, text, metadata)


def first_acknowledgement(forwarded: Forwarded, first: Statement) -> bytes:
    """Acknowledge a statement whose number was known as the first one was.

    Args:
        forwarded: what is stated, of the same sale, refund or void.
        first: what was stated under the number.

    Raises:
        Refusal: KEY_CONFLICT if that was another outcome.
    """
    check_same_outcome(forwarded, Advice(first.advice), first.outcome)
    return acknowledged(ForwardState(first.state))


def check_same_outcome(forwarded: Forwarded, advice: Advice, stated: Outcome) -> None:
    """Hold what is stated to what its number has stated.

    Args:
        forwarded: what is stated, of the same sale, refund or void.
        advice: which of them.
        stated: by its number before.

    Raises:
        Refusal: KEY_CONFLICT.
    """
    if not is_same(advice, forwarded.outcome, stated):
        kind = OutcomeKind(stated.kind).name
        metadata = {
            "receipt_id": forwarded.key_id.hex(),
            "outcome": kind,
            "outcome_number": str(stated.number),
        }
        text = f"number {stated.number} has stated another outcome, {kind}: use a higher one"
        raise Refusal(Reason.KEY_CONFLICT, text, metadata)


def acknowledged(state: ForwardState, reason: str = "", *, training: bool = False) -> bytes:
    """Spell an acknowledgement."""
    result = pb.DURABLE_RESULT_TRAINING if training else pb.DURABLE_RESULT_COMMITTED
    response = pb.ForwardResponse(
        result=result, state=pb.ForwardState.ValueType(state), reason=reason
    )
    return response.SerializeToString()
