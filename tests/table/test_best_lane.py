"""Best lanes: what is chosen, floors that several promotions share, what does not end."""

from typing import Any

import pytest

from rewards.authored import ProductSet
from rewards.benefit import (
    AmountOff,
    BundlePart,
    BundlePrice,
    CheapestFree,
    PercentOff,
    Pieces,
    PointsRate,
    PriceBenefit,
)
from rewards.evaluate import Evaluation
from rewards.program import LaneSetting, ProductClass, Promotion
from rewards.sale import Line
from rewards.trace import TraceOutcome
from tests import make

BEST = (LaneSetting("price", "best"),)
A, B, C = (ProductSet(skus=(sku,)) for sku in "abc")


def chosen(promotions: list[Promotion], *lines: Line, **program: Any) -> Evaluation:
    return make.evaluated(promotions, make.sale(*lines), lanes=BEST, **program)


def off_minor(evaluation: Evaluation, *lines: Line) -> int:
    paid = sum(line.amount_minor for line in evaluation.outcomes if line is not None)
    return sum(line.amount_minor for line in lines) - paid


COFFEE = (make.line("coffee", 1, 300), make.line("milk", 2, 200), make.line("tea", 1, 100))


@pytest.mark.parametrize("priorities", [(0, 1), (1, 0)])
def test_the_best_combination_whatever_the_priorities(priorities: tuple[int, int]) -> None:
    # 20 % off coffee and tea is 80. Coffee and milk as a set give 200, and the tea 20 more.
    three = make.promotion("three", CheapestFree(3), priority=priorities[0])
    named = ProductSet(skus=("coffee", "tea"))
    fifth = make.promotion("fifth", PercentOff(2_000), products=named, priority=priorities[1])
    evaluation = chosen([three, fifth], *COFFEE)
    assert off_minor(evaluation, *COFFEE) == 220
    assert [proof.optimal for proof in evaluation.proofs] == [True]


def test_whoever_is_not_in_the_combination_lost_to_who_has_its_pieces() -> None:
    small = make.promotion("a-small", PercentOff(500))
    large = make.promotion("b-large", PercentOff(1_000))
    entries = chosen([small, large], make.line("tea", 1, 100)).trace
    assert [(e.outcome, e.lost_to) for e in entries] == [
        (TraceOutcome.LOST, 1),
        (TraceOutcome.FIRED, -1),
    ]


def test_points_weigh_at_the_programs_rate() -> None:
    # 10 % in points of a tenth of a minor unit are worth 1 %, less than 2 % off.
    points = make.promotion("points", PointsRate("points", 1_000), lane="price")
    off = make.promotion("off", PercentOff(200))
    line = make.line("tea", 1, 1_000)
    cheap = chosen([points, off], line, point_value_micros=100_000)
    dear = chosen([points, off], line, point_value_micros=1_000_000)
    assert (off_minor(cheap, line), cheap.grants) == (20, ())
    assert (off_minor(dear, line), [grant.amount_minor for grant in dear.grants]) == (0, [100])


def test_two_promotions_keep_one_floor_together() -> None:
    # Half of a's price may go: 50 of each piece. The bundle takes 100 off its two, half 100 off
    # the other two.
    bundle = make.promotion(
        "bundle", BundlePrice((BundlePart(A, 2), BundlePart(B, 2)), price_minor=100)
    )
    half = make.promotion("half", AmountOff(50, pieces=Pieces(2)), products=A)
    lines = (make.line("a", 4, 100), make.line("b", 2, 100))
    classes = (ProductClass(A, floor_bp=5_000),)
    evaluation = chosen([bundle, half], *lines, product_classes=classes)
    first, second = evaluation.outcomes
    assert first is not None
    assert second is not None
    assert first.amount_minor == 200
    assert second.amount_minor == 0


def test_a_set_larger_than_the_basket_is_seen_at_once() -> None:
    # Of 40 articles no 41 can be chosen; trying every way would take for ever.
    lines = tuple(make.line(f"s{n:02d}", 1, 100 + n) for n in range(40))
    evaluation = chosen([make.promotion("many", CheapestFree(41))], *lines)
    assert [entry.outcome for entry in evaluation.trace] == [TraceOutcome.FAILED]


def test_too_many_ways_are_not_called_proved() -> None:
    lines = tuple(make.line(f"s{n:02d}", 1, 1_000 + 7 * n) for n in range(40))
    evaluation = chosen([make.promotion("three", CheapestFree(3))], *lines)
    (proof,) = evaluation.proofs
    assert not proof.optimal
    assert proof.gap_minor > 0
    # Dearest first, three by three: every third piece is free.
    prices = sorted((line.amount_minor for line in lines), reverse=True)
    assert off_minor(evaluation, *lines) == sum(prices[2:39:3])


@pytest.mark.parametrize("kind", [CheapestFree(3), PercentOff(1_000)])
def test_one_promotion_alone_gives_what_it_gives_in_a_sequence(kind: PriceBenefit) -> None:
    # Prices of which a tenth is whole: a best lane rounds on the piece.
    lines = (make.line("a", 4, 120), make.line("b", 3, 80))
    alone = [make.promotion("alone", kind)]
    sequential = make.evaluated(alone, make.sale(*lines))
    assert off_minor(chosen(alone, *lines), *lines) == off_minor(sequential, *lines)
