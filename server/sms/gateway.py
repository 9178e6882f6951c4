"""The transport of an HTTP gateway: a part is a POST, and what became of it is asked for.

POST {url} with {"id", "from", "to", "text", "part", "parts", "payload", "alphabet", "resend",
"valid_s"} answers {"id": "..."}; POST {url}/status with {"ids": [...]} answers {"states": [{"id":
"...", "state": "delivered" | "failed" | "pending", "note": "..."}]}. `id` is the same whenever a
part is sent again, so that a gateway can tell.
"""

import asyncio
import base64
import http.client
import urllib.error
import urllib.request
from collections.abc import Sequence

import msgspec
import structlog
from msgspec import Struct

from server.sms.transport import (
    Accepted,
    Delivery,
    Fate,
    NotNow,
    Refused,
    Submission,
    TakeDelivery,
    Unsure,
)

TIMEOUT_S = 20.0
ANSWER_BYTES_MAX = 1024 * 1024
TOO_MANY, UNAVAILABLE = 429, 503
SERVER_FAULT = 500

_log = structlog.get_logger(__name__)
_ENCODER = msgspec.json.Encoder()


class _Taken(Struct):
    id: str


class _State(Struct):
    id: str
    state: str
    note: str = ""


class _States(Struct):
    states: list[_State]


_TAKEN = msgspec.json.Decoder(_Taken)
_STATES = msgspec.json.Decoder(_States)


class HttpTransport:
    """Hands parts to a gateway over HTTP."""

    def __init__(self, url: str, token: str, sender: str) -> None:
        """Remember where the gateway is.

        Args:
            url: of its submissions; `/status` after it is where deliveries are asked for.
            token: of the header `Authorization: Bearer`; empty sends none.
            sender: who the message is from.
        """
        self._url = url.rstrip("/")
        self._token = token
        self._sender = sender

    @property
    def is_ready(self) -> bool:
        """Always: each part has a connection of its own."""
        return True

    @property
    def must_be_asked(self) -> bool:
        """Yes: it has no way to tell."""
        return True

    def start(self, take: TakeDelivery) -> None:
        """Nothing is to be connected; deliveries are asked for."""

    async def stop(self) -> None:
        """Nothing is to be disconnected."""

    async def submit(self, submission: Submission) -> Fate:
        """POST a part."""
        body = {
            "id": submission.submission_id,
            "from": self._sender,
            "to": submission.phone,
            "text": submission.text,
            "part": submission.part,
            "parts": submission.count,
            "payload": base64.b64encode(submission.payload).decode(),
            "alphabet": "gsm7" if submission.is_gsm else "ucs2",
            "resend": submission.is_resend,
            "valid_s": submission.valid_s,
        }
        try:
            answer = await asyncio.to_thread(self._post, self._url, body)
            return Accepted(_TAKEN.decode(answer).id)
        except urllib.error.HTTPError as error:
            return _fate_of(error.code)
        except urllib.error.URLError as error:
            return _fate_of_link(error.reason)
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            return Unsure(f"the answer was lost: {type(error).__name__}")

    async def ask(self, provider_ids: Sequence[str]) -> list[Delivery]:
        """Ask what became of parts; nothing where the gateway cannot say just now."""
        try:
            url = f"{self._url}/status"
            answer = await asyncio.to_thread(self._post, url, {"ids": list(provider_ids)})
            states = _STATES.decode(answer).states
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            _log.warning("gateway_not_asked", error=type(error).__name__)
            return []
        return [
            Delivery(one.id, "", one.state == "delivered", one.note)
            for one in states
            if one.state in ("delivered", "failed")
        ]

    def _post(self, url: str, body: object) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(url, _ENCODER.encode(body), headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            found: bytes = response.read(ANSWER_BYTES_MAX)
            return found


def _fate_of(code: int) -> Fate:
    if code in (TOO_MANY, UNAVAILABLE):
        return NotNow(f"the gateway answered {code}", is_throttled=True)
    if code >= SERVER_FAULT:
        return Unsure(f"the gateway answered {code}")
    return Refused(f"the gateway answered {code}")


def _fate_of_link(reason: str | BaseException) -> Fate:
    """A connection that was never made carried nothing; of any other nobody knows."""
    if isinstance(reason, ConnectionRefusedError):
        return NotNow("the gateway cannot be reached")
    return Unsure(f"the connection broke: {type(reason).__name__}")
