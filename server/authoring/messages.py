"""What a server and its worker say to each other about programs.

A worker serves one operation: it reads a program, or takes programs from a version, and keeps them
as its draft; the questions that follow are about that draft.
"""

from typing import Literal

from msgspec import Struct

from rewards.authored import ProductSet
from rewards.catalogue_check import SetFigures
from rewards.problem import Problem
from rewards.program_diff import Difference

Method = Literal["ValidateProgram", "PlanProgram", "PublishProgram"]


class ReadRequest(Struct, frozen=True, tag=True):
    """Read the body of a call; its program is the draft."""

    method: Method
    body: bytes


class TakeRequest(Struct, frozen=True, tag=True):
    """Make the programs of a version the draft.

    Attributes:
        content: as stored.
        program_id: only this one; empty: all of them, in place of all there are.
    """

    content: bytes
    program_id: str


class ReviewRequest(Struct, frozen=True, tag=True):
    """Say where the draft names what is not known, or what articles leave without effect.

    Attributes:
        unknown: by kind, as `Drafted.names`.
        figures: of each of `Drafted.sets`; none if there are no articles.
        foreign_store: (store, currency) of a store that sells in another currency, or none.
    """

    unknown: dict[str, tuple[str, ...]]
    foreign_store: tuple[str, str] | None
    figures: tuple[SetFigures, ...] = ()


class CompareRequest(Struct, frozen=True, tag=True):
    """Say what the draft changes.

    Attributes:
        base: content of the version to compare with.
        newest: content of the newest version, if the draft would be put into that; None: it would
            be put into the base.
    """

    base: bytes
    newest: bytes | None


class ClosedRequest(Struct, frozen=True, tag=True):
    """Say which profile fields of the draft get a closed set of answers, as (chain, field).

    Attributes:
        newest: content of the newest version, in which they had none.
        checks: the checks that close the set.
    """

    newest: bytes
    checks: tuple[str, ...]


class BuildRequest(Struct, frozen=True, tag=True):
    """Make the next version of the draft: its content and its compiled form.

    Attributes:
        version: its number.
        base: content of the version it is built on.
        must_change: say whether it changes anything.
    """

    version: int
    base: bytes
    must_change: bool


class SummarizeRequest(Struct, frozen=True, tag=True):
    """Say what a version changed against the one before."""

    before: bytes
    after: bytes


Request = (
    ReadRequest
    | TakeRequest
    | ReviewRequest
    | CompareRequest
    | ClosedRequest
    | BuildRequest
    | SummarizeRequest
)


class Drafted(Struct, frozen=True):
    """A draft, and what the call says besides.

    Attributes:
        is_message: the body is one; otherwise nothing else is said.
        has_program: the call has a program.
        version, program_id, effective_at_us, published_by, replaces_scheduled: fields of the call,
            where it has them.
        problems: what makes it impossible to publish.
        names: what it names, by kind, each once; see `program_review`.
        sets: what of it is held against the articles; see `catalogue_check`.
    """

    is_message: bool = True
    has_program: bool = False
    version: int = 0
    program_id: str = ""
    effective_at_us: int = 0
    published_by: str = ""
    replaces_scheduled: bool = False
    chain_id: str = ""
    currency_code: str = ""
    problems: tuple[Problem, ...] = ()
    names: dict[str, tuple[str, ...]] = {}
    sets: tuple[ProductSet, ...] = ()


class ProgramChange(Struct, frozen=True):
    """What changes in a program that changes; `change` is how the program itself does."""

    program_id: str
    chain_id: str
    change: Literal["added", "removed", "changed"]
    promotion_count: int
    difference: Difference


class Compared(Struct, frozen=True):
    """What the draft changes.

    Attributes:
        changes: by program_id.
        clash: why the newest version cannot take it.
        unread: programs of the base that this build cannot read; they count as not there.
    """

    changes: tuple[ProgramChange, ...]
    clash: Problem | None
    unread: tuple[str, ...]


class Built(Struct, frozen=True):
    """A version to be stored.

    Attributes:
        clash: why it cannot be made; then nothing else is said.
        changes_nothing: against what it is built on; said if it must change something.
    """

    clash: Problem | None = None
    content: bytes = b""
    compiled: bytes = b""
    promotion_count: int = 0
    changes_nothing: bool = False


class Summary(Struct, frozen=True):
    """What a version changed, without items; `is_read`: this build can read both contents."""

    is_read: bool
    changes: tuple[ProgramChange, ...]
