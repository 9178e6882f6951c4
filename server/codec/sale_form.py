"""Reads a whole Checkout, Quote or forwarded sale in one step, if all its fields are right.

Its twin is `server.codec.sale_pb`, which reads whatever this gives up on, and says what is wrong.
What fields, lines and tenders have to do with each other is checked there for both, by
`check_lines` and `check_tenders`.
"""

from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from msgspec import Struct

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.sale import (
    Capabilities,
    Header,
    Identifier,
    Line,
    Outcome,
    OutcomeKind,
    ReceiptKey,
    Sale,
    Tender,
)
from server.codec.form import Field, form_of
from server.codec.sale_pb import HashIdentifier, check_lines, check_tenders

_ID = (1, limits.TEXT_ID_MAX)
_ID_OR_NONE = (0, limits.TEXT_ID_MAX)
_LABEL = (1, limits.TEXT_LABEL_MAX)
_MINOR = (0, limits.AMOUNT_MINOR_MAX)
_UINT32 = (0, 2**32 - 1)
_INT64 = (-(2**63), 2**63 - 1)
_OFFSET = limits.UTC_OFFSET_MINUTES_MAX
_RESERVE_BYTES_MAX = 2**20


def _enum(enum: Any, least: int = 1) -> tuple[int, int]:
    """The bounds of an enum of the contract, whose values leave none out."""
    return least, max(enum.values())


_KEY = form_of(
    receipt_pb2.ReceiptKey,
    Field("chain_id", *_ID),
    Field("store_id", *_ID),
    Field("till_id", *_ID),
    Field("business_date", *_LABEL),
    Field("shift_id", *_LABEL),
    Field("receipt_number", *_LABEL),
    Field("epoch", *_UINT32),
    make=ReceiptKey,
)
_DISCOUNT = form_of(
    receipt_pb2.CashierDiscount,
    Field("amount_minor", *_MINOR),
    Field("reason_code", *_ID),
    Field("approver_id", *_ID_OR_NONE),
    absent=(),
)
_ORIGIN = form_of(
    receipt_pb2.ReturnOrigin,
    Field("receipt_key", form=_KEY),
    Field("line_id", *_ID_OR_NONE),
    absent=(),
)
_LINE = form_of(
    receipt_pb2.Line,
    Field("line_id", *_ID),
    Field("sku", *_ID),
    Field("quantity_milli", 1, limits.QUANTITY_MILLI_MAX),
    Field("unit", *_enum(receipt_pb2.QuantityUnit)),
    Field("unit_price_scaled", 0, limits.UNIT_PRICE_SCALED_MAX),
    Field("unit_price_scale", 0, limits.UNIT_PRICE_SCALE_MAX),
    Field("amount_minor", *_MINOR),
    Field("price_source", *_enum(receipt_pb2.PriceSource)),
    Field("kind", *_enum(receipt_pb2.LineKind)),
    Field("action", *_enum(receipt_pb2.LineAction)),
    Field("minimum_amount_minor", *_MINOR),
    Field("no_discount"),
    Field("no_earn"),
    Field("no_spend"),
    Field("cancelled"),
    Field("barcode", 0, limits.TEXT_CODE_MAX),
    Field("entry_method", *_enum(receipt_pb2.EntryMethod, 0)),
    Field("regular_amount_minor", *_MINOR),
    Field("department_id", *_ID_OR_NONE),
    Field("vat_code", 0, limits.TEXT_LABEL_MAX),
    Field("parent_line_id", *_ID_OR_NONE),
    Field("age_check"),
    Field("must_be_scanned"),
    Field("seller_id", *_ID_OR_NONE),
    Field("gift_card_operation", *_enum(receipt_pb2.GiftCardOperation, 0)),
    Field("gift_card_id", *_ID_OR_NONE),
    Field("cashier_discount", form=_DISCOUNT),
    Field("return_origin", form=_ORIGIN),
    make=Line,
    tail=15,
)
_TENDER = form_of(
    receipt_pb2.Tender,
    Field("kind", *_enum(receipt_pb2.TenderKind)),
    Field("state", *_enum(receipt_pb2.TenderState)),
    Field("amount_minor", *_MINOR),
    Field("card_bin", 0, 8),
    Field("gift_card_id", *_ID_OR_NONE),
    Field("gift_card_operation", *_enum(receipt_pb2.GiftCardOperation, 0)),
    Field("asset_code", 0, limits.ASSET_CODE_MAX),
    make=Tender,
)
_TOTALS = form_of(
    receipt_pb2.ControlTotals, Field("line_count", *_UINT32), Field("amount_minor", *_INT64)
)
_IDENTIFIER = form_of(
    receipt_pb2.Identifier,
    Field("kind", *_enum(receipt_pb2.IdentifierKind)),
    Field("value", 1, limits.TEXT_CODE_MAX),
    Field("entry_method", *_enum(receipt_pb2.EntryMethod)),
)
_CAPABILITIES = form_of(
    receipt_pb2.Capabilities,
    Field("split_line"),
    Field("zero_price"),
    Field("add_piece"),
    Field("ask_question"),
    Field("print_qr"),
    Field("slip_width_chars", 0, limits.SLIP_WIDTH_CHARS_MAX),
    make=Capabilities,
    absent=Capabilities(),
)


class ReadHeader(NamedTuple):
    """A header whose fields are within their bounds; identifiers are not hashed yet."""

    chain_id: str
    store_id: str
    till_id: str
    mode: int
    till_type: int
    cashier_id: str
    shift_id: str
    till_time_us: int
    till_utc_offset_minutes: int
    currency_code: str
    language_code: str
    control_totals: tuple[int, int]
    identifiers: tuple[tuple[int, str, int], ...]
    coupon_codes: tuple[str, ...]
    manual_triggers: tuple[str, ...]
    staff_purchase: bool
    legal_entity_id: str
    order_number: str
    fiscal_number: str
    capabilities: Capabilities


_HEADER = form_of(
    receipt_pb2.Header,
    Field("chain_id", *_ID),
    Field("store_id", *_ID),
    Field("till_id", *_ID),
    Field("mode", *_enum(receipt_pb2.SaleMode)),
    Field("till_type", *_enum(receipt_pb2.TillType)),
    Field("cashier_id", *_ID),
    Field("shift_id", *_LABEL),
    Field("till_time_us", 1, limits.INSTANT_US_MAX),
    Field("till_utc_offset_minutes", -_OFFSET, _OFFSET),
    Field("currency_code", 3, 3),
    Field("language_code", 2, limits.LANGUAGE_MAX),
    Field("control_totals", 1, form=_TOTALS),
    Field("identifiers", 0, limits.IDENTIFIERS_MAX, _IDENTIFIER),
    Field("coupon_codes", 0, limits.COUPON_CODES_MAX, each_most=limits.TEXT_CODE_MAX),
    Field("manual_triggers", 0, limits.MANUAL_TRIGGERS_MAX, each_most=limits.TEXT_ID_MAX),
    Field("staff_purchase"),
    Field("legal_entity_id", *_ID_OR_NONE),
    Field("order_number", *_ID_OR_NONE),
    Field("fiscal_number", *_ID_OR_NONE),
    Field("capabilities", form=_CAPABILITIES),
    make=ReadHeader,
)
_TOTALS_PLACE, _IDENTIFIERS_PLACE = 11, 12
_SALE = form_of(
    receipt_pb2.Sale,
    Field("header", 1, form=_HEADER),
    Field("lines", 1, limits.LINES_MAX, _LINE),
    Field("tenders", 0, limits.TENDERS_MAX, _TENDER),
    Field("cash_rounding_minor", -limits.CASH_ROUNDING_MINOR_MAX, limits.CASH_ROUNDING_MINOR_MAX),
)
_OUTCOME_LINE = form_of(
    receipt_pb2.OutcomeLine, Field("line_id", *_ID), Field("amount_minor", *_MINOR)
)
_OUTCOME = form_of(
    receipt_pb2.Outcome,
    Field("kind", *_enum(receipt_pb2.OutcomeKind)),
    Field("number", 1, limits.OUTCOME_NUMBER_MAX),
    Field("lines", 0, limits.LINES_MAX, _OUTCOME_LINE),
    make=Outcome,
)


class ReadSale(Struct, frozen=True):
    """The parts of a sale, each within its bounds."""

    header: ReadHeader
    lines: tuple[Line, ...]
    tenders: tuple[Tender, ...]
    cash_rounding_minor: int


class ReadCheckout(Struct, frozen=True):
    """A Checkout whose fields are within their bounds; those of the request, by name."""

    receipt_key: ReceiptKey
    sale: ReadSale
    closed: bool
    basket_id: bytes
    token: bytes
    outcome: Outcome | None
    attempt: int


_CHECKOUT = form_of(
    pb.CheckoutRequest,
    Field("receipt_key", 1, form=_KEY),
    Field("sale", 1, form=_SALE),
    Field("closed"),
    Field("basket_id", 0, 16),
    Field("token", 0, limits.TOKEN_BYTES_MAX),
    Field("outcome", form=_OUTCOME),
    Field("attempt", 0, limits.ATTEMPT_MAX),
)


_QUOTE = form_of(
    pb.QuoteRequest,
    Field("basket_id", 0, 16),
    Field("sale", 1, form=_SALE),
    Field("reserve", 0, _RESERVE_BYTES_MAX, is_raw=True),
    Field("token", 0, limits.TOKEN_BYTES_MAX),
    Field("attempt", 0, limits.ATTEMPT_MAX),
)


_FORWARD = form_of(
    pb.ForwardRequest,
    Field("receipt_key", 1, form=_KEY),
    Field("sale", 1, form=_SALE),
    Field("outcome", 1, form=_OUTCOME),
    Field("sold_at_us", 1, limits.INSTANT_US_MAX),
    Field("clock_offset_us", -limits.INSTANT_US_MAX, limits.INSTANT_US_MAX),
    Field("basket_id", 0, 16),
    Field("token", 0, limits.TOKEN_BYTES_MAX),
)


class ReadForward(NamedTuple):
    """A forwarded sale whose fields are within their bounds; `paid` as a closed Checkout has it.

    Attributes:
        body: as it was sent, for what is kept apart.
    """

    receipt_key: ReceiptKey
    paid: ReadCheckout
    outcome: Outcome
    sold_at_us: int
    clock_offset_us: int
    body: bytes


class ReadQuote(NamedTuple):
    """A Quote whose fields are within their bounds; `reserve` is not checked yet."""

    basket_id: bytes
    sale: ReadSale
    reserve: pb.Reservation
    token: bytes
    attempt: int
    choices: tuple[()] = ()


def read_quote(body: bytes) -> ReadQuote | None:
    """Read a Quote, as `read_checkout` does a Checkout.

    Args:
        body: what was sent as a QuoteRequest.
    """
    values = _QUOTE.read(body)
    if values is None:
        return None
    basket_id, sale, reserve, token, attempt = values
    try:
        reservation = pb.Reservation.FromString(reserve)
    except DecodeError:
        return None
    return ReadQuote(basket_id, ReadSale(*sale), reservation, token, attempt)


def read_checkout(body: bytes) -> ReadCheckout | None:
    """Read a Checkout, if all its fields are within their bounds and its outcome is whole.

    Args:
        body: what was sent as a CheckoutRequest.

    Returns:
        None where the stubs are to read it.
    """
    values = _CHECKOUT.read(body)
    if values is None:
        return None
    key, sale, closed, basket_id, token, outcome, attempt = values
    if outcome is not None and not _is_whole(outcome):
        return None
    return ReadCheckout(key, ReadSale(*sale), closed, basket_id, token, outcome, attempt)


def read_forward(body: bytes) -> ReadForward | None:
    """Read a forwarded sale, as `read_checkout` does a Checkout; not a refund or void.

    Args:
        body: what was sent as a ForwardRequest.
    """
    values = _FORWARD.read(body)
    if values is None:
        return None
    key, sale, outcome, sold_at_us, clock_offset_us, basket_id, token = values
    if not _is_whole(outcome):
        return None
    paid = ReadCheckout(key, ReadSale(*sale), True, basket_id, token, outcome, 0)
    return ReadForward(key, paid, outcome, sold_at_us, clock_offset_us, body)


def _is_whole(outcome: Outcome) -> bool:
    """Whether the fields of an outcome go together."""
    return not outcome.lines or outcome.kind == OutcomeKind.OTHER


def sale_of(read: ReadSale, hash_identifier: HashIdentifier) -> Sale:
    """Put a sale together and hold it to its control totals.

    Raises:
        Refusal: as `server.codec.sale_pb.sale_from_pb` does of a sale whose fields are right.
    """
    parts = read.header
    chain_id = parts.chain_id
    identifiers = tuple(
        [
            Identifier(kind, hash_identifier(chain_id, kind, value), method)
            for kind, value, method in parts.identifiers
        ]
    )
    made: tuple[Any, ...] = (
        *parts[:_TOTALS_PLACE],
        *parts.control_totals,
        identifiers,
        *parts[_IDENTIFIERS_PLACE + 1 :],
    )
    sale = Sale(Header(*made), read.lines, read.tenders, read.cash_rounding_minor)
    check_lines(sale)
    check_tenders(sale.tenders)
    return sale
