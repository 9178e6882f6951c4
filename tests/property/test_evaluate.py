"""What holds of every receipt under every program. What changes nothing: `test_invariance`."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.structs import replace

from ext import kernel
from rewards.allocate import allocate
from rewards.authored import ProductSet
from rewards.benefit import PointsRate
from rewards.condition import Coupon, Trigger
from rewards.evaluate import CouponState, Evaluation, evaluate
from rewards.facts import ANONYMOUS, CustomerState
from rewards.limits import MILLI
from rewards.product import Product
from rewards.program import Limits
from rewards.rounding import floor_div
from rewards.ruleset import EXCLUSIVE_LANE, REWARD_LANE
from rewards.sale import Capabilities, Line, LineAction, LineKind, PriceSource, Unit
from rewards.trace import Condition, TraceOutcome
from tests import make
from tests.property.case import GATES, NO_ZERO, TILLS, UNABLE, Case, cases


@given(cases())
def test_the_adjustments_of_a_line_explain_it_exactly(case: Case) -> None:
    for line, outcome in case.lines(case.evaluate()):
        effects = [adjustment.amount_minor for adjustment in outcome.adjustments]
        assert sum(effects) == outcome.amount_minor - line.amount_minor
        assert all(effect < 0 for effect in effects)


@given(cases())
def test_no_line_rises_or_falls_below_its_floor(case: Case) -> None:
    feed = {product.sku: product.minimum_price_minor for product in case.facts.products}
    bp = {
        sku: one.floor_bp
        for one in case.settings["product_classes"]
        for sku in (("a", "b") if one.products.categories else ())
    }
    for line, outcome in case.lines(case.evaluate()):
        feed_minor = floor_div(feed.get(line.sku, 0) * line.quantity_milli, MILLI)
        class_minor = floor_div(line.amount_minor * bp.get(line.sku, 0), 10_000)
        floor_minor = max(line.minimum_amount_minor, feed_minor, class_minor)
        assert 0 <= min(floor_minor, line.amount_minor) <= outcome.amount_minor
        assert outcome.amount_minor <= line.amount_minor


@given(cases())
def test_what_must_not_be_lowered_is_not(case: Case) -> None:
    stickers = {number for number, one in enumerate(case.by_number()) if one.on_stickers}
    for line, outcome in case.lines(case.evaluate()):
        numbers = {adjustment.number for adjustment in outcome.adjustments}
        if line.no_discount or line.kind in (LineKind.GIFT_CARD, LineKind.DEPOSIT):
            assert not numbers
        if line.action == LineAction.RETURN:
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


@given(cases(tills=(UNABLE,)))
def test_a_till_that_cannot_split_is_given_one_price_for_what_is_lowered(case: Case) -> None:
    for _, outcome in case.lines(case.evaluate()):
        assert len(outcome.runs) == 1 or not outcome.adjustments


@given(cases(tills=(NO_ZERO, Capabilities())))
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
    holds = {condition: check(case.sale, case.facts) for condition, check in GATES}
    for entry in case.evaluate().trace:
        asked = [holds[one] for one in ordered[entry.number].conditions if one in holds]
        assert all(asked) or not entry.times
        assert not (entry.outcome == TraceOutcome.LOST and not all(asked))


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
    times = {entry.number: entry.times for entry in evaluation.trace}
    for number, promotion in enumerate(case.by_number()):
        limits, quota = promotion.limits, left[promotion.promotion_id]
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
    own = dict(customer.balances).get("points", 0)
    with_earned = any(one.cost and one.cost.with_earned for one in ordered)
    earned = sum(g.amount_minor for g in evaluation.grants if g.asset_code == "points")
    spent = sum(one.amount_minor for one in evaluation.spends)
    assert spent <= max(0, own + (earned if with_earned else 0))
    assert all(one.amount_minor > 0 for one in evaluation.spends)
    assert not spent or customer.state == CustomerState.ACTIVE
    fired = {entry.number for entry in evaluation.trace if entry.times}
    assert {one.number for one in evaluation.spends} <= fired


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


@given(cases(), st.sampled_from(TILLS))
def test_one_for_one_in_points_is_what_is_paid(case: Case, can: Capabilities) -> None:
    """Also where the till cannot sell all that the rules give."""
    lines = [
        line
        for line in case.sale.lines
        if line.kind == LineKind.GOODS
        and line.action == LineAction.SALE
        and line.price_source == PriceSource.SHELF
        and line.sku != "c"
        and not (line.cancelled or line.no_earn)
    ]
    assume(lines)
    rate = make.points(10_000, "everything", stackable=True, priority=9)
    promotions = tuple(one for one in case.promotions if one.lane != "reward")
    classes = {**case.settings, "product_classes": ()}
    facts = replace(case.facts, customer=make.customer())
    sale = make.sale(*lines, capabilities=can)
    evaluation = Case((*promotions, rate), classes, sale, facts).evaluate()
    number = [one.promotion_id for one in make.rules(*promotions, rate).program.promotions].index(
        "everything"
    )
    earned = [grant.amount_minor for grant in evaluation.grants if grant.number == number]
    assert sum(earned) == _paid(evaluation)


@given(cases())
def test_a_piece_earns_an_asset_once_by_promotions_that_are_not_stackable(case: Case) -> None:
    """In the reward lane, at rates up to one for one: at most what is paid."""
    ordered = case.by_number()
    evaluation = case.evaluate()
    earned = [
        grant.amount_minor
        for grant in evaluation.grants
        if ordered[grant.number].lane == "reward"
        and not ordered[grant.number].stackable
        and isinstance(gives := _benefit(case, grant.number, grant.place), PointsRate)
        and gives.base == "paid"
    ]
    assert sum(earned) <= _paid(evaluation) + len(earned)


def _benefit(case: Case, number: int, place: int) -> Any:
    return case.rules().program.promotions[number].gives[place]


# --- the trace ----------------------------------------------------------------------------------


def _is_on_sale(line: Line) -> bool:
    return not line.cancelled and line.action == LineAction.SALE


@given(cases())
def test_every_candidate_stands_once_in_the_trace(case: Case) -> None:
    evaluation = case.evaluate()
    numbers = [entry.number for entry in evaluation.trace]
    assert numbers == sorted(set(numbers))
    products = {product.sku: product for product in case.facts.products}
    sold = {
        line.sku
        for line in case.sale.lines
        if _is_on_sale(line) and line.kind not in (LineKind.GIFT_CARD, LineKind.DEPOSIT)
    }
    for number, promotion in enumerate(case.by_number()):
        called = any(isinstance(one, Coupon | Trigger) for one in promotion.conditions)
        if called or promotion.products.unit_price_from_minor:
            continue
        if any(_holds(promotion.products, sku, products.get(sku)) for sku in sold):
            assert number in numbers
        elif not any(case.rules().program.promotions[number].part_sets):
            assert number not in numbers
    touched = {a.number for _, outcome in case.lines(evaluation) for a in outcome.adjustments}
    touched |= {grant.number for grant in evaluation.grants}
    touched |= {offer.number for offer in evaluation.offers}
    touched |= {number for number, _ in evaluation.messages}
    assert touched <= set(numbers)


def _holds(chosen: ProductSet, sku: str, product: Product | None) -> bool:
    """Whether a set of `SETS` holds an article, said by its definition."""
    if sku in chosen.except_skus:
        return False
    if not (chosen.skus or chosen.categories):
        return True
    categories = product.categories if product is not None else ()
    return sku in chosen.skus or bool(set(categories) & set(chosen.categories))


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
    asked = {
        code.lower()
        for one in fired
        for condition in one.conditions
        if isinstance(condition, Coupon)
        for code in condition.any_of
    }
    assert [one.code for one in evaluation.coupons] == list(case.sale.header.coupon_codes)
    for one in evaluation.coupons:
        assert (one.state == CouponState.APPLIED) == (one.code in asked)


# --- the canary ---------------------------------------------------------------------------------


def _one_minor_unit_too_many(total: int, weights: Any) -> list[int]:
    parts = kernel.allocate(total, weights)
    return [parts[0] + 1, *parts[1:]]


def test_canary_a_kernel_that_shares_wrongly_is_caught() -> None:
    sale = make.sale(make.line("a", 3, 100), make.line("b", 3, 100))
    promotion = make.promotion("p0", make.amount_off(100).gives, limits=Limits())
    case = Case((promotion,), {}, sale, make.facts())
    with pytest.raises(AssertionError):
        assert case.evaluate(_one_minor_unit_too_many) == case.evaluate(allocate)
