"""Which tier a customer has: given for some days, earned by turnover, or imported.

A rule is of the turnover of a period of local days; what was reached stays for the days of grace.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from rewards.evaluate import Evaluated
from rewards.program import TierRule
from rewards.rounding import floor_div
from rewards.sale import Line, LineAction, LineKind, Sale

_NO_GOODS = (LineKind.GIFT_CARD, LineKind.DEPOSIT)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


class Turnover(NamedTuple):
    """What an account bought on a local day: minor units of money, and receipts."""

    amount_minor: int
    receipts: int


NO_TURNOVER = Turnover(0, 0)


def first_day(rules: Sequence[TierRule], today: int) -> int:
    """The first local day whose turnover any rule can ask for today; proleptic ordinals."""
    return min([_start(rule, today - rule.grace_days) for rule in rules], default=today)


def earned_tiers(
    rules: Sequence[TierRule], turnover: Mapping[int, Turnover], today: int
) -> list[str]:
    """The tiers whose rules hold today, or held on a day of their grace.

    Args:
        rules: of the program.
        turnover: by local day, from `first_day` on; a day that is missing had none.
        today: local day.
    """
    bought = sorted(turnover)
    found = [rule.tier_code for rule in rules if _held(rule, turnover, bought, today)]
    return list(dict.fromkeys(found))


def best_tier(rules: Sequence[TierRule], candidates: Sequence[str]) -> str:
    """The tier whose rule stands first; of those without a rule the first candidate.

    Args:
        rules: of the program, the highest tier first.
        candidates: given, earned, imported; empty ones are none.
    """
    ranks: dict[str, int] = {}
    for rank, rule in enumerate(rules):
        ranks.setdefault(rule.tier_code, rank)
    known = [one for one in candidates if one]
    return min(known, key=lambda one: ranks.get(one, len(rules)), default="")


def turnover_of(
    sale: Sale, evaluation: Evaluated, paid: Mapping[str, int] | None = None
) -> Turnover:
    """What a receipt adds: what is paid for goods, without gift cards and deposits.

    Args:
        sale: as it was scanned.
        evaluation: as it was decided.
        paid: by line_id what the till sold lines at, minor units, if not as decided; a line that
            is missing was sold as it was sent.
    """
    return Turnover(sum([minor for _, minor in _counted(sale, evaluation, paid)]), 1)


def turnover_left(
    sale: Sale,
    evaluation: Evaluated,
    paid: Mapping[str, int] | None,
    returned: Mapping[str, int],
) -> int:
    """What of a receipt's turnover falls on what has not come back, minor units.

    It is of what was counted, whatever is paid back: points that paid for a line are none of it.

    Args:
        sale: as it was scanned.
        evaluation: as it was decided.
        paid: see `turnover_of`.
        returned: all that has come back, thousandths by line_id.
    """
    return sum(
        [
            minor - floor_div(minor * returned.get(line.line_id, 0), line.quantity_milli)
            for line, minor in _counted(sale, evaluation, paid)
        ]
    )


def _counted(
    sale: Sale, evaluation: Evaluated, paid: Mapping[str, int] | None
) -> list[tuple[Line, int]]:
    """The lines that count, with what is paid for each."""
    return [
        (line, outcome.amount_minor if paid is None else paid.get(line.line_id, line.amount_minor))
        for line, outcome in zip(sale.lines, evaluation.outcomes, strict=True)
        if outcome is not None and line.kind not in _NO_GOODS and line.action != LineAction.RETURN
    ]


def _held(
    rule: TierRule, turnover: Mapping[int, Turnover], bought: Sequence[int], today: int
) -> bool:
    """Whether a rule held on any day of its grace, today included."""
    first = today - rule.grace_days
    # Between two days on which something was bought turnover only falls.
    days = [first, *bought[bisect_right(bought, first) : bisect_right(bought, today)]]
    return any(_holds(rule, turnover, bought, day) for day in days)


def _holds(
    rule: TierRule, turnover: Mapping[int, Turnover], bought: Sequence[int], day: int
) -> bool:
    days = bought[bisect_left(bought, _start(rule, day)) : bisect_right(bought, day)]
    amount_minor = sum([turnover[one].amount_minor for one in days])
    receipts = sum([turnover[one].receipts for one in days])
    return amount_minor >= rule.amount_from_minor and receipts >= rule.receipts_from


def _start(rule: TierRule, day: int) -> int:
    """First day of the period that a day is in, or of the days that roll up to it."""
    if rule.period == "rolling":
        return day - rule.rolling_days + 1
    found = date.fromordinal(day)
    months = _MONTHS[rule.period]
    month = (found.month - 1) - (found.month - 1) % months + 1
    return found.replace(month=month, day=1).toordinal()
