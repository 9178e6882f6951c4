"""One year of a real gift shop (the online_retail files) as one web store with its receipts."""

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec import Struct

from loyalty.v1.back_office_service_pb2 import Customer, ImportedIdentifier, Product, Store
from loyalty.v1.receipt_pb2 import (
    EntryMethod,
    IdentifierKind,
    LineKind,
    QuantityUnit,
    TillType,
)
from pos_sim.workload import PROGRAMS, Basket, Given, Item, TillPlan, Workload

CHAIN_ID = "gift"
STORE_ID = "web"
TIME_ZONE = "Europe/London"
CURRENCY_CODE = "GBP"
HOME_COUNTRY = "United Kingdom"
WHOLESALE_UNITS = 250
"""A customer whose receipts hold so many pieces on average buys to sell on."""
UNARY_EVERY = 8
FILES = ("receipts.csv.gz", "lines.csv.gz", "products.csv.gz")

_NOT_GOODS = frozenset({"postage", "fee", "discount", "bad_debt", "manual", "gift_voucher"})
_KINDS = {
    "postage": LineKind.LINE_KIND_SERVICE,
    "fee": LineKind.LINE_KIND_SERVICE,
    "manual": LineKind.LINE_KIND_SERVICE,
    "gift_voucher": LineKind.LINE_KIND_GIFT_CARD,
}
_WORD = re.compile(r"[A-Z][A-Z-]*[A-Z]")
_SHORT_WORDS = frozenset({"OF", "IN", "AND", "WITH", "THE", "FOR", "TO", "ON"})


class _Receipt(Struct, frozen=True):
    receipt_id: str
    sold_at: datetime
    customer_id: str
    country: str
    units: int


def find_missing(directory: Path) -> list[str]:
    """Which of the files are not there."""
    return [name for name in FILES if not (directory / name).is_file()]


def make_workload(directory: Path, count: int | None, till_count: int) -> Workload:
    """Read the sale receipts, in the order in which they were sold.

    Args:
        directory: Holds the three files.
        count: At most so many receipts; None is all.
        till_count: Tills that take the receipts in turn, 1 or more.
    """
    receipts = sorted(_read_receipts(directory), key=lambda r: (r.sold_at, r.receipt_id))[:count]
    items = _read_items(directory, {receipt.receipt_id for receipt in receipts})
    tills = [_till(number) for number in range(till_count)]
    for index, receipt in enumerate(receipts):
        basket = _basket(index, receipt, tuple(items[receipt.receipt_id]))
        tills[index % till_count].baskets.append(basket)
    return Workload(
        chain_id=CHAIN_ID,
        currency_code=CURRENCY_CODE,
        program=PROGRAMS / "gift_shop.toml",
        stores=[_store()],
        products=[_product(row) for row in _rows(directory, "products")],
        customers=_customers(receipts),
        tills=tills,
    )


def _rows(directory: Path, name: str) -> Iterator[dict[str, str]]:
    with gzip.open(directory / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _read_receipts(directory: Path) -> Iterator[_Receipt]:
    zone = ZoneInfo(TIME_ZONE)
    for row in _rows(directory, "receipts"):
        if row["kind"] == "sale":
            yield _Receipt(
                receipt_id=row["receipt_id"],
                sold_at=datetime.fromisoformat(row["sold_at"]).replace(tzinfo=zone),
                customer_id=row["customer_id"],
                country=row["country"],
                units=int(row["units"]),
            )


def _read_items(directory: Path, receipt_ids: set[str]) -> dict[str, list[Item]]:
    """Lines by receipt, in their order; an article that stands twice stays two lines."""
    items: dict[str, list[Item]] = defaultdict(list)
    for row in _rows(directory, "lines"):
        if row["receipt_id"] in receipt_ids:
            items[row["receipt_id"]].append(
                Item(
                    sku=row["sku"],
                    quantity_milli=1000 * int(row["qty"]),
                    price_minor=int(row["unit_price_minor"]),
                    unit=QuantityUnit.QUANTITY_UNIT_PIECE,
                    kind=_KINDS.get(row["line_type"], LineKind.LINE_KIND_GOODS),
                )
            )
    return items


def _basket(index: int, receipt: _Receipt, items: tuple[Item, ...]) -> Basket:
    kind, scanned = IdentifierKind.IDENTIFIER_KIND_CARD, EntryMethod.ENTRY_METHOD_SCANNED
    offset = receipt.sold_at.utcoffset() or timedelta()
    return Basket(
        index=index,
        items=items,
        opened_at_us=int(receipt.sold_at.timestamp()) * 1_000_000,
        utc_offset_minutes=offset // timedelta(minutes=1),
        business_date=receipt.sold_at.date().isoformat(),
        customer_number=receipt.customer_id,
        given=Given(kind, receipt.customer_id, scanned) if receipt.customer_id else None,
    )


def _till(number: int) -> TillPlan:
    return TillPlan(
        till_id=f"w{number + 1:02d}",
        store_id=STORE_ID,
        till_type=TillType.TILL_TYPE_WEB,
        language_code="en",
        adds_pieces=True,
        unary=number % UNARY_EVERY == UNARY_EVERY - 1,
        baskets=[],
    )


def _store() -> Store:
    return Store(
        store_id=STORE_ID,
        name="The Gift Shop",
        time_zone=TIME_ZONE,
        currency_code=CURRENCY_CODE,
        language_code="en",
        zones=["online"],
    )


def _product(row: dict[str, str]) -> Product:
    is_goods = row["line_type"] not in _NOT_GOODS
    return Product(
        sku=row["sku"],
        name=row["description"].strip() or row["sku"],
        categories=["gifts" if is_goods else "services", row["line_type"]],
        properties=[f"word={word}" for word in _words(row["description"])] if is_goods else [],
        no_discount=not is_goods,
        no_earn=not is_goods,
        no_cross_sell=not is_goods,
    )


def _words(description: str) -> list[str]:
    """Words of a description, each once, in the singular: "TEA CUPS" gives cup and tea."""
    words = set(_WORD.findall(description.upper())) - _SHORT_WORDS
    return sorted({_singular(word.lower()) for word in words})


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] not in "asu" else word


def _customers(receipts: list[_Receipt]) -> list[Customer]:
    """Everybody who bought, with segments by how much and from where they buy."""
    bought: dict[str, list[_Receipt]] = defaultdict(list)
    for receipt in receipts:
        if receipt.customer_id:
            bought[receipt.customer_id].append(receipt)
    return [_customer(number, theirs) for number, theirs in sorted(bought.items())]


def _customer(number: str, receipts: list[_Receipt]) -> Customer:
    units = sum(receipt.units for receipt in receipts)
    wholesale = units >= WHOLESALE_UNITS * len(receipts)
    abroad = receipts[0].country != HOME_COUNTRY
    return Customer(
        customer_number=number,
        identifiers=[ImportedIdentifier(kind="card", value=number)],
        segments=["wholesale" if wholesale else "retail", *(["export"] if abroad else [])],
    )
