"""What a receipt comes to by the words of the wallet program and the contract, from its answer.

Knows no code of the server: what an answer says was given and spent, and what becomes of that where
a till states by Forward that it did something else.
"""

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field

from loyalty.v1.answer_pb2 import (
    AdjustmentKind,
    Answer,
    CustomerState,
    LineResult,
    Reward,
    RewardKind,
    SpentAs,
)
from loyalty.v1.receipt_pb2 import LineAction, Outcome, OutcomeKind, Sale

POINTS, CHIPS = "points", "chips"
SPENT = AdjustmentKind.ADJUSTMENT_KIND_SPENT
PLAIN, OTHER = OutcomeKind.OUTCOME_KIND_PLAIN, OutcomeKind.OUTCOME_KIND_OTHER
BY_LINES = frozenset({PLAIN, OTHER})
COSTS = {"for-beans": ("beans", 5)}
OWN_COUPONS = {"again": "coupon.again"}
"""Promotions that a customer's own coupon lets fire, and uses it up."""
SHOWN_COUPONS = frozenset({"welcome-coupon"})
DRAWS = "draw."
EARNING = frozenset({CustomerState.CUSTOMER_STATE_ACTIVE, CustomerState.CUSTOMER_STATE_EARN_ONLY})
OFFLINE = {"from-1000": "sorry", "bread-15": ""}
"""In what a discount is given that a till could not give; of others in points. Worth the same."""


class Missed(Struct):
    """What of an answer a till did not give, minor units.

    Attributes:
        spent: by asset, what was not taken off lines.
        discounts: by promotion.
        undone: promotions of whose discount nothing was given, and which had a price.
    """

    spent: Counter[str] = field(default_factory=Counter)
    discounts: Counter[str] = field(default_factory=Counter)
    undone: frozenset[str] = frozenset()


def may_earn(answer: Answer) -> bool:
    """Whether a receipt's customer earns: known, and not blocked."""
    return answer.customer_state in EARNING


def effects_of(answer: Answer, customer: str) -> Counter[str]:
    """What a customer owns more by an answer, by asset; less is below 0."""
    found: Counter[str] = Counter()
    if not customer:
        return found
    for reward in answer.rewards.rewards:
        found.update(given_by(reward, answer))
    found.subtract(taken_of(answer))
    return found


def taken_of(answer: Answer) -> Counter[str]:
    """What an answer takes from its customer: what is spent, and prices of promotions."""
    found: Counter[str] = Counter()
    for spent in answer.spent:
        found[spent.asset_code] += spent.amount_minor
    for promotion_id in discounts_of(answer.lines.lines):
        found.update(_price(promotion_id))
    return found


def discounts_of(lines: Iterable[LineResult]) -> Counter[str]:
    """By promotion, money off, minor units."""
    found: Counter[str] = Counter()
    for line in lines:
        for one in line.adjustments:
            if one.kind != SPENT and one.amount_minor:
                found[one.promotion_id] -= one.amount_minor
    return found


def missed_by(answer: Answer, sale: Sale, outcome: Outcome) -> Missed:
    """What a till did not give of an answer; a line that it does not name was sold as sent.

    Args:
        answer: what was decided.
        sale: as it was scanned.
        outcome: what the till did.
    """
    missed = Missed()
    if outcome.kind not in BY_LINES:
        return missed
    if outcome.kind == PLAIN:
        by_tender = [one for one in answer.spent if one.spent_as == SpentAs.SPENT_AS_TENDER]
        missed.spent.update({one.asset_code: one.amount_minor for one in by_tender})
    paid = paid_by(sale, outcome)
    for line in answer.lines.lines:
        if line.line_id in paid:
            _miss(missed, line, max(0, paid[line.line_id] - line.amount_minor))
    whole = discounts_of(answer.lines.lines)
    priced = COSTS.keys() | OWN_COUPONS.keys() | SHOWN_COUPONS
    missed.undone = frozenset(
        one for one in priced if whole[one] and missed.discounts[one] == whole[one]
    )
    return missed


def paid_by(sale: Sale, outcome: Outcome) -> dict[str, int]:
    """What lines cost that were sold PLAIN or at OTHER prices, minor units."""
    stated = {one.line_id: one.amount_minor for one in outcome.lines}
    sold = [line for line in sale.lines if line.action == LineAction.LINE_ACTION_SALE]
    return {line.line_id: stated.get(line.line_id, line.amount_minor) for line in sold}


def made_good(missed: Missed, answer: Answer, customer: str) -> Counter[str]:
    """What a customer owns more because a till did not give something: by asset."""
    found: Counter[str] = Counter()
    if not customer:
        return found
    found.update(prices_back(missed))
    found.update(instead_of(missed, answer))
    for reward in answer.rewards.rewards:
        if reward.promotion_id in missed.undone:
            found.subtract(given_by(reward, answer))
    return found


def prices_back(missed: Missed) -> Counter[str]:
    """What comes back of what an answer took, because the till gave nothing for it."""
    found = Counter(missed.spent)
    for promotion_id in missed.undone:
        found.update(_price(promotion_id))
    return found


def instead_of(missed: Missed, answer: Answer) -> Counter[str]:
    """What is given, to whoever earns, in the stead of discounts that were not, by asset."""
    found: Counter[str] = Counter()
    if not may_earn(answer):
        return found
    for promotion_id, minor in missed.discounts.items():
        asset_code = OFFLINE.get(promotion_id, POINTS)
        if asset_code and promotion_id not in missed.undone:
            found[asset_code] += minor
    return found


def _miss(missed: Missed, line: LineResult, missing_minor: int) -> None:
    """What was to be spent was lost first; then promotions, what came last the first."""
    own = [one for one in line.adjustments if one.kind == SPENT]
    promoted = [one for one in line.adjustments if one.kind != SPENT]
    for one in (*own, *reversed(promoted)):
        part_minor = min(missing_minor, -one.amount_minor)
        missing_minor -= part_minor
        if one.kind == SPENT:
            missed.spent[one.asset_code] += part_minor
        elif part_minor:
            missed.discounts[one.promotion_id] += part_minor


def _price(promotion_id: str) -> Counter[str]:
    """What a promotion takes from a customer when it fires."""
    found: Counter[str] = Counter()
    if promotion_id in COSTS:
        asset_code, amount_minor = COSTS[promotion_id]
        found[asset_code] = amount_minor
    elif promotion_id in OWN_COUPONS:
        found[OWN_COUPONS[promotion_id]] = 1
    return found


def given_by(reward: Reward, answer: Answer) -> Counter[str]:
    """What a reward gives to the customer of an answer, by asset."""
    found: Counter[str] = Counter()
    if reward.kind == RewardKind.REWARD_KIND_GIFT_CERTIFICATE:
        return found  # whoever shows its code owns it
    if reward.kind == RewardKind.REWARD_KIND_COUPON and not may_earn(answer):
        return found  # so with the coupon of a customer who may not earn
    if reward.kind == RewardKind.REWARD_KIND_DRAW_ENTRY:
        found[f"{DRAWS}{reward.detail_code}"] = reward.count
    elif reward.kind == RewardKind.REWARD_KIND_COUPON:
        found[f"coupon.{reward.detail_code}"] = reward.count
    elif reward.asset_code:
        found[reward.asset_code] = reward.amount_minor
    return found
