"""What a till sends, from protobuf to the domain. Everything is checked before any work."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Never

from loyalty.v1 import receipt_pb2 as pb
from rewards import limits
from rewards.gift_card import CardOperation
from rewards.refusal import Reason, Refusal
from rewards.rounding import floor_div
from rewards.sale import (
    Capabilities,
    Header,
    Identifier,
    Line,
    LineAction,
    LineColumns,
    Outcome,
    OutcomeKind,
    ReceiptKey,
    Sale,
    Tender,
    TenderKind,
    Unit,
)
from server.codec import check

HashIdentifier = Callable[[str, int, str], bytes]
"""Hashes (chain id, kind, value) with the key of identifiers to 16 bytes."""

_IDENTIFIER_KIND_LAST = 5
_ENTRY_METHOD_LAST = 4
_TILL_TYPE_LAST = 5
_SALE_MODE_LAST = 2
_LINE_KIND_LAST = 6
_LINE_ACTION_LAST = 2
_UNIT_LAST = 4
_PRICE_SOURCE_LAST = 4
_GIFT_CARD_OPERATION_LAST = 5
_TENDER_KIND_LAST = 7
_TENDER_STATE_LAST = 2
_OUTCOME_KIND_LAST = 5
_NO_CAPABILITIES = Capabilities()
_NO_REST = (0, 0, "", "", "", False, False, "", 0, "", False, False)
_PARENT = 5
"""Place of parent_line_id in `Line.rest`, where it is more than the barcode."""
_OFFSET_MAX = limits.UTC_OFFSET_MINUTES_MAX
_PIECE = int(Unit.PIECE)
_FRACTION_MILLI = limits.MILLI.__rmod__
"""Of a quantity in thousandths what is no whole piece, for all lines in one step."""
_RETURN = int(LineAction.RETURN)
_BALANCE = int(CardOperation.BALANCE)
_BY_CARD = (int(TenderKind.GIFT_CARD), int(TenderKind.VOUCHER))

# Each read in one call.
_KEY_PARTS = attrgetter(
    "chain_id", "store_id", "till_id", "business_date", "shift_id", "receipt_number", "epoch"
)
_HEADER_PARTS = attrgetter(
    "chain_id",
    "store_id",
    "till_id",
    "mode",
    "till_type",
    "cashier_id",
    "shift_id",
    "till_time_us",
    "till_utc_offset_minutes",
    "currency_code",
    "language_code",
)


def receipt_key_from_pb(key: pb.ReceiptKey, path: str = "receipt_key") -> ReceiptKey:
    """Read a receipt key.

    Raises:
        Refusal: a part is missing, too long or holds NUL.
    """
    parts = _KEY_PARTS(key)
    chain_id, store_id, till_id, date, shift_id, number, _ = parts
    if (
        not 0 < len(chain_id) <= 64
        or not 0 < len(store_id) <= 64
        or not 0 < len(till_id) <= 64
        or not 0 < len(date) <= 32
        or not 0 < len(shift_id) <= 32
        or not 0 < len(number) <= 32
        or "\x00" in f"{chain_id}{store_id}{till_id}{date}{shift_id}{number}"
    ):
        _refuse_key(key, path)
    return ReceiptKey(*parts)


def _refuse_key(key: pb.ReceiptKey, path: str) -> Never:
    """Say which part of a key is wrong."""
    check.text_of(key.chain_id, f"{path}.chain_id")
    check.text_of(key.store_id, f"{path}.store_id")
    check.text_of(key.till_id, f"{path}.till_id")
    check.label_of(key.business_date, f"{path}.business_date")
    check.label_of(key.shift_id, f"{path}.shift_id")
    check.label_of(key.receipt_number, f"{path}.receipt_number")
    raise AssertionError("a key is refused for one of its parts")


def identifier_from_pb(
    identifier: pb.Identifier, path: str, chain_id: str, hash_identifier: HashIdentifier
) -> Identifier:
    """Read an identifier; its value goes no further than its hash.

    Raises:
        Refusal: a part is missing or not acceptable.
    """
    kind = check.enum_of(identifier.kind, f"{path}.kind", _IDENTIFIER_KIND_LAST)
    value = check.text_of(identifier.value, f"{path}.value", limits.TEXT_CODE_MAX)
    method = check.enum_of(identifier.entry_method, f"{path}.entry_method", _ENTRY_METHOD_LAST)
    return Identifier(kind, hash_identifier(chain_id, kind, value), method)


def sale_from_pb(sale: pb.Sale, hash_identifier: HashIdentifier) -> Sale:
    """Read a sale and hold it to every limit and to its control totals.

    Raises:
        Refusal: names the field. Nothing has been done by then.
    """
    if not sale.HasField("header"):
        check.refuse_required("sale.header")
    check.count_of(len(sale.lines), "sale.lines", limits.LINES_MAX, least=1)
    check.count_of(len(sale.tenders), "sale.tenders", limits.TENDERS_MAX)
    rounding_minor = sale.cash_rounding_minor
    most = limits.CASH_ROUNDING_MINOR_MAX
    check.number_of(rounding_minor, "sale.cash_rounding_minor", -most, most)
    header = _header_from_pb(sale.header, hash_identifier)
    lines = tuple([_line_from_pb(line, n) for n, line in enumerate(sale.lines)])
    tenders = tuple([_tender_from_pb(tender, n) for n, tender in enumerate(sale.tenders)])
    read = Sale(header, lines, tenders, rounding_minor)
    check_lines(read)
    check_tenders(tenders)
    return read


def outcome_from_pb(outcome: pb.Outcome) -> Outcome:
    """Read what the till did.

    Raises:
        Refusal: names the field.
    """
    check.count_of(len(outcome.lines), "outcome.lines", limits.LINES_MAX)
    kind = check.enum_of(outcome.kind, "outcome.kind", _OUTCOME_KIND_LAST)
    if outcome.lines and kind != OutcomeKind.OTHER:
        check.refuse_inconsistent("outcome.lines", "only OTHER states amounts by line")
    lines = tuple(_outcome_line(line, n) for n, line in enumerate(outcome.lines))
    number = check.number_of(outcome.number, "outcome.number", 1, limits.OUTCOME_NUMBER_MAX)
    return Outcome(kind, number, lines)


def _outcome_line(line: pb.OutcomeLine, n: int) -> tuple[str, int]:
    path = f"outcome.lines[{n}]"
    return (
        check.text_of(line.line_id, f"{path}.line_id"),
        check.number_of(line.amount_minor, f"{path}.amount_minor", 0, limits.AMOUNT_MINOR_MAX),
    )


def check_stated_lines(outcome: Outcome, sale: Sale) -> None:
    """Hold the lines of an outcome to those of its sale: each at most once.

    Raises:
        Refusal: names the field.
    """
    known = sale.columns.line_ids
    left = set(known)
    for n, (line_id, _) in enumerate(outcome.lines):
        if line_id not in left:
            text = "is stated twice" if line_id in known else "no such line"
            check.refuse_inconsistent(f"outcome.lines[{n}].line_id", text)
        left.remove(line_id)


def check_choices(choices: Sequence[pb.Choice]) -> None:
    """Hold choices that the customer made to their limits; nothing reads them yet.

    Raises:
        Refusal: names the field.
    """
    check.count_of(len(choices), "choices", limits.CHOICES_MAX)
    for n, choice in enumerate(choices):
        check.text_of(choice.promotion_id, f"choices[{n}].promotion_id")
        check.text_of(choice.option_id, f"choices[{n}].option_id")


def _header_from_pb(header: pb.Header, hash_identifier: HashIdentifier) -> Header:
    """Read the header. The checks stand inline, as those of a line do."""
    parts = _HEADER_PARTS(header)
    chain_id, store_id, till_id, mode, till_type, cashier_id, shift_id = parts[:7]
    till_time_us, offset_minutes, currency_code, language_code = parts[7:]
    if (
        not header.HasField("control_totals")
        or not 0 < len(chain_id) <= 64
        or not 0 < len(store_id) <= 64
        or not 0 < len(till_id) <= 64
        or not 0 < mode <= _SALE_MODE_LAST
        or not 0 < till_type <= _TILL_TYPE_LAST
        or not 0 < len(cashier_id) <= 64
        or not 0 < len(shift_id) <= 32
        or not 0 < till_time_us <= limits.INSTANT_US_MAX
        or not -_OFFSET_MAX <= offset_minutes <= _OFFSET_MAX
        or len(currency_code) != 3
        or not 2 <= len(language_code) <= 35
        or "\x00" in f"{chain_id}{store_id}{till_id}{cashier_id}{shift_id}"
        or "\x00" in f"{currency_code}{language_code}"
    ):
        _refuse_header(header)
    totals = header.control_totals
    return Header(
        chain_id,
        store_id,
        till_id,
        mode,
        till_type,
        cashier_id,
        shift_id,
        till_time_us,
        offset_minutes,
        currency_code,
        language_code,
        totals.line_count,
        totals.amount_minor,
        _identifiers_from_pb(header.identifiers, chain_id, hash_identifier),
        _texts(
            header.coupon_codes,
            "sale.header.coupon_codes",
            limits.COUPON_CODES_MAX,
            limits.TEXT_CODE_MAX,
        ),
        _texts(
            header.manual_triggers,
            "sale.header.manual_triggers",
            limits.MANUAL_TRIGGERS_MAX,
            limits.TEXT_ID_MAX,
        ),
        header.staff_purchase,
        check.optional_text_of(header.legal_entity_id, "sale.header.legal_entity_id"),
        check.optional_text_of(header.order_number, "sale.header.order_number"),
        check.optional_text_of(header.fiscal_number, "sale.header.fiscal_number"),
        _capabilities_from_pb(header),
    )


def _refuse_header(header: pb.Header) -> Never:
    """Say which of a header's fields is wrong."""
    path = "sale.header"
    check.text_of(header.chain_id, f"{path}.chain_id")
    if not header.HasField("control_totals"):
        check.refuse_required(f"{path}.control_totals")
    check.text_of(header.store_id, f"{path}.store_id")
    check.text_of(header.till_id, f"{path}.till_id")
    check.enum_of(header.mode, f"{path}.mode", _SALE_MODE_LAST)
    check.enum_of(header.till_type, f"{path}.till_type", _TILL_TYPE_LAST)
    check.text_of(header.cashier_id, f"{path}.cashier_id")
    check.label_of(header.shift_id, f"{path}.shift_id")
    check.number_of(header.till_time_us, f"{path}.till_time_us", 1, limits.INSTANT_US_MAX)
    offset_minutes = header.till_utc_offset_minutes
    check.number_of(offset_minutes, f"{path}.till_utc_offset_minutes", -_OFFSET_MAX, _OFFSET_MAX)
    check.text_of(header.currency_code, f"{path}.currency_code", 3, 3)
    check.language_of(header.language_code, f"{path}.language_code")
    raise AssertionError("a header is refused for one of its fields")


def _identifiers_from_pb(
    identifiers: Sequence[pb.Identifier], chain_id: str, hash_identifier: HashIdentifier
) -> tuple[Identifier, ...]:
    path = "sale.header.identifiers"
    check.count_of(len(identifiers), path, limits.IDENTIFIERS_MAX)
    return tuple(
        [
            identifier_from_pb(identifier, f"{path}[{n}]", chain_id, hash_identifier)
            for n, identifier in enumerate(identifiers)
        ]
    )


def _texts(values: Sequence[str], path: str, count_max: int, text_max: int) -> tuple[str, ...]:
    if not values:
        return ()
    check.count_of(len(values), path, count_max)
    return tuple(check.text_of(value, f"{path}[{n}]", text_max) for n, value in enumerate(values))


def _capabilities_from_pb(header: pb.Header) -> Capabilities:
    if not header.HasField("capabilities"):
        return _NO_CAPABILITIES
    can = header.capabilities
    path = "sale.header.capabilities.slip_width_chars"
    check.number_of(can.slip_width_chars, path, 0, limits.SLIP_WIDTH_CHARS_MAX)
    return Capabilities(
        can.split_line,
        can.zero_price,
        can.add_piece,
        can.ask_question,
        can.print_qr,
        can.slip_width_chars,
    )


def _line_from_pb(line: pb.Line, n: int) -> Line:
    """Read one line. The checks stand inline: this runs for every line of every receipt."""
    line_id, sku = line.line_id, line.sku
    quantity_milli, amount_minor = line.quantity_milli, line.amount_minor
    price_scaled, price_scale = line.unit_price_scaled, line.unit_price_scale
    unit: int = line.unit
    source, kind, action = line.price_source, line.kind, line.action
    minimum_minor = line.minimum_amount_minor
    if (
        not 0 < len(line_id) <= 64
        or not 0 < len(sku) <= 64
        or "\x00" in line_id
        or "\x00" in sku
        or not 0 < quantity_milli <= limits.QUANTITY_MILLI_MAX
        or not 0 <= amount_minor <= limits.AMOUNT_MINOR_MAX
        or not 0 <= price_scaled <= limits.UNIT_PRICE_SCALED_MAX
        or price_scale > limits.UNIT_PRICE_SCALE_MAX
        or not 0 < unit <= _UNIT_LAST
        or not 0 < source <= _PRICE_SOURCE_LAST
        or not 0 < kind <= _LINE_KIND_LAST
        or not 0 < action <= _LINE_ACTION_LAST
    ):
        _refuse_line(line, f"sale.lines[{n}]")
    _check_measure(quantity_milli, unit, amount_minor, minimum_minor, f"sale.lines[{n}]")
    return Line(
        line_id,
        sku,
        quantity_milli,
        unit,
        price_scaled,
        price_scale,
        amount_minor,
        source,
        kind,
        action,
        minimum_minor,
        line.no_discount,
        line.no_earn,
        line.no_spend,
        line.cancelled,
        _rest_of_line(line, n),
    )


def _refuse_line(line: pb.Line, path: str) -> Never:
    """Say which of a line's fields is wrong."""
    check.text_of(line.line_id, f"{path}.line_id")
    check.text_of(line.sku, f"{path}.sku")
    check.number_of(line.quantity_milli, f"{path}.quantity_milli", 1, limits.QUANTITY_MILLI_MAX)
    check.number_of(line.amount_minor, f"{path}.amount_minor", 0, limits.AMOUNT_MINOR_MAX)
    check.number_of(
        line.unit_price_scaled, f"{path}.unit_price_scaled", 0, limits.UNIT_PRICE_SCALED_MAX
    )
    check.number_of(
        line.unit_price_scale, f"{path}.unit_price_scale", 0, limits.UNIT_PRICE_SCALE_MAX
    )
    check.enum_of(line.unit, f"{path}.unit", _UNIT_LAST)
    check.enum_of(line.price_source, f"{path}.price_source", _PRICE_SOURCE_LAST)
    check.enum_of(line.kind, f"{path}.kind", _LINE_KIND_LAST)
    check.enum_of(line.action, f"{path}.action", _LINE_ACTION_LAST)
    raise AssertionError("a line is refused for one of its fields")


def _rest_of_line(line: pb.Line, n: int) -> tuple[object, ...]:
    """What no rule reads yet, kept and fingerprinted; empty if only the barcode was sent."""
    barcode = line.barcode
    if barcode and (len(barcode) > limits.TEXT_CODE_MAX or "\x00" in barcode):
        check.optional_text_of(barcode, f"sale.lines[{n}].barcode", limits.TEXT_CODE_MAX)
    rest = (
        line.entry_method,
        line.regular_amount_minor,
        line.department_id,
        line.vat_code,
        line.parent_line_id,
        line.age_check,
        line.must_be_scanned,
        line.seller_id,
        line.gift_card_operation,
        line.gift_card_id,
        line.HasField("cashier_discount"),
        line.HasField("return_origin"),
    )
    if rest == _NO_REST:
        return (barcode,) if barcode else ()
    path = f"sale.lines[{n}]"
    _check_rest(line, path)
    discount = _cashier_discount(line, path) if rest[-2] else ()
    origin = _return_origin(line, path) if rest[-1] else ()
    return (barcode, *rest[:-2], discount, origin)


def _check_rest(line: pb.Line, path: str) -> None:
    check.optional_enum_of(line.entry_method, f"{path}.entry_method", _ENTRY_METHOD_LAST)
    check.number_of(
        line.regular_amount_minor, f"{path}.regular_amount_minor", 0, limits.AMOUNT_MINOR_MAX
    )
    check.optional_text_of(line.department_id, f"{path}.department_id")
    check.optional_text_of(line.vat_code, f"{path}.vat_code", limits.TEXT_LABEL_MAX)
    check.optional_text_of(line.parent_line_id, f"{path}.parent_line_id")
    check.optional_text_of(line.seller_id, f"{path}.seller_id")
    check.optional_enum_of(
        line.gift_card_operation, f"{path}.gift_card_operation", _GIFT_CARD_OPERATION_LAST
    )
    check.optional_text_of(line.gift_card_id, f"{path}.gift_card_id")


def _cashier_discount(line: pb.Line, path: str) -> tuple[object, ...]:
    discount, path = line.cashier_discount, f"{path}.cashier_discount"
    return (
        check.number_of(discount.amount_minor, f"{path}.amount_minor", 0, limits.AMOUNT_MINOR_MAX),
        check.text_of(discount.reason_code, f"{path}.reason_code"),
        check.optional_text_of(discount.approver_id, f"{path}.approver_id"),
    )


def _return_origin(line: pb.Line, path: str) -> tuple[object, ...]:
    origin, path = line.return_origin, f"{path}.return_origin"
    _check_returns(line.action, path)
    key = None
    if origin.HasField("receipt_key"):
        key = receipt_key_from_pb(origin.receipt_key, f"{path}.receipt_key")
    return (key, _origin_line_of(origin.line_id, key is not None, path))


def _tender_from_pb(tender: pb.Tender, n: int) -> Tender:
    path = f"sale.tenders[{n}]"
    amount_minor = tender.amount_minor
    check.number_of(amount_minor, f"{path}.amount_minor", 0, limits.AMOUNT_MINOR_MAX)
    return Tender(
        check.enum_of(tender.kind, f"{path}.kind", _TENDER_KIND_LAST),
        check.enum_of(tender.state, f"{path}.state", _TENDER_STATE_LAST),
        amount_minor,
        check.optional_text_of(tender.card_bin, f"{path}.card_bin", 8),
        check.optional_text_of(tender.gift_card_id, f"{path}.gift_card_id"),
        check.optional_enum_of(
            tender.gift_card_operation, f"{path}.gift_card_operation", _GIFT_CARD_OPERATION_LAST
        ),
        check.optional_text_of(tender.asset_code, f"{path}.asset_code", limits.ASSET_CODE_MAX),
    )


def check_lines(sale: Sale) -> None:
    """Hold the fields of lines together, and lines: each id once, pieces, control totals.

    Raises:
        Refusal: names the field.
    """
    header, columns = sale.header, sale.columns
    has_rests = max(map(len, columns.rests)) > 1
    has_minimums = any(columns.minimum_amounts_minor)
    if has_rests or has_minimums or any(map(_FRACTION_MILLI, columns.quantities_milli)):
        for n, line in enumerate(sale.lines):
            _check_line(line, f"sale.lines[{n}]")
    known = set(columns.line_ids)
    if len(known) != len(sale.lines):
        _refuse_twice(sale.lines)
    if has_rests:
        _check_parents(columns, known)
    _check_pieces(columns)
    count, amount_minor = len(sale.lines), sum(columns.amounts_minor)
    if sale.has_returns or True in columns.cancelled:
        sold = [line for line in sale.lines if not line.cancelled]
        back = [line for line in sold if line.action == _RETURN]
        count = len(sold)
        amount_minor = sum([line.amount_minor for line in sold])
        amount_minor -= 2 * sum([line.amount_minor for line in back])
    path = "sale.header.control_totals"
    if count != header.line_count:
        _refuse_totals(f"{path}.line_count", header.line_count, count)
    if amount_minor != header.amount_minor:
        _refuse_totals(f"{path}.amount_minor", header.amount_minor, amount_minor)


def check_tenders(tenders: Iterable[Tender]) -> None:
    """Hold the fields of each tender together.

    Raises:
        Refusal: names the field.
    """
    for n, tender in enumerate(tenders):
        card_bin = tender.card_bin
        if card_bin and not (card_bin.isascii() and card_bin.isdigit()):
            _refuse_bin(f"sale.tenders[{n}].card_bin")
        if tender.gift_card_operation == _BALANCE and tender.amount_minor:
            if tender.kind in _BY_CARD:
                text = "a tender that asks for a balance pays nothing"
                check.refuse_inconsistent(f"sale.tenders[{n}].amount_minor", text)


def _refuse_bin(path: str) -> Never:
    text = "a BIN is of digits: the first 6 to 8 of a card"
    raise Refusal(Reason.BAD_TEXT, f"{path}: {text}", fields=((path, text),))


def _check_line(line: Line, path: str) -> None:
    """Hold the fields of a line together."""
    _check_measure(
        line.quantity_milli, line.unit, line.amount_minor, line.minimum_amount_minor, path
    )
    origin = line.rest[-1] if len(line.rest) > 1 else ()
    if origin:
        assert isinstance(origin, tuple)
        key, line_id = origin
        path = f"{path}.return_origin"
        _check_returns(line.action, path)
        _origin_line_of(line_id, key is not None, path)


def _check_measure(
    quantity_milli: int, unit: int, amount_minor: int, minimum_minor: int, path: str
) -> None:
    """No line costs less than its minimum, and pieces are whole."""
    check.number_of(minimum_minor, f"{path}.minimum_amount_minor", 0, amount_minor)
    if unit == _PIECE and quantity_milli % limits.MILLI:
        check.refuse_inconsistent(f"{path}.quantity_milli", "pieces are whole: a multiple of 1000")


def _check_returns(action: int, path: str) -> None:
    if action != _RETURN:
        check.refuse_inconsistent(path, "only a RETURN line has an origin")


def _origin_line_of(line_id: str, has_key: bool, path: str) -> str:
    """The line of the original; without the receipt's key it need not be known."""
    read = check.text_of if has_key else check.optional_text_of
    return read(line_id, f"{path}.line_id")


def _check_parents(columns: LineColumns, known: Collection[str]) -> None:
    """A line belongs to a line of the sale, and not to itself, whatever comes in between."""
    parents: dict[str, str] = {}
    for n, rest in enumerate(columns.rests):
        if len(rest) > _PARENT and rest[_PARENT]:
            if rest[_PARENT] not in known:
                check.refuse_inconsistent(f"sale.lines[{n}].parent_line_id", "no such line")
            parents[columns.line_ids[n]] = str(rest[_PARENT])
    closing = _closes_a_circle(parents)
    if closing:
        n = columns.line_ids.index(closing)
        check.refuse_inconsistent(f"sale.lines[{n}].parent_line_id", "the line belongs to itself")


def _closes_a_circle(parents: Mapping[str, str]) -> str:
    """The line whose parent belongs to it; empty if there is none. Each is walked over once."""
    ending: set[str] = set()
    for line_id in parents:
        walked: set[str] = set()
        while line_id in parents and line_id not in ending:
            walked.add(line_id)
            if parents[line_id] in walked:
                return line_id
            line_id = parents[line_id]
        ending |= walked
    return ""


def _check_pieces(columns: LineColumns) -> None:
    """A receipt has so many pieces at most; what is weighed is one."""
    most_milli = sum(columns.quantities_milli) + limits.MILLI * len(columns.units)
    if most_milli <= limits.PIECES_MAX * limits.MILLI:
        return
    pairs = zip(columns.quantities_milli, columns.units, strict=True)
    pieces_milli = sum([milli if unit == _PIECE else limits.MILLI for milli, unit in pairs])
    pieces = floor_div(pieces_milli, limits.MILLI)
    if pieces > limits.PIECES_MAX:
        check.refuse_count("sale.lines.quantity_milli", pieces, limits.PIECES_MAX)


def _refuse_twice(lines: Iterable[Line]) -> None:
    seen: set[str] = set()
    for n, line in enumerate(lines):
        if line.line_id in seen:
            check.refuse_inconsistent(f"sale.lines[{n}].line_id", "stands on two lines")
        seen.add(line.line_id)


def _refuse_totals(path: str, stated: int, computed: int) -> None:
    text = f"states {stated}, the lines give {computed}"
    metadata = {"stated": str(stated), "computed": str(computed)}
    raise Refusal(Reason.CONTROL_TOTALS_MISMATCH, f"{path} {text}", metadata, ((path, text),))
