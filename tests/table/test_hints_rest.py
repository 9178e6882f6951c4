"""Hints: at the edges of what is near, on which line, and what took effect already."""

import pytest

from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.benefit import AmountOff, BundlePart, BundlePrice, NPlusM, NthItem, PointsRate
from rewards.condition import Products, ReceiptAmount
from rewards.evaluate import Evaluation, PieceOffer, evaluate
from rewards.facts import CustomerState, Facts
from rewards.hints import NOWHERE, Hint, find_hints
from rewards.program import Promotion
from rewards.sale import Line
from rewards.trace import Condition, TraceEntry, TraceOutcome
from tests import make

TEA, DRINK = ProductSet(skus=("tea",)), ProductSet(categories=("drink",))
FEED = make.facts(
    make.product("tea", categories=("drink",)), make.product("ale", categories=("drink",))
)


def hints(*promotions: Promotion, lines: tuple[Line, ...], facts: Facts = FEED) -> tuple[Hint, ...]:
    rules, sale = make.rules(*promotions), make.sale(*lines)
    return find_hints(rules, sale, facts, evaluate(rules, sale, facts, allocate))


def hinted(*trace: TraceEntry, offers: tuple[PieceOffer, ...] = ()) -> tuple[Hint, ...]:
    """Hints of a promotion on 2+1 with an outcome of its own making."""
    rules = make.rules(make.promotion(gives=NPlusM(2, 1), products=TEA), make.amount_off(1, "b"))
    outcomes = evaluate(rules, make.sale(make.line()), FEED, allocate).outcomes
    said = Evaluation(outcomes, offers, (), trace)
    return find_hints(rules, make.sale(make.line()), FEED, said)


@pytest.mark.parametrize(
    ("entry", "is_near"),
    [
        (TraceEntry(0, TraceOutcome.FAILED, 0, -1, Condition.QUANTITY, 1), True),
        (TraceEntry(0, TraceOutcome.FAILED, 0, -1, Condition.QUANTITY, 0), False),
        (TraceEntry(0, TraceOutcome.LIMIT_REACHED, 0, -1, Condition.QUANTITY, 1), False),
        (TraceEntry(0, TraceOutcome.FAILED, 0, -1, Condition.RECEIPT_AMOUNT, 1), True),
        (TraceEntry(0, TraceOutcome.FAILED, 0, -1, Condition.BALANCE, 1), False),
    ],
)
def test_only_what_failed_for_something_missing_is_near(entry: TraceEntry, is_near: bool) -> None:
    assert len(hinted(entry)) == is_near


@pytest.mark.parametrize(
    ("offer", "found"),
    [
        (PieceOffer(0, 0, "tea", 1_000), (Hint(0, 0, 1_000, is_free=True),)),
        (PieceOffer(0, -1, "tea", 2_000), (Hint(0, -1, 2_000, is_free=True),)),
        (PieceOffer(0, 0, "tea", 1_000, amount_minor=1), ()),
        (PieceOffer(1, 0, "tea", 1_000), ()),
    ],
)
def test_only_pieces_of_a_set_for_nothing_are_hints(
    offer: PieceOffer, found: tuple[Hint, ...]
) -> None:
    assert hinted(offers=(offer,)) == found


def test_one_minor_unit_is_money_and_comes_after_pieces() -> None:
    third = make.promotion("third", NthItem(5, 5_000), products=TEA, priority=1)
    near = make.percent(conditions=(ReceiptAmount(10_001),), priority=2)
    found = hints(near, third, lines=(make.line("tea", 2, 5_000),))
    assert found == (Hint(1, 0, 3_000), Hint(0, missing_minor=1))


@pytest.mark.parametrize(("missing", "is_near"), [(20, True), (21, False)])
def test_a_share_of_the_receipt_is_rounded_down(missing: int, is_near: bool) -> None:
    # A fifth of 104 is 20.8.
    near = make.percent(conditions=(ReceiptAmount(104 + missing),))
    assert len(hints(near, lines=(make.line("tea", 1, 104),))) == is_near


# --- which line ---------------------------------------------------------------------------------


def test_the_line_is_the_first_by_its_id_of_the_one_article() -> None:
    lines = (make.line("tea", 1, line_id="2"), make.line("tea", 1, line_id="1"))
    assert hints(make.promotion(gives=NthItem(3, 5_000), products=DRINK), lines=lines) == (
        Hint(0, 1, 1_000),
    )


def test_lines_of_several_articles_of_a_set_name_none() -> None:
    lines = (make.line("tea", 1), make.line("ale", 1))
    assert hints(make.promotion(gives=NthItem(3, 5_000), products=DRINK), lines=lines) == (
        Hint(0, NOWHERE, 2_000),
    )


def test_a_bundle_of_several_sets_names_no_line() -> None:
    parts = (BundlePart(TEA, 2), BundlePart(ProductSet(skus=("ale",)), 1))
    bundle = make.promotion(gives=BundlePrice(parts, price_minor=1), products=ProductSet())
    for found in hints(bundle, lines=(make.line("tea", 2, 100),)):
        assert found.position == NOWHERE


def test_two_conditions_on_products_name_no_line() -> None:
    conditions = tuple(
        Products(ProductSet(skus=(sku,)), quantity_from_milli=2_000) for sku in ("tea", "ale")
    )
    lines = (make.line("tea", 1), make.line("ale", 2))
    (found,) = hints(make.promotion(conditions=conditions), lines=lines)
    assert (found.position, found.missing_milli) == (NOWHERE, 1_000)


# --- what took effect already -------------------------------------------------------------------


def test_beside_an_exclusive_promotion_only_rewards_are_within_reach() -> None:
    alone = make.promotion("alone", AmountOff(1), exclusive="receipt", priority=9)
    more = (ReceiptAmount(10_500),)
    price = make.percent(conditions=more)
    reward = make.points(100, conditions=more)
    lines = (make.line("tea", 2, 5_000),)
    assert [hint.number for hint in hints(price, reward, lines=lines)] == [0, 1]
    (only,) = hints(alone, price, reward, lines=lines)
    assert make.rules(alone, price, reward).program.promotions[only.number].promotion_id == "points"


@pytest.mark.parametrize(
    ("state", "account_id", "told"),
    [
        (CustomerState.ACTIVE, 7, True),
        (CustomerState.EARN_ONLY, 7, True),
        (CustomerState.BLOCKED, 7, False),
        (CustomerState.ACTIVE, 0, False),
    ],
)
def test_points_are_within_reach_of_who_earns(state: int, account_id: int, told: bool) -> None:
    points = make.promotion(
        gives=PointsRate("points", 100), lane="reward", conditions=(ReceiptAmount(10_500),)
    )
    known = make.facts(customer=make.customer(account_id=account_id, state=state))
    lines = (make.line("tea", 2, 5_000),)
    assert len(hints(points, lines=lines, facts=known)) == told
