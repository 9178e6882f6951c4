"""What a till has stated of a receipt by Forward, and where what was sold is stored."""

import asyncio
from typing import NamedTuple

from rewards.commit import CommitKey, KeyKind
from rewards.outcome import Advice, ForwardState, Statement
from rewards.refusal import Reason, Refusal
from rewards.sale import OutcomeKind, derived_key_id
from server.store.database import RetryError
from server.store.facts import KnownKey
from server.store.forwarded import KnownStatement, read_statements
from server.till.context import Context

_SALE_KINDS = (KeyKind.CHECKOUT, KeyKind.FENCE, KeyKind.FORWARD)


class Base(NamedTuple):
    """Where what was sold is stored: its key, and the day of recording."""

    key_id: bytes
    day: int


async def read_history(
    context: Context, key_id: bytes, deadline_s: float
) -> tuple[KnownStatement, ...]:
    """Read what was stated of a receipt, oldest first; waits while the database is away.

    Raises:
        Refusal: STORE_UNAVAILABLE when the time is up.
    """
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                return await read_statements(connection, key_id)
        except RetryError:
            await context.database.recover()
        except TimeoutError:
            text = "the database cannot be reached in time: ask again"
            raise Refusal(Reason.STORE_UNAVAILABLE, text) from None


async def last_statement(
    context: Context, key_id: bytes, deadline_s: float
) -> KnownStatement | None:
    """Read the last statement of a receipt; None if there is none."""
    found = await read_history(context, key_id, deadline_s)
    return found[-1] if found else None


def base_of(known: KnownKey, key_id: bytes, history: tuple[KnownStatement, ...]) -> Base | None:
    """Where what was sold is stored; None of a receipt that was broken off and nothing else."""
    if history:
        return Base(history[-1].base_key_id, history[-1].base_day)
    return Base(key_id, known.day) if known.kind == KeyKind.CHECKOUT else None


def undone_keys(key_id: bytes, history: tuple[KnownStatement, ...]) -> set[bytes]:
    """The keys under which a receipt was sold, and then undone; of most there are none."""
    if not history:
        return set()
    found = {key_id, *[one.base_key_id for one in history]}
    return found if history[-1].statement.is_undone else found - {history[-1].base_key_id}


def is_sale(known: KnownKey, history: tuple[KnownStatement, ...]) -> bool:
    """Whether a key is that of a sale, or nothing is known of what it was broken off for."""
    if known.kind not in _SALE_KINDS:
        return False
    return not history or history[-1].statement.advice == Advice.SALE


def stated_under(history: tuple[KnownStatement, ...], own_key_id: bytes) -> Statement | None:
    """What was stated under a statement's own key.

    Args:
        history: of the receipt. It may be younger than a look-up that did not find the key: of two
            copies of a statement at once one may be recorded in between.
        own_key_id: of the statement.
    """
    return next((one.statement for one in history if one.forward_key_id == own_key_id), None)


def turn_key(key_id: bytes, turn: int) -> CommitKey:
    """The key of a receipt's next change: of two at once one finds it taken.

    Args:
        key_id: the receipt's.
        turn: how many returns and statements there were before.
    """
    changed = derived_key_id(b"refund turn", key_id, turn.to_bytes(4, "big"))
    return CommitKey(changed, KeyKind.REFUND_TURN, key_id)


def stands_as_answered(known: KnownKey, last: KnownStatement) -> bool:
    """Whether the answer of the live call is what counts."""
    is_first = known.kind == KeyKind.CHECKOUT and not last.statement.is_base
    return is_first and last.statement.outcome.kind == OutcomeKind.AS_ANSWERED


def forwarded_refusal(key_id: bytes, last: KnownStatement) -> Refusal:
    """What a live call gets that comes after its Forward."""
    outcome = last.statement.outcome
    metadata = {
        "receipt_id": key_id.hex(),
        "outcome": OutcomeKind(outcome.kind).name,
        "outcome_number": str(outcome.number),
        "state": ForwardState(last.statement.state).name,
    }
    text = "the receipt came by Forward and is settled: there is nothing left to do"
    return Refusal(Reason.FORWARDED, text, metadata)
