"""What programs may say and the ledger cannot account for yet: it is refused before publishing.

A cost that nobody posts would be paid with nothing. ADR 0022 says what is given meanwhile and what
is not.
"""

from collections.abc import Iterator

from rewards.problem import Problem
from rewards.program import Program, Promotion

_NOT_POSTED = "what a promotion costs the customer is not posted by this version"


def check_accounted(program: Program) -> Iterator[Problem]:
    """Find what would give value that nothing accounts for."""
    for index, promotion in enumerate(program.promotions):
        yield from _check_promotion(f"promotions[{index}]", promotion)


def _check_promotion(path: str, promotion: Promotion) -> Iterator[Problem]:
    if promotion.cost is not None:
        yield Problem(f"{path}.cost", _NOT_POSTED)
