"""A storm from end to end: servers, tills that do everything, faults amid it, and the reckoning."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from pos_sim.back_office import audit_ledger
from pos_sim.demo import prepare
from pos_sim.replay import Settings, connect
from pos_sim.run import Run
from pos_sim.sale import Place
from pos_sim.server_process import run_servers
from pos_sim.storm.actor import Actor
from pos_sim.storm.author import Author
from pos_sim.storm.books import Books
from pos_sim.storm.desk import Desk
from pos_sim.storm.enrolling import Enrolling
from pos_sim.storm.faults import HOUR_US, Faults
from pos_sim.storm.late_probe import LateProbe
from pos_sim.storm.office import Office
from pos_sim.storm.owners import Owners
from pos_sim.storm.probing import Asking, Probe
from pos_sim.storm.reckoning import Reckoning
from pos_sim.storm.register import Register
from pos_sim.storm.world import (
    CHAIN_ID,
    CURRENCY_CODE,
    customer_numbers,
    make_world,
)
from pos_sim.tally import Tally
from pos_sim.till_client import TillClient
from pos_sim.workload import Workload

TIMEOUT_MS = 5_000
ATTEMPTS_MAX = 60
"""A till waits for a server that is killed and started again."""
MOVE_EVERY = 40
GIVE_EVERY = 12
EXPIRE_EVERY = 100
PUBLISH_EVERY = 125
SETTINGS = {"LOYALTY_PARKING_S": "1"}
"""What waits for its sale is settled before the reckoning."""


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
    owners = Owners(customer_numbers(plan.customers))
    async with run_servers(plan.servers, data_dir, clock_file, settings=SETTINGS) as servers:
        targets = tuple(server.target for server in servers)
        await prepare(console, world, targets)
        rng = plan.run.chance("faults")
        faults = Faults(servers, data_dir, clock_file, rng, books.count, SETTINGS)
        office = Office(CHAIN_ID, targets, plan.run, owners, faults.now_us, books.count)
        register, clock_us = office.register, faults.now_us
        tills = _tills(world, plan, targets, books, register, clock_us)
        async with tills as (actors, clients, enrolling):
            office.beside = enrolling.meddle
            await office.hand_out_coupons()
            await actors[0].sell_cards()
            with Progress(console=console) as progress:
                author = Author(targets[0], data_dir, books.count)
                await _blow(plan, actors, office, author, faults, progress)
            await office.enter_rest()
            await enrolling.check()
            faults.move_clock(HOUR_US)
            await office.expire()
            place = Place(CHAIN_ID, CURRENCY_CODE, world.tills[0])
            reckoning = Reckoning(books, owners, office, clients, faults.now_us())
            closed = await reckoning.reckon(place, plan.run)
            probe = Probe(books, owners, office, Asking(place, clients[0], targets, data_dir))
            await probe.check(closed, faults.now_us())
            await LateProbe(probe, plan.run).check(closed, faults.now_us())
        audit = await audit_ledger(targets[0])
        if not audit.balanced:
            books.problems += ["the ledger is not balanced", *audit.problems]
        for server in reversed(servers):
            await server.stop()
    _show(console, books)
    return books.problems


@asynccontextmanager
async def _tills(
    world: Workload,
    plan: StormPlan,
    targets: tuple[str, ...],
    books: Books,
    register: Register,
    clock_us: Callable[[], int],
) -> AsyncIterator[tuple[list[Actor], list[TillClient], Enrolling]]:
    numbers = count()
    customers = customer_numbers(plan.customers)
    async with connect(world, Settings(targets)) as links:
        clients = [
            TillClient(link, Tally(), plan.run.chance(f"wait/{n}"), TIMEOUT_MS, ATTEMPTS_MAX)
            for n, link in enumerate(links)
        ]
        prices = world.product_prices()
        places = [Place(CHAIN_ID, world.currency_code, till, prices) for till in world.tills]
        enrolling = Enrolling(register, clients, plan.run, books)
        actors = [
            Actor(
                Desk(place, plan.run, client, books, enrolling, clock_us, lambda: next(numbers)),
                customers,
            )
            for place, client in zip(places, clients, strict=True)
        ]
        yield actors, clients, enrolling


async def _blow(
    plan: StormPlan,
    actors: list[Actor],
    office: Office,
    author: Author,
    faults: Faults,
    progress: Progress,
) -> None:
    """All tills act at once until the acts are done; faults and the office come in between."""
    bar = progress.add_task("storm", total=plan.acts)
    waiting = iter(range(plan.acts))
    strike_every = max(1, plan.acts // (plan.faults + 1))
    strikes: asyncio.Queue[int] = asyncio.Queue()
    publishing: list[asyncio.Task[None]] = []

    async def till(actor: Actor) -> None:
        for number in waiting:
            if number and number % strike_every == 0:
                strikes.put_nowait(number)
            if number % PUBLISH_EVERY == PUBLISH_EVERY - 1:
                publishing.append(asyncio.create_task(author.publish()))
            if number and number % EXPIRE_EVERY == 0:
                await office.expire()
            if number % GIVE_EVERY == GIVE_EVERY - 1:
                await office.give()
            if number and number % MOVE_EVERY == 0:
                await office.move()
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
        await asyncio.gather(*publishing)
    finally:
        striking.cancel()
        with suppress(asyncio.CancelledError):
            await striking


def _show(console: Console, books: Books) -> None:
    table = Table("what the tills did, and what befell them", Column("times", justify="right"))
    for what, times in sorted(books.count.items()):
        table.add_row(what, f"{times:,}")
    console.print(table)
