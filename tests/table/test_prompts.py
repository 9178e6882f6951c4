"""Which profile fields are asked: the six core fields and what is asked once, by what is known."""

from pathlib import Path

import pytest

from rewards.compilation import compile_ruleset
from rewards.facts import FieldState
from rewards.program import ProfileField
from rewards.prompts import PromptReason, due_prompts
from rewards.ruleset import CompiledProgram
from server.program_file import read_program
from tests import make

CORE = (
    make.field("mobile", "phone", 365, 100),
    make.field("consent", "yes_no", 365, 90),
    make.field("email", "email", 365, 80),
    make.field(
        "surname",
        valid_days=365,
        weight=70,
        first_asked_if=("sex=female", "sex=male"),
        asked_again_if=("sex=female",),
    ),
    make.field("family", "choice", 365, 60, choices=("single", "married")),
    make.field("address", valid_days=365, weight=50),
)
ONCE = (
    make.field("sex", "choice", 0, 75, choices=("female", "male")),
    make.field("first_name", weight=45),
    make.field("birth_date", "date", weight=40),
)
NOW_US = make.NOON_US
YEAR_US = 365 * make.DAY_US
LONG_AGO_US = NOW_US - 10 * YEAR_US


def compiled(*fields: ProfileField, prompts_max: int = 20) -> CompiledProgram:
    return make.compiled(profile_fields=fields, prompts_max=prompts_max)


def asked(
    program: CompiledProgram, states: dict[str, FieldState], at_us: int = NOW_US
) -> list[str]:
    prompts = due_prompts(program, states, at_us)
    return [prompt.compiled.field.field_code for prompt in prompts]


def answered(codes: str, at_us: int, sex: str = "") -> dict[str, FieldState]:
    states = {code: FieldState(at_us) for code in codes.split()}
    if sex:
        states["sex"] = FieldState(at_us, sex)
    return states


ALL_BUT_SEX = "mobile consent email surname family address first_name birth_date"


@pytest.mark.parametrize(
    ("known", "at_us", "sex", "expected"),
    [
        # A new customer: sex, not the surname.
        ("", NOW_US, "", "mobile consent email sex family address first_name birth_date"),
        # Once the sex is known the surname follows, of a man too.
        ("", NOW_US, "male", "mobile consent email surname family address first_name birth_date"),
        ("", NOW_US, "female", "mobile consent email surname family address first_name birth_date"),
        # Everything known and fresh.
        (ALL_BUT_SEX, NOW_US, "male", ""),
        (ALL_BUT_SEX, NOW_US, "female", ""),
        # Everything past its validity: five fields of a man, six of a woman.
        (ALL_BUT_SEX, LONG_AGO_US, "male", "mobile consent email family address"),
        (ALL_BUT_SEX, LONG_AGO_US, "female", "mobile consent email surname family address"),
        # Sex unknown: ask it, and leave even an old surname alone.
        (ALL_BUT_SEX, LONG_AGO_US, "", "mobile consent email sex family address"),
        # What is asked once never comes again.
        ("first_name birth_date", LONG_AGO_US, "", "mobile consent email sex family address"),
    ],
)
def test_the_core_fields(known: str, at_us: int, sex: str, expected: str) -> None:
    assert asked(compiled(*CORE, *ONCE), answered(known, at_us, sex)) == expected.split()


def demo_program() -> CompiledProgram:
    path = Path(__file__).parents[2] / "programs" / "demo_grocery.toml"
    program = read_program(path)
    return compile_ruleset(1, (program,)).programs[program.chain_id]


@pytest.mark.parametrize(
    ("sex", "expected"),
    [
        ("male", {"mobile", "email", "address", "family_status", "message_consent"}),
        ("female", {"mobile", "email", "address", "family_status", "message_consent", "surname"}),
    ],
)
def test_the_demo_program_has_the_core_fields(sex: str, expected: set[str]) -> None:
    program = demo_program()
    codes = " ".join(compiled.field.field_code for compiled in program.fields)
    states = answered(codes, LONG_AGO_US, sex)
    due = [
        compiled.field.field_code
        for compiled in program.fields
        if asked(_only(program, compiled.field), states)
    ]
    assert set(due) == expected


def _only(program: CompiledProgram, field: ProfileField) -> CompiledProgram:
    """The program with one of its fields, so that its limit of prompts hides none."""
    return make.compiled(profile_fields=(field,), prompts_max=program.prompts_max)


@pytest.mark.parametrize(
    ("answered_before_us", "expected"),
    [
        (0, None),
        (YEAR_US - 1, None),  # the last microsecond of the last day
        (YEAR_US, PromptReason.EXPIRED),
        (YEAR_US + 1, PromptReason.EXPIRED),
    ],
)
def test_validity_includes_its_end(answered_before_us: int, expected: PromptReason | None) -> None:
    program = compiled(make.field("mobile", "phone", valid_days=365))
    states = {"mobile": FieldState(NOW_US - answered_before_us)}
    reasons = [prompt.reason for prompt in due_prompts(program, states, NOW_US)]
    assert reasons == ([] if expected is None else [expected])


def test_a_field_without_validity_is_valid_for_ever() -> None:
    assert asked(compiled(make.field("sex")), {"sex": FieldState(1)}) == []


def test_a_missing_field_says_so() -> None:
    (prompt,) = due_prompts(compiled(make.field("mobile")), {}, NOW_US)
    assert prompt.reason is PromptReason.MISSING


@pytest.mark.parametrize("most", range(4))
def test_at_most_so_many_prompts_the_weightiest_first(most: int) -> None:
    fields = [
        make.field(code, weight=weight) for code, weight in zip("abc", (1, 3, 2), strict=True)
    ]
    assert asked(compiled(*fields, prompts_max=most), {}) == ["b", "c", "a"][:most]


def test_what_is_not_due_takes_no_place_of_what_is() -> None:
    fields = [
        make.field(code, weight=weight) for code, weight in zip("abc", (1, 3, 2), strict=True)
    ]
    states = {"b": FieldState(NOW_US)}
    assert asked(compiled(*fields, prompts_max=2), states) == ["c", "a"]


def test_equal_weights_are_asked_by_name() -> None:
    fields = [make.field(code) for code in "cab"]
    assert asked(compiled(*fields), {}) == ["a", "b", "c"]


def test_some_fields_are_never_asked() -> None:
    program = compiled(make.field("loyalty", valid_days=1, never_asked=True))
    assert asked(program, {}) == []
    assert asked(program, {"loyalty": FieldState(1)}) == []


def test_a_condition_holds_for_any_of_its_answers() -> None:
    program = compiled(make.field("pet_name", first_asked_if=("pet=cat", "pet=dog")))
    for pet, expected in (("cat", ["pet_name"]), ("dog", ["pet_name"]), ("fish", []), (None, [])):
        assert asked(program, {"pet": FieldState(NOW_US, pet)}) == expected
