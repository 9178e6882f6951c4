"""What comes back of limits over many receipts: all with a void, with a refund what it frees."""

from collections.abc import Sequence

from rewards.benefit import ReceiptDiscount
from rewards.commit import BudgetUse, PromotionUse
from rewards.condition import ReceiptAmount
from rewards.facts import Quota
from rewards.ledger import OwnedLot
from rewards.program import EarnBound, Limits, Policy, SpendRule
from rewards.quota import Amount, NetUse, bound_of
from rewards.refund import Refund, decide_refund
from rewards.ruleset import ProgramRules
from rewards.settling import Claim, Comeback, GrantedLot, Spending
from rewards.spend_posting import spending_uses
from rewards.uses_back import (
    Counted,
    UsesBack,
    uses_back_of_refund,
    uses_back_of_statement,
    uses_back_of_void,
)
from tests import make
from tests.table.test_refund import by_reference

KEY = make.key_id("sale")
TENTH = make.promotion(
    "tenth",
    ReceiptDiscount(rate_bp=1_000),
    priority=1,
    limits=Limits(customer_times=3, customer_period="month", total_minor=1_000),
)
UNLIMITED = make.promotion("more", ReceiptDiscount(amount_minor=7), stackable=True)
POINTS = make.points(10_000)
RULES: ProgramRules = make.rules(
    TENTH,
    UNLIMITED,
    POINTS,
    spend_rules=(SpendRule("points", 1, 1, customer_max_minor=900, customer_period="day"),),
    earn_bounds=(EarnBound("points", customer_max_minor=500, customer_period="year"),),
)
SALE = make.sale(make.line("tea", 2, 100))
FACTS = make.facts(quotas=(Quota("tenth", 3, -1, 1_000),))
NUMBER = [one.promotion_id for one in RULES.program.promotions].index("tenth")
BOUND = bound_of(RULES.program, NUMBER, make.STORE, FACTS.store.local_day)
(BUDGET,) = BOUND.budgets
NETS = (NetUse(BUDGET.budget_id, Amount(0, 15), Amount(0, 5)),)
COUNTED = Counted(RULES.program, make.STORE, KEY, FACTS, NETS)
SPENT = Comeback(Spending("", "points", ()), 30)
COST = Comeback(Spending("tenth", "points", ()), 99)


def claim(minor: int, account_id: int = 7, asset_code: str = "points") -> Claim:
    lot = OwnedLot(b"lot", asset_code, minor, 0)
    return Claim(GrantedLot(lot, minor, account_id), minor)


def back(
    milli: int, *comebacks: Comeback, is_gone: bool = False, claims: Sequence[Claim] = ()
) -> UsesBack:
    refund = decide_refund(RULES, SALE, FACTS, (), {"tea": milli}, by_reference)
    assert isinstance(refund, Refund)
    return uses_back_of_refund(COUNTED, refund, claims, comebacks, is_gone)


def budget_use(minor: int, is_overrun: bool = False) -> BudgetUse:
    return BudgetUse(BUDGET.budget_id, b"", 0, -minor, is_overrun, KEY)


def test_a_half_frees_half_of_the_money_and_the_receipt_stays_counted() -> None:
    """20 off 200: 10 come back with one of two pieces, the overrun ones first."""
    found = back(1_000)
    assert found.account_uses[0] == PromotionUse("tenth", "2026-11", 0, -10)
    assert found.budget_uses == (budget_use(5, is_overrun=True), budget_use(5))


def test_all_of_it_frees_the_receipt_too() -> None:
    found = back(2_000, is_gone=True)
    assert found.account_uses[0] == PromotionUse("tenth", "2026-11", -1, -20)
    assert found.budget_uses == (budget_use(5, is_overrun=True), budget_use(15))


def test_bounds_of_spending_and_earning_get_back_what_came_back() -> None:
    """Points that lost their ground count, not what a bearer has; nor what a promotion had cost."""
    claims = [claim(60), claim(30), claim(500, account_id=-7)]
    found = back(1_000, SPENT, SPENT, COST, claims=claims)
    taken = {use.promotion_id: use for use in found.account_uses[1:]}
    earn, spend = sorted(taken)
    assert (taken[spend].period, taken[spend].times, taken[spend].amount_minor) == (
        "2026-11-22",
        0,
        -60,
    )
    assert taken[earn].period == "2026"
    assert taken[earn].amount_minor == -90
    all_gone = back(2_000, SPENT, is_gone=True, claims=claims)
    assert [use.times for use in all_gone.account_uses] == [-1, -1, -1]


def test_who_spent_and_was_taken_nothing_gets_no_bound_back() -> None:
    program = make.rules(TENTH).program
    counted = COUNTED._replace(program=program)
    rules = make.rules(TENTH)
    refund = decide_refund(rules, SALE, FACTS, (), {"tea": 1_000}, by_reference)
    assert isinstance(refund, Refund)
    found = uses_back_of_refund(counted, refund, (), (), False)
    assert found.account_uses == (PromotionUse("tenth", "2026-11", 0, -10),)


def test_a_void_gives_all_back() -> None:
    sold = by_reference(RULES, SALE, FACTS, None)
    found = uses_back_of_void(COUNTED, sold, [claim(173)], [SPENT, COST])
    assert found.account_uses[0] == PromotionUse("tenth", "2026-11", -1, -20)
    spend, earn = found.account_uses[1:]
    assert spend == PromotionUse("spend:points", "2026-11-22", -1, -30)
    assert earn == PromotionUse("earn:points", "2026", -1, -173)
    assert found.budget_uses == (budget_use(5, is_overrun=True), budget_use(15))


def test_a_statement_gives_back_bounds_and_no_limits() -> None:
    """The receipt stays counted; a discount that was not given became something else."""
    spend, earn = uses_back_of_statement(COUNTED, [claim(60)], [SPENT, COST])
    assert spend == PromotionUse("spend:points", "2026-11-22", 0, -30)
    assert earn == PromotionUse("earn:points", "2026", 0, -60)


def test_what_counts_against_bounds_of_a_customer() -> None:
    sold = by_reference(RULES, SALE, FACTS, None)
    (earned,) = spending_uses(RULES.program, FACTS, sold)
    assert (earned.period, earned.times, earned.amount_minor) == ("2026", 1, 173)


def test_what_has_lost_its_ground_before_the_last_return_is_counted_no_more() -> None:
    """With the first piece of two the discount is lost, with the second one the sale."""
    pair = make.promotion(
        "pair",
        ReceiptDiscount(amount_minor=30),
        conditions=(ReceiptAmount(150),),
        policy=Policy(refund="claw_back"),
        limits=Limits(customer_times=3, customer_period="month"),
    )
    rules = make.rules(pair)
    facts = make.facts(quotas=(Quota("pair", 3, -1, -1),))
    counted = COUNTED._replace(program=rules.program, nets=(), facts=facts)
    found = []
    for earlier, is_gone in (((), False), (({"tea": 1_000},), True)):
        refund = decide_refund(rules, SALE, facts, earlier, {"tea": 1_000}, by_reference)
        assert isinstance(refund, Refund)
        found.append(uses_back_of_refund(counted, refund, (), (), is_gone).account_uses)
    assert found == [
        (PromotionUse("pair", "2026-11", 0, -30),),
        (PromotionUse("pair", "2026-11", -1, 0),),
    ]
