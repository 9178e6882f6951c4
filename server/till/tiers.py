"""The tier of a receipt's customer: given, earned by turnover, or imported."""

import asyncio

from msgspec.structs import replace

from rewards.evaluate import Evaluated
from rewards.facts import CustomerFacts, Facts
from rewards.instrument import is_tier, tier_of
from rewards.outcome import paid_by_line
from rewards.ruleset import CompiledProgram
from rewards.sale import Outcome, Sale
from rewards.tier import best_tier, earned_tiers, first_day, turnover_of
from server.store.database import RetryError
from server.store.turnover import read_given_tiers, read_turnover
from server.till.context import Context

TurnoverChange = tuple[int, int, int]
"""Local day, minor units, receipts."""


async def with_tier(
    context: Context,
    program: CompiledProgram,
    customer: CustomerFacts,
    local_day: int,
    at_us: int,
    deadline_s: float,
) -> CustomerFacts:
    """A customer with the tier that counts now.

    Costs nothing for a program without tier rules and a customer who was given no tier.

    Raises:
        TimeoutError: the time is up.
    """
    given = [code for code, minor in customer.balances if minor > 0 and is_tier(code)]
    rules = program.tier_rules
    account_id = customer.account_id
    if not account_id or not (rules or given):
        return customer
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                bought, kept = {}, []
                if rules:
                    start = first_day(rules, local_day)
                    bought = await read_turnover(connection, account_id, start, local_day)
                if given:
                    kept = await read_given_tiers(connection, account_id, given, at_us)
        except RetryError:
            await context.database.recover()
            continue
        candidates = [*map(tier_of, kept), *earned_tiers(rules, bought, local_day), customer.tier]
        return replace(customer, tier=best_tier(rules, candidates))


def bought_by(
    program: CompiledProgram,
    sale: Sale,
    facts: Facts,
    evaluation: Evaluated,
    outcome: Outcome | None,
) -> tuple[TurnoverChange, ...]:
    """What a receipt adds to its customer's turnover; nothing without tier rules.

    Args:
        program: by which it is sold.
        sale: as it was scanned.
        facts: of the sale.
        evaluation: as it is decided.
        outcome: what the till did, if it says so: what it took is counted.
    """
    if not program.tier_rules or not facts.customer.account_id:
        return ()
    turnover = turnover_of(sale, evaluation, paid_by_line(outcome))
    return ((facts.store.local_day, turnover.amount_minor, turnover.receipts),)
