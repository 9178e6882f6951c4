"""What stands beside the ledger and stands for value: that it is what the ledger and its keys say.

The statements are of the form of those of `server.store.audit`, and run on the same snapshot.
"""

from typing import Final

# Money that is sent to customers: a key asked for it, and it is where its changes have brought it.
AUDIT_TRANSFERS = """
with changed as (
    select transfer_id, count(*) as changes, max(turn) as last_turn,
           (array_agg(state order by turn desc))[1] as last_state
      from money_transfer_change
     group by transfer_id
),
checked as materialized (
    select transfer_id, state, turn, coalesce(changes, 0) as changes,
           coalesce(last_turn, 0) as last_turn, coalesce(last_state, 1) as last_state
      from money_transfer
      full join changed using (transfer_id)
),
problem as (
    select format('money transfer %s: it is in state %s at turn %s, its %s changes end in %s at %s',
                  encode(transfer_id, 'hex'), coalesce(state::text, 'missing'), turn, changes,
                  last_state, last_turn) as text
      from checked
     where (state, turn, turn) is distinct from (last_state, last_turn, changes::integer)
    union all
    select format('money transfer %s: no commit key is behind it', encode(transfer_id, 'hex'))
      from checked
      left join commit_key on key_id = substring(transfer_id from 1 for 16)
     where key_id is null
)
select (select count(*) from checked) as transfers,
       array(select text from problem order by text limit $1) as problems
"""

# What a code opens is there: a lot of its asset. Bearers never owe. Kinds of lots: 2 debt.
AUDIT_INSTRUMENTS = """
with problem as (
    select format('code %s: no commit key is behind it', encode(code_hash, 'hex')) as text
      from instrument
      left join commit_key using (key_id)
     where commit_key.kind is null
    union all
    select format('code %s: account %s has no such lot of %s', encode(code_hash, 'hex'),
                  account_id, asset_code)
      from instrument i
     where not exists (select from lot
                        where lot.account_id = i.account_id and lot.asset_code = i.asset_code
                          and (i.lot_id = '' or lot.lot_id = i.lot_id))
    union all
    select format('account %s: a bearer''s, and it owes %s of %s', account_id, remaining_minor,
                  asset_code)
      from lot
     where account_id < 0 and kind = 2
)
select (select count(*) from instrument) as instruments,
       array(select text from problem order by text limit $1) as problems
"""

# Returns of a receipt are numbered without a gap; they and the receipt have their keys.
AUDIT_RETURNS = """
with checked as materialized (
    select r.original_key_id, r.ordinal, own.key_id is not null as is_keyed,
           original.key_id is not null as is_known,
           row_number() over (partition by r.original_key_id order by r.ordinal) - 1 as place
      from receipt_refund r
      left join commit_key own on own.key_id = r.refund_key_id
      left join commit_key original on original.key_id = r.original_key_id
),
problem as (
    select format('return %s of receipt %s: no commit key is behind it', ordinal,
                  encode(original_key_id, 'hex')) as text
      from checked
     where not is_keyed
    union all
    select format('return %s of receipt %s: there is no such receipt', ordinal,
                  encode(original_key_id, 'hex'))
      from checked
     where not is_known
    union all
    select format('receipt %s: its return %s is missing', encode(original_key_id, 'hex'), place)
      from checked
     where ordinal <> place
)
select (select count(*) from checked) as returns,
       array(select text from problem order by text limit $1) as problems
"""

# What was stored of a closed period are its postings: each is in the first period that ended after
# it was recorded, and whose cut its transaction was below.
AUDIT_PERIODS = """
with closed as (
    select distinct chain_id from ledger_period
),
counted as (
    select a.chain_id, period.end_us, p.asset_code, p.book, p.party_id,
           sum(p.amount_minor) as counted_minor, count(*) as counted
      from posting p
      join account a on a.account_id = p.account_id
      join closed on closed.chain_id = a.chain_id
     cross join lateral (
           select end_us
             from ledger_period
            where chain_id = a.chain_id and end_us > p.recorded_at_us and cut_tx > p.recorded_tx
            order by end_us
            limit 1) as period
     group by a.chain_id, period.end_us, p.asset_code, p.book, p.party_id
),
problem as (
    select format('chain %s, period to %s: %s in %s of book %s%s are stored, its postings sum'
                  ' to %s', chain_id, end_us, coalesce(amount_minor::text, 'nothing'), asset_code,
                  book, case party_id when '' then '' else ' of ' || party_id end,
                  coalesce(counted_minor::text, 'nothing')) as text
      from ledger_period_total
      full join counted using (chain_id, end_us, asset_code, book, party_id)
     where (amount_minor, postings) is distinct from (counted_minor, counted)
)
select (select count(*) from ledger_period) as periods,
       array(select text from problem order by text limit $1) as problems
"""

BESIDE: Final = (AUDIT_TRANSFERS, AUDIT_INSTRUMENTS, AUDIT_RETURNS, AUDIT_PERIODS)
