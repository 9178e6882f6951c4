"""Look-ups of all calls in dynamic batches: what queued while the last one ran goes together.

Calls that can wait are told what was found a few at a time, so that a batch of them, each of which
then decides a receipt, never keeps a live till waiting for more than a few decisions.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from rewards.quota import Amount
from server.deadlines import Deadlines
from server.gathering import Pace
from server.store.budget_holds import HeldLease
from server.store.database import Found, RetryError, both
from server.store.facts import KnownCustomer, KnownKey
from server.store.forwarded import Parked

BATCH_MAX = 256
TOLD_TOGETHER = 4
"""Of calls that can wait, once round the event loop: each round costs some 0.2 ms with gRPC."""
IN_STEP_FROM = 16
"""Live calls found together that decide in step: of fewer each turn of the loop costs more."""
BATCHES_APART_S = 0.006
"""Under load; a batch of ENTRIES_ENOUGH or the first after a pause does not wait."""

_WANTED, _USES, _CAN_WAIT = itemgetter(0), attrgetter("uses"), attrgetter("can_wait")
_Found = TypeVar("_Found")


class Wanted(Struct, frozen=True, gc=False):
    """What one call looks up: keys, hashes of the identifiers it was given, prices of lists.

    Attributes:
        uses: account and periods, of what promotions have been used for a customer.
        hold_ids: of the basket.
        lease_hold_ids: the same, if it may hold something of budgets.
        sale_ids: sales of which it asks what waits for them.
        can_wait: nobody stands at a till for it.
    """

    key_ids: tuple[bytes, ...]
    identifier_hashes: tuple[bytes, ...]
    price_keys: tuple[bytes, ...] = ()
    uses: tuple[int, tuple[str, ...]] | None = None
    hold_ids: tuple[bytes, ...] = ()
    lease_hold_ids: tuple[bytes, ...] = ()
    sale_ids: tuple[bytes, ...] = ()
    can_wait: bool = False


class Seen(Struct, frozen=True):
    """What was found.

    Attributes:
        keys: those that are taken.
        customer: that of the first identifier that anybody has.
        prices: (unit, minor units) of the prices that are there.
        uses: what promotions have been used for the customer, by promotion and period.
        held: accounts on which there are holds of those ids, lapsed or not.
        leases: what the basket holds of budgets, lapsed or not.
        parked: refunds and voids that wait for its sale.
        in_step: it was found with many others: they decide in step (`server.till.step`).
    """

    keys: dict[bytes, KnownKey]
    customer: KnownCustomer | None
    prices: dict[bytes, tuple[int, int]] = {}
    uses: dict[tuple[str, str], Amount] = {}
    held: tuple[int, ...] = ()
    leases: tuple[HeldLease, ...] = ()
    parked: tuple[Parked, ...] = ()
    in_step: bool = False


class FactSource(Protocol):
    """What look-ups need of the database."""

    async def find(
        self,
        key_ids: Sequence[bytes],
        hashes: Sequence[bytes],
        price_keys: Sequence[bytes] = (),
        uses: Sequence[tuple[int, tuple[str, ...]]] = (),
        hold_ids: Sequence[bytes] = (),
        lease_hold_ids: Sequence[bytes] = (),
    ) -> Found:
        """Look up keys, customers, prices, uses of accounts in periods, and holds."""

    async def parked_of(self, original_key_ids: Sequence[bytes]) -> list[Parked]:
        """Look up what waits for some sales."""

    async def recover(self) -> None:
        """Wait until the next attempt makes sense."""


class Lookups:
    """Batches the look-ups of this process over a few connections."""

    def __init__(self, source: FactSource) -> None:
        """Start idle.

        Args:
            source: where to look.
        """
        self._source = source
        self._queue: list[tuple[Wanted, asyncio.Future[Seen]]] = []
        self._serving: list[tuple[Wanted, asyncio.Future[Seen]]] = []
        self._patient: deque[tuple[asyncio.Future[Seen], Seen]] = deque()
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._pace = Pace(BATCHES_APART_S)
        self._deadlines = Deadlines(_give_up)

    def start(self) -> None:
        """Begin to look things up."""
        self._worker = asyncio.create_task(self._work(), name="lookups")

    async def stop(self) -> None:
        """Stop; calls that still wait are cancelled."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        waiting = [future for _, future in (*self._serving, *self._queue)]
        for future in (*waiting, *(future for future, _ in self._patient)):
            future.cancel()

    async def look_up(self, wanted: Wanted, deadline_s: float) -> Seen:
        """Look up; waits while the database is away.

        Args:
            wanted: keys and identifiers.
            deadline_s: the loop's time at which waiting ends.

        Raises:
            TimeoutError: the time is up.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Seen] = loop.create_future()
        self._deadlines.watch(future, deadline_s)
        self._queue.append((wanted, future))
        self._wake.set()
        try:
            return await future
        finally:
            self._deadlines.forget(future)

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            await self._pace.ready(lambda: len(self._queue))
            batch, self._queue = self._queue[:BATCH_MAX], self._queue[BATCH_MAX:]
            if not self._queue:
                self._wake.clear()
            batch = [one for one in batch if not one[1].done()]
            if batch:
                self._serving = batch
                await self._serve(batch)
                self._serving = []

    async def _serve(self, batch: list[tuple[Wanted, "asyncio.Future[Seen]"]]) -> None:
        wants: list[Wanted] = list(map(_WANTED, batch))
        key_ids = _together(wants, "key_ids")
        hashes = _together(wants, "identifier_hashes")
        price_keys = _together(wants, "price_keys")
        uses = [one for one in map(_USES, wants) if one is not None]
        hold_ids = _together(wants, "hold_ids")
        leases = _together(wants, "lease_hold_ids")
        sale_ids = _together(wants, "sale_ids")
        try:
            finding = self._source.find(key_ids, hashes, price_keys, uses, hold_ids, leases)
            if sale_ids:
                found, parked = await both(finding, self._source.parked_of(sale_ids))
            else:
                found, parked = await finding, []
        except RetryError:
            self._queue = batch + self._queue
            self._wake.set()
            await self._source.recover()
            return
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        in_step = len(wants) - sum(map(_CAN_WAIT, wants)) >= IN_STEP_FROM
        for wanted, future in batch:
            if future.done():
                continue
            seen = seen_by(wanted, found, parked, in_step and not wanted.can_wait)
            if wanted.can_wait:
                self._tell_in_turn(future, seen)
            else:
                future.set_result(seen)

    def _tell_in_turn(self, future: "asyncio.Future[Seen]", seen: Seen) -> None:
        self._patient.append((future, seen))
        if len(self._patient) == 1:
            asyncio.get_running_loop().call_soon(self._tell_next)

    def _tell_next(self) -> None:
        """Tell a few calls, and the next ones after the loop has gone round."""
        for _ in range(min(TOLD_TOGETHER, len(self._patient))):
            future, seen = self._patient.popleft()
            if not future.done():
                future.set_result(seen)
        if self._patient:
            asyncio.get_running_loop().call_soon(self._tell_next)


def _give_up(future: "asyncio.Future[Seen]") -> None:
    if not future.done():
        future.set_exception(TimeoutError("the look-up took too long"))


def _together(wants: Iterable[Wanted], field: str) -> list[Any]:
    """What calls look up of one kind, one call after the other."""
    return list(chain.from_iterable(map(attrgetter(field), wants)))


def seen_by(
    wanted: Wanted, found: Found, parked: Sequence[Parked] = (), in_step: bool = False
) -> Seen:
    """Pick what one call asked for out of what a batch found."""
    keys = _of(wanted.key_ids, found.keys) if found.keys else {}
    held = _of_each(wanted.hold_ids, found.held) if found.held else ()
    leases = _of_each(wanted.lease_hold_ids, found.leases) if found.leases else ()
    own = tuple([one for one in parked if one.original_key_id in wanted.sale_ids]) if parked else ()
    for digest in wanted.identifier_hashes:
        owner = found.identifiers.get(digest)
        if owner is not None and owner in found.customers:
            customer = found.customers[owner]
            return Seen(keys, customer, {}, {}, held, leases, own, in_step)
    if wanted.uses is not None:
        return Seen(keys, None, {}, found.uses.get(wanted.uses[0], {}))
    if not wanted.price_keys:
        return Seen(keys, None, {}, {}, held, leases, own, in_step)
    return Seen(keys, None, _of(wanted.price_keys, found.prices))


def _of(wanted: Iterable[bytes], found: Mapping[bytes, _Found]) -> dict[bytes, _Found]:
    return {key: found[key] for key in wanted if key in found}


def _of_each(
    wanted: Iterable[bytes], found: Mapping[bytes, tuple[_Found, ...]]
) -> tuple[_Found, ...]:
    return tuple([one for key in wanted for one in found.get(key, ())])
