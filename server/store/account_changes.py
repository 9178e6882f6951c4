"""Writes what a commit changes of accounts besides postings: lots, holds, uses; opens accounts."""

from collections.abc import Sequence

from rewards.commit import AccountChange, Commit, account_changes_of, having
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

INSERT_ACCOUNTS = """
insert into account (account_id, version, kind, chain_id)
select account_id, 0, kind, chain_id
  from unnest($1::bigint[], $2::smallint[], $3::text[]) as new (account_id, kind, chain_id)
"""

CHANGE_BALANCES = """
insert into balance as b (account_id, asset_code, amount_minor, debt_minor)
select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
on conflict (account_id, asset_code)
do update set amount_minor = b.amount_minor + excluded.amount_minor,
              debt_minor = b.debt_minor + excluded.debt_minor
"""

# A check holds for a row that is proposed for insertion too: what pays a debt is never inserted.
PAY_DEBTS = """
update balance b
   set amount_minor = b.amount_minor + paid.amount_minor,
       debt_minor = b.debt_minor + paid.debt_minor
  from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[])
    as paid (account_id, asset_code, amount_minor, debt_minor)
 where b.account_id = paid.account_id
   and b.asset_code = paid.asset_code
"""

INSERT_LOT_CHANGES = """
insert into lot_change (account_id, transfer_id, lot_id, change_minor)
select * from unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bigint[])
"""

# A lot is changed once a statement: what several transfers change of it is summed before.
CHANGE_LOTS = """
update lot l
   set remaining_minor = l.remaining_minor + change.change_minor
  from (select account_id, lot_id, sum(change_minor)::bigint as change_minor
          from unnest($1::bigint[], $2::bytea[], $3::bigint[])
            as one (account_id, lot_id, change_minor)
         group by account_id, lot_id) as change
 where l.account_id = change.account_id
   and l.lot_id = change.lot_id
"""

DELETE_HOLDS = """
delete from hold h
 using unnest($1::bigint[], $2::bytea[]) as gone (account_id, hold_id)
 where h.account_id = gone.account_id
   and h.hold_id = gone.hold_id
"""

INSERT_HOLDS = """
insert into hold as h (account_id, hold_id, asset_code, amount_minor, lot_ids, lot_minors,
                       expires_at_us)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (account_id, hold_id, asset_code)
do update set amount_minor = excluded.amount_minor, lot_ids = excluded.lot_ids,
              lot_minors = excluded.lot_minors, expires_at_us = excluded.expires_at_us
"""

COUNT_USES = """
insert into promotion_use as u (account_id, promotion_id, period, times, amount_minor)
select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
on conflict (account_id, promotion_id, period)
do update set times = u.times + excluded.times,
              amount_minor = u.amount_minor + excluded.amount_minor
"""

UNCOUNT_USES = """
update promotion_use u
   set times = greatest(0, u.times + gone.times),
       amount_minor = u.amount_minor + gone.amount_minor
  from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
    as gone (account_id, promotion_id, period, times, amount_minor)
 where u.account_id = gone.account_id
   and u.promotion_id = gone.promotion_id
   and u.period = gone.period
"""

MARK_MERGED = """
update account a
   set merged_into = merged.merged_into
  from unnest($1::bigint[], $2::bigint[]) as merged (account_id, merged_into)
 where a.account_id = merged.account_id
"""

HOT_STATEMENTS = {
    "CHANGE_BALANCES": CHANGE_BALANCES,
    "PAY_DEBTS": PAY_DEBTS,
    "INSERT_LOT_CHANGES": INSERT_LOT_CHANGES,
    "CHANGE_LOTS": CHANGE_LOTS,
    "DELETE_HOLDS": DELETE_HOLDS,
    "INSERT_HOLDS": INSERT_HOLDS,
    "COUNT_USES": COUNT_USES,
    "UNCOUNT_USES": UNCOUNT_USES,
}
"""What the commit pipeline runs; a test explains each on a million rows without statistics."""


class LostRowError(Exception):
    """A lot or a balance that a commit changes is not there; the commit can never be written."""


async def open_accounts(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Open the accounts that the commits make; one that exists is a violation."""
    rows = sorted(
        (new.account_id, new.kind, new.chain_id)
        for commit in having(commits, "new_accounts")
        for new in commit.new_accounts
    )
    if rows:
        await connection.fetch(INSERT_ACCOUNTS, *zip(*rows, strict=True))


async def change_balances(
    connection: AnyConnection, changes: Sequence[tuple[int, str, int, int]]
) -> None:
    """Change balances: (account, asset, minor units, minor units of debt), sorted.

    Raises:
        LostRowError: a debt is paid where none is.
    """
    paid = [one for one in changes if one[3] < 0]
    rows = [one for one in changes if one[3] >= 0] if paid else changes
    if rows:
        await connection.fetch(CHANGE_BALANCES, *zip(*rows, strict=True))
    if paid:
        status = await connection.execute(PAY_DEBTS, *zip(*paid, strict=True))
        _check_all(status, len(paid), "balances")


async def change_lots(
    connection: AnyConnection, changes: Sequence[tuple[int, bytes, bytes, int]]
) -> None:
    """Change lots and keep what changed them: (account, transfer, lot, minor units).

    Raises:
        LostRowError: a lot is not there.
    """
    if not changes:
        return
    accounts, transfers, lots, minors = zip(*changes, strict=True)
    await connection.fetch(INSERT_LOT_CHANGES, accounts, transfers, lots, minors)
    status = await connection.execute(CHANGE_LOTS, accounts, lots, minors)
    _check_all(status, len(set(zip(accounts, lots, strict=True))), "lots")


def _uses_of(changes: Sequence[AccountChange]) -> list[tuple[int, str, str, int, int]]:
    """Uses by account, promotion and period: times, minor units.

    An exchange may use a limit and give it back, of several receipts too; a statement changes a
    row once.
    """
    sums: dict[tuple[int, str, str], tuple[int, int]] = {}
    for one in having(changes, "uses"):
        for use in one.uses:
            key = one.account_id, use.promotion_id, use.period
            times, amount_minor = sums.get(key, (0, 0))
            sums[key] = times + use.times, amount_minor + use.amount_minor
    return sorted((*key, *counted) for key, counted in sums.items())


def _check_all(status: str, wanted: int, what: str) -> None:
    changed = int(status.rpartition(" ")[2])
    if changed != wanted:
        raise LostRowError(f"{wanted} {what} are changed, but {changed} are there")


async def write_changes(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Write holds, uses of promotions, and where merged accounts went."""
    changes = account_changes_of(commits)
    released = [
        (one.account_id, hold_id) for one in having(changes, "released") for hold_id in one.released
    ]
    if released:
        await connection.fetch(DELETE_HOLDS, *zip(*released, strict=True))
    holds = [
        (
            one.account_id,
            hold.hold_id,
            hold.asset_code,
            hold.amount_minor,
            [lot_id for lot_id, _ in hold.picks],
            [minor for _, minor in hold.picks],
            hold.expires_at_us,
        )
        for one in having(changes, "holds")
        for hold in one.holds
    ]
    if holds:
        await connection.executemany(INSERT_HOLDS, holds)
    uses = _uses_of(changes)
    for statement, rows in (
        (COUNT_USES, [one for one in uses if one[3] >= 0]),
        (UNCOUNT_USES, [one for one in uses if one[3] < 0]),
    ):
        if rows:
            await connection.fetch(statement, *zip(*rows, strict=True))
    merged = [(one.account_id, one.merged_into) for one in having(changes, "merged_into")]
    if merged:
        await connection.fetch(MARK_MERGED, *zip(*merged, strict=True))
