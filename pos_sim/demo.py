"""The demo from end to end: server, reference data, program, replay, one answer, summary."""

from pathlib import Path

import grpc
from msgspec import Struct
from rich.console import Console

from loyalty.v1.back_office_service_pb2 import AuditLedgerResponse
from pos_sim import grocery, online_retail
from pos_sim.back_office import (
    audit_ledger,
    import_data,
    server_clock_us,
    wait_until_loaded,
    wait_until_serving,
)
from pos_sim.habit import Habits
from pos_sim.progress import RunProgress
from pos_sim.replay import Replayed, ReplayError, Settings, replay
from pos_sim.run import Run
from pos_sim.server_process import DemoError, publish, run_servers, unless_one_dies
from pos_sim.show import show_answer
from pos_sim.summary import find_problems, show_summary
from pos_sim.workload import Workload

LOADED_S_MAX = 60.0
SERVING_S_MAX = 10.0


class Plan(Struct, frozen=True):
    """What to replay.

    Attributes:
        receipts: Directory of the real receipts; None is the generated grocery.
        count: Receipts; None is the default of the kind: 2,500 generated, all real.
        rate: Receipts a second over all tills; 0 is as fast as they can.
        quote_share: Share of the receipts that are quoted before checkout.
    """

    run: Run
    tills: int
    receipts: Path | None = None
    count: int | None = None
    rate: float = 0.0
    quote_share: float = 1.0

    def settings(self, targets: tuple[str, ...], since_us: int) -> Settings:
        """How to replay on servers (host:port) whose clock shows `since_us` now."""
        habits = Habits(quote=self.quote_share)
        return Settings(targets, rate=self.rate, habits=habits, since_us=since_us)

    def workload(self) -> Workload:
        """Make or read it.

        Raises:
            DemoError: The real receipts are not there.
        """
        if self.receipts is None:
            return grocery.make_workload(self.run, self.count or grocery.RECEIPTS, self.tills)
        missing = online_retail.find_missing(self.receipts)
        if missing:
            raise DemoError(f"{self.receipts} lacks {', '.join(missing)}")
        return online_retail.make_workload(self.receipts, self.count, self.tills)


async def run_demo(console: Console, plan: Plan, servers: int, data_dir: Path) -> list[str]:
    """Run the demo.

    Args:
        console: Where to.
        plan: What to replay.
        servers: Server processes, 1 or more.
        data_dir: Where the server keeps its database.

    Returns:
        What is wrong; nothing if all is well.

    Raises:
        DemoError: It could not be run to its end.
    """
    workload = plan.workload()
    _say(console, f"starting {servers} server(s), data in {data_dir}")
    async with run_servers(servers, data_dir) as running:
        targets = tuple(server.target for server in running)
        _say(console, f"serving on {', '.join(targets)}, logs beside {data_dir}")
        work = _prepare_and_replay(console, workload, plan, targets)
        problems = await unless_one_dies(running, work)
        for server in reversed(running):
            await server.stop()
    _say(console, f"{servers} server(s) stopped in good order")
    return problems


async def _prepare_and_replay(
    console: Console, workload: Workload, plan: Plan, targets: tuple[str, ...]
) -> list[str]:
    await prepare(console, workload, targets)
    return await replay_and_show(console, workload, plan, targets)


async def run_replay(
    console: Console, plan: Plan, targets: tuple[str, ...], is_prepared: bool
) -> list[str]:
    """Replay against servers that run already.

    Args:
        console: Where to.
        plan: What to replay.
        targets: host:port of each.
        is_prepared: They have the reference data and the program; else they are given them.

    Returns:
        What is wrong; nothing if all is well.

    Raises:
        DemoError: It could not be run to its end.
    """
    workload = plan.workload()
    for target in targets:
        if not await wait_until_serving(target, SERVING_S_MAX):
            raise DemoError(f"nobody serves on {target}")
    if not is_prepared:
        await prepare(console, workload, targets)
    return await replay_and_show(console, workload, plan, targets)


async def prepare(console: Console, workload: Workload, targets: tuple[str, ...]) -> None:
    """Give the servers what they must know, and wait until the program is in force everywhere."""
    try:
        stores, products, customers = await import_data(targets[0], workload)
    except grpc.aio.AioRpcError as error:
        raise DemoError(f"import failed: {error.code().name}: {error.details()}") from error
    _say(
        console,
        f"imported {stores} store(s), {products:,} articles and {customers:,} customers",
    )
    await publish(workload.program, targets[0])
    for target in targets:
        if not await wait_until_loaded(target, LOADED_S_MAX):
            raise DemoError(f"{target} has not loaded the published program")
    _say(console, f"published {workload.program.name}, in force")


async def replay_and_show(
    console: Console, workload: Workload, plan: Plan, targets: tuple[str, ...]
) -> list[str]:
    """Replay, show one full answer and the summary, and judge."""
    _say(console, f"replaying {workload.receipt_count:,} receipts (seed {plan.run.seed})")
    try:
        settings = plan.settings(targets, await server_clock_us(targets[0]))
        with RunProgress(console, workload.receipt_count) as progress:
            replayed = await replay(workload, plan.run, settings, progress)
    except ReplayError as error:
        raise DemoError(str(error)) from error
    except grpc.aio.AioRpcError as error:
        raise DemoError(f"back office: {error.code().name}: {error.details()}") from error
    problems = _show_best(console, workload, replayed)
    audit = await _audit(targets[0])
    show_summary(console, workload, replayed, audit)
    return find_problems(workload, replayed, audit) + problems


async def _audit(target: str) -> AuditLedgerResponse:
    """The server's audit; one that cannot be had is not balanced."""
    try:
        return await audit_ledger(target)
    except grpc.aio.AioRpcError as error:
        why = f"no audit: {error.code().name}: {error.details()}"
        return AuditLedgerResponse(balanced=False, problems=[why])


def _show_best(console: Console, workload: Workload, replayed: Replayed) -> list[str]:
    shown = replayed.books.showcase.best
    if shown is None:
        return ["no receipt was answered with four sets that are complete and not empty"]
    store = workload.store_named(shown.sale.header.store_id)
    show_answer(console, shown, workload.product_names(), store.name)
    return []


def _say(console: Console, what: str) -> None:
    console.print(f"[bold]pos_sim[/bold]: {what}", highlight=False)
