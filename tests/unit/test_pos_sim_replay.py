"""A replay ends every receipt in one way, repeats safely, and notices a server that errs."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from loyalty.v1.back_office_service_pb2 import AuditLedgerResponse
from loyalty.v1.receipt_pb2 import EntryMethod, IdentifierKind, LineKind, QuantityUnit, TillType
from pos_sim.habit import Habits
from pos_sim.replay import Replayed, ReplayError, Settings, replay
from pos_sim.run import Run
from pos_sim.summary import find_problems
from pos_sim.tally import Tally
from pos_sim.workload import PROGRAMS, Basket, Given, Item, TillPlan, Workload
from tests.unit.pos_sim_fake import FakeError, FakeServer, Faults, serving

RUN = Run(seed=7, epoch=1_790_000_000)
BALANCED = AuditLedgerResponse(balanced=True)
EVERYTHING = Habits(
    add_pieces=1.0,
    quote_payment=0.3,
    identify=0.5,
    answer=0.5,
    repeat=0.3,
    look_up=0.3,
    void=0.2,
    break_off=0.2,
)
PLAIN = Habits(break_off=0.0, void=0.0, repeat=0.0, look_up=0.0)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pos_sim.till_client.FIRST_WAIT_S", 0.002)
    monkeypatch.setattr("pos_sim.session_link.GRACE_S", 0.05)


def piece(sku: str, count: int, price_minor: int = 1_990) -> Item:
    unit, kind = QuantityUnit.QUANTITY_UNIT_PIECE, LineKind.LINE_KIND_GOODS
    return Item(sku, 1000 * count, price_minor, unit, kind)


def basket(index: int, *items: Item) -> Basket:
    number = f"C{index % 5}" if index % 4 else ""
    card = IdentifierKind.IDENTIFIER_KIND_CARD
    given = Given(card, f"card-{number}", EntryMethod.ENTRY_METHOD_SCANNED) if number else None
    chosen = items or (piece("tea", 10 if index % 3 else 2), piece("milk", 1))
    return Basket(index, chosen, RUN.started_at_us + index, 180, "2026-11-22", number, given)


def workload(baskets: list[Basket], till_count: int = 4) -> Workload:
    plans = [
        TillPlan(
            f"t{n}", "s1", TillType.TILL_TYPE_STAFFED, "ru", True, n == 3, baskets[n::till_count]
        )
        for n in range(till_count)
    ]
    program = PROGRAMS / "demo_grocery.toml"
    return Workload("demo", "RUB", program, [], [], [], plans)


async def replay_on(
    fake: FakeServer, load: Workload, habits: Habits = EVERYTHING, timeout_ms: int = 2_000
) -> Replayed:
    async with serving(fake) as target:
        settings = Settings((target,), timeout_ms=timeout_ms, habits=habits)
        return await replay(load, RUN, settings, lambda tally: None)


def problems(load: Workload, replayed: Replayed) -> list[str]:
    return find_problems(load, replayed, BALANCED)


async def test_every_receipt_ends_in_one_way_on_both_transports() -> None:
    fake, load = FakeServer(), workload([basket(n) for n in range(200)])
    replayed = await replay_on(fake, load)
    tally = replayed.books.tally
    assert problems(load, replayed) == []
    assert tally.answered == len(fake.sold) == 200
    assert tally.broken_off == len(fake.closed) > 0
    assert min(fake.streams, fake.unary, tally.pieces_added, tally.voided, tally.repeated) > 0
    assert min(tally.looked_up, tally.identified, tally.profiles_submitted) > 0
    assert replayed.checked == 5


async def test_the_same_run_again_posts_nothing_new() -> None:
    fake, load = FakeServer(), workload([basket(n) for n in range(60)])
    first = await replay_on(fake, load)
    owned, sold = dict(fake.owned), len(fake.sold)
    again = await replay_on(fake, load)
    assert first.books.tally.answered == again.books.tally.answered == 60
    assert again.books.tally.broken_promises == []
    assert (dict(fake.owned), len(fake.sold)) == (owned, sold)


async def test_another_run_shares_no_key_with_the_first() -> None:
    other = Run(seed=7, epoch=RUN.epoch + 1)
    assert RUN.basket_id(3) != other.basket_id(3)
    assert RUN.basket_id(3) != RUN.basket_id(4)
    assert RUN.submission_id(3, ["sex"]) != RUN.submission_id(3, ["email"])
    assert RUN.receipt_key("c", "s", "t", "d", 1) != other.receipt_key("c", "s", "t", "d", 1)


async def test_too_large_a_receipt_is_sent_and_counted_as_refused() -> None:
    load = workload([basket(0, piece("tea", 10_001)), *(basket(n) for n in range(1, 9))])
    replayed = await replay_on(FakeServer(), load, PLAIN)
    assert replayed.books.tally.refused == {"LIMIT_EXCEEDED": 1}
    assert problems(load, replayed) == []


def every(nth: int, call: str, then: Callable[[], None]) -> Callable[[str, int], None]:
    def hook(called: str, count: int) -> None:
        if called == call and count % nth == 0:
            then()

    return hook


def refuse(code: grpc.StatusCode, reason: str) -> Callable[[], None]:
    def then() -> None:
        raise FakeError(code, reason)

    return then


@pytest.mark.parametrize(
    "faults",
    [
        Faults(before=every(3, "checkout", refuse(grpc.StatusCode.UNAVAILABLE, "DRAINING"))),
        Faults(after=every(3, "checkout", refuse(grpc.StatusCode.UNAVAILABLE, "RESULT_UNKNOWN"))),
        Faults(before=every(4, "quote", refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY"))),
        Faults(lose_stream=lambda call, count: call == "checkout" and count % 9 == 0),
        Faults(say_go_away=lambda call, count: call == "quote" and count % 9 == 0),
    ],
    ids=["draining", "result unknown", "too many in flight", "stream lost", "go away"],
)
async def test_what_passes_is_sent_again_with_the_same_key(faults: Faults) -> None:
    fake, load = FakeServer(faults), workload([basket(n) for n in range(80)])
    replayed = await replay_on(fake, load, PLAIN)
    assert problems(load, replayed) == []
    assert replayed.books.tally.answered == len(fake.sold) == 80
    assert replayed.books.tally.retried + fake.streams > 8


async def test_a_silent_server_is_asked_again() -> None:
    fake, load = FakeServer(), workload([basket(n) for n in range(8)], till_count=1)
    fake.faults.before = lambda call, count: setattr(
        fake, "delay_s", 0.5 if (call, count) == ("checkout", 1) else 0.0
    )
    replayed = await replay_on(fake, load, PLAIN, timeout_ms=100)
    assert problems(load, replayed) == []
    assert replayed.books.tally.retried == 1


async def test_a_server_that_comes_back_is_found_again() -> None:
    fake, load = FakeServer(), workload([basket(n) for n in range(200)])
    settings = Settings(("",), habits=PLAIN)
    async with serving(fake) as target:
        port = int(target.rpartition(":")[2])
        settings = Settings((target,), habits=PLAIN)
        reached = asyncio.Event()

        def on_done(tally: Tally) -> None:
            if tally.done == 50:
                reached.set()

        working = asyncio.create_task(replay(load, RUN, settings, on_done))
        await reached.wait()
    async with serving(fake, port):
        replayed = await working
    assert problems(load, replayed) == []
    assert replayed.books.tally.answered == len(fake.sold) == 200


async def test_nobody_there_is_told_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pos_sim.till_client.WAIT_S_MAX", 0.001)
    load = workload([basket(n) for n in range(8)])
    with pytest.raises(ReplayError, match="UNAVAILABLE"):
        await replay(load, RUN, Settings(("127.0.0.1:1",)), lambda tally: None)


async def test_a_price_that_would_rise_is_quoted_again() -> None:
    rise = refuse(grpc.StatusCode.FAILED_PRECONDITION, "PRICE_WOULD_RISE")
    fake = FakeServer(Faults(before=every(4, "checkout", rise)))
    load = workload([basket(n) for n in range(20)], till_count=1)
    replayed = await replay_on(fake, load, PLAIN)
    assert problems(load, replayed) == []
    assert replayed.books.tally.quoted_again > 0


async def test_an_internal_error_fails_the_run() -> None:
    fault = refuse(grpc.StatusCode.INTERNAL, "INTERNAL")
    fake = FakeServer(Faults(before=every(5, "checkout", fault)))
    load = workload([basket(n) for n in range(20)])
    replayed = await replay_on(fake, load, PLAIN)
    assert replayed.books.tally.faults == 4
    found = problems(load, replayed)
    assert any("4 internal errors" in problem for problem in found)
    assert any("16 receipts answered, 20 expected" in problem for problem in found)


async def test_points_posted_twice_are_noticed() -> None:
    fake, load = FakeServer(), workload([basket(n) for n in range(20)])

    def post_again(call: str, answer: Message) -> None:
        if call == "checkout":
            fake.owned["card-C1"] += 1

    fake.faults.change = post_again
    replayed = await replay_on(fake, load, PLAIN)
    assert [mismatch.customer_number for mismatch in replayed.mismatches] == ["C1"]
    assert any("customer C1" in problem for problem in problems(load, replayed))


def one_more(answer: Any) -> None:
    answer.lines.lines[0].amount_minor += 1


def two_ids(answer: Any) -> None:
    for prompt in answer.prompts.prompts:
        prompt.id = b"R"


def show_what_is_there(answer: Any) -> None:
    for item in answer.cross_sell.items:
        item.sku = "tea"


def skip_rewards(answer: Any) -> None:
    answer.rewards.status.completeness = 3


@pytest.mark.parametrize("spoil", [one_more, two_ids, show_what_is_there, skip_rewards])
async def test_an_answer_against_the_contract_is_noticed(spoil: Callable[[Any], None]) -> None:
    def change(call: str, answer: Any) -> None:
        if call == "checkout":
            spoil(answer.answer)

    load = workload([basket(n) for n in range(8)])
    replayed = await replay_on(FakeServer(Faults(change=change)), load, PLAIN)
    assert replayed.books.tally.broken_promise_count > 0
    assert any("contradict the contract" in problem for problem in problems(load, replayed))


async def test_another_answer_to_the_same_checkout_is_noticed() -> None:
    def change(call: str, answer: Any) -> None:
        if call == "checkout":
            answer.decided_at_us = fake.calls["checkout"]

    fake = FakeServer(Faults(change=change))
    load = workload([basket(n) for n in range(8)])
    replayed = await replay_on(fake, load, Habits(repeat=1.0, break_off=0.0))
    assert any("is not the first one" in what for what in replayed.books.tally.broken_promises)


async def test_latency_counts_from_the_intended_send() -> None:
    fake, load = FakeServer(delay_s=0.03), workload([basket(n) for n in range(5)], till_count=1)
    async with serving(fake) as target:
        settings = Settings((target,), rate=1_000.0, habits=Habits(identify=0.0, answer=0.0))
        replayed = await replay(load, RUN, settings, lambda tally: None)
    # One till cannot keep up: the last receipt was due 4 ms after the first, and waited for all.
    assert replayed.books.tally.quote_latency.max_ms > 200
