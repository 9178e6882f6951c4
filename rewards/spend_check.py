"""Spend rules and earn bounds that contradict their assets, each other or themselves."""

from collections.abc import Iterator, Mapping, Sequence

from rewards.problem import Problem, check_names
from rewards.product_set_check import check_product_set
from rewards.program import EarnBound, Program, SpendRule

SPENT_KINDS = ("points", "deferred_discount")
"""Kinds of assets that customers pay with: stamps are costs, gift money is on cards."""


def check_spending(program: Program) -> Iterator[Problem]:
    """Find rules of spending and bounds of earning that can never do what they say.

    Args:
        program: with each key in its range.
    """
    kinds = {asset.code: asset.kind for asset in program.assets}
    for index, rule in enumerate(program.spend_rules):
        path = f"spend_rules[{index}]"
        yield from _check_asset(path, rule.asset_code, kinds, SPENT_KINDS)
        yield from _check_rule(path, rule)
    yield from _check_reach(program.spend_rules)
    for index, bound in enumerate(program.earn_bounds):
        path = f"earn_bounds[{index}]"
        yield from _check_asset(path, bound.asset_code, kinds, tuple(set(kinds.values())))
        yield from _check_bound(path, bound)


def _check_asset(
    path: str, asset_code: str, kinds: Mapping[str, str], allowed: Sequence[str]
) -> Iterator[Problem]:
    kind = kinds.get(asset_code)
    if kind is None:
        known = ", ".join(sorted(code for code in kinds if kinds[code] in allowed)) or "none"
        yield Problem(f"{path}.asset_code", f"no asset is named {asset_code!r}; known: {known}")
    elif kind not in allowed:
        reason = f"asset {asset_code!r} is of kind {kind}, with which nobody pays"
        yield Problem(f"{path}.asset_code", f"{reason}; needed: {' or '.join(allowed)}")


def _check_rule(path: str, rule: SpendRule) -> Iterator[Problem]:
    yield from check_product_set(f"{path}.products", rule.products)
    yield from check_names(f"{path}.zones", rule.zones)
    yield from check_names(f"{path}.segments", rule.segments)
    if rule.automatic and rule.mode == "tender":
        reason = "has no effect with tender: the till sends tenders, nothing is spent by itself"
        yield Problem(f"{path}.automatic", reason)
    most_minor, least_minor = rule.customer_max_minor, max(rule.minimum_minor, rule.step_minor)
    if 0 < most_minor < least_minor:
        reason = f"{most_minor} is below {least_minor}, the least that is spent: nothing ever is"
        yield Problem(f"{path}.customer_max_minor", reason)
    if rule.customer_period != "ever" and not most_minor:
        yield Problem(f"{path}.customer_period", "has no effect: customer_max_minor is 0")


def _check_reach(rules: Sequence[SpendRule]) -> Iterator[Problem]:
    """Of an asset the first rule that fits counts: after one that fits everybody none is asked."""
    for_all: dict[str, int] = {}
    for index, rule in enumerate(rules):
        first = for_all.get(rule.asset_code)
        if first is not None:
            reason = f"is never reached: spend_rules[{first}] fits every store and customer"
            yield Problem(f"spend_rules[{index}]", reason)
        elif not rule.zones and not rule.segments:
            for_all[rule.asset_code] = index


def _check_bound(path: str, bound: EarnBound) -> Iterator[Problem]:
    yield from check_names(f"{path}.zones", bound.zones)
    yield from check_names(f"{path}.segments", bound.segments)
    if not bound.receipt_max_minor and not bound.customer_max_minor:
        yield Problem(path, "bounds nothing; needs receipt_max_minor or customer_max_minor")
    if bound.customer_period != "ever" and not bound.customer_max_minor:
        yield Problem(f"{path}.customer_period", "has no effect: customer_max_minor is 0")
