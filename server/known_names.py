"""Which names of a program are known: of stores, zones, articles, categories, brands, properties.

Knows no program: a worker process lists its names (`program_review`), and says where the unknown
ones stand; here they are held against the stores and articles of this server.
"""

from collections.abc import Container, Mapping, Sequence

from rewards.product import Product
from server.program_review import Names
from server.store.feeds import StoreRecord

_STORE_KINDS = frozenset({"zone", "store"})


def unknown_names(
    names: Names, stores: Sequence[StoreRecord], products: Mapping[str, Product]
) -> dict[str, tuple[str, ...]]:
    """Say which names nothing is called by, by kind; kinds all of whose names are known left out.

    Args:
        names: what a program names.
        stores: all stores of its chain; none means that none was imported, and nothing is said.
        products: all articles of its chain by sku; none as with stores.
    """
    unknown: dict[str, tuple[str, ...]] = {}
    for kind, given in names.items():
        if not (stores if kind in _STORE_KINDS else products):
            continue
        known = _known(kind, stores, products)
        missing = tuple(name for name in given if name not in known)
        if missing:
            unknown[kind] = missing
    return unknown


def foreign_store(currency_code: str, stores: Sequence[StoreRecord]) -> tuple[str, str] | None:
    """Find a store that sells in another currency than a program's: its id and its currency."""
    for store in stores:
        if store.currency_code != currency_code:
            return store.store_id, store.currency_code
    return None


def _known(
    kind: str, stores: Sequence[StoreRecord], products: Mapping[str, Product]
) -> Container[str]:
    """All names of a kind that something is called by."""
    match kind:
        case "zone":
            return {zone for store in stores for zone in store.zones}
        case "store":
            return {store.store_id for store in stores}
        case "sku":
            return products.keys()
        case "category":
            return {name for article in products.values() for name in article.categories}
        case "brand":
            return {article.brand for article in products.values()}
    return {pair for article in products.values() for pair in article.properties}
