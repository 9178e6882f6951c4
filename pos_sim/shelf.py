"""The demo's articles: shelves from a small file, filled with names, brands, sizes and prices."""

import random
from collections.abc import Iterator
from importlib import resources
from itertools import product

import msgspec
from msgspec import Struct

from loyalty.v1.back_office_service_pb2 import Product
from loyalty.v1.receipt_pb2 import LineKind, QuantityUnit
from pos_sim.amount import round_half_up

LIKING = 3
"""How many times as often a segment visits a shelf that it likes."""


class Shelf(Struct, frozen=True, forbid_unknown_fields=True):
    """A leaf of the category tree.

    Attributes:
        categories: From the root down.
        price_minor: Prices of the smallest and of the largest size, minor units.
        weight: How often it is visited.
        some: Bought in threes. many: bought by the dozen.
        weighed: Sold by weight: prices are of a kilogram.
        liked_by: Segments that visit it more often.
    """

    categories: tuple[str, str, str]
    names: tuple[str, ...]
    brands: tuple[str, ...]
    sizes: tuple[str, ...]
    price_minor: tuple[int, int]
    properties: tuple[str, ...]
    weight: int
    some: bool = False
    many: bool = False
    weighed: bool = False
    bag: bool = False
    age_check: bool = False
    no_discount: bool = False
    no_earn: bool = False
    no_cross_sell: bool = False
    minimum_price_minor: int = 0
    liked_by: tuple[str, ...] = ()

    def weight_for(self, segment: str) -> int:
        """How often somebody of this segment visits it."""
        return self.weight * LIKING if segment in self.liked_by else self.weight


class Article(Struct, frozen=True):
    """An article of a shelf: what the till knows of it, and what the server is told."""

    product: Product
    shelf: Shelf
    price_minor: int
    barcode: str

    @property
    def unit(self) -> QuantityUnit.ValueType:
        """Unit it is sold in."""
        if self.shelf.weighed:
            return QuantityUnit.QUANTITY_UNIT_KILOGRAM
        return QuantityUnit.QUANTITY_UNIT_PIECE

    @property
    def kind(self) -> LineKind.ValueType:
        """Kind of thing it is."""
        return LineKind.LINE_KIND_BAG if self.shelf.bag else LineKind.LINE_KIND_GOODS


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    shelf: tuple[Shelf, ...]


def read_shelves() -> tuple[Shelf, ...]:
    """Read the shelves of the demo's grocery chain."""
    path = resources.files("pos_sim") / "data" / "grocery.toml"
    return msgspec.toml.decode(path.read_bytes(), type=_File).shelf


def fill_shelves(shelves: tuple[Shelf, ...], rng: random.Random) -> list[list[Article]]:
    """Fill each shelf with its articles, the popular ones first.

    Returns:
        One list of articles a shelf. The sku of an article does not depend on `rng`.
    """
    filled = [
        [_article(shelf, 100_000 + 100 * number + index, rng, *parts) for index, parts in labels]
        for number, shelf in enumerate(shelves)
        for labels in [list(enumerate(_labels(shelf)))]
    ]
    for articles in filled:
        rng.shuffle(articles)
    return filled


def _labels(shelf: Shelf) -> Iterator[tuple[str, str, int]]:
    """Name, brand and index of the size of each article."""
    return product(shelf.names, shelf.brands, range(len(shelf.sizes)))


def _article(
    shelf: Shelf, number: int, rng: random.Random, name: str, brand: str, size: int
) -> Article:
    size_name = shelf.sizes[size]
    properties = [*shelf.properties, *([f"size={size_name}"] if size_name else [])]
    price_minor = _price(shelf, size, rng)
    told = Product(
        sku=str(number),
        name=" ".join(filter(None, [name, f"«{brand}»", size_name])),
        categories=shelf.categories,
        brand=brand,
        properties=properties,
        no_discount=shelf.no_discount,
        no_earn=shelf.no_earn,
        no_cross_sell=shelf.no_cross_sell,
        minimum_price_minor=shelf.minimum_price_minor,
        weighed=shelf.weighed,
        list_price_minor=price_minor,
    )
    barcode = "" if shelf.weighed else _ean13(f"469000{number:06d}")
    return Article(told, shelf, price_minor, barcode)


def _price(shelf: Shelf, size: int, rng: random.Random) -> int:
    """A price that grows with the size and ends in 90 kopecks, as prices do."""
    low, high = shelf.price_minor
    steps = max(1, len(shelf.sizes) - 1)
    middle = low + round_half_up((high - low) * size, steps) if len(shelf.sizes) > 1 else 0
    drawn = round(middle * rng.uniform(0.9, 1.1)) if middle else rng.randint(low, high)
    return max(shelf.minimum_price_minor, low, min(high, drawn - drawn % 100 + 90))


def _ean13(digits: str) -> str:
    """Complete twelve digits with their check digit."""
    odd, even = sum(map(int, digits[::2])), sum(map(int, digits[1::2]))
    return f"{digits}{-(odd + 3 * even) % 10}"
