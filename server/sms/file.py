"""The transport of the demo: messages are lines of a file, which is where they were to go."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from server.sms.transport import Accepted, Delivery, Fate, NotNow, Submission, TakeDelivery

_ENCODER = msgspec.json.Encoder()


class FileTransport:
    """Appends a JSON line for every part. Holds phones: keep the file as one keeps those."""

    def __init__(self, path: Path) -> None:
        """Append to a file; it and its folder are made when the first message goes.

        Args:
            path: the file; several processes may append to it.
        """
        self._path = path

    @property
    def is_ready(self) -> bool:
        """Always."""
        return True

    @property
    def must_be_asked(self) -> bool:
        """No: nothing is ever open."""
        return False

    def start(self, take: TakeDelivery) -> None:
        """Nothing is to be connected, and no receipt comes."""

    async def stop(self) -> None:
        """Nothing is to be disconnected."""

    async def submit(self, submission: Submission) -> Fate:
        """Append a line; it is on disk when this returns."""
        line = _ENCODER.encode(
            {
                "id": submission.submission_id,
                "phone": submission.phone,
                "text": submission.text,
                "part": submission.part,
                "parts": submission.count,
                "resend": submission.is_resend,
            }
        )
        try:
            await asyncio.to_thread(self._append, line + b"\n")
        except OSError as error:
            return NotNow(f"the file cannot be written: {error.strerror}")
        return Accepted(submission.submission_id, is_delivered=True)

    async def ask(self, provider_ids: Sequence[str]) -> list[Delivery]:
        """Nothing is ever open."""
        return []

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            written = os.write(descriptor, line)
            if written < len(line):
                raise OSError(28, "the disk is full")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
