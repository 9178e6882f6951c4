"""What receipts use of budgets, out of the leases of their servers, and what returns give back.

Lock order: accounts, leases, budgets. A budget's row is locked to lease a chunk, to close a lease
and by returns; never by a receipt that uses it.
"""

from collections.abc import Sequence

from rewards.commit import BudgetUse, Commit, having
from rewards.quota import Amount, NetUse
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

# A lease that has been closed is not there for anybody any more, nor what another copy of the
# receipt has used of what its basket held: whoever comes too late looks again.
USE_LEASES = """
update budget_lease l
   set used_times = l.used_times + used.times,
       used_minor = l.used_minor + used.minor
  from unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[])
    as used (budget_id, lease_id, times, minor)
 where l.budget_id = used.budget_id
   and l.lease_id = used.lease_id
   and l.is_open
   and (l.times < 0 or l.used_times + used.times <= l.times)
   and (l.amount_minor < 0 or l.used_minor + used.minor <= l.amount_minor)
returning l.lease_id
"""

INSERT_USES = """
insert into budget_use (receipt_id, key_id, budget_id, lease_id, is_overrun, times, amount_minor,
                        recorded_at_us)
select * from unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::boolean[],
                     $6::bigint[], $7::bigint[], $8::bigint[])
"""

GIVE_BACK = """
update budget b
   set returned_times = b.returned_times + back.times,
       returned_minor = b.returned_minor + back.minor
  from unnest($1::bytea[], $2::bigint[], $3::bigint[]) as back (budget_id, times, minor)
 where b.budget_id = back.budget_id
"""

SELECT_NET_USES = """
select budget_id,
       coalesce(sum(times) filter (where not is_overrun), 0)::bigint,
       coalesce(sum(amount_minor) filter (where not is_overrun), 0)::bigint,
       coalesce(sum(times) filter (where is_overrun), 0)::bigint,
       coalesce(sum(amount_minor) filter (where is_overrun), 0)::bigint
  from budget_use
 where receipt_id = $1
 group by budget_id
 order by budget_id
"""

HOT_STATEMENTS = {
    "USE_LEASES": USE_LEASES,
    "INSERT_USES": INSERT_USES,
    "GIVE_BACK": GIVE_BACK,
    "SELECT_NET_USES": SELECT_NET_USES,
}
"""What the commit pipeline and returns run; a test explains each on a million rows."""


async def use_leases(connection: AnyConnection, commits: Sequence[Commit]) -> frozenset[int]:
    """Count what commits use on their leases.

    Returns:
        Positions of the commits that name a lease which is closed or used up; if there are any,
        roll back.
    """
    by_lease: dict[tuple[bytes, bytes], list[int]] = {}
    for commit in having(commits, "budget_uses"):
        for use in commit.budget_uses:
            if use.lease_id:
                sums = by_lease.setdefault((use.budget_id, use.lease_id), [0, 0])
                sums[0] += use.times
                sums[1] += use.amount_minor
    if not by_lease:
        return frozenset()
    rows = sorted((*names, *sums) for names, sums in by_lease.items())
    found = await connection.fetch(USE_LEASES, *zip(*rows, strict=True))
    if len(found) == len(rows):
        return frozenset()
    is_open = {row[0] for row in found}
    return frozenset(
        n
        for n, commit in enumerate(commits)
        if any(use.lease_id and use.lease_id not in is_open for use in commit.budget_uses)
    )


async def write_uses(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Write what commits use of budgets, and give back what they return."""
    uses = [
        (commit, use) for commit in having(commits, "budget_uses") for use in commit.budget_uses
    ]
    if not uses:
        return
    rows = sorted(_use_row(commit, use) for commit, use in uses)
    await connection.fetch(INSERT_USES, *zip(*rows, strict=True))
    back: dict[bytes, list[int]] = {}
    for _, use in uses:
        if not use.lease_id and not use.is_overrun:
            sums = back.setdefault(use.budget_id, [0, 0])
            sums[0] -= use.times
            sums[1] -= use.amount_minor
    if back:
        # One after the other in order: batches that give back never wait in a circle.
        for budget_id, sums in sorted(back.items()):
            await connection.fetch(GIVE_BACK, [budget_id], [sums[0]], [sums[1]])


def _use_row(commit: Commit, use: BudgetUse) -> tuple[object, ...]:
    key_id = commit.keys[0].key_id
    return (
        use.receipt_id or key_id,
        key_id,
        use.budget_id,
        use.lease_id,
        use.is_overrun,
        use.times,
        use.amount_minor,
        commit.recorded_at_us,
    )


async def read_net_uses(connection: AnyConnection, receipt_id: bytes) -> tuple[NetUse, ...]:
    """Read what a sale has used of budgets, less what was given back since.

    Whoever commits on it names a version of the sale's account, or a key of the return's own turn,
    that was read before.
    """
    rows = await connection.fetch(SELECT_NET_USES, receipt_id)
    return tuple(
        NetUse(budget_id, Amount(times, minor), Amount(over_times, over_minor))
        for budget_id, times, minor, over_times, over_minor in rows
    )
