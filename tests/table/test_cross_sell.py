"""What is shown for a basket: by links, segments and till groups, never what is in the basket."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.cross_sell import choose_items, items_max
from rewards.product import Catalogue, Product
from rewards.program import CrossSellLink
from rewards.sale import Line, LineAction
from tests import make

SHOES, SPRAY, LACES = "shoes", "spray", "laces"
ARTICLES = {
    product.sku: product
    for product in (
        make.product("s1", categories=(SHOES,)),
        make.product("s2", categories=(SHOES,)),
        make.product("p1", categories=(SPRAY,), brand="dry"),
        make.product("p2", categories=(SPRAY,)),
        make.product("p3", categories=(SPRAY,)),
        make.product("l1", categories=(LACES,), properties=("colour=orange",)),
        make.product("l2", categories=(LACES,)),
        make.product("smoke", categories=(LACES,), no_cross_sell=True),
    )
}
CATALOGUE = Catalogue(ARTICLES)


def of(category: str) -> ProductSet:
    return ProductSet(categories=(category,))


def shown(
    links: list[CrossSellLink],
    *lines: Line,
    segments: tuple[str, ...] = (),
    most: int = 3,
    articles: dict[str, Product] = ARTICLES,
) -> list[str]:
    rules = make.rules(cross_sell_links=tuple(links))
    items = choose_items(
        rules,
        make.sale(*(lines or (make.line("s1"),))),
        articles,
        frozenset(segments),
        lambda link: CATALOGUE.articles_of(link.link.show, 50, rules.may_show),
        most,
    )
    return [item.sku for item in items]


RUNNING = [
    make.link("spray", of(SHOES), of(SPRAY), segments=("pensioner",)),
    make.link("laces", of(SHOES), of(LACES), segments=("athlete", "student")),
]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (("pensioner",), ["p1", "p2", "p3"]),
        (("athlete",), ["l1", "l2"]),
        (("student",), ["l1", "l2"]),
        (("pensioner", "athlete"), ["l1", "p1", "l2"]),  # one of each link before a second
        (("other",), []),
        ((), []),
    ],
)
def test_links_are_for_segments(segments: tuple[str, ...], expected: list[str]) -> None:
    assert shown(RUNNING, segments=segments) == expected


@pytest.mark.parametrize("most", range(5))
def test_one_article_a_link_first_the_weightiest_link_first(most: int) -> None:
    links = [
        make.link("light", of(SHOES), of(SPRAY), weight=1),
        make.link("heavy", of(SHOES), of(LACES), weight=2),
    ]
    assert shown(links, most=most) == ["l1", "p1", "l2", "p2"][:most]


def test_equal_weights_go_by_id() -> None:
    links = [make.link("b", of(SHOES), of(SPRAY)), make.link("a", of(SHOES), of(LACES))]
    assert shown(links, most=1) == ["l1"]


def test_an_article_is_shown_once_even_by_two_links() -> None:
    links = [make.link("a", of(SHOES), of(LACES)), make.link("b", of(SHOES), of(LACES))]
    assert shown(links) == ["l1", "l2"]


@pytest.mark.parametrize(
    ("basket", "expected"),
    [
        (["s1"], ["p1", "p2", "p3"]),
        (["s1", "p1"], ["p2", "p3"]),
        (["s1", "p1", "p3"], ["p2"]),
        (["s1", "p1", "p2", "p3"], []),
    ],
)
def test_nothing_from_the_basket_is_shown(basket: list[str], expected: list[str]) -> None:
    lines = [make.line(sku) for sku in basket]
    assert shown([make.link(basket=of(SHOES), show=of(SPRAY))], *lines) == expected


def test_a_basket_that_leads_nowhere() -> None:
    assert shown(RUNNING, make.line("p1"), segments=("pensioner",)) == []


def test_an_unknown_article_leads_only_where_it_is_named() -> None:
    links = [
        make.link("named", ProductSet(skus=("new",)), of(LACES)),
        make.link("category", of(SHOES), of(SPRAY)),
    ]
    assert shown(links, make.line("new")) == ["l1", "l2"]
    assert shown(links, make.line("s1"), articles={}) == []


def test_a_cancelled_line_leads_nowhere() -> None:
    assert shown(RUNNING, make.line("s1", cancelled=True), segments=("pensioner",)) == []


def test_what_is_brought_back_leads_nowhere() -> None:
    lines = (make.line("s1", action=LineAction.RETURN), make.line("new"))
    assert shown(RUNNING, *lines, segments=("pensioner",)) == []


@pytest.mark.parametrize(
    ("show", "expected"),
    [
        (ProductSet(skus=("p2", "p1")), ["p2", "p1"]),
        (ProductSet(brands=("dry",)), ["p1"]),
        (ProductSet(properties=("colour=orange",)), ["l1"]),
        (ProductSet(categories=(SPRAY,), except_skus=("p1",)), ["p2", "p3"]),
        (ProductSet(skus=("l1",), categories=(LACES,), except_categories=(LACES,)), []),
        (ProductSet(skus=("smoke",)), []),  # the feed forbids it
        (ProductSet(skus=("unheard-of",)), []),
    ],
)
def test_what_a_link_shows(show: ProductSet, expected: list[str]) -> None:
    assert shown([make.link(basket=of(SHOES), show=show)]) == expected


def test_the_line_that_led_to_an_item_is_named() -> None:
    rules = make.rules(cross_sell_links=(make.link("spray", of(SHOES), of(SPRAY)),))
    lines = (make.line("x"), make.line("s2", line_id="b"), make.line("s1", line_id="a"))
    (item,) = choose_items(rules, make.sale(*lines), ARTICLES, frozenset(), lambda link: ("p1",), 3)
    assert (item.link.link.link_id, lines[item.position].line_id) == ("spray", "a")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_of_lines_changes_nothing(order: tuple[int, ...]) -> None:
    lines = [make.line("s1"), make.line("l2"), make.line("new")]
    links = [*RUNNING, make.link("back", of(LACES), of(SHOES))]
    chosen = [lines[n] for n in order]
    assert shown(links, *chosen, segments=("pensioner", "athlete")) == ["s2", "l1", "p1"]


GROUPS = (
    make.till_group("kiosks", 0, till_types=("self_checkout",)),
    make.till_group("big", 5, till_types=("staffed", "web"), stores=("big",)),
    make.till_group("rest", 2, till_types=("staffed",)),
)


@pytest.mark.parametrize(
    ("groups", "till", "most"),
    [
        (GROUPS, {"till_type": 1, "store_id": "big"}, 5),
        (GROUPS, {"till_type": 5, "store_id": "big"}, 5),
        (GROUPS, {"till_type": 1, "store_id": "small"}, 2),
        (GROUPS, {"till_type": 2, "store_id": "big"}, 0),
        (GROUPS, {"till_type": 4, "store_id": "big"}, 0),  # no group fits: off
        ((), {}, 0),
        ((make.till_group("all", 3),), {}, 3),
        ((make.till_group("off", 0), make.till_group("all", 3)), {}, 0),  # the first that fits
    ],
)
def test_how_many_a_till_group_shows(groups: Any, till: dict[str, Any], most: int) -> None:
    assert items_max(make.compiled(till_groups=groups), make.header(**till)) == most
