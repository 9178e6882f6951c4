"""A price list in a best lane, and promotions with limits that the facts know nothing of."""

import pytest

from rewards.benefit import AmountOff, PriceList
from rewards.facts import ListPrice
from rewards.program import LaneSetting, Limits
from rewards.trace import TraceOutcome
from tests import make
from tests.selling import amounts, sold, traced

BEST = {"lanes": (LaneSetting("price", "best"),)}
TEA, SALT = make.line("tea", 2, 100), make.line("salt", 1, 50)


@pytest.mark.parametrize(
    ("price_minor", "paid"), [(70, [140, 45]), (94, [188, 45]), (96, [190, 45]), (100, [190, 45])]
)
def test_a_list_is_chosen_where_it_is_worth_more(price_minor: int, paid: list[int]) -> None:
    club = make.promotion("club", PriceList("club"))
    off = make.promotion("off", AmountOff(5))
    known = make.facts(prices=(ListPrice("club", "tea", price_minor), ListPrice("other", "tea", 1)))
    assert amounts(sold([club, off], TEA, SALT, known=known, program=BEST)) == paid


@pytest.mark.parametrize(
    "limits", [Limits(customer_times=1), Limits(total_times=1), Limits(total_minor=1_000)]
)
def test_what_is_not_known_to_be_left_is_not_given(limits: Limits) -> None:
    evaluation = sold(make.promotion(gives=AmountOff(5), limits=limits), TEA)
    assert amounts(evaluation) == [200]
    ((outcome, _, _),) = traced(evaluation)
    assert outcome == TraceOutcome.LIMIT_REACHED
