"""GetReceipt: what became of a receipt, or of a refund."""

import asyncio

from msgspec.structs import replace

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import KeyKind
from rewards.outcome import ForwardState, counts_for_nothing
from rewards.refusal import Reason, Refusal
from rewards.sale import LineAction, Sale, key_id_of
from server.codec import check
from server.codec.message import spliced
from server.codec.sale_pb import receipt_key_from_pb
from server.lookups import Wanted
from server.store.database import RetryError
from server.store.facts import KnownKey, StoredRow
from server.store.forwarded import KnownStatement, codes_key_of
from server.store.refunds import KnownReturn, read_returns
from server.till.break_off import void_key_id_of
from server.till.context import Context
from server.till.durable import look_up_in_time
from server.till.history import Base, base_of, is_sale, read_history
from server.till.late_answer import with_answer
from server.till.original import sale_of
from server.till.stored import stored_checkout

_CHECKOUT_FIELD = pb.GetReceiptResponse.CHECKOUT_FIELD_NUMBER
_VOID_FIELD = pb.GetReceiptResponse.VOID_RECEIPT_FIELD_NUMBER
_REFUND_FIELD = pb.GetReceiptResponse.REFUND_FIELD_NUMBER


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
    history = await read_history(context, key_id, deadline_s)
    if known.kind == KeyKind.REFUND or not is_sale(known, history):
        return await _refund(context, key_id, known, history, deadline_s)
    base = base_of(known, key_id, history)
    if base is None:
        return _spelled(pb.RECEIPT_STATE_BROKEN_OFF)
    stored = await stored_checkout(context, base.key_id, _at(known, base), deadline_s)
    answer = stored.answer
    if base.key_id != key_id:
        codes_key_id = codes_key_of(base.key_id, history)
        answer = await _with_answer(context, base.key_id, codes_key_id, stored, deadline_s)
    first = spliced(_CHECKOUT_FIELD, answer)
    returns = await _returns(context, key_id, deadline_s)
    void = seen.keys.get(void_key_id)
    if void is None:
        state = _state(sale_of(stored), returns) if returns else pb.RECEIPT_STATE_COMMITTED
        if history and history[-1].statement.is_undone:
            state = pb.RECEIPT_STATE_NOT_SOLD
        return _spelled(state, returns, history) + first
    undone = await stored_checkout(context, void_key_id, void, deadline_s)
    voided = spliced(_VOID_FIELD, undone.answer)
    return _spelled(pb.RECEIPT_STATE_VOIDED, returns, history) + first + voided


async def _with_answer(
    context: Context, key_id: bytes, codes_key_id: bytes, stored: StoredRow, deadline_s: float
) -> bytes:
    """What was decided of a forwarded sale; an old version of the rules may have to be read."""
    try:
        async with asyncio.timeout_at(deadline_s):
            return await with_answer(context, key_id, codes_key_id, stored)
    except TimeoutError:
        text = "the rules of the sale could not be read in time: ask again"
        raise Refusal(Reason.STORE_UNAVAILABLE, text) from None


async def _refund(
    context: Context,
    key_id: bytes,
    known: KnownKey,
    history: tuple[KnownStatement, ...],
    deadline_s: float,
) -> bytes:
    """What became of a refund: by a live call, or forwarded, settled or still waiting."""
    if not history:
        stored = await stored_checkout(context, key_id, known, deadline_s)
        return _spelled(pb.RECEIPT_STATE_COMMITTED) + spliced(_REFUND_FIELD, stored.answer)
    last = history[-1]
    if last.statement.state == ForwardState.PARKED:
        return _spelled(pb.RECEIPT_STATE_PARKED, (), history)
    if last.statement.state == ForwardState.QUARANTINED:
        return _spelled(pb.RECEIPT_STATE_BROKEN_OFF, (), history)
    if counts_for_nothing(last.statement.outcome):
        return _spelled(pb.RECEIPT_STATE_NOT_SOLD, (), history)
    base = Base(last.base_key_id, last.base_day)
    stored = await stored_checkout(context, base.key_id, _at(known, base), deadline_s)
    answer = spliced(_REFUND_FIELD, stored.answer)
    return _spelled(pb.RECEIPT_STATE_COMMITTED, (), history) + answer


def _at(known: KnownKey, base: Base) -> KnownKey:
    """The key with the day on which what counts was recorded."""
    return replace(known, day=base.day)


async def _returns(context: Context, key_id: bytes, deadline_s: float) -> tuple[KnownReturn, ...]:
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                return await read_returns(connection, key_id)
        except RetryError:
            await context.database.recover()
        except TimeoutError:
            text = "the database cannot be reached in time: ask again"
            raise Refusal(Reason.STORE_UNAVAILABLE, text) from None


def _state(sale: Sale, returns: tuple[KnownReturn, ...]) -> pb.ReceiptState.ValueType:
    """Whether all that was sold has come back."""
    gone: dict[str, int] = {}
    for one in returns:
        for line_id, quantity_milli, _ in one.record.lines:
            gone[line_id] = gone.get(line_id, 0) + quantity_milli
    sold = [line for line in sale.lines if not line.cancelled and line.action != LineAction.RETURN]
    if all(gone.get(line.line_id, 0) >= line.quantity_milli for line in sold):
        return pb.RECEIPT_STATE_REFUNDED
    return pb.RECEIPT_STATE_PARTLY_REFUNDED


def _spelled(
    state: pb.ReceiptState.ValueType,
    returns: tuple[KnownReturn, ...] = (),
    history: tuple[KnownStatement, ...] = (),
) -> bytes:
    response = pb.GetReceiptResponse(state=state)
    for known in history:
        _fill_statement(response.statements.add(), known)
    for one in returns:
        told = response.returns.add(
            receipt_id=one.refund_key_id,
            amount_minor=one.record.pay_back_minor,
            by_points_minor=one.record.by_points_minor,
            by_gift_cards_minor=sum([minor for _, minor in one.record.to_cards]),
        )
        for line_id, quantity_milli, amount_minor in one.record.lines:
            told.lines.add(
                line_id=line_id, amount_minor=amount_minor, quantity_milli=quantity_milli
            )
    return response.SerializeToString()


def _fill_statement(told: pb.ReceiptStatement, known: KnownStatement) -> None:
    statement = known.statement
    told.outcome.kind = receipt_pb2.OutcomeKind.ValueType(statement.outcome.kind)
    told.outcome.number = statement.outcome.number
    for line_id, amount_minor in statement.outcome.lines:
        told.outcome.lines.add(line_id=line_id, amount_minor=amount_minor)
    told.state = pb.ForwardState.ValueType(statement.state)
    told.sold_at_us = statement.sold_at_us
    told.clock_offset_us = statement.clock_offset_us
    told.recorded_at_us = known.recorded_at_us
    for one in statement.instead:
        told.instead.add(asset_code=one.asset_code, amount_minor=one.amount_minor)
