"""Proves over the whole database that the ledger is balanced: one snapshot, a pass a table.

Each statement gives one row: its counts first, then what is wrong, at most `PROBLEMS_MAX` texts.
"""

from typing import Any, Final

from msgspec import Struct

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

# Balance = the customer's postings = what is left in lots, wherever one of the three is.
AUDIT_BALANCES = """
with posted as (
    select account_id, asset_code, sum(amount_minor) as posted_minor
      from posting
     where book = 1
     group by account_id, asset_code
),
held as (
    select account_id, asset_code, sum(remaining_minor) as held_minor
      from lot
     group by account_id, asset_code
),
compared as materialized (
    select account_id, asset_code, amount_minor,
           coalesce(posted_minor, 0) as posted_minor,
           coalesce(held_minor, 0) as held_minor
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
    select format('account %s: it has a balance in %s, but there is no such account',
                  account_id, asset_code)
      from compared
      left join account using (account_id)
     where version is null
)
select (select count(*) from compared) as balances,
       array(select text from problem order by text limit $1) as problems
"""

# A lot holds between nothing and what the transfer that made it granted.
AUDIT_LOTS = """
with made as (
    select account_id, transfer_id, asset_code, sum(amount_minor) as made_minor
      from posting
     where book = 1
     group by account_id, transfer_id, asset_code
),
checked as materialized (
    select lot.account_id, lot_id, lot.asset_code, remaining_minor, granted_minor, made_minor,
           (active_from_us, expires_at_us) is not null as has_window
      from lot
      left join made on made.account_id = lot.account_id
                    and made.transfer_id = lot.lot_id
                    and made.asset_code = lot.asset_code
),
problem as (
    select format('lot %s of account %s: %s remain of %s granted', encode(lot_id, 'hex'),
                  account_id, remaining_minor, granted_minor) as text
      from checked
     where (remaining_minor between 0 and granted_minor) is not true or not has_window
    union all
    select format('lot %s of account %s: %s granted, but its transfer posted %s',
                  encode(lot_id, 'hex'), account_id, granted_minor,
                  coalesce(made_minor::text, 'nothing'))
      from checked
     where made_minor is distinct from granted_minor
)
select (select count(*) from checked) as lots,
       array(select text from problem order by text limit $1) as problems
"""

# Kinds 1 (checkout), 3 (void) and 4 (profile submission) have a receipt, and nothing else has.
AUDIT_RECEIPTS = """
with kept as (
    select key_id, day from receipt
),
keyed as (
    select key_id, day, kind from commit_key where kind in (1, 3, 4)
),
compared as materialized (
    select key_id, day, kept.key_id is not null as is_kept, keyed.key_id is not null as is_keyed,
           kind
      from kept
      full join keyed using (key_id, day)
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
     where not is_kept
)
select (select count(*) from compared where is_kept) as receipts,
       (select count(*) from account) as accounts,
       array(select text from problem order by text limit $1) as problems
"""


class Audit(Struct, frozen=True):
    """What an audit read and found.

    Attributes:
        transfers: transfers read; so on for the other counts.
        balances: accounts and assets whose balance, postings and lots were compared.
        problems: what is wrong and where, at most `PROBLEMS_MAX`; empty if the ledger is proved.
    """

    transfers: int
    postings: int
    lots: int
    balances: int
    receipts: int
    accounts: int
    problems: tuple[str, ...]

    @property
    def is_balanced(self) -> bool:
        """The ledger is not empty and nothing is wrong with it."""
        return not self.problems


async def audit_ledger(database: Database) -> Audit:
    """Audit the whole database on one snapshot; changes nothing and blocks nobody.

    Args:
        database: open and migrated.

    Returns:
        Counts and problems. An empty ledger is a problem: nothing was proved.

    Raises:
        RetryError: the database cannot be reached just now.
    """
    async with (
        database.reading() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(SET_WORK_MEM)
        transfers, postings, unbalanced = await _ask(connection, AUDIT_POSTINGS)
        balances, different = await _ask(connection, AUDIT_BALANCES)
        lots, overdrawn = await _ask(connection, AUDIT_LOTS)
        receipts, accounts, unmatched = await _ask(connection, AUDIT_RECEIPTS)
    problems = [*unbalanced, *different, *overdrawn, *unmatched]
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
    )


async def _ask(connection: AnyConnection, statement: str) -> tuple[Any, ...]:
    row = await connection.fetchrow(statement, PROBLEMS_MAX, timeout=AUDIT_TIMEOUT_S)
    assert row is not None
    return tuple(row.values())
