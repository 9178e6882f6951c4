"""What a message of a Session carries: one call, or several, each with its own id and time."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

from google.protobuf.message import Message
from msgspec import Struct

from ext.form import split
from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from server.codec import check
from server.codec.message import parsed, spliced, varint
from server.codec.shape import shape_of
from server.till_servicer import FORMS

TIMEOUT_MS_MAX = 600_000
CALLS_MAX = 4_096
"""Calls, and fields around them, of one message: it is taken in without a turn of the loop."""

Till = tuple[str, str, str]
"""Chain, store and till."""
_Part = tuple[int, int | bytes]
"""Number and content of a field."""
_SIGNED_MAX = 2**63 - 1


class CallKind:
    """What a session knows of one of the calls, by its field in SessionRequest."""

    __slots__ = ("_spell", "name", "till_of")

    def __init__(self, name: str, kind: type[Message]) -> None:
        self.name = name
        answer = pb.SessionResponse.DESCRIPTOR.oneofs_by_name["answer"].fields
        fields = {field.message_type.name: field.name for field in answer if field.message_type}
        field = fields[f"{name}Response"]
        self._spell = shape_of(pb.SessionResponse, "correlation_id", field).one
        self.till_of = _till_reader(kind)

    def spelled(self, correlation_id: int, answer: bytes) -> bytes:
        """Spell SessionResponse as protobuf would, without reading the answer again.

        Args:
            correlation_id: 1 to 2^64 - 1.
            answer: of this call.
        """
        if correlation_id > _SIGNED_MAX:
            correlation_id -= 2**64  # a shape takes the same 64 bits, signed
        return self._spell(correlation_id, answer)


def _till_reader(kind: type[Message]) -> Callable[[Any], Till | None]:
    """How to read the till of a request, by its key or its sale's header; None: it names none."""
    place, fields = "", kind.DESCRIPTOR.fields_by_name
    if "receipt_key" in fields:
        place, fields = "receipt_key.", receipt_pb2.ReceiptKey.DESCRIPTOR.fields_by_name
    elif "sale" in fields:
        place, fields = "sale.header.", receipt_pb2.Header.DESCRIPTOR.fields_by_name
    if "till_id" in fields:
        return attrgetter(f"{place}chain_id", f"{place}store_id", f"{place}till_id")
    return lambda call: None


def _calls() -> dict[str, CallKind]:
    fields = pb.SessionRequest.DESCRIPTOR.oneofs_by_name["call"].fields
    kinds = [(field.name, field.message_type) for field in fields]
    return {
        name: CallKind(kind.name.removesuffix("Request"), getattr(pb, kind.name))
        for name, kind in kinds
        if kind is not None
    }


_CALLS = _calls()
_HEAD = (
    pb.SessionRequest.CORRELATION_ID_FIELD_NUMBER,
    pb.SessionRequest.TIMEOUT_MS_FIELD_NUMBER,
)
"""Field numbers in front of a call, in the order in which they are written."""
_ALONE = len(_HEAD) + 1
"""Fields of a message with one call."""
_MORE = pb.SessionRequest.MORE_FIELD_NUMBER
_TAKES_MORE = pb.SessionRequest.TAKES_MORE_FIELD_NUMBER
_FORMED = {
    field.number: (_CALLS[field.name], FORMS[_CALLS[field.name].name])
    for field in pb.SessionRequest.DESCRIPTOR.oneofs_by_name["call"].fields
    if _CALLS[field.name].name in FORMS
}


class Frame(NamedTuple):
    """A call of the stream: its id and time, and what is called with which request."""

    correlation_id: int
    timeout_ms: int
    known: CallKind
    call: Any


class Unfit(NamedTuple):
    """A call that cannot be taken; id 0 if not even that can be read."""

    correlation_id: int
    refusal: Refusal


class Content(Struct, frozen=True):
    """What a message carries.

    Attributes:
        calls: in their order.
        takes_more: whoever sent it takes several answers in one message.
    """

    calls: list[Frame | Unfit]
    takes_more: bool = False


def read_content(body: bytes) -> Content:
    """Read a message; what is wrong with one of its calls harms no other.

    Args:
        body: a SessionRequest, or whatever was sent as one.

    Returns:
        One entry or more; of a call that cannot be taken why, with its id where that can be read.
        None where it says `takes_more` alone.
    """
    parts = split(body, CALLS_MAX)
    if parts is None:
        return _read_by_stubs(body)
    alone = _formed(parts)
    if alone is not None:
        return Content([alone])
    if len(parts) > CALLS_MAX:
        return Content([_too_many(_id_in(parts), len(parts))])
    own = [part for part in parts if part[0] not in (_MORE, _TAKES_MORE)]
    own_body = body if len(own) == len(parts) else b"".join(map(_spelled, own))
    takes_more = bool(_last_number(parts, _TAKES_MORE))
    calls = [_formed(own) or _read_one(own_body)]
    if takes_more and isinstance(calls[0], Unfit) and _says_that_alone(body):
        return Content([], takes_more)
    for number, content in parts:
        if number == _MORE and isinstance(content, bytes):
            formed = _formed(split(content, _ALONE))
            calls.append(formed or _read_one(content, is_inner=True))
    return Content(calls, takes_more)


def _read_by_stubs(body: bytes) -> Content:
    """Read a message with groups, or one that is not whole."""
    try:
        request = parsed(pb.SessionRequest, body)
    except Refusal as refusal:
        return Content([Unfit(0, refusal)])
    if _has_that_alone(request):
        return Content([], takes_more=True)
    if len(request.more) >= CALLS_MAX:
        return Content([_too_many(request.correlation_id, len(request.more) + 1)])
    calls = [_frame(request), *(_frame(one, is_inner=True) for one in request.more)]
    return Content(calls, request.takes_more)


def _says_that_alone(body: bytes) -> bool:
    try:
        return _has_that_alone(parsed(pb.SessionRequest, body))
    except Refusal:
        return False


def _has_that_alone(request: pb.SessionRequest) -> bool:
    """Whether nothing but `takes_more` is said, of what this version knows."""
    return [field.number for field, _ in request.ListFields()] == [_TAKES_MORE]


def _too_many(correlation_id: int, actual: int) -> Unfit:
    try:
        check.refuse_count("more", actual, CALLS_MAX)
    except Refusal as refusal:
        return Unfit(correlation_id, refusal)


def _id_in(parts: list[_Part] | None) -> int:
    """The id of a call that is not read as a whole; 0 if it has none."""
    return _last_number(parts or [], _HEAD[0])


def _last_number(parts: list[_Part], wanted: int) -> int:
    """The value of a field that has one: of several the last counts, as for protobuf; 0 if none."""
    found = [content for number, content in parts if number == wanted]
    return next((one for one in reversed(found) if isinstance(one, int)), 0)


def _read_one(body: bytes, is_inner: bool = False) -> Frame | Unfit:
    """Read one call by the stubs."""
    try:
        return _frame(parsed(pb.SessionRequest, body), is_inner)
    except Refusal as refusal:
        return Unfit(_id_in(split(body, CALLS_MAX)), refusal)


def _spelled(part: _Part) -> bytes:
    number, content = part
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return spliced(number, content)


def _formed(parts: list[_Part] | None) -> Frame | None:
    """Read a call that has a form; None is that the stubs are to read it."""
    if parts is None or len(parts) != _ALONE:
        return None
    (first, correlation_id), (second, timeout_ms), (number, call_body) = parts
    found = _FORMED.get(number) if (first, second) == _HEAD else None
    if found is None or not isinstance(call_body, bytes):
        return None
    if not isinstance(correlation_id, int) or not isinstance(timeout_ms, int):
        return None
    if not correlation_id or not 1 <= timeout_ms <= TIMEOUT_MS_MAX:
        return None
    known, form = found
    call = form(call_body)
    return None if call is None else Frame(correlation_id, timeout_ms, known, call)


def _frame(request: pb.SessionRequest, is_inner: bool = False) -> Frame | Unfit:
    """Take a call apart that the stubs have read."""
    problem = _problem(request, is_inner)
    if problem is not None:
        return Unfit(request.correlation_id, problem)
    field = request.WhichOneof("call")
    assert field is not None, "a message without a call has a problem"
    return Frame(request.correlation_id, request.timeout_ms, _CALLS[field], getattr(request, field))


def _problem(request: pb.SessionRequest, is_inner: bool) -> Refusal | None:
    """What is wrong around a call."""
    field = request.WhichOneof("call")
    if field is None or not request.correlation_id:
        missing = "correlation_id" if field else "call"
        fields = ((missing, "required"),)
        return Refusal(Reason.FIELD_REQUIRED, f"{missing} is required", fields=fields)
    if not 1 <= request.timeout_ms <= TIMEOUT_MS_MAX:
        text = f"{request.timeout_ms} is not within 1 to {TIMEOUT_MS_MAX}"
        bounds = {"min": "1", "max": str(TIMEOUT_MS_MAX), "actual": str(request.timeout_ms)}
        fields = (("timeout_ms", text),)
        return Refusal(Reason.OUT_OF_RANGE, f"timeout_ms: {text}", bounds, fields)
    if is_inner and request.more:
        text = "a call in `more` has none of its own"
        return Refusal(Reason.INCONSISTENT, text, fields=(("more", text),))
    return None
