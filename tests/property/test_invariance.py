"""What changes nothing: the order of lines and promotions, a line in two, an offer taken up.

And what grows as it should: copies of a set, receipts of the largest size.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.basket import share_capped
from rewards.benefit import (
    Benefit,
    BundlePrice,
    BuyGet,
    CheapestFree,
    Gift,
    NPlusM,
    NthItem,
)
from rewards.evaluate import Evaluation
from rewards.limits import LINES_MAX, MILLI, PIECES_MAX
from rewards.program import LaneSetting
from rewards.rounding import floor_div
from rewards.sale import Line, Unit
from tests import make
from tests.programs import ASSETS, PRICE_KINDS, REWARD_KINDS, Maker
from tests.strategies import BEST, WINDOWS, Case, Shape, cases

ORDERS = st.integers(0, 2**30)
NO_LINE_FLOORS = Shape(best=True, floors=False, tills=(make.ABLE,))


def paid(evaluation: Evaluation) -> int:
    return sum(outcome.amount_minor for outcome in evaluation.outcomes if outcome is not None)


def given_by(evaluation: Evaluation) -> Counter[int]:
    """Money off, by promotion."""
    off: Counter[int] = Counter()
    for outcome in evaluation.outcomes:
        for one in outcome.adjustments if outcome is not None else ():
            off[one.number] -= one.amount_minor
    return off


def offered(evaluation: Evaluation) -> list[tuple[int, str, int, int, int]]:
    return [
        (one.number, one.sku, one.quantity_milli, one.amount_minor, one.choice_group)
        for one in evaluation.offers
    ]


def besides_lines(evaluation: Evaluation) -> tuple[Any, ...]:
    """All that an evaluation says but of lines."""
    return (
        offered(evaluation),
        evaluation.grants,
        evaluation.trace,
        evaluation.messages,
        evaluation.spends,
        evaluation.coupons,
        evaluation.proofs,
    )


@given(cases(BEST), ORDERS, ORDERS)
def test_the_order_of_lines_and_of_promotions_changes_nothing(
    case: Case, first: int, second: int
) -> None:
    lines, promotions = list(range(len(case.sale.lines))), [*case.program.promotions]
    Random(first).shuffle(lines)
    Random(second).shuffle(promotions)
    moved = case.with_lines(*[case.sale.lines[n] for n in lines])
    before = case.evaluate()
    after = moved.with_program(promotions=tuple(promotions)).evaluate()
    assert [before.outcomes[n] for n in lines] == list(after.outcomes)
    assert besides_lines(before) == besides_lines(after)
    pointed = [
        [sale.lines[offer.position].line_id if offer.position >= 0 else "" for offer in made]
        for sale, made in ((case.sale, before.offers), (moved.sale, after.offers))
    ]
    assert pointed[0] == pointed[1]


def in_two(line: Line, where: int, swapped: bool) -> list[Line]:
    """A line as two lines of the same article; itself if it is one piece."""
    step_milli = MILLI if line.unit == Unit.PIECE else 337
    count = floor_div(line.quantity_milli, step_milli)
    if count == 1:
        return [line]
    first = 1 + where % (count - 1)
    part_minor = first * floor_div(line.amount_minor, count)
    parts = [
        replace(line, quantity_milli=first * step_milli, amount_minor=part_minor),
        replace(
            line,
            quantity_milli=(count - first) * step_milli,
            amount_minor=line.amount_minor - part_minor,
        ),
    ]
    parts[int(swapped)] = replace(parts[int(swapped)], line_id="l9")
    return parts


@given(cases(NO_LINE_FLOORS), ORDERS)
def test_a_line_in_two_costs_and_earns_the_same(case: Case, where: int) -> None:
    place = where % len(case.sale.lines)
    whole = case.sale.lines[place]
    parts = in_two(whole, where >> 8, bool(where & 1))
    assume(len(parts) > 1)
    lines = [*case.sale.lines[:place], *parts, *case.sale.lines[place + 1 :]]
    before, after = case.evaluate(), case.with_lines(*lines).evaluate()
    assert paid(before) == paid(after)
    assert given_by(before) == given_by(after)
    assert besides_lines(before) == besides_lines(after)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 30)), min_size=1, max_size=4),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(0, 4),
)
def test_who_takes_up_an_offered_piece_pays_no_more(
    scanned: list[tuple[str, int]], pay: int, free: int, times: int
) -> None:
    """Lines of one price a sku; taking all offers up at once settles them for good."""
    promotion = make.n_plus_m(pay, free, times_per_receipt=times)
    prices = {"a": 100, "b": 37}
    lines = [make.line(sku, n, prices[sku], f"l{i}") for i, (sku, n) in enumerate(scanned)]
    before = make.evaluated([promotion], make.sale(*lines))
    added = [
        replace(
            lines[offer.position],
            line_id=f"added{n}",
            quantity_milli=offer.quantity_milli,
            amount_minor=prices[lines[offer.position].sku] * floor_div(offer.quantity_milli, MILLI),
        )
        for n, offer in enumerate(before.offers)
    ]
    after = make.evaluated([promotion], make.sale(*lines, *added))
    assert paid(after) == paid(before)
    assert after.offers == ()


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), min_size=1, max_size=4),
    st.sampled_from((Gift(("a",)), Gift(("b",)), Gift(("a", "b")), Gift(("a", "b"), choice=True))),
    st.sampled_from((ProductSet(), ProductSet(skus=("a",)), ProductSet(skus=("a", "c")))),
    st.tuples(st.integers(0, 4), st.integers(1, 3), st.sampled_from((0, 10, 200))),
    st.integers(0, 3),
)
def test_who_takes_up_an_offered_gift_pays_its_price_and_is_offered_no_more(
    scanned: list[tuple[str, int]],
    gives: Gift,
    products: ProductSet,
    says: tuple[int, int, int],
    times: int,
) -> None:
    """Whether the till adds it at the gift's price or at its own."""
    every, pieces, price = says
    gives = replace(gives, for_each_count=every, quantity_milli=pieces * MILLI, price_minor=price)
    promotion = make.promotion(gives=gives, products=products, times_per_receipt=times)
    prices = {"a": 100, "b": 37, "c": 60}
    lines = [make.line(sku, n, prices[sku], f"l{i}") for i, (sku, n) in enumerate(scanned)]
    before = make.evaluated([promotion], make.sale(*lines))
    taken = before.offers[:1] if gives.choice else before.offers
    for own_price in (True, False):
        added = [
            make.line(
                one.sku,
                floor_div(one.quantity_milli, MILLI),
                prices[one.sku] if own_price else price,
                f"added{n}",
            )
            for n, one in enumerate(taken)
        ]
        after = make.evaluated([promotion], make.sale(*lines, *added))
        worth = [
            min(line.amount_minor, one.amount_minor) for line, one in zip(added, taken, strict=True)
        ]
        assert paid(after) <= paid(before) + sum(worth)
        assert after.offers == ()


# --- copies -------------------------------------------------------------------------------------


def of_size(size: int) -> list[Benefit]:
    """Benefits of which every `size` pieces fire once."""
    return [
        CheapestFree(size),
        CheapestFree(size, which="dearest", spread=False),
        NthItem(size, 5_000, per_article=False),
        NPlusM(size - 1, 1, per_article=False, as_quantity=False, partly=False),
        BundlePrice(set_count=size, rate_bp=5_000),
        BuyGet(size - 1, ProductSet()),
    ]


@given(
    st.integers(1, 40),
    st.integers(2, 6),
    st.lists(st.sampled_from((100, 7, 99, 333)), min_size=1, max_size=5),
    st.integers(0, 5),
    st.integers(0, 50),
)
def test_copies_of_a_set_fire_so_many_times_up_to_the_cap(
    copies: int, size: int, prices: list[int], kind: int, times_max: int
) -> None:
    prices = (prices * size)[:size]
    lines = [make.line(f"s{n}", copies, price) for n, price in enumerate(prices)]
    promotion = make.promotion(gives=of_size(size)[kind], times_per_receipt=times_max)
    evaluation = make.evaluated([promotion], make.sale(*lines))
    (entry,) = evaluation.trace
    assert entry.times == min(copies, times_max or copies)


@given(
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 100)), min_size=1, max_size=8),
)
def test_a_capped_share_sums_and_stays_in_its_rooms(
    total: int, drawn: list[tuple[int, int]]
) -> None:
    weights = [weight for weight, _ in drawn]
    rooms = [floor_div(weight * percent, 100) for weight, percent in drawn]
    total = min(total, sum(rooms))
    parts = share_capped(total, weights, rooms, allocate)
    assert sum(parts) == total
    assert all(0 <= part <= room for part, room in zip(parts, rooms, strict=True))
    whole = sum(weights)
    if all(total * weight <= room * whole for weight, room in zip(weights, rooms, strict=True)):
        # Nothing is held back: each part lies within one unit of its exact share.
        exact = [
            (part * whole, total * weight) for part, weight in zip(parts, weights, strict=True)
        ]
        assert all(abs(part - share) <= whole for part, share in exact)


# --- the largest receipt ------------------------------------------------------------------------


def largest_receipt() -> tuple[Line, ...]:
    pieces = floor_div(PIECES_MAX, LINES_MAX)
    return tuple(make.line(f"s{n:03}", pieces, 100 + n % 97, f"l{n}") for n in range(LINES_MAX))


@pytest.mark.parametrize("kind", PRICE_KINDS + REWARD_KINDS)
def test_the_largest_receipt_under_each_kind_of_benefit(kind: Callable[[Maker], Benefit]) -> None:
    sale = make.sale(*largest_receipt())
    known = make.facts(store=make.store_facts(windows=WINDOWS))
    for seed in range(3):
        promotion = make.promotion(gives=kind(Maker(f"{seed}")))
        evaluation = make.evaluated([promotion], sale, known, assets=ASSETS)
        off = given_by(evaluation)
        assert paid(evaluation) == sale.header.amount_minor - off[0]


def test_the_largest_receipt_in_a_lane_of_mode_best() -> None:
    promotions = [
        make.percent(1_000, "a", base="lane_start"),
        make.promotion("b", CheapestFree(3), base="lane_start"),
    ]
    lanes = (LaneSetting("price", "best", 1_000),)
    evaluation = make.evaluated(promotions, make.sale(*largest_receipt()), lanes=lanes)
    (proof,) = evaluation.proofs
    assert proof.gap_minor >= 0
    assert sum(given_by(evaluation).values()) > 0
