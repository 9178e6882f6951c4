"""`loyaltyctl customer`: show a customer's account, merge two, households."""

import uuid
from collections.abc import Iterable
from typing import Annotated

import typer

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import ledger_pb2 as pb
from server.ctl.link import CALL_TIMEOUT_S, back_office
from server.ctl.option import TARGET, Target
from server.ctl.reference import (
    Chain,
    Customer,
    Identifier,
    reference,
    reference_of,
    show_amount,
)
from server.ctl.say import say, say_table
from server.ctl.statement import say_positions

app = typer.Typer(help="Look at customers' accounts, merge them.", no_args_is_help=True)

By = Annotated[str, typer.Option(help="who does it")]
Losing = Annotated[str, typer.Argument(help="number, or kind:value; its account ends")]
Winning = Annotated[str, typer.Argument(help="number, or kind:value; its account stays")]
Who = Annotated[str, typer.Argument(help="number, or kind:value")]
Member = Annotated[str, typer.Argument(help="a member: number, or kind:value")]


@app.callback()
def customer() -> None:
    """Look at customers' accounts, merge them."""


@app.command()
def show(
    chain: Chain, customer: Customer = "", identifier: Identifier = "", target: Target = TARGET
) -> None:
    """Show the account of a customer: its members, and what it owns. Nothing personal."""
    request = pb.GetCustomerRequest(chain_id=chain, customer=reference(customer, identifier))
    with back_office(target) as stub:
        found = stub.GetCustomer(request, timeout=CALL_TIMEOUT_S)
    kind = pb.AccountKind.Name(found.account_kind).removeprefix("ACCOUNT_KIND_").lower()
    rows = [_member(one) for one in found.members]
    title = f"{found.customer_number}: account of a {kind}, {found.purchases:,} purchases"
    say_table(title, ("customer", "state", "identifiers"), rows)
    say_positions(found.positions)


@app.command()
def merge(losing: Losing, winning: Winning, chain: Chain, by: By, target: Target = TARGET) -> None:
    """Move everything of one account to another, for ever."""
    request = pb.MergeAccountsRequest(
        chain_id=chain, losing=reference_of(losing), winning=reference_of(winning), merged_by=by
    )
    with back_office(target) as stub:
        found = stub.MergeAccounts(request, timeout=CALL_TIMEOUT_S)
    say(f"merged: {found.customers} customer(s), {found.lots:,} lot(s) moved")
    _say_moved(found.moved)


@app.command()
def join(who: Who, member: Member, chain: Chain, by: By, target: Target = TARGET) -> None:
    """Move a customer, with all that their account owns, into the household of another."""
    request = pb.JoinHouseholdRequest(
        join_id=uuid.uuid4().bytes,
        chain_id=chain,
        customer=reference_of(who),
        member=reference_of(member),
        joined_by=by,
    )
    with back_office(target) as stub:
        found = stub.JoinHousehold(request, timeout=CALL_TIMEOUT_S)
    say(f"joined: the household has {found.members} members")
    _say_moved(found.moved)


@app.command()
def leave(who: Who, chain: Chain, by: By, target: Target = TARGET) -> None:
    """Give a member of a household an empty account; what the household owns stays there."""
    request = pb.LeaveHouseholdRequest(
        leave_id=uuid.uuid4().bytes, chain_id=chain, customer=reference_of(who), left_by=by
    )
    with back_office(target) as stub:
        found = stub.LeaveHousehold(request, timeout=CALL_TIMEOUT_S)
    say(f"left: the household has {found.members} member(s)")


def _member(one: pb.AccountMember) -> tuple[str, str, str]:
    state = answer_pb2.CustomerState.Name(one.state).removeprefix("CUSTOMER_STATE_").lower()
    counts = [
        f"{receipt_pb2.IdentifierKind.Name(i.kind).removeprefix('IDENTIFIER_KIND_').lower()} "
        f"{i.count}"
        for i in one.identifiers
    ]
    return one.customer_number, state, ", ".join(counts)


def _say_moved(moved: Iterable[pb.MergedBalance]) -> None:
    rows = [(one.asset_code, show_amount(one.amount_minor)) for one in moved]
    if rows:
        say_table("Moved", ("asset", "minor units"), rows)
