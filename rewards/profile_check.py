"""Profile fields that contradict themselves, or that wait for each other for ever."""

from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter

from rewards.problem import Problem, check_languages, check_unique
from rewards.program import ProfileField, Program

YES_NO = ("yes", "no")
"""The closed set of answers of a field whose check is yes_no."""


def check_profile_fields(program: Program) -> Iterator[Problem]:
    """Find fields that cannot be asked as they are written.

    Args:
        program: with each key in its range.
    """
    fields = {field.field_code: field for field in program.profile_fields}
    codes = [field.field_code for field in program.profile_fields]
    yield from check_unique("profile_fields", "field_code", codes)
    for index, field in enumerate(program.profile_fields):
        path = f"profile_fields[{index}]"
        languages = [text.language_code for text in field.questions]
        yield from check_languages(f"{path}.questions", languages, program.language_code)
        yield from _check_choices(f"{path}.choices", field)
        yield from _check_asked(path, field)
        for key, pairs in (
            ("first_asked_if", field.first_asked_if),
            ("asked_again_if", field.asked_again_if),
        ):
            yield from _check_pairs(f"{path}.{key}", field.field_code, pairs, fields)
    yield from _check_asking_order(program.profile_fields)


def _check_choices(path: str, field: ProfileField) -> Iterator[Problem]:
    if field.check == "choice" and not field.choices:
        yield Problem(path, "is empty, but the check is choice")
    if field.check != "choice" and field.choices:
        yield Problem(path, f"is given, but the check is {field.check}, not choice")
    yield from check_unique(path, "", field.choices)


def _check_asked(path: str, field: ProfileField) -> Iterator[Problem]:
    if field.asked_again_if and not field.valid_days:
        reason = "has no effect: valid_days is 0, so the field is never asked again"
        yield Problem(f"{path}.asked_again_if", reason)
    if field.never_asked and (field.first_asked_if or field.asked_again_if):
        yield Problem(f"{path}.never_asked", "contradicts first_asked_if or asked_again_if")


def _check_pairs(
    path: str, own_code: str, pairs: Sequence[str], fields: dict[str, ProfileField]
) -> Iterator[Problem]:
    for index, pair in enumerate(pairs):
        code, _, value = pair.partition("=")
        reason = _pair_reason(own_code, fields.get(code), code, value)
        if reason:
            yield Problem(f"{path}[{index}]", reason)


def _pair_reason(own_code: str, field: ProfileField | None, code: str, value: str) -> str:
    """Say why a field cannot be asked about for this answer; empty if it can."""
    if field is None:
        return f"no profile field is named {code!r}"
    if code == own_code:
        return "a field cannot depend on its own answer"
    answers = field.choices if field.check == "choice" else YES_NO
    if field.check not in ("choice", "yes_no"):
        return (
            f"field {code!r} is checked as {field.check}; only choice and yes_no can be asked about"
        )
    if value not in answers:
        return f"{value!r} is no answer of field {code!r}; its answers: {', '.join(answers)}"
    return ""


def _check_asking_order(fields: Sequence[ProfileField]) -> Iterator[Problem]:
    """Refuse fields that wait for each other's first answer: none of them would be asked."""
    waits_for = {
        field.field_code: {pair.partition("=")[0] for pair in field.first_asked_if}
        - {field.field_code}
        for field in fields
    }
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        yield Problem("profile_fields", f"first_asked_if goes in a circle: {circle}")
