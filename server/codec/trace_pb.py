"""The trace of an answer: most entries come again on other receipts, and are spelled once."""

from collections.abc import Sequence

from ext.rows import values_of
from loyalty.v1 import answer_pb2 as pb
from rewards.limits import MILLI
from rewards.raising import PAYLOAD_AT, Findings, TraceMemo, missing_in
from rewards.ruleset import CompiledProgram
from rewards.trace import TraceEntry
from server.codec.asked import Asked
from server.codec.shape import shape_of

PROGRAMS_KEPT_MAX = 64

_ENTRY = shape_of(
    pb.TraceEntry,
    "promotion_id",
    "outcome",
    "times",
    "lost_to_promotion_id",
    "condition",
    "missing",
).one
_MISSING = shape_of(pb.TraceEntry, "missing").one
_SPELLINGS: dict[int, "_Spelling"] = {}
"""By program, each with the program itself: an id alone may be used again."""


class _Spelling(TraceMemo[bytes]):
    """Spells the trace entries of one program."""

    def __init__(self, program: CompiledProgram) -> None:
        super().__init__(self.spell)
        self.program = program
        self._promotion_ids = [one.promotion_id for one in program.promotions]

    def __missing__(self, code: int) -> bytes:
        """Spell what comes again once; what lacks a sum of money is the same but for the sum."""
        missing = missing_in(code)
        if missing % MILLI:
            # The sum is the last field of the message, and left out where it is 0.
            return self[code - (missing << PAYLOAD_AT)] + _MISSING(missing)
        return super().__missing__(code)

    def spell(self, entry: TraceEntry) -> bytes:
        """Spell an entry."""
        ids = self._promotion_ids
        return _ENTRY(
            ids[entry.number],
            entry.outcome,
            entry.times,
            ids[entry.lost_to] if entry.lost_to >= 0 else "",
            0 if entry.times else entry.condition,
            0 if entry.times else entry.missing,
        )


def spell_trace(asked: Asked) -> list[bytes]:
    """Spell what became of each candidate."""
    evaluation, program = asked.decision.evaluation, asked.program
    spelling = _SPELLINGS.get(id(program))
    if spelling is None or spelling.program is not program:
        spelling = _spelling_of(program)
    if isinstance(evaluation, Findings) and not evaluation.found.trace_rows:
        return list(values_of(spelling, evaluation.found.trace))
    entries: Sequence[TraceEntry] = evaluation.trace
    return list(map(spelling.spell, entries))


def _spelling_of(program: CompiledProgram) -> _Spelling:
    """A new one; kept."""
    if len(_SPELLINGS) >= PROGRAMS_KEPT_MAX:
        _SPELLINGS.clear()
    spelling = _SPELLINGS[id(program)] = _Spelling(program)
    return spelling
