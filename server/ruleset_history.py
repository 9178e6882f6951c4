"""The history of the ruleset: what each version changed against the one it was built on."""

from msgspec import Struct

from server.authoring.messages import SummarizeRequest, Summary
from server.authoring.process import Worker, Workshop
from server.clock import Clock
from server.store import rulesets
from server.store.database import Database
from server.store.rulesets import EMPTY_CONTENT, PastHead

PAGE_DEFAULT = 20
PAGE_MAX = 50


class Wanted(Struct, frozen=True):
    """Which versions are asked for.

    Attributes:
        program_id: only those that changed this program; empty: all.
        chain_id: only those that changed a program of this chain; empty: all.
        before_version: only those below this one; 0: all.
        page_size: how many to look through, at most PAGE_MAX; 0 is PAGE_DEFAULT.
    """

    program_id: str
    chain_id: str
    before_version: int
    page_size: int


class PastVersion(Struct, frozen=True):
    """A version and what it changed against the one it was built on."""

    head: PastHead
    summary: Summary


class History(Struct, frozen=True):
    """A page of versions, the newest first.

    Attributes:
        next_before: where the next page begins; 0 if this is the last.
        live_version: in force; 0 if none is.
    """

    versions: tuple[PastVersion, ...]
    next_before: int
    live_version: int


class RulesetHistory:
    """All versions of one database."""

    def __init__(self, database: Database, clock: Clock, workshop: Workshop) -> None:
        """Read a database.

        Args:
            database: open.
            clock: the server's clock.
            workshop: where the workers are.
        """
        self._database = database
        self._clock = clock
        self._workshop = workshop

    async def page(self, wanted: Wanted) -> History:
        """List versions, the newest first; each is compared by a worker.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        count = wanted.page_size or PAGE_DEFAULT
        # One more than is said: whether there are older ones.
        heads = await rulesets.versions_before(self._database, wanted.before_version, count + 1)
        async with self._workshop.worker() as worker:
            found = await self._summaries(worker, heads[:count])
        return History(
            versions=tuple(one for one in found if _is_wanted(one.summary, wanted)),
            next_before=heads[count - 1].version if len(heads) > count else 0,
            live_version=await self._live_version(),
        )

    async def _live_version(self) -> int:
        now_us = self._clock()
        heads = await rulesets.versions_from_now(self._database, now_us)
        return heads[0].version if heads and heads[0].effective_at_us <= now_us else 0

    async def _summaries(self, worker: Worker, heads: list[PastHead]) -> list[PastVersion]:
        """Compare each version with the one it was built on, from the newest down."""
        found: list[PastVersion] = []
        base_version, base = -1, EMPTY_CONTENT
        for head in heads:
            # Most are built on the next one of the list.
            after = base if head.version == base_version else await self._content(head.version)
            base_version, base = head.base_version, await self._content(head.base_version)
            summary = await worker.ask(SummarizeRequest(base, after), Summary)
            found.append(PastVersion(head, summary))
        return found

    async def _content(self, version: int) -> bytes:
        """The content of a version; before the first one there was nothing."""
        if not version:
            return EMPTY_CONTENT
        content = await rulesets.content_of(self._database, version)
        assert content is not None, "versions are never removed"
        return content


def _is_wanted(summary: Summary, wanted: Wanted) -> bool:
    """Whether a version changed the program, or one of the chain, or may have."""
    if not summary.is_read or not (wanted.program_id or wanted.chain_id):
        return True
    return any(
        wanted.program_id in ("", change.program_id) and wanted.chain_id in ("", change.chain_id)
        for change in summary.changes
    )
