"""Goal: whatever is stated, comes back and is undone of a receipt, nothing of it is counted twice.

Method: calls drawn at random against two real servers. After each, no limit, bound, budget or
turnover is below what it was before the receipt, and no money was sent twice; when the receipt is
undone, or all of it has come back, they are what they were.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import receipt_pb2
from loyalty.v1.program_pb2 import Program
from rewards.sale import key_id_of
from server.codec.sale_pb import receipt_key_from_pb
from tests.forwarding import (
    AS_ANSWERED,
    NOT_SOLD,
    OTHER,
    PLAIN,
    QUARANTINED,
    SETTLED,
    UNKNOWN,
    Link,
    forward_request,
    off,
)
from tests.refunding import (
    POINTS_ASSET,
    SPEND,
    TENDERED,
    basket,
    exchanged,
    named,
    open_shop,
    rate,
    said,
)
from tests.serving import CHAIN, reason_of, receipt_key, test_program, with_totals

LIMITS = {"customer_minor": 9_000_000, "customer_times": 90, "total_minor": 900_000_000}
"""More than is ever given: what is counted is what is looked at."""
COUNTING = test_program(
    assets=[
        POINTS_ASSET,
        {**POINTS_ASSET, "code": "bonus"},
        {"code": "gift", "kind": "gift_money", "names": POINTS_ASSET["names"]},
    ],
    promotions=[
        off("sku1", "points", limits=LIMITS),
        {
            "promotion_id": "three-for-two",
            "names": named("3 = 2"),
            "lane": "price",
            "products": {"skus": ["sku0"]},
            "gives": [{"code": "cheapest_free", "set_count": 3}],
            "policy": {"refund": "claw_back", "offline": "points"},
            "limits": LIMITS,
        },
        off("sku6", "points", cost={"asset_code": "bonus", "amount_minor": 500}),
        rate("points-5", "points", limits=LIMITS),
        rate("bonus-5", "bonus", conditions=[said("bonus")]),
        {
            "promotion_id": "sent",
            "names": named("1%"),
            "lane": "reward",
            "conditions": [{"code": "trigger", "any_of": ["send"]}],
            "gives": [{"code": "money_transfer", "destination_code": "phone", "rate_bp": 100}],
        },
    ],
    earn_bounds=[{"asset_code": "points", "customer_max_minor": 9_000_000}],
    spend_rules=[
        {**SPEND, "automatic": True, "customer_max_minor": 3_000},
        {**TENDERED, "customer_max_minor": 2_000},
    ],
    tier_rules=[{"tier_code": "silver", "amount_from_minor": 60_000_000, "rolling_days": 30}],
    returns={"returned_active_days": 14},
)
LINES = {"sku1": (2, 10_000), "sku0": (3, 9_000), "sku6": (1, 10_000), "sku9": (1, 5_000)}
"""Pieces, and the price of one in minor units."""
BY_CARD_MINOR, BY_BONUS_MINOR = 12_000, 2_000
SENT_MINOR_MAX = 620
"""A hundredth of all at the plain price."""
COUNTED = """
select json_build_object(
  'uses', (select json_object_agg(promotion_id, json_build_array(times, amount_minor))
             from promotion_use where account_id = $1),
  'turnover', (select json_agg(json_build_array(amount_minor, receipts))
                 from turnover where account_id = $1),
  'budgets', (select json_build_array(sum(times), sum(amount_minor)) from budget_use),
  'balances', (select json_object_agg(asset_code, json_build_array(amount_minor, debt_minor))
                 from balance where account_id = $1),
  'purchases', (select purchases from account where account_id = $1),
  'requested', (select coalesce(sum(amount_minor), 0) from money_transfer
                 where customer_id = $2 and state = 1),
  'sent', (select coalesce(sum(amount_minor), 0) from money_transfer
            where customer_id = $2 and state = 2),
  'cards', (select sum(amount_minor) from balance where asset_code = 'gift'))
"""


class Act(NamedTuple):
    """A call: of a statement its kind, number and amounts; of what comes back its line."""

    name: str
    kind: int = 0
    number: int = 0
    lines: tuple[tuple[str, int], ...] = ()
    line: str = ""


def stated(kind: int, number: int, tenths: tuple[int, ...]) -> Act:
    """A statement; with OTHER at so many tenths of the plain price of each line."""
    plain = [(sku, pieces * minor // 10) for sku, (pieces, minor) in LINES.items()]
    lines = [(sku, minor * part) for (sku, minor), part in zip(plain, tenths, strict=True)]
    # No till has sold for less than cards and points have paid.
    is_enough = sum(minor for _, minor in lines) >= BY_CARD_MINOR + BY_BONUS_MINOR
    return Act("forward", kind, number, tuple(lines) if kind == OTHER and is_enough else ())


STATED = st.builds(
    stated,
    st.sampled_from((AS_ANSWERED, PLAIN, OTHER, AS_ANSWERED, PLAIN, OTHER, NOT_SOLD, UNKNOWN)),
    st.integers(1, 6),
    st.tuples(*[st.sampled_from((0, 5, 9, 10, 10))] * len(LINES)),
)
BACK = st.builds(
    lambda name, line: Act(name, line=line),
    st.sampled_from(("refund", "refund", "exchange")),
    st.sampled_from(tuple(LINES)),
)
ACTS = st.one_of(STATED, STATED, BACK, st.just(Act("pay out")))
LIVE = (None, AS_ANSWERED, PLAIN, OTHER)
"""What a live Checkout has stated; None is that there was none."""


@pytest.fixture(scope="module")
def links(
    pg_server_dsn: str, template_with: Callable[[Program], str], tmp_path_factory: Any
) -> Iterator[Link]:
    """Two servers with the program of this file; the ledger is audited at the end."""
    folder = tmp_path_factory.mktemp("stated")
    with open_shop(Link, pg_server_dsn, template_with(COUNTING), folder) as made:
        yield made


class Receipt:
    """A receipt on which a customer spends points of two assets and a gift card."""

    def __init__(self, link: Link) -> None:
        link.begin()
        self._link = link
        self._card = link.card()
        code = f"gift-{link.n(0)}"
        link.sell(90, basket(("sku9", 1, 100_000), card=self._card, triggers=["bonus"]))
        link.sell(91, _filled(code, 50_000))
        self._made = _paid(basket(*_lines(), card=self._card, triggers=["send"]), code)
        rows = link.sql(
            "select account_id, customer_id from customer where customer_number = $1", self._card
        )
        self._ids = tuple(rows[0])
        self._left = {sku: pieces for sku, (pieces, _) in LINES.items()}
        self._said: dict[int, Act] = {}
        self._number = 1
        self.before = self.counted()

    def counted(self) -> dict[str, Any]:
        """What the world counts of the customer, and of budgets and cards."""
        [row] = self._link.sql(COUNTED, *self._ids)
        found: dict[str, Any] = json.loads(row[0])
        return found

    def sell(self, kind: int) -> None:
        """By a live call, which states what its till did unless that was as answered."""
        if kind == AS_ANSWERED:
            self._link.sell(1, self._made)
            return
        act = Act("forward", kind, 1, (("sku1", 17_000),) if kind == OTHER else ())
        outcome = forward_request(1, self._made, kind, 1, dict(act.lines)).outcome
        self._link.sell(1, self._made, closed=True, outcome=outcome)
        self._said[1] = act

    def act(self, act: Act) -> None:
        """Carry a call out."""
        self._number += 1
        match act.name:
            case "forward":
                self._state(act)
            case "pay out":
                self._pay_out()
            case _:
                self._take_back(act)

    def take_back_all(self) -> None:
        """Refund what is left, piece by piece."""
        for sku, pieces in dict(self._left).items():
            for _ in range(pieces):
                self.act(Act("refund", line=sku))

    def void(self) -> None:
        """Undo it, if it is known."""
        assert _refusal(lambda: self._link.void(1)) in ("", "RECEIPT_NOT_FOUND")

    def _state(self, act: Act) -> None:
        lines = dict(reversed(act.lines) if self._number % 2 else act.lines)
        answers = [
            self._link.forward(1, self._made, act.kind, act.number, lines).state for _ in range(2)
        ]
        assert answers[0] == answers[1]
        is_other = self._said.get(act.number, act) != act
        if answers[0] == QUARANTINED:
            assert is_other, act
        elif answers[0] != SETTLED:
            assert not is_other, act
            self._said[act.number] = act

    def _pay_out(self) -> None:
        request = bo.ListMoneyTransfersRequest(
            chain_id=CHAIN, state=bo.MONEY_TRANSFER_STATE_REQUESTED
        )
        for one in self._link.office.ListMoneyTransfers(request).transfers:
            if one.customer_number == self._card:
                self._link.office.AdvanceMoneyTransfer(
                    bo.AdvanceMoneyTransferRequest(
                        chain_id=CHAIN,
                        transfer_id=one.transfer_id,
                        turn=one.turn,
                        to_state=bo.MONEY_TRANSFER_STATE_SENT,
                    )
                )

    def _take_back(self, act: Act) -> None:
        """Take a piece back, by a refund or on a receipt of nobody; none of what was not sold."""
        if not self._left[act.line]:
            return
        before = self._returns()
        if act.name == "exchange":
            back = (act.line, 1, 4_000)
            made = exchanged(self._link.n(1), back, ("sku9", 1, 40_000), card="")
            self._link.sell(self._number, made, closed=True)
        else:
            reason = _refusal(lambda: self._link.refund(self._number, 1, {act.line: 1_000}))
            assert reason in ("", "RECEIPT_STATE", "RECEIPT_NOT_FOUND")
        self._left[act.line] -= self._returns() - before

    def _returns(self) -> int:
        key_id = key_id_of(receipt_key_from_pb(receipt_key(self._link.n(1))))
        statement = "select count(*)::int from receipt_refund where original_key_id = $1"
        found: int = self._link.sql(statement, key_id)[0][0]
        return found


def _refusal(call: Callable[[], object]) -> str:
    """Why a call is refused; empty if it is not."""
    try:
        call()
    except grpc.RpcError as error:
        return reason_of(error)[1]
    return ""


def _lines() -> list[tuple[str, int, int]]:
    return [(sku, pieces, minor) for sku, (pieces, minor) in LINES.items()]


def _filled(code: str, amount_minor: int) -> Any:
    """A sale of a gift card."""
    made = basket(("sku8", 1, 100), card="")
    line = made.lines.add()
    line.CopyFrom(basket(("gift-card", 1, amount_minor)).lines[0])
    line.line_id, line.kind = "card", receipt_pb2.LINE_KIND_GIFT_CARD
    line.gift_card_operation = receipt_pb2.GIFT_CARD_OPERATION_ACTIVATE
    line.gift_card_id = code
    return with_totals(made)


def _paid(made: Any, code: str) -> Any:
    """The sale with tenders of a gift card and of points."""
    planned = receipt_pb2.TENDER_STATE_PLANNED
    by_card, by_points = receipt_pb2.TENDER_KIND_GIFT_CARD, receipt_pb2.TENDER_KIND_POINTS
    made.tenders.add(kind=by_card, state=planned, amount_minor=BY_CARD_MINOR, gift_card_id=code)
    made.tenders.add(kind=by_points, state=planned, amount_minor=BY_BONUS_MINOR, asset_code="bonus")
    return made


def check_nothing_twice(before: dict[str, Any], now: dict[str, Any]) -> None:
    """No more has come back than was counted, and no more is sent than was ever asked for."""
    for name, (times, minor) in now["uses"].items():
        was_times, was_minor = before["uses"].get(name, (0, 0))
        assert (times >= was_times, minor >= was_minor) == (True, True), (name, before, now)
    for name in ("budgets", "turnover"):
        flat = [before[name], now[name]] if name == "budgets" else [before[name][0], now[name][0]]
        assert all(b >= a for a, b in zip(*flat, strict=True)), (name, before, now)
    assert now["purchases"] >= before["purchases"]
    assert now["sent"] + now["requested"] <= SENT_MINOR_MAX
    assert now["cards"] <= before["cards"]


def check_nothing_left(before: dict[str, Any], now: dict[str, Any], *, is_void: bool) -> None:
    """All that the receipt had counted has come back.

    What goods were paid too much before a statement is not asked for: only a void leaves balances
    as they were. Of bounds amounts alone are held to; how often they were reached binds nobody.
    """
    amounts = [{n: m for n, (_, m) in one["uses"].items() if m} for one in (before, now)]
    assert amounts[0] == amounts[1]
    times = [
        {n: t for n, (t, _) in one["uses"].items() if t and ":" not in n} for one in (before, now)
    ]
    assert times[0] == times[1]
    names = ["turnover", "budgets", "purchases", "requested"]
    names += ["balances", "cards"] if is_void else []
    assert {name: now[name] for name in names} == {name: before[name] for name in names}


PLAINLY, ANSWERED = Act("forward", PLAIN, 1), Act("forward", AS_ANSWERED, 2)
A_PIECE = Act("refund", line="sku1")


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(live=None, acts=[PLAINLY, Act("pay out"), ANSWERED], is_void=False)
@example(live=AS_ANSWERED, acts=[PLAINLY, A_PIECE, ANSWERED], is_void=True)
@given(
    live=st.sampled_from(LIVE), acts=st.lists(ACTS, min_size=1, max_size=8), is_void=st.booleans()
)
def test_in_any_order(links: Link, live: int | None, acts: list[Act], is_void: bool) -> None:
    receipt = Receipt(links)
    if live is not None:
        receipt.sell(live)
    for act in acts:
        receipt.act(act)
        check_nothing_twice(receipt.before, receipt.counted())
    if is_void:
        receipt.void()
    else:
        receipt.take_back_all()
    check_nothing_left(receipt.before, receipt.counted(), is_void=is_void)
