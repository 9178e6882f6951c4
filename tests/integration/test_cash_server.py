"""Goal: through a cash server a till is answered live, or told in time how to go on.

Method: a real server, a proxy that makes the link as bad as a test wants, a real cash server.
"""

import asyncio
import json
import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import LocalizedMessage
from grpc_status import rpc_status
from typer.testing import CliRunner

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from pos_sim.__main__ import app
from pos_sim.faults.proxy import FAIR, Weather
from pos_sim.refusal import RefusedError
from pos_sim.session_link import SessionLink
from tests import pg
from tests.cash_serving import QUICK, CashProcess, cash_serving, proxying
from tests.serving import (
    ServerProcess,
    checkout_request,
    reason_of,
    receipt_key,
    serving,
    wait_until,
)

TILL_TIMEOUT_S = 10.0
PATIENT = ("--budget-ms", "20000")
"""For what must be answered live, however busy the machine is."""


@pytest.fixture(scope="module")
def server(
    pg_server_dsn: str, seeded_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The target of a server that most tests share; each sells under numbers of its own."""
    dsn = pg.create_database(pg_server_dsn, template=seeded_template)
    process = ServerProcess({"LOYALTY_DSN": dsn}, tmp_path_factory.mktemp("server") / "log")
    yield process.target
    process.kill()
    pg.drop_database(dsn)


def closed(number: int, kind: int = receipt_pb2.OUTCOME_KIND_PLAIN) -> pb.CheckoutRequest:
    """The same sale as a fact, with what the till did."""
    request = checkout_request(number, closed=True)
    request.outcome.kind, request.outcome.number = kind, 1  # type: ignore[assignment]
    return request


def refusal(stub: Any, call: str, request: Any) -> tuple[str, dict[str, str]]:
    """Why a call is refused, and its metadata."""
    with pytest.raises(grpc.RpcError) as refused:
        getattr(stub, call)(request, timeout=TILL_TIMEOUT_S)
    _, reason, metadata = reason_of(refused.value)
    return reason, metadata


def sell(till: Any, request: pb.CheckoutRequest) -> pb.CheckoutResponse:
    """Sell live, as a till insists that has the patience."""
    for _ in range(20):
        try:
            made: pb.CheckoutResponse = till.Checkout(request, timeout=TILL_TIMEOUT_S)
        except grpc.RpcError as error:
            if reason_of(error)[1] != "LINK_BROKEN_OFF":
                raise
        else:
            return made
    raise AssertionError("never answered")


def depth(cash: CashProcess) -> int:
    """How much waits in its spool."""
    return cash.status().depth


def test_live_calls_pass_and_leave_nothing(server: str, log_dir: Path) -> None:
    """What the server answers and refuses reaches the till as it is; the spool is empty again."""
    with (
        cash_serving([server], log_dir / "spool", *PATIENT) as cash,
        grpc.insecure_channel(cash.target) as near,
        grpc.insecure_channel(server) as far,
    ):
        till, home = cash.stub(near), cash.stub(far)
        sold = till.Checkout(checkout_request(101), timeout=TILL_TIMEOUT_S)
        found = home.GetReceipt(pb.GetReceiptRequest(receipt_key=receipt_key(101)))
        assert found.checkout.SerializeToString() == sold.SerializeToString()
        assert till.Checkout(checkout_request(101), timeout=TILL_TIMEOUT_S) == sold
        reason, metadata = refusal(till, "Checkout", checkout_request(101, card="card1"))
        assert (reason, metadata["result"]) == ("KEY_CONFLICT", "REFUSED")
        wait_until(lambda: depth(cash) == 0, "an empty spool")
        assert cash.stop() == 0


def test_an_answer_that_is_lost_is_found_again(server: str, log_dir: Path) -> None:
    """The server commits, the till hears nothing: it is told to go on; the commit is noticed."""
    with (
        proxying(server) as proxy,
        cash_serving([proxy.target], log_dir / "spool", *QUICK) as cash,
        grpc.insecure_channel(cash.target) as near,
        grpc.insecure_channel(server) as far,
    ):
        till, home = cash.stub(near), cash.stub(far)
        sell(till, checkout_request(201))
        proxy.change(Weather(holds_down=True))
        with pytest.raises(grpc.RpcError) as refused:
            till.Checkout(checkout_request(202), timeout=2.25)
        code, reason, metadata = reason_of(refused.value)
        assert (code, reason) == (grpc.StatusCode.ABORTED, "LINK_BROKEN_OFF")
        assert metadata == {"result": "UNKNOWN", "kept": "yes"}
        assert texts_of(refused.value)[0][0] == "ru"
        found = home.GetReceipt(pb.GetReceiptRequest(receipt_key=receipt_key(202)))
        assert found.state == pb.RECEIPT_STATE_COMMITTED
        proxy.change(FAIR, is_reset=True)
        wait_until(lambda: cash.status().by_state == {"COMMITTED": 1}, "the commit")
        # The customer has paid the plain price: that supersedes what the server had committed.
        taken = till.Checkout(closed(202), timeout=TILL_TIMEOUT_S)
        assert taken.result == pb.DURABLE_RESULT_SPOOLED
        wait_until(lambda: cash.status().by_state == {"STATED": 1, "FORWARDED": 1}, "the end")
        assert cash.status().tally["superseded"] == 1
        (statement,) = home.GetReceipt(
            pb.GetReceiptRequest(receipt_key=receipt_key(202))
        ).statements
        assert statement.outcome == closed(202).outcome


def texts_of(error: grpc.RpcError) -> list[tuple[str, str]]:
    """What to print, by language."""
    call: Any = error
    status = rpc_status.from_call(call)
    assert status is not None
    found = []
    for detail in status.details:
        text = LocalizedMessage()
        if detail.Unpack(text):
            found.append((text.locale, text.message))
    return found


def test_a_request_that_never_arrived_is_fenced(server: str, log_dir: Path) -> None:
    """Half-open on the way there: later the key is closed, so that nothing late sells it."""
    with (
        proxying(server) as proxy,
        cash_serving([proxy.target], log_dir / "spool", *QUICK) as cash,
        grpc.insecure_channel(cash.target) as near,
    ):
        till = cash.stub(near)
        sell(till, checkout_request(301))
        proxy.change(Weather(holds_up=True))
        reason, metadata = refusal(till, "Checkout", checkout_request(302))
        assert (reason, metadata["kept"]) == ("LINK_BROKEN_OFF", "yes")
        proxy.change(FAIR, is_reset=True)
        wait_until(lambda: cash.status().by_state == {"FENCED": 1}, "the fence")
        reason, _ = refusal(till, "Checkout", checkout_request(302))
        assert reason == "LINK_BROKEN_OFF"
        with grpc.insecure_channel(server) as far:
            reason, _ = refusal(cash.stub(far), "Checkout", checkout_request(302))
        assert reason == "BROKEN_OFF"


def test_rush_mode_keeps_the_lane_moving(server: str, log_dir: Path) -> None:
    """With the link down nobody waits; facts are taken; afterwards it is live again."""
    with (
        proxying(server) as proxy,
        cash_serving([proxy.target], log_dir / "spool", *QUICK) as cash,
        grpc.insecure_channel(cash.target) as near,
    ):
        till = cash.stub(near)
        proxy.change(Weather(is_cut=True))
        quote = pb.QuoteRequest(basket_id=bytes(16), sale=checkout_request(402).sale)
        wait_until(lambda: refusal(till, "Quote", quote)[1]["result"] == "REFUSED", "rush mode")
        wait_until(lambda: cash.status().words.get("link") == "rush", "its status")
        assert refusal(till, "Checkout", checkout_request(402))[1] == {
            "result": "REFUSED",
            "kept": "no",
        }
        taken = till.Checkout(closed(402), timeout=TILL_TIMEOUT_S)
        assert taken.result == pb.DURABLE_RESULT_SPOOLED
        assert [text.place for text in taken.answer.texts] == [answer_pb2.TEXT_PLACE_SLIP]
        assert till.Checkout(closed(402), timeout=TILL_TIMEOUT_S) == taken
        assert depth(cash) == 1
        proxy.change(FAIR)
        wait_until(lambda: cash.status().words["link"] == "up", "the link")
        wait_until(lambda: cash.status().by_state == {"FORWARDED": 1}, "the fact")
        with pytest.raises(grpc.RpcError) as refused:
            till.Checkout(checkout_request(402), timeout=TILL_TIMEOUT_S)
        assert reason_of(refused.value)[1] == "LINK_BROKEN_OFF"
        assert till.Checkout(closed(402), timeout=TILL_TIMEOUT_S) == taken
        sold = sell(till, checkout_request(403))
        assert sold.result == pb.DURABLE_RESULT_COMMITTED


def test_kill_9_forgets_no_fact(server: str, log_dir: Path) -> None:
    """What was taken is there after a crash, once, however often the till has sent it."""
    with (
        proxying(server) as proxy,
        cash_serving([proxy.target], log_dir / "spool", *QUICK) as cash,
    ):
        proxy.change(Weather(is_cut=True))
        with grpc.insecure_channel(cash.target) as near:
            till = cash.stub(near)
            for number in range(500, 505):
                till.Checkout(closed(number), timeout=TILL_TIMEOUT_S)
            till.Checkout(closed(504), timeout=TILL_TIMEOUT_S)
        cash.kill()
        assert depth(cash) == 5
        with cash_serving([proxy.target], log_dir / "spool", *QUICK) as again:
            assert depth(again) == 5
            with grpc.insecure_channel(again.target) as near:
                taken = again.stub(near).Checkout(closed(503), timeout=TILL_TIMEOUT_S)
            assert taken.result == pb.DURABLE_RESULT_SPOOLED
            assert depth(again) == 5
            proxy.change(FAIR)
            wait_until(lambda: again.status().by_state == {"FORWARDED": 5}, "all of them")
        with grpc.insecure_channel(server) as far:
            for number in range(500, 505):
                asked = pb.GetReceiptRequest(receipt_key=receipt_key(number))
                found = cash.stub(far).GetReceipt(asked)
                assert found.state == pb.RECEIPT_STATE_COMMITTED


def test_it_starts_on_a_full_disk_with_a_call_under_way(server: str, log_dir: Path) -> None:
    """What is live is answered, what must be kept refused, what waits goes; then there is room."""
    spool, fact = log_dir / "spool", closed(551, receipt_pb2.OUTCOME_KIND_AS_ANSWERED)
    with (
        proxying(server) as proxy,
        cash_serving([proxy.target], spool, *QUICK, *PATIENT) as cash,
        grpc.insecure_channel(cash.target) as near,
    ):
        sell(cash.stub(near), checkout_request(550))
        wait_until(lambda: depth(cash) == 0, "an empty spool")
        proxy.change(Weather(holds_up=True))
        left = cash.stub(near).Checkout.future(fact, timeout=TILL_TIMEOUT_S)
        wait_until(lambda: cash.status().by_state == {"LIVE": 1}, "a call under way")
        cash.kill()
        left.cancel()
    most = spool.with_name("spool-wal").stat().st_size
    with spool.with_suffix(".log").open("ab") as log:  # nor may what it logs take any room
        log.write(b" " * most)
    with (
        cash_serving([server], spool, *QUICK, *PATIENT, file_bytes_max=most) as cash,
        grpc.insecure_channel(cash.target) as near,
        grpc.insecure_channel(server) as far,
    ):
        till, home = cash.stub(near), cash.stub(far)
        taken = till.Checkout(fact, timeout=TILL_TIMEOUT_S)
        assert taken.result == pb.DURABLE_RESULT_SPOOLED
        sold = sell(till, checkout_request(552))
        assert sold.result == pb.DURABLE_RESULT_COMMITTED
        assert refusal(till, "Checkout", closed(553))[0] == "SPOOL_UNAVAILABLE"
        wait_until(lambda: is_sold(home, 551), "what waits")
        assert cash.status().by_state == {"LIVE": 1}
        cash.process.has_room()
        wait_until(lambda: cash.status().by_state == {"FORWARDED": 1}, "room")
        taken = till.Checkout(closed(553), timeout=TILL_TIMEOUT_S)
        assert taken.result == pb.DURABLE_RESULT_SPOOLED


def is_sold(home: Any, number: int) -> bool:
    """Whether the server has a receipt."""
    asked = pb.GetReceiptRequest(receipt_key=receipt_key(number))
    try:
        return bool(home.GetReceipt(asked).state == pb.RECEIPT_STATE_COMMITTED)
    except grpc.RpcError:
        return False


def test_a_server_that_drains_sends_its_tills_to_the_other(
    place: dict[str, str], log_dir: Path
) -> None:
    """Two servers, one is stopped in good order amid the sales: every one is answered live."""
    with (
        serving(place, log_dir, count=2) as servers,
        cash_serving([server.target for server in servers], log_dir / "spool", *PATIENT) as cash,
        ThreadPoolExecutor() as threads,
        grpc.insecure_channel(cash.target) as near,
    ):
        till = cash.stub(near)
        stopped = None
        for number in range(60):
            if number == 20:
                stopped = threads.submit(servers[0].stop)
            sold = till.Checkout(checkout_request(number), timeout=30.0)
            assert sold.result == pb.DURABLE_RESULT_COMMITTED
        assert stopped is not None
        assert stopped.result() == 0
        assert cash.status().tally == {}


async def test_tills_may_share_a_stream(server: str, log_dir: Path) -> None:
    """A session to the cash server carries the calls of many tills, refusals too."""
    with (
        cash_serving([server], log_dir / "spool", *PATIENT) as cash,
    ):
        link = SessionLink(cash.target)
        requests = [checkout_request(number) for number in range(600, 620)]
        for number, one in enumerate(requests):
            one.receipt_key.till_id = one.sale.header.till_id = f"t{number}"
        answers = await asyncio.gather(*(link.ask("checkout", one, 30_000) for one in requests))
        assert {getattr(one, "result", None) for one in answers} == {pb.DURABLE_RESULT_COMMITTED}
        with pytest.raises(RefusedError) as refused:
            await link.ask("checkout", pb.CheckoutRequest(), 30_000)
        assert refused.value.refusal.reason == "FIELD_REQUIRED"
        await link.close()


def test_status_of_a_dead_cash_server_tells_what_waits(tmp_path: Path) -> None:
    """As the operator sees it: a table, or JSON, from the file alone."""
    with cash_serving(["127.0.0.1:1"], tmp_path / "spool", *QUICK) as cash:
        with grpc.insecure_channel(cash.target) as near:
            cash.stub(near).Checkout(closed(1), timeout=TILL_TIMEOUT_S)
        cash.kill()
    status = ["cash-server", "status", "--spool"]
    told = CliRunner().invoke(app, [*status, str(tmp_path / "spool"), "--json"])
    assert json.loads(told.output)["depth"] == 1
    assert "depth" in CliRunner().invoke(app, [*status, str(tmp_path / "spool")]).output
    missing = CliRunner().invoke(app, [*status, str(tmp_path / "none")])
    assert missing.exit_code == 1


def test_noise_on_the_port_harms_nobody(server: str, log_dir: Path) -> None:
    """Bytes that are no gRPC, and gRPC that is no message: refused, and the next call is served."""
    with (
        cash_serving([server], log_dir / "spool", *PATIENT) as cash,
        grpc.insecure_channel(cash.target) as near,
    ):
        with socket.create_connection(("127.0.0.1", cash.port)) as rude, suppress(OSError):
            rude.sendall(random.Random(1).randbytes(1_000_000))
        raw: Any = near.unary_unary("/loyalty.v1.TillService/Checkout")
        with pytest.raises(grpc.RpcError) as refused:
            raw(b"\xff\xff\xffnonsense", timeout=TILL_TIMEOUT_S)
        assert reason_of(refused.value)[1] == "MALFORMED_MESSAGE"
        sold = cash.stub(near).Checkout(checkout_request(701), timeout=30.0)
        assert sold.result == pb.DURABLE_RESULT_COMMITTED
