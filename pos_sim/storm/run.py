"""A storm from end to end: servers, tills that do everything, faults amid it, and the reckoning."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from loyalty.v1.answer_pb2 import AssetBalance
from loyalty.v1.till_service_pb2 import IdentifyRequest, QuoteRequest
from pos_sim.back_office import audit_ledger
from pos_sim.demo import prepare
from pos_sim.replay import Settings, connect
from pos_sim.run import Run
from pos_sim.sale import Place, write_identifier, write_sale
from pos_sim.server_process import run_servers
from pos_sim.storm.actor import Actor
from pos_sim.storm.books import Books
from pos_sim.storm.faults import HOUR_US, Faults
from pos_sim.storm.gift_cards import card_codes, write_balance_request
from pos_sim.storm.office import Office
from pos_sim.storm.world import (
    CHAIN_ID,
    CURRENCY_CODE,
    STORES,
    card_of,
    customer_numbers,
    draw_basket,
    make_world,
)
from pos_sim.tally import Tally
from pos_sim.till_client import TillClient
from pos_sim.workload import Workload

TIMEOUT_MS = 5_000
ATTEMPTS_MAX = 60
"""A till waits for a server that is killed and started again."""
MERGE_EVERY = 150
EXPIRE_EVERY = 100


class StormPlan(Struct, frozen=True):
    """How hard it blows.

    Attributes:
        acts: things that tills do: a sale, a void, a refund.
        faults: harms, spread over the acts.
        servers: server processes over one database.
        customers: cards that meet at the tills.
    """

    run: Run
    acts: int
    faults: int
    servers: int = 2
    tills: int = 12
    customers: int = 25


async def run_storm(console: Console, plan: StormPlan, data_dir: Path) -> list[str]:
    """Let it blow, and hold what the servers say in the end to what they said on the way.

    Args:
        console: where to tell of it.
        plan: how hard.
        data_dir: where the servers keep their database; one of an earlier storm is removed.

    Returns:
        What is wrong; nothing if all is well.

    Raises:
        DemoError: the servers did not start, or one ended by itself.
    """
    world = make_world(plan.customers, plan.tills)
    clock_file = data_dir.with_name(f"{data_dir.name}.clock")
    clock_file.parent.mkdir(parents=True, exist_ok=True)
    if (data_dir / "pgdata").exists():
        shutil.rmtree(data_dir)  # of a storm before: its coupons are used, its clock is ahead
    clock_file.write_bytes(bytes(8))
    books = Books()
    async with run_servers(plan.servers, data_dir, clock_file) as servers:
        targets = tuple(server.target for server in servers)
        await prepare(console, world, targets)
        rng = plan.run.chance("faults")
        faults = Faults(servers, data_dir, clock_file, rng, books.count)
        async with _tills(world, plan, targets, books) as (actors, clients):
            office = Office(CHAIN_ID, targets, plan.run, books)
            await office.hand_out_coupons()
            await actors[0].sell_cards()
            with Progress(console=console) as progress:
                await _blow(plan, actors, office, faults, progress)
            faults.move_clock(HOUR_US)
            await office.expire()
            await _reckon(books, office, clients[0])
            await _check_cards(
                books, clients[0], Place(CHAIN_ID, CURRENCY_CODE, world.tills[0]), plan
            )
        audit = await audit_ledger(targets[0])
        if not audit.balanced:
            books.problems += ["the ledger is not balanced", *audit.problems]
        for server in reversed(servers):
            await server.stop()
    _show(console, books)
    return books.problems


@asynccontextmanager
async def _tills(
    world: Workload, plan: StormPlan, targets: tuple[str, ...], books: Books
) -> AsyncIterator[tuple[list[Actor], list[TillClient]]]:
    numbers = count()
    customers = customer_numbers(plan.customers)
    books.customers = customers
    async with connect(world, Settings(targets)) as links:
        clients = [
            TillClient(link, Tally(), plan.run.chance(f"wait/{n}"), TIMEOUT_MS, ATTEMPTS_MAX)
            for n, link in enumerate(links)
        ]
        prices = world.product_prices()
        places = [Place(CHAIN_ID, world.currency_code, till, prices) for till in world.tills]
        actors = [
            Actor(place, plan.run, client, books, customers, lambda: next(numbers))
            for place, client in zip(places, clients, strict=True)
        ]
        yield actors, clients


async def _blow(
    plan: StormPlan, actors: list[Actor], office: Office, faults: Faults, progress: Progress
) -> None:
    """All tills act at once until the acts are done; faults and the office come in between."""
    bar = progress.add_task("storm", total=plan.acts)
    waiting = iter(range(plan.acts))
    strike_every = max(1, plan.acts // (plan.faults + 1))
    strikes: asyncio.Queue[int] = asyncio.Queue()

    async def till(actor: Actor) -> None:
        for number in waiting:
            if number and number % strike_every == 0:
                strikes.put_nowait(number)
            if number and number % EXPIRE_EVERY == 0:
                await office.expire()
            if number and number % MERGE_EVERY == 0:
                await office.merge()
            await actor.act()
            progress.advance(bar)

    async def nature() -> None:
        while True:
            await strikes.get()
            try:
                await faults.strike()
            finally:
                strikes.task_done()

    striking = asyncio.create_task(nature())
    try:
        await asyncio.gather(*(till(actor) for actor in actors))
        await strikes.join()
    finally:
        striking.cancel()
        with suppress(asyncio.CancelledError):
            await striking


async def _reckon(books: Books, office: Office, client: TillClient) -> None:
    """Ask for everybody's balance and statement, and hold both to the books."""
    for customer in books.customers:
        expired: Counter[str] = await office.expired_of(customer)
        balances = await _balances(client, customer)
        books.check_balance(customer, balances, expired)
    books.check_total(await office.breakage())
    books.check_limits()


async def _check_cards(books: Books, client: TillClient, place: Place, plan: StormPlan) -> None:
    """Ask what is on every gift card, and hold it to the books."""
    for number, code in enumerate(card_codes()):
        basket = draw_basket(plan.run.chance("cards"), plan.run, number, "")
        sale = write_balance_request(write_sale(place, basket), code)
        # No till's basket: it holds nothing.
        answer = (await client.quote(QuoteRequest(basket_id=bytes(16), sale=sale))).answer
        problem = books.cards.difference(code, answer.gift_cards[0].available_minor)
        if problem:
            books.problems.append(problem)


async def _balances(client: TillClient, customer: str) -> list[AssetBalance]:
    request = IdentifyRequest(
        chain_id=CHAIN_ID, store_id=STORES[0][0], identifier=write_identifier(card_of(customer))
    )
    return list((await client.identify(request)).balances)


def _show(console: Console, books: Books) -> None:
    table = Table("what the tills did, and what befell them", Column("times", justify="right"))
    for what, times in sorted(books.count.items()):
        table.add_row(what, f"{times:,}")
    console.print(table)
