"""What a chain's postings of a period come to: liability, costs by who pays, redeemed, breakage."""

from collections.abc import Iterable

from msgspec import Struct

from rewards.ledger import Book


class Total(Struct, frozen=True):
    """Postings of one asset on one side, summed, minor units; an empty party is the chain."""

    asset_code: str
    book: int
    party_id: str
    amount_minor: int
    postings: int


class AssetReport(Struct, frozen=True):
    """One asset in a period, minor units.

    Attributes:
        liability_minor: what customers own at the end, what they owe not taken off.
        debt_minor: what they owe at the end.
        change_minor: of what they own less what they owe, in the period.
        costs: (party, what was given at its cost less what was taken back), by party.
        redeemed_minor: what was spent less what was given back.
        postings: in the period.
    """

    asset_code: str
    liability_minor: int
    debt_minor: int
    change_minor: int
    costs: tuple[tuple[str, int], ...]
    redeemed_minor: int
    breakage_minor: int
    overrun_minor: int
    postings: int


def report_assets(before: Iterable[Total], period: Iterable[Total]) -> tuple[AssetReport, ...]:
    """Report every asset that was ever posted, by code.

    Args:
        before: totals of everything before the period.
        period: totals of the period.

    Returns:
        Reports in which the change is what was given, less what was redeemed and what expired,
        with what was overrun.
    """
    earlier, own = list(before), list(period)
    codes = sorted({one.asset_code for one in (*earlier, *own)})
    return tuple(_report(code, earlier, own) for code in codes)


def _report(asset_code: str, before: list[Total], period: list[Total]) -> AssetReport:
    own = [one for one in period if one.asset_code == asset_code]
    ever = [one for one in before if one.asset_code == asset_code] + own
    costs: dict[str, int] = {}
    for one in own:
        if one.book in (Book.ISSUER, Book.FUNDING):
            costs[one.party_id] = costs.get(one.party_id, 0) - one.amount_minor
    return AssetReport(
        asset_code,
        _sum(ever, Book.CUSTOMER),
        -_sum(ever, Book.DEBT),
        _sum(own, Book.CUSTOMER) + _sum(own, Book.DEBT),
        tuple(sorted(costs.items())),
        _sum(own, Book.CLEARING),
        _sum(own, Book.BREAKAGE),
        -_sum(own, Book.OVERRUN),
        sum([one.postings for one in own]),
    )


def _sum(totals: Iterable[Total], book: Book) -> int:
    return sum([one.amount_minor for one in totals if one.book == book])
