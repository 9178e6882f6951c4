"""Rows of CSV files as messages to import: which columns there are and what stands in them.

The first row names the columns. A cell that holds several values separates them with `;`.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from loyalty.v1 import back_office_service_pb2 as pb
from server.ctl.instant import parse_instant
from server.ctl.say import CtlError

SEPARATOR = ";"
IDENTIFIER_PREFIX = "identifier."
ANSWER_PREFIX = "answer."
COUNTER_PREFIX = "counter."
OFFER_AMOUNT_PREFIX = "offer_amount."
OFFER_PREFIX = "offer."
_YES = frozenset({"1", "yes", "true"})
_NO = frozenset({"", "0", "no", "false"})

Row = Mapping[str, str]
_Message = TypeVar("_Message")


class Columns(NamedTuple):
    """Columns of a file: those it must have, those it may have, and prefixes of more."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    prefixes: tuple[str, ...] = ()


STORE_COLUMNS = Columns(
    ("store_id", "time_zone", "currency_code", "language_code", "name"), ("zones",)
)
PRODUCT_COLUMNS = Columns(
    ("sku", "name"),
    (
        "categories",
        "brand",
        "properties",
        "no_discount",
        "no_earn",
        "no_cross_sell",
        "minimum_price_minor",
        "weighed",
        "list_price_minor",
    ),
)
CUSTOMER_COLUMNS = Columns(
    ("customer_number",),
    ("segments", "state", "language_code", "answered_at", "tier"),
    (IDENTIFIER_PREFIX, ANSWER_PREFIX, COUNTER_PREFIX, OFFER_AMOUNT_PREFIX, OFFER_PREFIX),
)
PRICE_COLUMNS = Columns(
    ("sku",), ("price_minor", "unit", "zone", "segment", "customer_number", "removed")
)
COUPON_COLUMNS = Columns(("code",), ("expires_at",))


def read_rows(
    path: Path, file: IO[str], columns: Columns, read: Callable[[Row], _Message]
) -> Iterator[tuple[int, _Message]]:
    """Read messages with the numbers of their lines.

    Args:
        path: named in errors.
        file: opened with newline="".
        columns: what the first row may name.
        read: turns a row into a message; raises ValueError.

    Raises:
        CtlError: the file, line, column and reason.
    """
    reader = csv.DictReader(file, strict=True)
    try:
        _check_columns(path, list(reader.fieldnames or ()), columns)
        for row in reader:
            yield reader.line_num, _read_row(path, reader.line_num, row, read)
    except csv.Error as error:
        raise CtlError(f"{path}: line {reader.line_num}: is no CSV: {error}") from None
    except UnicodeDecodeError:
        raise CtlError(f"{path}: is not UTF-8") from None


def store_of(row: Row) -> pb.Store:
    """Read a store."""
    return pb.Store(
        store_id=row["store_id"],
        time_zone=row["time_zone"],
        currency_code=row["currency_code"],
        language_code=row["language_code"],
        zones=_split(row.get("zones", "")),
        name=row["name"],
    )


def product_of(row: Row) -> pb.Product:
    """Read an article."""
    return pb.Product(
        sku=row["sku"],
        name=row["name"],
        categories=_split(row.get("categories", "")),
        brand=row.get("brand", ""),
        properties=_split(row.get("properties", "")),
        no_discount=_flag(row, "no_discount"),
        no_earn=_flag(row, "no_earn"),
        no_cross_sell=_flag(row, "no_cross_sell"),
        minimum_price_minor=_number(row, "minimum_price_minor"),
        weighed=_flag(row, "weighed"),
        list_price_minor=_number(row, "list_price_minor"),
    )


def customer_of(row: Row) -> pb.Customer:
    """Read a customer; `identifier.card` holds cards, `answer.sex` the answer to that field."""
    return pb.Customer(
        customer_number=row["customer_number"],
        identifiers=[
            pb.ImportedIdentifier(kind=column.removeprefix(IDENTIFIER_PREFIX), value=value)
            for column, cell in row.items()
            if column.startswith(IDENTIFIER_PREFIX)
            for value in _split(cell)
        ],
        segments=_split(row.get("segments", "")),
        state=row.get("state", ""),
        language_code=row.get("language_code", ""),
        answers=_answers(row),
        tier=row.get("tier", ""),
        counters=[
            pb.ImportedCounter(counter_code=code, count=_number(row, f"{COUNTER_PREFIX}{code}"))
            for code in _filled(row, COUNTER_PREFIX)
        ],
        offers=_offers(row),
    )


def price_of(row: Row) -> pb.ListedPrice:
    """Read a price of a list: for a zone, a segment or a customer if one is named."""
    price = pb.ListedPrice(sku=row["sku"], unit=row.get("unit", ""), removed=_flag(row, "removed"))
    scopes = [name for name in ("zone", "segment", "customer_number") if row.get(name)]
    if len(scopes) > 1:
        raise ValueError(f"{scopes[1]}: a price is for one of {' and '.join(scopes)}, not for both")
    if scopes:
        setattr(price, scopes[0], row[scopes[0]])
    if not price.removed and not row.get("price_minor", "").strip():
        raise ValueError("price_minor: is empty, and the price is not marked removed")
    price.price_minor = _number(row, "price_minor")
    return price


def coupon_of(row: Row) -> pb.ImportedCoupon:
    """Read a coupon of a series: its code, and up to when it can be used."""
    expires_at = row.get("expires_at", "").strip()
    return pb.ImportedCoupon(code=row["code"], expires_at_us=_instant(expires_at, "expires_at"))


def _instant(text: str, column: str) -> int:
    """Read an instant; empty is 0."""
    if not text:
        return 0
    try:
        datetime.fromisoformat(text)
        return parse_instant(text)
    except (ValueError, CtlError):
        reason = f"{column}: {text!r} is not an instant with its offset (RFC 3339)"
        raise ValueError(reason) from None


def _filled(row: Row, prefix: str) -> list[str]:
    """What the columns of a prefix are called that have something in them."""
    return [
        column.removeprefix(prefix)
        for column, cell in row.items()
        if column.startswith(prefix) and cell
    ]


def _offers(row: Row) -> list[pb.ImportedOffer]:
    """Own offers: `offer_amount.x` holds the threshold of x, `offer.x` its categories."""
    codes = dict.fromkeys(_filled(row, OFFER_AMOUNT_PREFIX) + _filled(row, OFFER_PREFIX))
    return [
        pb.ImportedOffer(
            offer_code=code,
            amount_from_minor=_number(row, f"{OFFER_AMOUNT_PREFIX}{code}"),
            categories=_split(row.get(f"{OFFER_PREFIX}{code}", "")),
        )
        for code in codes
    ]


def _answers(row: Row) -> list[pb.ImportedAnswer]:
    given = {
        column.removeprefix(ANSWER_PREFIX): cell
        for column, cell in row.items()
        if column.startswith(ANSWER_PREFIX) and cell
    }
    if not given:
        return []
    answered_at = row.get("answered_at", "")
    try:
        datetime.fromisoformat(answered_at)
        answered_at_us = parse_instant(answered_at)
    except (ValueError, CtlError):
        reason = f"answered_at: {answered_at!r} is not an instant with its offset (RFC 3339)"
        raise ValueError(reason) from None
    return [
        pb.ImportedAnswer(field_code=code, value=value, answered_at_us=answered_at_us)
        for code, value in given.items()
    ]


def _check_columns(path: Path, names: list[str], columns: Columns) -> None:
    if not names:
        raise CtlError(f"{path}: is empty; its first row names the columns")
    missing = [name for name in columns.required if name not in names]
    if missing:
        raise CtlError(f"{path}: line 1: lacks the column(s) {', '.join(missing)}")
    known = {*columns.required, *columns.optional}
    for name in names:
        if name not in known and not name.startswith(columns.prefixes):
            more = [f"{prefix}..." for prefix in columns.prefixes]
            allowed = ", ".join([*columns.required, *columns.optional, *more])
            raise CtlError(f"{path}: line 1: column {name!r} is not known; known: {allowed}")
    if len(set(names)) < len(names):
        raise CtlError(f"{path}: line 1: a column stands twice")


def _read_row(
    path: Path, line: int, row: Mapping[str, str | None], read: Callable[[Row], _Message]
) -> _Message:
    cells = {name: cell for name, cell in row.items() if isinstance(cell, str)}
    if len(cells) < len(row):
        raise CtlError(f"{path}: line {line}: has not as many cells as there are columns")
    try:
        return read(cells)
    except ValueError as error:
        raise CtlError(f"{path}: line {line}: {error}") from None


def _split(cell: str) -> list[str]:
    return [part.strip() for part in cell.split(SEPARATOR) if part.strip()]


def _flag(row: Row, column: str) -> bool:
    cell = row.get(column, "").strip().lower()
    if cell not in _YES | _NO:
        raise ValueError(f"{column}: {cell!r} is neither yes nor no")
    return cell in _YES


def _number(row: Row, column: str) -> int:
    cell = row.get(column, "").strip() or "0"
    if not cell.isascii() or not cell.isdigit() or len(cell) > 18:
        raise ValueError(f"{column}: {cell!r} is not a whole number of minor units")
    return int(cell)
