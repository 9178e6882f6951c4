"""Messages spliced from stored bytes are those protobuf itself would spell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.codec.message import parsed, spliced

RECEIPT_IDS = st.binary(max_size=300)
SOLD_STATES = (pb.RECEIPT_STATE_COMMITTED, pb.RECEIPT_STATE_VOIDED)
ANSWERS = [field.name for field in pb.SessionResponse.DESCRIPTOR.oneofs_by_name["answer"].fields]


@given(RECEIPT_IDS, st.integers(0, 2**60), st.sampled_from(SOLD_STATES))
def test_a_stored_checkout_in_a_break_off(
    receipt_id: bytes, at_us: int, state: pb.ReceiptState.ValueType
) -> None:
    checkout = pb.CheckoutResponse(receipt_id=receipt_id, decided_at_us=at_us)
    result = pb.DURABLE_RESULT_COMMITTED
    whole = pb.BreakOffResponse(result=result, state=state, checkout=checkout)
    head = pb.BreakOffResponse(result=result, state=state).SerializeToString()
    number = pb.BreakOffResponse.CHECKOUT_FIELD_NUMBER
    assert head + spliced(number, checkout.SerializeToString()) == whole.SerializeToString()


@given(RECEIPT_IDS, RECEIPT_IDS)
def test_two_stored_answers_in_one_message(first: bytes, second: bytes) -> None:
    checkout, void = pb.CheckoutResponse(receipt_id=first), pb.VoidResponse(receipt_id=second)
    state = pb.RECEIPT_STATE_VOIDED
    whole = pb.GetReceiptResponse(state=state, checkout=checkout, void_receipt=void)
    body = pb.GetReceiptResponse(state=state).SerializeToString()
    body += spliced(2, checkout.SerializeToString()) + spliced(3, void.SerializeToString())
    assert body == whole.SerializeToString()


@pytest.mark.parametrize("field", [name for name in ANSWERS if name != "go_away"])
@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 300_000])
def test_every_answer_of_a_session(field: str, length: int) -> None:
    """Field numbers of one and two bytes, lengths of one to three."""
    number = pb.SessionResponse.DESCRIPTOR.fields_by_name[field].number
    body = b"\xfa\x3f" + _length(length) + bytes(length)  # field 1023: unknown to all of them
    whole = pb.SessionResponse(correlation_id=9)
    getattr(whole, field).MergeFromString(body)
    head = pb.SessionResponse(correlation_id=9).SerializeToString()
    assert head + spliced(number, body) == whole.SerializeToString()


def _length(length: int) -> bytes:
    """A length as protobuf spells it, taken from protobuf."""
    message = receipt_pb2.Identifier(value="x" * length).SerializeToString()
    return message[1 : len(message) - length] if length else b"\x00"


def test_bytes_come_back_as_a_message() -> None:
    key = receipt_pb2.ReceiptKey(chain_id="chain")
    assert parsed(receipt_pb2.ReceiptKey, key.SerializeToString()) == key
    assert parsed(receipt_pb2.ReceiptKey, b"") == receipt_pb2.ReceiptKey()


def test_what_is_no_message_is_refused_by_name() -> None:
    with pytest.raises(Refusal, match="no ReceiptKey") as caught:
        parsed(receipt_pb2.ReceiptKey, b"\xff")
    assert caught.value.reason is Reason.MALFORMED_MESSAGE
