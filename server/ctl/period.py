"""`loyaltyctl ledger report | close | expire | exceptions`: the ledger of a chain, over time."""

from collections import Counter
from typing import Annotated

import msgspec
import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from loyalty.v1 import ledger_pb2 as pb
from loyalty.v1 import till_service_pb2 as till_pb
from server.ctl.instant import parse_instant, show_instant
from server.ctl.link import back_office
from server.ctl.option import TARGET, Json, Target
from server.ctl.reference import Chain, show_amount
from server.ctl.say import say, say_table
from server.ctl.statement import From, To

REPORT_TIMEOUT_S = 600.0
EXCEPTIONS_MAX = 1_000

End = Annotated[str, typer.Option("--to", help="end of the period, not included: RFC 3339")]
By = Annotated[str, typer.Option(help="who closes")]


def report(
    chain: Chain, from_: From = "", to: To = "now", json: Json = False, target: Target = TARGET
) -> None:
    """Report what a chain owes, and what was given, spent and lost in a period."""
    request = pb.GetLedgerReportRequest(
        chain_id=chain,
        from_us=parse_instant(from_) if from_ else 0,
        to_us=parse_instant(to),
    )
    with back_office(target) as stub:
        found = stub.GetLedgerReport(request, timeout=REPORT_TIMEOUT_S)
    if json:
        say_json(found)
        return
    columns = ("asset", "what", "minor units")
    rows = [row for one in found.assets for row in _report_rows(one)]
    state = "closed, final" if found.final else "open"
    start = show_instant(found.from_us) if found.from_us else "the beginning"
    say_table(f"{chain}, {start} to {show_instant(found.to_us)}: {state}", columns, rows)


def close(chain: Chain, by: By, to: End, target: Target = TARGET) -> None:
    """Close a chain's ledger up to an instant: its figures never change again."""
    request = pb.ClosePeriodRequest(chain_id=chain, to_us=parse_instant(to), closed_by=by)
    with back_office(target) as stub:
        found = stub.ClosePeriod(request, timeout=REPORT_TIMEOUT_S)
    start = show_instant(found.from_us) if found.from_us else "the beginning"
    say(f"closed: {start} to {show_instant(found.to_us)}")
    if found.left_out:
        say(f"{found.left_out:,} postings were still being written: they are in the next period")


def periods(chain: Chain, json: Json = False, target: Target = TARGET) -> None:
    """List the closed periods of a chain."""
    with back_office(target) as stub:
        found = stub.ListPeriods(pb.ListPeriodsRequest(chain_id=chain), timeout=REPORT_TIMEOUT_S)
    if json:
        say_json(found)
        return
    rows = [
        (
            show_instant(one.from_us) if one.from_us else "the beginning",
            show_instant(one.to_us),
            show_instant(one.closed_at_us),
            one.closed_by,
        )
        for one in found.periods
    ]
    say_table(f"Closed periods of {chain}", ("from", "to", "closed", "by"), rows)


def expire(target: Target = TARGET) -> None:
    """Take out of all accounts what has expired by the server's clock, now."""
    amounts: Counter[str] = Counter()
    accounts = 0
    with back_office(target) as stub:
        while True:
            done = stub.ExpireLots(pb.ExpireLotsRequest(), timeout=REPORT_TIMEOUT_S)
            accounts += done.accounts
            for one in done.amounts:
                amounts[one.asset_code] += one.amount_minor
            if not done.more:
                break
    rows = [(code, show_amount(amounts[code])) for code in sorted(amounts)]
    say_table(f"Expired in {accounts:,} accounts", ("asset", "minor units"), rows)


def exceptions(
    from_: From = "", to: To = "now", json: Json = False, target: Target = TARGET
) -> None:
    """List what could not be honoured of facts, by when it was recorded; at most 1,000."""
    request = pb.ListExceptionsRequest(
        from_us=parse_instant(from_) if from_ else 0,
        to_us=parse_instant(to),
        page_size=EXCEPTIONS_MAX,
    )
    with back_office(target) as stub:
        found = stub.ListExceptions(request, timeout=REPORT_TIMEOUT_S)
    if json:
        say_json(found)
        return
    rows = [
        (
            show_instant(one.recorded_at_us),
            till_pb.ExceptionKind.Name(one.kind).removeprefix("EXCEPTION_KIND_").lower(),
            one.detail,
            one.key_id.hex(),
        )
        for one in found.exceptions
    ]
    say_table("Exceptions", ("recorded", "what", "facts", "receipt id"), rows)
    if found.next_page_token:
        say("there are more: ask from the last instant on")


def _report_rows(one: pb.AssetReport) -> list[tuple[str, str, str]]:
    costs = [(f"cost of {cost.party_id or 'the chain'}", cost.amount_minor) for cost in one.costs]
    figures = [
        ("liability at the end", one.liability_minor),
        ("debts at the end", one.debt_minor),
        ("change", one.change_minor),
        *costs,
        ("redeemed", one.redeemed_minor),
        ("breakage", one.breakage_minor),
        ("overrun", one.overrun_minor),
        ("postings", one.postings),
    ]
    return [(one.asset_code, what, show_amount(minor)) for what, minor in figures]


def say_json(message: Message) -> None:
    """Say an answer as one JSON object."""
    tree = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    say(msgspec.json.encode(tree).decode())
