"""What a receipt counts on its customer's account: a purchase, turnover, and uses of limits.

By the words of the wallet program, the contract and what was answered; knows no code of the server.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from loyalty.v1.receipt_pb2 import LineKind
from pos_sim.storm.rules import BY_LINES, discounts_of, paid_by, prices_back, taken_of
from pos_sim.storm.sold import Closed
from pos_sim.storm.world import STORES

NEXT = "next"
CENTS = "cents"
STARS, SUNS, MOONS = "stars", "suns", "moons"
SEEDS = "seeds"
MOST_MINOR = {STARS: 30_000, SEEDS: 60, NEXT: 20_000}
"""What a customer gets of each for ever; of NEXT, what they may spend of it."""
SUNS_MOST_MINOR = 10_000
"""Of a customer's day."""
DAILY = "daily"
SALT = "salt-25"
RARE = "rare"
RARE_MOST_TIMES = 2
SALT_MOST_MINOR = 20_000
ZONES = {store_id: ZoneInfo(zone) for store_id, _, zone in STORES}


def is_counted(closed: Closed) -> bool:
    """Whether it counts for a customer, and was not undone; nor has all of it come back."""
    return closed.stands and bool(closed.sold.customer)


def turnover_of(closed: Closed) -> int:
    """What was paid for the goods of it that have not come back, minor units of money."""
    sold = closed.sold
    if not is_counted(closed):
        return 0
    paid = {one.line_id: one.amount_minor for one in closed.answer.lines.lines}
    if closed.took.kind in BY_LINES:
        paid = paid_by(sold.sale, closed.took)
    found_minor = 0
    for line in sold.sale.lines:
        if line.line_id in sold.sold_milli and line.kind == LineKind.LINE_KIND_GOODS:
            minor, back_milli = paid[line.line_id], sold.returned_milli[line.line_id]
            gone_minor, _ = divmod(minor * back_milli, line.quantity_milli)
            found_minor += minor - gone_minor
    return found_minor


def day_of(closed: Closed) -> int:
    """The day of its store on which it was decided, as a proleptic ordinal."""
    at = datetime.fromtimestamp(closed.answer.evaluated_at_us / 1_000_000, UTC)
    return at.astimezone(ZONES[closed.sold.key.store_id]).date().toordinal()


def turnover_within(since: int, today: int) -> Callable[[Closed], int]:
    """The same of receipts of some local days, both included; elsewhere it may be tomorrow."""
    return lambda one: turnover_of(one) if since <= day_of(one) <= today else 0


def left_of(closed: Closed, asset_code: str) -> int:
    """What is left of what a receipt has earned of an asset, minor units; waived is not left."""
    if not closed.counts:
        return 0
    rewards = closed.answer.rewards.rewards
    left_minor = sum(one.amount_minor for one in rewards if one.asset_code == asset_code)
    for one in closed.settled:
        if one.asset_code == asset_code:
            left_minor -= one.taken_back_minor + one.owed_minor + one.waived_minor
    return left_minor


def given_most(closed: Closed, asset_code: str) -> int:
    """The most of an asset that was ever decided to be given for a receipt, minor units."""
    amounts = [
        sum(one.amount_minor for one in base.answer.rewards.rewards if one.asset_code == asset_code)
        for base in closed.sold.bases.values()
    ]
    return max(amounts, default=0)


def fired(closed: Closed, promotion_id: str) -> bool:
    """Whether a promotion gave a reward."""
    return any(one.promotion_id == promotion_id for one in closed.answer.rewards.rewards)


def is_off(closed: Closed, promotion_id: str) -> bool:
    """Whether a promotion took something off a receipt that counts for its customer."""
    return is_counted(closed) and discounts_of(closed.answer.lines.lines)[promotion_id] > 0


def spent_of(closed: Closed, asset_code: str) -> int:
    """What a receipt has spent of an asset, and has not come back, minor units."""
    if not closed.counts:
        return 0
    spent_minor = taken_of(closed.answer)[asset_code] - prices_back(closed.missed)[asset_code]
    if closed.after_returns:
        spent_minor += closed.back_already()[asset_code]
    for one in closed.settled:
        spent_minor -= one.given_back_minor if one.asset_code == asset_code else 0
    return spent_minor


def salt_of(closed: Closed) -> tuple[int, int]:
    """The least and the most that counts of the discount on salt, minor units of money."""
    if not closed.stands:
        return 0, 0
    least_minor = most_minor = 0
    sold = closed.sold
    sent = {line.line_id: line for line in sold.sale.lines}
    for line in closed.answer.lines.lines:
        off_minor = -sum(one.amount_minor for one in line.adjustments if one.promotion_id == SALT)
        back_milli, back_minor = (
            sold.returned_milli[line.line_id],
            sold.returned_minor[line.line_id],
        )
        is_printed = len(line.adjustments) == 1 and not closed.is_stated
        if off_minor and is_printed:
            # What came back was printed with its part of this discount, and of no other.
            one = sent[line.line_id]
            whole_minor, _ = divmod(one.amount_minor * back_milli, one.quantity_milli)
            off_minor -= whole_minor - back_minor
            back_milli = 0
        most_minor += off_minor
        least_minor += 0 if back_milli else off_minor
    return least_minor, most_minor


def by_customer(closed: Iterable[Closed], amount: Callable[[Closed], int]) -> Counter[str]:
    """Add up an amount of receipts by their customer; of those of nobody nothing."""
    found: Counter[str] = Counter()
    for one in closed:
        if one.sold.customer:
            found[one.sold.customer] += amount(one)
    return found
