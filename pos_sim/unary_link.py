"""The calls of one till as unary calls, for tills without a cash server."""

import asyncio
from typing import Any

import grpc
from google.protobuf.message import Message

from loyalty.v1.till_service_pb2_grpc import TillServiceStub
from pos_sim.link import open_channel
from pos_sim.refusal import LinkLostError, read_error

METHODS = {
    "identify": "Identify",
    "enroll": "Enroll",
    "quote": "Quote",
    "checkout": "Checkout",
    "break_off": "BreakOff",
    "void_receipt": "Void",
    "refund": "Refund",
    "release": "Release",
    "forward": "Forward",
    "get_receipt": "GetReceipt",
    "submit_profile": "SubmitProfile",
}
CLOSING_GRACE_S = 3.0


class UnaryLink:
    """A connection for unary calls; a new one when it is lost or the server goes away."""

    def __init__(self, target: str) -> None:
        """Connect to a server, host:port."""
        self._target = target
        self._channel = open_channel(target)
        self._closing: set[asyncio.Task[None]] = set()

    async def ask(self, call: str, message: Message, timeout_ms: int) -> Message:
        """Make a call (see Link)."""
        channel = self._channel
        method: Any = getattr(TillServiceStub(channel), METHODS[call])
        try:
            answer: Message = await method(message, timeout=timeout_ms / 1000)
        except grpc.aio.AioRpcError as error:
            failure = read_error(error)
            if isinstance(failure, LinkLostError) or failure.refusal.is_draining:
                self._replace(channel)
            raise failure from error
        return answer

    async def close(self) -> None:
        """Disconnect."""
        await self._channel.close()
        await asyncio.gather(*self._closing)

    def _replace(self, channel: grpc.aio.Channel) -> None:
        """Connect again, once for all calls that failed on this connection."""
        if self._channel is channel:
            self._channel = open_channel(self._target)
            task = asyncio.create_task(channel.close(CLOSING_GRACE_S))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
