"""Goal: every message ends where it should, once, through a real server and an SMSC of others.

Forwarded receipts put messages into the outbox; here a commit of the test does, in the same way.
"""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest

from loyalty.v1 import outbox_pb2 as ob
from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from rewards.commit import MessageFigure, NewMessage
from rewards.sale import key_id_of
from server.clock import set_offset
from server.codec.sale_pb import receipt_key_from_pb
from tests.forwarding import NOT_SOLD, PLAIN, RECORDED, SUPERSEDED, forward_request
from tests.integration.test_loyaltyctl import ctl
from tests.outbox import HOUR_US, customers_of, new_message, put
from tests.pg import create_database, drop_database
from tests.refunding import refund_request, settled
from tests.serving import (
    CHAIN,
    PROGRAM,
    ServerProcess,
    checkout_request,
    reason_of,
    receipt_key,
    sale,
    serving,
    test_program,
    till_stub,
    wait_until,
)
from tests.smsc import PASSWORD, THROTTLED, Smsc, smsc

WISHES = {
    "field_code": "wants_sms",
    "questions": [{"language_code": "ru", "text": "Согласны?"}],
    "check": "yes_no",
}
ZONE = {
    "field_code": "zone",
    "questions": [{"language_code": "ru", "text": "Где?"}],
    "check": "choice",
    "choices": ["Europe/Moscow", "Asia/Kamchatka"],
}
FIELDS = [*PROGRAM["profile_fields"], WISHES, ZONE]
RULES = {"consent_field": "wants_sms", "zone_field": "zone"}
PROGRAM_WITH = test_program(profile_fields=FIELDS, messages=RULES)
STATES = ob.MessageState
NUMBERS, MESSAGES = count(1), count(1)
LONG = tuple(
    MessageFigure("points", "points", 12_345_00, expires_at_us=1_830_000_000_000_000 + n, number=-n)
    for n in range(1, 5)
)


class World(NamedTuple):
    """Servers with an SMSC, their database and their clock."""

    servers: list[ServerProcess]
    dsn: str
    place: dict[str, str]
    clock_file: Path
    smsc: Smsc
    till: Any
    office: Any
    customers: dict[str, int]
    number: int = 0

    @property
    def phone(self) -> str:
        return f"+791612345{self.number:02d}"

    @property
    def digits(self) -> str:
        return self.phone[1:]

    def now_us(self) -> int:
        offset_us = int.from_bytes(self.clock_file.read_bytes(), "little", signed=True)
        return time.time_ns() // 1_000 + offset_us

    def pass_by(self, passed_us: int) -> None:
        offset_us = int.from_bytes(self.clock_file.read_bytes(), "little", signed=True)
        set_offset(self.clock_file, offset_us + passed_us)

    def answer(self, **answers: str) -> None:
        """The customer answers profile fields at a till."""
        request = pb.SubmitProfileRequest(
            submission_id=uuid.uuid4().bytes,
            chain_id=CHAIN,
            store_id="s1",
            cashier_id="c1",
            channel=pb.PROFILE_CHANNEL_TILL,
        )
        request.identifier.kind = receipt_pb2.IDENTIFIER_KIND_CARD
        request.identifier.value = f"card{self.number}"
        request.identifier.entry_method = receipt_pb2.ENTRY_METHOD_SCANNED
        for field_code, value in answers.items():
            request.answers.add(field_code=field_code, value=value)
        self.till.SubmitProfile(request)

    def message(self, new: NewMessage) -> ob.GetMessageResponse:
        found: ob.GetMessageResponse = self.office.GetMessage(
            ob.GetMessageRequest(chain_id=CHAIN, message_id=new.message_id)
        )
        return found

    def report(self, since: NewMessage) -> ob.ReportMessagesResponse:
        request = ob.ReportMessagesRequest(chain_id=CHAIN, from_us=since.arrived_at_us)
        found: ob.ReportMessagesResponse = self.office.ReportMessages(request)
        return found

    def wait(self, new: NewMessage, state: ob.MessageState.ValueType) -> ob.GetMessageResponse:
        wait_until(lambda: self.message(new).message.state == state, STATES.Name(state))
        return self.message(new)


def place_at(place: dict[str, str], clock_file: Path, peer: Smsc) -> dict[str, str]:
    """The environment of a server that sends through the peer."""
    return {
        **place,
        "LOYALTY_CLOCK_FILE": str(clock_file),
        "LOYALTY_SMS_TRANSPORT": "smpp",
        "LOYALTY_SMS_URL": f"127.0.0.1:{peer.port}",
        "LOYALTY_SMS_USER": "esme",
        "LOYALTY_SMS_PASSWORD": PASSWORD,
        "LOYALTY_SMS_SENDER": "SHOP",
        "LOYALTY_SMS_POLL_S": "0.05",
        "LOYALTY_SMS_UNCERTAIN_S": "600",
    }


@contextmanager
def world_at(place: dict[str, str], folder: Path) -> Iterator[World]:
    """Two servers over a database, with an SMSC of their own and a clock."""
    clock_file = folder / "clock"
    set_offset(clock_file, 0)
    with smsc() as peer:
        at = place_at(place, clock_file, peer)
        with (
            serving(at, folder, 2) as servers,
            grpc.insecure_channel(servers[0].target) as channel,
            grpc.insecure_channel(servers[1].target) as other,
        ):
            peer.wait("bound", 2)
            office, till = BackOfficeServiceStub(other), till_stub(channel)
            ids = customers_of(at["LOYALTY_DSN"])
            yield World(servers, at["LOYALTY_DSN"], at, clock_file, peer, till, office, ids)
            logs = "".join(server.log_text() for server in servers)
            assert "79161234" not in logs, "a phone stands in the log"


@contextmanager
def own_world(
    pg_server_dsn: str, template_with: Any, folders: pytest.TempPathFactory, program: Any
) -> Iterator[World]:
    dsn = create_database(pg_server_dsn, template=template_with(program))
    with world_at({"LOYALTY_DSN": dsn}, folders.mktemp("outbox")) as found:
        yield found
    drop_database(dsn)


@pytest.fixture(scope="module")
def shared(
    pg_server_dsn: str, template_with: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with own_world(pg_server_dsn, template_with, tmp_path_factory, PROGRAM_WITH) as found:
        yield found


@pytest.fixture(scope="module")
def strict(
    pg_server_dsn: str, template_with: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One message a day; the last test that has it kills its servers."""
    program = test_program(messages={"customer_max": 1})
    with own_world(pg_server_dsn, template_with, tmp_path_factory, program) as found:
        yield found


@pytest.fixture
def world(shared: World) -> World:
    """The world with a customer that no test before has met, who has a phone."""
    return with_customer(shared)


def with_customer(world: World) -> World:
    world.smsc.forget()
    found = world._replace(number=next(NUMBERS))
    found.answer(mobile=found.phone)
    return found


def queued(world: World, **changes: Any) -> NewMessage:
    """A message to the customer of the world."""
    customer_id = world.customers[str(world.number)]
    new = new_message(next(MESSAGES), customer_id, world.now_us(), **changes)
    put(world.dsn, new)
    return new


def without_phone(world: World) -> World:
    """The same with a customer who never gave a phone."""
    return world._replace(number=0)


def states(found: ob.GetMessageResponse) -> list[str]:
    return [STATES.Name(one.state).removeprefix("MESSAGE_STATE_") for one in found.changes]


def test_a_message_is_sent_and_delivered(world: World) -> None:
    new = queued(world)
    [seen] = world.smsc.wait("submit")
    assert (seen["to"], seen["data_coding"]) == (world.digits, 8)
    assert seen["text"].endswith(": +120 балла")
    world.wait(new, ob.MESSAGE_STATE_SENT)
    world.smsc.receipt(seen["id"], world.digits)
    found = world.wait(new, ob.MESSAGE_STATE_DELIVERED)
    assert states(found) == ["SENDING", "SENT", "DELIVERED"]
    assert found.message.phone == f"+*********{world.number:02d}"
    assert (found.message.text, found.message.parts) == (seen["text"], 1)
    report = world.report(new)
    [counted] = report.on_time.counts
    assert (counted.state, counted.count) == (ob.MESSAGE_STATE_DELIVERED, 1)
    assert (report.on_time.delivered_within_day, report.on_time.parts) == (1, 1)
    assert report.on_time.delivered_p50_us == report.on_time.delivered_max_us >= HOUR_US
    assert not report.late.counts


def test_many_messages_are_sent_once_by_two_servers(world: World) -> None:
    news = [queued(world) for n in range(40)]
    for new in news:
        world.wait(new, ob.MESSAGE_STATE_SENT)
    assert len(world.smsc.submits()) == len(news)


def test_three_parts_whose_receipts_come_late_and_out_of_order(world: World) -> None:
    """In the other base than the answers had; delivered once the last part is."""
    new = queued(world, figures=LONG)
    seen = world.smsc.wait("submit", 3)
    found = world.wait(new, ob.MESSAGE_STATE_SENT)
    assert "".join(one["text"] for one in seen) == found.message.text
    assert len({one["udh"][0][:6] for one in seen}) == 1
    world.pass_by(5 * HOUR_US)
    world.wait(new, ob.MESSAGE_STATE_SENT)
    for one in (seen[2], seen[0]):
        world.smsc.receipt(str(int(one["id"], 16)), world.digits)
    world.smsc.wait("acknowledged", 4)  # each of the two sessions got both
    assert world.message(new).message.state == ob.MESSAGE_STATE_SENT
    world.smsc.receipt(str(int(seen[1]["id"], 16)), world.digits)
    world.wait(new, ob.MESSAGE_STATE_DELIVERED)


def test_a_part_that_is_undeliverable_fails_the_message(world: World) -> None:
    new = queued(world, figures=LONG)
    seen = world.smsc.wait("submit", 3)
    world.wait(new, ob.MESSAGE_STATE_SENT)
    for one, stat in zip(seen, ("DELIVRD", "UNDELIV", "DELIVRD"), strict=True):
        world.smsc.receipt(one["id"], world.digits, stat)
    found = world.wait(new, ob.MESSAGE_STATE_FAILED)
    assert states(found) == ["SENDING", "SENT", "FAILED"]


def test_throttling_puts_off(world: World) -> None:
    """Refused for the time being is refused for certain: no resend is marked."""
    world.smsc.tell("answers", **{"with": [THROTTLED, THROTTLED]})
    new = queued(world)
    for _ in range(2):
        world.smsc.wait("submit")
        found = world.wait(new, ob.MESSAGE_STATE_QUEUED)
        assert found.changes[-1].note == "the SMSC answered ESME_RTHROTTLED"
        assert found.message.due_at_us > world.now_us() - HOUR_US
        world.pass_by(20 * 60 * 1_000_000)
    found = world.wait(new, ob.MESSAGE_STATE_SENT)
    assert (found.message.attempts, found.message.resends) == (3, 0)


def test_the_connection_breaks_amid_a_submit(world: World) -> None:
    """No delivery receipt comes: one marked resend, over a session that is bound again."""
    world.smsc.tell("answers", **{"with": ["cut"]})
    new = queued(world)
    world.smsc.wait("submit")
    world.smsc.wait("bound")
    wait_until(lambda: "uncertain" in world.message(new).changes[-1].note, "uncertain")
    world.pass_by(HOUR_US)
    found = world.wait(new, ob.MESSAGE_STATE_SENT)
    assert (found.message.attempts, found.message.resends) == (2, 1)
    assert len(world.smsc.submits()) == 2


def test_the_receipt_of_an_uncertain_submit_comes(world: World) -> None:
    """It says that the message arrived: nothing is sent again."""
    world.smsc.tell("answers", **{"with": ["cut"]})
    new = queued(world)
    [seen] = world.smsc.wait("submit")
    world.smsc.wait("bound")
    wait_until(lambda: "uncertain" in world.message(new).changes[-1].note, "uncertain")
    world.smsc.receipt(seen["id"], world.digits)
    world.smsc.wait("acknowledged", 1)
    world.pass_by(HOUR_US)
    found = world.wait(new, ob.MESSAGE_STATE_DELIVERED)
    assert (found.message.attempts, found.message.resends) == (1, 0)
    assert len(world.smsc.submits()) == 1


def test_a_void_stops_what_nobody_has_sent(world: World) -> None:
    """And what a refund leaves is what is told."""
    sold = world.till.Checkout(checkout_request(world.number, f"card{world.number}"))
    [reward] = sold.answer.rewards.rewards
    figure = MessageFigure("points", "points", reward.amount_minor)
    world.smsc.tell("answers", **{"with": [THROTTLED]})
    new = queued(world, figures=(figure,), receipt_id=sold.receipt_id)
    world.smsc.wait("submit")
    world.wait(new, ob.MESSAGE_STATE_QUEUED)
    world.till.Void(
        pb.VoidRequest(receipt_key=receipt_key(world.number), reason_code="ERROR", cashier_id="c1")
    )
    found = world.wait(new, ob.MESSAGE_STATE_STOPPED)
    assert found.changes[-1].note == "voided"
    world.pass_by(HOUR_US)
    later = queued(world, figures=(figure,), receipt_id=sold.receipt_id)
    assert world.wait(later, ob.MESSAGE_STATE_STOPPED).changes[-1].note == "voided"
    assert len(world.smsc.submits()) == 1


def test_what_a_refund_leaves_is_told(world: World) -> None:
    sold = world.till.Checkout(checkout_request(world.number, f"card{world.number}"))
    [reward] = sold.answer.rewards.rewards
    refund = refund_request(world.number + 1_000, world.number, {"1": 2_000})
    (_, taken_minor, _, _) = settled(world.till.Refund(refund))["points"]
    assert 0 < taken_minor < reward.amount_minor
    figure = MessageFigure("points", "points", reward.amount_minor)
    new = queued(world, figures=(figure,), receipt_id=sold.receipt_id)
    found = world.wait(new, ob.MESSAGE_STATE_SENT)
    left_minor = reward.amount_minor - taken_minor
    assert f": +{left_minor // 100} балла" in found.message.text


def test_a_later_outcome_stops_what_nobody_has_sent(world: World) -> None:
    world.smsc.tell("answers", **{"with": [THROTTLED]})
    new = queued(world)
    world.smsc.wait("submit")
    world.wait(new, ob.MESSAGE_STATE_QUEUED)
    put(world.dsn, silenced=(new.receipt_id,))
    found = world.wait(new, ob.MESSAGE_STATE_STOPPED)
    assert found.changes[-1].note == "a later outcome counts"


def test_who_gets_none(world: World) -> None:
    """Without a phone; who said no; a phone on the stop list, until it is lifted."""
    nobody = queued(without_phone(world))
    assert world.wait(nobody, ob.MESSAGE_STATE_NO_PHONE).message.phone == ""
    world.answer(wants_sms="no")
    unwilling = queued(world)
    world.wait(unwilling, ob.MESSAGE_STATE_STOPPED)
    world.answer(wants_sms="yes")
    world.office.SetMessageStop(
        ob.SetMessageStopRequest(chain_id=CHAIN, phone=f"+7 (916) 12-345-{world.number:02d}")
    )
    stopped = queued(world)
    assert "stop list" in world.wait(stopped, ob.MESSAGE_STATE_STOPPED).changes[-1].note
    world.office.SetMessageStop(
        ob.SetMessageStopRequest(chain_id=CHAIN, phone=world.phone, lift=True)
    )
    assert world.smsc.submits() == []
    world.wait(queued(world), ob.MESSAGE_STATE_SENT)


def test_a_window_that_has_passed(world: World) -> None:
    world.smsc.tell("answers", **{"with": [THROTTLED, THROTTLED]})
    new = queued(world)
    world.smsc.wait("submit")
    world.wait(new, ob.MESSAGE_STATE_QUEUED)
    world.pass_by(30 * HOUR_US)
    found = world.wait(new, ob.MESSAGE_STATE_EXPIRED)
    assert found.changes[-1].note == "its window has passed"
    silent = queued(world)
    world.smsc.wait("submit")
    world.wait(silent, ob.MESSAGE_STATE_QUEUED)
    world.pass_by(HOUR_US)
    [seen] = world.smsc.wait("submit")
    world.wait(silent, ob.MESSAGE_STATE_SENT)
    world.pass_by(30 * HOUR_US)
    found = world.wait(silent, ob.MESSAGE_STATE_EXPIRED)
    assert found.changes[-1].note == "no delivery receipt came"
    world.smsc.receipt(seen["id"], world.digits)  # late is still true
    world.wait(silent, ob.MESSAGE_STATE_DELIVERED)
    report = world.report(silent).on_time
    assert report.delivered_within_day == 0
    assert report.delivered_p50_us > 24 * HOUR_US


def test_lists_and_what_they_refuse(world: World) -> None:
    news = [queued(without_phone(world)) for n in range(3)]
    for new in news:
        world.wait(new, ob.MESSAGE_STATE_NO_PHONE)
    seen, token = [], ""
    while True:
        page = world.office.ListMessages(
            ob.ListMessagesRequest(chain_id=CHAIN, page_size=2, page_token=token)
        )
        seen += [one.message_id for one in page.messages]
        token = page.next_page_token
        if not token:
            break
    assert seen[-3:] == [new.message_id for new in news]
    one = world.office.ListMessages(
        ob.ListMessagesRequest(chain_id=CHAIN, receipt_id=news[1].receipt_id)
    )
    assert [found.message_id for found in one.messages] == [news[1].message_id]
    sent = ob.ListMessagesRequest(chain_id=CHAIN, state=ob.MESSAGE_STATE_SENT)
    found = world.office.ListMessages(sent).messages
    assert {one.state for one in found} <= {ob.MESSAGE_STATE_SENT}
    for message_id, reason in ((bytes(16), "MESSAGE_NOT_FOUND"), (b"short", "INCONSISTENT")):
        with pytest.raises(grpc.RpcError) as refused:
            world.office.GetMessage(ob.GetMessageRequest(chain_id=CHAIN, message_id=message_id))
        assert reason_of(refused.value)[1] == reason


def forwarded(world: World, state: Any, stated: int = 1, kind: Any = PLAIN) -> None:
    """The till's sale of the customer is forwarded, and once more."""
    made = sale(f"card{world.number}")
    request = forward_request(world.number, made, kind, stated, sold_at_us=world.now_us())
    first = world.till.Forward(request)
    assert (first.result, first.state) == (pb.DURABLE_RESULT_COMMITTED, state), first
    assert world.till.Forward(request) == first


def messages_about(world: World, receipt_id: bytes) -> list[ob.OutboxMessage]:
    request = ob.ListMessagesRequest(chain_id=CHAIN, receipt_id=receipt_id)
    return list(world.office.ListMessages(request).messages)


def test_a_forwarded_receipt_tells_its_reward_once(world: World) -> None:
    """5% of 580 that were to be paid, and the 20 that the till could not take off."""
    forwarded(world, RECORDED)
    receipt_id = key_id_of(receipt_key_from_pb(receipt_key(world.number)))
    [seen] = world.smsc.wait("submit")
    assert seen["text"].endswith(": +49 балла")
    [one] = messages_about(world, receipt_id)
    assert (one.customer_number, one.is_late) == (str(world.number), False)
    assert one.window_end_us == one.sold_at_us + 24 * HOUR_US


def test_a_receipt_whose_answer_was_lost_tells_what_counts_in_the_end(world: World) -> None:
    """Sold live, forwarded as plain, and then as not sold before anything was sent."""
    world.smsc.tell("answers", **{"with": [THROTTLED]})
    live = world.till.Checkout(checkout_request(world.number, f"card{world.number}"))
    forwarded(world, SUPERSEDED)
    world.smsc.wait("submit")
    [one] = messages_about(world, live.receipt_id)
    wait_until(
        lambda: messages_about(world, live.receipt_id)[0].state == ob.MESSAGE_STATE_QUEUED, "busy"
    )
    forwarded(world, SUPERSEDED, 2, NOT_SOLD)
    [stopped] = messages_about(world, live.receipt_id)
    assert (stopped.state, stopped.message_id) == (ob.MESSAGE_STATE_STOPPED, one.message_id)
    assert len(world.smsc.submits()) == 1


def test_loyaltyctl_shows_it(world: World) -> None:
    new = queued(world)
    [seen] = world.smsc.wait("submit")
    world.wait(new, ob.MESSAGE_STATE_SENT)
    world.smsc.receipt(seen["id"], world.digits)
    world.wait(new, ob.MESSAGE_STATE_DELIVERED)
    shown = said(world, "show", new.message_id.hex())
    assert f"*{world.number:02d}" in shown
    assert world.digits[:9] not in shown
    assert all(word in shown for word in ("delivered", "sent", "sending", "+120 балла (1 parts)"))
    listed = said(world, "list", "--receipt", new.receipt_id.hex())
    assert new.message_id.hex() in listed
    report = json.loads(said(world, "report", "--json"))
    delivered = [one for one in report["on_time"]["counts"] if one["state"].endswith("DELIVERED")]
    assert int(delivered[0]["count"]) >= 1
    assert "delivered within 24 hours of the sale" in said(world, "report")
    said(world, "stop", world.phone)
    stopped = queued(world)
    world.wait(stopped, ob.MESSAGE_STATE_STOPPED)
    assert stopped.message_id.hex() in said(world, "list", "--state", "stopped")


def said(world: World, *arguments: str) -> str:
    """What a command of `loyaltyctl messages` says."""
    target = world.servers[0].target
    done = ctl("messages", *arguments, "--chain", CHAIN, LOYALTY_TARGET=target)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_customer_who_has_had_enough(strict: World) -> None:
    """The second message of a day waits until the first is a day old, or is stopped."""
    world = with_customer(strict)
    world.wait(queued(world), ob.MESSAGE_STATE_SENT)
    late = queued(world, sold_us_before=20 * HOUR_US)
    assert "too many" in world.wait(late, ob.MESSAGE_STATE_STOPPED).changes[-1].note
    fresh = queued(world, sold_us_before=0)
    wait_until(lambda: bool(world.message(fresh).changes), "put off")
    found = world.message(fresh)
    assert found.message.state == ob.MESSAGE_STATE_QUEUED
    assert "too many" in found.changes[-1].note
    assert 23 * HOUR_US < found.message.due_at_us - world.now_us() < 24 * HOUR_US
    assert len(world.smsc.submits()) == 1


def test_both_servers_die_between_record_and_answer(strict: World, log_dir: Path) -> None:
    """Whoever starts next waits for a receipt, and then sends once more, marked."""
    world = with_customer(strict)
    world.smsc.tell("answers", **{"with": ["hold"]})
    new = queued(world)
    world.smsc.wait("submit")
    world.wait(new, ob.MESSAGE_STATE_SENDING)
    for server in world.servers:
        server.kill()
    with (
        serving(world.place, log_dir, 1) as (server,),
        grpc.insecure_channel(server.target) as channel,
    ):
        again = world._replace(office=BackOfficeServiceStub(channel))
        world.smsc.wait("bound")
        assert again.message(new).message.state == ob.MESSAGE_STATE_SENDING
        again.pass_by(HOUR_US)
        found = again.wait(new, ob.MESSAGE_STATE_SENT)
    assert (found.message.attempts, found.message.resends) == (2, 1)
    assert len(world.smsc.submits()) == 2
