"""The desk of this process: deals budgets of promotions out of leases that it has taken.

What is left is read and deducted without waiting in between, so that no unit is dealt twice. A
receipt that commits uses its lease in the same transaction; one that does not gives its part back
here; of one whose fate is not known nothing is given back: closing the lease finds it out.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import structlog

from rewards.commit import BudgetUse
from rewards.quota import NO_LIMIT, NOTHING, Amount, Budget
from server.clock import Clock
from server.store.budget_holds import HeldLease, HoldOrder, NewHeld
from server.store.database import RetryError
from server.store.leases import LeaseAnswer, LeaseOrder

LEASE_LIFE_US = 30_000_000
"""A lease that its server does not renew for so long is closed by whoever needs it."""
RENEWED_BEFORE_US = 15_000_000
"""So long before its end."""
TICK_S = 0.5
IDLE_S = 2.0
"""What nobody used for so long goes back, so that other servers can give it."""
GROWING_S = 5.0
"""A lease that is used up sooner is followed by a larger one."""
FORGOTTEN_S = 60.0
READ_AGAIN_S = 2.0
"""What is left of a budget is read again every tick for so long after a receipt asked."""

_log = structlog.get_logger(__name__)


class LeaseStore(Protocol):
    """What the desk needs of the database; see `server.store.leases.BudgetLeases`."""

    async def lease(self, order: LeaseOrder) -> LeaseAnswer:
        """Lease a chunk."""

    async def close(self, budget_id: bytes, lease_id: bytes) -> None:
        """Close a lease."""

    async def shrink(self, budget_id: bytes, lease_id: bytes, rest: Amount) -> None:
        """Give a part of a lease back."""

    async def hold(self, order: HoldOrder) -> bool:
        """Replace what a basket holds; False if a lease is not as it was read."""

    async def held(self, hold_id: bytes) -> tuple[HeldLease, ...]:
        """Read what a basket holds."""

    async def close_expired(self, now_us: int) -> int:
        """Close leases that nobody renews."""

    async def renew(
        self, leases: Sequence[tuple[bytes, bytes]], expires_at_us: int
    ) -> frozenset[bytes]:
        """Renew leases; those that are still open."""

    async def left_of(self, budgets: Sequence[Budget]) -> dict[bytes, Amount]:
        """What nobody has leased."""


class Want(NamedTuple):
    """What a receipt uses of a budget.

    Attributes:
        may_overrun: it is a fact that was shown this much, and no more can be leased.
    """

    budget: Budget
    amount: Amount
    may_overrun: bool = False


class Shortage(NamedTuple):
    """What the desk does not have of a budget."""

    budget: Budget
    missing: Amount


class _Lease:
    """A chunk as it is being dealt out; NO_LIMIT where it is without limit."""

    __slots__ = ("budget_id", "expires_at_us", "in_flight", "lease_id", "minor", "times", "used_s")

    def __init__(
        self, budget_id: bytes, lease_id: bytes, chunk: Amount, expires_at_us: int, now_s: float
    ) -> None:
        self.budget_id = budget_id
        self.lease_id = lease_id
        self.times = chunk.times
        self.minor = chunk.minor
        self.expires_at_us = expires_at_us
        self.in_flight = 0
        self.used_s = now_s

    def give(self, times: int, minor: int) -> None:
        """Put something back, or take it with a negative sign."""
        if self.times != NO_LIMIT:
            self.times += times
            assert self.times >= 0, "more was dealt than leased"
        if self.minor != NO_LIMIT:
            self.minor += minor
            assert self.minor >= 0, "more was dealt than leased"

    @property
    def is_empty(self) -> bool:
        """Nothing more can be given out of it alone."""
        return 0 in (self.times, self.minor)


class _Stock:
    """What this process has of one budget.

    Attributes:
        free: what nobody had leased when the database was last asked; None is not known.
        waiting: what receipts wait for.
        changes: counts leases, so that who waited sees that there is a new one.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.leases: list[_Lease] = []
        self.free: Amount | None = None
        self.waiting = NOTHING
        self.changes = 0
        self.turn = asyncio.Lock()
        self.last = NOTHING
        self.leased_s = 0.0
        self.asked_s = 0.0

    def usable(self, own: Sequence[_Lease] = ()) -> list[_Lease]:
        """The leases that count what the budget's limit counts; a new program may count more.

        Args:
            own: of the basket that asks, of all budgets; they come first.
        """
        most = self.budget.most
        mine = [one for one in own if one.budget_id == self.budget.budget_id]
        return [
            one
            for one in (*mine, *self.leases)
            if (one.times == NO_LIMIT) == (most.times == NO_LIMIT)
            and (one.minor == NO_LIMIT) == (most.minor == NO_LIMIT)
        ]

    def at_hand(self, own: Sequence[_Lease] = ()) -> Amount:
        """What can be dealt out now; NO_LIMIT where there is none."""
        most, leases = self.budget.most, self.usable(own)
        return Amount(
            NO_LIMIT if most.times == NO_LIMIT else sum([one.times for one in leases]),
            NO_LIMIT if most.minor == NO_LIMIT else sum([one.minor for one in leases]),
        )


_Piece = tuple[_Lease | None, int, int]
"""Out of which lease (None: overrun), receipts, minor units."""


class Desk:
    """Deals out budgets; one for each process."""

    def __init__(self, store: LeaseStore, clock: Clock, new_id: Callable[[], bytes]) -> None:
        """Start with nothing leased; `start` begins to look after leases.

        Args:
            store: where leases are taken.
            clock: the server's clock.
            new_id: makes ids of leases, 16 bytes.
        """
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._stocks: dict[bytes, _Stock] = {}
        self._leases: dict[bytes, _Lease] = {}
        self._closing: dict[bytes, _Lease] = {}
        self._left_over: dict[bytes, bytes] = {}
        """Leases of baskets that were sold, with their budgets."""
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to renew, give back and close leases."""
        self._keeper = asyncio.create_task(self._keep(), name="budgets")

    async def stop(self) -> None:
        """Give everything back that was not used."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._closing.update(self._leases)
        self._leases.clear()
        self._stocks.clear()
        try:
            await self._close_all()
        except RetryError as error:
            _log.warning("leases_not_closed", error=str(error))

    # --- what is left ----------------------------------------------------------------------------

    def left(self, budget: Budget, exactly: bool = False, held: Sequence[HeldLease] = ()) -> Amount:
        """What is left of a budget.

        Args:
            budget: by the program in use.
            exactly: only what can be taken at once; else also what nobody has leased yet, as far
                as it is known.
            held: by the basket that asks, of all budgets.
        """
        stock = self._stock(budget)
        here = stock.at_hand(_own_leases(held))
        if exactly:
            return here
        free = budget.most if stock.free is None else stock.free
        return Amount(
            *[a if a == NO_LIMIT else a + max(0, b) for a, b in zip(here, free, strict=True)]
        )

    def is_dry(self, shortage: Shortage) -> bool:
        """Whether of something that is missing there was no more to lease."""
        free = self._stock(shortage.budget).free
        return free is not None and any(
            missing and not left for missing, left in zip(shortage.missing, free, strict=True)
        )

    async def meet(self, budgets: Iterable[Budget], deadline_s: float) -> None:
        """Read what is left of budgets that this process has not met.

        Args:
            budgets: by the program in use.
            deadline_s: the loop's time at which waiting ends.

        Raises:
            RetryError: the database cannot be reached just now.
            TimeoutError: the time is up.
        """
        new = [one for one in budgets if self._stock(one).free is None]
        if new:
            async with asyncio.timeout_at(deadline_s):
                self._note_free(await self._store.left_of(new))

    def _stock(self, budget: Budget) -> _Stock:
        stock = self._stocks.get(budget.budget_id)
        if stock is None:
            stock = self._stocks[budget.budget_id] = _Stock(budget)
        stock.budget = budget
        stock.asked_s = asyncio.get_running_loop().time()
        return stock

    def _note_free(self, left: dict[bytes, Amount]) -> None:
        for budget_id, amount in left.items():
            if budget_id in self._stocks:
                self._stocks[budget_id].free = amount

    # --- dealing ---------------------------------------------------------------------------------

    def take(
        self, wants: Sequence[Want], held: Sequence[HeldLease] = ()
    ) -> tuple[tuple[BudgetUse, ...], list[Shortage]]:
        """Take all of what a receipt uses, or nothing.

        Args:
            wants: one for each budget.
            held: by the basket of the receipt: that goes first.

        Returns:
            What was taken, which must be settled; or what is missing.
        """
        pieces: list[tuple[Want, list[_Piece]]] = []
        shortages: list[Shortage] = []
        own = _own_leases(held)
        for want in wants:
            dealt, missing = _dealt(self._stock(want.budget), want.amount, own)
            if missing != NOTHING:
                if want.may_overrun:
                    dealt.append((None, *(missing if dealt else want.amount)))
                else:
                    shortages.append(Shortage(want.budget, missing))
            pieces.append((want, dealt))
        if shortages:
            return (), shortages
        now_s = asyncio.get_running_loop().time()
        return tuple(
            _used(want, piece, now_s) for want, dealt in pieces for piece in dealt
        ), shortages

    def settle(self, uses: Iterable[BudgetUse], was_written: bool) -> None:
        """Say what became of a commit that used leases.

        Args:
            uses: what it used; what a basket held stands with the database alone.
            was_written: it is on disk, or may be; otherwise what it took is there again.
        """
        for use in uses:
            lease = self._leases.get(use.lease_id) or self._closing.get(use.lease_id)
            if lease is not None:
                lease.in_flight -= 1
                if not was_written:
                    lease.give(use.times, use.amount_minor)
                    lease.used_s = asyncio.get_running_loop().time()

    def doubt(self, uses: Iterable[BudgetUse]) -> None:
        """Deal no more out of leases of which one was found closed."""
        for use in uses:
            self._drop(use.lease_id)

    def _drop(self, lease_id: bytes) -> None:
        """Take a lease out of the stock; it is closed as soon as nothing is in flight."""
        lease = self._leases.pop(lease_id, None)
        if lease is not None:
            self._closing[lease_id] = lease
            stock = self._stocks.get(lease.budget_id)
            if stock is not None:
                stock.leases.remove(lease)

    # --- reserving -------------------------------------------------------------------------------

    async def held(self, hold_id: bytes) -> tuple[HeldLease, ...]:
        """Read what a basket holds.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        return await self._store.held(hold_id)

    async def hold(
        self,
        hold_id: bytes,
        uses: tuple[BudgetUse, ...],
        held: tuple[HeldLease, ...],
        expires_at_us: int,
    ) -> bool:
        """Make what was taken for a basket leases of its own, in place of all that it held.

        Args:
            hold_id: the basket's.
            uses: as taken; they are settled here. Nothing ends what it held.
            held: as it was read.
            expires_at_us: when the hold lapses, UTC microseconds.

        Returns:
            False if a lease is not as it was read any more: read and decide again.

        Raises:
            RetryError: the database cannot be reached just now; read and decide again.
        """
        if not uses and not held:
            return True
        sums: dict[bytes, Amount] = {}
        for use in uses:
            amount = Amount(use.times, use.amount_minor)
            sums[use.budget_id] = _sum(sums.get(use.budget_id, NOTHING), amount)
        new = tuple(
            NewHeld(budget_id, self._new_id(), _counted(self._stocks[budget_id].budget, amount))
            for budget_id, amount in sums.items()
        )
        order = HoldOrder(hold_id, uses, new, held, expires_at_us)
        # Shielded: what becomes of the leases is known here, whoever goes away.
        work = asyncio.create_task(self._write_hold(order))
        work.add_done_callback(_swallow)
        return await asyncio.shield(work)

    async def _write_hold(self, order: HoldOrder) -> bool:
        is_held = True  # or may be, where its fate is not known: then closing finds it out
        try:
            is_held = await self._store.hold(order)
            if not is_held:
                self.doubt(order.uses)
            return is_held
        finally:
            self.settle(order.uses, is_held)
            for one in order.held:
                self._ask_again(one.budget_id)

    def close_later(self, held: Iterable[HeldLease]) -> None:
        """Give back what a basket held and has not used, soon; it would lapse by itself."""
        self._left_over.update({one.lease_id: one.budget_id for one in held})

    # --- leasing ---------------------------------------------------------------------------------

    async def lease(self, shortages: Sequence[Shortage], deadline_s: float) -> None:
        """Lease what is missing, as far as there is any.

        Args:
            shortages: as `take` said.
            deadline_s: the loop's time at which waiting ends.

        Raises:
            TimeoutError: the time is up.
            RetryError: the database cannot be reached just now.
        """
        for shortage in shortages:
            # Shielded: a lease that is being taken is registered, whoever goes away.
            work = asyncio.ensure_future(self._restock(shortage))
            work.add_done_callback(_swallow)
            async with asyncio.timeout_at(deadline_s):
                await asyncio.shield(work)

    async def _restock(self, shortage: Shortage) -> None:
        stock = self._stock(shortage.budget)
        changes = stock.changes
        stock.waiting = _sum(stock.waiting, shortage.missing)
        try:
            async with stock.turn:
                if stock.changes != changes:
                    return  # somebody leased meanwhile: enough, it may be
                await self._lease_more(stock)
                if self.is_dry(shortage) and await self._store.close_expired(self._clock()):
                    await self._lease_more(stock)
        finally:
            stock.waiting = Amount(
                stock.waiting.times - shortage.missing.times,
                stock.waiting.minor - shortage.missing.minor,
            )

    async def _lease_more(self, stock: _Stock) -> None:
        now_s = asyncio.get_running_loop().time()
        last = stock.last if now_s - stock.leased_s < GROWING_S else NOTHING
        expires_at_us = self._clock() + LEASE_LIFE_US
        order = LeaseOrder(stock.budget, self._new_id(), stock.waiting, last, expires_at_us)
        answer = await self._store.lease(order)
        stock.free = answer.left
        if answer.chunk == NOTHING:
            return
        now_s = asyncio.get_running_loop().time()
        budget_id = stock.budget.budget_id
        lease = _Lease(budget_id, order.lease_id, answer.chunk, expires_at_us, now_s)
        stock.last = Amount(max(0, answer.chunk.times), max(0, answer.chunk.minor))
        stock.leased_s = now_s
        stock.changes += 1
        self._leases[lease.lease_id] = lease
        # Forgotten while it was waited for: known again with what it has.
        self._stocks.setdefault(budget_id, stock).leases.append(lease)

    # --- looking after leases --------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.look_after()
            except RetryError as error:
                _log.warning("leases_not_renewed", error=str(error))
            except Exception:
                _log.exception("leases_not_renewed")

    async def look_after(self) -> None:
        """Give idle leases back, renew the others, close what has expired, read what is left.

        Raises:
            RetryError: the database cannot be reached just now; the next time goes on.
        """
        now_us, now_s = self._clock(), asyncio.get_running_loop().time()
        for lease in list(self._leases.values()):
            idle = lease.is_empty or now_s - lease.used_s >= IDLE_S
            if idle and not lease.in_flight:
                self._drop(lease.lease_id)
            elif idle:
                await self._shrink(lease)
        await self._close_all()
        await self._renew(now_us)
        if self._stocks:
            await self._store.close_expired(now_us)
        await self._read_again(now_s)

    async def _shrink(self, lease: _Lease) -> None:
        """Give back all of a lease but what is in flight."""
        rest = Amount(max(0, lease.times), max(0, lease.minor))
        if rest != NOTHING:
            lease.give(-rest.times, -rest.minor)
            await self._store.shrink(lease.budget_id, lease.lease_id, rest)
            self._ask_again(lease.budget_id)

    def _ask_again(self, budget_id: bytes) -> None:
        """Forget what was free of a budget to which something went back."""
        if budget_id in self._stocks:
            self._stocks[budget_id].free = None

    async def _close_all(self) -> None:
        for lease in list(self._closing.values()):
            if not lease.in_flight:
                await self._store.close(lease.budget_id, lease.lease_id)
                self._closing.pop(lease.lease_id, None)
                self._ask_again(lease.budget_id)
        for lease_id, budget_id in list(self._left_over.items()):
            await self._store.close(budget_id, lease_id)
            self._left_over.pop(lease_id, None)
            self._ask_again(budget_id)

    async def _renew(self, now_us: int) -> None:
        due = [
            (lease.budget_id, lease.lease_id)
            for lease in self._leases.values()
            if lease.expires_at_us - now_us < RENEWED_BEFORE_US
        ]
        if not due:
            return
        expires_at_us = now_us + LEASE_LIFE_US
        still_open = await self._store.renew(due, expires_at_us)
        for _, lease_id in due:
            if lease_id not in still_open:
                self._drop(lease_id)
            elif lease_id in self._leases:
                self._leases[lease_id].expires_at_us = expires_at_us

    async def _read_again(self, now_s: float) -> None:
        for stock in list(self._stocks.values()):
            if not stock.leases and now_s - stock.asked_s > FORGOTTEN_S:
                del self._stocks[stock.budget.budget_id]
        asked = [
            stock.budget
            for stock in self._stocks.values()
            if stock.free is not None and now_s - stock.asked_s < READ_AGAIN_S
        ]
        if asked:
            self._note_free(await self._store.left_of(asked))


def _counted(budget: Budget, amount: Amount) -> Amount:
    """An amount as a lease of the budget has it: NO_LIMIT for what the budget does not limit."""
    return Amount(*[m if m == NO_LIMIT else a for m, a in zip(budget.most, amount, strict=True)])


def _own_leases(held: Sequence[HeldLease]) -> list[_Lease]:
    """What a basket holds, to be dealt out to it; nobody else deals out of these."""
    return [_Lease(one.budget_id, one.lease_id, one.left, 0, 0.0) for one in held]


def _dealt(
    stock: _Stock, amount: Amount, own: Sequence[_Lease] = ()
) -> tuple[list[_Piece], Amount]:
    """Divide what a receipt uses over the leases; give also what is missing."""
    most = stock.budget.most
    times = 0 if most.times == NO_LIMIT else amount.times
    minor = 0 if most.minor == NO_LIMIT else amount.minor
    # What is without limit is only counted: with the first part of what is not.
    extra_times, extra_minor = amount.times - times, amount.minor - minor
    pieces: list[_Piece] = []
    for lease in stock.usable(own):
        part_times, part_minor = min(times, max(0, lease.times)), min(minor, max(0, lease.minor))
        if part_times or part_minor:
            pieces.append((lease, part_times + extra_times, part_minor + extra_minor))
            times, minor = times - part_times, minor - part_minor
            extra_times = extra_minor = 0
    return pieces, Amount(times, minor)


def _used(want: Want, piece: _Piece, now_s: float) -> BudgetUse:
    lease, times, minor = piece
    if lease is None:
        return BudgetUse(want.budget.budget_id, b"", times, minor, is_overrun=True)
    lease.give(-times, -minor)
    lease.in_flight += 1
    lease.used_s = now_s
    return BudgetUse(want.budget.budget_id, lease.lease_id, times, minor)


def _sum(one: Amount, other: Amount) -> Amount:
    return Amount(one.times + other.times, one.minor + other.minor)


def _swallow(work: "asyncio.Future[None] | asyncio.Task[bool]") -> None:
    """Take note of an end that nobody waits for any more."""
    if not work.cancelled():
        work.exception()
