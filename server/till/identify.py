"""Identify: who is this customer? The only call that gives a name."""

import asyncio

from loyalty.v1 import answer_pb2
from loyalty.v1 import till_service_pb2 as pb
from rewards.facts import CustomerFacts, CustomerState
from rewards.refusal import Reason, Refusal
from server.codec import check
from server.codec.sale_pb import identifier_from_pb
from server.lookups import Wanted
from server.store.database import RetryError
from server.store.facts import read_answers, read_pending
from server.till.context import Context, voice_of
from server.till.durable import look_up_in_time

_NAME_FIELDS = ("first_name", "surname")
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
    seen = await look_up_in_time(context, wanted, deadline_s)
    if seen.customer is None:
        return pb.IdentifyResponse(state=answer_pb2.CUSTOMER_STATE_UNKNOWN).SerializeToString()
    facts = seen.customer.facts
    try:
        async with asyncio.timeout_at(deadline_s):
            name, pending = await _name_and_pending(context, facts)
    except (TimeoutError, RetryError):
        text = "the database cannot be reached; nothing is recorded"
        raise Refusal(Reason.STORE_UNAVAILABLE, text) from None
    return _response(context, chain_id, store_id, facts, name, pending)


async def _name_and_pending(context: Context, facts: CustomerFacts) -> tuple[str, dict[str, int]]:
    async with context.database.reading() as connection:
        answers = await read_answers(connection, facts.account_id, facts.customer_id, _NAME_FIELDS)
        pending = await read_pending(connection, facts.account_id, context.clock())
    surname = answers.get("surname", "")
    initial = f"{surname[0]}." if surname else ""
    return f"{answers.get('first_name', '')} {initial}".strip(), pending


def _response(
    context: Context,
    chain_id: str,
    store_id: str,
    facts: CustomerFacts,
    name: str,
    pending: dict[str, int],
) -> bytes:
    program = context.reference.rules_at(chain_id, context.clock()).program
    store = context.reference.store(chain_id, store_id)
    speaker = voice_of(store, program, store.record.language_code, "").cashier
    state = answer_pb2.CustomerState.ValueType(facts.state)
    response = pb.IdentifyResponse(state=state, display_name=name)
    for asset_code, amount_minor in facts.balances:
        if asset_code in program.assets:
            response.balances.add(
                asset_code=asset_code,
                amount_minor=amount_minor,
                pending_minor=pending.get(asset_code, 0),
                decimals=program.assets[asset_code].decimals,
            )
    if name:
        text = speaker.say("cashier_identified", name=name)
        response.texts.add(place=_CASHIER, style=_NORMAL, text=text)
    if facts.state == CustomerState.BLOCKED:
        text = speaker.say("cashier_blocked")
        response.texts.add(place=_CASHIER, style=_NORMAL, text=text)
    return response.SerializeToString()
