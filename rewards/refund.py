"""What a refund gives and takes: the kept receipt evaluated anew, and the difference.

The original ruleset, facts and instant decide. Re-evaluation adds nothing and fires nothing that
did not fire at the sale (contract, section 5); the billing posts what is decided here.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import IntEnum

import msgspec
from msgspec import Struct

from rewards.benefit import (
    Benefit,
    DeferredDiscount,
    DrawEntries,
    MoneyTransfer,
    PointsFixed,
    PointsMultiplier,
    PointsRate,
)
from rewards.evaluate import Evaluation
from rewards.facts import Facts
from rewards.limits import MILLI
from rewards.refund_price import (
    PaidOut,
    PointsBack,
    Quantities,
    RefundedLine,
    Settlement,
    is_sold,
    paid_back_so_far,
    paid_of,
    points_of,
    prices_of,
    printed_of,
    refunded_lines,
)
from rewards.rewarding import Grant
from rewards.rounding import floor_div
from rewards.ruleset import REWARD_LANE, CompiledPromotion, ProgramRules
from rewards.sale import Line, Sale, Tender, Unit

Evaluator = Callable[[ProgramRules, Sale, Facts, Collection[int] | None], Evaluation]
"""Evaluates a receipt; the last argument names the promotions that may take part."""
Least = tuple[tuple[int, int, int], ...]
"""Of rewards with limits: promotion, place of its benefit, least amount that was ever left."""


class RefundProblem(IntEnum):
    """Why a refund is not possible."""

    UNKNOWN_LINE = 1
    MORE_THAN_SOLD = 2
    FORBIDDEN = 3
    NOT_WHOLE = 4


class RefundRefusal(Struct, frozen=True):
    """A refund that is not possible.

    Attributes:
        line_id: the line; empty if it is a promotion that forbids.
        left_milli: what may still be returned of the line.
        number: the promotion that forbids; -1 if it is a line.
    """

    problem: RefundProblem
    line_id: str = ""
    left_milli: int = 0
    number: int = -1


class PaidBack(Struct, frozen=True):
    """What tenders have paid, and of it what falls on what has come back, minor units of money.

    Attributes:
        upto_minor: of it what falls on what has been returned up to this refund.
    """

    whole_minor: int = 0
    upto_minor: int = 0


class Clawed(Struct, frozen=True):
    """Money that a promotion's policy keeps back, minor units; below 0 it lets go of some again."""

    number: int
    amount_minor: int


class TakenReward(Struct, frozen=True):
    """Part of a reward that has lost its ground.

    Attributes:
        place: which of the promotion's benefits.
        amount_minor: minor units of the asset or of money, or how many.
    """

    number: int
    place: int
    asset_code: str
    amount_minor: int


class ReturnedCost(Struct, frozen=True):
    """Part of a cost that is due no more, minor units of the asset."""

    number: int
    asset_code: str
    amount_minor: int


class Refund(Struct, frozen=True):
    """The difference that a refund makes.

    Attributes:
        clawed: by promotion how much more it keeps back than before; together with earlier
            refunds no more than is printed on what is kept.
        pay_back_minor: money back: the printed prices less what is kept back; 0 or more.
        short_minor: what should be kept back by now, and is not: the printed prices are too low.
        points: what was paid with the customer's own assets.
        sold: the whole sale, evaluated.
        before: what was kept until now, evaluated.
        after: what is kept from now on, evaluated.
        freed: by promotion what of all it gave comes back: with its pieces, kept back, or taken
            back; minor units of money. Below 0 it lets go again of money that it kept back.
        paid: what all tenders together have paid.
        kept: by promotion and place of its benefit what rewards give for what is kept from now on;
            that may be more than they gave before.
        costs_kept: by promotion what is to be paid for what it gives on what is kept, minor units
            of the cost's asset; that may be more than before, too.
        given: by promotion what of all it gave is kept from now on, minor units of money.
        least: for the next refund, see `decide_refund`.
        keeps_money: promotions may keep money back, as the till sold at the prices that they made.
    """

    lines: tuple[RefundedLine, ...]
    clawed: tuple[Clawed, ...]
    rewards: tuple[TakenReward, ...]
    costs: tuple[ReturnedCost, ...]
    pay_back_minor: int
    short_minor: int
    points: tuple[PointsBack, ...]
    sold: Evaluation
    before: Evaluation
    after: Evaluation
    freed: Mapping[int, int]
    paid: PaidBack = PaidBack()
    kept: Mapping[tuple[int, int], int] = {}
    costs_kept: Mapping[int, int] = {}
    given: Mapping[int, int] = {}
    least: Least = ()
    keeps_money: bool = True

    @property
    def grants(self) -> tuple[Grant, ...]:
        """All that the sale gave, for telling which lots the rewards are."""
        return self.sold.grants

    @property
    def printed_minor(self) -> int:
        """Printed price of what this refund returns, minor units."""
        return sum([line.amount_minor for line in self.lines])


class _Kept(Struct, frozen=True):
    """What is left of a receipt after some returns, evaluated.

    Attributes:
        printed: by promotion the discount printed on what is kept, minor units.
        rewards: by promotion and place of its benefit, what it gives for what is kept.
    """

    evaluation: Evaluation
    printed: Mapping[int, int]
    rewards: Mapping[tuple[int, int], int]


def decide_refund(
    rules: ProgramRules,
    sale: Sale,
    facts: Facts,
    earlier: Sequence[Quantities],
    now: Quantities,
    evaluate: Evaluator,
    paid: Mapping[str, int] | None = None,
    may_refuse: bool = True,
    settled: Settlement | None = None,
    paid_out: PaidOut | None = None,
    least: Least | None = None,
    kept_money: bool | None = None,
) -> Refund | RefundRefusal:
    """Decide a refund of part or all of a receipt.

    Args:
        rules: the chain's rules at the version of the sale.
        sale: what was scanned then.
        facts: what was known then.
        earlier: what had been returned in all after each refund before this one; what one of them
            has taken of a reward with a limit is not given again.
        now: what this one returns; each quantity 1 or more.
        evaluate: the reference or the kernel.
        paid: by line_id what the till sold lines at, minor units, if not as evaluated; no discount
            of a promotion is on them, so that none keeps money back.
        may_refuse: promotions may forbid it; they may not once it is a fact.
        settled: how that was settled; without it all that the customer's own assets were to pay
            was taken.
        paid_out: what earlier refunds have paid back; without it their printed prices.
        least: what of rewards with limits was left after all refunds before this one, as the last
            of them has said; without it that is found by evaluating what each of them has left.
        kept_money: whether promotions could keep money back at the last refund before this one;
            without it as at this one.

    Returns:
        The difference to what is left before it; or why it is not possible. All refunds of a
        receipt together give what was paid for it, never more, by what is known at the last one.
    """
    before = earlier[-1] if earlier else {}
    refusal = _check(sale, before, now)
    if refusal is not None:
        return refusal
    sold = evaluate(rules, sale, facts, None)
    fired = frozenset(entry.number for entry in sold.trace if entry.times)
    after = {line_id: before.get(line_id, 0) + now.get(line_id, 0) for line_id in {*before, *now}}
    kept_before = _kept(rules, sale, facts, sold, before, fired, evaluate)
    kept_after = _kept(rules, sale, facts, sold, after, fired, evaluate)
    promotions = rules.program.promotions
    forbidden = _forbidden(promotions, kept_before, kept_after) if may_refuse else None
    if forbidden is not None:
        return RefundRefusal(RefundProblem.FORBIDDEN, number=forbidden)
    prices = prices_of(sale, sold, paid, settled)
    clawed = _clawed(promotions, kept_before, kept_after) if paid is None else ()
    is_plain = settled is not None and settled.is_plain
    points = () if is_plain else points_of(facts, prices, after)
    keeps_minor = _keeps_back(promotions, kept_after) if paid is None else 0
    out_minor = (
        printed_of(prices, before) if paid_out is None else paid_back_so_far(paid_out, points)
    )
    due_minor = printed_of(prices, after) - out_minor - keeps_minor
    if least is None:
        least = ()
        for one in earlier[:-1] if _limited(promotions, sold) else ():
            left = _kept(rules, sale, facts, sold, one, fired, evaluate)
            least = _least(promotions, sold, left, least)
    least_before = _least(promotions, sold, kept_before, least)
    least_after = _least(promotions, sold, kept_after, least_before)
    keeps_money = paid is None
    if kept_money is None:
        kept_money = keeps_money
    given_before = _given(promotions, sold, kept_before, least_before, kept_money)
    given_after = _given(promotions, sold, kept_after, least_after, keeps_money)
    return Refund(
        refunded_lines(sale, prices, before, now),
        clawed,
        _taken(promotions, kept_before, kept_after),
        _costs(promotions, kept_before.evaluation, kept_after.evaluation),
        max(0, due_minor),
        max(0, -due_minor),
        points,
        sold,
        kept_before.evaluation,
        kept_after.evaluation,
        {n: minor - given_after[n] for n, minor in given_before.items()},
        PaidBack(
            sum([price.amount_minor for price in prices.values()]),
            paid_of(prices, after),
        ),
        kept_after.rewards,
        _costs_of(kept_after.evaluation),
        given_after,
        least_after,
        keeps_money,
    )


def fitted(
    sale: Sale, before: Quantities, now: Quantities
) -> tuple[dict[str, int], tuple[RefundRefusal, ...]]:
    """What of a refund that is a fact can be settled.

    Args:
        sale: what was scanned then.
        before: what earlier refunds have returned.
        now: what has been taken back at the till.

    Returns:
        As much of it as is left of what was sold, in whole pieces; and what is wrong with the rest.
    """
    possible: dict[str, int] = {}
    problems: list[RefundRefusal] = []
    for line_id, quantity_milli in now.items():
        problem = _check(sale, before, {line_id: quantity_milli})
        if problem is not None:
            problems.append(problem)
            if problem.problem == RefundProblem.UNKNOWN_LINE:
                continue
            quantity_milli = min(quantity_milli, problem.left_milli)
            problem = _check(sale, before, {line_id: quantity_milli})
            if problem is not None:
                quantity_milli -= quantity_milli % MILLI
        if quantity_milli > 0:
            possible[line_id] = quantity_milli
    return possible, tuple(problems)


def _check(sale: Sale, before: Quantities, now: Quantities) -> RefundRefusal | None:
    sold = {line.line_id: line for line in sale.lines if is_sold(line)}
    for line_id in sorted(now):
        if line_id not in sold:
            return RefundRefusal(RefundProblem.UNKNOWN_LINE, line_id)
        left_milli = sold[line_id].quantity_milli - before.get(line_id, 0)
        if now[line_id] > left_milli:
            return RefundRefusal(RefundProblem.MORE_THAN_SOLD, line_id, left_milli)
        if sold[line_id].unit == Unit.PIECE and now[line_id] % MILLI:
            return RefundRefusal(RefundProblem.NOT_WHOLE, line_id, left_milli)
    return None


def _kept(
    rules: ProgramRules,
    sale: Sale,
    facts: Facts,
    sold: Evaluation,
    returned: Quantities,
    fired: Collection[int],
    evaluate: Evaluator,
) -> _Kept:
    """Evaluate what is left, and see what discounts are printed on it."""
    printed: dict[int, int] = {}
    for line, outcome in zip(sale.lines, sold.outcomes, strict=True):
        if outcome is None:
            continue
        left_milli = line.quantity_milli - returned.get(line.line_id, 0)
        for effect in outcome.adjustments:
            gone = _part(-effect.amount_minor, line.quantity_milli - left_milli, line)
            left_minor = -effect.amount_minor - gone
            printed[effect.number] = printed.get(effect.number, 0) + left_minor
    if not any(returned.values()):
        return _Kept(sold, printed, _rewards(sold))
    left = _what_is_left(sale, returned)
    known = _facts_left(facts, sale, left)
    evaluation = evaluate(rules, left, known, fired)
    rewards = _rewards(evaluation)
    promotions = rules.program.promotions
    unfounded = _unfounded(_Kept(evaluation, printed, rewards))
    if any(minor for n, minor in unfounded.items() if not _claws_back(promotions[n])):
        # What is kept has its printed price, which is lower: no more is earned on it than that.
        at_printed = _at_printed_prices(promotions, sale, sold, left, evaluation)
        only = [n for n in fired if promotions[n].lane == REWARD_LANE]
        earned = _rewards(evaluate(rules, at_printed, known, only))
        for key, amount_minor in rewards.items():
            if _is_on_paid(promotions[key[0]].gives[key[1]]):
                rewards[key] = min(amount_minor, earned.get(key, amount_minor))
    return _Kept(evaluation, printed, rewards)


def _rewards(evaluation: Evaluation) -> dict[tuple[int, int], int]:
    return {(grant.number, grant.place): grant.amount_minor for grant in evaluation.grants}


def _claws_back(promotion: CompiledPromotion) -> bool:
    """Whether money is kept back: what has lost its ground then costs its full price."""
    return promotion.policy.refund == "claw_back"


def _is_on_paid(benefit: Benefit) -> bool:
    """Whether a reward is a rate of what is paid, or given for every so much of it."""
    if isinstance(benefit, PointsRate):
        return benefit.base == "paid"
    if isinstance(benefit, PointsFixed | DrawEntries):
        return benefit.for_each_minor > 0
    return isinstance(benefit, PointsMultiplier | DeferredDiscount | MoneyTransfer)


def _at_printed_prices(
    promotions: Sequence[CompiledPromotion],
    sale: Sale,
    sold: Evaluation,
    left: Sale,
    evaluation: Evaluation,
) -> Sale:
    """What is left, at the prices that were printed, or at those due where money is kept back."""
    printed = {
        line.line_id: (line, one) for line, one in zip(sale.lines, sold.outcomes, strict=True)
    }
    lines = []
    for line, due in zip(left.lines, evaluation.outcomes, strict=True):
        whole, outcome = printed[line.line_id]
        if outcome is None or due is None:
            lines.append(line)
            continue
        gone_milli = whole.quantity_milli - line.quantity_milli
        off_minor = -sum(
            [e.amount_minor for e in due.adjustments if _claws_back(promotions[e.number])]
        )
        for effect in outcome.adjustments:
            if not _claws_back(promotions[effect.number]):
                off_minor -= effect.amount_minor + _part(-effect.amount_minor, gone_milli, whole)
        amount_minor = max(0, line.amount_minor - off_minor)
        floor_minor = min(line.minimum_amount_minor, amount_minor)
        lines.append(
            msgspec.structs.replace(
                line, amount_minor=amount_minor, minimum_amount_minor=floor_minor
            )
        )
    return msgspec.structs.replace(left, lines=tuple(lines))


def _part(amount_minor: int, quantity_milli: int, line: Line) -> int:
    """The part of an amount of a line that falls on a quantity, rounded down."""
    return floor_div(amount_minor * quantity_milli, line.quantity_milli)


def _what_is_left(sale: Sale, returned: Quantities) -> Sale:
    """The receipt as if what is returned had never been on it; it adds nothing any more."""
    lines = tuple(left for line in sale.lines if (left := _line_left(line, returned)) is not None)
    before_minor = sum([line.amount_minor for line in sale.lines if is_sold(line)])
    left_minor = sum([line.amount_minor for line in lines if is_sold(line)])
    tenders = tuple(_tender_left(tender, left_minor, before_minor) for tender in sale.tenders)
    can = msgspec.structs.replace(sale.header.capabilities, add_piece=False)
    header = msgspec.structs.replace(sale.header, amount_minor=left_minor, capabilities=can)
    return msgspec.structs.replace(sale, header=header, lines=lines, tenders=tenders)


def _line_left(line: Line, returned: Quantities) -> Line | None:
    gone_milli = returned.get(line.line_id, 0) if is_sold(line) else 0
    if not gone_milli:
        return line
    if gone_milli == line.quantity_milli:
        return None
    left_milli = line.quantity_milli - gone_milli
    return msgspec.structs.replace(
        line,
        quantity_milli=left_milli,
        amount_minor=line.amount_minor - _part(line.amount_minor, gone_milli, line),
        minimum_amount_minor=_part(line.minimum_amount_minor, left_milli, line),
    )


def _facts_left(facts: Facts, sale: Sale, left: Sale) -> Facts:
    """The customer's own assets pay less of a smaller receipt."""
    if not facts.spends:
        return facts
    whole_minor = sum([line.amount_minor for line in sale.lines if is_sold(line)])
    left_minor = sum([line.amount_minor for line in left.lines if is_sold(line)])
    spends = tuple(
        msgspec.structs.replace(
            spent,
            amount_minor=floor_div(spent.amount_minor * left_minor, max(1, whole_minor)),
            value_minor=floor_div(spent.value_minor * left_minor, max(1, whole_minor)),
        )
        for spent in facts.spends
    )
    return msgspec.structs.replace(facts, spends=spends)


def _tender_left(tender: Tender, left_minor: int, before_minor: int) -> Tender:
    if not before_minor:
        return tender
    amount_minor = floor_div(tender.amount_minor * left_minor, before_minor)
    return msgspec.structs.replace(tender, amount_minor=amount_minor)


def _discounts(evaluation: Evaluation) -> dict[int, int]:
    found: dict[int, int] = {}
    for outcome in evaluation.outcomes:
        for effect in outcome.adjustments if outcome is not None else ():
            found[effect.number] = found.get(effect.number, 0) - effect.amount_minor
    return found


def _unfounded(kept: _Kept) -> dict[int, int]:
    """By promotion what is printed on kept pieces beyond what they would get by themselves."""
    due = _discounts(kept.evaluation)
    return {n: max(0, minor - due.get(n, 0)) for n, minor in kept.printed.items()}


def _forbidden(promotions: Sequence[CompiledPromotion], before: _Kept, after: _Kept) -> int | None:
    """The first promotion that forbids to take its ground away."""
    lost_before, lost_after = _unfounded(before), _unfounded(after)
    times = {entry.number: entry.times for entry in after.evaluation.trace}
    for entry in before.evaluation.trace:
        number = entry.number
        if not entry.times or promotions[number].policy.refund != "forbid":
            continue
        if lost_after.get(number, 0) > lost_before.get(number, 0) or not times.get(number, 0):
            return number
    return None


def _clawed(
    promotions: Sequence[CompiledPromotion], before: _Kept, after: _Kept
) -> tuple[Clawed, ...]:
    lost_before, lost_after = _unfounded(before), _unfounded(after)
    found = []
    for number in sorted({*lost_before, *lost_after}):
        amount_minor = lost_after.get(number, 0) - lost_before.get(number, 0)
        if amount_minor and _claws_back(promotions[number]):
            found.append(Clawed(number, amount_minor))
    return tuple(found)


def _keeps_back(promotions: Sequence[CompiledPromotion], kept: _Kept) -> int:
    """What all refunds up to one together keep back, minor units: 0 once all has come back."""
    lost = _unfounded(kept)
    return sum([minor for number, minor in lost.items() if _claws_back(promotions[number])])


def _taken(
    promotions: Sequence[CompiledPromotion], before: _Kept, after: _Kept
) -> tuple[TakenReward, ...]:
    found = []
    for grant in before.evaluation.grants:
        key = (grant.number, grant.place)
        amount_minor = before.rewards[key] - after.rewards.get(key, 0)
        if amount_minor > 0 and promotions[grant.number].policy.refund != "waive":
            found.append(TakenReward(grant.number, grant.place, grant.asset_code, amount_minor))
    return tuple(found)


def _given(
    promotions: Sequence[CompiledPromotion],
    sold: Evaluation,
    kept: _Kept,
    least: Least,
    may_keep: bool,
) -> dict[int, int]:
    """By promotion the money's worth that is left of what it gave.

    Of a reward with a limit that is the least of all that was left up to then; what promotions keep
    back is not left, if they may.
    """
    given = dict(kept.printed)
    for number, minor in _unfounded(kept).items():
        if may_keep and _claws_back(promotions[number]):
            given[number] -= minor
    left = {**kept.rewards, **{(number, place): minor for number, place, minor in least}}
    for grant in sold.grants:
        worth_minor = grant.value_minor
        if promotions[grant.number].policy.refund != "waive":
            amount_minor = left.get((grant.number, grant.place), 0)
            upto_minor = floor_div(grant.value_minor * amount_minor, grant.amount_minor)
            worth_minor = min(worth_minor, upto_minor)
        given[grant.number] = given.get(grant.number, 0) + worth_minor
    return given


def _limited(promotions: Sequence[CompiledPromotion], sold: Evaluation) -> list[Grant]:
    """The rewards that have limits over many receipts."""
    return [grant for grant in sold.grants if promotions[grant.number].has_quota]


def _least(
    promotions: Sequence[CompiledPromotion], sold: Evaluation, kept: _Kept, before: Least
) -> Least:
    """The least that was left of them, with what is kept now."""
    upto = {(number, place): minor for number, place, minor in before}
    found = []
    for grant in _limited(promotions, sold):
        key = grant.number, grant.place
        minor = kept.rewards.get(key, 0)
        found.append((*key, min(minor, upto.get(key, grant.amount_minor))))
    return tuple(found)


def _costs(
    promotions: Sequence[CompiledPromotion], before: Evaluation, after: Evaluation
) -> tuple[ReturnedCost, ...]:
    left = _costs_of(after)
    found = []
    for spend in before.spends:
        amount_minor = spend.amount_minor - left.get(spend.number, 0)
        if amount_minor > 0 and promotions[spend.number].policy.refund != "waive":
            found.append(ReturnedCost(spend.number, spend.asset_code, amount_minor))
    return tuple(found)


def _costs_of(evaluation: Evaluation) -> dict[int, int]:
    return {spend.number: spend.amount_minor for spend in evaluation.spends}
