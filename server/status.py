"""How a refusal travels: gRPC status, ErrorInfo, BadRequest and RetryInfo. One table."""

from typing import Any, Never

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from rewards.refusal import Reason, Refusal

ERROR_DOMAIN = "loyalty.v1"
STATUS_DETAILS_KEY = "grpc-status-details-bin"

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
_CUT = "..."
_CHARACTER_BYTES_MAX = 4
_AROUND_BYTES = 3
"""Tag and length in front of a named field."""

CODE_BY_REASON: dict[Reason, grpc.StatusCode] = {
    Reason.MALFORMED_MESSAGE: _INVALID,
    Reason.FIELD_REQUIRED: _INVALID,
    Reason.OUT_OF_RANGE: _INVALID,
    Reason.UNKNOWN_ENUM_VALUE: _INVALID,
    Reason.BAD_TEXT: _INVALID,
    Reason.LIMIT_EXCEEDED: _INVALID,
    Reason.INCONSISTENT: _INVALID,
    Reason.CONTROL_TOTALS_MISMATCH: _INVALID,
    Reason.CURRENCY_MISMATCH: _INVALID,
    Reason.UNKNOWN_STORE: _PRECONDITION,
    Reason.NO_RULESET: _PRECONDITION,
    Reason.TOKEN_INVALID: _INVALID,
    Reason.TOKEN_FOREIGN: _PRECONDITION,
    Reason.TOKEN_EXPIRED: _PRECONDITION,
    Reason.PRICE_WOULD_RISE: _PRECONDITION,
    Reason.KEY_CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
    Reason.BROKEN_OFF: _PRECONDITION,
    Reason.BASKET_SOLD: _PRECONDITION,
    Reason.RECEIPT_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.RECEIPT_STATE: _PRECONDITION,
    Reason.DEADLINE_PASSED: grpc.StatusCode.DEADLINE_EXCEEDED,
    Reason.RESULT_UNKNOWN: _UNAVAILABLE,
    Reason.STORE_UNAVAILABLE: _UNAVAILABLE,
    Reason.TOO_MANY_IN_FLIGHT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.DRAINING: _UNAVAILABLE,
    Reason.NOT_OFFERED: grpc.StatusCode.UNIMPLEMENTED,
    Reason.CUSTOMER_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.ANSWER_REJECTED: _INVALID,
    Reason.PROGRAM_INVALID: _INVALID,
    Reason.EFFECTIVE_TOO_EARLY: _PRECONDITION,
    Reason.INTERNAL: grpc.StatusCode.INTERNAL,
    Reason.SPEND_NOT_POSSIBLE: _PRECONDITION,
    Reason.GIFT_CARD_STATE: _PRECONDITION,
    Reason.TRANSFER_STATE: _PRECONDITION,
    Reason.TRANSFER_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.MESSAGE_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.HOLD_EXPIRED: _PRECONDITION,
    Reason.LINE_NOT_FOUND: _PRECONDITION,
    Reason.MORE_THAN_SOLD: _PRECONDITION,
    Reason.NOT_WHOLE_PIECES: _PRECONDITION,
    Reason.REFUND_FORBIDDEN: _PRECONDITION,
    Reason.ORIGINAL_REQUIRED: _PRECONDITION,
    Reason.RETURN_AMOUNT: _PRECONDITION,
    Reason.IDENTIFIER_TAKEN: grpc.StatusCode.ALREADY_EXISTS,
    Reason.MEMBERSHIP_STATE: _PRECONDITION,
    Reason.GOODWILL_LIMIT: _PRECONDITION,
    Reason.PERIOD_CLOSED: _PRECONDITION,
    Reason.LINK_BROKEN_OFF: grpc.StatusCode.ABORTED,
    Reason.OFFLINE_CEILING: _PRECONDITION,
    Reason.SPOOL_UNAVAILABLE: _UNAVAILABLE,
    Reason.FORWARDED: _PRECONDITION,
    Reason.INSTANT_NOT_ACCEPTED: _PRECONDITION,
    Reason.QUARANTINED_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.QUARANTINE_STATE: _PRECONDITION,
}

RETRY_AFTER_MS: dict[Reason, int] = {
    Reason.RESULT_UNKNOWN: 200,
    Reason.STORE_UNAVAILABLE: 500,
    Reason.TOO_MANY_IN_FLIGHT: 50,
    Reason.DRAINING: 100,
}
"""How long to wait before asking again, milliseconds, where waiting helps."""

# A client takes 8 KiB of trailers; of what is longer it drops all, and nobody learns the reason.
MESSAGE_BYTES_MAX = 512
"""It travels twice, and in the trailers a byte that is not ASCII is spelled with three."""
TEXT_BYTES_MAX = 512
"""Of a fact, a field's path, or what is wrong with it: the longest text of a request fits."""
DETAILS_BYTES_MAX = 4_096
"""With the message; trailers spell them with a third more."""


def status_of(refusal: Refusal) -> Status:
    """Spell a refusal as google.rpc.Status with its details: as much of it as a client takes.

    Longer texts are cut, and of the fields the first are named.
    """
    message = _cut(refusal.message, MESSAGE_BYTES_MAX)
    status = Status(code=_number(CODE_BY_REASON[refusal.reason]), message=message)
    result = "UNKNOWN" if refusal.reason is Reason.RESULT_UNKNOWN else "REFUSED"
    metadata = {name: _cut(fact) for name, fact in refusal.metadata.items()}
    metadata["result"] = result
    info = ErrorInfo(reason=refusal.reason.value, domain=ERROR_DOMAIN, metadata=metadata)
    status.details.append(_packed(info))
    if refusal.fields:
        room = DETAILS_BYTES_MAX - status.ByteSize()
        status.details.append(_packed(_bad_request(refusal, room)))
    wait_ms = RETRY_AFTER_MS.get(refusal.reason)
    if wait_ms is not None:
        status.details.append(_packed(RetryInfo(retry_delay=Duration(nanos=wait_ms * 1_000_000))))
    return status


async def abort(context: grpc.aio.ServicerContext[Any, Any], refusal: Refusal) -> Never:
    """End a unary call with a refusal.

    Raises:
        grpc.aio.AbortError: always; gRPC ends the call with the status.
    """
    status = status_of(refusal)
    details = ((STATUS_DETAILS_KEY, status.SerializeToString()),)
    await context.abort(CODE_BY_REASON[refusal.reason], status.message, details)
    raise AssertionError("abort returned")


def _number(code: grpc.StatusCode) -> int:
    number = code.value[0]
    assert isinstance(number, int)
    return number


def _bad_request(refusal: Refusal, room: int) -> BadRequest:
    """Name the first fields, as many as have room in so many bytes, and one at least."""
    named = BadRequest()
    for path, text in refusal.fields:
        one = named.field_violations.add(field=_cut(path), description=_cut(text))
        room -= one.ByteSize() + _AROUND_BYTES
        if room < 0 and len(named.field_violations) > 1:
            del named.field_violations[-1]
            break
    return named


def _cut(text: str, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """Cut a text to so many bytes of UTF-8."""
    if len(text) * _CHARACTER_BYTES_MAX <= bytes_max:
        return text
    spelled = text.encode()
    if len(spelled) <= bytes_max:
        return text
    return spelled[: bytes_max - len(_CUT)].decode(errors="ignore") + _CUT


def _packed(message: ErrorInfo | BadRequest | RetryInfo) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
