"""The ceiling: a grpc.aio server that decodes the same requests and sends a prebuilt answer.

`python -m bench.echo_server HOST:PORT ANSWER_FILE`; the file holds the bytes of one answer.
"""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop

from bench.receipts import SERVICE
from loyalty.v1 import till_service_pb2 as pb
from server.codec.message import spliced
from server.listeners import GRPC_OPTIONS

_CHECKOUT_FIELD = pb.SessionResponse.CHECKOUT_FIELD_NUMBER
_MORE_FIELD = pb.SessionResponse.MORE_FIELD_NUMBER

Context = grpc.aio.ServicerContext[bytes, bytes]


class Echo:
    """Decodes and answers, nothing else."""

    def __init__(self, answer: bytes) -> None:
        """Keep the answer for unary calls and, wrapped, for streams."""
        self._answer = answer
        self._wrapped = spliced(_CHECKOUT_FIELD, answer)

    async def checkout(self, body: bytes, context: Context) -> bytes:
        """Answer a unary call."""
        pb.CheckoutRequest.FromString(body)
        return self._answer

    async def session(self, requests: object, context: Context) -> None:
        """Answer every message of a stream, all its calls in one."""
        while True:
            body: object = await context.read()
            if not isinstance(body, bytes):
                return
            request = pb.SessionRequest.FromString(body)
            answer = self._answered(request)
            if request.takes_more:
                answer += pb.SessionResponse(takes_more=True).SerializeToString()
            more = [spliced(_MORE_FIELD, self._answered(one)) for one in request.more]
            await context.write(b"".join((answer, *more)))

    def _answered(self, request: pb.SessionRequest) -> bytes:
        head = pb.SessionResponse(correlation_id=request.correlation_id).SerializeToString()
        return head + self._wrapped


async def serve(listen: str, answer: bytes) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    echo = Echo(answer)
    handlers: dict[str, Any] = {
        "Checkout": grpc.unary_unary_rpc_method_handler(echo.checkout),
        "Session": grpc.stream_stream_rpc_method_handler(echo.session),
    }
    server = grpc.aio.server(options=GRPC_OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(listen)
    await server.start()
    await stop.wait()
    await server.stop(0.5)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], Path(sys.argv[2]).read_bytes()))
