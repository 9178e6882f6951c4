"""The back office's calls on receipts that tills broke off: quarantine, and the report."""

from datetime import UTC, date, datetime

from loyalty.v1 import forward_pb2 as pb
from loyalty.v1 import till_service_pb2 as till_pb
from rewards.commit import LinkEvent
from rewards.limits import INSTANT_US_MAX
from rewards.outcome import DAY_US, SECOND_US
from rewards.refusal import Reason, Refusal
from rewards.sale import derived_key_id
from server.codec import check
from server.codec.message import parsed
from server.store.forwarded import read_link_report
from server.store.quarantine import (
    DROPPED,
    MENDED,
    WAITING,
    Quarantined,
    decide_quarantined,
    read_body,
    read_page,
    read_quarantined,
)
from server.till.advice import advice_from_pb
from server.till.context import Context
from server.till.durable import run_durable
from server.till.forward import taken
from server.till.forward_back import Waiting
from server.till.parked import operation_of, unpark_key_of
from server.till.quarantine import unhidden

PAGE_MAX, PAGE_DEFAULT = 1_000, 100
PAGE_TOKEN_MAX = 128
NOTE_MAX = 256
REPORT_DAYS_MAX = 366
_FIRST = (INSTANT_US_MAX + 1, b"")
_NAMES = {WAITING: "WAITING", MENDED: "MENDED", DROPPED: "DROPPED"}


async def list_quarantined(
    context: Context, request: pb.ListQuarantinedRequest, deadline_s: float
) -> bytes:
    """List what is or was in quarantine, the newest first.

    Raises:
        Refusal: names the field.
    """
    chain_id = check.optional_text_of(request.chain_id, "chain_id")
    state = check.optional_enum_of(request.state, "state", DROPPED)
    size = check.number_of(request.page_size, "page_size", 0, PAGE_MAX) or PAGE_DEFAULT
    before = _before(request.page_token)
    async with context.database.reading() as connection:
        found = await read_page(connection, chain_id, state, before, size + 1)
    response = pb.ListQuarantinedResponse()
    for one in found[:size]:
        _fill(response.receipts.add(), one)
    if len(found) > size:
        last = found[size - 1]
        response.next_page_token = f"{last.arrived_at_us}.{last.quarantine_id.hex()}"
    return response.SerializeToString()


async def get_quarantined(
    context: Context, request: pb.GetQuarantinedRequest, deadline_s: float
) -> bytes:
    """Show one entry with what was sent.

    Raises:
        Refusal: QUARANTINED_NOT_FOUND.
    """
    found = await _found(context, request.quarantine_id)
    async with context.database.reading() as connection:
        body = await read_body(connection, found.quarantine_id)
    response = pb.GetQuarantinedResponse()
    _fill(response.receipt, found)
    if body:
        response.request.CopyFrom(parsed(till_pb.ForwardRequest, body))
    return response.SerializeToString()


async def mend_quarantined(
    context: Context, request: pb.MendQuarantinedRequest, deadline_s: float
) -> bytes:
    """Forward a corrected receipt in the stead of one in quarantine.

    Raises:
        Refusal: QUARANTINED_NOT_FOUND, QUARANTINE_STATE; why the corrected one cannot be taken.
    """
    by = check.text_of(request.mended_by, "mended_by")
    note = check.text_of(request.note, "note", NOTE_MAX)
    if not request.HasField("request"):
        check.refuse_required("request")
    found = await _found(context, request.quarantine_id)
    _check_open(found, MENDED)
    answer = await _mended(unhidden(context), found, request.request, deadline_s)
    # What was forwarded is so for ever: whoever dies here mends again, and comes here again.
    decided = await _decided(context, found, MENDED, by, note)
    response = pb.MendQuarantinedResponse()
    response.forwarded.ParseFromString(answer)
    _fill(response.receipt, decided)
    return response.SerializeToString()


async def drop_quarantined(
    context: Context, request: pb.DropQuarantinedRequest, deadline_s: float
) -> bytes:
    """Decide that a receipt in quarantine is nothing.

    Raises:
        Refusal: QUARANTINED_NOT_FOUND, QUARANTINE_STATE.
    """
    by = check.text_of(request.dropped_by, "dropped_by")
    note = check.text_of(request.note, "note", NOTE_MAX)
    found = await _found(context, request.quarantine_id)
    _check_open(found, DROPPED)
    decided = await _decided(context, found, DROPPED, by, note)
    response = pb.DropQuarantinedResponse()
    _fill(response.receipt, decided)
    return response.SerializeToString()


async def get_forward_report(
    context: Context, request: pb.GetForwardReportRequest, deadline_s: float
) -> bytes:
    """Count what poor links did in whole days of UTC.

    Raises:
        Refusal: names the field.
    """
    first, last = _day(request.from_date, "from_date"), _day(request.to_date, "to_date")
    days = (last - first).days + 1
    check.number_of(days, "to_date", 1, REPORT_DAYS_MAX)
    from_us = round(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp())
    from_us *= SECOND_US
    async with context.database.reading() as connection:
        found = await read_link_report(connection, from_us, from_us + days * DAY_US)
    events = {LinkEvent(event): times for event, times in found.events.items()}
    p50_us, p90_us, p99_us, max_us = found.late_us
    response = pb.GetForwardReportResponse(
        live=found.live,
        broken_off=events.get(LinkEvent.BROKEN_OFF, 0),
        forwarded=events.get(LinkEvent.RECORDED, 0),
        superseded=events.get(LinkEvent.SUPERSEDED, 0),
        quarantined=events.get(LinkEvent.QUARANTINED, 0),
        parked=events.get(LinkEvent.PARKED, 0),
        unparked=events.get(LinkEvent.UNPARKED, 0),
        quarantined_now=found.quarantined_now,
        parked_now=found.parked_now,
        lateness=pb.ForwardLateness(
            receipts=found.measured, p50_us=p50_us, p90_us=p90_us, p99_us=p99_us, max_us=max_us
        ),
    )
    return response.SerializeToString()


async def _mended(
    context: Context, found: Quarantined, request: till_pb.ForwardRequest, deadline_s: float
) -> bytes:
    """Forward the corrected receipt; of what had waited for its sale, settle that."""
    advice = advice_from_pb(context, request)
    parked_key_id = advice.forwarded.own_key_id
    if found.quarantine_id != unpark_key_of(parked_key_id):
        return await taken(context, advice, deadline_s)
    own_key_id = derived_key_id(b"mend", found.quarantine_id)
    operation = operation_of(context, request, Waiting(parked_key_id, own_key_id))
    return await run_durable(context, operation, deadline_s)


async def _found(context: Context, quarantine_id: bytes) -> Quarantined:
    check.id_of(quarantine_id, "quarantine_id")
    async with context.database.reading() as connection:
        found = await read_quarantined(connection, quarantine_id)
    if found is None:
        metadata = {"quarantine_id": quarantine_id.hex()}
        text = "nothing is in quarantine under this id"
        raise Refusal(Reason.QUARANTINED_NOT_FOUND, text, metadata)
    return found


def _check_open(found: Quarantined, state: int) -> None:
    """Hold an entry to what may still be decided; the same decision again is no other one.

    Raises:
        Refusal: QUARANTINE_STATE.
    """
    if found.state not in (WAITING, state):
        metadata = {"state": _NAMES[found.state], "changed_by": found.changed_by}
        text = f"it is {_NAMES[found.state]} already"
        raise Refusal(Reason.QUARANTINE_STATE, text, metadata)


async def _decided(
    context: Context, found: Quarantined, state: int, by: str, note: str
) -> Quarantined:
    """Write a decision; of two at once the first one stands.

    Raises:
        Refusal: QUARANTINE_STATE if somebody has decided otherwise meanwhile.
    """
    quarantine_id = found.quarantine_id
    async with context.database.reading() as connection:
        await decide_quarantined(connection, quarantine_id, state, context.clock(), by, note)
        now = await read_quarantined(connection, quarantine_id)
    assert now is not None, "what is kept in quarantine stays there"
    _check_open(now, state)
    return now


def _before(token: str) -> tuple[int, bytes]:
    """Before which entry a page begins.

    Raises:
        Refusal: it is no token of this call.
    """
    if not token:
        return _FIRST
    check.text_of(token, "page_token", PAGE_TOKEN_MAX)
    arrived_at_us, _, quarantine_id = token.partition(".")
    try:
        place = int(arrived_at_us), bytes.fromhex(quarantine_id)
    except ValueError:
        check.refuse_inconsistent("page_token", "is none that this call answered")
    check.number_of(place[0], "page_token", 0, INSTANT_US_MAX)
    return place


def _day(text: str, path: str) -> date:
    check.text_of(text, path, 10, 10)
    try:
        return date.fromisoformat(text)
    except ValueError:
        check.refuse_inconsistent(path, "is no day YYYY-MM-DD")


def _fill(message: pb.QuarantinedReceipt, one: Quarantined) -> None:
    message.quarantine_id = one.quarantine_id
    message.chain_id = one.chain_id
    message.store_id = one.store_id
    message.till_id = one.till_id
    message.receipt_number = one.receipt_number
    message.reason = one.reason
    message.detail = one.detail
    message.arrived_at_us = one.arrived_at_us
    message.sold_at_us = one.sold_at_us
    message.state = pb.QuarantineState.ValueType(one.state)
    message.changed_at_us = one.changed_at_us
    message.changed_by = one.changed_by
    message.note = one.note
    message.size_bytes = one.size_bytes
