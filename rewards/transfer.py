"""Money that a promotion sends to an account of the customer, and the states it goes through."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType

import msgspec

from rewards.benefit import MoneyTransfer
from rewards.commit import NewTransfer, TransferCut
from rewards.ledger import transfer_id_of
from rewards.refund import Refund
from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram

Sent = Mapping[tuple[str, str], int]
"""What was sent for a receipt, by promotion and destination, minor units of money."""
NOTHING_SENT: Sent = MappingProxyType({})


class TransferState(IntEnum):
    """As MoneyTransferState of the contract.

    Attributes:
        REQUESTED: nobody has sent it yet.
        SENT: a payout program has handed it to who carries it out.
        DONE: it has arrived.
        RETURNED: it came back, and can be sent again.
        CANCELLED: the receipt was voided before it was sent, or all of it lost its ground.
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


def not_sent_yet(transfers: Sequence[NewTransfer], sent: Sent) -> tuple[NewTransfer, ...]:
    """Transfers of a receipt that is sold anew, without what was sent when it was sold before."""
    left, found = dict(sent), []
    for one in transfers:
        key = one.promotion_id, one.destination_code
        amount_minor = one.amount_minor - _spend(left, key, one.amount_minor)
        if amount_minor:
            found.append(msgspec.structs.replace(one, amount_minor=amount_minor))
    return tuple(found)


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
    rest, found = dict(sent), []
    for n, (grant, benefit) in enumerate(_sent_by(program, refund.grants)):
        key = program.promotions[grant.number].promotion_id, benefit.destination_code
        sent_minor = _spend(rest, key, grant.amount_minor)
        if (grant.number, grant.place) in taken:
            left_minor = refund.kept.get((grant.number, grant.place), 0) - sent_minor
            found.append(TransferCut(transfer_id_of(key_id, n), max(0, left_minor)))
    return tuple(found)


def _spend(left: dict[tuple[str, str], int], key: tuple[str, str], most_minor: int) -> int:
    """Take at most so much of what is left under a key."""
    minor = min(most_minor, left.get(key, 0))
    left[key] = left.get(key, 0) - minor
    return minor


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
