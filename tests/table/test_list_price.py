"""Which price of a list counts, whatever the order in which prices are found."""

from itertools import permutations

import pytest

from rewards.facts import ANONYMOUS, ListPrice, StoreFacts
from rewards.list_price import FoundPrice, PricePlace, Scope, choose_prices, places_of
from rewards.sale import Unit
from tests import make

STORE = StoreFacts(frozenset({"north"}), 1, ())


def found(scope: Scope, price_minor: int, unit: int = 0, name: str = "") -> FoundPrice:
    return FoundPrice(PricePlace("card", "tea", scope, name), unit, price_minor)


def test_a_stranger_is_offered_the_prices_of_the_store() -> None:
    places = places_of(("card",), ("tea", "cake"), STORE, ANONYMOUS)
    assert {(place.sku, place.scope) for place in places} == {
        (sku, scope) for sku in ("tea", "cake") for scope in (Scope.ZONE, Scope.EVERYBODY)
    }


def test_a_customer_has_prices_by_segment_and_of_their_own() -> None:
    customer = make.customer(segments=("vip", "staff"), customer_id=7)
    places = places_of(("card",), ("tea",), STORE, customer)
    assert {(place.scope, place.scope_name) for place in places} == {
        (Scope.EVERYBODY, ""),
        (Scope.ZONE, "north"),
        (Scope.SEGMENT, "vip"),
        (Scope.SEGMENT, "staff"),
        (Scope.CUSTOMER, "7"),
    }


@pytest.mark.parametrize(
    ("prices", "price_minor"),
    [
        ((found(Scope.EVERYBODY, 1), found(Scope.ZONE, 5)), 5),
        ((found(Scope.ZONE, 1), found(Scope.SEGMENT, 5), found(Scope.EVERYBODY, 2)), 5),
        ((found(Scope.SEGMENT, 1), found(Scope.CUSTOMER, 9)), 9),
        ((found(Scope.SEGMENT, 7, name="a"), found(Scope.SEGMENT, 5, name="b")), 5),
        ((found(Scope.CUSTOMER, 1, Unit.KILOGRAM), found(Scope.EVERYBODY, 5, Unit.PIECE)), 5),
    ],
)
def test_the_most_personal_price_counts_and_of_equals_the_lowest(
    prices: tuple[FoundPrice, ...], price_minor: int
) -> None:
    units = {"tea": {int(Unit.PIECE)}}
    for ordered in permutations(prices):
        assert choose_prices(ordered, units) == (ListPrice("card", "tea", price_minor),)


def test_a_price_of_another_unit_is_none() -> None:
    assert choose_prices([found(Scope.EVERYBODY, 1, Unit.LITRE)], {"tea": {1}}) == ()
