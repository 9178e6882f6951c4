"""Publishing: programs checked, compared with what is in force, published, rolled back.

Fetches and writes through `server.store`. Whatever grows with the number of promotions is done by
a worker process (`server.authoring`), so that no till waits for it; bodies of calls that hold a
program are not even parsed here.
"""

import asyncio

import structlog
from msgspec import Struct

from rewards.catalogue_check import figures_of
from rewards.limits import INSTANT_US_MAX, TEXT_ID_MAX
from rewards.problem import Problem
from rewards.refusal import Reason, Refusal
from server.authoring.messages import (
    BuildRequest,
    Built,
    ClosedRequest,
    Compared,
    CompareRequest,
    Drafted,
    Method,
    ProgramChange,
    ReadRequest,
    ReviewRequest,
    TakeRequest,
)
from server.authoring.process import Worker, Workshop
from server.clock import Clock
from server.codec import check
from server.known_names import foreign_store, unknown_names
from server.profile_answer import KEPT_CHECKS
from server.reference import PUBLISH_LEAD_US, Reference
from server.store import imports, rulesets
from server.store.customer_imports import keep_values
from server.store.database import Database, RetryError
from server.store.rejections import EffectiveTooEarlyError
from server.store.rulesets import (
    EMPTY_CONTENT,
    BuildVersion,
    BuiltVersion,
    Foundation,
    Publication,
    Published,
    VersionHead,
    earliest_at,
    slot_of,
)

PROBLEMS_SAID_MAX = 20
"""A refusal travels in trailers, which are small; planning and validating list every problem."""

_log = structlog.get_logger(__name__)


class Plan(Struct, frozen=True):
    """What publishing would change.

    Attributes:
        problems: why it would be refused.
        warnings: what is named and not known here.
        base: the version compared with; None if none was in force.
        newest: the newest version, in force or to come; None if there is none.
        earliest_us: a version published now could count from here on, UTC microseconds.
        replaced: what would never come into force any more.
    """

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    changes: tuple[ProgramChange, ...]
    base: VersionHead | None
    newest: VersionHead | None
    earliest_us: int
    replaced: tuple[VersionHead, ...]


class RollBack(Struct, frozen=True):
    """What to roll back to.

    Attributes:
        version: whose content is published again.
        program_id: only this program of it; empty: all of it.
        effective_at_us: from when it counts, UTC microseconds; 0 is as soon as may be.
        newest_version: refused if another one is the newest by now; 0 does not ask for that.
        replaces_scheduled: what is scheduled for later never comes into force.
    """

    version: int
    program_id: str
    effective_at_us: int
    published_by: str
    newest_version: int
    replaces_scheduled: bool = False


class Publishing:
    """Programs of one database, published by one server."""

    def __init__(
        self, database: Database, reference: Reference, clock: Clock, workshop: Workshop
    ) -> None:
        """Work on a database.

        Args:
            database: open.
            reference: what this server has in memory.
            clock: the server's clock.
            workshop: where the workers are.
        """
        self._database = database
        self._reference = reference
        self._clock = clock
        self._workshop = workshop
        # One at a time: each holds one of the few connections for reads until it is through.
        self._one = asyncio.Lock()

    async def validate(self, body: bytes) -> tuple[Problem, ...]:
        """Find everything that is wrong with a program, also against stores and articles.

        Args:
            body: a ValidateProgramRequest.
        """
        async with self._workshop.worker() as worker:
            draft = await self._read(worker, "ValidateProgram", body)
            if not draft.has_program:
                check.refuse_required("program")
            return draft.problems + await self._unknown(worker, draft)

    async def publish(self, body: bytes) -> Published:
        """Put a program into a new version of the ruleset.

        Args:
            body: a PublishProgramRequest.

        Raises:
            Refusal: PROGRAM_INVALID, EFFECTIVE_TOO_EARLY, or RESULT_UNKNOWN.
        """
        async with self._workshop.worker() as worker:
            draft = await self._read(worker, "PublishProgram", body)
            if not draft.has_program:
                check.refuse_required("program")
            at_us = instant_of(draft.effective_at_us)
            published_by = check.text_of(draft.published_by, "published_by")
            publication = _publication(published_by, at_us, draft.replaces_scheduled)
            if draft.problems:
                raise invalid_program(draft.problems)
            async with self._one:
                return await self._publish(worker, publication, lambda upon: _build(worker, upon))

    async def roll_back(self, wanted: RollBack) -> Published:
        """Publish the content of an old version as a new one.

        Raises:
            Refusal: NO_RULESET, INCONSISTENT, PROGRAM_INVALID, EFFECTIVE_TOO_EARLY, or
                RESULT_UNKNOWN.
        """
        publication = _publication(
            wanted.published_by, wanted.effective_at_us, wanted.replaces_scheduled
        )

        async def build(upon: Foundation) -> BuiltVersion:
            _check_newest(wanted.newest_version, upon.version - 1)
            # Who goes back to what is in force calls off what is scheduled: that is a change.
            return await _build(worker, upon, must_change=not upon.replaces)

        async with self._workshop.worker() as worker:
            draft = await self._take(worker, wanted.version, wanted.program_id)
            if draft.problems:
                raise invalid_program(draft.problems)
            async with self._one:
                return await self._publish(worker, publication, build)

    async def plan(self, body: bytes) -> Plan:
        """Say what publishing a program, or rolling back to a version, would change.

        Args:
            body: a PlanProgramRequest.
        """
        async with self._workshop.worker() as worker:
            draft = await self._read(worker, "PlanProgram", body)
            publication = _publication(
                draft.published_by, instant_of(draft.effective_at_us), draft.replaces_scheduled
            )
            warnings: tuple[Problem, ...] = ()
            if not draft.has_program:
                version, program_id = _version_of(draft)
                draft = await self._take(worker, version, program_id)
            else:
                warnings = await self._unknown(worker, draft)
            return await self._compared(worker, publication, draft.problems, warnings)

    async def _read(self, worker: Worker, method: Method, body: bytes) -> Drafted:
        draft = await worker.ask(ReadRequest(method, body), Drafted)
        if not draft.is_message:
            text = f"the bytes are no {method}Request"
            raise Refusal(Reason.MALFORMED_MESSAGE, text)
        return draft

    async def _take(self, worker: Worker, version: int, program_id: str) -> Drafted:
        """Make an old version the draft.

        Raises:
            Refusal: NO_RULESET or INCONSISTENT, if there is no such version, or no such program.
        """
        content = await rulesets.content_of(self._database, version)
        if content is None:
            text = f"there is no version {version} of the ruleset"
            raise Refusal(Reason.NO_RULESET, text, {"version": str(version)})
        draft = await worker.ask(TakeRequest(content, program_id), Drafted)
        if not draft.has_program:
            check.refuse_inconsistent("program_id", f"version {version} has no such program")
        return draft

    async def _unknown(self, worker: Worker, draft: Drafted) -> tuple[Problem, ...]:
        """Where the draft asks for what its stores and articles do not have."""
        if not draft.chain_id:
            return ()
        stores = await imports.stores_of_chain(self._database, draft.chain_id)
        products = self._reference.catalogue(draft.chain_id).products
        unknown = await asyncio.to_thread(unknown_names, draft.names, stores, products)
        figures = await asyncio.to_thread(figures_of, draft.sets, products) if products else ()
        request = ReviewRequest(unknown, foreign_store(draft.currency_code, stores), figures)
        return await worker.ask(request, tuple[Problem, ...])

    async def _compared(
        self,
        worker: Worker,
        publication: Publication,
        problems: tuple[Problem, ...],
        warnings: tuple[Problem, ...],
    ) -> Plan:
        # Within the lead nothing can change any more, so what becomes live in it counts as live.
        now_us = self._clock()
        base_at_us = publication.effective_at_us or now_us + PUBLISH_LEAD_US
        heads = await rulesets.versions_from_now(self._database, base_at_us)
        base = heads[0] if heads and heads[0].effective_at_us <= base_at_us else None
        newest = heads[-1] if heads else None
        replaces = publication.replaces_scheduled
        content = await self._content(base)
        newest_content = None if replaces or base == newest else await self._content(newest)
        compared = await worker.ask(CompareRequest(content, newest_content), Compared)
        clashes = () if compared.clash is None else (compared.clash,)
        return Plan(
            problems=(*problems, *clashes, *_too_early(heads, publication, now_us)),
            warnings=(*warnings, *map(_unread, compared.unread)),
            changes=compared.changes,
            base=base,
            newest=newest,
            earliest_us=earliest_at(heads, publication, now_us),
            replaced=tuple(
                head for head in heads if replaces and head.effective_at_us > base_at_us
            ),
        )

    async def _content(self, head: VersionHead | None) -> bytes:
        if head is None:
            return EMPTY_CONTENT
        content = await rulesets.content_of(self._database, head.version)
        assert content is not None, "versions are never removed"
        return content

    async def _publish(
        self, worker: Worker, publication: Publication, build: BuildVersion
    ) -> Published:
        """Publish; rules may ask about answers that came before their field had a closed set."""
        closed = await self._newly_closed(worker)
        await self._keep_answers(closed)
        published = await self._added(publication, build)
        try:
            # Answers that came in meanwhile. Who has loaded the version keeps them by itself.
            await self._keep_answers(closed)
        except (RetryError, TimeoutError) as error:
            version = published.head.version
            _log.warning("answers_not_kept", version=version, error=str(error))
        return published

    async def _added(self, publication: Publication, build: BuildVersion) -> Published:
        try:
            return await rulesets.publish(self._database, publication, build, self._clock)
        except EffectiveTooEarlyError as error:
            metadata = {"earliest_us": str(error.earliest_us)}
            if error.scheduled is not None:
                version, at_us = error.scheduled
                metadata |= {"scheduled_version": str(version), "scheduled_at_us": str(at_us)}
            raise Refusal(Reason.EFFECTIVE_TOO_EARLY, str(error), metadata) from error
        except RetryError as error:
            text = "the version may have been published: look at the ruleset before trying again"
            raise Refusal(Reason.RESULT_UNKNOWN, text) from error

    async def _newly_closed(self, worker: Worker) -> tuple[tuple[str, str], ...]:
        """Fields that the draft gives a closed set of answers, as (chain, field)."""
        heads = await rulesets.versions_before(self._database, 0, 1)
        content = await self._content(heads[0] if heads else None)
        request = ClosedRequest(content, KEPT_CHECKS)
        return await worker.ask(request, tuple[tuple[str, str], ...])

    async def _keep_answers(self, closed: tuple[tuple[str, str], ...]) -> None:
        for chain_id in sorted({chain for chain, _ in closed}):
            codes = sorted(code for chain, code in closed if chain == chain_id)
            await keep_values(self._database, chain_id, codes)


def invalid_program(problems: tuple[Problem, ...]) -> Refusal:
    """The refusal of a program, naming its first problems."""
    said = problems[:PROBLEMS_SAID_MAX]
    more = " (the first are named)" if len(said) < len(problems) else ""
    fields = tuple((f"program.{problem.path}", problem.reason) for problem in said)
    first = f"{said[0].path}: {said[0].reason}"
    text = f"the program has {len(problems)} problem(s){more}: {first}"
    return Refusal(Reason.PROGRAM_INVALID, text, {"problems": str(len(problems))}, fields)


def _publication(published_by: str, at_us: int, replaces_scheduled: bool) -> Publication:
    return Publication(
        effective_at_us=at_us,
        published_by=published_by,
        lead_us=PUBLISH_LEAD_US,
        replaces_scheduled=replaces_scheduled,
    )


async def _build(worker: Worker, upon: Foundation, must_change: bool = False) -> BuiltVersion:
    """Let the worker make the version.

    Raises:
        Refusal: PROGRAM_INVALID for a clash with another program, INCONSISTENT if nothing would
            change and something must.
    """
    built = await worker.ask(BuildRequest(upon.version, upon.content, must_change), Built)
    if built.clash is not None:
        raise invalid_program((built.clash,))
    if must_change and built.changes_nothing:
        text = f"equals version {upon.base_version}, which it would follow"
        check.refuse_inconsistent("version", text)
    return BuiltVersion(built.content, built.compiled, built.promotion_count)


def _check_newest(planned_on: int, newest: int) -> None:
    if planned_on and planned_on != newest:
        text = f"the newest version is {newest} by now, not {planned_on}: plan again"
        check.refuse_inconsistent("newest_version", text)


def _version_of(draft: Drafted) -> tuple[int, str]:
    """Version and program of a plan that has no program of its own."""
    if not draft.version:
        check.refuse_required("content")
    version = check.number_of(draft.version, "version", 1, 2**63 - 1)
    return version, check.optional_text_of(draft.program_id, "program_id", TEXT_ID_MAX)


def instant_of(at_us: int) -> int:
    """Pass an instant from which a version is to count, UTC microseconds; 0 is now."""
    return check.number_of(at_us, "effective_at_us", 0, INSTANT_US_MAX)


def _too_early(
    heads: list[VersionHead], publication: Publication, now_us: int
) -> tuple[Problem, ...]:
    try:
        slot_of(heads, publication, now_us)
    except EffectiveTooEarlyError as error:
        return (Problem("effective_at_us", str(error)),)
    return ()


def _unread(program_id: str) -> Problem:
    reason = (
        f"program {program_id!r} in force is of a build that this one cannot read; not compared"
    )
    return Problem("program_id", reason)
