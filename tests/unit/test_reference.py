"""Goal: whoever asks for what is new gets it, also beside others, and nothing is loaded twice."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from rewards.compilation import compile_ruleset
from rewards.product import Product
from rewards.program import Program
from rewards.refusal import Reason, Refusal
from rewards.ruleset import encode_ruleset
from server.reference import SUPERSEDED_KEPT_US, Reference
from server.store.feeds import StoreRecord, VersionRecord
from server.store.packed import pack
from server.till.old_rules import rules_of_version
from tests.serving import PROGRAM

CHAIN, CALLERS = "chain", 10
PROGRAMS = (msgspec.convert({**PROGRAM, "chain_id": CHAIN}, Program),)


class _Source:
    """A database of stores alone; each look waits until it is let go on.

    Attributes:
        looks: of how many refreshes the first step was begun.
        at_once: how many of them at most were under way together.
        old_looks: how often an old version was looked for.
    """

    def __init__(self) -> None:
        self.stores: list[str] = []
        self.looks = self.at_once = self.old_looks = 0
        self.failing = False
        self.looked, self.free = asyncio.Event(), asyncio.Event()
        self._under_way = 0

    async def stores_after(self, change: int) -> tuple[int, Sequence[StoreRecord]]:
        """Say what was there at the beginning."""
        self.looks += 1
        self.looked.set()
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        found = [StoreRecord(CHAIN, one, "UTC", "EUR", "en", (), one) for one in self.stores]
        await self.free.wait()
        return len(found), found[change:]

    async def products_after(self, change: int) -> tuple[int, Sequence[tuple[str, Product]]]:
        """Have none."""
        return 0, ()

    async def version_in_force(self, at_us: int) -> int:
        """Have none."""
        return 0

    async def versions_from(self, version: int) -> Sequence[VersionRecord]:
        """Have none; fail where that is wanted."""
        self._under_way -= 1
        if self.failing:
            raise LookupError("cannot be read")
        return ()

    async def version_of(self, version: int) -> VersionRecord | None:
        """Have none, as is found out when it is let go on."""
        self.old_looks += 1
        self.looked.set()
        await self.free.wait()
        return None

    async def content_of(self, version: int) -> bytes:
        """Have none."""
        return b""

    async def recover(self) -> None:
        """Be there."""


async def _begun(source: _Source, reference: Reference) -> "asyncio.Task[None]":
    """A refresh that has looked, and waits."""
    task = asyncio.create_task(reference.refresh())
    await source.looked.wait()
    return task


async def test_who_asks_during_a_refresh_gets_what_that_one_did_not_see() -> None:
    source = _Source()
    reference = Reference(source, lambda: 0)
    first = await _begun(source, reference)
    source.stores.append("new")
    later = [asyncio.create_task(reference.refresh()) for _ in range(CALLERS)]
    source.free.set()
    await asyncio.gather(first, *later)
    assert reference.store(CHAIN, "new").record.store_id == "new"
    assert (source.looks, source.at_once) == (2, 1)


async def test_one_that_fails_tells_nobody_that_all_is_loaded() -> None:
    source = _Source()
    reference = Reference(source, lambda: 0)
    source.failing = True
    first = await _begun(source, reference)
    later = [asyncio.create_task(reference.refresh()) for _ in range(CALLERS)]
    source.free.set()
    with pytest.raises(LookupError):
        await first
    found = await asyncio.gather(*later, return_exceptions=True)
    assert {type(one) for one in found} == {LookupError}
    assert (source.looks, source.at_once) == (1 + CALLERS, 1)
    source.failing = False
    await reference.refresh()
    assert source.looks == 2 + CALLERS


async def test_an_old_version_is_loaded_once_and_goes_on_when_one_gives_up() -> None:
    source = _Source()
    reference = Reference(source, lambda: 0)
    patient = asyncio.create_task(reference.rules_of(CHAIN, 7))
    await source.looked.wait()
    with pytest.raises(Refusal) as hasty:
        await rules_of_version(reference, CHAIN, 7, deadline_s=0.0)
    assert hasty.value.reason is Reason.DEADLINE_PASSED
    source.free.set()
    with pytest.raises(Refusal) as told:
        await patient
    assert (told.value.reason, source.old_looks) == (Reason.NO_RULESET, 1)
    with pytest.raises(Refusal):
        await reference.rules_of(CHAIN, 7)
    assert source.old_looks == 2, "what could not be loaded is looked for again"


async def test_what_is_being_loaded_ends_with_the_process() -> None:
    source = _Source()
    reference = Reference(source, lambda: 0)
    waiting = asyncio.create_task(reference.rules_of(CHAIN, 7))
    await source.looked.wait()
    await reference.stop()
    with pytest.raises(asyncio.CancelledError):
        await waiting


class _Rules(_Source):
    """A database of versions alone, which are there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.free.set()
        self.versions: list[VersionRecord] = []

    def add(self, version: int, effective_at_us: int) -> None:
        """Publish."""
        compiled = pack(encode_ruleset(compile_ruleset(version, PROGRAMS)))
        self.versions.append(VersionRecord(version, effective_at_us, compiled))

    async def versions_from(self, version: int) -> Sequence[VersionRecord]:
        """Say what was published, replaced or not: a server has loaded it before."""
        return [one for one in self.versions if one.version >= version]

    async def version_of(self, version: int) -> VersionRecord | None:
        """Count who looks for an old one."""
        self.old_looks += 1
        return next((one for one in self.versions if one.version == version), None)


def _at(reference: Reference, at_us: int) -> int:
    return reference.rules_at(CHAIN, at_us).version


async def test_a_version_that_is_replaced_is_no_longer_to_come() -> None:
    source, clock = _Rules(), [100]
    reference = Reference(source, lambda: clock[0])
    for version, effective_at_us in ((1, 10), (2, 500), (3, 900)):
        source.add(version, effective_at_us)
    await reference.refresh()
    assert [one.version for one in reference.rules_to_come(CHAIN, 100)] == [2, 3]
    source.add(4, 500)
    await reference.refresh()
    assert reference.versions() == [(1, 10), (2, 500), (4, 500)], "of equal instants the newest"
    source.add(5, 300)
    await reference.refresh()
    assert reference.versions() == [(1, 10), (5, 300)]
    assert [one.version for one in reference.rules_to_come(CHAIN, 100)] == [5]
    assert [_at(reference, at_us) for at_us in (10, 299, 300, 500, 900)] == [1, 1, 5, 5, 5]
    source.add(6, 301)
    await reference.refresh()
    assert [_at(reference, at_us) for at_us in (299, 300, 301, 900)] == [1, 5, 6, 6]


async def test_the_only_version_can_be_replaced() -> None:
    source = _Rules()
    reference = Reference(source, lambda: 100)
    source.add(1, 900)
    await reference.refresh()
    source.add(2, 300)
    await reference.refresh()
    assert reference.versions() == [(2, 300)]
    with pytest.raises(Refusal):
        reference.rules_at(CHAIN, 299)
    assert _at(reference, 900) == 2


async def test_a_replaced_version_does_not_keep_older_ones_live() -> None:
    """Its instant is years ahead; that of the one in its place has passed."""
    source, clock = _Rules(), [100]
    reference = Reference(source, lambda: clock[0])
    for version, effective_at_us in ((1, 10), (2, 10**15), (3, 300)):
        source.add(version, effective_at_us)
        await reference.refresh()
    clock[0] = 300 + SUPERSEDED_KEPT_US
    await reference.refresh()
    assert reference.versions() == [(3, 300)]
    assert (await reference.rules_of(CHAIN, 1)).version == 1
    assert source.old_looks == 0, "the one that was in force is kept for tokens"
    assert (await reference.rules_of(CHAIN, 2)).version == 2, "and that one is still to be found"
