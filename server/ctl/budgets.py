"""`loyaltyctl ledger budgets`: limits over many receipts, and what is left of them."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer
from google.protobuf.json_format import MessageToDict

from loyalty.v1 import back_office_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.ctl.link import CALL_TIMEOUT_S, back_office
from server.ctl.option import TARGET, Json, Target
from server.ctl.reference import Chain
from server.ctl.say import say, say_table

PAGE_SIZE = 1_000
_NO_LIMIT = -1

Promotion = Annotated[str, typer.Option("--promotion", help="only of this promotion")]


def budgets(
    chain: Chain, promotion: Promotion = "", json: Json = False, target: Target = TARGET
) -> None:
    """List budgets of promotions: limit, used, leased by servers, overrun by facts."""
    with back_office(target) as stub:
        found = list(_all(stub, chain, promotion))
    if json:
        shown = [MessageToDict(one, preserving_proto_field_name=True) for one in found]
        say(msgspec.json.encode({"budgets": shown}).decode())
        return
    columns = ("promotion", "store", "period", "limit", "used", "leased", "overrun")
    say_table(f"{chain}: receipts / minor units of money", columns, [_row(one) for one in found])


def _all(stub: BackOfficeServiceStub, chain: str, promotion: str) -> Iterator[pb.Budget]:
    request = pb.ListBudgetsRequest(chain_id=chain, promotion_id=promotion, page_size=PAGE_SIZE)
    while True:
        page = stub.ListBudgets(request, timeout=CALL_TIMEOUT_S)
        yield from page.budgets
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _row(one: pb.Budget) -> tuple[str, ...]:
    amounts = (one.most, one.used, one.leased, one.overrun)
    head = (one.promotion_id, one.store_id or "all", one.period or "ever")
    return (*head, *[_amount(amount) for amount in amounts])


def _amount(amount: pb.BudgetAmount) -> str:
    figures = (amount.times, amount.amount_minor)
    return " / ".join("-" if one == _NO_LIMIT else f"{one:,}" for one in figures)
