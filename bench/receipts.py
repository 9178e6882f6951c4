"""The receipts of the server's benchmarks. Imports nothing of the server: loads start fast."""

import random
from collections.abc import Iterator

from loyalty.v1 import receipt_pb2, till_service_pb2

SERVICE = till_service_pb2.DESCRIPTOR.services_by_name["TillService"].full_name
CHAIN = "bench"
STORE = "s1"
ARTICLES = 1_000
LINES = 10


def checkout_requests(
    count: int, accounts: int, run: str, seed: int
) -> Iterator[till_service_pb2.CheckoutRequest]:
    """Checkouts with new keys: ten lines, a card, all capabilities.

    Args:
        count: how many.
        accounts: cards are drawn evenly from these.
        run: makes the keys of this run unlike those of any other.
        seed: of the draw.
    """
    draw = random.Random(seed)
    for n in range(count):
        request = till_service_pb2.CheckoutRequest(closed=False)
        till = f"t{n % 1_000}"
        _fill_key(request.receipt_key, till, run, n)
        _fill_sale(request.sale, till, draw, accounts)
        yield request


def _fill_key(key: receipt_pb2.ReceiptKey, till: str, run: str, n: int) -> None:
    key.chain_id, key.store_id, key.till_id = CHAIN, STORE, till
    key.business_date, key.shift_id, key.receipt_number = run, "1", str(n)


def _fill_sale(sale: receipt_pb2.Sale, till: str, draw: random.Random, accounts: int) -> None:
    total_minor = 0
    for n in range(LINES):
        price_minor = draw.randrange(1_000, 50_000)
        pieces = draw.choice((1, 1, 1, 2, 3))
        total_minor += price_minor * pieces
        sale.lines.add(
            line_id=str(n + 1),
            sku=f"sku{draw.randrange(ARTICLES)}",
            barcode=f"46{draw.randrange(10**11):011d}",
            quantity_milli=pieces * 1_000,
            unit=receipt_pb2.QUANTITY_UNIT_PIECE,
            unit_price_scaled=price_minor,
            unit_price_scale=2,
            amount_minor=price_minor * pieces,
            price_source=receipt_pb2.PRICE_SOURCE_SHELF,
            kind=receipt_pb2.LINE_KIND_GOODS,
            action=receipt_pb2.LINE_ACTION_SALE,
        )
    header = sale.header
    header.chain_id, header.store_id, header.till_id = CHAIN, STORE, till
    header.mode, header.till_type = receipt_pb2.SALE_MODE_LIVE, receipt_pb2.TILL_TYPE_STAFFED
    header.cashier_id, header.shift_id = "c1", "1"
    header.till_time_us, header.till_utc_offset_minutes = 1_750_000_000_000_000, 180
    header.currency_code, header.language_code = "RUB", "ru"
    header.control_totals.line_count = LINES
    header.control_totals.amount_minor = total_minor
    header.identifiers.add(
        kind=receipt_pb2.IDENTIFIER_KIND_CARD,
        value=str(draw.randrange(1, accounts + 1)),
        entry_method=receipt_pb2.ENTRY_METHOD_SCANNED,
    )
    for can in ("split_line", "zero_price", "add_piece", "ask_question"):
        setattr(header.capabilities, can, True)
    sale.tenders.add(
        kind=receipt_pb2.TENDER_KIND_CARD,
        state=receipt_pb2.TENDER_STATE_PLANNED,
        amount_minor=total_minor,
    )
