"""Writes the stores and articles that the back office imports, a batch a transaction."""

from collections.abc import Sequence

import asyncpg

from rewards.product import Product
from server.store.array_literal import array_literal
from server.store.database import Database
from server.store.feeds import StoreRecord

IMPORT_TIMEOUT_S = 120.0

BUMP_FEED = "update feed set change = change + 1 where name = $1 returning change"

UPSERT_STORES = """
insert into store (chain_id, store_id, time_zone, currency_code, language_code, zones, name, change)
select chain_id, store_id, time_zone, currency_code, language_code, zones::text[], name, $8
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    as new (chain_id, store_id, time_zone, currency_code, language_code, zones, name)
on conflict (chain_id, store_id)
do update set time_zone = excluded.time_zone,
              currency_code = excluded.currency_code,
              language_code = excluded.language_code,
              zones = excluded.zones,
              name = excluded.name,
              change = excluded.change
"""

# An article that is as it was keeps its change: servers then have nothing to load.
UPSERT_PRODUCTS = """
insert into product as p (chain_id, sku, name, categories, brand, properties, no_discount, no_earn,
                          no_cross_sell, minimum_price_minor, weighed, list_price_minor, change)
select $1, sku, name, categories::text[], brand, properties::text[], no_discount, no_earn,
       no_cross_sell, minimum_price_minor, weighed, list_price_minor, $13
  from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[],
              $8::boolean[], $9::boolean[], $10::bigint[], $11::boolean[], $12::bigint[])
    as new (sku, name, categories, brand, properties, no_discount, no_earn, no_cross_sell,
            minimum_price_minor, weighed, list_price_minor)
on conflict (chain_id, sku)
do update set name = excluded.name,
              categories = excluded.categories,
              brand = excluded.brand,
              properties = excluded.properties,
              no_discount = excluded.no_discount,
              no_earn = excluded.no_earn,
              no_cross_sell = excluded.no_cross_sell,
              minimum_price_minor = excluded.minimum_price_minor,
              weighed = excluded.weighed,
              list_price_minor = excluded.list_price_minor,
              change = excluded.change
        where (p.name, p.categories, p.brand, p.properties, p.no_discount, p.no_earn,
               p.no_cross_sell, p.minimum_price_minor, p.weighed, p.list_price_minor)
              is distinct from
              (excluded.name, excluded.categories, excluded.brand, excluded.properties,
               excluded.no_discount, excluded.no_earn, excluded.no_cross_sell,
               excluded.minimum_price_minor, excluded.weighed, excluded.list_price_minor)
"""

SELECT_STORES_OF_CHAIN = """
select chain_id, store_id, time_zone, currency_code, language_code, zones, name
  from store
 where chain_id = $1
 order by store_id
"""


async def import_stores(database: Database, stores: Sequence[StoreRecord]) -> None:
    """Insert or replace stores.

    Args:
        database: open.
        stores: no two with one chain and id.

    Raises:
        RetryError: the database cannot be reached just now; importing again is safe.
    """
    rows = [
        (
            store.chain_id,
            store.store_id,
            store.time_zone,
            store.currency_code,
            store.language_code,
            array_literal(store.zones),
            store.name,
        )
        for store in stores
    ]
    async with database.reading() as connection, connection.transaction():
        change = await connection.fetchval(BUMP_FEED, "store")
        await connection.execute(UPSERT_STORES, *_columns(rows), change, timeout=IMPORT_TIMEOUT_S)


async def import_products(database: Database, chain_id: str, products: Sequence[Product]) -> None:
    """Insert or replace articles of a chain.

    Args:
        database: open.
        chain_id: whose they are.
        products: no two with one sku.

    Raises:
        RetryError: the database cannot be reached just now; importing again is safe.
    """
    rows = [
        (
            product.sku,
            product.name,
            array_literal(product.categories),
            product.brand,
            array_literal(product.properties),
            product.no_discount,
            product.no_earn,
            product.no_cross_sell,
            product.minimum_price_minor,
            product.weighed,
            product.list_price_minor,
        )
        for product in products
    ]
    async with database.reading() as connection, connection.transaction():
        change = await connection.fetchval(BUMP_FEED, "product")
        await connection.execute(
            UPSERT_PRODUCTS, chain_id, *_columns(rows), change, timeout=IMPORT_TIMEOUT_S
        )


async def stores_of_chain(database: Database, chain_id: str) -> list[StoreRecord]:
    """Read the stores of a chain, by id.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        rows = await connection.fetch(SELECT_STORES_OF_CHAIN, chain_id)
    return [_store_record(row) for row in rows]


def _store_record(row: asyncpg.Record) -> StoreRecord:
    chain_id, store_id, time_zone, currency_code, language_code, zones, name = row.values()
    return StoreRecord(
        chain_id, store_id, time_zone, currency_code, language_code, tuple(zones), name
    )


def _columns(rows: Sequence[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Turn rows into the columns that unnest takes."""
    return list(zip(*rows, strict=True))
