"""The transport of an SMSC: SMPP 3.4 over aiosmpplib, which binds and keeps the link alive.

The library's hooks see every PDU before it leaves and after it came, and it acknowledges a delivery
receipt after its hook has returned. Encoding, segments and receipts are ours. Its log is switched
off: it holds phones.
"""

import asyncio
import contextlib
import logging
import random
import re
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import structlog
from aiosmpplib import (
    ESME,
    NPI,
    TON,
    AbstractBroker,
    AbstractCorrelator,
    AbstractHook,
    AbstractRetryTimer,
    AbstractThrottleHandler,
    DeliverSm,
    GenericNack,
    PduHeader,
    PhoneNumber,
    SmppCommand,
    SmppCommandStatus,
    SmppMessage,
    SubmitSm,
    SubmitSmResp,
)
from aiosmpplib.protocol import MESSAGE_TYPE_MAP, PDU_HEADER_LENGTH
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
    digits_of,
)

RESPONSE_S = 30.0
"""How long an answer to a submission is waited for."""
ENQUIRE_S = 30.0
SOCKET_S = 15.0
RETRY_S = 1.0
RETRY_MAX_S = 30.0
UDH_INDICATOR = 0x40
WITH_RECEIPT = 1
ALPHANUMERIC_MAX, SHORT_MAX = 11, 6
SILENT = logging.CRITICAL + 1

THROTTLING = frozenset({SmppCommandStatus.ESME_RTHROTTLED, SmppCommandStatus.ESME_RMSGQFUL})
PASSING = THROTTLING | {
    SmppCommandStatus.ESME_RSYSERR,
    SmppCommandStatus.ESME_RSUBMITFAIL,
    SmppCommandStatus.ESME_RX_T_APPN,
    SmppCommandStatus.ESME_RUNKNOWNERR,
}
"""Refusals after which the same submission may be taken later; the rest are for ever."""
KNOWN_STATUSES = frozenset(int(one) for one in SmppCommandStatus)

RECEIPTED_ID, MESSAGE_STATE = 0x001E, 0x0427
FINAL_WORDS = {
    "DELIVRD": True,
    "EXPIRED": False,
    "DELETED": False,
    "UNDELIV": False,
    "REJECTD": False,
}
FINAL_NUMBERS = {2: True, 3: False, 4: False, 5: False, 8: False}
"""Message states of SMPP 3.4, section 5.2.28, that do not change any more: delivered or not."""

_ID = re.compile(r"\bid:(\S+)", re.IGNORECASE)
_STAT = re.compile(r"\bstat:(\w+)", re.IGNORECASE)
_ERR = re.compile(r"\berr:(\w+)", re.IGNORECASE)
_log = structlog.get_logger(__name__)


class GatewayReceipt(DeliverSm):
    """A deliver_sm whose text is read by us: SMSCs write dates and error codes as they like.

    The library's own reading drops the connection where a date or an error code is not as it
    expects, and refuses a receipt without a text.
    """

    def __post_init__(self) -> None:
        """Let a receipt without a text through."""
        if not self.short_message and not self.message_payload:
            self.short_message = " "
        super().__post_init__()

    def parse_receipt(self) -> dict[str, Any]:
        """Leave it to `delivery_of`."""
        return {}


MESSAGE_TYPE_MAP[SmppCommand.DELIVER_SM] = GatewayReceipt


class SmppLink(Struct, frozen=True):
    """Where an SMSC is, and how to bind to it.

    Attributes:
        sender: an address of digits, or up to 11 letters.
        response_s: how long an answer to a submission is waited for.
    """

    host: str
    port: int
    system_id: str
    password: str
    sender: str
    response_s: float = RESPONSE_S
    enquire_s: float = ENQUIRE_S


class SmppTransport:
    """Hands parts to an SMSC over one bound session, and takes its delivery receipts."""

    def __init__(self, link: SmppLink) -> None:
        """Start unbound.

        Args:
            link: where the SMSC is.
        """
        self._link = link
        self._out = _Out(link.sender)
        self._esme: _Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._numbers = count(1)

    @property
    def is_ready(self) -> bool:
        """Whether the session is bound."""
        esme = self._esme
        return esme is not None and esme.session_state == esme.bind_mode.session_state

    @property
    def must_be_asked(self) -> bool:
        """No: an SMSC tells by itself."""
        return False

    def start(self, take: TakeDelivery) -> None:
        """Begin to bind; once it is lost the session is bound again."""
        self._out.take = take
        self._task = asyncio.create_task(self._run(), name="smpp")

    async def stop(self) -> None:
        """Unbind; what waits for an answer is uncertain."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def submit(self, submission: Submission) -> Fate:
        """Submit a part and wait for the SMSC's answer."""
        log_id = str(next(self._numbers))
        try:
            message = _submit_sm(submission, self._link.sender, log_id)
        except ValueError as error:
            return Refused(f"cannot be spelled: {error}")
        return await self._out.send(message, self._link.response_s)

    async def ask(self, provider_ids: Sequence[str]) -> list[Delivery]:
        """An SMSC tells by itself."""
        return []

    async def _run(self) -> None:
        while True:
            self._esme = _Session(self._link, self._out)
            try:
                await self._esme.start()
            except Exception as error:
                _log.warning("smpp_session_failed", error=type(error).__name__)
            finally:
                await self._esme.hang_up()
            await asyncio.sleep(RETRY_S)


class _Waiting(Struct):
    """A submission on its way."""

    future: "asyncio.Future[Fate]"
    is_written: bool = False


class _Out(AbstractHook, AbstractBroker):
    """What is to be sent, and what waits for its answer."""

    def __init__(self, sender: str) -> None:
        self.take: TakeDelivery | None = None
        self._sender = digits_of(sender)
        self._queue: asyncio.Queue[SmppMessage] = asyncio.Queue()
        self._waiting: dict[str, _Waiting] = {}
        self._sequences: dict[int, str] = {}

    async def send(self, message: SubmitSm, timeout_s: float) -> Fate:
        waiting = _Waiting(asyncio.get_running_loop().create_future())
        self._waiting[message.log_id] = waiting
        self._queue.put_nowait(message)
        try:
            return await asyncio.wait_for(waiting.future, timeout_s)
        except TimeoutError:
            return _lost(waiting, "no answer came in time")
        finally:
            del self._waiting[message.log_id]

    def lose(self) -> None:
        """The connection is gone: nobody knows what became of what was written to it."""
        self._sequences.clear()
        for waiting in self._waiting.values():
            if waiting.is_written:
                _end(waiting, Unsure("the connection was lost"))

    async def enqueue(self, message: SmppMessage) -> None:
        await self._queue.put(message)

    async def dequeue(self) -> SmppMessage:
        while True:
            message = await self._queue.get()
            # What nobody waits for any more counts as not sent.
            if isinstance(message, SubmitSm) and message.log_id in self._waiting:
                return message

    async def sending(self, smpp_message: SmppMessage, pdu: bytes, client_id: str) -> None:
        if isinstance(smpp_message, SubmitSm) and smpp_message.log_id in self._waiting:
            self._waiting[smpp_message.log_id].is_written = True
            self._sequences[smpp_message.sequence_num] = smpp_message.log_id

    async def send_error(self, smpp_message: SmppMessage, error: Exception, client_id: str) -> None:
        waiting = self._waiting.get(getattr(smpp_message, "log_id", ""))
        if waiting is not None:
            _end(waiting, _lost(waiting, type(error).__name__))

    async def received(self, smpp_message: SmppMessage | None, pdu: bytes, client_id: str) -> None:
        if isinstance(smpp_message, DeliverSm):
            found = delivery_of(smpp_message, self._sender)
            if found is not None and self.take is not None:
                await self.take(found)
        elif isinstance(smpp_message, SubmitSmResp | GenericNack):
            log_id = self._sequences.pop(smpp_message.sequence_num, "")
            if log_id in self._waiting:
                _end(self._waiting[log_id], _fate_of(smpp_message))


class _Session(ESME):
    """A session of the library, with what it has no hook for."""

    def __init__(self, link: SmppLink, out: _Out) -> None:
        self._out = out
        self._opened: asyncio.StreamWriter | None = None
        super().__init__(
            link.host,
            link.port,
            link.system_id,
            link.password,
            enquire_link_interval=link.enquire_s,
            log_level=SILENT,
            log_handler=logging.NullHandler(),
            hook=out,
            broker=out,
            throttle_handler=_NoThrottle(),
            correlator=_NoCorrelation(),
            retry_timer=_BackOff(),
            socket_timeout=SOCKET_S,
        )

    async def connect(self) -> None:
        """As the library does; what the last connection carried is lost with it."""
        await self.hang_up()
        try:
            await super().connect()
        finally:
            self._opened = self._writer
        _log.info("smpp_bound")

    async def hang_up(self) -> None:
        """Close the last connection, which the library leaves open."""
        self._out.lose()
        writer, self._opened = self._opened, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _get_pdu(self) -> tuple[bytes, PduHeader]:
        """As the library does, but a status of the vendor's own does not end the session."""
        assert self._reader is not None, "connected"
        head = await self._reader.readexactly(PDU_HEADER_LENGTH)
        if int.from_bytes(head[8:12], "big") not in KNOWN_STATUSES:
            unknown = int(SmppCommandStatus.ESME_RUNKNOWNERR).to_bytes(4, "big")
            head = head[:8] + unknown + head[12:]
        header = SmppMessage.parse_header(head)
        return head + await self._reader.readexactly(header.pdu_length - len(head)), header


class _NoThrottle(AbstractThrottleHandler):
    """The worker holds back; the session does not besides."""

    async def throttled(self) -> None: ...

    async def not_throttled(self) -> None: ...

    async def allow_request(self) -> bool:
        return True

    async def throttle_delay(self) -> float:
        return 0.0


class _BackOff(AbstractRetryTimer):
    """Twice as long after each failure, up to a bound, unevenly."""

    def __init__(self) -> None:
        self._failures = 0

    async def wait(self) -> None:
        await asyncio.sleep(self.next_delay() * random.uniform(0.5, 1.0))
        self._failures += 1

    def reset(self) -> None:
        self._failures = 0

    def next_delay(self) -> float:
        return min(RETRY_MAX_S, RETRY_S * 2.0 ** min(self._failures, 10))


class _NoCorrelation(AbstractCorrelator):
    """Answers are matched by the hooks, receipts in the database."""

    def get_cumulated_status(self, ref_num: int) -> int:
        return 0

    async def expired(self, smpp_message: SmppMessage) -> None: ...

    async def put(self, smpp_message: SmppMessage) -> None: ...

    async def put_delivery(self, smsc_message_id: str, submit_sm: SubmitSm) -> None: ...

    async def put_delivery_segmented(self, deliver_sm: DeliverSm) -> DeliverSm | None:
        return None

    async def get(self, response: SmppMessage) -> SmppMessage | None:
        return None

    async def get_segmented(self, smpp_seq_num: int, remove: bool = False) -> tuple[None, int]:
        return None, 0

    async def get_delivery(self, receipt: DeliverSm) -> SubmitSm | None:
        return None


def delivery_of(message: DeliverSm, sender: str) -> Delivery | None:
    """Read a delivery receipt; None if it is none, or none that ends anything.

    Args:
        message: as it came; optional parameters count before its text.
        sender: digits of our own address; some SMSCs leave addresses as they were submitted.
    """
    if not message.is_receipt():
        return None
    more = {one.tag: one.value for one in message.optional_params or ()}
    text = message.short_message or message.message_payload
    named, word, error = _ID.search(text), _STAT.search(text), _ERR.search(text)
    provider_id = str(more.get(RECEIPTED_ID) or (named[1] if named else ""))
    state = word[1].upper() if word else ""
    is_delivered = FINAL_WORDS.get(state)
    number = more.get(MESSAGE_STATE)
    if isinstance(number, int) and number in FINAL_NUMBERS:
        is_delivered = FINAL_NUMBERS[number]
    if not provider_id or is_delivered is None:
        return None
    phone = digits_of(message.source.number)
    if not phone or phone == sender:
        phone = digits_of(message.destination.number)
    note = "" if is_delivered else f"{state} {error[1] if error else ''}".strip()
    return Delivery(provider_id, phone, is_delivered, note)


def _submit_sm(submission: Submission, sender: str, log_id: str) -> SubmitSm:
    message = SubmitSm(
        short_message="-",  # the payload stands in its place
        source=_address_of(sender),
        destination=PhoneNumber(digits_of(submission.phone), TON.INTERNATIONAL, NPI.ISDN),
        esm_class=UDH_INDICATOR if submission.count > 1 else 0,
        registered_delivery=WITH_RECEIPT,
        encoding=None if submission.is_gsm else "ucs2",
        validity_period=timedelta(seconds=submission.valid_s),
        log_id=log_id,
    )
    message.set_encoded_message(submission.payload)
    return message


def _address_of(sender: str) -> PhoneNumber:
    digits = digits_of(sender)
    if digits != sender.removeprefix("+"):
        return PhoneNumber(sender[:ALPHANUMERIC_MAX], TON.ALPHANUMERIC, NPI.UNKNOWN)
    if len(digits) <= SHORT_MAX:
        return PhoneNumber(digits, TON.UNKNOWN, NPI.UNKNOWN)
    return PhoneNumber(digits, TON.INTERNATIONAL, NPI.ISDN)


def _fate_of(answer: SubmitSmResp | GenericNack) -> Fate:
    status = answer.command_status
    if isinstance(answer, SubmitSmResp) and status == SmppCommandStatus.ESME_ROK:
        return Accepted(answer.message_id)
    note = f"the SMSC answered {status.name}"
    if status in PASSING:
        return NotNow(note, is_throttled=status in THROTTLING)
    return Refused(note)


def _lost(waiting: _Waiting, note: str) -> Fate:
    return Unsure(note) if waiting.is_written else NotNow(note)


def _end(waiting: _Waiting, fate: Fate) -> None:
    if not waiting.future.done():
        waiting.future.set_result(fate)
