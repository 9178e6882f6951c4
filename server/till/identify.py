"""Identify: who is this customer? The only call that gives a name."""

import asyncio
import contextlib
from datetime import tzinfo

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.facts import CustomerFacts
from rewards.program import Asset
from rewards.refusal import Reason, Refusal
from rewards.ruleset import CompiledProgram
from rewards.statement import Due, Position, nothing_of, positions
from server.codec import check
from server.codec.sale_pb import identifier_from_pb
from server.codec.text_pb import said_of_state
from server.lookups import Wanted
from server.reference import StoreInfo
from server.store.database import RetryError
from server.store.facts import read_answers
from server.store.holdings import read_holdings
from server.store.membership import read_member_by_id
from server.texts import Speaker
from server.till.context import Context, voice_of
from server.till.durable import look_up_in_time

_NAME_FIELDS = ("first_name", "surname")
_NEVER = Due(0, 0)
_CASHIER, _NORMAL = answer_pb2.TEXT_PLACE_CASHIER, answer_pb2.TEXT_STYLE_NORMAL


async def identify(context: Context, request: pb.IdentifyRequest, deadline_s: float) -> bytes:
    """Say who a customer is and what they own. An unknown one does not stop the sale.

    Raises:
        Refusal: a bad request, an unknown store, or no time.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    store_id = check.text_of(request.store_id, "store_id")
    if not request.HasField("identifier"):
        check.refuse_required("identifier")
    identifier = identifier_from_pb(
        request.identifier, "identifier", chain_id, context.hash_identifier
    )
    context.reference.store(chain_id, store_id)
    wanted = Wanted((), (identifier.identifier_hash,))
    known = None
    while known is None:
        seen = await look_up_in_time(context, wanted, deadline_s)
        if seen.customer is None:
            return _unknown(context, chain_id, store_id)
        facts = seen.customer.facts
        try:
            async with asyncio.timeout_at(deadline_s):
                known = await _name_and_owned(context, facts)
        except (TimeoutError, RetryError):
            text = "the database cannot be reached; nothing is recorded"
            raise Refusal(Reason.STORE_UNAVAILABLE, text) from None
    return _response(context, chain_id, store_id, facts, *known)


async def _name_and_owned(
    context: Context, facts: CustomerFacts
) -> tuple[str, tuple[Position, ...]] | None:
    """None: the customer has moved to another account since they were looked up."""
    async with context.database.reading() as connection:
        answers = await read_answers(connection, facts.account_id, facts.customer_id, _NAME_FIELDS)
        holdings = await read_holdings(connection, facts.account_id)
        if not holdings.lots:
            member = await read_member_by_id(connection, facts.customer_id)
            if member is not None and member.account_id != facts.account_id:
                return None
    surname = answers.get("surname", "")
    initial = f"{surname[0]}." if surname else ""
    return f"{answers.get('first_name', '')} {initial}".strip(), positions(
        holdings, context.clock()
    )


def _response(
    context: Context,
    chain_id: str,
    store_id: str,
    facts: CustomerFacts,
    name: str,
    owned: tuple[Position, ...],
) -> bytes:
    program, store, speaker = _speaking(context, chain_id, store_id)
    state = answer_pb2.CustomerState.ValueType(facts.state)
    response = pb.IdentifyResponse(state=state, display_name=name)
    if name:
        text = speaker.say("cashier_identified", name=name)
        response.texts.add(place=_CASHIER, style=_NORMAL, text=text)
    _say_state(response, program, speaker)
    by_code = {one.asset_code: one for one in owned}
    # An asset that was owned once is shown, were it as nothing.
    for asset_code in sorted({*by_code, *(code for code, _ in facts.balances)}):
        if asset_code in program.assets:
            one = by_code.get(asset_code) or nothing_of(asset_code)
            asset = program.assets[asset_code]
            response.balances.append(_balance_pb(one, asset.decimals))
            if one.expiring:
                text = _expiring(speaker, store.zone, asset, one.expiring[0])
                response.texts.add(place=_CASHIER, style=_NORMAL, text=text)
    return response.SerializeToString()


def _unknown(context: Context, chain_id: str, store_id: str) -> bytes:
    response = pb.IdentifyResponse(state=answer_pb2.CUSTOMER_STATE_UNKNOWN)
    # A chain without a program has no words of its own; that stops nobody's sale here.
    with contextlib.suppress(Refusal):
        program, _, speaker = _speaking(context, chain_id, store_id)
        _say_state(response, program, speaker)
    return response.SerializeToString()


def _speaking(
    context: Context, chain_id: str, store_id: str
) -> tuple[CompiledProgram, StoreInfo, Speaker]:
    """Who speaks to the cashier, by the rules of now.

    Raises:
        Refusal: NO_RULESET.
    """
    program = context.reference.rules_at(chain_id, context.clock()).program
    store = context.reference.store(chain_id, store_id)
    return program, store, voice_of(store, program, store.record.language_code, "").cashier


def _say_state(response: pb.IdentifyResponse, program: CompiledProgram, speaker: Speaker) -> None:
    """Tell the cashier of the customer's state, as the answers of a sale do."""
    said = said_of_state(program, response.state)
    if said:
        response.texts.add(place=_CASHIER, style=_NORMAL, text=speaker.say(said))


def _balance_pb(one: Position, decimals: int) -> answer_pb2.AssetBalance:
    ends = one.expiring[0] if one.expiring else _NEVER
    return answer_pb2.AssetBalance(
        asset_code=one.asset_code,
        amount_minor=one.amount_minor,
        pending_minor=one.pending_minor,
        decimals=decimals,
        held_minor=one.held_minor,
        debt_minor=one.debt_minor,
        expiring_minor=ends.amount_minor,
        expires_at_us=ends.at_us,
    )


def _expiring(speaker: Speaker, zone: tzinfo, asset: Asset, due: Due) -> str:
    """Say how much ends first, and when."""
    amount = speaker.amount(due.amount_minor, asset)
    name = speaker.asset(due.amount_minor, asset)
    day = speaker.day(due.at_us, zone)
    return speaker.say("cashier_expiring", day=day, amount=amount, asset=name).strip()
