"""Whether everybody whose receipt was forwarded was told of it by SMS, once and in time."""

import asyncio
import json
from collections import Counter
from pathlib import Path

from msgspec import Struct

from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.outbox_pb2 import ListMessagesRequest, MessageState, OutboxMessage
from pos_sim.faults.books import NOT_SOLD, Books, Sold
from pos_sim.faults.world import CHAIN_ID
from pos_sim.link import open_channel
from pos_sim.server_process import DemoError

CALL_TIMEOUT_S = 20.0
LOOK_EVERY_S = 0.3
SENT_S_MAX = 120.0
DAY_US = 86_400_000_000
_WAITING = frozenset({MessageState.MESSAGE_STATE_QUEUED, MessageState.MESSAGE_STATE_SENDING})
_TOLD = frozenset({MessageState.MESSAGE_STATE_SENT, MessageState.MESSAGE_STATE_DELIVERED})


class Carrier(Struct, frozen=True):
    """How the server sends messages in a run.

    Attributes:
        smsc: host:port of an SMSC; empty writes messages to a file.
        user: Its system_id.
        password: Of that.
    """

    smsc: str = ""
    user: str = "field"
    password: str = ""

    def settings(self, target: str, file: Path) -> dict[str, str]:
        """Settings of the server.

        Args:
            target: Where it reaches the SMSC.
            file: Where messages go without one.
        """
        quick = {"LOYALTY_SMS_POLL_S": "0.2", "LOYALTY_SMS_UNCERTAIN_S": "2.0"}
        if not self.smsc:
            return {**quick, "LOYALTY_SMS_TRANSPORT": "file", "LOYALTY_SMS_FILE": str(file)}
        return {
            **quick,
            "LOYALTY_SMS_TRANSPORT": "smpp",
            "LOYALTY_SMS_URL": target,
            "LOYALTY_SMS_USER": self.user,
            "LOYALTY_SMS_PASSWORD": self.password,
            "LOYALTY_SMS_SENDER": "FIELD",
        }


async def wait_until_sent(target: str) -> list[OutboxMessage]:
    """Wait until no message waits any more; gives all of them.

    Raises:
        DemoError: Some still wait, after a long time.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + SENT_S_MAX
    while True:
        found = await _read_messages(target)
        waiting = [one for one in found if one.state in _WAITING]
        if not waiting:
            return found
        if loop.time() > until_s:
            raise DemoError(f"{len(waiting)} messages are not sent, the first: {waiting[0]}")
        await asyncio.sleep(LOOK_EVERY_S)


def check_messages(
    books: Books,
    messages: list[OutboxMessage],
    names: dict[bytes, str],
    harms: int,
) -> None:
    """Hold messages to what tills know.

    Args:
        books: Of a scenario.
        messages: Of all scenarios.
        names: Of the scenario's receipts by receipt id.
        harms: How often a process or link died that may have been amid a submission. Each lets a
            message be sent once more, marked.
    """
    told: Counter[str] = Counter()
    for message in messages:
        if (name := names.get(message.receipt_id)) is not None:
            told[name] += 1
            _check(books, books.receipts[name], message, harms)
    for sold in books.receipts.values():
        due = 1 if _is_due(sold) else 0
        books.hold(told[sold.name] == due, f"{sold.name}: {told[sold.name]} messages, not {due}")
    books.count["messages"] += told.total()


def check_file(file: Path, messages: list[OutboxMessage]) -> list[str]:
    """Hold what the file transport wrote to the outbox: each part once, but for marked resends.

    Args:
        file: Where it wrote; need not be there if nothing was sent.
        messages: All there are.

    Returns:
        What is wrong.
    """
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    written = [json.loads(line) for line in lines]
    first = sum(not one["resend"] for one in written)
    expected = sum(one.parts for one in messages if one.state in _TOLD)
    return [] if first == expected else [f"{first} parts were sent first, {expected} are told"]


async def _read_messages(target: str) -> list[OutboxMessage]:
    request, found = ListMessagesRequest(chain_id=CHAIN_ID), list[OutboxMessage]()
    async with open_channel(target) as channel:
        stub = BackOfficeServiceStub(channel)
        while True:
            page = await stub.ListMessages(request, timeout=CALL_TIMEOUT_S)
            found.extend(page.messages)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


def _is_due(sold: Sold) -> bool:
    """Whether the till was told that an SMS will come, and there is something to tell."""
    is_forwarded = sold.answer is None and sold.outcome != NOT_SOLD
    return is_forwarded and sold.points_minor > 0


def _check(books: Books, sold: Sold, message: OutboxMessage, harms: int) -> None:
    state = MessageState.Name(message.state)
    books.hold(message.state in _TOLD, f"{sold.name}: its message is {state}")
    text = f"{sold.name}: sent again {message.resends} times after {harms} harms"
    books.hold(message.resends <= harms, text)
    books.count["resends"] += message.resends
    late_us = message.changed_at_us - message.window_end_us
    books.hold(late_us <= 0, f"{sold.name}: told {late_us} us after its window")
    if not message.is_late:
        took_us = message.changed_at_us - message.sold_at_us
        books.hold(took_us <= DAY_US, f"{sold.name}: told {took_us} us after the sale")
