"""Goal: what comes too early waits, what is malformed is kept apart, and neither blocks the rest.

Real servers over one database; the ledger is proved after each test.
"""

import json
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from loyalty.v1 import back_office_service_pb2 as bo
from loyalty.v1 import forward_pb2, receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from server.clock import system_clock
from server.customer_id import customer_id_of
from tests.forwarding import (
    AS_ANSWERED,
    DAY_US,
    NOT_SOLD,
    OTHER,
    PARKED,
    PLAIN,
    PROGRAM_OFFLINE,
    QUARANTINED,
    RECORDED,
    SETTLED,
    SUPERSEDED,
    UNKNOWN,
    Link,
    forward_refund,
    forward_request,
    forward_void,
)
from tests.refunding import basket, rate
from tests.serving import CHAIN, publish, reason_of, receipt_key, test_program, wait_until
from tests.starting import run


def till(link: Link, request: Any) -> pb.ForwardResponse:
    answer: pb.ForwardResponse = link.tills[0].Forward(request)
    return answer


def the_only(link: Link) -> forward_pb2.QuarantinedReceipt:
    """The entry of the quarantine that was written last; other tests are ahead by their clock."""
    found = link.sql("select quarantine_id from quarantined_receipt order by ctid desc limit 1")
    request = forward_pb2.ListQuarantinedRequest(page_size=1_000)
    listed = link.office.ListQuarantined(request).receipts
    only: forward_pb2.QuarantinedReceipt
    (only,) = [one for one in listed if one.quarantine_id == found[0][0]]
    return only


# --- parked ------------------------------------------------------------------------------------


def test_a_refund_waits_for_its_sale(link: Link) -> None:
    card = link.card()
    early = forward_refund(link.n(2), link.n(1), {"sku9": 1_000})
    assert till(link, early).state == PARKED
    assert link.state(2).state == pb.RECEIPT_STATE_PARKED
    assert link.forward(1, basket(("sku9", 3, 10_000), card=card), PLAIN).state == RECORDED
    assert link.balances(card) == {"points": 1_000}
    assert till(link, early).state == PARKED, "the first acknowledgement, for ever"
    settled = link.state(2)
    assert settled.refund.amount_minor == 10_000
    assert settled.refund.receipt_id == link.state(1).returns[0].receipt_id
    assert [one.state for one in settled.statements] == [PARKED, RECORDED]
    assert link.sql("select count(*) from parked_receipt")[0][0] == 0


def test_a_live_checkout_wakes_what_waits_for_it(link: Link) -> None:
    """The job of either server finds it."""
    card = link.card()
    assert till(link, forward_refund(link.n(2), link.n(1), {"sku9": 1_000})).state == PARKED
    link.sell(1, basket(("sku9", 3, 10_000), card=card))
    wait_until(lambda: link.balances(card) == {"points": 1_000}, "the parked refund")


def test_a_void_waits_too(link: Link) -> None:
    card = link.card()
    assert till(link, forward_void(link.n(1))).state == PARKED
    link.break_off(1)
    assert link.forward(1, basket(("sku9", 3, 10_000), card=card), PLAIN).state == RECORDED
    assert link.balances(card) == {}
    assert link.state(1).state == pb.RECEIPT_STATE_VOIDED


def test_what_waits_too_long_is_kept_apart_and_can_be_mended(link: Link) -> None:
    early = forward_refund(link.n(2), link.n(1), {"sku9": 1_000})
    assert till(link, early).state == PARKED
    link.at_day(8)

    def is_given_up() -> bool:
        return bool(link.sql("select count(*) from parked_receipt")[0][0] == 0)

    wait_until(is_given_up, "the end of waiting")
    apart = the_only(link)
    assert (apart.reason, apart.receipt_number) == ("RECEIPT_NOT_FOUND", str(link.n(2)))
    told = link.state(2)
    assert told.state == pb.RECEIPT_STATE_BROKEN_OFF
    assert [one.state for one in told.statements] == [PARKED, QUARANTINED]
    card = link.card()
    link.forward(1, basket(("sku9", 3, 10_000), card=card), PLAIN)
    assert link.balances(card) == {"points": 1_500}
    mended = forward_pb2.MendQuarantinedRequest(
        quarantine_id=apart.quarantine_id, request=early, mended_by="ann", note="the sale came"
    )
    assert link.office.MendQuarantined(mended).forwarded.state == RECORDED
    assert link.office.MendQuarantined(mended).forwarded.state == RECORDED
    assert link.balances(card) == {"points": 1_000}
    assert link.state(2).refund.amount_minor == 10_000


def test_what_was_done_after_all_and_waits_too_long_is_told_as_it_was_stated(link: Link) -> None:
    not_done = forward_refund(link.n(2), link.n(1), {"sku9": 1_000}, kind=NOT_SOLD)
    assert till(link, not_done).state == RECORDED
    assert till(link, forward_refund(link.n(2), link.n(1), {"sku9": 1_000}, stated=2)).state == (
        PARKED
    )
    link.at_day(8)
    wait_until(lambda: link.state(2).state == pb.RECEIPT_STATE_BROKEN_OFF, "the end of waiting")
    told = [(one.outcome.number, one.state) for one in link.state(2).statements]
    assert told == [(1, RECORDED), (2, PARKED), (2, QUARANTINED)]


def test_refunds_and_voids_that_are_not_early(link: Link) -> None:
    """Settled at once; once, whoever sends them again, live or forwarded."""
    card = link.card()
    made = basket(("sku9", 3, 10_000), card=card)
    link.sell(1, made)
    assert till(link, forward_refund(link.n(2), link.n(1), {"sku9": 1_000})).state == RECORDED
    assert link.balances(card) == {"points": 1_000}
    live = link.refund(3, 1, {"sku9": 1_000})
    assert till(link, forward_refund(link.n(3), link.n(1), {"sku9": 1_000})).state == SETTLED
    assert link.state(3).refund == live
    request = pb.RefundRequest()
    request.CopyFrom(forward_refund(link.n(2), link.n(1), {"sku9": 1_000}).refund)
    assert link.refused(link.tills[1].Refund, request)[0] == "FORWARDED"
    other = forward_refund(link.n(3), link.n(1), {"sku9": 2_000})
    assert (till(link, other).state, till(link, other).reason) == (QUARANTINED, "KEY_CONFLICT")
    not_done = forward_refund(link.n(4), link.n(1), {"sku9": 1_000}, kind=NOT_SOLD)
    assert till(link, not_done).state == RECORDED
    assert link.balances(card) == {"points": 500}
    assert till(link, forward_refund(link.n(5), link.n(1), {"sku9": 3_000})).state == RECORDED
    assert link.state(5).refund.amount_minor == 10_000, "never more than was sold"
    assert till(link, forward_void(link.n(1))).state == RECORDED
    assert till(link, forward_void(link.n(1))).state == RECORDED
    assert till(link, forward_void(link.n(1), stated=2)).state == SETTLED
    assert link.balances(card) == {}


@pytest.mark.parametrize("is_void", [False, True])
def test_what_waits_and_was_not_done_after_all_is_never_settled(link: Link, is_void: bool) -> None:
    card = link.card()
    made = basket(("sku9", 2, 10_000), card=card)

    def early(**changes: Any) -> pb.ForwardResponse:
        if is_void:
            return till(link, forward_void(link.n(1), **changes))
        return till(link, forward_refund(link.n(2), link.n(1), {"sku9": 1_000}, **changes))

    assert early().state == PARKED
    assert early(kind=NOT_SOLD, stated=2).state == SUPERSEDED
    assert early(kind=NOT_SOLD, stated=2).state == SUPERSEDED, "the same to every repetition"
    assert early().state == PARKED
    assert link.forward(1, made, AS_ANSWERED).state == RECORDED
    assert link.balances(card) == {"points": 1_000}
    assert link.state(1).state == pb.RECEIPT_STATE_COMMITTED
    if not is_void:
        assert link.state(2).state == pb.RECEIPT_STATE_NOT_SOLD


class Back:
    """A refund of half a sale, or its void, and what of the sale's 1,000 points is left then."""

    def __init__(self, link: Link, *, is_void: bool) -> None:
        self._link = link
        self._is_void = is_void
        self._card = link.card()
        self.left = {} if is_void else {"points": 500}

    def sell(self) -> None:
        made = basket(("sku9", 2, 10_000), card=self._card)
        assert self._link.forward(1, made, AS_ANSWERED).state == RECORDED

    def state(self, kind: Any, stated: int) -> int:
        link, named = self._link, {"kind": kind, "stated": stated}
        if self._is_void:
            return till(link, forward_void(link.n(1), **named)).state
        return till(link, forward_refund(link.n(2), link.n(1), {"sku9": 1_000}, **named)).state

    def owned(self) -> dict[str, int]:
        return self._link.balances(self._card)


@pytest.fixture(params=[False, True], ids=["refund", "void"])
def back(link: Link, request: pytest.FixtureRequest) -> Back:
    """Of each a test."""
    return Back(link, is_void=request.param)


@pytest.mark.parametrize(("first", "second"), [((NOT_SOLD, 1), 2), ((UNKNOWN, 3), 2)])
def test_what_was_not_done_and_was_after_all_is_settled(
    back: Back, first: tuple[Any, int], second: int
) -> None:
    """As a sale is; what is settled stays."""
    back.sell()
    assert back.state(*first) == RECORDED
    assert back.owned() == {"points": 1_000}
    for _ in range(2):
        assert back.state(AS_ANSWERED, second) == SUPERSEDED
        assert back.owned() == back.left
    assert back.state(NOT_SOLD, 4) == SETTLED
    assert back.state(*first) == RECORDED
    assert back.owned() == back.left


def test_what_nobody_knew_and_was_not_done_stays_so(back: Back) -> None:
    """Not by a lower number either, which was on its way when that was said."""
    back.sell()
    for kind, stated, state in (
        (UNKNOWN, 1, RECORDED),
        (UNKNOWN, 2, SETTLED),
        (NOT_SOLD, 4, SUPERSEDED),
        (AS_ANSWERED, 3, SETTLED),
        (NOT_SOLD, 3, SETTLED),
    ):
        assert back.state(kind, stated) == state
    assert back.owned() == {"points": 1_000}


def test_what_was_done_after_all_waits_for_its_sale(back: Back) -> None:
    assert back.state(NOT_SOLD, 1) == RECORDED
    assert back.state(AS_ANSWERED, 2) == PARKED
    back.sell()
    assert back.owned() == back.left
    assert back.state(AS_ANSWERED, 2) == PARKED, "the first acknowledgement, for ever"


# --- quarantine --------------------------------------------------------------------------------


def changed(link: Link, change: str) -> Any:
    """A forwarded receipt with one mistake."""
    made = basket(("sku9", 1, 10_000), card="card2")
    request = forward_request(link.n(9), made, PLAIN)
    sale, day_us = request.sale, DAY_US
    match change:
        case "no key":
            request.ClearField("receipt_key")
        case "no outcome":
            request.ClearField("outcome")
        case "nothing":
            request.ClearField("sale")
        case "totals":
            sale.header.control_totals.amount_minor += 1
        case "till":
            sale.header.till_id = "another"
        case "store":
            sale.header.store_id = request.receipt_key.store_id = "nowhere"
        case "NUL":
            sale.lines[0].sku = "a\x00b"
        case "currency":
            sale.header.currency_code = "EUR"
        case "future":
            request.sold_at_us += day_us
        case "clock":
            request.clock_offset_us = 3 * 3_600 * 1_000_000
        case "old":
            request.sold_at_us -= 31 * day_us
        case "enquiry":
            tender = sale.tenders.add(kind=receipt_pb2.TENDER_KIND_GIFT_CARD, amount_minor=1)
            tender.state = receipt_pb2.TENDER_STATE_PAID
            tender.gift_card_id = "C-1"
            tender.gift_card_operation = receipt_pb2.GIFT_CARD_OPERATION_BALANCE
        case "line":
            request.outcome.kind = OTHER
            request.outcome.lines.add(line_id="none", amount_minor=1)
    return request


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("no key", "FIELD_REQUIRED"),
        ("no outcome", "FIELD_REQUIRED"),
        ("nothing", "FIELD_REQUIRED"),
        ("totals", "CONTROL_TOTALS_MISMATCH"),
        ("till", "INCONSISTENT"),
        ("store", "UNKNOWN_STORE"),
        ("NUL", "BAD_TEXT"),
        ("currency", "CURRENCY_MISMATCH"),
        ("future", "INSTANT_NOT_ACCEPTED"),
        ("clock", "INSTANT_NOT_ACCEPTED"),
        ("old", "INSTANT_NOT_ACCEPTED"),
        ("line", "INCONSISTENT"),
        ("enquiry", "INCONSISTENT"),
    ],
)
def test_each_mistake_is_kept_with_its_reason(link: Link, change: str, reason: str) -> None:
    request = changed(link, change)
    rows = link.rows()
    answer = till(link, request)
    assert (answer.result, answer.state, answer.reason) == (
        pb.DURABLE_RESULT_COMMITTED,
        QUARANTINED,
        reason,
    )
    assert till(link, request) == answer
    assert [after - before for before, after in zip(rows, link.rows(), strict=True)] == [
        1, 0, 0, 0, 0, 0,
    ]  # fmt: skip
    found = link.office.GetQuarantined(
        forward_pb2.GetQuarantinedRequest(quarantine_id=the_only(link).quarantine_id)
    )
    assert found.receipt.reason == reason
    kept = found.request.SerializeToString()
    assert b"card2" not in kept, "no value of an identifier is kept"


def test_it_is_mended_with_its_customer_or_dropped(link: Link) -> None:
    """The corrected receipt may keep the hash of its identifier."""
    card = link.card()
    request = forward_request(link.n(1), basket(("sku9", 1, 10_000), card=card), PLAIN)
    request.sale.header.control_totals.amount_minor += 1
    assert till(link, request).state == QUARANTINED
    apart = the_only(link)
    body = link.office.GetQuarantined(
        forward_pb2.GetQuarantinedRequest(quarantine_id=apart.quarantine_id)
    ).request
    mended = forward_pb2.MendQuarantinedRequest(
        quarantine_id=apart.quarantine_id, request=body, mended_by="ann", note="a wrong total"
    )
    assert link.refused(link.office.MendQuarantined, mended)[0] == "CONTROL_TOTALS_MISMATCH"
    assert the_only(link) == apart, "a correction that is wrong too changes nothing"
    mended.request.sale.header.control_totals.amount_minor -= 1
    done = link.office.MendQuarantined(mended)
    assert (done.forwarded.state, done.receipt.state) == (RECORDED, 2)
    assert link.office.MendQuarantined(mended) == done
    assert link.balances(card) == {"points": 500}
    drop = forward_pb2.DropQuarantinedRequest(
        quarantine_id=apart.quarantine_id, dropped_by="bob", note="no"
    )
    reason, metadata = link.refused(link.office.DropQuarantined, drop)
    assert (reason, metadata["state"]) == ("QUARANTINE_STATE", "MENDED")
    assert till(link, changed(link, "NUL")).state == QUARANTINED
    drop.quarantine_id = the_only(link).quarantine_id
    dropped = link.office.DropQuarantined(drop).receipt
    assert (dropped.changed_by, dropped.note, dropped.state) == ("bob", "no", 3)
    drop.quarantine_id = bytes(16)
    assert link.refused(link.office.DropQuarantined, drop)[0] == "QUARANTINED_NOT_FOUND"


def test_a_stream_goes_on_past_what_is_malformed(link: Link) -> None:
    """Noise inside a good frame, a bad receipt and a good one on one Session."""
    good = forward_request(link.n(2), basket(("sku9", 1, 10_000)), PLAIN)
    noise = pb.ForwardRequest()
    noise.ParseFromString(b"\xfa\x7f\x04good")
    calls = [
        pb.SessionRequest(correlation_id=n, timeout_ms=20_000, forward=request)
        for n, request in enumerate((changed(link, "NUL"), noise, good), start=1)
    ]
    with grpc.insecure_channel(link.targets[1]) as channel:
        stream: Any = channel.stream_stream("/loyalty.v1.TillService/Session")
        frames = [call.SerializeToString() for call in calls]
        frames.insert(1, b"\xff" * 10_000)
        answers = [pb.SessionResponse.FromString(one) for one in stream(iter(frames))]
    states = {one.correlation_id: one.forward.state for one in answers if one.correlation_id}
    assert states == {1: QUARANTINED, 2: QUARANTINED, 3: RECORDED}
    assert len(answers) == 4


TEN_MEGABYTES = 10 * 1024 * 1024


def test_ten_megabytes_of_noise_on_the_port(link: Link) -> None:
    """Beside a stream, and as a message of it: what is forwarded before and behind is recorded."""
    card, drawn = link.card(), random.Random(1)
    sales = [forward_request(link.n(n), basket(("sku9", 1, 10_000), card=card)) for n in (1, 2)]
    rude = threading.Event()

    def frames() -> Iterator[bytes]:
        calls = [
            pb.SessionRequest(correlation_id=1, timeout_ms=20_000, forward=one) for one in sales
        ]
        yield calls[0].SerializeToString()
        yield b"\xff" + drawn.randbytes(TEN_MEGABYTES)
        assert rude.wait(30.0)
        yield calls[1].SerializeToString()

    with grpc.insecure_channel(link.targets[1]) as channel:
        stream: Any = channel.stream_stream("/loyalty.v1.TillService/Session")
        answers = stream(frames())
        first = pb.SessionResponse.FromString(next(answers))
        host, _, port = link.targets[1].partition(":")
        with socket.create_connection((host, int(port))) as other, suppress(OSError):
            other.sendall(random.Random(2).randbytes(TEN_MEGABYTES))
        rude.set()
        refused, last = [pb.SessionResponse.FromString(one) for one in answers]
    assert (first.forward.state, last.forward.state) == (RECORDED, RECORDED)
    assert (refused.correlation_id, refused.status.message) == (
        0,
        "the bytes are no SessionRequest",
    )
    assert link.balances(card) == {"points": 1_000}


# --- the rules of the sale ---------------------------------------------------------------------


def test_the_instant_is_corrected_by_what_the_cash_server_measured(link: Link) -> None:
    """A till an hour behind: what it says is an hour old is of now."""
    hour_us = 3_600 * 1_000_000
    request = forward_request(link.n(1), basket(("sku9", 1, 10_000)), PLAIN)
    request.sold_at_us -= hour_us
    request.clock_offset_us = hour_us
    assert till(link, request).state == RECORDED
    late_us = link.sql("select late_us from link_event order by ctid desc limit 1")[0][0]
    assert late_us < hour_us
    told = link.state(1).statements[0]
    assert (told.sold_at_us, told.clock_offset_us) == (request.sold_at_us, hour_us)


def test_days_late_and_out_of_order(link: Link) -> None:
    card = link.card()
    now_us = system_clock()
    link.at_day(5)
    for number, day in ((3, 3), (1, 0), (2, 2)):
        made = basket(("sku9", 1, 10_000), card=card)
        sold_at_us = now_us + day * DAY_US
        assert link.forward(number, made, PLAIN, sold_at_us=sold_at_us).state == RECORDED
    assert link.balances(card) == {"points": 1_500}
    days = link.sql(
        "select count(distinct effective_at_us) from posting where account_id = $1",
        customer_id_of(CHAIN, card),
    )
    assert days[0][0] == 3


# --- the report --------------------------------------------------------------------------------


def test_the_report_counts_each_thing_once(link: Link, tmp_path: Path) -> None:
    today = datetime.now(UTC).date().isoformat()
    request = forward_pb2.GetForwardReportRequest(from_date=today, to_date=today)
    before = link.office.GetForwardReport(request)
    made = basket(("sku9", 1, 10_000))
    link.sell(1, made)
    link.break_off(2)
    link.forward(2, made, PLAIN)
    link.forward(2, made, PLAIN)
    link.forward(1, made, PLAIN)
    till(link, changed(link, "totals"))
    till(link, forward_refund(link.n(4), link.n(5), {"sku9": 1_000}))
    link.forward(5, made, AS_ANSWERED)
    after = link.office.GetForwardReport(request)
    names = ("live", "broken_off", "forwarded", "superseded", "quarantined", "parked", "unparked")
    grown = {name: getattr(after, name) - getattr(before, name) for name in names}
    assert grown == {
        "live": 1,
        "broken_off": 1,
        "forwarded": 2,
        "superseded": 1,
        "quarantined": 1,
        "parked": 1,
        "unparked": 1,
    }
    assert after.quarantined_now == before.quarantined_now + 1
    assert after.lateness.receipts == before.lateness.receipts + 4
    assert 0 < after.lateness.p50_us <= after.lateness.max_us
    out = ctl(link, "forward", "report")
    assert "recorded by Forward" in out
    shown = json.loads(ctl(link, "forward", "report", "--json"))
    assert int(shown["forwarded"]) == after.forwarded
    listed = json.loads(ctl(link, "quarantine", "list", "--json"))["receipts"]
    newest = the_only(link).quarantine_id.hex()
    assert newest in [one["quarantine_id"] for one in listed]
    body = json.loads(ctl(link, "quarantine", "show", newest))
    body["request"]["sale"]["header"]["control_totals"]["amount_minor"] = "10000"
    path = tmp_path / "mended.json"
    path.write_text(json.dumps(body))
    ctl(link, "quarantine", "mend", newest, str(path), "--by", "ann", "--note", "a typo")
    assert newest not in ctl(link, "quarantine", "list", "--json")
    assert newest in ctl(link, "quarantine", "list", "--json", "--all")


@pytest.mark.parametrize("day", ["2026-02-30", "2026-W09-1", "26-02-2026", "2026/02/01"])
def test_a_report_is_of_days_that_exist_as_the_contract_spells_them(link: Link, day: str) -> None:
    link.sell(1, basket(("sku9", 1, 10_000)))
    request = forward_pb2.GetForwardReportRequest(from_date=day, to_date="2026-03-01")
    with pytest.raises(grpc.RpcError) as refused:
        link.office.GetForwardReport(request)
    assert reason_of(refused.value)[1] == "INCONSISTENT"


def ctl(link: Link, *words: str) -> str:
    done = run("server.ctl", *words, "--target", link.targets[0])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_audit_knows_statements(link: Link) -> None:
    link.forward(1, basket(("sku9", 1, 10_000)), PLAIN)

    def audit() -> bo.AuditLedgerResponse:
        found: bo.AuditLedgerResponse = link.office.AuditLedger(bo.AuditLedgerRequest())
        return found

    before = audit()
    assert before.balanced
    assert before.statements == link.sql("select count(*) from receipt_statement")[0][0]
    for table, change, back in (
        ("receipt_statement", "base_day = base_day + 1", "base_day = base_day - 1"),
        ("receipt_statement", "ordinal = ordinal + 5", "ordinal = ordinal - 5"),
    ):
        link.sql(f"update {table} set {change}")
        found = audit()
        assert (found.balanced, len(found.problems)) == (False, before.statements)
        link.sql(f"update {table} set {back}")
    assert audit().balanced


def test_a_key_that_a_refund_has_used_is_no_sale(link: Link) -> None:
    link.sell(1, basket(("sku9", 1, 10_000)))
    link.refund(2, 1, {"sku9": 1_000})
    answer = link.forward(2, basket(("sku9", 1, 10_000)), PLAIN)
    assert (answer.state, answer.reason) == (QUARANTINED, "KEY_CONFLICT")
    assert link.forward(1, basket(("sku9", 1, 10_000)), PLAIN).state == SUPERSEDED
    request = pb.GetReceiptRequest(receipt_key=receipt_key(link.n(3)))
    assert link.refused(link.tills[0].GetReceipt, request)[0] == "RECEIPT_NOT_FOUND"


def test_the_rules_of_the_sale_whatever_was_published_since(link: Link) -> None:
    """The last of the file: it puts another program in force, under which nothing is off."""
    made = basket(("sku1", 1, 10_000), card=link.card())
    sold_at_us = system_clock()
    request = pb.QuoteRequest(basket_id=link.n(4).to_bytes(16, "big"), sale=made)
    token = link.tills[0].Quote(request).token
    changed = {**PROGRAM_OFFLINE, "promotions": [rate("points-5", "bonus")]}
    publish(link.office, test_program(**changed), link.clock)
    link.at_day(2)
    wait_until(lambda: link.is_in_force(2), "the new version at both servers")
    assert link.forward(2, made, PLAIN, sold_at_us=sold_at_us).state == RECORDED
    assert link.balances(link.card()) == {"points": 1_450}
    assert link.forward(4, made, AS_ANSWERED, token=token, basket_id=request.basket_id).state == (
        RECORDED
    )
    answer = link.state(4).checkout.answer
    assert answer.lines.totals.amount_minor == 9_000, "a token is of its quote's version for ever"
    late_us = sold_at_us + 2 * DAY_US
    assert link.forward(6, made, PLAIN, sold_at_us=late_us).state == RECORDED
    assert link.balances(link.card()) == {"points": 1_450 + 450, "bonus": 500}
