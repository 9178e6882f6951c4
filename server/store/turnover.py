"""What accounts bought, by local day, and the tiers they were given: what tier rules read."""

from collections.abc import Sequence

from rewards.commit import Commit, account_changes_of, having
from rewards.tier import NO_TURNOVER, Turnover
from server.store.facts import AnyConnection

COUNT_TURNOVER = """
insert into turnover as t (account_id, day, amount_minor, receipts)
select * from unnest($1::bigint[], $2::integer[], $3::bigint[], $4::integer[])
on conflict (account_id, day)
do update set amount_minor = t.amount_minor + excluded.amount_minor,
              receipts = t.receipts + excluded.receipts
"""

# What was bought under an account that was merged counts for the other one from then on.
MERGE_TURNOVER = """
with gone as (
    delete from turnover t
     using unnest($1::bigint[], $2::bigint[]) as merged (account_id, merged_into)
     where t.account_id = merged.account_id
    returning merged.merged_into, t.day, t.amount_minor, t.receipts
)
insert into turnover as t (account_id, day, amount_minor, receipts)
select merged_into, day, sum(amount_minor)::bigint, sum(receipts)::integer
  from gone
 group by merged_into, day
on conflict (account_id, day)
do update set amount_minor = t.amount_minor + excluded.amount_minor,
              receipts = t.receipts + excluded.receipts
"""

SELECT_TURNOVER = """
select day, amount_minor, receipts
  from turnover
 where account_id = $1 and day >= $2 and day <= $3
"""

SELECT_GIVEN_TIERS = """
select asset_code, expires_at_us
  from lot
 where account_id = $1 and asset_code = any($2::text[]) and remaining_minor > 0
   and active_from_us <= $3 and (expires_at_us = 0 or expires_at_us >= $3)
 order by expires_at_us = 0 desc, expires_at_us desc, asset_code
"""

WRITE_STATEMENTS = {"COUNT_TURNOVER": COUNT_TURNOVER}
"""What the commit pipeline runs besides."""
HOT_STATEMENTS = {"SELECT_TURNOVER": SELECT_TURNOVER, "SELECT_GIVEN_TIERS": SELECT_GIVEN_TIERS}
"""What calls of a till run; a test explains each on a million rows without statistics."""


async def write_turnover(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Count what was bought, and move what merged accounts had bought."""
    changes = account_changes_of(commits)
    sums: dict[tuple[int, int], Turnover] = {}
    for one in having(changes, "turnover"):
        for day, amount_minor, receipts in one.turnover:
            before = sums.get((one.account_id, day), NO_TURNOVER)
            sums[one.account_id, day] = Turnover(
                before.amount_minor + amount_minor, before.receipts + receipts
            )
    rows = sorted((*key, *counted) for key, counted in sums.items())
    if rows:
        await connection.fetch(COUNT_TURNOVER, *zip(*rows, strict=True))
    merged = [(one.account_id, one.merged_into) for one in having(changes, "merged_into")]
    if merged:
        await connection.fetch(MERGE_TURNOVER, *zip(*merged, strict=True))


async def read_turnover(
    connection: AnyConnection, account_id: int, first_day: int, last_day: int
) -> dict[int, Turnover]:
    """Read what an account bought by local day, both ends included."""
    rows = await connection.fetch(SELECT_TURNOVER, account_id, first_day, last_day)
    return {row["day"]: Turnover(row["amount_minor"], row["receipts"]) for row in rows}


async def read_given_tiers(
    connection: AnyConnection, account_id: int, asset_codes: Sequence[str], at_us: int
) -> list[str]:
    """Read which tiers an account was given and still has; the last to expire first."""
    rows = await connection.fetch(SELECT_GIVEN_TIERS, account_id, asset_codes, at_us)
    return [row["asset_code"] for row in rows]
