"""Goal: the file and the HTTP gateway get each part as it is, and every way it ends is told."""

import asyncio
import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import msgspec
import pytest

from loyalty.v1 import outbox_pb2 as ob
from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from rewards.sms_parts import encoded, sms_text
from server.clock import set_offset, system_clock
from server.settings import Settings
from server.sms.choice import transport_of
from server.sms.file import FileTransport
from server.sms.gateway import HttpTransport
from server.sms.smpp import SmppTransport
from server.sms.transport import Accepted, Delivery, NotNow, Refused, Submission, Unsure
from tests.outbox import HOUR_US, customers_of, new_message, put
from tests.serving import CHAIN, free_port, serving, till_stub, wait_until

TEXT = "Ваша покупка: +120 баллов"
PART = Submission(
    submission_id="m-1",
    phone="+79161234567",
    text=TEXT,
    payload=encoded(TEXT, sms_text(TEXT).is_gsm),
    is_gsm=False,
    part=1,
    count=1,
    is_resend=True,
    valid_s=60,
)


class Gateway(ThreadingHTTPServer):
    """Answers what it is told to, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.seen: list[tuple[str, str, dict[str, Any]]] = []

    def answer_to(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """As it is told to; else it takes all, and all is delivered."""
        if self.answers:
            return self.answers.pop(0)
        if path == "/sms":
            return 200, json.dumps({"id": f"g-{body['id']}"}).encode()
        states = [{"id": one, "state": "delivered"} for one in body["ids"]]
        return 200, json.dumps({"states": states}).encode()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/sms"


class Handler(BaseHTTPRequestHandler):
    """One request of the gateway."""

    server: Gateway

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        code, answer = self.server.answer_to(self.path, body)
        if not code:
            self.close_connection = True
            return
        self.send_response(code)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as found:
        thread = Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


async def test_a_gateway_gets_the_part(gateway: Gateway) -> None:
    transport = HttpTransport(gateway.url, "token", "SHOP")
    gateway.answers = [(200, b'{"id": "g1", "more": 1}')]
    assert await transport.submit(PART) == Accepted("g1")
    [(path, authorization, body)] = gateway.seen
    assert (path, authorization) == ("/sms", "Bearer token")
    assert body == {
        "id": "m-1",
        "from": "SHOP",
        "to": "+79161234567",
        "text": TEXT,
        "part": 1,
        "parts": 1,
        "payload": base64.b64encode(TEXT.encode("utf-16-be")).decode(),
        "alphabet": "ucs2",
        "resend": True,
        "valid_s": 60,
    }


@pytest.mark.parametrize(
    ("answer", "fate"),
    [
        ((429, b""), NotNow("the gateway answered 429", is_throttled=True)),
        ((503, b""), NotNow("the gateway answered 503", is_throttled=True)),
        ((400, b"{}"), Refused("the gateway answered 400")),
        ((500, b""), Unsure("the gateway answered 500")),
        ((200, b"no json"), Unsure("the answer was lost: DecodeError")),
        ((200, b"{}"), Unsure("the answer was lost: ValidationError")),
        ((0, b""), Unsure("the answer was lost: RemoteDisconnected")),
    ],
)
async def test_what_a_gateway_answers(
    gateway: Gateway, answer: tuple[int, bytes], fate: object
) -> None:
    gateway.answers = [answer]
    assert await HttpTransport(gateway.url, "", "SHOP").submit(PART) == fate


async def test_nobody_listens() -> None:
    transport = HttpTransport(f"http://127.0.0.1:{free_port()}/", "", "SHOP")
    assert await transport.submit(PART) == NotNow("the gateway cannot be reached")
    assert await transport.ask(["g1"]) == []


async def test_a_gateway_is_asked_what_became_of_parts(gateway: Gateway) -> None:
    states = [
        {"id": "g1", "state": "delivered"},
        {"id": "g2", "state": "failed", "note": "absent"},
        {"id": "g3", "state": "pending"},
    ]
    gateway.answers = [(200, json.dumps({"states": states}).encode()), (200, b"[]")]
    transport = HttpTransport(gateway.url, "", "SHOP")
    assert await transport.ask(["g1", "g2", "g3"]) == [
        Delivery("g1", "", True, ""),
        Delivery("g2", "", False, "absent"),
    ]
    assert gateway.seen[0][0] == "/sms/status"
    assert gateway.seen[0][2] == {"ids": ["g1", "g2", "g3"]}
    assert await transport.ask(["g1"]) == []


def test_a_server_sends_through_a_gateway(
    place: dict[str, str], log_dir: Path, gateway: Gateway
) -> None:
    """The answer is lost: it is sent once more under the same id, marked, and then delivered."""
    set_offset(log_dir / "clock", 0)
    environment = {
        **place,
        "LOYALTY_CLOCK_FILE": str(log_dir / "clock"),
        "LOYALTY_SMS_TRANSPORT": "http",
        "LOYALTY_SMS_URL": gateway.url,
        "LOYALTY_SMS_POLL_S": "0.05",
    }
    gateway.answers = [(500, b"")]
    now_us = system_clock()
    new = new_message(1, customers_of(place["LOYALTY_DSN"])["1"], now_us)
    with (
        serving(environment, log_dir) as (server,),
        grpc.insecure_channel(server.target) as channel,
    ):
        answer_mobile(till_stub(channel), "card1", PART.phone)
        put(place["LOYALTY_DSN"], new)
        request = ob.GetMessageRequest(chain_id=CHAIN, message_id=new.message_id)
        office = BackOfficeServiceStub(channel)

        def is_uncertain() -> bool:
            return any("uncertain" in one.note for one in office.GetMessage(request).changes)

        wait_until(is_uncertain, "uncertain")
        set_offset(log_dir / "clock", HOUR_US)
        delivered = ob.MESSAGE_STATE_DELIVERED
        wait_until(lambda: office.GetMessage(request).message.state == delivered, "delivered")
        found = office.GetMessage(request).message
    assert (found.attempts, found.resends, found.parts) == (2, 1, 1)
    sent = [body for path, _, body in gateway.seen if path == "/sms"]
    assert [(one["id"], one["resend"]) for one in sent] == [
        (f"{new.message_id.hex()}-1", False),
        (f"{new.message_id.hex()}-1", True),
    ]


def answer_mobile(till: Any, card: str, phone: str) -> None:
    """A customer gives a phone at a till."""
    request = pb.SubmitProfileRequest(
        submission_id=bytes(16), chain_id=CHAIN, store_id="s1", channel=pb.PROFILE_CHANNEL_TILL
    )
    request.identifier.kind = receipt_pb2.IDENTIFIER_KIND_CARD
    request.identifier.value = card
    request.identifier.entry_method = receipt_pb2.ENTRY_METHOD_SCANNED
    request.answers.add(field_code="mobile", value=phone)
    till.SubmitProfile(request)


async def test_lines_of_a_file(tmp_path: Path) -> None:
    """Written by many at once, each line whole; readable by its owner alone."""
    path = tmp_path / "new" / "sms.jsonl"
    transport = FileTransport(path)
    parts = [msgspec.structs.replace(PART, submission_id=f"m-{n}") for n in range(20)]
    fates = await asyncio.gather(*(transport.submit(one) for one in parts))
    assert fates == [Accepted(one.submission_id, is_delivered=True) for one in parts]
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {one["id"] for one in lines} == {one.submission_id for one in parts}
    assert lines[0]["text"] == TEXT
    assert path.stat().st_mode & 0o077 == 0


async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    fate = await FileTransport(tmp_path).submit(PART)
    assert fate == NotNow("the file cannot be written: Is a directory")


def test_the_settings_choose() -> None:
    assert transport_of(Settings()) is None
    assert isinstance(transport_of(Settings(sms_transport="file")), FileTransport)
    smpp = Settings(sms_transport="smpp", sms_url="smsc.example:2775", sms_sender="SHOP")
    assert isinstance(transport_of(smpp), SmppTransport)
    http = Settings(sms_transport="http", sms_url="https://gateway.example/sms")
    assert isinstance(transport_of(http), HttpTransport)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(sms_transport="smpp", sms_sender="SHOP"), "SMS_URL"),
        (Settings(sms_transport="smpp", sms_url="host:port", sms_sender="SHOP"), "SMS_URL"),
        (Settings(sms_transport="smpp", sms_url="host:99999", sms_sender="SHOP"), "SMS_URL"),
        (Settings(sms_transport="smpp", sms_url="host:2775"), "SMS_SENDER"),
        (Settings(sms_transport="http", sms_url="gateway"), "SMS_URL"),
    ],
)
def test_a_setting_that_is_missing(settings: Settings, said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        transport_of(settings)
