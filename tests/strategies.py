"""Random cases of the promotion engine: a program, and a receipt with facts that its rules ask for.

A case follows from a seed and from which of its promotions and lines are there, so that hypothesis
draws three numbers and makes a failing case smaller by leaving parts out. Most promotions of a case
have something on the receipt, and about half of those fire.
"""

from collections.abc import Collection
from functools import lru_cache, partial
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from rewards.allocate import allocate
from rewards.basket import Allocate
from rewards.compilation import compile_ruleset
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import (
    ANONYMOUS,
    AssetWindow,
    CustomerFacts,
    CustomerState,
    Facts,
    Instrument,
    InstrumentState,
    ListPrice,
    OwnOffer,
    Quota,
)
from rewards.instrument import coupon_asset
from rewards.limits import MILLI
from rewards.product import Product
from rewards.program import Program, Promotion
from rewards.rounding import floor_div, round_half_up
from rewards.ruleset import ProgramRules, Ruleset
from rewards.runs import LineOutcome
from rewards.sale import (
    Capabilities,
    Line,
    LineAction,
    LineKind,
    PriceSource,
    Sale,
    Tender,
    TenderKind,
    Unit,
)
from tests import make
from tests.programs import (
    BINS,
    COUNTERS,
    COUPONS,
    LISTS,
    OFFERS,
    PRICE_KINDS,
    PRICES,
    REWARD_KINDS,
    SEGMENTS,
    SERIES,
    SKUS,
    TRIGGERS,
    Maker,
    make_program,
)

WINDOWS = (
    ("points", AssetWindow(make.NOON_US, 0)),
    ("next", AssetWindow(make.NOON_US, make.NOON_US + make.DAY_US)),
    ("stamps", AssetWindow(make.NOON_US + make.HOUR_US, 0)),
)
WEIGHED = "e"
UNKNOWN = "f"
TILLS = (
    make.ABLE,
    make.ABLE,
    make.ABLE,
    Capabilities(zero_price=True, add_piece=True),
    Capabilities(split_line=True, add_piece=True),
    Capabilities(split_line=True, zero_price=True),
    Capabilities(),
)
FLAGS: tuple[dict[str, Any], ...] = (
    *({},) * 16,
    {"no_discount": True},
    {"no_earn": True},
    {"price_source": PriceSource.STICKER},
    {"kind": LineKind.GIFT_CARD},
    {"kind": LineKind.SERVICE},
    {"kind": LineKind.DEPOSIT},
    {"cancelled": True},
    {"action": LineAction.RETURN},
)


class Case(NamedTuple):
    """A program and a receipt."""

    program: Program
    sale: Sale
    facts: Facts

    def rules(self) -> ProgramRules:
        """The program as it is evaluated."""
        return _compiled(self.program)

    def evaluate(self, share: Allocate = allocate) -> Evaluation:
        """What the reference evaluation says of it."""
        return evaluate(self.rules(), self.sale, self.facts, share)

    def lines(self, evaluation: Evaluation) -> list[tuple[Line, LineOutcome]]:
        """Each line that is not cancelled, as sent and as it is to be sold."""
        both = zip(self.sale.lines, evaluation.outcomes, strict=True)
        return [(line, outcome) for line, outcome in both if outcome is not None]

    def by_number(self) -> list[Promotion]:
        """The promotions by the numbers that an evaluation gives them."""
        authored = {promotion.promotion_id: promotion for promotion in self.program.promotions}
        return [authored[one.promotion_id] for one in self.rules().program.promotions]

    def with_lines(self, *lines: Line) -> "Case":
        """The same with other lines."""
        return self._replace(sale=replace(self.sale, lines=lines))

    def with_program(self, **changes: Any) -> "Case":
        """The same with other fields of the program."""
        return self._replace(program=replace(self.program, **changes))


@lru_cache(maxsize=4)
def _compiled(program: Program) -> ProgramRules:
    """A test that asks for the rules of a case several times compiles them once."""
    return Ruleset(compile_ruleset(1, (program,))).by_chain[program.chain_id]


class Shape(NamedTuple):
    """What cases of a test have in common.

    Attributes:
        best: lanes may be of mode best.
        floors: lines may have minimum amounts.
    """

    best: bool = False
    floors: bool = True
    tills: tuple[Capabilities, ...] = TILLS


ANY_SHAPE = Shape()
BEST = Shape(best=True)


def _products(one: Maker) -> tuple[Product, ...]:
    """Articles a to e are in the feed; sometimes with floors and flags."""
    floors = [one.pick((0, 0, 0, 0, 60, 1, 1_000)) for _ in "abcde"]
    return (
        make.product("a", "", ("food",), "acme", ("colour=red",), minimum_price_minor=floors[0]),
        make.product("b", "", ("food", "sweets"), minimum_price_minor=floors[1]),
        make.product(
            "c", "", ("food",), "best", ("colour=red", "size=big"), no_earn=floors[2] == 1
        ),
        make.product("d", "", ("drink",), "acme", no_discount=floors[3] == 1_000),
        make.product("e", "", ("drink",), minimum_price_minor=floors[4]),
    )


def _line(one: Maker, number: int, floors: bool) -> Line:
    sku = one.pick(SKUS)
    price_minor = one.pick(PRICES)
    pieces = one.pick((1, 2, 3, 1, 5, 12, 4))
    milli = pieces * (337 if sku == WEIGHED else MILLI)
    whole_minor = round_half_up(price_minor * milli, MILLI)
    amount_minor = whole_minor - floor_div(whole_minor * one.pick((0, 0, 0, 0, 1, 50)), 100)
    lowest_percent = one.pick((0, 0, 0, 0, 0, 50, 99)) if floors else 0
    return make.line(
        sku,
        price_minor=price_minor,
        line_id=f"l{one.pick('73519')}-{number}",
        amount_minor=amount_minor,
        quantity_milli=milli,
        unit=Unit.KILOGRAM if sku == WEIGHED else Unit.PIECE,
        minimum_amount_minor=floor_div(amount_minor * lowest_percent, 100),
        **one.pick(FLAGS),
    )


def _tenders(one: Maker) -> tuple[Tender, ...]:
    if not one.once_in(2):
        return ()
    kinds = (TenderKind.CARD, TenderKind.CASH, TenderKind.POINTS)
    made = []
    for kind in one.some(kinds, 1):
        card_bin = one.pick((*BINS, "42760012")) if kind == TenderKind.CARD else ""
        made.append(make.tender(kind, one.pick((150, 1, 10_000)), card_bin=card_bin))
    return tuple(made)


def _sale(seed: str, numbers: Collection[int], shape: Shape) -> Sale:
    lines = [_line(Maker(f"{seed} line {n}"), n, shape.floors) for n in numbers]
    one = Maker(f"{seed} sale")
    codes = tuple(one.pick((code, code.lower(), code.upper())) for code in one.some(COUPONS))
    return make.sale(
        *lines,
        tenders=_tenders(one),
        capabilities=one.pick(shape.tills),
        till_type=one.pick((1, 1, 2, 5)),
        coupon_codes=codes + (("unknown",) if one.once_in(6) else ()),
        manual_triggers=one.some(TRIGGERS),
        staff_purchase=one.once_in(6),
    )


def _customer(one: Maker) -> CustomerFacts:
    if one.once_in(10):
        return ANONYMOUS
    states = (CustomerState.ACTIVE,) * 8 + (CustomerState.EARN_ONLY, CustomerState.BLOCKED)
    offers = (OwnOffer("stretch", one.pick((200, 50))), OwnOffer("favourite", 0, ("drink",)))
    return make.customer(
        segments=one.some(SEGMENTS),
        state=one.pick(states),
        balances=(("points", one.pick((100, 10_000, 0, -5))), ("stamps", one.pick((9, 40, 0)))),
        tier=one.pick(("gold", "", "silver")),
        birthday_in_days=one.pick((0, None, 3, -2)),
        purchases=one.pick((1, 0, 2, 5)),
        last_purchase_day=one.pick((make.TODAY.toordinal() - 6, 0)),
        counters=tuple((code, one.pick((2, 4))) for code in one.some(COUNTERS)),
        offers=tuple(offer for offer in offers if offer.offer_code in one.some(OFFERS)),
        usable=(("points", one.pick((60, 0))),) if one.once_in(4) else (),
    )


def _quotas(one: Maker, program: Program) -> tuple[Quota, ...]:
    limited = [
        promotion.promotion_id
        for promotion in program.promotions
        if promotion.limits.bounds_times or promotion.limits.bounds_money
    ]
    return tuple(
        Quota(
            promotion_id,
            one.pick((-1, 2, -1, 5, -1, 0)),
            one.pick((-1, 50, -1, 9, -1, 0)),
            one.pick((-1, 40, 300, 10_000, 1, 77, 1_000, 0)),
        )
        for promotion_id in limited
        if not one.once_in(8)
    )


def _coupons(one: Maker, sale: Sale) -> tuple[Instrument, ...]:
    """Some of the codes that are shown are of series; of some series the customer has one."""
    states = (InstrumentState.USABLE,) * 3 + tuple(InstrumentState)
    shown = tuple(
        Instrument(code, coupon_asset(one.pick(SERIES)), one.pick(states), -1, b"shown")
        for code in dict.fromkeys(sale.header.coupon_codes)
        if one.once_in(3)
    )
    own = tuple(
        Instrument("", coupon_asset(series), InstrumentState.USABLE, 7, b"own")
        for series in (one.some(SERIES) if one.once_in(3) else ())
    )
    return shown + own


def _facts(one: Maker, program: Program, sale: Sale) -> Facts:
    store = make.store_facts(
        zones=one.some(("north", "south"), 1),
        local_minute=one.pick((900, 900, 1_380, 0)),
        windows=WINDOWS,
    )
    prices = tuple(
        ListPrice(list_code, sku, one.pick((80, 0, 98, 500)))
        for list_code in LISTS
        for sku in one.some(SKUS)
    )
    customer = _customer(one)
    quotas = _quotas(one, program)
    made = make.facts(*_products(one), customer=customer, store=store, quotas=quotas, prices=prices)
    return replace(made, coupons=_coupons(one, sale))


def make_case(
    seed: str, promotions: Collection[int], lines: Collection[int], shape: Shape = ANY_SHAPE
) -> Case:
    """A case in which some kinds of benefits are left out, so that the others meet more often.

    Args:
        seed: all follows from it.
        promotions: numbers of those that there are.
        lines: numbers of those that there are.
        shape: what the case must be like.
    """
    one = Maker(f"{seed} kinds")
    kinds = (*one.some(PRICE_KINDS, 2), *one.some(REWARD_KINDS, 1))
    program = make_program(seed, promotions, kinds, shape.best)
    sale = _sale(seed, lines, shape)
    return Case(program, sale, _facts(Maker(f"{seed} facts"), program, sale))


def seeded_case(
    seed: int, promotions_max: int = 12, lines_max: int = 12, shape: Shape = ANY_SHAPE
) -> Case:
    """The case of a seed: the same on every machine."""
    one = Maker(f"{seed} size")
    promotions, lines = (range(1 + one.below(most)) for most in (promotions_max, lines_max))
    return make_case(f"{seed}", promotions, lines, shape)


def cases(shape: Shape = ANY_SHAPE) -> st.SearchStrategy[Case]:
    """Draw a case of up to seven promotions and seven lines."""
    return st.builds(partial(_drawn_case, shape), SEEDS, PARTS, PARTS)


def _drawn_case(shape: Shape, seed: int, promotions: int, lines: int) -> Case:
    return make_case(f"{seed}", _places(promotions), _places(lines), shape)


def _places(parts: int) -> list[int]:
    """Places of the bits that are set."""
    return [place for place in range(parts.bit_length()) if parts >> place & 1]


SEEDS = st.integers(0, 2**62)
PARTS = st.integers(1, 2**7 - 1)
"""A bit for each part that is there."""
