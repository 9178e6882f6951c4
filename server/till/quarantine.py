"""What cannot be taken of what is forwarded: kept with its reason, so that it blocks nothing."""

import asyncio
import re

from msgspec.structs import replace

from loyalty.v1 import receipt_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.commit import Commit, CommitKey, KeyKind, LinkEntry, LinkEvent, QuarantineEntry
from rewards.limits import INSTANT_US_MAX, TEXT_ID_MAX
from rewards.outcome import ForwardState
from rewards.refusal import Reason, Refusal
from rewards.sale import derived_key_id
from server.lookups import Seen, Wanted
from server.store.database import RetryError
from server.store.facts import KnownKey
from server.store.quarantine import count_waiting, read_quarantined
from server.till.context import Context
from server.till.durable import Decided, run_durable
from server.till.forward_command import acknowledged

BODY_BYTES_MAX = 1_048_576
"""A larger request is not kept, only its reason: a receipt of 1,000 lines has some 300,000."""
WAITING_MAX = 100_000
"""So much may wait; then Forward says to come again: somebody has to look first."""
DETAIL_MAX = 500
_HASHED = "hash:"
_HIDDEN = re.compile(r"hash:[0-9a-f]{32}")

QUARANTINED = frozenset(
    {
        Reason.MALFORMED_MESSAGE,
        Reason.FIELD_REQUIRED,
        Reason.OUT_OF_RANGE,
        Reason.UNKNOWN_ENUM_VALUE,
        Reason.BAD_TEXT,
        Reason.LIMIT_EXCEEDED,
        Reason.INCONSISTENT,
        Reason.CONTROL_TOTALS_MISMATCH,
        Reason.CURRENCY_MISMATCH,
        Reason.UNKNOWN_STORE,
        Reason.NO_RULESET,
        Reason.KEY_CONFLICT,
        Reason.RECEIPT_STATE,
        Reason.RECEIPT_NOT_FOUND,
        Reason.INSTANT_NOT_ACCEPTED,
        Reason.INTERNAL,
    }
)
"""Why a forwarded receipt cannot be taken, and will not be if it is sent again."""


async def put_in_quarantine(
    context: Context, request: pb.ForwardRequest, problem: Refusal, deadline_s: float
) -> bytes:
    """Keep what cannot be taken; durable when this returns. A repetition gets the first reason.

    Raises:
        Refusal: TOO_MANY_IN_FLIGHT while too much waits; no time.
    """
    entry = QuarantineOperation(context, entry_of(context, request, problem))
    return await run_durable(context, entry, deadline_s)


def entry_of(context: Context, request: pb.ForwardRequest, problem: Refusal) -> QuarantineEntry:
    """What is kept of a request, without values of identifiers."""
    key = request.receipt_key
    body = redacted(context, request).SerializeToString(deterministic=True)
    return QuarantineEntry(
        _cut(key.chain_id),
        _cut(key.store_id),
        _cut(key.till_id),
        _cut(key.receipt_number),
        problem.reason.value,
        _cut(problem.message, DETAIL_MAX),
        max(0, min(request.sold_at_us, INSTANT_US_MAX)),
        body if len(body) <= BODY_BYTES_MAX else b"",
        len(body),
    )


def redacted(context: Context, request: pb.ForwardRequest) -> pb.ForwardRequest:
    """The request with keyed hashes in the place of identifiers; a hash stays as it is."""
    kept = pb.ForwardRequest()
    kept.CopyFrom(request)
    chain_id = kept.sale.header.chain_id if kept.HasField("sale") else ""
    for one in kept.sale.header.identifiers if kept.HasField("sale") else ():
        one.value = _hidden(context, chain_id, one)
    return kept


def _hidden(context: Context, chain_id: str, one: receipt_pb2.Identifier) -> str:
    if _HIDDEN.fullmatch(one.value):
        return one.value
    return _HASHED + context.hash_identifier(chain_id, one.kind, one.value).hex()


def unhidden(context: Context) -> Context:
    """Ports that read an identifier that a quarantined receipt holds by its hash."""

    def hash_identifier(chain_id: str, kind: int, value: str) -> bytes:
        if _HIDDEN.fullmatch(value):
            return bytes.fromhex(value.removeprefix(_HASHED))
        return context.hash_identifier(chain_id, kind, value)

    return replace(context, hash_identifier=hash_identifier)


def _cut(text: str, most: int = TEXT_ID_MAX) -> str:
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:most]


class QuarantineOperation:
    """Keeping something that cannot be taken, as a durable operation."""

    def __init__(self, context: Context, entry: QuarantineEntry) -> None:
        """Say what to look up: the key that is made of what was sent.

        Args:
            context: ports.
            entry: what is kept.
        """
        self._context = context
        self._entry = entry
        # Of what is too large to be kept the reason and the place have to do.
        parts = (entry.body, entry.reason, entry.chain_id, entry.store_id, entry.till_id)
        spelled = [one if isinstance(one, bytes) else one.encode() for one in parts]
        content = [entry.body] if entry.body else [*spelled, entry.receipt_number.encode()]
        self._key_id = derived_key_id(b"quarantine", *content)
        self.wanted = Wanted((self._key_id,), (), can_wait=True)

    async def settled(self, known: KnownKey, seen: Seen, deadline_s: float) -> bytes:
        """It was kept before: give the reason that was given then."""
        while True:
            try:
                async with (
                    asyncio.timeout_at(deadline_s),
                    self._context.database.reading() as connection,
                ):
                    found = await read_quarantined(connection, self._key_id)
                    break
            except RetryError:
                await self._context.database.recover()
            except TimeoutError:
                text = "the database cannot be reached in time: send it again"
                raise Refusal(Reason.STORE_UNAVAILABLE, text) from None
        assert found is not None, "the key of a quarantined receipt has its row"
        return acknowledged(ForwardState.QUARANTINED, found.reason)

    async def decide(self, seen: Seen, deadline_s: float) -> Decided:
        """Keep it.

        Raises:
            Refusal: TOO_MANY_IN_FLIGHT.
        """
        async with self._context.database.reading() as connection:
            waiting = await count_waiting(connection, WAITING_MAX)
        if waiting >= WAITING_MAX:
            text = "too many receipts wait in quarantine: they must be mended or dropped first"
            raise Refusal(Reason.TOO_MANY_IN_FLIGHT, text, {"max": str(WAITING_MAX)})
        return Decided(
            quarantine_commit(self._key_id, self._entry, self._context.clock()),
            acknowledged(ForwardState.QUARANTINED, self._entry.reason),
        )


def quarantine_commit(key_id: bytes, entry: QuarantineEntry, now_us: int) -> Commit:
    """What is written of something that cannot be taken."""
    return Commit(
        keys=(CommitKey(key_id, KeyKind.QUARANTINE, b""),),
        effective_at_us=now_us,
        recorded_at_us=now_us,
        quarantined=(entry,),
        link_events=(LinkEntry(LinkEvent.QUARANTINED),),
    )
