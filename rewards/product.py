"""Products as rules see them, and which of many product sets a product is in."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from rewards.authored import ProductSet

CANDIDATES_KEPT_MAX = 200_000


class Product(Struct, frozen=True, array_like=True, gc=False):
    """An article of the product feed, with the attributes that rules read.

    Attributes:
        categories: from the root of the tree down.
        properties: as name=value.
        minimum_price_minor: lowest unit price, minor units; 0 is no floor.
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


class SetIndex(Struct, frozen=True):
    """Inverted index over numbered product sets: which numbers name a sku, category, ..."""

    by_sku: dict[str, tuple[int, ...]]
    by_category: dict[str, tuple[int, ...]]
    by_brand: dict[str, tuple[int, ...]]
    by_property: dict[str, tuple[int, ...]]
    everything: tuple[int, ...]
    except_by_sku: dict[str, tuple[int, ...]]
    except_by_category: dict[str, tuple[int, ...]]


def index_sets(sets: Iterable[tuple[int, ProductSet]]) -> SetIndex:
    """Build the index over (number, set)."""
    numbered = list(sets)
    everything = tuple(number for number, chosen in numbered if _is_everything(chosen))
    return SetIndex(
        by_sku=_inverted((number, chosen.skus) for number, chosen in numbered),
        by_category=_inverted((number, chosen.categories) for number, chosen in numbered),
        by_brand=_inverted((number, chosen.brands) for number, chosen in numbered),
        by_property=_inverted((number, chosen.properties) for number, chosen in numbered),
        everything=everything,
        except_by_sku=_inverted((number, chosen.except_skus) for number, chosen in numbered),
        except_by_category=_inverted(
            (number, chosen.except_categories) for number, chosen in numbered
        ),
    )


def sets_of(index: SetIndex, sku: str, product: Product | None) -> tuple[int, ...]:
    """Say which sets a product is in, ascending.

    Args:
        index: the sets.
        sku: the article as scanned.
        product: its attributes; None if it is not in the feed: then only sets of everything and
            sets that name the sku count (contract, section 6).
    """
    found = set(index.everything)
    found.update(index.by_sku.get(sku, ()))
    excepted = set(index.except_by_sku.get(sku, ()))
    if product is not None:
        found.update(index.by_brand.get(product.brand, ()) if product.brand else ())
        for category in product.categories:
            found.update(index.by_category.get(category, ()))
            excepted.update(index.except_by_category.get(category, ()))
        for pair in product.properties:
            found.update(index.by_property.get(pair, ()))
    return tuple(sorted(found - excepted))


class SetMemo:
    """Remembers `sets_of` by sku, so that a receipt pays for it once an article, not once a line.

    An entry counts only for the very `Product` it was made of: a changed feed makes new ones.
    """

    def __init__(self, index: SetIndex) -> None:
        """Start empty over an index."""
        self._index = index
        self._known: dict[str, tuple[Product | None, tuple[int, ...]]] = {}

    def sets_of(self, sku: str, product: Product | None) -> tuple[int, ...]:
        """As the function of the same name."""
        entry = self._known.get(sku)
        if entry is not None and entry[0] is product:
            return entry[1]
        if len(self._known) >= CANDIDATES_KEPT_MAX:
            self._known.clear()
        found = sets_of(self._index, sku, product)
        self._known[sku] = (product, found)
        return found


class Catalogue:
    """All articles of a chain, with an index from sets to articles. Replaced whole on change."""

    def __init__(self, products: dict[str, Product]) -> None:
        """Index the articles by category, brand and property."""
        self.products = products
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

    def articles_of(self, chosen: ProductSet, count_max: int) -> tuple[str, ...]:
        """List articles of a set that may be shown, by sku, at most `count_max`."""
        skus = [sku for sku in chosen.skus if sku in self.products]
        for category in chosen.categories:
            skus.extend(self._by_category.get(category, ()))
        for brand in chosen.brands:
            skus.extend(self._by_brand.get(brand, ()))
        for pair in chosen.properties:
            skus.extend(self._by_property.get(pair, ()))
        shown = (sku for sku in dict.fromkeys(skus) if self._may_show(chosen, self.products[sku]))
        return tuple(sku for sku, _ in zip(shown, range(count_max), strict=False))

    def _may_show(self, chosen: ProductSet, product: Product) -> bool:
        if product.no_cross_sell or product.sku in chosen.except_skus:
            return False
        return not any(category in chosen.except_categories for category in product.categories)


def _is_everything(chosen: ProductSet) -> bool:
    return not (chosen.skus or chosen.categories or chosen.brands or chosen.properties)


def _inverted(pairs: Iterable[tuple[int, Sequence[str]]]) -> dict[str, tuple[int, ...]]:
    numbers: dict[str, list[int]] = {}
    for number, names in pairs:
        for name in names:
            numbers.setdefault(name, []).append(number)
    return {name: tuple(found) for name, found in numbers.items()}
