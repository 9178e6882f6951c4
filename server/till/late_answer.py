"""The answer to a sale that came by Forward: spelled when somebody asks for it (ADR 0046).

Nobody waits for it when the sale arrives. What it says follows from what is stored of the sale:
its facts, the version of the rules, and what goods that came back on it changed.
"""

from msgspec.structs import replace

from loyalty.v1 import till_service_pb2 as pb
from rewards.coupon_use import given_out
from rewards.decide import Decision, decide_lines_and_rewards
from rewards.evaluate import Evaluated
from rewards.facts import Facts
from rewards.outcome import counts_for_nothing
from rewards.ruleset import ProgramRules
from rewards.sale import Sale
from rewards.spending import as_sold
from server.codec.answer_pb import spell_answer
from server.codec.asked import Skipped
from server.codec.message import spliced
from server.store.facts import StoredRow
from server.till import evaluation as work
from server.till.context import Context
from server.till.instruments import codes_of
from server.till.original import facts_of, request_of

_ANSWER_FIELD = pb.CheckoutResponse.ANSWER_FIELD_NUMBER


async def with_answer(
    context: Context, key_id: bytes, codes_key_id: bytes, stored: StoredRow
) -> bytes:
    """Give a stored CheckoutResponse of a forwarded sale with the answer in it.

    Figures are the same whenever it is asked for; names and texts are those of today.

    Args:
        context: ports.
        key_id: under which the sale is stored.
        codes_key_id: of which its codes are made.
        stored: as it was written; where nothing was sold there is no answer to give.

    Raises:
        Refusal: NO_RULESET if the chain has lost the version; UNKNOWN_STORE.
        RetryError: the version is not in memory, and the database cannot be reached just now.
    """
    if pb.CheckoutResponse.FromString(stored.answer).HasField("answer"):
        return stored.answer
    sale, kept = request_of(stored)
    if kept.outcome is not None and counts_for_nothing(kept.outcome):
        return stored.answer
    header = sale.header
    rules = await context.reference.rules_of(header.chain_id, stored.ruleset_version)
    store = context.reference.store(header.chain_id, header.store_id)
    scene = work.scene_of(context, store, rules, sale, stored.evaluated_at_us)
    facts = facts_of(stored)
    decision = _decided(scene, facts)
    id_base = kept.basket_id or key_id
    asked = work.asked_of(scene, facts, decision, Skipped(), id_base, may_add=False)
    codes = codes_of(scene, given_out(rules.program, facts, decision.evaluation), codes_key_id)
    answer = spell_answer(replace(asked, codes=codes, returned=dict(kept.returned)))
    return stored.answer + spliced(_ANSWER_FIELD, answer)


def _decided(scene: work.Scene, facts: Facts) -> Decision:
    """What was decided, by what is stored: with what was spent, and within every bound."""

    def sold(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluated:
        return as_sold(rules, sale, facts, scene.context.evaluate)

    decision = decide_lines_and_rewards(scene.rules, scene.sale, facts, sold)
    return replace(decision, spends=facts.spends)
