"""What holds of every receipt under every program, and what changes nothing.

Programs are drawn in swarms: each example leaves some kinds of benefit out, so that the others
meet each other more often. Receipts mix counted and weighed goods, flags, floors and discounts of
the cashier's.
"""

from typing import Any, NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from ext import kernel
from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.benefit import (
    Benefit,
    CheapestFree,
    DeferredDiscount,
    NPlusM,
    PercentOff,
    PointsRate,
    ReceiptDiscount,
)
from rewards.evaluate import Evaluation
from rewards.facts import ANONYMOUS, Facts
from rewards.limits import MILLI
from rewards.product import Product
from rewards.program import Promotion
from rewards.rounding import Rounding, floor_div
from rewards.runs import LineOutcome
from rewards.sale import Capabilities, Line, LineAction, LineKind, PriceSource, Sale, Unit
from rewards.trace import Condition, TraceOutcome
from tests import make

SKUS = "abcd"
SETS = (
    ProductSet(),
    ProductSet(skus=("a",)),
    ProductSet(categories=("food",)),
    ProductSet(skus=("b", "c")),
    ProductSet(except_skus=("a",)),
)
ROUNDINGS: tuple[Rounding, ...] = ("down", "half_up", "up")
KINDS = ("percent", "n_plus_m", "cheapest", "receipt", "points", "deferred")
KNOWN = (make.customer(), make.customer(segments=("pensioner",)), ANONYMOUS)
UNABLE = Capabilities(zero_price=True)
NO_ZERO = Capabilities(split_line=True)
TILLS = (make.ABLE, UNABLE, NO_ZERO, Capabilities())


class Case(NamedTuple):
    """A program and a receipt."""

    promotions: tuple[Promotion, ...]
    sale: Sale
    facts: Facts

    def evaluate(self, share: Any = allocate) -> Evaluation:
        return make.evaluated(self.promotions, self.sale, self.facts, share)

    def sold(self) -> list[tuple[Line, LineOutcome]]:
        outcomes = self.evaluate().outcomes
        both = zip(self.sale.lines, outcomes, strict=True)
        return [(line, outcome) for line, outcome in both if outcome is not None]


def _benefit(kind: str, number: int) -> Benefit:
    rate_bp = (1, 333, 1_000, 5_000, 10_000)[number % 5]
    rounding = ROUNDINGS[number % 3]
    if kind == "percent":
        return PercentOff(rate_bp, rounding)
    if kind == "n_plus_m":
        return NPlusM(1 + number % 4, 1 + number % 3)
    if kind == "cheapest":
        return CheapestFree(2 + number % 3)
    if kind == "receipt":
        return ReceiptDiscount(rate_bp) if number % 2 else ReceiptDiscount(0, 1 + number * 7)
    if kind == "points":
        return PointsRate("points", rate_bp, rounding)
    return DeferredDiscount("next", 500) if number % 2 else DeferredDiscount("next", 0, rate_bp)


def _digits(number: int, *radixes: int) -> list[int]:
    """Read one drawn number as several: one draw a line keeps the drawing cheap."""
    found = []
    for radix in radixes:
        number, digit = divmod(number, radix)
        found.append(digit)
    return found


def _promotion(n: int, drawn: int, kinds: list[str]) -> Promotion:
    kind, number, chosen, priority, claims, times = _digits(drawn, 6, 60, len(SETS), 3, 4, 6)
    return make.promotion(
        f"p{n}",
        _benefit(kinds[kind % len(kinds)], number),
        priority=priority,
        products=SETS[chosen],
        stackable=claims == 3,
        times_per_receipt=max(0, times - 3),
        receipt_amount_from_minor=300 if number % 7 == 6 else 0,
        segments=("pensioner",) if number % 11 == 10 else (),
    )


@st.composite
def programs(draw: st.DrawFn) -> tuple[Promotion, ...]:
    mask = draw(st.integers(1, 63))
    kinds = [kind for n, kind in enumerate(KINDS) if mask >> n & 1]
    drawn = draw(st.lists(st.integers(0, 6 * 60 * 5 * 3 * 4 * 6 - 1), min_size=1, max_size=6))
    return tuple(_promotion(n, one, kinds) for n, one in enumerate(drawn))


FLAGS: tuple[dict[str, Any], ...] = (
    *({},) * 13,
    {"no_discount": True},
    {"no_earn": True},
    {"price_source": PriceSource.STICKER},
    {"kind": LineKind.GIFT_CARD},
    {"kind": LineKind.DEPOSIT},
    {"cancelled": True},
    {"action": LineAction.RETURN},
)
PRICES = (100, 0, 1, 7, 99, 101, 333)
CASHIERS_PERCENT = (0, 0, 0, 1, 50)
FLOOR_PERCENT = (0, 0, 0, 50)
ONE_LINE = st.integers(0, 4 * 7 * 12 * 20 * 5 * 4 * 2 - 1)


def _line(n: int, drawn: int, floors: bool) -> Line:
    sku, price, more, flag, off, floor, weighed = _digits(drawn, 4, 7, 12, 20, 5, 4, 2)
    whole_minor = (1 + more) * PRICES[price]
    amount_minor = whole_minor - floor_div(whole_minor * CASHIERS_PERCENT[off], 100)
    is_weighed = bool(weighed) and SKUS[sku] in "ad"
    return make.line(
        SKUS[sku],
        price_minor=PRICES[price],
        line_id=f"l{n}",
        amount_minor=amount_minor,
        quantity_milli=(1 + more) * (337 if is_weighed else MILLI),
        unit=Unit.KILOGRAM if is_weighed else Unit.PIECE,
        minimum_amount_minor=floor_div(amount_minor * FLOOR_PERCENT[floor], 100) if floors else 0,
        **FLAGS[flag],
    )


def _products(minimum_price_minor: int) -> tuple[Product, ...]:
    """Articles a to c are in the feed, d is not."""
    return (
        make.product("a", categories=("food",), minimum_price_minor=minimum_price_minor),
        make.product("b", categories=("food",)),
        make.product("c", no_earn=minimum_price_minor == 1),
    )


FEED_FLOORS = (0, 0, 1, 60, 1_000)
TENDERS = ((), (), (make.tender(4, 150),))


@st.composite
def cases(draw: st.DrawFn, tills: tuple[Capabilities, ...] = TILLS) -> Case:
    drawn = draw(st.lists(ONE_LINE, min_size=1, max_size=7))
    floor, tenders, till, customer = _digits(draw(st.integers(0, 179)), 5, 3, 4, 3)
    lines = [_line(n, one, floors=True) for n, one in enumerate(drawn)]
    can = tills[till % len(tills)]
    sale = make.sale(*lines, tenders=TENDERS[tenders], capabilities=can)
    facts = make.facts(*_products(FEED_FLOORS[floor]), customer=KNOWN[customer])
    return Case(draw(programs()), sale, facts)


def paid(evaluation: Evaluation) -> int:
    return sum(outcome.amount_minor for outcome in evaluation.outcomes if outcome is not None)


def granted(evaluation: Evaluation) -> list[tuple[int, str, int, int]]:
    return [(g.number, g.asset_code, g.amount_minor, g.value_minor) for g in evaluation.grants]


@given(cases())
def test_the_adjustments_of_a_line_explain_it_exactly(case: Case) -> None:
    for line, outcome in case.sold():
        effects = [adjustment.amount_minor for adjustment in outcome.adjustments]
        assert sum(effects) == outcome.amount_minor - line.amount_minor
        assert all(effect < 0 for effect in effects)


@given(cases())
def test_no_line_rises_or_falls_below_its_floor(case: Case) -> None:
    floor_by_sku = {product.sku: product.minimum_price_minor for product in case.facts.products}
    for line, outcome in case.sold():
        feed_minor = floor_div(floor_by_sku.get(line.sku, 0) * line.quantity_milli, MILLI)
        floor_minor = min(max(line.minimum_amount_minor, feed_minor), line.amount_minor)
        assert 0 <= floor_minor <= outcome.amount_minor <= line.amount_minor


@given(cases())
def test_runs_sum_to_the_line_and_counted_ones_multiply(case: Case) -> None:
    for line, outcome in case.sold():
        assert sum(run.quantity_milli for run in outcome.runs) == line.quantity_milli
        assert sum(run.amount_minor for run in outcome.runs) == outcome.amount_minor
        assert all(run.quantity_milli > 0 for run in outcome.runs)
        assert len(outcome.runs) <= 2
        if line.unit == Unit.PIECE:
            for run in outcome.runs:
                assert run.quantity_milli * run.unit_price_minor == run.amount_minor * MILLI


@given(cases(tills=(UNABLE,)))
def test_a_till_that_cannot_split_is_given_one_price_for_what_is_lowered(case: Case) -> None:
    for _, outcome in case.sold():
        assert len(outcome.runs) == 1 or not outcome.adjustments


@given(cases(tills=(NO_ZERO, Capabilities())))
def test_a_till_without_zero_price_is_given_none_that_was_not_sent(case: Case) -> None:
    for line, outcome in case.sold():
        pieces = floor_div(line.quantity_milli, MILLI) if line.unit == Unit.PIECE else 1
        assert outcome.amount_minor >= min(pieces, line.amount_minor)


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_lines_and_of_promotions_changes_nothing(case: Case, random: Any) -> None:
    order = list(range(len(case.sale.lines)))
    random.shuffle(order)
    promotions = list(case.promotions)
    random.shuffle(promotions)
    shuffled = replace(case.sale, lines=tuple(case.sale.lines[n] for n in order))
    before = case.evaluate()
    after = Case(tuple(promotions), shuffled, case.facts).evaluate()
    assert [before.outcomes[n] for n in order] == list(after.outcomes)
    assert (before.grants, before.trace) == (after.grants, after.trace)
    line_ids = [
        [(offer.number, sale.lines[offer.position].line_id, offer.quantity_milli) for offer in made]
        for sale, made in ((case.sale, before.offers), (shuffled, after.offers))
    ]
    assert line_ids[0] == line_ids[1]


@st.composite
def splits(draw: st.DrawFn) -> tuple[Sale, Sale]:
    """A receipt without line minimums, and the same with one of its lines in two."""
    drawn = draw(st.lists(ONE_LINE, min_size=1, max_size=5))
    lines = [_line(n, one, floors=False) for n, one in enumerate(drawn)]
    position = draw(st.integers(0, len(lines) - 1))
    whole = lines[position]
    step_milli = MILLI if whole.unit == Unit.PIECE else 337
    count = floor_div(whole.quantity_milli, step_milli)
    assume(count > 1)
    first = draw(st.integers(1, count - 1))
    part_minor = first * floor_div(whole.amount_minor, count)
    rest_minor, rest_milli = whole.amount_minor - part_minor, (count - first) * step_milli
    line_ids = draw(st.permutations(["l9", whole.line_id]))
    parts = [
        replace(
            whole, line_id=line_ids[0], quantity_milli=first * step_milli, amount_minor=part_minor
        ),
        replace(whole, line_id=line_ids[1], quantity_milli=rest_milli, amount_minor=rest_minor),
    ]
    split = [*lines[:position], *parts, *lines[position + 1 :]]
    return make.sale(*lines), make.sale(*split)


@given(splits(), programs(), st.sampled_from((0, 1, 60)))
def test_a_line_in_two_costs_and_earns_the_same(
    sales: tuple[Sale, Sale], promotions: tuple[Promotion, ...], minimum_price_minor: int
) -> None:
    facts = make.facts(*_products(minimum_price_minor))
    whole, split = (Case(promotions, sale, facts).evaluate() for sale in sales)
    assert paid(whole) == paid(split)
    assert granted(whole) == granted(split)
    offered = [[(o.number, o.quantity_milli) for o in made.offers] for made in (whole, split)]
    assert offered[0] == offered[1]


@given(cases())
def test_the_compiled_allocate_gives_the_same_evaluation(case: Case) -> None:
    assert case.evaluate(kernel.allocate) == case.evaluate(allocate)


@given(cases())
def test_rewards_are_positive_and_only_for_whom_they_are(case: Case) -> None:
    evaluation = case.evaluate()
    assert all(grant.amount_minor > 0 for grant in evaluation.grants)
    assert all(grant.value_minor >= 0 for grant in evaluation.grants)
    numbers = [grant.number for grant in evaluation.grants]
    assert len(numbers) == len(set(numbers))
    if case.facts.customer is ANONYMOUS:
        assert numbers == []


def _earns_all(case: Case, can: Capabilities) -> Evaluation:
    """The lines of a case that earn, under its program and one for one in points."""
    lines = [
        line
        for line in case.sale.lines
        if line.kind == LineKind.GOODS
        and line.action == LineAction.SALE
        and line.price_source == PriceSource.SHELF
        and line.sku != "c"
        and not (line.cancelled or line.no_earn)
    ]
    assume(lines)
    promotions = [p for p in case.promotions if not isinstance(p.gives, PointsRate)]
    rate = make.points(10_000, "everything", stackable=True, priority=9)
    facts = replace(case.facts, customer=make.customer())
    return Case((*promotions, rate), make.sale(*lines, capabilities=can), facts).evaluate()


def _points(evaluation: Evaluation) -> int:
    return sum(g.amount_minor for g in evaluation.grants if g.asset_code == "points")


@given(cases(), st.sampled_from(TILLS))
def test_one_for_one_in_points_is_what_is_paid(case: Case, can: Capabilities) -> None:
    """Also where the till cannot sell all that the rules give."""
    evaluation = _earns_all(case, can)
    assert _points(evaluation) == paid(evaluation)


@given(cases())
def test_a_piece_earns_an_asset_once_by_promotions_that_are_not_stackable(case: Case) -> None:
    """At rates up to one for one, what each asset claims is at most what is paid."""
    evaluation = case.evaluate()
    promotions = make.rules(*case.promotions).program.promotions
    earned = [
        grant.amount_minor
        for grant in evaluation.grants
        if isinstance(promotions[grant.number].benefit, PointsRate)
        and not promotions[grant.number].stackable
    ]
    assert sum(earned) <= paid(evaluation) + len(earned)


@given(cases())
def test_every_candidate_stands_once_in_the_trace(case: Case) -> None:
    evaluation = case.evaluate()
    ordered = make.rules(*case.promotions).program.promotions
    numbers = [entry.number for entry in evaluation.trace]
    assert numbers == sorted(set(numbers))
    products = {product.sku: product for product in case.facts.products}
    sets = {promotion.promotion_id: promotion.what.products for promotion in case.promotions}
    sold = {
        line.sku
        for line in case.sale.lines
        if not line.cancelled
        and line.action == LineAction.SALE
        and line.kind not in (LineKind.GIFT_CARD, LineKind.DEPOSIT)
    }
    expected = [
        number
        for number, promotion in enumerate(ordered)
        if any(_holds(sets[promotion.promotion_id], sku, products.get(sku)) for sku in sold)
    ]
    assert numbers == expected
    touched = {a.number for _, outcome in case.sold() for a in outcome.adjustments}
    touched |= {grant.number for grant in evaluation.grants}
    touched |= {offer.number for offer in evaluation.offers}
    assert touched <= set(numbers)


def _holds(chosen: ProductSet, sku: str, product: Product | None) -> bool:
    """Whether a set of `SETS` holds an article, said by its definition."""
    if sku in chosen.except_skus:
        return False
    if not (chosen.skus or chosen.categories):
        return True
    categories = product.categories if product is not None else ()
    return sku in chosen.skus or bool(set(categories) & set(chosen.categories))


@given(cases())
def test_every_failure_names_its_condition_and_every_loss_its_winner(case: Case) -> None:
    by_number = {entry.number: entry for entry in case.evaluate().trace}
    for entry in by_number.values():
        fired = entry.outcome in (TraceOutcome.FIRED, TraceOutcome.LIMIT_REACHED)
        assert fired == (entry.times > 0)
        assert (entry.outcome == TraceOutcome.FAILED) == (entry.condition != Condition.NONE)
        assert (entry.outcome == TraceOutcome.LOST) == (entry.lost_to >= 0)
        assert entry.missing >= 0
        if entry.lost_to >= 0:
            winner = by_number[entry.lost_to].outcome
            assert winner in (TraceOutcome.FIRED, TraceOutcome.LIMIT_REACHED)


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
    promotions = (make.n_plus_m(pay, free, times_per_receipt=times),)
    prices = {"a": 100, "b": 37}
    lines = [make.line(sku, n, prices[sku], f"l{i}") for i, (sku, n) in enumerate(scanned)]
    before = Case(promotions, make.sale(*lines), make.facts()).evaluate()
    added = [
        replace(
            lines[offer.position],
            line_id=f"added{n}",
            quantity_milli=offer.quantity_milli,
            amount_minor=prices[lines[offer.position].sku] * floor_div(offer.quantity_milli, MILLI),
        )
        for n, offer in enumerate(before.offers)
    ]
    after = Case(promotions, make.sale(*lines, *added), make.facts()).evaluate()
    assert paid(after) == paid(before)
    assert after.offers == ()


@given(
    st.integers(1, 40),
    st.integers(2, 6),
    st.lists(st.sampled_from(PRICES), min_size=1, max_size=5),
)
def test_copies_of_a_set_fire_so_many_times(copies: int, size: int, prices: list[int]) -> None:
    prices = (prices * size)[:size]
    lines = [make.line(f"s{n}", copies, price) for n, price in enumerate(prices)]
    case = Case((make.promotion(gives=CheapestFree(size)),), make.sale(*lines), make.facts())
    (entry,) = case.evaluate().trace
    assert entry.times == copies


def _one_minor_unit_too_many(total: int, weights: Any) -> list[int]:
    parts = kernel.allocate(total, weights)
    return [parts[0] + 1, *parts[1:]]


def test_canary_a_kernel_that_shares_wrongly_is_caught() -> None:
    lines = (make.line("a", 3, 100), make.line("b", 3, 100))
    case = Case((make.amount_off(100),), make.sale(*lines), make.facts())
    with pytest.raises(AssertionError):
        assert case.evaluate(_one_minor_unit_too_many) == case.evaluate(allocate)
