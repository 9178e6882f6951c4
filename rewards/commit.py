"""What a decision wants written: one value for the commit pipeline, whatever the operation."""

from enum import IntEnum

from msgspec import Struct

from rewards.facts import NO_ACCOUNT
from rewards.ledger import NOTHING, Movement

UNCHANGED = -1


class KeyKind(IntEnum):
    """What a commit key stands for."""

    CHECKOUT = 1
    FENCE = 2
    VOID = 3
    PROFILE = 4
    BASKET = 5


class CommitKey(Struct, frozen=True, gc=False):
    """A key that must be new: 16-byte id, kind, and the fingerprint of what it was used for."""

    key_id: bytes
    kind: int
    fingerprint: bytes


class StoredReceipt(Struct, frozen=True, gc=False):
    """The fat row: what was asked, what it was decided on, and the answer byte for byte."""

    key_id: bytes
    ruleset_version: int
    evaluated_at_us: int
    request: bytes
    facts: bytes
    answer: bytes


class StoredAnswer(Struct, frozen=True, gc=False):
    """A profile answer; `kept_value` is what rules may ask about, else None."""

    customer_id: int
    field_code: str
    value: str
    kept_value: str | None
    channel: int
    cashier_id: str


class ExceptionEntry(Struct, frozen=True, gc=False):
    """What could not be honoured of a fact; kinds as ExceptionKind of the contract."""

    kind: int
    detail: str


class Commit(Struct, frozen=True, gc=False):
    """Everything one operation writes, all or nothing.

    Attributes:
        keys: all must be new; the first is the operation's own.
        account_id: the account it changes; 0 is none.
        account_version: the version all was decided on; another version loses.
        effective_at_us: when it counts, UTC microseconds.
        recorded_at_us: the server's clock at the decision, UTC microseconds.
        purchases: by how much the account's count of purchases changes.
        last_purchase_day: local day of the account's last purchase from now on; UNCHANGED.
    """

    keys: tuple[CommitKey, ...]
    effective_at_us: int
    recorded_at_us: int
    account_id: int = NO_ACCOUNT
    account_version: int = 0
    receipt: StoredReceipt | None = None
    movement: Movement = NOTHING
    purchases: int = 0
    last_purchase_day: int = UNCHANGED
    answers: tuple[StoredAnswer, ...] = ()
    exceptions: tuple[ExceptionEntry, ...] = ()
