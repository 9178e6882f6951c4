"""`loyaltyctl messages`: what became of messages to customers, and who gets none."""

from typing import Annotated

import typer

from loyalty.v1 import outbox_pb2 as pb
from server.ctl.instant import parse_instant, show_instant
from server.ctl.link import CALL_TIMEOUT_S, back_office
from server.ctl.option import TARGET, Json, Target
from server.ctl.period import say_json
from server.ctl.reference import Chain
from server.ctl.say import CtlError, say, say_table
from server.ctl.statement import From, To

app = typer.Typer(help="Look at messages to customers.", no_args_is_help=True)

PAGE = 200
SECOND_US, MINUTE_S = 1_000_000, 60
State = Annotated[str, typer.Option(help="queued, sending, sent, delivered, ...; empty is all")]
Receipt = Annotated[str, typer.Option(help="only those about a receipt: its id, 32 hex digits")]
MessageId = Annotated[str, typer.Argument(help="the message, 32 hex digits")]
Phone = Annotated[str, typer.Argument(help="with its country code")]
Lift = Annotated[bool, typer.Option("--lift", help="take it off the list")]
Note = Annotated[str, typer.Option(help="why")]


@app.callback()
def messages() -> None:
    """Look at messages to customers."""


@app.command(name="list")
def list_(chain: Chain, state: State = "", receipt: Receipt = "", target: Target = TARGET) -> None:
    """List messages by arrival of their receipts; at most 200."""
    request = pb.ListMessagesRequest(
        chain_id=chain, state=_state(state), receipt_id=_id_of(receipt), page_size=PAGE
    )
    with back_office(target) as stub:
        found = stub.ListMessages(request, timeout=CALL_TIMEOUT_S)
    columns = ("message", "customer", "state", "since", "sold", "arrived", "parts")
    say_table("Messages", columns, [_row(one) for one in found.messages])
    if found.next_page_token:
        say("there are more: ask for a state, or for a receipt")


@app.command()
def show(message: MessageId, chain: Chain, target: Target = TARGET) -> None:
    """Show a message: its text, its parts, and every state it was in."""
    request = pb.GetMessageRequest(chain_id=chain, message_id=_id_of(message))
    with back_office(target) as stub:
        found = stub.GetMessage(request, timeout=CALL_TIMEOUT_S)
    one = found.message
    rows = [
        ("receipt", one.receipt_id.hex()),
        ("customer", one.customer_number),
        ("phone", one.phone),
        ("sold", show_instant(one.sold_at_us)),
        ("arrived", show_instant(one.arrived_at_us) + (" (late)" if one.is_late else "")),
        ("window ends", show_instant(one.window_end_us)),
        ("attempts", f"{one.attempts} ({one.resends} marked resends)"),
        ("text", f"{one.text} ({one.parts} parts)" if one.text else ""),
    ]
    say_table(f"Message {message}: {_name(one.state)}", ("what", ""), rows)
    changes = [
        (show_instant(change.changed_at_us), _name(change.state), change.note)
        for change in found.changes
    ]
    say_table("States", ("since", "state", "note"), changes)


@app.command()
def report(
    chain: Chain, from_: From = "", to: To = "now", json: Json = False, target: Target = TARGET
) -> None:
    """Report how messages of a period went: states, time from sale to delivery, resends."""
    request = pb.ReportMessagesRequest(
        chain_id=chain, from_us=parse_instant(from_) if from_ else 0, to_us=parse_instant(to)
    )
    with back_office(target) as stub:
        found = stub.ReportMessages(request, timeout=CALL_TIMEOUT_S)
    if json:
        say_json(found)
        return
    say_table("In time for a day", ("what", ""), _figure_rows(found.on_time))
    say_table("Late by the link", ("what", ""), _figure_rows(found.late))


@app.command()
def stop(
    phone: Phone, chain: Chain, lift: Lift = False, note: Note = "", target: Target = TARGET
) -> None:
    """Put a phone on the stop list: nothing is sent to it."""
    request = pb.SetMessageStopRequest(chain_id=chain, phone=phone, lift=lift, note=note)
    with back_office(target) as stub:
        stub.SetMessageStop(request, timeout=CALL_TIMEOUT_S)
    say("taken off the stop list" if lift else "put on the stop list")


def _state(name: str) -> pb.MessageState.ValueType:
    if not name:
        return pb.MESSAGE_STATE_UNSPECIFIED
    known = [one.removeprefix("MESSAGE_STATE_").lower() for one in pb.MessageState.keys()[1:]]
    if name not in known:
        raise CtlError(f"{name!r} is no state; states: {', '.join(known)}")
    return pb.MessageState.Value(f"MESSAGE_STATE_{name.upper()}")


def _name(state: pb.MessageState.ValueType) -> str:
    return pb.MessageState.Name(state).removeprefix("MESSAGE_STATE_").lower()


def _id_of(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise CtlError(f"{text!r} is no id: write its 32 hex digits") from None


def _row(one: pb.OutboxMessage) -> tuple[str, ...]:
    return (
        one.message_id.hex(),
        one.customer_number,
        _name(one.state),
        show_instant(one.changed_at_us),
        show_instant(one.sold_at_us),
        show_instant(one.arrived_at_us),
        str(one.parts),
    )


def _figure_rows(figures: pb.MessageFigures) -> list[tuple[str, str]]:
    counts = {_name(one.state): one.count for one in figures.counts}
    # Whom nothing is to be sent to is not part of what was to be delivered.
    due = sum(counts.values()) - counts.get("stopped", 0) - counts.get("no_phone", 0)
    share = f"{100 * figures.delivered_within_day / due:.2f} %" if due else "-"
    took = [
        (f"from sale to delivery, {name}", _span(took_us))
        for name, took_us in (
            ("half", figures.delivered_p50_us),
            ("90 %", figures.delivered_p90_us),
            ("99 %", figures.delivered_p99_us),
            ("slowest", figures.delivered_max_us),
        )
    ]
    return [
        *((name, f"{count:,}") for name, count in counts.items()),
        ("delivered within 24 hours of the sale", f"{figures.delivered_within_day:,} ({share})"),
        *took,
        ("parts", f"{figures.parts:,}"),
        ("marked resends", f"{figures.resends:,}"),
        ("overdue", f"{figures.overdue:,}"),
    ]


def _span(took_us: int) -> str:
    minutes, seconds = divmod(took_us // SECOND_US, MINUTE_S)
    hours, minutes = divmod(minutes, MINUTE_S)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
