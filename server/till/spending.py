"""Fetches what a customer can pay with, and says what a quote or a checkout wants to spend.

Lots are read after the account's version, so that a race makes the later one lose. An ordinary
receipt, which spends nothing and costs nothing, does not read them.
"""

import asyncio
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from rewards.commit import ExceptionEntry
from rewards.decide import Decision
from rewards.earn_bound import earn_left
from rewards.facts import Facts
from rewards.ledger import NO_HOLDINGS, Holdings, OwnedLot
from rewards.quota import period_name
from rewards.refusal import Reason, Refusal
from rewards.ruleset import CompiledProgram
from rewards.spend_posting import Taking, counted_by, owed_of
from rewards.spending import (
    EMPTY_PURSE,
    Purse,
    Shortfall,
    Wish,
    automatic_wishes,
    fitting_rules,
    tender_wishes,
)
from server.codec.asked import SpendView
from server.lookups import Wanted
from server.store.database import RetryError
from server.store.holdings import read_holdings
from server.till.context import Context
from server.till.evaluation import Paying, Scene
from server.token import QuoteToken

SPEND_EXCEPTION = 5
"""As ExceptionKind of the contract."""


def may_spend(program: CompiledProgram, facts: Facts) -> bool:
    """Whether the customer may own something that a rule of the program lets them spend."""
    if not program.spend_rules:
        return False
    owned = dict(facts.customer.balances)
    return any(owned.get(one.rule.asset_code, 0) > 0 for one in fitting_rules(program, facts))


def has_costs(program: CompiledProgram, facts: Facts) -> bool:
    """Whether the customer may own something that promotions of the program cost."""
    if not program.cost_assets:
        return False
    owned = dict(facts.customer.balances)
    return any(owned.get(code, 0) > 0 for code in program.cost_assets)


async def _read_purse(
    scene: Scene, facts: Facts, hold_id: bytes, now_us: int, reads_lots: bool, deadline_s: float
) -> Purse:
    """Read what the customer's account can pay with, and what counts against its bounds.

    Args:
        scene: the sale and its rules.
        facts: with the version of the account, which was read before.
        hold_id: the basket's; empty without one.
        now_us: the server's clock, UTC microseconds.
        reads_lots: lots and holds are wanted.
        deadline_s: the loop's time at which waiting ends.

    Raises:
        TimeoutError: the time is up.
    """
    account_id = facts.customer.account_id
    if not account_id:
        return EMPTY_PURSE
    context, program = scene.context, scene.rules.program
    holdings = await _holdings(context, account_id, deadline_s) if reads_lots else NO_HOLDINGS
    day = facts.store.local_day
    periods = sorted({period_name(period, day) for _, _, period in counted_by(program)})
    used: dict[tuple[str, str], int] = {}
    if periods:
        wanted = Wanted((), (), uses=(account_id, tuple(periods)))
        seen = await context.lookups.look_up(wanted, deadline_s)
        used = {key: amount.minor for key, amount in seen.uses.items()}
    return Purse(holdings, used, now_us, hold_id)


async def _holdings(context: Context, account_id: int, deadline_s: float) -> Holdings:
    while True:
        try:
            async with asyncio.timeout_at(deadline_s), context.database.reading() as connection:
                return await read_holdings(connection, account_id)
        except RetryError:
            await context.database.recover()


async def prepare(
    scene: Scene,
    facts: Facts,
    wishes: Sequence[Wish],
    hold_id: bytes,
    now_us: int,
    is_fact: bool,
    reads_lots: bool,
    deadline_s: float,
) -> tuple[Scene, Facts]:
    """Give a scene what its customer pays with, and the facts what they may earn and use.

    Args:
        scene: the sale and its rules.
        facts: with the version of the account, which was read before.
        wishes: what is to be spent.
        hold_id: the basket's; empty without one.
        now_us: the server's clock, UTC microseconds.
        is_fact: it is paid: it was spent, whatever the rules say.
        reads_lots: the lots are wanted although nothing is to be spent.
        deadline_s: the loop's time at which waiting ends.

    Raises:
        TimeoutError: the time is up.
    """
    program, account_id = scene.rules.program, facts.customer.account_id
    reads_lots = bool(account_id) and (reads_lots or bool(wishes) or has_costs(program, facts))
    if not reads_lots and not wishes and not program.earn_bounds:
        return scene, facts
    purse = await _read_purse(scene, facts, hold_id, now_us, reads_lots, deadline_s)
    if reads_lots and program.cost_assets:
        usable = tuple([(code, purse.usable_minor(code)) for code in program.cost_assets])
        facts = replace(facts, customer=replace(facts.customer, usable=usable))
    if program.earn_bounds and account_id:
        facts = replace(facts, earn_left=earn_left(program, facts, purse.used))
    # Without an account there is nothing that could have been spent.
    paying = Paying(tuple(wishes), purse, is_fact and bool(account_id))
    return replace(scene, paying=paying), facts


def purse_of(scene: Scene) -> Purse:
    """What was read of the customer's account; empty if nothing was."""
    return EMPTY_PURSE if scene.paying is None else scene.paying.purse


def wishes_to_sell(
    scene: Scene, facts: Facts, token: QuoteToken | None, is_same: bool, is_plain: bool
) -> tuple[Wish, ...]:
    """What a checkout spends: its tenders, and what its quote has said, or what goes by itself.

    Args:
        scene: the sale and its rules.
        facts: the customer's among them.
        token: of the quote; None if there was none.
        is_same: it is the sale that was quoted: all that was shown is to be spent.
        is_plain: a fact that was sold at the plain price: no line was lowered.
    """
    program = scene.rules.program
    tenders = tender_wishes(program, scene.sale)
    if is_plain:
        return tenders
    if token is None:
        return joined(tenders, automatic(scene, facts))
    return joined(tenders, told_wishes(token, is_same))


def automatic(scene: Scene, facts: Facts) -> tuple[Wish, ...]:
    """What is spent without being asked for, of what the customer may own."""
    program = scene.rules.program
    return automatic_wishes(program, facts) if may_spend(program, facts) else ()


def told_wishes(token: QuoteToken, is_same: bool) -> tuple[Wish, ...]:
    """What a quote has said is spent as a discount; of another sale less may be, by itself."""
    return tuple(
        [Wish(code, minor, automatic and not is_same) for code, minor, automatic in token.spends]
    )


def told_by(scene: Scene, decision: Decision) -> tuple[tuple[str, int, bool], ...]:
    """What a token keeps of what is spent as a discount; tenders stand in the sale."""
    by_itself = (
        set()
        if scene.paying is None
        else {wish.asset_code for wish in scene.paying.wishes if wish.is_automatic}
    )
    return tuple(
        [
            (one.asset_code, one.amount_minor, one.asset_code in by_itself)
            for one in decision.spends
            if not one.is_tender
        ]
    )


def joined(first: Sequence[Wish], second: Sequence[Wish]) -> tuple[Wish, ...]:
    """Wishes, one an asset: the first ones count."""
    if not first or not second:
        return (*first, *second)
    named = {wish.asset_code for wish in first}
    return (*first, *[wish for wish in second if wish.asset_code not in named])


def refusal_of(short: Shortfall, purse: Purse, token: QuoteToken | None) -> Refusal:
    """Why an open receipt cannot spend what it asks for."""
    metadata = {
        "asset_code": short.asset_code,
        "asked_minor": str(short.asked_minor),
        "most_minor": str(short.most_minor),
    }
    if short.no_rule:
        text = "points cannot be spent as a tender: no rule of the program spends this asset so"
        return Refusal(Reason.SPEND_NOT_POSSIBLE, text, metadata)
    is_held = any(
        hold.hold_id == purse.hold_id
        and hold.asset_code == short.asset_code
        and hold.expires_at_us >= purse.at_us
        for hold in purse.holdings.holds
    )
    if token is not None and token.hold_ids and not is_held:
        text = f"the hold has lapsed, and only {short.most_minor} can be spent now: quote again"
        return Refusal(Reason.HOLD_EXPIRED, text, metadata)
    text = f"{short.asked_minor} of {short.asset_code} cannot be spent here, at most"
    return Refusal(Reason.SPEND_NOT_POSSIBLE, f"{text} {short.most_minor}", metadata)


def owed_exceptions(takings: Sequence[Taking]) -> list[ExceptionEntry]:
    """What was spent and is not there, for the list of exceptions."""
    return [
        ExceptionEntry(
            SPEND_EXCEPTION,
            f"{one.missing_minor} of {one.asset_code} were spent and not there: they are owed",
        )
        for one in owed_of(takings)
    ]


def view_of(
    scene: Scene, facts: Facts, decision: Decision, is_offered: bool, held_until: Mapping[str, int]
) -> SpendView:
    """What an answer says of spending besides what the facts say."""
    purse = purse_of(scene)
    expiring: dict[str, tuple[int, int]] = {}
    for one in fitting_rules(scene.rules.program, facts):
        found = _expiring(purse, one.rule.asset_code)
        if found is not None:
            expiring[one.rule.asset_code] = found
    offers = tuple([one for one in decision.offers if one.usable_minor]) if decision.offers else ()
    return SpendView(offers, expiring, held_until, is_offered)


def _expiring(purse: Purse, asset_code: str) -> tuple[int, int] | None:
    """What of an asset expires first, minor units, and until when it counts."""
    lots = [
        lot
        for lot in purse.holdings.lots
        if lot.asset_code == asset_code and lot.expires_at_us and lot.is_usable(purse.at_us)
    ]
    if not lots:
        return None
    ends_us = min([lot.expires_at_us for lot in lots])
    return sum([lot.remaining_minor for lot in lots if lot.expires_at_us == ends_us]), ends_us


def lots_with(purse: Purse, more: Sequence[OwnedLot]) -> tuple[OwnedLot, ...]:
    """The lots of a purse and others, each once."""
    if not more:
        return purse.holdings.lots
    found = {lot.lot_id: lot for lot in more}
    found.update({lot.lot_id: lot for lot in purse.holdings.lots})
    return tuple(found.values())
