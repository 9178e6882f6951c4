"""What the back office does in a storm: merges customers, takes out what has expired, reads."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from loyalty.v1.back_office_service_pb2 import ImportCouponsRequest, ImportedCoupon
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.customer_service_pb2 import CustomerReference, EntryKind
from loyalty.v1.ledger_pb2 import (
    ExpireLotsRequest,
    GetLedgerReportRequest,
    MergeAccountsRequest,
)
from pos_sim.link import open_channel
from pos_sim.refusal import LinkLostError, RefusedError, read_error
from pos_sim.run import Run
from pos_sim.statement import read_statement
from pos_sim.storm.books import Books
from pos_sim.storm.world import COUPON_SERIES, coupon_codes

CALL_TIMEOUT_S = 20.0
PAUSE_S = 0.2
ATTEMPTS_MAX = 300

_A = TypeVar("_A")
_Call = Callable[[grpc.aio.Channel], Awaitable[_A]]


class Office:
    """Calls of the back office, each repeated until it is answered."""

    def __init__(self, chain_id: str, targets: tuple[str, ...], run: Run, books: Books) -> None:
        """Get ready.

        Args:
            chain_id: whose customers.
            targets: servers as host:port, asked in turn.
            run: decides who is merged.
            books: where it is written down.
        """
        self._chain_id = chain_id
        self._targets = targets
        self._rng = run.chance("office")
        self._books = books

    async def hand_out_coupons(self) -> None:
        """Tell the servers of the codes that customers will show."""
        request = ImportCouponsRequest(
            chain_id=self._chain_id,
            series_code=COUPON_SERIES,
            coupons=[ImportedCoupon(code=code) for code in coupon_codes()],
        )
        await self._insist(
            lambda channel: BackOfficeServiceStub(channel).ImportCoupons(
                request, timeout=CALL_TIMEOUT_S
            )
        )

    async def merge(self) -> None:
        """Make two customers one, while both may stand at tills."""
        loser, winner = self._rng.sample(self._books.customers, 2)
        if self._books.owner_of(loser) == self._books.owner_of(winner):
            return
        request = MergeAccountsRequest(
            chain_id=self._chain_id,
            losing=_named(loser),
            winning=_named(winner),
            merged_by="storm",
        )
        self._books.note_merged(self._books.owner_of(loser), self._books.owner_of(winner))
        await self._insist(
            lambda channel: BackOfficeServiceStub(channel).MergeAccounts(
                request, timeout=CALL_TIMEOUT_S
            )
        )

    async def expire(self) -> None:
        """Take out of all accounts what has expired."""
        more = True
        while more:
            answer = await self._insist(
                lambda channel: BackOfficeServiceStub(channel).ExpireLots(
                    ExpireLotsRequest(), timeout=CALL_TIMEOUT_S
                )
            )
            self._books.count["accounts expired"] += answer.accounts
            more = answer.more

    async def breakage(self) -> Counter[str]:
        """All that has expired by the ledger's own report, minor units by asset."""
        answer = await self._insist(
            lambda channel: BackOfficeServiceStub(channel).GetLedgerReport(
                GetLedgerReportRequest(chain_id=self._chain_id), timeout=CALL_TIMEOUT_S
            )
        )
        return Counter({one.asset_code: one.breakage_minor for one in answer.assets})

    async def expired_of(self, customer: str) -> Counter[str]:
        """What has expired of a customer's assets according to their statement, minor units."""
        entries = await self._insist(
            lambda channel: read_statement(channel, self._chain_id, customer)
        )
        found: Counter[str] = Counter()
        for entry in entries:
            if entry.kind == EntryKind.ENTRY_KIND_EXPIRY:
                found[entry.asset_code] -= entry.amount_minor
        return found

    async def _insist(self, call: _Call[_A]) -> _A:
        """Ask one server after the other until one answers."""
        for attempt in range(ATTEMPTS_MAX):
            target = self._targets[attempt % len(self._targets)]
            async with open_channel(target) as channel:
                try:
                    return await call(channel)
                except grpc.aio.AioRpcError as error:
                    failure = read_error(error)
            if isinstance(failure, RefusedError) and not failure.refusal.is_passing:
                raise failure
            await asyncio.sleep(PAUSE_S)
        raise LinkLostError("no server answers the back office")


def _named(customer: str) -> CustomerReference:
    return CustomerReference(customer_number=customer)
