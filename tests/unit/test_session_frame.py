"""A message with several calls reads as each of them alone; a wrong one harms no other."""

import pytest

from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason
from server.codec.message import spliced, varint
from server.session_frame import CALLS_MAX, Content, Frame, Unfit, read_content
from tests.serving import checkout_request

UNKNOWN_FIXED_32 = b"\xfd\x07\x01\x02\x03\x04"
"""Field 127, which no stub knows."""
UNKNOWN_GROUP = b"\xfb\x07\xfc\x07"
"""The same, of a kind that splitting leaves to the stubs."""


def checkout(number: int) -> pb.SessionRequest:
    request = checkout_request(number)
    return pb.SessionRequest(correlation_id=number, timeout_ms=2_000, checkout=request)


def by_stubs(number: int) -> pb.SessionRequest:
    identify = pb.IdentifyRequest(chain_id="demo", store_id="s1")
    return pb.SessionRequest(correlation_id=number, timeout_ms=2_000, identify=identify)


GOOD = [checkout(1), by_stubs(2), checkout(3)]
WITHOUT_CALL = pb.SessionRequest(correlation_id=4, timeout_ms=2_000)
WITHOUT_TIME = pb.SessionRequest(correlation_id=5, identify=by_stubs(5).identify)
NESTED = pb.SessionRequest(correlation_id=6, timeout_ms=2_000, identify=by_stubs(6).identify)
NESTED.more.append(checkout(7))


def inner(body: bytes) -> bytes:
    """A field `more`, whatever its content."""
    assert len(body) < 0x4000
    return b"\x9a\x01" + bytes((len(body) & 0x7F | 0x80, len(body) >> 7)) + body


def shown(content: Content) -> list[tuple[int, str]]:
    """Of each call its id, and its name or why it is none."""
    return [
        (one.correlation_id, one.known.name if isinstance(one, Frame) else one.refusal.reason.value)
        for one in content.calls
    ]


@pytest.mark.parametrize("first", GOOD)
@pytest.mark.parametrize("behind", [b"", UNKNOWN_FIXED_32, UNKNOWN_GROUP])
def test_each_call_reads_as_it_does_alone(first: pb.SessionRequest, behind: bytes) -> None:
    message = pb.SessionRequest.FromString(first.SerializeToString())
    message.more.extend(GOOD)
    content = read_content(message.SerializeToString() + behind)
    alone = [read_content(one.SerializeToString()).calls[0] for one in (first, *GOOD)]
    assert [one[:3] for one in content.calls] == [one[:3] for one in alone]
    assert not content.takes_more
    if not behind:
        assert content.calls == alone


@pytest.mark.parametrize("first", [*GOOD, WITHOUT_CALL])
def test_what_is_wrong_with_one_harms_no_other(first: pb.SessionRequest) -> None:
    noise, bad = b"\xff\xff\xff\xffnoise", [WITHOUT_CALL, WITHOUT_TIME, NESTED]
    more = [noise, *(one.SerializeToString() for one in bad), checkout(8).SerializeToString()]
    content = read_content(b"".join([first.SerializeToString(), *map(inner, more)]))
    assert shown(content) == [
        *shown(read_content(first.SerializeToString())),
        (0, Reason.MALFORMED_MESSAGE),
        (4, Reason.FIELD_REQUIRED),
        (5, Reason.OUT_OF_RANGE),
        (6, Reason.INCONSISTENT),
        (8, "Checkout"),
    ]


@pytest.mark.parametrize("behind", [b"", UNKNOWN_FIXED_32, UNKNOWN_GROUP])
def test_who_takes_several_answers_says_so(behind: bytes) -> None:
    message = pb.SessionRequest.FromString(checkout(1).SerializeToString())
    message.takes_more = True
    assert read_content(message.SerializeToString() + behind).takes_more
    assert not read_content(checkout(1).SerializeToString() + behind).takes_more


TAKES_MORE = pb.SessionRequest(takes_more=True).SerializeToString()
UNKNOWN_NUMBER = b"\xf8\x07\x05"
"""The same field, of a kind that splitting finds."""
BEHIND = [b"", UNKNOWN_FIXED_32, UNKNOWN_NUMBER, UNKNOWN_GROUP]


@pytest.mark.parametrize("behind", BEHIND)
def test_a_message_may_say_that_alone(behind: bytes) -> None:
    """Nobody waits for an answer to it, so that a refusal would be told of another call."""
    content = read_content(TAKES_MORE + behind)
    assert (content.calls, content.takes_more) == ([], True)


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize(
    ("beside", "told"),
    [
        (b"", [(0, Reason.FIELD_REQUIRED)]),
        (b"\xa0\x01\x00", [(0, Reason.FIELD_REQUIRED)]),
        (TAKES_MORE + b"\x10\x05", [(0, Reason.FIELD_REQUIRED)]),
        (TAKES_MORE + b"\x08\x09", [(9, Reason.FIELD_REQUIRED)]),
        (TAKES_MORE + by_stubs(9).SerializeToString(), [(9, "Identify")]),
        (
            TAKES_MORE + inner(by_stubs(9).SerializeToString()),
            [(0, Reason.FIELD_REQUIRED), (9, "Identify")],
        ),
        (TAKES_MORE + inner(TAKES_MORE), [(0, Reason.FIELD_REQUIRED)] * 2),
    ],
)
def test_whatever_else_lacks_its_call_is_refused(
    beside: bytes, told: list[tuple[int, str]], behind: bytes
) -> None:
    assert shown(read_content(beside + behind)) == told


@pytest.mark.parametrize("behind", ["", "unknown group"])
@pytest.mark.parametrize(
    ("said", "takes_more"), [((1, 0), False), ((0, 1), True), ((2,), True), ((2**40,), True)]
)
def test_the_last_that_is_said_of_it_counts(
    said: tuple[int, ...], takes_more: bool, behind: str
) -> None:
    spelled = [b"\xa0\x01" + varint(one) for one in said]
    body = b"".join([checkout(1).SerializeToString(), *spelled])
    read = read_content(body + (UNKNOWN_GROUP if behind else b""))
    assert read.takes_more is takes_more
    assert pb.SessionRequest.FromString(body).takes_more is takes_more


def test_noise_is_one_call_that_is_none() -> None:
    (only,) = read_content(b"\xff\xff\xff\xffnoise").calls
    assert isinstance(only, Unfit)
    assert (only.correlation_id, only.refusal.reason) == (0, Reason.MALFORMED_MESSAGE)


@pytest.mark.parametrize("correlation_id", [1, 127, 128, 2**63 - 1, 2**63, 2**64 - 1])
def test_an_answer_is_spelled_as_the_stubs_do(correlation_id: int) -> None:
    request = pb.SessionRequest(
        correlation_id=correlation_id, timeout_ms=1_000, checkout=checkout_request(1)
    )
    (frame,) = read_content(request.SerializeToString()).calls
    assert isinstance(frame, Frame)
    answer = pb.CheckoutResponse(result=pb.DURABLE_RESULT_COMMITTED, fingerprint=b"f")
    told = pb.SessionResponse(correlation_id=correlation_id, checkout=answer).SerializeToString()
    assert frame.known.spelled(correlation_id, answer.SerializeToString()) == told


@pytest.mark.parametrize("behind", [b"", UNKNOWN_GROUP])
def test_a_message_of_too_many_calls_is_refused_at_once(behind: bytes) -> None:
    """Each call costs the loop time before anybody else has a turn."""
    most = checkout(1).SerializeToString() + inner(b"") * (CALLS_MAX - 4)
    assert len(read_content(most + behind).calls) == CALLS_MAX - 3
    (only,) = read_content(most + inner(b"") * 4 + behind).calls
    assert isinstance(only, Unfit)
    assert (only.correlation_id, only.refusal.reason) == (1, Reason.LIMIT_EXCEEDED)
    assert only.refusal.metadata["max"] == str(CALLS_MAX)


@pytest.mark.parametrize("inside", [False, True])
def test_a_call_that_cannot_be_read_is_told_by_its_id(inside: bool) -> None:
    """Whoever asked waits for that id."""
    bad = b"\x08\x2a\x10\x01" + spliced(
        pb.SessionRequest.BREAK_OFF_FIELD_NUMBER, b"\x0a\x03\xed\xa0\x80"
    )
    told = read_content(checkout(1).SerializeToString() + inner(bad) if inside else bad).calls[-1]
    assert isinstance(told, Unfit)
    assert (told.correlation_id, told.refusal.reason) == (42, Reason.MALFORMED_MESSAGE)


def test_a_short_message_keeps_the_calls_behind_its_own() -> None:
    short = pb.SessionRequest(correlation_id=3, checkout=pb.CheckoutRequest())
    content = read_content(short.SerializeToString() + inner(checkout(8).SerializeToString()))
    assert shown(content) == [(3, Reason.OUT_OF_RANGE), (8, "Checkout")]


def test_a_number_out_of_range_is_told_with_its_bounds() -> None:
    (only,) = read_content(WITHOUT_TIME.SerializeToString()).calls
    assert isinstance(only, Unfit)
    assert only.refusal.metadata == {"min": "1", "max": "600000", "actual": "0"}
