"""A database of leases in memory: the rules of `server.store.leases` and of the commit, no SQL."""

import asyncio
from collections import deque
from collections.abc import Sequence

from rewards.commit import BudgetUse
from rewards.quota import NO_LIMIT, NOTHING, Amount, Budget, chunk_of
from server.store.budget_holds import HeldLease, HoldOrder
from server.store.database import RetryError
from server.store.leases import LeaseAnswer, LeaseOrder


class Row:
    """One lease."""

    def __init__(self, chunk: Amount, expires_at_us: int, hold_id: bytes = b"") -> None:
        self.chunk = chunk
        self.hold_id = hold_id
        self.expires_at_us = expires_at_us
        self.used = NOTHING
        self.is_open = True


def added(one: Amount, other: Amount, sign: int = 1) -> Amount:
    return Amount(one.times + sign * other.times, one.minor + sign * other.minor)


class LeaseStoreFake:
    """Budgets, leases and what receipts used of them.

    Attributes:
        leased: by budget; chunks of open leases and what was used of closed ones.
        written: by budget, what commits used.
        faults: for each call to come whether it fails, and then whether it was done: None, False,
            True.
    """

    def __init__(self) -> None:
        self.leased: dict[bytes, Amount] = {}
        self.written: dict[bytes, Amount] = {}
        self.overrun: dict[bytes, Amount] = {}
        self.rows: dict[bytes, tuple[bytes, Row]] = {}
        self.faults: deque[bool | None] = deque()
        self.calls: list[str] = []
        self.delay_s = 0.001

    async def lease(self, order: LeaseOrder) -> LeaseAnswer:
        done = await self._called("lease")
        if done is False:
            raise away()
        budget = order.budget
        left = self._left(budget)
        chunk = Amount(
            *[
                NO_LIMIT if free == NO_LIMIT else chunk_of(asked, free, last)
                for asked, free, last in zip(order.asked, left, order.last, strict=True)
            ]
        )
        taken = Amount(max(0, chunk.times), max(0, chunk.minor))
        answer = LeaseAnswer(NOTHING, left)
        if taken != NOTHING:
            self._settle(budget.budget_id, taken)
            self.rows[order.lease_id] = budget.budget_id, Row(chunk, order.expires_at_us)
            answer = LeaseAnswer(chunk, self._left(budget))
        if done is True:
            raise away()
        return answer

    async def close(self, budget_id: bytes, lease_id: bytes) -> None:
        done = await self._called("close")
        if done is not False:
            self._close(lease_id)
        if done is not None:
            raise away()

    async def shrink(self, budget_id: bytes, lease_id: bytes, rest: Amount) -> None:
        done = await self._called("shrink")
        _, row = self.rows[lease_id]
        if done is not False and row.is_open:
            row.chunk = added(row.chunk, rest, -1)
            self._settle(budget_id, rest, -1)
        if done is not None:
            raise away()

    async def held(self, hold_id: bytes) -> tuple[HeldLease, ...]:
        if await self._called("held") is not None:
            raise away()
        return tuple(
            HeldLease(budget_id, lease_id, row.chunk, row.used)
            for lease_id, (budget_id, row) in self.rows.items()
            if row.hold_id == hold_id and row.is_open
        )

    async def hold(self, order: HoldOrder) -> bool:
        done = await self._called("hold")
        if done is False:
            raise away()
        used = {use.lease_id for use in order.uses}
        own = {one.lease_id: one.used for one in order.held}
        changed = {
            lease_id
            for lease_id in used | own.keys()
            if not (row := self.rows[lease_id][1]).is_open
            or row.used != own.get(lease_id, row.used)
        }
        if changed & used:
            return False
        for lease_id in own.keys() - changed:
            self._close(lease_id)
        for use in order.uses:
            if use.lease_id not in own:
                self._cut(use)
        for one in order.new:
            assert one.budget_id in self.leased
            self._settle(one.budget_id, Amount(*[max(0, minor) for minor in one.chunk]))
            row = Row(one.chunk, order.expires_at_us, order.hold_id)
            self.rows[one.lease_id] = one.budget_id, row
        if done is True:
            raise away()
        return True

    def _cut(self, use: BudgetUse) -> None:
        row = self.rows[use.lease_id][1]
        part = Amount(
            *[
                0 if most == NO_LIMIT else minor
                for most, minor in zip(row.chunk, (use.times, use.amount_minor), strict=True)
            ]
        )
        row.chunk = added(row.chunk, part, -1)
        assert all(m == NO_LIMIT or u <= m for u, m in zip(row.used, row.chunk, strict=True))
        self._settle(use.budget_id, part, -1)

    async def close_expired(self, now_us: int) -> int:
        if await self._called("close_expired") is not None:
            raise away()
        due = [
            lease_id
            for lease_id, (_, row) in self.rows.items()
            if row.is_open and row.expires_at_us < now_us
        ]
        for lease_id in due:
            self._close(lease_id)
        return len(due)

    async def renew(
        self, leases: Sequence[tuple[bytes, bytes]], expires_at_us: int
    ) -> frozenset[bytes]:
        if await self._called("renew") is not None:
            raise away()
        found = [one for _, one in leases if self.rows[one][1].is_open]
        for lease_id in found:
            self.rows[lease_id][1].expires_at_us = expires_at_us
        return frozenset(found)

    async def left_of(self, budgets: Sequence[Budget]) -> dict[bytes, Amount]:
        if await self._called("left_of") is not None:
            raise away()
        return {budget.budget_id: self._left(budget) for budget in budgets}

    def commit(self, uses: Sequence[BudgetUse]) -> bool:
        """Write a receipt; not if one of its leases is closed."""
        if any(use.lease_id and not self.rows[use.lease_id][1].is_open for use in uses):
            return False
        for use in uses:
            amount = Amount(use.times, use.amount_minor)
            kept = self.overrun if use.is_overrun else self.written
            kept[use.budget_id] = added(kept.get(use.budget_id, NOTHING), amount)
            if use.lease_id:
                row = self.rows[use.lease_id][1]
                row.used = added(row.used, amount)
                for used, most in zip(row.used, row.chunk, strict=True):
                    assert most == NO_LIMIT or used <= most, "a lease is never overrun"
        return True

    def _close(self, lease_id: bytes) -> None:
        budget_id, row = self.rows[lease_id]
        if row.is_open:
            row.is_open = False
            chunk = Amount(max(0, row.chunk.times), max(0, row.chunk.minor))
            self._settle(budget_id, added(row.used, chunk, -1))

    def _settle(self, budget_id: bytes, amount: Amount, sign: int = 1) -> None:
        self.leased[budget_id] = added(self.leased.get(budget_id, NOTHING), amount, sign)

    def _left(self, budget: Budget) -> Amount:
        leased = self.leased.get(budget.budget_id, NOTHING)
        return Amount(
            *[
                m if m == NO_LIMIT else max(0, m - t)
                for m, t in zip(budget.most, leased, strict=True)
            ]
        )

    async def _called(self, name: str) -> bool | None:
        self.calls.append(name)
        await asyncio.sleep(self.delay_s)
        return self.faults.popleft() if self.faults else None


def away() -> RetryError:
    return RetryError("away", fate_unknown=False)
