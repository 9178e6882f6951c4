"""The back office's calls on receipts that tills broke off: quarantine, and the report."""

from datetime import UTC, date, datetime

from loyalty.v1 import forward_pb2 as pb
from loyalty.v1 import till_service_pb2 as till_pb
from rewards.commit import LinkEvent, QuarantineDecision
from rewards.limits import INSTANT_US_MAX
from rewards.outcome import DAY_US, SECOND_US
from rewards.sale import derived_key_id
from server.codec import check
from server.codec.message import parsed
from server.store.forwarded import read_link_report
from server.store.quarantine import (
    DROPPED,
    MENDED,
    Quarantined,
    read_body,
    read_page,
)
from server.till.advice import Advised, advice_from_pb
from server.till.context import Context
from server.till.forward import taken
from server.till.forward_back import Waiting, unpark_key_of
from server.till.mending import Claim, entry_of_id
from server.till.parked import operation_of
from server.till.quarantine import unhidden

PAGE_MAX, PAGE_DEFAULT = 1_000, 100
PAGE_TOKEN_MAX = 128
NOTE_MAX = 256
REPORT_DAYS_MAX = 366
_FIRST = (INSTANT_US_MAX + 1, b"")
_DROP = derived_key_id(b"drop")
"""One drop is like another."""


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
    advice = advice_from_pb(unhidden(context), request.request)
    decision = QuarantineDecision(found.quarantine_id, MENDED, by, note)
    claim = Claim(context, decision, advice.forwarded.own_key_id)
    answer = await _mended(unhidden(context), claim, advice, request, deadline_s)
    # Whoever dies here mends again: what was forwarded is so for ever, and this is what is left.
    decided = await claim.decided(deadline_s)
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
    decision = QuarantineDecision(found.quarantine_id, DROPPED, by, note)
    decided = await Claim(context, decision, _DROP).decided(deadline_s)
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
    context: Context,
    claim: Claim,
    advice: Advised,
    request: pb.MendQuarantinedRequest,
    deadline_s: float,
) -> bytes:
    """Forward the corrected receipt; of what had waited for its sale, settle that."""
    parked_key_id = advice.forwarded.own_key_id
    if request.quarantine_id != unpark_key_of(parked_key_id):
        return await taken(context, advice, deadline_s, claim.run)
    own_key_id = derived_key_id(b"mend", request.quarantine_id)
    operation = operation_of(context, request.request, Waiting(parked_key_id, own_key_id))
    return await claim.run(context, operation, deadline_s)


async def _found(context: Context, quarantine_id: bytes) -> Quarantined:
    check.id_of(quarantine_id, "quarantine_id")
    return await entry_of_id(context, quarantine_id)


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
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:  # a week and its day is ISO, too
        check.refuse_inconsistent(path, "is no day YYYY-MM-DD")
    return day


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
