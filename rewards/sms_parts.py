"""A text as parts of an SMS: which alphabet it takes, and where it is cut.

GSM-7 holds 160 characters, or 153 a part beside the header that joins parts; a character of its
extension table takes two. UCS-2 holds 70 units, or 67 a part; a character beyond U+FFFF takes two.
Neither pair is ever cut. Source: 3GPP TS 23.038 and 23.040 (8-bit concatenation).
"""

from collections.abc import Iterator

from msgspec import Struct

GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet in the order of its codes; code 27 leads to the extension table."""
GSM_ESCAPE = 27
GSM_EXTENDED = {
    "\f": 10, "^": 20, "{": 40, "}": 41, "\\": 47, "[": 60, "~": 61, "]": 62, "|": 64, "€": 101,
}  # fmt: skip
"""Codes behind an escape."""

GSM_ALONE, GSM_JOINED = 160, 153
UCS2_ALONE, UCS2_JOINED = 70, 67
PARTS_MAX = 255
REFERENCES = 256
"""A reference joins the parts of one message on the customer's phone: 0 to 255."""

_GSM = {char: bytes((code,)) for code, char in enumerate(GSM_BASIC) if code != GSM_ESCAPE}
_GSM |= {char: bytes((GSM_ESCAPE, code)) for char, code in GSM_EXTENDED.items()}
assert len(GSM_BASIC) == 128
assert len(_GSM) == 127 + len(GSM_EXTENDED)


class SmsText(Struct, frozen=True):
    """A text as it is sent; what it costs is how many parts it has.

    Attributes:
        is_gsm: in GSM-7; else in UCS-2.
        parts: the text cut up; together they are the whole.
    """

    is_gsm: bool
    parts: tuple[str, ...]


def sms_text(text: str) -> SmsText:
    """Choose the alphabet of a text and cut it into as few parts as there can be in order.

    Args:
        text: without lone surrogates; at most PARTS_MAX parts long.
    """
    is_gsm = all(char in _GSM for char in text)
    alone, joined = (GSM_ALONE, GSM_JOINED) if is_gsm else (UCS2_ALONE, UCS2_JOINED)
    units = sum([_units(char, is_gsm) for char in text])
    parts = (text,) if units <= alone else tuple(_cut(text, is_gsm, joined))
    assert len(parts) <= PARTS_MAX, "no message is so long"
    return SmsText(is_gsm, parts)


def encoded(text: str, is_gsm: bool) -> bytes:
    """Spell a part: GSM-7 with one septet in each byte, or UCS-2 with the high byte first."""
    if is_gsm:
        return b"".join([_GSM[char] for char in text])
    return text.encode("utf-16-be")


def joining_header(reference: int, part: int, count: int) -> bytes:
    """The header that joins parts on the phone; nothing where there is one.

    Args:
        reference: 0 to 255, the same for all parts of a message.
        part: from 1.
        count: how many there are.
    """
    if count == 1:
        return b""
    return bytes((5, 0, 3, reference, count, part))


def _cut(text: str, is_gsm: bool, units_max: int) -> Iterator[str]:
    start = taken = 0
    for place, char in enumerate(text):
        units = _units(char, is_gsm)
        if taken + units > units_max:
            yield text[start:place]
            start, taken = place, 0
        taken += units
    yield text[start:]


def _units(char: str, is_gsm: bool) -> int:
    if is_gsm:
        return len(_GSM[char])
    return 2 if ord(char) > 0xFFFF else 1
