"""A `best` lane through the whole engine: what makes a promotion stronger never costs more."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.benefit import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    CheapestFree,
    FixedPrice,
    NthItem,
    PercentOff,
    PriceBenefit,
)
from rewards.benefit_check import LANES_ALLOWED, benefit_code
from rewards.best import can_weigh
from rewards.program import LaneSetting, Promotion
from rewards.rounding import RATE_BP_ONE
from server.evaluator import kernel_evaluator
from tests import make
from tests.strategies import BEST, Case, cases

LANES = (LaneSetting("price", "best"),)


def weighed(case: Case) -> Case:
    """The case with one lane, and in it what can be weighed there and only lowers prices."""
    promotions = tuple(map(bare, filter(lowers_in_lane_price, case.program.promotions)))
    case = case.with_program(promotions=promotions, lanes=LANES)
    promotions = tuple(
        promotion
        for promotion, compiled in zip(
            case.by_number(), case.rules().program.promotions, strict=True
        )
        if can_weigh(compiled)
    )
    return case.with_program(promotions=promotions)


def lowers_in_lane_price(promotion: Promotion) -> bool:
    gives = promotion.gives[0]
    return isinstance(gives, PriceBenefit) and "price" in LANES_ALLOWED[benefit_code(gives)]


def bare(promotion: Promotion) -> Promotion:
    """The promotion's first benefit, without what keeps it from being weighed."""
    return make.promotion(
        promotion.promotion_id,
        promotion.gives[0],
        lane="price",
        priority=promotion.priority,
        products=promotion.products,
        times_per_receipt=promotion.limits.times_per_receipt,
        base=promotion.base,
        on_stickers=promotion.on_stickers,
        exclusive_group=promotion.exclusive_group,
    )


def stronger(gives: Benefit, more: int) -> Benefit:
    """A benefit that takes more off the same pieces; the same if there is no such."""
    args: dict[str, Any] = {}
    match gives:
        case PercentOff() | NthItem() | CheapestFree() | BuyGet():
            args = {"rate_bp": min(RATE_BP_ONE, gives.rate_bp + more)}
        case BundlePrice() if gives.rate_bp:
            args = {"rate_bp": min(RATE_BP_ONE, gives.rate_bp + more)}
        case BundlePrice() if gives.amount_off_minor:
            args = {"amount_off_minor": gives.amount_off_minor + more}
        case BundlePrice():
            args = {"price_minor": max(1, gives.price_minor - more)}
        case FixedPrice():
            args = {"price_minor": max(0, gives.price_minor - more)}
        case AmountOff():
            args = {"amount_minor": gives.amount_minor + more}
    return replace(gives, **args)


def with_stronger(case: Case, place: int, more: int) -> Case:
    def changed(promotion: Promotion) -> Promotion:
        return replace(promotion, gives=(stronger(promotion.gives[0], more),))

    promotions = case.program.promotions
    chosen = promotions[place]
    return case.with_program(
        promotions=tuple(changed(one) if one is chosen else one for one in promotions)
    )


def paid_and_proved(case: Case) -> tuple[int, bool]:
    """By the kernel: packing by its twin is slow, and differential tests hold them equal."""
    evaluation = kernel_evaluator(case.rules(), case.sale, case.facts)
    paid_minor = sum(one.amount_minor for one in evaluation.outcomes if one is not None)
    return paid_minor, all(proof.optimal for proof in evaluation.proofs)


@given(cases(BEST), st.integers(0, 6), st.integers(1, 5_000))
def test_a_stronger_discount_never_raises_the_total(case: Case, place: int, more: int) -> None:
    case = weighed(case)
    assume(case.program.promotions)
    place %= len(case.program.promotions)
    before, is_proved = paid_and_proved(case)
    after, is_still_proved = paid_and_proved(with_stronger(case, place, more))
    assert after <= before or not (is_proved and is_still_proved)
