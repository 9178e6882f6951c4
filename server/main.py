"""The composition root: the only place that knows every concrete part, and the server's life."""

import asyncio
import gc
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
import structlog
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from loyalty.v1 import back_office_service_pb2
from rewards.allocate import allocate
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import Facts
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from server.back_office import BackOffice
from server.back_office_servicer import BackOfficeServicer, back_office_handlers
from server.budgets import Desk
from server.clock import Clock, shifted_clock, system_clock
from server.codec.sale_pb import HashIdentifier
from server.customer_service import SERVICE as CUSTOMERS
from server.customer_service import customer_handlers, ledger_handlers
from server.evaluator import kernel_findings, prepare
from server.expiry import Expiry
from server.listeners import Listeners
from server.log import set_up_log
from server.lookups import Lookups
from server.parking import Parking
from server.pipeline import Pipeline
from server.reference import POLL_S, Prepare, Reference
from server.session import GO_AWAY_GRACE_MS, Sessions
from server.settings import PREFIX, Settings, read_settings
from server.sms.choice import transport_of
from server.sms.worker import Worker
from server.store.database import Database
from server.store.embedded import EmbeddedPostgresError
from server.store.feeds import Feeds
from server.store.inspection import UnreachableError, inspect_database
from server.store.leases import BudgetLeases
from server.store.migrate import MigrationError, migrate
from server.store.partitions import ensure_partitions
from server.store.secrets import shared_secrets
from server.till.context import Context, Evaluate
from server.till.quotas import index_of
from server.till_servicer import SERVICE, TillCalls, check_contract, unary_handlers
from server.token import TokenSigner

BACK_OFFICE = back_office_service_pb2.DESCRIPTOR.services_by_name["BackOfficeService"].full_name
PARTITION_CHECK_S = 3_600.0
PARTITION_RETRY_S = 30.0
STOP_GRACE_S = 1.0
GC_THRESHOLDS = (50_000, 20, 50)

_log = structlog.get_logger(__name__)


def main() -> None:
    """Run the server until SIGTERM or SIGINT."""
    if not __debug__:
        raise SystemExit("the server does not run without its assertions: drop -O")
    settings = read_settings()
    set_up_log(settings.log_level)
    check_contract()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Compose, serve, drain.

    Args:
        settings: as read.
    """
    transport = transport_of(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        context = await stack.enter_async_context(composed(settings))
        calls = TillCalls(context)
        sessions = Sessions(calls)
        health = health_aio.HealthServicer()
        expiry = Expiry(context, settings.expiry_s)
        handlers = _handlers(calls, sessions, context, expiry)
        add_services = partial(_add_services, handlers, health)
        listeners = Listeners(settings.listen, add_services)
        watcher = asyncio.create_task(_watch(context, health), name="watch")
        stack.callback(watcher.cancel)
        _settle_memory()
        await listeners.start()
        await _report_health(context, health)
        expiry.start()
        stack.push_async_callback(expiry.stop)
        parking = Parking(context, settings.parking_s)
        parking.start()
        stack.push_async_callback(parking.stop)
        if transport is not None:
            worker = Worker(
                context,
                transport,
                settings.sms_poll_s,
                settings.sms_uncertain_s,
                os.urandom(16),
            )
            worker.start()
            stack.push_async_callback(worker.stop)
        _log.info("serving", listen=settings.listen, evaluator=settings.evaluator)
        await stop.wait()
        await _drain(listeners, calls, sessions, health, settings.drain_s)
    _log.info("stopped")


@asynccontextmanager
async def composed(settings: Settings) -> AsyncIterator[Context]:
    """Open the database and start what works on it; close it all in reverse."""
    clock = _clock(settings)
    database = Database(settings.dsn or None, settings.data_dir, "loyalty-server")
    await _make_ready(database)
    await database.open()
    try:
        await _make_partitions(database, clock())
        evaluator, prepare_rules = _evaluator(settings)
        reference = Reference(Feeds(database), clock, prepare_rules)
        await reference.refresh()
        context = Context(
            clock=clock,
            reference=reference,
            lookups=Lookups(database),
            pipeline=Pipeline(database),
            patient=Pipeline(database),
            database=database,
            signer=TokenSigner(await shared_secrets(database, "token", clock())),
            hash_identifier=await _identifier_hash(database, clock()),
            evaluate=evaluator,
            budgets=Desk(BudgetLeases(database, settings.listen), clock, partial(os.urandom, 16)),
        )
        reference.start()
        context.lookups.start()
        context.pipeline.start()
        context.patient.start()
        context.budgets.start()
        yield context
        await context.pipeline.drain()
        await context.patient.drain()
        await context.budgets.stop()
        await context.lookups.stop()
        await reference.stop()
    finally:
        await database.close()


async def _make_ready(database: Database) -> None:
    """Start the database if it is embedded, and bring its schema to what this build expects.

    Raises:
        SystemExit: it cannot be used; the message says why and what to do.
    """
    try:
        dsn = await database.ensure_running()
        await inspect_database(dsn)
        await migrate(dsn)
    except UnreachableError as error:
        advice = "see that LOYALTY_DSN is right; loyaltyctl doctor looks for the cause"
        raise SystemExit(f"the database cannot be reached: {error}; {advice}") from None
    except (EmbeddedPostgresError, MigrationError) as error:
        raise SystemExit(str(error)) from None


def _settle_memory() -> None:
    """Take what lives for ever out of the collector's sight, and let it run less often.

    A call makes thousands of short-lived objects and no cycles: reference counts free them. With
    the defaults the collector walked the catalogue and the rules some ten times a second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def _clock(settings: Settings) -> Clock:
    if not settings.clock_file:
        return system_clock
    try:
        return shifted_clock(Path(settings.clock_file))
    except OSError as error:
        reason = f"{settings.clock_file} cannot be used: {error.strerror}"
        raise SystemExit(f"{PREFIX}CLOCK_FILE: {reason}") from None


def _evaluator(settings: Settings) -> tuple[Evaluate, Prepare]:
    """The evaluator of the setting, and what it does with rules as they are loaded."""
    if settings.evaluator == "kernel":
        return kernel_findings, _prepare
    return _by_reference, index_of


def _by_reference(
    rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None = None
) -> Evaluation:
    return evaluate(rules, sale, facts, allocate, only)


def _prepare(rules: ProgramRules) -> None:
    prepare(rules)
    index_of(rules)


async def _identifier_hash(database: Database, now_us: int) -> HashIdentifier:
    """The keyed hash by which identifiers are stored and looked up."""
    secrets = await shared_secrets(database, "identifier", now_us)
    return keyed_hash(secrets[min(secrets)])


def keyed_hash(secret: bytes) -> HashIdentifier:
    """Hash identifiers with a key: 16 bytes of (chain, kind, value)."""

    def hash_identifier(chain_id: str, kind: int, value: str) -> bytes:
        text = f"{kind}\x00{chain_id}\x00{value}".encode()
        return hashlib.blake2b(text, digest_size=16, key=secret, person=b"identifier").digest()

    return hash_identifier


def _handlers(
    calls: TillCalls, sessions: Sessions, context: Context, expiry: Expiry
) -> tuple[grpc.GenericRpcHandler, ...]:
    """What answers the calls of each service, once for all listeners: limits are the process's."""
    till = unary_handlers(calls)
    till["Session"] = grpc.stream_stream_rpc_method_handler(sessions.handle)
    back_office = BackOffice(
        context.database, context.reference, context.clock, context.hash_identifier
    )
    office = back_office_handlers(BackOfficeServicer(back_office), ledger_handlers(context, expiry))
    customers = customer_handlers(context)
    return (
        grpc.method_handlers_generic_handler(SERVICE, till),
        grpc.method_handlers_generic_handler(BACK_OFFICE, office),
        grpc.method_handlers_generic_handler(CUSTOMERS, customers),
    )


def _add_services(
    handlers: tuple[grpc.GenericRpcHandler, ...],
    health: health_aio.HealthServicer,
    server: grpc.aio.Server,
) -> None:
    server.add_generic_rpc_handlers(handlers)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = (
        SERVICE,
        BACK_OFFICE,
        CUSTOMERS,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        reflection.SERVICE_NAME,
    )
    reflection.enable_server_reflection(names, server)


async def _watch(context: Context, health: health_aio.HealthServicer) -> None:
    """Keep health true to the facts, and partitions ahead of the calendar."""
    loop = asyncio.get_running_loop()
    partitions_at_s = loop.time()
    while True:
        await asyncio.sleep(POLL_S)
        await _report_health(context, health)
        if loop.time() >= partitions_at_s:
            are_made = await _make_partitions(context.database, context.clock())
            partitions_at_s = loop.time() + (PARTITION_CHECK_S if are_made else PARTITION_RETRY_S)


async def _make_partitions(database: Database, now_us: int) -> bool:
    """Make what is missing, and say whether all is there; a receipt without one is kept apart."""
    try:
        await ensure_partitions(database, now_us)
    except Exception as error:
        _log.warning("partitions_not_made", error=str(error))
        return False
    return True


async def _report_health(context: Context, health: health_aio.HealthServicer) -> None:
    serving = health_pb2.HealthCheckResponse.SERVING
    current = context.reference.is_current
    status = serving if current else health_pb2.HealthCheckResponse.NOT_SERVING
    for name in ("", SERVICE):
        await health.set(name, status)


async def _drain(
    listeners: Listeners,
    calls: TillCalls,
    sessions: Sessions,
    health: health_aio.HealthServicer,
    drain_s: float,
) -> None:
    """Leave health, send GO_AWAY, let cash servers move over, finish what was taken, stop."""
    _log.info("draining")
    await health.enter_graceful_shutdown()
    sessions.go_away("the server is draining")
    await asyncio.sleep(GO_AWAY_GRACE_MS / 1_000)
    calls.draining = True
    try:
        async with asyncio.timeout(drain_s):
            await calls.drained()
    except TimeoutError:
        _log.warning("drained_late", drain_s=drain_s)
    await listeners.stop(STOP_GRACE_S)
