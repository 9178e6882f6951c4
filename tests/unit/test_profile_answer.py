"""Profile answers: what passes each check, and in which form it is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.program import ProfileField
from rewards.refusal import Reason, Refusal
from server.profile_answer import KEPT_CHECKS, normal_answer
from tests import make

COLOURS = make.field("colour", "choice", choices=("red", "Dark green"))


def field(check: str) -> ProfileField:
    return COLOURS if check == "choice" else make.field(check, check)  # type: ignore[arg-type]


def answer(check: str, value: str, region: str = "RU") -> str | None:
    """The normal form, or None if it is refused; a refusal says what was asked of whom."""
    try:
        return normal_answer(field(check), value, region, "answers[0].value")
    except Refusal as refusal:
        assert refusal.reason is Reason.ANSWER_REJECTED  # noqa: PT017
        code = field(check).field_code
        assert refusal.metadata == {"field_code": code, "check": check}  # noqa: PT017
        assert [place for place, _ in refusal.fields] == ["answers[0].value"]  # noqa: PT017
        return None


@pytest.mark.parametrize(
    ("check", "value", "normal"),
    [
        ("text", "Иванова", "Иванова"),
        ("text", "  Anna  Maria ", "Anna  Maria"),
        ("text", "   ", None),
        ("phone", "+7 916 123-45-67", "+79161234567"),
        ("phone", "8 (916) 123-45-67", "+79161234567"),
        ("phone", "9161234567", "+79161234567"),
        ("phone", "+49 30 901820", "+4930901820"),
        ("phone", "12345", None),
        ("phone", "+7 916 123-45-678", None),
        ("phone", "phone", None),
        ("phone", "+7" * 200, None),
        ("email", "Anna@Example.COM", "Anna@example.com"),
        ("email", " anna@example.com ", "anna@example.com"),
        ("email", "анна@пример.рф", "анна@пример.рф"),
        ("email", "anna", None),
        ("email", "anna@localhost", None),
        ("email", "anna@@example.com", None),
        ("email", "a@example.com b@example.com", None),
        ("date", "1985-02-28", "1985-02-28"),
        ("date", "2000-02-29", "2000-02-29"),
        ("date", "1985-02-29", None),
        ("date", "1899-12-31", None),
        ("date", "1900-01-01", "1900-01-01"),
        ("date", "28.02.1985", None),
        ("date", "", None),
        ("choice", "red", "red"),
        ("choice", " Dark green ", "Dark green"),
        ("choice", "dark green", None),
        ("choice", "blue", None),
        ("yes_no", "yes", "yes"),
        ("yes_no", "no", "no"),
        ("yes_no", "Yes", None),
        ("yes_no", "1", None),
    ],
)
def test_answers(check: str, value: str, normal: str | None) -> None:
    assert answer(check, value) == normal


def test_a_phone_without_country_is_of_the_stores_country() -> None:
    assert answer("phone", "030 901820", "DE") == "+4930901820"
    assert answer("phone", "030 901820", "") is None
    assert answer("phone", "+49 30 901820", "") == "+4930901820"


@given(
    st.sampled_from(["text", "phone", "email", "date", "choice", "yes_no"]),
    st.text(max_size=40) | st.text("+0123456789 ()-", max_size=20) | st.emails(),
)
def test_a_normal_form_is_its_own(check: str, value: str) -> None:
    normal = answer(check, value)
    assert normal is None or answer(check, normal) == normal


@given(st.dates())
def test_every_day_since_1900_is_a_date(day: object) -> None:
    text = str(day)
    assert answer("date", text) == (text if text >= "1900" else None)


def test_rules_may_ask_only_about_closed_sets_of_answers() -> None:
    assert set(KEPT_CHECKS) == {"choice", "yes_no"}
