"""Real servers for tests: processes, their database, and a till that talks gRPC to them."""

import asyncio
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_status import rpc_status

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import program_pb2, receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.till_service_pb2_grpc import TillServiceStub
from rewards.program import Program
from server.clock import set_offset
from server.codec.program_pb import program_to_pb
from server.reference import PUBLISH_LEAD_US
from tests.starting import Started

PlaceWith = Callable[[program_pb2.Program], dict[str, str]]
"""Makes the environment that points a server at a database with a program in force."""
CHAIN, STORE = "test", "s1"
START_TIMEOUT_S = 60.0
CARDS = 40
RECONNECT_SOON = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 100),
)
"""To a server that is about to listen; by default the second attempt comes after a second."""

PROGRAM: dict[str, Any] = {
    "program_id": "test",
    "chain_id": CHAIN,
    "currency_code": "RUB",
    "language_code": "ru",
    "point_value_micros": 1_000_000,
    "assets": [
        {
            "code": "points",
            "kind": "points",
            "decimals": 2,
            "names": [{"language_code": "ru", "forms": [{"category": "other", "text": "балла"}]}],
        }
    ],
    "promotions": [
        {
            "promotion_id": "tea-10",
            "names": [{"language_code": "ru", "text": "Чай −10%"}],
            "lane": "price",
            "products": {"categories": ["tea"]},
            "gives": [{"code": "percent_off", "rate_bp": 1_000}],
        },
        {
            "promotion_id": "points-5",
            "names": [{"language_code": "ru", "text": "5% баллами"}],
            "lane": "reward",
            "gives": [{"code": "points_rate", "asset_code": "points", "rate_bp": 500}],
        },
    ],
    "profile_fields": [
        {
            "field_code": "mobile",
            "questions": [{"language_code": "ru", "text": "Телефон?"}],
            "check": "phone",
            "valid_days": 365,
            "weight": 10,
        }
    ],
    "prompts_max": 2,
    "cross_sell_links": [
        {
            "link_id": "tea-cake",
            "basket": {"categories": ["tea"]},
            "show": {"categories": ["cake"]},
            "texts": [{"language_code": "ru", "text": "Предложите {product}"}],
        }
    ],
    "till_groups": [{"group_id": "all", "cross_sell_max": 2}],
}


def test_program(**changes: Any) -> program_pb2.Program:
    """The program of the tests, with some keys replaced."""
    return program_to_pb(msgspec.convert({**PROGRAM, **changes}, Program))


test_program.__test__ = False  # type: ignore[attr-defined]


class ServerProcess:
    """One server process."""

    def __init__(
        self, place: dict[str, str], log: Path, port: int | None = None, waits: bool = True
    ) -> None:
        """Start a server and wait until it is healthy.

        Args:
            place: LOYALTY_DSN or LOYALTY_DATA_DIR, and whatever else to set.
            log: where its output goes.
            port: to listen on; None picks a free one.
            waits: without it, `wait_healthy` is the caller's.
        """
        self.port = port or free_port()
        self.target = f"127.0.0.1:{self.port}"
        environment = {**os.environ, **place, "LOYALTY_LISTEN": self.target}
        self._log = log
        files = (Path(os.devnull), log, log)
        self.process = Started("server", environment=environment, files=files)
        if waits:
            self.wait_healthy()

    def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; give the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=60)

    def log_text(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def wait_healthy(self) -> None:
        """Wait until it serves."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self._log.read_text()[-4_000:]}")
            if _is_healthy(self.target):
                return
        raise AssertionError("the server did not get ready in time")


def _is_healthy(target: str) -> bool:
    """Ask, and wait a second for who has yet to listen."""
    # A channel's readiness is told up to 0.2 s late: the library looks for it so often.
    with grpc.insecure_channel(target, RECONNECT_SOON) as channel:
        health: Any = HealthStub(channel)
        try:
            said = health.Check(HealthCheckRequest(), timeout=1.0, wait_for_ready=True)
        except grpc.RpcError:
            return False
    return bool(said.status == HealthCheckResponse.SERVING)


@contextmanager
def publishing(dsn: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """A server whose clock is behind by the lead; gives its target and its clock file.

    Once it is moved on to when the first program that was published is in force, it is right.
    """
    clock_file = folder / "clock"
    set_offset(clock_file, -PUBLISH_LEAD_US)
    place = {"LOYALTY_DSN": dsn, "LOYALTY_CLOCK_FILE": str(clock_file)}
    server = ServerProcess(place, folder / "server.log")
    try:
        yield server.target, clock_file
    finally:
        assert server.stop() == 0


@contextmanager
def serving(place: dict[str, str], log_dir: Path, count: int = 1) -> Iterator[list[ServerProcess]]:
    """Some servers over one database; stopped at the end, however it comes."""
    servers: list[ServerProcess] = []
    try:
        if count > 1 and "LOYALTY_DSN" in place:
            # They start side by side; over an embedded cluster the first one makes it.
            for number in range(count):
                log = log_dir / f"server-{number}.log"
                servers.append(ServerProcess(place, log, waits=False))
            for server in servers:
                server.wait_healthy()
        else:
            logs = [log_dir / f"server-{number}.log" for number in range(count)]
            servers.extend(ServerProcess(place, log) for log in logs)
        yield servers
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.kill()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def wait_until(is_true: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll a condition, bounded."""
    deadline_s = time.monotonic() + timeout_s
    pause = threading.Event()
    while not is_true():
        assert time.monotonic() < deadline_s, f"{what}: not within {timeout_s} s"
        pause.wait(0.05)


def seed(target: str, clock_file: Path | None = None) -> None:
    """Import the world of the tests over gRPC, publish its program, wait until it is in force.

    Args:
        target: the server.
        clock_file: its clock; it is moved on to when the program is in force.
    """
    with grpc.insecure_channel(target) as channel:
        stub = BackOfficeServiceStub(channel)
        stub.ImportStores(bo.ImportStoresRequest(chain_id=CHAIN, stores=[_store()]))
        products = [_product(n) for n in range(20)]
        stub.ImportProducts(bo.ImportProductsRequest(chain_id=CHAIN, products=products))
        customers = [_customer(n) for n in range(CARDS)]
        stub.ImportCustomers(bo.ImportCustomersRequest(chain_id=CHAIN, customers=customers))
        publish(stub, test_program(), clock_file)


def publish(stub: Any, program: program_pb2.Program, clock_file: Path | None = None) -> int:
    """Publish and wait until the version is in force and loaded here.

    Args:
        stub: of the back office.
        program: to publish.
        clock_file: the servers' clock; it is moved on to when the version is in force.
    """
    request = bo.PublishProgramRequest(program=program, published_by="test")
    version: int = stub.PublishProgram(request).version
    if clock_file is not None:
        (offset_us,) = struct.unpack("<q", clock_file.read_bytes())
        set_offset(clock_file, offset_us + PUBLISH_LEAD_US)

    def in_force() -> bool:
        found = stub.GetRuleset(bo.GetRulesetRequest())
        live = [v for v in found.versions if v.effective_at_us <= found.now_us and v.loaded]
        return any(v.version == version for v in live)

    wait_until(in_force, "the version in force")
    return version


def wait_loaded(server: ServerProcess, version: int) -> None:
    """Wait until a version is in force and loaded at a server."""

    def is_loaded() -> bool:
        with grpc.insecure_channel(server.target) as channel:
            found = BackOfficeServiceStub(channel).GetRuleset(bo.GetRulesetRequest())
        live = [v for v in found.versions if v.loaded and v.effective_at_us <= found.now_us]
        return any(v.version == version for v in live)

    wait_until(is_loaded, "the version everywhere")


def _store() -> bo.Store:
    return bo.Store(
        store_id=STORE,
        time_zone="Europe/Moscow",
        currency_code="RUB",
        language_code="ru",
        name="Test",
    )


def _product(n: int) -> bo.Product:
    return bo.Product(
        sku=f"sku{n}", name=f"Товар {n}", categories=["tea" if n % 2 else "cake"], brand="b"
    )


def _customer(n: int) -> bo.Customer:
    identifier = bo.ImportedIdentifier(kind="card", value=f"card{n}")
    return bo.Customer(customer_number=str(n), identifiers=[identifier], segments=["all"])


def receipt_key(number: int, till: str = "t1") -> receipt_pb2.ReceiptKey:
    """A receipt key."""
    return receipt_pb2.ReceiptKey(
        chain_id=CHAIN,
        store_id=STORE,
        till_id=till,
        business_date="2026-11-22",
        shift_id="1",
        receipt_number=str(number),
    )


def sale(card: str = "card0", lines: int = 3, price_minor: int = 10_000, till: str = "t1") -> Any:
    """A sale of some lines to a card; without a card if it is empty."""
    made = receipt_pb2.Sale()
    for n in range(lines):
        made.lines.add(
            line_id=str(n + 1),
            sku=f"sku{n}",
            quantity_milli=2_000,
            unit=receipt_pb2.QUANTITY_UNIT_PIECE,
            unit_price_scaled=price_minor,
            unit_price_scale=2,
            amount_minor=2 * price_minor,
            price_source=receipt_pb2.PRICE_SOURCE_SHELF,
            kind=receipt_pb2.LINE_KIND_GOODS,
            action=receipt_pb2.LINE_ACTION_SALE,
        )
    header = made.header
    header.chain_id, header.store_id, header.till_id = CHAIN, STORE, till
    header.mode, header.till_type = receipt_pb2.SALE_MODE_LIVE, receipt_pb2.TILL_TYPE_STAFFED
    header.cashier_id, header.shift_id = "c1", "1"
    header.till_time_us, header.till_utc_offset_minutes = 1_790_000_000_000_000, 180
    header.currency_code, header.language_code = "RUB", "ru"
    header.capabilities.split_line = header.capabilities.zero_price = True
    header.capabilities.ask_question = True
    if card:
        header.identifiers.add(
            kind=receipt_pb2.IDENTIFIER_KIND_CARD,
            value=card,
            entry_method=receipt_pb2.ENTRY_METHOD_SCANNED,
        )
    return with_totals(made)


def with_totals(made: Any) -> Any:
    """Set the control totals to what the lines give."""
    counted = [line for line in made.lines if not line.cancelled]
    totals = made.header.control_totals
    totals.line_count = len(counted)
    totals.amount_minor = sum(line.amount_minor for line in counted)
    return made


def checkout_request(number: int, card: str = "card0", **changes: Any) -> pb.CheckoutRequest:
    """A Checkout of a sale of three lines."""
    request = pb.CheckoutRequest(receipt_key=receipt_key(number), sale=sale(card))
    for name, value in changes.items():
        setattr(request, name, value)
    return request


def reason_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str, dict[str, str]]:
    """Status code, ErrorInfo reason and metadata of a refusal."""
    call: Any = error
    found = rpc_status.from_call(call)
    assert found is not None, f"no details: {error}"
    for detail in found.details:
        info = ErrorInfo()
        if detail.Unpack(info):
            return call.code(), info.reason, dict(info.metadata)
    raise AssertionError(f"no ErrorInfo: {found}")


async def raw_checkout(
    channel: grpc.aio.Channel, request: pb.CheckoutRequest, timeout_s: float = 30.0
) -> bytes:
    """The bytes of a Checkout's answer."""
    call: Any = channel.unary_unary("/loyalty.v1.TillService/Checkout")
    answer: bytes = await call(request.SerializeToString(), timeout=timeout_s)
    return answer


async def until_answered(target: str, request: pb.CheckoutRequest, rounds: int = 200) -> bytes:
    """Send a Checkout again and again, as a till does, until it is answered."""
    for _ in range(rounds):
        try:
            async with grpc.aio.insecure_channel(target) as channel:
                return await raw_checkout(channel, request, timeout_s=5.0)
        except grpc.aio.AioRpcError as error:
            retryable = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            if error.code() not in (*retryable, grpc.StatusCode.CANCELLED):
                raise
            await asyncio.sleep(0.05)
    raise AssertionError("never answered")


def till_stub(channel: grpc.Channel) -> Any:
    """A stub of the till's service."""
    return TillServiceStub(channel)


def postmaster_pid(data_dir: Path) -> int:
    """The process id of the embedded PostgreSQL."""
    text = next(data_dir.rglob("postmaster.pid")).read_text()
    found = re.match(r"\d+", text)
    assert found is not None
    return int(found.group())
