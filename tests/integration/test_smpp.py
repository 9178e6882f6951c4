"""Goal: parts reach an SMSC that somebody else wrote, and every way in which that ends is told."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from rewards.sms_parts import encoded, joining_header, sms_text
from server.sms.smpp import SmppLink, SmppTransport
from server.sms.transport import (
    Accepted,
    Delivery,
    Fate,
    NotNow,
    Refused,
    Submission,
    Unsure,
)
from tests.serving import wait_until
from tests.smsc import PASSWORD, THROTTLED, Smsc, smsc

PHONE = "+79161234567"
LONG = "Ваша покупка: +120 баллов; скидка 50 ₽ на следующую покупку (по 31 дек. 2026 г.). " * 2
DAY_S = 86_400


@pytest.fixture(scope="module")
def peer() -> Iterator[Smsc]:
    with smsc() as found:
        yield found


@asynccontextmanager
async def bound(
    peer: Smsc, sender: str = "SHOP", response_s: float = 5.0
) -> AsyncIterator[tuple[SmppTransport, "asyncio.Queue[Delivery]"]]:
    receipts: asyncio.Queue[Delivery] = asyncio.Queue()
    link = SmppLink("127.0.0.1", peer.port, "esme", PASSWORD, sender, response_s, enquire_s=0.2)
    transport = SmppTransport(link)
    transport.start(receipts.put)
    try:
        await asyncio.to_thread(peer.wait, "bound")
        await ready(transport)
        yield transport, receipts
    finally:
        await transport.stop()


async def ready(transport: SmppTransport) -> None:
    await asyncio.to_thread(wait_until, lambda: transport.is_ready, "the session bound")


def parts_of(text: str) -> list[Submission]:
    cut = sms_text(text)
    count = len(cut.parts)
    return [
        Submission(
            submission_id=f"m-{number}",
            phone=PHONE,
            text=text,
            payload=joining_header(77, number, count) + encoded(part, cut.is_gsm),
            is_gsm=cut.is_gsm,
            part=number,
            count=count,
            is_resend=False,
            valid_s=DAY_S,
        )
        for number, part in enumerate(cut.parts, 1)
    ]


async def sent(transport: SmppTransport, text: str) -> list[Fate]:
    return [await transport.submit(one) for one in parts_of(text)]


@pytest.mark.parametrize("text", ["Ваша покупка: +120 баллов", "Euro € [1] {2} ~", "😀 спасибо"])
async def test_one_part_is_decoded_by_the_peer(peer: Smsc, text: str) -> None:
    async with bound(peer) as (transport, _):
        [fate] = await sent(transport, text)
        [seen] = await asyncio.to_thread(peer.wait, "submit")
    assert isinstance(fate, Accepted)
    assert (seen["text"], seen["to"], seen["from"]) == (text, PHONE[1:], "SHOP")
    assert (seen["udh"], seen["registered"]) == ([], 1)
    assert seen["data_coding"] == (0 if text.startswith("Euro") else 8)


async def test_three_parts_are_joined_by_the_peer(peer: Smsc) -> None:
    async with bound(peer) as (transport, _):
        fates = await sent(transport, LONG)
        seen = await asyncio.to_thread(peer.wait, "submit", 3)
    assert [type(one) for one in fates] == [Accepted] * 3
    assert "".join(one["text"] for one in seen) == LONG
    assert [one["udh"] for one in seen] == [[f"00034d03{n:02x}"] for n in (1, 2, 3)]
    assert {one["esm_class"] for one in seen} == {0x40}


async def test_what_an_smsc_refuses(peer: Smsc) -> None:
    """Throttling and faults pass, bad addresses do not; a vendor's own status ends no session."""
    async with bound(peer) as (transport, _):
        peer.tell("answers", **{"with": [THROTTLED, 0x14, 0x08, 0x0B, 0x0412, "ok"]})
        fates = [(await sent(transport, "a"))[0] for _ in range(6)]
        assert transport.is_ready
    throttled, full, fault, address, vendors, taken = fates
    assert [throttled, full] == [
        NotNow("the SMSC answered ESME_RTHROTTLED", is_throttled=True),
        NotNow("the SMSC answered ESME_RMSGQFUL", is_throttled=True),
    ]
    assert fault == NotNow("the SMSC answered ESME_RSYSERR")
    assert address == Refused("the SMSC answered ESME_RINVDSTADR")
    assert isinstance(vendors, NotNow)
    assert isinstance(taken, Accepted)


async def test_the_connection_breaks_amid_a_submit(peer: Smsc) -> None:
    """What was written is uncertain, at once; the session is bound again and goes on."""
    async with bound(peer, response_s=60.0) as (transport, _):
        peer.tell("answers", **{"with": ["cut"]})
        [fate] = await sent(transport, "a")
        assert fate == Unsure("the connection was lost")
        await asyncio.to_thread(peer.wait, "bound")
        await ready(transport)
        [again] = await sent(transport, "b")
        assert isinstance(again, Accepted)


async def test_no_answer_comes(peer: Smsc) -> None:
    async with bound(peer, response_s=0.3) as (transport, _):
        peer.tell("answers", **{"with": ["hold"]})
        assert await sent(transport, "a") == [Unsure("no answer came in time")]


async def test_what_was_never_written_was_not_sent() -> None:
    transport = SmppTransport(SmppLink("127.0.0.1", 1, "esme", PASSWORD, "SHOP", 0.1))
    transport.start(asyncio.Queue[Delivery]().put)
    try:
        assert await sent(transport, "a") == [NotNow("no answer came in time")]
        assert not transport.is_ready
    finally:
        await transport.stop()


async def test_receipts_in_the_forms_that_smscs_write(peer: Smsc) -> None:
    async with bound(peer) as (_, receipts):
        peer.receipt("a1", PHONE[1:])
        peer.receipt("A2", PHONE[1:], "UNDELIV")
        peer.receipt("a3", PHONE[1:], "ENROUTE")  # ends nothing
        odd = "id:a4 sub:001 dlvrd:001 submit date:20261128120000 done date:x stat:EXPIRED err:0A1"
        peer.receipt("", PHONE[1:], text=odd)
        more = {"receipted_message_id": "a5", "message_state": 2}
        peer.receipt("", PHONE[1:], text="", more=more)
        swapped = {"source_addr": "SHOP", "destination_addr": PHONE[1:]}
        peer.receipt("a6", "", more=swapped)
        acknowledged = await asyncio.to_thread(peer.wait, "acknowledged", 6)
        found = [receipts.get_nowait() for _ in range(5)]
        assert receipts.empty()
    assert {one["status"] for one in acknowledged} == {0}
    digits = PHONE[1:]
    assert found == [
        Delivery("a1", digits, True, ""),
        Delivery("A2", digits, False, "UNDELIV 000"),
        Delivery("a4", digits, False, "EXPIRED 0A1"),
        Delivery("a5", digits, True, ""),
        Delivery("a6", digits, True, ""),
    ]


async def test_the_link_is_kept_alive(peer: Smsc) -> None:
    async with bound(peer):
        await asyncio.to_thread(peer.wait, "enquired", 2)


async def test_a_receipt_is_acknowledged_only_once_it_is_taken(peer: Smsc) -> None:
    """While the database is away the SMSC gets no answer, and keeps the receipt."""
    may_return = asyncio.Event()
    taken: list[Delivery] = []

    async def take(found: Delivery) -> None:
        taken.append(found)
        await may_return.wait()

    transport = SmppTransport(SmppLink("127.0.0.1", peer.port, "esme", PASSWORD, "SHOP"))
    transport.start(take)
    try:
        await asyncio.to_thread(peer.wait, "bound")
        await ready(transport)
        peer.receipt("b1", PHONE[1:])
        await asyncio.to_thread(wait_until, lambda: bool(taken), "the receipt taken")
        peer.submits()
        before = sum(one["event"] == "acknowledged" for one in peer.seen)
        may_return.set()
        await asyncio.to_thread(peer.wait, "acknowledged")
        assert sum(one["event"] == "acknowledged" for one in peer.seen) == before + 1
    finally:
        await transport.stop()
