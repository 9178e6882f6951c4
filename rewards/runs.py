"""Final runs of a line: quantities and unit prices that multiply to the amount exactly."""

from collections.abc import Sequence

from msgspec import Struct

from rewards.limits import MILLI
from rewards.rounding import floor_div, round_half_up
from rewards.sale import Line, Unit


class Run(Struct, frozen=True, gc=False):
    """Pieces at one unit price: thousandths, minor units, minor units."""

    quantity_milli: int
    unit_price_minor: int
    amount_minor: int


class Adjustment(Struct, frozen=True, gc=False):
    """Effect of one promotion on a line.

    Attributes:
        number: the promotion.
        amount_minor: negative for a discount.
        quantity_milli: what it claimed, thousandths.
    """

    number: int
    amount_minor: int
    quantity_milli: int


class LineOutcome(Struct, frozen=True, gc=False):
    """A line as it is to be sold.

    Attributes:
        amount_minor: after all that lowers it.
        spent: (asset code, minor units of money) that the customer's own assets pay of it.
    """

    amount_minor: int
    runs: tuple[Run, ...]
    adjustments: tuple[Adjustment, ...]
    spent: tuple[tuple[str, int], ...] = ()

    @property
    def price_minor(self) -> int:
        """What it costs by promotions alone, before anything of the customer's pays for it."""
        return self.amount_minor + sum([minor for _, minor in self.spent])


def not_taken(decided: LineOutcome, sold_minor: int) -> tuple[tuple[str, int], ...]:
    """What of what assets were to pay of a line a till did not take: that is lost first.

    Args:
        decided: the line.
        sold_minor: at what the till has sold it, minor units.

    Returns:
        (asset code, minor units of money), as in `LineOutcome.spent`.
    """
    found = []
    missing_minor = max(0, sold_minor - decided.amount_minor)
    for asset_code, minor in decided.spent:
        part_minor = min(missing_minor, minor)
        missing_minor -= part_minor
        found.append((asset_code, part_minor))
    return tuple(found)


def outcome_of(line: Line, effects: Sequence[tuple[int, int, int]], can_split: bool) -> LineOutcome:
    """Turn effects into final runs.

    Args:
        line: the line as sent.
        effects: (promotion number, discount in minor units, thousandths).
        can_split: the till can show runs of different price. If it cannot, the discount shrinks
            until one price fits all pieces: the server offers nothing that the till cannot sell.

    Returns:
        Runs that sum to the amount; adjustments that sum to amount - sent.
    """
    if not effects:
        return LineOutcome(line.amount_minor, _runs(line, line.amount_minor), ())
    if not can_split:
        effects = _even_effects(line, effects)
    adjustments = tuple(Adjustment(number, -minor, milli) for number, minor, milli in effects)
    amount_minor = line.amount_minor - sum(minor for _, minor, _ in effects)
    assert 0 <= amount_minor <= line.amount_minor
    return LineOutcome(amount_minor, _runs(line, amount_minor), adjustments)


def less_spent(line: Line, outcome: LineOutcome, asset_code: str, minor: int) -> LineOutcome:
    """Let an asset of the customer's pay a part of a line; its runs are made anew.

    Args:
        line: the line as sent.
        outcome: what it costs so far.
        asset_code: of what asset.
        minor: 1 to its amount, minor units of money.
    """
    amount_minor = outcome.amount_minor - minor
    assert 0 <= amount_minor < outcome.amount_minor
    spent = (*outcome.spent, (asset_code, minor))
    return LineOutcome(amount_minor, _runs(line, amount_minor), outcome.adjustments, spent)


def _runs(line: Line, amount_minor: int) -> tuple[Run, ...]:
    quantity_milli = line.quantity_milli
    if line.unit != Unit.PIECE:
        price_minor = round_half_up(amount_minor * MILLI, quantity_milli)
        return (Run(quantity_milli, price_minor, amount_minor),)
    pieces = floor_div(quantity_milli, MILLI)
    low_minor, dearer = divmod(amount_minor, pieces)
    if not dearer:
        return (Run(quantity_milli, low_minor, amount_minor),)
    cheaper = pieces - dearer
    return (
        Run(dearer * MILLI, low_minor + 1, dearer * (low_minor + 1)),
        Run(cheaper * MILLI, low_minor, cheaper * low_minor),
    )


def _even_effects(
    line: Line, effects: Sequence[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """Shrink the last effects until the amount divides evenly over the pieces."""
    even = list(effects)
    if line.unit != Unit.PIECE:
        return even
    pieces = floor_div(line.quantity_milli, MILLI)
    amount_minor = line.amount_minor - sum(minor for _, minor, _ in even)
    surplus_minor = -amount_minor % pieces
    while surplus_minor and even:
        number, minor, milli = even.pop()
        back_minor = min(minor, surplus_minor)
        surplus_minor -= back_minor
        if minor > back_minor:
            even.append((number, minor - back_minor, milli))
    return even
