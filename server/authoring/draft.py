"""A draft: programs on their way into the next version, and what can be asked about them.

Pure; runs in the worker, because with many promotions each step holds the interpreter for long.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec
from msgspec import Struct

from rewards.authored import ProductSet
from rewards.catalogue_check import check_figures, sets_asked
from rewards.compilation import compile_encoded
from rewards.older_form import read_program
from rewards.problem import Problem
from rewards.program import Program
from rewards.program_diff import FIELDS_MAX, Difference, diff_programs
from server.authoring.messages import (
    BuildRequest,
    Built,
    Compared,
    ProgramChange,
    ReviewRequest,
    Summary,
)
from server.program_review import names_in, review_program, review_unknown
from server.store.packed import pack, unpack

PROBLEMS_MAX = 10_000
"""More are counted by nobody, and a message has its bound."""

NOTHING = msgspec.msgpack.encode(())
"""Content of a ruleset without programs."""

_RAW = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...])


class _Named(Struct, frozen=True):
    """Of a stored program only what names it: that much every build can read."""

    program_id: str
    chain_id: str


_NAMED = msgspec.msgpack.Decoder(_Named)


class UnreadableError(Exception):
    """A stored program is of a build that this one cannot read.

    Attributes:
        program_id: the program.
    """

    def __init__(self, program_id: str) -> None:
        """Keep the name."""
        super().__init__(f"program {program_id!r} was stored by a build that this one cannot read")
        self.program_id = program_id


class ClashError(Exception):
    """A draft cannot stand beside the other programs.

    Attributes:
        problem: the place in the draft, and what it clashes with.
    """

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(f"{problem.path}: {problem.reason}")
        self.problem = problem


class Draft:
    """One program that replaces the one with its id, or all programs in place of all there are."""

    def __init__(self, programs: Sequence[Program], is_whole: bool) -> None:
        """Keep the programs.

        Args:
            programs: as decoded.
            is_whole: what is not among them is removed.
        """
        assert is_whole or len(programs) <= 1, "one program, or all of them"
        self.programs = tuple(programs)
        self.is_whole = is_whole

    def problems(self) -> tuple[Problem, ...]:
        """What makes it impossible to publish."""
        found = tuple(problem for one in self.programs for problem in review_program(one))
        return found[:PROBLEMS_MAX]

    def names(self) -> dict[str, tuple[str, ...]]:
        """What a single program names, by kind."""
        return {} if self.is_whole or not self.programs else names_in(self.programs[0])

    def sets(self) -> tuple[ProductSet, ...]:
        """What of a single program is held against the articles."""
        return () if self.is_whole or not self.programs else sets_asked(self.programs[0])

    def newly_closed(self, newest: bytes, checks: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """Profile fields whose answers were of an open set in the newest version, or not there."""
        before, _ = _readable(newest)
        closed = _closed_fields(before.values(), checks)
        return tuple(sorted(_closed_fields(self.programs, checks) - closed))

    def review(self, request: ReviewRequest) -> tuple[Problem, ...]:
        """Where a single program asks for what stores and articles do not have."""
        (program,) = self.programs
        found = review_unknown(program, request.unknown, request.foreign_store)
        figures = dict(zip(self.sets(), request.figures, strict=True)) if request.figures else {}
        return (*found, *islice(check_figures(program, figures), PROBLEMS_MAX - len(found)))

    def compare(self, base: bytes, newest: bytes) -> Compared:
        """Say what it changes against a base, and whether the newest version would take it."""
        if not self.programs and not self.is_whole:
            # What was sent could not be read; that is said apart.
            return Compared((), None, ())
        before, unread = _readable(base)
        after = {program.program_id: program for program in self.programs}
        if not self.is_whole:
            before = {key: one for key, one in before.items() if key in after}
            unread = tuple(key for key in unread if key in after)
        return Compared(_changes(before, after), self._clash(newest), unread)

    def build(self, wanted: BuildRequest) -> Built:
        """Make the next version."""
        try:
            programs = self._put_into(wanted.base)
        except ClashError as error:
            return Built(clash=error.problem)
        return Built(
            content=pack(msgspec.msgpack.encode(programs)),
            compiled=pack(compile_encoded(wanted.version, programs)),
            promotion_count=sum(len(program.promotions) for program in programs),
            changes_nothing=wanted.must_change and not self.compare(wanted.base, NOTHING).changes,
        )

    def _clash(self, newest: bytes) -> Problem | None:
        try:
            self._put_into(newest)
        except ClashError as error:
            return error.problem
        return None

    def _put_into(self, newest: bytes) -> tuple[Program, ...]:
        if self.is_whole:
            return tuple(sorted(self.programs, key=lambda one: one.program_id))
        (program,) = self.programs
        try:
            return replace_program(newest, program)
        except UnreadableError as error:
            raise ClashError(
                Problem("program_id", f"cannot stand beside another: {error}")
            ) from error


def take_version(content: bytes, program_id: str) -> Draft | None:
    """Make a draft of a stored version.

    Args:
        content: as stored.
        program_id: only this program; empty is all of them.

    Returns:
        The draft; None if the version has no such program.

    Raises:
        UnreadableError: another build stored it.
    """
    if not program_id:
        return Draft([_program(raw) for raw in _raws(content)], is_whole=True)
    raws = [raw for raw in _raws(content) if _NAMED.decode(raw).program_id == program_id]
    return Draft([_program(raws[0])], is_whole=False) if raws else None


def replace_program(content: bytes, program: Program) -> tuple[Program, ...]:
    """Put a program in the place of the one with its id, or beside the others.

    Args:
        content: of a version, as stored.
        program: takes the place.

    Returns:
        All programs, sorted by program_id.

    Raises:
        ClashError: a promotion id, or the chain, is another program's.
        UnreadableError: a program that stays cannot be read.
    """
    raws = [(_NAMED.decode(raw), raw) for raw in _raws(content)]
    _check_chain(program, [named for named, _ in raws])
    others = [_program(raw) for named, raw in raws if named.program_id != program.program_id]
    _check_promotion_ids(program, others)
    return tuple(sorted([*others, program], key=lambda one: one.program_id))


def summarize(before: bytes, after: bytes) -> Summary:
    """Say what a version changed, without items."""
    old, old_unread = _readable(before)
    new, new_unread = _readable(after)
    if old_unread or new_unread:
        return Summary(False, ())
    changes = _changes(old, new)
    return Summary(True, tuple(_counted(change) for change in changes))


def _changes(before: dict[str, Program], after: dict[str, Program]) -> tuple[ProgramChange, ...]:
    """What changes, by program; items are listed until the bound on fields is reached."""
    changes: list[ProgramChange] = []
    fields_left = FIELDS_MAX
    for program_id in sorted(before.keys() | after.keys()):
        change = _change(program_id, before.get(program_id), after.get(program_id))
        if change is None:
            continue
        listed = sum(len(item.fields) for item in change.difference.changes)
        changes.append(change if listed <= fields_left else _counted(change))
        fields_left -= min(listed, fields_left)
    return tuple(changes)


def _change(program_id: str, old: Program | None, new: Program | None) -> ProgramChange | None:
    difference = diff_programs(old, new)
    if not difference.counts:
        return None
    one = new or old
    assert one is not None
    return ProgramChange(
        program_id=program_id,
        chain_id=one.chain_id,
        change="added" if old is None else "removed" if new is None else "changed",
        promotion_count=0 if new is None else len(new.promotions),
        difference=difference,
    )


def _counted(change: ProgramChange) -> ProgramChange:
    """The same change without its items."""
    counts = change.difference.counts
    total = sum(count.added + count.removed + count.changed for count in counts)
    return msgspec.structs.replace(change, difference=Difference((), counts, total))


def _readable(content: bytes) -> tuple[dict[str, Program], tuple[str, ...]]:
    """The programs of a version, and the ids of those that this build cannot read."""
    programs: dict[str, Program] = {}
    unread: list[str] = []
    for raw in _raws(content):
        try:
            program = _program(raw)
        except UnreadableError as error:
            unread.append(error.program_id)
        else:
            programs[program.program_id] = program
    return programs, tuple(unread)


def _closed_fields(programs: Iterable[Program], checks: tuple[str, ...]) -> set[tuple[str, str]]:
    """Profile fields with one of some checks, as (chain, field)."""
    return {
        (program.chain_id, field.field_code)
        for program in programs
        for field in program.profile_fields
        if field.check in checks
    }


def _raws(content: bytes) -> tuple[msgspec.Raw, ...]:
    return _RAW.decode(unpack(content))


def _program(raw: msgspec.Raw) -> Program:
    try:
        return read_program(raw)
    except msgspec.ValidationError as error:
        raise UnreadableError(_NAMED.decode(raw).program_id) from error


def _check_chain(program: Program, others: Iterable[_Named]) -> None:
    for other in others:
        is_same_id = other.program_id == program.program_id
        is_same_chain = other.chain_id == program.chain_id
        if is_same_id and not is_same_chain:
            reason = f"program {other.program_id!r} is of chain {other.chain_id!r}"
            raise ClashError(Problem("program_id", reason))
        if is_same_chain and not is_same_id:
            reason = f"the chain has program {other.program_id!r}; a chain has one program"
            raise ClashError(Problem("chain_id", reason))


def _check_promotion_ids(program: Program, others: Iterable[Program]) -> None:
    owners = {
        promotion.promotion_id: other.program_id
        for other in others
        for promotion in other.promotions
    }
    for index, promotion in enumerate(program.promotions):
        owner = owners.get(promotion.promotion_id)
        if owner is not None:
            reason = f"{promotion.promotion_id!r} is a promotion of program {owner!r}"
            raise ClashError(Problem(f"promotions[{index}].promotion_id", reason))
