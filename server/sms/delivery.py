"""Delivery receipts: late, out of order, before the answer to the submission, and after a crash."""

from collections.abc import Sequence

from rewards.outbox import FOLLOWING, RECEIPT_GRACE_US, MessageState
from server.sms.transport import Delivery, id_forms, normal_id
from server.store.database import Database
from server.store.facts import AnyConnection
from server.store.outbox_work import (
    Claimed,
    Move,
    Part,
    Receipt,
    count_unknown,
    drop_receipt,
    find_part,
    keep_receipt,
    kept_receipts,
    lock_phone,
    move_message,
    read_parts,
    read_standing,
    record_part,
    set_part,
)

ACCEPTED, DELIVERED, UNDELIVERABLE = 1, 2, 3
"""States of a part."""


async def take_delivery(
    database: Database, delivery: Delivery, phone_hash: bytes, now_us: int
) -> None:
    """Note a delivery receipt; durable when this returns. The same again changes nothing.

    Args:
        database: open.
        delivery: as the transport says it.
        phone_hash: of its phone; empty if it does not say whose it is.
        now_us: the instant.

    Raises:
        RetryError: the database cannot be reached; the transport has to say it again.
    """
    state = DELIVERED if delivery.is_delivered else UNDELIVERABLE
    receipt = Receipt(normal_id(delivery.provider_id), state, now_us, delivery.note)
    async with database.reading() as connection, connection.transaction():
        if phone_hash:
            await lock_phone(connection, phone_hash)
        found = await find_part(connection, id_forms(delivery.provider_id), phone_hash)
        if found is not None:
            await _note(connection, found, receipt)
        elif phone_hash:
            await keep_receipt(connection, receipt, phone_hash)


async def take_part(
    database: Database, message_id: bytes, part: Part, phone_hash: bytes, is_delivered: bool
) -> None:
    """Note that a part was taken; a receipt that came before it finds it now.

    Args:
        database: open.
        message_id: whose part it is.
        part: as the transport has taken it.
        phone_hash: where it went.
        is_delivered: it is there already.

    Raises:
        RetryError: the database cannot be reached.
    """
    async with database.reading() as connection, connection.transaction():
        await lock_phone(connection, phone_hash)
        await record_part(connection, message_id, part, phone_hash)
        place = (message_id, part.part, part.attempt)
        if is_delivered:
            receipt = Receipt(part.provider_id, DELIVERED, part.changed_at_us, "")
            await set_part(connection, *place, receipt)
        forms = id_forms(part.provider_id)
        for receipt in await kept_receipts(connection, phone_hash):
            if receipt.provider_id in forms:
                await set_part(connection, *place, receipt)
                await drop_receipt(connection, phone_hash, receipt.provider_id)


async def adopt(database: Database, claimed: Claimed, now_us: int) -> bool:
    """See whether receipts say what became of a message whose fate is not known.

    They name ids that nobody has recorded, so only their number tells: there must be as many as
    submissions to the phone that they could be of.

    Args:
        database: open.
        claimed: SENDING, and due: nobody is handing it over any more.
        now_us: the instant.

    Returns:
        Whether all parts are accounted for; then the message is where they bring it.
    """
    async with database.reading() as connection, connection.transaction():
        await lock_phone(connection, claimed.phone_hash)
        missing = missing_parts(
            claimed.part_count, await read_parts(connection, claimed.message_id)
        )
        kept = await kept_receipts(connection, claimed.phone_hash)
        fresh = {one.provider_id: one for one in kept if one.received_at_us >= claimed.begun_at_us}
        # A receipt of another submission to the phone must not stand for one of these parts.
        if missing and len(fresh) < len(missing) + await count_unknown(connection, claimed):
            return False
        for number, receipt in zip(missing, fresh.values(), strict=False):
            part = Part(number, claimed.attempt, receipt.provider_id, ACCEPTED, now_us)
            await record_part(connection, claimed.message_id, part, claimed.phone_hash)
            await set_part(connection, claimed.message_id, number, claimed.attempt, receipt)
            await drop_receipt(connection, claimed.phone_hash, receipt.provider_id)
        await settle(connection, claimed.message_id, now_us, "")
        return True


async def settle(connection: AnyConnection, message_id: bytes, at_us: int, note: str) -> None:
    """Bring a message into the state that its parts are in, if that is another one."""
    standing = await read_standing(connection, message_id)
    assert standing is not None, "a part has a message"
    parts = await read_parts(connection, message_id)
    to_state = state_by_parts(standing.state, standing.part_count, parts)
    if to_state is not None:
        due_at_us = standing.window_end_us + RECEIPT_GRACE_US
        move = Move(to_state, at_us, due_at_us, standing.window_end_us, note)
        await move_message(connection, message_id, standing.state, standing.attempt, move)


async def _note(connection: AnyConnection, found: tuple[bytes, int, int], receipt: Receipt) -> None:
    message_id, part, attempt = found
    await set_part(connection, message_id, part, attempt, receipt)
    note = receipt.note if receipt.state == UNDELIVERABLE else ""
    await settle(connection, message_id, receipt.received_at_us, note)


def missing_parts(part_count: int, parts: Sequence[Part]) -> list[int]:
    """Numbers of the parts that no attempt has handed over."""
    taken = {one.part for one in parts}
    return [number for number in range(1, part_count + 1) if number not in taken]


def state_by_parts(
    state: MessageState, part_count: int, parts: Sequence[Part]
) -> MessageState | None:
    """Where its parts bring a message; None where it is.

    A part that was sent twice is delivered if one of the two is, and lost if both are.
    """
    best: dict[int, int] = {}
    for one in parts:
        best[one.part] = min(best.get(one.part, UNDELIVERABLE), one.state, key=_RANK.index)
    if not part_count or any(number not in best for number in range(1, part_count + 1)):
        return None
    found = {best[number] for number in range(1, part_count + 1)}
    if found == {DELIVERED}:
        to_state = MessageState.DELIVERED
    elif ACCEPTED in found:
        to_state = MessageState.SENT
    else:
        to_state = MessageState.FAILED
    return to_state if to_state in FOLLOWING[state] else None


_RANK = (DELIVERED, ACCEPTED, UNDELIVERABLE)
