"""What holds of every receipt under every program. What changes nothing: `test_invariance`."""

from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from msgspec import msgpack
from msgspec.structs import replace

from ext import kernel
from rewards.allocate import allocate
from rewards.benefit import PointsRate
from rewards.condition import Coupon, Trigger
from rewards.evaluate import CouponState, Evaluation, evaluate
from rewards.facts import ANONYMOUS, CustomerState, Quota
from rewards.limits import MILLI
from rewards.program import Limits
from rewards.rounding import floor_div
from rewards.ruleset import EXCLUSIVE_LANE, REWARD_LANE
from rewards.sale import Capabilities, PriceSource, Unit
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.property.meaning import could_hold, is_goods, is_in, is_in_force
from tests.strategies import Case, Shape, cases

UNABLE = Capabilities(zero_price=True, add_piece=True)
NO_ZERO = Capabilities(split_line=True)


@given(cases())
def test_the_adjustments_of_a_line_explain_it_exactly(case: Case) -> None:
    for line, outcome in case.lines(case.evaluate()):
        effects = [adjustment.amount_minor for adjustment in outcome.adjustments]
        assert sum(effects) == outcome.amount_minor - line.amount_minor
        assert all(effect < 0 for effect in effects)


@given(cases())
def test_no_line_rises_or_falls_below_its_floor(case: Case) -> None:
    """After every lane, too: adjustments stand in the order in which they were made."""
    feed = {product.sku: product for product in case.facts.products}
    for line, outcome in case.lines(case.evaluate()):
        product = feed.get(line.sku)
        price_minor = product.minimum_price_minor if product is not None else 0
        feed_minor = floor_div(price_minor * line.quantity_milli, MILLI)
        shares_bp = [
            rule.floor_bp
            for rule in case.program.product_classes
            if is_in(rule.products, line.sku, product)
        ]
        class_minor = floor_div(line.amount_minor * max(shares_bp, default=0), 10_000)
        floor_minor = max(line.minimum_amount_minor, feed_minor, class_minor)
        left_minor = line.amount_minor
        for one in outcome.adjustments:
            left_minor += one.amount_minor
            assert 0 <= min(floor_minor, line.amount_minor) <= left_minor <= line.amount_minor
        assert left_minor == outcome.amount_minor


@given(cases())
def test_what_must_not_be_lowered_is_not(case: Case) -> None:
    stickers = {number for number, one in enumerate(case.by_number()) if one.on_stickers}
    kept = {product.sku for product in case.facts.products if product.no_discount}
    for line, outcome in case.lines(case.evaluate()):
        numbers = {adjustment.number for adjustment in outcome.adjustments}
        if line.no_discount or line.sku in kept or not is_goods(line):
            assert not numbers
        if line.price_source == PriceSource.STICKER:
            assert numbers <= stickers


@given(cases())
def test_runs_sum_to_the_line_and_counted_ones_multiply(case: Case) -> None:
    for line, outcome in case.lines(case.evaluate()):
        assert sum(run.quantity_milli for run in outcome.runs) == line.quantity_milli
        assert sum(run.amount_minor for run in outcome.runs) == outcome.amount_minor
        assert all(run.quantity_milli > 0 for run in outcome.runs)
        assert len(outcome.runs) <= 2
        if line.unit == Unit.PIECE:
            for run in outcome.runs:
                assert run.quantity_milli * run.unit_price_minor == run.amount_minor * MILLI


@given(cases(Shape(tills=(UNABLE,))))
def test_a_till_that_cannot_split_is_given_one_price_for_what_is_lowered(case: Case) -> None:
    for _, outcome in case.lines(case.evaluate()):
        assert len(outcome.runs) == 1 or not outcome.adjustments


@given(cases(Shape(tills=(NO_ZERO, Capabilities()))))
def test_a_till_without_zero_price_is_given_none_that_was_not_sent(case: Case) -> None:
    evaluation = case.evaluate()
    for line, outcome in case.lines(evaluation):
        pieces = floor_div(line.quantity_milli, MILLI) if line.unit == Unit.PIECE else 1
        assert outcome.amount_minor >= min(pieces, line.amount_minor)
    assert evaluation.offers == ()


@given(cases())
def test_the_compiled_allocate_gives_the_same_evaluation(case: Case) -> None:
    assert case.evaluate(kernel.allocate) == case.evaluate(allocate)


@given(cases())
def test_an_evaluation_leaves_what_it_read_as_it_was(case: Case) -> None:
    rules = case.rules()
    read = (rules.program.promotions, case.sale, case.facts)
    before = msgpack.encode(read)
    first, again = (evaluate(rules, case.sale, case.facts, allocate) for _ in range(2))
    assert first == again == case.evaluate()
    assert msgpack.encode(read) == before


# --- who may fire -------------------------------------------------------------------------------


@given(cases())
def test_no_promotion_fires_whose_condition_fails(case: Case) -> None:
    ordered = case.by_number()
    for entry in case.evaluate().trace:
        promotion = ordered[entry.number]
        asked = [could_hold(one, case.sale, case.facts) for one in promotion.conditions]
        could = is_in_force(promotion.when, case.facts) and all(asked)
        assert could or not entry.times
        assert could or entry.outcome != TraceOutcome.LOST


@given(cases())
def test_one_of_a_group_and_nobody_beside_who_is_exclusive(case: Case) -> None:
    ordered, compiled = case.by_number(), case.rules().program.promotions
    trace = case.evaluate().trace
    fired = [entry.number for entry in trace if entry.times]
    groups = Counter(ordered[n].exclusive_group for n in fired if ordered[n].exclusive_group)
    assert all(count == 1 for count in groups.values())
    before_rewards = [n for n in fired if compiled[n].lane != REWARD_LANE]
    if any(compiled[n].lane == EXCLUSIVE_LANE for n in before_rewards):
        assert len(before_rewards) == 1


@given(cases())
def test_a_piece_is_claimed_once_a_lane(case: Case) -> None:
    compiled = case.rules().program.promotions
    for line, outcome in case.lines(case.evaluate()):
        claimed: Counter[int] = Counter()
        for one in outcome.adjustments:
            if not compiled[one.number].stackable:
                claimed[compiled[one.number].lane] += one.quantity_milli
        # Shares of pieces over lines of an article are rounded to thousandths.
        assert all(milli <= line.quantity_milli + 10 for milli in claimed.values())


@given(cases())
def test_limits_and_budgets_hold(case: Case) -> None:
    evaluation = case.evaluate()
    off: Counter[int] = Counter()
    for _, outcome in case.lines(evaluation):
        for one in outcome.adjustments:
            off[one.number] -= one.amount_minor
    worth = Counter(off)
    for grant in evaluation.grants:
        worth[grant.number] += grant.value_minor
    left = {quota.promotion_id: quota for quota in case.facts.quotas}
    nothing = Quota("", 0, 0, 0)
    times = {entry.number: entry.times for entry in evaluation.trace}
    for number, promotion in enumerate(case.by_number()):
        limits, quota = promotion.limits, left.get(promotion.promotion_id, nothing)
        assert not limits.discount_max_minor or off[number] <= limits.discount_max_minor
        if limits.bounds_money and quota.total_minor >= 0:
            assert worth[number] <= quota.total_minor
        used_up = 0 in (quota.customer_times, quota.total_times, quota.total_minor)
        has_quota = limits.bounds_times or limits.bounds_money
        assert not (has_quota and used_up and times.get(number))


@given(cases())
def test_nobody_spends_more_than_there_is(case: Case) -> None:
    evaluation = case.evaluate()
    ordered = case.by_number()
    customer = case.facts.customer
    owned = dict(customer.balances) | dict(customer.usable)
    for code in {one.cost.asset_code for one in ordered if one.cost}:
        costs = [one.cost for one in ordered if one.cost and one.cost.asset_code == code]
        earned = sum(g.amount_minor for g in evaluation.grants if g.asset_code == code)
        spent = sum(one.amount_minor for one in evaluation.spends if one.asset_code == code)
        with_earned = any(cost.with_earned for cost in costs)
        assert spent <= max(0, owned.get(code, 0) + (earned if with_earned else 0))
    assert all(one.amount_minor > 0 for one in evaluation.spends)
    assert not evaluation.spends or customer.state == CustomerState.ACTIVE
    fired = {entry.number for entry in evaluation.trace if entry.times}
    assert {one.number for one in evaluation.spends} <= fired


@given(cases(Shape(best=True, tills=(UNABLE,))))
def test_nobody_pays_for_what_a_till_cannot_sell(case: Case) -> None:
    evaluation = case.evaluate()
    giving = {one.number for _, outcome in case.lines(evaluation) for one in outcome.adjustments}
    giving |= {grant.number for grant in evaluation.grants}
    giving |= {offer.number for offer in evaluation.offers}
    giving |= {number for number, _ in evaluation.messages}
    assert {one.number for one in evaluation.spends} <= giving


@given(cases())
def test_rewards_are_positive_and_only_for_whom_they_are(case: Case) -> None:
    evaluation = case.evaluate()
    assert all(grant.amount_minor > 0 for grant in evaluation.grants)
    assert all(grant.value_minor >= 0 for grant in evaluation.grants)
    places = [(grant.number, grant.place) for grant in evaluation.grants]
    assert len(places) == len(set(places))
    if case.facts.customer is ANONYMOUS:
        assert not any(grant.asset_code for grant in evaluation.grants)


# --- points -------------------------------------------------------------------------------------


def _paid(evaluation: Evaluation) -> int:
    return sum(outcome.amount_minor for outcome in evaluation.outcomes if outcome is not None)


@given(cases())
def test_one_for_one_in_points_is_what_is_paid(case: Case) -> None:
    """Also where the till cannot sell all that the rules give."""
    feed = {product.sku: product for product in case.facts.products}
    lines = [
        line
        for line in case.sale.lines
        if is_goods(line)
        and line.price_source == PriceSource.SHELF
        and not line.no_earn
        and not (line.sku in feed and feed[line.sku].no_earn)
    ]
    assume(lines)
    rate = make.points(10_000, "everything", stackable=True, priority=9)
    others = tuple(one for one in case.program.promotions if one.lane != "reward")
    case = case.with_program(promotions=(*others, rate), product_classes=())
    sale = make.sale(*lines, capabilities=case.sale.header.capabilities)
    facts = replace(case.facts, customer=make.customer())
    case = case._replace(sale=sale, facts=facts)
    evaluation = case.evaluate()
    number = case.by_number().index(rate)
    earned = [grant.amount_minor for grant in evaluation.grants if grant.number == number]
    assert sum(earned) == _paid(evaluation)


@given(cases())
def test_a_piece_earns_an_asset_once_by_promotions_that_are_not_stackable(case: Case) -> None:
    """In the reward lane: what they earned it on comes to what is paid, or less."""
    ordered = case.by_number()
    evaluation = case.evaluate()
    # By asset and promotion: one that gives an asset twice gives both on the same pieces.
    base_minor: dict[str, dict[int, Fraction]] = defaultdict(dict)
    for grant in evaluation.grants:
        promotion = ordered[grant.number]
        gives = promotion.gives[grant.place]
        if promotion.lane != "reward" or promotion.stackable or not isinstance(gives, PointsRate):
            continue
        if gives.base == "paid":
            # Rounded up it may be one more than the exact share.
            base = Fraction((grant.amount_minor - 1) * 10_000, gives.rate_bp)
            least = base_minor[grant.asset_code].get(grant.number, base)
            base_minor[grant.asset_code][grant.number] = min(base, least)
    for by_promotion in base_minor.values():
        assert sum(by_promotion.values()) <= _paid(evaluation)


# --- the trace ----------------------------------------------------------------------------------


@given(cases())
def test_every_candidate_stands_once_in_the_trace(case: Case) -> None:
    evaluation = case.evaluate()
    numbers = [entry.number for entry in evaluation.trace]
    assert numbers == sorted(set(numbers))
    feed = {product.sku: product for product in case.facts.products}
    sold = {line.sku for line in case.sale.lines if is_goods(line)}
    compiled = case.rules().program.promotions
    for number, promotion in enumerate(case.by_number()):
        called = any(isinstance(one, Coupon | Trigger) for one in promotion.conditions)
        products = promotion.products
        if called or products.own_offer or products.unit_price_from_minor:
            continue
        if any(is_in(products, sku, feed.get(sku)) for sku in sold):
            assert number in numbers
        elif not any(compiled[number].part_sets):
            assert number not in numbers
    touched = {a.number for _, outcome in case.lines(evaluation) for a in outcome.adjustments}
    touched |= {grant.number for grant in evaluation.grants}
    touched |= {offer.number for offer in evaluation.offers}
    touched |= {number for number, _ in evaluation.messages}
    assert touched <= set(numbers)


@given(cases())
def test_every_failure_names_its_condition_and_every_loss_its_winner(case: Case) -> None:
    evaluation = case.evaluate()
    by_number = {entry.number: entry for entry in evaluation.trace}
    giving = {a.number for _, outcome in case.lines(evaluation) for a in outcome.adjustments}
    giving |= {grant.number for grant in evaluation.grants}
    for entry in by_number.values():
        limited = entry.outcome == TraceOutcome.LIMIT_REACHED
        fired = entry.outcome == TraceOutcome.FIRED or (limited and not entry.condition)
        assert fired == (entry.times > 0)
        assert entry.number not in giving or fired
        if not limited:
            failed = entry.outcome == TraceOutcome.FAILED
            assert failed == (entry.condition != Condition.NONE)
        assert (entry.outcome == TraceOutcome.LOST) == (entry.lost_to >= 0)
        assert entry.missing >= 0
        if entry.lost_to >= 0:
            assert by_number[entry.lost_to].times > 0


@given(cases())
def test_a_coupon_applied_if_a_promotion_that_asks_for_it_fired(case: Case) -> None:
    ordered = case.by_number()
    evaluation = case.evaluate()
    fired = [ordered[entry.number] for entry in evaluation.trace if entry.times]
    conditions = [one for promotion in fired for one in promotion.conditions]
    rules = case.program.coupon_rules
    read = str.lower if rules.any_case else str
    asked = {read(code) for one in conditions if isinstance(one, Coupon) for code in one.any_of}
    for_one_use = {one.code for one in case.facts.coupons}
    assert [one.code for one in evaluation.coupons] == list(case.sale.header.coupon_codes)
    for one in evaluation.coupons:
        if one.code not in for_one_use:
            assert one.state != CouponState.APPLIED or read(one.code) in asked
            if rules.choose == "all":
                assert one.state == CouponState.APPLIED or read(one.code) not in asked


# --- the canary ---------------------------------------------------------------------------------


def _one_minor_unit_too_many(total: int, weights: Any) -> list[int]:
    parts = kernel.allocate(total, weights)
    return [parts[0] + 1, *parts[1:]]


def test_canary_a_kernel_that_shares_wrongly_is_caught() -> None:
    sale = make.sale(make.line("a", 3, 100), make.line("b", 3, 100))
    promotion = make.promotion("p0", make.amount_off(100).gives, limits=Limits())
    case = Case(make.program(promotion), sale, make.facts())
    with pytest.raises(AssertionError):
        assert case.evaluate(_one_minor_unit_too_many) == case.evaluate(allocate)
