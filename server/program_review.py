"""What is wrong with a program: by itself, and against the stores and articles that are known."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from rewards.product import Product
from rewards.program import ProductSet, Program
from rewards.program_check import Problem, check_program
from server.registers import is_currency, is_language
from server.store.feeds import StoreRecord


def review_program(program: Program) -> tuple[Problem, ...]:
    """Find what makes a program impossible to publish.

    Args:
        program: as decoded.
    """
    return (*_check_registers(program), *check_program(program))


def review_against(
    program: Program, stores: Sequence[StoreRecord], products: Mapping[str, Product]
) -> tuple[Problem, ...]:
    """Find what a program names that is not known: it would never have an effect.

    Args:
        program: as decoded.
        stores: all stores of its chain; none means that none was imported, and nothing is said.
        products: all articles of its chain by sku; none as with stores.
    """
    found = [*_check_stores(program, stores)] if stores else []
    if products:
        found += _check_products(program, products)
    return tuple(found)


def _check_registers(program: Program) -> Iterator[Problem]:
    if not is_currency(program.currency_code):
        yield Problem("currency_code", f"ISO 4217 has no currency {program.currency_code}")
    if not is_language(program.language_code):
        yield Problem("language_code", f"CLDR has no language {program.language_code}")


def _check_stores(program: Program, stores: Sequence[StoreRecord]) -> Iterator[Problem]:
    for store in stores:
        if store.currency_code != program.currency_code:
            reason = f"store {store.store_id!r} sells in {store.currency_code}"
            yield Problem("currency_code", reason)
            break
    zones = {zone for store in stores for zone in store.zones}
    for index, promotion in enumerate(program.promotions):
        path = f"promotions[{index}].when.zones"
        yield from _check_known(path, promotion.when.zones, zones, "store of the chain is in zone")
    ids = {store.store_id for store in stores}
    for index, group in enumerate(program.till_groups):
        yield from _check_known(
            f"till_groups[{index}].stores", group.stores, ids, "store of the chain is"
        )


def _check_products(program: Program, products: Mapping[str, Product]) -> Iterator[Problem]:
    known = _Known(products)
    for index, promotion in enumerate(program.promotions):
        path = f"promotions[{index}].what.products"
        yield from known.check(path, promotion.what.products)
    for index, link in enumerate(program.cross_sell_links):
        yield from known.check(f"cross_sell_links[{index}].basket", link.basket)
        yield from known.check(f"cross_sell_links[{index}].show", link.show)


class _Known:
    """Everything by which the articles of a chain can be named."""

    def __init__(self, products: Mapping[str, Product]) -> None:
        articles = products.values()
        self._skus = products.keys()
        self._categories = {name for article in articles for name in article.categories}
        self._brands = {article.brand for article in articles}
        self._properties = {pair for article in articles for pair in article.properties}

    def check(self, path: str, chosen: ProductSet) -> Iterator[Problem]:
        """Find what a set names that no article has."""
        for key, names, known, what in (
            ("skus", chosen.skus, self._skus, "article has sku"),
            ("categories", chosen.categories, self._categories, "article is in category"),
            ("brands", chosen.brands, self._brands, "article is of brand"),
            ("properties", chosen.properties, self._properties, "article has property"),
        ):
            yield from _check_known(f"{path}.{key}", names, known, what)


def _check_known(
    path: str, names: Iterable[str], known: Container[str], what: str
) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name not in known:
            yield Problem(f"{path}[{index}]", f"no {what} {name!r}")
