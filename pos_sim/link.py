"""How a call of a till reaches a server and its answer comes back: what both transports promise."""

from collections.abc import Sequence
from typing import Protocol

import grpc
from google.protobuf.message import Message

CALLS = (
    "identify",
    "enroll",
    "quote",
    "checkout",
    "break_off",
    "void_receipt",
    "refund",
    "release",
    "forward",
    "get_receipt",
    "submit_profile",
)
"""The calls a till makes, by the name of their field in SessionRequest."""

CHANNEL_OPTIONS: Sequence[tuple[str, int]] = (
    # Channels of one process share connections by default; ours must be connections of their own,
    # else a new channel would lead back to the server that is going away.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    # A connection that died without a word is noticed before a till needs it.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
GRACE_S = 1.0
"""How much longer than its deadline a till waits for an answer, seconds."""


class Link(Protocol):
    """One way to a server. Several calls may be under way at once."""

    async def ask(self, call: str, message: Message, timeout_ms: int) -> Message:
        """Make a call.

        Args:
            call: One of CALLS.
            message: The request of this call; it is not changed.
            timeout_ms: Time left for the call, milliseconds.

        Returns:
            The answer of this call.

        Raises:
            RefusedError: The server refused it.
            LinkLostError: No answer came. The next call connects again.
        """

    async def close(self) -> None:
        """Disconnect. Calls under way fail."""


def open_channel(target: str) -> grpc.aio.Channel:
    """Open a connection of its own to a server.

    Args:
        target: host:port.
    """
    return grpc.aio.insecure_channel(target, options=list(CHANNEL_OPTIONS))
