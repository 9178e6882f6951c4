"""The gRPC servers of this process: several on one port, to take in several calls at once.

A server of grpc.aio takes in one unary call or stream in some four turns of the event loop, and one
turn may decide dozens of receipts. Source: ADR 0052.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

LISTENERS = 32
"""Each costs 10 KB and a socket; connections are dealt out over them by the kernel."""
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
GRPC_OPTIONS = (
    ("grpc.so_reuseport", 1),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    # Tills on mobile links ping often; the default would cut them off.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_concurrent_streams", 10_000),
)

WAKE_UPS_MAX = 65_536
"""Bytes read at once; a socket holds some hundreds of them."""


class Listeners:
    """Servers of the same services on the same port."""

    def __init__(self, listen: str, add_services: Callable[[grpc.aio.Server], None]) -> None:
        """Listen; nothing is answered before `start`.

        Args:
            listen: address and port.
            add_services: adds all services to one server.

        Raises:
            SystemExit: the port cannot be had.
        """
        with _wake_ups_read_at_once():
            self._servers = [grpc.aio.server(options=GRPC_OPTIONS) for _ in range(LISTENERS)]
        for server in self._servers:
            add_services(server)
            try:
                server.add_insecure_port(listen)
            except RuntimeError:
                reason = "is the port taken, and is the address one of this machine?"
                raise SystemExit(f"cannot listen on {listen}: {reason}") from None

    async def start(self) -> None:
        """Answer."""
        await asyncio.gather(*[server.start() for server in self._servers])

    async def stop(self, grace_s: float) -> None:
        """Take in nothing more; calls that run after `grace_s` seconds are cancelled."""
        await asyncio.gather(*[server.stop(grace_s) for server in self._servers])


class _WakeUps(socket.socket):
    """The end of gRPC's socket pair at which the event loop hears of events.

    For each event gRPC writes a byte there. It then handles all events there are, but reads one
    byte: under load the rest piles up until the writer has to wait, and no call is heard of before
    the loop has gone round some 200 times.
    """

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        return super().recv(WAKE_UPS_MAX, flags)


@contextmanager
def _wake_ups_read_at_once() -> Iterator[None]:
    """Let gRPC, which is set up with its first server, get a `_WakeUps` for its socket pair."""
    make_pair = socket.socketpair

    def make(*kind: Any, **named: Any) -> tuple[socket.socket, socket.socket]:
        heard, written = make_pair(*kind, **named)
        return _WakeUps(heard.family, heard.type, heard.proto, heard.detach()), written

    socket.socketpair = make
    try:
        yield
    finally:
        socket.socketpair = make_pair
