"""GetReceipt: what became of a receipt."""

from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import KeyKind
from rewards.refusal import Reason, Refusal
from rewards.sale import key_id_of
from server.codec import check
from server.codec.message import spliced
from server.codec.sale_pb import receipt_key_from_pb
from server.lookups import Wanted
from server.till.break_off import void_key_id_of
from server.till.context import Context
from server.till.durable import look_up_in_time
from server.till.stored import stored_checkout

_CHECKOUT_FIELD = pb.GetReceiptResponse.CHECKOUT_FIELD_NUMBER
_VOID_FIELD = pb.GetReceiptResponse.VOID_RECEIPT_FIELD_NUMBER


async def get_receipt(context: Context, request: pb.GetReceiptRequest, deadline_s: float) -> bytes:
    """Give the first answer byte for byte, and the present state.

    Raises:
        Refusal: RECEIPT_NOT_FOUND, which is not final.
    """
    if not request.HasField("receipt_key"):
        check.refuse_required("receipt_key")
    key_id = key_id_of(receipt_key_from_pb(request.receipt_key))
    void_key_id = void_key_id_of(key_id)
    seen = await look_up_in_time(context, Wanted((key_id, void_key_id), ()), deadline_s)
    known = seen.keys.get(key_id)
    if known is None:
        text = "nothing is recorded under this key; only BreakOff makes that final"
        raise Refusal(Reason.RECEIPT_NOT_FOUND, text, {"receipt_id": key_id.hex()})
    if known.kind == KeyKind.FENCE:
        return _state(pb.RECEIPT_STATE_BROKEN_OFF)
    stored = await stored_checkout(context, key_id, known, deadline_s)
    first = spliced(_CHECKOUT_FIELD, stored.answer)
    void = seen.keys.get(void_key_id)
    if void is None:
        return _state(pb.RECEIPT_STATE_COMMITTED) + first
    undone = await stored_checkout(context, void_key_id, void, deadline_s)
    return _state(pb.RECEIPT_STATE_VOIDED) + first + spliced(_VOID_FIELD, undone.answer)


def _state(state: pb.ReceiptState.ValueType) -> bytes:
    return pb.GetReceiptResponse(state=state).SerializeToString()
