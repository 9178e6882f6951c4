"""REFERENCE evaluation: lines and rewards of a receipt, written to be read.

A pure function of (rules, sale, facts): the instant stands in the facts as the store's local day
and minute and the windows of the assets. The result does not depend on the order of lines or of
promotions. The kernel gives the same; `docs/engine.md` says what each step does.
"""

from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Protocol

from msgspec import Struct

from rewards.basket import NOBODY, Allocate, Item, build_items, enter_sets, line_effects
from rewards.benefit import PriceBenefit
from rewards.best import LaneProof, can_weigh, combine
from rewards.course import Course, Spend
from rewards.deal import Proposal, Taken
from rewards.facts import Facts
from rewards.reading import coupon_tokens, shown_token
from rewards.rewarding import Grant, Share, earns_for
from rewards.ruleset import (
    EXCLUSIVE_LANE,
    NO_GROUP,
    REWARD_LANE,
    CompiledPromotion,
    ProgramRules,
)
from rewards.runs import LineOutcome, outcome_of
from rewards.sale import Sale
from rewards.trace import Condition, TraceEntry, TraceOutcome


class CouponState(IntEnum):
    """As CouponState of the contract."""

    APPLIED = 1
    NO_EFFECT = 2
    UNKNOWN = 3
    NOT_CHOSEN = 4
    USED = 5
    EXPIRED = 6
    NOT_YOURS = 7
    HELD = 8
    MAY_NOT_SPEND = 9


class CouponOutcome(Struct, frozen=True):
    """What became of a coupon code, as it was sent."""

    code: str
    state: CouponState


class PieceOffer(Struct, frozen=True):
    """Pieces that the cashier may add.

    Attributes:
        number: the promotion.
        position: a line with the same article; -1 if there is none.
        quantity_milli: thousandths.
        amount_minor: what they cost, minor units.
        choice_group: the customer chooses one of those with the same number; 0 is no choice.
    """

    number: int
    position: int
    sku: str
    quantity_milli: int
    amount_minor: int = 0
    choice_group: int = 0


class Evaluation(Struct, frozen=True):
    """What the rules say of a receipt.

    Attributes:
        outcomes: one for each line of the sale; None for cancelled lines.
        messages: (promotion, which of its benefits).
    """

    outcomes: tuple[LineOutcome | None, ...]
    offers: tuple[PieceOffer, ...]
    grants: tuple[Grant, ...]
    trace: tuple[TraceEntry, ...]
    messages: tuple[tuple[int, int], ...] = ()
    spends: tuple[Spend, ...] = ()
    coupons: tuple[CouponOutcome, ...] = ()
    proofs: tuple[LaneProof, ...] = ()

    def raised(self) -> "Evaluation":
        """Itself: there is nothing to raise."""
        return self


class Evaluated(Protocol):
    """An `Evaluation`, or what is raised to its values as they are read."""

    @property
    def outcomes(self) -> tuple[LineOutcome | None, ...]:
        """One for each line of the sale; None for cancelled lines."""

    @property
    def offers(self) -> tuple[PieceOffer, ...]:
        """Pieces that the cashier may add."""

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Rewards."""

    @property
    def trace(self) -> tuple[TraceEntry, ...]:
        """What became of each candidate."""

    @property
    def messages(self) -> tuple[tuple[int, int], ...]:
        """(promotion, which of its benefits)."""

    @property
    def spends(self) -> tuple[Spend, ...]:
        """What promotions cost the customer."""

    @property
    def coupons(self) -> tuple[CouponOutcome, ...]:
        """What became of the coupon codes."""

    @property
    def proofs(self) -> tuple[LaneProof, ...]:
        """Whether the best combination of a lane was found."""

    def raised(self) -> Evaluation:
        """All of it, as values that can be replaced."""


def evaluate(
    rules: ProgramRules,
    sale: Sale,
    facts: Facts,
    allocate: Allocate,
    only: Collection[int] | None = None,
) -> Evaluation:
    """Evaluate a receipt.

    Args:
        rules: the chain's rules at the version in force.
        sale: what was scanned, within all limits.
        facts: everything else that is read.
        allocate: shares amounts exactly (reference or kernel).
        only: numbers of the promotions that may take part; without it all.

    Returns:
        Outcomes whose adjustments sum to the difference they explain, each line between its floor
        and what was sent. Rewards of the reward lane are earned on them, as the till can sell them.
    """
    withheld: frozenset[int] = frozenset()
    while True:
        course, candidates, proofs = _priced(rules, sale, facts, allocate, only, withheld)
        outcomes = _outcomes(sale, course.items, allocate)
        gave_nothing = _trimmed_away(course, outcomes)
        if not gave_nothing:
            break
        # The till cannot sell at any of its prices: others may have the pieces.
        withheld |= gave_nothing
    course.enter_lane(REWARD_LANE)
    for number in candidates:
        if course.program.promotions[number].lane == REWARD_LANE:
            _run(course, number, candidates)
    return Evaluation(
        outcomes,
        _piece_offers(course),
        tuple(one.grant for one in course.earned),
        tuple(course.trace),
        tuple(course.messages),
        tuple(course.spends),
        _coupon_outcomes(course),
        tuple(proofs),
    )


def _priced(
    rules: ProgramRules,
    sale: Sale,
    facts: Facts,
    allocate: Allocate,
    only: Collection[int] | None,
    withheld: Collection[int],
) -> tuple[Course, list[int], list[LaneProof]]:
    """Run the lanes before the reward lane; also all candidates, and how good best lanes are."""
    products = facts.products_by_sku
    items = build_items(sale.lines, products, sale.header.capabilities.zero_price)
    program = rules.program
    enter_sets(items, sale.lines, rules.sets, program.classes, facts.customer.offers)
    course = Course(rules, sale, facts, items, allocate, withheld)
    proofs: list[LaneProof] = []
    candidates = [n for n in _candidates(course) if only is None or n in only]
    for lane in range(EXCLUSIVE_LANE, REWARD_LANE):
        course.enter_lane(lane)
        numbers = [n for n in candidates if program.promotions[n].lane == lane]
        if numbers and program.steps_max[lane]:
            proofs.append(_run_best(course, numbers, candidates))
        else:
            for number in numbers:
                _run(course, number, candidates)
    return course, candidates, proofs


def _trimmed_away(course: Course, outcomes: Sequence[LineOutcome | None]) -> frozenset[int]:
    """Promotions that lowered items, of which nothing is left as the till can sell the lines."""
    lowering = {number for item in course.items for number, _, _ in item.effects}
    kept = {one.number for outcome in outcomes if outcome for one in outcome.adjustments}
    return frozenset(lowering - kept)


def _candidates(course: Course) -> list[int]:
    """The promotions that could apply, in running order."""
    program = course.program
    found: set[int] = set()
    for number in {number for item in course.items for number in item.sets}:
        found.update(program.touched_by[number])
    for calling in course.tokens:
        found.update(program.called_by.get(calling, ()))
    return sorted(found)


def _run_best(course: Course, numbers: Sequence[int], candidates: Sequence[int]) -> LaneProof:
    """Let the best combination of a lane take effect, then by priority what cannot be weighed."""
    start = len(course.trace)
    promotions = course.program.promotions
    weighable = [n for n in numbers if can_weigh(promotions[n]) and n not in course.withheld]
    refused = {n: _refusal(course, n, promotions[n]) for n in weighable}
    fit = [n for n in weighable if refused[n] is None]
    combination = combine(course, fit, course.program.steps_max[course.lane])
    unable = {n: _why_not(course, n) for n in fit if n not in combination.weighed}
    for number in fit:
        if number in combination.proposals:
            _apply(course, number, combination.proposals[number])
    for number in weighable:
        if number not in combination.proposals:
            course.trace.append(
                refused[number] or unable.get(number) or _outweighed(course, number)
            )
    for number in numbers:
        if number not in refused:
            _run(course, number, candidates)
    course.trace[start:] = sorted(course.trace[start:], key=lambda entry: entry.number)
    return combination.proof


def _why_not(course: Course, number: int) -> TraceEntry:
    """Why a promotion can fire on no pieces at all."""
    promotion = course.program.promotions[number]
    if not _lowers(promotion):
        condition = Condition.NOTHING_EARNS if course.earns() else Condition.CUSTOMER
        return TraceEntry(number, TraceOutcome.FAILED, 0, NOBODY, condition)
    if not _works_on(course, promotion):
        return course.nothing_open(number)
    proposal = course.propose(number)
    return TraceEntry(
        number,
        TraceOutcome.FAILED,
        0,
        NOBODY,
        proposal.condition or Condition.FLOOR,
        proposal.missing,
    )


def _outweighed(course: Course, number: int) -> TraceEntry:
    """To whom a promotion lost that another combination is worth more than."""
    promotion = course.program.promotions[number]
    winner = course.winners.get(promotion.group, NOBODY)
    if winner != NOBODY:
        return TraceEntry(number, TraceOutcome.LOST, 0, winner)
    return course.nothing_open(number)


def _apply(course: Course, number: int, proposal: Proposal) -> None:
    """Let a promotion of a combination take effect."""
    promotion = course.program.promotions[number]
    course.apply(number, proposal)
    course.reward(number, _shares(course, promotion, proposal.taken))
    course.trace.append(TraceEntry(number, TraceOutcome.FIRED, proposal.times))
    if promotion.group != NO_GROUP:
        course.winners[promotion.group] = number


def _run(course: Course, number: int, candidates: Sequence[int]) -> None:
    """Let a promotion take effect if it may, and trace what became of it."""
    promotion = course.program.promotions[number]
    entry = course.decided.pop(number, None) or _refusal(course, number, promotion)
    if entry is None and promotion.group != NO_GROUP:
        _run_group(course, promotion.group, candidates)
        entry = course.decided.pop(number)
    if entry is None:
        entry = _take_effect(course, number, promotion)
    course.trace.append(entry)
    if entry.times and promotion.lane == EXCLUSIVE_LANE:
        course.exclusive_by = number


def _run_group(course: Course, group: int, candidates: Sequence[int]) -> None:
    """Let the first member of a group take effect that can, the one to be chosen before others."""
    fit = [n for n in _members(course, group, candidates) if not _unfit_of(course, n)]
    for number in fit:
        if group in course.winners:
            lost_to = course.winners[group]
            course.decided[number] = TraceEntry(number, TraceOutcome.LOST, 0, lost_to)
            continue
        entry = _take_effect(course, number, course.program.promotions[number])
        course.decided[number] = entry
        if entry.times:
            course.winners[group] = number
            if course.lane == EXCLUSIVE_LANE:
                course.exclusive_by = number


def _members(course: Course, group: int, candidates: Sequence[int]) -> list[int]:
    """Members of a group that run in this lane and have not run, in the order of choice.

    Where the first one is chosen only the first that is fit: the others run at their own places.
    """
    compiled = course.program.groups[group]
    traced = {entry.number for entry in course.trace}
    members = [
        number
        for number in compiled.members
        if number in candidates
        and number not in traced
        and course.program.promotions[number].lane == course.lane
    ]
    if compiled.choose == "first":
        return [n for n in members if not _unfit_of(course, n)][:1]
    ranks = {number: _rank(course, compiled.choose, number) for number in members}
    return sorted(members, key=lambda number: (-ranks[number], number))


def _rank(course: Course, choose: str, number: int) -> int:
    if _unfit_of(course, number):
        return 0
    if choose == "best":
        return _worth_minor(course, number)
    return course.coupon_place(course.program.promotions[number])


def _unfit_of(course: Course, number: int) -> TraceEntry | None:
    return _unfit(course, number, course.program.promotions[number])


def _beaten(course: Course, number: int) -> TraceEntry | None:
    """The promotion that has taken effect in a promotion's stead."""
    promotion = course.program.promotions[number]
    if course.exclusive_by != NOBODY and promotion.lane != REWARD_LANE:
        return TraceEntry(number, TraceOutcome.LOST, 0, course.exclusive_by)
    if promotion.group in course.winners:
        return TraceEntry(number, TraceOutcome.LOST, 0, course.winners[promotion.group])
    return None


def _refusal(course: Course, number: int, promotion: CompiledPromotion) -> TraceEntry | None:
    """Why a promotion may not take effect, if so."""
    return _unfit(course, number, promotion) or _beaten(course, number)


def _unfit(course: Course, number: int, promotion: CompiledPromotion) -> TraceEntry | None:
    failure = course.failure(promotion)
    if failure:
        return TraceEntry(number, TraceOutcome.FAILED, 0, NOBODY, *failure)
    limit = course.limit(promotion)
    if limit is not None:
        return TraceEntry(number, TraceOutcome.LIMIT_REACHED, 0, NOBODY, limit)
    return None


def _worth_minor(course: Course, number: int) -> int:
    """What a promotion would be worth to the customer by itself, now."""
    promotion = course.program.promotions[number]
    if not _lowers(promotion):
        return course.worth_minor(number, _shares(course, promotion, ()))
    proposal = course.propose(number)
    if not proposal.times:
        return 0
    for one in proposal.taken:
        one.item.amount_minor -= one.discount_minor
    worth = course.worth_minor(number, _shares(course, promotion, proposal.taken))
    for one in proposal.taken:
        one.item.amount_minor += one.discount_minor
    return proposal.discount_minor + worth


def _take_effect(course: Course, number: int, promotion: CompiledPromotion) -> TraceEntry:
    if not _lowers(promotion):
        return _only_reward(course, number, promotion)
    if not _works_on(course, promotion):
        return course.nothing_open(number)
    if number in course.withheld:
        return TraceEntry(number, TraceOutcome.FAILED, 0, NOBODY, Condition.FLOOR)
    proposal = course.propose(number)
    if not proposal.times:
        course.offers += [(number, offer) for offer in proposal.offers]
        outcome = TraceOutcome.FAILED
        if proposal.condition == Condition.BUDGET:
            outcome = TraceOutcome.LIMIT_REACHED
        return TraceEntry(number, outcome, 0, NOBODY, proposal.condition, proposal.missing)
    course.apply(number, proposal)
    course.reward(number, _shares(course, promotion, proposal.taken))
    outcome = TraceOutcome.LIMIT_REACHED if proposal.capped else TraceOutcome.FIRED
    return TraceEntry(number, outcome, proposal.times)


def _only_reward(course: Course, number: int, promotion: CompiledPromotion) -> TraceEntry:
    """Let a promotion give that lowers nothing; before the reward lane it claims what it uses."""
    if not course.touched(promotion, (promotion.target,)):
        return TraceEntry(number, TraceOutcome.FAILED, 0, NOBODY, Condition.PRODUCTS)
    shares = _shares(course, promotion, ())
    claims = course.lane != REWARD_LANE and not promotion.stackable
    if claims and not any(i.open_milli for i in course.touched(promotion, (promotion.target,))):
        return course.nothing_open(number)
    entry = course.reward(number, shares)
    if entry.times:
        if promotion.cost is not None:
            course.spend(number, promotion, 1)
        if claims:
            taken = tuple(Taken(one.item, one.quantity_milli, 0) for one in shares)
            course.apply(number, Proposal(1, taken))
    return entry


def _lowers(promotion: CompiledPromotion) -> bool:
    return any(isinstance(benefit, PriceBenefit) for benefit in promotion.gives)


def _works_on(course: Course, promotion: CompiledPromotion) -> bool:
    """Whether there is anything that its price benefits may lower."""
    sets = sorted({promotion.target}.union(*promotion.part_sets))
    return bool(course.usable(promotion, course.touched(promotion, sets)))


def _shares(course: Course, promotion: CompiledPromotion, taken: Sequence[Taken]) -> list[Share]:
    """What rewards are given on: what was taken, or is still there to take. All of it earns."""
    if taken and not promotion.stackable:
        shares = [
            Share(one.item, one.quantity_milli)
            for one in taken
            if promotion.target in one.item.sets
        ]
    else:
        items = course.touched(promotion, (promotion.target,))
        whole = promotion.stackable or course.lane == REWARD_LANE
        shares = [
            Share(item, item.quantity_milli if whole else item.open_milli)
            for item in items
            if whole or item.open_milli
        ]
    return [one for one in shares if earns_for(promotion, one.item)]


def _piece_offers(course: Course) -> tuple[PieceOffer, ...]:
    """Keep the offers that the till can take up: it must add a piece, perhaps at price zero."""
    can = course.sale.header.capabilities
    if not can.add_piece:
        return ()
    return tuple(
        PieceOffer(
            number,
            offer.item.lines[0] if offer.item else _line_of(course.items, offer.sku),
            offer.sku,
            offer.quantity_milli,
            offer.amount_minor,
            offer.choice_group,
        )
        for number, offer in course.offers
        if offer.amount_minor or can.zero_price
    )


def _line_of(items: Sequence[Item], sku: str) -> int:
    lines = [item.lines[0] for item in items if item.sku == sku]
    return lines[0] if lines else -1


def _coupon_outcomes(course: Course) -> tuple[CouponOutcome, ...]:
    program = course.program
    counting = coupon_tokens(program, course.sale, course.facts)
    fired = {entry.number for entry in course.trace if entry.times}
    return tuple(
        CouponOutcome(code, _coupon_state(course, code, counting, fired))
        for code in dict.fromkeys(course.sale.header.coupon_codes)
    )


def _coupon_state(
    course: Course, code: str, counting: Sequence[str], fired: Collection[int]
) -> CouponState:
    spelled = shown_token(course.program, course.facts, code)
    if not spelled:
        return CouponState(next(one.state for one in course.facts.coupons if one.code == code))
    called = course.program.coupons.get(spelled, ())
    if not called:
        return CouponState.UNKNOWN
    if spelled not in counting:
        return CouponState.NOT_CHOSEN
    applied = any(number in fired for number in called)
    return CouponState.APPLIED if applied else CouponState.NO_EFFECT


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
