"""Rules of messages that name fields which are not there, or hours that cannot be."""

from collections.abc import Iterator

from rewards.problem import Problem
from rewards.program import MessageRules, ProfileField, Program

ZONE_CHECKS = ("text", "choice")


def check_messages(program: Program) -> Iterator[Problem]:
    """Find rules of messages by which nobody could be told, or everybody at the wrong time.

    Args:
        program: with each key in its range.
    """
    rules = program.messages
    fields = {field.field_code: field for field in program.profile_fields}
    wanted = (
        ("phone_field", rules.phone_field, ("phone",)),
        ("consent_field", rules.consent_field, ("yes_no",)),
        ("zone_field", rules.zone_field, ZONE_CHECKS),
    )
    for key, code, checks in wanted:
        reason = _field_reason(code, fields.get(code), checks)
        if code and reason:
            yield Problem(f"messages.{key}", reason)
    if rules.consent == "only_yes" and not rules.consent_field:
        yield Problem("messages.consent_field", "is empty, but only who answered yes is told")
    yield from _check_quiet(rules)


def _field_reason(code: str, field: ProfileField | None, checks: tuple[str, ...]) -> str:
    """Say why a field cannot serve; empty if it can."""
    if field is None:
        return f"no profile field is named {code!r}"
    if field.check not in checks:
        return f"field {code!r} is checked as {field.check}, not {' or '.join(checks)}"
    return ""


def _check_quiet(rules: MessageRules) -> Iterator[Problem]:
    if bool(rules.quiet_from) != bool(rules.quiet_to):
        key = "quiet_to" if rules.quiet_from else "quiet_from"
        yield Problem(f"messages.{key}", "is empty: quiet hours have both ends, or none")
    elif rules.quiet_from and rules.quiet_from == rules.quiet_to:
        yield Problem("messages.quiet_to", "is quiet_from: nothing would ever be sent")
    for key in ("quiet_from", "quiet_to"):
        if getattr(rules, key) == "24:00":
            yield Problem(f"messages.{key}", "24:00 is written 00:00 here")
