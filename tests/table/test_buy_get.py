"""Who buys some gets others cheaper: numbers worked out by hand."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import BuyGet
from rewards.program import Promotion
from rewards.sale import Line
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import CUT, amounts, sold, to_pay, traced

SHIRTS, TIES = ProductSet(categories=("рубашки",)), ProductSet(categories=("галстуки",))
SHOP = make.facts(
    make.product("рубашка", categories=("одежда", "рубашки")),
    make.product("галстук", categories=("одежда", "галстуки")),
    make.product("шёлк", categories=("одежда", "галстуки")),
)


def shirts(pieces: int) -> Line:
    return make.line("рубашка", pieces, 1_000)


def ties(pieces: int, price: int = 300, sku: str = "галстук") -> Line:
    return make.line(sku, pieces, price)


def a_tie_with(shirts_bought: int, **changes: Any) -> Promotion:
    return make.promotion("tie", BuyGet(shirts_bought, TIES, **changes), products=SHIRTS)


@pytest.mark.parametrize(
    ("changes", "lines", "left"),
    [
        ({}, [shirts(2), ties(1)], [1_739, 261]),  # 300 over 2,300: 260.87 and 39.13
        ({"spread": False}, [shirts(2), ties(1)], [2_000, 0]),
        ({"spread": False}, [shirts(3), ties(2)], [3_000, 300]),
        ({"spread": False}, [shirts(4), ties(2)], [4_000, 0]),
        ({"spread": False}, [shirts(5), ties(1)], [5_000, 0]),
        ({"spread": False, "rate_bp": 5_000}, [shirts(2), ties(1)], [2_000, 150]),
        ({"spread": False, "get_count": 2}, [shirts(2), ties(2)], [2_000, 0]),
        ({"spread": False, "get_count": 2}, [shirts(2), ties(1)], [2_000, 300]),
        ({"spread": False, "get_count": 2, "partly": True}, [shirts(2), ties(1)], [2_000, 0]),
        ({"spread": False, "get_count": 2, "partly": True}, [shirts(4), ties(3)], [4_000, 0]),
        ({"spread": False}, [shirts(2), ties(1), ties(1, 900, "шёлк")], [2_000, 0, 900]),
        (
            {"spread": False, "which": "dearest"},
            [shirts(2), ties(1), ties(1, 900, "шёлк")],
            [2_000, 300, 0],
        ),
    ],
)
def test_two_shirts_and_a_tie(changes: dict[str, Any], lines: list[Line], left: list[int]) -> None:
    assert amounts(sold(a_tie_with(2, **changes), *lines, known=SHOP)) == left


@pytest.mark.parametrize(
    ("changes", "lines", "missing"),
    [
        ({}, [shirts(1), ties(1)], 1),
        ({}, [ties(3)], 2),
        ({}, [shirts(2)], 1),
        ({"get_count": 3}, [shirts(2), ties(1)], 2),
        ({"get_count": 3, "partly": True}, [shirts(2)], 1),
    ],
)
def test_what_two_shirts_and_a_tie_lack(
    changes: dict[str, Any], lines: list[Line], missing: int
) -> None:
    evaluation = sold(a_tie_with(2, **changes), *lines, known=SHOP)
    assert traced(evaluation) == [(TraceOutcome.FAILED, Condition.QUANTITY, missing * 1_000)]


def test_two_shirts_and_a_tie_are_capped_by_the_limit() -> None:
    promotion = make.promotion(
        gives=BuyGet(2, TIES, spread=False), products=SHIRTS, times_per_receipt=1
    )
    evaluation = sold(promotion, shirts(4), ties(2), known=SHOP)
    assert (amounts(evaluation), traced(evaluation)) == ([4_000, 300], [CUT])


@pytest.mark.parametrize(
    ("prices", "paid_minor"),
    [
        ((100,), 100),
        ((100, 80), 100),
        ((100, 80, 60), 180),  # the 100 is bought, the 60 given
        ((100, 90, 60, 50), 190),  # the two dearer ones are bought
    ],
)
def test_buy_one_get_one_of_the_same_set(prices: tuple[int, ...], paid_minor: int) -> None:
    lines = [make.line(f"s{n}", 1, price) for n, price in enumerate(prices)]
    promotion = make.promotion(gives=BuyGet(1, ProductSet()))
    assert to_pay(sold(promotion, *lines)) == paid_minor


def test_buy_two_get_one_of_the_same_article() -> None:
    for pieces, pays in ((2, 2), (3, 2), (5, 4), (6, 4)):
        promotion = make.promotion(gives=BuyGet(2, ProductSet()))
        assert to_pay(sold(promotion, make.line("a", pieces, 100))) == pays * 100


def test_the_dearest_is_bought_also_where_it_alone_could_be_given() -> None:
    """So written in the document: with the dearer one in both sets there is no set."""
    promotion = make.promotion(gives=BuyGet(1, ProductSet(skus=("b",))))
    lines = (make.line("a", 1, 100), make.line("b", 1, 200))
    assert amounts(sold(promotion, *lines)) == [100, 200]
    cheaper = (make.line("a", 1, 100), make.line("b", 1, 50))
    assert to_pay(sold(promotion, *cheaper)) == 100
