"""What a sale takes out of an account: spent assets, and costs of promotions, lot by lot."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from rewards.commit import PromotionUse
from rewards.earn_bound import earn_use_id
from rewards.evaluate import Evaluated
from rewards.facts import Facts
from rewards.journal import Journal
from rewards.ledger import Book, Holdings, LotKind, Pick
from rewards.picking import pick
from rewards.quota import period_name
from rewards.ruleset import CompiledProgram
from rewards.spending import Purse, spend_use_id


class Taking(NamedTuple):
    """What is taken of an asset, minor units.

    Attributes:
        promotion_id: whose cost it is; empty is what the customer spends.
        picks: from which lots.
        missing_minor: what they do not cover.
        with_earned: that may be taken out of what this sale gives.
    """

    asset_code: str
    promotion_id: str
    picks: tuple[Pick, ...]
    missing_minor: int
    with_earned: bool = False


def takings_of(
    program: CompiledProgram, facts: Facts, evaluation: Evaluated, purse: Purse
) -> tuple[Taking, ...]:
    """Choose the lots: what is spent first, then costs; last those that may take what is earned.

    Args:
        program: the promotions that the evaluation numbers.
        facts: with what is spent.
        evaluation: with what promotions cost.
        purse: the account; what the basket holds is taken before all else.
    """
    if not facts.spends and not evaluation.spends:
        return ()
    wanted = [(one.asset_code, "", one.amount_minor, False) for one in facts.spends]
    costs = []
    for spend in evaluation.spends:
        promotion = program.promotions[spend.number]
        early = promotion.cost is not None and promotion.cost.with_earned
        costs.append((spend.asset_code, promotion.promotion_id, spend.amount_minor, early))
    wanted += sorted(costs, key=lambda cost: cost[3])
    holdings = purse.holdings
    found = []
    for asset_code, promotion_id, amount_minor, early in wanted:
        picked = pick(holdings, asset_code, amount_minor, purse.at_us, purse.hold_id)
        holdings = _without(holdings, picked.picks)
        found.append(Taking(asset_code, promotion_id, picked.picks, picked.missing_minor, early))
    return tuple(found)


def _without(holdings: Holdings, picks: Sequence[Pick]) -> Holdings:
    taken = dict(picks)
    lots = tuple(
        [
            replace(lot, remaining_minor=lot.remaining_minor - taken[lot.lot_id])
            if lot.lot_id in taken
            else lot
            for lot in holdings.lots
        ]
    )
    return Holdings(lots, holdings.holds)


def post_takings(journal: Journal, takings: Sequence[Taking]) -> None:
    """Take what lots cover; before anything is granted."""
    for one in takings:
        journal.take(Book.CLEARING, one.asset_code, one.picks, one.promotion_id)


def post_missing(journal: Journal, takings: Sequence[Taking], at_us: int) -> None:
    """Take the rest out of what was granted since, where it may be; what is left is owed.

    Args:
        journal: after the grants; a new debt is paid by what is earned next time.
        takings: of the same sale.
        at_us: since when it is owed, UTC microseconds.
    """
    for one in takings:
        missing_minor = one.missing_minor
        if missing_minor and one.with_earned:
            picks = _granted(journal, one.asset_code, missing_minor)
            journal.take(Book.CLEARING, one.asset_code, picks, one.promotion_id)
            missing_minor -= sum([minor for _, minor in picks])
        if missing_minor:
            journal.owe(Book.CLEARING, one.asset_code, missing_minor, at_us, one.promotion_id)


def owed_of(takings: Sequence[Taking]) -> tuple[Taking, ...]:
    """What is spent and not there: it will be owed."""
    return tuple([one for one in takings if one.missing_minor and not one.with_earned])


def _granted(journal: Journal, asset_code: str, amount_minor: int) -> tuple[Pick, ...]:
    new = {lot.lot_id for lot in journal.movement().lots}
    picks = []
    for lot in journal.lots():
        fits = lot.lot_id in new and lot.kind == LotKind.VALUE and lot.asset_code == asset_code
        part_minor = min(amount_minor, lot.remaining_minor) if fits else 0
        if part_minor:
            picks.append((lot.lot_id, part_minor))
            amount_minor -= part_minor
    return tuple(picks)


def spending_uses(
    program: CompiledProgram, facts: Facts, evaluation: Evaluated
) -> tuple[PromotionUse, ...]:
    """What counts against bounds of spending and earning by customer and period.

    Args:
        program: with its rules and bounds.
        facts: of the sale.
        evaluation: what the sale gave.
    """
    counted = [*counted_by(program)]
    if not counted:
        return ()
    day = facts.store.local_day
    spent = {one.asset_code: one.amount_minor for one in facts.spends}
    earned: dict[str, int] = {}
    for grant in evaluation.grants:
        earned[grant.asset_code] = earned.get(grant.asset_code, 0) + grant.amount_minor
    found: dict[tuple[str, str], int] = {}
    for name, asset_code, period in counted:
        amounts = spent if name == spend_use_id(asset_code) else earned
        if amounts.get(asset_code):
            found[name, period_name(period, day)] = amounts[asset_code]
    return tuple([PromotionUse(name, period, 1, minor) for (name, period), minor in found.items()])


def counted_by(program: CompiledProgram) -> Iterator[tuple[str, str, str]]:
    """What bounds count on an account: its name there, the asset, the kind of period."""
    for chosen in program.spend_rules:
        rule = chosen.rule
        if rule.customer_max_minor:
            yield spend_use_id(rule.asset_code), rule.asset_code, rule.customer_period
    for one in program.earn_bounds:
        bound = one.bound
        if bound.customer_max_minor:
            yield earn_use_id(bound.asset_code), bound.asset_code, bound.customer_period
