"""The slip as the customer gets it: monospace lines of one width."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from textwrap import wrap

from loyalty.v1.answer_pb2 import Answer, LineResult, TextPlace, TextStyle
from loyalty.v1.receipt_pb2 import Line, QuantityUnit, Sale
from pos_sim.amount import format_amount, format_quantity
from pos_sim.sale import PRICE_SCALE, SLIP_WIDTH_CHARS
from pos_sim.wording import Wording

_UNITS = {
    QuantityUnit.QUANTITY_UNIT_PIECE: "piece",
    QuantityUnit.QUANTITY_UNIT_KILOGRAM: "kilogram",
    QuantityUnit.QUANTITY_UNIT_LITRE: "litre",
    QuantityUnit.QUANTITY_UNIT_METRE: "metre",
}


def print_slip(
    sale: Sale, answer: Answer, names: Mapping[str, str], store_name: str, wording: Wording
) -> list[str]:
    """Print a slip.

    Args:
        sale: What was scanned.
        answer: How it was sold.
        names: Names of articles by sku.
        store_name: Heads the slip.
        wording: Of the slip's language.

    Returns:
        Lines of at most SLIP_WIDTH_CHARS characters, prices right-aligned.
    """
    return [
        *_head(sale, store_name, wording),
        _rule("-"),
        *_lines(sale, answer, names, wording),
        _rule("-"),
        *_totals(sale, answer, wording),
        _rule("-"),
        *_texts(answer),
    ]


def _head(sale: Sale, store_name: str, wording: Wording) -> Iterator[str]:
    header = sale.header
    offset = timedelta(minutes=header.till_utc_offset_minutes)
    opened_at = datetime.fromtimestamp(header.till_time_us // 1_000_000, UTC) + offset
    yield store_name.center(SLIP_WIDTH_CHARS).rstrip()
    yield _sides(f"{wording['till']} {header.till_id}", opened_at.strftime("%d.%m.%Y %H:%M"))
    yield f"{wording['cashier']} {header.cashier_id}"


def _lines(sale: Sale, answer: Answer, names: Mapping[str, str], wording: Wording) -> Iterator[str]:
    scanned = {line.line_id: line for line in sale.lines}
    for result in answer.lines.lines:
        line = scanned[result.line_id]
        yield from wrap(names.get(line.sku, line.sku), SLIP_WIDTH_CHARS)
        yield _sides(f"  {_priced(line, wording)}", wording.money(line.amount_minor))
        yield from _adjustments(result, wording)


def _priced(line: Line, wording: Wording) -> str:
    quantity = format_quantity(line.quantity_milli, wording.language_code)
    price = format_amount(line.unit_price_scaled, PRICE_SCALE, wording.language_code)
    return f"{quantity} {wording[_UNITS[line.unit]]} x {price}"


def _adjustments(result: LineResult, wording: Wording) -> Iterator[str]:
    for adjustment in result.adjustments:
        amount = wording.money(adjustment.amount_minor)
        room = SLIP_WIDTH_CHARS - len(amount) - 1
        *before, last = wrap(adjustment.text, room, initial_indent="  ", subsequent_indent="  ")
        yield from before
        yield _sides(last, amount)


def _totals(sale: Sale, answer: Answer, wording: Wording) -> Iterator[str]:
    totals = answer.lines.totals
    if totals.adjustments_minor:
        yield _sides(wording["sum"], wording.money(totals.amount_before_minor))
        yield _sides(wording["discount"], wording.money(totals.adjustments_minor))
    total = f"{wording.money(totals.amount_minor)} {sale.header.currency_code}"
    yield _sides(wording["total"], total)


def _texts(answer: Answer) -> Iterator[str]:
    for text in answer.texts:
        if text.place == TextPlace.TEXT_PLACE_SLIP:
            if text.style in (TextStyle.TEXT_STYLE_BARCODE, TextStyle.TEXT_STYLE_QR):
                yield f"[{text.text}]".center(SLIP_WIDTH_CHARS).rstrip()
            else:
                yield from wrap(text.text, SLIP_WIDTH_CHARS)


def _sides(left: str, right: str) -> str:
    """Left and right on one line; what is too long on the left is cut."""
    room = SLIP_WIDTH_CHARS - len(right) - 1
    return f"{left[:room]:<{room}} {right}"


def _rule(mark: str) -> str:
    return mark * SLIP_WIDTH_CHARS
