"""Budgets of promotions as messages: what is asked for, and pages of what there is."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from loyalty.v1 import back_office_service_pb2 as pb
from rewards.quota import Amount
from server.codec import check
from server.store.leases import BudgetState

PAGE_SIZE_MAX = 1_000
PAGE_SIZE_DEFAULT = 100
PAGE_TOKEN_MAX = 512

_PLACE = msgspec.json.Decoder(tuple[str, str, str])


class WantedBudgets(NamedTuple):
    """Which budgets are asked for.

    Attributes:
        promotion_id: empty is of all promotions.
        after: promotion, store and period of the last one of the page before.
    """

    chain_id: str
    promotion_id: str
    after: tuple[str, str, str]
    size: int


def wanted_budgets_from_pb(request: pb.ListBudgetsRequest) -> WantedBudgets:
    """Read and check the request.

    Raises:
        Refusal: names the field.
    """
    return WantedBudgets(
        check.text_of(request.chain_id, "chain_id"),
        check.optional_text_of(request.promotion_id, "promotion_id"),
        _place_from_token(request.page_token),
        check.number_of(request.page_size, "page_size", 0, PAGE_SIZE_MAX) or PAGE_SIZE_DEFAULT,
    )


def _place_from_token(token: str) -> tuple[str, str, str]:
    if not token:
        return ("", "", "")
    check.text_of(token, "page_token", PAGE_TOKEN_MAX)
    try:
        return _PLACE.decode(token)
    except msgspec.MsgspecError:
        check.refuse_inconsistent("page_token", "is none that this call answered")


def budgets_to_pb(found: Sequence[BudgetState], size: int) -> pb.ListBudgetsResponse:
    """Answer a page.

    Args:
        found: one more than the page holds, if there are more.
        size: of the page.
    """
    response = pb.ListBudgetsResponse()
    for one in found[:size]:
        response.budgets.add(
            promotion_id=one.promotion_id,
            store_id=one.store_id,
            period=one.period,
            most=_amount_to_pb(one.most),
            used=_amount_to_pb(one.used),
            leased=_amount_to_pb(one.leased),
            overrun=_amount_to_pb(one.overrun),
        )
    if len(found) > size:
        last = found[size - 1]
        place = (last.promotion_id, last.store_id, last.period)
        response.next_page_token = msgspec.json.encode(place).decode()
    return response


def _amount_to_pb(amount: Amount) -> pb.BudgetAmount:
    return pb.BudgetAmount(times=amount.times, amount_minor=amount.minor)
