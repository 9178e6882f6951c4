"""Goal: the file and the HTTP gateway get each part as it is, and every way it ends is told."""

import asyncio
import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest

from rewards.sms_parts import encoded, sms_text
from server.settings import Settings
from server.sms.choice import transport_of
from server.sms.file import FileTransport
from server.sms.gateway import HttpTransport
from server.sms.smpp import SmppTransport
from server.sms.transport import Accepted, Delivery, NotNow, Refused, Submission, Unsure
from tests.serving import free_port

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
    valid_until_us=0,
    valid_s=60,
)


class Gateway(ThreadingHTTPServer):
    """Answers what it is told to, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes]] = []
        self.seen: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/sms"


class Handler(BaseHTTPRequestHandler):
    """One request of the gateway."""

    server: Gateway

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        code, answer = self.server.answers.pop(0)
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
        (Settings(sms_transport="smpp", sms_url="host:2775"), "SMS_SENDER"),
        (Settings(sms_transport="http", sms_url="gateway"), "SMS_URL"),
    ],
)
def test_a_setting_that_is_missing(settings: Settings, said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        transport_of(settings)
