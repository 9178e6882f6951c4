"""Money that a promotion sends to an account of the customer, and the states it goes through."""

from collections.abc import Sequence
from enum import IntEnum

from rewards.benefit import MoneyTransfer
from rewards.commit import NewTransfer
from rewards.ledger import transfer_id_of
from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram


class TransferState(IntEnum):
    """As MoneyTransferState of the contract.

    Attributes:
        REQUESTED: nobody has sent it yet.
        SENT: a payout program has handed it to who carries it out.
        DONE: it has arrived.
        RETURNED: it came back, and can be sent again.
        CANCELLED: the receipt was voided before it was sent.
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
"""Into which states whoever pays out may bring a transfer; CANCELLED comes from a void alone."""


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
    found: list[NewTransfer] = []
    for grant in grants:
        promotion = program.promotions[grant.number]
        benefit = promotion.gives[grant.place]
        if isinstance(benefit, MoneyTransfer) and customer_id:
            found.append(
                NewTransfer(
                    transfer_id_of(key_id, len(found)),
                    program.chain_id,
                    customer_id,
                    promotion.promotion_id,
                    benefit.destination_code,
                    grant.amount_minor,
                )
            )
    return tuple(found)
