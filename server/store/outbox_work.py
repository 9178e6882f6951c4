"""The workers' side of the outbox: messages are claimed, and come from state to state.

A claim is a due instant that is put off: whoever dies gives it back by the clock. What a step has
seen stands in its condition, so that of two that take it one does. Receipts of one phone are
written one after the other, so that a part and its receipt cannot miss each other.
"""

from collections.abc import Sequence

import asyncpg
import msgspec
from msgspec import Struct

from rewards.commit import MessageFigure
from rewards.outbox import MessageState
from server.store.facts import AnyConnection

DUE_MAX = 32
"""Messages that one look claims at most."""
RECEIPTS_KEPT_US = 7 * 86_400_000_000
"""How long a delivery receipt is kept that nobody's part is about."""

SELECT_DUE = """
select message_id
  from outbox_message
 where due_at_us <= $1 and state <= 3
   and ($3 or state = 3 or window_end_us < $1)
 order by due_at_us
 limit $2
"""

CLAIM_DUE = """
update outbox_message m
   set due_at_us = $3, claim_id = $4
  from unnest($1::bytea[]) as due (message_id)
 where m.message_id = due.message_id
   and m.due_at_us <= $2 and m.state <= 3
returning m.message_id, m.receipt_id, m.chain_id, m.store_id, m.customer_id, m.ruleset_version,
          m.template_code, m.figures, m.sold_at_us, m.window_end_us, m.state, m.attempt,
          m.retries, m.body, m.part_count, m.reference, m.phone_hash, m.begun_at_us, m.stop_note
"""

# The phone may have come on the stop list since the message was judged. A statement that waits for
# its row goes on with what it saw of other tables before: so this one passes a row that is locked.
BEGIN_SENDING = """
with own as materialized (
    select message_id from outbox_message where message_id = $1 for update skip locked
),
begun as (
    update outbox_message m
       set state = 2, turn = turn + 1, attempt = attempt + 1, changed_at_us = $6, due_at_us = $7,
           resends = resends + case when $5 then 1 else 0 end,
           body = $8, part_count = $9, reference = $10, phone_hash = $11,
           begun_at_us = case when phone_hash = $11 then begun_at_us else $6 end
      from own
     where m.message_id = own.message_id
       and claim_id = $2 and state = $3 and attempt = $4 and stop_note = ''
       and not exists (select from outbox_stop s
                        where s.chain_id = m.chain_id and s.phone_hash = $11)
    returning m.message_id, turn, attempt
)
insert into outbox_change (message_id, turn, state, changed_at_us, note)
select message_id, turn, 2, $6,
       case when $5 then 'sent again: nobody knows what became of it' else '' end
  from begun
returning turn
"""

MOVE_MESSAGE = """
with moved as (
    update outbox_message
       set state = $4, turn = turn + 1, changed_at_us = $5, due_at_us = $6, window_end_us = $7,
           retries = retries + $8
     where message_id = $1 and state = $2 and attempt = $3
       and ($10::bytea = '' or claim_id = $10)
    returning message_id, turn
)
insert into outbox_change (message_id, turn, state, changed_at_us, note)
select message_id, turn, $4, $5, $9 from moved
returning turn
"""

SELECT_SENDINGS = """
select sent_at_us
  from (select (select max(c.changed_at_us)
                  from outbox_change c
                 where c.message_id = m.message_id and c.state = 2) as sent_at_us
          from outbox_message m
         where m.customer_id = $1 and m.message_id <> $2 and m.attempt > 0) as other
 where sent_at_us > $3
"""

LOCK = "select pg_advisory_xact_lock($1)"

INSERT_PART = """
insert into outbox_part (message_id, part, attempt, provider_id, phone_hash, state, changed_at_us)
values ($1, $2, $3, $4, $5, 1, $6)
on conflict do nothing
"""

SELECT_PARTS = """
select part, attempt, provider_id, state, changed_at_us
  from outbox_part p
 where message_id = $1
   and phone_hash = (select m.phone_hash from outbox_message m where m.message_id = $1)
"""

SELECT_PARTS_CALLED = """
select message_id, part, attempt, provider_id
  from outbox_part
 where provider_id = any($1::text[]) and ($2 = ''::bytea or phone_hash = $2)
"""

SET_PART = """
update outbox_part
   set state = $4, changed_at_us = $5
 where message_id = $1 and part = $2 and attempt = $3 and state in (1, 3)
"""

INSERT_RECEIPT = """
insert into outbox_receipt (provider_id, phone_hash, state, received_at_us, note)
values ($1, $2, $3, $4, $5)
on conflict do nothing
"""

SELECT_RECEIPTS = """
select provider_id, state, received_at_us, note
  from outbox_receipt
 where phone_hash = $1
 order by received_at_us
"""

# Of a message of one part any receipt will do, whichever of its submissions it is of.
SELECT_UNKNOWN = """
select coalesce(sum(
           case when m.message_id = $2 and m.part_count = 1 then 0
                else m.resends * m.part_count end
         + case when m.state <> 2 or m.message_id = $2 then 0
                else m.part_count - (select count(distinct p.part)
                                       from outbox_part p
                                      where p.message_id = m.message_id
                                        and p.phone_hash = m.phone_hash) end), 0)::bigint
  from outbox_message m
 where m.phone_hash = $1 and (m.state = 2 or m.resends > 0) and m.window_end_us > $3
"""

DELETE_RECEIPTS = "delete from outbox_receipt where phone_hash = $1 and provider_id = $2"

DROP_RECEIPTS = "delete from outbox_receipt where received_at_us < $1"

# Held, because parts are read after it: two who change parts and state would else each miss what
# the other has not committed yet. Whoever holds a message asks for no phone, part or customer that
# somebody who waits for the message could hold: there is no circle.
SELECT_STANDING = """
select state, attempt, part_count, window_end_us
  from outbox_message
 where message_id = $1
   for update
"""

SELECT_WAITING = """
select m.due_at_us, p.provider_id
  from outbox_message m
  join outbox_part p on p.message_id = m.message_id and p.state = 1
 where m.state in (2, 3) and m.state <= 3 and m.due_at_us > $1
 order by m.due_at_us, p.part
 limit $2
"""

HOT_STATEMENTS = {
    "SELECT_DUE": SELECT_DUE,
    "CLAIM_DUE": CLAIM_DUE,
    "BEGIN_SENDING": BEGIN_SENDING,
    "MOVE_MESSAGE": MOVE_MESSAGE,
    "SELECT_SENDINGS": SELECT_SENDINGS,
    "INSERT_PART": INSERT_PART,
    "SELECT_PARTS": SELECT_PARTS,
    "SELECT_PARTS_CALLED": SELECT_PARTS_CALLED,
    "SET_PART": SET_PART,
    "SELECT_RECEIPTS": SELECT_RECEIPTS,
    "SELECT_UNKNOWN": SELECT_UNKNOWN,
    "DELETE_RECEIPTS": DELETE_RECEIPTS,
    "SELECT_STANDING": SELECT_STANDING,
}
"""What workers run all the time; a test explains each on a million rows without statistics."""

_FIGURES = msgspec.msgpack.Decoder(tuple[MessageFigure, ...])


class Claimed(Struct, frozen=True):
    """A message that a worker has claimed, as it stood then.

    Attributes:
        attempt: submissions so far.
        body: of the last of them; empty before the first.
        begun_at_us: when it was first sent to the phone to which it went last.
    """

    message_id: bytes
    receipt_id: bytes
    chain_id: str
    store_id: str
    customer_id: int
    ruleset_version: int
    template_code: str
    figures: tuple[MessageFigure, ...]
    sold_at_us: int
    window_end_us: int
    state: MessageState
    attempt: int
    retries: int
    body: str
    part_count: int
    reference: int
    phone_hash: bytes
    begun_at_us: int
    stop_note: str


class Sending(Struct, frozen=True):
    """What is recorded before a submission.

    Attributes:
        is_resend: an earlier submission may have arrived.
        due_at_us: when somebody looks at it again if nobody says what became of it.
    """

    claim_id: bytes
    is_resend: bool
    at_us: int
    due_at_us: int
    body: str
    part_count: int
    reference: int
    phone_hash: bytes


class Move(Struct, frozen=True):
    """A step of a message into a state.

    Attributes:
        due_at_us: when somebody is to look at it next.
        window_end_us: from now on.
        is_retry: a gateway refused it for the time being.
        claim_id: only while this claim holds; empty is whoever claims it.
    """

    to_state: MessageState
    at_us: int
    due_at_us: int
    window_end_us: int
    note: str
    is_retry: bool = False
    claim_id: bytes = b""


class Part(Struct, frozen=True):
    """A part that a gateway has taken; states as in the schema."""

    part: int
    attempt: int
    provider_id: str
    state: int
    changed_at_us: int


class Receipt(Struct, frozen=True):
    """What a gateway says of a part: 2 delivered, 3 undeliverable."""

    provider_id: str
    state: int
    received_at_us: int
    note: str


class Standing(Struct, frozen=True):
    """A message as it stands."""

    state: MessageState
    attempt: int
    part_count: int
    window_end_us: int


async def claim_due(
    connection: AnyConnection, now_us: int, until_us: int, claim_id: bytes, can_send: bool
) -> list[Claimed]:
    """Claim messages that are due, the longest due first.

    Args:
        connection: outside a transaction.
        now_us: the instant.
        until_us: when they are due again unless the claimer says otherwise.
        claim_id: whose they are from now on.
        can_send: else those that only the transport waits for stay where they are.
    """
    due = await connection.fetch(SELECT_DUE, now_us, DUE_MAX, can_send)
    ids = sorted(row[0] for row in due)
    if not ids:
        return []
    rows = await connection.fetch(CLAIM_DUE, ids, now_us, until_us, claim_id)
    return [_claimed(row) for row in rows]


def _claimed(row: asyncpg.Record) -> Claimed:
    figures, state = _FIGURES.decode(row["figures"]), MessageState(row["state"])
    return Claimed(**{**row, "figures": figures, "state": state})


async def begin_sending(
    connection: AnyConnection, claimed: Claimed, sending: Sending, cap: tuple[int, int]
) -> list[int] | None:
    """Record that a message is being handed over, before it is.

    Args:
        connection: outside a transaction.
        claimed: as it was seen.
        sending: what is recorded.
        cap: so many messages to the customer since an instant are too many; 0 is without bound.

    Returns:
        Nothing if it is recorded; when others went out to the customer, if those are too many;
        None if it is not as it was seen any more, or its phone has come on the stop list.
    """
    most, since_us = cap
    async with connection.transaction():
        if most:
            await connection.fetch(LOCK, claimed.customer_id)
            found = await connection.fetch(
                SELECT_SENDINGS, claimed.customer_id, claimed.message_id, since_us
            )
            if len(found) >= most:
                return [row[0] for row in found]
        begun = await _begun(connection, claimed, sending)
        if not begun:
            # Somebody may have had the row: with it, what stands there now is seen.
            await connection.fetchrow(SELECT_STANDING, claimed.message_id)
            begun = await _begun(connection, claimed, sending)
    return [] if begun else None


async def _begun(connection: AnyConnection, claimed: Claimed, sending: Sending) -> bool:
    """Record it if nobody has the row, and it is as it was seen."""
    begun = await connection.fetch(
        BEGIN_SENDING,
        claimed.message_id,
        sending.claim_id,
        claimed.state,
        claimed.attempt,
        sending.is_resend,
        sending.at_us,
        sending.due_at_us,
        sending.body,
        sending.part_count,
        sending.reference,
        sending.phone_hash,
    )
    return bool(begun)


async def move_message(
    connection: AnyConnection,
    message_id: bytes,
    from_state: MessageState,
    attempt: int,
    move: Move,
) -> bool:
    """Bring a message into a state, if it still is as it was seen; say whether it did."""
    moved = await connection.fetch(
        MOVE_MESSAGE,
        message_id,
        from_state,
        attempt,
        move.to_state,
        move.at_us,
        move.due_at_us,
        move.window_end_us,
        1 if move.is_retry else 0,
        move.note,
        move.claim_id,
    )
    return bool(moved)


async def record_part(
    connection: AnyConnection, message_id: bytes, part: Part, phone_hash: bytes
) -> None:
    """Record a part that a gateway has taken, before anything else is done with the message."""
    await connection.fetch(
        INSERT_PART,
        message_id,
        part.part,
        part.attempt,
        part.provider_id,
        phone_hash,
        part.changed_at_us,
    )


async def read_parts(connection: AnyConnection, message_id: bytes) -> list[Part]:
    """Read what gateways have taken of a message for its phone, of all attempts."""
    return [Part(*row.values()) for row in await connection.fetch(SELECT_PARTS, message_id)]


async def read_standing(connection: AnyConnection, message_id: bytes) -> Standing | None:
    """Read how a message stands, and let nobody else change that until the transaction ends."""
    row = await connection.fetchrow(SELECT_STANDING, message_id)
    if row is None:
        return None
    state, attempt, part_count, window_end_us = row.values()
    return Standing(MessageState(state), attempt, part_count, window_end_us)


async def lock_phone(connection: AnyConnection, phone_hash: bytes) -> None:
    """Let nobody else write parts or receipts of a phone until the transaction ends."""
    await connection.fetch(LOCK, int.from_bytes(phone_hash[:8], "big", signed=True))


async def find_part(
    connection: AnyConnection, provider_ids: Sequence[str], phone_hash: bytes
) -> tuple[bytes, int, int] | None:
    """Find the part that a gateway calls so.

    Args:
        connection: any.
        provider_ids: the forms that its id may have, the likeliest first.
        phone_hash: whose it is.

    Returns:
        Message, part and attempt.
    """
    rows = await connection.fetch(SELECT_PARTS_CALLED, provider_ids, phone_hash)
    by_id = {row["provider_id"]: row for row in rows}
    for provider_id in provider_ids:
        if provider_id in by_id:
            row = by_id[provider_id]
            return row["message_id"], row["part"], row["attempt"]
    return None


async def set_part(
    connection: AnyConnection, message_id: bytes, part: int, attempt: int, receipt: Receipt
) -> None:
    """Note what became of a part; what was delivered stays so."""
    await connection.fetch(
        SET_PART, message_id, part, attempt, receipt.state, receipt.received_at_us
    )


async def keep_receipt(connection: AnyConnection, receipt: Receipt, phone_hash: bytes) -> None:
    """Keep a receipt whose part is not known, or not yet."""
    await connection.fetch(
        INSERT_RECEIPT,
        receipt.provider_id,
        phone_hash,
        receipt.state,
        receipt.received_at_us,
        receipt.note,
    )


async def kept_receipts(connection: AnyConnection, phone_hash: bytes) -> list[Receipt]:
    """Read the receipts of a phone whose parts are not known, the oldest first."""
    return [Receipt(*row.values()) for row in await connection.fetch(SELECT_RECEIPTS, phone_hash)]


async def count_unknown(connection: AnyConnection, claimed: Claimed) -> int:
    """Count submissions to a message's phone of which nobody knows what became, but for its own.

    Those of the message itself count where it has several parts: a part that was sent twice may
    have two receipts.
    """
    since_us = claimed.begun_at_us - RECEIPTS_KEPT_US
    phone_hash, message_id = claimed.phone_hash, claimed.message_id
    row = await connection.fetchrow(SELECT_UNKNOWN, phone_hash, message_id, since_us)
    assert row is not None, "a sum has a row"
    found: int = row[0]
    return found


async def drop_receipt(connection: AnyConnection, phone_hash: bytes, provider_id: str) -> None:
    """Forget a kept receipt that has found its part."""
    await connection.fetch(DELETE_RECEIPTS, phone_hash, provider_id)


async def drop_old_receipts(connection: AnyConnection, now_us: int) -> None:
    """Forget receipts that have found no part for long."""
    await connection.fetch(DROP_RECEIPTS, now_us - RECEIPTS_KEPT_US)


async def read_waiting(
    connection: AnyConnection, after_us: int, limit: int
) -> list[tuple[int, str]]:
    """Read parts whose delivery is not known yet, for a gateway that has to be asked.

    Returns:
        (when their message is due, id), those due after an instant, the soonest first.
    """
    rows = await connection.fetch(SELECT_WAITING, after_us, limit)
    return [(row["due_at_us"], row["provider_id"]) for row in rows]
