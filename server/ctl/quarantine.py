"""`loyaltyctl quarantine list | show | mend | drop`: forwarded receipts that could not be taken."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from google.protobuf import json_format

from loyalty.v1 import forward_pb2 as pb
from loyalty.v1 import till_service_pb2 as till_pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.ctl.instant import show_instant
from server.ctl.link import CALL_TIMEOUT_S, back_office
from server.ctl.option import TARGET, Json, Target
from server.ctl.say import CtlError, say, say_table

PAGE_SIZE = 1_000
_PREFIX = "QUARANTINE_STATE_"
_FORWARD_PREFIX = "FORWARD_STATE_"

Id = Annotated[str, typer.Argument(help="id of the entry, as list shows it", show_default=False)]
Chain = Annotated[str, typer.Option("--chain", help="only of this chain")]
All = Annotated[bool, typer.Option("--all", help="also those that were mended or dropped")]
By = Annotated[str, typer.Option("--by", help="who decides")]
Note = Annotated[str, typer.Option("--note", help="why")]
Body = Annotated[Path, typer.Argument(help="the corrected receipt: JSON, as show prints it")]

app = typer.Typer(help="Forwarded receipts that could not be taken.", no_args_is_help=True)


@app.command(name="list")
def list_(
    chain: Chain = "", all_: All = False, json: Json = False, target: Target = TARGET
) -> None:
    """List what waits in quarantine, the newest first."""
    with back_office(target) as stub:
        found = list(_all(stub, chain, all_))
    if json:
        say(msgspec.json.encode({"receipts": [_shown(one) for one in found]}).decode())
        return
    columns = ("id", "arrived", "store", "till", "number", "reason", "state", "by")
    say_table("in quarantine", columns, [_row(one) for one in found])


@app.command()
def show(quarantine_id: Id, target: Target = TARGET) -> None:
    """Show one entry with what was sent, as JSON; its `request` is what mend takes."""
    request = pb.GetQuarantinedRequest(quarantine_id=_id(quarantine_id))
    with back_office(target) as stub:
        found = stub.GetQuarantined(request, timeout=CALL_TIMEOUT_S)
    say(json_format.MessageToJson(found, preserving_proto_field_name=True, ensure_ascii=False))


@app.command()
def mend(quarantine_id: Id, body: Body, by: By, note: Note, target: Target = TARGET) -> None:
    """Forward a corrected receipt in the stead of one in quarantine."""
    request = pb.MendQuarantinedRequest(
        quarantine_id=_id(quarantine_id), request=read_mended(body), mended_by=by, note=note
    )
    with back_office(target) as stub:
        found = stub.MendQuarantined(request, timeout=CALL_TIMEOUT_S)
    state = till_pb.ForwardState.Name(found.forwarded.state).removeprefix(_FORWARD_PREFIX)
    say(f"mended: {state}")


@app.command()
def drop(quarantine_id: Id, by: By, note: Note, target: Target = TARGET) -> None:
    """Decide that a receipt in quarantine is nothing; it stays on record."""
    request = pb.DropQuarantinedRequest(quarantine_id=_id(quarantine_id), dropped_by=by, note=note)
    with back_office(target) as stub:
        found = stub.DropQuarantined(request, timeout=CALL_TIMEOUT_S)
    say(f"dropped by {found.receipt.changed_by}: {found.receipt.note}")


def _all(
    stub: BackOfficeServiceStub, chain: str, everything: bool
) -> Iterator[pb.QuarantinedReceipt]:
    state = pb.QUARANTINE_STATE_UNSPECIFIED if everything else pb.QUARANTINE_STATE_WAITING
    request = pb.ListQuarantinedRequest(chain_id=chain, state=state, page_size=PAGE_SIZE)
    while True:
        page = stub.ListQuarantined(request, timeout=CALL_TIMEOUT_S)
        yield from page.receipts
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _row(one: pb.QuarantinedReceipt) -> tuple[str, ...]:
    return (
        one.quarantine_id.hex(),
        show_instant(one.arrived_at_us),
        one.store_id,
        one.till_id,
        one.receipt_number,
        one.reason,
        pb.QuarantineState.Name(one.state).removeprefix(_PREFIX),
        one.changed_by,
    )


def _shown(one: pb.QuarantinedReceipt) -> dict[str, object]:
    shown: dict[str, object] = json_format.MessageToDict(one, preserving_proto_field_name=True)
    return {**shown, "quarantine_id": one.quarantine_id.hex()}


def _id(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise CtlError(f"{text} is no id: 32 hexadecimal digits") from None


def read_mended(path: Path) -> till_pb.ForwardRequest:
    """Read a corrected receipt; what `show` printed around it may stay.

    Raises:
        CtlError: it cannot be read, or is none.
    """
    try:
        tree = msgspec.json.decode(path.read_bytes())
        tree = tree.get("request", tree) if isinstance(tree, dict) else tree
        if not isinstance(tree, dict):
            raise CtlError(f"{path}: is no receipt as quarantine show prints it")
        return json_format.ParseDict(tree, till_pb.ForwardRequest())
    except OSError as error:
        raise CtlError(f"{path}: {error.strerror}") from None
    except RecursionError:
        raise CtlError(f"{path}: is nested too deeply") from None
    except (msgspec.DecodeError, json_format.ParseError) as error:
        raise CtlError(f"{path}: {error}") from None
