"""What can be refused: one reason from one catalogue, with the facts a till can show.

`Reason` mirrors `ErrorReason` of `loyalty/v1/errors.proto`, where each is documented.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from types import MappingProxyType


@unique
class Reason(StrEnum):
    """Names of `ErrorReason` without their prefix."""

    MALFORMED_MESSAGE = "MALFORMED_MESSAGE"
    FIELD_REQUIRED = "FIELD_REQUIRED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNKNOWN_ENUM_VALUE = "UNKNOWN_ENUM_VALUE"
    BAD_TEXT = "BAD_TEXT"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    INCONSISTENT = "INCONSISTENT"
    CONTROL_TOTALS_MISMATCH = "CONTROL_TOTALS_MISMATCH"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    UNKNOWN_STORE = "UNKNOWN_STORE"
    NO_RULESET = "NO_RULESET"
    TOKEN_INVALID = "TOKEN_INVALID"
    TOKEN_FOREIGN = "TOKEN_FOREIGN"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    PRICE_WOULD_RISE = "PRICE_WOULD_RISE"
    KEY_CONFLICT = "KEY_CONFLICT"
    BROKEN_OFF = "BROKEN_OFF"
    BASKET_SOLD = "BASKET_SOLD"
    RECEIPT_NOT_FOUND = "RECEIPT_NOT_FOUND"
    RECEIPT_STATE = "RECEIPT_STATE"
    DEADLINE_PASSED = "DEADLINE_PASSED"
    RESULT_UNKNOWN = "RESULT_UNKNOWN"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    TOO_MANY_IN_FLIGHT = "TOO_MANY_IN_FLIGHT"
    DRAINING = "DRAINING"
    NOT_OFFERED = "NOT_OFFERED"
    CUSTOMER_NOT_FOUND = "CUSTOMER_NOT_FOUND"
    ANSWER_REJECTED = "ANSWER_REJECTED"
    PROGRAM_INVALID = "PROGRAM_INVALID"
    EFFECTIVE_TOO_EARLY = "EFFECTIVE_TOO_EARLY"
    INTERNAL = "INTERNAL"
    SPEND_NOT_POSSIBLE = "SPEND_NOT_POSSIBLE"
    GIFT_CARD_STATE = "GIFT_CARD_STATE"
    TRANSFER_NOT_FOUND = "TRANSFER_NOT_FOUND"
    TRANSFER_STATE = "TRANSFER_STATE"
    MESSAGE_NOT_FOUND = "MESSAGE_NOT_FOUND"
    HOLD_EXPIRED = "HOLD_EXPIRED"
    LINE_NOT_FOUND = "LINE_NOT_FOUND"
    MORE_THAN_SOLD = "MORE_THAN_SOLD"
    NOT_WHOLE_PIECES = "NOT_WHOLE_PIECES"
    REFUND_FORBIDDEN = "REFUND_FORBIDDEN"
    ORIGINAL_REQUIRED = "ORIGINAL_REQUIRED"
    RETURN_AMOUNT = "RETURN_AMOUNT"
    IDENTIFIER_TAKEN = "IDENTIFIER_TAKEN"
    MEMBERSHIP_STATE = "MEMBERSHIP_STATE"
    GOODWILL_LIMIT = "GOODWILL_LIMIT"
    PERIOD_CLOSED = "PERIOD_CLOSED"
    LINK_BROKEN_OFF = "LINK_BROKEN_OFF"
    OFFLINE_CEILING = "OFFLINE_CEILING"
    SPOOL_UNAVAILABLE = "SPOOL_UNAVAILABLE"
    FORWARDED = "FORWARDED"
    INSTANT_NOT_ACCEPTED = "INSTANT_NOT_ACCEPTED"
    QUARANTINED_NOT_FOUND = "QUARANTINED_NOT_FOUND"
    QUARANTINE_STATE = "QUARANTINE_STATE"


_NO_FACTS: Mapping[str, str] = MappingProxyType({})


class Refusal(Exception):
    """A call is refused; nothing is recorded, unless the reason is RESULT_UNKNOWN.

    Attributes:
        reason: why, from the catalogue.
        message: one sentence for the integrator, in English.
        metadata: facts a till can show, as text.
        fields: (path of a request field, what is wrong with it), for BadRequest.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        metadata: Mapping[str, str] = _NO_FACTS,
        fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Keep the facts; see the class for their meaning."""
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = metadata
        self.fields = fields
