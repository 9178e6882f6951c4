"""Whoever pays out in a storm: sends what is requested, some of which comes back."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from loyalty.v1.back_office_service_pb2 import (
    AdvanceMoneyTransferRequest,
    ListMoneyTransfersRequest,
    MoneyTransfer,
    MoneyTransferState,
)
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from pos_sim.refusal import RefusedError

CALL_TIMEOUT_S = 20.0
REQUESTED = MoneyTransferState.MONEY_TRANSFER_STATE_REQUESTED
SENT = MoneyTransferState.MONEY_TRANSFER_STATE_SENT
DONE = MoneyTransferState.MONEY_TRANSFER_STATE_DONE
RETURNED = MoneyTransferState.MONEY_TRANSFER_STATE_RETURNED
CANCELLED = MoneyTransferState.MONEY_TRANSFER_STATE_CANCELLED
FOLLOWING = {REQUESTED: (SENT,), SENT: (DONE, RETURNED), RETURNED: (SENT,), DONE: (RETURNED,)}
BATCH_MAX = 3

Insist = Callable[[Callable[[grpc.aio.Channel], Awaitable[Any]]], Awaitable[Any]]


class Payouts:
    """A payout program that is told of transfers, and says what became of them."""

    def __init__(
        self, chain_id: str, rng: random.Random, insist: Insist, counted: Counter[str]
    ) -> None:
        """Get ready.

        Args:
            chain_id: whose transfers.
            rng: decides.
            insist: makes a call of the back office until it is answered.
            counted: how often something was done.
        """
        self._chain_id = chain_id
        self._rng = rng
        self._insist = insist
        self._count = counted

    async def work(self) -> None:
        """Take a few transfers a step further."""
        for state in (REQUESTED, SENT, RETURNED):
            seen = await self._page(state, b"")
            for one in self._rng.sample(seen, min(len(seen), BATCH_MAX)):
                await self._advance(one, self._rng.choice(FOLLOWING[state]))

    async def all(self) -> list[MoneyTransfer]:
        """All transfers of money, whatever their state."""
        found: list[MoneyTransfer] = []
        for state in (REQUESTED, SENT, DONE, RETURNED, CANCELLED):
            page = await self._page(state, b"")
            while page:
                found += page
                page = await self._page(state, page[-1].transfer_id)
        return found

    async def _advance(self, seen: MoneyTransfer, to_state: MoneyTransferState.ValueType) -> None:
        request = AdvanceMoneyTransferRequest(
            chain_id=self._chain_id,
            transfer_id=seen.transfer_id,
            turn=seen.turn,
            to_state=to_state,
        )
        try:
            await self._insist(
                lambda channel: BackOfficeServiceStub(channel).AdvanceMoneyTransfer(
                    request, timeout=CALL_TIMEOUT_S
                )
            )
        except RefusedError as error:
            if error.refusal.reason != "TRANSFER_STATE":
                raise
            self._count["transfers that were cut meanwhile"] += 1
        else:
            self._count["transfers advanced"] += 1

    async def _page(self, state: MoneyTransferState.ValueType, after: bytes) -> list[MoneyTransfer]:
        request = ListMoneyTransfersRequest(
            chain_id=self._chain_id, state=state, after_transfer_id=after
        )
        answer = await self._insist(
            lambda channel: BackOfficeServiceStub(channel).ListMoneyTransfers(
                request, timeout=CALL_TIMEOUT_S
            )
        )
        return list(answer.transfers)
