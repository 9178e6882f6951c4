"""How much may be promised while the link is down: the stand-in for a policy of the chain."""

from msgspec import Struct


class Ceilings(Struct, frozen=True):
    """Bounds of what waits to be forwarded, of a whole cash server; 0 is no bound.

    Attributes:
        amount_minor: Sum of what is sold, minor units.
        count: Receipts.
        age_s: Of the oldest, seconds.
    """

    amount_minor: int = 0
    count: int = 0
    age_s: int = 0


class Waiting(Struct, frozen=True):
    """What waits to be forwarded.

    Attributes:
        oldest_at_us: When the oldest arrived, UTC microseconds; 0 if nothing waits.
    """

    count: int = 0
    amount_minor: int = 0
    oldest_at_us: int = 0


class Reached(Struct, frozen=True):
    """A ceiling that does not allow one more receipt; `most` and `actual` in its own unit."""

    ceiling: str
    most: int
    actual: int


def find_reached(
    ceilings: Ceilings, waiting: Waiting, amount_minor: int, now_us: int
) -> Reached | None:
    """Find a ceiling that one more receipt would break.

    Args:
        ceilings: The bounds.
        waiting: What waits without it.
        amount_minor: What it sells, minor units.
        now_us: The clock, UTC microseconds.
    """
    age_s = (now_us - waiting.oldest_at_us) // 1_000_000 if waiting.oldest_at_us else 0
    actual = {
        "AMOUNT": (ceilings.amount_minor, waiting.amount_minor + amount_minor),
        "COUNT": (ceilings.count, waiting.count + 1),
        "AGE": (ceilings.age_s, age_s),
    }
    for ceiling, (most, found) in actual.items():
        if 0 < most < found:
            return Reached(ceiling, most, found)
    return None
