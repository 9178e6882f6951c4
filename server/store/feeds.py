"""Reads reference data for a server's memory: what changed since it last asked."""

from collections.abc import Sequence

from msgspec import Struct

from rewards.product import Product
from server.store.database import Database

SELECT_VERSIONS = """
select version, effective_at_us, compiled
  from ruleset_version one
 where version >= $1
   and not exists (select from ruleset_version other
                    where other.version > one.version
                      and other.effective_at_us < one.effective_at_us)
 order by version
"""

SELECT_VERSION = "select version, effective_at_us, compiled from ruleset_version where version = $1"

SELECT_CONTENT = "select content from ruleset_version where version = $1"

SELECT_VERSION_IN_FORCE = """
select coalesce(max(version), 0) from ruleset_version where effective_at_us <= $1
"""

SELECT_FEED = "select change from feed where name = $1"

SELECT_STORES = """
select chain_id, store_id, time_zone, currency_code, language_code, zones, name
  from store
 where change > $1 and change <= $2
"""

SELECT_PRODUCTS = """
select chain_id, sku, name, categories, brand, properties, no_discount, no_earn, no_cross_sell,
       minimum_price_minor, weighed, list_price_minor
  from product
 where change > $1 and change <= $2
"""


class StoreRecord(Struct, frozen=True):
    """A store as it was imported."""

    chain_id: str
    store_id: str
    time_zone: str
    currency_code: str
    language_code: str
    zones: tuple[str, ...]
    name: str


class VersionRecord(Struct, frozen=True):
    """A version of the ruleset in its compiled form, packed."""

    version: int
    effective_at_us: int
    compiled: bytes


class Feeds:
    """Reference data of one database."""

    def __init__(self, database: Database) -> None:
        """Read from a database.

        Args:
            database: open.
        """
        self._database = database

    async def recover(self) -> None:
        """Wait a moment and see that an embedded database runs."""
        await self._database.recover()

    async def versions_from(self, version: int) -> Sequence[VersionRecord]:
        """Versions from this one on, ascending; those that never come into force are left out."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(SELECT_VERSIONS, version)
        return [VersionRecord(*row.values()) for row in rows]

    async def version_of(self, version: int) -> VersionRecord | None:
        """One version; None if there is no such version."""
        async with self._database.reading() as connection:
            row = await connection.fetchrow(SELECT_VERSION, version)
        return None if row is None else VersionRecord(*row.values())

    async def content_of(self, version: int) -> bytes:
        """The programs of a version that there is, packed."""
        async with self._database.reading() as connection:
            content = await connection.fetchval(SELECT_CONTENT, version)
        assert isinstance(content, bytes)
        return content

    async def version_in_force(self, at_us: int) -> int:
        """The version in force at an instant, UTC microseconds; 0 is none."""
        async with self._database.reading() as connection:
            version = await connection.fetchval(SELECT_VERSION_IN_FORCE, at_us)
        assert isinstance(version, int)
        return version

    async def stores_after(self, change: int) -> tuple[int, Sequence[StoreRecord]]:
        """The newest change, and the stores changed after the given one."""
        async with self._database.reading() as connection:
            newest = await connection.fetchval(SELECT_FEED, "store")
            if newest == change:
                return change, ()
            rows = await connection.fetch(SELECT_STORES, change, newest)
        return newest, [
            StoreRecord(
                row["chain_id"],
                row["store_id"],
                row["time_zone"],
                row["currency_code"],
                row["language_code"],
                tuple(row["zones"]),
                row["name"],
            )
            for row in rows
        ]

    async def products_after(self, change: int) -> tuple[int, Sequence[tuple[str, Product]]]:
        """The newest change, and the articles changed after the given one with their chains."""
        async with self._database.reading() as connection:
            newest = await connection.fetchval(SELECT_FEED, "product")
            if newest == change:
                return change, ()
            rows = await connection.fetch(SELECT_PRODUCTS, change, newest)
        return newest, [
            (
                row["chain_id"],
                Product(
                    row["sku"],
                    row["name"],
                    tuple(row["categories"]),
                    row["brand"],
                    tuple(row["properties"]),
                    row["no_discount"],
                    row["no_earn"],
                    row["no_cross_sell"],
                    row["minimum_price_minor"],
                    row["weighed"],
                    row["list_price_minor"],
                ),
            )
            for row in rows
        ]
