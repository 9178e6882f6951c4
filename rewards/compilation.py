"""Compiles checked programs into the form that is evaluated and stored."""

from collections.abc import Iterable
from hashlib import blake2b

from msgspec.structs import replace

from rewards.authored import LocalTexts, ProductSet
from rewards.benefit import (
    Benefit,
    BundlePrice,
    BuyGet,
    CouponReward,
    GiftCertificate,
    PriceBenefit,
    PriceList,
    Status,
)
from rewards.condition import Coupon, Products, ReceiptAmount, Trigger
from rewards.gate import (
    BASES,
    BasketGate,
    amount_gate,
    coupon_tokens_of,
    gates_of,
    products_gate,
    token,
)
from rewards.older_form import read_programs
from rewards.product import index_sets
from rewards.program import CrossSellLink, ProfileField, Program, Promotion, TextTemplate
from rewards.ruleset import (
    EXCLUSIVE_LANE,
    LANE_NUMBERS,
    NO_GROUP,
    TAG_BYTES,
    CompiledClass,
    CompiledEarnBound,
    CompiledField,
    CompiledGroup,
    CompiledLink,
    CompiledProgram,
    CompiledPromotion,
    CompiledRuleset,
    CompiledSpendRule,
    decode_ruleset,
    encode_ruleset,
)
from rewards.trace import Condition

EVERYTHING = ProductSet()


def compile_ruleset(version: int, programs: tuple[Program, ...]) -> CompiledRuleset:
    """Compile checked programs.

    Args:
        version: version of the ruleset, 1 or more.
        programs: at most one a chain, each without problems (`program_check`).
    """
    compiled = {program.chain_id: _compile_program(program) for program in programs}
    assert len(compiled) == len(programs), "one program a chain"
    return CompiledRuleset(version, compiled)


def decode_or_compile(version: int, stored: bytes, content: bytes) -> CompiledRuleset:
    """Read the compiled form, or compile the content where it is of another build.

    Args:
        version: version of the ruleset.
        stored: what `encode_ruleset` of some build wrote.
        content: msgpack of the programs.
    """
    compiled = decode_ruleset(stored)
    if compiled is not None:
        return compiled
    return compile_ruleset(version, read_programs(content))


def compile_encoded(version: int, programs: tuple[Program, ...]) -> bytes:
    """Compile and spell in one step, as publishing wants it."""
    return encode_ruleset(compile_ruleset(version, programs))


class _Sets:
    """Numbers product sets, equal ones alike."""

    def __init__(self) -> None:
        self.numbers: dict[ProductSet, int] = {}

    def number_of(self, chosen: ProductSet) -> int:
        return self.numbers.setdefault(chosen, len(self.numbers))


def _compile_program(program: Program) -> CompiledProgram:
    ordered = sorted(program.promotions, key=_running_order)
    group_ids = sorted({p.exclusive_group for p in ordered if p.exclusive_group})
    groups = {group_id: number for number, group_id in enumerate(group_ids)}
    sets = _Sets()
    promotions = tuple(_compile_promotion(p, sets, groups, program) for p in ordered)
    classes = tuple(
        CompiledClass(
            sets.number_of(one.products),
            one.no_discount,
            one.no_earn,
            one.no_coupon,
            one.no_cross_sell,
            one.floor_bp,
        )
        for one in program.product_classes
    )
    spend_rules = tuple(
        CompiledSpendRule(
            one, sets.number_of(one.products), frozenset(one.zones), frozenset(one.segments)
        )
        for one in program.spend_rules
    )
    touched_by, called_by = _candidates(ordered, promotions, len(sets.numbers), program)
    coupons = _inverted_coupons(promotions)
    links = sorted(program.cross_sell_links, key=lambda link: (-link.weight, link.link_id))
    fields = sorted(program.profile_fields, key=lambda field: (-field.weight, field.field_code))
    benefits = [gives for promotion in promotions for gives in promotion.gives]
    return CompiledProgram(
        program_id=program.program_id,
        chain_id=program.chain_id,
        currency_code=program.currency_code,
        language_code=program.language_code,
        point_value_micros=program.point_value_micros,
        tier_rules=program.tier_rules,
        coupon_series={one.series_code: one for one in program.coupon_series},
        assets={asset.code: asset for asset in program.assets},
        promotions=promotions,
        sets=index_sets(tuple(sets.numbers)),
        touched_by=touched_by,
        called_by=called_by,
        coupons=coupons,
        groups=_compile_groups(program, ordered, group_ids),
        classes=classes,
        coupon_rules=program.coupon_rules,
        steps_max=_steps_max(program),
        valid_days=_valid_days(benefits),
        price_lists=tuple(sorted({g.list_code for g in benefits if isinstance(g, PriceList)})),
        fields=tuple(_compile_field(field) for field in fields),
        prompts_max=program.prompts_max,
        links=tuple(_compile_link(link) for link in links),
        link_sets=index_sets(tuple(link.basket for link in links)),
        till_groups=program.till_groups,
        texts={template.text_code: _by_language(template) for template in program.texts},
        returns=program.returns,
        spend_rules=spend_rules,
        earn_bounds=tuple(
            CompiledEarnBound(one, frozenset(one.zones), frozenset(one.segments))
            for one in program.earn_bounds
        ),
        hold_minutes=program.hold_minutes,
        forward=program.forward,
        messages=program.messages,
        cost_assets=tuple(sorted({p.cost.asset_code for p in ordered if p.cost is not None})),
    )


def _lane_of(promotion: Promotion) -> int:
    if promotion.exclusive == "receipt" and promotion.lane != "reward":
        return EXCLUSIVE_LANE
    return LANE_NUMBERS[promotion.lane]


def _running_order(promotion: Promotion) -> tuple[int, int, str]:
    return _lane_of(promotion), -promotion.priority, promotion.promotion_id


def _compile_promotion(
    promotion: Promotion, sets: _Sets, groups: dict[str, int], program: Program
) -> CompiledPromotion:
    target = sets.number_of(promotion.products)
    gives = tuple(
        sorted(
            [_with_days(one, program) for one in promotion.gives],
            key=lambda one: not isinstance(one, PriceBenefit),
        )
    )
    token_gates, number_gates = gates_of(promotion.when, promotion.conditions, program.coupon_rules)
    limits = promotion.limits
    return CompiledPromotion(
        promotion_id=promotion.promotion_id,
        tag=_tag(b"promotion", promotion.promotion_id),
        lane=_lane_of(promotion),
        target=target,
        gives=gives,
        part_sets=tuple(_part_sets(one, target, sets) for one in gives),
        token_gates=token_gates,
        number_gates=number_gates,
        basket_gates=_basket_gates(promotion, target, sets),
        limits=limits,
        has_quota=limits.bounds_times or limits.bounds_money,
        cost=promotion.cost,
        stackable=promotion.stackable,
        on_stickers=promotion.on_stickers,
        base=BASES[promotion.base],
        group=groups.get(promotion.exclusive_group, NO_GROUP),
        exclusive=promotion.exclusive,
        uses_coupon=any(isinstance(one, Coupon) for one in promotion.conditions),
        funding=promotion.funding,
        policy=promotion.policy,
        texts=_texts(promotion.names),
    )


def _with_days(gives: Benefit, program: Program) -> Benefit:
    """A coupon that does not say how long it is valid is so for the days of its series."""
    if not isinstance(gives, CouponReward) or gives.valid_days:
        return gives
    days = [one.valid_days for one in program.coupon_series if one.series_code == gives.series_code]
    return replace(gives, valid_days=days[0]) if days else gives


def _part_sets(gives: Benefit, target: int, sets: _Sets) -> tuple[int, ...]:
    if isinstance(gives, BuyGet):
        return (target, sets.number_of(gives.get_products))
    if isinstance(gives, BundlePrice):
        return tuple(sets.number_of(part.products) for part in gives.parts) or (target,)
    return ()


def _basket_gates(promotion: Promotion, target: int, sets: _Sets) -> tuple[BasketGate, ...]:
    gates: list[BasketGate] = []
    for condition in promotion.conditions:
        if isinstance(condition, Products):
            chosen = condition.products
            number = target if chosen is None else sets.number_of(chosen)
            gates.append(products_gate(condition, number))
        elif isinstance(condition, ReceiptAmount):
            gates.append(amount_gate(condition))
    return tuple(gates)


def _candidates(
    ordered: list[Promotion],
    promotions: tuple[CompiledPromotion, ...],
    sets_count: int,
    program: Program,
) -> tuple[tuple[tuple[int, ...], ...], dict[str, tuple[int, ...]]]:
    """Which promotions a product of each set touches, and which a token calls."""
    touched: list[list[int]] = [[] for _ in range(sets_count)]
    called: dict[str, list[int]] = {}
    for number, promotion in enumerate(ordered):
        tokens = _calling_tokens(promotion, program)
        for calling in tokens:
            called.setdefault(calling, []).append(number)
        if not tokens:
            for set_number in _touching_sets(promotions[number]):
                touched[set_number].append(number)
    by_token = {calling: tuple(found) for calling, found in called.items()}
    return tuple(tuple(found) for found in touched), by_token


def _calling_tokens(promotion: Promotion, program: Program) -> frozenset[str]:
    """Coupons, or triggers, without which the promotion is none of the receipt's business."""
    rules = program.coupon_rules
    for condition in promotion.conditions:
        if isinstance(condition, Coupon):
            return coupon_tokens_of(condition, rules)
    for condition in promotion.conditions:
        if isinstance(condition, Trigger):
            return frozenset(token("trigger", name) for name in condition.any_of)
    return frozenset()


def _inverted_coupons(promotions: tuple[CompiledPromotion, ...]) -> dict[str, tuple[int, ...]]:
    """By token of a coupon code or series the promotions that ask for it."""
    asking: dict[str, list[int]] = {}
    for number, promotion in enumerate(promotions):
        for gate in promotion.token_gates:
            if gate.condition == Condition.COUPON:
                for code in gate.tokens:
                    asking.setdefault(code, []).append(number)
    return {code: tuple(found) for code, found in asking.items()}


def _touching_sets(promotion: CompiledPromotion) -> tuple[int, ...]:
    found = {promotion.target}
    for part_sets in promotion.part_sets:
        found.update(part_sets)
    return tuple(sorted(found))


def _compile_groups(
    program: Program, ordered: list[Promotion], group_ids: list[str]
) -> tuple[CompiledGroup, ...]:
    choices = {group.group_id: group.choose for group in program.exclusive_groups}
    members: dict[str, list[int]] = {}
    for number, promotion in enumerate(ordered):
        members.setdefault(promotion.exclusive_group, []).append(number)
    return tuple(
        CompiledGroup(group_id, choices.get(group_id, "first"), tuple(members[group_id]))
        for group_id in group_ids
    )


def _steps_max(program: Program) -> tuple[int, int, int, int]:
    budgets = [0, 0, 0, 0]
    for setting in program.lanes:
        if setting.mode == "best":
            budgets[LANE_NUMBERS[setting.lane]] = setting.steps_max
    return (budgets[0], budgets[1], budgets[2], budgets[3])


def _valid_days(benefits: Iterable[Benefit]) -> tuple[int, ...]:
    timed = CouponReward | GiftCertificate | Status
    return tuple(sorted({one.valid_days for one in benefits if isinstance(one, timed)} - {0}))


def _compile_field(field: ProfileField) -> CompiledField:
    return CompiledField(
        field=field,
        tag=_tag(b"field", field.field_code),
        first_asked_if=_pairs(field.first_asked_if),
        asked_again_if=_pairs(field.asked_again_if),
        texts=_texts(field.questions),
    )


def _compile_link(link: CrossSellLink) -> CompiledLink:
    tag = _tag(b"link", link.link_id)
    return CompiledLink(link, tag, frozenset(link.segments), _texts(link.texts))


def _pairs(spelled: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    split = (pair.partition("=") for pair in spelled)
    return tuple((name, value) for name, _, value in split)


def _texts(texts: LocalTexts) -> dict[str, str]:
    return {text.language_code: text.text for text in texts}


def _by_language(template: TextTemplate) -> dict[str, str]:
    return _texts(template.texts)


def _tag(purpose: bytes, name: str) -> bytes:
    return blake2b(name.encode(), digest_size=TAG_BYTES, person=purpose).digest()
