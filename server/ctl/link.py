"""Calls of BackOfficeService and CustomerService, and what their refusals mean to an operator."""

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from loyalty.v1.back_office_service_pb2_grpc import BackOfficeServiceStub
from loyalty.v1.customer_service_pb2_grpc import CustomerServiceStub
from server.ctl.say import CtlError
from server.settings import is_port

CALL_TIMEOUT_S = 120.0
MESSAGE_BYTES_MAX = 64 * 1024 * 1024


class RefusedError(CtlError):
    """A call was refused.

    Attributes:
        fields: (path of the request field, what is wrong with it).
    """

    def __init__(self, lines: tuple[str, ...], fields: tuple[tuple[str, str], ...]) -> None:
        """Keep the facts."""
        super().__init__(*lines)
        self.fields = fields


@contextlib.contextmanager
def back_office(target: str) -> Iterator[BackOfficeServiceStub]:
    """Open a channel; refusals within the block become `CtlError`.

    Args:
        target: host:port of a server.

    Raises:
        CtlError: nobody answers there, or a call was refused.
    """
    with _channel(target) as channel:
        yield BackOfficeServiceStub(channel)


@contextlib.contextmanager
def customer_service(target: str) -> Iterator[CustomerServiceStub]:
    """The same for CustomerService."""
    with _channel(target) as channel:
        yield CustomerServiceStub(channel)


@contextlib.contextmanager
def _channel(target: str) -> Iterator[grpc.Channel]:
    if not target:
        raise CtlError("--target is empty: name host:port of a server")
    target.encode()  # of a word that is not UTF-8 that is said, whatever else it is not
    host, _, port = target.rpartition(":")
    if not host or not is_port(port):
        text = f"--target: {target!r} is no host:port of a server; for example 127.0.0.1:50051"
        raise CtlError(text)
    options = [
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ]
    try:
        with grpc.insecure_channel(target, options=options) as channel:
            yield channel
    except grpc.RpcError as error:
        raise ctl_error(error, target) from None


def ctl_error(error: Any, target: str) -> CtlError:
    """Say a call's failure.

    Args:
        error: a grpc.RpcError, which is a grpc.Call too, although its type does not say so.
        target: host:port that was called.
    """
    status = rpc_status.from_call(error)
    info = ErrorInfo()
    for detail in status.details if status is not None else ():
        if detail.Is(ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
    if info.reason:
        return _refused(error, info)
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return CtlError(
            f"nobody answers at {target}: {error.details()}",
            "start the server (make serve), or name another with --target or LOYALTY_TARGET",
        )
    return CtlError(f"{target} answered {error.code().name}: {error.details()}")


def _refused(error: grpc.Call, info: ErrorInfo) -> RefusedError:
    metadata = ", ".join(f"{key}={info.metadata[key]}" for key in sorted(info.metadata))
    lines = [f"refused, {info.reason}: {error.details()} ({metadata})"]
    fields = tuple(_fields(error))
    if len(fields) > 1:
        lines += [f"{path}: {text}" for path, text in fields]
    return RefusedError(tuple(lines), fields)


def _fields(error: grpc.Call) -> Iterator[tuple[str, str]]:
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        if detail.Is(BadRequest.DESCRIPTOR):
            bad = BadRequest()
            detail.Unpack(bad)
            yield from ((found.field, found.description) for found in bad.field_violations)
