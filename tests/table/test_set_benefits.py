"""N+M, nth item, cheapest free: numbers worked out by hand. Buy and get: `test_buy_get`.

Prices are minor units. A till that can do everything, and a known customer, unless a row says so.
"""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import BuyGet, CheapestFree, NPlusM, NthItem, PercentOff
from rewards.sale import Capabilities, Line
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.selling import CUT, FIRED, amounts, fired, offered, runs, sold, to_pay, traced


def each(*prices: int, pieces: int = 1) -> list[Line]:
    """An article at each price."""
    return [make.line(f"s{n}", pieces, price) for n, price in enumerate(prices)]


def given(gives: Any, *lines: Line, **changes: Any) -> list[int | None]:
    return amounts(sold(make.promotion(gives=gives, **changes), *lines))


def paid(gives: Any, *lines: Line, **changes: Any) -> int:
    return to_pay(sold(make.promotion(gives=gives, **changes), *lines))


def lacks(pieces: int) -> tuple[TraceOutcome, Condition, int]:
    return TraceOutcome.FAILED, Condition.QUANTITY, pieces * 1_000


# --- N + M --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pay", "free", "scanned", "paid", "to_add"),
    [
        (10, 1, 9, 9, 0),
        (10, 1, 10, 10, 1),
        (10, 1, 11, 10, 0),
        (10, 1, 12, 11, 0),
        (10, 1, 20, 19, 0),
        (10, 1, 21, 20, 1),
        (10, 1, 22, 20, 0),
        (10, 1, 23, 21, 0),
        (3, 2, 2, 2, 0),
        (3, 2, 3, 3, 2),
        (3, 2, 4, 3, 1),
        (3, 2, 5, 3, 0),
        (3, 2, 8, 6, 2),
        (3, 2, 9, 6, 1),
        (3, 2, 10, 6, 0),
        (1, 1, 1, 1, 1),
        (1, 1, 2, 1, 0),
        (1, 1, 3, 2, 1),
        (10, 1, 6_600, 6_000, 0),
    ],
)
def test_n_plus_m(pay: int, free: int, scanned: int, paid: int, to_add: int) -> None:
    evaluation = sold([make.n_plus_m(pay, free)], make.line("a", scanned, 100))
    assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


@pytest.mark.parametrize(
    ("as_quantity", "partly", "scanned", "paid", "to_add"),
    [
        (True, False, 3, 3, 2),
        (True, False, 4, 4, 1),
        (True, False, 5, 3, 0),
        (False, True, 3, 3, 0),
        (False, True, 4, 3, 0),
        (False, True, 5, 3, 0),
        (False, False, 3, 3, 0),
        (False, False, 4, 4, 0),
        (False, False, 5, 3, 0),
        (False, False, 9, 7, 0),
    ],
)
def test_three_plus_two_by_its_settings(
    as_quantity: bool, partly: bool, scanned: int, paid: int, to_add: int
) -> None:
    gives = NPlusM(3, 2, as_quantity=as_quantity, partly=partly)
    evaluation = sold(make.promotion(gives=gives), make.line("a", scanned, 100))
    assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


@pytest.mark.parametrize(
    ("as_quantity", "partly", "scanned", "missing"),
    [
        (True, True, 1, 2),  # at three there is something to offer
        (True, True, 3, 2),
        (True, False, 4, 1),
        (False, True, 1, 3),  # the fourth is free
        (False, True, 3, 1),
        (False, False, 1, 4),
        (False, False, 4, 1),
    ],
)
def test_how_many_pieces_three_plus_two_lacks(
    as_quantity: bool, partly: bool, scanned: int, missing: int
) -> None:
    gives = NPlusM(3, 2, as_quantity=as_quantity, partly=partly)
    evaluation = sold(make.promotion(gives=gives), make.line("a", scanned, 100))
    assert traced(evaluation) == [lacks(missing)]


@pytest.mark.parametrize(
    ("times", "scanned", "paid", "to_add"),
    [
        (1, 10, 10, 1),
        (1, 11, 10, 0),
        (1, 21, 20, 0),
        (1, 22, 21, 0),
        (2, 21, 20, 1),
        (2, 22, 20, 0),
        (2, 32, 30, 0),
        (2, 33, 31, 0),
    ],
)
def test_n_plus_m_is_capped_by_the_limit(times: int, scanned: int, paid: int, to_add: int) -> None:
    promotion = make.n_plus_m(times_per_receipt=times)
    evaluation = sold([promotion], make.line("a", scanned, 100))
    assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


def test_the_limit_of_n_plus_m_is_one_a_receipt_not_one_an_article() -> None:
    promotion = make.n_plus_m(times_per_receipt=1)
    evaluation = sold([promotion], make.line("a", 11, 100), make.line("b", 11, 100))
    assert to_pay(evaluation) == 2_100
    assert fired(evaluation) == [1]


@pytest.mark.parametrize(
    ("times", "a", "b", "paid", "to_add"),
    [
        (2, 11, 11, 20, 0),
        (2, 22, 11, 31, 0),  # in the order of skus
        (2, 10, 11, 20, 1),
        (1, 10, 11, 20, 0),  # the b has fired: nothing is left for the a
        (1, 10, 10, 20, 1),
        (2, 10, 10, 20, 2),
    ],
)
def test_the_limit_of_n_plus_m_over_articles(
    times: int, a: int, b: int, paid: int, to_add: int
) -> None:
    promotion = make.n_plus_m(times_per_receipt=times)
    evaluation = sold([promotion], make.line("a", a, 100), make.line("b", b, 100))
    assert (to_pay(evaluation), offered(evaluation)) == (paid * 100, to_add * 1_000)


def test_n_plus_m_counts_the_lines_of_one_sku_together() -> None:
    lines = (make.line("a", 6, 100, line_id="1"), make.line("a", 5, 100, line_id="2"))
    # 100 off 1,100, in proportion to 600 and 500.
    assert given(NPlusM(10, 1), *lines) == [545, 455]


def test_n_plus_m_makes_the_cheaper_piece_of_a_sku_free() -> None:
    lines = (make.line("a", 5, 100, line_id="1"), make.line("a", 6, 80, line_id="2"))
    # 80 off 980, in proportion to 500 and 480.
    assert given(NPlusM(10, 1), *lines) == [459, 441]
    assert given(NPlusM(10, 1, spread=False), *lines) == [500, 400]


def test_n_plus_m_counts_every_sku_on_its_own() -> None:
    evaluation = sold([make.n_plus_m()], make.line("a", 6, 100), make.line("b", 5, 100))
    assert (to_pay(evaluation), evaluation.offers) == (1_100, ())
    evaluation = sold([make.n_plus_m()], make.line("a", 10, 100), make.line("b", 11, 100))
    assert amounts(evaluation) == [1_000, 1_000]
    assert [(offer.position, offer.quantity_milli) for offer in evaluation.offers] == [(0, 1_000)]


@pytest.mark.parametrize(
    ("prices", "paid_minor"),
    [
        ((100, 80, 60), 180),
        ((100, 90, 80, 70, 60, 50), 340),  # the two cheapest of all six
        ((100, 90, 80, 70), 260),  # the dearest three make the set
        ((100, 80), 180),
    ],
)
def test_two_plus_one_over_articles(prices: tuple[int, ...], paid_minor: int) -> None:
    assert paid(NPlusM(2, 1, per_article=False), *each(*prices)) == paid_minor


def test_two_plus_one_over_articles_offers_the_cheapest() -> None:
    promotion = make.promotion(gives=NPlusM(2, 1, per_article=False))
    evaluation = sold(promotion, *each(100, 60))
    assert [(one.sku, one.quantity_milli) for one in evaluation.offers] == [("s1", 1_000)]


def test_two_plus_one_over_articles_is_spread_over_the_set_or_lies_on_the_free_one() -> None:
    lines = each(100, 80, 60)
    assert given(NPlusM(2, 1, per_article=False), *lines) == [75, 60, 45]
    assert given(NPlusM(2, 1, per_article=False, spread=False), *lines) == [100, 80, 0]


@pytest.mark.parametrize(
    ("can", "to_add"),
    [
        (Capabilities(add_piece=True, zero_price=True), 1_000),
        (Capabilities(add_piece=True), 0),
        (Capabilities(zero_price=True), 0),
        (Capabilities(), 0),
    ],
)
def test_a_piece_is_offered_only_to_a_till_that_can_add_it_at_zero(
    can: Capabilities, to_add: int
) -> None:
    evaluation = sold([make.n_plus_m()], make.line("a", 10, 100), capabilities=can)
    assert offered(evaluation) == to_add


@pytest.mark.parametrize(
    ("minimum_price_minor", "price", "to_add"),
    [(90, 100, 1_000), (91, 100, 0), (100, 100, 0), (0, 0, 0)],
)
def test_a_piece_is_offered_only_if_the_floor_lets_it_be_free(
    minimum_price_minor: int, price: int, to_add: int
) -> None:
    known = make.facts(make.product("a", minimum_price_minor=minimum_price_minor))
    evaluation = sold([make.n_plus_m()], make.line("a", 10, price), known=known)
    assert offered(evaluation) == to_add


# --- nth item -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "pieces", "paid_minor"),
    [
        (NthItem(2, 5_000), 1, 100),
        (NthItem(2, 5_000), 2, 150),
        (NthItem(2, 5_000), 3, 250),
        (NthItem(2, 5_000), 4, 300),
        (NthItem(3, 3_333), 3, 267),  # 33.33 off
        (NthItem(3, 10_000), 7, 500),
        (NthItem(2, 5_000, "dearest"), 2, 150),
    ],
)
def test_nth_item_of_one_article(gives: NthItem, pieces: int, paid_minor: int) -> None:
    assert paid(gives, make.line("чай", pieces, 100)) == paid_minor


@pytest.mark.parametrize(
    ("gives", "left"),
    [
        (NthItem(2, 5_000), [100, 60]),  # one of each article
        (NthItem(2, 5_000, per_article=False, spread=False), [100, 30]),
        (NthItem(2, 5_000, "dearest", per_article=False, spread=False), [50, 60]),
        (NthItem(2, 5_000, per_article=False), [81, 49]),  # 30 of 160: 18.75 and 11.25
    ],
)
def test_nth_item_over_two_articles(gives: NthItem, left: list[int]) -> None:
    assert given(gives, *each(100, 60)) == left


def test_nth_item_says_how_many_pieces_are_lacking() -> None:
    evaluation = sold(make.promotion(gives=NthItem(3, 5_000)), *each(100, 60))
    assert traced(evaluation) == [lacks(2)]


def test_nth_item_is_capped_by_the_limit() -> None:
    promotion = make.promotion(gives=NthItem(2, 5_000), times_per_receipt=2)
    evaluation = sold(promotion, make.line("a", 9, 100))
    assert (to_pay(evaluation), traced(evaluation)) == (800, [CUT])


# --- cheapest free ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "paid_minor"),
    [
        ((100, 80), 180),
        ((100, 80, 60), 180),
        ((100, 80, 60, 50), 230),  # dearest first: the third of the set is the 60
        ((100, 90, 80, 70, 60, 50), 320),  # 80 and 50 are free
        ((50, 60, 70, 80, 90, 100), 320),
        ((100,) * 7, 500),
        ((100, 100, 100, 100, 100, 50), 400),
        ((5, 5, 5), 10),
        ((100, 80, 0), 180),  # what costs nothing is no piece of a set
        ((100, 80, 60, 0), 180),
    ],
)
def test_cheapest_of_three(prices: tuple[int, ...], paid_minor: int) -> None:
    assert paid(CheapestFree(3), *each(*prices)) == paid_minor


@pytest.mark.parametrize(
    ("gives", "prices", "paid_minor"),
    [
        (CheapestFree(5, 2), (100, 90, 80, 70, 60), 270),
        (CheapestFree(5, 2), (100, 90, 80, 70), 340),
        (CheapestFree(3, rate_bp=5_000), (100, 80, 60), 210),
        (CheapestFree(3, which="dearest"), (100, 80, 60), 140),
        (CheapestFree(3, 2, "dearest"), (100, 80, 60), 60),
        (CheapestFree(3, which="dearest"), (100, 90, 80, 70, 60, 50), 280),
    ],
)
def test_cheapest_free_by_its_settings(
    gives: CheapestFree, prices: tuple[int, ...], paid_minor: int
) -> None:
    assert paid(gives, *each(*prices)) == paid_minor


@pytest.mark.parametrize(
    ("prices", "spread", "left"),
    [
        ((100, 80, 60), True, [75, 60, 45]),  # 60 over 240: a quarter of each
        ((100, 80, 60), False, [100, 80, 0]),
        ((100, 80, 60, 50), True, [75, 60, 45, 50]),  # the fourth is in no set
    ],
)
def test_cheapest_of_three_is_spread_over_its_set(
    prices: tuple[int, ...], spread: bool, left: list[int]
) -> None:
    assert given(CheapestFree(3, spread=spread), *each(*prices)) == left


def test_cheapest_of_three_over_runs() -> None:
    # (100, 100, 100) and (100, 100, 50): 150 off 550.
    assert given(CheapestFree(3), make.line("a", 5, 100), make.line("b", 1, 50)) == [364, 36]


def test_6000_pieces_of_one_sku() -> None:
    evaluation = sold(make.promotion(gives=CheapestFree(3)), make.line("a", 6_000, 100))
    # 400,000 over 6,000 pieces: two runs, not 6,000 things.
    assert runs(evaluation) == [(4_000_000, 67), (2_000_000, 66)]
    assert fired(evaluation) == [2_000]


def test_cheapest_free_is_capped_by_the_limit() -> None:
    promotion = make.promotion(gives=CheapestFree(3), times_per_receipt=1)
    evaluation = sold(promotion, make.line("a", 7, 100))
    assert (to_pay(evaluation), traced(evaluation)) == (600, [CUT])


# --- all of them --------------------------------------------------------------------------------

OF_SETS = [
    NPlusM(2, 1),
    NPlusM(2, 1, per_article=False),
    NthItem(3, 10_000),
    CheapestFree(3),
    BuyGet(2, ProductSet()),
]


@pytest.mark.parametrize("gives", OF_SETS)
def test_no_set_holds_what_is_weighed(gives: Any) -> None:
    evaluation = sold(make.promotion(gives=gives), make.weighed("яблоки", 3_000, 100))
    assert amounts(evaluation) == [300]
    ((outcome, condition, _),) = traced(evaluation)
    assert outcome == TraceOutcome.FAILED
    assert condition in (Condition.NOT_COUNTED, Condition.QUANTITY)


@pytest.mark.parametrize("gives", OF_SETS)
def test_three_at_100_are_paid_as_two(gives: Any) -> None:
    evaluation = sold(make.promotion(gives=gives), make.line("a", 3, 100))
    assert (amounts(evaluation), traced(evaluation)) == ([200], [FIRED])


@pytest.mark.parametrize("gives", OF_SETS)
def test_a_set_whose_floor_holds_all_back_claims_nothing(gives: Any) -> None:
    promotions = [make.promotion("set", gives, priority=1), make.percent(1_000)]
    evaluation = sold(promotions, make.line("a", 3, 100, minimum_amount_minor=300))
    held_back = (TraceOutcome.FAILED, Condition.FLOOR, 0)
    assert traced(evaluation) == [held_back, held_back]  # nobody lost to anybody


@pytest.mark.parametrize("gives", OF_SETS)
def test_what_a_set_leaves_is_open_for_others(gives: Any) -> None:
    promotions = [make.promotion("set", gives, priority=1), make.promotion("p", PercentOff(1_000))]
    # Three of four make the set; 10 % off the fourth.
    assert to_pay(sold(promotions, make.line("a", 4, 100))) == 200 + 90


def test_of_a_mixed_set_the_cheapest_article_is_offered() -> None:
    # Ten pieces of 10 + 1: the eleventh, whichever it is, makes a piece at 50 free.
    mixed = make.promotion(gives=NPlusM(10, 1, per_article=False))
    sold = make.evaluated([mixed], make.sale(make.line("a", 5, 100), make.line("b", 5, 50)))
    assert [(offer.sku, offer.quantity_milli) for offer in sold.offers] == [("b", 1_000)]
