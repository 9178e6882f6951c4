"""What a receipt was sold at, and what of that falls on goods that come back.

A line's price is the printed one: its amount and what the customer's own assets paid of it. Source:
docs/billing.md, ADR 0021.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from rewards.evaluate import Evaluation
from rewards.facts import Facts, Spent
from rewards.rounding import floor_div
from rewards.runs import LineOutcome, Run, not_taken
from rewards.sale import Line, LineAction, Outcome, OutcomeKind, Sale

Quantities = Mapping[str, int]
"""Thousandths by line_id."""


class RefundedLine(Struct, frozen=True):
    """What a returned quantity was sold for, as printed: thousandths, minor units.

    What the customer's own assets paid of it is not taken off.
    """

    line_id: str
    quantity_milli: int
    amount_minor: int


class PointsBack(Struct, frozen=True):
    """What of a payment with an asset falls on what has come back, as money in minor units.

    Attributes:
        paid_minor: all that was paid with it, minor units of the asset.
        value_minor: the same as money.
        upto_minor: of it what falls on what has been returned up to this refund.
    """

    asset_code: str
    paid_minor: int
    value_minor: int
    upto_minor: int


class Settlement(Struct, frozen=True):
    """How it was settled that a till has sold a committed sale otherwise than it was answered.

    What it did not take of the customer's own assets has come back, and what promotions had kept
    back for goods that came back before is let go.

    Attributes:
        outcome: PLAIN or OTHER.
        stated: what the till has stated last: of goods that came back in between it was kept alone.
    """

    outcome: Outcome
    stated: Outcome

    @property
    def is_plain(self) -> bool:
        """Whether nothing of the customer's own assets has paid after all, and all is back."""
        return OutcomeKind.PLAIN == self.outcome.kind == self.stated.kind


ANY_ASSET = ""
"""Stands for the asset of what was paid back in points where a record does not say in which."""


class PaidOut(Struct, frozen=True):
    """What earlier refunds have paid back, minor units of money; in points by their asset."""

    money_minor: int = 0
    by_points: Mapping[str, int] = {}


def prices_of(
    sale: Sale, sold: Evaluation, paid: Mapping[str, int] | None, settled: Settlement | None
) -> dict[str, LineOutcome]:
    """By line_id at what each line was sold, and what the customer's own assets paid besides.

    Args:
        sale: what was scanned.
        sold: as it was decided; minor units of money.
        paid: by line_id what the till sold lines at, minor units, where not as decided; a line that
            is not named was sold as it was sent.
        settled: how that was settled, if the sale had been committed before.
    """
    pairs = zip(sale.lines, sold.outcomes, strict=True)
    lines = [(line, one) for line, one in pairs if one is not None and is_sold(line)]
    spent = _spent(lines, paid, settled)
    found: dict[str, LineOutcome] = {}
    for line, outcome in lines:
        minor, runs = outcome.amount_minor, outcome.runs
        if paid is not None:
            minor = paid.get(line.line_id, line.amount_minor)
            runs = (Run(line.quantity_milli, 0, minor),)
        found[line.line_id] = LineOutcome(minor, runs, (), tuple(spent[line.line_id].items()))
    return found


def _spent(
    lines: Sequence[tuple[Line, LineOutcome]],
    paid: Mapping[str, int] | None,
    settled: Settlement | None,
) -> dict[str, dict[str, int]]:
    """What the customer's own assets paid of each line: minor units of money by asset.

    What a line cost more than was decided is what was not taken of them, and came back when that
    was settled. Where nothing was to be settled it was taken all the same, on other lines.
    """
    decided = {line.line_id: _summed(outcome.spent) for line, outcome in lines}
    if settled is None and paid is None:
        return decided
    stated = paid if settled is None else {}
    if settled is not None and settled.outcome.kind != OutcomeKind.PLAIN:
        stated = dict(settled.outcome.lines)
    assert stated is not None, "what nobody has settled was sold as stated"
    at = {line.line_id: stated.get(line.line_id, line.amount_minor) for line, _ in lines}
    left = {line_id: dict(own) for line_id, own in decided.items()}
    for line, outcome in lines:
        for asset_code, minor in not_taken(outcome, at[line.line_id]):
            left[line.line_id][asset_code] -= minor
    if settled is None:
        room = {line.line_id: one.price_minor - at[line.line_id] for line, one in lines}
        _take_elsewhere(decided, room, left)
    return left


def _summed(spent: Iterable[tuple[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for asset_code, minor in spent:
        found[asset_code] = found.get(asset_code, 0) + minor
    return found


def _take_elsewhere(
    decided: Mapping[str, Mapping[str, int]],
    room: Mapping[str, int],
    left: Mapping[str, dict[str, int]],
) -> None:
    """Find lines for what was taken and did not lower the line for which it was decided.

    Args:
        decided: by line_id what was to be taken of it.
        room: by line_id how much less it was sold at than promotions made of it, minor units.
        left: what was taken of each, which is added to: first where there is room, the rest where
            it was decided.
    """
    for asset_code in dict.fromkeys([code for own in decided.values() for code in own]):
        short_minor = sum([own.get(asset_code, 0) for own in decided.values()])
        short_minor -= sum([own.get(asset_code, 0) for own in left.values()])
        for line_id, own in left.items():
            part_minor = min(short_minor, max(0, room[line_id] - sum(own.values())))
            short_minor -= part_minor
            own[asset_code] = own.get(asset_code, 0) + part_minor
        for line_id, own in left.items():
            due_minor = decided[line_id].get(asset_code, 0)
            part_minor = min(short_minor, max(0, due_minor - own[asset_code]))
            short_minor -= part_minor
            own[asset_code] += part_minor


def paid_back_so_far(paid_out: PaidOut, points: Sequence[PointsBack]) -> int:
    """What earlier refunds have paid back of what was paid, minor units of money.

    What came back in points is none of it as far as no points were taken after all.
    """
    due = points_due(points, paid_out.by_points)
    return paid_out.money_minor + sum([one.upto_minor for one in points]) - sum(due.values())


def points_due(points: Sequence[PointsBack], paid: Mapping[str, int]) -> dict[str, int]:
    """By asset what of payments with it falls on what has come back and is not paid back yet.

    Args:
        points: payments with assets, as money in minor units.
        paid: by asset what earlier refunds have paid back in it, as money. More than has been
            taken of one is none of another one's; what is of an asset that nobody knows is of all.
    """
    due = {one.asset_code: max(0, one.upto_minor - paid.get(one.asset_code, 0)) for one in points}
    unknown_minor = paid.get(ANY_ASSET, 0)
    for asset_code, minor in due.items():
        part_minor = min(minor, unknown_minor)
        unknown_minor -= part_minor
        due[asset_code] = minor - part_minor
    return due


def refunded_lines(
    sale: Sale, prices: Mapping[str, LineOutcome], before: Quantities, now: Quantities
) -> tuple[RefundedLine, ...]:
    """What comes back now, behind what came back before, in the order of the sale."""
    found = []
    for line in sale.lines:
        quantity_milli = now.get(line.line_id, 0)
        if quantity_milli:
            gone_milli = before.get(line.line_id, 0)
            upto_minor = _printed_minor(prices[line.line_id], gone_milli + quantity_milli)
            amount_minor = upto_minor - _printed_minor(prices[line.line_id], gone_milli)
            found.append(RefundedLine(line.line_id, quantity_milli, amount_minor))
    return tuple(found)


def printed_of(prices: Mapping[str, LineOutcome], returned: Quantities) -> int:
    """Printed price of returned quantities, minor units."""
    return sum([_printed_minor(prices[line_id], milli) for line_id, milli in returned.items()])


def _printed_minor(outcome: LineOutcome, quantity_milli: int) -> int:
    """Printed price of the first pieces of a line."""
    spent_minor = sum([minor for _, minor in outcome.spent])
    return _paid_minor(outcome, quantity_milli) + _part_of_line(
        spent_minor, quantity_milli, outcome
    )


def _paid_minor(outcome: LineOutcome, quantity_milli: int) -> int:
    """What the tenders paid of the first pieces of a line, in the order of its runs."""
    amount_minor = 0
    for run in outcome.runs:
        part_milli = min(quantity_milli, run.quantity_milli)
        amount_minor += floor_div(run.amount_minor * part_milli, run.quantity_milli)
        quantity_milli -= part_milli
    return amount_minor


def paid_of(prices: Mapping[str, LineOutcome], returned: Quantities) -> int:
    """What tenders paid of returned quantities, minor units."""
    return sum([_paid_minor(prices[line_id], milli) for line_id, milli in returned.items()])


def _part_of_line(amount_minor: int, quantity_milli: int, outcome: LineOutcome) -> int:
    whole_milli = sum([run.quantity_milli for run in outcome.runs])
    return floor_div(amount_minor * quantity_milli, whole_milli)


def points_of(
    facts: Facts, prices: Mapping[str, LineOutcome], returned: Quantities
) -> tuple[PointsBack, ...]:
    """What of each payment with an asset falls on what is returned.

    A tender pays a share of everything; what lines cost less falls on those lines.
    """
    return tuple(
        PointsBack(
            spent.asset_code,
            spent.amount_minor,
            spent.value_minor,
            _worth(spent, prices, returned),
        )
        for spent in facts.spends
        if spent.value_minor
    )


def _worth(spent: Spent, prices: Mapping[str, LineOutcome], returned: Quantities) -> int:
    """What of a payment with an asset falls on returned quantities, minor units of money."""
    if spent.is_tender:
        whole_minor = sum([price.amount_minor for price in prices.values()])
        gone_minor = paid_of(prices, returned)
        whole_minor = max(whole_minor, spent.value_minor)
        return floor_div(spent.value_minor * gone_minor, whole_minor)
    found_minor = 0
    for line_id, milli in returned.items():
        for asset_code, minor in prices[line_id].spent:
            if asset_code == spent.asset_code:
                found_minor += _part_of_line(minor, milli, prices[line_id])
    return found_minor


def is_sold(line: Line) -> bool:
    """Whether a line of a receipt was sold: it is not cancelled and brings nothing back."""
    return not line.cancelled and line.action != LineAction.RETURN
