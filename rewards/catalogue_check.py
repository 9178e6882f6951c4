"""What makes no sense of a program as the articles are: pieces of weighed goods, dear bundles.

In three steps, so that the articles and the program need not be in one process: the sets that a
program asks about, the figures of each over the articles, what is wrong by these figures.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from rewards.authored import ProductSet
from rewards.benefit import (
    AmountOff,
    Benefit,
    BundlePart,
    BundlePrice,
    BuyGet,
    FixedPrice,
    Gift,
    PercentOff,
    PointsFixed,
    QuantityTiers,
)
from rewards.benefit_check import COUNTED, benefit_code
from rewards.problem import Problem
from rewards.product import Product, SetIndex, index_sets, sets_of
from rewards.program import Program, Promotion


class SetFigures(Struct, frozen=True):
    """What the articles of a set come to.

    Attributes:
        counted: articles sold by the piece.
        weighed: articles sold by weight, volume or length.
        weighed_skus: those of them that the set names itself.
        dearest_minor: highest list price of a unit, minor units; 0 if one of them is not known.
    """

    counted: int = 0
    weighed: int = 0
    weighed_skus: tuple[str, ...] = ()
    dearest_minor: int = 0


Figures = Mapping[ProductSet, SetFigures]
_NO_ARTICLE = SetFigures()


def sets_asked(program: Program) -> tuple[ProductSet, ...]:
    """List the sets whose figures are needed, each once.

    Sets that depend on what a piece is sold for, or on who buys it, have none.
    """
    found = {
        chosen: None
        for promotion in program.promotions
        for benefit in promotion.gives
        for _, chosen in _sets_of_benefit("", promotion, benefit)
    }
    return tuple(chosen for chosen in found if _is_fixed(chosen))


def figures_of(
    sets: Sequence[ProductSet], products: Mapping[str, Product]
) -> tuple[SetFigures, ...]:
    """Look at every article once.

    Args:
        sets: what `sets_asked` gave.
        products: all articles of the chain by sku.

    Returns:
        The figures of each set, in the order of the sets.
    """
    index: SetIndex = index_sets(sets)
    found: list[list[Product]] = [[] for _ in sets]
    for sku, product in products.items():
        for number in sets_of(index, sku, product):
            found[number].append(product)
    return tuple(_figures(chosen, articles) for chosen, articles in zip(sets, found, strict=True))


def check_figures(program: Program, figures: Figures) -> Iterator[Problem]:
    """Find the benefits that the articles of their sets leave without effect.

    Args:
        program: without problems by itself.
        figures: of the sets that `sets_asked` lists; nothing is said of one that is missing.
    """
    for index, promotion in enumerate(program.promotions):
        for number, benefit in enumerate(promotion.gives):
            path = f"promotions[{index}].gives[{number}]"
            yield from _check_weighed(path, f"promotions[{index}]", promotion, benefit, figures)
            yield from _check_price(path, promotion, benefit, figures)


def _is_fixed(chosen: ProductSet) -> bool:
    priced = chosen.unit_price_from_minor or chosen.unit_price_to_minor
    return not (chosen.own_offer or priced)


def _figures(chosen: ProductSet, articles: Sequence[Product]) -> SetFigures:
    weighed = [article.sku for article in articles if article.weighed]
    named = frozenset(chosen.skus)
    prices = [article.list_price_minor for article in articles]
    unknown = not all(prices) or len(named) > sum(article.sku in named for article in articles)
    return SetFigures(
        counted=len(articles) - len(weighed),
        weighed=len(weighed),
        weighed_skus=tuple(sorted(named.intersection(weighed))),
        dearest_minor=0 if unknown else max(prices, default=0),
    )


def _sets_of_benefit(
    path: str, promotion: Promotion, benefit: Benefit
) -> Iterator[tuple[str, ProductSet]]:
    """Every set that a benefit takes pieces of, with its path; `path` is the promotion's."""
    number = promotion.gives.index(benefit)
    if isinstance(benefit, BundlePrice) and benefit.parts:
        for index, part in enumerate(benefit.parts):
            yield f"{path}.gives[{number}].parts[{index}].products", part.products
        return
    yield f"{path}.products", promotion.products
    if isinstance(benefit, BuyGet):
        yield f"{path}.gives[{number}].get_products", benefit.get_products
    if isinstance(benefit, Gift):
        yield f"{path}.gives[{number}]", ProductSet(skus=benefit.skus)


def _takes_pieces(benefit: Benefit) -> bool:
    match benefit:
        case PercentOff() | AmountOff() | FixedPrice():
            return bool(benefit.pieces.count_max or benefit.pieces.full_groups_of)
        case PointsFixed():
            return benefit.for_each_count > 0
    return isinstance(benefit, COUNTED)


def _check_weighed(
    path: str, of_promotion: str, promotion: Promotion, benefit: Benefit, figures: Figures
) -> Iterator[Problem]:
    """Refuse weighed goods where pieces are taken: those named, or if there is nothing else."""
    if not _takes_pieces(benefit):
        return
    code = benefit_code(benefit)
    for place, chosen in _sets_of_benefit(of_promotion, promotion, benefit):
        found = figures.get(chosen, _NO_ARTICLE)
        for sku in found.weighed_skus:
            reason = f"{sku!r} is not sold by the piece, and {code} takes pieces"
            yield Problem(f"{place}.skus[{chosen.skus.index(sku)}]", reason)
        if found.weighed and not found.counted and not found.weighed_skus:
            reason = f"none of its articles is sold by the piece, and {code} takes pieces"
            yield Problem(place, reason)


def _check_price(
    path: str, promotion: Promotion, benefit: Benefit, figures: Figures
) -> Iterator[Problem]:
    """Refuse a price that is no lower, and an amount off that is no less, than any list price."""
    own_minor = figures.get(promotion.products, _NO_ARTICLE).dearest_minor
    match benefit:
        case BundlePrice():
            yield from _check_bundle(path, promotion, benefit, figures)
        case FixedPrice():
            yield from _check_no_dearer(f"{path}.price_minor", benefit.price_minor, own_minor)
        case AmountOff() if benefit.per == "unit":
            yield from _check_no_gift(f"{path}.amount_minor", benefit.amount_minor, own_minor)
        case QuantityTiers():
            for index, tier in enumerate(benefit.tiers):
                place = f"{path}.tiers[{index}]"
                yield from _check_no_dearer(f"{place}.price_minor", tier.price_minor, own_minor)
                amount_minor = tier.amount_off_minor
                yield from _check_no_gift(f"{place}.amount_off_minor", amount_minor, own_minor)
        case Gift():
            given_minor = figures.get(ProductSet(skus=benefit.skus), _NO_ARTICLE).dearest_minor
            yield from _check_no_dearer(f"{path}.price_minor", benefit.price_minor, given_minor)


def _check_bundle(
    path: str, promotion: Promotion, bundle: BundlePrice, figures: Figures
) -> Iterator[Problem]:
    own = (BundlePart(promotion.products, max(1, bundle.set_count)),)
    sums = [
        figures.get(part.products, _NO_ARTICLE).dearest_minor * part.count
        for part in bundle.parts or own
    ]
    dearest_minor = sum(sums) if all(sums) else 0
    yield from _check_no_dearer(f"{path}.price_minor", bundle.price_minor, dearest_minor)
    yield from _check_no_gift(f"{path}.amount_off_minor", bundle.amount_off_minor, dearest_minor)


def _check_no_dearer(path: str, price_minor: int, dearest_minor: int) -> Iterator[Problem]:
    if price_minor and dearest_minor and price_minor >= dearest_minor:
        reason = f"{price_minor} lowers nothing: at list price the dearest costs {dearest_minor}"
        yield Problem(path, reason)


def _check_no_gift(path: str, amount_minor: int, dearest_minor: int) -> Iterator[Problem]:
    if amount_minor and dearest_minor and amount_minor >= dearest_minor:
        reason = f"{amount_minor} gives all away: at list price the dearest costs {dearest_minor}"
        yield Problem(path, reason)
