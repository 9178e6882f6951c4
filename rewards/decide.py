"""What is decided of a receipt: the four sets, and how they differ from a quote."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from rewards.coupon_use import coupons_used, with_coupons
from rewards.cross_sell import ArticlesOf, CrossSellItem, choose_items, items_max
from rewards.earn_bound import within_balances
from rewards.evaluate import Evaluated
from rewards.facts import Facts, FieldState, Instrument, Spent
from rewards.prompts import Prompt, due_prompts
from rewards.ruleset import ProgramRules
from rewards.sale import Outcome, OutcomeKind, Sale
from rewards.spending import Offer, Shortfall

Evaluator = Callable[[ProgramRules, Sale, Facts], Evaluated]
"""Says what the rules make of a receipt: the kernel, or its reference twin."""


class Decision(Struct, frozen=True):
    """The four sets. `prompts` or `items` is None where the set was skipped or is switched off.

    Attributes:
        can_ask: the till can ask questions; prompts are switched off where it cannot.
        used: coupons that promotions fired by.
        spends: what the customer spends of their own.
        offers: what may be spent.
        short: what was to be spent and is not covered.
    """

    evaluation: Evaluated
    prompts: tuple[Prompt, ...] | None
    items: tuple[CrossSellItem, ...] | None
    can_ask: bool = True
    used: tuple[Instrument, ...] = ()
    spends: tuple[Spent, ...] = ()
    offers: tuple[Offer, ...] = ()
    short: tuple[Shortfall, ...] = ()


class DifferenceReason(IntEnum):
    """As DifferenceReason of the contract."""

    SALE_CHANGED = 1
    FACTS_CHANGED = 2
    TOKEN_NOT_USED = 3


class Difference(NamedTuple):
    """A line that costs something else than quoted, minor units.

    Attributes:
        rises: the price of a piece is above the quoted one.
    """

    line_id: str
    quoted_minor: int
    amount_minor: int
    reason: DifferenceReason
    rises: bool


QuotedLine = tuple[str, int, int]
"""line_id, thousandths, quoted minor units."""


def decide_lines_and_rewards(
    rules: ProgramRules, sale: Sale, facts: Facts, evaluate: Evaluator
) -> Decision:
    """Decide the two sets that are never left out; the other two are skipped."""
    can_ask = sale.header.capabilities.ask_question
    evaluation = within_balances(rules.program, facts, evaluate(rules, sale, facts))
    used = coupons_used(rules.program, sale, facts, evaluation)
    if facts.coupons:
        evaluation = with_coupons(facts, evaluation, used)
    return Decision(evaluation, None, None, can_ask, used)


def decide_prompts(
    decision: Decision, rules: ProgramRules, fields: Mapping[str, FieldState], at_us: int
) -> Decision:
    """Add the prompts, if the till can ask."""
    if not decision.can_ask:
        return decision
    return replace(decision, prompts=due_prompts(rules.program, fields, at_us))


def decide_cross_sell(
    decision: Decision, rules: ProgramRules, sale: Sale, facts: Facts, articles_of: ArticlesOf
) -> Decision:
    """Add the cross-sell items, if they are not switched off for the till's group."""
    count_max = items_max(rules.program, sale.header)
    if not count_max:
        return decision
    products = facts.products_by_sku
    segments = facts.customer.segments
    items = choose_items(rules, sale, products, segments, articles_of, count_max)
    return replace(decision, items=items)


def quoted_lines(sale: Sale, evaluation: Evaluated) -> tuple[QuotedLine, ...]:
    """The lines that promotions changed, as a token keeps them: without what is spent on them."""
    return tuple(
        [
            (line.line_id, line.quantity_milli, outcome.price_minor)
            for line, outcome in zip(sale.lines, evaluation.outcomes, strict=True)
            if outcome is not None and outcome.adjustments
        ]
    )


def differences(
    sale: Sale, evaluation: Evaluated, quoted: tuple[QuotedLine, ...], same_sale: bool
) -> tuple[Difference, ...]:
    """Hold a sale against what its quote said of the lines that promotions had changed.

    Args:
        sale: the sale now.
        evaluation: what the rules say of it now.
        quoted: `quoted_lines` of the quote.
        same_sale: the fingerprint is the quoted one; then a line that was not changed in the
            quote was quoted as it was sent.

    Returns:
        The lines whose price for the same quantity is another, in the order of the sale.
    """
    if same_sale and quoted_lines(sale, evaluation) == quoted:
        return ()
    reason = DifferenceReason.FACTS_CHANGED if same_sale else DifferenceReason.SALE_CHANGED
    by_line = {line_id: (milli, minor) for line_id, milli, minor in quoted}
    found = []
    for line, outcome in zip(sale.lines, evaluation.outcomes, strict=True):
        if outcome is None:
            continue
        was = by_line.get(line.line_id)
        if was is None:
            if not (same_sale and outcome.adjustments):
                continue
            was = (line.quantity_milli, line.amount_minor)
        before, now = was[1] * line.quantity_milli, outcome.price_minor * was[0]
        if before != now:
            found.append(
                Difference(line.line_id, was[1], outcome.price_minor, reason, now > before)
            )
    return tuple(found)


def outcome_differs(sale: Sale, evaluation: Evaluated, outcome: Outcome | None) -> str:
    """Say how what the till did differs from what is answered; empty if it does not.

    Returns:
        Facts for the back office: line ids with paid and answered amounts, at most ten.
    """
    if outcome is None or outcome.kind in (OutcomeKind.AS_ANSWERED, OutcomeKind.UNKNOWN):
        return ""
    if outcome.kind == OutcomeKind.NOT_SOLD:
        return "not sold"
    stated = dict(outcome.lines)
    found = []
    for line, decided in zip(sale.lines, evaluation.outcomes, strict=True):
        if decided is None:
            continue
        paid_minor = stated.get(line.line_id, line.amount_minor)
        if paid_minor != decided.amount_minor:
            found.append(f"{line.line_id}: paid {paid_minor}, answered {decided.amount_minor}")
    return "; ".join(found[:10])
