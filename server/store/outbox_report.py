"""Reads the outbox for people: pages of messages, one with its history, figures of a period."""

from collections.abc import Sequence

from msgspec import Struct

from server.store.facts import AnyConnection

_MESSAGES = """
select m.message_id, m.receipt_id, c.customer_number, m.state, m.changed_at_us, m.sold_at_us,
       m.arrived_at_us, m.window_end_us, m.is_late, m.due_at_us, m.attempt, m.resends, m.body,
       m.part_count, m.customer_id
  from outbox_message m
  left join membership s on s.customer_id = m.customer_id
  left join customer c on c.account_id = coalesce(s.account_id, m.customer_id)
                      and c.customer_id = m.customer_id
"""

SELECT_PAGE = (
    _MESSAGES
    + """
 where m.chain_id = $1 and ($2::smallint = 0 or m.state = $2)
   and (m.arrived_at_us, m.message_id) > ($3, $4)
 order by m.arrived_at_us, m.message_id
 limit $5
"""
)

SELECT_OF_RECEIPT = (
    _MESSAGES
    + """
 where m.chain_id = $1 and ($2::smallint = 0 or m.state = $2)
   and (m.arrived_at_us, m.message_id) > ($3, $4)
   and m.receipt_id = $6
 order by m.arrived_at_us, m.message_id
 limit $5
"""
)

SELECT_MESSAGE = _MESSAGES + " where m.message_id = $1 and m.chain_id = $2"

SELECT_CHANGES = """
select state, changed_at_us, note
  from outbox_change
 where message_id = $1
 order by turn
"""

SELECT_FIGURES = """
select is_late, state, count(*) as messages,
       sum((select count(*) from outbox_part p where p.message_id = m.message_id))::bigint
           as parts,
       sum(resends)::bigint as resends,
       count(*) filter (where state = 4 and changed_at_us - sold_at_us <= $4) as within_day,
       count(*) filter (where state <= 2 and window_end_us < $5) as overdue,
       percentile_disc(array[0.5, 0.9, 0.99, 1.0])
           within group (order by changed_at_us - sold_at_us) as took_us
  from outbox_message m
 where chain_id = $1 and arrived_at_us >= $2 and arrived_at_us < $3
 group by is_late, state
 order by is_late, state
"""


class MessageRow(Struct, frozen=True):
    """A message as it stands; see the schema."""

    message_id: bytes
    receipt_id: bytes
    customer_number: str | None
    state: int
    changed_at_us: int
    sold_at_us: int
    arrived_at_us: int
    window_end_us: int
    is_late: bool
    due_at_us: int
    attempt: int
    resends: int
    body: str
    part_count: int
    customer_id: int


class Change(Struct, frozen=True):
    """A state that a message came into."""

    state: int
    changed_at_us: int
    note: str


class FigureRow(Struct, frozen=True):
    """Figures of the messages in one state.

    Attributes:
        took_us: half, 90 %, 99 % and all of them were in the state so long after the sale.
    """

    is_late: bool
    state: int
    messages: int
    parts: int
    resends: int
    within_day: int
    overdue: int
    took_us: Sequence[int]


async def read_page(
    connection: AnyConnection,
    chain_id: str,
    state: int,
    receipt_id: bytes,
    after: tuple[int, bytes],
    limit: int,
) -> list[MessageRow]:
    """Read a page of messages by arrival; state 0 is any, an empty receipt any."""
    common = (chain_id, state, *after, limit)
    if receipt_id:
        rows = await connection.fetch(SELECT_OF_RECEIPT, *common, receipt_id)
    else:
        rows = await connection.fetch(SELECT_PAGE, *common)
    return [MessageRow(*row.values()) for row in rows]


async def read_message(
    connection: AnyConnection, chain_id: str, message_id: bytes
) -> tuple[MessageRow, list[Change]] | None:
    """Read a message with the states it came into after it was queued."""
    row = await connection.fetchrow(SELECT_MESSAGE, message_id, chain_id)
    if row is None:
        return None
    changes = await connection.fetch(SELECT_CHANGES, message_id)
    return MessageRow(*row.values()), [Change(*one.values()) for one in changes]


async def read_figures(
    connection: AnyConnection, chain_id: str, from_us: int, to_us: int, day_us: int, now_us: int
) -> list[FigureRow]:
    """Read figures of the messages whose receipts arrived in a period, by lateness and state."""
    rows = await connection.fetch(SELECT_FIGURES, chain_id, from_us, to_us, day_us, now_us)
    return [FigureRow(*row.values()) for row in rows]
