"""What becomes of a message: its states, and what is decided when somebody looks at it.

Quiet hours never make a message expire: one that they put off has six hours after them.
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from enum import IntEnum

from msgspec import Struct
from msgspec.structs import replace

from rewards.commit import MessageFigure
from rewards.notice import AFTER_ARRIVAL_US, HOUR_US
from rewards.program import MessageRules
from rewards.quiet import quiet_until_us

RECEIPT_GRACE_US = HOUR_US
"""How long after its window a message that was sent waits for its delivery receipt."""


class MessageState(IntEnum):
    """As MessageState of the contract.

    Attributes:
        QUEUED: nobody has sent it, or a gateway refused it for the time being.
        SENDING: recorded before it is handed over: whoever dies here leaves it uncertain.
        SENT: a gateway has taken all of its parts.
        DELIVERED: all of its parts have reached the phone.
        FAILED: a gateway will not send it, or the phone will not take it.
        EXPIRED: its window has passed, or no delivery receipt came.
        STOPPED: what it says is not true any more, or the customer does not want it.
        NO_PHONE: the customer has no phone: the next slip or the app says it.
    """

    QUEUED = 1
    SENDING = 2
    SENT = 3
    DELIVERED = 4
    FAILED = 5
    EXPIRED = 6
    STOPPED = 7
    NO_PHONE = 8


FOLLOWING: dict[MessageState, frozenset[MessageState]] = {
    MessageState.QUEUED: frozenset(
        {
            MessageState.SENDING,
            MessageState.EXPIRED,
            MessageState.STOPPED,
            MessageState.NO_PHONE,
        }
    ),
    MessageState.SENDING: frozenset(
        {
            MessageState.QUEUED,
            MessageState.SENT,
            MessageState.DELIVERED,
            MessageState.FAILED,
            MessageState.EXPIRED,
            MessageState.STOPPED,
            MessageState.NO_PHONE,
        }
    ),
    MessageState.SENT: frozenset(
        {MessageState.DELIVERED, MessageState.FAILED, MessageState.EXPIRED}
    ),
    MessageState.DELIVERED: frozenset(),
    MessageState.FAILED: frozenset({MessageState.DELIVERED}),
    MessageState.EXPIRED: frozenset({MessageState.DELIVERED}),
    MessageState.STOPPED: frozenset({MessageState.DELIVERED}),
    MessageState.NO_PHONE: frozenset(),
}
"""A delivery receipt that comes late is still true: it ends every state in which parts are out."""


class Seen(Struct, frozen=True):
    """A message as somebody looks at it.

    Attributes:
        stop_note: why it is not to be sent any more; empty if it may be.
    """

    state: MessageState
    window_end_us: int
    stop_note: str = ""


class Recipient(Struct, frozen=True):
    """Whom a message is for, and what has come back of its receipt.

    Attributes:
        phone: E.164; empty is none.
        consent: yes, no, or empty where nothing was answered.
        zone: where the customer is, else the store.
        is_stopped: the phone stands on the stop list.
        is_voided: the receipt was voided.
        claimed: by asset what refunds of the receipt have claimed, minor units.
        sending_minor: money that is still to be transferred for the receipt; None is not asked.
    """

    phone: str
    consent: str
    zone: tzinfo
    is_stopped: bool = False
    is_voided: bool = False
    claimed: Mapping[str, int] = {}
    sending_minor: int | None = None


class Send(Struct, frozen=True):
    """It goes out now, with these figures; marked if an earlier submission may have arrived."""

    figures: tuple[MessageFigure, ...]
    is_resend: bool


class PutOff(Struct, frozen=True):
    """It is looked at again at an instant; its window may be longer from now on."""

    due_at_us: int
    window_end_us: int
    note: str


class End(Struct, frozen=True):
    """It comes into a state that nobody looks at again."""

    state: MessageState
    note: str


Verdict = Send | PutOff | End


def judge(
    seen: Seen,
    figures: Sequence[MessageFigure],
    recipient: Recipient,
    rules: MessageRules,
    now_us: int,
) -> Verdict:
    """Decide what becomes of a message that is due.

    Args:
        seen: QUEUED; or SENDING, if nobody knows what became of it and no delivery receipt came
            in time.
        figures: what it tells of.
        recipient: whom it is for.
        rules: of the program now.
        now_us: the instant, UTC microseconds.
    """
    left = figures_left(figures, recipient)
    if note := _stop_note(seen, left, recipient, rules):
        return End(MessageState.STOPPED, note)
    if now_us > seen.window_end_us:
        return End(MessageState.EXPIRED, "its window has passed")
    if not recipient.phone:
        return End(MessageState.NO_PHONE, "the customer has no phone")
    until_us = quiet_until_us(now_us, recipient.zone, rules.quiet_from, rules.quiet_to)
    if until_us:
        window_end_us = max(seen.window_end_us, until_us + AFTER_ARRIVAL_US)
        return PutOff(until_us, window_end_us, "quiet hours")
    return Send(left, is_resend=seen.state == MessageState.SENDING)


def over_cap(sent_at_us: Sequence[int], rules: MessageRules, window_end_us: int) -> PutOff | End:
    """What becomes of a message to a customer who has had as many as the program allows.

    Args:
        sent_at_us: when those of the last `customer_hours` were sent, at least `customer_max`.
        rules: of the program now.
        window_end_us: until when it may be sent.
    """
    # So many of them leave the hours until there is room for this one.
    leaving = sorted(sent_at_us)[-rules.customer_max]
    free_at_us = leaving + rules.customer_hours * HOUR_US + 1
    if free_at_us > window_end_us:
        return End(MessageState.STOPPED, "the customer has had too many messages")
    return PutOff(free_at_us, window_end_us, "the customer has had too many messages")


def figures_left(
    figures: Sequence[MessageFigure], recipient: Recipient
) -> tuple[MessageFigure, ...]:
    """What is left to tell of, after what refunds have claimed; the last figure of an asset first.

    Args:
        figures: as they were decided.
        recipient: with what has come back.
    """
    claimed = dict(recipient.claimed)
    left: list[MessageFigure] = []
    for one in reversed(figures):
        amount_minor = one.amount_minor
        if one.kind == "money_transfer" and recipient.sending_minor is not None:
            amount_minor = min(amount_minor, recipient.sending_minor)
        taken_minor = min(amount_minor, claimed.get(one.asset_code, 0)) if one.asset_code else 0
        if taken_minor:
            claimed[one.asset_code] -= taken_minor
        if amount_minor - taken_minor > 0:
            left.append(replace(one, amount_minor=amount_minor - taken_minor))
    return tuple(reversed(left))


def _stop_note(
    seen: Seen,
    left: Sequence[MessageFigure],
    recipient: Recipient,
    rules: MessageRules,
) -> str:
    """Why nobody is to get it; empty if the customer may."""
    if seen.stop_note:
        return seen.stop_note
    if recipient.is_voided:
        return "voided"
    if not left:
        return "nothing of the reward is left"
    if not rules.by_sms:
        return "the program sends no messages"
    if recipient.is_stopped:
        return "the phone is on the stop list"
    if recipient.consent == "no":
        return "the customer does not want messages"
    if rules.consent == "only_yes" and recipient.consent != "yes":
        return "the customer has not agreed to messages"
    return ""
