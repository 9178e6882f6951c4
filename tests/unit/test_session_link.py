"""Calls that wait together travel in one message, to a server that has said that it takes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from loyalty.v1 import till_service_pb2 as pb
from pos_sim.session_link import SESSION, TOGETHER_BYTES_MAX, SessionLink

CALLS = 60


class Server:
    """Answers Identify with the store's name, all calls of a message in one."""

    def __init__(self, takes_more: bool) -> None:
        self.takes_more = takes_more
        self.bodies: list[bytes] = []

    async def session(self, requests: object, context: Any) -> None:
        while isinstance(body := await context.read(), bytes):
            self.bodies.append(body)
            message = pb.SessionRequest.FromString(body)
            answers = [_answered(one) for one in (message, *message.more)]
            answers[0].more.extend(answers[1:])
            answers[0].takes_more = self.takes_more and message.takes_more
            await context.write(answers[0].SerializeToString())

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        service, method = SESSION.strip("/").split("/")
        handlers: dict[str, Any] = {method: grpc.stream_stream_rpc_method_handler(self.session)}
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


def _answered(request: pb.SessionRequest) -> pb.SessionResponse:
    made = pb.SessionResponse(correlation_id=request.correlation_id)
    made.identify.display_name = request.identify.store_id
    return made


async def _ask(link: SessionLink, name: str) -> str:
    answer = await link.ask("identify", pb.IdentifyRequest(store_id=name), 10_000)
    assert isinstance(answer, pb.IdentifyResponse)
    return answer.display_name


async def _converse(server: Server, names: list[str]) -> list[str]:
    async with server.serving() as target:
        link = SessionLink(target)
        try:
            assert await _ask(link, "first") == "first"
            return await asyncio.gather(*(_ask(link, name) for name in names))
        finally:
            await link.close()


def test_calls_that_wait_together_travel_together() -> None:
    names = [f"t{n}" for n in range(CALLS)]
    server = Server(takes_more=True)
    assert asyncio.run(_converse(server, names)) == names
    assert len(server.bodies) < CALLS / 4


def test_a_server_that_does_not_say_so_gets_each_alone() -> None:
    names = [f"t{n}" for n in range(CALLS)]
    server = Server(takes_more=False)
    assert asyncio.run(_converse(server, names)) == names
    assert len(server.bodies) == CALLS + 1
    assert not any(pb.SessionRequest.FromString(body).more for body in server.bodies)


def test_what_travels_together_is_bounded() -> None:
    names = [f"{n}" + "x" * (TOGETHER_BYTES_MAX // 4) for n in range(CALLS)]
    names.append("y" * 2 * TOGETHER_BYTES_MAX)
    server = Server(takes_more=True)
    assert asyncio.run(_converse(server, names)) == names
    longest = [body for body in server.bodies if len(body) > TOGETHER_BYTES_MAX + 1_000]
    assert len(longest) == 1
