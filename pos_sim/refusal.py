"""What a refusal says, and how a call can fail; reads the catalogue of `errors.proto`."""

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from msgspec import Struct

DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_FAULTS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
# RESULT_UNKNOWN, STORE_UNAVAILABLE, DRAINING; DEADLINE_PASSED; TOO_MANY_IN_FLIGHT.
_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class Refusal(Struct, frozen=True):
    """Why a call was refused.

    Attributes:
        reason: A name of ErrorReason without its prefix; else the name of the status code.
        fields: Fields that BadRequest names, with what is wrong with each.
        retry_after_s: How long the server asks to wait, seconds; 0 if it does not say.
    """

    code: grpc.StatusCode
    reason: str
    message: str
    fields: tuple[str, ...] = ()
    metadata: dict[str, str] = {}
    retry_after_s: float = 0.0

    @property
    def is_fault(self) -> bool:
        """The server is at fault: no refusal should look like this."""
        return self.code in _FAULTS

    @property
    def is_passing(self) -> bool:
        """The same call with the same key may succeed later."""
        return self.code in _PASSING

    @property
    def is_draining(self) -> bool:
        """This server is going away: another connection is needed."""
        return self.reason == "DRAINING"

    def __str__(self) -> str:
        """All of it on one line."""
        named = f" ({'; '.join(self.fields)})" if self.fields else ""
        return f"{self.reason}: {self.message}{named}"


class RefusedError(Exception):
    """The server refused a call.

    Attributes:
        status: As it came, for who passes it on; None if it came without details.
    """

    def __init__(self, refusal: Refusal, status: Status | None = None) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.status = status


class LinkLostError(Exception):
    """No answer came; whether the call had an effect is not known."""


class GaveUpError(Exception):
    """No answer came in as many attempts as a till has patience for."""


def read_status(status: Status) -> Refusal:
    """Read the refusal of a call on a session."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        for message in (info, bad_request, retry):
            detail.Unpack(message)
    return Refusal(
        code=code,
        reason=info.reason or code.name,
        message=status.message,
        fields=tuple(f"{v.field}: {v.description}" for v in bad_request.field_violations),
        metadata=dict(info.metadata),
        retry_after_s=retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9,
    )


def read_error(error: grpc.aio.AioRpcError) -> RefusedError | LinkLostError:
    """Tell a refusal of a unary call from a lost link."""
    status = _find_status(error)
    if status is not None:
        return RefusedError(read_status(status), status)
    lost = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    if error.code() in (*lost, grpc.StatusCode.CANCELLED):
        return LinkLostError(f"{error.code().name}: {error.details()}")
    return RefusedError(Refusal(error.code(), error.code().name, error.details() or ""))


def _find_status(error: grpc.aio.AioRpcError) -> Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None
