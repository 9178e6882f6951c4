"""How complete a set of an answer is, and why it is not."""

from collections.abc import Sequence

from loyalty.v1 import answer_pb2 as pb
from server.codec.shape import shape_of

_STATUS = shape_of(pb.SetStatus, "completeness", "reason").one


def spell_status(reason: pb.SetReason.ValueType, partial: bool = False) -> bytes:
    """Spell the state of a set.

    Args:
        reason: why it is not complete; SET_REASON_UNSPECIFIED: it is.
        partial: with a reason some of it is there all the same.
    """
    if reason == pb.SET_REASON_UNSPECIFIED:
        return _STATUS(pb.SET_COMPLETENESS_COMPLETE, reason)
    kind = pb.SET_COMPLETENESS_PARTIAL if partial else pb.SET_COMPLETENESS_SKIPPED
    return _STATUS(kind, reason)


def spell_extra_status(reason: pb.SetReason.ValueType, decided: Sequence[object] | None) -> bytes:
    """Spell the state of a set that may be left out: without a reason it was switched off."""
    off = decided is None and reason == pb.SET_REASON_UNSPECIFIED
    return spell_status(pb.SET_REASON_SWITCHED_OFF if off else reason)
