"""What the simulator asks of the back office: reference data in, an audit out."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from loyalty.v1.back_office_service_pb2 import (
    AuditLedgerRequest,
    AuditLedgerResponse,
    GetRulesetRequest,
    ImportCustomersRequest,
    ImportProductsRequest,
    ImportStoresRequest,
)
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from pos_sim.link import open_channel
from pos_sim.workload import Workload

BATCH = 1_000
IMPORT_TIMEOUT_S = 60.0
AUDIT_TIMEOUT_S = 300.0
HEALTH_TIMEOUT_S = 1.0

_T = TypeVar("_T")


async def import_data(target: str, workload: Workload) -> tuple[int, int, int]:
    """Import a workload's stores, articles and customers.

    Args:
        target: host:port.
        workload: What the server must know.

    Returns:
        How many stores, articles and customers the server says it imported.
    """
    chain_id = workload.chain_id
    async with open_channel(target) as channel:
        stub = BackOfficeServiceStub(channel)
        stores = products = customers = 0
        for some_stores in _batches(workload.stores):
            sent = ImportStoresRequest(chain_id=chain_id, stores=some_stores)
            stores += (await stub.ImportStores(sent, timeout=IMPORT_TIMEOUT_S)).imported
        for some_products in _batches(workload.products):
            told = ImportProductsRequest(chain_id=chain_id, products=some_products)
            products += (await stub.ImportProducts(told, timeout=IMPORT_TIMEOUT_S)).imported
        for some_customers in _batches(workload.customers):
            asked = ImportCustomersRequest(chain_id=chain_id, customers=some_customers)
            customers += (await stub.ImportCustomers(asked, timeout=IMPORT_TIMEOUT_S)).imported
    return stores, products, customers


async def audit_ledger(target: str) -> AuditLedgerResponse:
    """Have the server prove over its whole database that the ledger balances.

    Args:
        target: host:port.
    """
    async with open_channel(target) as channel:
        stub = BackOfficeServiceStub(channel)
        return await stub.AuditLedger(AuditLedgerRequest(), timeout=AUDIT_TIMEOUT_S)


async def server_clock_us(target: str) -> int:
    """Read a server's clock, UTC microseconds.

    Args:
        target: host:port.
    """
    async with open_channel(target) as channel:
        stub = BackOfficeServiceStub(channel)
        return (await stub.GetRuleset(GetRulesetRequest(), timeout=IMPORT_TIMEOUT_S)).now_us


async def wait_until_serving(
    target: str, seconds: float, is_alive: Callable[[], bool] = lambda: True
) -> bool:
    """Wait until a server says that it serves.

    Args:
        target: host:port.
        seconds: How long to wait at most.
        is_alive: Whether it is worth waiting on.

    Returns:
        Whether it serves.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until and is_alive():
        if await _is_serving(target):
            return True
        await asyncio.sleep(0.1)
    return False


async def wait_until_loaded(target: str, seconds: float) -> bool:
    """Wait until a server has the newest ruleset in memory and in force.

    Args:
        target: host:port.
        seconds: How long to wait at most.

    Returns:
        Whether it has.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    async with open_channel(target) as channel:
        stub = BackOfficeServiceStub(channel)
        while loop.time() < until:
            ruleset = await stub.GetRuleset(GetRulesetRequest(), timeout=IMPORT_TIMEOUT_S)
            newest = max(ruleset.versions, key=lambda v: v.version, default=None)
            if newest and newest.loaded and newest.effective_at_us <= ruleset.now_us:
                return True
            await asyncio.sleep(0.1)
    return False


async def _is_serving(target: str) -> bool:
    # A connection for each look: one that failed would wait longer and longer before it tries
    # again.
    async with open_channel(target) as channel:
        try:
            stub: Any = HealthStub(channel)  # typed without its calls
            health = await stub.Check(HealthCheckRequest(), timeout=HEALTH_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(health.status == HealthCheckResponse.SERVING)


def _batches(things: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(things), BATCH):
        yield things[start : start + BATCH]
