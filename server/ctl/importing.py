"""`loyaltyctl import`: stores, articles, prices and customers from CSV files, in batches."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeVar

import grpc
import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from loyalty.v1 import back_office_service_pb2 as pb
from server.ctl.feed_file import (
    COUPON_COLUMNS,
    CUSTOMER_COLUMNS,
    PRICE_COLUMNS,
    PRODUCT_COLUMNS,
    STORE_COLUMNS,
    Columns,
    Row,
    coupon_of,
    customer_of,
    price_of,
    product_of,
    read_rows,
    store_of,
)
from server.ctl.link import CALL_TIMEOUT_S, RefusedError, back_office, ctl_error
from server.ctl.option import TARGET, Target
from server.ctl.say import CtlError, err, say

BATCH = 1_000
_ROW = re.compile(r"^\w+\[(\d+)\]\.?")

app = typer.Typer(
    help="Import from CSV files (UTF-8; the first row names the columns; ; between values).",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(help="a CSV file", show_default=False)]
PriceList = Annotated[
    str, typer.Option("--list", help="code of the list, as promotions name it", show_default=False)
]
Series = Annotated[
    str, typer.Option(help="code of the series, as promotions name it", show_default=False)
]
Chain = Annotated[str, typer.Option(help="whose they are", show_default=False)]

_Message = TypeVar("_Message")


@app.command()
def stores(file: File, chain: Chain, target: Target = TARGET) -> None:
    """Import stores: store_id, time_zone, currency_code, language_code, name, zones."""
    with back_office(target) as stub:
        _import(
            file,
            target,
            STORE_COLUMNS,
            store_of,
            lambda batch: (
                stub.ImportStores(
                    pb.ImportStoresRequest(chain_id=chain, stores=batch), timeout=CALL_TIMEOUT_S
                ).imported
            ),
        )


@app.command()
def products(file: File, chain: Chain, target: Target = TARGET) -> None:
    """Import articles: sku, name, categories, brand, properties, no_..., weighed, ..."""
    with back_office(target) as stub:
        _import(
            file,
            target,
            PRODUCT_COLUMNS,
            product_of,
            lambda batch: (
                stub.ImportProducts(
                    pb.ImportProductsRequest(chain_id=chain, products=batch), timeout=CALL_TIMEOUT_S
                ).imported
            ),
        )


@app.command()
def customers(file: File, chain: Chain, target: Target = TARGET) -> None:
    """Import customers: customer_number, identifier.card, ..., tier, counter.x, offer.x, ..."""
    with back_office(target) as stub:
        _import(
            file,
            target,
            CUSTOMER_COLUMNS,
            customer_of,
            lambda batch: (
                stub.ImportCustomers(
                    pb.ImportCustomersRequest(chain_id=chain, customers=batch),
                    timeout=CALL_TIMEOUT_S,
                ).imported
            ),
        )


@app.command()
def prices(file: File, chain: Chain, price_list: PriceList, target: Target = TARGET) -> None:
    """Import prices of a list: sku, price_minor, unit, zone, segment, customer_number, removed."""
    with back_office(target) as stub:
        _import(
            file,
            target,
            PRICE_COLUMNS,
            price_of,
            lambda batch: (
                stub.ImportPrices(
                    pb.ImportPricesRequest(chain_id=chain, list_code=price_list, prices=batch),
                    timeout=CALL_TIMEOUT_S,
                ).imported
            ),
        )


@app.command()
def coupons(file: File, chain: Chain, series: Series, target: Target = TARGET) -> None:
    """Import coupons of a series, each for one use: code, expires_at."""
    with back_office(target) as stub:
        _import(
            file,
            target,
            COUPON_COLUMNS,
            coupon_of,
            lambda batch: (
                stub.ImportCoupons(
                    pb.ImportCouponsRequest(chain_id=chain, series_code=series, coupons=batch),
                    timeout=CALL_TIMEOUT_S,
                ).imported
            ),
        )


def _import(
    path: Path,
    target: str,
    columns: Columns,
    read: Callable[[Row], _Message],
    send: Callable[[list[_Message]], int],
) -> None:
    """Send the file's rows in batches, with a bar that shows how much of it is read."""
    imported = 0
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    try:
        with (
            bar,
            bar.open(path, "r", encoding="utf-8-sig", newline="", description=path.name) as file,
        ):
            for batch in _batches(read_rows(path, file, columns, read)):
                try:
                    imported += send([message for _, message in batch])
                except grpc.RpcError as error:
                    lines = [line for line, _ in batch]
                    raise _placed(ctl_error(error, target), path, lines, imported) from None
    except OSError as error:
        raise CtlError(f"{path}: {error.strerror}") from None
    say(f"{path}: {imported:,} imported")


def _placed(error: CtlError, path: Path, lines: list[int], imported: int) -> CtlError:
    """Say the line of the file for the row that a refusal names."""
    if not isinstance(error, RefusedError) or not error.fields:
        return error
    places = [f"{path}: {_place(field, lines)}: {text}" for field, text in error.fields]
    done = f"{imported:,} rows before this batch of {len(lines):,} are imported"
    return CtlError(*places, f"{done}; correct the file and import it again")


def _place(field: str, lines: list[int]) -> str:
    match = _ROW.match(field)
    if match is None or int(match[1]) >= len(lines):
        return field
    return f"line {lines[int(match[1])]}: {field[match.end() :]}"


def _batches(rows: Iterable[_Message]) -> Iterator[list[_Message]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, BATCH)):
        yield batch
