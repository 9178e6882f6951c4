"""What a decision wants written: one value for the commit pipeline, whatever the operation."""

from enum import IntEnum

from msgspec import Struct

from rewards.ledger import NOTHING, Hold, Movement

UNCHANGED = -1


class KeyKind(IntEnum):
    """What a commit key stands for."""

    CHECKOUT = 1
    FENCE = 2
    VOID = 3
    PROFILE = 4
    BASKET = 5
    REFUND = 6
    ENROLLMENT = 7
    MERGE = 8
    EXPIRY = 9
    GOODWILL = 10
    IDENTIFIER = 11
    REFUND_TURN = 12
    ISSUE = 13
    TRANSFER_STATE = 14


class AccountKind(IntEnum):
    """Whose account it is."""

    CUSTOMER = 1
    HOUSEHOLD = 2
    BEARER = 3


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


class PromotionUse(Struct, frozen=True, gc=False):
    """How often a promotion fired for an account, and what it gave, in one period of its limit.

    Attributes:
        period: names the period, for example 2026-11; empty is for ever.
        times: negative where a void takes it back.
        amount_minor: money off and worth of rewards, minor units of money.
    """

    promotion_id: str
    period: str
    times: int
    amount_minor: int


class AccountChange(Struct, frozen=True, gc=False):
    """What an operation changes of one account.

    Attributes:
        version: the version all was decided on; another version loses.
        purchases: by how much the account's count of purchases changes.
        last_purchase_day: local day of the account's last purchase from now on; UNCHANGED.
        holds: placed, each instead of an older one of the same id and asset.
        released: ids of holds that end, whatever their assets.
        merged_into: the account that everything went to; 0 is none.
    """

    account_id: int
    version: int
    movement: Movement = NOTHING
    purchases: int = 0
    last_purchase_day: int = UNCHANGED
    holds: tuple[Hold, ...] = ()
    released: tuple[bytes, ...] = ()
    uses: tuple[PromotionUse, ...] = ()
    merged_into: int = 0


class NewAccount(Struct, frozen=True, gc=False):
    """An account that the operation opens, with what moves on it at once."""

    account_id: int
    kind: int
    movement: Movement = NOTHING


class Commit(Struct, frozen=True, gc=False):
    """Everything one operation writes, all or nothing.

    Attributes:
        keys: all must be new; the first is the operation's own. Only holds need none.
        effective_at_us: when it counts, UTC microseconds.
        recorded_at_us: the server's clock at the decision, UTC microseconds.
        accounts: at most one change for each account; the first is the customer's.
    """

    keys: tuple[CommitKey, ...]
    effective_at_us: int
    recorded_at_us: int
    accounts: tuple[AccountChange, ...] = ()
    new_accounts: tuple[NewAccount, ...] = ()
    receipt: StoredReceipt | None = None
    answers: tuple[StoredAnswer, ...] = ()
    exceptions: tuple[ExceptionEntry, ...] = ()

    def moved(self) -> list[tuple[int, Movement]]:
        """The accounts with what moves on them, new ones too."""
        old = [(one.account_id, one.movement) for one in self.accounts]
        return old + [(one.account_id, one.movement) for one in self.new_accounts]

    @property
    def account_id(self) -> int:
        """The customer's account; 0 is none."""
        return self.accounts[0].account_id if self.accounts else 0
