"""Refunds: what else is on the receipt, what the kept part is evaluated with, policies."""

from collections.abc import Collection

import pytest
from msgspec.structs import replace

from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.benefit import CheapestFree, NPlusM, PercentOff, PointsFixed, ReceiptDiscount
from rewards.condition import ReceiptAmount
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import Facts
from rewards.program import Cost, Policy, Promotion
from rewards.refund import (
    Clawed,
    Refund,
    RefundProblem,
    RefundRefusal,
    ReturnedCost,
    TakenReward,
    decide_refund,
)
from rewards.refund_price import RefundedLine
from rewards.ruleset import ProgramRules
from rewards.sale import Line, LineAction, Sale, Tender, TenderKind
from tests import make

Seen = list[tuple[Sale, Collection[int] | None]]
GONE = make.line("gone", 1, 70, cancelled=True)
BACK = make.line("back", 1, 80, action=LineAction.RETURN)
TEA, SALT = make.line("tea", 3, 300), make.line("salt", 2, 50)


def decided(
    promotions: list[Promotion],
    lines: tuple[Line, ...],
    now: dict[str, int],
    before: dict[str, int] | None = None,
    tenders: tuple[Tender, ...] = (),
    facts: Facts = make.facts(),  # noqa: B008 - immutable
    seen: Seen | None = None,
) -> Refund | RefundRefusal:
    """Decide a refund; `seen` gets what was evaluated."""

    def by_reference(
        rules: ProgramRules, sale: Sale, known: Facts, only: Collection[int] | None
    ) -> Evaluation:
        if seen is not None:
            seen.append((sale, only))
        return evaluate(rules, sale, known, allocate, only)

    sale = make.sale(*lines, tenders=tenders)
    earlier = [before] if before else []
    return decide_refund(make.rules(*promotions), sale, facts, earlier, now, by_reference)


def refunded(*given: object, **others: object) -> Refund:
    found = decided(*given, **others)  # type: ignore[arg-type]
    assert isinstance(found, Refund)
    return found


# --- which lines --------------------------------------------------------------------------------


def test_lines_are_given_back_past_those_that_were_never_sold() -> None:
    refund = refunded([], (GONE, BACK, TEA, SALT), {"salt": 1_000, "tea": 2_000})
    assert refund.lines == (RefundedLine("tea", 2_000, 600), RefundedLine("salt", 1_000, 50))
    assert (refund.pay_back_minor, refund.short_minor) == (650, 0)


@pytest.mark.parametrize("line_id", ["gone", "back", "nowhere"])
def test_what_was_never_sold_is_not_given_back(line_id: str) -> None:
    refusal = decided([], (GONE, BACK, TEA), {"tea": 1_000, line_id: 1_000})
    assert refusal == RefundRefusal(RefundProblem.UNKNOWN_LINE, line_id)


@pytest.mark.parametrize(("before", "left"), [({}, 3_000), ({"tea": 2_000}, 1_000)])
def test_no_more_than_is_left_of_a_line(before: dict[str, int], left: int) -> None:
    more, all_of_it = {"tea": left + 1}, {"tea": left}
    refusal = decided([], (TEA,), more, before)
    assert refusal == RefundRefusal(RefundProblem.MORE_THAN_SOLD, "tea", left)
    assert isinstance(decided([], (TEA,), all_of_it, before), Refund)


# --- what is evaluated --------------------------------------------------------------------------


def test_what_is_left_is_evaluated_with_its_own_sums_and_adds_nothing() -> None:
    seen: Seen = []
    paid = (make.tender(TenderKind.CARD, 600), make.tender(TenderKind.CASH, 401))
    floored = replace(TEA, minimum_amount_minor=100)
    lines = (GONE, floored, BACK, SALT)
    refunded([make.percent()], lines, {"tea": 1_000}, tenders=paid, seen=seen)
    (sold, everything), (left, fired) = seen
    assert (everything, fired) == (None, {0})
    assert sold.header.capabilities.add_piece
    assert not left.header.capabilities.add_piece
    assert replace(left.header.capabilities, add_piece=True) == sold.header.capabilities
    assert left.header.amount_minor == 600 + 100
    kept = replace(floored, quantity_milli=2_000, amount_minor=600, minimum_amount_minor=66)
    assert left.lines == (GONE, kept, BACK, SALT)
    assert [tender.amount_minor for tender in left.tenders] == [420, 280]


def test_a_line_that_is_given_back_whole_is_no_longer_there() -> None:
    seen: Seen = []
    refunded([], (TEA, SALT), {"salt": 1_000}, {"tea": 3_000}, seen=seen)
    assert [[line.line_id for line in sale.lines] for sale, _ in seen] == [
        ["tea", "salt"],
        ["salt"],
        ["salt"],
    ]
    assert [sale.lines[-1].quantity_milli for sale, _ in seen] == [2_000, 2_000, 1_000]


def test_a_receipt_of_nothing_keeps_its_tenders() -> None:
    seen: Seen = []
    free = make.line("tea", 2, 0)
    refund = refunded([], (free,), {"tea": 1_000}, tenders=(make.tender(),), seen=seen)
    assert refund.pay_back_minor == 0
    assert seen[-1][0].tenders == (make.tender(),)


# --- policies -----------------------------------------------------------------------------------

CLAWS, FORBIDS = Policy(refund="claw_back"), Policy(refund="forbid")
ON_TEA, ON_SALT = ProductSet(skus=("tea",)), ProductSet(skus=("salt",))


def test_money_is_kept_back_for_each_promotion_that_lost_its_ground() -> None:
    conditions = (ReceiptAmount(1_000),)
    tea = make.promotion(
        "tea", PercentOff(1_000), products=ON_TEA, conditions=conditions, policy=CLAWS, priority=2
    )
    salt = make.promotion(
        "salt", PercentOff(2_000), products=ON_SALT, conditions=conditions, policy=CLAWS, priority=1
    )
    waived = make.promotion(
        "receipt", ReceiptDiscount(amount_minor=9), conditions=conditions, stackable=True
    )
    lines = (TEA, make.line("salt", 2, 50))
    refund = refunded([tea, salt, waived], lines, {"tea": 1_000})
    assert refund.clawed == (Clawed(0, 60), Clawed(1, 20))
    assert refund.pay_back_minor == refund.lines[0].amount_minor - 80


def test_what_is_kept_back_may_be_more_than_what_is_given_back() -> None:
    half = make.promotion("half", PercentOff(5_000), conditions=(ReceiptAmount(951),), policy=CLAWS)
    refund = refunded([half], (TEA, SALT), {"salt": 1_000})
    assert refund.lines == (RefundedLine("salt", 1_000, 25),)
    assert refund.clawed == (Clawed(0, 475),)
    assert (refund.pay_back_minor, refund.short_minor) == (0, 450)


def test_a_promotion_that_forbids_looks_at_its_own_ground_alone() -> None:
    three = make.promotion("three", CheapestFree(3), products=ON_TEA, policy=FORBIDS, priority=2)
    other = make.promotion("salt", PercentOff(1_000), products=ON_SALT, priority=1)
    assert isinstance(decided([three, other], (TEA, SALT), {"salt": 2_000}), Refund)
    refusal = decided([other, three], (TEA, SALT), {"tea": 1_000})
    assert refusal == RefundRefusal(RefundProblem.FORBIDDEN, number=0)


def test_a_promotion_that_forbids_and_gave_rewards_alone_must_still_fire() -> None:
    stamps = make.promotion(
        "stamps",
        PointsFixed("points", 5),
        lane="reward",
        conditions=(ReceiptAmount(900),),
        policy=FORBIDS,
    )
    assert isinstance(decided([stamps], (TEA, SALT), {"salt": 2_000}), Refund)
    refusal = decided([stamps], (TEA, SALT), {"tea": 1_000})
    assert refusal == RefundRefusal(RefundProblem.FORBIDDEN, number=0)


@pytest.mark.parametrize(("refund", "taken"), [("rewards", 60), ("claw_back", 60), ("waive", None)])
def test_rewards_go_with_what_they_were_given_on(refund: str, taken: int | None) -> None:
    policy = Policy(refund=refund)  # type: ignore[arg-type]
    points = make.points(1_000, products=ON_TEA, policy=policy)
    salt = make.points(1_000, "salt", products=ON_SALT, stackable=True)
    found = refunded([points, salt], (TEA, SALT), {"tea": 2_000})
    assert found.rewards == (() if taken is None else (TakenReward(0, 0, "points", taken),))


@pytest.mark.parametrize(("refund", "back"), [("rewards", 4), ("claw_back", 4), ("waive", None)])
def test_costs_come_back_with_what_they_were_paid_for(refund: str, back: int | None) -> None:
    paid = make.promotion(
        "paid",
        CheapestFree(3),
        products=ON_TEA,
        cost=Cost("points", 4),
        policy=Policy(refund=refund),  # type: ignore[arg-type]
    )
    known = make.facts(customer=make.customer(balances=(("points", 9),)))
    lines = (make.line("tea", 6, 300), SALT)
    found = refunded([paid], lines, {"tea": 3_000}, facts=known)
    assert found.costs == (() if back is None else (ReturnedCost(0, "points", back),))
    assert refunded([paid], lines, {"salt": 1_000}, facts=known).costs == ()


def test_pieces_that_were_added_are_not_added_anew() -> None:
    gift = make.promotion("gift", NPlusM(2, 1, as_quantity=True), products=ON_TEA)
    found = refunded([gift], (make.line("tea", 4, 300), SALT), {"salt": 1_000})
    assert (found.pay_back_minor, found.clawed) == (50, ())
