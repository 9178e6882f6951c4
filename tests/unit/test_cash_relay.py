"""A cash server in this process against a server that errs on demand: what tills are told."""

import asyncio
import resource
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, LocalizedMessage
from google.rpc.status_pb2 import Status
from typer.testing import CliRunner

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from pos_sim.__main__ import app
from pos_sim.cash_server import spool_rows
from pos_sim.cash_server.answer import CashServerError
from pos_sim.cash_server.ceiling import Ceilings
from pos_sim.cash_server.clock_offset import Sample
from pos_sim.cash_server.entry import Entry, Kind
from pos_sim.cash_server.forwarding import FAULTS_MAX, ForwardRule
from pos_sim.cash_server.link_health import RushRule
from pos_sim.cash_server.relay import Call, Rules
from pos_sim.cash_server.run import CashServer, CashSettings, take_up, tell
from pos_sim.cash_server.spool import Spool, SpoolError
from pos_sim.refusal import RefusedError
from tests.serving import checkout_request, free_port, receipt_key
from tests.unit.pos_sim_fake import FakeError, FakeServer, Faults, serving

NOWHERE = "127.0.0.1:1"
PLAIN, AS_ANSWERED = receipt_pb2.OUTCOME_KIND_PLAIN, receipt_pb2.OUTCOME_KIND_AS_ANSWERED
QUICK = Rules(budget_s=0.5, statement_wait_s=0.0)
NEVER_RUSH = RushRule(failures_max=1_000_000)
AT_ONCE = ForwardRule(rate=0.0, at_once=4, wait_first_s=0.001, wait_max_s=0.002)
PATIENCE_S = 30.0


@asynccontextmanager
async def cash_server(
    path: Path, target: str, rules: Rules = QUICK, rush: RushRule = NEVER_RUSH, pages_max: int = 0
) -> AsyncIterator[CashServer]:
    """A cash server without its tills' port; it forwards, and looks for no server by itself."""
    settings = CashSettings("", (target,), path, 1, rules=rules, rush=rush, forward=AT_ONCE)
    spool = Spool(path, pages_max)
    cash = CashServer(settings, spool, await spool.do(spool_rows.read_words))
    await take_up(cash, settings)
    forwarding = asyncio.create_task(cash.forwarding.run())
    try:
        yield cash
    finally:
        forwarding.cancel()
        await asyncio.gather(forwarding, return_exceptions=True)
        await cash.upstream.close()
        await spool.close()


async def ask(cash: CashServer, name: str, request: Any) -> Any:
    until_s = asyncio.get_running_loop().time() + PATIENCE_S
    return await cash.relay.answer(Call(name, request, until_s))


async def refused(work: Awaitable[object]) -> tuple[str, dict[str, str], Status]:
    with pytest.raises(CashServerError) as error:
        await work
    info = ErrorInfo()
    assert error.value.status.details[0].Unpack(info)
    return info.reason, dict(info.metadata), error.value.status


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not is_true():  # noqa: ASYNC110  others of this process make it so
            await asyncio.sleep(0.005)


def request(number: int, till: str = "t1") -> pb.CheckoutRequest:
    made = checkout_request(number)
    made.receipt_key.till_id = made.sale.header.till_id = till
    return made


def fact(number: int, till: str = "t1", kind: int = PLAIN, outcome: int = 1) -> pb.CheckoutRequest:
    made = request(number, till)
    made.closed = True
    made.outcome.kind, made.outcome.number = kind, outcome  # type: ignore[assignment]
    return made


def unsaid(number: int) -> pb.CheckoutRequest:
    made = request(number)
    made.closed = True
    return made


def said_beforehand(number: int) -> pb.CheckoutRequest:
    made = request(number)
    made.outcome.kind, made.outcome.number = PLAIN, 1
    return made


DIFFERENTLY_FORWARDED = pytest.mark.parametrize("made", [said_beforehand(1), unsaid(1)])
"""Forwarded, these say PLAIN; a till that was answered live has sold as it was answered."""


async def fill(spool: Spool) -> None:
    """Take all the room there is, also on pages that are begun."""
    size, count = 100_000, 0
    while size > 8:
        count += 1
        name = b"filler%d" % count
        one = Entry("f", name, Kind.VOID, name, bytes(size), True, False, 0, 0, 0, 0)
        try:
            await spool.do(partial(_admit, one))
        except SpoolError:
            size //= 2


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """No file may grow beyond what the log of a spool has come to: as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    most = path.with_name(f"{path.name}-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _admit(one: Entry, rows: Any) -> spool_rows.Admitted:
    return spool_rows.admit(rows, one, is_cut=True, has_queue=False, is_wanted=False)


async def test_facts_of_a_till_are_forwarded_in_the_order_of_their_sale(tmp_path: Path) -> None:
    """Two tills sell while nothing is reached; then each one's receipts come as they were sold."""
    fake, port = FakeServer(), free_port()
    async with cash_server(tmp_path / "spool", f"127.0.0.1:{port}") as cash:
        for number in range(20):
            taken = await ask(cash, "checkout", fact(number, f"t{number % 2}"))
            assert taken.result == pb.DURABLE_RESULT_SPOOLED
        async with serving(fake, port):
            await until(lambda: len(fake.forwarded) >= 20 and len(cash.backlog) == 0)
    by_till: dict[str, list[int]] = {"t0": [], "t1": []}
    for one in fake.forwarded:
        key = one.receipt_key
        by_till[key.till_id].append(int(key.receipt_number))
    assert by_till == {"t0": [*range(0, 20, 2)], "t1": [*range(1, 20, 2)]}
    sent = next(one for one in fake.forwarded if one.receipt_key.till_id == "t0")
    said = fact(0, "t0")
    assert (sent.sale, sent.outcome) == (said.sale, said.outcome)


async def test_one_that_is_refused_does_not_block_those_behind_it(tmp_path: Path) -> None:
    """What can never succeed is set aside with its reason; what passes is tried again."""
    counts: dict[str, int] = {}

    def before(call: str, count: int) -> None:
        counts[call] = count
        if call == "forward" and count == 2:
            raise FakeError(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        if call == "forward" and count == 3:
            raise FakeError(grpc.StatusCode.INVALID_ARGUMENT, "BAD_TEXT")

    fake = FakeServer(faults=Faults(before=before))
    async with (
        serving(fake) as target,
        cash_server(tmp_path / "spool", target) as cash,
    ):
        for number in range(4):
            await ask(cash, "checkout", fact(number))
        await until(lambda: len(cash.backlog) == 0)
        tally = await cash.spool.do(spool_rows.read_tally)
    assert tally["forwarded"] == 3
    assert tally["set_aside"] == 1
    assert counts["forward"] == 5


async def test_what_was_set_aside_is_requeued_while_it_runs(tmp_path: Path) -> None:
    """The operator asks for it beside the cash server; what was set aside is sent once more."""

    def before(call: str, count: int) -> None:
        if call == "forward" and count == 1:
            raise FakeError(grpc.StatusCode.INVALID_ARGUMENT, "BAD_TEXT")

    fake, spool = FakeServer(faults=Faults(before=before)), tmp_path / "spool"
    async with serving(fake) as target, cash_server(spool, target) as cash:
        for number in range(2):
            await ask(cash, "checkout", fact(number))
        await until(lambda: len(cash.backlog) == 0)
        asked = ["cash-server", "requeue", "--spool", str(spool)]
        said = await asyncio.to_thread(CliRunner().invoke, app, asked)
        assert (said.exit_code, said.output.split()[0]) == (0, "1")
        for _ in range(2):
            await tell(cash)
            await until(lambda: len(cash.backlog) == 0)
        tally = await cash.spool.do(spool_rows.read_tally)
    assert (fake.calls["forward"], tally["forwarded"]) == (3, 2)


async def test_one_that_cannot_be_spelled_does_not_block_others(tmp_path: Path) -> None:
    """A field that no version of the contract has, of a kind that it never has, is set aside."""
    fake = FakeServer()
    odd = fact(1)
    odd.MergeFromString(b"\xfb\x3e\xfc\x3e")  # group 1007, with nothing in it
    async with serving(fake) as target, cash_server(tmp_path / "spool", target) as cash:
        for one in (odd, fact(2), fact(3, "t2")):
            assert (await ask(cash, "checkout", one)).result == pb.DURABLE_RESULT_SPOOLED
        await until(lambda: len(cash.backlog) == 0)
        tally = await cash.spool.do(spool_rows.read_tally)
    assert (tally["set_aside"], tally["forwarded"], len(fake.forwarded)) == (1, 2, 2)


async def test_only_faults_of_the_server_are_counted_as_such(tmp_path: Path) -> None:
    """A fact that the link has failed many times is not set aside for one fault."""

    def before(call: str, count: int) -> None:
        if count <= 2 * FAULTS_MAX:
            raise FakeError(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        if count < 3 * FAULTS_MAX:
            raise FakeError(grpc.StatusCode.INTERNAL, "INTERNAL")

    fake = FakeServer(faults=Faults(before=before))
    async with serving(fake) as target, cash_server(tmp_path / "spool", target) as cash:
        await ask(cash, "checkout", fact(1))
        await until(lambda: len(cash.backlog) == 0)
        tally = await cash.spool.do(spool_rows.read_tally)
    assert (tally.get("set_aside"), tally["forwarded"]) == (None, 1)


async def test_an_outcome_that_was_said_beforehand_is_forwarded(tmp_path: Path) -> None:
    """The till says in its request what it will have done, hears nothing, and says no more."""
    fake, port, early = FakeServer(), free_port(), said_beforehand(1)
    async with cash_server(tmp_path / "spool", f"127.0.0.1:{port}") as cash:
        reason, metadata, _ = await refused(ask(cash, "checkout", early))
        assert (reason, metadata["kept"]) == ("LINK_BROKEN_OFF", "yes")
        async with serving(fake, port):
            await until(lambda: len(fake.forwarded) == 1)
    assert fake.forwarded[0].outcome == early.outcome
    assert fake.calls["break_off"] == 0


async def test_what_was_said_beforehand_stands_once_it_is_on_its_way(tmp_path: Path) -> None:
    """A live answer to a repetition would be undone by the statement that comes after it."""
    is_asked, is_free = asyncio.Event(), asyncio.Event()

    class Holding(FakeServer):
        async def answer(self, call: str, request: Any) -> Message:
            if call == "forward":
                is_asked.set()
                await is_free.wait()
            return await super().answer(call, request)

    fake, port, early = Holding(), free_port(), said_beforehand(1)
    async with cash_server(tmp_path / "spool", f"127.0.0.1:{port}") as cash:
        await refused(ask(cash, "checkout", early))
        async with serving(fake, port):
            async with asyncio.timeout(PATIENCE_S):
                await is_asked.wait()
            told = [await refused(ask(cash, "checkout", early))]
            is_free.set()
            await until(lambda: len(cash.backlog) == 0)
            told.append(await refused(ask(cash, "checkout", early)))
    kept = ("LINK_BROKEN_OFF", {"result": "UNKNOWN", "kept": "yes"})
    assert [one[:2] for one in told] == [kept, kept]
    assert (fake.calls["checkout"], len(fake.forwarded)) == (0, 1)


@DIFFERENTLY_FORWARDED
async def test_a_crash_after_an_answer_states_nothing_else(
    made: pb.CheckoutRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left to do later is lost with the process; the till has its answer by then."""
    async with serving(FakeServer()) as target, cash_server(tmp_path / "spool", target) as cash:
        monkeypatch.setattr(cash.spool, "do_later", lambda work: None)
        assert (await ask(cash, "checkout", made)).result == pb.DURABLE_RESULT_COMMITTED
        assert await cash.spool.do(spool_rows.read_unsettled) == []


async def test_a_crash_after_a_refusal_states_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def before(call: str, count: int) -> None:
        raise FakeError(grpc.StatusCode.FAILED_PRECONDITION, "PRICE_WOULD_RISE")

    fake = FakeServer(faults=Faults(before=before))
    async with serving(fake) as target, cash_server(tmp_path / "spool", target) as cash:
        monkeypatch.setattr(cash.spool, "do_later", lambda work: None)
        with pytest.raises(RefusedError):
            await ask(cash, "checkout", said_beforehand(1))
        assert await cash.spool.do(spool_rows.read_unsettled) == []


async def test_an_answer_that_the_spool_would_contradict_is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk gets full while the server answers: the till is told what will be forwarded."""

    async def full(work: object) -> None:
        raise SpoolError("full")

    def before(call: str, count: int) -> None:
        if call == "checkout":
            monkeypatch.setattr(cash.spool, "do", full)

    fake = FakeServer(faults=Faults(before=before))
    async with serving(fake) as target, cash_server(tmp_path / "spool", target) as cash:
        reason, metadata, _ = await refused(ask(cash, "checkout", said_beforehand(1)))
        assert (reason, metadata) == ("LINK_BROKEN_OFF", {"result": "UNKNOWN", "kept": "yes"})
        monkeypatch.undo()
        await until(lambda: len(fake.forwarded) == 1)
    assert fake.forwarded[0].outcome == said_beforehand(1).outcome


@DIFFERENTLY_FORWARDED
async def test_what_the_disk_takes_too_late_was_answered_live(
    made: pb.CheckoutRequest, tmp_path: Path
) -> None:
    """A disk that is slow, not full: the call goes live without it, and is kept all the same."""
    fake, is_free = FakeServer(), threading.Event()
    async with serving(fake) as target, cash_server(tmp_path / "spool", target) as cash:
        cash.spool.do_later(lambda rows: is_free.wait(PATIENCE_S))
        assert (await ask(cash, "checkout", made)).result == pb.DURABLE_RESULT_COMMITTED
        is_free.set()
        async with asyncio.timeout(PATIENCE_S):
            while await cash.spool.do(spool_rows.read_unsettled):
                pass  # it is kept at first, and forgotten behind that
    assert fake.forwarded == []


async def test_the_server_is_not_told_of_an_outcome_that_is_yet_to_be(tmp_path: Path) -> None:
    heard: list[pb.CheckoutRequest] = []

    class Listening(FakeServer):
        def checkout(self, request: pb.CheckoutRequest) -> pb.CheckoutResponse:
            heard.append(request)
            return super().checkout(request)

    early = said_beforehand(1)
    async with serving(Listening()) as target, cash_server(tmp_path / "spool", target) as cash:
        sold = await ask(cash, "checkout", early)
        assert sold.result == pb.DURABLE_RESULT_COMMITTED
    assert [one.HasField("outcome") for one in heard] == [False]


async def test_a_full_disk_stops_no_sale_and_is_said(tmp_path: Path) -> None:
    """With the link up all is answered live; without it the till is told to keep what it has."""
    fake = FakeServer()
    async with serving(fake) as target:
        async with cash_server(tmp_path / "spool", target, pages_max=64) as cash:
            await fill(cash.spool)
            assert (await ask(cash, "checkout", request(1))).HasField("answer")
            assert (await ask(cash, "checkout", fact(2, kind=AS_ANSWERED))).HasField("answer")
            # Sold otherwise than any answer: only Forward can settle that, and it must be kept.
            assert (await refused(ask(cash, "checkout", fact(4))))[0] == "SPOOL_UNAVAILABLE"
    async with cash_server(tmp_path / "other", NOWHERE, pages_max=64) as cash:
        await fill(cash.spool)
        reason, metadata, _ = await refused(ask(cash, "checkout", request(3)))
        assert (reason, metadata) == ("LINK_BROKEN_OFF", {"result": "UNKNOWN", "kept": "no"})
        reason, metadata, status = await refused(ask(cash, "checkout", fact(3)))
        assert (reason, status.code) == ("SPOOL_UNAVAILABLE", 14)
        void = pb.VoidRequest(receipt_key=receipt_key(1), reason_code="X", cashier_id="c")
        assert (await refused(ask(cash, "void_receipt", void)))[0] == "SPOOL_UNAVAILABLE"


async def test_on_a_full_disk_a_fact_that_only_forward_takes_stays_with_the_till(
    tmp_path: Path,
) -> None:
    """A refusal would be the end of it, and the key is closed for a live call only."""
    fake, made = FakeServer(), fact(1, kind=AS_ANSWERED)
    fake.closed.add(made.receipt_key.SerializeToString(deterministic=True))
    async with (
        serving(fake) as target,
        cash_server(tmp_path / "spool", target, pages_max=64) as cash,
    ):
        await fill(cash.spool)
        assert (await refused(ask(cash, "checkout", made)))[0] == "SPOOL_UNAVAILABLE"


async def test_on_a_full_disk_a_void_does_not_overtake_what_waits_of_its_till(
    tmp_path: Path,
) -> None:
    """The server cannot know yet what is voided."""

    def before(call: str, count: int) -> None:
        if call == "forward":
            raise FakeError(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")

    fake = FakeServer(faults=Faults(before=before))
    void = pb.VoidRequest(receipt_key=fact(1).receipt_key, reason_code="X", cashier_id="c")
    async with (
        serving(fake) as target,
        cash_server(tmp_path / "spool", target, pages_max=64) as cash,
    ):
        await ask(cash, "checkout", fact(1))
        await fill(cash.spool)
        assert (await refused(ask(cash, "void_receipt", void)))[0] == "SPOOL_UNAVAILABLE"
    assert fake.calls["void_receipt"] == 0


async def test_on_a_full_disk_what_the_spool_would_contradict_is_not_sold_live(
    tmp_path: Path,
) -> None:
    """It was broken off and waits; then the disk is full, and it is repeated."""
    fake, port, patient = FakeServer(), free_port(), Rules(budget_s=0.5, statement_wait_s=3_600.0)
    spool, made = tmp_path / "spool", said_beforehand(1)
    async with cash_server(spool, f"127.0.0.1:{port}", patient) as cash:
        await refused(ask(cash, "checkout", made))
        await cash.spool.do(spool_rows.read_words)  # that it was broken off is written by then
        async with serving(fake, port):
            with full_disk(spool):
                reason, metadata, _ = await refused(ask(cash, "checkout", made))
    assert (reason, metadata) == ("LINK_BROKEN_OFF", {"result": "UNKNOWN", "kept": "no"})
    assert fake.calls["checkout"] == 0


async def test_ceilings_bound_requests_while_cut_off_and_never_facts(tmp_path: Path) -> None:
    rules = Rules(budget_s=0.2, ceilings=Ceilings(count=2))
    rush = RushRule(failures_max=1, pause_first_s=3_600.0, pause_max_s=3_600.0)
    async with cash_server(tmp_path / "spool", NOWHERE, rules, rush) as cash:
        for number in range(3):
            taken = await ask(cash, "checkout", fact(number))
            assert taken.result == pb.DURABLE_RESULT_SPOOLED
        # The first request finds out that the link is down; the others are not even sent.
        reasons = [await refused(ask(cash, "checkout", request(9 + n))) for n in range(2)]
    told = {"ceiling": "COUNT", "max": "2"}
    assert [reason for reason, *_ in reasons] == ["OFFLINE_CEILING", "OFFLINE_CEILING"]
    assert [{name: one[1][name] for name in told} for one in reasons] == [told, told]
    assert reasons[1][1]["result"] == "REFUSED"


async def test_in_rush_mode_nobody_is_kept_waiting(tmp_path: Path) -> None:
    """After the failures that make it, no call of a till goes out, of whatever kind."""
    fake = FakeServer(delay_s=60.0)
    rush = RushRule(failures_max=2, pause_first_s=3_600.0, pause_max_s=3_600.0)
    async with (
        serving(fake) as target,
        cash_server(tmp_path / "spool", target, Rules(budget_s=0.2), rush) as cash,
    ):
        for number in range(2):
            assert (await refused(ask(cash, "checkout", request(number))))[0] == "LINK_BROKEN_OFF"
        assert cash.health.is_rush
        heard = dict(fake.calls)
        identify = pb.IdentifyRequest(chain_id="test", store_id="s1")
        for name, one in (("checkout", request(7)), ("identify", identify)):
            reason, metadata, _ = await refused(ask(cash, name, one))
            assert (reason, metadata) == ("LINK_BROKEN_OFF", {"result": "REFUSED", "kept": "no"})
        assert (await ask(cash, "checkout", fact(8))).result == pb.DURABLE_RESULT_SPOOLED
        assert dict(fake.calls) == heard


async def test_the_text_of_the_cashiers_language_stands_first(tmp_path: Path) -> None:
    rules = Rules(budget_s=0.2, texts={"en": "by SMS", "ru": "по SMS", "kk": "SMS арқылы"})
    async with cash_server(tmp_path / "spool", NOWHERE, rules) as cash:
        made = request(1)
        made.sale.header.language_code = "ru-RU"
        *_, status = await refused(ask(cash, "checkout", made))
    locales = []
    for detail in status.details:
        text = LocalizedMessage()
        if detail.Unpack(text):
            locales.append(text.locale)
    assert locales == ["ru", "en", "kk"]


async def test_what_the_server_refuses_is_passed_on_whole(tmp_path: Path) -> None:
    def before(call: str, count: int) -> None:
        raise FakeError(grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED", "sale.lines")

    async with (
        serving(FakeServer(faults=Faults(before=before))) as target,
        cash_server(tmp_path / "spool", target) as cash,
    ):
        with pytest.raises(RefusedError) as error:
            await ask(cash, "checkout", request(1))
        expected = FakeError(grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED", "sale.lines")
        assert error.value.status == expected.status
        assert await cash.spool.do(spool_rows.read_unsettled) == []


async def test_a_training_sale_leaves_nothing(tmp_path: Path) -> None:
    async with cash_server(tmp_path / "spool", NOWHERE) as cash:
        made = fact(1)
        made.sale.header.mode = receipt_pb2.SALE_MODE_TRAINING
        assert (await refused(ask(cash, "checkout", made)))[0] == "LINK_BROKEN_OFF"
        assert await cash.spool.do(spool_rows.read_unsettled) == []


async def test_a_key_that_another_broke_off_takes_its_fact_forwarded(tmp_path: Path) -> None:
    """The server refuses the closed sale because its key is closed: the spool forwards it."""
    fake = FakeServer()
    async with serving(fake) as target, cash_server(tmp_path / "spool", target) as cash:
        made = fact(1, kind=AS_ANSWERED)
        fake.closed.add(made.receipt_key.SerializeToString(deterministic=True))
        assert (await ask(cash, "checkout", made)).result == pb.DURABLE_RESULT_SPOOLED
        await until(lambda: len(fake.forwarded) == 1)


async def test_the_clock_of_a_till_goes_with_its_receipt(tmp_path: Path) -> None:
    """Sold at, and the offset, are of the till's clock, which is an hour ahead of ours."""
    fake, hour_us = FakeServer(), 3_600_000_000
    async with serving(fake) as target, cash_server(tmp_path / "spool", target) as cash:
        now_us = cash.clock()
        until_s = asyncio.get_running_loop().time() + PATIENCE_S
        await cash.relay.answer(Call("checkout", fact(1), until_s, now_us + hour_us))
        await until(lambda: len(fake.forwarded) == 1)
    (sent,) = fake.forwarded
    assert abs(sent.sold_at_us - now_us - hour_us) < 60_000_000
    assert abs(sent.clock_offset_us + hour_us) < 60_000_000
    assert abs(sent.sold_at_us + sent.clock_offset_us - now_us) < 60_000_000


@pytest.mark.parametrize("step_us", [3_600_000_000, -3_600_000_000])
async def test_a_clock_of_ours_that_is_set_moves_no_sale(
    step_us: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact came before, a fact comes after; the server's clock is asked after all that."""
    fake, port, real_ns = FakeServer(), free_port(), time.time_ns
    async with cash_server(tmp_path / "spool", f"127.0.0.1:{port}") as cash:
        until_s = asyncio.get_running_loop().time() + PATIENCE_S
        sold_us = real_ns() // 1_000
        await cash.relay.answer(Call("checkout", fact(1), until_s, sold_us))
        monkeypatch.setattr(time, "time_ns", lambda: real_ns() + 1_000 * step_us)
        await ask(cash, "checkout", fact(2))
        cash.offset.add(Sample(cash.clock(), real_ns() // 1_000, cash.clock()))
        async with serving(fake, port):
            await until(lambda: len(fake.forwarded) == 2 and not len(cash.backlog))
    sold = [one.sold_at_us + one.clock_offset_us - sold_us for one in fake.forwarded]
    assert [abs(one) < 60_000_000 for one in sold] == [True, True]


@pytest.mark.parametrize("is_asked_first", [True, False], ids=["asked first", "forwarded first"])
@pytest.mark.parametrize("step_us", [3_600_000_000, -3_600_000_000])
async def test_a_clock_of_ours_that_is_set_between_two_runs_moves_no_sale(
    step_us: int, is_asked_first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run had seen the server's clock; of the second one's nothing can be told."""
    fake, port, real_ns = FakeServer(), free_port(), time.time_ns
    shown_ns = [0, 2_000 * step_us, 1_000 * step_us]
    sold_us = real_ns() // 1_000
    for number, shift_ns in enumerate(shown_ns, 1):
        monkeypatch.setattr(time, "time_ns", lambda ns=shift_ns: real_ns() + ns)
        async with cash_server(tmp_path / "spool", f"127.0.0.1:{port}") as cash:
            await ask(cash, "checkout", fact(number))
            if number == 1 or (number == len(shown_ns) and is_asked_first):
                cash.offset.add(Sample(cash.clock(), real_ns() // 1_000, cash.clock()))
            if number < len(shown_ns):
                await tell(cash)
                continue
            async with serving(fake, port):
                await until(lambda: len(fake.forwarded) == len(shown_ns))
    sold = {
        one.receipt_key.receipt_number: one.sold_at_us + one.clock_offset_us - sold_us
        for one in fake.forwarded
    }
    assert abs(sold["1"]) < 60_000_000
    assert abs(sold["3"]) < 60_000_000 or not is_asked_first


async def test_a_till_may_forward_by_itself(tmp_path: Path) -> None:
    """It was cut off from the cash server: its own instant stands, the offset is measured here."""
    fake = FakeServer()
    said = fact(1)
    own = pb.ForwardRequest(
        receipt_key=said.receipt_key,
        sale=said.sale,
        outcome=said.outcome,
        sold_at_us=1_790_000_000_000_000,
        clock_offset_us=-99,
    )
    async with serving(fake) as target, cash_server(tmp_path / "spool", target) as cash:
        for _ in range(2):
            assert (await ask(cash, "forward", own)).result == pb.DURABLE_RESULT_SPOOLED
        await until(lambda: len(cash.backlog) == 0)
    (sent,) = fake.forwarded
    own.clock_offset_us = 0
    assert sent == own


async def test_what_cannot_be_kept_for_want_of_a_key_is_refused(tmp_path: Path) -> None:
    async with cash_server(tmp_path / "spool", NOWHERE) as cash:
        reason, metadata, _ = await refused(ask(cash, "checkout", pb.CheckoutRequest(closed=True)))
    assert (reason, metadata) == ("FIELD_REQUIRED", {"result": "REFUSED"})
