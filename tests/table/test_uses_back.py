"""What comes back of limits over many receipts: all with a void, with a refund what it frees."""

from msgspec.structs import replace

from rewards.benefit import ReceiptDiscount
from rewards.commit import BudgetUse, PromotionUse
from rewards.facts import Quota, Spent
from rewards.program import EarnBound, Limits, SpendRule
from rewards.quota import Amount, NetUse, bound_of
from rewards.refund import Refund, decide_refund
from rewards.ruleset import ProgramRules
from rewards.settling import Comeback, Spending
from rewards.spend_posting import spending_uses
from rewards.uses_back import Counted, UsesBack, uses_back_of_refund, uses_back_of_void
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


def back(milli: int, *comebacks: Comeback, is_gone: bool = False) -> UsesBack:
    refund = decide_refund(RULES, SALE, FACTS, {}, {"tea": milli}, by_reference)
    assert isinstance(refund, Refund)
    return uses_back_of_refund(COUNTED, refund, comebacks, is_gone)


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
    """173 were earned; one piece alone costs 100 less 10 and 7, so that 90 have lost their ground.

    What a promotion had cost is no spending of the customer's.
    """
    taken = {use.promotion_id: use for use in back(1_000, SPENT, SPENT, COST).account_uses[1:]}
    earn, spend = sorted(taken)
    assert (taken[spend].period, taken[spend].times, taken[spend].amount_minor) == (
        "2026-11-22",
        0,
        -60,
    )
    assert taken[earn].period == "2026"
    assert taken[earn].amount_minor == -90
    assert [use.times for use in back(2_000, SPENT, is_gone=True).account_uses] == [-1, -1, -1]


def test_who_spent_and_was_taken_nothing_gets_no_bound_back() -> None:
    program = make.rules(TENTH).program
    counted = COUNTED._replace(program=program)
    rules = make.rules(TENTH)
    refund = decide_refund(rules, SALE, FACTS, {}, {"tea": 1_000}, by_reference)
    assert isinstance(refund, Refund)
    found = uses_back_of_refund(counted, refund, (), False)
    assert found.account_uses == (PromotionUse("tenth", "2026-11", 0, -10),)


def test_a_void_gives_all_back() -> None:
    sold = by_reference(RULES, SALE, FACTS, None)
    facts = replace(FACTS, spends=(Spent("points", 40, 40, True, 0),))
    counted = COUNTED._replace(facts=facts)
    found = uses_back_of_void(counted, sold)
    assert found.account_uses[0] == PromotionUse("tenth", "2026-11", -1, -20)
    spend, earn = found.account_uses[1:]
    assert spend == PromotionUse("spend:points", "2026-11-22", -1, -40)
    assert (earn.promotion_id, earn.period, earn.times) == ("earn:points", "2026", -1)
    assert found.budget_uses == (budget_use(5, is_overrun=True), budget_use(15))


def test_what_counts_against_bounds_of_a_customer() -> None:
    sold = by_reference(RULES, SALE, FACTS, None)
    (earned,) = spending_uses(RULES.program, FACTS, sold)
    assert (earned.period, earned.times, earned.amount_minor) == ("2026", 1, 173)
