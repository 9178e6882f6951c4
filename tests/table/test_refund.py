"""Refunds: printed prices, broken sets and thresholds, rewards taken back, policies."""

from collections.abc import Collection

import pytest
from msgspec.structs import replace

from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.benefit import CheapestFree, CouponReward, PercentOff, ReceiptDiscount
from rewards.condition import ReceiptAmount
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import Facts, Spent
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
from rewards.refund_price import PaidOut, RefundedLine
from rewards.ruleset import ProgramRules
from rewards.sale import Line, Sale, Tender, TenderKind
from rewards.settling import ReturnRecord, Spending, comebacks_of, paid_out_by, pay_back
from tests import make


def by_reference(
    rules: ProgramRules, sale: Sale, facts: Facts, only: Collection[int] | None
) -> Evaluation:
    return evaluate(rules, sale, facts, allocate, only)


def decided(
    promotions: list[Promotion],
    lines: list[Line],
    now: dict[str, int],
    before: dict[str, int] | None = None,
    facts: Facts = make.facts(),  # noqa: B008 - immutable
    tenders: tuple[Tender, ...] = (),
) -> Refund | RefundRefusal:
    sale = make.sale(*lines, tenders=tenders)
    earlier = [before] if before else []
    return decide_refund(make.rules(*promotions), sale, facts, earlier, now, by_reference)


def refunded(
    promotions: list[Promotion],
    lines: list[Line],
    now: dict[str, int],
    before: dict[str, int] | None = None,
    facts: Facts = make.facts(),  # noqa: B008 - immutable
    tenders: tuple[Tender, ...] = (),
) -> Refund:
    refund = decided(promotions, lines, now, before, facts, tenders)
    assert isinstance(refund, Refund)
    return refund


THREE_FOR_TWO = make.promotion("three", CheapestFree(3))
CLAWED = make.promotion("three", CheapestFree(3), policy=Policy(refund="claw_back"))


def test_the_two_paid_of_three_pay_two_thirds() -> None:
    refund = refunded([THREE_FOR_TWO], [make.line("tea", 3, 300)], {"tea": 2_000})
    assert refund.lines == (RefundedLine("tea", 2_000, 400),)
    assert refund.pay_back_minor == 400
    assert refund.clawed == ()


def test_the_two_paid_of_three_with_money_clawed_back() -> None:
    # 600 were paid; the piece that stays costs 300 without its set.
    refund = refunded([CLAWED], [make.line("tea", 3, 300)], {"tea": 2_000})
    assert refund.clawed == (Clawed(0, 100),)
    assert refund.pay_back_minor == 300


def one_after_another(
    promotions: list[Promotion],
    lines: list[Line],
    *steps: dict[str, int],
    facts: Facts = make.facts(),  # noqa: B008 - immutable
) -> list[Refund]:
    """Refunds of one receipt, each knowing what those before it have kept back."""
    earlier: list[dict[str, int]] = []
    out_minor, found = 0, []
    for now in steps:
        refund = decide_refund(
            make.rules(*promotions),
            make.sale(*lines),
            facts,
            earlier,
            now,
            by_reference,
            paid_out=PaidOut(out_minor),
        )
        assert isinstance(refund, Refund)
        found.append(refund)
        out_minor += refund.pay_back_minor
        before = earlier[-1] if earlier else {}
        earlier.append({key: before.get(key, 0) + now.get(key, 0) for key in {*before, *now}})
    return found


def kept_back_by(records: list[ReturnRecord]) -> int:
    """What returns have paid back less than their printed prices, minor units of money."""
    printed_minor = sum(minor for record in records for _, _, minor in record.lines)
    out = paid_out_by(records)
    return printed_minor - out.money_minor - sum(out.by_points.values())


def test_money_is_clawed_back_once_over_several_refunds() -> None:
    """Two kept pieces lose 200 of discount; with each of them half of it is let go again."""
    piece = {"tea": 1_000}
    found = one_after_another([CLAWED], [make.line("tea", 3, 300)], piece, piece, piece)
    assert [one.pay_back_minor for one in found] == [0, 300, 300]
    assert [one.clawed for one in found] == [
        (Clawed(0, 200),),
        (Clawed(0, -100),),
        (Clawed(0, -100),),
    ]
    assert [one.freed for one in found] == [{0: 300}, {0: 0}, {0: 0}]


def test_what_was_paid_with_points_and_kept_back_is_not_paid_out_in_money() -> None:
    facts = replace(make.facts(), spends=(Spent("points", 6_000, 600, True, 0),))
    piece = {"tea": 1_000}
    lines, took = [make.line("tea", 3, 300)], Spending("", "points", ((b"lot", 6_000),))
    records: list[ReturnRecord] = []
    for refund in one_after_another([CLAWED], lines, piece, piece, piece, facts=facts):
        part = pay_back(refund, records)
        program = make.rules(CLAWED).program
        given = [one.amount_minor for one in comebacks_of(refund, program, part, [took], records)]
        printed = tuple((one.line_id, one.quantity_milli, one.amount_minor) for one in refund.lines)
        back = tuple(("", "points", minor) for minor in given)
        records.append(ReturnRecord(printed, part.money_minor, part.by_points_minor, back))
    assert [(one.pay_back_minor, one.by_points_minor) for one in records] == [
        (0, 0),
        (0, 300),
        (0, 300),
    ]
    assert sum(minor for one in records for _, _, minor in one.given) == 6_000
    assert kept_back_by(records[:1]) == 200
    assert kept_back_by(records) == 0


def test_what_could_not_be_kept_back_is_not_paid_out_later() -> None:
    """Half off from 951 on: with the salt 475 lose their ground, but only 25 were paid for it."""
    half = make.promotion(
        "half",
        PercentOff(5_000),
        conditions=(ReceiptAmount(951),),
        policy=Policy(refund="claw_back"),
    )
    lines = [make.line("tea", 3, 300), make.line("salt", 1, 51)]
    found = one_after_another(
        [half], lines, {"salt": 1_000}, {"tea": 1_000}, {"tea": 1_000}, {"tea": 1_000}
    )
    printed = [one.printed_minor for one in found]
    assert found[0].short_minor == 450 - printed[0]
    assert [one.pay_back_minor for one in found] == [0, 0, 175, 300]
    assert sum(printed) == 475


@pytest.mark.parametrize(("now", "paid"), [(1_000, 34), (2_000, 67), (3_000, 100)])
def test_pieces_pay_what_was_printed_for_them(now: int, paid: int) -> None:
    # 100 for three pieces is printed as one at 34 and two at 33.
    lines = [make.line("tea", 3, amount_minor=100)]
    assert refunded([], lines, {"tea": now}).pay_back_minor == paid


def test_parts_of_a_refund_sum_to_the_whole() -> None:
    lines = [make.line("tea", 3, amount_minor=100)]
    parts = [
        refunded([], lines, {"tea": 1_000}, before={"tea": n * 1_000}).pay_back_minor
        for n in range(3)
    ]
    assert sum(parts) == 100


def test_ten_percent_from_a_threshold_and_a_return_below_it() -> None:
    # 10 % from 300: six at 50 pay 270. Five are returned; one stays and alone gets nothing.
    keeps = make.promotion("ten", PercentOff(1_000), receipt_amount_from_minor=300)
    claws = make.promotion(
        "ten", PercentOff(1_000), receipt_amount_from_minor=300, policy=Policy("claw_back")
    )
    lines = [make.line("tea", 6, 50)]
    assert refunded([keeps], lines, {"tea": 5_000}).pay_back_minor == 225
    clawed = refunded([claws], lines, {"tea": 5_000})
    assert (clawed.clawed, clawed.pay_back_minor) == ((Clawed(0, 5),), 220)


def test_points_of_what_is_returned_are_taken_back() -> None:
    refund = refunded([make.points(1_000)], [make.line("tea", 2, 500)], {"tea": 1_000})
    assert refund.rewards == (TakenReward(0, 0, "points", 50),)


@pytest.mark.parametrize(
    ("promotion", "now", "before", "taken"),
    [
        # 600 were paid for three, 200 for each; who keeps one has earned on 200.
        (THREE_FOR_TWO, 2_000, 0, 40),
        (THREE_FOR_TWO, 1_000, 0, 20),
        (THREE_FOR_TWO, 1_000, 1_000, 20),
        (THREE_FOR_TWO, 1_000, 2_000, 20),
        # Money is kept back: the piece that stays costs 300.
        (CLAWED, 2_000, 0, 30),
        (CLAWED, 1_000, 2_000, 30),
    ],
)
def test_points_are_earned_on_the_printed_price_of_what_is_kept(
    promotion: Promotion, now: int, before: int, taken: int
) -> None:
    refund = refunded(
        [promotion, make.points(1_000)], [make.line("tea", 3, 300)], {"tea": now}, {"tea": before}
    )
    assert refund.rewards == (TakenReward(1, 0, "points", taken),)


def test_points_of_a_threshold_are_taken_back_whole() -> None:
    bonus = make.points(1_000, receipt_amount_from_minor=1_000)
    refund = refunded([bonus], [make.line("tea", 2, 500)], {"tea": 1_000})
    assert refund.rewards == (TakenReward(0, 0, "points", 100),)


def test_a_part_paid_with_points_takes_back_no_more_than_was_earned() -> None:
    paid = (make.tender(TenderKind.POINTS, 500), make.tender(amount_minor=500))
    lines = [make.line("tea", 2, 500)]
    refund = refunded([make.points(1_000)], lines, {"tea": 1_000}, tenders=paid)
    assert refund.rewards == (TakenReward(0, 0, "points", 25),)


def test_waived_rewards_stay() -> None:
    waived = make.points(1_000, policy=Policy(refund="waive"))
    refund = refunded([waived], [make.line("tea", 2, 500)], {"tea": 2_000})
    assert refund.rewards == ()
    assert refund.pay_back_minor == 1_000


def test_a_coupon_loses_its_ground() -> None:
    coupon = make.promotion("coupon", CouponReward("next"), receipt_amount_from_minor=1_000)
    refund = refunded([coupon], [make.line("tea", 2, 500)], {"tea": 1_000})
    assert refund.rewards == (TakenReward(0, 0, "", 1),)


def test_a_promotion_forbids_to_break_its_set() -> None:
    forbids = make.promotion("three", CheapestFree(3), policy=Policy(refund="forbid"))
    lines = [make.line("tea", 3, 300), make.line("salt", 1, 50)]
    broken = decided([forbids], lines, {"tea": 1_000})
    assert broken == RefundRefusal(RefundProblem.FORBIDDEN, number=0)
    assert refunded([forbids], lines, {"salt": 1_000}).pay_back_minor == 50


def test_nothing_fires_that_did_not_fire_at_the_sale() -> None:
    # Below 600 another promotion would be better; it did not run then and does not run now.
    big = make.promotion("big", ReceiptDiscount(amount_minor=100), receipt_amount_from_minor=600)
    small = make.points(10_000, "small", products=ProductSet(skus=("salt",)))
    lines = [make.line("tea", 2, 300)]
    refund = refunded([big, small], lines, {"tea": 1_000})
    assert refund.rewards == ()
    assert refund.pay_back_minor == 250


def test_never_more_than_was_sold() -> None:
    lines = [make.line("tea", 2, 300)]
    refusal = decided([], lines, {"tea": 2_000}, before={"tea": 1_000})
    assert refusal == RefundRefusal(RefundProblem.MORE_THAN_SOLD, "tea", 1_000)
    assert decided([], lines, {"milk": 1_000}) == RefundRefusal(RefundProblem.UNKNOWN_LINE, "milk")


def test_a_cost_comes_back_with_what_it_was_paid_for() -> None:
    stamps = make.promotion(
        "stamps", PercentOff(5_000), cost=Cost("points", 10), products=ProductSet()
    )
    known = make.facts(customer=make.customer(balances=(("points", 20),)))
    refund = refunded([stamps], [make.line("tea", 2, 100)], {"tea": 1_000}, facts=known)
    assert refund.costs == (ReturnedCost(0, "points", 10),)
    assert refund.pay_back_minor == 50


def test_weighed_goods_pay_their_part() -> None:
    apples = make.line("apples", quantity_milli=1_500, amount_minor=301, unit=2)
    first = refunded([], [apples], {"apples": 500})
    rest = refunded([], [apples], {"apples": 1_000}, before={"apples": 500})
    assert (first.pay_back_minor, rest.pay_back_minor) == (100, 201)


def test_a_part_of_a_piece_cannot_be_returned() -> None:
    refusal = decided([], [make.line("tea", 3, 300)], {"tea": 2_500})
    assert refusal == RefundRefusal(RefundProblem.NOT_WHOLE, "tea", 3_000)
