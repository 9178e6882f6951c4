"""What a receipt gave when it was sold before, and whoever got it has kept since it was undone.

Bearers never owe, and a program may waive what it cannot take back. What is kept so counts against
what the receipt gives when it is sold anew: the same is given once, whatever a till states.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

Kept = Mapping[tuple[int, str, str], int]
"""What was kept, minor units, by account, promotion and asset."""
NOTHING_KEPT: Kept = MappingProxyType({})


class Giving(NamedTuple):
    """Something that a promotion gives on an account: minor units of an asset."""

    account_id: int
    promotion_id: str
    asset_code: str
    amount_minor: int


def kept_today(moved: Iterable[tuple[Giving, int]]) -> Kept:
    """What is left of all that was given and taken back.

    Args:
        moved: what was given, below zero what was taken back, and the account of today.
    """
    sums: dict[tuple[int, str, str], int] = {}
    for one, account_id in moved:
        key = account_id, one.promotion_id, one.asset_code
        sums[key] = sums.get(key, 0) + one.amount_minor
    return {key: minor for key, minor in sums.items() if minor > 0}


def counted_against(gives: Sequence[Giving], kept: Kept) -> list[int]:
    """How much of each was kept: on its own account first, then on any for the same promotion."""
    left = dict(kept)
    found = []
    for one in gives:
        key = one.account_id, one.promotion_id, one.asset_code
        found.append(min(one.amount_minor, left.get(key, 0)))
        left[key] = left.get(key, 0) - found[-1]
    for n, one in enumerate(gives):
        for key, minor in left.items():
            if key[1:] == (one.promotion_id, one.asset_code):
                part_minor = min(one.amount_minor - found[n], minor)
                found[n] += part_minor
                left[key] -= part_minor
    return found
