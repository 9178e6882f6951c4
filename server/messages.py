"""The back office's look at the outbox: lists, one message, figures of a period, the stop list."""

import re
from collections.abc import Iterable

from loyalty.v1 import outbox_pb2 as pb
from rewards.limits import INSTANT_US_MAX
from rewards.notice import AFTER_SALE_US
from rewards.outbox import MessageState
from rewards.refusal import Reason, Refusal
from server.codec import check
from server.sms.recipient import phone_field_of, phone_hash_of
from server.sms.transport import digits_of, masked
from server.store.outbox_report import (
    FigureRow,
    MessageRow,
    read_figures,
    read_message,
    read_page,
)
from server.store.recipients import clear_stop, read_addressee, set_stop
from server.till.context import Context

PAGE_MAX = 1_000
PAGE_TOKEN_MAX = 64
PHONE_CHARS_MIN, PHONE_CHARS_MAX = 8, 20
_MADE_CODE = re.compile(r"\b([A-Z2-7]{4})[A-Z2-7]{12}\b")
"""A code that the server made: whoever reads it can use it."""
_STATE_LAST = max(MessageState).value


async def list_messages(
    context: Context, request: pb.ListMessagesRequest, deadline_s: float
) -> bytes:
    """Answer a page of a chain's messages.

    Raises:
        Refusal: names the field.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    state = check.optional_enum_of(request.state, "state", _STATE_LAST)
    receipt_id = check.id_of(request.receipt_id, "receipt_id") if request.receipt_id else b""
    size = check.number_of(request.page_size, "page_size", 0, PAGE_MAX) or PAGE_MAX
    after = _after(request.page_token)
    async with context.database.reading() as connection:
        found = await read_page(connection, chain_id, state, receipt_id, after, size + 1)
    response = pb.ListMessagesResponse(messages=[_shown(one) for one in found[:size]])
    if len(found) > size:
        last = found[size - 1]
        response.next_page_token = f"{last.arrived_at_us}.{last.message_id.hex()}"
    return response.SerializeToString()


async def get_message(context: Context, request: pb.GetMessageRequest, deadline_s: float) -> bytes:
    """Answer a message with its history.

    Raises:
        Refusal: MESSAGE_NOT_FOUND, or names the field.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    message_id = check.id_of(request.message_id, "message_id")
    program = context.reference.rules_at(chain_id, context.clock()).program
    phone_field = phone_field_of(program)
    async with context.database.reading() as connection:
        found = await read_message(connection, chain_id, message_id)
        if found is None:
            text = "the chain has no such message"
            raise Refusal(Reason.MESSAGE_NOT_FOUND, text, {"message_id": message_id.hex()})
        row, changes = found
        addressee = await read_addressee(connection, row.customer_id, [phone_field])
    response = pb.GetMessageResponse(message=_shown(row))
    if addressee is not None:
        response.message.phone = masked(addressee.answers.get(phone_field, ""))
    for change in changes:
        state = pb.MessageState.ValueType(change.state)
        response.changes.add(state=state, changed_at_us=change.changed_at_us, note=change.note)
    return response.SerializeToString()


async def report_messages(
    context: Context, request: pb.ReportMessagesRequest, deadline_s: float
) -> bytes:
    """Answer how messages of a period went.

    Raises:
        Refusal: names the field.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    from_us = check.number_of(request.from_us, "from_us", 0, INSTANT_US_MAX)
    now_us = context.clock()
    to_us = check.number_of(request.to_us, "to_us", 0, INSTANT_US_MAX) or now_us
    async with context.database.reading() as connection:
        rows = await read_figures(connection, chain_id, from_us, to_us, AFTER_SALE_US, now_us)
    response = pb.ReportMessagesResponse()
    _fill(response.on_time, [one for one in rows if not one.is_late])
    _fill(response.late, [one for one in rows if one.is_late])
    return response.SerializeToString()


async def set_message_stop(
    context: Context, request: pb.SetMessageStopRequest, deadline_s: float
) -> bytes:
    """Put a phone on the stop list, or take it off; durable when this returns.

    Raises:
        Refusal: names the field.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    phone = check.text_of(request.phone, "phone", PHONE_CHARS_MAX, PHONE_CHARS_MIN)
    if len(digits_of(phone)) < PHONE_CHARS_MIN:
        check.refuse_inconsistent("phone", "is no phone with its country code")
    note = check.optional_text_of(request.note, "note")
    phone_hash = phone_hash_of(context, phone)
    async with context.database.reading() as connection:
        if request.lift:
            await clear_stop(connection, chain_id, phone_hash)
        else:
            await set_stop(connection, chain_id, phone_hash, context.clock(), note)
    return pb.SetMessageStopResponse().SerializeToString()


def _shown(row: MessageRow) -> pb.OutboxMessage:
    return pb.OutboxMessage(
        message_id=row.message_id,
        receipt_id=row.receipt_id,
        customer_number=row.customer_number or "",
        state=pb.MessageState.ValueType(row.state),
        changed_at_us=row.changed_at_us,
        sold_at_us=row.sold_at_us,
        arrived_at_us=row.arrived_at_us,
        window_end_us=row.window_end_us,
        is_late=row.is_late,
        due_at_us=row.due_at_us,
        attempts=row.attempt,
        resends=row.resends,
        text=_MADE_CODE.sub(r"\1************", row.body),
        parts=row.part_count,
    )


def _fill(figures: pb.MessageFigures, rows: Iterable[FigureRow]) -> None:
    for row in rows:
        figures.counts.add(state=pb.MessageState.ValueType(row.state), count=row.messages)
        figures.parts += row.parts
        figures.resends += row.resends
        figures.overdue += row.overdue
        if row.state == MessageState.DELIVERED:
            figures.delivered_within_day = row.within_day
            (
                figures.delivered_p50_us,
                figures.delivered_p90_us,
                figures.delivered_p99_us,
                figures.delivered_max_us,
            ) = row.took_us


def _after(token: str) -> tuple[int, bytes]:
    """Where a page begins.

    Raises:
        Refusal: it is no token of this call.
    """
    if not token:
        return -1, b""
    check.text_of(token, "page_token", PAGE_TOKEN_MAX)
    arrived_at_us, _, message_id = token.partition(".")
    try:
        place = int(arrived_at_us), bytes.fromhex(message_id)
    except ValueError:
        check.refuse_inconsistent("page_token", "is none that this call answered")
    check.number_of(place[0], "page_token", 0, INSTANT_US_MAX)
    return place
