"""What Quote and Checkout share: facts for the sale, the decision, and its place in an answer."""

from msgspec import Struct
from msgspec.structs import replace

from rewards.cross_sell import articles_shown
from rewards.decide import (
    Decision,
    decide_cross_sell,
    decide_lines_and_rewards,
    decide_prompts,
)
from rewards.evaluate import Evaluated
from rewards.facts import ANONYMOUS, NO_ACCOUNT, UNKNOWN, CustomerFacts, Facts
from rewards.hints import Hint
from rewards.product import Catalogue
from rewards.ruleset import CompiledLink, ProgramRules
from rewards.sale import EntryMethod, Sale
from rewards.spending import Purse, Wish, decide_spending
from server.codec.asked import Asked, Skipped
from server.lookups import Seen
from server.reference import StoreInfo
from server.till.asked_facts import asked_of_customer, list_prices
from server.till.context import Context, voice_of
from server.till.tiers import with_tier

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


def account_of(seen: Seen) -> int:
    """The account of a sale's customer; NO_ACCOUNT is none."""
    return NO_ACCOUNT if seen.customer is None else seen.customer.facts.account_id


class Paying(Struct, frozen=True):
    """What a customer wants to spend, and what of.

    Attributes:
        is_fact: it is paid: it was spent, whatever the rules say.
    """

    wishes: tuple[Wish, ...]
    purse: Purse
    is_fact: bool = False


class Scene(Struct, frozen=True):
    """A sale with all that its decision depends on but the customer.

    It holds what others may replace while the decision is made (`server.till.step`).

    Attributes:
        at_us: instant of evaluation, UTC microseconds: the quote's frozen one, or now.
        catalogue: the chain's articles as they were when the call began.
        paying: None while nothing can be spent, and what is earned has no bounds.
    """

    context: Context
    store: StoreInfo
    rules: ProgramRules
    sale: Sale
    at_us: int
    catalogue: Catalogue
    paying: Paying | None = None


def scene_of(
    context: Context, store: StoreInfo, rules: ProgramRules, sale: Sale, at_us: int
) -> Scene:
    """A sale with the chain's articles as they are now; the rest as `Scene` has it."""
    catalogue = context.reference.catalogue(sale.header.chain_id)
    return Scene(context, store, rules, sale, at_us, catalogue)


async def gather_facts(scene: Scene, seen: Seen | None, deadline_s: float) -> Facts:
    """Put together everything that the decision reads.

    Args:
        scene: the sale, and when and by which rules it is evaluated.
        seen: what was looked up; None if there was no time for it.
        deadline_s: the loop's time at which waiting for prices of lists ends.

    Raises:
        TimeoutError: the time is up; only for a program that uses price lists.
    """
    articles = scene.catalogue.products
    skus = sorted(set(scene.sale.columns.skus))
    products = tuple(filter(None, map(articles.get, skus)))
    store = scene.store.facts_at(scene.rules, scene.at_us)
    customer = _customer_of(scene, seen, store.local_day)
    program = scene.rules.program
    customer = await with_tier(
        scene.context, program, customer, store.local_day, scene.at_us, deadline_s
    )
    if seen is None or not program.price_lists:
        return Facts(customer, store, products)
    prices = await list_prices(
        scene.context.lookups, program, scene.sale, store, customer, deadline_s
    )
    return Facts(customer, store, products, (), prices)


def _customer_of(scene: Scene, seen: Seen | None, local_day: int) -> CustomerFacts:
    """The customer of a sale, as rules see them; nobody while the facts could not be read."""
    if seen is None:
        return ANONYMOUS
    if seen.customer is not None:
        return asked_of_customer(scene.rules, seen.customer, local_day)
    return UNKNOWN if scene.sale.header.identifiers else ANONYMOUS


def decide_prices(scene: Scene, facts: Facts) -> Decision:
    """Decide lines and rewards, with what is spent on them."""
    paying, evaluate = scene.paying, scene.context.evaluate
    if paying is None:
        return decide_lines_and_rewards(scene.rules, scene.sale, facts, evaluate)
    spent = decide_spending(
        scene.rules, scene.sale, facts, paying.wishes, paying.purse, evaluate, paying.is_fact
    )

    def decided(rules: ProgramRules, sale: Sale, facts: Facts) -> Evaluated:
        return spent.evaluation

    decision = decide_lines_and_rewards(scene.rules, scene.sale, spent.facts, decided)
    return replace(decision, spends=spent.facts.spends, offers=spent.offers, short=spent.short)


def add_prompts(scene: Scene, decision: Decision, seen: Seen | None) -> Decision:
    """Add the prompts."""
    fields = seen.customer.fields if seen is not None and seen.customer is not None else {}
    return decide_prompts(decision, scene.rules, fields, scene.at_us)


def add_items(scene: Scene, decision: Decision, facts: Facts) -> Decision:
    """Add the cross-sell items."""
    catalogue, rules = scene.catalogue, scene.rules

    def shelf(link: CompiledLink) -> tuple[str, ...]:
        return articles_shown(catalogue, rules, link)

    return decide_cross_sell(decision, rules, scene.sale, facts, shelf)


def asked_of(
    scene: Scene,
    facts: Facts,
    decision: Decision,
    skipped: Skipped,
    id_base: bytes,
    hints: tuple[Hint, ...] = (),
    may_add: bool = True,
) -> Asked:
    """Collect what an answer is made of."""
    header, program = scene.sale.header, scene.rules.program
    customer_language = facts.customer.language_code
    return Asked(
        id_base=id_base,
        program=program,
        ruleset_version=scene.rules.version,
        evaluated_at_us=scene.at_us,
        sale=scene.sale,
        facts=facts,
        decision=decision,
        skipped=skipped,
        catalogue=scene.catalogue,
        voice=voice_of(scene.store, program, header.language_code, customer_language),
        hints=hints,
        may_add=may_add,
    )
