"""Any interleaving of calls to two real servers leaves what a model written from the docs says.

Each rule sends its call to one of two server processes over one database, some of them twice or to
both at once. The model (`wallet`, `sold`) knows prices, lots, holds and debts, and nothing of
journals; after each rule what Identify tells and the lots in the database are held to it.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import ledger_pb2 as lg
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from server.clock import set_offset, system_clock
from server.till.break_off import void_key_id_of
from tests.accounts import identifier, who
from tests.refunding import POINTS_ASSET, SPEND, basket, named, refund_request
from tests.serving import (
    CHAIN,
    PROGRAM,
    ServerProcess,
    publish,
    reason_of,
    receipt_key,
    serving,
    test_program,
    wait_until,
)
from tests.stateful.sold import (
    ACTIVE_DAYS,
    RATES_BP,
    RETURNED_DAYS,
    Line,
    Return,
    Settling,
    Sold,
    price_of,
    refund,
    rest,
    window,
)
from tests.stateful.wallet import DAY_S, HOLD_S, Debt, Held, Lot, Stamp, Wallet

IS_LONG = os.environ.get("LOYALTY_HYPOTHESIS") == "long"
EXAMPLES, STEPS, AUDIT_EVERY = (250, 50, 10) if IS_LONG else (8, 20, 4)
SECOND_US = 1_000_000
DAY_US = DAY_S * SECOND_US
MOSCOW_US = 3 * 3_600 * SECOND_US
EVENING_S = 23 * 3_600 + 51 * 60
"""Holds made now outlive the day, and with it lots."""
TOKEN_S = 3_600
TILL, OFFICE = "/loyalty.v1.TillService/", "/loyalty.v1.BackOfficeService/"
CUSTOMERS = 3
EVERYTHING = 10**6
"""More points than anybody has."""
ASSETS = ("points", "later")


def rate(asset: str) -> dict[str, Any]:
    gives = [{"code": "points_rate", "asset_code": asset, "rate_bp": RATES_BP[asset]}]
    return {"promotion_id": asset, "names": named(asset), "lane": "reward", "gives": gives}


RULES: dict[str, Any] = {
    "assets": [
        {**POINTS_ASSET, "active_days": ACTIVE_DAYS},
        {**POINTS_ASSET, "code": "later", "active_after_days": 1, "active_days": ACTIVE_DAYS},
    ],
    "promotions": [PROGRAM["promotions"][0], *(rate(asset) for asset in ASSETS)],
    "spend_rules": [{**SPEND, "asset_code": asset, "share_max_bp": 5_000} for asset in ASSETS],
    "returns": {"returned_active_days": RETURNED_DAYS},
}

LOTS = """
select substring(l.lot_id from 1 for 16), l.asset_code,
       case when l.kind = 1 then l.remaining_minor else -l.remaining_minor end
  from lot l join customer c on c.account_id = l.account_id
 where c.chain_id = $1 and c.customer_number = $2 and l.remaining_minor > 0
"""


class Chain:
    """Two servers over one database, their clock, and numbers that are used once."""

    def __init__(
        self, servers: list[ServerProcess], place: dict[str, str], clock: Path, logs: Path
    ) -> None:
        self.servers = servers
        self._place = place
        self._clock = clock
        self._logs = logs
        self._numbers = 0
        self.examples = 0
        self.channels = [grpc.insecure_channel(server.target) for server in servers]
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(place["LOYALTY_DSN"]))

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()
        for channel in self.channels:
            channel.close()

    def set_clock(self, day_us: int, now_s: int) -> None:
        """So many seconds after a local midnight."""
        set_offset(self._clock, day_us + now_s * SECOND_US - system_clock())

    def call(self, server: int, method: str, request: Any) -> Any:
        """Send bytes; the call, whose result is bytes."""
        sent: Any = self.channels[server].unary_unary(method)
        return sent.future(request.SerializeToString(), timeout=60, wait_for_ready=True)

    def ask(self, method: str, request: Any, server: int, how: str = "once") -> tuple[bytes, str]:
        """Ask once, again or both at once; the same answer, or the reason of the same refusal."""
        if how == "at once":
            calls = [self.call(one, method, request) for one in (server, 1 - server)]
            fates = [fate_of(call) for call in calls]
        else:
            fates = [fate_of(self.call(server, method, request))]
            if how == "again":
                fates.append(fate_of(self.call(1 - server, method, request)))
        assert fates[0] == fates[-1], "two answers to one call"
        return fates[0]

    def rows(self, customer_number: str) -> list[tuple[bytes, str, int]]:
        """What is left in lots of the account of a customer, debts below zero."""
        found = self._loop.run_until_complete(self._connection.fetch(LOTS, CHAIN, customer_number))
        return sorted((row[0], row[1], row[2]) for row in found)

    def audit(self) -> None:
        office: Any = BackOfficeServiceStub(self.channels[0])
        proved = office.AuditLedger(bo.AuditLedgerRequest(), timeout=120, wait_for_ready=True)
        assert proved.balanced, proved

    def restart(self, server: int) -> None:
        """Kill -9, and start again."""
        old = self.servers[server]
        old.kill()
        log = self._logs / f"server-{server}.log"
        self.servers[server] = ServerProcess(self._place, log, old.port)


def fate_of(call: Any) -> tuple[bytes, str]:
    try:
        return call.result(), ""
    except grpc.RpcError as error:
        return b"", reason_of(error)[1]


@pytest.fixture
def chain(place: dict[str, str], tmp_path: Path) -> Iterator[Chain]:
    """Servers with the program of these tests in force at both; at the end the ledger is proved."""
    clock = tmp_path / "clock"
    set_offset(clock, 0)
    settings_of = {**place, "LOYALTY_CLOCK_FILE": str(clock), "LOYALTY_EXPIRY_S": "0"}
    with serving(settings_of, tmp_path, count=2) as servers:
        made = Chain(servers, settings_of, clock, tmp_path)
        offices: list[Any] = [BackOfficeServiceStub(channel) for channel in made.channels]
        version = publish(offices[0], test_program(**RULES))

        def at_both() -> bool:
            found = offices[1].GetRuleset(bo.GetRulesetRequest()).versions
            return any(one.version == version and one.loaded for one in found)

        wait_until(at_both, "the version at both servers")
        try:
            yield made
            made.audit()
        finally:
            made.close()


@dataclass
class Open:
    """A basket that was quoted."""

    basket_id: bytes
    customer: int
    lines: tuple[Line, ...]
    asset: str
    spent: int = 0
    token: bytes = b""
    quoted: Stamp = (0, 0)


@dataclass
class Sell:
    """How a sale is going to end: refused for a reason, or sold, with a value spent on it."""

    refused: str = ""
    at: Stamp = (0, 0)
    value: int = 0


customers = st.sampled_from((0, 0, 0, 1, 1, 2))
servers = st.integers(0, 1)
hows = st.sampled_from(("once", "once", "again", "at once"))
assets = st.sampled_from(("points", "points", "later"))
wishes = st.sampled_from((0, 100, 1_000, 10_000, EVERYTHING, EVERYTHING)) | st.integers(1, 30_000)
baskets_of_lines = st.lists(
    st.builds(Line, st.integers(0, 9), st.integers(1, 3), st.integers(1, 20).map((1_000).__mul__)),
    min_size=1,
    max_size=3,
    unique_by=lambda line: line.article,
).map(lambda lines: tuple(sorted(lines)))


@dataclass
class State:
    """What the model knows of one example."""

    wallets: list[Wallet] = field(default_factory=lambda: [Wallet() for _ in range(CUSTOMERS)])
    merged: dict[int, int] = field(default_factory=dict)
    known: dict[bytes, Lot] = field(default_factory=dict)
    lapsed: Counter[bytes] = field(default_factory=Counter)
    sold: list[Sold] = field(default_factory=list)
    open: list[Open] = field(default_factory=list)
    closed: list[Open] = field(default_factory=list)
    answers: list[tuple[str, Any, bytes]] = field(default_factory=list)


class Tills(RuleBasedStateMachine):
    """Two tills, three customers."""

    chain: Chain
    """Set before the machine is run; all examples share it."""

    def __init__(self) -> None:
        super().__init__()
        chain = self.chain
        self.state = State()
        self.now = EVENING_S
        self.events = 0
        tomorrow = (system_clock() + MOSCOW_US) // DAY_US + 1
        self.midnight_us = tomorrow * DAY_US - MOSCOW_US
        chain.set_clock(self.midnight_us, self.now)
        self.numbers = [f"m{chain.number()}" for _ in range(CUSTOMERS)]
        made = [
            bo.Customer(
                customer_number=one,
                identifiers=[bo.ImportedIdentifier(kind="card", value=one)],
                segments=["all"],
            )
            for one in self.numbers
        ]
        office: Any = BackOfficeServiceStub(chain.channels[0])
        office.ImportCustomers(bo.ImportCustomersRequest(chain_id=CHAIN, customers=made))

    # --- the model's means ---

    def account(self, customer: int) -> int:
        while customer in self.state.merged:
            customer = self.state.merged[customer]
        return customer

    def wallet(self, customer: int) -> Wallet:
        return self.state.wallets[self.account(customer)]

    def stamp(self) -> Stamp:
        self.events += 1
        return self.now, self.events

    def durable(self, method: str, request: Any, server: int, how: str) -> tuple[bytes, str]:
        answer, reason = self.chain.ask(TILL + method, request, server, how)
        if not reason:
            self.state.answers.append((TILL + method, request, answer))
        return answer, reason

    def check(self, customer: int, server: int) -> None:
        """What is told of a customer, and what stands in the database, is what the model says."""
        wallet = self.wallet(customer)
        request = pb.IdentifyRequest(
            chain_id=CHAIN, store_id="s1", identifier=identifier(self.numbers[customer])
        )
        answer, _ = self.chain.ask(TILL + "Identify", request, server)
        told = {one.asset_code: one for one in pb.IdentifyResponse.FromString(answer).balances}
        for asset in ASSETS:
            one = told.get(asset)
            shown = (0, 0, 0, 0)
            if one is not None:
                shown = one.amount_minor, one.pending_minor, one.held_minor, one.debt_minor
            assert shown == wallet.shown(asset, self.now), asset
        assert self.chain.rows(self.numbers[customer]) == wallet.rows()

    # --- selling ---

    def sale(self, customer: int, lines: tuple[Line, ...]) -> Any:
        items = [(f"sku{line.article}", line.pieces, line.sent) for line in lines]
        return basket(*items, card=self.numbers[customer])

    def sell(self, one: Open, how_it_ends: Sell, closed: bool, server: int, how: str) -> bool:
        """Sell a basket, and hold the answer to the model; whether it is sold."""
        number = self.chain.number()
        request = pb.CheckoutRequest(
            receipt_key=receipt_key(number),
            sale=self.sale(one.customer, one.lines),
            basket_id=one.basket_id,
            token=one.token,
            closed=closed,
        )
        now = self.stamp()
        answer, reason = self.durable("Checkout", request, server, how)
        assert reason == how_it_ends.refused
        if not reason:
            response = pb.CheckoutResponse.FromString(answer)
            self.book(one, how_it_ends, number, response, now)
        self.check(one.customer, 1 - server)
        return not reason

    def book(
        self, one: Open, ends: Sell, number: int, response: pb.CheckoutResponse, now: Stamp
    ) -> None:
        """What is spent is taken, what is missing owed, and what is earned comes last but one."""
        wallet, key_id = self.wallet(one.customer), response.receipt_id
        asset, value = one.asset, ends.value
        home = self.account(one.customer)
        sold = Sold(number, key_id, home, one.lines, asset, value, back=[0] * len(one.lines))
        picks = wallet.pick(asset, value, now[0], one.basket_id)
        wallet.take(picks)
        wallet.holds.pop(one.basket_id, None)
        for n, code in enumerate(ASSETS):
            earned = sold.earned(code, sold.left())
            starts, over = window(code, ends.at)
            lot = Lot(key_id + bytes([0, n + 1]), code, earned, earned, starts, over)
            sold.granted[code] = lot.lot_id, earned
            self.state.known[lot.lot_id] = lot
            wallet.earn(lot)
        missing = value - sum(picks.values())
        sold.picks = sorted(picks.items())
        if missing:
            debt = Debt(key_id + bytes([0, 9]), asset, missing, ends.at)
            wallet.debts[debt.lot_id] = debt
            sold.picks.append((debt.lot_id, missing))
        self.state.sold.append(sold)
        told = response.answer
        assert told.lines.totals.amount_minor == price_of(one.lines) - value
        rewards = {reward.asset_code: reward.amount_minor for reward in told.rewards.rewards}
        assert rewards == {code: earned for code, (_, earned) in sold.granted.items()}
        assert [spent.amount_minor for spent in told.spent] == ([value] if value else [])

    @initialize(
        lines=st.lists(baskets_of_lines, min_size=CUSTOMERS, max_size=CUSTOMERS),
        days=st.sampled_from((1, 1, 2)),
    )
    def begin(self, lines: list[tuple[Line, ...]], days: int) -> None:
        """Everybody has something, and all of it counts."""
        for customer, bought in enumerate(lines):
            self.sell_at_once(customer, bought, False, 0, "once")
        self.wait_for_an_evening(days, 0)

    @rule(
        customer=customers, lines=baskets_of_lines, closed=st.booleans(), server=servers, how=hows
    )
    def sell_at_once(
        self, customer: int, lines: tuple[Line, ...], closed: bool, server: int, how: str
    ) -> None:
        """Without a quote nothing is spent."""
        one = Open(b"", customer, lines, "points")
        assert self.sell(one, Sell(at=self.stamp()), closed, server, how)

    @rule(
        customer=customers, lines=baskets_of_lines, asset=assets, wish=wishes,
        server=servers,
    )  # fmt: skip
    def quote(
        self, customer: int, lines: tuple[Line, ...], asset: str, wish: int, server: int
    ) -> None:
        one = Open(self.chain.number().to_bytes(16, "big"), customer, lines, asset)
        self.state.open.append(one)
        self.quote_again(one, asset, wish, server)

    @precondition(lambda self: self.state.open)
    @rule(data=st.data(), asset=assets, wish=wishes, server=servers)
    def change_mind(self, data: st.DataObject, asset: str, wish: int, server: int) -> None:
        """Another quote of a basket replaces what it holds."""
        self.quote_again(data.draw(st.sampled_from(self.state.open)), asset, wish, server)

    def quote_again(self, one: Open, asset: str, wish: int, server: int) -> None:
        request = pb.QuoteRequest(basket_id=one.basket_id, sale=self.sale(one.customer, one.lines))
        if wish:
            request.reserve.amounts.add(asset_code=asset, amount_minor=wish)
        now, wallet = self.stamp(), self.wallet(one.customer)
        answer, reason = self.chain.ask(TILL + "Quote", request, server)
        assert not reason
        response = pb.QuoteResponse.FromString(answer)
        most = min(wish, price_of(one.lines) // 2)
        picks = wallet.pick(asset, most, now[0], one.basket_id)
        wallet.holds.pop(one.basket_id, None)
        if picks:
            wallet.holds[one.basket_id] = Held(asset, now[0] + HOLD_S, picks)
        one.asset, one.spent = asset, sum(picks.values())
        one.token, one.quoted = response.token, now
        spent = [held.amount_minor for held in response.answer.spent]
        assert spent == ([one.spent] if one.spent else [])
        self.check(one.customer, 1 - server)

    @rule(
        customer=customers, lines=baskets_of_lines, asset=assets, wish=wishes, server=servers,
        how=hows,
    )  # fmt: skip
    def spend(
        self, customer: int, lines: tuple[Line, ...], asset: str, wish: int, server: int, how: str
    ) -> None:
        """Sell at one server what the other has just quoted."""
        self.quote(customer, lines, asset, wish, 1 - server)
        one = self.state.open.pop()
        assert self.sell(one, self.ending_of(one, False), False, server, how)
        self.state.closed.append(one)

    @rule(
        customer=customers, lines=baskets_of_lines, asset=assets, closed=st.booleans(),
        server=servers,
    )  # fmt: skip
    def come_late(
        self, customer: int, lines: tuple[Line, ...], asset: str, closed: bool, server: int
    ) -> None:
        """A hold lapses, and another basket spends what was held: a fact owes it."""
        self.quote(customer, lines, asset, EVERYTHING, server)
        one = self.state.open[-1]
        self.be_at(self.now + HOLD_S + 60, server)
        self.spend(customer, lines, asset, EVERYTHING, 1 - server, "once")
        if self.sell(one, self.ending_of(one, closed), closed, server, "again"):
            self.state.open.remove(one)

    @precondition(lambda self: self.state.open)
    @rule(data=st.data(), closed=st.booleans(), server=servers, how=hows)
    def sell_what_was_quoted(
        self, data: st.DataObject, closed: bool, server: int, how: str
    ) -> None:
        one = data.draw(st.sampled_from(self.state.open))
        if self.sell(one, self.ending_of(one, closed), closed, server, how):
            self.state.open.remove(one)
            self.state.closed.append(one)
            again = Open(one.basket_id, one.customer, one.lines, one.asset)
            assert not self.sell(again, Sell("BASKET_SOLD"), False, server, how)

    def ending_of(self, one: Open, closed: bool) -> Sell:
        """A request spends what was shown, or is refused; a fact has spent it.

        After a merge the basket is the account's that stays, without what was held for it.
        """
        wallet, now = self.wallet(one.customer), self.stamp()
        at = one.quoted
        if self.now > one.quoted[0] + TOKEN_S:
            if not closed:
                return Sell("TOKEN_EXPIRED")
            at = now
        usable = wallet.usable(one.asset, self.now, one.basket_id)
        if usable < one.spent and not closed:
            return Sell("HOLD_EXPIRED")
        return Sell(at=at, value=one.spent)

    @precondition(lambda self: self.state.open or self.state.closed)
    @rule(data=st.data(), server=servers, how=hows)
    def release(self, data: st.DataObject, server: int, how: str) -> None:
        one = data.draw(st.sampled_from([*self.state.open, *self.state.closed]))
        request = pb.ReleaseRequest(basket_id=one.basket_id)
        _, reason = self.chain.ask(TILL + "Release", request, server, how)
        assert not reason
        self.wallet(one.customer).holds.pop(one.basket_id, None)
        self.check(one.customer, 1 - server)

    # --- what comes back ---

    def something_sold(self) -> st.SearchStrategy[Sold]:
        """Mostly a receipt on which something was spent."""
        spent = [sold for sold in self.state.sold if sold.value and not sold.is_void]
        anything = st.sampled_from(self.state.sold)
        return st.sampled_from(spent) | anything if spent else anything

    @precondition(lambda self: self.state.sold)
    @rule(
        data=st.data(), pieces=st.lists(st.integers(0, 3), min_size=3, max_size=3),
        closed=st.booleans(), server=servers, how=hows,
    )  # fmt: skip
    def refund(
        self, data: st.DataObject, pieces: list[int], closed: bool, server: int, how: str
    ) -> None:
        """More than is left is refused, and cut of a fact."""
        sold = data.draw(self.something_sold())
        wanted = pieces[: len(sold.lines)]
        if not any(wanted):
            wanted[0] = 1
        number = self.chain.number()
        lines = {
            f"sku{line.article}": 1_000 * count
            for line, count in zip(sold.lines, wanted, strict=True)
            if count
        }
        now = self.stamp()
        request = refund_request(number, sold.number, lines, closed)
        answer, reason = self.durable("Refund", request, server, how)
        fitting = [min(pair) for pair in zip(wanted, sold.left(), strict=True)]
        if sold.is_void:
            assert reason == ("" if closed else "RECEIPT_STATE")
        elif fitting != wanted and not closed:
            assert reason == "MORE_THAN_SOLD"
        else:
            assert not reason
            response = pb.RefundResponse.FromString(answer)
            back = refund(sold, fitting)
            self.settle(sold, back, now, response.receipt_id)
            assert response.by_points_minor == back.given
            sold.money_back += response.amount_minor
            if not any(sold.left()):
                assert sold.money_back == price_of(sold.lines) - sold.value
        self.check(sold.home, 1 - server)

    def settle(self, sold: Sold, back: Return, now: Stamp, key_id: bytes) -> None:
        wallet = self.wallet(sold.home)
        Settling(wallet, self.state.known, self.state.lapsed, now, key_id).settle(sold, back)

    @precondition(lambda self: self.state.sold)
    @rule(data=st.data(), server=servers, how=hows)
    def void(self, data: st.DataObject, server: int, how: str) -> None:
        """What refunds have left comes back; again it is the same answer."""
        sold = data.draw(self.something_sold())
        request = pb.VoidRequest(
            receipt_key=receipt_key(sold.number), reason_code="X", cashier_id="c1"
        )
        now = self.stamp()
        _, reason = self.durable("Void", request, server, how)
        assert not reason
        if not sold.is_void:
            self.settle(sold, rest(sold), now, void_key_id_of(sold.key_id))
            sold.is_void = True
        self.check(sold.home, 1 - server)

    @precondition(lambda self: self.state.answers)
    @rule(data=st.data(), server=servers)
    def repeat(self, data: st.DataObject, server: int) -> None:
        """Whatever was answered is answered again, whatever has become of it."""
        method, request, first = data.draw(st.sampled_from(self.state.answers))
        assert self.chain.ask(method, request, server) == (first, "")

    # --- accounts and time ---

    @precondition(lambda self: len(self.state.merged) < CUSTOMERS - 1)
    @rule(losing=customers, winning=customers, server=servers, how=hows)
    def merge(self, losing: int, winning: int, server: int, how: str) -> None:
        gone, kept = self.account(losing), self.account(winning)
        request = lg.MergeAccountsRequest(
            merge_id=self.chain.number().to_bytes(16, "big"),
            chain_id=CHAIN,
            losing=who(self.numbers[losing]),
            winning=who(self.numbers[winning]),
            merged_by="test",
        )
        answer, reason = self.chain.ask(OFFICE + "MergeAccounts", request, server, how)
        if gone == kept:
            assert reason == "MEMBERSHIP_STATE"
            return
        assert not reason
        self.state.answers.append((OFFICE + "MergeAccounts", request, answer))
        self.state.wallets[kept].swallow(self.state.wallets[gone], self.now)
        self.state.merged[gone] = kept
        self.check(losing, server)
        self.check(winning, 1 - server)

    @rule(
        seconds=st.sampled_from((390, 390, 960, 960, 4_200)), server=servers,
        chance=st.integers(0, 19),
    )  # fmt: skip
    def wait(self, seconds: int, server: int, chance: int) -> None:
        """So that holds lapse, or nearly; a day may end before they do, and tokens after them."""
        if IS_LONG and chance == 19:
            self.chain.restart(server)
        self.be_at(self.now + seconds, server)

    @rule(days=st.integers(0, 3), server=servers)
    def wait_for_an_evening(self, days: int, server: int) -> None:
        """Nine minutes before midnight: lots become active, and expire."""
        is_late = self.now % DAY_S >= EVENING_S
        day = self.now // DAY_S + days + (is_late and not days)
        self.be_at(max(day, self.now // DAY_S + is_late) * DAY_S + EVENING_S, server)

    def is_over(self) -> bool:
        """Whether there is anything that has expired."""
        lots = [lot for wallet in self.state.wallets for lot in wallet.lots.values()]
        return any(lot.left and lot.is_over(self.now) for lot in lots)

    def be_at(self, now_s: int, server: int) -> None:
        self.now = now_s
        self.chain.set_clock(self.midnight_us, now_s)
        self.check(0, server)

    @precondition(lambda self: self.is_over())
    @rule(server=servers, how=hows)
    def expire(self, server: int, how: str) -> None:
        """Of two at once one may see what the other has done."""
        calls = [server, 1 - server] if how == "at once" else [server]
        sent = [
            self.chain.call(one, OFFICE + "ExpireLots", lg.ExpireLotsRequest()) for one in calls
        ]
        responses = [lg.ExpireLotsResponse.FromString(call.result()) for call in sent]
        if any(one.more for one in responses):
            self.chain.ask(OFFICE + "ExpireLots", lg.ExpireLotsRequest(), server)
        for wallet in self.state.wallets:
            self.state.lapsed.update(wallet.expire(self.now))
        for customer in range(CUSTOMERS):
            self.check(customer, server)

    def teardown(self) -> None:
        """The next example begins earlier: nothing may be held then that has lapsed by now."""
        for one in self.state.open:
            self.chain.ask(TILL + "Release", pb.ReleaseRequest(basket_id=one.basket_id), 0)
            self.wallet(one.customer).holds.pop(one.basket_id, None)
        for customer in range(CUSTOMERS):
            self.check(customer, 1)
        self.chain.examples += 1
        if self.chain.examples % AUDIT_EVERY == 0:
            self.chain.audit()


@pytest.mark.timeout(3_600 if IS_LONG else 120)
def test_two_servers_agree_with_the_model(chain: Chain) -> None:
    # Servers answer some hundred calls a second: far fewer examples than of pure functions.
    Tills.chain = chain
    run_state_machine_as_test(
        Tills,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            report_multiple_bugs=False,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
