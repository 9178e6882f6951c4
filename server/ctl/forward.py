"""`loyaltyctl forward report`: what poor links did in a period."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToJson

from loyalty.v1 import forward_pb2 as pb
from server.ctl.link import back_office
from server.ctl.option import TARGET, Json, Target
from server.ctl.say import say, say_table

REPORT_TIMEOUT_S = 600.0
_SECOND_US = 1_000_000
_COUNTS = (
    ("live", "recorded by a live Checkout"),
    ("broken_off", "keys closed by BreakOff"),
    ("forwarded", "recorded by Forward"),
    ("superseded", "settled against what was known"),
    ("quarantined", "put in quarantine"),
    ("parked", "parked until their sale comes"),
    ("unparked", "settled after they had been parked"),
    ("quarantined_now", "in quarantine now"),
    ("parked_now", "parked now"),
)
_LATENESS = (
    ("p50_us", "half of them, within seconds"),
    ("p90_us", "90 of 100, within seconds"),
    ("p99_us", "99 of 100, within seconds"),
    ("max_us", "the latest, seconds"),
)

Since = Annotated[str, typer.Option("--from", help="first day, YYYY-MM-DD in UTC; default: today")]
Until = Annotated[str, typer.Option("--to", help="last day, included; default: today")]

app = typer.Typer(help="Receipts that tills broke off.", no_args_is_help=True)


@app.callback()
def forward() -> None:
    """Receipts that tills broke off."""


@app.command()
def report(from_: Since = "", to: Until = "", json: Json = False, target: Target = TARGET) -> None:
    """Count what came live, broken off, forwarded, in quarantine, and how late."""
    today = datetime.now(UTC).date().isoformat()
    request = pb.GetForwardReportRequest(from_date=from_ or today, to_date=to or today)
    with back_office(target) as stub:
        found = stub.GetForwardReport(request, timeout=REPORT_TIMEOUT_S)
    if json:
        say(
            MessageToJson(
                found,
                indent=None,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
        )
        return
    rows = [(text, f"{getattr(found, name):,}") for name, text in _COUNTS]
    rows.append(("lateness is of so many", f"{found.lateness.receipts:,}"))
    rows += [
        (f"late: {text}", f"{getattr(found.lateness, name) / _SECOND_US:,.1f}")
        for name, text in _LATENESS
    ]
    title = f"poor links, {request.from_date} to {request.to_date} (UTC), all chains"
    say_table(title, ("what", "receipts"), rows)
