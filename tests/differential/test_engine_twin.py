"""The compiled evaluation equals its reference twin in everything, order and refusals included.

Method: random programs over all conditions and benefits, and receipts that they hit, go to both;
evaluations are compared whole. Canaries change one figure of what the kernel found, or one of what
it reads, and must be caught.
"""

import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ext import packing
from ext.engine import Engine
from rewards import best
from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.benefit import (
    Benefit,
    BundlePart,
    BundlePrice,
    BuyGet,
    CheapestFree,
    DeferredDiscount,
    PointsFixed,
    PointsMultiplier,
    PointsRate,
)
from rewards.evaluate import Evaluation, evaluate
from rewards.limits import REWARD_MINOR_MAX
from rewards.lowering import Lowering
from rewards.packing import Application, Packing, Party
from rewards.program import LaneSetting
from rewards.trace import TraceOutcome
from server.evaluator import kernel_evaluator
from tests import make
from tests.strategies import BEST, Case, cases, seeded_case


def _by_twin(case: Case, only: Any = None) -> Evaluation:
    return evaluate(case.rules(), case.sale, case.facts, allocate, only)


def _assert_twins_agree(case: Case, only: Any = None) -> None:
    expected = _by_twin(case, only)
    found = kernel_evaluator(case.rules(), case.sale, case.facts, only)
    for name in expected.__struct_fields__:
        assert getattr(found, name) == getattr(expected, name), name


@given(cases())
def test_receipts(case: Case) -> None:
    _assert_twins_agree(case)


@given(st.integers(0, 2**32))
def test_larger_programs(seed: int) -> None:
    _assert_twins_agree(seeded_case(seed))


@given(st.integers(0, 2**32))
def test_long_receipts(seed: int) -> None:
    _assert_twins_agree(seeded_case(seed, lines_max=40))


@given(cases(), st.sets(st.integers(0, 5)))
def test_only_some_promotions(case: Case, wanted: set[int]) -> None:
    only = {number for number in wanted if number < len(case.program.promotions)}
    _assert_twins_agree(case, only)


@given(cases(), cases())
def test_nothing_is_left_of_the_receipt_before(one: Case, other: Case) -> None:
    rules = one.rules()
    before = kernel_evaluator(rules, one.sale, one.facts)
    kernel_evaluator(rules, other.sale, other.facts)
    assert kernel_evaluator(rules, one.sale, one.facts) == before


# --- best lanes ---------------------------------------------------------------------------------


def _pack_compiled(
    capacities: Sequence[int],
    applications: Sequence[Application],
    parties: Sequence[Party],
    steps_max: int,
) -> Packing:
    uses = [use for one in applications for use in one.uses]
    times, total, bound, steps = packing.pack(
        capacities,
        [one.value for one in applications],
        [one.times_max for one in applications],
        [one.promotion for one in applications],
        [0, *accumulate(len(one.uses) for one in applications)],
        [number for number, _ in uses],
        [count for _, count in uses],
        [party.times_max for party in parties],
        [party.group for party in parties],
        steps_max,
    )
    return Packing(tuple(times), total, bound, steps)


@pytest.fixture(scope="module")
def packed() -> Iterator[None]:
    """The twin packs by the kernel, too: packing has a differential test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best, "pack", _pack_compiled)
        yield


@pytest.mark.usefixtures("packed")
class TestBestLanes:
    @given(case=cases(BEST))
    def test_receipts(self, case: Case) -> None:
        _assert_twins_agree(case)

    @given(seed=st.integers(0, 2**32))
    def test_larger_programs(self, seed: int) -> None:
        _assert_twins_agree(seeded_case(seed, shape=BEST))

    @pytest.mark.parametrize("seed", range(40))
    def test_long_receipts(self, seed: int) -> None:
        _assert_twins_agree(seeded_case(seed, 20, 40, shape=BEST))

    def test_more_ways_than_are_looked_at(self) -> None:
        lanes = (LaneSetting("price", "best"),)
        sets = make.promotion("set", CheapestFree(5), base="lane_start")
        bundle = BundlePrice((BundlePart(ProductSet(), 3), BundlePart(EVEN, 2)), rate_bp=1_000)
        both = (sets, make.promotion("bundle", bundle, base="lane_start"), make.points())
        get = BuyGet(3, EVEN, 2, 5_000)
        for promotions in ((sets,), both, (make.promotion("get", get, base="lane_start"),)):
            program = make.program(*promotions, lanes=lanes)
            lines = [make.line(f"s{n}", 1 + n % 3, 100 + n * 7) for n in range(18)]
            case = Case(program, make.sale(*lines), make.facts())
            assert not _by_twin(case).proofs[0].optimal
            _assert_twins_agree(case)


EVEN = ProductSet(skus=tuple(f"s{n}" for n in range(0, 18, 2)))


# --- what is remembered -------------------------------------------------------------------------


def test_a_changed_article_is_noticed() -> None:
    rules = make.rules(make.percent(products=ProductSet(categories=("food",))))
    sale = make.sale(make.line("tea", 3))
    for categories, amount_minor in ((("food",), 270), ((), 300), (("food",), 270)):
        facts = make.facts(make.product("tea", categories=categories))
        (outcome,) = kernel_evaluator(rules, sale, facts).outcomes
        assert outcome is not None
        assert outcome.amount_minor == amount_minor


def test_memory_is_given_back() -> None:
    case = seeded_case(3, 20, 100, shape=BEST)
    rules = case.rules()
    kernel_evaluator(rules, case.sale, case.facts)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            kernel_evaluator(rules, case.sale, case.facts)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 50_000


def test_the_cases_hit_what_they_are_about() -> None:
    """Most promotions are candidates, and every outcome and benefit occurs often."""
    seen: Counter[Any] = Counter()
    for seed in range(200):
        case = seeded_case(seed)
        promotions = case.rules().program.promotions
        seen["promotions"] += len(promotions)
        for entry in _by_twin(case).trace:
            seen["candidates"] += 1
            seen[entry.outcome] += 1
            if entry.times:
                seen.update(type(benefit) for benefit in promotions[entry.number].gives)
    assert seen["candidates"] > 0.7 * seen["promotions"]
    assert all(seen[outcome] > 20 for outcome in TraceOutcome)
    fired = {kind: count for kind, count in seen.items() if isinstance(kind, type)}
    assert len(fired) == 23
    assert min(fired.values()) >= 3


# --- what the kernel refuses --------------------------------------------------------------------

TEA = make.line("tea", 3)


def _engine() -> tuple[Lowering, Engine]:
    lowering = Lowering(make.compiled(make.percent()))
    return lowering, Engine(lowering.plan.tables)


FACTS_LENGTH = len(_engine()[0].lower(make.sale(TEA), make.facts()).facts)


@pytest.mark.parametrize("length", [*range(FACTS_LENGTH), FACTS_LENGTH + 1])
def test_facts_of_another_length_are_refused(length: int) -> None:
    lowering, engine = _engine()
    lowered = lowering.lower(make.sale(TEA), make.facts())
    with pytest.raises(ValueError, match="lowered receipt"):
        engine.evaluate(*lowered._replace(facts=[*lowered.facts, 0][:length]))
    assert engine.evaluate(*lowered)[0] == [270]


@pytest.mark.parametrize("length", range(15))
def test_a_line_cut_short_is_refused(length: int) -> None:
    lowering, engine = _engine()
    lowered = lowering.lower(make.sale(TEA, TEA), make.facts())
    with pytest.raises(ValueError, match="lowered receipt"):
        engine.evaluate(*lowered._replace(lines=[lowered.lines[0], lowered.lines[1][:length]]))
    assert engine.evaluate(*lowered)[0] == [270, 270]


@pytest.mark.parametrize("articles", [{}, {"tea": ()}, {"tea": (0, 0, 0)}, {"ink": (0,) * 5}])
def test_articles_that_lines_do_not_name_or_cut_short_are_refused(
    articles: dict[str, tuple[int, ...]],
) -> None:
    lowering, engine = _engine()
    lowered = lowering.lower(make.sale(TEA), make.facts())
    with pytest.raises(ValueError, match="lowered receipt"):
        engine.evaluate(*lowered._replace(articles=articles))
    assert engine.evaluate(*lowered)[0] == [270]


@pytest.mark.parametrize("sets_count", [-1, 0, 2, 2**62])
def test_an_article_of_so_many_other_sets_is_refused(sets_count: int) -> None:
    on_tea = Lowering(make.compiled(make.percent(products=ProductSet(skus=("tea",)))))
    lowered = on_tea.lower(make.sale(TEA), make.facts())
    *flags, count, number = lowered.articles["tea"]
    assert count == 1
    engine = Engine(on_tea.plan.tables)
    with pytest.raises(ValueError, match="lowered receipt"):
        engine.evaluate(*lowered._replace(articles={"tea": (*flags, sets_count, number)}))
    assert engine.evaluate(*lowered)[0] == [270]


def test_lines_and_articles_that_are_no_tuples_are_refused() -> None:
    lowering, engine = _engine()
    lowered = lowering.lower(make.sale(TEA), make.facts())
    not_tuples: Any = [list(lowered.lines[0])], {"tea": list(lowered.articles["tea"])}
    with pytest.raises(TypeError):
        engine.evaluate(*lowered._replace(lines=not_tuples[0]))
    with pytest.raises(TypeError):
        engine.evaluate(*lowered._replace(articles=not_tuples[1]))
    assert engine.evaluate(*lowered)[0] == [270]


def test_a_receipt_of_another_plan_is_refused() -> None:
    _, engine = _engine()
    on_tea = make.percent(1, "b", products=ProductSet(skus=("tea",)))
    lowered = Lowering(make.compiled(make.percent(), on_tea)).lower(make.sale(TEA), make.facts())
    with pytest.raises(ValueError, match="does not have"):
        engine.evaluate(*lowered)


def test_what_does_not_fit_64_bits_is_refused() -> None:
    """Nothing that the contract allows: of such rewards the largest is given."""
    rules = make.rules(make.percent())
    with pytest.raises(OverflowError):
        kernel_evaluator(rules, make.sale(make.line("tea", 1, 2**63)), make.facts())
    assert kernel_evaluator(rules, make.sale(TEA), make.facts()).trace[0].times


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("value_micros", [1_000_000, 10**9])
@pytest.mark.parametrize(
    "gives",
    [
        PointsRate("points", 10**9),
        PointsFixed("points", 10**12, for_each_minor=1),
        PointsFixed("points", 10**12, for_each_count=1),
        DeferredDiscount("next", 0, 10_000),
    ],
)
def test_of_what_would_not_fit_the_largest_reward_is_given(
    gives: Benefit, value_micros: int, best: bool
) -> None:
    doubled = [
        make.promotion(f"times{n}", PointsMultiplier("points", 1_000_000), priority=-1)
        for n in range(20)
    ]
    rewards = (make.promotion("large", gives, lane="price" if best else "reward"), *doubled)
    lanes = (LaneSetting("price", "best"),) if best else ()
    program = make.program(*rewards, point_value_micros=value_micros, lanes=lanes)
    sale = make.sale(*[make.line(f"s{n}", 10, 10**11, f"l{n}") for n in range(40)])
    case = Case(program, sale, make.facts())
    _assert_twins_agree(case)
    first, *others = _by_twin(case).grants
    assert (first.amount_minor, first.value_minor) == (REWARD_MINOR_MAX, REWARD_MINOR_MAX)
    assert all(one.amount_minor == REWARD_MINOR_MAX for one in others)


def test_tables_of_another_shape_are_refused() -> None:
    lowering, _ = _engine()
    tables = lowering.plan.tables
    with pytest.raises(ValueError, match="tables"):
        Engine(tables[:-1])
    with pytest.raises(ValueError, match="wide"):
        Engine((tables[0], tables[1][:-1], *tables[2:]))


# --- canaries -----------------------------------------------------------------------------------


def _cases_where(wanted: Any) -> Case:
    found = (seeded_case(seed) for seed in range(1_000))
    return next(case for case in found if wanted(_by_twin(case)))


def test_canary_a_minor_unit_less_is_noticed() -> None:
    case = _cases_where(lambda evaluation: evaluation.outcomes[0] is not None)
    line = case.sale.lines[0]
    cheaper = replace(line, amount_minor=line.amount_minor + 1)
    changed = replace(case.sale, lines=(cheaper, *case.sale.lines[1:]))
    rules = case.rules()
    assert kernel_evaluator(rules, changed, case.facts) != _by_twin(case)


@pytest.mark.parametrize("name", ["grants", "offers", "messages", "spends", "coupons", "trace"])
def test_canary_what_is_missing_is_noticed(name: str) -> None:
    case = _cases_where(lambda evaluation: getattr(evaluation, name))
    found = kernel_evaluator(case.rules(), case.sale, case.facts)
    less = replace(found, **{name: getattr(found, name)[1:]})
    assert found == _by_twin(case)
    assert less != _by_twin(case)
