"""Every case of the other engines is answered as they expect, but for those that are listed."""

import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from rewards.sale import Unit
from tests.peer_cases.__main__ import CASES, DEVIATIONS, OWN_CASES, SHORTFALLS, reasons_of
from tests.peer_cases.case import Case
from tests.peer_cases.program import translate
from tests.peer_cases.reading import read_cases
from tests.peer_cases.receipt import sale_of
from tests.peer_cases.run import EVALUATORS, Result, run_cases

READ = read_cases(CASES)
IN_SCOPE = [case for case in READ if case.in_scope]


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {result.case.id: result for result in run_cases(IN_SCOPE)}


def test_every_key_is_understood() -> None:
    assert {one.id: one.not_understood for one in READ if one.not_understood} == {}


def test_exactly_the_listed_cases_fail(results: dict[str, Result]) -> None:
    failed = {case_id: one.differences for case_id, one in results.items() if not one.passed}
    listed = {**reasons_of(DEVIATIONS), **reasons_of(SHORTFALLS)}
    regressed = {case_id: failed[case_id] for case_id in failed.keys() - listed.keys()}
    assert regressed == {}
    assert sorted(listed.keys() - failed.keys()) == [], "these pass now: take them off the list"


def test_our_own_cases_pass() -> None:
    cases = read_cases(OWN_CASES)
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


def _reread(tmp_path: Path, *lines: str) -> list[Case]:
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(lines))
    return read_cases(path)


def test_a_line_that_is_no_case_fails_and_the_others_run(tmp_path: Path) -> None:
    good = CASES.read_text().splitlines()[0]
    wrong = good.replace('"promotions":[', '"promotions":7,"rest":[')
    assert wrong != good
    results = list(run_cases(_reread(tmp_path, good, wrong, "no json", good)))
    told = ["".join(one.differences).partition(":")[0] for one in results]
    assert told == ["", "not read", "not read", ""]


def test_words_that_are_not_understood_are_told(tmp_path: Path) -> None:
    good = json.loads(CASES.read_text().splitlines()[0])
    lines = [json.dumps(good)]
    for part, word in (
        ({"kind": "lottery"}, "kind lottery"),
        ({"stacking": "sometimes"}, "stacking sometimes"),
        ({"params": {"zodiac": "leo"}}, "params.zodiac"),
        ({"params": {"tiers": [{"altitude": 3}]}}, "tiers.altitude"),
        ({"conditions": {"moon": "full"}}, "conditions.moon"),
        ({"conditions": {"scope": {"type": "planet"}}}, "conditions.scope of planet"),
    ):
        spelled = {**good, "id": word, "promotions": [{**good["promotions"][0], **part}]}
        lines.append(json.dumps(spelled))
    first, *others = _reread(tmp_path, *lines)
    assert first.not_understood == ()
    assert [one.not_understood for one in others] == [(one.id,) for one in others]


def test_a_word_that_is_not_understood_stands_beside_what_differs(tmp_path: Path) -> None:
    spelled = json.loads(CASES.read_text().splitlines()[0])
    spelled["promotions"][0]["conditions"] |= {"moon": "full"}
    lucky = json.dumps(spelled)
    spelled["expected"]["receipt_total_minor"] = 1
    spelled["asserts"] = ["receipt_total_minor"]
    passed, failed = run_cases(_reread(tmp_path, lucky, json.dumps(spelled)))
    assert passed.passed
    assert failed.differences[-1] == "not understood: conditions.moon"
    assert len(failed.differences) == 2


def test_what_says_nothing_is_not_misunderstood(tmp_path: Path) -> None:
    """A key without a value asks for nothing, and prose is for people."""
    spelled = json.loads(CASES.read_text().splitlines()[0])
    spelled["promotions"][0]["conditions"] |= {"moon": None, "note": "as in the shop"}
    spelled["promotions"][0]["params"] |= {"zodiac": [], "target": "all"}
    (result,) = run_cases(_reread(tmp_path, json.dumps(spelled)))
    assert result.passed


def test_another_writer_s_keys_and_single_texts_are_read(tmp_path: Path) -> None:
    spelled = json.loads(CASES.read_text().splitlines()[0])
    spelled["promotions"][0]["conditions"] |= {
        "coupon": ["A", "B"],
        "requires_tags": ["tea", "cake"],
        "segments": "friends",
    }
    (case,) = _reread(tmp_path, json.dumps(spelled))
    assert case.not_understood == ()
    asked = case.promotions[0].conditions
    assert asked.codes == ("A", "B")
    assert asked.requires_all_tags == ("tea", "cake")
    assert asked.segments_any == ("friends",)


def test_promotions_without_a_number_run_as_they_stand(tmp_path: Path) -> None:
    line = next(line for line in CASES.read_text().splitlines() if '"order":2' in line)
    spelled = json.loads(line)
    (numbered,) = _reread(tmp_path, line)
    for promotion in spelled["promotions"]:
        del promotion["order"]
    (plain,) = _reread(tmp_path, json.dumps(spelled))
    assert plain == numbered


def test_null_and_whole_numbers_with_a_point_are_read(tmp_path: Path) -> None:
    """As another writer of the same form may spell them."""
    spelled = json.loads(CASES.read_text().splitlines()[0])
    promotion = spelled["promotions"][0]
    (plain,) = _reread(tmp_path, json.dumps(spelled))
    spelled["unit_floor_minor"] = spelled["channel"] = promotion["stacking"] = None
    promotion["params"]["max_units"] = None
    promotion["params"]["max_applications"] = 3.0
    promotion["order"] = 1.0
    (other,) = _reread(tmp_path, json.dumps(spelled))
    assert not other.unreadable
    assert (other.id, other.lines, other.expected) == (plain.id, plain.lines, plain.expected)
    assert other.promotions[0].params.max_applications == 3


def test_less_than_a_piece_is_weighed() -> None:
    case = next(one for one in IN_SCOPE if one.lines)
    line = msgspec.structs.replace(case.lines[0], qty=Decimal("0.5"))
    halved = msgspec.structs.replace(case, lines=(line, *case.lines[1:]))
    assert sale_of(halved).lines[0].unit == Unit.KILOGRAM
    (result,) = run_cases([halved])
    assert not any("broke" in text for text in result.differences)


def test_a_promotion_that_could_not_be_published_gives_nothing() -> None:
    case = next(
        one
        for one in IN_SCOPE
        if len(one.promotions) == 1
        and not one.promotions[0].conditions.min_amount_minor
        and "discount_total_minor" in one.asserts
        and one.promotions[0].kind == "amount_off_receipt"
    )
    (promotion,) = case.promotions
    never = msgspec.structs.replace(promotion.conditions, min_amount_minor=9, max_amount_minor=8)
    second = msgspec.structs.replace(promotion, id="never", conditions=never)
    (result,) = run_cases([msgspec.structs.replace(case, promotions=(promotion, second))])
    assert result.differences == next(run_cases([case])).differences
