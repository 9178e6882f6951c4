"""Reports of a chain's ledger, closed periods, and the list of exceptions."""

import asyncio
from typing import Never

from loyalty.v1 import ledger_pb2 as pb
from loyalty.v1 import till_service_pb2 as till_pb
from rewards.limits import INSTANT_US_MAX
from rewards.refusal import Reason, Refusal
from rewards.report import AssetReport, Total, report_assets
from server.codec import check
from server.instant import iso_instant
from server.store.facts import AnyConnection
from server.store.statements import (
    EVERY_TX,
    NO_TX,
    Period,
    PeriodOrderError,
    close_period,
    read_exceptions,
    read_periods,
    read_stored_totals,
    read_totals,
)
from server.till.context import Context

PAGE_MAX = 1_000
PAGE_DEFAULT = 100
PAGE_TOKEN_MAX = 128
_ONE_AT_A_TIME = asyncio.Semaphore(1)
"""Reports and closing read long: only one of the connections for reading is theirs."""


async def get_report(
    context: Context, request: pb.GetLedgerReportRequest, deadline_s: float
) -> bytes:
    """Report a period; of a closed one the figures that were stored.

    Raises:
        Refusal: a bad request.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    from_us = check.number_of(request.from_us, "from_us", 0, INSTANT_US_MAX)
    to_us = check.number_of(request.to_us, "to_us", 0, INSTANT_US_MAX) or context.clock()
    if from_us >= to_us:
        check.refuse_inconsistent("to_us", "is not after from_us")
    async with (
        _ONE_AT_A_TIME,
        context.database.reading() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        periods = await read_periods(connection, chain_id)
        before = await _totals(connection, chain_id, periods, 0, from_us) if from_us else []
        period = await _totals(connection, chain_id, periods, from_us, to_us)
    response = pb.GetLedgerReportResponse(
        final=_is_closed(periods, from_us) and _is_closed(periods, to_us),
        from_us=from_us,
        to_us=to_us,
    )
    for one in report_assets(before, period):
        _add_report(response, one)
    return response.SerializeToString()


async def close(context: Context, request: pb.ClosePeriodRequest, deadline_s: float) -> bytes:
    """Close a period for ever.

    Raises:
        Refusal: PERIOD_CLOSED; OUT_OF_RANGE for an end that has not come yet.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    closed_by = check.text_of(request.closed_by, "closed_by")
    now_us = context.clock()
    to_us = check.number_of(request.to_us, "to_us", 1, INSTANT_US_MAX)
    if to_us > now_us:
        _refuse_early(to_us, now_us)
    try:
        async with _ONE_AT_A_TIME:
            from_us, left_out = await close_period(
                context.database, chain_id, to_us, now_us, closed_by
            )
    except PeriodOrderError as error:
        metadata = {"closed_to_us": str(error.last_end_us)}
        raise Refusal(Reason.PERIOD_CLOSED, str(error), metadata) from error
    response = pb.ClosePeriodResponse(from_us=from_us, to_us=to_us, left_out=left_out)
    return response.SerializeToString()


def _refuse_early(to_us: int, now_us: int) -> Never:
    text = f"{iso_instant(to_us)} has not come yet: it is {iso_instant(now_us)}"
    metadata = {"min": "1", "max": str(now_us), "actual": str(to_us)}
    raise Refusal(Reason.OUT_OF_RANGE, f"to_us: {text}", metadata, (("to_us", text),))


async def list_periods(
    context: Context, request: pb.ListPeriodsRequest, deadline_s: float
) -> bytes:
    """List the closed periods of a chain.

    Raises:
        Refusal: a bad request.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    async with context.database.reading() as connection:
        periods = await read_periods(connection, chain_id)
    response = pb.ListPeriodsResponse()
    from_us = 0
    for one in periods:
        response.periods.add(
            from_us=from_us,
            to_us=one.end_us,
            closed_at_us=one.closed_at_us,
            closed_by=one.closed_by,
        )
        from_us = one.end_us
    return response.SerializeToString()


async def list_exceptions(
    context: Context, request: pb.ListExceptionsRequest, deadline_s: float
) -> bytes:
    """List what could not be honoured of facts, a page at a time.

    Raises:
        Refusal: a bad request.
    """
    from_us = check.number_of(request.from_us, "from_us", 0, INSTANT_US_MAX)
    to_us = check.number_of(request.to_us, "to_us", 0, INSTANT_US_MAX) or INSTANT_US_MAX
    size = check.number_of(request.page_size, "page_size", 0, PAGE_MAX) or PAGE_DEFAULT
    after = _after(request.page_token)
    async with context.database.reading() as connection:
        rows = await read_exceptions(connection, from_us, to_us, after, size + 1)
    response = pb.ListExceptionsResponse()
    for row in rows[:size]:
        response.exceptions.add(
            key_id=row.key_id,
            kind=till_pb.ExceptionKind.ValueType(row.kind),
            detail=row.detail,
            recorded_at_us=row.recorded_at_us,
        )
    if len(rows) > size:
        last = rows[size - 1]
        response.next_page_token = f"{last.recorded_at_us}.{last.key_id.hex()}.{last.ordinal}"
    return response.SerializeToString()


def _is_closed(periods: list[Period], at_us: int) -> bool:
    """Whether a closed period ends, or the first one begins, at an instant."""
    return at_us == 0 or any(one.end_us == at_us for one in periods)


async def _totals(
    connection: AnyConnection, chain_id: str, periods: list[Period], from_us: int, to_us: int
) -> list[Total]:
    """Totals from one instant to another: stored ones of closed periods, then the tail.

    What a closed period has is counted there and nowhere else; between instants at which no
    period ends, postings count by when they were recorded.
    """
    if not _is_closed(periods, from_us):
        return await read_totals(connection, chain_id, to_us, from_us, EVERY_TX)
    whole = [one for one in periods if from_us < one.end_us <= to_us]
    found = []
    if whole:
        found = await read_stored_totals(connection, chain_id, from_us, whole[-1].end_us)
    start = whole[-1] if whole else next((one for one in periods if one.end_us == from_us), None)
    if start is not None and start.end_us == to_us:
        return found
    start_us, start_tx = (0, NO_TX) if start is None else (start.end_us, start.cut_tx)
    return found + await read_totals(connection, chain_id, to_us, start_us, start_tx)


def _add_report(response: pb.GetLedgerReportResponse, one: AssetReport) -> None:
    shown = response.assets.add(
        asset_code=one.asset_code,
        liability_minor=one.liability_minor,
        debt_minor=one.debt_minor,
        change_minor=one.change_minor,
        redeemed_minor=one.redeemed_minor,
        breakage_minor=one.breakage_minor,
        overrun_minor=one.overrun_minor,
        postings=one.postings,
    )
    for party_id, amount_minor in one.costs:
        shown.costs.add(party_id=party_id, amount_minor=amount_minor)


def _after(token: str) -> tuple[int, bytes, int]:
    """Where a page of exceptions begins.

    Raises:
        Refusal: it is no token of this call.
    """
    if not token:
        return -1, b"", -1
    check.text_of(token, "page_token", PAGE_TOKEN_MAX)
    try:
        recorded_at_us, key_id, ordinal = token.split(".")
        place = int(recorded_at_us), bytes.fromhex(key_id), int(ordinal)
    except ValueError:
        check.refuse_inconsistent("page_token", "is none that this call answered")
    check.number_of(place[0], "page_token", 0, INSTANT_US_MAX)
    check.number_of(place[2], "page_token", 0, 32_767)
    return place
