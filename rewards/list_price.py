"""Which price of an imported list counts: the most personal one, of equals the lowest."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import IntEnum

from msgspec import Struct

from rewards.facts import CustomerFacts, ListPrice, StoreFacts


class Scope(IntEnum):
    """For whom a price of a list is; a lower number is more personal."""

    CUSTOMER = 1
    SEGMENT = 2
    ZONE = 3
    EVERYBODY = 4


class PricePlace(Struct, frozen=True, gc=False):
    """Where a price of a list stands: at most one price a place."""

    list_code: str
    sku: str
    scope: int
    scope_name: str


class FoundPrice(Struct, frozen=True, gc=False):
    """A price that was found: minor units for a unit of `rewards.sale.Unit`; 0 is any unit."""

    place: PricePlace
    unit: int
    price_minor: int


def places_of(
    list_codes: Sequence[str], skus: Sequence[str], store: StoreFacts, customer: CustomerFacts
) -> list[PricePlace]:
    """Every place where a price for these articles in this store for this customer can stand."""
    scopes = [(Scope.EVERYBODY, "")]
    scopes += [(Scope.ZONE, zone) for zone in sorted(store.zones)]
    if customer.account_id:
        scopes += [(Scope.SEGMENT, segment) for segment in sorted(customer.segments)]
        scopes.append((Scope.CUSTOMER, str(customer.customer_id)))
    return [
        PricePlace(list_code, sku, scope, name)
        for list_code in list_codes
        for sku in skus
        for scope, name in scopes
    ]


def choose_prices(
    found: Iterable[FoundPrice], units: Mapping[str, Collection[int]]
) -> tuple[ListPrice, ...]:
    """Choose one price for each article and list.

    Args:
        found: what stands in the places of `places_of`.
        units: units in which each article is on the receipt; a price for another unit is passed
            over.

    Returns:
        By list and article.
    """
    best: dict[tuple[str, str], tuple[int, int]] = {}
    for one in found:
        place = one.place
        if one.unit and one.unit not in units[place.sku]:
            continue
        rank = (place.scope, one.price_minor)
        key = (place.list_code, place.sku)
        if key not in best or rank < best[key]:
            best[key] = rank
    return tuple(
        ListPrice(list_code, sku, price_minor)
        for (list_code, sku), (_, price_minor) in sorted(best.items())
    )
