"""The outbox's side of the commit pipeline: messages are written, and stopped, with receipts."""

from collections.abc import Sequence

import msgspec

from rewards.commit import Commit, having
from server.store.pool import Connection, PooledConnection

AnyConnection = Connection | PooledConnection

INSERT_MESSAGES = """
insert into outbox_message (message_id, receipt_id, chain_id, store_id, customer_id,
                            ruleset_version, template_code, figures, sold_at_us, arrived_at_us,
                            window_end_us, is_late, due_at_us, changed_at_us, state, turn)
select new.*, 1, 0
  from unnest($1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
              $7::text[], $8::bytea[], $9::bigint[], $10::bigint[], $11::bigint[], $12::boolean[],
              $13::bigint[], $14::bigint[])
    as new
"""

# What is being sent cannot be called back, but is not sent again.
STOP_MESSAGES = """
with stopped as (
    update outbox_message m
       set state = case when m.state = 1 then 7 else m.state end,
           turn = case when m.state = 1 then m.turn + 1 else m.turn end,
           changed_at_us = stop.at_us,
           stop_note = stop.note
      from unnest($1::bytea[], $2::bigint[], $3::text[]) as stop (receipt_id, at_us, note)
     where m.receipt_id = stop.receipt_id and m.state in (1, 2)
    returning m.message_id, m.turn, m.state, m.changed_at_us, m.stop_note
)
insert into outbox_change (message_id, turn, state, changed_at_us, note)
select message_id, turn, state, changed_at_us, stop_note from stopped where state = 7
"""

WRITE_STATEMENTS = {"INSERT_MESSAGES": INSERT_MESSAGES, "STOP_MESSAGES": STOP_MESSAGES}
"""What the commit pipeline runs besides."""

_ENCODER = msgspec.msgpack.Encoder()


async def write_messages(connection: AnyConnection, commits: Sequence[Commit]) -> None:
    """Stop messages about receipts that count otherwise from now on; write the new ones."""
    stops = {
        (key_id, commit.recorded_at_us, "voided")
        for commit in having(commits, "undone_key_ids")
        for key_id in commit.undone_key_ids
    } | {
        (key_id, commit.recorded_at_us, "a later outcome counts")
        for commit in having(commits, "silenced_key_ids")
        for key_id in commit.silenced_key_ids
    }
    if stops:
        await connection.fetch(STOP_MESSAGES, *zip(*sorted(stops), strict=True))
    rows = [
        (
            one.message_id,
            one.receipt_id,
            one.chain_id,
            one.store_id,
            one.customer_id,
            one.ruleset_version,
            one.template_code,
            _ENCODER.encode(one.figures),
            one.sold_at_us,
            one.arrived_at_us,
            one.window_end_us,
            one.is_late,
            one.not_before_us,
            commit.recorded_at_us,
        )
        for commit in having(commits, "messages")
        for one in commit.messages
    ]
    if rows:
        await connection.fetch(INSERT_MESSAGES, *zip(*rows, strict=True))
