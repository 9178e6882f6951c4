"""Transfers of money as a payout program works them off: it lists them, and says what became."""

from collections.abc import Sequence

from loyalty.v1 import back_office_service_pb2 as pb
from rewards.refusal import Reason, Refusal
from rewards.transfer import TransferState, may_follow
from server.clock import Clock
from server.codec import check
from server.store.database import Database
from server.store.transfers import (
    Change,
    Transfer,
    advance_transfer,
    list_transfers,
    read_transfer,
)

PAGE_MAX = 1_000
NOTE_CHARS_MAX = 256
TURN_MAX = 1_000_000
TRANSFER_ID_BYTES = 18
_STATE_LAST = max(TransferState).value


class Payouts:
    """The transfers of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Work on a database.

        Args:
            database: open.
            clock: the instant, UTC microseconds.
        """
        self._database = database
        self._clock = clock

    async def page(self, request: pb.ListMoneyTransfersRequest) -> pb.ListMoneyTransfersResponse:
        """Answer a page of a chain's transfers in a state.

        Raises:
            Refusal: names the field.
        """
        chain_id = check.text_of(request.chain_id, "chain_id")
        state = TransferState(check.enum_of(request.state, "state", _STATE_LAST))
        size = check.number_of(request.page_size, "page_size", 0, PAGE_MAX) or PAGE_MAX
        async with self._database.reading() as connection:
            after = request.after_transfer_id
            found = await list_transfers(connection, chain_id, state, after, size)
        response = pb.ListMoneyTransfersResponse()
        for transfer in found:
            _fill(response.transfers.add(), transfer)
        return response

    async def advance(
        self, request: pb.AdvanceMoneyTransferRequest
    ) -> pb.AdvanceMoneyTransferResponse:
        """Bring a transfer into another state; the same request again changes nothing.

        Raises:
            Refusal: TRANSFER_NOT_FOUND, TRANSFER_STATE, or names the field.
        """
        chain_id = check.text_of(request.chain_id, "chain_id")
        to_state = TransferState(check.enum_of(request.to_state, "to_state", _STATE_LAST))
        note = check.optional_text_of(request.note, "note", NOTE_CHARS_MAX)
        turn = check.number_of(request.turn, "turn", 0, TURN_MAX)
        transfer_id = check.id_of(request.transfer_id, "transfer_id", TRANSFER_ID_BYTES)
        while True:
            async with self._database.reading() as connection:
                found = await read_transfer(connection, chain_id, transfer_id)
                if found is None:
                    metadata = {"transfer_id": transfer_id.hex()}
                    text = "the chain has no such money transfer"
                    raise Refusal(Reason.TRANSFER_NOT_FOUND, text, metadata)
                transfer, changes = found
                if _was_done(changes, turn, to_state):
                    return _answer(transfer, changes)
                _check_may(transfer, turn, to_state)
                await advance_transfer(connection, transfer, to_state, self._clock(), note)


def _was_done(changes: Sequence[Change], turn: int, to_state: TransferState) -> bool:
    """Whether the change that follows a turn is the one that is asked for."""
    return turn < len(changes) and changes[turn].state == to_state


def _check_may(transfer: Transfer, turn: int, to_state: TransferState) -> None:
    state = TransferState(transfer.state)
    if transfer.turn == turn and may_follow(state, to_state):
        return
    metadata = {"state": state.name, "turn": str(transfer.turn)}
    text = f"the transfer is {state.name} at turn {transfer.turn}: it cannot become {to_state.name}"
    raise Refusal(Reason.TRANSFER_STATE, f"{text} from turn {turn}", metadata)


def _answer(transfer: Transfer, changes: Sequence[Change]) -> pb.AdvanceMoneyTransferResponse:
    response = pb.AdvanceMoneyTransferResponse()
    _fill(response.transfer, transfer)
    for change in changes:
        response.transfer.changes.add(
            state=pb.MoneyTransferState.ValueType(change.state),
            changed_at_us=change.changed_at_us,
            note=change.note,
        )
    return response


def _fill(message: pb.MoneyTransfer, transfer: Transfer) -> None:
    message.transfer_id = transfer.transfer_id
    message.customer_number = transfer.customer_number or ""
    message.promotion_id = transfer.promotion_id
    message.destination_code = transfer.destination_code
    message.amount_minor = transfer.amount_minor
    message.state = pb.MoneyTransferState.ValueType(transfer.state)
    message.turn = transfer.turn
    message.changed_at_us = transfer.changed_at_us
