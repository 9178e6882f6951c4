"""Goal: limits over many receipts are exact across servers, customers, stores and periods.

Method: real servers over one database, programs of their own; what is in the ledger and in the
tables of budgets is read directly.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import grpc
import msgspec
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.till_service_pb2_grpc import TillServiceStub
from rewards.ledger import Book
from server.budgets import LEASE_LIFE_US
from server.clock import set_offset, system_clock
from server.store.audit import audit_ledger
from server.store.database import Database
from server.store.leases import BudgetLeases
from tests.forwarding import AS_ANSWERED, OTHER, PLAIN, forward_request
from tests.serving import (
    CHAIN,
    ServerProcess,
    checkout_request,
    publish,
    raw_checkout,
    reason_of,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
    wait_until,
    with_totals,
)
from tests.starting import run

SECOND_US = 1_000_000
ZONE = ZoneInfo("Europe/Moscow")
TENTH = {"code": "percent_off", "rate_bp": 1_000}
POINTS = {"code": "points_rate", "asset_code": "points", "rate_bp": 1_000}
OF_A_SALE_MINOR = 6_000
"""A tenth of three lines of 2 x 100.00."""


def promotion(gives: dict[str, Any] = TENTH, lane: str = "price", **limits: Any) -> dict[str, Any]:
    names = [{"language_code": "ru", "text": "limited"}]
    made = {"promotion_id": "limited", "names": names, "lane": lane, "limits": limits}
    return {**made, "gives": [gives]}


class Shop:
    """Servers over one database, with a clock file."""

    def __init__(self, place: dict[str, str], clock_file: Path, servers: list[ServerProcess]):
        self.dsn = place["LOYALTY_DSN"]
        self.clock_file = clock_file
        self.servers = servers
        self.channels = [grpc.insecure_channel(one.target) for one in servers]
        self.tills = [till_stub(channel) for channel in self.channels]
        self.offices: list[Any] = [BackOfficeServiceStub(one) for one in self.channels]

    def publish(self, *promotions: dict[str, Any]) -> None:
        version = publish(
            self.offices[0], test_program(promotions=list(promotions)), self.clock_file
        )
        wait_until(
            lambda: all(_in_force(office, version) for office in self.offices),
            "the version everywhere",
        )

    def set_clock(self, local: datetime) -> None:
        """Set all servers' clock to a wall-clock time of the store."""
        at_us = round(local.replace(tzinfo=ZONE).timestamp()) * SECOND_US
        set_offset(self.clock_file, at_us - system_clock())

    def sell(self, number: int, card: str = "", server: int = 0, **changes: Any) -> Any:
        return self.tills[server].Checkout(checkout_request(number, card, **changes))

    def quote(self, basket: bytes, card: str = "", server: int = 0) -> Any:
        return self.tills[server].Quote(pb.QuoteRequest(basket_id=basket, sale=sale(card)))

    def query(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        async def fetch() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.dsn)
            try:
                return [tuple(row) for row in await connection.fetch(statement, *arguments)]
            finally:
                await connection.close()

        return asyncio.run(fetch())

    def close(self) -> None:
        for channel in self.channels:
            channel.close()


def _in_force(office: Any, version: int) -> bool:
    found = office.GetRuleset(bo.GetRulesetRequest())
    live = [one for one in found.versions if one.effective_at_us <= found.now_us and one.loaded]
    return any(one.version == version for one in live)


@pytest.fixture
def shop(place: dict[str, str], log_dir: Path, tmp_path: Path) -> Iterator[Shop]:
    clock_file = tmp_path / "clock"
    set_offset(clock_file, 0)
    with serving({**place, "LOYALTY_CLOCK_FILE": str(clock_file)}, log_dir, count=2) as servers:
        found = Shop(place, clock_file, servers)
        yield found
        found.close()


def off_of(answer: Any) -> int:
    """What the promotion took off a receipt, minor units."""
    return sum(
        -one.amount_minor
        for line in answer.answer.lines.lines
        for one in line.adjustments
        if one.promotion_id == "limited"
    )


def given(answer: Any) -> int:
    """What the promotion gave in points."""
    return sum(one.amount_minor for one in answer.answer.rewards.rewards)


async def _hammer(shop: Shop, count: int, card: str) -> list[pb.CheckoutResponse]:
    async with (
        grpc.aio.insecure_channel(shop.servers[0].target) as one,
        grpc.aio.insecure_channel(shop.servers[1].target) as two,
    ):
        calls = [
            raw_checkout((one, two)[n % 2], checkout_request(n, card.format(n % 40)))
            for n in range(count)
        ]
        return [pb.CheckoutResponse.FromString(answer) for answer in await asyncio.gather(*calls)]


async def _audited(dsn: str) -> bool:
    database = Database(dsn, Path(), "test")
    await database.open()
    try:
        return (await audit_ledger(database, system_clock())).is_balanced
    finally:
        await database.close()


def test_two_servers_fire_exactly_as_often_as_allowed(shop: Shop) -> None:
    shop.publish(promotion(POINTS, "reward", total_times=100))
    answers = asyncio.run(_hammer(shop, 300, "card{}"))
    assert sorted(map(given, answers)) == [0] * 200 + [OF_A_SALE_MINOR] * 100
    [(used, minor)] = shop.query("select sum(times), sum(amount_minor) from budget_use")
    assert (used, minor) == (100, 100 * OF_A_SALE_MINOR)
    assert shop.query("select sum(used_times) from budget_lease") == [(100,)]
    assert shop.query(
        "select count(*) from posting where promotion_id = 'limited' and leg = 0"
    ) == [(100,)]
    assert asyncio.run(_audited(shop.dsn))


def test_money_is_given_to_the_last_minor_unit(shop: Shop) -> None:
    """The last receipt gets the part that is left."""
    most = 20 * OF_A_SALE_MINOR + 1
    shop.publish(promotion(total_minor=most))
    answers = asyncio.run(_hammer(shop, 60, ""))
    assert sum(map(off_of, answers)) == most
    assert shop.query("select sum(amount_minor) from budget_use") == [(most,)]


def test_nothing_is_given_in_part_where_the_promotion_refuses(shop: Shop) -> None:
    most = 20 * OF_A_SALE_MINOR - 1
    shop.publish(promotion(total_minor=most, on_shortage="refuse"))
    answers = asyncio.run(_hammer(shop, 60, ""))
    assert sorted(map(off_of, answers)) == [0] * 41 + [OF_A_SALE_MINOR] * 19


def test_limits_of_a_customer_are_those_of_a_period(shop: Shop) -> None:
    """Twice a month for each; midnight that ends the month begins anew."""
    shop.publish(promotion(customer_times=2, customer_period="month"))
    # Of the month that tomorrow is in: this one may be over.
    last_evening = _month_end(datetime.now(UTC) + timedelta(days=1)) - timedelta(minutes=5)
    shop.set_clock(last_evening)
    sold = [off_of(shop.sell(n, "card1", n % 2)) for n in range(4)]
    assert sold == [OF_A_SALE_MINOR, OF_A_SALE_MINOR, 0, 0]
    assert off_of(shop.sell(5, "card2")) == OF_A_SALE_MINOR
    assert off_of(shop.sell(6)) == 0, "nobody has a limit of their own"
    shop.set_clock(last_evening + timedelta(minutes=10))
    assert off_of(shop.sell(7, "card1")) == OF_A_SALE_MINOR


def test_receipts_of_one_customer_at_once_keep_the_limit(shop: Shop) -> None:
    shop.publish(promotion(POINTS, "reward", customer_times=3, customer_minor=OF_A_SALE_MINOR * 2))
    answers = asyncio.run(_hammer(shop, 40, "card7"))
    assert sorted(map(given, answers)) == [0] * 38 + [OF_A_SALE_MINOR] * 2
    assert shop.query("select times, amount_minor from promotion_use") == [(2, 2 * OF_A_SALE_MINOR)]


def test_each_store_has_its_own_day(shop: Shop) -> None:
    stores = [
        bo.Store(store_id=name, time_zone="Europe/Moscow", currency_code="RUB",
                 language_code="ru", name=name)
        for name in ("s1", "s2")
    ]  # fmt: skip
    shop.offices[0].ImportStores(bo.ImportStoresRequest(chain_id=CHAIN, stores=stores))
    shop.publish(promotion(store_times=2, store_period="day", total_times=5))
    # Tomorrow's: today's may be over.
    evening = datetime.now(ZONE).replace(hour=23, minute=50, tzinfo=None) + timedelta(days=1)
    shop.set_clock(evening)

    def sell_in(store: str, number: int) -> int:
        request = checkout_request(number, "")
        request.receipt_key.store_id = request.sale.header.store_id = store
        return off_of(shop.tills[number % 2].Checkout(request))

    assert [sell_in("s1", n) for n in range(3)] == [OF_A_SALE_MINOR] * 2 + [0]
    wait_until(lambda: sell_in("s2", 10) == OF_A_SALE_MINOR, "the other store")
    shop.set_clock(evening + timedelta(minutes=20))
    next_day = [sell_in(store, n) for n, store in enumerate(["s1", "s1", "s2"], start=20)]
    assert next_day == [OF_A_SALE_MINOR] * 2 + [0], "five at all"


def test_a_quote_shows_what_is_left_and_takes_nothing(shop: Shop) -> None:
    shop.publish(promotion(total_times=1))
    assert [off_of(shop.quote(bytes([n]) * 16)) for n in range(3)] == [OF_A_SALE_MINOR] * 3
    assert off_of(shop.sell(1)) == OF_A_SALE_MINOR
    assert off_of(shop.quote(b"9" * 16)) == 0


def test_an_open_receipt_is_refused_what_is_gone_and_a_fact_is_not(shop: Shop) -> None:
    """What was quoted and is gone: a request would cost more; a fact is honoured and marked."""
    shop.publish(promotion(total_times=1, total_minor=OF_A_SALE_MINOR))
    token = shop.quote(b"a" * 16).token
    assert off_of(shop.sell(1)) == OF_A_SALE_MINOR
    with pytest.raises(grpc.RpcError) as refused:
        shop.sell(2, basket_id=b"a" * 16, token=token)
    assert reason_of(refused.value)[1] == "PRICE_WOULD_RISE"
    fact = shop.sell(2, basket_id=b"a" * 16, token=token, closed=True)
    assert off_of(fact) == OF_A_SALE_MINOR
    assert [one.kind for one in fact.exceptions] == [pb.EXCEPTION_KIND_BUDGET_OVERRUN]
    overrun = "select times, amount_minor from budget_use where is_overrun"
    assert shop.query(overrun) == [(1, OF_A_SALE_MINOR)]
    again = shop.sell(2, basket_id=b"a" * 16, token=token, closed=True)
    assert again == fact
    assert shop.query("select count(*) from budget_use") == [(2,)]


def test_points_beyond_a_budget_stand_on_their_own_book(shop: Shop) -> None:
    shop.publish(promotion(POINTS, "reward", customer_times=1, total_minor=2 * OF_A_SALE_MINOR))
    token = shop.quote(b"a" * 16, "card1").token
    assert given(shop.sell(1, "card1")) == OF_A_SALE_MINOR
    fact = shop.sell(2, "card1", basket_id=b"a" * 16, token=token, closed=True)
    assert given(fact) == OF_A_SALE_MINOR
    assert [one.kind for one in fact.exceptions] == [pb.EXCEPTION_KIND_BUDGET_OVERRUN]
    books = "select book, amount_minor from posting where amount_minor < 0 order by book"
    assert shop.query(books) == [(Book.ISSUER, -OF_A_SALE_MINOR), (Book.OVERRUN, -OF_A_SALE_MINOR)]
    assert given(shop.sell(3, "card1", closed=True)) == 0, "nothing was shown for this one"
    assert asyncio.run(_audited(shop.dsn))


def reserved(shop: Shop, basket: bytes, server: int = 0, card: str = "card1") -> Any:
    """A quote that holds what limits it uses."""
    request = pb.QuoteRequest(basket_id=basket, sale=sale(card))
    request.reserve.budgets = True
    return shop.tills[server].Quote(request)


A, B = b"a" * 16, b"b" * 16
OPEN_HOLDS = "select count(*) from budget_lease where is_open and hold_id is not null"


def test_a_reserved_budget_is_the_baskets_until_it_is_released(shop: Shop) -> None:
    """At whatever server it is quoted, released or sold."""
    shop.publish(promotion(POINTS, "reward", total_times=1))
    assert given(reserved(shop, A)) == OF_A_SALE_MINOR
    for server in (0, 1, 1, 0):
        assert given(reserved(shop, A, server)) == OF_A_SALE_MINOR, "its own again"
    assert shop.query(OPEN_HOLDS) == [(1,)]
    assert [given(reserved(shop, B, server)) for server in (0, 1)] == [0, 0]
    assert [given(shop.sell(n, "card1", n)) for n in (0, 1)] == [0, 0]
    for _ in range(2):
        shop.tills[1].Release(pb.ReleaseRequest(basket_id=A))
    assert shop.query(OPEN_HOLDS) == [(0,)]
    wait_until(lambda: given(reserved(shop, B)) == OF_A_SALE_MINOR, "what was released")
    token = reserved(shop, B).token
    assert given(shop.sell(2, "card1")) == 0
    done = shop.sell(3, "card1", basket_id=B, token=token, server=1)
    assert given(done) == OF_A_SALE_MINOR
    assert shop.sell(3, "card1", basket_id=B, token=token) == done
    assert shop.query("select leased_times from budget") == [(1,)]
    assert asyncio.run(_audited(shop.dsn))


def test_a_quote_without_reservation_frees_a_budget(shop: Shop) -> None:
    """Nor does a basket keep what it holds and does not use when it is sold."""
    shop.publish(promotion(total_times=1))
    reserved(shop, A, card="")
    assert off_of(shop.quote(A, server=1)) == OF_A_SALE_MINOR, "shown, and free"
    assert shop.query(OPEN_HOLDS) == [(0,)]
    token = reserved(shop, A, card="").token
    sold = checkout_request(1, "", basket_id=A, token=token)
    del sold.sale.lines[1:]
    with_totals(sold.sale)
    assert off_of(shop.tills[1].Checkout(sold)) == OF_A_SALE_MINOR // 3
    wait_until(lambda: shop.query(OPEN_HOLDS) == [(0,)], "closed")
    assert shop.query("select leased_times from budget") == [(1,)]


def test_a_reserved_budget_outlives_its_server(shop: Shop) -> None:
    """The server that quoted is killed: what the basket holds is given, once, by another."""
    shop.publish(promotion(POINTS, "reward", total_minor=2 * OF_A_SALE_MINOR))
    token = reserved(shop, A, server=1).token
    shop.servers[1].kill()
    assert given(shop.sell(1, "card1", basket_id=A, token=token)) == OF_A_SALE_MINOR
    assert [given(shop.sell(2, "card1")), given(shop.sell(3, "card1"))] in (
        [OF_A_SALE_MINOR, 0],
        [0, 0],
    )
    set_offset(shop.clock_file, (LEASE_LIFE_US * 2) + 20 * 60 * SECOND_US)
    wait_until(
        lambda: given(shop.quote(B, "card1")) > 0 or given_out(shop) == 2,
        "what the dead server leased",
    )
    shop.sell(4, "card1")
    assert given(shop.sell(5, "card1")) == 0
    assert given_out(shop) == 2
    assert asyncio.run(_audited(shop.dsn))


def given_out(shop: Shop) -> int:
    [(minor,)] = shop.query("select coalesce(sum(amount_minor), 0)::bigint from budget_use")
    times: int = minor // OF_A_SALE_MINOR
    return times


def test_a_reserved_budget_lapses(shop: Shop) -> None:
    """Others get it; an open checkout is refused the price, a fact is an overrun."""
    shop.publish(promotion(total_times=1))
    token = reserved(shop, A, card="").token
    set_offset(shop.clock_file, 16 * 60 * SECOND_US)
    wait_until(lambda: off_of(shop.quote(B, server=1)) == OF_A_SALE_MINOR, "what has lapsed")
    assert off_of(shop.sell(1, server=1)) == OF_A_SALE_MINOR
    with pytest.raises(grpc.RpcError) as refused:
        shop.sell(2, basket_id=A, token=token)
    assert reason_of(refused.value)[1] == "PRICE_WOULD_RISE"
    fact = shop.sell(2, basket_id=A, token=token, closed=True)
    assert [one.kind for one in fact.exceptions] == [pb.EXCEPTION_KIND_BUDGET_OVERRUN]
    assert shop.query("select times from budget_use where is_overrun") == [(1,)]


def test_baskets_that_hold_at_one_server_and_sell_at_another(shop: Shop) -> None:
    """Of many at once exactly as many as allowed get it: all that held it, and nobody twice."""
    shop.publish(promotion(POINTS, "reward", total_times=20))
    targets = [server.target for server in shop.servers]

    async def buy(n: int, shown: list[int]) -> int:
        basket = n.to_bytes(16, "big")
        request = pb.QuoteRequest(basket_id=basket, sale=sale(f"card{n % 40}"))
        request.reserve.budgets = True
        async with grpc.aio.insecure_channel(targets[n % 2]) as channel:
            stub: Any = TillServiceStub(channel)
            for _ in range(1 + n % 3):
                quote = await stub.Quote(request)
                request.token = quote.token
        shown[n] = given(quote)
        sold = checkout_request(
            n, f"card{n % 40}", basket_id=basket, token=quote.token, closed=bool(n % 5)
        )
        async with grpc.aio.insecure_channel(targets[1 - n % 2]) as channel:
            return given(pb.CheckoutResponse.FromString(await raw_checkout(channel, sold)))

    async def rush(shown: list[int]) -> list[int]:
        return await asyncio.gather(*[buy(n, shown) for n in range(60)])

    shown = [0] * 60
    got = asyncio.run(rush(shown))
    assert [one for one, was in zip(got, shown, strict=True) if was] == [OF_A_SALE_MINOR] * sum(
        was > 0 for was in shown
    )
    assert sum(one > 0 for one in got) <= 20
    wait_until(lambda: shop.query(OPEN_HOLDS) == [(0,)], "all closed")
    given_before = sum(one > 0 for one in got)
    assert given_before + given_of_rest(shop, 20 - given_before, "card1") == 20
    assert shop.query("select count(*) from budget_use where is_overrun") == [(0,)]
    assert asyncio.run(_audited(shop.dsn))


def test_copies_of_a_receipt_use_what_its_basket_holds_once(shop: Shop) -> None:
    """A stranger's, so that no account tells the copies apart: each gets the first answer."""
    shop.publish(promotion(total_times=40))
    requests = []
    for n in range(20):
        basket = n.to_bytes(16, "big")
        token = reserved(shop, basket, n % 2, card="").token
        requests.append(checkout_request(n, "", basket_id=basket, token=token, closed=True))

    async def sell_at_both() -> list[list[bytes]]:
        async with (
            grpc.aio.insecure_channel(shop.servers[0].target) as one,
            grpc.aio.insecure_channel(shop.servers[1].target) as two,
        ):
            calls = [raw_checkout(channel, made) for made in requests for channel in (one, two)]
            answers = await asyncio.gather(*calls)
            return [answers[n : n + 2] for n in range(0, len(answers), 2)]

    for first, second in asyncio.run(sell_at_both()):
        assert first == second
        assert off_of(pb.CheckoutResponse.FromString(first)) == OF_A_SALE_MINOR
    assert shop.query("select sum(times)::bigint from budget_use") == [(20,)]


def test_a_void_gives_a_limit_back(shop: Shop) -> None:
    shop.publish(promotion(total_times=1, customer_times=1))
    assert off_of(shop.sell(1, "card1")) == OF_A_SALE_MINOR
    assert off_of(shop.sell(2, "card1")) == 0
    for _ in range(2):
        shop.tills[0].Void(
            pb.VoidRequest(receipt_key=receipt_key(1), reason_code="X", cashier_id="c1")
        )
    assert shop.query("select sum(times), sum(amount_minor) from budget_use") == [(0, 0)]
    assert shop.query("select times from promotion_use") == [(0,)]

    numbers = iter(range(10, 1_000))
    again: list[int] = []

    def fires() -> bool:
        again.append(off_of(shop.sell(next(numbers), "card1", server=1)))
        return again[-1] > 0

    wait_until(fires, "what came back is given again")
    assert off_of(shop.sell(5, "card2")) == 0


def refund(shop: Shop, number: int, line_id: str, quantity_milli: int = 1_000) -> None:
    """Return goods of the first receipt."""
    request = pb.RefundRequest(
        receipt_key=receipt_key(number),
        original_key=receipt_key(1),
        cashier_id="c1",
        reason_code="X",
    )
    request.lines.add(line_id=line_id, quantity_milli=quantity_milli)
    shop.tills[0].Refund(request)


def test_of_a_reward_limits_get_back_what_is_taken(shop: Shop) -> None:
    """A tenth of 420, then 350; then of 400, as the discount is lost: that is not given again."""
    large = {
        **promotion({"code": "receipt_discount", "rate_bp": 3_000}, "basket"),
        "promotion_id": "large",
        "conditions": [{"code": "receipt_amount", "from_minor": 50_000}],
        "policy": {"refund": "claw_back"},
    }
    limits = {"total_minor": 10**6, "customer_minor": 10**6}
    shop.publish(promotion(POINTS, "reward", **limits), large)
    used = [given(shop.sell(1, "card1"))]
    for number, line_id in ((10, "1"), (11, "1"), (12, "2")):
        refund(shop, number, line_id)
        [(own,)] = shop.query("select amount_minor from promotion_use")
        [(budget,)] = shop.query("select sum(amount_minor)::bigint from budget_use")
        assert own == budget
        used.append(own)
    assert used == [4_200, 3_500, 3_500, 3_000]


@pytest.mark.parametrize("quantities", [(1_000,), (2_000, 2_000, 2_000)])
def test_a_void_gives_back_what_refunds_have_waived(
    shop: Shop, quantities: tuple[int, ...]
) -> None:
    """Refunds leave what a promotion waives; a void takes it, whether all goods are back or not."""
    limits = {"total_minor": 10**6, "customer_minor": 10**6}
    waiving = {**promotion(POINTS, "reward", **limits), "policy": {"refund": "waive"}}
    shop.publish(waiving)
    assert given(shop.sell(1, "card1")) > 0
    uses = "select sum(amount_minor)::bigint from promotion_use"
    budget = "select sum(amount_minor)::bigint from budget_use"
    used = shop.query(uses)
    assert used == shop.query(budget) != [(0,)]
    for line, quantity_milli in enumerate(quantities, start=1):
        refund(shop, 10 + line, str(line), quantity_milli)
        assert shop.query(uses) == shop.query(budget) == used
    shop.tills[0].Void(pb.VoidRequest(receipt_key=receipt_key(1), reason_code="X", cashier_id="c1"))
    assert shop.query(uses) == shop.query(budget) == [(0,)]
    assert shop.query("select sum(times) from promotion_use") == [(0,)]
    assert shop.query("select sum(times) from budget_use") == [(0,)]


@pytest.mark.parametrize("is_live_other", [True, False], ids=["other, as answered", "the reverse"])
def test_a_statement_between_two_returns_leaves_limits_as_they_are_used(
    shop: Shop, is_live_other: bool
) -> None:
    """Three of 90 with a third off: what came back before is judged by what was known then."""
    made = three_for_two(shop)
    other = receipt_pb2.Outcome(kind=OTHER, number=1)
    other.lines.add(line_id="1", amount_minor=180)
    lives: Any = {"closed": True, "outcome": other} if is_live_other else {}
    request = pb.CheckoutRequest(receipt_key=receipt_key(1), sale=made, **lives)
    assert off_of(shop.tills[0].Checkout(request)) == 90
    statements: tuple[tuple[Any, int, Any], ...] = ((AS_ANSWERED, 2, None),)
    if not is_live_other:
        statements = ((OTHER, 2, {"1": 180}), (AS_ANSWERED, 3, None))
    for number, (kind, stated, lines) in enumerate(statements, start=10):
        refund(shop, number, "1")
        shop.tills[1].Forward(forward_request(1, made, kind, stated, lines))
    refund(shop, 20, "1", 3_000 - 1_000 * len(statements))
    nothing_is_used(shop)


@pytest.mark.parametrize("fields", [7, 8])
def test_returns_that_an_earlier_build_has_recorded_give_back_what_was_used(
    shop: Shop, fields: int
) -> None:
    """Its records do not say whether money could be kept back: that is seen by what is known."""
    made = three_for_two(shop)
    shop.tills[0].Checkout(pb.CheckoutRequest(receipt_key=receipt_key(1), sale=made))
    refund(shop, 10, "1")
    [(record,)] = shop.query("select content from receipt_refund")
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(record)[:fields])
    shop.query("update receipt_refund set content = $1", older)
    shop.tills[1].Forward(forward_request(1, made, PLAIN))
    refund(shop, 20, "1", 2_000)
    nothing_is_used(shop)


def three_for_two(shop: Shop) -> Any:
    """A sale of three pieces of 90 with a third off, kept back of a first return."""
    limits: dict[str, Any] = {"total_minor": 10**6, "customer_minor": 10**6}
    sets = promotion({"code": "cheapest_free", "set_count": 3}, **limits)
    shop.publish({**sets, "policy": {"refund": "claw_back"}})
    made = sale("card1", lines=1, price_minor=90)
    made.lines[0].quantity_milli, made.lines[0].amount_minor = 3_000, 270
    return with_totals(made)


def nothing_is_used(shop: Shop) -> None:
    """All that limits counted has come back, and no more."""
    uses = "select sum(times)::int, sum(amount_minor)::int from promotion_use"
    assert shop.query(uses) == [(0, 0)]
    assert shop.query("select sum(amount_minor)::int from budget_use") == [(0,)]


def test_budgets_can_be_read(shop: Shop) -> None:
    """Limit, used, leased and overrun, in pages."""
    shop.publish(promotion(total_times=50, store_minor=10**6, store_period="year"))
    for n in range(3):
        shop.sell(n)
    year = str(datetime.now(ZONE).year)
    first = shop.offices[1].ListBudgets(bo.ListBudgetsRequest(chain_id=CHAIN, page_size=1))
    token = first.next_page_token
    last = shop.offices[1].ListBudgets(bo.ListBudgetsRequest(chain_id=CHAIN, page_token=token))
    assert last.next_page_token == ""
    assert (len(first.budgets), len(last.budgets)) == (1, 1)
    total, store = first.budgets[0], last.budgets[0]
    assert (total.store_id, total.period, total.most.times) == ("", "", 50)
    assert total.most.amount_minor == -1
    assert (store.store_id, store.period) == ("s1", year)
    assert store.most.amount_minor == 10**6
    for one in (total, store):
        assert (one.used.times, one.used.amount_minor) == (3, 3 * OF_A_SALE_MINOR)
        assert (one.overrun.times, one.overrun.amount_minor) == (0, 0)
    options = ("--chain", CHAIN, "--json", "--target", shop.servers[0].target)
    done = run("server.ctl", "ledger", "budgets", *options)
    assert done.returncode == 0, done.stderr
    listed = msgspec.json.decode(done.stdout)["budgets"]
    assert [one["used"]["times"] for one in listed] == ["3", "3"]
    nobody = bo.ListBudgetsRequest(chain_id=CHAIN, promotion_id="nobody")
    assert not shop.offices[0].ListBudgets(nobody).budgets
    with pytest.raises(grpc.RpcError) as refused:
        shop.offices[0].ListBudgets(bo.ListBudgetsRequest(chain_id=CHAIN, page_token="x"))
    assert reason_of(refused.value)[1] == "INCONSISTENT"


def test_what_nobody_uses_comes_back_to_the_others(shop: Shop) -> None:
    """A server that leased more than it sells gives it back after a while."""
    shop.publish(promotion(total_times=200))
    used = sum(off_of(shop.sell(n)) > 0 for n in range(20))
    assert used == 20
    wait_until(lambda: not shop.query("select 1 from budget_lease where is_open"), "all closed")
    assert shop.query("select leased_times from budget") == [(20,)]
    answers = asyncio.run(_hammer_from(shop, 100, 400))
    assert sum(off_of(answer) > 0 for answer in answers) == 180


async def _hammer_from(
    shop: Shop, first: int, count: int, card: str = ""
) -> list[pb.CheckoutResponse]:
    """Everything at the second server."""
    async with grpc.aio.insecure_channel(shop.servers[1].target) as channel:
        calls = [raw_checkout(channel, checkout_request(first + n, card)) for n in range(count)]
        return [pb.CheckoutResponse.FromString(answer) for answer in await asyncio.gather(*calls)]


def given_of_rest(shop: Shop, left: int, card: str = "") -> int:
    """To how many the second server gives, by the time that it has given all that is left.

    It may take what came back to be gone until it reads it again.
    """
    found, first = 0, 1_000

    def is_all_given() -> bool:
        nonlocal found, first
        answers = asyncio.run(_hammer_from(shop, first, 120, card))
        found += sum(off_of(answer) + given(answer) > 0 for answer in answers)
        first += 120
        return found >= left

    wait_until(is_all_given, "all that was left was given")
    return found


def test_a_lease_that_others_closed_loses_no_receipt_and_no_unit(shop: Shop) -> None:
    """Both servers' leases are closed over and over while they sell: each unit is given once."""
    shop.publish(promotion(total_times=100))

    async def strike() -> None:
        database = Database(shop.dsn, Path(), "test")
        await database.open()
        leases = BudgetLeases(database, "test")
        try:
            selling = asyncio.create_task(_hammer(shop, 300, "card{}"))
            while not selling.done():
                await leases.close_expired(2**60)
                await asyncio.sleep(0.01)
            answers.extend(selling.result())
        finally:
            await database.close()

    answers: list[pb.CheckoutResponse] = []
    asyncio.run(strike())
    fired = sum(off_of(answer) > 0 for answer in answers)
    assert fired <= 100
    assert shop.query("select coalesce(sum(times), 0)::bigint from budget_use") == [(fired,)]
    wait_until(lambda: not shop.query("select 1 from budget_lease where is_open"), "all closed")
    assert shop.query("select leased_times from budget") == [(fired,)]
    assert fired + given_of_rest(shop, 100 - fired) == 100


def test_training_uses_nothing(shop: Shop) -> None:
    shop.publish(promotion(total_times=1))
    request = checkout_request(1, "")
    request.sale.header.mode = receipt_pb2.SALE_MODE_TRAINING
    assert off_of(shop.tills[0].Checkout(request)) == OF_A_SALE_MINOR
    assert off_of(shop.sell(2)) == OF_A_SALE_MINOR


def _month_end(now: datetime) -> datetime:
    """Midnight after the last day of the month, by the wall clock."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return (first + timedelta(days=32)).replace(day=1)
