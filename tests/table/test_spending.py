"""What a receipt spends of several assets of its customer."""

from rewards.allocate import allocate
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import Facts
from rewards.ledger import Holdings, OwnedLot
from rewards.program import SpendRule
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from rewards.spending import Purse, Wish, decide_spending
from tests import make

AUTOMATIC = SpendRule("stamps", 1, 1, automatic=True)
TENDERED = SpendRule("points", 1, 1, "tender", share_max_bp=1_000)
RULES = make.rules(spend_rules=(AUTOMATIC, TENDERED))
LOTS = (OwnedLot(b"s", "stamps", 5, 5), OwnedLot(b"p", "points", 1_000, 1_000))
PURSE = Purse(Holdings(LOTS), {}, make.NOON_US, b"")
ALL_STAMPS = Wish("stamps", 10**18, is_automatic=True)


def reference(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluation:
    return evaluate(rules, sale, facts, allocate)


def spent(tender_minor: int, *, is_fact: bool) -> dict[str, int]:
    """What a sale of 10,000 spends beside a tender of points, minor units by asset."""
    sale = make.sale(make.line("tea", 1, 10_000))
    wishes = (Wish("points", tender_minor, tender_minor=tender_minor), ALL_STAMPS)
    found = decide_spending(RULES, sale, make.facts(), wishes, PURSE, reference, is_fact)
    return {one.asset_code: one.amount_minor for one in found.facts.spends}


def test_what_goes_by_itself_is_never_more_than_there_is() -> None:
    """A fact tenders more points than a rule lets: nobody asked for stamps that are not there."""
    assert spent(900, is_fact=True) == {"stamps": 5, "points": 900}
    assert spent(2_000, is_fact=True) == {"stamps": 5, "points": 2_000}
