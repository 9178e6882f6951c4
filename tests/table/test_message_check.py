"""Rules of messages by which nobody could be told, or everybody at the wrong time."""

import pytest

from rewards.message_check import check_messages
from rewards.problem import Problem
from tests.program_tree import Tree, program

FIELDS: list[Tree] = [
    {
        "field_code": code,
        "questions": [{"language_code": "en", "text": f"{code}?"}],
        "check": check,
        **more,
    }
    for code, check, more in (
        ("mobile", "phone", {}),
        ("wants", "yes_no", {}),
        ("zone", "choice", {"choices": ["Europe/Moscow"]}),
    )
]


def found(**rules: object) -> tuple[Problem, ...]:
    return tuple(check_messages(program(profile_fields=FIELDS, messages=rules)))


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"phone_field": "mobile", "consent_field": "wants", "zone_field": "zone"},
        {"consent_field": "wants", "consent": "only_yes"},
        {"quiet_from": "21:00", "quiet_to": "09:00"},
        {"quiet_from": "22:00", "quiet_to": "00:00"},
        {"by_sms": False},
    ],
)
def test_rules_that_can_be(rules: Tree) -> None:
    assert found(**rules) == ()


@pytest.mark.parametrize(
    ("rules", "path", "reason"),
    [
        ({"phone_field": "x"}, "phone_field", "no profile field is named 'x'"),
        ({"phone_field": "wants"}, "phone_field", "is checked as yes_no, not phone"),
        ({"consent_field": "mobile"}, "consent_field", "is checked as phone, not yes_no"),
        ({"zone_field": "mobile"}, "zone_field", "is checked as phone, not text or choice"),
        ({"consent": "only_yes"}, "consent_field", "only who answered yes is told"),
        ({"quiet_from": "21:00"}, "quiet_to", "both ends, or none"),
        ({"quiet_to": "09:00"}, "quiet_from", "both ends, or none"),
        ({"quiet_from": "09:00", "quiet_to": "09:00"}, "quiet_to", "nothing would ever be sent"),
        ({"quiet_from": "21:00", "quiet_to": "24:00"}, "quiet_to", "written 00:00"),
    ],
)
def test_rules_that_cannot_be(rules: Tree, path: str, reason: str) -> None:
    [problem] = found(**rules)
    assert problem.path == f"messages.{path}"
    assert reason in problem.reason
