"""The parking job: settles refunds and voids whose sale has come by a live call, gives up others.

A Forward of a sale settles what waits for it at once; this is for all that came otherwise, and for
what a server left that died in between. Every server runs it: a key decides who settles what.
"""

import asyncio

import structlog

from rewards.refusal import Refusal
from server.store.database import RetryError
from server.store.forwarded import read_parked_due
from server.till.context import Context
from server.till.parked import settle_one

PORTION = 256
"""What one look finds; it is worked on before the next."""
TIMEOUT_S = 30.0

_log = structlog.get_logger(__name__)


class Parking:
    """The job of one server."""

    def __init__(self, context: Context, pause_s: float) -> None:
        """Prepare; `start` begins.

        Args:
            context: ports.
            pause_s: between two looks, seconds; 0 never looks by itself.
        """
        self._context = context
        self._pause_s = pause_s
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look every `pause_s` seconds."""
        if self._pause_s:
            self._worker = asyncio.create_task(self._work(), name="parking")

    async def stop(self) -> None:
        """Stop; what is being written is written, or not, as a whole."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def run(self) -> int:
        """Look at all that waits no longer; say how much there was.

        Raises:
            RetryError: the database cannot be reached just now; running again is safe.
        """
        looked, after = 0, b""
        while True:
            async with self._context.database.reading() as connection:
                now_us = self._context.clock()
                found = await read_parked_due(connection, after, now_us, PORTION)
            if not found:
                return looked
            after = found[-1].forward_key_id
            looked += len(found)
            for one in found:
                deadline_s = asyncio.get_running_loop().time() + TIMEOUT_S
                try:
                    await settle_one(self._context, one, deadline_s)
                except Refusal as refusal:
                    _log.warning("parked_not_settled", error=str(refusal))
                except RetryError:
                    raise
                except Exception:
                    # One that can never be settled does not stop the others.
                    key_id = one.forward_key_id.hex()
                    _log.exception("parked_not_settled", forward_key_id=key_id)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            try:
                looked = await self.run()
            except RetryError as error:
                _log.warning("parking_interrupted", error=str(error))
            except Exception:
                _log.exception("parking_failed")
            else:
                if looked:
                    _log.info("parking_looked", receipts=looked)
