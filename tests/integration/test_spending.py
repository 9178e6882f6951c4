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

from loyalty.v1 import answer_pb2, customer_service_pb2, ledger_pb2, receipt_pb2
from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.till_service_pb2_grpc import TillServiceStub
from server.clock import set_offset
from tests.serving import (
    PROGRAM,
    PlaceWith,
    ServerProcess,
    publish,
    reason_of,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
    wait_loaded,
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
def rules_place(place_with: PlaceWith) -> dict[str, str]:
    """A database with the usual program of these tests in force."""
    return place_with(test_program(**RULES))


@pytest.fixture
def servers(
    rules_place: dict[str, str], log_dir: Path, clock_file: Path
) -> Iterator[list[ServerProcess]]:
    """Two servers over one database; at the end the ledger is proved."""
    with serving(
        {**rules_place, "LOYALTY_CLOCK_FILE": str(clock_file)}, log_dir, count=2
    ) as servers:
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

    def __init__(self, servers: list[ServerProcess], dsn: str, clock_file: Path) -> None:
        self._servers = servers
        self._dsn = dsn
        self._clock_file = clock_file

    def publish(self, **changes: Any) -> None:
        """Put another program in force on all servers."""
        program = test_program(**{**RULES, **changes})
        with grpc.insecure_channel(self._servers[0].target) as channel:
            version = publish(BackOfficeServiceStub(channel), program, self._clock_file)
        for server in self._servers:
            wait_loaded(server, version)

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
def world(rules_place: dict[str, str], servers: list[ServerProcess], clock_file: Path) -> World:
    """The world with the usual program of these tests."""
    return World(servers, rules_place["LOYALTY_DSN"], clock_file)


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
    found = stub.Identify(pb.IdentifyRequest(chain_id="test", store_id="s1", identifier=identifier))
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


def test_a_hold_lapses(stub: Any, world: World, clock_file: Path) -> None:
    """After 15 minutes an open checkout acquires again; what another took meanwhile refuses it."""
    world.earn(stub, "card1", 1, 100_000)
    held = quote(stub, spend=6_000)
    set_offset(clock_file, 16 * MINUTE_US)
    sold = stub.Checkout(checkout(held.token, 2))
    assert [one.amount_minor for one in sold.answer.spent] == [6_000]
    left = balance(stub)
    held = quote(stub, spend=left // 100 * 100, basket_id=BASKETS[2])
    set_offset(clock_file, 32 * MINUTE_US)
    taken = quote(stub, spend=4_000, basket_id=BASKETS[3])
    assert taken.answer.spent[0].amount_minor == 4_000
    reason, facts = refusal(stub.Checkout, checkout(held.token, 3, basket_id=BASKETS[2]))
    assert reason == "HOLD_EXPIRED"
    assert facts["asked_minor"] == str(left // 100 * 100)
    assert facts["most_minor"] == str((left - 4_000) // 100 * 100)
    assert balance(stub) == left


def test_a_quote_replaces_what_its_basket_held(stub: Any, world: World) -> None:
    """More, less, nothing, another customer: each quote leaves only its own holds."""
    world.earn(stub, "card1", 1, 100_000)
    world.earn(stub, "card2", 2, 100_000)
    held = "select account_id, amount_minor from hold order by account_id"
    first = quote(stub, spend=3_000)
    assert [row["amount_minor"] for row in world.sql(held)] == [3_000]
    quote(stub, spend=5_000, token=first.token)
    assert [row["amount_minor"] for row in world.sql(held)] == [5_000]
    quote(stub, spend=1_000)
    rows = world.sql(held)
    assert [row["amount_minor"] for row in rows] == [1_000]
    quote(stub, "card2", spend=2_000)
    moved = world.sql(held)
    assert [row["amount_minor"] for row in moved] == [2_000]
    assert moved[0]["account_id"] != rows[0]["account_id"]
    quote(stub, "")
    assert world.sql(held) == []


def test_release(stub: Any, other: Any, world: World) -> None:
    """Frees by any server, again and of nothing too; a stream can ask for it as well."""
    world.earn(stub, "card1", 1, 100_000)
    quote(stub, spend=10_000)
    assert quote(other, basket_id=BASKETS[2]).answer.spendable == []
    request = pb.ReleaseRequest(basket_id=BASKETS[1])
    for _ in range(2):
        assert other.Release(request).result == pb.DURABLE_RESULT_COMMITTED
    assert world.sql("select * from hold") == []
    assert quote(other, basket_id=BASKETS[2]).answer.spendable[0].usable_minor == 10_000
    quote(stub, spend=10_000)
    call = pb.SessionRequest(correlation_id=7, timeout_ms=5_000, release=request)
    (answer,) = stub.Session(iter([call]))
    assert answer.release.result == pb.DURABLE_RESULT_COMMITTED
    assert world.sql("select * from hold") == []


def test_suspended(stub: Any, world: World, clock_file: Path) -> None:
    """A program that says so holds for an hour: a suspended basket finds its points again."""
    world.publish(hold_minutes=60)
    world.earn(stub, "card1", 1, 100_000)
    held = quote(stub, spend=10_000)
    set_offset(clock_file, 59 * MINUTE_US)
    assert quote(stub, spend=10_000, basket_id=BASKETS[2]).answer.spent == []
    sold = stub.Checkout(checkout(held.token, 2))
    assert [one.amount_minor for one in sold.answer.spent] == [10_000]


def test_a_fact_with_a_lapsed_hold_is_owed_and_paid(
    stub: Any, other: Any, world: World, clock_file: Path
) -> None:
    """What is gone meanwhile is an exception and a debt; the next earning pays it first."""
    world.earn(stub, "card1", 1, 100_000)
    held = quote(stub, spend=10_000)
    set_offset(clock_file, 16 * MINUTE_US)
    spent = quote(other, spend=8_000, basket_id=BASKETS[2])
    stub.Checkout(checkout(spent.token, 2, basket_id=BASKETS[2]))
    before = balance(stub)
    sold = stub.Checkout(checkout(held.token, 3, closed=True))
    assert [one.kind for one in sold.exceptions] == [pb.EXCEPTION_KIND_SPEND] * 2
    assert total(sold.answer) == 50_000
    owed = 10_000 - before
    earned = sum(reward.amount_minor for reward in sold.answer.rewards.rewards)
    assert balance(stub) == earned - owed
    debts = "select sum(debt_minor)::bigint as owed from balance"
    assert world.sql(debts)[0]["owed"] == owed
    more = world.earn(stub, "card1", 4, 200_000)
    assert world.sql(debts)[0]["owed"] == max(0, owed - more)
    assert balance(stub) == earned - owed + more


def test_two_tills_one_customer(stub: Any, other: Any, world: World) -> None:
    """The second quote gets what is left; both are captured, nothing twice."""
    world.earn(stub, "card1", 1, 100_000)
    first = quote(stub, spend=7_000)
    second = quote(other, spend=7_000, basket_id=BASKETS[2])
    assert [one.amount_minor for one in second.answer.spent] == [3_000]
    stub.Checkout(checkout(first.token, 2))
    other.Checkout(checkout(second.token, 3, basket_id=BASKETS[2]))
    spent = world.sql("select sum(change_minor)::bigint as taken from lot_change")[0]["taken"]
    assert spent == -10_000


def test_two_tills_at_the_same_instant(servers: list[ServerProcess], world: World) -> None:
    """Many quotes and checkouts at once on two servers: together never more than there is."""
    with grpc.insecure_channel(servers[0].target) as channel:
        world.earn(till_stub(channel), "card1", 1, 100_000)

    async def sell(stub: Any, number: int) -> int:
        basket_id = number.to_bytes(16, "big")
        request = pb.QuoteRequest(basket_id=basket_id, sale=sale("card1"))
        request.reserve.CopyFrom(reservation(4_000))
        quoted = await stub.Quote(request)
        sold = await stub.Checkout(
            pb.CheckoutRequest(
                receipt_key=receipt_key(number, "t2"),
                sale=sale("card1", till="t2"),
                basket_id=basket_id,
                token=quoted.token,
            )
        )
        return sum(one.amount_minor for one in sold.answer.spent)

    async def run() -> list[int]:
        async with (
            grpc.aio.insecure_channel(servers[0].target) as one,
            grpc.aio.insecure_channel(servers[1].target) as two,
        ):
            stubs: list[Any] = [TillServiceStub(one), TillServiceStub(two)]
            calls = [sell(stubs[n % 2], 100 + n) for n in range(8)]
            return list(await asyncio.gather(*calls))

    spent = asyncio.run(run())
    taken = world.sql("select coalesce(-sum(change_minor), 0)::bigint as taken from lot_change")
    assert taken[0]["taken"] == sum(spent)
    assert max(spent) == 4_000
    assert world.sql("select * from balance where debt_minor > 0") == []


def test_over_the_balance(stub: Any, world: World) -> None:
    """An open checkout that tenders more than there is is refused with the facts, and no trace."""
    world.publish(spend_rules=[{**POINTS, "mode": "tender"}])
    assert world.earn(stub, "card1", 1, 10_000) == 1_000
    rows = "select count(*) as n from commit_key"
    before = world.sql(rows)[0]["n"]
    request = checkout(number=2, sale=paid_by_points(sale("card1"), 2_000))
    reason, facts = refusal(stub.Checkout, request)
    assert reason == "SPEND_NOT_POSSIBLE"
    assert facts == {
        "asset_code": "points",
        "asked_minor": "2000",
        "most_minor": "1000",
        "result": "REFUSED",
    }
    assert world.sql(rows)[0]["n"] == before
    assert balance(stub) == 1_000


def test_points_that_are_no_tender_say_what_was_tendered(stub: Any, world: World) -> None:
    world.publish(spend_rules=[POINTS])
    world.earn(stub, "card1", 1, 10_000)
    request = checkout(number=2, sale=paid_by_points(sale("card1"), 500))
    reason, facts = refusal(stub.Checkout, request)
    assert reason == "SPEND_NOT_POSSIBLE"
    assert (facts["asked_minor"], facts["most_minor"]) == ("500", "0")


def test_a_tender(stub: Any, world: World) -> None:
    """Held by a quote, paid by a tender: lines cost what they cost, the rest earns."""
    world.publish(spend_rules=[{**POINTS, "mode": "tender", "share_max_bp": 5_000}])
    world.earn(stub, "card1", 1, 100_000)
    held = quote(stub, spend=6_000)
    assert total(held.answer) == 60_000
    assert held.answer.spent[0].spent_as == answer_pb2.SPENT_AS_TENDER
    assert [r.amount_minor for r in held.answer.rewards.rewards] == [2_700]
    sold = stub.Checkout(checkout(held.token, 2, sale=paid_by_points(sale("card1"), 6_000)))
    assert total(sold.answer) == 60_000
    assert [r.amount_minor for r in sold.answer.rewards.rewards] == [2_700]
    assert balance(stub) == 10_000 - 6_000 + 2_700
    assert world.sql("select * from hold") == []
    over = checkout(number=3, sale=paid_by_points(sale("card1", lines=1), 10_100), closed=True)
    over.ClearField("basket_id")
    fact = stub.Checkout(over)
    assert {one.kind for one in fact.exceptions} == {pb.EXCEPTION_KIND_SPEND}
    earned = sum(r.amount_minor for r in fact.answer.rewards.rewards)
    assert balance(stub) == 6_700 - 10_100 + earned


def test_a_tender_without_a_customer_or_a_rule(stub: Any, world: World) -> None:
    """Refused while it is open; a fact is sold, nothing is taken from anybody."""
    world.earn(stub, "card1", 1, 10_000)
    for number, card in ((1, ""), (2, "card1")):
        made = paid_by_points(sale(card), 500)
        request = checkout(number=number, sale=made)
        request.ClearField("basket_id")
        reason, facts = refusal(stub.Checkout, request)
        assert (reason, facts["most_minor"]) == ("SPEND_NOT_POSSIBLE", "0")
        request.closed = True
        sold = stub.Checkout(request)
        assert [one.kind for one in sold.exceptions] == [pb.EXCEPTION_KIND_SPEND]
    assert world.sql("select * from lot_change") == []


def test_what_may_not_be_paid_with_points(stub: Any, world: World) -> None:
    """Lines with no_spend, gift cards, classes without discounts; floors of lines and articles."""
    world.publish(
        product_classes=[{"products": {"skus": ["sku2"]}, "no_discount": True}],
    )
    world.earn(stub, "card1", 1, 10_000_000)
    made = sale("card1", lines=6)
    made.lines[0].no_spend = True
    made.lines[3].minimum_amount_minor = 15_000
    made.lines[4].kind = receipt_pb2.LINE_KIND_GIFT_CARD
    made.lines[5].no_discount = True
    with_totals(made)
    offer = quote(stub, sale=made).answer.spendable[0]
    assert offer.most_value_minor == 20_000 + 5_000
    held = quote(stub, sale=made, spend=100_000)
    lines = {line.line_id: line.amount_minor for line in held.answer.lines.lines}
    assert lines == {"1": 20_000, "2": 0, "3": 20_000, "4": 15_000, "5": 20_000, "6": 20_000}


def test_rules_of_the_program(stub: Any, world: World) -> None:
    """Steps, minimum, share of the receipt, products, and a bound of the customer in a day."""
    rule = {
        **POINTS,
        "step_minor": 500,
        "value_minor": 1_000,
        "share_max_bp": 3_000,
        "minimum_minor": 1_400,
        "customer_max_minor": 6_000,
        "customer_period": "day",
        "products": {"except_skus": ["sku0"]},
    }
    world.publish(spend_rules=[rule])
    world.earn(stub, "card1", 1, 1_000_000)
    offer = quote(stub).answer.spendable[0]
    assert offer.least_minor == 1_500
    assert (offer.most_minor, offer.most_value_minor) == (6_000, 12_000)
    held = quote(stub, spend=5_300)
    assert held.answer.spent[0].amount_minor == 5_000
    assert total(held.answer) == 50_000
    assert quote(stub, spend=1_400).answer.spent == []
    held = quote(stub, spend=4_500)
    stub.Checkout(checkout(held.token, 2))
    offer = quote(stub, basket_id=BASKETS[2]).answer.spendable[0]
    assert offer.most_minor == 1_500
    held = quote(stub, spend=1_500, basket_id=BASKETS[2])
    stub.Checkout(checkout(held.token, 3, basket_id=BASKETS[2]))
    assert quote(stub, basket_id=BASKETS[3]).answer.spendable[0].most_minor == 0


@pytest.mark.parametrize("state", ["EARN_ONLY", "BLOCKED"])
def test_who_may_not_spend(
    stub: Any, servers: list[ServerProcess], world: World, state: str
) -> None:
    """Nothing is offered nor held; a fact is taken all the same, with an exception."""
    world.publish(spend_rules=[{**POINTS, "mode": "tender"}])
    world.earn(stub, "card1", 1, 100_000)
    world.sql("update customer set state = $1", {"EARN_ONLY": 2, "BLOCKED": 3}[state])
    quoted = quote(stub, spend=1_000).answer
    assert (len(quoted.spendable), len(quoted.spent)) == (0, 0)
    request = checkout(number=2, sale=paid_by_points(sale("card1"), 1_000))
    assert refusal(stub.Checkout, request)[0] == "SPEND_NOT_POSSIBLE"
    request.closed = True
    sold = stub.Checkout(request)
    assert [one.kind for one in sold.exceptions] == [pb.EXCEPTION_KIND_SPEND]
    taken = world.sql("select sum(change_minor)::bigint as taken from lot_change")
    assert taken[0]["taken"] == -1_000


DEFERRED = {
    "code": "next",
    "kind": "deferred_discount",
    "decimals": 2,
    "active_days": 30,
    "names": NAMES,
}
GIVES_NEXT = {
    "promotion_id": "next-50",
    "names": [{"language_code": "ru", "text": "Скидка на следующую"}],
    "lane": "reward",
    "gives": [{"code": "deferred_discount", "asset_code": "next", "amount_minor": 5_000}],
}


def test_a_deferred_discount_is_used_by_itself(
    stub: Any, other: Any, world: World, clock_file: Path
) -> None:
    """The next quote takes it off without being asked; one that is used elsewhere is not there."""
    program: dict[str, Any] = {
        "assets": [PROGRAM["assets"][0], DEFERRED],
        "promotions": [GIVES_NEXT],
        "spend_rules": [
            {"asset_code": "next", "step_minor": 1, "value_minor": 1, "automatic": True}
        ],
    }
    world.publish(**program)
    for number, card in enumerate(("card1", "card2", "card3"), 1):
        first = stub.Checkout(pb.CheckoutRequest(receipt_key=receipt_key(number), sale=sale(card)))
        assert total(first.answer) == 60_000
    world.publish(**{**program, "promotions": []})
    quoted = quote(stub)
    assert total(quoted.answer) == 55_000
    assert quoted.answer.spent[0].held_until_us == 0
    elsewhere = quote(other, basket_id=BASKETS[2])
    assert total(elsewhere.answer) == 55_000
    sold = stub.Checkout(checkout(quoted.token, 4))
    assert total(sold.answer) == 55_000
    late = checkout(elsewhere.token, 5, basket_id=BASKETS[2])
    assert refusal(other.Checkout, late)[0] == "SPEND_NOT_POSSIBLE"
    unasked = other.Checkout(pb.CheckoutRequest(receipt_key=receipt_key(6), sale=sale("card2")))
    assert total(unasked.answer) == 55_000
    assert total(quote(stub, "card3", basket_id=BASKETS[3]).answer) == 55_000
    set_offset(clock_file, 32 * DAY_US)
    assert total(quote(stub, "card3", basket_id=BASKETS[3]).answer) == 60_000


def test_a_plain_fact_spends_nothing(stub: Any, world: World) -> None:
    """A till that sold at the plain price took nothing off: the points stay, the hold ends."""
    world.earn(stub, "card1", 1, 100_000)
    held = quote(stub, spend=5_000)
    request = checkout(held.token, 2, closed=True)
    request.outcome.kind, request.outcome.number = receipt_pb2.OUTCOME_KIND_PLAIN, 1
    sold = stub.Checkout(request)
    earned = sum(reward.amount_minor for reward in sold.answer.rewards.rewards)
    assert (total(sold.answer), len(sold.answer.spent)) == (60_000, 0)
    assert balance(stub) == 10_000 + earned
    assert world.sql("select * from hold") == []


def test_training_holds_and_takes_nothing(stub: Any, world: World) -> None:
    """It is answered as if."""
    world.earn(stub, "card1", 1, 100_000)
    made = sale("card1")
    made.header.mode = receipt_pb2.SALE_MODE_TRAINING
    held = quote(stub, spend=5_000, sale=made)
    assert total(held.answer) == 55_000
    assert world.sql("select * from hold") == []
    sold = stub.Checkout(checkout(held.token, 2, sale=made))
    assert (sold.result, total(sold.answer)) == (pb.DURABLE_RESULT_TRAINING, 55_000)
    assert balance(stub) == 10_000


def test_costs_of_promotions_are_taken(stub: Any, world: World) -> None:
    """A price in points is taken from lots; what another basket holds cannot pay it."""
    world.publish(
        promotions=[
            {
                "promotion_id": "for-points",
                "names": [{"language_code": "ru", "text": "За баллы"}],
                "lane": "basket",
                "gives": [{"code": "receipt_discount", "amount_minor": 7_000}],
                "conditions": [{"code": "receipt_amount", "from_minor": 50_000}],
                "cost": {"asset_code": "points", "amount_minor": 4_000},
            },
            PROGRAM["promotions"][1],
        ]
    )
    assert world.earn(stub, "card1", 1, 100_000) == 10_000
    sold = stub.Checkout(pb.CheckoutRequest(receipt_key=receipt_key(2), sale=sale("card1")))
    assert total(sold.answer) == 53_000
    earned = sum(reward.amount_minor for reward in sold.answer.rewards.rewards)
    assert balance(stub) == 10_000 - 4_000 + earned
    costs = world.sql("select distinct promotion_id from posting where book = 5")
    assert [row["promotion_id"] for row in costs] == ["for-points"]
    left = balance(stub)
    assert quote(stub, spend=(left - 3_000) // 100 * 100, sale=sale("card1", lines=1)).answer.spent
    dear = quote(stub, basket_id=BASKETS[2]).answer
    assert total(dear) == 60_000


def test_a_cost_is_paid_with_what_this_receipt_gives(stub: Any, world: World) -> None:
    """Stamps that are earned and spent on one receipt."""
    stamps = {**PROGRAM["assets"][0], "code": "stamps", "kind": "stamps", "decimals": 0}
    names = [{"language_code": "ru", "text": "Марки"}]
    world.publish(
        assets=[PROGRAM["assets"][0], stamps],
        spend_rules=[],
        promotions=[
            {
                "promotion_id": "give",
                "names": names,
                "lane": "price",
                "gives": [
                    {
                        "code": "points_fixed",
                        "asset_code": "stamps",
                        "amount_minor": 1,
                        "for_each_minor": 10_000,
                    }
                ],
                "stackable": True,
                "priority": 10,
            },
            {
                "promotion_id": "take",
                "names": names,
                "lane": "basket",
                "gives": [{"code": "receipt_discount", "amount_minor": 1_000}],
                "cost": {"asset_code": "stamps", "amount_minor": 4, "with_earned": True},
            },
        ],
    )
    sold = stub.Checkout(pb.CheckoutRequest(receipt_key=receipt_key(1), sale=sale("card1")))
    assert total(sold.answer) == 59_000
    lots = world.sql("select granted_minor, remaining_minor from lot")
    assert [(row["granted_minor"], row["remaining_minor"]) for row in lots] == [(6, 2)]


def test_earning_is_bound(stub: Any, world: World) -> None:
    """By receipt, and by customer and day; the trace says so."""
    bound = {
        "asset_code": "points",
        "receipt_max_minor": 2_000,
        "customer_max_minor": 3_000,
        "customer_period": "day",
    }
    world.publish(earn_bounds=[bound])
    assert [world.earn(stub, "card1", n, 100_000) for n in range(1, 5)] == [2_000, 1_000, 0, 0]
    answer = quote(stub).answer
    assert answer.rewards.rewards == []
    (entry,) = answer.trace
    assert entry.outcome == answer_pb2.TRACE_OUTCOME_LIMIT_REACHED
    assert world.earn(stub, "card2", 9, 100_000) == 2_000


def test_a_million_points_over_ten_thousand_lots(stub: Any, world: World) -> None:
    """One checkout redeems all of them, exactly."""
    world.publish(spend_rules=[{"asset_code": "points", "step_minor": 1, "value_minor": 1}])
    world.earn(stub, "card1", 1, 1_000)
    (lot,) = world.sql("select account_id, lot_id, granted_minor from lot")
    assert lot["granted_minor"] == 100
    world.sql(
        """
        with copies as (
            select $2::bytea || '\\x01'::bytea || int4send(n) as lot_id
              from generate_series(1, 9999) as n
        ), lots as (
            insert into lot (account_id, lot_id, asset_code, granted_minor, remaining_minor,
                             active_from_us, expires_at_us, kind, promotion_id)
            select account_id, substr(digest, 1, 16) || '\\x0000'::bytea, asset_code, granted_minor,
                   remaining_minor, active_from_us, expires_at_us, kind, promotion_id
              from lot, (select sha256(lot_id) as digest from copies) as made
             where account_id = $1
            returning lot_id
        ), legs as (
            insert into posting (account_id, transfer_id, leg, book, party_id, promotion_id,
                                 asset_code, amount_minor, effective_at_us, recorded_at_us)
            select p.account_id, lots.lot_id, p.leg, p.book, p.party_id, p.promotion_id,
                   p.asset_code, p.amount_minor, p.effective_at_us, p.recorded_at_us
              from posting p, lots
             where p.account_id = $1 and p.transfer_id = $2
            returning 1
        ), keys as (
            insert into commit_key (key_id, kind, fingerprint, account_id, day)
            select substr(lots.lot_id, 1, 16), k.kind, k.fingerprint, k.account_id, k.day
              from commit_key k, lots
             where k.key_id = substr($2, 1, 16)
            returning key_id
        ), receipts as (
            insert into receipt (key_id, day, account_id, ruleset_version, evaluated_at_us,
                                 recorded_at_us, request, facts, answer)
            select keys.key_id, r.day, r.account_id, r.ruleset_version, r.evaluated_at_us,
                   r.recorded_at_us, r.request, r.facts, r.answer
              from receipt r, keys
             where r.key_id = substr($2, 1, 16)
            returning 1
        )
        select (select count(*) from legs), (select count(*) from receipts)
        """,
        lot["account_id"],
        lot["lot_id"],
    )
    world.sql("update balance set amount_minor = 1000000")
    assert balance(stub) == 1_000_000
    made = sale("card1", lines=1, price_minor=600_000)
    held = quote(stub, spend=1_000_000, sale=made)
    assert total(held.answer) == 200_000
    sold = stub.Checkout(checkout(held.token, 2, sale=made), timeout=30)
    assert total(sold.answer) == 200_000
    earned = sum(reward.amount_minor for reward in sold.answer.rewards.rewards)
    assert balance(stub) == earned
    emptied = world.sql("select count(*) as n from lot where remaining_minor = 0")
    assert emptied[0]["n"] == 10_000


def merge(target: str) -> None:
    """The account of card1 goes to that of card2."""
    with grpc.insecure_channel(target) as channel:
        BackOfficeServiceStub(channel).MergeAccounts(
            ledger_pb2.MergeAccountsRequest(
                chain_id="test",
                losing=customer_service_pb2.CustomerReference(customer_number="1"),
                winning=customer_service_pb2.CustomerReference(customer_number="2"),
                merged_by="test",
            )
        )


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
def test_what_a_quote_has_shown_is_taken_from_the_account_it_was_merged_into(
    stub: Any, servers: list[ServerProcess], world: World, closed: bool
) -> None:
    """The hold ended with the merge: what was shown as a discount is taken all the same."""
    world.earn(stub, "card1", 1, 100_000)
    held = quote(stub, spend=3_000)
    merge(servers[1].target)
    foreign = checkout(held.token, 2, card="card3", sale=sale("card3"))
    assert refusal(stub.Checkout, foreign)[0] == "TOKEN_FOREIGN"
    sold = stub.Checkout(checkout(held.token, 3, closed=closed))
    assert not sold.exceptions
    assert sold.answer.lines == held.answer.lines
    assert balance(stub) == balance(stub, "card2") == 10_000 - 3_000 + 2_850


def test_what_is_gone_since_a_merge_is_owed_for_a_fact(
    stub: Any, servers: list[ServerProcess], world: World
) -> None:
    """Nobody holds it for the basket any more: another one may take it first."""
    world.earn(stub, "card1", 1, 100_000)
    held = quote(stub, spend=8_000)
    merge(servers[1].target)
    taken = quote(stub, spend=9_000, card="card2", sale=sale("card2"), basket_id=BASKETS[2])
    changes = {"card": "card2", "sale": sale("card2"), "basket_id": BASKETS[2]}
    stub.Checkout(checkout(taken.token, 2, **changes))
    reason, _ = refusal(stub.Checkout, checkout(held.token, 3))
    assert reason == "HOLD_EXPIRED"
    sold = stub.Checkout(checkout(held.token, 3, closed=True))
    assert [one.kind for one in sold.exceptions] == [pb.EXCEPTION_KIND_SPEND] * 2
    assert total(sold.answer) == total(held.answer)
