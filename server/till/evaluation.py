"""What Quote and Checkout share: facts for the sale, the decision, and its place in an answer."""

from collections.abc import Mapping

from rewards.decide import (
    Decision,
    decide_cross_sell,
    decide_lines_and_rewards,
    decide_prompts,
)
from rewards.facts import ANONYMOUS, UNKNOWN, CustomerFacts, Facts, FieldState
from rewards.ruleset import CompiledLink, ProgramRules
from rewards.sale import EntryMethod, Sale
from server.codec.answer_pb import Asked, Skipped
from server.lookups import Seen
from server.reference import StoreInfo
from server.till.context import Context, voice_of

_SURE_FIRST: dict[int, int] = {
    EntryMethod.SCANNED: 0,
    EntryMethod.APP_TOKEN: 1,
    EntryMethod.KEYED: 2,
    EntryMethod.DICTATED: 3,
}


def identifier_hashes(sale: Sale) -> tuple[bytes, ...]:
    """The sale's identifiers, the surest first: the first that anybody has names the customer."""
    ordered = sorted(sale.header.identifiers, key=lambda found: _SURE_FIRST[found.entry_method])
    return tuple(found.identifier_hash for found in ordered)


def customer_of(sale: Sale, seen: Seen | None) -> CustomerFacts:
    """The customer of a sale, as rules see them; nobody while the facts could not be read."""
    if seen is None:
        return ANONYMOUS
    if seen.customer is not None:
        return seen.customer.facts
    return UNKNOWN if sale.header.identifiers else ANONYMOUS


def fields_of(seen: Seen | None) -> Mapping[str, FieldState]:
    """What is known of the customer's profile."""
    return seen.customer.fields if seen is not None and seen.customer is not None else {}


def gather_facts(
    context: Context,
    rules: ProgramRules,
    store: StoreInfo,
    sale: Sale,
    customer: CustomerFacts,
    at_us: int,
) -> Facts:
    """Put together everything that the decision reads."""
    articles = context.reference.catalogue(sale.header.chain_id).products
    skus = sorted({line.sku for line in sale.lines})
    products = tuple([articles[sku] for sku in skus if sku in articles])
    return Facts(customer, store.facts_at(rules, at_us), products)


def decide_prices(context: Context, rules: ProgramRules, sale: Sale, facts: Facts) -> Decision:
    """Decide lines and rewards."""
    return decide_lines_and_rewards(rules, sale, facts, context.allocate)


def add_prompts(
    decision: Decision, rules: ProgramRules, fields: Mapping[str, FieldState], at_us: int
) -> Decision:
    """Add the prompts."""
    return decide_prompts(decision, rules, fields, at_us)


def add_items(
    context: Context, decision: Decision, rules: ProgramRules, sale: Sale, facts: Facts
) -> Decision:
    """Add the cross-sell items."""
    catalogue = context.reference.catalogue(sale.header.chain_id)

    def shelf(link: CompiledLink) -> tuple[str, ...]:
        return context.reference.shelf(catalogue, link)

    return decide_cross_sell(decision, rules, sale, facts, shelf)


def asked_of(
    context: Context,
    rules: ProgramRules,
    store: StoreInfo,
    sale: Sale,
    facts: Facts,
    decision: Decision,
    skipped: Skipped,
    id_base: bytes,
    at_us: int,
) -> Asked:
    """Collect what an answer is made of."""
    language = sale.header.language_code
    return Asked(
        id_base=id_base,
        program=rules.program,
        ruleset_version=rules.version,
        evaluated_at_us=at_us,
        sale=sale,
        facts=facts,
        decision=decision,
        skipped=skipped,
        catalogue=context.reference.catalogue(sale.header.chain_id),
        voice=voice_of(store, rules.program, language, facts.customer.language_code),
    )
