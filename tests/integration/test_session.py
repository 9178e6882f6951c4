"""Goal: one stream carries the calls of many tills, and no message harms another.

Also: a draining server sends GO_AWAY, answers what it took, and ends with 0; and a program that is
published is picked up without a dropped call.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo

from loyalty.v1 import till_service_pb2 as pb
from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from tests.accounts import identifier
from tests.serving import (
    CHAIN,
    PROGRAM,
    STORE,
    checkout_request,
    publish,
    receipt_key,
    sale,
    serving,
    test_program,
)

BATCH = 200
POISONED = 77
NONSENSE = b"\xff\xff\xff\xffnonsense"


def message(number: int, **changes: Any) -> pb.SessionRequest:
    """A Checkout on a stream, of a till of its own."""
    till = f"t{number}"
    request = pb.SessionRequest(correlation_id=number + 1, timeout_ms=30_000)
    request.checkout.receipt_key.CopyFrom(receipt_key(number, till))
    request.checkout.sale.CopyFrom(sale(f"card{number % 40}", till=till))
    for name, value in changes.items():
        setattr(request, name, value)
    return request


async def converse(target: str, bodies: Sequence[bytes], answers: int) -> list[pb.SessionResponse]:
    """Send all messages, then read so many answers."""
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.stream_stream("/loyalty.v1.TillService/Session")()
        for body in bodies:
            await call.write(body)
        found = [pb.SessionResponse.FromString(await call.read()) for _ in range(answers)]
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF
        return found


def reason(response: pb.SessionResponse) -> str:
    """The reason of a refusal on a stream; empty for an answer."""
    for detail in response.status.details:
        info = ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return ""


def test_one_poisoned_message_harms_no_other(place: dict[str, str], log_dir: Path) -> None:
    """200 receipts in one go, one with a NUL and one that is no protobuf: 199 are sold."""
    bodies = [message(n).SerializeToString() for n in range(BATCH)]
    bad = message(POISONED)
    bad.checkout.sale.lines[0].sku = "a\x00b"
    bodies[POISONED] = bad.SerializeToString()
    bodies.insert(POISONED, NONSENSE)
    with serving(place, log_dir) as servers:
        found = asyncio.run(converse(servers[0].target, bodies, BATCH + 1))
    by_id = {response.correlation_id: response for response in found}
    assert reason(by_id.pop(0)) == "MALFORMED_MESSAGE"
    assert reason(by_id.pop(POISONED + 1)) == "BAD_TEXT"
    assert len(by_id) == BATCH - 1
    assert {r.checkout.result for r in by_id.values()} == {pb.DURABLE_RESULT_COMMITTED}


def together(messages: Sequence[pb.SessionRequest], takes_more: bool) -> bytes:
    """One message with all calls."""
    joined = pb.SessionRequest(takes_more=takes_more)
    joined.MergeFrom(messages[0])
    joined.more.extend(messages[1:])
    return joined.SerializeToString()


async def converse_together(
    target: str, bodies: Sequence[bytes], answers: int
) -> list[pb.SessionResponse]:
    """Send messages, then read until there are so many answers: the messages that came."""
    found: list[pb.SessionResponse] = []
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.stream_stream("/loyalty.v1.TillService/Session")()
        for body in bodies:
            await call.write(body)
        while sum(1 for _ in answers_of(found)) < answers:
            found.append(pb.SessionResponse.FromString(await call.read()))
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF
    return found


def answers_of(messages: Sequence[pb.SessionResponse]) -> Iterator[pb.SessionResponse]:
    """The answers in messages, without what a server says of itself."""
    for message in messages:
        yield from (one for one in (message, *message.more) if not one.takes_more)


def test_calls_of_one_message_are_answered_each_and_together_to_who_takes_that(
    place: dict[str, str], log_dir: Path
) -> None:
    """One of 100 is poisoned, and all are sent again to a stream that takes no more than one."""
    bad = message(POISONED)
    bad.checkout.sale.lines[0].sku = "a\x00b"
    calls = [bad if n == POISONED else message(n) for n in range(100)]
    with serving(place, log_dir) as servers:
        target = servers[0].target
        first = asyncio.run(converse_together(target, [together(calls, takes_more=True)], 100))
        again = asyncio.run(converse_together(target, [together(calls, takes_more=False)], 100))
    by_id = {one.correlation_id: one for one in answers_of(first)}
    assert reason(by_id[POISONED + 1]) == "BAD_TEXT"
    sold = [one for one in by_id.values() if not one.HasField("status")]
    assert len(sold) == 99
    assert {one.checkout.result for one in sold} == {pb.DURABLE_RESULT_COMMITTED}
    assert len(first) < 50
    assert sum(one.takes_more for message in first for one in (message, *message.more)) == 1
    assert len(again) == 100
    alone = {one.correlation_id: one for one in again}
    for one in sold:
        assert alone[one.correlation_id].checkout == one.checkout


def test_who_takes_several_answers_may_say_so_alone(place: dict[str, str], log_dir: Path) -> None:
    """Nothing is refused: the first answer is that of the call behind it."""
    bodies = [pb.SessionRequest(takes_more=True), message(3)]
    spelled = [body.SerializeToString() for body in bodies]
    with serving(place, log_dir) as servers:
        found = asyncio.run(converse_together(servers[0].target, spelled, 1))
    assert [(one.correlation_id, reason(one)) for one in answers_of(found)] == [(4, "")]
    assert sum(one.takes_more for said in found for one in (said, *said.more)) == 1


def test_messages_out_of_bounds(place: dict[str, str], log_dir: Path) -> None:
    """No id, no call, no time: each is refused by name, and the stream goes on."""
    bodies = [
        pb.SessionRequest(correlation_id=5, timeout_ms=1_000),
        message(1, correlation_id=0),
        message(2, timeout_ms=0),
        message(3),
    ]
    with serving(place, log_dir) as servers:
        target = servers[0].target
        spelled = [body.SerializeToString() for body in bodies]
        found = asyncio.run(converse(target, spelled, len(bodies)))
    reasons = {response.correlation_id: reason(response) for response in found}
    expected = {5: "FIELD_REQUIRED", 0: "FIELD_REQUIRED", 3: "OUT_OF_RANGE", 4: ""}
    assert reasons == expected


def test_a_till_has_bounded_calls_in_flight(place: dict[str, str], log_dir: Path) -> None:
    """A till that floods is told so; another till on the same stream is served."""
    flood = []
    for n in range(100):
        request = pb.SessionRequest(correlation_id=n + 1, timeout_ms=30_000)
        request.checkout.CopyFrom(checkout_request(n))
        flood.append(request.SerializeToString())
    flood.append(message(500).SerializeToString())
    with serving(place, log_dir) as servers:
        found = asyncio.run(converse(servers[0].target, flood, len(flood)))
    by_id = {response.correlation_id: reason(response) for response in found}
    assert by_id[501] == ""
    refused = {why for why in by_id.values() if why}
    assert refused <= {"TOO_MANY_IN_FLIGHT"}
    assert list(by_id.values()).count("") >= 17


def test_calls_that_name_no_till_are_not_counted_as_one(
    place: dict[str, str], log_dir: Path
) -> None:
    """Customers are identified at all tills of a store at once."""
    calls = []
    for n in range(1, 101):
        request = pb.SessionRequest(correlation_id=n, timeout_ms=30_000)
        asked = pb.IdentifyRequest(chain_id=CHAIN, store_id=STORE, identifier=identifier("card1"))
        request.identify.CopyFrom(asked)
        calls.append(request.SerializeToString())
    with serving(place, log_dir) as servers:
        found = asyncio.run(converse(servers[0].target, calls, len(calls)))
    assert {reason(response) for response in found} == {""}


async def _until_go_away(call: Any, answered: set[int], sent: AsyncIterator[int]) -> None:
    async for number in sent:
        await call.write(message(number).SerializeToString())
    while True:
        body = await call.read()
        if body == grpc.aio.EOF:
            return
        response = pb.SessionResponse.FromString(body)
        if response.WhichOneof("answer") == "go_away":
            await call.done_writing()
        elif not response.HasField("status"):
            answered.add(response.correlation_id)


def test_sigterm_drains(place: dict[str, str], log_dir: Path) -> None:
    """SIGTERM: GO_AWAY arrives, everything taken is answered, the exit code is 0."""
    answered: set[int] = set()

    async def talk(server: Any) -> None:
        async def numbers() -> AsyncIterator[int]:
            for number in range(100):
                yield number
            server.process.terminate()

        async with grpc.aio.insecure_channel(server.target) as channel:
            call: Any = channel.stream_stream("/loyalty.v1.TillService/Session")()
            await asyncio.wait_for(_until_go_away(call, answered, numbers()), timeout=30)

    with serving(place, log_dir) as servers:
        asyncio.run(talk(servers[0]))
        assert servers[0].stop() == 0
    assert answered == set(range(1, 101))


def test_a_new_version_drops_no_call(place: dict[str, str], log_dir: Path) -> None:
    """While tills sell, a version is published: no call fails, and both versions have sold."""
    gives = [{"code": "percent_off", "rate_bp": 2_000}]
    promotions = [{**PROGRAM["promotions"][0], "gives": gives}]
    changed = test_program(promotions=[*promotions, PROGRAM["promotions"][1]])

    async def sell(target: str, versions: set[int], stop: asyncio.Event) -> None:
        async with grpc.aio.insecure_channel(target) as channel:
            call: Any = channel.unary_unary("/loyalty.v1.TillService/Checkout")
            for number in itertools.count():
                published = stop.is_set()
                body = await call(checkout_request(number).SerializeToString(), timeout=5.0)
                versions.add(pb.CheckoutResponse.FromString(body).answer.ruleset_version)
                if published:
                    return

    async def both(target: str) -> tuple[set[int], int]:
        versions: set[int] = set()
        stop = asyncio.Event()
        selling = asyncio.create_task(sell(target, versions, stop))
        with grpc.insecure_channel(target) as channel:
            stub = BackOfficeServiceStub(channel)
            version = await asyncio.to_thread(publish, stub, changed)
        stop.set()
        await selling
        return versions, version

    with serving(place, log_dir) as servers:
        versions, version = asyncio.run(both(servers[0].target))
    assert versions == {version - 1, version}


def test_a_client_that_does_not_read_is_still_answered(
    place: dict[str, str], log_dir: Path
) -> None:
    """3,000 messages without reading one answer: once the client reads, all answers are there."""
    count = 3_000

    async def talk(target: str) -> set[int]:
        async with grpc.aio.insecure_channel(target) as channel:
            call: Any = channel.stream_stream("/loyalty.v1.TillService/Session")()

            async def send() -> None:
                for number in range(1, count + 1):
                    request = pb.SessionRequest(correlation_id=number, timeout_ms=0)
                    await call.write(request.SerializeToString())

            sending = asyncio.create_task(send())
            await asyncio.wait({sending}, timeout=2.0)
            found = [pb.SessionResponse.FromString(await call.read()) for _ in range(count)]
            await sending
            await call.done_writing()
            return {response.correlation_id for response in found}

    with serving(place, log_dir) as servers:
        ids = asyncio.run(asyncio.wait_for(talk(servers[0].target), timeout=60))
    assert ids == set(range(1, count + 1))
