"""Goal: a tier is had while its rule holds and for its grace; of several the highest counts."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.program import TierRule
from rewards.sale import LineAction, LineKind
from rewards.tier import (
    Turnover,
    best_tier,
    earned_tiers,
    first_day,
    turnover_left,
    turnover_of,
)
from tests import make


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


def rule(tier_code: str = "gold", **keys: Any) -> TierRule:
    return TierRule(tier_code, **keys)


ROLLING = rule(amount_from_minor=100, rolling_days=30)
GRACE = rule(amount_from_minor=100, rolling_days=30, grace_days=10)
QUARTER = rule(receipts_from=2, period="quarter")
BOUGHT = {"2026-03-01": (60, 1), "2026-03-20": (40, 1)}
HELD = {
    "on the day": (ROLLING, "2026-03-20", True),
    "last day of the window": (ROLLING, "2026-03-30", True),
    "one day later": (ROLLING, "2026-03-31", False),
    "before it was reached": (ROLLING, "2026-03-19", False),
    "reached since the first day of grace": (GRACE, "2026-03-25", True),
    "last day of grace": (GRACE, "2026-04-09", True),
    "grace is over": (GRACE, "2026-04-10", False),
    "by receipts": (QUARTER, "2026-03-20", True),
    "last day of the quarter": (QUARTER, "2026-03-31", True),
    "next quarter": (QUARTER, "2026-04-01", False),
    "next quarter, in grace": (rule(receipts_from=2, period="quarter", grace_days=1),
                               "2026-04-01", True),
    "this month": (rule(amount_from_minor=100, period="month"), "2026-03-31", True),
    "next month": (rule(amount_from_minor=100, period="month"), "2026-04-30", False),
    "this year": (rule(amount_from_minor=100, period="year"), "2026-12-31", True),
    "both bounds": (rule(amount_from_minor=100, receipts_from=3, period="year"),
                    "2026-12-31", False),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "today", "holds"), HELD.values(), ids=HELD.keys())
def test_a_rule(asked: TierRule, today: str, holds: bool) -> None:
    turnover = {day(one): Turnover(*bought) for one, bought in BOUGHT.items()}
    start = first_day([asked], day(today))
    seen = {one: bought for one, bought in turnover.items() if start <= one <= day(today)}
    assert earned_tiers([asked], seen, day(today)) == (["gold"] if holds else [])


RULES = (rule("gold", receipts_from=9), rule("silver", receipts_from=5))


@pytest.mark.parametrize(
    ("candidates", "best"),
    [
        ([], ""),
        (["", ""], ""),
        (["silver", "gold"], "gold"),
        (["silver", ""], "silver"),
        (["staff", "silver"], "silver"),
        (["staff", "guest"], "staff"),
    ],
)
def test_the_highest_counts(candidates: list[str], best: str) -> None:
    assert best_tier(RULES, candidates) == best


def test_turnover_is_what_goods_cost() -> None:
    lines = (
        make.line("tea", 2, 100),
        make.line("card", 1, 500, kind=LineKind.GIFT_CARD),
        make.line("bottle", 1, 10, kind=LineKind.DEPOSIT),
        make.line("back", 1, 30, action=LineAction.RETURN),
        make.line("gone", 1, 70, cancelled=True),
    )
    sale = make.sale(*lines)
    assert turnover_of(sale, make.evaluated([make.percent(1_000)], sale)) == Turnover(180, 1)


TODAY = day("2026-05-17")
TURNOVERS = st.dictionaries(
    st.integers(TODAY - 500, TODAY),
    st.builds(Turnover, st.integers(-50, 100), st.integers(0, 2)),
    max_size=20,
)
ASKED = st.builds(
    TierRule,
    st.just("gold"),
    st.integers(1, 150),
    st.integers(0, 3),
    st.sampled_from(("rolling", "month", "quarter", "year")),
    st.integers(1, 100),
    st.integers(0, 60),
)


@given(TURNOVERS, ASKED)
def test_grace_is_that_it_held_on_some_day(turnover: dict[int, Turnover], asked: TierRule) -> None:
    """Asked day by day without grace it is the same, as long as turnover only grows."""
    grown = {one: bought for one, bought in turnover.items() if bought.amount_minor >= 0}
    strict = TierRule(
        asked.tier_code, asked.amount_from_minor, asked.receipts_from, asked.period,
        asked.rolling_days,
    )  # fmt: skip
    on_some_day = any(
        earned_tiers([strict], {d: t for d, t in grown.items() if d <= one}, one)
        for one in range(TODAY - asked.grace_days, TODAY + 1)
    )
    assert bool(earned_tiers([asked], grown, TODAY)) == on_some_day


@given(TURNOVERS, ASKED)
def test_what_was_before_the_first_day_does_not_matter(
    turnover: dict[int, Turnover], asked: TierRule
) -> None:
    start = first_day([asked], TODAY)
    seen = {one: bought for one, bought in turnover.items() if one >= start}
    assert earned_tiers([asked], seen, TODAY) == earned_tiers([asked], turnover, TODAY)


def test_all_that_comes_back_takes_off_what_was_added() -> None:
    """Part by part, rounded down; what gift cards cost was not counted."""
    card = make.line("gift", line_id="2", kind=LineKind.GIFT_CARD)
    sale = make.sale(make.line("tea", 3, 33, line_id="1"), card)
    sold = make.evaluated([make.percent(1_000)], sale)
    added = turnover_of(sale, sold).amount_minor
    left = [turnover_left(sale, sold, None, {"1": n * 1_000, "2": 1_000}) for n in range(4)]
    assert (left[0], added - left[1], left[3]) == (added, added // 3, 0)


@pytest.mark.parametrize(
    ("paid", "added_minor"),
    [({}, 99 + 40), ({"1": 95}, 95 + 40), ({"1": 80, "2": 7, "3": 1}, 80 + 1)],
)
def test_what_the_till_took_is_what_is_added(paid: dict[str, int], added_minor: int) -> None:
    """A line that it does not name was sold as it was sent; the gift card is line 2."""
    card = make.line("gift", line_id="2", kind=LineKind.GIFT_CARD)
    sale = make.sale(make.line("tea", 3, 33, line_id="1"), card, make.line("", 1, 40, line_id="3"))
    sold = make.evaluated([make.percent(1_000)], sale)
    assert turnover_of(sale, sold, paid).amount_minor == added_minor
    left = [turnover_left(sale, sold, paid, {"1": n * 1_000}) for n in (0, 3)]
    assert left[0] - left[1] == paid.get("1", 99)
    assert turnover_left(sale, sold, paid, {"1": 3_000, "3": 1_000}) == 0
