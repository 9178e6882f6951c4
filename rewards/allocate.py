"""How a whole is shared over parts so that the parts sum to it exactly.

The reference twin of `ext.kernel.allocate`, written to be read; must not know what is shared.
"""

from collections.abc import Sequence
from operator import index

from rewards.rounding import floor_div

UNITS_MAX = 2**63 - 1
"""Largest total, weight and sum of weights: the kernel keeps each in 64 bits."""


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Share a total over weights by the largest remainder.

    Each part is first its exact share rounded down. The units left over go one each to the
    largest remainders; of equal remainders to the lower index, so the caller sorts its parts by
    a stable key, never by line order.

    Args:
        total: Units to share (minor units, points ...), 0..2^63-1.
        weights: One weight a part, each 0 or more, their sum at most 2^63-1. Not empty unless
            `total` is 0. If all are zero the total is shared evenly.

    Returns:
        One part a weight, in order, in the unit of `total`. They sum to `total`; each is within
        one unit of its exact share; a zero weight gets 0 unless all are zero.

    Raises:
        TypeError: An argument is no integer, or `weights` is no sequence.
        ValueError: `total` or a weight is negative, or nothing is there to share over.
        OverflowError: `total`, a weight or the sum of weights is above 2^63-1.

    Source: DESIGN section 5, a discount shared over lines.
    """
    total = _read_amount("total", total)
    weights = tuple(weights)
    if not weights and total > 0:
        raise ValueError("a positive total needs at least one weight")
    checked = _read_weights(weights)
    parts = _share(total, checked if any(checked) else [1] * len(checked))
    assert len(parts) == len(weights)
    assert sum(parts) == total, "parts must sum to the total"
    return parts


def _share(total: int, weights: Sequence[int]) -> list[int]:
    """Share over weights that are known to be good and not all zero."""
    weights_sum = sum(weights)
    parts = [floor_div(total * weight, weights_sum) for weight in weights]
    remainders = [
        total * weight - part * weights_sum for weight, part in zip(weights, parts, strict=True)
    ]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
    for i in by_remainder[: total - sum(parts)]:
        assert remainders[i] > 0, "a share without a remainder is already exact"
        parts[i] += 1
    return parts


def _read_amount(name: str, value: int) -> int:
    """Read an integer of 0..2^63-1, or refuse it as the kernel does."""
    amount = index(value)
    if amount < 0:
        raise ValueError(f"{name} must not be negative")
    if amount > UNITS_MAX:
        raise OverflowError(f"{name} must be at most 2^63-1")
    return amount


def _read_weights(weights: Sequence[int]) -> list[int]:
    """Read all weights, refusing the first bad one and a sum that is too large."""
    checked: list[int] = []
    weights_sum = 0
    for weight in weights:
        checked.append(_read_amount("weight", weight))
        weights_sum += checked[-1]
        if weights_sum > UNITS_MAX:
            raise OverflowError("sum of weights must be at most 2^63-1")
    return checked
