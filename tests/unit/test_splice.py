"""Messages that are put together from bytes are those that the stubs would have made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from pos_sim import splice
from pos_sim.cash_server.entry import Entry, Kind, digest_of, spell_key
from pos_sim.cash_server.forwarding import write_forward
from tests import make

PLAIN, AS_ANSWERED = receipt_pb2.OUTCOME_KIND_PLAIN, receipt_pb2.OUTCOME_KIND_AS_ANSWERED


def entry_of(request: pb.CheckoutRequest, sold_at_us: int) -> Entry:
    return Entry(
        till="t",
        key=spell_key(request.receipt_key),
        kind=Kind.CHECKOUT,
        digest=digest_of(Kind.CHECKOUT, request),
        body=request.SerializeToString(),
        is_fact=True,
        has_outcome=request.HasField("outcome"),
        arrived_at_us=0,
        sold_at_us=sold_at_us,
        till_offset_us=0,
        amount_minor=0,
    )


@given(
    token=st.binary(max_size=300),
    basket_id=st.sampled_from([b"", bytes(16)]),
    attempt=st.integers(0, 200),
    stated=st.integers(0, 3),
    offset_us=st.integers(-(2**40), 2**40),
)
def test_a_checkout_is_forwarded_as_it_was_said(
    token: bytes, basket_id: bytes, attempt: int, stated: int, offset_us: int
) -> None:
    request = make.checkout_request()
    request.closed = True
    request.token, request.basket_id, request.attempt = token, basket_id, attempt
    if stated:
        request.outcome.kind, request.outcome.number = receipt_pb2.OUTCOME_KIND_OTHER, stated
        request.outcome.lines.add(line_id="1", amount_minor=stated)
    made = pb.ForwardRequest.FromString(write_forward(entry_of(request, 1_000), offset_us))
    unsaid = receipt_pb2.Outcome(kind=AS_ANSWERED if token else PLAIN, number=1)
    assert made == pb.ForwardRequest(
        receipt_key=request.receipt_key,
        sale=request.sale,
        outcome=request.outcome if stated else unsaid,
        sold_at_us=1_000,
        clock_offset_us=offset_us,
        basket_id=basket_id,
        token=token,
    )


@given(number=st.integers(1, 2**29 - 1), content=st.binary(max_size=300))
def test_a_field_is_read_as_it_was_spelled(number: int, content: bytes) -> None:
    assert [*splice.fields_of(splice.field(number, content))] == [(number, content)]


@pytest.mark.parametrize("message", [b"\x0a", b"\x0a\x05ab", b"\x80", b"\x0b", b"\x09abc"])
def test_what_is_no_message_is_said(message: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        [*splice.fields_of(message)]
