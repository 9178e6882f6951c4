"""What baskets hold of budgets: leases of their own, cut out of those of the servers that quoted.

A Checkout of the basket uses them at any server. Its commit takes the basket's key too, so that
they are used once; a Quote replaces them only as it has read them.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from rewards.commit import BudgetUse
from rewards.quota import NO_LIMIT, NOTHING, Amount
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

SELECT_HELD_LEASES = """
select hold_id, budget_id, lease_id, times, amount_minor, used_times, used_minor
  from budget_lease
 where hold_id = any($1::bytea[]) and is_open
 order by hold_id, budget_id, lease_id
"""

# Only as it was read: what a receipt has used since must not be held a second time.
CLOSE_HELD = """
update budget_lease
   set is_open = false
 where budget_id = $1 and lease_id = $2 and is_open and used_times = $3 and used_minor = $4
returning used_times - greatest(times, 0), used_minor - greatest(amount_minor, 0)
"""

CUT_LEASE = """
update budget_lease
   set times = times - $3, amount_minor = amount_minor - $4
 where budget_id = $1 and lease_id = $2 and is_open
returning lease_id
"""

INSERT_HELD = """
insert into budget_lease (budget_id, lease_id, server_id, times, amount_minor, expires_at_us,
                          hold_id)
values ($1, $2, $3, $4, $5, $6, $7)
"""

SETTLE_BUDGET = """
update budget
   set leased_times = leased_times + $2,
       leased_minor = leased_minor + $3
 where budget_id = $1
"""

HOT_STATEMENTS = {
    "SELECT_HELD_LEASES": SELECT_HELD_LEASES,
    "CLOSE_HELD": CLOSE_HELD,
    "CUT_LEASE": CUT_LEASE,
    "INSERT_HELD": INSERT_HELD,
    "SETTLE_BUDGET": SETTLE_BUDGET,
}
"""What servers run while they sell; a test explains each on a million rows."""


class HeldLease(Struct, frozen=True, gc=False):
    """A lease that a basket holds, open when it was read.

    Attributes:
        chunk: what was held; NO_LIMIT where the budget has none.
        used: what a receipt has used of it.
    """

    budget_id: bytes
    lease_id: bytes
    chunk: Amount
    used: Amount

    @property
    def left(self) -> Amount:
        """What is left to use; NO_LIMIT where there is none."""
        return Amount(
            *[c if c == NO_LIMIT else c - u for c, u in zip(self.chunk, self.used, strict=True)]
        )


class NewHeld(Struct, frozen=True, gc=False):
    """A lease that a basket is to hold."""

    budget_id: bytes
    lease_id: bytes
    chunk: Amount


class HoldOrder(Struct, frozen=True):
    """What a basket is to hold from now on, and nothing else.

    Attributes:
        uses: out of which leases that is taken: of the server, or held before.
        held: all that the basket held, as it was read.
        expires_at_us: when the hold lapses, UTC microseconds.
    """

    hold_id: bytes
    uses: tuple[BudgetUse, ...]
    new: tuple[NewHeld, ...]
    held: tuple[HeldLease, ...]
    expires_at_us: int


class HeldChangedError(Exception):
    """A lease is not as it was read: nothing is held; read and decide again."""


async def read_held_leases(
    connection: AnyConnection, hold_ids: Sequence[bytes]
) -> dict[bytes, tuple[HeldLease, ...]]:
    """Read the open leases that baskets hold, by hold; lapsed ones too while nobody closes them."""
    found: dict[bytes, tuple[HeldLease, ...]] = {}
    for row in await connection.fetch(SELECT_HELD_LEASES, hold_ids):
        hold_id, budget_id, lease_id, times, minor, used_times, used_minor = row.values()
        one = HeldLease(budget_id, lease_id, Amount(times, minor), Amount(used_times, used_minor))
        found[hold_id] = (*found.get(hold_id, ()), one)
    return found


async def write_hold(connection: AnyConnection, order: HoldOrder, server_id: str) -> None:
    """Replace what a basket holds, within a transaction: no budget is leased any further by it.

    Raises:
        HeldChangedError: roll back.
    """
    grown: dict[bytes, list[int]] = {}
    # Rows of leases are locked in the order in which batches of receipts lock them.
    for budget_id, lease_id in sorted({*_names(order.held), *_names(order.uses)}):
        change = await _shrunk(connection, order, budget_id, lease_id)
        sums = grown.setdefault(budget_id, [0, 0])
        sums[0] += change.times
        sums[1] += change.minor
    for one in order.new:
        await connection.execute(
            INSERT_HELD,
            one.budget_id,
            one.lease_id,
            server_id,
            *one.chunk,
            order.expires_at_us,
            order.hold_id,
        )
        grown[one.budget_id][0] += max(0, one.chunk.times)
        grown[one.budget_id][1] += max(0, one.chunk.minor)
    for budget_id, (times, minor) in sorted(grown.items()):
        if times or minor:
            await connection.execute(SETTLE_BUDGET, budget_id, times, minor)


def _names(rows: Iterable[HeldLease | BudgetUse]) -> list[tuple[bytes, bytes]]:
    return [(one.budget_id, one.lease_id) for one in rows]


async def _shrunk(
    connection: AnyConnection, order: HoldOrder, budget_id: bytes, lease_id: bytes
) -> Amount:
    """Close a lease that was held, or cut what is new out of a server's; by how much it grows."""
    uses = [use for use in order.uses if use.lease_id == lease_id]
    held = [one for one in order.held if one.lease_id == lease_id]
    if held:
        row = await connection.fetchrow(CLOSE_HELD, budget_id, lease_id, *held[0].used)
        # What was closed meanwhile, and is not held again, does not matter.
        change = Amount(*row.values()) if row is not None else None if uses else NOTHING
    else:
        [chunk] = [one.chunk for one in order.new if one.budget_id == budget_id]
        times = 0 if chunk.times == NO_LIMIT else sum([use.times for use in uses])
        minor = 0 if chunk.minor == NO_LIMIT else sum([use.amount_minor for use in uses])
        row = await connection.fetchrow(CUT_LEASE, budget_id, lease_id, times, minor)
        change = None if row is None else Amount(-times, -minor)
    if change is None:
        raise HeldChangedError
    return change
