"""What a request has beside its sale is bounded, too: choices made, and what was done by line."""

import asyncio
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from loyalty.v1 import receipt_pb2 as pb
from loyalty.v1 import till_service_pb2 as till
from rewards.refusal import Reason, Refusal
from server.till.advice import advice_from_pb
from server.till.checkout import read_command
from server.till.quote import quote
from tests import make

L64, L65 = "x" * 64, "x" * 65
REQUIRED, RANGE, TEXT = Reason.FIELD_REQUIRED, Reason.OUT_OF_RANGE, Reason.BAD_TEXT
TOO_LONG = {"min": "1", "max": "64", "actual": "65"}


def refused(call: Callable[[], object]) -> tuple[Reason, str, dict[str, str]]:
    """(reason, field, metadata) of a refusal that names one field."""
    with pytest.raises(Refusal) as caught:
        call()
    ((field, _),) = caught.value.fields
    return caught.value.reason, field, dict(caught.value.metadata)


CONTEXT: Any = SimpleNamespace(hash_identifier=make.hash_identifier)
LATER_S = 1.0
Choices = list[pb.Choice]


def checkout_of(choices: Choices) -> object:
    return read_command(CONTEXT, make.checkout_request(choices=choices))


def quote_of(choices: Choices) -> object:
    request = till.QuoteRequest(basket_id=bytes(16), sale=make.pb_sale(), choices=choices)
    return asyncio.run(quote(CONTEXT, request, LATER_S))


def forward_of(choices: Choices, **advice: Any) -> object:
    request = till.ForwardRequest(
        receipt_key=make.pb_receipt_key(),
        outcome=pb.Outcome(kind=pb.OUTCOME_KIND_AS_ANSWERED, number=1),
        sold_at_us=1,
        choices=choices,
        **advice,
    )
    return advice_from_pb(CONTEXT, request)


CHOOSING: dict[str, Callable[[Choices], object]] = {
    "Checkout": checkout_of,
    "Quote": quote_of,
    "Forward of a sale": partial(forward_of, sale=make.pb_sale()),
    "Forward of a refund": partial(forward_of, refund=till.RefundRequest()),
    "Forward of a void": partial(forward_of, void_receipt=till.VoidRequest()),
}
CHOICE = pb.Choice(promotion_id=L64, option_id=L64)


@pytest.mark.parametrize("call", CHOOSING.values(), ids=CHOOSING)
@pytest.mark.parametrize(
    ("choices", "reason", "field", "metadata"),
    [
        ([CHOICE] * 101, Reason.LIMIT_EXCEEDED, "choices", {"max": "100", "actual": "101"}),
        ([pb.Choice(option_id="a")], REQUIRED, "choices[0].promotion_id", {}),
        ([pb.Choice(promotion_id="a")], REQUIRED, "choices[0].option_id", {}),
        (
            [CHOICE, pb.Choice(promotion_id=L65, option_id="a")],
            RANGE,
            "choices[1].promotion_id",
            TOO_LONG,
        ),
        (
            [CHOICE, pb.Choice(promotion_id="a", option_id=L65)],
            RANGE,
            "choices[1].option_id",
            TOO_LONG,
        ),
        (
            [pb.Choice(promotion_id="a\0b", option_id="a")],
            TEXT,
            "choices[0].promotion_id",
            {},
        ),
        ([pb.Choice(promotion_id="a", option_id="\0")], TEXT, "choices[0].option_id", {}),
    ],
)
def test_a_bad_choice_is_refused(
    call: Callable[[Choices], object],
    choices: Choices,
    reason: Reason,
    field: str,
    metadata: dict[str, str],
) -> None:
    assert refused(partial(call, choices)) == (reason, field, metadata)


def test_good_choices_pass() -> None:
    assert checkout_of([CHOICE] * 100)
    assert forward_of([CHOICE] * 100, sale=make.pb_sale())


@pytest.mark.parametrize(
    ("line_ids", "field"),
    [
        (["1", "3"], "outcome.lines[1].line_id"),
        (["2", "1", "2"], "outcome.lines[2].line_id"),
    ],
)
def test_an_outcome_states_lines_of_its_sale_each_once(line_ids: list[str], field: str) -> None:
    sale = make.pb_sale(make.pb_line(), make.pb_line(line_id="2"))
    lines = [pb.OutcomeLine(line_id=one) for one in line_ids]
    request = make.checkout_request(
        sale=sale,
        closed=True,
        outcome=pb.Outcome(kind=pb.OUTCOME_KIND_OTHER, number=1, lines=lines[:1]),
    )
    assert read_command(CONTEXT, request).outcome is not None
    request.outcome.lines.extend(lines[1:])
    assert refused(partial(read_command, CONTEXT, request)) == (Reason.INCONSISTENT, field, {})
