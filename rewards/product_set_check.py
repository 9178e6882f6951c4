"""Sets of products that contradict themselves, or ask what is not known where they stand."""

from collections.abc import Iterator, Sequence

from rewards.authored import ProductSet
from rewards.problem import Problem, check_range, check_trimmed

EVERYTHING = ProductSet()
_NAMES = ("skus", "categories", "brands", "properties")


def check_product_set(path: str, products: ProductSet) -> Iterator[Problem]:
    """Find what no product can fit: put in and left out at once, bounds that cross.

    Args:
        path: of the set.
        products: with each key in its range.
    """
    if products == EVERYTHING:
        return
    for key in _NAMES:
        included, excluded = getattr(products, key), getattr(products, f"except_{key}")
        yield from check_trimmed(f"{path}.{key}", included)
        yield from check_trimmed(f"{path}.except_{key}", excluded)
        yield from _check_disjoint(f"{path}.except_{key}", included, excluded)
    yield from check_trimmed(f"{path}.properties_all", products.properties_all)
    yield from _check_disjoint(
        f"{path}.properties_all", products.except_properties, products.properties_all
    )
    low, high = products.unit_price_from_minor, products.unit_price_to_minor
    yield from check_range(path, "unit_price_to_minor", low, high)


def check_fixed_set(path: str, products: ProductSet) -> Iterator[Problem]:
    """As `check_product_set`, for a set that must be the same for every customer and price."""
    yield from check_product_set(path, products)
    if products.own_offer:
        yield Problem(f"{path}.own_offer", "cannot be asked here; only promotions can")
    for key in ("unit_price_from_minor", "unit_price_to_minor"):
        if getattr(products, key):
            yield Problem(f"{path}.{key}", "cannot be asked here; only what is sold has a price")


def names_products(products: ProductSet) -> bool:
    """Whether any article, category, brand or property is put in by name."""
    return any(getattr(products, key) for key in _NAMES)


def names_skus_alone(products: ProductSet) -> bool:
    """Whether a set is some articles by sku and nothing else."""
    return bool(products.skus) and products == ProductSet(skus=products.skus)


def _check_disjoint(
    path: str, included: Sequence[str], excluded: Sequence[str]
) -> Iterator[Problem]:
    """Refuse what stands in both lists; said at the place of the second."""
    if not included or not excluded:
        return
    wanted = frozenset(included)
    for index, name in enumerate(excluded):
        if name in wanted:
            yield Problem(f"{path}[{index}]", f"{name!r} is both put in and left out")
