"""Texts of an answer, to show and to print."""

from loyalty.v1 import answer_pb2 as pb
from server.codec.shape import shape_of

_TEXT = shape_of(pb.Text, "place", "style", "text", "must_acknowledge").one
_SLIP, _CASHIER = pb.TEXT_PLACE_SLIP, pb.TEXT_PLACE_CASHIER
_NORMAL, _EMPHASIS = pb.TEXT_STYLE_NORMAL, pb.TEXT_STYLE_EMPHASIS
_PLACES = {
    "cashier": _CASHIER,
    "customer_display": pb.TEXT_PLACE_CUSTOMER_DISPLAY,
    "slip": _SLIP,
}


def slip_texts(lines: list[str]) -> list[bytes]:
    """Spell lines of the slip."""
    return [_TEXT(_SLIP, _NORMAL, words, False) for words in lines]


def slip_headline(words: str) -> bytes:
    """Spell a line of the slip that stands out."""
    return _TEXT(_SLIP, _EMPHASIS, words, False)


def cashier_text(words: str) -> bytes:
    """Spell what is shown to the cashier."""
    return _TEXT(_CASHIER, _NORMAL, words, False)


def message_text(place: str, words: str, must_acknowledge: bool) -> bytes:
    """Spell what a promotion says; its place is that of `rewards.benefit.Message`."""
    return _TEXT(_PLACES[place], _NORMAL, words, must_acknowledge)
