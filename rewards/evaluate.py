"""REFERENCE evaluation: lines and rewards of a receipt, written to be read.

A pure function of (rules, sale, facts): the instant stands in the facts as the store's local day
and the windows of the assets. The result does not depend on the order of lines or promotions.
"""

from collections.abc import Sequence

from msgspec import Struct

from rewards.basket import Allocate, Item, build_items, line_effects
from rewards.benefits import PRICE_BENEFITS, Offer
from rewards.facts import CustomerState, Facts
from rewards.program import DeferredDiscount, PointsRate
from rewards.rounding import floor_div, share_bp
from rewards.ruleset import LANE_NUMBERS, CompiledPromotion, ProgramRules
from rewards.runs import LineOutcome, outcome_of
from rewards.sale import Sale, TenderKind
from rewards.trace import Condition, TraceEntry, TraceOutcome

_REWARD_LANE = LANE_NUMBERS["reward"]
_EARNING_STATES = (CustomerState.ACTIVE, CustomerState.EARN_ONLY)
_MICROS = 1_000_000

_Claims = dict[str, list[tuple[int, Sequence[Item]]]]
"""By asset: the promotions that claimed what they earned on, each with its items."""


class PieceOffer(Struct, frozen=True):
    """Pieces that become free when the cashier adds them: promotion, line, thousandths."""

    number: int
    position: int
    quantity_milli: int


class Grant(Struct, frozen=True):
    """A reward: an amount of an asset with its start and end.

    Attributes:
        number: promotion that gave it.
        amount_minor: minor units of the asset, 1 or more.
        value_minor: what it is worth, minor units of money.
        active_from_us: UTC microseconds.
        expires_at_us: UTC microseconds; 0 is without end.
    """

    number: int
    asset_code: str
    amount_minor: int
    value_minor: int
    active_from_us: int
    expires_at_us: int


class Evaluation(Struct, frozen=True):
    """What the rules say of a receipt.

    Attributes:
        outcomes: one for each line of the sale; None for cancelled lines.
    """

    outcomes: tuple[LineOutcome | None, ...]
    offers: tuple[PieceOffer, ...]
    grants: tuple[Grant, ...]
    trace: tuple[TraceEntry, ...]


def evaluate(rules: ProgramRules, sale: Sale, facts: Facts, allocate: Allocate) -> Evaluation:
    """Evaluate a receipt.

    Args:
        rules: the chain's rules at the version in force.
        sale: what was scanned, within all limits.
        facts: everything else that is read.
        allocate: shares amounts exactly (reference or kernel).

    Returns:
        Outcomes whose adjustments sum to the difference they explain, each line between its floor
        and what was sent. Rewards are earned on them, as the till can sell them.
    """
    products = {product.sku: product for product in facts.products}
    items = build_items(sale.lines, products, sale.header.capabilities.zero_price)
    candidates = _candidates(rules, items)
    trace: list[TraceEntry] = []
    offers: list[PieceOffer] = []
    lane = 0
    lane_start_minor = goods_minor(items)
    grants: list[Grant] = []
    claims: _Claims = {}
    outcomes: tuple[LineOutcome | None, ...] | None = None
    for number in sorted(candidates):
        promotion = rules.program.promotions[number]
        if promotion.lane != lane:
            lane = promotion.lane
            if lane == _REWARD_LANE:
                outcomes = _outcomes(sale, items, allocate)
            lane_start_minor = goods_minor(items)
            for item in items:
                item.enter_lane()
        failed = _gate(promotion, sale, facts, lane_start_minor)
        if failed:
            trace.append(TraceEntry(number, TraceOutcome.FAILED, 0, -1, *failed))
        elif lane == _REWARD_LANE:
            entry, grant = _reward(rules, number, candidates[number], sale, facts, claims)
            trace.append(entry)
            if grant is not None:
                grants.append(grant)
        else:
            entry, offered = _lower(promotion, number, candidates[number], allocate)
            trace.append(entry)
            if offered:
                offers += _piece_offers(number, offered, sale)
    if outcomes is None:
        outcomes = _outcomes(sale, items, allocate)
    return Evaluation(outcomes, tuple(offers), tuple(grants), tuple(trace))


def goods_minor(items: Sequence[Item]) -> int:
    """Running total without gift cards and deposits, minor units."""
    return sum([item.amount_minor for item in items if item.goods])


def _candidates(rules: ProgramRules, items: Sequence[Item]) -> dict[int, list[Item]]:
    """The promotions that could apply, each with the items of its product set."""
    found: dict[int, list[Item]] = {}
    for item in items:
        if item.goods:
            for number in rules.promotion_sets.sets_of(item.sku, item.product):
                found.setdefault(number, []).append(item)
    return found


def _gate(
    promotion: CompiledPromotion, sale: Sale, facts: Facts, lane_start_minor: int
) -> tuple[Condition, int] | None:
    """The first of when, who and what that does not hold, and by how much."""
    store, customer = facts.store, facts.customer
    if not promotion.from_day <= store.local_day <= promotion.to_day:
        return Condition.PERIOD, 0
    if promotion.is_for_all:
        return None
    if promotion.channels and sale.header.till_type not in promotion.channels:
        return Condition.CHANNEL, 0
    if promotion.zones and not promotion.zones & store.zones:
        return Condition.ZONE, 0
    if promotion.customer_required and not customer.account_id:
        return Condition.CUSTOMER, 0
    if promotion.segments and not promotion.segments & customer.segments:
        return Condition.SEGMENT, 0
    if lane_start_minor < promotion.receipt_amount_from_minor:
        return Condition.RECEIPT_AMOUNT, promotion.receipt_amount_from_minor - lane_start_minor
    return None


def _lower(
    promotion: CompiledPromotion, number: int, items: list[Item], allocate: Allocate
) -> tuple[TraceEntry, tuple[Offer, ...]]:
    """Let a promotion lower the prices of its items."""
    open_items = [
        item for item in items if item.discountable and (item.open_milli or promotion.stackable)
    ]
    if not open_items:
        return _nothing_open(number, items), ()
    effect = PRICE_BENEFITS[type(promotion.benefit)](promotion, number, open_items, allocate)
    if not effect.times:
        failed = TraceEntry(number, TraceOutcome.FAILED, 0, -1, effect.condition, effect.missing)
        return failed, effect.offers
    outcome = TraceOutcome.LIMIT_REACHED if effect.capped else TraceOutcome.FIRED
    return TraceEntry(number, outcome, effect.times), effect.offers


def _nothing_open(number: int, items: Sequence[Item]) -> TraceEntry:
    """Why there was nothing to lower: all was claimed before, or nothing may be lowered."""
    rival = max([item.claimed_by for item in items if item.discountable], default=-1)
    if rival < 0:
        return TraceEntry(number, TraceOutcome.FAILED, 0, -1, Condition.FLOOR)
    return TraceEntry(number, TraceOutcome.LOST, 0, rival)


def _piece_offers(number: int, offers: Sequence[Offer], sale: Sale) -> list[PieceOffer]:
    """Keep the offers that the till can take up: it must add a piece, at price zero."""
    can = sale.header.capabilities
    if not (can.add_piece and can.zero_price):
        return []
    return [PieceOffer(number, offer.item.lines[0], offer.quantity_milli) for offer in offers]


def _reward(
    rules: ProgramRules,
    number: int,
    items: Sequence[Item],
    sale: Sale,
    facts: Facts,
    claims: _Claims,
) -> tuple[TraceEntry, Grant | None]:
    """What a promotion of the reward lane gives, if anything."""
    if not facts.customer.account_id or facts.customer.state not in _EARNING_STATES:
        return TraceEntry(number, TraceOutcome.FAILED, 0, -1, Condition.CUSTOMER), None
    promotion = rules.program.promotions[number]
    benefit = promotion.benefit
    assert isinstance(benefit, PointsRate | DeferredDiscount)
    if not promotion.stackable:
        claimed = claims.setdefault(benefit.asset_code, [])
        if claimed:
            items, rival = _unclaimed(items, claimed)
            if rival >= 0:
                return TraceEntry(number, TraceOutcome.LOST, 0, rival), None
    amount_minor = _granted_minor(benefit, _earn_base_minor(items, sale))
    if not amount_minor:
        return TraceEntry(number, TraceOutcome.FAILED, 0, -1, Condition.NOTHING_EARNS), None
    if not promotion.stackable:
        claimed.append((number, items))
    return TraceEntry(number, TraceOutcome.FIRED, 1), _grant(
        rules, number, benefit, amount_minor, facts
    )


def _unclaimed(
    items: Sequence[Item], claimed: Sequence[tuple[int, Sequence[Item]]]
) -> tuple[list[Item], int]:
    """The items that no promotion has claimed, and who claimed last if they earn nothing."""
    claimed_by = {id(item): number for number, taken in claimed for item in taken}
    free = [item for item in items if id(item) not in claimed_by]
    if any(item.earns and item.amount_minor for item in free):
        return free, -1
    return free, max([claimed_by.get(id(item), -1) for item in items if item.earns], default=-1)


def _grant(
    rules: ProgramRules,
    number: int,
    benefit: PointsRate | DeferredDiscount,
    amount_minor: int,
    facts: Facts,
) -> Grant:
    """A reward with its worth and its time."""
    window = next(found for code, found in facts.store.windows if code == benefit.asset_code)
    value_minor = amount_minor
    if isinstance(benefit, PointsRate):
        value_minor = floor_div(amount_minor * rules.program.point_value_micros, _MICROS)
    return Grant(
        number,
        benefit.asset_code,
        amount_minor,
        value_minor,
        window.active_from_us,
        window.expires_at_us,
    )


def _granted_minor(benefit: PointsRate | DeferredDiscount, base_minor: int) -> int:
    if isinstance(benefit, PointsRate):
        return share_bp(base_minor, benefit.rate_bp, benefit.rounding)
    if not base_minor:
        return 0
    return benefit.amount_minor or share_bp(base_minor, benefit.rate_bp, "down")


def _earn_base_minor(items: Sequence[Item], sale: Sale) -> int:
    """What was paid for the items after discounts, without the part paid with points."""
    base_minor = sum([item.amount_minor for item in items if item.earns])
    by_points_minor = sum([t.amount_minor for t in sale.tenders if t.kind == TenderKind.POINTS])
    if not by_points_minor:
        return base_minor
    all_minor = max(sale.header.amount_minor, by_points_minor)
    return floor_div(base_minor * (all_minor - by_points_minor), all_minor)


def _outcomes(
    sale: Sale, items: Sequence[Item], allocate: Allocate
) -> tuple[LineOutcome | None, ...]:
    """Bring the items' effects back to the lines, as final runs with adjustments.

    Where the till cannot split a line some effects shrink; then the items' amounts follow.
    """
    effects: dict[int, list[tuple[int, int, int]]] = {}
    for item in items:
        if item.effects:
            effects.update(zip(item.lines, line_effects(item, sale.lines, allocate), strict=True))
    can_split = sale.header.capabilities.split_line
    outcomes = tuple(
        [
            None if line.cancelled else outcome_of(line, effects.get(position, ()), can_split)
            for position, line in enumerate(sale.lines)
        ]
    )
    if not can_split:
        for item in items:
            sold = [outcomes[position] for position in item.lines]
            item.amount_minor = sum([outcome.amount_minor for outcome in sold if outcome])
    return outcomes
