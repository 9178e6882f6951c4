"""Fault runs from end to end: scenarios play, tills sell, the ledger is held to their books."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import Progress

from loyalty.v1.till_service_pb2 import (
    ForwardState,
    GetReceiptRequest,
    GetReceiptResponse,
    IdentifyRequest,
)
from pos_sim.back_office import audit_ledger
from pos_sim.cash_server.clock import read_clock_file
from pos_sim.cash_server.status import SpoolStatus, read_status
from pos_sim.demo import prepare
from pos_sim.faults.books import Books, Sold, Verdict, sums_by_key
from pos_sim.faults.field import SETTLE_S, Field, Stage, field_before, play_weather
from pos_sim.faults.messages import Carrier, check_file, check_messages, wait_until_sent
from pos_sim.faults.plan import GOOD, SCENARIOS, Deed, Step, plan_smsc, plan_steps
from pos_sim.faults.proxy import Proxy
from pos_sim.faults.show import show_verdicts
from pos_sim.faults.till import Conditions, FieldTill, Heartbeat
from pos_sim.faults.world import CHAIN_ID, STORES, card_of, customer_numbers, make_world
from pos_sim.link import open_channel
from pos_sim.refusal import RefusedError
from pos_sim.run import Run
from pos_sim.sale import Place, write_identifier
from pos_sim.server_process import DemoError, run_servers
from pos_sim.statement import read_statement
from pos_sim.tally import Tally
from pos_sim.till_client import TillClient
from pos_sim.unary_link import UnaryLink
from pos_sim.workload import Workload

DRAIN_S_MAX = 180.0
LOOK_EVERY_S = 0.2
TIMEOUT_MS = 10_000
POINTS = "points"


class FaultPlan(Struct, frozen=True):
    """What to play.

    Attributes:
        scenarios: Names of plan.SCENARIOS, in the order in which they are played.
        seconds: How long tills sell in each.
        customers: Cards that come in each.
        carrier: How messages are sent.
    """

    run: Run
    scenarios: tuple[str, ...]
    seconds: float = 60.0
    tills: int = 6
    customers: int = 12
    carrier: Carrier = Carrier()


async def run_faults(console: Console, plan: FaultPlan, data_dir: Path) -> list[str]:
    """Play scenarios, and hold what the server says in the end to what tills did.

    Args:
        console: Where to tell of it.
        plan: What to play.
        data_dir: Where the server keeps its database; one of an earlier run is removed.

    Returns:
        What is wrong; nothing if all is well.

    Raises:
        DemoError: A process did not start, or the spool was not emptied.
    """
    unknown = set(plan.scenarios) - set(SCENARIOS)
    if unknown:
        raise DemoError(f"no such scenario: {', '.join(sorted(unknown))}")
    world = make_world(list(plan.scenarios), plan.customers, plan.tills)
    clock_file = _clean(data_dir)
    verdicts: list[Verdict] = []
    sms_file = data_dir.with_name(f"{data_dir.name}.sms.jsonl")
    async with AsyncExitStack() as stack:
        smsc = await stack.enter_async_context(_smsc(plan.carrier))
        settings = plan.carrier.settings(smsc.target if smsc else "", sms_file)
        running = run_servers(1, data_dir, clock_file, settings)
        servers = await stack.enter_async_context(running)
        await prepare(console, world, (servers[0].target,))
        stage = Stage(servers, data_dir, clock_file, settings)
        with Progress(console=console) as progress:
            for scenario in plan.scenarios:
                advance = partial(progress.advance, progress.add_task(scenario, total=plan.seconds))
                verdicts.append(await _play(plan, scenario, world, stage, smsc, advance))
        audit = await audit_ledger(servers[0].target)
        messages = await wait_until_sent(servers[0].target)
        await servers[0].stop()
    show_verdicts(console, verdicts)
    problems = [
        f"{verdict.scenario}: {problem}"
        for verdict in verdicts
        for problem in verdict.books.problems
    ]
    if not plan.carrier.smsc:
        problems += check_file(sms_file, messages)
    return problems + ([] if audit.balanced else ["the ledger is not balanced", *audit.problems])


def _clean(data_dir: Path) -> Path:
    """Remove an earlier run's database and spools; gives a clock file that shifts nothing."""
    for old in (data_dir, _spools(data_dir)):
        if old.exists():
            shutil.rmtree(old)
    data_dir.with_name(f"{data_dir.name}.sms.jsonl").unlink(missing_ok=True)
    clock_file = data_dir.with_name(f"{data_dir.name}.clock")
    clock_file.parent.mkdir(parents=True, exist_ok=True)
    clock_file.write_bytes(bytes(8))
    return clock_file


@asynccontextmanager
async def _smsc(carrier: Carrier) -> AsyncIterator[Proxy | None]:
    """A proxy before the SMSC, if there is one."""
    if not carrier.smsc:
        yield None
        return
    proxy = Proxy(carrier.smsc)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()


def _spools(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.spools")


async def _play(
    plan: FaultPlan,
    scenario: str,
    world: Workload,
    stage: Stage,
    smsc: Proxy | None,
    advance: Callable[[float], None],
) -> Verdict:
    """Play one scenario, wait until the spool is empty, and judge."""
    books, conditions = Books(), Conditions(SETTLE_S)
    spool = _spools(stage.data_dir) / f"{scenario}.sqlite"
    loop = asyncio.get_running_loop()
    async with field_before(stage, spool, conditions) as field:
        steps = plan_steps(scenario, plan.run.seed, plan.seconds)
        cuts = plan_smsc(scenario, plan.run.seed, plan.seconds) if smsc is not None else []
        async with _tills(plan, scenario, world, stage, field, books, conditions) as tills:
            until_s = loop.time() + plan.seconds
            ticking = asyncio.create_task(_tick(until_s, advance))
            async with asyncio.TaskGroup() as group:
                group.create_task(field.play(steps))
                if smsc is not None:
                    group.create_task(play_weather(smsc, cuts))
                for till in tills:
                    group.create_task(till.sell(until_s))
            await ticking
        began_s = loop.time()
        status = await _drained(field)
        drained_s = loop.time() - began_s
        await field.stop_cash_server()
        books.count.update(field.count)
    books.hold(not status.set_aside, f"set aside: {status.set_aside[:3]}")
    books.check_waits()
    harms = sum(step.weather != GOOD for step in cuts) + sum(map(_may_leave_doubt, steps))
    await _reckon(plan, scenario, stage.servers[0].target, books, harms)
    return Verdict(scenario, books, plan.seconds, drained_s, status.tally)


def _may_leave_doubt(step: Step) -> bool:
    """Whether the server may die, or lose its database, amid sending a message."""
    return step.deed in (Deed.KILL_SERVER, Deed.STOP_SERVER, Deed.KILL_DATABASE)


async def _tick(until_s: float, advance: Callable[[float], None]) -> None:
    loop = asyncio.get_running_loop()
    told_s = loop.time()
    while told_s < until_s:
        await asyncio.sleep(LOOK_EVERY_S)
        advance(loop.time() - told_s)
        told_s = loop.time()


@asynccontextmanager
async def _tills(
    plan: FaultPlan,
    scenario: str,
    world: Workload,
    stage: Stage,
    field: Field,
    books: Books,
    conditions: Conditions,
) -> AsyncIterator[list[FieldTill]]:
    """Tills, each on a connection of its own."""
    clock = read_clock_file(stage.clock_file)
    customers = customer_numbers(scenario, plan.customers)
    heartbeat = Heartbeat()
    async with AsyncExitStack() as stack:
        beating = asyncio.create_task(heartbeat.beat())
        stack.callback(beating.cancel)
        tills = []
        for till_plan in world.tills:
            link = UnaryLink(field.target)
            stack.push_async_callback(link.close)
            place = Place(CHAIN_ID, world.currency_code, till_plan, world.product_prices())
            tills.append(
                FieldTill(
                    place,
                    plan.run,
                    scenario,
                    link,
                    clock,
                    books,
                    conditions,
                    heartbeat,
                    customers,
                    stage.next_index,
                )
            )
        yield tills


async def _drained(field: Field) -> SpoolStatus:
    """Wait until all that waited is forwarded.

    Raises:
        DemoError: It is not, after a long time.
    """
    until_s = time.monotonic() + DRAIN_S_MAX
    while (status := read_status(field.spool)).depth:
        if time.monotonic() > until_s:
            last = status.words.get("last_error", "")
            raise DemoError(f"{status.depth} entries are not forwarded: {last}")
        await asyncio.sleep(LOOK_EVERY_S)
    return status


async def _reckon(plan: FaultPlan, scenario: str, target: str, books: Books, harms: int) -> None:
    """Ask the server for every receipt, balance and statement, and hold them to the books."""
    link = UnaryLink(target)
    client = TillClient(link, Tally(), plan.run.chance("reckon"), TIMEOUT_MS)
    try:
        names: dict[bytes, str] = {}
        all_names: dict[bytes, str] = {}
        for sold in books.receipts.values():
            found = await _find(client, sold)
            books.check_receipt(sold, found)
            if found is None or not found.checkout.receipt_id:
                continue
            all_names[found.checkout.receipt_id] = sold.name
            if not _is_superseded(found):
                names[found.checkout.receipt_id] = sold.name
        check_messages(books, await wait_until_sent(target), all_names, harms)
        for customer in customer_numbers(scenario, plan.customers):
            asked = IdentifyRequest(
                chain_id=CHAIN_ID,
                store_id=STORES[0][0],
                identifier=write_identifier(card_of(customer)),
            )
            balances = (await client.identify(asked)).balances
            async with open_channel(target) as channel:
                entries = await read_statement(channel, CHAIN_ID, customer)
            points = [(one.key_id, one.amount_minor) for one in entries if one.asset_code == POINTS]
            by_key = sums_by_key(points)
            books.check_customer(customer, balances, by_key)
            books.check_forwarded(
                {names[key]: minor for key, minor in by_key.items() if key in names}
            )
    finally:
        await link.close()


def _is_superseded(found: GetReceiptResponse) -> bool:
    """Whether something of it was posted anew, under the key of the statement that did it."""
    superseded = ForwardState.FORWARD_STATE_SUPERSEDED
    return any(one.state == superseded for one in found.statements)


async def _find(client: TillClient, sold: Sold) -> GetReceiptResponse | None:
    try:
        return await client.get_receipt(GetReceiptRequest(receipt_key=sold.key))
    except RefusedError as error:
        if error.refusal.reason != "RECEIPT_NOT_FOUND":
            raise
        return None
