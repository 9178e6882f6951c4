"""Reads what is forwarded: a sale, a refund or a void, each as the fact that it is."""

from msgspec.structs import replace

from loyalty.v1 import till_service_pb2 as pb
from rewards.limits import TEXT_ID_MAX
from rewards.outcome import Advice
from server.codec import check
from server.codec.sale_form import ReadCheckout, ReadForward
from server.till import checkout, refund
from server.till.break_off import void_key_id_of
from server.till.context import Context
from server.till.forward_back import RefundAdvice, VoidAdvice, Waiting, body_of
from server.till.forward_command import Forwarded, forwarded_from_pb, forwarded_of
from server.till.forward_sale import SaleAdvice
from server.till.void import VoidCommand

Advised = SaleAdvice | RefundAdvice | VoidAdvice
_KINDS = {"sale": Advice.SALE, "refund": Advice.REFUND, "void_receipt": Advice.VOID}


def advice_of(context: Context, request: pb.ForwardRequest | ReadForward) -> Advised:
    """Read a forwarded receipt, or what is left to read of one that was read by its form.

    Raises:
        Refusal: names the field.
    """
    if not isinstance(request, ReadForward):
        return advice_from_pb(context, request)
    forwarded = forwarded_of(
        request.receipt_key,
        request.outcome,
        request.sold_at_us,
        request.clock_offset_us,
        Advice.SALE,
    )
    return _sale(context, request.paid, forwarded)


def advice_from_pb(
    context: Context, request: pb.ForwardRequest, waiting: Waiting | None = None
) -> Advised:
    """Read a forwarded receipt and hold it to every limit.

    Args:
        context: ports.
        request: as it was sent.
        waiting: it was parked, and is settled now.

    Raises:
        Refusal: names the field.
    """
    kind = _KINDS[request.WhichOneof("advice") or check.refuse_required("advice")]
    forwarded = forwarded_from_pb(request, kind)
    if kind == Advice.SALE:
        return _sale(context, _paid(request), forwarded)
    if kind == Advice.REFUND:
        return _refund(request, forwarded, waiting)
    return _void(request, forwarded, waiting)


def _paid(request: pb.ForwardRequest) -> pb.CheckoutRequest:
    """The sale as a closed Checkout has it."""
    return pb.CheckoutRequest(
        receipt_key=request.receipt_key,
        sale=request.sale,
        closed=True,
        basket_id=request.basket_id,
        token=request.token,
        outcome=request.outcome,
        choices=request.choices,
    )


def _sale(
    context: Context, paid: pb.CheckoutRequest | ReadCheckout, forwarded: Forwarded
) -> SaleAdvice:
    command = checkout.read_command(context, paid)
    return SaleAdvice(forwarded, replace(command, key_id=forwarded.own_key_id))


def _refund(
    request: pb.ForwardRequest, forwarded: Forwarded, waiting: Waiting | None
) -> RefundAdvice:
    command = refund.read_command(request.refund)
    if command.key_id != forwarded.key_id:
        check.refuse_inconsistent("refund.receipt_key", "differs from receipt_key")
    own_key_id = forwarded.own_key_id if waiting is None else waiting.own_key_id
    command = command._replace(key_id=own_key_id, closed=True)
    return RefundAdvice(forwarded, command, body_of(request), waiting)


def _void(request: pb.ForwardRequest, forwarded: Forwarded, waiting: Waiting | None) -> VoidAdvice:
    void = request.void_receipt
    if void.receipt_key != request.receipt_key:
        check.refuse_inconsistent("void_receipt.receipt_key", "differs from receipt_key")
    command = VoidCommand(
        forwarded.key,
        forwarded.key_id,
        void_key_id_of(forwarded.key_id),
        check.text_of(void.reason_code, "void_receipt.reason_code", TEXT_ID_MAX),
        check.text_of(void.cashier_id, "void_receipt.cashier_id", TEXT_ID_MAX),
    )
    return VoidAdvice(forwarded, command, body_of(request), waiting)
