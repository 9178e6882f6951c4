"""A text cut into parts of an SMS: the parts are the whole, fit, and cut no pair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.sms_parts import GSM_BASIC, GSM_EXTENDED, encoded, joining_header, sms_text

ALPHABET = GSM_BASIC.replace("\x1b", "") + "".join(GSM_EXTENDED)
GSM = st.text(st.sampled_from(ALPHABET), max_size=700)
CYRILLIC = st.text(st.sampled_from("абвгЯё 1€😀𝄞"), max_size=400)
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


@given(GSM | CYRILLIC | ANY)
def test_parts_are_the_whole_and_fit(text: str) -> None:
    found = sms_text(text)
    assert "".join(found.parts) == text
    joined = len(found.parts) > 1
    for number, part in enumerate(found.parts, 1):
        payload = joining_header(7, number, len(found.parts)) + encoded(part, found.is_gsm)
        if found.is_gsm:
            septets = len(encoded(part, True))
            assert septets <= (153 if joined else 160)
        else:
            assert len(payload) <= 140
            assert part.encode("utf-16-be").decode("utf-16-be") == part, "a pair was cut"
        assert len(payload) <= 160 + 6


@given(GSM | CYRILLIC | ANY)
def test_no_part_could_have_taken_the_next_character(text: str) -> None:
    """As few parts as cutting in order allows."""
    found = sms_text(text)
    most = 153 if found.is_gsm else 134
    for part, after in zip(found.parts, found.parts[1:], strict=False):
        assert len(encoded(part + after[0], found.is_gsm)) > most


@given(GSM)
def test_the_default_alphabet_costs_the_least(text: str) -> None:
    assert sms_text(text).is_gsm


@pytest.mark.parametrize(
    ("text", "is_gsm", "sizes"),
    [
        ("", True, [0]),
        ("a" * 160, True, [160]),
        ("a" * 161, True, [153, 8]),
        ("€" * 80, True, [80]),  # two septets each
        ("€" * 81, True, [76, 5]),  # 76 pairs and one septet left over
        ("a" * 152 + "€" + "a" * 8, True, [152, 9]),  # the pair does not fit in the last septet
        ("я" * 70, False, [70]),
        ("я" * 71, False, [67, 4]),
        ("я" * 66 + "😀" + "я" * 3, False, [66, 4]),
        ("я" * 69 + "😀", False, [67, 3]),
        ("₽", False, [1]),  # in neither table
        ("я" * 201, False, [67, 67, 67]),
        ("\x1b", False, [1]),  # the escape itself is no character
    ],
)
def test_where_a_text_is_cut(text: str, is_gsm: bool, sizes: list[int]) -> None:
    found = sms_text(text)
    assert (found.is_gsm, [len(part) for part in found.parts]) == (is_gsm, sizes)


def test_spelled_as_the_standard_has_it() -> None:
    assert encoded("@£€[ a", True) == bytes((0, 1, 27, 101, 27, 60, 32, 97))
    assert encoded("Яa", False) == b"\x04\x2f\x00a"
    assert joining_header(200, 2, 3) == bytes((5, 0, 3, 200, 3, 2))
    assert joining_header(200, 1, 1) == b""
