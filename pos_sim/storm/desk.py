"""What every act of a till in the storm needs: its place, its client, chance, keys, the books."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from loyalty.v1.receipt_pb2 import ReceiptKey
from pos_sim.refusal import RefusedError
from pos_sim.run import Run
from pos_sim.sale import Place
from pos_sim.storm.books import Books
from pos_sim.storm.enrolling import Enrolling
from pos_sim.storm.rights import Rights
from pos_sim.storm.sold import Sold
from pos_sim.till_client import TillClient

REPEAT_SHARE = 0.1
LOOKED_BACK = 200
"""What is done to a receipt is done to one of so many before it."""
Answer = TypeVar("Answer")


class Desk:
    """Where a till's cashier works."""

    def __init__(
        self,
        place: Place,
        run: Run,
        client: TillClient,
        books: Books,
        enrolling: Enrolling,
        clock_us: Callable[[], int],
        next_index: Callable[[], int],
    ) -> None:
        """Set up a till.

        Args:
            place: where it stands.
            run: names what it sends and decides what it does.
            client: makes its calls.
            books: of all tills.
            enrolling: makes customers known, and changes what they may do.
            clock_us: the till's clock, UTC microseconds.
            next_index: numbers the receipts of all tills.
        """
        till = place.till
        self.place = place
        self.run = run
        self.client = client
        self.books = books
        self.enrolling = enrolling
        self.register = enrolling.register
        self.rights = Rights(books, enrolling.register)
        self.clock_us = clock_us
        self.next_index = next_index
        self.name = f"{till.store_id}/{till.till_id}"
        self.rng: random.Random = run.chance(f"storm/{self.name}")

    def key(self, index: int, day: str = "day") -> ReceiptKey:
        """Key of the receipt, or of what else `day` says, with this index."""
        till = self.place.till
        chain_id = self.place.chain_id
        return self.run.receipt_key(chain_id, till.store_id, till.till_id, day, index + 1)

    def draw_sold(self) -> Sold:
        """One of the receipts that have come to something; there must be one."""
        return self.rng.choice(list(self.books.sold.values())[-LOOKED_BACK:])

    async def ask(self, call: Callable[[], Awaitable[Answer]]) -> list[Answer]:
        """Ask once, or twice at once; give all answers.

        Of two at once one may be refused, by a clock that has moved on, while the other is still on
        its way. Once that is answered, asking again must give its answer.
        """
        copies = 2 if self.rng.random() < REPEAT_SHARE else 1
        found = await asyncio.gather(*[call() for _ in range(copies)], return_exceptions=True)
        answers = [one for one in found if not isinstance(one, BaseException)]
        for error in [one for one in found if isinstance(one, BaseException)]:
            if not answers or not isinstance(error, RefusedError):
                raise error
            self.books.count["refused beside an answer"] += 1
            answers.append(await call())
        return answers
