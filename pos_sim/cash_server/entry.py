"""What the spool keeps of one call of a till; whether a call is tried live or goes by the spool.

Must not know how entries are stored or sent.
"""

from collections.abc import Iterable
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from google.protobuf.message import Message
from msgspec import Struct

from loyalty.v1.receipt_pb2 import ReceiptKey


class Kind(StrEnum):
    """Calls that are spooled, by the name of their field in SessionRequest."""

    CHECKOUT = "checkout"
    REFUND = "refund"
    VOID = "void_receipt"
    FORWARD = "forward"
    BREAK_OFF = "break_off"


class State(StrEnum):
    """Where an entry stands.

    LIVE: is being tried; after a crash nobody knows what became of it.
    DOUBT: a request that was broken off: it may be committed, and what the till did is not said.
    DUE: a fact that is to be forwarded; or a request that is, with the outcome it said beforehand.
    FENCED: a request whose key the server has closed: it sold nothing.
    COMMITTED: a request that the server had committed although the till got no answer.
    STATED: a request on whose key the till has stated a fact since; the fact tells the rest.
    FORWARDED: the server has it.
    SET_ASIDE: the server cannot take it as it is; somebody must look at it.
    """

    LIVE = "LIVE"
    DOUBT = "DOUBT"
    DUE = "DUE"
    FENCED = "FENCED"
    COMMITTED = "COMMITTED"
    STATED = "STATED"
    FORWARDED = "FORWARDED"
    SET_ASIDE = "SET_ASIDE"


UNSETTLED = frozenset({State.LIVE, State.DOUBT, State.DUE})
_STATABLE = frozenset({State.LIVE, State.DOUBT, State.DUE, State.FENCED, State.COMMITTED})
_OVER = frozenset({State.DUE, State.FORWARDED, State.FENCED})
_TAKEN = frozenset({State.DUE, State.FORWARDED, State.SET_ASIDE})


class Entry(Struct, frozen=True):
    """One call of a till.

    Attributes:
        till: Chain, store and till, as "chain/store/till"; entries of one till go in order.
        key: The receipt key, spelled in bytes.
        digest: Of the body, 16 bytes: the same call again has the same.
        is_fact: It happened already; else it is a request.
        has_outcome: A request that says beforehand what the till will have done.
        arrived_at_us: By the clock of the cash server, UTC microseconds.
        sold_at_us: By the clock of the till.
        till_offset_us: Clock of the cash server minus clock of the till, microseconds.
        amount_minor: What is sold, for the ceilings; 0 if nothing is.
        is_advice: A fact that differs from what an answer would say; never tried live. Not kept.
        entry_id: Its place in the spool, from 1; 0 before it has one.
    """

    till: str
    key: bytes
    kind: Kind
    digest: bytes
    body: bytes
    is_fact: bool
    has_outcome: bool
    arrived_at_us: int
    sold_at_us: int
    till_offset_us: int
    amount_minor: int
    entry_id: int = 0
    state: State = State.LIVE
    is_advice: bool = False


class Known(Struct, frozen=True):
    """What the spool says of an entry with the same receipt key."""

    entry_id: int
    kind: Kind
    digest: bytes
    is_fact: bool
    state: State


class Way(StrEnum):
    """What to do with a call.

    TRY: send it live.
    FORWARD: it is taken, and goes by the spool.
    TAKEN: the spool has it already.
    BROKEN_OFF: its key was broken off here, so it sells nothing live.
    """

    TRY = "TRY"
    FORWARD = "FORWARD"
    TAKEN = "TAKEN"
    BROKEN_OFF = "BROKEN_OFF"


def find_way(entry: Entry, known: Iterable[Known], has_queue: bool) -> Way:
    """Decide how a call goes on, from what the spool has of its receipt.

    Args:
        entry: The call.
        known: Entries with the same receipt key.
        has_queue: Something of the same till waits to be forwarded.
    """
    others = [one for one in known if not _is_same(one, entry)]
    same = next((one for one in known if _is_same(one, entry)), None)
    if not entry.is_fact:
        is_over = any(one.is_fact or one.state in _OVER for one in known)
        return Way.BROKEN_OFF if is_over and entry.kind != Kind.BREAK_OFF else Way.TRY
    if same is not None and same.state in _TAKEN:
        return Way.TAKEN
    if entry.is_advice or (entry.kind == Kind.VOID and has_queue):
        return Way.FORWARD
    return Way.FORWARD if others else Way.TRY


def is_stated_by(known: Known, fact: Entry) -> bool:
    """Whether a fact that goes by the spool says what became of an earlier request."""
    states_it = fact.kind in (Kind.CHECKOUT, Kind.REFUND, Kind.FORWARD)
    return states_it and not known.is_fact and known.state in _STATABLE


def spell_key(key: ReceiptKey) -> bytes:
    """Spell a receipt key, the same key always in the same bytes."""
    return key.SerializeToString(deterministic=True)


def digest_of(kind: Kind, request: Message) -> bytes:
    """Hash what a call says, 16 bytes; a repetition that only counts its attempts has the same."""
    same: Any = type(request)()
    same.CopyFrom(request)
    if kind == Kind.CHECKOUT:
        same.ClearField("attempt")
    body = same.SerializeToString(deterministic=True)
    return blake2b(body, digest_size=16, person=kind.value.encode()).digest()


def _is_same(known: Known, entry: Entry) -> bool:
    return (known.kind, known.digest) == (entry.kind, entry.digest)
