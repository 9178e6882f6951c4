"""One catalogue, one table, one list: the domain, the contract and the status table agree."""

from base64 import b64encode
from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo

from loyalty.v1 import answer_pb2, benefit_pb2, errors_pb2, outbox_pb2, receipt_pb2
from loyalty.v1 import till_service_pb2 as till
from rewards.benefit import Benefit, PriceBenefit
from rewards.commit import KeyKind
from rewards.decide import DifferenceReason
from rewards.facts import CustomerState
from rewards.outbox import MessageState
from rewards.program_check import LANES_ALLOWED, benefit_code
from rewards.prompts import PromptReason
from rewards.refusal import Reason, Refusal
from rewards.ruleset import CHANNEL_NUMBERS, LANE_NUMBERS
from rewards.sale import (
    EntryMethod,
    LineAction,
    LineKind,
    OutcomeKind,
    PriceSource,
    SaleMode,
    TenderKind,
    Unit,
)
from rewards.trace import Condition, TraceOutcome
from server.codec import line_pb
from server.status import CODE_BY_REASON, ERROR_DOMAIN, RETRY_AFTER_MS, status_of
from server.till.checkout import ExceptionKind
from server.till_servicer import NOT_OFFERED, OFFERED, REQUEST_KINDS, check_contract
from tests import make


def by_name(kind: Any) -> dict[str, int]:
    """Names of a proto enum without their prefix, and their numbers; without the zero."""
    pairs = [(value.name, value.number) for value in kind.DESCRIPTOR.values]
    zero, number = pairs[0]
    prefix = zero.removesuffix("UNSPECIFIED")
    assert (number, zero) == (0, f"{prefix}UNSPECIFIED")
    assert all(name.startswith(prefix) for name, _ in pairs)
    return {name.removeprefix(prefix): number for name, number in pairs[1:]}


def test_the_reasons_are_those_of_the_contract() -> None:
    assert {reason.value for reason in Reason} == set(by_name(errors_pb2.ErrorReason))
    assert [reason.name for reason in Reason] == [reason.value for reason in Reason]


def test_every_reason_has_one_status() -> None:
    assert set(CODE_BY_REASON) == set(Reason)
    assert grpc.StatusCode.OK not in CODE_BY_REASON.values()


STATUSES = {
    "INVALID_ARGUMENT": "MALFORMED_MESSAGE FIELD_REQUIRED OUT_OF_RANGE UNKNOWN_ENUM_VALUE BAD_TEXT"
    " LIMIT_EXCEEDED INCONSISTENT CONTROL_TOTALS_MISMATCH CURRENCY_MISMATCH TOKEN_INVALID"
    " ANSWER_REJECTED PROGRAM_INVALID",
    "FAILED_PRECONDITION": "UNKNOWN_STORE NO_RULESET TOKEN_FOREIGN TOKEN_EXPIRED PRICE_WOULD_RISE"
    " BROKEN_OFF BASKET_SOLD RECEIPT_STATE EFFECTIVE_TOO_EARLY SPEND_NOT_POSSIBLE GIFT_CARD_STATE"
    " HOLD_EXPIRED"
    " LINE_NOT_FOUND MORE_THAN_SOLD NOT_WHOLE_PIECES REFUND_FORBIDDEN ORIGINAL_REQUIRED"
    " TRANSFER_STATE RETURN_AMOUNT MEMBERSHIP_STATE GOODWILL_LIMIT PERIOD_CLOSED"
    " FORWARDED INSTANT_NOT_ACCEPTED QUARANTINE_STATE OFFLINE_CEILING",
    "NOT_FOUND": "RECEIPT_NOT_FOUND TRANSFER_NOT_FOUND CUSTOMER_NOT_FOUND MESSAGE_NOT_FOUND"
    " QUARANTINED_NOT_FOUND",
    "ALREADY_EXISTS": "KEY_CONFLICT IDENTIFIER_TAKEN",
    "DEADLINE_EXCEEDED": "DEADLINE_PASSED",
    "UNAVAILABLE": "RESULT_UNKNOWN STORE_UNAVAILABLE DRAINING SPOOL_UNAVAILABLE",
    "ABORTED": "LINK_BROKEN_OFF",
    "RESOURCE_EXHAUSTED": "TOO_MANY_IN_FLIGHT",
    "UNIMPLEMENTED": "NOT_OFFERED",
    "INTERNAL": "INTERNAL",
}
"""As the comments of errors.proto say."""


def test_the_statuses_are_those_the_contract_promises() -> None:
    found: dict[str, set[str]] = {}
    for reason, code in CODE_BY_REASON.items():
        found.setdefault(code.name, set()).add(reason.value)
    assert found == {code: set(names.split()) for code, names in STATUSES.items()}


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_travels_whole(reason: Reason) -> None:
    refusal = Refusal(reason, "why", {"fact": "1"}, (("sale.lines", "too many"),))
    status = status_of(refusal)
    assert (status.code, status.message) == (CODE_BY_REASON[reason].value[0], "why")
    info, bad, *rest = status.details
    found, fields = ErrorInfo(), BadRequest()
    assert info.Unpack(found)
    assert bad.Unpack(fields)
    result = "UNKNOWN" if reason is Reason.RESULT_UNKNOWN else "REFUSED"
    assert (found.reason, found.domain) == (reason.value, ERROR_DOMAIN)
    assert dict(found.metadata) == {"fact": "1", "result": result}
    (violation,) = fields.field_violations
    assert (violation.field, violation.description) == ("sale.lines", "too many")
    waits = [RetryInfo() for _ in rest]
    assert all(one.Unpack(wait) for one, wait in zip(rest, waits, strict=True))
    milliseconds = [wait.retry_delay.ToMilliseconds() for wait in waits]
    assert milliseconds == ([RETRY_AFTER_MS[reason]] if reason in RETRY_AFTER_MS else [])


LONG = "\N{GRINNING FACE}" * 4_000
CLIENT_BYTES_MAX = 8_192
"""Of trailers that a client takes for certain. gRPC asks for no more."""


@pytest.mark.parametrize("text", [LONG, "x" * 40_000])
def test_a_refusal_fits_the_trailers_whatever_it_quotes(text: str) -> None:
    fields = tuple((f"{n}.{text}", text) for n in range(500))
    status = status_of(Refusal(Reason.RESULT_UNKNOWN, text, {"sku": text, "most": "1"}, fields))
    message, details = quote(status.message), b64encode(status.SerializeToString())
    assert len(message) + len(details) < CLIENT_BYTES_MAX - 512, "nor is it alone there"
    info, bad, wait = status.details
    found, said = ErrorInfo(), BadRequest()
    assert info.Unpack(found)
    assert bad.Unpack(said)
    assert wait.Unpack(RetryInfo())
    assert (found.metadata["result"], found.metadata["most"]) == ("UNKNOWN", "1")
    assert text.startswith(found.metadata["sku"].removesuffix("..."))
    assert said.field_violations[0].field.startswith("0.")


def test_as_many_fields_are_named_as_fit() -> None:
    fields = tuple((f"sale.lines[{n}].sku", "is required") for n in range(1_000))
    (_, bad) = status_of(Refusal(Reason.FIELD_REQUIRED, "why", fields=fields)).details
    said = BadRequest()
    assert bad.Unpack(said)
    named = [(one.field, one.description) for one in said.field_violations]
    assert 20 < len(named) < 1_000
    assert named == list(fields[: len(named)])


def test_waiting_helps_exactly_where_the_server_is_at_fault() -> None:
    waiting = {"RESULT_UNKNOWN", "STORE_UNAVAILABLE", "TOO_MANY_IN_FLIGHT", "DRAINING"}
    assert {reason.value for reason in RETRY_AFTER_MS} == waiting
    assert all(wait_ms > 0 for wait_ms in RETRY_AFTER_MS.values())


def test_a_refusal_without_fields_names_none() -> None:
    status = status_of(Refusal(Reason.INTERNAL, "why"))
    assert [detail.TypeName() for detail in status.details] == ["google.rpc.ErrorInfo"]


SHARED: list[tuple[type[IntEnum], Any, str]] = [
    (SaleMode, receipt_pb2.SaleMode, ""),
    (Unit, receipt_pb2.QuantityUnit, ""),
    (PriceSource, receipt_pb2.PriceSource, ""),
    (LineKind, receipt_pb2.LineKind, ""),
    (LineAction, receipt_pb2.LineAction, ""),
    (EntryMethod, receipt_pb2.EntryMethod, ""),
    (TenderKind, receipt_pb2.TenderKind, ""),
    (OutcomeKind, receipt_pb2.OutcomeKind, ""),
    (CustomerState, answer_pb2.CustomerState, "ANONYMOUS"),
    (PromptReason, answer_pb2.PromptReason, ""),
    (TraceOutcome, answer_pb2.TraceOutcome, ""),
    (Condition, answer_pb2.TraceCondition, "NONE"),
    (DifferenceReason, till.DifferenceReason, ""),
    (ExceptionKind, till.ExceptionKind, ""),
    (MessageState, outbox_pb2.MessageState, ""),
]


@pytest.mark.parametrize(("own", "kind", "zero"), SHARED)
def test_enums_are_those_of_the_contract(own: type[Enum], kind: Any, zero: str) -> None:
    """`zero` is our name for what the contract leaves unspecified."""
    expected = {**({zero: 0} if zero else {}), **by_name(kind)}
    assert {member.name: member.value for member in own} == expected


def test_lanes_and_channels_are_those_of_the_contract() -> None:
    lanes = {name.upper(): number for name, number in LANE_NUMBERS.items()}
    channels = {name.upper(): number for name, number in CHANNEL_NUMBERS.items()}
    assert lanes == by_name(answer_pb2.Lane)
    assert channels == by_name(receipt_pb2.TillType)


def test_every_benefit_has_its_field_in_the_contract_and_its_lanes() -> None:
    fields = {field.name for field in benefit_pb2.Benefit.DESCRIPTOR.oneofs_by_name["kind"].fields}
    kinds = {kind.__struct_config__.tag for kind in Benefit.__args__}
    assert kinds == fields == set(LANES_ALLOWED)
    assert benefit_code(make.percent().gives[0]) == "percent_off"
    assert {lane for lanes in LANES_ALLOWED.values() for lane in lanes} == set(LANE_NUMBERS)


def test_every_benefit_on_prices_has_a_kind_of_adjustment() -> None:
    kinds: Mapping[Any, int] = line_pb._ADJUSTMENT_KIND
    assert kinds.keys() == set(PriceBenefit.__args__)
    others = {"SPENT"}
    known = by_name(answer_pb2.AdjustmentKind)
    assert sorted(kinds.values()) == sorted(n for name, n in known.items() if name not in others)


def test_kinds_of_keys_differ() -> None:
    assert len({kind.value for kind in KeyKind}) == len(KeyKind)


def test_each_call_of_the_service_stands_in_one_list() -> None:
    service = till.DESCRIPTOR.services_by_name["TillService"]
    unary = {m.name for m in service.methods if not (m.client_streaming or m.server_streaming)}
    assert set(OFFERED) | set(NOT_OFFERED) == unary
    assert not set(OFFERED) & set(NOT_OFFERED)
    assert {m.name for m in service.methods} - unary == {"Session"}
    requests = {m.name: m.input_type.full_name for m in service.methods if m.name in unary}
    assert {name: kind.DESCRIPTOR.full_name for name, kind in REQUEST_KINDS.items()} == requests
    check_contract()


def carried(field: FieldDescriptor) -> Descriptor:
    """The kind of message that a field carries."""
    assert field.message_type is not None
    return field.message_type


def test_a_session_carries_every_unary_call() -> None:
    service = till.DESCRIPTOR.services_by_name["TillService"]
    unary = [m for m in service.methods if m.name != "Session"]
    calls = till.SessionRequest.DESCRIPTOR.oneofs_by_name["call"].fields
    answers = till.SessionResponse.DESCRIPTOR.oneofs_by_name["answer"].fields
    assert {carried(f).full_name for f in calls} == {m.input_type.full_name for m in unary}
    assert {carried(f).name for f in answers} - {"GoAway"} == {m.output_type.name for m in unary}
    numbers = {carried(f).name.removesuffix("Response"): f.number for f in answers}
    for field in calls:
        assert numbers[carried(field).name.removesuffix("Request")] == field.number
