"""What a decision wants written: one value for the commit pipeline, whatever the operation."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import chain
from operator import attrgetter
from typing import TypeVar

from msgspec import Struct

from rewards.ledger import NOTHING, Hold, Movement
from rewards.outcome import Statement
from rewards.settling import ReturnRecord

UNCHANGED = -1

_ACCOUNTS, _MOVED = attrgetter("accounts"), attrgetter("account_id", "movement")
_Part = TypeVar("_Part")


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
    FORWARD = 15
    """The key of a receipt that came by Forward first."""
    FORWARDED_SALE = 16
    FORWARDED_REFUND = 17
    PARKED = 18
    STATEMENT = 19
    """What a till stated by Forward, where nothing new was sold."""
    QUARANTINE = 20
    QUARANTINE_DECISION = 21
    """Whether a receipt in quarantine is mended, and by what, or dropped: once."""


KINDS_WITH_RECEIPT = frozenset(
    {
        KeyKind.CHECKOUT,
        KeyKind.VOID,
        KeyKind.PROFILE,
        KeyKind.REFUND,
        KeyKind.ENROLLMENT,
        KeyKind.MERGE,
        KeyKind.GOODWILL,
        KeyKind.FORWARDED_SALE,
        KeyKind.FORWARDED_REFUND,
        KeyKind.PARKED,
    }
)
"""Keys whose answer is stored with them, and given again."""


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


class BudgetUse(Struct, frozen=True, gc=False):
    """What an operation uses of a promotion's budget, or gives back to it.

    Attributes:
        budget_id: 16 bytes.
        lease_id: out of which lease; empty for what is overrun or given back.
        times: receipts; negative where it is given back.
        amount_minor: money off and worth of rewards, minor units of money.
        is_overrun: beyond the budget, by a fact.
        receipt_id: key of the sale that a return is of; empty is the commit's own key.
    """

    budget_id: bytes
    lease_id: bytes
    times: int
    amount_minor: int
    is_overrun: bool = False
    receipt_id: bytes = b""


class AccountChange(Struct, frozen=True, gc=False):
    """What an operation changes of one account.

    Attributes:
        version: the version all was decided on; another version loses.
        purchases: by how much the account's count of purchases changes.
        last_purchase_day: local day of the account's last purchase from now on; UNCHANGED.
        holds: placed, each instead of an older one of the same id and asset.
        released: ids of holds that end, whatever their assets.
        merged_into: the account that everything went to; 0 is none.
        kind: what kind of account it is from now on, AccountKind; UNCHANGED.
        turnover: (local day, minor units, receipts) by which what was bought on it changes.
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
    kind: int = UNCHANGED
    turnover: tuple[tuple[int, int, int], ...] = ()


class NewAccount(Struct, frozen=True, gc=False):
    """An account that the operation opens, with what moves on it at once.

    Attributes:
        chain_id: whose it is: reports count a posting for the chain of its account.
    """

    account_id: int
    kind: int
    movement: Movement = NOTHING
    chain_id: str = ""


class NewCustomer(Struct, frozen=True, gc=False):
    """A customer that an enrolment makes, active and in no segment.

    Attributes:
        customer_id: 1 to 2^63-1; also the account's id, which the same commit opens.
        customer_number: the chain's own number of the customer.
    """

    customer_id: int
    chain_id: str
    customer_number: str
    language_code: str


class NewIdentifier(Struct, frozen=True, gc=False):
    """An identifier that a customer gets; a key of kind IDENTIFIER goes with it.

    Attributes:
        key_id: of that key.
        kind: as IdentifierKind of the contract.
    """

    identifier_hash: bytes
    key_id: bytes
    kind: int
    customer_id: int
    account_id: int


class NewInstrument(Struct, frozen=True, gc=False):
    """A code that opens a bearer's account, or a lot of a customer's.

    Attributes:
        code_hash: 16 bytes, keyed.
        kind: CodeKind of `rewards.instrument`.
        account_id: where it stands when it is given out.
        lot_id: of a coupon that only its customer may use; empty is all of a bearer's account.
        key_id: of what gave it out.
    """

    code_hash: bytes
    kind: int
    account_id: int
    lot_id: bytes
    asset_code: str
    key_id: bytes


class NewTransfer(Struct, frozen=True, gc=False):
    """Money that a promotion sends to an account of the customer, minor units.

    Attributes:
        transfer_id: 18 bytes: the receipt's key and an ordinal.
    """

    transfer_id: bytes
    chain_id: str
    customer_id: int
    promotion_id: str
    destination_code: str
    amount_minor: int


class TransferCut(Struct, frozen=True, gc=False):
    """What of a money transfer still has its ground, minor units: no more than that is sent.

    Of what is on its way or has arrived: no more is sent again when it has come back.
    """

    transfer_id: bytes
    left_minor: int


class MessageFigure(Struct, frozen=True, array_like=True, gc=False):
    """One thing that a message tells of: what a customer got, no text and nothing personal.

    Attributes:
        kind: points, deferred_discount, coupon, gift_certificate, prize, status, draw_entry or
            money_transfer: the texts `sms_{kind}` say it.
        asset_code: as the ledger has it; empty for what is not posted.
        amount_minor: minor units of the asset or of money, or how many; 1 or more.
        detail_code: the tier of a status.
        expires_at_us: the soonest end of it, UTC microseconds, that instant included; 0 is none.
        number: the promotion whose codes stand in the message; -1 where there are none.
        place: which of its benefits.
    """

    kind: str
    asset_code: str
    amount_minor: int
    detail_code: str = ""
    expires_at_us: int = 0
    number: int = -1
    place: int = 0


class NewMessage(Struct, frozen=True, gc=False):
    """A message to a customer, which goes out after its receipt is written.

    Attributes:
        message_id: 16 bytes, derived from the key of what causes it.
        receipt_id: key of the sale it is about. A later outcome that sends one, or none, names the
            receipt in `silenced_key_ids`.
        ruleset_version: by whose words the figures are spoken.
        template_code: of the text that leads it.
        sold_at_us: the sale, UTC microseconds; `arrived_at_us`: when the server learned of it.
        not_before_us: it is not sent before.
        window_end_us: it is not sent after, but for hours that were quiet.
        is_late: the window is longer than a day after the sale, because the link was away.
    """

    message_id: bytes
    receipt_id: bytes
    chain_id: str
    store_id: str
    customer_id: int
    ruleset_version: int
    template_code: str
    figures: tuple[MessageFigure, ...]
    sold_at_us: int
    arrived_at_us: int
    not_before_us: int
    window_end_us: int
    is_late: bool


class Move(Struct, frozen=True, gc=False):
    """A customer whose account is another one from now on, with identifiers and answers."""

    customer_id: int
    account_id: int
    to_account_id: int


class ReturnEntry(Struct, frozen=True, gc=False):
    """Something that comes back of a receipt; a key of kind REFUND_TURN goes with it.

    Attributes:
        ordinal: how many came back of it before.
        return_key_id: of the receipt by which it came back; empty is the commit's own key.
    """

    original_key_id: bytes
    ordinal: int
    record: ReturnRecord
    return_key_id: bytes = b""


class StatementEntry(Struct, frozen=True, gc=False):
    """A till's statement by Forward; the key of its turn goes with it.

    Attributes:
        key_id: of the receipt; of a void its own.
        ordinal: how many statements there were before.
        base_key_id: under which what was sold is stored; empty is the commit's own key.
        base_day: day of recording of that; of the commit's own it is not read.
    """

    key_id: bytes
    ordinal: int
    statement: Statement
    base_key_id: bytes = b""
    base_day: int = 0


class ParkedEntry(Struct, frozen=True, gc=False):
    """A refund or void that waits for its sale, under the commit's own key."""

    original_key_id: bytes
    until_us: int


class QuarantineEntry(Struct, frozen=True, gc=False):
    """A forwarded receipt that could not be taken, under the commit's own key.

    Attributes:
        chain_id: and store, till and number as they were sent, cut.
        sold_at_us: as it was sent, UTC microseconds.
        body: the request, without values of identifiers; empty if it is too large.
        size_bytes: of the request.
    """

    chain_id: str
    store_id: str
    till_id: str
    receipt_number: str
    reason: str
    detail: str
    sold_at_us: int
    body: bytes
    size_bytes: int


class QuarantineDecision(Struct, frozen=True, gc=False):
    """What becomes of an entry of the quarantine; nothing is written if it does not wait any more.

    Attributes:
        state: as QuarantineState of the contract.
        by: who decided, and why in `note`.
    """

    quarantine_id: bytes
    state: int
    by: str
    note: str


class LinkEvent(IntEnum):
    """What poor links bring about, for their report."""

    BROKEN_OFF = 1
    RECORDED = 2
    SUPERSEDED = 3
    QUARANTINED = 4
    PARKED = 5
    UNPARKED = 6


class LinkEntry(Struct, frozen=True, gc=False):
    """One event of the commit's own key; how long after the sale, microseconds, or UNCHANGED."""

    event: int
    late_us: int = UNCHANGED


class Commit(Struct, frozen=True, gc=False):
    """Everything one operation writes, all or nothing.

    Attributes:
        keys: all must be new; the first is the operation's own. Only holds need none.
        effective_at_us: when it counts, UTC microseconds.
        recorded_at_us: the server's clock at the decision, UTC microseconds.
        accounts: at most one change for each account; the first is the customer's.
        moved_instruments: codes that were given out before, and open something else from now on.
        undone_key_ids: of receipts whose money transfers are cancelled if nobody has sent them, or
            once they have come back.
        transfer_cuts: what comes off money transfers, at once or when they have come back.
        transfer_grounds: how much of those counts again that were sent when it was sold before.
        unparked: keys of what waited for its sale and does not wait any more.
        decisions: of entries of the quarantine; all of them or nothing of the commit.
        messages: to customers.
        silenced_key_ids: of receipts whose messages stop, if nobody has sent them: a later outcome
            counts, and perhaps says nothing. Those of `undone_key_ids` stop too.
    """

    keys: tuple[CommitKey, ...]
    effective_at_us: int
    recorded_at_us: int
    accounts: tuple[AccountChange, ...] = ()
    new_accounts: tuple[NewAccount, ...] = ()
    receipt: StoredReceipt | None = None
    answers: tuple[StoredAnswer, ...] = ()
    exceptions: tuple[ExceptionEntry, ...] = ()
    new_customers: tuple[NewCustomer, ...] = ()
    new_identifiers: tuple[NewIdentifier, ...] = ()
    moves: tuple[Move, ...] = ()
    new_instruments: tuple[NewInstrument, ...] = ()
    moved_instruments: tuple[NewInstrument, ...] = ()
    money_transfers: tuple[NewTransfer, ...] = ()
    undone_key_ids: tuple[bytes, ...] = ()
    budget_uses: tuple[BudgetUse, ...] = ()
    returns: tuple[ReturnEntry, ...] = ()
    transfer_cuts: tuple[TransferCut, ...] = ()
    transfer_grounds: tuple[TransferCut, ...] = ()
    statements: tuple[StatementEntry, ...] = ()
    parked: tuple[ParkedEntry, ...] = ()
    unparked: tuple[bytes, ...] = ()
    quarantined: tuple[QuarantineEntry, ...] = ()
    decisions: tuple[QuarantineDecision, ...] = ()
    link_events: tuple[LinkEntry, ...] = ()
    messages: tuple[NewMessage, ...] = ()
    silenced_key_ids: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Hold it to one change of an account: a second one would be lost where it is written."""
        if len(self.accounts) + len(self.new_accounts) > 1:
            changed = [one.account_id for one in self.accounts]
            changed += [one.account_id for one in self.new_accounts]
            assert len(set(changed)) == len(changed), "an account is changed twice"

    def moved(self) -> list[tuple[int, Movement]]:
        """The accounts with what moves on them, new ones too."""
        return [*map(_MOVED, self.accounts), *map(_MOVED, self.new_accounts)]

    @property
    def account_id(self) -> int:
        """The customer's account; 0 is none. Those of bearers are below 0."""
        if self.accounts and self.accounts[0].account_id > 0:
            return self.accounts[0].account_id
        return self.new_customers[0].customer_id if self.new_customers else 0


def account_changes_of(commits: Iterable[Commit]) -> list[AccountChange]:
    """What commits change of accounts, one commit after the other."""
    return list(chain.from_iterable(map(_ACCOUNTS, commits)))


def having(parts: Iterable[_Part], field: str) -> Iterator[_Part]:
    """Those of several commits, or of their parts, that have anything in a field: seldom one."""
    return filter(attrgetter(field), parts)
