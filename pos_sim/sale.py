"""How a till writes a basket down as the contract's `Sale`."""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from loyalty.v1.answer_pb2 import PieceToAdd
from loyalty.v1.receipt_pb2 import (
    Capabilities,
    ControlTotals,
    EntryMethod,
    Header,
    Identifier,
    Line,
    LineAction,
    LineKind,
    PriceSource,
    QuantityUnit,
    Sale,
    SaleMode,
    Tender,
    TenderKind,
    TenderState,
)
from pos_sim.amount import price_of
from pos_sim.run import SHIFT_ID
from pos_sim.workload import Basket, Given, Item, TillPlan

SLIP_WIDTH_CHARS = 40
PRICE_SCALE = 2
"""Decimals of unit prices; the demo's currencies have as many."""


class Place(Struct, frozen=True):
    """Where a receipt is rung up.

    Attributes:
        prices: Of a piece by sku, minor units, for what the server proposes to add.
    """

    chain_id: str
    currency_code: str
    till: TillPlan
    prices: Mapping[str, int] = {}

    @property
    def cashier_id(self) -> str:
        """The one cashier of this till."""
        return f"{self.till.store_id}-{self.till.till_id}"


def write_sale(place: Place, basket: Basket) -> Sale:
    """Write down what was scanned; lines are numbered from 1."""
    lines = [_line(number, item) for number, item in enumerate(basket.items, start=1)]
    sale = Sale(header=_header(place, basket), lines=lines)
    _settle_control_totals(sale)
    return sale


def add_pieces(
    sale: Sale, offered: Iterable[PieceToAdd], prices: Mapping[str, int]
) -> tuple[Sale, int]:
    """Scan what the server proposes: on top of a line with the same article, or on a new one.

    Of a group to choose from the customer takes the first; what the till knows no price of is
    declined.

    Returns:
        The sale, and how many proposals were taken.
    """
    changed, chosen, taken = _copy(sale), set[int](), 0
    for piece in offered:
        if piece.choice_group in chosen or not (piece.line_id or piece.sku in prices):
            continue
        if piece.choice_group:
            chosen.add(piece.choice_group)
        if piece.line_id:
            line = next(line for line in changed.lines if line.line_id == piece.line_id)
        else:
            number = len(changed.lines) + 1
            line = changed.lines.add()
            line.CopyFrom(_line(number, _new_item(piece.sku, prices[piece.sku])))
        line.quantity_milli += piece.quantity_milli
        line.amount_minor = price_of(line.unit_price_scaled, line.quantity_milli)
        taken += 1
    _settle_control_totals(changed)
    return changed, taken


def _new_item(sku: str, price_minor: int) -> Item:
    """An article of which nothing is scanned yet."""
    unit, kind = QuantityUnit.QUANTITY_UNIT_PIECE, LineKind.LINE_KIND_GOODS
    return Item(sku, 0, price_minor, unit, kind)


def plan_payment(sale: Sale, amount_minor: int) -> Sale:
    """Plan to pay an amount by bank card.

    Args:
        sale: Without tenders.
        amount_minor: To pay, minor units.
    """
    changed = _copy(sale)
    changed.tenders.append(
        Tender(
            kind=TenderKind.TENDER_KIND_CARD,
            state=TenderState.TENDER_STATE_PLANNED,
            amount_minor=amount_minor,
        )
    )
    return changed


def write_identifier(given: Given) -> Identifier:
    """Write an identifier down as it was given."""
    return Identifier(kind=given.kind, value=given.value, entry_method=given.entry_method)


def _copy(sale: Sale) -> Sale:
    copy = Sale()
    copy.CopyFrom(sale)
    return copy


def _header(place: Place, basket: Basket) -> Header:
    till = place.till
    return Header(
        chain_id=place.chain_id,
        store_id=till.store_id,
        till_id=till.till_id,
        mode=SaleMode.SALE_MODE_LIVE,
        till_type=till.till_type,
        cashier_id=place.cashier_id,
        shift_id=SHIFT_ID,
        till_time_us=basket.opened_at_us,
        till_utc_offset_minutes=basket.utc_offset_minutes,
        currency_code=place.currency_code,
        language_code=till.language_code,
        identifiers=[write_identifier(basket.given)] if basket.given else [],
        coupon_codes=basket.coupon_codes,
        capabilities=Capabilities(
            split_line=True,
            zero_price=True,
            add_piece=till.adds_pieces,
            ask_question=True,
            print_qr=True,
            slip_width_chars=SLIP_WIDTH_CHARS,
        ),
    )


def _line(number: int, item: Item) -> Line:
    scanned, keyed = EntryMethod.ENTRY_METHOD_SCANNED, EntryMethod.ENTRY_METHOD_KEYED
    return Line(
        line_id=str(number),
        sku=item.sku,
        barcode=item.barcode,
        entry_method=scanned if item.barcode else keyed,
        quantity_milli=item.quantity_milli,
        unit=item.unit,
        unit_price_scaled=item.price_minor,
        unit_price_scale=PRICE_SCALE,
        amount_minor=price_of(item.price_minor, item.quantity_milli),
        price_source=PriceSource.PRICE_SOURCE_SHELF,
        kind=item.kind,
        age_check=item.age_check,
        action=LineAction.LINE_ACTION_SALE,
    )


def _settle_control_totals(sale: Sale) -> None:
    totals = ControlTotals(
        line_count=len(sale.lines), amount_minor=sum(line.amount_minor for line in sale.lines)
    )
    sale.header.control_totals.CopyFrom(totals)
