"""Strangers who become customers at a till, and cards that customers get: alone and in races."""

import asyncio
import random
from collections.abc import Awaitable, Iterable
from itertools import count

from msgspec import Struct

from loyalty.v1.receipt_pb2 import EntryMethod, Identifier, IdentifierKind
from loyalty.v1.till_service_pb2 import EnrollRequest, EnrollResponse, IdentifyRequest
from pos_sim.refusal import RefusedError
from pos_sim.run import Run
from pos_sim.storm.books import Books
from pos_sim.storm.register import ACTIVE, UNKNOWN, Register
from pos_sim.storm.world import CHAIN_ID, STORES
from pos_sim.till_client import TillClient

GREET_SHARE = 0.12
GIVE_SHARE = 0.08
ASK_AGAIN_SHARE = 0.04
COPIES_SHARE = 0.3
RIVAL_SHARE = 0.5
MEDDLE_SHARE = 0.6
RACES = ("alone", "twice", "office", "card")
STORE_ID = STORES[0][0]


class Bid(Struct, frozen=True):
    """What somebody asks for.

    Attributes:
        cards: all of them, or none.
        number: of a customer who is known; empty is a new one.
    """

    customer: str
    cards: tuple[str, ...]
    number: str = ""


class Enrolling:
    """Enrols, and holds that of all who ask for a card one gets it, and the others nothing.

    Attributes:
        register: of customers; who gets what is written down there.
    """

    def __init__(
        self, register: Register, clients: list[TillClient], run: Run, books: Books
    ) -> None:
        """Get ready.

        Args:
            register: of customers.
            clients: of tills, at all servers.
            run: names enrolments, and decides.
            books: problems are added to them.
        """
        self.register = register
        self._clients = clients
        self._run = run
        self._rng: random.Random = run.chance("enrolling")
        self._books = books
        self._enrolments, self._new_cards = count(), count()
        self._answers: list[tuple[EnrollRequest, EnrollResponse]] = []
        self._owners = {one: one for one in register.known}
        self._lost: set[str] = set()

    async def meet(self, customer: str) -> None:
        """A stranger at a till may be enrolled, a customer may get a card."""
        drawn = self._rng.random()
        if self._answers and self._rng.random() < ASK_AGAIN_SHARE:
            await self._ask_again(*self._rng.choice(self._answers))
        if customer in self.register.unknown:
            if drawn < GREET_SHARE:
                await self._greet(customer)
        elif customer in self.register.known and drawn < GIVE_SHARE:
            await self._give(customer)

    async def check(self) -> None:
        """Hold in the end what was answered, and that what was refused is nobody's."""
        states: dict[str, int] = dict.fromkeys(self._lost, UNKNOWN)
        for customer in self.register.known:
            state = self.register.state_of(customer)
            states.update(dict.fromkeys(self.register.cards_of(customer), state))
        self._books.count["cards that nobody got"] = list(states.values()).count(UNKNOWN)
        await asyncio.gather(
            *[self._ask_again(request, answer) for request, answer in self._answers],
            *[self._look(card, state) for card, state in states.items()],
        )

    async def _greet(self, customer: str) -> None:
        """Enrol a stranger, perhaps against somebody who wants the same."""
        race = self._rng.choice(RACES)
        self._books.count[f"enrolled {race}"] += 1
        self.register.begin(customer, ACTIVE)
        card = self._new_card()
        bids = [Bid(customer, (customer, card))]
        imports = []
        if race == "twice":
            bids.append(Bid(customer, (self._new_card(), customer)))
        elif race == "office":
            imports.append(Bid(customer, (customer,)))
        elif race == "card":
            bids.append(self._bid_of(self._rng.choice(self.register.known), card))
        calls = [self._enrol(bid) for bid in bids]
        calls += [self.register.import_stranger(customer) for _ in imports]
        await self._race([*bids, *imports], calls)
        self.register.end(customer, self._owners.get(customer, ""))

    async def meddle(self, customer: str) -> None:
        """Give somebody a card, or change what they may do, while more happens to them."""
        if self._rng.random() < MEDDLE_SHARE:
            await self._give(customer)
        else:
            await self.register.change(customer)

    async def _give(self, customer: str) -> None:
        """Give a customer a card; perhaps somebody else wants it as well."""
        card = self._new_card()
        bids = [self._bid_of(customer, card)]
        if self._rng.random() < RIVAL_SHARE:
            bids.append(self._bid_of(self._rng.choice(self.register.known), card))
        self._books.count["cards asked for"] += 1
        await self._race(bids, [self._enrol(bid) for bid in bids])

    async def _race(self, bids: list[Bid], calls: Iterable[Awaitable[str]]) -> None:
        """Make all calls at once: whoever is answered has got all, and who is refused nothing."""
        numbers = await asyncio.gather(*calls)
        for bid, number in zip(bids, numbers, strict=True):
            if number:
                owners = {self._owners.setdefault(card, number) for card in bid.cards}
                self._books.hold(owners == {number}, f"{bid} is got by {number}, of {owners}")
                self._books.hold(bid.number in ("", number), f"{bid}: got by {number}")
                self.register.give(bid.customer, bid.cards)
        for bid, number in zip(bids, numbers, strict=True):
            if not number:
                self._books.count["enrolments refused"] += 1
                self._lost.update(bid.cards)
                owners = {self._owners.get(card, bid.number) for card in bid.cards}
                self._books.hold(owners != {bid.number}, f"{bid}: refused, of {owners}")

    def _bid_of(self, customer: str, card: str) -> Bid:
        """What a customer has already is no mistake."""
        had = self._rng.sample(self.register.cards_of(customer), self._rng.randrange(2))
        return Bid(customer, (*had, card), self.register.number_of(customer))

    async def _enrol(self, bid: Bid) -> str:
        """Enrol at one till, or at two at once; give the customer's number, or nothing."""
        request = EnrollRequest(
            enrollment_id=self._run.submission_id(next(self._enrolments), ["enrol"]),
            chain_id=CHAIN_ID,
            store_id=STORE_ID,
            identifiers=[_card(one) for one in bid.cards],
            cashier_id="storm",
        )
        if bid.number:
            request.existing.CopyFrom(_card(self._rng.choice(self.register.cards_of(bid.customer))))
        copies = 2 if self._rng.random() < COPIES_SHARE else 1
        since_us = self.register.clock_us()
        found = await asyncio.gather(
            *[self._ask(client, request) for client in self._rng.sample(self._clients, copies)]
        )
        answers = [one for one in found if one is not None]
        if not answers:
            return ""
        is_same = all(one == answers[0] for one in found)
        self._books.hold(is_same, f"{bid}: the same enrolment got two answers")
        self._answers.append((request, answers[0]))
        possible = self.register.states_of(bid.customer, since_us, self.register.clock_us())
        text = f"{bid}: enrolled {answers[0].state}, may have been {sorted(possible)}"
        self._books.hold(answers[0].state in possible - {UNKNOWN}, text)
        return answers[0].customer_number

    async def _ask(self, client: TillClient, request: EnrollRequest) -> EnrollResponse | None:
        """What is answered; None if somebody else has a card."""
        try:
            return await client.enroll(request)
        except RefusedError as error:
            if error.refusal.reason != "IDENTIFIER_TAKEN":
                raise
            return None

    async def _ask_again(self, request: EnrollRequest, answer: EnrollResponse) -> None:
        again = await self._ask(self._rng.choice(self._clients), request)
        name = f"enrolment {request.enrollment_id.hex()}"
        self._books.hold(again == answer, f"{name}: asked again, another answer")

    async def _look(self, card: str, state: int) -> None:
        """Hold whose a card is to what both servers say."""
        request = IdentifyRequest(chain_id=CHAIN_ID, store_id=STORE_ID, identifier=_card(card))
        found = await asyncio.gather(*[one.identify(request) for one in self._clients[:2]])
        states = [one.state for one in found]
        self._books.hold(states == [state, state], f"card {card}: {states}, should be {state}")

    def _new_card(self) -> str:
        return f"card-{next(self._new_cards):04d}"


def _card(value: str) -> Identifier:
    return Identifier(
        kind=IdentifierKind.IDENTIFIER_KIND_CARD,
        value=value,
        entry_method=EntryMethod.ENTRY_METHOD_SCANNED,
    )
