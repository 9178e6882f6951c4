"""How complete a set of an answer is, and why it is not."""

from collections.abc import Sequence

from loyalty.v1 import answer_pb2 as pb
from server.codec.shape import shape_of

_STATUS = shape_of(pb.SetStatus, "completeness", "reason").one
_WHOLE, _SWITCHED_OFF = pb.SET_REASON_UNSPECIFIED, pb.SET_REASON_SWITCHED_OFF
_COMPLETE = {_WHOLE: _STATUS(pb.SET_COMPLETENESS_COMPLETE, _WHOLE)}
_REASONS = pb.SetReason.values()
_PARTIAL = {one: _STATUS(pb.SET_COMPLETENESS_PARTIAL, one) for one in _REASONS} | _COMPLETE
_SKIPPED = {one: _STATUS(pb.SET_COMPLETENESS_SKIPPED, one) for one in _REASONS} | _COMPLETE
"""There are few states: each is spelled once."""


def spell_status(reason: pb.SetReason.ValueType, partial: bool = False) -> bytes:
    """Spell the state of a set.

    Args:
        reason: why it is not complete; SET_REASON_UNSPECIFIED: it is.
        partial: with a reason some of it is there all the same.
    """
    return _PARTIAL[reason] if partial else _SKIPPED[reason]


def spell_extra_status(reason: pb.SetReason.ValueType, decided: Sequence[object] | None) -> bytes:
    """Spell the state of a set that may be left out: without a reason it was switched off."""
    return _SKIPPED[_SWITCHED_OFF if decided is None and not reason else reason]
