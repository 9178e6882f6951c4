"""Every refusal of the edge on one page, in the order of precedence; what passes arrives whole."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from loyalty.v1 import receipt_pb2 as pb
from loyalty.v1 import till_service_pb2 as till
from rewards.refusal import Reason, Refusal
from rewards.sale import (
    Capabilities,
    EntryMethod,
    Identifier,
    Line,
    LineKind,
    OutcomeKind,
    ReceiptKey,
    Sale,
    SaleMode,
    Tender,
    TenderKind,
    Unit,
    encode_sale,
    fingerprint_of,
    key_id_of,
)
from server.codec.message import parsed
from server.codec.sale_pb import outcome_from_pb, receipt_key_from_pb, sale_from_pb
from tests import make

L64, L65 = "x" * 64, "x" * 65
AS_ANSWERED, OTHER = pb.OUTCOME_KIND_AS_ANSWERED, pb.OUTCOME_KIND_OTHER


def read(sale: pb.Sale) -> Sale:
    return sale_from_pb(sale, make.hash_identifier)


def refused(call: Callable[[], object]) -> tuple[Reason, str, dict[str, str]]:
    """(reason, field, metadata) of a refusal; a refusal names one field."""
    with pytest.raises(Refusal) as caught:
        call()
    refusal = caught.value
    ((field, text),) = refusal.fields
    assert text
    assert field in refusal.message
    return refusal.reason, field, dict(refusal.metadata)


def bounds(least: int, most: int, actual: int) -> dict[str, str]:
    return {"min": str(least), "max": str(most), "actual": str(actual)}


def most(limit: int, actual: int) -> dict[str, str]:
    return {"max": str(limit), "actual": str(actual)}


REQUIRED, RANGE = Reason.FIELD_REQUIRED, Reason.OUT_OF_RANGE
ENUM, TEXT = Reason.UNKNOWN_ENUM_VALUE, Reason.BAD_TEXT
LIMIT, INCONSISTENT = Reason.LIMIT_EXCEEDED, Reason.INCONSISTENT
TOTALS = Reason.CONTROL_TOTALS_MISMATCH
NONE: dict[str, str] = {}
HEADER, LINE, TENDER = "sale.header", "sale.lines[0]", "sale.tenders[0]"

Edit = Callable[[pb.Sale], object]
Row = tuple[str, Edit, Reason, str, dict[str, str]]


def clear(message: str, field: str) -> Edit:
    def edit(sale: pb.Sale) -> None:
        _part(sale, message).ClearField(field)

    return edit


def put(message: str, field: str, value: Any) -> Edit:
    def edit(sale: pb.Sale) -> None:
        setattr(_part(sale, message), field, value)

    return edit


def _part(sale: pb.Sale, message: str) -> Any:
    """The part of a sale under a path like `header` or `lines[0]`."""
    found: Any = sale
    for step in filter(None, message.split(".")):
        name, _, index = step.rstrip("]").partition("[")
        found = getattr(found, name)
        found = found[int(index)] if index else found
    return found


def repeat(message: str, field: str, count: int) -> Edit:
    def edit(sale: pb.Sale) -> None:
        entries = getattr(_part(sale, message), field)
        entries.extend([entries[0]] * (count - len(entries)))

    return edit


def full_sale() -> pb.Sale:
    """A sale with every optional part present, so that each can be spoilt."""
    bottle = make.pb_line(
        barcode="460", cashier_discount=pb.CashierDiscount(amount_minor=5, reason_code="r")
    )
    origin = pb.ReturnOrigin(receipt_key=make.pb_receipt_key(), line_id="9")
    back = make.pb_line(
        line_id="2", action=pb.LINE_ACTION_RETURN, return_origin=origin, parent_line_id="1"
    )
    tender = pb.Tender(
        kind=pb.TENDER_KIND_CASH,
        state=pb.TENDER_STATE_PLANNED,
        amount_minor=1,
        card_bin="400000",
        asset_code="points",
    )
    sale = make.pb_sale(bottle, back, tenders=[tender])
    sale.header.identifiers.add(
        kind=pb.IDENTIFIER_KIND_CARD, value="card", entry_method=pb.ENTRY_METHOD_SCANNED
    )
    sale.header.coupon_codes.append("coupon")
    sale.header.manual_triggers.append("trigger")
    sale.header.capabilities.split_line = True
    return sale


TEN_TO_12, TEN_TO_15, INSTANT_MAX = 10**12, 10**15, 4_102_444_800_000_000


def whole_sale_rows() -> list[Row]:
    return [
        ("no header", clear("", "header"), REQUIRED, HEADER, NONE),
        ("no lines", clear("", "lines"), REQUIRED, "sale.lines", NONE),
        ("1,001 lines", repeat("", "lines", 1_001), LIMIT, "sale.lines", most(1_000, 1_001)),
        ("51 tenders", repeat("", "tenders", 51), LIMIT, "sale.tenders", most(50, 51)),
        *number_rows("", "sale", "cash_rounding_minor", -10_000, 10_000),
    ]


def number_rows(message: str, path: str, field: str, least: int, greatest: int) -> list[Row]:
    """Just below and just above a range; what the wire type cannot hold is left out."""
    return [
        (
            f"{field} {value}",
            put(message, field, value),
            RANGE,
            f"{path}.{field}",
            bounds(least, greatest, value),
        )
        for value in (least - 1, greatest + 1)
        if value >= 0 or field not in ("unit_price_scale", "slip_width_chars")
    ]


def text_rows(message: str, path: str, field: str, greatest: int, needed: bool) -> list[Row]:
    """Missing, one too long, and NUL."""
    place, long = f"{path}.{field}", "x" * (greatest + 1)
    least = 1 if needed else 0
    missing: list[Row] = [(f"no {field}", clear(message, field), REQUIRED, place, NONE)]
    return [
        *(missing if needed else []),
        (
            f"long {field}",
            put(message, field, long),
            RANGE,
            place,
            bounds(least, greatest, greatest + 1),
        ),
        (f"NUL in {field}", put(message, field, "a\0b"), TEXT, place, NONE),
    ]


def enum_rows(message: str, path: str, field: str, kind: Any, needed: bool = True) -> list[Row]:
    """Missing, and the first value that this version does not know."""
    place, unknown = f"{path}.{field}", max(kind.values()) + 1
    missing: list[Row] = [(f"no {field}", clear(message, field), REQUIRED, place, NONE)]
    return [
        *(missing if needed else []),
        (f"new {field}", put(message, field, unknown), ENUM, place, NONE),
    ]


def header_rows() -> list[Row]:
    identifier, capabilities = "header.identifiers[0]", "header.capabilities"
    currency, language = f"{HEADER}.currency_code", f"{HEADER}.language_code"
    return [
        *text_rows("header", HEADER, "chain_id", 64, needed=True),
        (
            "no totals",
            clear("header", "control_totals"),
            REQUIRED,
            f"{HEADER}.control_totals",
            NONE,
        ),
        *text_rows("header", HEADER, "store_id", 64, needed=True),
        *text_rows("header", HEADER, "till_id", 64, needed=True),
        *enum_rows("header", HEADER, "mode", pb.SaleMode),
        *enum_rows("header", HEADER, "till_type", pb.TillType),
        *text_rows("header", HEADER, "cashier_id", 64, needed=True),
        *text_rows("header", HEADER, "shift_id", 32, needed=True),
        *number_rows("header", HEADER, "till_time_us", 1, INSTANT_MAX),
        *number_rows("header", HEADER, "till_utc_offset_minutes", -840, 840),
        ("no currency", clear("header", "currency_code"), REQUIRED, currency, NONE),
        ("RU", put("header", "currency_code", "RU"), RANGE, currency, bounds(3, 3, 2)),
        ("RUBL", put("header", "currency_code", "RUBL"), RANGE, currency, bounds(3, 3, 4)),
        ("no language", clear("header", "language_code"), REQUIRED, language, NONE),
        ("r", put("header", "language_code", "r"), RANGE, language, bounds(2, 35, 1)),
        ("36", put("header", "language_code", "r" * 36), RANGE, language, bounds(2, 35, 36)),
        (
            "9 identifiers",
            repeat("header", "identifiers", 9),
            LIMIT,
            f"{HEADER}.identifiers",
            most(8, 9),
        ),
        *enum_rows(identifier, f"sale.{identifier}", "kind", pb.IdentifierKind),
        *text_rows(identifier, f"sale.{identifier}", "value", 128, needed=True),
        *enum_rows(identifier, f"sale.{identifier}", "entry_method", pb.EntryMethod),
        (
            "101 coupons",
            repeat("header", "coupon_codes", 101),
            LIMIT,
            f"{HEADER}.coupon_codes",
            most(100, 101),
        ),
        *listed_text_rows("coupon_codes", 128),
        (
            "21 triggers",
            repeat("header", "manual_triggers", 21),
            LIMIT,
            f"{HEADER}.manual_triggers",
            most(20, 21),
        ),
        *listed_text_rows("manual_triggers", 64),
        *text_rows("header", HEADER, "legal_entity_id", 64, needed=False),
        *text_rows("header", HEADER, "order_number", 64, needed=False),
        *text_rows("header", HEADER, "fiscal_number", 64, needed=False),
        *number_rows(capabilities, f"sale.{capabilities}", "slip_width_chars", 0, 200),
    ]


def listed_text_rows(field: str, greatest: int) -> list[Row]:
    def append(value: str) -> Edit:
        return lambda sale: getattr(sale.header, field).append(value)

    place, long = f"{HEADER}.{field}[1]", bounds(1, greatest, greatest + 1)
    return [
        (f"empty {field}", append(""), REQUIRED, place, NONE),
        (f"long {field}", append("x" * (greatest + 1)), RANGE, place, long),
        (f"NUL in {field}", append("\0"), TEXT, place, NONE),
    ]


def line_rows() -> list[Row]:
    one, discount = "lines[0]", "lines[0].cashier_discount"
    origin, key = "lines[1].return_origin", "lines[1].return_origin.receipt_key"
    parts = put(one, "quantity_milli", 2_500)
    on_sale = put("lines[1]", "action", pb.LINE_ACTION_SALE)
    return [
        *text_rows(one, LINE, "line_id", 64, needed=True),
        *text_rows(one, LINE, "sku", 64, needed=True),
        *number_rows(one, LINE, "quantity_milli", 1, 10_000_000),
        *number_rows(one, LINE, "amount_minor", 0, TEN_TO_12),
        *number_rows(one, LINE, "unit_price_scaled", 0, TEN_TO_15),
        *number_rows(one, LINE, "unit_price_scale", 0, 6),
        *enum_rows(one, LINE, "unit", pb.QuantityUnit),
        *enum_rows(one, LINE, "price_source", pb.PriceSource),
        *enum_rows(one, LINE, "kind", pb.LineKind),
        *enum_rows(one, LINE, "action", pb.LineAction),
        *number_rows(one, LINE, "minimum_amount_minor", 0, 200),
        ("part of a piece", parts, INCONSISTENT, f"{LINE}.quantity_milli", NONE),
        *text_rows(one, LINE, "barcode", 128, needed=False),
        *enum_rows(one, LINE, "entry_method", pb.EntryMethod, needed=False),
        *number_rows(one, LINE, "regular_amount_minor", 0, TEN_TO_12),
        *text_rows(one, LINE, "department_id", 64, needed=False),
        *text_rows(one, LINE, "vat_code", 32, needed=False),
        *text_rows(one, LINE, "parent_line_id", 64, needed=False),
        *text_rows(one, LINE, "seller_id", 64, needed=False),
        *enum_rows(one, LINE, "gift_card_operation", pb.GiftCardOperation, needed=False),
        *text_rows(one, LINE, "gift_card_id", 64, needed=False),
        *number_rows(discount, f"sale.{discount}", "amount_minor", 0, TEN_TO_12),
        *text_rows(discount, f"sale.{discount}", "reason_code", 64, needed=True),
        *text_rows(discount, f"sale.{discount}", "approver_id", 64, needed=False),
        ("origin of a sale", on_sale, INCONSISTENT, f"sale.{origin}", NONE),
        *text_rows(key, f"sale.{key}", "chain_id", 64, needed=True),
        *text_rows(key, f"sale.{key}", "receipt_number", 32, needed=True),
        *text_rows(origin, f"sale.{origin}", "line_id", 64, needed=True),
    ]


def asks_for_a_balance(amount_minor: int, kind: pb.TenderKind.ValueType) -> Edit:
    def edit(sale: pb.Sale) -> None:
        tender = sale.tenders[0]
        tender.kind, tender.gift_card_id, tender.amount_minor = kind, "card", amount_minor
        tender.gift_card_operation = pb.GIFT_CARD_OPERATION_BALANCE

    return edit


BY_CARD = (pb.TENDER_KIND_GIFT_CARD, pb.TENDER_KIND_VOUCHER)


def tender_rows() -> list[Row]:
    one = "tenders[0]"
    return [
        *number_rows(one, TENDER, "amount_minor", 0, TEN_TO_12),
        *enum_rows(one, TENDER, "kind", pb.TenderKind),
        *enum_rows(one, TENDER, "state", pb.TenderState),
        *text_rows(one, TENDER, "card_bin", 8, needed=False),
        *text_rows(one, TENDER, "gift_card_id", 64, needed=False),
        *text_rows(one, TENDER, "asset_code", 32, needed=False),
        *enum_rows(one, TENDER, "gift_card_operation", pb.GiftCardOperation, needed=False),
    ]


def cross_line_rows() -> list[Row]:
    totals, path = "header.control_totals", f"{HEADER}.control_totals"
    count, amount = f"{path}.line_count", f"{path}.amount_minor"
    return [
        ("twice", put("lines[1]", "line_id", "1"), INCONSISTENT, "sale.lines[1].line_id", NONE),
        (
            "no such parent",
            put("lines[1]", "parent_line_id", "3"),
            INCONSISTENT,
            "sale.lines[1].parent_line_id",
            NONE,
        ),
        (
            "10,001 pieces",
            put("lines[0]", "quantity_milli", 9_999_000),
            LIMIT,
            "sale.lines.quantity_milli",
            most(10_000, 10_001),
        ),
        (
            "count",
            put(totals, "line_count", 3),
            TOTALS,
            count,
            {"stated": "3", "computed": "2"},
        ),
        (
            "cancelled",
            put("lines[1]", "cancelled", True),
            TOTALS,
            count,
            {"stated": "2", "computed": "1"},
        ),
        (
            "amount",
            put(totals, "amount_minor", 1),
            TOTALS,
            amount,
            {"stated": "1", "computed": "0"},
        ),
        (
            "sign of a return",
            put("lines[1]", "amount_minor", 201),
            TOTALS,
            amount,
            {"stated": "0", "computed": "-1"},
        ),
    ]


def cross_tender_rows() -> list[Row]:
    place = f"{TENDER}.amount_minor"
    return [
        (f"{kind} asks and pays", asks_for_a_balance(1, kind), INCONSISTENT, place, NONE)
        for kind in BY_CARD
    ]


ROWS = [
    *whole_sale_rows(),
    *header_rows(),
    *line_rows(),
    *tender_rows(),
    *cross_line_rows(),
    *cross_tender_rows(),
]


@pytest.mark.parametrize(
    ("edit", "reason", "field", "metadata"),
    [pytest.param(*row[1:], id=f"{row[3]}: {row[0]}") for row in ROWS],
)
def test_refusals(edit: Edit, reason: Reason, field: str, metadata: dict[str, str]) -> None:
    sale = full_sale()
    read(sale)
    edit(sale)
    assert refused(lambda: read(sale)) == (reason, field, metadata)


GROUPS = [
    whole_sale_rows(),
    header_rows(),
    line_rows(),
    tender_rows(),
    cross_line_rows(),
    cross_tender_rows(),
]


@pytest.mark.parametrize("first", range(len(GROUPS)))
def test_the_groups_of_the_page_stand_in_the_order_of_precedence(first: int) -> None:
    """Of two mistakes of different groups the one that stands higher on the page is named."""
    for _, edit, reason, field, metadata in GROUPS[first]:
        for later in GROUPS[first + 1 :]:
            sale = full_sale()
            later[0][1](sale)
            edit(sale)
            assert refused(partial(read, sale)) == (reason, field, metadata)


RECEIPT_KEY_LIMITS = {
    "chain_id": 64,
    "store_id": 64,
    "till_id": 64,
    "business_date": 32,
    "shift_id": 32,
    "receipt_number": 32,
}


@pytest.mark.parametrize("field", RECEIPT_KEY_LIMITS)
def test_a_bad_key_is_refused(field: str) -> None:
    limit = RECEIPT_KEY_LIMITS[field]
    for value, reason, metadata in (
        ("", REQUIRED, NONE),
        ("x" * (limit + 1), RANGE, bounds(1, limit, limit + 1)),
        ("\0", TEXT, NONE),
    ):
        key = make.pb_receipt_key(**{field: value})
        expected = (reason, f"receipt_key.{field}", metadata)
        assert refused(partial(receipt_key_from_pb, key)) == expected


@pytest.mark.parametrize(
    ("outcome", "reason", "field", "metadata"),
    [
        (pb.Outcome(number=1), REQUIRED, "outcome.kind", NONE),
        (pb.Outcome(kind=pb.OutcomeKind.ValueType(6), number=1), ENUM, "outcome.kind", NONE),
        (pb.Outcome(kind=AS_ANSWERED), RANGE, "outcome.number", bounds(1, 1_000, 0)),
        (
            pb.Outcome(kind=AS_ANSWERED, number=1_001),
            RANGE,
            "outcome.number",
            bounds(1, 1_000, 1_001),
        ),
        (
            pb.Outcome(kind=AS_ANSWERED, number=1, lines=[pb.OutcomeLine(line_id="1")]),
            INCONSISTENT,
            "outcome.lines",
            NONE,
        ),
        (
            pb.Outcome(kind=OTHER, number=1, lines=[pb.OutcomeLine()]),
            REQUIRED,
            "outcome.lines[0].line_id",
            NONE,
        ),
        (
            pb.Outcome(kind=OTHER, number=1, lines=[pb.OutcomeLine(line_id="1", amount_minor=-1)]),
            RANGE,
            "outcome.lines[0].amount_minor",
            bounds(0, TEN_TO_12, -1),
        ),
        (
            pb.Outcome(kind=OTHER, number=1, lines=[pb.OutcomeLine(line_id="1")] * 1_001),
            LIMIT,
            "outcome.lines",
            most(1_000, 1_001),
        ),
    ],
)
def test_a_bad_outcome_is_refused(
    outcome: pb.Outcome, reason: Reason, field: str, metadata: dict[str, str]
) -> None:
    assert refused(lambda: outcome_from_pb(outcome)) == (reason, field, metadata)


def test_a_good_outcome_arrives() -> None:
    line = pb.OutcomeLine(line_id="1", amount_minor=5)
    outcome = outcome_from_pb(pb.Outcome(kind=OTHER, number=7, lines=[line]))
    assert (outcome.kind, outcome.number, outcome.lines) == (OutcomeKind.OTHER, 7, (("1", 5),))


@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"\x0a",  # a length is missing
        b"\x0a\xff\xff\xff\xff\x0f",  # a length beyond the end
        b"\x0a\x03\x0a\x01\xff",  # a text that is no UTF-8
        b"\x00",  # field number 0
        b"not a message at all",
    ],
)
def test_bytes_that_are_no_message_are_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        parsed(till.CheckoutRequest, body)
    assert caught.value.reason is Reason.MALFORMED_MESSAGE


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Refusal):
        read(parsed(pb.Sale, body))


# --- what passes --------------------------------------------------------------------------------


def largest_sale() -> pb.Sale:
    """Every limit reached and none passed."""
    last = make.pb_line(
        line_id=L64,
        sku=L64,
        quantity_milli=10_000_000 - 999 * 1_000,
        amount_minor=TEN_TO_12,
        unit_price_scaled=TEN_TO_15,
        unit_price_scale=6,
        minimum_amount_minor=TEN_TO_12,
        barcode="b" * 128,
    )
    lines = [make.pb_line(line_id=f"{n}", quantity_milli=1_000) for n in range(999)]
    sale = make.pb_sale(*lines, last, cash_rounding_minor=-10_000)
    tender = pb.Tender(
        kind=pb.TENDER_KIND_OTHER, state=pb.TENDER_STATE_PAID, amount_minor=TEN_TO_12
    )
    sale.tenders.extend([tender] * 50)
    sale.header.till_utc_offset_minutes = -840
    sale.header.till_time_us = INSTANT_MAX
    for n in range(8):
        sale.header.identifiers.add(
            kind=pb.IDENTIFIER_KIND_APP,
            value=f"{n}" * 128,
            entry_method=pb.ENTRY_METHOD_APP_TOKEN,
        )
    return sale


def test_a_sale_at_every_limit_passes() -> None:
    sale = read(largest_sale())
    assert (len(sale.lines), len(sale.tenders), len(sale.header.identifiers)) == (1_000, 50, 8)
    assert sale.header.amount_minor == TEN_TO_12 + 999 * 200


def test_weighed_goods_count_as_one_piece_a_line() -> None:
    weighed = make.pb_line(line_id="w", unit=pb.QUANTITY_UNIT_KILOGRAM, quantity_milli=9_999_500)
    pieces = make.pb_line(quantity_milli=9_999_000)
    assert len(read(make.pb_sale(weighed, pieces)).lines) == 2


def test_a_full_sale_arrives_whole() -> None:
    sale = full_sale()
    sale.header.till_utc_offset_minutes = -180
    sale.header.staff_purchase = True
    sale.cash_rounding_minor = -3
    read_sale = read(sale)
    head, (bottle, back), (paid,) = read_sale.header, read_sale.lines, read_sale.tenders
    card = Identifier(1, make.hash_identifier("chain", 1, "card"), EntryMethod.SCANNED)
    assert (head.chain_id, head.store_id, head.till_id) == ("chain", "store", "till")
    assert (head.mode, head.till_type, head.cashier_id) == (SaleMode.LIVE, 1, "cashier")
    assert (head.till_time_us, head.till_utc_offset_minutes) == (make.NOON_US, -180)
    assert (head.currency_code, head.language_code, head.shift_id) == ("RUB", "ru", "1")
    assert (head.line_count, head.amount_minor) == (2, 0)
    assert (head.identifiers, head.coupon_codes) == ((card,), ("coupon",))
    assert (head.manual_triggers, head.staff_purchase) == (("trigger",), True)
    assert head.capabilities == Capabilities(split_line=True)
    assert (bottle.line_id, bottle.sku, bottle.quantity_milli) == ("1", "tea", 2_000)
    assert (bottle.unit, bottle.kind, bottle.amount_minor) == (Unit.PIECE, LineKind.GOODS, 200)
    assert bottle.rest[0] == "460"
    assert (5, "r", "") in bottle.rest
    assert back.action == 2
    assert (ReceiptKey("chain", "store", "till", "2026-11-22", "1", "1", 0), "9") in back.rest
    assert paid == Tender(TenderKind.CASH, 1, 1, "400000", "", 0, "points")
    assert read_sale.cash_rounding_minor == -3


def test_the_least_line_has_nothing_beyond_what_rules_read() -> None:
    (line,) = read(make.pb_sale()).lines
    assert line == Line("1", "tea", 2_000, 1, 100, 2, 200, 1, 1, 1)


def test_no_value_of_an_identifier_is_kept() -> None:
    sale = full_sale()
    sale.header.identifiers[0].value = "4444333322221111"
    assert b"4444333322221111" not in encode_sale(read(sale))


# --- fingerprint and keys -----------------------------------------------------------------------


def fingerprint(sale: pb.Sale) -> bytes:
    return fingerprint_of(encode_sale(read(sale)))


def leaves(message: Message, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all fields of a message and of the first entries of its lists, by reflection."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        here = (*path, field.name)
        if field.is_repeated:
            value, here = value[0], (*here, 0)
        if field.message_type is None:
            yield here
        else:
            yield from leaves(value, here)


def every_field_set() -> pb.Sale:
    """A valid sale in which no field is empty."""
    sale = full_sale()
    one = sale.lines[0]
    for field, value in {
        "entry_method": 1,
        "regular_amount_minor": 300,
        "department_id": "d",
        "vat_code": "v",
        "parent_line_id": "2",
        "minimum_amount_minor": 10,
        "seller_id": "s",
        "gift_card_operation": 1,
        "gift_card_id": "g",
        "action": pb.LINE_ACTION_RETURN,
    }.items():
        setattr(one, field, value)
    sale.lines[1].ClearField("parent_line_id")
    sale.lines.append(make.pb_line(line_id="3"))
    one.return_origin.CopyFrom(sale.lines[1].return_origin)
    one.return_origin.receipt_key.epoch = 1
    one.cashier_discount.approver_id = "a"
    for flag in ("no_discount", "no_earn", "no_spend", "age_check", "must_be_scanned", "cancelled"):
        setattr(one, flag, True)
    for flag in ("split_line", "zero_price", "add_piece", "ask_question", "print_qr"):
        setattr(sale.header.capabilities, flag, True)
    sale.header.capabilities.slip_width_chars = 40
    for field in ("legal_entity_id", "order_number", "fiscal_number"):
        setattr(sale.header, field, field)
    sale.header.till_utc_offset_minutes = 180
    sale.header.staff_purchase = True
    sale.tenders[0].gift_card_id = "g"
    sale.tenders[0].gift_card_operation = pb.GIFT_CARD_OPERATION_ACTIVATE
    sale.cash_rounding_minor = 1
    _fit_totals(sale)
    return sale


def _fit_totals(sale: pb.Sale) -> None:
    fitting = make.pb_sale(*sale.lines).header.control_totals
    sale.header.control_totals.CopyFrom(fitting)


def change(sale: pb.Sale, path: tuple[Any, ...]) -> None:
    """Give one field another valid value, and let the totals follow."""
    *steps, name = path
    parent: Any = sale
    if isinstance(name, int):
        *steps, name = steps
    for step in steps:
        parent = parent[step] if isinstance(step, int) else getattr(parent, step)
    field = parent.DESCRIPTOR.fields_by_name[name]
    value = getattr(parent, name)
    if field.is_repeated:
        value[0] += "x"
    else:
        setattr(parent, name, _another(field, value))
    if "control_totals" not in path:
        _fit_totals(sale)


OTHER_TEXTS = {"currency_code": "EUR", "parent_line_id": "3", "card_bin": "4000001"}


def _another(field: FieldDescriptor, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_BOOL:
        return not value
    if field.enum_type is not None:
        return 2 if value == 1 else 1
    if field.type == FieldDescriptor.TYPE_STRING:
        return OTHER_TEXTS.get(field.name, f"{value}x")
    return value + 1_000 if field.name == "quantity_milli" else value + 1


FIELD_PATHS = list(leaves(every_field_set()))
TIED = {
    ("lines", 0, "action"),  # an origin needs a RETURN line
    ("header", "control_totals", "line_count"),
    ("header", "control_totals", "amount_minor"),
}
"""Fields that cannot change alone; `test_fields_that_cannot_change_alone` has them."""


def test_the_walk_reaches_every_field_of_a_sale() -> None:
    kinds = {path[-1] if isinstance(path[-1], str) else path[-2] for path in FIELD_PATHS}
    for message in (pb.Header, pb.Line, pb.Tender, pb.Capabilities, pb.CashierDiscount):
        plain = {f.name for f in message.DESCRIPTOR.fields if f.message_type is None}
        assert plain <= kinds
    sale = every_field_set()
    read(sale)
    for path in FIELD_PATHS:
        value: Any = sale
        for step in path:
            value = value[step] if isinstance(step, int) else getattr(value, step)
        assert value or path in TIED, f"{path} is empty: a change of it would prove less"


@pytest.mark.parametrize("path", [path for path in FIELD_PATHS if path not in TIED], ids=str)
def test_every_field_of_the_sale_is_in_the_fingerprint(path: tuple[Any, ...]) -> None:
    sale = every_field_set()
    change(sale, path)
    assert fingerprint(sale) != fingerprint(every_field_set())


def test_fields_that_cannot_change_alone() -> None:
    one, other = make.pb_sale(), make.pb_sale(make.pb_line(action=pb.LINE_ACTION_RETURN))
    assert fingerprint(one) != fingerprint(other)
    two = make.pb_sale(make.pb_line(), make.pb_line(line_id="2", amount_minor=0, cancelled=True))
    assert fingerprint(one) != fingerprint(two)


@pytest.mark.parametrize("part", ["cashier_discount", "return_origin"])
def test_a_part_that_is_absent_differs_from_one_that_is_there(
    part: Literal["cashier_discount", "return_origin"],
) -> None:
    sale = full_sale()
    sale.lines[0 if part == "cashier_discount" else 1].ClearField(part)
    assert fingerprint(sale) != fingerprint(full_sale())


def test_equal_fields_in_other_bytes_have_one_fingerprint() -> None:
    sale = every_field_set()
    twice = sale.SerializeToString() + pb.Sale(cash_rounding_minor=1).SerializeToString()
    unknown_field = sale.SerializeToString() + b"\xfa\x01\x01x"
    assert fingerprint(pb.Sale.FromString(twice)) == fingerprint(sale)
    assert fingerprint(pb.Sale.FromString(unknown_field)) == fingerprint(sale)
    assert len(fingerprint(sale)) == 17


def test_the_order_of_lines_is_in_the_fingerprint() -> None:
    lines = [make.pb_line(), make.pb_line(line_id="2")]
    assert fingerprint(make.pb_sale(*lines)) != fingerprint(make.pb_sale(*lines[::-1]))


@pytest.mark.parametrize("kind", BY_CARD)
def test_a_balance_is_asked_for_by_a_tender_of_nothing(kind: pb.TenderKind.ValueType) -> None:
    sale = full_sale()
    asks_for_a_balance(0, kind)(sale)
    assert read(sale).tenders[0].amount_minor == 0


@pytest.mark.parametrize("field", [f.name for f in pb.ReceiptKey.DESCRIPTOR.fields])
def test_any_other_part_of_a_key_gives_another_receipt(field: str) -> None:
    key = make.pb_receipt_key()
    value = getattr(key, field)
    other = make.pb_receipt_key(**{field: value + "x" if isinstance(value, str) else value + 1})
    ids = [key_id_of(receipt_key_from_pb(one)) for one in (key, make.pb_receipt_key(), other)]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 16


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    one = make.receipt_key(shift_id="12", receipt_number="3")
    other = make.receipt_key(shift_id="1", receipt_number="23")
    assert key_id_of(one) != key_id_of(other)


@pytest.mark.parametrize(
    ("message", "field", "kind"),
    [
        ("header", "mode", pb.SaleMode),
        ("header", "till_type", pb.TillType),
        ("header.identifiers[0]", "kind", pb.IdentifierKind),
        ("header.identifiers[0]", "entry_method", pb.EntryMethod),
        ("lines[0]", "unit", pb.QuantityUnit),
        ("lines[0]", "price_source", pb.PriceSource),
        ("lines[0]", "kind", pb.LineKind),
        ("lines[0]", "entry_method", pb.EntryMethod),
        ("lines[0]", "gift_card_operation", pb.GiftCardOperation),
        ("tenders[0]", "kind", pb.TenderKind),
        ("tenders[0]", "state", pb.TenderState),
        ("tenders[0]", "gift_card_operation", pb.GiftCardOperation),
    ],
)
def test_every_value_of_the_contract_passes(message: str, field: str, kind: Any) -> None:
    for value in kind.values()[1:]:
        sale = full_sale()
        setattr(_part(sale, message), field, value)
        read(sale)
