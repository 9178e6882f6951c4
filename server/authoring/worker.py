"""The worker: a process that reads, checks, compares and compiles programs for a server.

`python -m server.authoring.worker` answers frames on standard input until it is closed. A program
of ten thousand promotions takes a second and more of Python, and single steps of C that hold the
interpreter for a tenth of a second: in the server's own process tills would wait for that.
"""

import gc
import os
import signal
import sys
import traceback

import msgspec
from google.protobuf.message import DecodeError, Message

from loyalty.v1 import back_office_service_pb2 as pb
from rewards.problem import Problem
from server.authoring.draft import Draft, UnreadableError, summarize, take_version
from server.authoring.frame import read_frame, write_frame
from server.authoring.messages import (
    BuildRequest,
    ClosedRequest,
    CompareRequest,
    Drafted,
    ReadRequest,
    Request,
    ReviewRequest,
    SummarizeRequest,
    TakeRequest,
)
from server.codec.program_pb import program_from_pb
from server.program_shape import ProgramShapeError

NICENESS = 10
"""Tills go first where there are few cores."""

_REQUEST = msgspec.msgpack.Decoder(Request)
_KINDS: dict[
    str, type[pb.ValidateProgramRequest | pb.PlanProgramRequest | pb.PublishProgramRequest]
] = {
    "ValidateProgram": pb.ValidateProgramRequest,
    "PlanProgram": pb.PlanProgramRequest,
    "PublishProgram": pb.PublishProgramRequest,
}


_SAID_BESIDES = ("version", "program_id", "effective_at_us", "published_by", "replaces_scheduled")


class Worker:
    """Answers requests; keeps the draft from one to the next."""

    def __init__(self) -> None:
        """Start without a draft."""
        self._draft = Draft((), is_whole=False)

    def answer(self, request: Request) -> object:
        """Answer one request with the struct of `messages` that belongs to it."""
        match request:
            case ReadRequest():
                return self._read(request)
            case TakeRequest():
                return self._take(request)
            case ReviewRequest():
                return self._draft.review(request)
            case CompareRequest():
                newest = request.base if request.newest is None else request.newest
                return self._draft.compare(request.base, newest)
            case ClosedRequest():
                return self._draft.newly_closed(request.newest, request.checks)
            case BuildRequest():
                return self._draft.build(request)
            case SummarizeRequest():
                return summarize(request.before, request.after)

    def _read(self, request: ReadRequest) -> Drafted:
        message = _KINDS[request.method]()
        try:
            message.ParseFromString(request.body)
        except DecodeError:
            return Drafted(is_message=False)
        said = _said_besides(message)
        if not message.HasField("program"):
            return said
        try:
            program = program_from_pb(message.program)
        except ProgramShapeError as error:
            return msgspec.structs.replace(said, has_program=True, problems=(error.problem,))
        self._draft = Draft((program,), is_whole=False)
        return msgspec.structs.replace(
            said,
            has_program=True,
            program_id=said.program_id or program.program_id,
            chain_id=program.chain_id,
            currency_code=program.currency_code,
            problems=self._draft.problems(),
            names={} if request.method == "PublishProgram" else self._draft.names(),
            sets=() if request.method == "PublishProgram" else self._draft.sets(),
        )

    def _take(self, request: TakeRequest) -> Drafted:
        try:
            draft = take_version(request.content, request.program_id)
        except UnreadableError as error:
            return Drafted(has_program=True, problems=(Problem("version", str(error)),))
        if draft is None:
            return Drafted()
        self._draft = draft
        return Drafted(has_program=True, problems=draft.problems())


def main() -> None:
    """Answer until the server closes the pipe."""
    # Ctrl-C at a terminal is the server's to handle: it drains first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    # It lives for one operation and makes no cycles worth collecting: a fifth of its time is saved.
    gc.disable()
    worker = Worker()
    while True:
        frame = read_frame(sys.stdin.buffer)
        if frame is None:
            return
        write_frame(sys.stdout.buffer, msgspec.msgpack.encode(_answered(worker, frame)))


def _said_besides(message: Message) -> Drafted:
    """What a call says besides its program; calls have these fields or have them not."""
    said: dict[str, object] = {}
    for name in _SAID_BESIDES:
        if name in message.DESCRIPTOR.fields_by_name:
            said[name] = getattr(message, name)
    return msgspec.convert(said, Drafted)


def _answered(worker: Worker, frame: bytes) -> tuple[bool, object]:
    """Whether there is an answer, and the answer, or the trace for the log."""
    try:
        return True, worker.answer(_REQUEST.decode(frame))
    except Exception:
        return False, traceback.format_exc()


if __name__ == "__main__":
    main()
