"""Quote: an open receipt to four sets. Nothing durable; degrades by priority as time runs out."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.commit import Commit
from rewards.decide import Decision, quoted_lines
from rewards.evaluate import Evaluated
from rewards.facts import NO_ACCOUNT, Facts
from rewards.hints import find_hints
from rewards.ledger import Hold
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import SaleMode, encode_sale, fingerprint_of
from server.codec import check
from server.codec.answer_pb import spell_answer
from server.codec.asked import Skipped
from server.codec.sale_form import ReadQuote, sale_of
from server.codec.sale_pb import check_choices, sale_from_pb
from server.codec.shape import shape_of
from server.lookups import Seen, Wanted
from server.store.budget_holds import HeldLease
from server.store.database import RetryError
from server.till import evaluation as work
from server.till import instruments, quotas, returns, spending
from server.till.context import Context, check_currency
from server.till.holds import (
    MINUTE_US,
    basket_key_id_of,
    basket_sold,
    hold_id_of,
    holding_commit,
    versions_in_time,
    write_holds,
)
from server.till.old_rules import rules_of_version
from server.till.refund_answer import spell_exceptions, spell_returns
from server.till.release import free
from server.till.reservation import Reserved, reserved_by, wanted_holds
from server.till.step import step_with
from server.token import QuoteToken

TOKEN_LIFE_US = 60 * 60 * 1_000_000
"""From the first Quote of the basket."""
FACTS_RESERVE_S = 0.15
"""What is kept of the deadline for lines when facts are slow."""
EXTRAS_RESERVE_S = 0.02
"""Prompts and cross-sell are left out when less than this is left."""

_RESPONSE = shape_of(
    pb.QuoteResponse,
    "answer",
    "token",
    "token_expires_at_us",
    "prices_refreshed",
    "returns",
    "return_exceptions",
).one
_DEADLINE = answer_pb2.SET_REASON_DEADLINE
_NO_CUSTOMER = answer_pb2.SET_REASON_NO_CUSTOMER
_NO_FACTS = answer_pb2.SET_REASON_FACTS_UNAVAILABLE


async def quote(context: Context, request: pb.QuoteRequest | ReadQuote, deadline_s: float) -> bytes:
    """Answer a Quote.

    Raises:
        Refusal: a bad request, an unknown store, a token that is not ours.
    """
    basket_id = check.id_of(request.basket_id, "basket_id")
    reserved = reserved_by(request.reserve)
    check.number_of(request.attempt, "attempt", 0, limits.ATTEMPT_MAX)
    check_choices(request.choices)
    if isinstance(request, ReadQuote):
        sale = sale_of(request.sale, context.hash_identifier)
    else:
        sale = sale_from_pb(request.sale, context.hash_identifier)
    store = context.reference.store(sale.header.chain_id, sale.header.store_id)
    now_us = context.clock()
    token = _still_good(context, request.token, basket_id, now_us)
    at_us = token.instant_us if token else now_us
    rules = await _rules(context, sale.header.chain_id, token, at_us, deadline_s)
    check_currency(store, rules.program, sale.header.currency_code)
    scene = work.scene_of(context, store, rules, sale, at_us)
    quoted = await _held(scene, reserved, basket_id, deadline_s)
    scene, facts, decision = quoted.scene, quoted.kept.facts, quoted.kept.decision
    await step_with(quoted.seen)
    decision, skipped = _with_extras(scene, facts, decision, quoted, deadline_s)
    hints = find_hints(rules, sale, facts, decision.evaluation)
    asked = work.asked_of(scene, facts, decision, skipped, basket_id, hints)
    view = spending.view_of(scene, facts, decision, True, quoted.held_until)
    view = replace(view, held_cards=quoted.held_cards)
    expires_at_us = token.expires_at_us if token else now_us + TOKEN_LIFE_US
    new_token = _token(quoted, basket_id, decision.evaluation, expires_at_us)
    if quoted.seen is None and token is not None:
        # Nothing was written: the basket still holds what its last token says.
        new_token = replace(
            new_token,
            hold_ids=token.hold_ids,
            bearers=token.bearers,
            holds_budgets=token.holds_budgets,
        )
    back = await returns.preview(scene, now_us, deadline_s - FACTS_RESERVE_S)
    returned = returns.change_of_assets(back, facts.customer.account_id)
    await step_with(quoted.seen)
    return _RESPONSE(
        spell_answer(replace(asked, spend=view, returned=returned)),
        context.signer.sign(new_token),
        expires_at_us,
        bool(request.token) and token is None,
        spell_returns(store, back.returned),
        spell_exceptions(back.exceptions),
    )


def _still_good(
    context: Context, signed: bytes, basket_id: bytes, now_us: int
) -> QuoteToken | None:
    """The basket's token while it lasts; None if there is none or it has expired."""
    if not signed:
        return None
    token = context.signer.check(signed)
    if token.basket_id != basket_id:
        text = "the token is of another basket"
        raise Refusal(Reason.TOKEN_FOREIGN, text, fields=(("token", text),))
    return token if now_us <= token.expires_at_us else None


async def _rules(
    context: Context, chain_id: str, token: QuoteToken | None, at_us: int, deadline_s: float
) -> ProgramRules:
    if token is None:
        return context.reference.rules_at(chain_id, at_us)
    version = token.ruleset_version
    return await rules_of_version(context.reference, chain_id, version, deadline_s)


class Quoted(NamedTuple):
    """A quote as decided, with what it holds on disk.

    Attributes:
        seen: None if there was no time for the customer's facts.
        held_until: by asset until when the basket holds what it spends, UTC microseconds.
        held_cards: what it holds on gift cards, by account of the card.
        bearers: accounts of bearers on which it holds anything.
        is_new: it holds something, or limits, that it did not hold before.
    """

    scene: work.Scene
    seen: Seen | None
    kept: quotas.Kept
    held_until: Mapping[str, int] = {}
    held_cards: Mapping[int, Hold] = {}
    bearers: tuple[int, ...] = ()
    is_new: bool = False


async def _held(
    scene: work.Scene, reserved: Reserved, basket_id: bytes, deadline_s: float
) -> Quoted:
    """Decide, and hold what is reserved; again if an account has changed meanwhile.

    Raises:
        Refusal: BASKET_SOLD, and nothing is held; accounts keep changing; no time is left to hold
            anything.
    """
    context = scene.context
    quoted: Quoted | None = None

    async def decide() -> Commit | None:
        while True:
            try:
                return await decide_once()
            except _HoldChanged:
                continue

    async def decide_once() -> Commit | None:
        nonlocal quoted
        now_us = context.clock()
        seen = await _facts_in_time(scene, reserved, basket_id, deadline_s)
        seen, facts = await _gathered(scene, seen, deadline_s)
        if seen is None and (reserved.wishes or reserved.coupon_codes or reserved.cards):
            raise _nothing_held()
        basket = instruments.Basket(hold_id_of(basket_id), now_us, cards=tuple(reserved.cards))
        facts, looked, saw_codes = await _with_instruments(
            scene, facts, basket, reserved, deadline_s
        )
        paying, facts, saw_purse = await _paying(
            scene, facts, reserved, basket_id, now_us, deadline_s
        )
        is_live = scene.sale.header.mode != SaleMode.TRAINING
        held = seen.leases if seen is not None else ()
        takes = reserved.budgets and is_live and seen is not None
        await step_with(seen)
        until_s = deadline_s if takes else deadline_s - FACTS_RESERVE_S
        kept = await quotas.decide(paying, facts, quotas.Asking(takes, held), until_s)
        kept = replace(kept, is_whole=kept.is_whole and saw_codes and saw_purse)
        if takes or (held and is_live):
            end_us = now_us + scene.rules.program.hold_minutes * MINUTE_US
            await _hold_budgets(context, basket_id, kept, held, end_us, deadline_s)
        kept = replace(kept, facts=replace(kept.facts, spends=kept.decision.spends))
        if seen is None or not is_live:
            quoted = Quoted(paying, seen, kept)
            return None
        hold_id = hold_id_of(basket_id)
        wanted = wanted_holds(paying, kept, looked, reserved, hold_id, now_us)
        quoted = _quoted(paying, seen, kept, wanted, takes=takes and bool(kept.budget_uses))
        versions = {one: standing.version for one, standing in looked.standings.items()}
        versions[facts.customer.account_id] = facts.customer.account_version
        accounts = set(seen.held)
        versions.update(await versions_in_time(context, accounts - versions.keys(), deadline_s))
        return holding_commit(hold_id, wanted, accounts & versions.keys(), versions, now_us)

    try:
        await write_holds(context, decide, deadline_s)
        assert quoted is not None, "it was decided at least once"
        if quoted.is_new:
            await _check_unsold(context, basket_id, deadline_s)
    except Refusal as refusal:
        if refusal.reason is Reason.BASKET_SOLD:
            await free(context, hold_id_of(basket_id), deadline_s)
        raise
    return quoted


async def _check_unsold(context: Context, basket_id: bytes, deadline_s: float) -> None:
    """See whether a Checkout has overtaken the Quote, that changed nothing of what is now held.

    Raises:
        Refusal: BASKET_SOLD; RESULT_UNKNOWN, there was no time to see it.
    """
    basket_key_id = basket_key_id_of(basket_id)
    try:
        seen = await context.lookups.look_up(Wanted((basket_key_id,), ()), deadline_s)
    except TimeoutError:
        text = "no time was left to see whether the basket was sold meanwhile: ask again"
        raise Refusal(Reason.RESULT_UNKNOWN, text) from None
    if basket_key_id in seen.keys:
        raise basket_sold(seen.keys[basket_key_id])


def _quoted(
    scene: work.Scene,
    seen: Seen,
    kept: quotas.Kept,
    wanted: Mapping[int, tuple[Hold, ...]],
    *,
    takes: bool,
) -> Quoted:
    """A quote with what it holds, by account, and whether it takes limits."""
    account_id = kept.facts.customer.account_id
    held_until = {hold.asset_code: hold.expires_at_us for hold in wanted.get(account_id, ())}
    cards = {one.account_id for one in kept.facts.gift_cards}
    held_cards = {one: hold for one in cards for hold in wanted.get(one, ())}
    holding = [one for one, holds in wanted.items() if holds]
    bearers = tuple(one for one in holding if one < NO_ACCOUNT)
    is_new = bool({*holding} - {*seen.held}) or takes
    return Quoted(scene, seen, kept, held_until, held_cards, bearers, is_new)


class _HoldChanged(Exception):
    """What was to be held is not as it was read any more."""


async def _hold_budgets(
    context: Context,
    basket_id: bytes,
    kept: quotas.Kept,
    held: tuple[HeldLease, ...],
    end_us: int,
    deadline_s: float,
) -> None:
    """Hold what was taken of limits over many receipts, and free what was held before.

    Raises:
        _HoldChanged: decide again.
        Refusal: no time is left.
    """
    hold_id = hold_id_of(basket_id)
    try:
        async with asyncio.timeout_at(deadline_s):
            if await context.budgets.hold(hold_id, kept.budget_uses, held, end_us):
                return
    except RetryError:
        await context.database.recover()
    except TimeoutError:
        raise _nothing_held() from None
    raise _HoldChanged


async def _paying(
    scene: work.Scene,
    facts: Facts,
    reserved: Reserved,
    basket_id: bytes,
    now_us: int,
    deadline_s: float,
) -> tuple[work.Scene, Facts, bool]:
    """What the customer may spend and wants to, and whether there was time to look.

    Raises:
        Refusal: there was none, and something is to be held.
    """
    wishes = spending.joined(reserved.wishes, spending.automatic(scene, facts))
    shows = spending.may_spend(scene.rules.program, facts)
    hold_id = hold_id_of(basket_id)
    if not facts.customer.account_id:
        return scene, facts, True
    try:
        scene, facts = await spending.prepare(
            scene, facts, wishes, hold_id, now_us, False, shows, deadline_s - FACTS_RESERVE_S
        )
    except TimeoutError:
        if not reserved.wishes:
            return scene, facts, False
        raise _nothing_held() from None
    return scene, facts, True


async def _facts_in_time(
    scene: work.Scene, reserved: Reserved, basket_id: bytes, deadline_s: float
) -> Seen | None:
    """The customer's facts, and what the basket holds; None if there was no time for them.

    Raises:
        Refusal: BASKET_SOLD, where something is to be held.
    """
    hashes = work.identifier_hashes(scene.sale)
    program = scene.rules.program
    may_hold = bool(program.spend_rules or program.coupon_series or program.gift_asset)
    hold_ids = (hold_id_of(basket_id),) if may_hold else ()
    has_limits = quotas.index_of(scene.rules) is not None
    lease_hold_ids = (hold_id_of(basket_id),) if has_limits else ()
    if not hashes and not hold_ids and not lease_hold_ids:
        return Seen({}, None)
    # A Checkout may overtake the Quote of its basket: nothing would free what is held then.
    basket_key_id = basket_key_id_of(basket_id)
    key_ids = (basket_key_id,) if any(reserved) else ()
    wanted = Wanted(key_ids, hashes, hold_ids=hold_ids, lease_hold_ids=lease_hold_ids)
    try:
        seen = await scene.context.lookups.look_up(wanted, deadline_s - FACTS_RESERVE_S)
    except TimeoutError:
        return None
    if basket_key_id in seen.keys:
        raise basket_sold(seen.keys[basket_key_id])
    return seen


async def _gathered(
    scene: work.Scene, seen: Seen | None, deadline_s: float
) -> tuple[Seen | None, Facts]:
    """All facts; those of a stranger if there is no time for prices of lists."""
    try:
        return seen, await work.gather_facts(scene, seen, deadline_s - FACTS_RESERVE_S)
    except TimeoutError:
        return None, await work.gather_facts(scene, None, deadline_s)


async def _with_instruments(
    scene: work.Scene,
    facts: Facts,
    basket: instruments.Basket,
    reserved: Reserved,
    deadline_s: float,
) -> tuple[Facts, instruments.Looked, bool]:
    """The facts with coupons and gift cards, and whether there was time to look at them.

    Raises:
        Refusal: there was none, and some are to be held.
    """
    try:
        facts, looked = await instruments.look_at(
            scene, facts, basket, deadline_s - FACTS_RESERVE_S
        )
    except TimeoutError:
        if not reserved.cards and not reserved.coupon_codes:
            return facts, instruments.NOTHING_LOOKED, False
        raise _nothing_held() from None
    return facts, looked, True


def _nothing_held() -> Refusal:
    text = "no time was left to hold what is reserved; nothing is held"
    return Refusal(Reason.DEADLINE_PASSED, text)


def _with_extras(
    scene: work.Scene, facts: Facts, decision: Decision, quoted: Quoted, deadline_s: float
) -> tuple[Decision, Skipped]:
    """Spend the time that is left after lines and rewards by priority: prompts, cross-sell."""
    seen = quoted.seen
    if seen is None:
        return decision, Skipped(_NO_FACTS, _NO_FACTS, _NO_FACTS, _NO_FACTS)
    skipped = Skipped()
    if not quoted.kept.is_whole:
        skipped = Skipped(_NO_FACTS, _NO_FACTS, has_rewards=True)
    if not facts.customer.account_id:
        skipped = replace(skipped, prompts=_NO_CUSTOMER)
    elif _has_time(deadline_s):
        decision = work.add_prompts(scene, decision, seen)
    else:
        skipped = replace(skipped, prompts=_DEADLINE)
    if not _has_time(deadline_s):
        return decision, replace(skipped, items=_DEADLINE)
    return work.add_items(scene, decision, facts), skipped


def _has_time(deadline_s: float) -> bool:
    return deadline_s - asyncio.get_running_loop().time() > EXTRAS_RESERVE_S


def _token(
    quoted: Quoted, basket_id: bytes, evaluation: Evaluated, expires_at_us: int
) -> QuoteToken:
    scene, kept = quoted.scene, quoted.kept
    sale, facts = scene.sale, kept.facts
    return QuoteToken(
        basket_id=basket_id,
        chain_id=sale.header.chain_id,
        store_id=sale.header.store_id,
        account_id=facts.customer.account_id,
        account_version=facts.customer.account_version,
        fingerprint=fingerprint_of(encode_sale(sale)),
        hold_ids=(hold_id_of(basket_id),) if quoted.held_until else (),
        ruleset_version=scene.rules.version,
        instant_us=scene.at_us,
        expires_at_us=expires_at_us,
        lines=quoted_lines(sale, evaluation),
        shown=kept.shown_by(scene.rules),
        spends=spending.told_by(scene, kept.decision),
        bearers=quoted.bearers,
        holds_budgets=bool(kept.budget_uses),
    )
