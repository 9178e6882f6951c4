"""Any two programs can be compared; nothing changes only from a program to itself, reordered."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.program import Program
from rewards.program_diff import (
    CHANGES_MAX,
    FIELDS_MAX,
    KINDS,
    Difference,
    diff_programs,
)
from rewards.spelling import VALUE_CHARS_MAX
from tests.property.test_program_pb import PROGRAMS

NOTHING = Difference((), (), 0)
# A program is large to draw; these hold by construction and need no long search.
few = settings(max_examples=40)


@few
@given(PROGRAMS, PROGRAMS)
def test_whatever_differs_is_said_within_bounds(old: Program, new: Program) -> None:
    found = diff_programs(old, replace(new, program_id=old.program_id))
    said = [(KINDS.index(change.kind), change.kind) for change in found.changes]
    assert said == sorted(said)
    assert len(found.changes) <= CHANGES_MAX
    fields = [field for change in found.changes for field in change.fields]
    assert len(fields) <= FIELDS_MAX
    assert all(
        len(value) <= VALUE_CHARS_MAX for field in fields for value in (field.old, field.new)
    )
    total = sum(count.added + count.removed + count.changed for count in found.counts)
    assert total == len(found.changes) + found.omitted


@few
@given(PROGRAMS)
def test_a_program_differs_from_none_and_not_from_itself(program: Program) -> None:
    assert diff_programs(program, program) == NOTHING
    assert {change.change for change in diff_programs(None, program).changes} == {"added"}
    assert {change.change for change in diff_programs(program, None).changes} == {"removed"}


@few
@given(PROGRAMS)
def test_the_order_of_promotions_is_no_change(program: Program) -> None:
    turned = replace(program, promotions=program.promotions[::-1], assets=program.assets[::-1])
    assert diff_programs(program, turned) == NOTHING


@few
@given(PROGRAMS, st.integers(0, 20))
def test_one_setting_is_one_change(program: Program, prompts_max: int) -> None:
    changed = replace(program, prompts_max=prompts_max)
    found = diff_programs(program, changed)
    assert (found == NOTHING) == (prompts_max == program.prompts_max)
    assert len(found.changes) <= 1
