"""Hints: how little a customer would have to add, and for what. For an open receipt only."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from rewards.benefit import Benefit, Message, NPlusM, PriceBenefit
from rewards.evaluate import Evaluated, PieceOffer
from rewards.facts import Facts
from rewards.gate import ProductsGate
from rewards.limits import MILLI
from rewards.reading import EARNING_STATES
from rewards.rewarding import needs_customer
from rewards.rounding import share_bp
from rewards.ruleset import EXCLUSIVE_LANE, NO_GROUP, REWARD_LANE, CompiledPromotion, ProgramRules
from rewards.sale import LineAction, Sale, Unit
from rewards.trace import Condition, TraceEntry, TraceOutcome

HINTS_MAX = 3
NEAR_MILLI = 3 * MILLI
"""More missing pieces than this are no small step any more."""
NEAR_SHARE_BP = 2_000
"""Nor is more money than this share of what the receipt comes to."""
NOWHERE = -1

_MOST_MILLI: dict[int, int] = {Condition.QUANTITY: NEAR_MILLI, Condition.PRODUCTS: NEAR_MILLI}
_BY_AMOUNT = (Condition.RECEIPT_AMOUNT, Condition.PRODUCTS_AMOUNT)


class Hint(Struct, frozen=True):
    """What is missing for a promotion.

    Attributes:
        number: the promotion.
        position: a line with the one article of which more is needed; NOWHERE if there is none.
        missing_milli: thousandths; 0 if it is not about a quantity.
        missing_minor: minor units of money; 0 if it is not about an amount.
        is_free: what is to be added costs nothing.
    """

    number: int
    position: int = NOWHERE
    missing_milli: int = 0
    missing_minor: int = 0
    is_free: bool = False


def find_hints(
    rules: ProgramRules, sale: Sale, facts: Facts, evaluation: Evaluated
) -> tuple[Hint, ...]:
    """Find what the customer could still get by buying a little more.

    Args:
        rules: the rules that evaluated.
        sale: what was scanned.
        facts: what they read.
        evaluation: what they said.

    Returns:
        At most HINTS_MAX, a promotion once, the nearest first: what is free, then pieces, then
        money.
    """
    found = [_of_offer(rules, offer) for offer in evaluation.offers]
    paid_minor = sum([one.amount_minor for one in evaluation.outcomes if one is not None])
    # At most so much is missing of what is near.
    near_minor = share_bp(paid_minor, NEAR_SHARE_BP, "down")
    most = _MOST_MILLI | dict.fromkeys(_BY_AMOUNT, near_minor)
    near = [
        entry
        for entry in evaluation.trace
        if 0 < entry.missing <= most.get(entry.condition, 0)
        and entry.outcome == TraceOutcome.FAILED
    ]
    if near:
        settled = _Settled(rules, facts, evaluation.trace)
        sets = rules.sets.of_each([line.sku for line in sale.lines], facts.products_by_sku)
        found += [_of_entry(rules, sale, sets, entry) for entry in near if settled.allows(entry)]
    best: dict[int, Hint] = {}
    for hint in sorted(filter(None, found), key=_rank):
        best.setdefault(hint.number, hint)
    return tuple(best.values())[:HINTS_MAX]


def _rank(hint: Hint) -> tuple[bool, bool, int, int, int]:
    by_money = hint.missing_minor > 0
    return not hint.is_free, by_money, hint.missing_milli, hint.missing_minor, hint.number


def _of_offer(rules: ProgramRules, offer: PieceOffer) -> Hint | None:
    """Pieces of N+M that can be had for nothing; gifts are offers by themselves."""
    gives = rules.program.promotions[offer.number].gives
    if offer.amount_minor or not any(isinstance(benefit, NPlusM) for benefit in gives):
        return None
    return Hint(offer.number, offer.position, offer.quantity_milli, is_free=True)


class _Settled:
    """What took effect already, and keeps others from doing so however much is bought."""

    def __init__(self, rules: ProgramRules, facts: Facts, trace: Iterable[TraceEntry]) -> None:
        self._promotions = rules.program.promotions
        fired = [self._promotions[entry.number] for entry in trace if entry.times]
        self._groups = {one.group for one in fired} - {NO_GROUP}
        self._exclusive = EXCLUSIVE_LANE in [one.lane for one in fired]
        customer = facts.customer
        self._earns = bool(customer.account_id) and customer.state in EARNING_STATES

    def allows(self, entry: TraceEntry) -> bool:
        """Whether the promotion would give this customer anything."""
        promotion = self._promotions[entry.number]
        if promotion.group in self._groups:
            return False
        if self._exclusive and promotion.lane != REWARD_LANE:
            return False
        return any(self._gets(benefit) for benefit in promotion.gives)

    def _gets(self, benefit: Benefit) -> bool:
        if isinstance(benefit, Message):
            return False
        return isinstance(benefit, PriceBenefit) or self._earns or not needs_customer(benefit)


def _of_entry(
    rules: ProgramRules, sale: Sale, sets: Sequence[tuple[int, ...]], entry: TraceEntry
) -> Hint | None:
    if entry.condition in _BY_AMOUNT:
        return Hint(entry.number, missing_minor=entry.missing)
    promotion = rules.program.promotions[entry.number]
    set_number = _asked_set(promotion, entry)
    positions = _positions(sale, sets, set_number) if set_number is not None else []
    if any(sale.lines[position].unit != Unit.PIECE for position in positions):
        return None
    alone = len({sale.lines[position].sku for position in positions}) == 1
    return Hint(entry.number, positions[0] if alone else NOWHERE, entry.missing)


def _asked_set(promotion: CompiledPromotion, entry: TraceEntry) -> int | None:
    """The product set of which there is too little; None if it may be one of several."""
    if entry.condition == Condition.PRODUCTS:
        gates = [gate for gate in promotion.basket_gates if isinstance(gate, ProductsGate)]
        return gates[0].set_number if len(gates) == 1 else None
    others = {number for parts in promotion.part_sets for number in parts}
    return promotion.target if others <= {promotion.target} else None


def _positions(sale: Sale, sets: Sequence[tuple[int, ...]], set_number: int) -> list[int]:
    """Lines with articles of a set, by line_id; `sets` are those that each line's article is in."""
    lines = sale.lines
    found = [
        position
        for position, numbers in enumerate(sets)
        if set_number in numbers
        and not lines[position].cancelled
        and lines[position].action == LineAction.SALE
    ]
    return sorted(found, key=lambda position: lines[position].line_id)
