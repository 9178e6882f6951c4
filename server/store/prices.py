"""Reads prices of imported lists: all that could count on a receipt, by one indexed column."""

from collections.abc import Sequence
from hashlib import blake2b

from rewards.list_price import PricePlace
from server.store.facts import AnyConnection

SELECT_PRICES = """
select entry_key, unit, price_minor
  from price_list_entry
 where entry_key = any($1::bytea[])
"""

HOT_STATEMENTS = {"SELECT_PRICES": SELECT_PRICES}
"""What calls of a till run; a test explains each on a million rows without statistics."""


def price_key(chain_id: str, place: PricePlace) -> bytes:
    """The key of a place for a price: 16 bytes."""
    text = f"{chain_id}\x00{place.list_code}\x00{place.sku}\x00{place.scope}\x00{place.scope_name}"
    return blake2b(text.encode(), digest_size=16, person=b"list price").digest()


async def read_prices(
    connection: AnyConnection, keys: Sequence[bytes]
) -> dict[bytes, tuple[int, int]]:
    """Read which prices are there: (unit, minor units) by key."""
    rows = await connection.fetch(SELECT_PRICES, keys)
    return {entry_key: (unit, price_minor) for entry_key, unit, price_minor in rows}
