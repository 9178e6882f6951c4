"""Points that the office gives by hand in a storm, and what must have come of them."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time
from itertools import count
from typing import Any

import grpc

from loyalty.v1.customer_service_pb2 import (
    CustomerReference,
    PostGoodwillRequest,
    PostGoodwillResponse,
)
from loyalty.v1.customer_service_pb2_grpc import CustomerServiceStub
from pos_sim.refusal import RefusedError
from pos_sim.run import Run
from pos_sim.storm.counts import ZONES
from pos_sim.storm.register import Register
from pos_sim.storm.rules import POINTS
from pos_sim.storm.world import card_of

CALL_TIMEOUT_S = 20.0
MOST_MINOR = {POINTS: 20_000, "next": 3_000, "beans": 10, "stars": 2_000, "seeds": 20}
"""The most that one gesture may give of each, minor units."""
PEBBLES, PEBBLES_MOST_MINOR = "pebbles", 200
PEBBLES_BOUND_MINOR = 500
"""Nobody gets more of these: what would raise a balance above it is refused."""
TOO_MUCH_SHARE = 0.1
COPIES_SHARE = 0.3
POINTS_DAYS = (3, 4)
"""Local days for which points count, by one version of the program and the other."""
LAST_INSTANT = time(23, 59, 59, 999_999)

Insist = Callable[[Callable[[grpc.aio.Channel], Awaitable[Any]], int], Awaitable[Any]]


class Gestures:
    """Gives, and remembers what was answered.

    Attributes:
        given: by customer and asset, minor units.
        problems: what was wrong with answers.
    """

    def __init__(
        self, chain_id: str, run: Run, insist: Insist, register: Register, counted: Counter[str]
    ) -> None:
        """Get ready.

        Args:
            chain_id: whose customers.
            run: names gestures, and decides.
            insist: makes a call until it is answered, first at the server with a number.
            register: of customers.
            counted: how often something was done.
        """
        self._chain_id = chain_id
        self._run = run
        self._rng: random.Random = run.chance("gestures")
        self._insist = insist
        self._register = register
        self._count = counted
        self._numbers = count()
        self._refused: dict[str, int] = {}
        self.given: dict[str, Counter[str]] = defaultdict(Counter)
        self.problems: list[str] = []

    async def give(self, customer: str) -> None:
        """Give somebody something; now and then the same at both servers, or too much."""
        asset_code = self._rng.choice((*MOST_MINOR, *[PEBBLES] * 4))
        most_minor = MOST_MINOR.get(asset_code, PEBBLES_MOST_MINOR)
        is_too_much = self._rng.random() < TOO_MUCH_SHARE
        drawn_minor = max(self._rng.randint(1, most_minor) for _ in range(2))
        minor = most_minor + 1 if is_too_much else drawn_minor
        request = self._request(customer, asset_code, minor)
        copies = 2 if self._rng.random() < COPIES_SHARE else 1
        answers = await asyncio.gather(*[self._post(request, first) for first in range(copies)])
        name = f"{minor} {asset_code} to {customer}"
        self._hold(all(one == answers[0] for one in answers), f"{name}: got two answers")
        self._count["gestures"] += answers[0] is not None
        self._count["gestures refused"] += answers[0] is None
        if answers[0] is None:
            self._hold(is_too_much or asset_code == PEBBLES, f"{name}: refused")
            if not is_too_much:
                least_minor = self._refused.get(customer, minor)
                self._refused[customer] = min(least_minor, minor)
            return
        self._hold(not is_too_much, f"{name}: more than {most_minor}")
        self.given[customer][asset_code] += minor
        self._check_dates(name, asset_code, request.store_id, answers[0])
        if asset_code == PEBBLES:
            # Accounts that became one may own more; then they are given none.
            there_minor = answers[0].balance_minor
            self._hold(there_minor <= PEBBLES_BOUND_MINOR, f"{name}: {there_minor} then")

    def check_bound(self, customer: str) -> None:
        """Hold the pebbles of somebody who has never shared an account to their bound."""
        there_minor = self.given[customer][PEBBLES]
        self._hold(there_minor <= PEBBLES_BOUND_MINOR, f"{customer}: {there_minor} {PEBBLES}")
        if customer in self._refused:
            # Nothing takes any away: had there been room, there would be.
            more_minor = there_minor + self._refused[customer]
            text = f"{customer}: {more_minor} {PEBBLES} were refused"
            self._hold(more_minor > PEBBLES_BOUND_MINOR, text)

    def _request(self, customer: str, asset_code: str, minor: int) -> PostGoodwillRequest:
        reference = CustomerReference(customer_number=self._register.number_of(customer))
        if self._rng.random() < 0.5:
            card = card_of(self._rng.choice(self._register.cards_of(customer)))
            reference.identifier.kind, reference.identifier.value = card.kind, card.value
            reference.identifier.entry_method = card.entry_method
        return PostGoodwillRequest(
            goodwill_id=self._run.submission_id(next(self._numbers), ["gesture"]),
            chain_id=self._chain_id,
            store_id=self._rng.choice(list(ZONES)),
            customer=reference,
            asset_code=asset_code,
            amount_minor=minor,
            reason_code="SORRY",
            agent_id="storm",
        )

    async def _post(self, request: PostGoodwillRequest, first: int) -> PostGoodwillResponse | None:
        """What is answered; None if it is too much."""
        try:
            answer: PostGoodwillResponse = await self._insist(
                lambda channel: CustomerServiceStub(channel).PostGoodwill(
                    request, timeout=CALL_TIMEOUT_S
                ),
                first,
            )
        except RefusedError as error:
            if error.refusal.reason != "GOODWILL_LIMIT":
                raise
            return None
        return answer

    def _check_dates(
        self, name: str, asset_code: str, store_id: str, answer: PostGoodwillResponse
    ) -> None:
        """Points count at once, for whole days of the store; all else has no end."""
        ends_us = answer.expires_at_us
        if asset_code != POINTS:
            self._hold(not ends_us, f"{name}: ends")
            return
        zone = ZONES[store_id]
        seconds, _ = divmod(answer.active_from_us, 1_000_000)
        begins = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
        seconds, micros = divmod(ends_us, 1_000_000)
        ends = datetime.fromtimestamp(seconds, UTC).astimezone(zone).replace(microsecond=micros)
        days = ends.date().toordinal() - begins.date().toordinal() + 1
        is_right = days in POINTS_DAYS and ends.time() == LAST_INSTANT
        self._hold(is_right, f"{name}: from {begins} to {ends}")

    def _hold(self, holds: bool, problem: str) -> None:
        if not holds:
            self.problems.append(problem)
