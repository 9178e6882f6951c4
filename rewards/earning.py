"""Posts what a sale gives: a transfer and a lot for every reward that is an asset."""

from collections.abc import Collection, Sequence

from rewards.allocate import allocate
from rewards.facts import AssetWindow
from rewards.journal import Journal
from rewards.ledger import Book, Funding
from rewards.program import Funding as FundingRule
from rewards.rewarding import Grant
from rewards.rounding import RATE_BP_ONE
from rewards.ruleset import CompiledProgram

_ISSUER, _OVERRUN = Book.ISSUER, Book.OVERRUN


def post_grants(
    journal: Journal,
    program: CompiledProgram,
    grants: Sequence[Grant],
    overrun: Collection[int] = (),
) -> None:
    """Post the rewards of a sale that are assets; what is no asset is not posted.

    Args:
        journal: of the receipt's key, with the account's debts.
        program: the promotions that the grants number.
        grants: what was given, each 1 minor unit or more.
        overrun: promotions whose budget does not cover what they gave.
    """
    for grant in grants:
        if grant.asset_code:
            promotion = program.promotions[grant.number]
            rules = promotion.funding
            journal.grant(
                promotion.promotion_id,
                grant.asset_code,
                grant.amount_minor,
                AssetWindow(grant.active_from_us, grant.expires_at_us),
                funding_of(rules, grant.amount_minor) if rules else (),
                _OVERRUN if grant.number in overrun else _ISSUER,
            )


def funding_of(rules: Sequence[FundingRule], amount_minor: int) -> Funding:
    """Who pays for an amount: each party its share up to its cap, the chain the rest.

    Returns:
        Amounts above zero that sum to the amount, the chain's last; empty is the chain alone.
    """
    if not rules:
        return ()
    weights = [rule.share_bp for rule in rules]
    parts = allocate(amount_minor, [*weights, RATE_BP_ONE - sum(weights)])
    shares = [
        (rule.party_id, min(part, rule.max_minor or part))
        for rule, part in zip(rules, parts, strict=False)
    ]
    own_minor = amount_minor - sum([minor for _, minor in shares])
    return tuple(one for one in (*shares, ("", own_minor)) if one[1])
