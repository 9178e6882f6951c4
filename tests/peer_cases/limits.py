"""How often and how much, as limits and quotas of ours.

A case tells how much was used before; a quota is what is left of it.
"""

from msgspec import Struct

from rewards.program import Limits
from tests.peer_cases.case import Case, CasePromotion, Conditions

UNLIMITED = -1


class Allowance(Struct, frozen=True):
    """Limits over many receipts, and what is left of each; -1 is without limit."""

    customer_times: int = UNLIMITED
    customer_left: int = UNLIMITED
    total_times: int = UNLIMITED
    total_left: int = UNLIMITED
    total_minor: int = UNLIMITED
    minor_left: int = UNLIMITED
    refuses: bool = False

    @property
    def limits(self) -> Limits:
        """As the author writes them: 0 is without limit, and a limit of nothing is used up."""
        return Limits(
            customer_times=max(self.customer_times, 0),
            total_times=_written(self.total_times),
            total_minor=_written(self.total_minor),
            on_shortage="refuse" if self.refuses else "part",
        )

    @property
    def is_limited(self) -> bool:
        """Whether anything outlives the receipt."""
        return (self.customer_times, self.total_times, self.total_minor) != (UNLIMITED,) * 3


def _written(limit: int) -> int:
    return 0 if limit == UNLIMITED else max(limit, 1)


def allowance_of(case: Case, promotion: CasePromotion) -> Allowance:
    """What one promotion may still do."""
    asked = promotion.conditions
    times, times_left = _tightest(
        (asked.usage_limit, asked.usage_count + _cancelled(case, promotion.id, asked)),
        (asked.per_code_limit, asked.code_usage_count),
        (asked.campaign_usage_limit, asked.campaign_usage_count),
    )
    minor, minor_left = _tightest(
        (
            asked.campaign_spend_limit_minor,
            max(asked.campaign_spend_used_minor, asked.campaign_spend_minor),
        ),
        (asked.budget_minor, asked.budget_used_minor),
    )
    customer, customer_left = _tightest(
        (asked.per_customer_limit, _uses(case, promotion.id, asked)),
    )
    return Allowance(
        customer_times=customer,
        customer_left=customer_left,
        total_times=times,
        total_left=times_left,
        total_minor=minor,
        minor_left=minor_left,
        refuses=asked.campaign_spend_limit_minor is not None,
    )


def _tightest(*pairs: tuple[int | None, int]) -> tuple[int, int]:
    """The limit of which the least is left, and how much that is."""
    given = [(limit, max(limit - used, 0)) for limit, used in pairs if limit is not None]
    return min(given, key=lambda pair: pair[1], default=(UNLIMITED, UNLIMITED))


def _uses(case: Case, promotion_id: str, asked: Conditions) -> int:
    """How often this customer used it; cancelled uses count where they are not given back."""
    if case.customer is None:
        return 0
    used = case.customer.prior_uses.get(promotion_id, 0)
    return used + _cancelled(case, promotion_id, asked)


def _cancelled(case: Case, promotion_id: str, asked: Conditions) -> int:
    """Uses that a cancelled receipt did not give back."""
    if case.customer is None or asked.reusable_after_cancel:
        return 0
    return case.customer.cancelled_uses.get(promotion_id, 0)
