"""Money that a promotion sends to an account of the customer, and the states it goes through."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import msgspec

from rewards.benefit import MoneyTransfer
from rewards.commit import NewTransfer, TransferCut
from rewards.ledger import transfer_id_of
from rewards.refund import Refund
from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram


class SentBefore(NamedTuple):
    """Money that was sent for a receipt when it was sold before, minor units.

    Attributes:
        ground_minor: how much of it counts for what the receipt is now.
    """

    transfer_id: bytes
    promotion_id: str
    destination_code: str
    amount_minor: int
    ground_minor: int


Sent = Sequence[SentBefore]
NOTHING_SENT: Sent = ()


class TransferState(IntEnum):
    """As MoneyTransferState of the contract.

    Attributes:
        REQUESTED: nobody has sent it yet.
        SENT: a payout program has handed it to who carries it out.
        DONE: it has arrived.
        RETURNED: it came back, and can be sent again.
        CANCELLED: the receipt was voided, or all of it lost its ground: what was not on its way,
            or has come back.
    """

    REQUESTED = 1
    SENT = 2
    DONE = 3
    RETURNED = 4
    CANCELLED = 5


FOLLOWING: dict[TransferState, frozenset[TransferState]] = {
    TransferState.REQUESTED: frozenset({TransferState.SENT}),
    TransferState.SENT: frozenset({TransferState.DONE, TransferState.RETURNED}),
    TransferState.DONE: frozenset({TransferState.RETURNED}),
    TransferState.RETURNED: frozenset({TransferState.SENT}),
    TransferState.CANCELLED: frozenset(),
}
"""Into which states whoever pays out may bring one; CANCELLED comes from voids and refunds."""


def may_follow(state: TransferState, to_state: TransferState) -> bool:
    """Whether a transfer may go from one state to another."""
    return to_state in FOLLOWING[state]


def transfers_of(
    program: CompiledProgram, grants: Sequence[Grant], key_id: bytes, customer_id: int
) -> tuple[NewTransfer, ...]:
    """The transfers that a receipt asks for.

    Args:
        program: the promotions that the grants number.
        grants: what was given.
        key_id: the receipt's.
        customer_id: who gets it; 0 is nobody, who gets nothing.
    """
    sent = _sent_by(program, grants) if customer_id else []
    if not sent:
        return ()
    return tuple(
        NewTransfer(
            transfer_id_of(key_id, n),
            program.chain_id,
            customer_id,
            program.promotions[grant.number].promotion_id,
            benefit.destination_code,
            grant.amount_minor,
        )
        for n, (grant, benefit) in enumerate(sent)
    )


def not_sent_yet(
    transfers: Sequence[NewTransfer], sent: Sent
) -> tuple[tuple[NewTransfer, ...], tuple[TransferCut, ...]]:
    """Hold what a receipt that is sold anew asks for against what was sent for it before.

    Returns:
        What is still to be sent; and how much of each that was sent counts again.
    """
    left, found = {one.transfer_id: one.amount_minor for one in sent}, []
    for one in transfers:
        parts = _take(left, sent, (one.promotion_id, one.destination_code), one.amount_minor)
        amount_minor = one.amount_minor - sum([minor for _, minor in parts])
        if amount_minor:
            found.append(msgspec.structs.replace(one, amount_minor=amount_minor))
    counted = [(one.transfer_id, one.amount_minor - left[one.transfer_id]) for one in sent]
    return tuple(found), tuple([TransferCut(*one) for one in counted if one[1]])


def cuts_of(
    program: CompiledProgram,
    refund: Refund,
    key_id: bytes,
    customer_id: int,
    sent: Sent = NOTHING_SENT,
) -> tuple[TransferCut, ...]:
    """To what a refund cuts the transfers that its sale asked for.

    Args:
        program: the promotions that the refund numbers.
        refund: as decided.
        key_id: the sale's.
        customer_id: the sale's; 0 is nobody, who got nothing.
        sent: when it was sold before, and then undone.
    """
    if not customer_id:
        return ()
    taken = {(one.number, one.place) for one in refund.rewards}
    left = {one.transfer_id: one.ground_minor for one in sent}
    lost: dict[bytes, int] = {}
    found = []
    for n, (grant, benefit) in enumerate(_sent_by(program, refund.grants)):
        key = program.promotions[grant.number].promotion_id, benefit.destination_code
        parts = _take(left, sent, key, grant.amount_minor)
        if (grant.number, grant.place) not in taken:
            continue
        kept_minor = refund.kept.get((grant.number, grant.place), 0)
        for transfer_id, minor in parts:
            stays_minor = min(minor, kept_minor)
            kept_minor -= stays_minor
            lost[transfer_id] = lost.get(transfer_id, 0) + minor - stays_minor
        found.append(TransferCut(transfer_id_of(key_id, n), kept_minor))
    grounds = {one.transfer_id: one.ground_minor for one in sent}
    cuts = [TransferCut(key, grounds[key] - minor) for key, minor in lost.items() if minor]
    return (*found, *cuts)


def _take(
    left: dict[bytes, int], sent: Sent, key: tuple[str, str], most_minor: int
) -> list[tuple[bytes, int]]:
    """Take at most so much of what is left of what was sent by a promotion to a destination."""
    parts = []
    for one in sent:
        if (one.promotion_id, one.destination_code) == key:
            minor = min(most_minor, left[one.transfer_id])
            left[one.transfer_id] -= minor
            most_minor -= minor
            parts.append((one.transfer_id, minor))
    return parts


def _sent_by(
    program: CompiledProgram, grants: Sequence[Grant]
) -> list[tuple[Grant, MoneyTransfer]]:
    found = []
    for grant in grants:
        if not grant.asset_code:
            benefit = program.promotions[grant.number].gives[grant.place]
            if isinstance(benefit, MoneyTransfer):
                found.append((grant, benefit))
    return found
