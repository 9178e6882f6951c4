"""A case's lines, coupons and payments as a sale of ours."""

from collections.abc import Iterator
from decimal import Decimal

from rewards.sale import (
    Capabilities,
    Header,
    Line,
    LineAction,
    LineKind,
    PriceSource,
    Sale,
    SaleMode,
    Tender,
    TenderKind,
    Unit,
)
from tests.peer_cases.amounts import milli, whole
from tests.peer_cases.case import Case, CaseLine
from tests.peer_cases.instants import now_of
from tests.peer_cases.payments import NO_BOUND, offered_minor, payments_of
from tests.peer_cases.points import event_name
from tests.peer_cases.program import CHAIN

ANY_PRICE_MINOR = 100_000
"""Where a price does not matter: more than any discount of a fixed amount that peers give."""
NEUTRAL = CaseLine("neutral", "neutral", qty=Decimal(1))
"""Stands on a receipt of which a case says nothing."""
ABLE = Capabilities(True, True, True, True, True, 40)
MICROS = 1_000_000


def sale_of(case: Case) -> Sale:
    """The receipt, at a till that can do everything."""
    lines = tuple(_line(case, line) for line in lines_of(case))
    return Sale(_header(case, lines), lines, tuple(_tenders(case)), 0)


def lines_of(case: Case) -> tuple[CaseLine, ...]:
    """The lines of which there is something; a neutral one where there are none."""
    return tuple(line for line in case.lines if line.qty) or (NEUTRAL,)


def _line(case: Case, line: CaseLine) -> Line:
    """One line; a negative price is a return."""
    price_minor = ANY_PRICE_MINOR
    if line.unit_price_minor is not None:
        price_minor = whole(line.unit_price_minor)
    floor = case.unit_floor_minor.get(line.sku, 0)
    return Line(
        line_id=line.line_id,
        sku=line.sku,
        quantity_milli=milli(line.qty),
        # Less than a piece is weighed; of what is more, whole pieces are counted.
        unit=Unit.PIECE if line.qty >= 1 else Unit.KILOGRAM,
        unit_price_scaled=abs(price_minor),
        unit_price_scale=case.minor_units,
        amount_minor=abs(whole(line.qty * price_minor)),
        price_source=PriceSource.SHELF,
        kind=LineKind.GOODS,
        action=LineAction.RETURN if price_minor < 0 else LineAction.SALE,
        minimum_amount_minor=whole(line.qty * floor),
    )


def _header(case: Case, lines: tuple[Line, ...]) -> Header:
    signed = [
        -one.amount_minor if one.action == LineAction.RETURN else one.amount_minor for one in lines
    ]
    events = {event_name(one.params) for one in case.promotions} - {""}
    return Header(
        chain_id=CHAIN,
        store_id="store",
        till_id="till",
        mode=SaleMode.LIVE,
        till_type=1,
        cashier_id="cashier",
        shift_id="1",
        till_time_us=int(now_of(case).timestamp()) * MICROS,
        till_utc_offset_minutes=0,
        currency_code=case.currency,
        language_code="en",
        line_count=len(lines),
        amount_minor=sum(signed),
        identifiers=(),
        coupon_codes=case.coupons,
        manual_triggers=tuple(sorted(events)),
        staff_purchase=False,
        legal_entity_id="",
        order_number="",
        fiscal_number="",
        capabilities=ABLE,
    )


def _tenders(case: Case) -> Iterator[Tender]:
    """Stored value pays like a gift card: it is a tender, no discount."""
    for one in payments_of(case):
        offered = offered_minor(case, one)
        if 0 < offered < NO_BOUND:
            yield Tender(TenderKind.GIFT_CARD, 2, offered, "", "", 0)
