"""A sale and its facts as the kernel reads them: lines as they are, all else as flat integers.

Names become the numbers of the plan; names that the plan does not know fall away, as no rule asks
about them. The list is a row of `Header`, then for each count of it so many rows, in the order in
which `lower` writes them; rows are those of `ext/engine_rows.pxi`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import astuple

from rewards.authored import ProductSet
from rewards.facts import NO_ACCOUNT, CustomerFacts, CustomerState, Facts, OwnOffer
from rewards.gate import MINUTES_A_DAY
from rewards.plan import NONE, Plan, lower_program
from rewards.product import ArticleMemo, Product, fits_rest, sets_of
from rewards.reading import BIN_MIN, DAYS_A_WEEK, EARNING_STATES, coupon_tokens
from rewards.ruleset import CHANNEL_NUMBERS, CompiledProgram
from rewards.sale import Line, LineColumns, Sale, TenderKind

_LINE_FIELDS = (
    "sku",
    "quantity_milli",
    "unit",
    "unit_price_scaled",
    "unit_price_scale",
    "amount_minor",
    "price_source",
    "kind",
    "action",
    "minimum_amount_minor",
    "no_discount",
    "no_earn",
    "no_spend",
    "cancelled",
)
assert Line.__struct_fields__[1:15] == _LINE_FIELDS, "the kernel reads lines in this order"
_MINUTE, _BIRTHDAY, _PURCHASE, _DAYS_SINCE_PURCHASE = range(4)
_TENDER_NAMES = {kind.value: kind.name.lower() for kind in TenderKind}


class Lowered(NamedTuple):
    """A receipt for `ext.engine.Engine.evaluate`.

    Attributes:
        lines: the values of each line.
        articles: by sku, in their order, those on the receipt: flags, floor, gift, sets.
        facts: everything else.
    """

    lines: list[tuple[object, ...]]
    articles: dict[str, tuple[int, ...]]
    facts: list[int]


class Lowering:
    """Lowers receipts for one program; remembers articles."""

    def __init__(self, program: CompiledProgram) -> None:
        """Lower the program, too: its plan stands in `plan`."""
        self.program = program
        self.plan: Plan = lower_program(program)
        tokens = self.plan.tokens
        channels, weekdays = tokens.get("channel", {}), tokens.get("weekday", {})
        self._channels = {
            n: channels[name] for name, n in CHANNEL_NUMBERS.items() if name in channels
        }
        self._weekdays = [weekdays.get(str(day), NONE) for day in range(1, DAYS_A_WEEK + 1)]
        self._asks_payment = "tender" in tokens or "bin" in tokens
        self._articles = ArticleMemo(self._learn)

    def lower(self, sale: Sale, facts: Facts, only: Collection[int] | None = None) -> Lowered:
        """Lower a receipt.

        Args:
            sale: what was scanned.
            facts: everything else that is read.
            only: numbers of the promotions that may take part; without it all.
        """
        header, customer, plan = sale.header, facts.customer, self.plan
        products = facts.products_by_sku
        skus = sorted(set(sale.columns.skus))
        articles = dict(zip(skus, self._articles.of_each(skus, products), strict=True))
        ranks = _ranks(sale.columns, len(articles))
        tokens = self._tokens(sale, facts)
        coupons = self._coupons(sale, facts) if header.coupon_codes or facts.coupons else ()
        numbers = self._numbers(facts)
        balances = _usable(customer, plan.costs) if plan.costs else ()
        offers = _thresholds(customer.offers, plan.own_offers) if customer.offers else ()
        quotas = _quotas(facts, plan.quotas) if facts.quotas else ()
        prices = _prices(facts, plan.price_lists, articles) if facts.prices else ()
        extras = self._offered(articles, products, customer.offers) if customer.offers else ()
        chosen = () if only is None else sorted(set(only))
        can = header.capabilities
        is_known = customer.account_id != NO_ACCOUNT
        lowered = [
            bool(ranks),
            can.zero_price,
            can.split_line,
            can.add_piece,
            is_known,
            is_known and customer.state in EARNING_STATES,
            customer.state == CustomerState.ACTIVE,
            _by_points_minor(sale) if sale.tenders else 0,
            len(tokens),
            len(coupons),
            len(numbers) >> 1,
            len(balances) >> 1,
            len(offers) >> 1,
            len(quotas) >> 2,
            len(prices) // 3,
            len(extras) >> 1,
            NONE if only is None else len(chosen),
        ]
        lowered += ranks
        parts = (tokens, coupons, numbers, balances, offers, quotas, prices, extras, chosen)
        for part in filter(None, parts):
            lowered += part
        return Lowered(list(map(astuple, sale.lines)), articles, lowered)

    def _learn(self, sku: str, product: Product | None) -> tuple[int, ...]:
        """Lower an article: its flags, floor and sets."""
        found = sets_of(self.program.sets, sku, product)
        flags = (False, False, 0)
        if product is not None:
            flags = (product.no_discount, product.no_earn, product.minimum_price_minor)
        return (*flags, self.plan.gift_skus.get(sku, NONE), len(found), *found)

    def _tokens(self, sale: Sale, facts: Facts) -> list[int]:
        """Numbers of the receipt's tokens but those of coupons."""
        header, customer, store, known = sale.header, facts.customer, facts.store, self.plan.tokens
        found = [self._channels.get(header.till_type, NONE)]
        found.append(self._weekdays[(store.local_day - 1) % DAYS_A_WEEK])
        if "zone" in known:
            found += _numbered(store.zones, known["zone"])
        if header.manual_triggers and "trigger" in known:
            found += _numbered(header.manual_triggers, known["trigger"])
        if self._asks_payment:
            found += self._paid_by(sale)
        if header.staff_purchase and "staff" in known:
            found += known["staff"].values()
        if customer.account_id:
            if "customer" in known:
                found += known["customer"].values()
            if "segment" in known:
                found += _numbered(customer.segments, known["segment"])
            if customer.tier and "tier" in known:
                found += _numbered((customer.tier,), known["tier"])
        return [one for one in found if one >= 0]

    def _paid_by(self, sale: Sale) -> list[int]:
        known = self.plan.tokens
        kinds = [_TENDER_NAMES[one.kind] for one in sale.tenders]
        bins = [start for one in sale.tenders for start in _bins(one.card_bin)]
        return _numbered(kinds, known.get("tender", {})) + _numbered(bins, known.get("bin", {}))

    def _coupons(self, sale: Sale, facts: Facts) -> list[int]:
        """Numbers of the coupons that count, in their order."""
        known = self.plan.tokens
        parts = [one.partition(":") for one in coupon_tokens(self.program, sale, facts)]
        return [known[kind][name] for kind, _, name in parts if name in known.get(kind, {})]

    def _numbers(self, facts: Facts) -> list[int]:
        """The numbers that gates compare, each behind its slot."""
        customer, store = facts.customer, facts.store
        found = [_MINUTE, store.local_day * MINUTES_A_DAY + store.local_minute]
        if not customer.account_id:
            return found
        if customer.birthday_in_days is not None:
            found += (_BIRTHDAY, customer.birthday_in_days)
        found += (_PURCHASE, customer.purchases + 1)
        if customer.last_purchase_day:
            found += (_DAYS_SINCE_PURCHASE, store.local_day - customer.last_purchase_day)
        if self.plan.histories:
            found += _known(customer.counters, self.plan.histories)
        if self.plan.balances:
            found += _known(customer.balances, self.plan.balances)
        return found

    def _offered(
        self, skus: Iterable[str], products: Mapping[str, Product], offers: Sequence[OwnOffer]
    ) -> list[int]:
        """Which articles are in which sets by the customer's own offer: (article, set)."""
        index = self.program.sets
        return [
            one
            for number in index.offered
            for place, sku in enumerate(skus)
            if _is_offered(index.sets[number], sku, products.get(sku), offers)
            for one in (place, number)
        ]


def _ranks(columns: LineColumns, articles_count: int) -> list[int]:
    """The order of lines by their ids; empty where no two lines could be one item."""
    line_ids = columns.line_ids
    if articles_count == len(line_ids) and not any(columns.minimum_amounts_minor):
        return []
    ranks = {line_id: rank for rank, line_id in enumerate(sorted(set(line_ids)))}
    return [ranks[line_id] for line_id in line_ids]


def _bins(card_bin: str) -> list[str]:
    """A card's BIN and the shorter ones that it begins with."""
    return [card_bin[:length] for length in range(BIN_MIN, len(card_bin) + 1)]


def _numbered(names: Collection[str], known: Mapping[str, int]) -> list[int]:
    return [known[name] for name in names if name in known]


def _by_points_minor(sale: Sale) -> int:
    return sum([t.amount_minor for t in sale.tenders if t.kind == TenderKind.POINTS])


def _known(pairs: Sequence[tuple[str, int]], known: Mapping[str, int]) -> list[int]:
    """Pairs of a name and a value, as number and value."""
    return [one for name, value in pairs if name in known for one in (known[name], value)]


def _usable(customer: CustomerFacts, known: Mapping[str, int]) -> list[int]:
    """Balances that promotions may cost, as number and value."""
    usable = {**dict(customer.balances), **dict(customer.usable)}
    return _known(tuple(usable.items()), known)


def _thresholds(offers: Sequence[OwnOffer], known: Mapping[str, int]) -> list[int]:
    return _known([(offer.offer_code, offer.amount_from_minor) for offer in offers], known)


def _quotas(facts: Facts, known: Mapping[str, int]) -> list[int]:
    return [
        one
        for quota in facts.quotas
        if quota.promotion_id in known
        for one in (
            known[quota.promotion_id],
            quota.customer_times,
            quota.total_times,
            quota.total_minor,
        )
    ]


def _prices(facts: Facts, known: Mapping[str, int], skus: Iterable[str]) -> list[int]:
    places = {sku: place for place, sku in enumerate(skus)}
    return [
        one
        for price in facts.prices
        if price.list_code in known and price.sku in places
        for one in (known[price.list_code], places[price.sku], price.price_minor)
    ]


def _is_offered(
    chosen: ProductSet, sku: str, product: Product | None, offers: Sequence[OwnOffer]
) -> bool:
    """Whether the customer's own offer names a category of an article."""
    if product is None or not fits_rest(chosen, sku, product):
        return False
    return any(
        category in offer.categories
        for offer in offers
        if offer.offer_code == chosen.own_offer
        for category in product.categories
    )
