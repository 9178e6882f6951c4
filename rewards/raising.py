"""What the kernel found, raised from flat integers to the values of an evaluation.

An answer spells most of it without raising it: `Findings` raises the short lists at once, the long
ones only where somebody reads them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from rewards.benefit import Benefit, CouponReward, GiftCertificate, Status
from rewards.best import LaneProof
from rewards.course import Spend
from rewards.evaluate import CouponOutcome, CouponState, Evaluated, Evaluation, PieceOffer
from rewards.facts import AssetWindow, Facts
from rewards.limits import MILLI
from rewards.plan import Plan
from rewards.reading import coupon_tokens, shown_token
from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram
from rewards.runs import LineOutcome
from rewards.sale import Sale
from rewards.trace import Condition, TraceEntry, TraceOutcome

ENTRIES_KEPT_MAX = 100_000
_ALWAYS = AssetWindow(0, 0)
LINE_COLUMNS = 9
"""Of what is found those that speak of lines."""
_NUMBER_BITS, _OUTCOME_BITS, _CONDITION_BITS = 17, 3, 5
_OUTCOME_AT = _NUMBER_BITS
_CONDITION_AT = _OUTCOME_AT + _OUTCOME_BITS
PAYLOAD_AT = _CONDITION_AT + _CONDITION_BITS
"""From this bit on: how often it fired, whom it lost to, or what it lacks."""
_NUMBER_MASK = (1 << _NUMBER_BITS) - 1
_OUTCOME_MASK = (1 << _OUTCOME_BITS) - 1
_CONDITION_MASK = (1 << _CONDITION_BITS) - 1
_FAILED = TraceOutcome.FAILED.value
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
    number = code & _NUMBER_MASK
    outcome = _OUTCOMES[code >> _OUTCOME_AT & _OUTCOME_MASK]
    condition = _CONDITIONS[code >> _CONDITION_AT & _CONDITION_MASK]
    payload = code >> PAYLOAD_AT
    if outcome == TraceOutcome.LOST:
        return TraceEntry(number, outcome, 0, payload - 1, condition)
    if outcome == TraceOutcome.FAILED:
        return TraceEntry(number, outcome, 0, -1, condition, payload)
    return TraceEntry(number, outcome, payload, -1, condition)


def missing_in(code: int) -> int:
    """Read only what a candidate lacks: thousandths or minor units, 0 unless a condition failed."""
    return code >> PAYLOAD_AT if code >> _OUTCOME_AT & _OUTCOME_MASK == _FAILED else 0


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
    """What the kernel found of a receipt: read like an `Evaluation`, long lists raised when read.

    Attributes:
        found: the flat integers.
        grants: rewards.
        messages: (promotion, which of its benefits).
        spends: what promotions cost the customer.
        proofs: whether the best combination of a lane was found.
    """

    __slots__ = (
        "_facts",
        "_outcomes",
        "_raising",
        "_sale",
        "found",
        "grants",
        "messages",
        "proofs",
        "spends",
    )

    def __init__(self, raising: Raising, sale: Sale, facts: Facts, found: Found) -> None:
        """Raise the short lists, which are read of every receipt, some several times; no other.

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
        self.found = found
        self.grants = _grants(raising.program, facts, found.grants) if found.grants else ()
        self.messages = _messages(found.messages) if found.messages else ()
        self.spends = _spends(raising.plan, found.spends) if found.spends else ()
        self.proofs = _proofs(found.proofs) if found.proofs else ()

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
    def trace(self) -> tuple[TraceEntry, ...]:
        """What became of each candidate."""
        return _trace(self._raising, self.found)

    @property
    def coupons(self) -> tuple[CouponOutcome, ...]:
        """What became of the coupon codes."""
        sale = self._sale
        if not sale.header.coupon_codes:
            return ()
        return _coupons(self._raising.program, sale, self._facts, self.trace)

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
    windows, promotions, raised = dict(facts.store.windows), program.promotions, []
    for number, place, amount_minor, value_minor in _rows(grants, 4):
        benefit = promotions[number].gives[place]
        asset_code: str = getattr(benefit, "asset_code", "")
        window = windows[asset_code] if asset_code else _window_of(benefit, facts)
        starts_us, ends_us = window.active_from_us, window.expires_at_us
        raised.append(
            Grant(number, place, asset_code, amount_minor, value_minor, starts_us, ends_us)
        )
    return tuple(raised)


def _window_of(benefit: Benefit, facts: Facts) -> AssetWindow:
    """When what is no asset can be used: at once, until its days are over if it has any."""
    if isinstance(benefit, CouponReward | GiftCertificate | Status) and benefit.valid_days:
        return AssetWindow(0, dict(facts.store.day_ends)[benefit.valid_days])
    return _ALWAYS


def _messages(messages: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(messages[::2], messages[1::2], strict=True))


def _spends(plan: Plan, spends: Sequence[int]) -> tuple[Spend, ...]:
    return tuple(
        Spend(number, plan.asset_codes[asset], amount_minor)
        for number, asset, amount_minor in _rows(spends, 3)
    )


def _proofs(proofs: Sequence[int]) -> tuple[LaneProof, ...]:
    return tuple(
        LaneProof(lane, bool(optimal), gap_minor, steps)
        for lane, optimal, gap_minor, steps in _rows(proofs, 4)
    )


def _rows(flat: Sequence[int], width: int) -> Iterable[tuple[int, ...]]:
    """Rows of so many integers each: one iterator gives each column in its turn."""
    return zip(*[iter(flat)] * width, strict=True)


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
