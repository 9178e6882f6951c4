"""Goal: through a cash server a till is answered live, or told in time how to go on.

Method: a real server, a proxy that makes the link as bad as a test wants, a real cash server.
"""

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import LocalizedMessage
from grpc_status import rpc_status

from loyalty.v1 import answer_pb2, receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from pos_sim.faults.proxy import FAIR, Weather
from tests.cash_serving import QUICK, CashProcess, cash_serving, proxying
from tests.serving import checkout_request, reason_of, receipt_key, serving, wait_until

TILL_TIMEOUT_S = 10.0


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


def depth(cash: CashProcess) -> int:
    """How much waits in its spool."""
    return cash.status().depth


def test_live_calls_pass_and_leave_nothing(place: dict[str, str], log_dir: Path) -> None:
    """What the server answers and refuses reaches the till as it is; the spool is empty again."""
    with (
        serving(place, log_dir) as servers,
        cash_serving([servers[0].target], log_dir / "spool") as cash,
        grpc.insecure_channel(cash.target) as near,
        grpc.insecure_channel(servers[0].target) as far,
    ):
        till, server = cash.stub(near), cash.stub(far)
        sold = till.Checkout(checkout_request(1), timeout=TILL_TIMEOUT_S)
        found = server.GetReceipt(pb.GetReceiptRequest(receipt_key=receipt_key(1)))
        assert found.checkout.SerializeToString() == sold.SerializeToString()
        assert till.Checkout(checkout_request(1), timeout=TILL_TIMEOUT_S) == sold
        reason, metadata = refusal(till, "Checkout", checkout_request(1, card="card1"))
        assert (reason, metadata["result"]) == ("KEY_CONFLICT", "REFUSED")
        wait_until(lambda: depth(cash) == 0, "an empty spool")
        assert cash.stop() == 0


def test_an_answer_that_is_lost_is_found_again(place: dict[str, str], log_dir: Path) -> None:
    """The server commits, the till hears nothing: it is told to go on; the commit is noticed."""
    with (
        serving(place, log_dir) as servers,
        proxying(servers[0].target) as proxy,
        cash_serving([proxy.target], log_dir / "spool", *QUICK) as cash,
        grpc.insecure_channel(cash.target) as near,
        grpc.insecure_channel(servers[0].target) as far,
    ):
        till, server = cash.stub(near), cash.stub(far)
        till.Checkout(checkout_request(1), timeout=TILL_TIMEOUT_S)
        proxy.change(Weather(holds_down=True))
        with pytest.raises(grpc.RpcError) as refused:
            till.Checkout(checkout_request(2), timeout=2.25)
        code, reason, metadata = reason_of(refused.value)
        assert (code, reason) == (grpc.StatusCode.ABORTED, "LINK_BROKEN_OFF")
        assert metadata == {"result": "UNKNOWN", "kept": "yes"}
        assert texts_of(refused.value)[0][0] == "ru"
        found = server.GetReceipt(pb.GetReceiptRequest(receipt_key=receipt_key(2)))
        assert found.state == pb.RECEIPT_STATE_COMMITTED
        proxy.change(FAIR, is_reset=True)
        wait_until(lambda: cash.status().by_state == {"COMMITTED": 1}, "the commit")


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


def test_a_request_that_never_arrived_is_fenced(place: dict[str, str], log_dir: Path) -> None:
    """Half-open on the way there: later the key is closed, so that nothing late sells it."""
    with (
        serving(place, log_dir) as servers,
        proxying(servers[0].target) as proxy,
        cash_serving([proxy.target], log_dir / "spool", *QUICK) as cash,
        grpc.insecure_channel(cash.target) as near,
    ):
        till = cash.stub(near)
        till.Checkout(checkout_request(1), timeout=TILL_TIMEOUT_S)
        proxy.change(Weather(holds_up=True))
        reason, metadata = refusal(till, "Checkout", checkout_request(2))
        assert (reason, metadata["kept"]) == ("LINK_BROKEN_OFF", "yes")
        proxy.change(FAIR, is_reset=True)
        wait_until(lambda: cash.status().by_state == {"FENCED": 1}, "the fence")
        reason, _ = refusal(till, "Checkout", checkout_request(2))
        assert reason == "LINK_BROKEN_OFF"
        with grpc.insecure_channel(servers[0].target) as far:
            reason, _ = refusal(cash.stub(far), "Checkout", checkout_request(2))
        assert reason == "BROKEN_OFF"


def test_rush_mode_keeps_the_lane_moving(place: dict[str, str], log_dir: Path) -> None:
    """With the link down nobody waits; facts are taken; afterwards it is live again."""
    with (
        serving(place, log_dir) as servers,
        proxying(servers[0].target) as proxy,
        cash_serving([proxy.target], log_dir / "spool", *QUICK) as cash,
        grpc.insecure_channel(cash.target) as near,
    ):
        till = cash.stub(near)
        proxy.change(Weather(is_cut=True))
        quote = pb.QuoteRequest(basket_id=bytes(16), sale=checkout_request(2).sale)
        wait_until(lambda: refusal(till, "Quote", quote)[1]["result"] == "REFUSED", "rush mode")
        wait_until(lambda: cash.status().words.get("link") == "rush", "its status")
        assert refusal(till, "Checkout", checkout_request(2))[1] == {
            "result": "REFUSED",
            "kept": "no",
        }
        taken = till.Checkout(closed(2), timeout=TILL_TIMEOUT_S)
        assert taken.result == pb.DURABLE_RESULT_SPOOLED
        assert [text.place for text in taken.answer.texts] == [answer_pb2.TEXT_PLACE_SLIP]
        assert till.Checkout(closed(2), timeout=TILL_TIMEOUT_S) == taken
        assert depth(cash) == 1
        proxy.change(FAIR)
        wait_until(lambda: cash.status().words["link"] == "up", "the link")
        sold = till.Checkout(checkout_request(3), timeout=TILL_TIMEOUT_S)
        assert sold.result == pb.DURABLE_RESULT_COMMITTED


def test_kill_9_forgets_no_fact(place: dict[str, str], log_dir: Path) -> None:
    """What was taken is there after a crash, once, however often the till has sent it."""
    with (
        serving(place, log_dir) as servers,
        proxying(servers[0].target) as proxy,
        cash_serving([proxy.target], log_dir / "spool", *QUICK) as cash,
    ):
        proxy.change(Weather(is_cut=True))
        with grpc.insecure_channel(cash.target) as near:
            till = cash.stub(near)
            for number in range(5):
                till.Checkout(closed(number), timeout=TILL_TIMEOUT_S)
            till.Checkout(closed(4), timeout=TILL_TIMEOUT_S)
        cash.kill()
        assert depth(cash) == 5
        with cash_serving([proxy.target], log_dir / "spool", *QUICK) as again:
            assert depth(again) == 5
            with grpc.insecure_channel(again.target) as near:
                taken = again.stub(near).Checkout(closed(3), timeout=TILL_TIMEOUT_S)
            assert taken.result == pb.DURABLE_RESULT_SPOOLED
            assert depth(again) == 5
