"""Checks and normal forms of profile answers, by the kind of check a field has."""

from collections.abc import Callable
from datetime import date

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from rewards.program import ProfileField
from rewards.refusal import Reason, Refusal

YES_NO = ("yes", "no")
EARLIEST_YEAR = 1900
KEPT_CHECKS = ("choice", "yes_no")
"""Checks with a closed set of answers: rules may ask about the answer itself."""


def normal_answer(field: ProfileField, value: str, region: str, path: str) -> str:
    """Check an answer and spell it in its normal form.

    Args:
        field: the field that is answered.
        value: the answer as given.
        region: ISO 3166 country of the store, for phones without a country code; may be empty.
        path: of the request field, for BadRequest.

    Raises:
        Refusal: ANSWER_REJECTED, with field_code and check.
    """
    found = _CHECKS[field.check](field, value.strip(), region)
    if found is None:
        text = f"{field.field_code}: not acceptable as {field.check}"
        metadata = {"field_code": field.field_code, "check": field.check}
        raise Refusal(Reason.ANSWER_REJECTED, text, metadata, ((path, text),))
    return found


def is_kept(field: ProfileField, value: str) -> bool:
    """Whether rules may ask about this answer: it is one of a closed set."""
    return field.check in KEPT_CHECKS and _CHECKS[field.check](field, value, "") is not None


def _text(field: ProfileField, value: str, region: str) -> str | None:
    return value or None


def _phone(field: ProfileField, value: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(value, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _email(field: ProfileField, value: str, region: str) -> str | None:
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError:
        return None


def _date(field: ProfileField, value: str, region: str) -> str | None:
    try:
        found = date.fromisoformat(value)
    except ValueError:
        return None
    return found.isoformat() if found.year >= EARLIEST_YEAR else None


def _choice(field: ProfileField, value: str, region: str) -> str | None:
    return value if value in field.choices else None


def _yes_no(field: ProfileField, value: str, region: str) -> str | None:
    return value if value in YES_NO else None


_CHECKS: dict[str, Callable[[ProfileField, str, str], str | None]] = {
    "text": _text,
    "phone": _phone,
    "email": _email,
    "date": _date,
    "choice": _choice,
    "yes_no": _yes_no,
}
