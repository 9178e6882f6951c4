"""What a cash server itself says to a till: broken off, kept, no room; texts to print."""

from collections.abc import Mapping

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, LocalizedMessage, RetryInfo
from google.rpc.status_pb2 import Status

from loyalty.v1.answer_pb2 import Answer, Text, TextPlace
from loyalty.v1.till_service_pb2 import (
    CheckoutResponse,
    DurableResult,
    ForwardResponse,
    RefundResponse,
    VoidResponse,
)
from pos_sim.cash_server.ceiling import Reached
from pos_sim.cash_server.entry import Kind

DOMAIN = "loyalty.v1"
SPOOLED = DurableResult.DURABLE_RESULT_SPOOLED
SMS_TEXTS: Mapping[str, str] = {
    "ru": "Ваши бонусы придут по SMS в течение 24 часов",
    "en": "Your reward will come by SMS within 24 hours",
}
"""What the slip says after a break-off, by language, unless the chain has texts of its own."""


class CashServerError(Exception):
    """A call is not answered live; the status says how the till goes on."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


def broken_off(
    texts: Mapping[str, str], language_code: str, is_kept: bool, is_sent: bool
) -> CashServerError:
    """No answer came in time, or none was waited for.

    Args:
        texts: What to print, by language.
        language_code: Of the cashier; its text stands first.
        is_kept: The spool has the request: it is settled when the link is back.
        is_sent: It may have reached the server.
    """
    metadata = {"result": "UNKNOWN" if is_sent else "REFUSED", "kept": "yes" if is_kept else "no"}
    status = _status(
        grpc.StatusCode.ABORTED,
        "LINK_BROKEN_OFF",
        "broken off: sell without an answer, and send the closed receipt with its outcome",
        metadata,
    )
    first = language_code.partition("-")[0]
    for language in sorted(texts, key=lambda one: (one != first, one)):
        _pack(status, LocalizedMessage(locale=language, message=texts[language]))
    return CashServerError(status)


def over_ceiling(reached: Reached, is_sent: bool) -> CashServerError:
    """The link is down, and no more may be promised."""
    metadata = {
        "result": "UNKNOWN" if is_sent else "REFUSED",
        "ceiling": reached.ceiling,
        "max": str(reached.most),
        "actual": str(reached.actual),
    }
    text = f"the link is down, and {reached.ceiling} of what waits has reached its ceiling"
    precondition = grpc.StatusCode.FAILED_PRECONDITION
    return CashServerError(_status(precondition, "OFFLINE_CEILING", text, metadata))


def not_kept(why: str) -> CashServerError:
    """A fact could neither be sent nor kept: the till must keep it itself."""
    status = _status(
        grpc.StatusCode.UNAVAILABLE,
        "SPOOL_UNAVAILABLE",
        f"keep the receipt and send it again: {why}",
        {"result": "UNKNOWN"},
    )
    _pack(status, RetryInfo(retry_delay=Duration(seconds=5)))
    return CashServerError(status)


def refused(code: grpc.StatusCode, reason: str, text: str, **metadata: str) -> CashServerError:
    """The call cannot be taken as it is."""
    return CashServerError(_status(code, reason, text, {"result": "REFUSED", **metadata}))


def taken(kind: Kind, texts: Mapping[str, str], language_code: str) -> Message:
    """A fact is on disk, and on its way.

    Args:
        kind: A call that can be a fact.
        texts: What to print, by language.
        language_code: Of the cashier; empty or unknown is the first of the texts.
    """
    if kind == Kind.VOID:
        return VoidResponse(result=SPOOLED)
    if kind == Kind.REFUND:
        return RefundResponse(result=SPOOLED)
    if kind == Kind.FORWARD:
        return ForwardResponse(result=SPOOLED)
    language = language_code.partition("-")[0]
    text = texts.get(language) or next(iter(texts.values()), "")
    slip = [Text(place=TextPlace.TEXT_PLACE_SLIP, text=text)] if text else []
    return CheckoutResponse(result=SPOOLED, answer=Answer(texts=slip))


def _status(code: grpc.StatusCode, reason: str, text: str, metadata: Mapping[str, str]) -> Status:
    number: int = code.value[0]
    status = Status(code=number, message=text)
    _pack(status, ErrorInfo(reason=reason, domain=DOMAIN, metadata=dict(metadata)))
    return status


def _pack(status: Status, detail: Message) -> None:
    packed = AnyMessage()
    packed.Pack(detail)
    status.details.append(packed)
