"""Facts that only some programs ask for: birthdays, counters, own offers, prices of lists.

What a program does not ask for costs its receipts nothing, and is not stored with them.
"""

from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from rewards.birthday import days_to_birthday
from rewards.facts import CustomerFacts, ListPrice, StoreFacts
from rewards.gate import AmountGate
from rewards.list_price import FoundPrice, choose_prices, places_of
from rewards.ruleset import CompiledProgram, ProgramRules
from rewards.sale import Sale
from server.lookups import Lookups, Wanted
from server.store.facts import KnownCustomer
from server.store.prices import price_key

_HISTORY = "history:"


class _Asked(Struct, frozen=True):
    """What a program asks about a customer.

    Attributes:
        birthday_low: days to the nearest birthday that a promotion may ask for: from here ...
        birthday_high: ... to here, both included; below the low end if none asks.
    """

    birthday_low: int
    birthday_high: int
    counters: frozenset[str]
    offers: frozenset[str]


_ASKED: WeakKeyDictionary[ProgramRules, _Asked] = WeakKeyDictionary()


def asked_of_customer(rules: ProgramRules, known: KnownCustomer, local_day: int) -> CustomerFacts:
    """The customer's facts with what the program asks for, and nothing else."""
    facts, asked = known.facts, _asked(rules)
    if facts.counters or facts.offers:
        facts = replace(
            facts,
            counters=tuple([one for one in facts.counters if one[0] in asked.counters]),
            offers=tuple([one for one in facts.offers if one.offer_code in asked.offers]),
        )
    if known.birth_day is None or asked.birthday_high < asked.birthday_low:
        return facts
    days = days_to_birthday(known.birth_day, local_day)
    if asked.birthday_low <= days <= asked.birthday_high:
        return replace(facts, birthday_in_days=days)
    return facts


async def list_prices(
    lookups: Lookups,
    program: CompiledProgram,
    sale: Sale,
    store: StoreFacts,
    customer: CustomerFacts,
    deadline_s: float,
) -> tuple[ListPrice, ...]:
    """The prices of the program's lists for a receipt; at once if it uses none.

    Raises:
        TimeoutError: the time is up.
    """
    if not program.price_lists:
        return ()
    units: dict[str, set[int]] = {}
    for line in sale.lines:
        units.setdefault(line.sku, set()).add(line.unit)
    chain_id = sale.header.chain_id
    places = {
        price_key(chain_id, place): place
        for place in places_of(program.price_lists, sorted(units), store, customer)
    }
    seen = await lookups.look_up(Wanted((), (), tuple(places)), deadline_s)
    found = [FoundPrice(places[key], unit, minor) for key, (unit, minor) in seen.prices.items()]
    return choose_prices(found, units)


def _asked(rules: ProgramRules) -> _Asked:
    found = _ASKED.get(rules)
    if found is None:
        found = _ASKED[rules] = _asked_by(rules.program)
    return found


def _asked_by(program: CompiledProgram) -> _Asked:
    numbers = [gate for one in program.promotions for gate in one.number_gates]
    birthdays = [gate for gate in numbers if gate.name == "birthday"]
    amounts = [gate for one in program.promotions for gate in one.basket_gates]
    offers = {gate.own_offer for gate in amounts if isinstance(gate, AmountGate)}
    offers.update(chosen.own_offer for chosen in program.sets.sets)
    return _Asked(
        min((gate.low for gate in birthdays), default=0),
        max((gate.high for gate in birthdays), default=-1),
        frozenset(
            gate.name.removeprefix(_HISTORY) for gate in numbers if gate.name.startswith(_HISTORY)
        ),
        frozenset(offers - {""}),
    )
