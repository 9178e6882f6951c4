"""The compiled evaluation equals its reference twin in everything, order and refusals included.

Method: random programs over all conditions and benefits, and receipts that they hit, go to both;
evaluations are compared whole. Canaries change one figure of what the kernel found, or one of what
it reads, and must be caught.
"""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ext.engine import Engine
from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.evaluate import Evaluation, evaluate
from rewards.lowering import Lowering
from rewards.trace import TraceOutcome
from server.evaluator import kernel_evaluator
from tests import make
from tests.strategies import Case, cases, seeded_case


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


@pytest.mark.parametrize("length", range(0, 40, 3))
def test_a_receipt_cut_short_is_refused(length: int) -> None:
    lowering, engine = _engine()
    lowered = lowering.lower(make.sale(TEA), make.facts())
    with pytest.raises(ValueError, match="lowered receipt"):
        engine.evaluate(lowered[:length])
    assert engine.evaluate(lowered)[0] == [270]


def test_a_receipt_of_another_plan_is_refused() -> None:
    _, engine = _engine()
    on_tea = make.percent(1, "b", products=ProductSet(skus=("tea",)))
    lowered = Lowering(make.compiled(make.percent(), on_tea)).lower(make.sale(TEA), make.facts())
    with pytest.raises(ValueError, match="does not have"):
        engine.evaluate(lowered)


def test_what_does_not_fit_64_bits_is_refused() -> None:
    rules = make.rules(make.points(10**9), point_value_micros=10**15)
    sale = make.sale(make.line("tea", 1, 10**12))
    with pytest.raises(OverflowError, match="64 bits"):
        kernel_evaluator(rules, sale, make.facts())
    assert kernel_evaluator(rules, make.sale(TEA), make.facts()).grants


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
