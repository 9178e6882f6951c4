"""Servers, a till, the back office and the customers' service, with a clock that a test sets."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import grpc

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import customer_service_pb2 as cs
from loyalty.v1 import receipt_pb2
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.customer_service_pb2_grpc import CustomerServiceStub
from server.clock import set_offset
from tests.pg import run_apart
from tests.serving import (
    CHAIN,
    ServerProcess,
    publish,
    serving,
    test_program,
    till_stub,
    wait_loaded,
)

DAY_US = 86_400_000_000

# Balance = the customer's postings = lots; every lot is what it was granted and what changed it.
DIFFERENCES = """
select 'transfer ' || encode(transfer_id, 'hex') from posting
 group by account_id, transfer_id, asset_code having sum(amount_minor) <> 0
union all
select 'balance of ' || account_id || ' in ' || asset_code
  from (select account_id, asset_code, amount_minor::numeric as stated, 0::numeric as posted,
               0::numeric as held from balance
        union all
        select account_id, asset_code, 0, sum(amount_minor), 0 from posting
         where book in (1, 6) group by 1, 2
        union all
        select account_id, asset_code, 0, 0,
               sum(case when kind = 1 then remaining_minor else -remaining_minor end)
          from lot group by 1, 2) as view
 group by account_id, asset_code
having sum(stated) <> sum(posted) or sum(stated) <> sum(held)
union all
select 'lot ' || encode(l.lot_id, 'hex')
  from lot l
 where l.remaining_minor <> l.granted_minor + coalesce(
       (select sum(change_minor) from lot_change c
         where c.account_id = l.account_id and c.lot_id = l.lot_id), 0)
union all
select 'merged account ' || a.account_id
  from account a join lot l on l.account_id = a.account_id and l.remaining_minor > 0
 where a.merged_into <> 0
union all
select 'clearing of ' || encode(k.key_id, 'hex')
  from commit_key k join posting p on substring(p.transfer_id from 1 for 16) = k.key_id
 where k.kind = 8 and p.book = 5
 group by k.key_id, p.asset_code having sum(p.amount_minor) <> 0
"""


class World(NamedTuple):
    """What a test talks to."""

    dsn: str
    servers: list[ServerProcess]
    clock_file: Path
    till: Any
    office: Any
    customers: Any

    def later(self, days: float) -> None:
        """Set the clock of all servers so many days ahead of the machine's."""
        set_offset(self.clock_file, round(days * DAY_US))

    def fetch(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Read from the database."""

        async def read() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.dsn, timeout=10)
            try:
                return [tuple(row.values()) for row in await connection.fetch(query, *arguments)]
            finally:
                await connection.close()

        return run_apart(read)

    def balance(self, card: str) -> int:
        """The points of a card's account, as CustomerService says."""
        request = cs.GetBalanceRequest(chain_id=CHAIN, customer=who(card))
        found = self.customers.GetBalance(request)
        return sum(one.amount_minor for one in found.positions if one.asset_code == "points")

    def check_ledger(self) -> None:
        """Hold the database to what always holds, by the audit and without it."""
        assert self.fetch(DIFFERENCES) == []
        audit = self.office.AuditLedger(bo.AuditLedgerRequest(), timeout=60)
        assert audit.balanced, audit.problems


@contextmanager
def world(
    place: dict[str, str], log_dir: Path, count: int = 1, settings: dict[str, str] | None = None,
    **program: Any,
) -> Iterator[World]:  # fmt: skip
    """Servers over one database; `program` replaces keys of the tests' program."""
    clock_file = log_dir / "clock"
    set_offset(clock_file, 0)
    quiet = {"LOYALTY_EXPIRY_S": "0", "LOYALTY_CLOCK_FILE": str(clock_file)}
    with serving({**place, **quiet, **(settings or {})}, log_dir, count) as servers:
        with grpc.insecure_channel(servers[0].target) as channel:
            office = BackOfficeServiceStub(channel)
            if program:
                version = publish(office, test_program(**program), clock_file)
                for other in servers[1:]:
                    wait_loaded(other, version)
            yield World(
                place["LOYALTY_DSN"],
                servers,
                clock_file,
                till_stub(channel),
                office,
                CustomerServiceStub(channel),
            )


def who(card: str) -> cs.CustomerReference:
    """A customer by a card."""
    return cs.CustomerReference(identifier=identifier(card))


def identifier(
    value: str, kind: receipt_pb2.IdentifierKind.ValueType = receipt_pb2.IDENTIFIER_KIND_CARD
) -> receipt_pb2.Identifier:
    """An identifier as a till reads it."""
    method = receipt_pb2.ENTRY_METHOD_SCANNED
    return receipt_pb2.Identifier(kind=kind, value=value, entry_method=method)


def together(*work: Any) -> list[Any]:
    """Run coroutines at once; give results and exceptions."""

    async def run() -> list[Any]:
        return await asyncio.gather(*work, return_exceptions=True)

    return asyncio.run(run())
