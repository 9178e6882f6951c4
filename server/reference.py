"""Reference data in memory: stores, articles and rulesets, kept up with the database by polling.

A version of the ruleset is loaded before the instant from which it is effective; a server that
could not ask the database within the publishing lead says so, and leaves health.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import structlog

from rewards.facts import AssetWindow, StoreFacts
from rewards.product import Catalogue, Product
from rewards.program import Asset
from rewards.refusal import Reason, Refusal
from rewards.rounding import floor_div
from rewards.ruleset import CompiledProgram, ProgramRules, Ruleset
from server.clock import Clock
from server.ruleset_loading import compile_version, load_version
from server.store.feeds import StoreRecord, VersionRecord

POLL_S = 0.5
PUBLISH_LEAD_US = 3_000_000
"""A version becomes effective this long after publishing at the earliest."""
OLD_RULESETS_MAX = 8
"""Versions that only tokens name, kept apart from the live ones."""

SUPERSEDED_KEPT_US = 60_000_000
"""A superseded version stays live so long: a call that took its instant before still finds it."""

DAYS_KEPT_MAX = 4
"""Of a store: what is forwarded is of the days before, in between comes what is sold today."""
_SECOND_US = 1_000_000
_MINUTE_US = 60_000_000
_DAY_US = 86_400_000_000
_EMPTY_CATALOGUE = Catalogue({})
_log = structlog.get_logger(__name__)


Prepare = Callable[[ProgramRules], object]


def prepare_nothing(rules: ProgramRules) -> None:
    """For an evaluator that takes rules as they are."""


class ReferenceSource(Protocol):
    """Where reference data comes from."""

    async def versions_from(self, version: int) -> Sequence[VersionRecord]:
        """Versions from this one on, ascending."""

    async def version_of(self, version: int) -> VersionRecord | None:
        """One version; None if there is no such version."""

    async def content_of(self, version: int) -> bytes:
        """The programs of a version that there is, as stored."""

    async def recover(self) -> None:
        """Wait until the next attempt makes sense; never raises for a database."""

    async def version_in_force(self, at_us: int) -> int:
        """The version in force at an instant; 0 is none."""

    async def stores_after(self, change: int) -> tuple[int, Sequence[StoreRecord]]:
        """Stores changed since; the newest change."""

    async def products_after(self, change: int) -> tuple[int, Sequence[tuple[str, Product]]]:
        """Articles changed since, each with its chain; the newest change."""


class _Times(NamedTuple):
    """When what is given on a local day starts and ends.

    Attributes:
        windows: by asset; active_from_us 0 is at once.
        day_ends: (days, last instant of the local day so many days later).
    """

    windows: tuple[tuple[str, AssetWindow], ...]
    day_ends: tuple[tuple[int, int], ...]


class StoreInfo:
    """A store with its wall clock."""

    def __init__(self, record: StoreRecord) -> None:
        """Open the time zone."""
        self.record = record
        self.zone = ZoneInfo(record.time_zone)
        self._zones = frozenset(record.zones)
        self._days: list[tuple[int, int, int]] = []
        self._windows: dict[tuple[int, int], _Times] = {}

    def facts_at(self, rules: ProgramRules, at_us: int) -> StoreFacts:
        """The store's facts at an instant: its wall clock, and when what is given now ends."""
        day = self._day_of(at_us)
        local_day = day[2]
        key = (rules.version, local_day)
        kept = self._windows.get(key)
        if kept is None:
            if len(self._windows) >= DAYS_KEPT_MAX:
                self._windows.clear()
            kept = self._windows[key] = self._times(rules.program, local_day)
        windows = tuple(
            [
                (code, window if window.active_from_us else _from(window, at_us))
                for code, window in kept.windows
            ]
        )
        minute = self._local_minute(at_us, day)
        return StoreFacts(self._zones, local_day, windows, minute, kept.day_ends)

    def local_day(self, at_us: int) -> int:
        """Proleptic ordinal of the local date of an instant."""
        return self._day_of(at_us)[2]

    def _day_of(self, at_us: int) -> tuple[int, int, int]:
        """The local day of an instant: its first instant, that of the next day, its ordinal."""
        for kept in self._days:
            if kept[0] <= at_us < kept[1]:
                return kept
        moment = datetime.fromtimestamp(floor_div(at_us, _SECOND_US), UTC)
        day = moment.astimezone(self.zone).date().toordinal()
        found = (self._midnight_us(day), self._midnight_us(day + 1), day)
        self._days = [found, *self._days[: DAYS_KEPT_MAX - 1]]
        return found

    def day_end_us(self, at_us: int, days: int) -> int:
        """Last instant of the local day so many days after an instant's; of 0 days: without end."""
        return self._midnight_us(self.local_day(at_us) + days + 1) - 1 if days else 0

    def _local_minute(self, at_us: int, day: tuple[int, int, int]) -> int:
        """Minutes since local midnight by the wall clock, of an instant of the day."""
        start_us, end_us, _ = day
        if end_us - start_us == _DAY_US:
            return floor_div(at_us - start_us, _MINUTE_US)
        moment = datetime.fromtimestamp(floor_div(at_us, _SECOND_US), UTC).astimezone(self.zone)
        return moment.hour * 60 + moment.minute

    def _times(self, program: CompiledProgram, local_day: int) -> _Times:
        windows = tuple(
            (code, self._window(asset, local_day)) for code, asset in program.assets.items()
        )
        ends = tuple(
            (days, self._midnight_us(local_day + days + 1) - 1) for days in program.valid_days
        )
        return _Times(windows, ends)

    def _window(self, asset: Asset, local_day: int) -> AssetWindow:
        """The window of a lot granted today; active_from_us 0 is at once."""
        first_day = local_day + asset.active_after_days
        active_from_us = self._midnight_us(first_day) if asset.active_after_days else 0
        expires_at_us = 0
        if asset.active_days:
            expires_at_us = self._midnight_us(first_day + asset.active_days) - 1
        return AssetWindow(active_from_us, expires_at_us)

    def _midnight_us(self, day: int) -> int:
        """Start of a local day. Where clocks skip midnight it is the first instant there is."""
        midnight = datetime.combine(date.fromordinal(day), time.min, tzinfo=self.zone)
        return round(midnight.timestamp()) * _SECOND_US


class Reference:
    """What this process knows of stores, articles and rulesets."""

    def __init__(
        self, source: ReferenceSource, clock: Clock, prepare: Prepare = prepare_nothing
    ) -> None:
        """Start empty; `refresh` loads.

        Args:
            source: where the data comes from.
            clock: the server's clock.
            prepare: what the evaluator does with rules as they are loaded, in a thread.
        """
        self._prepare = prepare
        self._source = source
        self._clock = clock
        self._stores: dict[tuple[str, str], StoreInfo] = {}
        self._catalogues: dict[str, Catalogue] = {}
        self._live: list[tuple[int, Ruleset]] = []
        self._old: OrderedDict[int, Ruleset] = OrderedDict()
        self._loading: dict[int, asyncio.Task[Ruleset]] = {}
        self._store_change = 0
        self._product_change = 0
        self._loop: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()
        self._begun = self._loaded = 0
        self.asked_at_us = 0

    def start(self) -> None:
        """Begin to poll."""
        self._loop = asyncio.create_task(self._poll(), name="reference")

    async def stop(self) -> None:
        """Stop polling and loading."""
        working = [*self._loading.values(), *([] if self._loop is None else [self._loop])]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)

    @property
    def is_current(self) -> bool:
        """The database was asked within the publishing lead: no version can have been missed."""
        return self._clock() - self.asked_at_us < PUBLISH_LEAD_US

    async def refresh(self) -> None:
        """Load what is new: all that was in the database when this was called.

        One at a time: each goes on from where the last one has come to. Who had to wait and finds
        that one was begun since then, and has succeeded, does not ask the database again.
        """
        begun_before = self._begun
        async with self._refreshing:
            if self._loaded > begun_before:
                return
            self._begun += 1
            asked_at_us = self._clock()
            await self._refresh_stores()
            await self._refresh_products()
            await self._refresh_rulesets(asked_at_us)
            self.asked_at_us = asked_at_us
            self._loaded = self._begun

    async def catch_up(self) -> None:
        """Load versions that were published since this last looked."""
        newest = self._live[-1][1].version if self._live else 0
        if await self._source.versions_from(newest + 1):
            await self.refresh()

    def store(self, chain_id: str, store_id: str) -> StoreInfo:
        """Find a store.

        Raises:
            Refusal: UNKNOWN_STORE.
        """
        found = self._stores.get((chain_id, store_id))
        if found is None:
            metadata = {"chain_id": chain_id, "store_id": store_id}
            text = "the store is not known: import it before it sells"
            raise Refusal(Reason.UNKNOWN_STORE, text, metadata)
        return found

    def rules_at(self, chain_id: str, at_us: int) -> ProgramRules:
        """The chain's rules in force at an instant.

        Raises:
            Refusal: NO_RULESET.
        """
        for effective_at_us, ruleset in reversed(self._live):
            if effective_at_us <= at_us:
                return _of_chain(ruleset, chain_id)
        raise Refusal(Reason.NO_RULESET, "no ruleset is in force: publish a program")

    def rules_to_come(self, chain_id: str, at_us: int) -> list[ProgramRules]:
        """The chain's rules of the versions that are published and not in force at an instant."""
        return [
            ruleset.by_chain[chain_id]
            for effective_at_us, ruleset in self._live
            if effective_at_us > at_us and chain_id in ruleset.by_chain
        ]

    async def rules_in_force(self, chain_id: str, at_us: int) -> ProgramRules:
        """The chain's rules that were in force at an instant, however long ago.

        Raises:
            Refusal: NO_RULESET.
        """
        if self._live and self._live[0][0] <= at_us:
            return self.rules_at(chain_id, at_us)
        version = await self._source.version_in_force(at_us)
        if not version:
            raise Refusal(Reason.NO_RULESET, "no ruleset was in force then")
        return await self.rules_of(chain_id, version)

    async def rules_of(self, chain_id: str, version: int) -> ProgramRules:
        """The chain's rules at a version that a token names; an old one is loaded apart.

        Raises:
            Refusal: NO_RULESET.
        """
        found = self.rules_at_hand(chain_id, version)
        if found is None:
            found = _of_chain(await self._old_version(version), chain_id)
        return found

    def rules_at_hand(self, chain_id: str, version: int) -> ProgramRules | None:
        """The chain's rules at a version; None if it has to be loaded.

        Raises:
            Refusal: NO_RULESET.
        """
        for _, ruleset in self._live:
            if ruleset.version == version:
                return _of_chain(ruleset, chain_id)
        old = self._old.get(version)
        if old is None:
            return None
        self._old.move_to_end(version)
        return _of_chain(old, chain_id)

    def catalogue(self, chain_id: str) -> Catalogue:
        """The chain's articles."""
        return self._catalogues.get(chain_id, _EMPTY_CATALOGUE)

    def versions(self) -> list[tuple[int, int]]:
        """(version, effective_at_us) of the version in force and those to come."""
        return [(ruleset.version, effective_at_us) for effective_at_us, ruleset in self._live]

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.refresh()
            except Exception as error:
                _log.warning("reference_not_refreshed", error=str(error))
                # Perhaps nobody calls for a while, and an embedded database is started by us alone.
                await self._source.recover()

    async def _old_version(self, version: int) -> Ruleset:
        """Load an old version, once for all who ask meanwhile.

        It goes on when they give up: who asks again finds it.
        """
        loading = self._loading.get(version)
        if loading is None:
            loading = self._loading[version] = asyncio.create_task(self._load_old(version))
            loading.add_done_callback(self._note_loaded)
        return await asyncio.shield(loading)

    def _note_loaded(self, loading: "asyncio.Task[Ruleset]") -> None:
        self._loading = {key: one for key, one in self._loading.items() if one is not loading}
        if not loading.cancelled():
            loading.exception()  # perhaps nobody waits for it any more

    async def _load_old(self, version: int) -> Ruleset:
        record = await self._source.version_of(version)
        if record is None:
            raise Refusal(Reason.NO_RULESET, f"there is no version {version} of the ruleset")
        old = await self._load(record)
        self._keep_old(old)
        return old

    async def _load(self, record: VersionRecord) -> Ruleset:
        found = await load_version(record)
        if found is None:
            found = await compile_version(record, await self._source.content_of(record.version))
        for rules in found.by_chain.values():
            await asyncio.to_thread(self._prepare, rules)
        return found

    async def _refresh_rulesets(self, now_us: int) -> None:
        newest = self._live[-1][1].version if self._live else 0
        first = newest + 1 if newest else max(1, await self._source.version_in_force(now_us))
        for record in await self._source.versions_from(first):
            ruleset = await self._load(record)
            self._drop_replaced(record)
            self._live.append((record.effective_at_us, ruleset))
            _log.info("ruleset_loaded", version=record.version)
        self._drop_superseded(now_us)

    def _drop_replaced(self, by: VersionRecord) -> None:
        """Drop what never comes into force because of a newer version: instants then ascend."""
        while self._live and self._live[-1][0] > by.effective_at_us:
            _, ruleset = self._live.pop()
            _log.info("ruleset_replaced", version=ruleset.version, by=by.version)

    def _drop_superseded(self, now_us: int) -> None:
        while len(self._live) > 1 and self._live[1][0] <= now_us - SUPERSEDED_KEPT_US:
            _, ruleset = self._live.pop(0)
            self._keep_old(ruleset)

    def _keep_old(self, ruleset: Ruleset) -> None:
        self._old[ruleset.version] = ruleset
        while len(self._old) > OLD_RULESETS_MAX:
            self._old.popitem(last=False)

    async def _refresh_stores(self) -> None:
        change, records = await self._source.stores_after(self._store_change)
        for record in records:
            self._stores[record.chain_id, record.store_id] = StoreInfo(record)
        self._store_change = change

    async def _refresh_products(self) -> None:
        change, changed = await self._source.products_after(self._product_change)
        if changed:
            await self._rebuild_catalogues(changed)
        self._product_change = change

    async def _rebuild_catalogues(self, changed: Sequence[tuple[str, Product]]) -> None:
        by_chain: dict[str, dict[str, Product]] = {}
        for chain_id, product in changed:
            by_chain.setdefault(chain_id, {})[product.sku] = product
        for chain_id, products in by_chain.items():
            merged = {**self.catalogue(chain_id).products, **products}
            self._catalogues[chain_id] = await asyncio.to_thread(Catalogue, merged)


def _from(window: AssetWindow, at_us: int) -> AssetWindow:
    return AssetWindow(at_us, window.expires_at_us)


def _of_chain(ruleset: Ruleset, chain_id: str) -> ProgramRules:
    rules = ruleset.by_chain.get(chain_id)
    if rules is None:
        text = f"no program of chain {chain_id} is in force: publish one"
        raise Refusal(Reason.NO_RULESET, text, {"chain_id": chain_id})
    return rules
