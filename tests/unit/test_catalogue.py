"""Which articles of a feed a product set holds, in which order, and at most how many."""

import pytest

from rewards.authored import ProductSet
from rewards.product import CANDIDATES_KEPT_MAX, Catalogue, Product, SetMemo, index_sets, sets_of
from tests import make

PRODUCTS = (
    make.product("tea", categories=("food", "drink"), brand="acme", properties=("kind=green",)),
    make.product("cake", categories=("food",), brand="best"),
    make.product("ale", categories=("drink",), brand="acme", properties=("kind=pale",)),
    make.product("smoke", categories=("food",), brand="acme", no_cross_sell=True),
    make.product("plain"),
)


def listed(chosen: ProductSet, count_max: int = 9, hidden: str = "") -> tuple[str, ...]:
    catalogue = Catalogue({product.sku: product for product in PRODUCTS})
    return catalogue.articles_of(chosen, count_max, lambda product: product.sku != hidden)


@pytest.mark.parametrize(
    ("chosen", "skus"),
    [
        (ProductSet(categories=("food",)), ("cake", "tea")),
        (ProductSet(categories=("drink",)), ("ale", "tea")),
        (ProductSet(brands=("acme",)), ("ale", "tea")),
        (ProductSet(properties=("kind=green",)), ("tea",)),
        (ProductSet(skus=("tea", "nowhere", "ale")), ("tea", "ale")),
        (ProductSet(skus=("tea",), categories=("food",)), ("tea", "cake")),
        (ProductSet(categories=("drink", "food")), ("ale", "tea", "cake")),
        (ProductSet(brands=("best", "acme")), ("cake", "ale", "tea")),
        (ProductSet(properties=("kind=pale", "kind=green")), ("ale", "tea")),
        (ProductSet(categories=("drink",), except_skus=("ale",)), ("tea",)),
        (ProductSet(categories=("food",), except_brands=("best",)), ("tea",)),
        (ProductSet(categories=("food",), except_categories=("drink",)), ("cake",)),
        (ProductSet(brands=("acme",), except_properties=("kind=pale",)), ("tea",)),
        (ProductSet(brands=("acme",), properties_all=("kind=pale",)), ("ale",)),
        (ProductSet(categories=("toys",), brands=("none",), properties=("kind=red",)), ()),
    ],
)
def test_articles_of_a_set(chosen: ProductSet, skus: tuple[str, ...]) -> None:
    assert listed(chosen) == skus


def test_at_most_so_many_that_may_be_shown() -> None:
    drinks = ProductSet(categories=("drink",))
    assert listed(drinks, 1) == ("ale",)
    assert listed(drinks, 1, hidden="ale") == ("tea",)
    assert listed(drinks, 0) == ()


SETS = (
    ProductSet(),
    ProductSet(skus=("tea",)),
    ProductSet(categories=("food",)),
    ProductSet(brands=("acme",)),
    ProductSet(properties=("kind=green",)),
    ProductSet(categories=("drink",), except_skus=("ale",)),
    ProductSet(properties_all=("kind=green", "size=big")),
    ProductSet(except_brands=("acme",)),
    ProductSet(own_offer="favourite"),
    ProductSet(unit_price_from_minor=1),
    ProductSet(unit_price_to_minor=1),
)
TEA, CAKE, ALE, _, PLAIN = PRODUCTS


@pytest.mark.parametrize(
    ("sku", "product", "numbers"),
    [
        ("tea", TEA, (0, 1, 2, 3, 4, 5, 9, 10)),
        ("cake", CAKE, (0, 2, 7, 9, 10)),
        ("ale", ALE, (0, 3, 9, 10)),
        ("plain", PLAIN, (0, 7, 9, 10)),
        ("tea", None, (0, 1, 7, 9, 10)),
        ("stranger", None, (0, 7, 9, 10)),
    ],
)
def test_sets_of_an_article(sku: str, product: Product | None, numbers: tuple[int, ...]) -> None:
    index = index_sets(SETS)
    assert sets_of(index, sku, product) == numbers
    memo = SetMemo(index)
    assert [memo.of(sku, product) for _ in range(2)] == [numbers, numbers]


def test_an_index_says_which_sets_ask_for_more() -> None:
    index = index_sets(SETS)
    assert index.sets == SETS
    assert index.narrowed == {5, 6, 7}
    assert index.offered == (8,)
    assert index.priced == {9, 10}


def test_a_changed_article_is_looked_at_again() -> None:
    memo = SetMemo(index_sets(SETS))
    moved = make.product("tea", categories=("drink",))
    assert memo.of("tea", TEA) != memo.of("tea", moved)
    assert memo.of("tea", None) == (0, 1, 7, 9, 10)


def test_the_memory_of_articles_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CANDIDATES_KEPT_MAX > 100_000
    monkeypatch.setattr("rewards.product.CANDIDATES_KEPT_MAX", 2)
    memo = SetMemo(index_sets(SETS))
    found = [memo.of(sku, None) for sku in ("tea", "ale", "cake", "tea")]
    assert found == [sets_of(memo.index, sku, None) for sku in ("tea", "ale", "cake", "tea")]
    assert len(memo._unknown) == 2


def test_the_memory_is_of_the_very_article_and_keeps_the_last() -> None:
    memo = SetMemo(index_sets(SETS))
    for n in range(20):
        # Nothing else keeps it: its place in memory may be used again.
        product = make.product("tea", categories=("drink",) if n % 2 else ("other",))
        want = sets_of(memo.index, "tea", product)
        assert memo.of_each(["tea", "ale"], {"tea": product}) == [want, memo.of("ale", None)]
    assert list(memo._known) == [id(product)] == [id(one) for one in memo._products.values()]
