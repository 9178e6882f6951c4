"""Runs all tills of a workload against one or more servers, and opens and closes the books."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct

from loyalty.v1.till_service_pb2 import IdentifyRequest, IdentifyResponse
from pos_sim.auditor import Auditor, Mismatch
from pos_sim.habit import Habits
from pos_sim.link import Link
from pos_sim.refusal import GaveUpError, RefusedError
from pos_sim.run import Run
from pos_sim.sale import Place, write_identifier
from pos_sim.session_link import SessionLink
from pos_sim.showcase import Showcase
from pos_sim.tally import Tally
from pos_sim.till import Books, Till
from pos_sim.till_client import TillClient
from pos_sim.unary_link import UnaryLink
from pos_sim.workload import Basket, Given, Workload

TIMEOUT_MS = 2_250
"""The service level of a till's call."""
TILLS_PER_SESSION = 8
SILENT_MAX = 8
"""After so many receipts without an answer, and one of every till, nobody seems to be there."""


class ReplayError(Exception):
    """The books could not be opened or closed; the message is for whoever ran the replay."""


class Settings(Struct, frozen=True):
    """How to replay.

    Attributes:
        targets: Servers as host:port, at least one.
        rate: Receipts a second over all tills; 0 is as fast as the tills can.
        timeout_ms: Deadline of each attempt of a call, milliseconds.
        since_us: The server's clock before the replay, UTC microseconds.
    """

    targets: tuple[str, ...]
    rate: float = 0.0
    timeout_ms: int = TIMEOUT_MS
    habits: Habits = Habits()
    since_us: int = 0


class Replayed(Struct, frozen=True):
    """What a replay showed.

    Attributes:
        seconds: How long the tills worked.
        checked: Customers whose balances were compared; `mismatches` are those that differ.
    """

    books: Books
    seconds: float
    checked: int
    mismatches: list[Mismatch]


async def replay(
    workload: Workload, run: Run, settings: Settings, on_done: Callable[[Tally], None]
) -> Replayed:
    """Replay a workload.

    Args:
        workload: What to replay; the server has its reference data and program.
        run: Names everything that is sent.
        settings: Where to and how.
        on_done: Called after each receipt.

    Raises:
        ReplayError: Customers could not be identified before or after it.
    """
    books = Books(Tally(), Auditor(settings.since_us), Showcase())
    async with connect(workload, settings) as links:
        clients = [
            TillClient(link, books.tally, run.chance(f"wait/{number}"), settings.timeout_ms)
            for number, link in enumerate(links)
        ]
        known = _known_customers(workload)
        await _open_books(workload, known, clients, books.auditor)
        tills = [
            Till(place, run, client, settings.habits, books)
            for place, client in zip(_places(workload), clients, strict=True)
        ]
        started_at = time.monotonic()
        await _work(tills, settings.rate, lambda: _goes_on(books.tally, len(tills), on_done))
        seconds = time.monotonic() - started_at
        mismatches = await _close_books(workload, known, clients, books.auditor)
    return Replayed(books, seconds, len(books.auditor.customers), mismatches)


@asynccontextmanager
async def connect(workload: Workload, settings: Settings) -> AsyncIterator[list[Link]]:
    """Connect each till: sessions are shared by neighbours, unary connections by nobody.

    Yields:
        A link for each till of the workload, in their order.
    """
    session_count = max(2, -(-len(workload.tills) // TILLS_PER_SESSION))
    targets = settings.targets
    async with AsyncExitStack() as stack:
        sessions = [SessionLink(targets[i % len(targets)]) for i in range(session_count)]
        links: list[Link] = []
        for number, plan in enumerate(workload.tills):
            target = targets[number % len(targets)]
            links.append(UnaryLink(target) if plan.unary else sessions[number % session_count])
        for link in {id(link): link for link in links}.values():
            stack.push_async_callback(link.close)
        yield links


def _goes_on(tally: Tally, till_count: int, on_done: Callable[[Tally], None]) -> bool:
    """Tell of a receipt; false once every till in turn has got no answer."""
    on_done(tally)
    return tally.silent < max(SILENT_MAX, till_count)


async def _work(tills: list[Till], rate: float, goes_on: Callable[[], bool]) -> None:
    """Let all tills work at once.

    With a rate, the receipt with index i is due i / rate seconds after the start, whether or not
    its till is free by then: a slow server cannot slow the clock that measures it.
    """
    loop = asyncio.get_running_loop()
    started_at = loop.time()

    def intended_at(basket: Basket) -> float:
        return started_at + basket.index / rate if rate > 0 else loop.time()

    async with asyncio.TaskGroup() as group:
        for till in tills:
            group.create_task(till.work(intended_at, goes_on))


def _known_customers(workload: Workload) -> dict[str, tuple[Given, str]]:
    """Each customer of the run with an identifier and a store, by customer number."""
    return {
        basket.customer_number: (basket.given, plan.store_id)
        for plan in workload.tills
        for basket in plan.baskets
        if basket.given is not None
    }


async def _open_books(
    workload: Workload,
    known: dict[str, tuple[Given, str]],
    clients: list[TillClient],
    auditor: Auditor,
) -> None:
    async for number, response in _identify_all(workload, known, sorted(known), clients):
        auditor.open(number, response.balances)


async def _close_books(
    workload: Workload,
    known: dict[str, tuple[Given, str]],
    clients: list[TillClient],
    auditor: Auditor,
) -> list[Mismatch]:
    mismatches: list[Mismatch] = []
    async for number, response in _identify_all(workload, known, auditor.customers, clients):
        mismatches += auditor.check(number, response.balances)
    return sorted(mismatches, key=lambda m: (m.customer_number, m.asset_code))


async def _identify_all(
    workload: Workload,
    known: dict[str, tuple[Given, str]],
    numbers: list[str],
    clients: list[TillClient],
) -> AsyncIterator[tuple[str, IdentifyResponse]]:
    """Ask for customers, as many at once as there are tills."""
    waiting = iter(numbers)
    answers: dict[str, IdentifyResponse] = {}
    failures: list[Exception] = []

    async def take_turns(client: TillClient, numbers: Iterator[str]) -> None:
        for number in numbers:
            given, store_id = known[number]
            request = IdentifyRequest(
                chain_id=workload.chain_id,
                store_id=store_id,
                identifier=write_identifier(given),
            )
            try:
                answers[number] = await client.identify(request)
            except (RefusedError, GaveUpError) as error:
                failures.append(error)
                return

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(take_turns(client, waiting))
    if failures:
        raise ReplayError(f"customers cannot be identified: {failures[0]}")
    for number in numbers:
        yield number, answers[number]


def _places(workload: Workload) -> list[Place]:
    """Where each till stands, in the order of the tills."""
    prices = workload.product_prices()
    return [
        Place(workload.chain_id, workload.currency_code, plan, prices) for plan in workload.tills
    ]
