"""Proves over the whole database that the ledger is balanced: one snapshot, a pass a table.

Each statement gives one row: its counts first, then what is wrong, at most `PROBLEMS_MAX` texts.
"""

from typing import Any, Final

from msgspec import Struct

from rewards.commit import KINDS_WITH_RECEIPT
from server.store.audit_beside import BESIDE
from server.store.database import Database
from server.store.facts import AnyConnection

PROBLEMS_MAX: Final = 100
AUDIT_TIMEOUT_S: Final = 3_600.0
SET_WORK_MEM = "set local work_mem = '128MB'"

# Transfers balance, and each was caused by a key: its id is the key's 16 bytes and an ordinal.
AUDIT_POSTINGS = """
with leg_sum as materialized (
    select account_id, transfer_id, asset_code,
           count(*) as legs,
           sum(amount_minor) as sum_minor,
           bool_or((account_id, leg, book, party_id, promotion_id, amount_minor, effective_at_us,
                    recorded_at_us, recorded_tx) is not null is false) as has_null
      from posting
     group by account_id, transfer_id, asset_code
),
transfer as materialized (
    select account_id, transfer_id from leg_sum group by account_id, transfer_id
),
problem as (
    select format('transfer %s of account %s: its legs in %s sum to %s, not to 0',
                  encode(transfer_id, 'hex'), account_id, asset_code, sum_minor) as text
      from leg_sum
     where sum_minor is distinct from 0
    union all
    select format('transfer %s of account %s: a posting of it holds NULL',
                  encode(transfer_id, 'hex'), account_id)
      from leg_sum
     where has_null or asset_code is null
    union all
    select format('transfer %s of account %s: no commit key is behind it',
                  encode(transfer_id, 'hex'), transfer.account_id)
      from transfer
      left join commit_key on key_id = substring(transfer_id from 1 for 16)
     where key_id is null or length(transfer_id) <> 18
)
select (select count(*) from transfer) as transfers,
       (select coalesce(sum(legs), 0)::bigint from leg_sum) as postings,
       array(select text from problem order by text limit $1) as problems
"""

# Balance = the account's postings = what is left in lots, and so for what of it is owed; wherever
# one of the three is. Books: 1 customer, 6 debt. Kinds of lots: 1 value, 2 debt.
AUDIT_BALANCES = """
with posted as (
    select account_id, asset_code, sum(amount_minor) as posted_minor,
           coalesce(-sum(amount_minor) filter (where book = 6), 0) as posted_debt_minor
      from posting
     where book in (1, 6)
     group by account_id, asset_code
),
held as (
    select account_id, asset_code,
           sum(case kind when 2 then -remaining_minor else remaining_minor end) as held_minor,
           coalesce(sum(remaining_minor) filter (where kind = 2), 0) as held_debt_minor
      from lot
     group by account_id, asset_code
),
compared as materialized (
    select account_id, asset_code, amount_minor, debt_minor,
           coalesce(posted_minor, 0) as posted_minor,
           coalesce(posted_debt_minor, 0) as posted_debt_minor,
           coalesce(held_minor, 0) as held_minor,
           coalesce(held_debt_minor, 0) as held_debt_minor
      from balance
      full join posted using (account_id, asset_code)
      full join held using (account_id, asset_code)
),
problem as (
    select format('account %s: its balance in %s is %s, its postings sum to %s, its lots to %s',
                  account_id, asset_code, coalesce(amount_minor::text, 'missing'), posted_minor,
                  held_minor) as text
      from compared
     where amount_minor is distinct from posted_minor or posted_minor <> held_minor
    union all
    select format('account %s: its debt in %s is %s, its postings sum to %s, its lots to %s',
                  account_id, asset_code, debt_minor, posted_debt_minor, held_debt_minor)
      from compared
     where debt_minor <> posted_debt_minor or posted_debt_minor <> held_debt_minor
    union all
    select format('account %s: it has a balance in %s, but there is no such account',
                  account_id, asset_code)
      from compared
      left join account using (account_id)
     where version is null
)
select (select count(*) from compared) as balances,
       array(select text from problem order by text limit $1) as problems
"""

# What remains of a lot is what was granted and what changed it. The transfer of its id granted it;
# of a lot that came along with a merged account, on another account. Lots of several bearers may
# have one id: a receipt numbers what it grants on each account by itself.
AUDIT_LOTS = """
with made as (
    select account_id, transfer_id, asset_code, sum(amount_minor) as made_minor
      from posting
     where book in (1, 6)
     group by account_id, transfer_id, asset_code
),
changed as (
    select account_id, lot_id, sum(change_minor) as changed_minor
      from lot_change
     group by account_id, lot_id
),
checked as materialized (
    select lot.account_id, lot.lot_id, lot.asset_code, remaining_minor, granted_minor,
           coalesce(changed_minor, 0) as changed_minor,
           case kind when 2 then -made_minor else made_minor end as made_minor,
           (active_from_us, expires_at_us) is not null and kind in (1, 2) as is_whole
      from lot
      left join made on made.account_id = lot.account_id
                    and made.transfer_id = lot.lot_id
                    and made.asset_code = lot.asset_code
      left join changed on changed.account_id = lot.account_id
                       and changed.lot_id = lot.lot_id
),
everywhere as (
    select lot_id, sum(remaining_minor) as remaining_minor, sum(made_minor) as made_minor
      from checked
     group by lot_id
),
problem as (
    select format('lot %s of account %s: %s remain of %s granted', encode(lot_id, 'hex'),
                  account_id, remaining_minor, granted_minor) as text
      from checked
     where (remaining_minor between 0 and granted_minor) is not true or not is_whole
    union all
    select format('lot %s of account %s: %s granted, its changes sum to %s, but %s remain',
                  encode(lot_id, 'hex'), account_id, granted_minor, changed_minor, remaining_minor)
      from checked
     where granted_minor + changed_minor <> remaining_minor
    union all
    select format('lot %s of account %s: %s granted, but its transfer posted %s',
                  encode(lot_id, 'hex'), account_id, granted_minor, made_minor)
      from checked
     where made_minor <> granted_minor
    union all
    select format('lot %s: its transfer posted %s, but %s remain on all accounts',
                  encode(lot_id, 'hex'), coalesce(made_minor::text, 'nothing'), remaining_minor)
      from everywhere
     where made_minor is null or remaining_minor > made_minor
)
select (select count(*) from checked) as lots,
       array(select text from problem order by text limit $1) as problems
"""

# Whatever changes a lot is a transfer of its asset on its account.
AUDIT_LOT_CHANGES = """
with transfer as (
    select distinct account_id, transfer_id, asset_code from posting where book in (1, 6)
),
checked as materialized (
    select change.account_id, change.transfer_id, change.lot_id, lot.asset_code,
           transfer.transfer_id is not null as is_posted
      from lot_change change
      left join lot on lot.account_id = change.account_id
                   and lot.lot_id = change.lot_id
      left join transfer on transfer.account_id = change.account_id
                        and transfer.transfer_id = change.transfer_id
                        and transfer.asset_code = lot.asset_code
),
problem as (
    select format('lot %s of account %s: transfer %s changed it, but there is no such lot',
                  encode(lot_id, 'hex'), account_id, encode(transfer_id, 'hex')) as text
      from checked
     where asset_code is null
    union all
    select format('lot %s of account %s: transfer %s changed it, but posted nothing of its asset',
                  encode(lot_id, 'hex'), account_id, encode(transfer_id, 'hex'))
      from checked
     where asset_code is not null and not is_posted
)
select (select count(*) from checked) as lot_changes,
       array(select text from problem order by text limit $1) as problems
"""

# What a transfer posted to the account is what it granted in its own lot and changed of lots: value
# in book 1, debts in book 6. Where no row joins the two, as many of each amount must be there:
# * a merge (kind of key 8) posts what it moves, and lots that it moves keep the ids they have;
# * of lots that voids (kind 3) emptied before changes were kept, the change stands with the grant.
AUDIT_LEGS = """
with leg as materialized (
    select account_id, transfer_id, asset_code, min(promotion_id) as promotion_id,
           coalesce(sum(amount_minor) filter (where book = 1), 0) as value_minor,
           coalesce(-sum(amount_minor) filter (where book = 6), 0) as debt_minor
      from posting
     where book in (1, 6)
     group by account_id, transfer_id, asset_code
),
part as (
    select change.account_id, change.transfer_id, lot.asset_code,
           coalesce(sum(change_minor) filter (where kind = 1), 0) as value_minor,
           coalesce(sum(change_minor) filter (where kind = 2), 0) as debt_minor
      from lot_change change
      join lot on lot.account_id = change.account_id
              and lot.lot_id = change.lot_id
     group by change.account_id, change.transfer_id, lot.asset_code
),
compared as (
    select leg.*, part.transfer_id is null and own.lot_id is null as is_alone,
           own.kind = 1 and leg.debt_minor = 0
               and (part.value_minor, part.debt_minor) = (-granted_minor, 0) as is_emptied,
           coalesce(part.value_minor, 0) + case own.kind when 1 then granted_minor else 0 end
               as lots_value_minor,
           coalesce(part.debt_minor, 0) + case own.kind when 2 then granted_minor else 0 end
               as lots_debt_minor
      from leg
      left join part using (account_id, transfer_id, asset_code)
      left join lot own on own.account_id = leg.account_id
                       and own.lot_id = leg.transfer_id
                       and own.asset_code = leg.asset_code
),
apart as materialized (
    select compared.*, commit_key.kind as key_kind
      from compared
      left join commit_key on key_id = substring(transfer_id from 1 for 16)
     where (value_minor, debt_minor) <> (lots_value_minor, lots_debt_minor)
),
told as materialized (
    select *,
           case when is_alone and key_kind = 8 and value_minor >= 0 and debt_minor >= 0
                 and (value_minor = 0 or debt_minor = 0) then 'moved'
                when is_emptied then 'emptied'
                when is_alone and key_kind = 3 and value_minor < 0 and debt_minor = 0 then 'voided'
           end as form
      from apart
),
counted as (
    select account_id, asset_code, case debt_minor when 0 then 1 else 2 end as kind,
           value_minor + debt_minor as minor, promotion_id, 1 as posted, 0 as there
      from told
     where form = 'moved'
    union all
    select lot.account_id, lot.asset_code, lot.kind, granted_minor, lot.promotion_id, 0, 1
      from lot
      left join leg on leg.account_id = lot.account_id
                   and leg.transfer_id = lot.lot_id
                   and leg.asset_code = lot.asset_code
     where leg.transfer_id is null
    union all
    select account_id, asset_code, 0, abs(value_minor), '', (form = 'voided')::integer,
           (form = 'emptied')::integer
      from told
     where form in ('voided', 'emptied')
),
problem as (
    select format('transfer %s of account %s: it posted %s and %s of debt in %s, its lots changed'
                  ' by %s and %s', encode(transfer_id, 'hex'), account_id, value_minor, debt_minor,
                  asset_code, lots_value_minor, lots_debt_minor) as text
      from told
     where form is null
    union all
    select format(case kind when 0 then 'account %s: voids took %s times %s in %s and changed no'
                                        ' lot, but %s lots were emptied so'
                  else 'account %s: %s times %s in %s came from other accounts, but %s lots did'
                  end, account_id, sum(posted), minor, asset_code, sum(there))
      from counted
     group by account_id, asset_code, kind, minor, promotion_id
    having sum(posted) <> sum(there)
)
select (select count(*) from leg) as legs,
       array(select text from problem order by text limit $1) as problems
"""

# What live holds have is there. One that has lapsed holds nothing.
AUDIT_HOLDS = """
with live as materialized (
    select account_id, hold_id, asset_code, amount_minor, lot_ids, lot_minors
      from hold
     where expires_at_us >= $2
),
part as materialized (
    select account_id, hold_id, asset_code, lot_id, minor
      from live, unnest(lot_ids, lot_minors) as pick (lot_id, minor)
),
whole as (
    select account_id, hold_id, asset_code, sum(minor) as sum_minor,
           bool_and(lot_id is not null and minor > 0) as is_whole
      from part
     group by account_id, hold_id, asset_code
),
held as (
    select account_id, asset_code, lot_id, sum(minor) as held_minor
      from part
     group by account_id, asset_code, lot_id
),
problem as (
    select format('hold %s of account %s: it is of %s in %s, its parts sum to %s',
                  encode(hold_id, 'hex'), account_id, amount_minor, asset_code,
                  coalesce(sum_minor::text, 'nothing')) as text
      from live
      left join whole using (account_id, hold_id, asset_code)
     where sum_minor is distinct from amount_minor or not is_whole
    union all
    select format('lot %s of account %s: %s held in %s of %s that remain', encode(lot_id, 'hex'),
                  held.account_id, held_minor, held.asset_code, coalesce(remaining_minor, 0))
      from held
      left join lot using (account_id, asset_code, lot_id)
     where held_minor > coalesce(case when kind = 1 then remaining_minor end, 0)
)
select (select count(*) from live) as holds,
       array(select text from problem order by text limit $1) as problems
"""

# Everything of a merged account went to the account that it names.
AUDIT_MERGED = """
with merged as (
    select gone.account_id, gone.merged_into, kept.version is not null as is_kept,
           (select coalesce(sum(remaining_minor), 0) from lot
             where lot.account_id = gone.account_id) as left_minor,
           (select count(*) from hold
             where hold.account_id = gone.account_id and expires_at_us >= $2) as holds
      from account gone
      left join account kept on kept.account_id = gone.merged_into
     where gone.merged_into <> 0
),
problem as (
    select format('account %s: merged into %s, but %s remain in its lots and %s holds on it',
                  account_id, merged_into, left_minor, holds) as text
      from merged
     where left_minor <> 0 or holds <> 0
    union all
    select format('account %s: merged into %s, but there is no such account', account_id,
                  merged_into)
      from merged
     where not is_kept or merged_into = account_id
)
select (select count(*) from merged) as merged,
       array(select text from problem order by text limit $1) as problems
"""

# What is leased of a budget are the chunks of open leases and what was used of closed ones (times
# and amounts below 0 are without limit); what leases count as used is what receipts have used.
AUDIT_BUDGETS = """
with used as materialized (
    select budget_id, lease_id, sum(times) as times, sum(amount_minor) as minor
      from budget_use
     where not is_overrun
     group by budget_id, lease_id
),
leased as (
    select budget_id,
           sum(case when is_open then greatest(times, 0) else used_times end) as times,
           sum(case when is_open then greatest(amount_minor, 0) else used_minor end) as minor
      from budget_lease
     group by budget_id
),
problem as (
    select format('lease %s of budget %s: it counts %s times and %s, receipts used %s and %s',
                  encode(lease_id, 'hex'), encode(budget_id, 'hex'), coalesce(l.used_times, 0),
                  coalesce(l.used_minor, 0), coalesce(used.times, 0), coalesce(used.minor, 0))
             as text
      from budget_lease l
      full join (select * from used where lease_id <> '') used using (budget_id, lease_id)
     where (coalesce(l.used_times, 0), coalesce(l.used_minor, 0))
           <> (coalesce(used.times, 0), coalesce(used.minor, 0))
    union all
    select format('budget %s: %s times and %s are leased, its leases sum to %s and %s',
                  encode(budget_id, 'hex'), b.leased_times, b.leased_minor,
                  coalesce(leased.times, 0), coalesce(leased.minor, 0))
      from budget b
      left join leased using (budget_id)
     where (b.leased_times, b.leased_minor)
           <> (coalesce(leased.times, 0), coalesce(leased.minor, 0))
    union all
    select format('budget %s: %s times and %s are returned, returns gave back %s and %s',
                  encode(budget_id, 'hex'), b.returned_times, b.returned_minor,
                  coalesce(-back.times, 0), coalesce(-back.minor, 0))
      from budget b
      left join (select * from used where lease_id = '') back using (budget_id)
     where (b.returned_times, b.returned_minor)
           <> (coalesce(-back.times, 0), coalesce(-back.minor, 0))
    union all
    select format('budget %s: receipt %s used it, but no commit key is behind that',
                  encode(budget_id, 'hex'), encode(receipt_id, 'hex'))
      from budget_use
      left join commit_key using (key_id)
     where commit_key.kind is null
)
select (select count(*) from budget) as budgets,
       array(select text from problem order by text limit $1) as problems
"""

# Keys of some kinds have a receipt; every receipt has a key.
AUDIT_RECEIPTS = """
with compared as materialized (
    select key_id, day, receipt.key_id is not null as is_kept,
           commit_key.key_id is not null as is_keyed, kind
      from receipt
      full join commit_key using (key_id, day)
),
problem as (
    select format('receipt %s of day %s: no commit key is behind it', encode(key_id, 'hex'), day)
             as text
      from compared
     where not is_keyed
    union all
    select format('commit key %s of kind %s and day %s: its receipt is missing',
                  encode(key_id, 'hex'), kind, day)
      from compared
     where not is_kept and kind = any($2::smallint[])
)
select (select count(*) from compared where is_kept) as receipts,
       (select count(*) from account) as accounts,
       array(select text from problem order by text limit $1) as problems
"""


# A statement has its key, and what it is of is stored where it says; statements of a receipt are
# numbered without a gap. What waits, or is kept apart, has its key, and so has every event.
AUDIT_STATEMENTS = """
with checked as materialized (
    select s.key_id, s.ordinal, s.forward_key_id, s.base_key_id, s.base_day,
           own.key_id is not null as is_keyed, base.day as stored_day,
           row_number() over (partition by s.key_id order by s.ordinal) - 1 as place
      from receipt_statement s
      left join commit_key own on own.key_id = s.forward_key_id
      left join commit_key base on base.key_id = s.base_key_id
),
problem as (
    select format('statement %s of receipt %s: no commit key is behind it', ordinal,
                  encode(key_id, 'hex')) as text
      from checked
     where not is_keyed
    union all
    select format('statement %s of receipt %s: nothing is stored under %s on day %s', ordinal,
                  encode(key_id, 'hex'), encode(base_key_id, 'hex'), base_day)
      from checked
     where stored_day is distinct from base_day
    union all
    select format('receipt %s: its statement %s is missing', encode(key_id, 'hex'), place)
      from checked
     where ordinal <> place
    union all
    select format('parked receipt %s: what was sent is missing', encode(forward_key_id, 'hex'))
      from parked_receipt p
      left join receipt r on r.key_id = p.forward_key_id and r.day = p.day
     where r.key_id is null
    union all
    select format('quarantined receipt %s: no commit key is behind it',
                  encode(quarantine_id, 'hex'))
      from quarantined_receipt
      left join commit_key on key_id = quarantine_id
     where key_id is null
    union all
    select format('event %s of key %s: no commit key is behind it', event, encode(e.key_id, 'hex'))
      from link_event e
      left join commit_key using (key_id)
     where commit_key.kind is null
)
select (select count(*) from checked) as statements,
       array(select text from problem order by text limit $1) as problems
"""


class Audit(Struct, frozen=True):
    """What an audit read and found.

    Attributes:
        transfers: transfers read; so on for the other counts.
        balances: accounts and assets whose balance, postings and lots were compared.
        problems: what is wrong and where, at most `PROBLEMS_MAX`; empty if the ledger is proved.
        holds: those that have not lapsed.
        merged: accounts that were merged into others.
        statements: of tills, by Forward.
    """

    transfers: int
    postings: int
    lots: int
    balances: int
    receipts: int
    accounts: int
    problems: tuple[str, ...]
    lot_changes: int = 0
    holds: int = 0
    merged: int = 0
    budgets: int = 0
    statements: int = 0

    @property
    def is_balanced(self) -> bool:
        """The ledger is not empty and nothing is wrong with it."""
        return not self.problems


async def audit_ledger(database: Database, at_us: int) -> Audit:
    """Audit the whole database on one snapshot; changes nothing and blocks nobody.

    Args:
        database: open and migrated.
        at_us: the instant, UTC microseconds: holds that end before it have lapsed.

    Returns:
        Counts and problems. An empty ledger is a problem: nothing was proved.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    kinds = sorted(KINDS_WITH_RECEIPT)
    async with (
        database.reading() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(SET_WORK_MEM)
        transfers, postings, unbalanced = await _ask(connection, AUDIT_POSTINGS)
        balances, different = await _ask(connection, AUDIT_BALANCES)
        lots, overdrawn = await _ask(connection, AUDIT_LOTS)
        lot_changes, unposted = await _ask(connection, AUDIT_LOT_CHANGES)
        _, torn = await _ask(connection, AUDIT_LEGS)
        holds, overheld = await _ask(connection, AUDIT_HOLDS, at_us)
        merged, left = await _ask(connection, AUDIT_MERGED, at_us)
        budgets, miscounted = await _ask(connection, AUDIT_BUDGETS)
        statements, unstored = await _ask(connection, AUDIT_STATEMENTS)
        receipts, accounts, unmatched = await _ask(connection, AUDIT_RECEIPTS, kinds)
        beside = [await _ask(connection, statement) for statement in BESIDE]
    problems = [*unbalanced, *different, *overdrawn, *unposted, *torn, *overheld, *left]
    problems += [*miscounted, *unstored, *unmatched]
    problems += [text for _, found in beside for text in found]
    if not postings:
        problems.insert(0, "the ledger is empty: there is no posting to prove anything by")
    return Audit(
        transfers=transfers,
        postings=postings,
        lots=lots,
        balances=balances,
        receipts=receipts,
        accounts=accounts,
        problems=tuple(problems[:PROBLEMS_MAX]),
        lot_changes=lot_changes,
        holds=holds,
        merged=merged,
        budgets=budgets,
        statements=statements,
    )


async def _ask(connection: AnyConnection, statement: str, *others: object) -> tuple[Any, ...]:
    row = await connection.fetchrow(statement, PROBLEMS_MAX, *others, timeout=AUDIT_TIMEOUT_S)
    assert row is not None
    return tuple(row.values())
