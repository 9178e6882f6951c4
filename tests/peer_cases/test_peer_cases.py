"""Every case of the other engines is answered as they expect, but for those that are listed."""

import msgspec
import pytest

from tests.peer_cases.__main__ import CASES, DEVIATIONS, OWN_CASES, SHORTFALLS, reasons_of
from tests.peer_cases.case import Case, read_cases
from tests.peer_cases.program import translate
from tests.peer_cases.run import EVALUATORS, Result, run_cases

READ, UNKNOWN = read_cases(CASES)
IN_SCOPE = [case for case in READ if case.in_scope]


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {result.case.id: result for result in run_cases(IN_SCOPE)}


def test_every_key_is_understood() -> None:
    assert UNKNOWN == {}


def test_exactly_the_listed_cases_fail(results: dict[str, Result]) -> None:
    failed = {case_id: one.differences for case_id, one in results.items() if not one.passed}
    listed = {**reasons_of(DEVIATIONS), **reasons_of(SHORTFALLS)}
    regressed = {case_id: failed[case_id] for case_id in failed.keys() - listed.keys()}
    assert regressed == {}
    assert sorted(listed.keys() - failed.keys()) == [], "these pass now: take them off the list"


def test_our_own_cases_pass() -> None:
    cases, unknown = read_cases(OWN_CASES)
    assert unknown == {}
    assert {one.case.title: one.differences for one in run_cases(cases) if not one.passed} == {}


def test_no_case_is_listed_twice() -> None:
    assert reasons_of(DEVIATIONS).keys() & reasons_of(SHORTFALLS).keys() == set()


def test_a_case_is_translated_from_its_fields_only() -> None:
    for case in IN_SCOPE:
        disguised = msgspec.structs.replace(case, id="disguised", title="")
        assert translate(disguised) == translate(case)


def test_evaluators_that_differ_are_told() -> None:
    reference = EVALUATORS["reference"]
    case = next(case for case in IN_SCOPE if "discount_total_minor" in case.asserts)
    other = msgspec.structs.replace

    def forgetful(*arguments: object) -> object:
        return other(reference(*arguments), trace=())  # type: ignore[arg-type]

    evaluators = {"reference": reference, "forgetful": forgetful}
    (result,) = run_cases([case], evaluators)  # type: ignore[arg-type]
    assert result.differences == ("forgetful answers otherwise than reference",)


def test_a_case_that_cannot_be_run_fails() -> None:
    broken: Case = msgspec.structs.replace(IN_SCOPE[0], asserts=("shoe_size",))
    (result,) = run_cases([broken])
    assert result.differences == ("shoe_size: expected None, but no evaluation answers it",)
