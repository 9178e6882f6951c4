"""Goal: whoever asks for what is new gets it, also beside others, and nothing is loaded twice."""

import asyncio
from collections.abc import Sequence

import pytest

from rewards.product import Product
from server.reference import Reference
from server.store.feeds import StoreRecord, VersionRecord

CHAIN, CALLERS = "chain", 10


class _Source:
    """A database of stores alone; each look waits until it is let go on.

    Attributes:
        looks: of how many refreshes the first step was begun.
        at_once: how many of them at most were under way together.
    """

    def __init__(self) -> None:
        self.stores: list[str] = []
        self.looks = self.at_once = 0
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
        """Have none."""
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
