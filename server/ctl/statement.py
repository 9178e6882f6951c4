"""`loyaltyctl ledger statement`: what a customer owns, and what changed it."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
import typer
from google.protobuf.json_format import MessageToDict

from loyalty.v1 import customer_service_pb2 as cs
from loyalty.v1.customer_service_pb2_grpc import CustomerServiceStub
from server.ctl.instant import parse_instant, show_instant
from server.ctl.link import CALL_TIMEOUT_S, customer_service
from server.ctl.option import TARGET, Json, Target
from server.ctl.reference import Chain, Customer, Identifier, reference, show_amount
from server.ctl.say import say, say_table

PAGE = 500

From = Annotated[str, typer.Option("--from", help="from when: RFC 3339", show_default=False)]
To = Annotated[str, typer.Option("--to", help="up to when, not included: RFC 3339, or now")]


def statement(
    chain: Chain,
    customer: Customer = "",
    identifier: Identifier = "",
    from_: From = "",
    to: To = "now",
    json: Json = False,
    target: Target = TARGET,
) -> None:
    """Show what a customer owns, when it ends, and every entry with the balance after it."""
    who = reference(customer, identifier)
    request = cs.GetStatementRequest(
        chain_id=chain,
        customer=who,
        from_us=parse_instant(from_) if from_ else 0,
        to_us=parse_instant(to),
        page_size=PAGE,
    )
    with customer_service(target) as stub:
        asked = cs.GetBalanceRequest(chain_id=chain, customer=who)
        balance = stub.GetBalance(asked, timeout=CALL_TIMEOUT_S)
        entries = _entries(stub, request)
    if json:
        trees = [MessageToDict(one, preserving_proto_field_name=True) for one in entries]
        tree = MessageToDict(balance, preserving_proto_field_name=True)
        say(msgspec.json.encode({**tree, "entries": trees}).decode())
        return
    say_positions(balance.positions)
    decimals = {one.asset_code: one.decimals for one in balance.positions}
    columns = (
        "counts from",
        "recorded",
        "what",
        "promotion",
        "store",
        "asset",
        "amount",
        "balance",
    )
    rows = [_row(one, decimals.get(one.asset_code, 0)) for one in entries]
    say_table("Statement", columns, rows)


def say_positions(positions: Iterable[cs.AssetPosition]) -> None:
    """Show what an account owns, owes and waits for, and what ends soonest."""
    columns = ("asset", "balance", "active", "pending", "held", "debt", "ends soonest")
    say_table("Account", columns, [_position(one) for one in positions])


def _position(one: cs.AssetPosition) -> tuple[str, ...]:
    amounts = (
        one.amount_minor,
        one.active_minor,
        one.pending_minor,
        one.held_minor,
        one.debt_minor,
    )
    ends = "never"
    if one.expiring:
        first = one.expiring[0]
        ends = f"{show_amount(first.amount_minor, one.decimals)} at {show_instant(first.at_us)}"
    return (one.asset_code, *(show_amount(minor, one.decimals) for minor in amounts), ends)


def _entries(stub: CustomerServiceStub, request: cs.GetStatementRequest) -> list[cs.StatementEntry]:
    found: list[cs.StatementEntry] = []
    while True:
        page = stub.GetStatement(request, timeout=CALL_TIMEOUT_S)
        found.extend(page.entries)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
        request.known_at_us = page.known_at_us


def _row(one: cs.StatementEntry, decimals: int) -> tuple[str, ...]:
    kind = cs.EntryKind.Name(one.kind).removeprefix("ENTRY_KIND_").lower()
    return (
        show_instant(one.effective_at_us),
        show_instant(one.recorded_at_us),
        kind,
        one.promotion_id,
        one.store_id,
        one.asset_code,
        show_amount(one.amount_minor, decimals),
        show_amount(one.balance_minor, decimals),
    )
