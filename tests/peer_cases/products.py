"""Which products a part of a case is about, as product sets of ours.

A case's tags become categories of the products on the receipt.
"""

from msgspec.structs import replace

from rewards.authored import ProductSet
from tests.peer_cases.case import Case, CasePromotion, Conditions, Params, Target

TAG_TYPES = frozenset({"tags", "tag", "labels", "categories", "category", "collections"})
SKU_TYPES = frozenset({"skus", "sku", "products", "product", "variants"})
EXCEPT_TAGS = frozenset({"not_tags", "except_tags"})
EXCEPT_SKUS = frozenset({"not_skus", "except_skus"})
OTHER_TYPES = EXCEPT_TAGS | EXCEPT_SKUS
"""All articles but some."""
NOT_DISCOUNTABLE = frozenset(
    {"nodiscount", "no_discount", "not_discountable", "non_discountable", "notdiscountable"}
)
"""Tags that say by their name that an article gets no discount and helps to reach none."""

EVERYTHING = ProductSet()
NOTHING = ProductSet(skus=("nothing",))
"""No article is called so: those of a case have the number of their line in their name."""


def set_of(target: Target | None) -> ProductSet:
    """The products a target names; one that names none of its own is everything."""
    if target is None:
        return EVERYTHING
    if target.type in TAG_TYPES | SKU_TYPES and not target.values:
        return NOTHING
    if target.type in TAG_TYPES:
        return ProductSet(categories=target.values)
    if target.type in SKU_TYPES:
        return ProductSet(skus=target.values)
    if target.type in EXCEPT_TAGS:
        return ProductSet(except_categories=target.values)
    if target.type in EXCEPT_SKUS:
        return ProductSet(except_skus=target.values)
    return EVERYTHING


def is_everything(target: Target | None) -> bool:
    """Whether a target is the whole receipt."""
    return set_of(target) == EVERYTHING


def benefit_set(promotion: CasePromotion, target: Target | None) -> ProductSet:
    """What a benefit is about: its target, what is left out of it, and the range of prices."""
    return _within_prices(_without(set_of(target), promotion.params), promotion.conditions)


def _without(products: ProductSet, params: Params) -> ProductSet:
    excluded = set_of(params.exclude)
    tags = (*products.except_categories, *excluded.categories, *params.exclude_tags)
    return replace(
        products,
        except_skus=(*products.except_skus, *excluded.skus, *params.exclude_skus),
        except_categories=(*tags, params.exclude_tag) if params.exclude_tag else tags,
    )


def _within_prices(products: ProductSet, conditions: Conditions) -> ProductSet:
    return replace(
        products,
        unit_price_from_minor=conditions.unit_price_min_minor or 0,
        unit_price_to_minor=conditions.unit_price_max_minor or 0,
    )


def counted_set(case: Case, target: Target | None) -> ProductSet:
    """What a condition counts: its scope without articles that get no discount."""
    counted = set_of(target)
    barred = (*counted.except_categories, *barred_tags(case))
    return replace(counted, except_categories=barred)


def barred_tags(case: Case) -> tuple[str, ...]:
    """Tags on the receipt that bar an article from discounts, unless a promotion is about them."""
    found = {tag for line in case.lines for tag in line.tags if tag in NOT_DISCOUNTABLE}
    return tuple(sorted(found))
