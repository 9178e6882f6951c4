"""Goal: points are spent at the till as the program says: shown, held, captured, freed, owed.

Real servers over one database; the ledger is audited after each test.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.clock import set_offset
from tests.serving import (
    PROGRAM,
    ServerProcess,
    publish,
    reason_of,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
    with_totals,
)

MINUTE_US = 60_000_000
DAY_US = 24 * 60 * MINUTE_US
FAR_US = 4_000_000_000_000_000
BASKETS = [bytes([n]) * 16 for n in range(8)]
NAMES = PROGRAM["assets"][0]["names"]

POINTS = {"asset_code": "points", "step_minor": 100, "value_minor": 100}
"""A point is worth a rouble, spent as a discount."""
RULES: dict[str, Any] = {
    "promotions": [PROGRAM["promotions"][1]],
    "spend_rules": [POINTS],
}


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    """The file that shifts the clock of the test's servers."""
    path = tmp_path / "clock"
    set_offset(path, 0)
    return path


@pytest.fixture
def servers(
    place: dict[str, str], log_dir: Path, clock_file: Path
) -> Iterator[list[ServerProcess]]:
    """Two servers over one database; at the end the ledger is proved."""
    with serving({**place, "LOYALTY_CLOCK_FILE": str(clock_file)}, log_dir, count=2) as servers:
        yield servers
        with grpc.insecure_channel(servers[0].target) as channel:
            proved = BackOfficeServiceStub(channel).AuditLedger(bo.AuditLedgerRequest())
            assert proved.balanced, proved


@pytest.fixture
def stub(servers: list[ServerProcess]) -> Iterator[Any]:
    """A till."""
    with grpc.insecure_channel(servers[0].target) as channel:
        yield till_stub(channel)


@pytest.fixture
def other(servers: list[ServerProcess]) -> Iterator[Any]:
    """A till of the other server."""
    with grpc.insecure_channel(servers[1].target) as channel:
        yield till_stub(channel)


class World:
    """Publishes programs and puts lots on accounts, behind the servers' backs but balanced."""

    def __init__(self, target: str, dsn: str) -> None:
        self._target = target
        self._dsn = dsn

    def publish(self, **changes: Any) -> None:
        """Put a program in force on all servers."""
        with grpc.insecure_channel(self._target) as channel:
            publish(BackOfficeServiceStub(channel), test_program(**{**RULES, **changes}))

    def earn(self, stub: Any, card: str, number: int, price_minor: int) -> int:
        """Sell so that 5% of it are points; give how many, in minor units."""
        sold = stub.Checkout(
            pb.CheckoutRequest(
                receipt_key=receipt_key(number, "earn"),
                sale=sale(card, lines=1, price_minor=price_minor, till="earn"),
            )
        )
        return sum(reward.amount_minor for reward in sold.answer.rewards.rewards)

    def sql(self, statement: str, *args: Any) -> list[Any]:
        """Run a statement."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self._dsn)
            try:
                return list(await connection.fetch(statement, *args))
            finally:
                await connection.close()

        return asyncio.run(run())


@pytest.fixture
def world(place: dict[str, str], servers: list[ServerProcess]) -> World:
    """The world with the usual program of these tests."""
    made = World(servers[0].target, place["LOYALTY_DSN"])
    made.publish()
    return made


def reservation(amount_minor: int, asset_code: str = "points") -> pb.Reservation:
    """To hold an amount."""
    amounts = [pb.AssetAmount(asset_code=asset_code, amount_minor=amount_minor)]
    return pb.Reservation(amounts=amounts)


def quote(stub: Any, card: str = "card1", spend: int = 0, **changes: Any) -> pb.QuoteResponse:
    """A quote that reserves so many points."""
    request = pb.QuoteRequest(basket_id=BASKETS[1], sale=sale(card))
    if spend:
        request.reserve.CopyFrom(reservation(spend))
    for name, value in changes.items():
        field = getattr(request, name)
        if hasattr(field, "CopyFrom"):
            field.CopyFrom(value)
        else:
            setattr(request, name, value)
    answer: pb.QuoteResponse = stub.Quote(request)
    return answer


def checkout(
    token: bytes = b"", number: int = 1, card: str = "card1", **changes: Any
) -> pb.CheckoutRequest:
    """A checkout of the quoted basket."""
    request = pb.CheckoutRequest(
        receipt_key=receipt_key(number), sale=sale(card), basket_id=BASKETS[1], token=token
    )
    for name, value in changes.items():
        field = getattr(request, name)
        if hasattr(field, "CopyFrom"):
            field.CopyFrom(value)
        else:
            setattr(request, name, value)
    return request


def paid_by_points(made: Any, amount_minor: int, asset_code: str = "") -> Any:
    """The sale with a tender of points."""
    made.tenders.add(
        kind=receipt_pb2.TENDER_KIND_POINTS,
        state=receipt_pb2.TENDER_STATE_PAID,
        amount_minor=amount_minor,
        asset_code=asset_code,
    )
    return made


def balance(stub: Any, card: str = "card1") -> int:
    """What Identify says of the points."""
    identifier = receipt_pb2.Identifier(
        kind=receipt_pb2.IDENTIFIER_KIND_CARD,
        value=card,
        entry_method=receipt_pb2.ENTRY_METHOD_SCANNED,
    )
    found = stub.Identify(
        pb.IdentifyRequest(chain_id="test", store_id="s1", identifier=identifier)
    )
    return sum(one.amount_minor for one in found.balances if one.asset_code == "points")


def refusal(call: Any, request: Any) -> tuple[str, dict[str, str]]:
    """Reason and facts of the refusal that a call ends in."""
    with pytest.raises(grpc.RpcError) as refused:
        call(request, timeout=10)
    return reason_of(refused.value)[1:]


def total(answer: Any) -> int:
    """What is to be paid."""
    amount: int = answer.lines.totals.amount_minor
    return amount


def test_quote_reserve_checkout(stub: Any, world: World) -> None:
    """Shown, held, taken: lines cost less, the rest earns, and nothing is left of the hold."""
    assert world.earn(stub, "card1", 1, 100_000) == 10_000
    shown = quote(stub).answer
    offer = shown.spendable[0]
    assert (offer.usable_minor, offer.most_minor, offer.most_value_minor) == (10_000,) * 3
    assert (offer.least_minor, offer.step_minor, offer.step_value_minor) == (100, 100, 100)
    assert total(shown) == 60_000
    held = quote(stub, spend=3_000)
    assert total(held.answer) == 57_000
    spent = held.answer.spent[0]
    assert (spent.amount_minor, spent.value_minor) == (3_000, 3_000)
    assert spent.held_until_us > held.answer.evaluated_at_us
    assert [r.amount_minor for r in held.answer.rewards.rewards] == [2_850]
    kinds = {a.kind for line in held.answer.lines.lines for a in line.adjustments}
    assert kinds == {answer_pb2.ADJUSTMENT_KIND_SPENT}
    for line in held.answer.lines.lines:
        assert sum(run.amount_minor for run in line.runs) == line.amount_minor
        for run in line.runs:
            assert run.quantity_milli * run.unit_price_minor == run.amount_minor * 1_000
    sold = stub.Checkout(checkout(held.token))
    assert sold.answer.lines == held.answer.lines
    assert not sold.exceptions
    assert balance(stub) == 10_000 - 3_000 + 2_850
    assert world.sql("select * from hold") == []
    texts = [text.text for text in sold.answer.texts]
    assert any("30" in text and "Списано" in text for text in texts)
    assert stub.Checkout(checkout(held.token)) == sold
