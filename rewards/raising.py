"""What the kernel found, raised from flat integers to the values of an evaluation.

An answer spells most of it without raising it: `Findings` raises only what somebody reads.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

from rewards.benefit import CouponReward, GiftCertificate, Status
from rewards.best import LaneProof
from rewards.course import Spend
from rewards.evaluate import CouponOutcome, CouponState, Evaluated, Evaluation, PieceOffer
from rewards.facts import Facts
from rewards.limits import MILLI
from rewards.plan import Plan
from rewards.reading import coupon_tokens, shown_token
from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram
from rewards.runs import LineOutcome
from rewards.sale import Sale
from rewards.trace import Condition, TraceEntry, TraceOutcome

ENTRIES_KEPT_MAX = 100_000
LINE_COLUMNS = 9
"""Of what is found those that speak of lines."""
_NUMBER_BITS, _OUTCOME_BITS, _CONDITION_BITS = 17, 3, 5
_OUTCOME_AT = _NUMBER_BITS
_CONDITION_AT = _OUTCOME_AT + _OUTCOME_BITS
_PAYLOAD_AT = _CONDITION_AT + _CONDITION_BITS
# Finding a member by its number in a dict is several times cheaper than calling the enumeration.
_OUTCOMES = {outcome.value: outcome for outcome in TraceOutcome}
_CONDITIONS = {condition.value: condition for condition in Condition}

Value = TypeVar("Value")


class Found(NamedTuple):
    """The lists that `ext.engine.Engine.evaluate` gives; rows lie one behind the other.

    Attributes:
        amounts: for each line what it costs, minor units.
        run_counts: for each line how many runs it has: 1 or 2, or 0 if it is cancelled.
        adjustment_counts: for each line how many adjustments it has.
        trace: what became of each candidate, as one number (see `_trace_as_lists` of the kernel).
        trace_rows: what does not fit one number: the fields of `TraceEntry`.
        offers: promotion, position, gift or -1, thousandths, minor units, choice group.
        grants: promotion, place, amount, value.
        messages: promotion, place.
        spends: promotion, asset, amount.
        proofs: the fields of `LaneProof`.
    """

    amounts: Sequence[int]
    run_counts: Sequence[int]
    adjustment_counts: Sequence[int]
    run_quantities: Sequence[int]
    run_prices: Sequence[int]
    run_amounts: Sequence[int]
    adjustment_numbers: Sequence[int]
    adjustment_amounts: Sequence[int]
    adjustment_quantities: Sequence[int]
    trace: Sequence[int]
    trace_rows: Sequence[int]
    offers: Sequence[int]
    grants: Sequence[int]
    messages: Sequence[int]
    spends: Sequence[int]
    proofs: Sequence[int]


def entry_of(code: int) -> TraceEntry:
    """Read what became of a candidate from the one number that the kernel gives."""
    number = code & (1 << _NUMBER_BITS) - 1
    outcome = _OUTCOMES[code >> _OUTCOME_AT & (1 << _OUTCOME_BITS) - 1]
    condition = _CONDITIONS[code >> _CONDITION_AT & (1 << _CONDITION_BITS) - 1]
    payload = code >> _PAYLOAD_AT
    if outcome == TraceOutcome.LOST:
        return TraceEntry(number, outcome, 0, payload - 1, condition)
    if outcome == TraceOutcome.FAILED:
        return TraceEntry(number, outcome, 0, -1, condition, payload)
    return TraceEntry(number, outcome, payload, -1, condition)


class TraceMemo(dict[int, Value]):
    """What is made of trace entries, by the number that the kernel gives: most come again.

    What lacks a sum of money differs each time and is not kept; what lacks pieces is.
    """

    def __init__(self, make: Callable[[TraceEntry], Value]) -> None:
        """Start empty.

        Args:
            make: what is made of an entry.
        """
        super().__init__()
        self._make = make

    def __missing__(self, code: int) -> Value:
        """Make what is asked for, and keep it if it comes again."""
        entry = entry_of(code)
        made = self._make(entry)
        if entry.missing % MILLI:
            return made
        if len(self) >= ENTRIES_KEPT_MAX:
            self.clear()
        self[code] = made
        return made


class Raising(NamedTuple):
    """What raising needs of one program.

    Attributes:
        program: the chain's program.
        plan: its plan.
        memo: of its trace entries.
        lines_of: makes lines of the columns that speak of them.
        values_of: what a mapping holds at each of some keys.
    """

    program: CompiledProgram
    plan: Plan
    memo: TraceMemo[TraceEntry]
    lines_of: Callable[[Sequence[Sequence[int]]], tuple[LineOutcome | None, ...]]
    values_of: Callable[[TraceMemo[TraceEntry], Sequence[int]], tuple[TraceEntry, ...]]


class Findings:
    """What the kernel found of a receipt: read like an `Evaluation`, raised where it is read.

    Attributes:
        found: the flat integers.
    """

    __slots__ = ("_facts", "_grants", "_outcomes", "_raising", "_sale", "found")

    def __init__(self, raising: Raising, sale: Sale, facts: Facts, found: Found) -> None:
        """Raise nothing yet.

        Args:
            raising: that of the program.
            sale: what was evaluated.
            facts: what was read.
            found: what the kernel gave for them.
        """
        self._raising = raising
        self._sale = sale
        self._facts = facts
        self._outcomes: tuple[LineOutcome | None, ...] | None = None
        self._grants: tuple[Grant, ...] | None = None
        self.found = found

    @property
    def outcomes(self) -> tuple[LineOutcome | None, ...]:
        """One for each line of the sale, None for cancelled lines; raised once."""
        if self._outcomes is None:
            self._outcomes = self._raising.lines_of(self.found[:LINE_COLUMNS])
        return self._outcomes

    @property
    def offers(self) -> tuple[PieceOffer, ...]:
        """Pieces that the cashier may add."""
        offers = self.found.offers
        return _offers(self._raising.plan, self._sale, offers) if offers else ()

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Rewards; raised once, as the answer and the ledger both read them."""
        if self._grants is None:
            flat = self.found.grants
            self._grants = _grants(self._raising.program, self._facts, flat) if flat else ()
        return self._grants

    @property
    def trace(self) -> tuple[TraceEntry, ...]:
        """What became of each candidate."""
        return _trace(self._raising, self.found)

    @property
    def messages(self) -> tuple[tuple[int, int], ...]:
        """(promotion, which of its benefits)."""
        return _messages(self.found.messages)

    @property
    def spends(self) -> tuple[Spend, ...]:
        """What promotions cost the customer."""
        return _spends(self._raising.plan, self.found.spends)

    @property
    def coupons(self) -> tuple[CouponOutcome, ...]:
        """What became of the coupon codes."""
        sale = self._sale
        if not sale.header.coupon_codes:
            return ()
        return _coupons(self._raising.program, sale, self._facts, self.trace)

    @property
    def proofs(self) -> tuple[LaneProof, ...]:
        """Whether the best combination of a lane was found."""
        return _proofs(self.found.proofs)

    def raised(self) -> Evaluation:
        """All of it."""
        return Evaluation(
            self.outcomes,
            self.offers,
            self.grants,
            self.trace,
            self.messages,
            self.spends,
            self.coupons,
            self.proofs,
        )


def line_columns(evaluation: Evaluated) -> tuple[Sequence[int], ...]:
    """What lines come to, as the first nine columns of `Found`."""
    if isinstance(evaluation, Findings):
        return evaluation.found[:LINE_COLUMNS]
    outcomes = evaluation.outcomes
    sold = [one for one in outcomes if one is not None]
    runs = [run for one in sold for run in one.runs]
    adjustments = [adjustment for one in sold for adjustment in one.adjustments]
    return (
        [one.amount_minor if one else 0 for one in outcomes],
        [len(one.runs) if one else 0 for one in outcomes],
        [len(one.adjustments) if one else 0 for one in outcomes],
        [run.quantity_milli for run in runs],
        [run.unit_price_minor for run in runs],
        [run.amount_minor for run in runs],
        [adjustment.number for adjustment in adjustments],
        [adjustment.amount_minor for adjustment in adjustments],
        [adjustment.quantity_milli for adjustment in adjustments],
    )


def _trace(raising: Raising, found: Found) -> tuple[TraceEntry, ...]:
    memo = raising.memo
    if not found.trace_rows:
        return raising.values_of(memo, found.trace)
    rows = _rows(found.trace_rows, 6)
    long_ones = [
        TraceEntry(number, TraceOutcome(outcome), times, lost_to, Condition(condition), missing)
        for number, outcome, times, lost_to, condition, missing in rows
    ]
    return tuple([memo[code] if code >= 0 else long_ones[-1 - code] for code in found.trace])


def _offers(plan: Plan, sale: Sale, offers: Sequence[int]) -> tuple[PieceOffer, ...]:
    return tuple(
        PieceOffer(
            number,
            position,
            plan.gifts[gift] if gift >= 0 else sale.lines[position].sku,
            quantity_milli,
            amount_minor,
            choice_group,
        )
        for number, position, gift, quantity_milli, amount_minor, choice_group in _rows(offers, 6)
    )


def _grants(program: CompiledProgram, facts: Facts, grants: Sequence[int]) -> tuple[Grant, ...]:
    """Add the asset and the time: those of the benefit, at the store's instant."""
    windows = dict(facts.store.windows)
    day_ends = dict(facts.store.day_ends)
    raised = []
    for number, place, amount_minor, value_minor in _rows(grants, 4):
        benefit = program.promotions[number].gives[place]
        asset_code: str = getattr(benefit, "asset_code", "")
        starts_us = ends_us = 0
        if asset_code:
            window = windows[asset_code]
            starts_us, ends_us = window.active_from_us, window.expires_at_us
        elif isinstance(benefit, CouponReward | GiftCertificate | Status) and benefit.valid_days:
            ends_us = day_ends[benefit.valid_days]
        raised.append(
            Grant(number, place, asset_code, amount_minor, value_minor, starts_us, ends_us)
        )
    return tuple(raised)


def _messages(messages: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(messages[::2], messages[1::2], strict=True)) if messages else ()


def _spends(plan: Plan, spends: Sequence[int]) -> tuple[Spend, ...]:
    if not spends:
        return ()
    return tuple(
        Spend(number, plan.asset_codes[asset], amount_minor)
        for number, asset, amount_minor in _rows(spends, 3)
    )


def _proofs(proofs: Sequence[int]) -> tuple[LaneProof, ...]:
    if not proofs:
        return ()
    return tuple(
        LaneProof(lane, bool(optimal), gap_minor, steps)
        for lane, optimal, gap_minor, steps in _rows(proofs, 4)
    )


def _rows(flat: Sequence[int], width: int) -> list[Sequence[int]]:
    """Rows of so many integers each."""
    return [flat[at : at + width] for at in range(0, len(flat), width)]


def _coupons(
    program: CompiledProgram, sale: Sale, facts: Facts, trace: Sequence[TraceEntry]
) -> tuple[CouponOutcome, ...]:
    counting = coupon_tokens(program, sale, facts)
    fired = {entry.number for entry in trace if entry.times}
    return tuple(
        CouponOutcome(code, _coupon_state(program, facts, code, counting, fired))
        for code in dict.fromkeys(sale.header.coupon_codes)
    )


def _coupon_state(
    program: CompiledProgram,
    facts: Facts,
    code: str,
    counting: Collection[str],
    fired: Collection[int],
) -> CouponState:
    spelled = shown_token(program, facts, code)
    if not spelled:
        return CouponState(next(one.state for one in facts.coupons if one.code == code))
    asking: Mapping[str, tuple[int, ...]] = program.coupons
    if spelled not in asking:
        return CouponState.UNKNOWN
    if spelled not in counting:
        return CouponState.NOT_CHOSEN
    applied = any(number in fired for number in asking[spelled])
    return CouponState.APPLIED if applied else CouponState.NO_EFFECT
