"""The plan of a program: its promotions as flat integers, as the kernel reads them.

Lowered once from the compiled program, when a ruleset is loaded; never stored. Every name that a
rule asks about is a number here. The rows are those of the structs in `ext/engine_rows.pxi`, field
by field in the same order; the kernel refuses tables of another width.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from rewards.benefit import (
    AmountOff,
    Benefit,
    BundlePrice,
    BuyGet,
    CheapestFree,
    CouponReward,
    DeferredDiscount,
    DrawEntries,
    FixedPrice,
    Gift,
    GiftCertificate,
    Message,
    MoneyTransfer,
    NPlusM,
    NthItem,
    PercentOff,
    Pieces,
    PointsFixed,
    PointsMultiplier,
    PointsRate,
    PriceBenefit,
    PriceList,
    Prize,
    QuantityTiers,
    ReceiptDiscount,
    Status,
)
from rewards.gate import AmountGate, BasketGate, NumberGate, TokenGate
from rewards.rewarding import needs_customer, value_micros_of
from rewards.ruleset import CompiledProgram, CompiledPromotion

NONE = -1
ROUNDINGS = {"down": 0, "half_up": 1, "half_down": 2, "up": 3}
PICKS = {"cheapest": 0, "dearest": 1}
ROUNDED_ON = {"item": 0, "piece": 1, "total": 2, "carried": 3}
SHARES = {"proportional": 0, "even": 1, "cheapest": 2}
REMAINDERS = {"largest": 0, "first": 1, "last": 2}
CHOICES = {"first": 0, "best": 1, "last_coupon": 2}
EXCLUSIVES = {"no": 0, "receipt": 1, "items": 2}
FACT_NUMBERS = ("minute", "birthday", "purchase", "days_since_purchase")
"""Numbers that are absent where they are not known; all others are then 0."""
BENEFIT_CODES: dict[type, int] = {
    kind: code
    for code, kind in enumerate(
        (
            PercentOff,
            AmountOff,
            FixedPrice,
            PriceList,
            QuantityTiers,
            NPlusM,
            NthItem,
            CheapestFree,
            BuyGet,
            BundlePrice,
            ReceiptDiscount,
            Gift,
            PointsRate,
            PointsFixed,
            PointsMultiplier,
            DeferredDiscount,
            CouponReward,
            GiftCertificate,
            Prize,
            Status,
            DrawEntries,
            MoneyTransfer,
            Message,
        )
    )
}

Table: TypeAlias = "array[int]"
"""64-bit integers."""


class Plan(Struct, frozen=True, eq=False):
    """A program in the form that the kernel reads, and the numbers of its names.

    Attributes:
        tables: what `ext.engine.Engine` takes, in its order.
        tokens: numbers of tokens by kind (`segment`), then by name (`vip`).
        histories: slots of the counters of purchase history that gates compare.
        balances: slots of the assets whose balance gates compare.
        costs: numbers of the assets that promotions cost; `asset_codes` is the way back.
        own_offers: numbers of the own offers whose threshold gates ask for.
        price_lists: numbers of price lists.
        gift_skus: numbers of the articles that are given; `gifts` is the way back.
        quotas: numbers of the promotions with limits over many receipts, by id.
    """

    tables: tuple[Table, ...]
    tokens: Mapping[str, Mapping[str, int]]
    histories: Mapping[str, int]
    balances: Mapping[str, int]
    costs: Mapping[str, int]
    asset_codes: tuple[str, ...]
    own_offers: Mapping[str, int]
    price_lists: Mapping[str, int]
    gift_skus: Mapping[str, int]
    gifts: tuple[str, ...]
    quotas: Mapping[str, int]


class _Names:
    """Numbers names in the order in which they are first met."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.numbers: dict[str, int] = {}
        for name in names:
            self.number_of(name)

    def number_of(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


class _Writer:
    """Tables that grow while promotions are lowered one after another."""

    def __init__(self, program: CompiledProgram) -> None:
        self.program = program
        self.promotions: list[int] = []
        self.benefits: list[int] = []
        self.pool: list[int] = []
        self.benefits_count = 0
        self.tokens = _Names()
        self.numbers = _Names(FACT_NUMBERS)
        self.assets = _Names(program.assets)
        self.offers = _Names()
        self.lists = _Names(program.price_lists)
        self.gifts = _Names()
        self.multiplied: set[str] = set()

    def add_promotion(self, promotion: CompiledPromotion) -> None:
        """Append a row of `Promotion`."""
        cost, limits = promotion.cost, promotion.limits
        prices = sum([isinstance(one, PriceBenefit) for one in promotion.gives])
        sets = sorted({promotion.target}.union(*promotion.part_sets))
        row = [
            promotion.lane,
            promotion.target,
            promotion.base,
            promotion.group,
            promotion.stackable,
            promotion.on_stickers,
            EXCLUSIVES[promotion.exclusive],
            promotion.uses_coupon,
            promotion.has_quota,
            limits.times_per_receipt,
            limits.discount_max_minor,
            limits.bounds_money,
            limits.on_shortage == "refuse",
            self.assets.number_of(cost.asset_code) if cost else NONE,
            cost.amount_minor if cost else 0,
            cost.with_earned if cost else 0,
            cost.each if cost else 0,
            *self._add(*[one for gate in promotion.number_gates for one in self._number(gate)]),
            len(promotion.number_gates),
            *self._add(*[one for gate in promotion.token_gates for one in self._token(gate)]),
            len(promotion.token_gates),
            *self._add(*[one for gate in promotion.basket_gates for one in self._basket(gate)]),
            len(promotion.basket_gates),
            self.benefits_count,
            len(promotion.gives),
            prices,
            *self._add(*sets),
            len(sets),
        ]
        self.promotions += row
        for benefit, part_sets in zip(promotion.gives, promotion.part_sets, strict=True):
            self._add_benefit(benefit, part_sets)

    def _add(self, *values: int) -> tuple[int]:
        """Append to the pool; say where it starts."""
        start = len(self.pool)
        self.pool += values
        return (start,)

    def _number(self, gate: NumberGate) -> tuple[int, ...]:
        slot = self.numbers.number_of(gate.name)
        bounds = (gate.low, gate.high, gate.offset, gate.modulo)
        return (gate.condition, slot, *bounds, gate.absent_fits)

    def _token(self, gate: TokenGate) -> tuple[int, ...]:
        tokens = sorted(map(self.tokens.number_of, sorted(gate.tokens)))
        return (gate.condition, gate.none_of, len(tokens), *tokens)

    def _basket(self, gate: BasketGate) -> tuple[int, ...]:
        """All basket gates are of one width: what one has not is 0; a set of -1 is none."""
        if isinstance(gate, AmountGate):
            offer = self.offers.number_of(gate.own_offer) if gate.own_offer else NONE
            return (NONE, 0, 0, 0, 0, gate.low, gate.high, gate.basis, 0, offer)
        return (
            gate.set_number,
            gate.quantity_low,
            gate.quantity_high,
            gate.line_quantity_low,
            gate.articles_low,
            gate.amount_low,
            gate.amount_high,
            gate.basis,
            gate.none,
            NONE,
        )

    def _add_benefit(self, benefit: Benefit, part_sets: Sequence[int]) -> None:
        """Append a row of `Benefit`."""
        asset_code = getattr(benefit, "asset_code", "")
        if isinstance(benefit, PointsMultiplier):
            self.multiplied.add(asset_code)
        self.benefits_count += 1
        self.benefits += [
            BENEFIT_CODES[type(benefit)],
            *self._add(*self._arguments(benefit)),
            *self._add(*part_sets),
            len(part_sets),
            self.assets.number_of(asset_code) if asset_code else NONE,
            needs_customer(benefit),
        ]

    def _arguments(self, benefit: Benefit) -> tuple[int, ...]:
        match benefit:
            case PriceList():
                return (self.lists.number_of(benefit.list_code),)
            case Gift():
                skus = [self.gifts.number_of(sku) for sku in sorted(set(benefit.skus))]
                each = (benefit.quantity_milli, benefit.price_minor, benefit.for_each_count)
                return (*each, benefit.choice, benefit.counts_in_basket, len(skus), *skus)
        arguments = _ARGUMENTS.get(type(benefit))
        return arguments(benefit) if arguments else ()

    def tables(self) -> tuple[Table, ...]:
        program = self.program
        sets = program.sets
        bounds = [
            (
                number in sets.priced,
                sets.sets[number].unit_price_from_minor,
                sets.sets[number].unit_price_to_minor,
            )
            for number in range(len(sets.sets))
        ]
        classes = [
            (one.set_number, one.no_discount, one.no_earn, one.no_coupon, one.floor_bp)
            for one in program.classes
        ]
        called = [program.called_by.get(name, ()) for name in self.tokens.numbers]
        worths = {code: value_micros_of(program, code) for code in program.assets}
        assets = [
            (NONE if (worth := worths[code]) is None else worth, code in self.multiplied)
            for code in self.assets.numbers
        ]
        named = (len(self.numbers.numbers), len(self.offers.numbers))
        return (
            array("q", [*named, *program.steps_max]),
            array("q", self.promotions),
            array("q", self.benefits),
            array("q", self.pool),
            array("q", _flat(bounds)),
            *_csr(program.touched_by),
            *_csr(called),
            array("q", [CHOICES[group.choose] for group in program.groups]),
            array("q", _flat(classes)),
            array("q", _flat(assets)),
        )


def lower_program(program: CompiledProgram) -> Plan:
    """Lower a program.

    Returns:
        Its plan; numbers of promotions, sets and groups are those of the program.
    """
    writer = _Writer(program)
    for calling in sorted(program.called_by):
        writer.tokens.number_of(calling)
    for promotion in program.promotions:
        writer.add_promotion(promotion)
    costs = {one.cost.asset_code for one in program.promotions if one.cost}
    tokens: dict[str, dict[str, int]] = {}
    for spelled, number in writer.tokens.numbers.items():
        kind, _, name = spelled.partition(":")
        tokens.setdefault(kind, {})[name] = number
    return Plan(
        tables=writer.tables(),
        tokens=tokens,
        histories=_slots(writer.numbers.numbers, "history"),
        balances=_slots(writer.numbers.numbers, "balance"),
        costs={code: writer.assets.numbers[code] for code in sorted(costs)},
        asset_codes=tuple(writer.assets.numbers),
        own_offers=writer.offers.numbers,
        price_lists=writer.lists.numbers,
        gift_skus=writer.gifts.numbers,
        gifts=tuple(writer.gifts.numbers),
        quotas={p.promotion_id: n for n, p in enumerate(program.promotions) if p.has_quota},
    )


def _slots(numbers: Mapping[str, int], wanted: str) -> dict[str, int]:
    """Slots of the numbers of one kind, by what stands after it."""
    split = ((name.partition(":"), slot) for name, slot in numbers.items())
    return {code: slot for (kind, colon, code), slot in split if colon and kind == wanted}


def _flat(rows: Iterable[Iterable[int]]) -> list[int]:
    return [value for row in rows for value in row]


def _csr(rows: Sequence[Sequence[int]]) -> tuple[Table, Table]:
    """Rows of different lengths as (where each starts, and the end; all values)."""
    starts, end = [0], 0
    for row in rows:
        end += len(row)
        starts.append(end)
    return array("q", starts), array("q", _flat(rows))


def _pieces(pieces: Pieces) -> tuple[int, ...]:
    choice = (pieces.count_max, PICKS[pieces.pick])
    return (*choice, pieces.full_groups_of, pieces.per_article)


def _percent_off(benefit: PercentOff) -> tuple[int, ...]:
    rate = (benefit.rate_bp, ROUNDINGS[benefit.rounding], ROUNDED_ON[benefit.rounded_on])
    return (*_pieces(benefit.pieces), *rate)


def _tiers(benefit: QuantityTiers) -> tuple[int, ...]:
    tiers = [
        (tier.from_milli, tier.rate_bp, tier.amount_off_minor, tier.price_minor)
        for tier in benefit.tiers
    ]
    return (benefit.per_article, ROUNDINGS[benefit.rounding], len(tiers), *_flat(tiers))


def _bundle(benefit: BundlePrice) -> tuple[int, ...]:
    counts = [part.count for part in benefit.parts] or [benefit.set_count]
    return (benefit.price_minor, benefit.amount_off_minor, benefit.rate_bp, *counts)


def _receipt_discount(benefit: ReceiptDiscount) -> tuple[int, ...]:
    amounts = (benefit.rate_bp, benefit.amount_minor, benefit.price_minor, benefit.max_minor)
    shares = (SHARES[benefit.share], REMAINDERS[benefit.remainder])
    return (*amounts, ROUNDINGS[benefit.rounding], *shares)


_ARGUMENTS: dict[type, Any] = {
    PercentOff: _percent_off,
    AmountOff: lambda one: (*_pieces(one.pieces), one.amount_minor, one.per == "item"),
    FixedPrice: lambda one: (*_pieces(one.pieces), one.price_minor),
    QuantityTiers: _tiers,
    NPlusM: lambda one: (
        one.pay_count,
        one.free_count,
        one.per_article,
        one.as_quantity,
        one.partly,
        one.spread,
    ),
    NthItem: lambda one: (
        one.n,
        1,
        one.rate_bp,
        PICKS[one.which],
        one.spread,
        one.per_article,
    ),
    CheapestFree: lambda one: (
        one.set_count,
        one.free_count,
        one.rate_bp,
        PICKS[one.which],
        one.spread,
        False,
    ),
    BuyGet: lambda one: (
        one.buy_count,
        one.get_count,
        one.rate_bp,
        PICKS[one.which],
        one.partly,
        one.spread,
    ),
    BundlePrice: _bundle,
    ReceiptDiscount: _receipt_discount,
    PointsRate: lambda one: (
        one.rate_bp,
        ROUNDINGS[one.rounding],
        one.base == "as_sent",
        one.step_minor,
    ),
    PointsFixed: lambda one: (one.amount_minor, one.for_each_count, one.for_each_minor),
    PointsMultiplier: lambda one: (one.factor_bp, ROUNDINGS[one.rounding]),
    DeferredDiscount: lambda one: (one.amount_minor, one.rate_bp),
    CouponReward: lambda one: (one.count,),
    GiftCertificate: lambda one: (one.amount_minor,),
    Prize: lambda one: (one.count,),
    DrawEntries: lambda one: (one.count, one.for_each_minor),
    MoneyTransfer: lambda one: (one.amount_minor, one.rate_bp),
}
"""What a benefit says, as the kernel reads it; price lists and gifts speak of names besides."""
