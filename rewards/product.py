"""Products as rules see them, and which of many product sets a product is in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from msgspec import Struct

from rewards.authored import ProductSet

CANDIDATES_KEPT_MAX = 200_000

Learned = TypeVar("Learned")


class Product(Struct, frozen=True, array_like=True, gc=False):
    """An article of the product feed, with the attributes that rules read.

    Attributes:
        categories: from the root of the tree down.
        properties: as name=value.
        minimum_price_minor: lowest unit price, minor units; 0 is no floor.
        weighed: sold by weight, volume or length, not by the piece.
        list_price_minor: price of a unit without promotions, minor units; 0 is not known.
    """

    sku: str
    name: str
    categories: tuple[str, ...] = ()
    brand: str = ""
    properties: tuple[str, ...] = ()
    no_discount: bool = False
    no_earn: bool = False
    no_cross_sell: bool = False
    minimum_price_minor: int = 0
    weighed: bool = False
    list_price_minor: int = 0


class SetIndex(Struct, frozen=True):
    """Numbered product sets, and which of them name a sku, category, brand or property.

    Attributes:
        narrowed: numbers of the sets that have more to fit than being named.
        offered: numbers of the sets that take in the customer's own offer.
        priced: numbers of the sets that ask for a unit price.
    """

    sets: tuple[ProductSet, ...]
    by_sku: dict[str, tuple[int, ...]]
    by_category: dict[str, tuple[int, ...]]
    by_brand: dict[str, tuple[int, ...]]
    by_property: dict[str, tuple[int, ...]]
    everything: tuple[int, ...]
    narrowed: frozenset[int]
    offered: tuple[int, ...]
    priced: frozenset[int]


def index_sets(sets: Sequence[ProductSet]) -> SetIndex:
    """Build the index; a set's number is its position."""
    numbered = list(enumerate(sets))
    return SetIndex(
        sets=tuple(sets),
        by_sku=_inverted((number, chosen.skus) for number, chosen in numbered),
        by_category=_inverted((number, chosen.categories) for number, chosen in numbered),
        by_brand=_inverted((number, chosen.brands) for number, chosen in numbered),
        by_property=_inverted((number, chosen.properties) for number, chosen in numbered),
        everything=tuple(number for number, chosen in numbered if _names_nothing(chosen)),
        narrowed=frozenset(number for number, chosen in numbered if _is_narrowed(chosen)),
        offered=tuple(number for number, chosen in numbered if chosen.own_offer),
        priced=frozenset(
            number
            for number, chosen in numbered
            if chosen.unit_price_from_minor or chosen.unit_price_to_minor
        ),
    )


def sets_of(index: SetIndex, sku: str, product: Product | None) -> tuple[int, ...]:
    """Say which sets a product is in, ascending, whatever its price and the customer's offers.

    Args:
        index: the sets.
        sku: the article as scanned.
        product: its attributes; None if it is not in the feed: then only sets of everything and
            sets that name the sku count (contract, section 6).
    """
    found = set(index.everything)
    found.update(index.by_sku.get(sku, ()))
    if product is not None:
        found.update(index.by_brand.get(product.brand, ()) if product.brand else ())
        for category in product.categories:
            found.update(index.by_category.get(category, ()))
        for pair in product.properties:
            found.update(index.by_property.get(pair, ()))
    narrowed = found & index.narrowed
    found -= {number for number in narrowed if not fits_rest(index.sets[number], sku, product)}
    return tuple(sorted(found))


def fits_rest(chosen: ProductSet, sku: str, product: Product | None) -> bool:
    """Whether a product has all that a set asks besides being named, and nothing it excepts."""
    if sku in chosen.except_skus:
        return False
    if product is None:
        return not chosen.properties_all
    return not (
        any(category in chosen.except_categories for category in product.categories)
        or product.brand in chosen.except_brands
        or any(pair in chosen.except_properties for pair in product.properties)
        or any(pair not in product.properties for pair in chosen.properties_all)
    )


class ArticleMemo(Generic[Learned]):
    """Remembers what is learned of articles, so that a receipt pays for it once an article.

    What was learned counts only for the very `Product` it was learned of: a changed feed makes new
    ones, and so does whoever reads stored facts. Of each article the last one is kept, so that no
    other can have its identity.
    """

    def __init__(self, learn: Callable[[str, Product | None], Learned]) -> None:
        """Start empty.

        Args:
            learn: what to remember of a sku, and of its product if the feed knows it.
        """
        self._learn = learn
        self._known: dict[int, Learned] = {}
        self._products: dict[str, Product] = {}
        self._unknown: dict[str, Learned] = {}

    def of(self, sku: str, product: Product | None) -> Learned:
        """What there is to learn of one article."""
        known = self._unknown.get(sku) if product is None else self._known.get(id(product))
        if known is not None:
            return known
        if len(self._known) + len(self._unknown) >= CANDIDATES_KEPT_MAX:
            self._known.clear()
            self._products.clear()
            self._unknown.clear()
        learned = self._learn(sku, product)
        if product is None:
            self._unknown[sku] = learned
            return learned
        if sku in self._products:
            del self._known[id(self._products[sku])]
        self._known[id(product)] = learned
        self._products[sku] = product
        return learned

    def of_each(self, skus: Iterable[str], products: Mapping[str, Product]) -> list[Learned]:
        """The same of many articles, of which the feed knows these products."""
        asked = list(skus)
        found: list[Any] = list(map(self._known.get, map(id, map(products.get, asked))))
        if None not in found:
            return found
        return [self.of(sku, products.get(sku)) for sku in asked]


class SetMemo(ArticleMemo[tuple[int, ...]]):
    """Remembers `sets_of`."""

    def __init__(self, index: SetIndex) -> None:
        """Start empty over an index."""
        super().__init__(partial(sets_of, index))
        self.index = index


class Catalogue:
    """All articles of a chain, with an index from sets to articles. Replaced whole on change.

    Attributes:
        products: by sku.
        shelves: what links show, by version of the rules and the link's tag: kept by
            `rewards.cross_sell.articles_shown`.
    """

    def __init__(self, products: dict[str, Product]) -> None:
        """Index the articles by category, brand and property."""
        self.products = products
        self.shelves: dict[tuple[int, bytes], tuple[str, ...]] = {}
        self._by_category: dict[str, list[str]] = {}
        self._by_brand: dict[str, list[str]] = {}
        self._by_property: dict[str, list[str]] = {}
        for sku in sorted(products):
            self._add(products[sku])

    def _add(self, product: Product) -> None:
        for category in product.categories:
            self._by_category.setdefault(category, []).append(product.sku)
        if product.brand:
            self._by_brand.setdefault(product.brand, []).append(product.sku)
        for pair in product.properties:
            self._by_property.setdefault(pair, []).append(product.sku)

    def articles_of(
        self, chosen: ProductSet, count_max: int, may_show: Callable[[Product], bool]
    ) -> tuple[str, ...]:
        """List articles of a set that may be shown, by sku, at most `count_max`."""
        skus = [sku for sku in chosen.skus if sku in self.products]
        for category in chosen.categories:
            skus.extend(self._by_category.get(category, ()))
        for brand in chosen.brands:
            skus.extend(self._by_brand.get(brand, ()))
        for pair in chosen.properties:
            skus.extend(self._by_property.get(pair, ()))
        known = (self.products[sku] for sku in dict.fromkeys(skus))
        shown = (p.sku for p in known if self._fits(chosen, p) and may_show(p))
        return tuple(sku for sku, _ in zip(shown, range(count_max), strict=False))

    def _fits(self, chosen: ProductSet, product: Product) -> bool:
        return not product.no_cross_sell and fits_rest(chosen, product.sku, product)


def _names_nothing(chosen: ProductSet) -> bool:
    named = chosen.skus or chosen.categories or chosen.brands or chosen.properties
    return not (named or chosen.own_offer)


def _is_narrowed(chosen: ProductSet) -> bool:
    excepts = chosen.except_skus or chosen.except_categories or chosen.except_brands
    return bool(excepts or chosen.except_properties or chosen.properties_all)


def _inverted(pairs: Iterable[tuple[int, Sequence[str]]]) -> dict[str, tuple[int, ...]]:
    numbers: dict[str, list[int]] = {}
    for number, names in pairs:
        for name in names:
            numbers.setdefault(name, []).append(number)
    return {name: tuple(found) for name, found in numbers.items()}
