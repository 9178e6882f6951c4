"""The back office's register of customers: makes them known, changes what they may do."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc
from msgspec import Struct

from loyalty.v1.answer_pb2 import CustomerState
from loyalty.v1.back_office_service_pb2 import ImportCustomersRequest
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from pos_sim.refusal import RefusedError
from pos_sim.storm.sold import NEVER_US
from pos_sim.storm.world import known_at_first, write_customer

CALL_TIMEOUT_S = 20.0
ACTIVE = CustomerState.CUSTOMER_STATE_ACTIVE
EARN_ONLY = CustomerState.CUSTOMER_STATE_EARN_ONLY
BLOCKED = CustomerState.CUSTOMER_STATE_BLOCKED
UNKNOWN = CustomerState.CUSTOMER_STATE_UNKNOWN
NAMES = {ACTIVE: "active", EARN_ONLY: "earn_only", BLOCKED: "blocked"}
DRAWN = (*[ACTIVE] * 4, EARN_ONLY, BLOCKED)

Insist = Callable[[Callable[[grpc.aio.Channel], Awaitable[Any]]], Awaitable[Any]]


class Standing(Struct):
    """A state of a customer.

    Attributes:
        from_us: it may be in force, UTC microseconds.
        surely_us: it is in force.
    """

    state: CustomerState.ValueType
    from_us: int = 0
    surely_us: int = 0


class Register:
    """Imports customers, one change of each at a time, and writes down what was when in force.

    Attributes:
        clock_us: the servers' clock, UTC microseconds.
    """

    def __init__(
        self,
        chain_id: str,
        customers: list[str],
        rng: random.Random,
        insist: Insist,
        clock_us: Callable[[], int],
        counted: Counter[str],
    ) -> None:
        """Get ready.

        Args:
            chain_id: whose customers.
            customers: all of them; the last ones are not known yet.
            rng: decides.
            insist: makes a call of the back office until it is answered.
            clock_us: the servers' clock, UTC microseconds.
            counted: how often something was done.
        """
        first = known_at_first(customers)
        self.clock_us = clock_us
        self._chain_id = chain_id
        self._customers = customers
        self._rng = rng
        self._insist = insist
        self._count = counted
        self._past = {
            one: [Standing(ACTIVE if one in first else UNKNOWN)] for one in self._customers
        }
        self._numbers = {one: one for one in customers}
        self._cards = {one: [one] for one in customers}

    @property
    def unknown(self) -> list[str]:
        """Whose cards nobody has yet."""
        return [one for one in self._customers if self._past[one][-1].state == UNKNOWN]

    @property
    def known(self) -> list[str]:
        """All customers."""
        return [one for one in self._customers if _is_known(self._past[one])]

    @property
    def restrained(self) -> list[str]:
        """Who may not spend now."""
        return [one for one in self.known if self._past[one][-1].state != ACTIVE]

    def state_of(self, customer: str) -> CustomerState.ValueType:
        """What a customer may do now."""
        return self._past[customer][-1].state

    def number_of(self, customer: str) -> str:
        """The chain's number of a customer."""
        return self._numbers[customer]

    def customer_of(self, number: str) -> str:
        """Whose number it is."""
        return next(one for one in self._customers if self._numbers[one] == number)

    def cards_of(self, customer: str) -> list[str]:
        """The cards of a customer, the first of which is that of a stranger, too."""
        return self._cards[customer]

    def give(self, customer: str, cards: Iterable[str]) -> None:
        """A customer has got cards."""
        self._cards[customer] += [one for one in cards if one not in self._cards[customer]]

    def begin(self, customer: str, state: CustomerState.ValueType) -> None:
        """A customer is about to become something."""
        self._past[customer].append(Standing(state, self.clock_us(), NEVER_US))

    def end(self, customer: str, number: str) -> None:
        """What has begun has come about, under a number of the customer's; without one it has not.

        Args:
            customer: whom it is about.
            number: of the customer; empty is a stranger still.
        """
        if number:
            self._numbers[customer] = number
            self._past[customer][-1].surely_us = self.clock_us()
        else:
            del self._past[customer][-1]

    async def enter(self, customer: str) -> None:
        """Make a customer known."""
        self.begin(customer, ACTIVE)
        self.end(customer, await self.import_stranger(customer))

    async def import_stranger(self, customer: str) -> str:
        """Import somebody new; give their number, or nothing if their card is somebody's."""
        try:
            await self._import(customer, ACTIVE)
        except RefusedError as error:
            if error.refusal.reason != "INCONSISTENT":
                raise
            return ""
        self._count["became known by import"] += 1
        return customer

    async def change(self, customer: str) -> None:
        """Let a customer spend, or not, or not earn either; one who is being changed stays."""
        state = self._rng.choice(DRAWN)
        last = self._past[customer][-1]
        if UNKNOWN in (last.state, state) or last.surely_us == NEVER_US:
            return
        await self._put(customer, state)
        self._count[f"made {NAMES[state]}"] += last.state != state

    async def restore(self) -> None:
        """Let everybody spend again."""
        await asyncio.gather(*[self._put(one, ACTIVE) for one in self.restrained])

    def states_of(
        self, customer: str, since_us: int, until_us: int
    ) -> frozenset[CustomerState.ValueType]:
        """What a customer may have been between two instants, both included."""
        past = self._past[customer]
        ends_us = [*[one.surely_us for one in past[1:]], NEVER_US]
        return frozenset(
            one.state
            for one, end_us in zip(past, ends_us, strict=True)
            if one.from_us <= until_us and since_us <= end_us
        )

    async def _put(self, customer: str, state: CustomerState.ValueType) -> None:
        self.begin(customer, state)
        await self._import(customer, state)
        self.end(customer, self.number_of(customer))

    async def _import(self, customer: str, state: CustomerState.ValueType) -> None:
        row = write_customer(customer)
        row.customer_number, row.state = self.number_of(customer), NAMES[state]
        request = ImportCustomersRequest(chain_id=self._chain_id, customers=[row])
        await self._insist(
            lambda channel: BackOfficeServiceStub(channel).ImportCustomers(
                request, timeout=CALL_TIMEOUT_S
            )
        )


def _is_known(past: list[Standing]) -> bool:
    return any(one.state != UNKNOWN and one.surely_us != NEVER_US for one in past)
