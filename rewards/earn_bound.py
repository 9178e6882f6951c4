"""How much of an asset a receipt may give: by receipt, by customer and period, by balance."""

from collections.abc import Iterable, Mapping
from operator import attrgetter

from msgspec.structs import replace

from rewards.evaluate import Evaluated
from rewards.facts import Facts
from rewards.quota import period_name
from rewards.rewarding import Grant
from rewards.rounding import floor_div
from rewards.ruleset import CompiledEarnBound, CompiledProgram
from rewards.trace import Condition, TraceEntry, TraceOutcome

_ASSET = attrgetter("asset_code")


def earn_use_id(asset_code: str) -> str:
    """Under what an account counts what it earns of an asset; no promotion is called so."""
    return f"earn:{asset_code}"


def fitting_bounds(program: CompiledProgram, facts: Facts) -> tuple[CompiledEarnBound, ...]:
    """The bounds that fit store and customer."""
    return tuple(
        [
            one
            for one in program.earn_bounds
            if (not one.zones or one.zones & facts.store.zones)
            and (not one.segments or one.segments & facts.customer.segments)
        ]
    )


def earn_left(
    program: CompiledProgram, facts: Facts, used: Mapping[tuple[str, str], int]
) -> tuple[tuple[str, int], ...]:
    """What a receipt may give at most, minor units by asset code.

    Args:
        program: with its bounds.
        facts: store and customer.
        used: by (what is counted, period) how much the customer has earned.
    """
    left: dict[str, int] = {}
    for one in fitting_bounds(program, facts):
        bound = one.bound
        most = [bound.receipt_max_minor] if bound.receipt_max_minor else []
        if bound.customer_max_minor:
            period = period_name(bound.customer_period, facts.store.local_day)
            used_minor = used.get((earn_use_id(bound.asset_code), period), 0)
            most.append(max(0, bound.customer_max_minor - used_minor))
        if bound.asset_code in left:
            most.append(left[bound.asset_code])
        if most:
            left[bound.asset_code] = min(most)
    return tuple(sorted(left.items()))


def trimmed(evaluation: Evaluated, facts: Facts) -> Evaluated:
    """Cut what is given down to `facts.earn_left`, the last grants first; the trace says of whom.

    What promotions of the receipt have cost out of what it gives is given in any case.
    """
    left = dict(facts.earn_left)
    for spend in evaluation.spends:
        if spend.asset_code in left:
            owned = {**dict(facts.customer.balances), **dict(facts.customer.usable)}
            early_minor = spend.amount_minor - owned.get(spend.asset_code, 0)
            left[spend.asset_code] = max(left[spend.asset_code], early_minor)
    return _cut(evaluation, left, Condition.CUSTOMER_LIMIT)


def within_balances(program: CompiledProgram, facts: Facts, evaluation: Evaluated) -> Evaluated:
    """Leave out of the rewards what would raise a balance above its bound.

    Returns:
        The evaluation with lowered grants, those of nothing left out; the trace says of whom.
    """
    bounds = program.balances_max
    if bounds.keys().isdisjoint(map(_ASSET, evaluation.grants)):
        return evaluation
    owned = dict(facts.customer.balances)
    left = {code: max(0, most_minor - owned.get(code, 0)) for code, most_minor in bounds.items()}
    return _cut(evaluation, left, Condition.BALANCE_LIMIT)


def _cut(evaluation: Evaluated, left: dict[str, int], why: Condition) -> Evaluated:
    """Cut what is given down to what is left of each asset, the last grants first."""
    grants: list[Grant] = []
    cut: set[int] = set()
    for grant in evaluation.grants:
        amount_minor = min(grant.amount_minor, left.get(grant.asset_code, grant.amount_minor))
        if grant.asset_code in left:
            left[grant.asset_code] -= amount_minor
        if amount_minor < grant.amount_minor:
            cut.add(grant.number)
        if amount_minor:
            grants.append(_part_of(grant, amount_minor))
    if not cut:
        return evaluation
    taking_effect = _taking_effect(evaluation, grants)
    trace = tuple(
        [
            _cut_entry(one, one.number in taking_effect, why) if one.number in cut else one
            for one in evaluation.trace
        ]
    )
    return replace(evaluation.raised(), grants=tuple(grants), trace=trace)


def _taking_effect(evaluation: Evaluated, grants: Iterable[Grant]) -> set[int]:
    """Promotions that lowered a line, said something, or still give something."""
    found = {number for number, _ in evaluation.messages} | {grant.number for grant in grants}
    for outcome in evaluation.outcomes:
        if outcome is not None:
            found.update(one.number for one in outcome.adjustments)
    return found


def _cut_entry(entry: TraceEntry, is_left: bool, why: Condition) -> TraceEntry:
    return replace(
        entry,
        outcome=TraceOutcome.LIMIT_REACHED,
        times=entry.times if is_left else 0,
        condition=why,
    )


def _part_of(grant: Grant, amount_minor: int) -> Grant:
    if amount_minor == grant.amount_minor:
        return grant
    value_minor = floor_div(grant.value_minor * amount_minor, grant.amount_minor)
    return replace(grant, amount_minor=amount_minor, value_minor=value_minor)
