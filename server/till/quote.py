"""Quote: an open receipt to four sets. Nothing durable; degrades by priority as time runs out."""

import asyncio

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards import limits
from rewards.decide import Decision, quoted_lines
from rewards.evaluate import Evaluated
from rewards.facts import Facts
from rewards.hints import find_hints
from rewards.refusal import Reason, Refusal
from rewards.ruleset import ProgramRules
from rewards.sale import Sale, encode_sale, fingerprint_of
from server.codec import check
from server.codec.answer_pb import spell_answer
from server.codec.asked import Skipped
from server.codec.sale_pb import sale_from_pb
from server.codec.shape import shape_of
from server.lookups import Seen, Wanted
from server.till import evaluation as work
from server.till.context import Context, check_currency
from server.token import QuoteToken

TOKEN_LIFE_US = 60 * 60 * 1_000_000
"""From the first Quote of the basket."""
FACTS_RESERVE_S = 0.15
"""What is kept of the deadline for lines when facts are slow."""
EXTRAS_RESERVE_S = 0.02
"""Prompts and cross-sell are left out when less than this is left."""

_RESPONSE = shape_of(
    pb.QuoteResponse, "answer", "token", "token_expires_at_us", "prices_refreshed"
).one
_DEADLINE = answer_pb2.SET_REASON_DEADLINE
_NO_CUSTOMER = answer_pb2.SET_REASON_NO_CUSTOMER
_NO_FACTS = answer_pb2.SET_REASON_FACTS_UNAVAILABLE


async def quote(context: Context, request: pb.QuoteRequest, deadline_s: float) -> bytes:
    """Answer a Quote.

    Raises:
        Refusal: a bad request, an unknown store, a token that is not ours.
    """
    basket_id = check.id_of(request.basket_id, "basket_id")
    if request.HasField("reserve"):
        raise Refusal(Reason.NOT_OFFERED, "holds are not offered by this version: omit reserve")
    check.number_of(request.attempt, "attempt", 0, limits.ATTEMPT_MAX)
    check.count_of(len(request.choices), "choices", limits.CHOICES_MAX)
    sale = sale_from_pb(request.sale, context.hash_identifier)
    store = context.reference.store(sale.header.chain_id, sale.header.store_id)
    now_us = context.clock()
    token = _still_good(context, request.token, basket_id, now_us)
    at_us = token.instant_us if token else now_us
    rules = await _rules(context, sale.header.chain_id, token, at_us)
    check_currency(store, rules.program, sale.header.currency_code)
    seen = await _facts_in_time(context, sale, deadline_s)
    scene = work.Scene(context, store, rules, sale, at_us)
    seen, facts = await _gathered(scene, seen, deadline_s)
    decision, skipped = _decide(scene, facts, seen, deadline_s)
    hints = find_hints(rules, sale, facts, decision.evaluation)
    asked = work.asked_of(scene, facts, decision, skipped, basket_id, hints)
    expires_at_us = token.expires_at_us if token else now_us + TOKEN_LIFE_US
    new_token = _token(scene, basket_id, facts, decision.evaluation, expires_at_us)
    return _RESPONSE(
        spell_answer(asked),
        context.signer.sign(new_token),
        expires_at_us,
        bool(request.token) and token is None,
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
    context: Context, chain_id: str, token: QuoteToken | None, at_us: int
) -> ProgramRules:
    if token is None:
        return context.reference.rules_at(chain_id, at_us)
    return await context.reference.rules_of(chain_id, token.ruleset_version)


async def _facts_in_time(context: Context, sale: Sale, deadline_s: float) -> Seen | None:
    """The customer's facts; None if there was no time for them."""
    hashes = work.identifier_hashes(sale)
    if not hashes:
        return Seen({}, None)
    try:
        return await context.lookups.look_up(Wanted((), hashes), deadline_s - FACTS_RESERVE_S)
    except TimeoutError:
        return None


async def _gathered(
    scene: work.Scene, seen: Seen | None, deadline_s: float
) -> tuple[Seen | None, Facts]:
    """All facts; those of a stranger if there is no time for prices of lists."""
    try:
        return seen, await work.gather_facts(scene, seen, deadline_s - FACTS_RESERVE_S)
    except TimeoutError:
        return None, await work.gather_facts(scene, None, deadline_s)


def _decide(
    scene: work.Scene, facts: Facts, seen: Seen | None, deadline_s: float
) -> tuple[Decision, Skipped]:
    """Spend the time that is left by priority: lines, rewards, prompts, cross-sell."""
    decision = work.decide_prices(scene, facts)
    if seen is None:
        return decision, Skipped(_NO_FACTS, _NO_FACTS, _NO_FACTS, _NO_FACTS)
    skipped = Skipped()
    if not facts.customer.account_id:
        skipped = skipped._replace(prompts=_NO_CUSTOMER)
    elif _has_time(deadline_s):
        decision = work.add_prompts(scene, decision, seen)
    else:
        skipped = skipped._replace(prompts=_DEADLINE)
    if not _has_time(deadline_s):
        return decision, skipped._replace(items=_DEADLINE)
    return work.add_items(scene, decision, facts), skipped


def _has_time(deadline_s: float) -> bool:
    return deadline_s - asyncio.get_running_loop().time() > EXTRAS_RESERVE_S


def _token(
    scene: work.Scene,
    basket_id: bytes,
    facts: Facts,
    evaluation: Evaluated,
    expires_at_us: int,
) -> QuoteToken:
    sale = scene.sale
    return QuoteToken(
        basket_id=basket_id,
        chain_id=sale.header.chain_id,
        store_id=sale.header.store_id,
        account_id=facts.customer.account_id,
        account_version=facts.customer.account_version,
        fingerprint=fingerprint_of(encode_sale(sale)),
        hold_ids=(),
        ruleset_version=scene.rules.version,
        instant_us=scene.at_us,
        expires_at_us=expires_at_us,
        lines=quoted_lines(sale, evaluation),
    )
