"""Leases of budgets: chunks that servers take and deal out, and what is left.

Closing a lease and using it exclude each other by the lease's own row: a receipt that comes too
late finds it closed and is decided again.
"""

from collections.abc import Sequence

from msgspec import Struct

from rewards.quota import NO_LIMIT, NOTHING, Amount, Budget, chunk_of
from server.store import budget_holds
from server.store.budget_holds import (
    CUT_LEASE,
    SETTLE_BUDGET,
    HeldChangedError,
    HeldLease,
    HoldOrder,
    read_held_leases,
    write_hold,
)
from server.store.database import Database

BUDGETS_SHOWN_MAX = 1_000

MEET_BUDGET = """
insert into budget as b (budget_id, chain_id, promotion_id, store_id, period, most_times,
                         most_minor)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (budget_id)
do update set most_times = excluded.most_times, most_minor = excluded.most_minor
returning leased_times - returned_times, leased_minor - returned_minor
"""

# The conditions hold already: whoever met the budget has its row. They say what may never happen.
LEASE_CHUNK = """
update budget
   set leased_times = leased_times + $2,
       leased_minor = leased_minor + $3
 where budget_id = $1
   and ($4::bigint < 0 or leased_times - returned_times + $2 <= $4::bigint)
   and ($5::bigint < 0 or leased_minor - returned_minor + $3 <= $5::bigint)
returning budget_id
"""

INSERT_LEASE = """
insert into budget_lease (budget_id, lease_id, server_id, times, amount_minor, expires_at_us)
values ($1, $2, $3, $4, $5, $6)
"""

CLOSE_LEASE = """
update budget_lease
   set is_open = false
 where budget_id = $1 and lease_id = $2 and is_open and expires_at_us < $3
returning used_times - greatest(times, 0), used_minor - greatest(amount_minor, 0)
"""

RENEW_LEASES = """
update budget_lease l
   set expires_at_us = $3
  from unnest($1::bytea[], $2::bytea[]) as own (budget_id, lease_id)
 where l.budget_id = own.budget_id
   and l.lease_id = own.lease_id
   and l.is_open
returning l.lease_id
"""

SELECT_EXPIRED = """
select budget_id, lease_id
  from budget_lease
 where is_open and expires_at_us < $1
 order by expires_at_us
 limit 100
"""

SELECT_TAKEN = """
select budget_id, leased_times - returned_times, leased_minor - returned_minor
  from budget
 where budget_id = any($1::bytea[])
"""

SELECT_BUDGETS = """
select b.promotion_id, b.store_id, b.period, b.most_times, b.most_minor,
       b.leased_times - b.returned_times - coalesce(l.idle_times, 0),
       b.leased_minor - b.returned_minor - coalesce(l.idle_minor, 0),
       coalesce(l.idle_times, 0), coalesce(l.idle_minor, 0),
       coalesce(o.times, 0), coalesce(o.minor, 0)
  from budget b
  left join lateral (
       select sum(greatest(times, 0) - used_times)::bigint as idle_times,
              sum(greatest(amount_minor, 0) - used_minor)::bigint as idle_minor
         from budget_lease
        where budget_id = b.budget_id and is_open) l on true
  left join lateral (
       select sum(times)::bigint as times, sum(amount_minor)::bigint as minor
         from budget_use
        where budget_id = b.budget_id and is_overrun) o on true
 where b.chain_id = $1 and ($2 = '' or b.promotion_id = $2)
   and (b.promotion_id, b.store_id, b.period) > ($3, $4, $5)
 order by b.promotion_id, b.store_id, b.period
 limit $6
"""

HOT_STATEMENTS = {
    "MEET_BUDGET": MEET_BUDGET,
    "LEASE_CHUNK": LEASE_CHUNK,
    "INSERT_LEASE": INSERT_LEASE,
    "CLOSE_LEASE": CLOSE_LEASE,
    "RENEW_LEASES": RENEW_LEASES,
    "SELECT_EXPIRED": SELECT_EXPIRED,
    "SELECT_TAKEN": SELECT_TAKEN,
    **budget_holds.HOT_STATEMENTS,
}
"""What servers run while they sell; a test explains each on a million rows."""

_FOR_EVER_US = 2**62


class LeaseOrder(Struct, frozen=True):
    """What a server asks for of a budget.

    Attributes:
        lease_id: new.
        asked: what receipts wait for; zero where there is no limit.
        last: size of the lease that was used up just before, zero for none.
        expires_at_us: until when nobody may close it but its server, UTC microseconds.
    """

    budget: Budget
    lease_id: bytes
    asked: Amount
    last: Amount
    expires_at_us: int


class LeaseAnswer(Struct, frozen=True):
    """What a server got of a budget: NO_LIMIT where there is none; nothing at all is no lease.

    Attributes:
        left: what nobody has leased, afterwards.
    """

    chunk: Amount
    left: Amount


class BudgetState(Struct, frozen=True):
    """A budget as it stands, for reading.

    Attributes:
        most: the limit; NO_LIMIT where there is none.
        used: by receipts, less what was given back; without what is overrun.
        leased: with servers, not used yet.
        overrun: what facts gave beyond it.
    """

    promotion_id: str
    store_id: str
    period: str
    most: Amount
    used: Amount
    leased: Amount
    overrun: Amount


class BudgetLeases:
    """Leases of one server process in the database."""

    def __init__(self, database: Database, server_id: str) -> None:
        """Lease for a server.

        Args:
            database: open.
            server_id: names the process, for whoever reads the table.
        """
        self._database = database
        self._server_id = server_id

    async def lease(self, order: LeaseOrder) -> LeaseAnswer:
        """Lease a chunk; what cannot be had in full is had in part.

        Raises:
            RetryError: the database cannot be reached just now; a lease of unknown fate expires.
        """
        budget = order.budget
        async with self._database.reading() as connection, connection.transaction():
            taken = await connection.fetchrow(MEET_BUDGET, *_head(budget), *budget.most)
            assert taken is not None
            left = _left(budget.most, Amount(*taken.values()))
            chunk = _chunk(order, left)
            leased = Amount(max(0, chunk.times), max(0, chunk.minor))
            if leased == NOTHING:
                return LeaseAnswer(NOTHING, left)
            found = await connection.fetchrow(LEASE_CHUNK, budget.budget_id, *leased, *budget.most)
            assert found is not None, "a budget is never leased beyond its limit"
            await connection.execute(
                INSERT_LEASE, budget.budget_id, order.lease_id, self._server_id, *chunk,
                order.expires_at_us,
            )  # fmt: skip
            return LeaseAnswer(chunk, _left(left, leased))

    async def close(self, budget_id: bytes, lease_id: bytes) -> None:
        """Close a lease of this server: what was not used goes back to the budget.

        Raises:
            RetryError: the database cannot be reached just now; closing again is safe.
        """
        await self._close(budget_id, lease_id, _FOR_EVER_US)

    async def shrink(self, budget_id: bytes, lease_id: bytes, rest: Amount) -> None:
        """Give a part of a lease of this server back to the budget, if it is still open.

        Raises:
            RetryError: the database cannot be reached just now; whether the part went back shows
                when the lease is closed.
        """
        async with self._database.reading() as connection, connection.transaction():
            if await connection.fetchrow(CUT_LEASE, budget_id, lease_id, *rest) is not None:
                await connection.execute(SETTLE_BUDGET, budget_id, -rest.times, -rest.minor)

    async def hold(self, order: HoldOrder) -> bool:
        """Replace what a basket holds; False if a lease is not as it was read: nothing is held.

        Raises:
            RetryError: the database cannot be reached just now; whether it is held shows when it
                is read again.
        """
        async with self._database.reading() as connection:
            try:
                async with connection.transaction():
                    await write_hold(connection, order, self._server_id)
            except HeldChangedError:
                return False
            return True

    async def held(self, hold_id: bytes) -> tuple[HeldLease, ...]:
        """Read what a basket holds.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        async with self._database.reading() as connection:
            return (await read_held_leases(connection, [hold_id])).get(hold_id, ())

    async def close_expired(self, now_us: int) -> int:
        """Close leases whose servers do not renew them any more; give how many.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        async with self._database.reading() as connection:
            rows = await connection.fetch(SELECT_EXPIRED, now_us)
        closed = [await self._close(budget_id, lease_id, now_us) for budget_id, lease_id in rows]
        return sum(closed)

    async def _close(self, budget_id: bytes, lease_id: bytes, before_us: int) -> bool:
        """Close a lease that expired before an instant, if it is open."""
        async with self._database.reading() as connection, connection.transaction():
            row = await connection.fetchrow(CLOSE_LEASE, budget_id, lease_id, before_us)
            if row is None:
                return False
            await connection.execute(SETTLE_BUDGET, budget_id, *row.values())
            return True

    async def renew(
        self, leases: Sequence[tuple[bytes, bytes]], expires_at_us: int
    ) -> frozenset[bytes]:
        """Renew leases, (budget, lease), that are still open; give their ids.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        async with self._database.reading() as connection:
            columns = zip(*sorted(leases), strict=True)
            rows = await connection.fetch(RENEW_LEASES, *columns, expires_at_us)
        return frozenset(row[0] for row in rows)

    async def left_of(self, budgets: Sequence[Budget]) -> dict[bytes, Amount]:
        """What nobody has leased of some budgets.

        Raises:
            RetryError: the database cannot be reached just now.
        """
        ids = [budget.budget_id for budget in budgets]
        async with self._database.reading() as connection:
            rows = await connection.fetch(SELECT_TAKEN, ids)
        taken = {budget_id: Amount(times, minor) for budget_id, times, minor in rows}
        return {
            budget.budget_id: _left(budget.most, taken.get(budget.budget_id, NOTHING))
            for budget in budgets
        }


def _head(budget: Budget) -> tuple[bytes, str, str, str, str]:
    return (
        budget.budget_id, budget.chain_id, budget.promotion_id, budget.store_id, budget.period
    )  # fmt: skip


def _left(most: Amount, taken: Amount) -> Amount:
    """What is left; a limit that was lowered below what is taken leaves nothing."""
    return Amount(
        *[m if m == NO_LIMIT else max(0, m - t) for m, t in zip(most, taken, strict=True)]
    )


def _chunk(order: LeaseOrder, left: Amount) -> Amount:
    """What to lease; without a limit there is nothing to count."""
    return Amount(
        *[
            NO_LIMIT if free == NO_LIMIT else chunk_of(asked, free, last)
            for asked, free, last in zip(order.asked, left, order.last, strict=True)
        ]
    )


async def read_budgets(
    database: Database,
    chain_id: str,
    promotion_id: str = "",
    after: tuple[str, str, str] = ("", "", ""),
    count_max: int = BUDGETS_SHOWN_MAX,
) -> list[BudgetState]:
    """Read budgets of a chain with what is used, leased and overrun, by promotion, store, period.

    Args:
        database: open.
        chain_id: whose.
        promotion_id: of one promotion; empty is of all.
        after: promotion, store and period of the last one read before.
        count_max: at most so many.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with database.reading() as connection:
        rows = await connection.fetch(SELECT_BUDGETS, chain_id, promotion_id, *after, count_max)
    return [
        BudgetState(*values[:3], *[Amount(*values[n : n + 2]) for n in range(3, 11, 2)])
        for values in (tuple(row.values()) for row in rows)
    ]
