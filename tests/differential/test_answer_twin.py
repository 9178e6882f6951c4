"""An answer to what the kernel found is byte for byte the answer to what its twin evaluated.

One is spelled from flat integers and remembered trace entries, the other from the values of an
`Evaluation`; the generated stubs read every byte of it and write the same ones again.
"""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from loyalty.v1 import answer_pb2 as pb
from rewards.allocate import allocate
from rewards.decide import Decision
from rewards.evaluate import Evaluated, evaluate
from rewards.hints import find_hints
from rewards.product import Catalogue
from server.codec.answer_pb import spell_answer
from server.codec.asked import Asked, Skipped, Voice
from server.evaluator import kernel_evaluator, kernel_findings
from server.texts import Speaker
from tests import make
from tests.strategies import BEST, Case, cases, seeded_case


def answered(case: Case, rules: Any, evaluation: Evaluated) -> bytes:
    speaker = Speaker("ru", "RUB", {})
    asked = Asked(
        b"id",
        rules.program,
        1,
        make.NOON_US,
        case.sale,
        case.facts,
        Decision(evaluation, None, None),
        Skipped(),
        Catalogue({product.sku: product for product in case.facts.products}),
        Voice(speaker, speaker, UTC),
        find_hints(rules, case.sale, case.facts, evaluation),
    )
    return spell_answer(asked)


def assert_same_answer(case: Case) -> None:
    rules = case.rules()
    found = answered(case, rules, kernel_findings(rules, case.sale, case.facts))
    by_twin = evaluate(rules, case.sale, case.facts, allocate)
    assert found == answered(case, rules, by_twin)
    assert found == answered(case, rules, kernel_evaluator(rules, case.sale, case.facts))
    read = pb.Answer.FromString(found)
    assert read.SerializeToString(deterministic=True) == found


@given(cases())
def test_receipts(case: Case) -> None:
    assert_same_answer(case)


@given(st.integers(0, 2**32))
def test_larger_programs(seed: int) -> None:
    assert_same_answer(seeded_case(seed))


@pytest.mark.parametrize("seed", range(10))
def test_best_lanes_are_proved_in_both(seed: int) -> None:
    assert_same_answer(seeded_case(seed, shape=BEST))


def test_what_is_remembered_is_of_the_same_program() -> None:
    for seed in range(30):
        case = seeded_case(seed)
        rules = case.rules()
        first = answered(case, rules, kernel_findings(rules, case.sale, case.facts))
        again = answered(case, rules, kernel_findings(rules, case.sale, case.facts))
        assert first == again


def test_findings_are_read_like_an_evaluation() -> None:
    case = seeded_case(7, 12, 15)
    rules = case.rules()
    findings = kernel_findings(rules, case.sale, case.facts)
    expected = evaluate(rules, case.sale, case.facts, allocate)
    for name in expected.__struct_fields__:
        assert getattr(findings, name) == getattr(expected, name), name
    assert findings.raised() == expected


def test_canary_a_minor_unit_less_is_noticed() -> None:
    case = next(
        case
        for case in map(seeded_case, range(100))
        if evaluate(case.rules(), case.sale, case.facts, allocate).outcomes[0] is not None
    )
    rules = case.rules()
    evaluation = evaluate(rules, case.sale, case.facts, allocate)
    outcome, *rest = evaluation.outcomes
    assert outcome is not None
    cheaper = replace(outcome, amount_minor=outcome.amount_minor - 1)
    changed = replace(evaluation, outcomes=(cheaper, *rest))
    assert answered(case, rules, changed) != answered(case, rules, evaluation)
