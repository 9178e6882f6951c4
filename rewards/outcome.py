"""What a till states of a receipt that was broken off, and how that settles what was known.

Pure: statements, what is in force of them, and what becomes of the next one (DESIGN section 10).
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from rewards.program import ForwardRules
from rewards.sale import Outcome, OutcomeKind, Sale, TenderKind
from rewards.settling import ReturnRecord

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
FUTURE_US = 60 * SECOND_US
"""By so much a corrected instant may be ahead of the server: clocks are read on the way."""

_BY_LINES = (OutcomeKind.PLAIN, OutcomeKind.OTHER)
_NOTHING_COUNTS = (OutcomeKind.NOT_SOLD, OutcomeKind.UNKNOWN)


class Advice(IntEnum):
    """What was forwarded."""

    SALE = 1
    REFUND = 2
    VOID = 3


class ForwardState(IntEnum):
    """As ForwardState of the contract."""

    RECORDED = 1
    SUPERSEDED = 2
    ALREADY_SETTLED = 3
    QUARANTINED = 4
    PARKED = 5


class Instead(Struct, frozen=True, array_like=True, gc=False):
    """What was given in the stead of a discount, minor units of the asset."""

    promotion_id: str
    asset_code: str
    amount_minor: int


class Statement(Struct, frozen=True, array_like=True):
    """What a till has stated, and what the server did about it; never changed.

    Attributes:
        advice: an Advice.
        outcome: with its number.
        state: the ForwardState that was acknowledged.
        fingerprint: of what it was stated of.
        sold_at_us: by the till's clock, UTC microseconds.
        clock_offset_us: what it was corrected by.
        settled: what it took and gave back of what the server had committed.
        instead: what it gave for discounts that the till did not give.
        is_base: what was sold is stored with it, and posted under its key.
        is_undone: nothing of what was known counts any more.
        returned: what had come back by then, thousandths by line_id.
        codes_key_id: of what the codes of what was sold are made: where it was sold before, codes
            that were given out then stay in force. Empty is the key that it is stored under.
    """

    advice: int
    outcome: Outcome
    state: int
    fingerprint: bytes
    sold_at_us: int
    clock_offset_us: int
    settled: ReturnRecord = ReturnRecord(())
    instead: tuple[Instead, ...] = ()
    is_base: bool = False
    is_undone: bool = False
    returned: tuple[tuple[str, int], ...] = ()
    codes_key_id: bytes = b""


class Plan(IntEnum):
    """What becomes of a statement.

    Attributes:
        SELL: nothing that counts is known: it is sold.
        NOTE: it is kept, nothing moves.
        LOWER: what the till did not give is given otherwise, what it did not take comes back.
        UNDO: nothing of it counts any more.
        UNDO_AND_SELL: what was settled by lines before is undone, then it is sold anew.
        SETTLED: a later statement, or a void, is known already.
    """

    SELL = 1
    NOTE = 2
    LOWER = 3
    UNDO = 4
    UNDO_AND_SELL = 5
    SETTLED = 6


class InForce(NamedTuple):
    """What is known of a receipt.

    Attributes:
        outcome: the last that counts; None if there is none, or the till stated nothing.
        is_known: it was sold, by a live call or by Forward.
        is_by_lines: Forward has settled it by lines.
        is_undone: nothing of it counts.
        is_voided: a void is the end.
        has_returns: goods came back.
        is_live: a live call alone has made it known.
    """

    outcome: Outcome | None = None
    is_known: bool = False
    is_by_lines: bool = False
    is_undone: bool = False
    is_voided: bool = False
    has_returns: bool = False
    is_live: bool = False


NOTHING_KNOWN = InForce()


def in_force(live: bool, stated_live: Outcome | None, statements: Iterable[Statement]) -> InForce:
    """What is known of a sale.

    Args:
        live: a live Checkout has committed it.
        stated_live: the outcome that came with it.
        statements: by Forward, in their order.
    """
    known = InForce(stated_live, is_known=live, is_live=live)
    for one in statements:
        # What is settled by lines stays so when a later statement is kept and changes nothing.
        was_by_lines = known.is_by_lines and not one.is_base
        is_by_lines = was_by_lines or one.outcome.kind in _BY_LINES
        known = InForce(
            one.outcome,
            is_known=True,
            is_by_lines=not one.is_undone and is_by_lines,
            is_undone=one.is_undone,
        )
    return known


def plan_of(known: InForce, outcome: Outcome) -> Plan:
    """What becomes of a statement about a sale.

    Args:
        known: of the sale.
        outcome: as stated.
    """
    if known.is_voided:
        return Plan.SETTLED
    if not known.is_known:
        return Plan.SELL
    stated = known.outcome
    # UNKNOWN hides no lower number: had that come first, UNKNOWN would not have counted.
    is_unknown = stated is not None and stated.kind == OutcomeKind.UNKNOWN and known.is_undone
    if stated is not None and outcome.number <= stated.number and not is_unknown:
        # What a live call had said comes again because its answer was lost.
        is_unheard = known.is_live and outcome == stated
        is_note = is_unheard and outcome.kind == OutcomeKind.AS_ANSWERED
        return Plan.NOTE if is_note else Plan.SETTLED
    if outcome.kind == OutcomeKind.UNKNOWN:
        return Plan.SETTLED
    if known.is_undone:
        is_note = outcome.kind == OutcomeKind.NOT_SOLD or known.has_returns
        return Plan.NOTE if is_note else Plan.SELL
    if outcome.kind == OutcomeKind.NOT_SOLD:
        return Plan.UNDO
    if not known.is_by_lines:
        return Plan.NOTE if outcome.kind == OutcomeKind.AS_ANSWERED else Plan.LOWER
    assert stated is not None, "what was settled by lines was stated"
    if sells_alike(stated, outcome) or known.has_returns:
        return Plan.NOTE
    return Plan.UNDO_AND_SELL


def counts_for_nothing(outcome: Outcome) -> bool:
    """Whether a receipt of which nothing else is known posts nothing: not sold, or who knows."""
    return outcome.kind in _NOTHING_COUNTS


def sells_alike(one: Outcome, other: Outcome) -> bool:
    """Whether by two outcomes a sale was sold alike, in whatever order they name its lines."""
    return one.kind == other.kind and sorted(one.lines) == sorted(other.lines)


def is_same(advice: int, one: Outcome, other: Outcome) -> bool:
    """Whether two outcomes are one statement.

    Args:
        advice: of what they are: a refund or void was done or not, at prices that others state.
        one: an outcome.
        other: another one.
    """
    if advice == Advice.SALE:
        is_alike = sells_alike(one, other)
    else:
        kinds = {one.kind, other.kind}
        is_alike = len(kinds) == 1 or kinds.isdisjoint(_NOTHING_COUNTS)
    return is_alike and one.number == other.number


def is_plain(outcome: Outcome) -> bool:
    """Whether the customer got nothing and gave nothing of their own assets."""
    return outcome.kind == OutcomeKind.PLAIN


def paid_by_line(outcome: Outcome | None) -> dict[str, int] | None:
    """By line_id at what a till sold, minor units; None if it sold as it was answered.

    A line that is not named was sold as it was sent.
    """
    if outcome is None or outcome.kind not in _BY_LINES:
        return None
    return dict(outcome.lines)


def plain_sale(sale: Sale) -> Sale:
    """A sale at the plain price: nobody's points or gift cards paid for it."""
    tenders = tuple([one for one in sale.tenders if not _is_own_asset(one.kind, one.gift_card_id)])
    if len(tenders) == len(sale.tenders):
        return sale
    header, lines = sale.header, sale.lines
    return Sale(header, lines, tenders, sale.cash_rounding_minor)


def _is_own_asset(kind: int, gift_card_id: str) -> bool:
    by_card = kind in (TenderKind.GIFT_CARD, TenderKind.VOUCHER) and bool(gift_card_id)
    return kind == TenderKind.POINTS or by_card


def instant_limit(rules: ForwardRules, sold_at_us: int, clock_offset_us: int, now_us: int) -> str:
    """Which limit the instant of a forwarded receipt is beyond; empty if none.

    Args:
        rules: the program's.
        sold_at_us: by the till's clock, UTC microseconds.
        clock_offset_us: server clock minus till clock.
        now_us: the server's clock.
    """
    at_us = sold_at_us + clock_offset_us
    if abs(clock_offset_us) > rules.clock_tolerance_s * SECOND_US:
        return "TOLERANCE"
    if at_us > now_us + FUTURE_US:
        return "FUTURE"
    return "AGE" if at_us < now_us - rules.late_days_max * DAY_US else ""
