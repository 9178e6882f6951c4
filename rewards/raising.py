"""What the kernel found, raised from flat integers to the values of an evaluation."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from rewards.benefit import CouponReward, GiftCertificate, Status
from rewards.best import LaneProof
from rewards.course import Spend
from rewards.evaluate import CouponOutcome, CouponState, Evaluation, PieceOffer
from rewards.facts import Facts
from rewards.limits import MILLI
from rewards.plan import Plan
from rewards.reading import coupon_tokens, shown_token
from rewards.rewarding import Grant
from rewards.ruleset import CompiledProgram
from rewards.runs import Adjustment, LineOutcome, Run
from rewards.sale import Sale
from rewards.trace import Condition, TraceEntry, TraceOutcome

ENTRIES_KEPT_MAX = 100_000
_NUMBER_BITS, _OUTCOME_BITS, _CONDITION_BITS = 17, 3, 5
_OUTCOME_AT = _NUMBER_BITS
_CONDITION_AT = _OUTCOME_AT + _OUTCOME_BITS
_PAYLOAD_AT = _CONDITION_AT + _CONDITION_BITS


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


class TraceMemo(dict[int, TraceEntry]):
    """Trace entries by the number that the kernel gives: most are the same on every receipt.

    What lacks a sum of money differs each time and is not kept; what lacks pieces is.
    """

    def __missing__(self, code: int) -> TraceEntry:
        """Make an entry, and keep it if it comes again."""
        number = code & (1 << _NUMBER_BITS) - 1
        outcome = TraceOutcome(code >> _OUTCOME_AT & (1 << _OUTCOME_BITS) - 1)
        condition = Condition(code >> _CONDITION_AT & (1 << _CONDITION_BITS) - 1)
        payload = code >> _PAYLOAD_AT
        if outcome == TraceOutcome.LOST:
            entry = TraceEntry(number, outcome, 0, payload - 1, condition)
        elif outcome == TraceOutcome.FAILED:
            entry = TraceEntry(number, outcome, 0, -1, condition, payload)
            if payload % MILLI:
                return entry
        else:
            entry = TraceEntry(number, outcome, payload, -1, condition)
        if len(self) >= ENTRIES_KEPT_MAX:
            self.clear()
        self[code] = entry
        return entry


def raise_evaluation(
    program: CompiledProgram, plan: Plan, memo: TraceMemo, sale: Sale, facts: Facts, found: Found
) -> Evaluation:
    """Raise what the kernel found.

    Args:
        program: the chain's program.
        plan: its plan.
        memo: of the program's trace entries.
        sale: what was evaluated.
        facts: what was read.
        found: what the kernel gave for them.
    """
    trace = _trace(memo, found)
    return Evaluation(
        _outcomes(found),
        _offers(plan, sale, found.offers) if found.offers else (),
        _grants(program, plan, facts, found.grants) if found.grants else (),
        trace,
        _messages(found.messages),
        _spends(plan, found.spends),
        _coupons(program, sale, facts, trace) if sale.header.coupon_codes else (),
        _proofs(found.proofs),
    )


def _outcomes(found: Found) -> tuple[LineOutcome | None, ...]:
    runs = map(Run, found.run_quantities, found.run_prices, found.run_amounts)
    adjustments = map(
        Adjustment,
        found.adjustment_numbers,
        found.adjustment_amounts,
        found.adjustment_quantities,
    )
    counts = zip(found.amounts, found.run_counts, found.adjustment_counts, strict=True)
    return tuple(
        [
            LineOutcome(
                amount_minor,
                (next(runs),) if run_count == 1 else (next(runs), next(runs)),
                tuple(islice(adjustments, adjustment_count)) if adjustment_count else (),
            )
            if run_count
            else None
            for amount_minor, run_count, adjustment_count in counts
        ]
    )


def _trace(memo: TraceMemo, found: Found) -> tuple[TraceEntry, ...]:
    if not found.trace_rows:
        return tuple(map(memo.__getitem__, found.trace))
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


def _grants(
    program: CompiledProgram, plan: Plan, facts: Facts, grants: Sequence[int]
) -> tuple[Grant, ...]:
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


def _rows(flat: Sequence[int], width: int) -> Iterator[tuple[int, ...]]:
    """Rows of so many integers each."""
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
