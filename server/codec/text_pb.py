"""Texts of an answer, to show and to print."""

from collections.abc import Mapping
from functools import partial

from loyalty.v1 import answer_pb2 as pb
from rewards.facts import CustomerState
from rewards.ruleset import CompiledProgram
from server.codec.shape import shape_of

_PLAIN = shape_of(pb.Text, "place", "style", "text").one
_TEXT = shape_of(pb.Text, "place", "style", "text", "must_acknowledge").one
_SLIP, _CASHIER = pb.TEXT_PLACE_SLIP, pb.TEXT_PLACE_CASHIER
_COUPON_SLIP = pb.TEXT_PLACE_COUPON_SLIP
_NORMAL, _EMPHASIS = pb.TEXT_STYLE_NORMAL, pb.TEXT_STYLE_EMPHASIS
_QR, _BARCODE = pb.TEXT_STYLE_QR, pb.TEXT_STYLE_BARCODE
_PLACES = {
    "cashier": _CASHIER,
    "customer_display": pb.TEXT_PLACE_CUSTOMER_DISPLAY,
    "slip": _SLIP,
}


slip_text = partial(_PLAIN, _SLIP, _NORMAL)
"""Spells a line of the slip from its words."""
slip_headline = partial(_PLAIN, _SLIP, _EMPHASIS)
"""Spells a line of the slip that stands out."""
cashier_text = partial(_PLAIN, _CASHIER, _NORMAL)
"""Spells what is shown to the cashier."""

_SAID_OF_STATE: Mapping[int, str] = {
    CustomerState.UNKNOWN: "cashier_unknown",
    CustomerState.BLOCKED: "cashier_blocked",
    CustomerState.EARN_ONLY: "cashier_earn_only",
}


def said_of_state(program: CompiledProgram, state: int) -> str:
    """The text that tells the cashier of a customer's state; empty where nothing is to be told.

    That nothing can be spent is told where something of the customer's own could be.
    """
    could_spend = program.spend_rules or program.coupon_series
    if state == CustomerState.EARN_ONLY and not could_spend:
        return ""
    return _SAID_OF_STATE.get(state, "")


def code_texts(code: str, can_print_qr: bool) -> list[bytes]:
    """Spell a code on a coupon slip, as a QR code too where the till can print one."""
    styles = (_QR, _NORMAL) if can_print_qr else (_BARCODE,)
    return [_PLAIN(_COUPON_SLIP, style, code) for style in styles]


def message_text(place: str, words: str, must_acknowledge: bool) -> bytes:
    """Spell what a promotion says; its place is that of `rewards.benefit.Message`."""
    return _TEXT(_PLACES[place], _NORMAL, words, must_acknowledge)
