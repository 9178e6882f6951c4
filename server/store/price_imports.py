"""Writes what the back office imports into price lists, a batch a transaction."""

from collections.abc import Sequence

from rewards.list_price import FoundPrice, PricePlace
from server.store.database import Database
from server.store.prices import price_key

IMPORT_TIMEOUT_S = 120.0

UPSERT_PRICES = """
insert into price_list_entry as p (entry_key, chain_id, list_code, sku, scope, scope_name, unit,
                                   price_minor)
select entry_key, $1, list_code, sku, scope, scope_name, unit, price_minor
  from unnest($2::bytea[], $3::text[], $4::text[], $5::smallint[], $6::text[], $7::smallint[],
              $8::bigint[])
    as new (entry_key, list_code, sku, scope, scope_name, unit, price_minor)
on conflict (entry_key)
do update set unit = excluded.unit,
              price_minor = excluded.price_minor
        where (p.unit, p.price_minor) is distinct from (excluded.unit, excluded.price_minor)
"""

DELETE_PRICES = "delete from price_list_entry where entry_key = any($1::bytea[])"


async def import_prices(
    database: Database, chain_id: str, prices: Sequence[FoundPrice], removed: Sequence[PricePlace]
) -> None:
    """Insert, replace and remove prices of lists, in one transaction.

    Args:
        database: open.
        chain_id: whose lists.
        prices: no two in one place.
        removed: places that hold no price any more; a place that held none is no fault.

    Raises:
        RetryError: the database cannot be reached just now; importing again is safe.
    """
    # Sorted, so that no two imports wait for each other in a circle.
    rows = sorted(_row(chain_id, price) for price in prices)
    gone = sorted(price_key(chain_id, place) for place in removed)
    async with database.reading() as connection, connection.transaction():
        if rows:
            columns = zip(*rows, strict=True)
            await connection.execute(UPSERT_PRICES, chain_id, *columns, timeout=IMPORT_TIMEOUT_S)
        if gone:
            await connection.execute(DELETE_PRICES, gone, timeout=IMPORT_TIMEOUT_S)


def _row(chain_id: str, price: FoundPrice) -> tuple[bytes, str, str, int, str, int, int]:
    place = price.place
    return (
        price_key(chain_id, place),
        place.list_code,
        place.sku,
        place.scope,
        place.scope_name,
        price.unit,
        price.price_minor,
    )
