"""A ruleset: all published programs at one version, in the compiled form that is evaluated.

Compilation (`rewards.compilation`) sorts promotions into the order in which they run and inverts
their product sets, so that a receipt touches only promotions that could apply. The compiled form
is stored and immutable.
"""

from hashlib import blake2b

import msgspec
import msgspec.inspect
from msgspec import Struct

from rewards.benefit import Benefit
from rewards.derived import derived
from rewards.gate import BasketGate, NumberGate, TokenGate
from rewards.product import Product, SetIndex, SetMemo
from rewards.program import (
    Asset,
    Cost,
    CouponRules,
    CouponSeries,
    CrossSellLink,
    EarnBound,
    ForwardRules,
    Funding,
    Limits,
    MessageRules,
    Policy,
    ProfileField,
    ReturnRules,
    SpendRule,
    TierRule,
    TillGroup,
)

LANE_NUMBERS = {"price": 1, "basket": 2, "reward": 3}
EXCLUSIVE_LANE = 0
"""Where promotions run that beat all others on the receipt: before every lane."""
REWARD_LANE = LANE_NUMBERS["reward"]
CHANNEL_NUMBERS = {"staffed": 1, "self_checkout": 2, "mobile": 3, "pump": 4, "web": 5}
TAG_BYTES = 8
NO_GROUP = -1


class CompiledPromotion(Struct, frozen=True, array_like=True):
    """A promotion with its conditions in the form in which they are tested.

    Attributes:
        tag: 8 bytes that stand for the promotion in ids of rewards.
        lane: a number of LANE_NUMBERS, or EXCLUSIVE_LANE.
        target: number of the product set that the benefits are about.
        gives: the benefits, prices first.
        part_sets: for each benefit the numbers of the other sets it speaks of, in its own order.
        token_gates: what tokens the receipt must have.
        number_gates: in what ranges named numbers must lie.
        basket_gates: what the receipt must hold.
        base: a number of BASES.
        group: number of its exclusive group, or NO_GROUP.
        texts: name by language.
    """

    promotion_id: str
    tag: bytes
    lane: int
    target: int
    gives: tuple[Benefit, ...]
    part_sets: tuple[tuple[int, ...], ...]
    token_gates: tuple[TokenGate, ...]
    number_gates: tuple[NumberGate, ...]
    basket_gates: tuple[BasketGate, ...]
    limits: Limits
    has_quota: bool
    cost: Cost | None
    stackable: bool
    on_stickers: bool
    base: int
    group: int
    exclusive: str
    uses_coupon: bool
    funding: tuple[Funding, ...]
    policy: Policy
    texts: dict[str, str]


class CompiledLink(Struct, frozen=True, array_like=True):
    """A cross-sell link; `tag` stands for it in ids."""

    link: CrossSellLink
    tag: bytes
    segments: frozenset[str]
    texts: dict[str, str]


class CompiledField(Struct, frozen=True, array_like=True):
    """A profile field with its conditions split into (field, value)."""

    field: ProfileField
    tag: bytes
    first_asked_if: tuple[tuple[str, str], ...]
    asked_again_if: tuple[tuple[str, str], ...]
    texts: dict[str, str]


class CompiledGroup(Struct, frozen=True, array_like=True):
    """An exclusive group: how its one promotion is chosen, and which they are."""

    group_id: str
    choose: str
    members: tuple[int, ...]


class CompiledClass(Struct, frozen=True, array_like=True):
    """A product class with the number of its set."""

    set_number: int
    no_discount: bool
    no_earn: bool
    no_coupon: bool
    no_cross_sell: bool
    floor_bp: int


class CompiledSpendRule(Struct, frozen=True, array_like=True):
    """A spend rule with the number of its set."""

    rule: SpendRule
    set_number: int
    zones: frozenset[str]
    segments: frozenset[str]


class CompiledEarnBound(Struct, frozen=True, array_like=True):
    """An earn bound."""

    bound: EarnBound
    zones: frozenset[str]
    segments: frozenset[str]


class CompiledProgram(Struct, frozen=True, array_like=True, dict=True):
    """One chain's program: promotions by lane, priority (higher first) and id.

    Attributes:
        sets: every product set that promotions and classes speak of, each once.
        touched_by: for each set the promotions that a product of it makes candidates.
        called_by: by token, the promotions that are candidates only if the receipt has it.
        coupons: by token of a coupon code or series, the promotions that ask for it.
        steps_max: for each lane number the budget of the proof, 0 where the lane is sequential.
        valid_days: every number of days for which a benefit is valid.
        price_lists: codes of the lists that promotions use.
        cost_assets: what promotions cost, by code.
    """

    program_id: str
    chain_id: str
    currency_code: str
    language_code: str
    point_value_micros: int
    assets: dict[str, Asset]
    promotions: tuple[CompiledPromotion, ...]
    sets: SetIndex
    touched_by: tuple[tuple[int, ...], ...]
    called_by: dict[str, tuple[int, ...]]
    coupons: dict[str, tuple[int, ...]]
    groups: tuple[CompiledGroup, ...]
    classes: tuple[CompiledClass, ...]
    coupon_rules: CouponRules
    steps_max: tuple[int, int, int, int]
    valid_days: tuple[int, ...]
    price_lists: tuple[str, ...]
    fields: tuple[CompiledField, ...]
    prompts_max: int
    links: tuple[CompiledLink, ...]
    link_sets: SetIndex
    till_groups: tuple[TillGroup, ...]
    texts: dict[str, dict[str, str]]
    coupon_series: dict[str, CouponSeries]
    tier_rules: tuple[TierRule, ...]
    returns: ReturnRules = ReturnRules()
    spend_rules: tuple[CompiledSpendRule, ...] = ()
    earn_bounds: tuple[CompiledEarnBound, ...] = ()
    hold_minutes: int = 15
    cost_assets: tuple[str, ...] = ()
    forward: ForwardRules = ForwardRules()
    messages: MessageRules = MessageRules()

    @derived
    def gift_asset(self) -> str:
        """The asset in which gift cards count; empty where the program has none."""
        codes = [code for code, asset in self.assets.items() if asset.kind == "gift_money"]
        return codes[0] if codes else ""

    @derived
    def balances_max(self) -> dict[str, int]:
        """Above what no balance rises, minor units by code of the asset, if it has such a bound."""
        bounds = {code: asset.balance_max_minor for code, asset in self.assets.items()}
        return {code: most_minor for code, most_minor in bounds.items() if most_minor}


class CompiledRuleset(Struct, frozen=True, array_like=True):
    """All programs at one version, by chain."""

    version: int
    programs: dict[str, CompiledProgram]


COMPILER = b"2"
"""Raised when compilation gives another meaning to the same fields."""
COMPILED_FORM = blake2b(
    repr(msgspec.inspect.type_info(CompiledRuleset)).encode(), digest_size=8, person=COMPILER
).digest()
"""Marks the compiled form: another set of fields, or another compiler, gives another mark."""


class ProgramRules:
    """A compiled program with what is remembered while it is in memory."""

    def __init__(self, version: int, program: CompiledProgram) -> None:
        """Start with nothing remembered."""
        self.version = version
        self.program = program
        self.sets = SetMemo(program.sets)
        self.link_sets = SetMemo(program.link_sets)
        self._hidden = {one.set_number for one in program.classes if one.no_cross_sell}

    def may_show(self, product: Product) -> bool:
        """Whether a product may be shown as cross-sell: no class of the chain forbids it."""
        return self._hidden.isdisjoint(self.sets.of(product.sku, product))


class Ruleset:
    """A ruleset in memory: rules by chain."""

    def __init__(self, compiled: CompiledRuleset) -> None:
        """Wrap the compiled form."""
        self.version = compiled.version
        self.by_chain = {
            chain_id: ProgramRules(compiled.version, program)
            for chain_id, program in compiled.programs.items()
        }


def encode_ruleset(compiled: CompiledRuleset) -> bytes:
    """Spell the compiled form for storing, with the form's own mark in front."""
    return COMPILED_FORM + msgspec.msgpack.encode(compiled)


def decode_ruleset(stored: bytes) -> CompiledRuleset | None:
    """Read what `encode_ruleset` wrote; None if another build wrote it in another form."""
    if stored[: len(COMPILED_FORM)] != COMPILED_FORM:
        return None
    return msgspec.msgpack.decode(stored[len(COMPILED_FORM) :], type=CompiledRuleset)
