"""Writes and reads transfers of money to accounts of customers, every state they were in kept."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from rewards.commit import Commit, having
from rewards.transfer import Sent, SentBefore, TransferState
from server.store.facts import AnyConnection

INSERT_TRANSFERS = """
insert into money_transfer (transfer_id, chain_id, customer_id, promotion_id, destination_code,
                            amount_minor, state, turn, changed_at_us)
select transfer_id, chain_id, customer_id, promotion_id, destination_code, amount_minor, 1, 0,
       changed_at_us
  from unnest($1::bytea[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
              $7::bigint[])
    as new (transfer_id, chain_id, customer_id, promotion_id, destination_code, amount_minor,
            changed_at_us)
"""

# What has been sent cannot be called back; when it comes back it stays. It is waiting in the states
# 1 (requested) and 4 (returned); 5 is cancelled.
CANCEL_TRANSFERS = """
with cancelled as (
    update money_transfer
       set ground_minor = 0,
           state = case when state in (1, 4) then 5 else state end,
           turn = turn + case when state in (1, 4) then 1 else 0 end,
           changed_at_us = case when state in (1, 4) then $3 else changed_at_us end
     where transfer_id >= $1 and transfer_id < $2 and state <> 5
    returning transfer_id, turn, state
)
insert into money_transfer_change (transfer_id, turn, state, changed_at_us, note)
select transfer_id, turn, 5, $3, 'voided' from cancelled where state = 5
"""

# Whoever saw another amount saw another turn, and does not send it.
CUT_TRANSFER = """
with cut as (
    update money_transfer t
       set ground_minor = $2::bigint,
           state = case when t.state not in (1, 4) or $2 > 0 then t.state else 5 end,
           amount_minor = case when t.state in (1, 4) and $2 > 0 then $2 else t.amount_minor end,
           turn = t.turn + case when t.state in (1, 4) then 1 else 0 end,
           changed_at_us = case when t.state in (1, 4) then $3 else t.changed_at_us end
      from (select transfer_id, amount_minor from money_transfer where transfer_id = $1) as seen
     where t.transfer_id = seen.transfer_id and t.state <> 5
       and least(t.amount_minor, t.ground_minor) > $2::bigint
    returning t.transfer_id, t.turn, t.state, seen.amount_minor - $2 as cut_minor
)
insert into money_transfer_change (transfer_id, turn, state, changed_at_us, note)
select transfer_id, turn, state, $3, 'refunded ' || cut_minor from cut where state in (1, 4, 5)
"""

# What came back, and was cancelled, since it was read as sent is there to be sent again.
GROUND_TRANSFER = """
with grounded as (
    update money_transfer
       set ground_minor = $2::bigint,
           state = case when state = 5 then 4 else state end,
           amount_minor = case when state = 5 then $2 else amount_minor end,
           turn = turn + case when state = 5 then 1 else 0 end,
           changed_at_us = case when state = 5 then $3 else changed_at_us end
     where transfer_id = $1
    returning transfer_id, turn, state
)
insert into money_transfer_change (transfer_id, turn, state, changed_at_us, note)
select transfer_id, turn, 4, $3, 'sold anew' from grounded where state = 4
"""

# Only from the turn that was seen: of two that advance it one does. What comes back (4) and has
# lost its ground is not sent again.
ADVANCE_TRANSFER = """
with advanced as (
    update money_transfer
       set state = case when $3 = 4 and ground_minor = 0 then 5 else $3 end,
           amount_minor = case when $3 = 4 and ground_minor > 0
                               then least(amount_minor, ground_minor) else amount_minor end,
           turn = turn + case when $3 = 4 and ground_minor = 0 then 2 else 1 end,
           changed_at_us = $4
     where transfer_id = $1 and turn = $2
    returning transfer_id, turn, state
)
insert into money_transfer_change (transfer_id, turn, state, changed_at_us, note)
select transfer_id, $2 + 1, $3, $4, $5 from advanced
union all
select transfer_id, turn, 5, $4, 'nothing is due any more' from advanced where state = 5
"""

_COLUMNS = """
select t.transfer_id, t.chain_id, c.customer_number, t.promotion_id, t.destination_code,
       t.amount_minor, t.state, t.turn, t.changed_at_us
  from money_transfer t
  left join membership m on m.customer_id = t.customer_id
  left join customer c on c.account_id = coalesce(m.account_id, t.customer_id)
                      and c.customer_id = t.customer_id
"""

SELECT_TRANSFER = _COLUMNS + " where t.transfer_id = $1 and t.chain_id = $2"

SELECT_TRANSFERS = (
    _COLUMNS
    + " where t.chain_id = $1 and t.state = $2 and t.transfer_id > $3"
    + " order by t.transfer_id limit $4"
)

# What waited to be sent was cancelled with the receipt.
SELECT_SENT = """
select t.transfer_id, t.promotion_id, t.destination_code, t.amount_minor,
       coalesce(t.ground_minor, t.amount_minor) as ground_minor
  from unnest($1::bytea[]) as sold (key_id)
  join money_transfer t
    on t.transfer_id >= sold.key_id || '\\x0000'::bytea
   and t.transfer_id < sold.key_id || '\\xffff00'::bytea
 where t.state <> 5
 order by t.transfer_id
"""

SELECT_CHANGES = """
select state, changed_at_us, note
  from money_transfer_change
 where transfer_id = $1
 order by turn
"""

WRITE_STATEMENTS = {
    "INSERT_TRANSFERS": INSERT_TRANSFERS,
    "CANCEL_TRANSFERS": CANCEL_TRANSFERS,
    "CUT_TRANSFER": CUT_TRANSFER,
    "GROUND_TRANSFER": GROUND_TRANSFER,
}
"""What the commit pipeline runs besides."""


class Transfer(Struct, frozen=True):
    """A transfer as it stands; `turn` counts its changes, amounts are minor units of money."""

    transfer_id: bytes
    chain_id: str
    customer_number: str | None
    promotion_id: str
    destination_code: str
    amount_minor: int
    state: int
    turn: int
    changed_at_us: int


class Change(Struct, frozen=True):
    """A state that a transfer came into, with the note of who brought it there."""

    state: int
    changed_at_us: int
    note: str


async def write_transfers(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Write the transfers that receipts ask for; lower or cancel what has lost its ground."""
    rows = [
        (
            one.transfer_id,
            one.chain_id,
            one.customer_id,
            one.promotion_id,
            one.destination_code,
            one.amount_minor,
            commit.recorded_at_us,
        )
        for commit in having(commits, "money_transfers")
        for one in commit.money_transfers
    ]
    if rows:
        await connection.fetch(INSERT_TRANSFERS, *zip(*rows, strict=True))
    for commit in commits:
        for key_id in commit.undone_key_ids:
            ends = (key_id + b"\x00\x00", key_id + b"\xff\xff\x00")
            await connection.fetch(CANCEL_TRANSFERS, *ends, commit.recorded_at_us)
        for statement, parts in (
            (CUT_TRANSFER, commit.transfer_cuts),
            (GROUND_TRANSFER, commit.transfer_grounds),
        ):
            for one in parts:
                at_us = commit.recorded_at_us
                await connection.fetch(statement, one.transfer_id, one.left_minor, at_us)


async def list_transfers(
    connection: AnyConnection, chain_id: str, state: TransferState, after: bytes, limit: int
) -> list[Transfer]:
    """Read a page of a chain's transfers in a state, by id."""
    rows = await connection.fetch(SELECT_TRANSFERS, chain_id, state, after, limit)
    return [Transfer(*row.values()) for row in rows]


async def read_sent(connection: AnyConnection, key_ids: Iterable[bytes]) -> Sent:
    """Read what was sent for sales that were undone.

    Args:
        connection: to read on.
        key_ids: under which they were posted.
    """
    rows = await connection.fetch(SELECT_SENT, sorted(key_ids))
    return tuple(SentBefore(*row.values()) for row in rows)


async def read_transfer(
    connection: AnyConnection, chain_id: str, transfer_id: bytes
) -> tuple[Transfer, list[Change]] | None:
    """Read a transfer with the states it came into after it was requested."""
    row = await connection.fetchrow(SELECT_TRANSFER, transfer_id, chain_id)
    if row is None:
        return None
    changes = await connection.fetch(SELECT_CHANGES, transfer_id)
    return Transfer(*row.values()), [Change(*one.values()) for one in changes]


async def advance_transfer(
    connection: AnyConnection, seen: Transfer, to_state: TransferState, at_us: int, note: str
) -> None:
    """Bring a transfer from where it was seen into another state, unless it was changed since."""
    await connection.fetch(ADVANCE_TRANSFER, seen.transfer_id, seen.turn, to_state, at_us, note)
