"""What the back office does in a storm: merges customers, takes out what has expired, reads."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

import grpc

from loyalty.v1.back_office_service_pb2 import (
    Budget,
    ImportCouponsRequest,
    ImportedCoupon,
    ListBudgetsRequest,
)
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.customer_service_pb2 import (
    CustomerReference,
    EntryKind,
    GetBalanceRequest,
    GetBalanceResponse,
    StatementEntry,
)
from loyalty.v1.customer_service_pb2_grpc import CustomerServiceStub
from loyalty.v1.ledger_pb2 import (
    AssetReport,
    ExpireLotsRequest,
    GetCustomerRequest,
    GetLedgerReportRequest,
    JoinHouseholdRequest,
    LeaveHouseholdRequest,
    MergeAccountsRequest,
)
from pos_sim.link import open_channel
from pos_sim.refusal import LinkLostError, RefusedError, read_error
from pos_sim.run import Run
from pos_sim.statement import read_statement
from pos_sim.storm.gestures import Gestures
from pos_sim.storm.owners import Owned, Owners
from pos_sim.storm.payouts import Payouts
from pos_sim.storm.register import Register
from pos_sim.storm.rules import DRAWS
from pos_sim.storm.world import COUPON_SERIES, coupon_codes

CALL_TIMEOUT_S = 20.0
PAUSE_S = 0.2
ATTEMPTS_MAX = 300
LEAVE_SHARE = 0.3
JOIN_SHARE = 0.5
ENTER_SHARE = 0.3
BESIDE = 4
GESTURE_SHARE = 0.3
BESIDE_S_MAX = 0.03

_A = TypeVar("_A")
_Read = tuple[list[StatementEntry], GetBalanceResponse]
_Call = Callable[[grpc.aio.Channel], Awaitable[_A]]


class Office:
    """Calls of the back office, each repeated until it is answered.

    Attributes:
        payouts: works off transfers of money.
        register: of customers, and what they may do.
        gestures: gives points by hand.
        beside: happens to a customer while they are moved.
    """

    def __init__(
        self,
        chain_id: str,
        targets: tuple[str, ...],
        run: Run,
        owners: Owners,
        clock_us: Callable[[], int],
        counted: Counter[str],
    ) -> None:
        """Get ready.

        Args:
            chain_id: whose customers.
            targets: servers as host:port, asked in turn.
            run: decides who is merged.
            owners: where it is written down.
            clock_us: the servers' clock, UTC microseconds.
            counted: how often something was done.
        """
        self._chain_id = chain_id
        self._targets = targets
        self._rng = run.chance("office")
        self._run = run
        self._owners = owners
        self._count = counted
        self._moves = count()
        self.beside: Callable[[str], Awaitable[None]] = _nothing
        self._one_at_a_time = asyncio.Lock()
        self.payouts = Payouts(chain_id, self._rng, self.insist, counted)
        self.register = Register(
            chain_id, owners.customers, self._rng, self.insist, clock_us, counted
        )
        self.gestures = Gestures(chain_id, run, self.insist, self.register, counted)

    async def hand_out_coupons(self) -> None:
        """Tell the servers of the codes that customers will show."""
        request = ImportCouponsRequest(
            chain_id=self._chain_id,
            series_code=COUPON_SERIES,
            coupons=[ImportedCoupon(code=code) for code in coupon_codes()],
        )
        await self.insist(
            lambda channel: BackOfficeServiceStub(channel).ImportCoupons(
                request, timeout=CALL_TIMEOUT_S
            )
        )

    async def move(self) -> None:
        """Make two customers one, or move one into a household or out of it, amid their sales."""
        async with self._one_at_a_time:
            await self.payouts.work()
            if self.register.unknown and self._rng.random() < ENTER_SHARE:
                await self.register.enter(self.register.unknown[-1])
            known = self.register.known
            one, other = self._rng.sample(known, 2)
            leavers = [who for who in known if self._owners.may_leave(who)]
            if leavers and self._rng.random() < LEAVE_SHARE:
                one = self._rng.choice(leavers)
                moving = self._leave(one)
            elif self._owners.share(one, other):
                return
            elif self._owners.may_join(one) and self._rng.random() < JOIN_SHARE:
                moving = self._join(one, other)
            else:
                moving = self.merge(one, other)
            await asyncio.gather(moving, *[self._beside(one) for _ in range(BESIDE)])

    async def _beside(self, customer: str) -> None:
        """Something happens to a customer while they are moved, sooner or later."""
        await asyncio.sleep(self._rng.uniform(0.0, BESIDE_S_MAX))
        is_gesture = self._rng.random() < GESTURE_SHARE
        await (self.gestures.give if is_gesture else self.beside)(customer)

    async def give(self) -> None:
        """Give somebody something by hand, twice at once: bounds hold all the same."""
        customer = self._rng.choice(self.register.known)
        await asyncio.gather(*[self.gestures.give(customer) for _ in range(2)])

    async def enter_rest(self) -> None:
        """Make everybody known whose card nobody has yet."""
        for customer in self.register.unknown:
            await self.register.enter(customer)

    async def merge(self, loser: str, winner: str) -> None:
        """Move all that the account of one customer has to that of another."""
        request = MergeAccountsRequest(
            merge_id=self._move_id(),
            chain_id=self._chain_id,
            losing=self._named(loser),
            winning=self._named(winner),
            merged_by="storm",
        )
        await self.insist(
            lambda channel: BackOfficeServiceStub(channel).MergeAccounts(
                request, timeout=CALL_TIMEOUT_S
            )
        )
        self._owners.merge(loser, winner)
        self._count["merged"] += 1

    async def _join(self, customer: str, member: str) -> None:
        request = JoinHouseholdRequest(
            join_id=self._move_id(),
            chain_id=self._chain_id,
            customer=self._named(customer),
            member=self._named(member),
            joined_by="storm",
        )
        await self.insist(
            lambda channel: BackOfficeServiceStub(channel).JoinHousehold(
                request, timeout=CALL_TIMEOUT_S
            )
        )
        self._owners.join(customer, member)
        self._count["joined a household"] += 1

    async def _leave(self, customer: str) -> None:
        request = LeaveHouseholdRequest(
            leave_id=self._move_id(),
            chain_id=self._chain_id,
            customer=self._named(customer),
            left_by="storm",
        )
        await self.insist(
            lambda channel: BackOfficeServiceStub(channel).LeaveHousehold(
                request, timeout=CALL_TIMEOUT_S
            )
        )
        self._owners.leave(customer)
        self._count["left a household"] += 1

    def _move_id(self) -> bytes:
        return self._run.submission_id(next(self._moves), ["move"])

    async def expire(self) -> None:
        """Take out of all accounts what has expired."""
        more = True
        while more:
            answer = await self.insist(
                lambda channel: BackOfficeServiceStub(channel).ExpireLots(
                    ExpireLotsRequest(), timeout=CALL_TIMEOUT_S
                )
            )
            self._count["accounts expired"] += answer.accounts
            more = answer.more

    async def report(self) -> dict[str, AssetReport]:
        """The ledger's own report of all times, by asset."""
        answer = await self.insist(
            lambda channel: BackOfficeServiceStub(channel).GetLedgerReport(
                GetLedgerReportRequest(chain_id=self._chain_id), timeout=CALL_TIMEOUT_S
            )
        )
        return {one.asset_code: one for one in answer.assets}

    async def budgets(self) -> dict[tuple[str, str, str], Budget]:
        """What is used of limits over many receipts, by promotion, store and period."""
        request = ListBudgetsRequest(chain_id=self._chain_id, page_size=1_000)
        answer = await self.insist(
            lambda channel: BackOfficeServiceStub(channel).ListBudgets(
                request, timeout=CALL_TIMEOUT_S
            )
        )
        return {(one.promotion_id, one.store_id, one.period): one for one in answer.budgets}

    async def purchases_of(self, customer: str) -> int:
        """How many purchases a customer's account counts."""
        request = GetCustomerRequest(chain_id=self._chain_id, customer=self._named(customer))
        answer = await self.insist(
            lambda channel: BackOfficeServiceStub(channel).GetCustomer(
                request, timeout=CALL_TIMEOUT_S
            )
        )
        return answer.purchases

    async def owned_by(self, customer: str) -> Owned:
        """What a customer has, and what has expired according to their statement."""
        request = GetBalanceRequest(chain_id=self._chain_id, customer=self._named(customer))

        async def read(
            channel: grpc.aio.Channel,
        ) -> tuple[list[StatementEntry], GetBalanceResponse]:
            stub = CustomerServiceStub(channel)
            balance = await stub.GetBalance(request, timeout=CALL_TIMEOUT_S)
            number = self.register.number_of(customer)
            return await read_statement(channel, self._chain_id, number), balance

        entries, balance = await self.insist(read)
        expired, drawn, by_hand = Counter[str](), Counter[str](), Counter[str]()
        for entry in entries:
            if entry.kind == EntryKind.ENTRY_KIND_EXPIRY:
                expired[entry.asset_code] -= entry.amount_minor
            if entry.kind == EntryKind.ENTRY_KIND_GOODWILL:
                by_hand[entry.asset_code] += entry.amount_minor
            if entry.asset_code.startswith(DRAWS):  # no balance shows these
                drawn[entry.asset_code] += entry.amount_minor
        amounts = {one.asset_code: one.amount_minor for one in balance.positions}
        held = {one.asset_code: one.held_minor for one in balance.positions}
        return Owned(Counter({**amounts, **drawn}), expired, Counter(held), by_hand)

    async def insist(self, call: _Call[_A], first: int = 0) -> _A:
        """Ask one server after the other until one answers, the one with a number first.

        Raises:
            RefusedError: it was refused, and not for now only.
            LinkLostError: nobody answers.
        """
        for attempt in range(first, first + ATTEMPTS_MAX):
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

    def _named(self, customer: str) -> CustomerReference:
        return CustomerReference(customer_number=self.register.number_of(customer))


async def _nothing(customer: str) -> None:
    """Nothing happens to a customer."""
