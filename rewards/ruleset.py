"""A ruleset: all published programs at one version, compiled for evaluation.

Compilation sorts promotions into the order in which they run and inverts their product sets, so
that a receipt touches only promotions that could apply. The compiled form is stored and immutable.
"""

from datetime import date
from hashlib import blake2b

import msgspec
import msgspec.inspect
from msgspec import Struct

from rewards.product import SetIndex, SetMemo, index_sets
from rewards.program import (
    Asset,
    Benefit,
    CrossSellLink,
    LocalTexts,
    ProfileField,
    Program,
    Promotion,
    TextTemplate,
    TillGroup,
)

LANE_NUMBERS = {"price": 1, "basket": 2, "reward": 3}
CHANNEL_NUMBERS = {"staffed": 1, "self_checkout": 2, "mobile": 3, "pump": 4, "web": 5}
DAY_LAST = date.max.toordinal()
TAG_BYTES = 8


class CompiledPromotion(Struct, frozen=True, array_like=True):
    """A promotion with its gates in the form in which they are tested.

    Attributes:
        tag: 8 bytes that stand for the promotion in ids of rewards.
        from_day: first local day in force, proleptic ordinal.
        to_day: last local day in force, included.
        is_for_all: nothing but the period gates it.
        texts: name by language.
    """

    promotion_id: str
    tag: bytes
    lane: int
    benefit: Benefit
    from_day: int
    to_day: int
    zones: frozenset[str]
    channels: frozenset[int]
    segments: frozenset[str]
    customer_required: bool
    receipt_amount_from_minor: int
    times_max: int
    stackable: bool
    is_for_all: bool
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


class CompiledProgram(Struct, frozen=True, array_like=True):
    """One chain's program: promotions by lane, priority (higher first) and id."""

    program_id: str
    chain_id: str
    currency_code: str
    language_code: str
    point_value_micros: int
    assets: dict[str, Asset]
    promotions: tuple[CompiledPromotion, ...]
    promotion_sets: SetIndex
    fields: tuple[CompiledField, ...]
    prompts_max: int
    links: tuple[CompiledLink, ...]
    link_sets: SetIndex
    till_groups: tuple[TillGroup, ...]
    texts: dict[str, dict[str, str]]


class CompiledRuleset(Struct, frozen=True, array_like=True):
    """All programs at one version, by chain."""

    version: int
    programs: dict[str, CompiledProgram]


COMPILER = b"1"
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
        self.promotion_sets = SetMemo(program.promotion_sets)
        self.link_sets = SetMemo(program.link_sets)


class Ruleset:
    """A ruleset in memory: rules by chain."""

    def __init__(self, compiled: CompiledRuleset) -> None:
        """Wrap the compiled form."""
        self.version = compiled.version
        self.by_chain = {
            chain_id: ProgramRules(compiled.version, program)
            for chain_id, program in compiled.programs.items()
        }


def compile_ruleset(version: int, programs: tuple[Program, ...]) -> CompiledRuleset:
    """Compile checked programs.

    Args:
        version: version of the ruleset, 1 or more.
        programs: at most one a chain, each without problems (`program_check`).
    """
    compiled = {program.chain_id: _compile_program(program) for program in programs}
    assert len(compiled) == len(programs), "one program a chain"
    return CompiledRuleset(version, compiled)


def encode_ruleset(compiled: CompiledRuleset) -> bytes:
    """Spell the compiled form for storing, with the form's own mark in front."""
    return COMPILED_FORM + msgspec.msgpack.encode(compiled)


def decode_ruleset(stored: bytes) -> CompiledRuleset | None:
    """Read what `encode_ruleset` wrote; None if another build wrote it in another form."""
    if stored[: len(COMPILED_FORM)] != COMPILED_FORM:
        return None
    return msgspec.msgpack.decode(stored[len(COMPILED_FORM) :], type=CompiledRuleset)


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
    programs = msgspec.msgpack.decode(content, type=tuple[Program, ...])
    return compile_ruleset(version, programs)


def compile_encoded(version: int, programs: tuple[Program, ...]) -> bytes:
    """Compile and spell in one step, as publishing wants it."""
    return encode_ruleset(compile_ruleset(version, programs))


def _compile_program(program: Program) -> CompiledProgram:
    ordered = sorted(program.promotions, key=_running_order)
    links = sorted(program.cross_sell_links, key=lambda link: (-link.weight, link.link_id))
    fields = sorted(program.profile_fields, key=lambda field: (-field.weight, field.field_code))
    return CompiledProgram(
        program_id=program.program_id,
        chain_id=program.chain_id,
        currency_code=program.currency_code,
        language_code=program.language_code,
        point_value_micros=program.point_value_micros,
        assets={asset.code: asset for asset in program.assets},
        promotions=tuple(_compile_promotion(promotion) for promotion in ordered),
        promotion_sets=index_sets((n, p.what.products) for n, p in enumerate(ordered)),
        fields=tuple(_compile_field(field) for field in fields),
        prompts_max=program.prompts_max,
        links=tuple(_compile_link(link) for link in links),
        link_sets=index_sets((n, link.basket) for n, link in enumerate(links)),
        till_groups=program.till_groups,
        texts={template.text_code: _by_language(template) for template in program.texts},
    )


def _running_order(promotion: Promotion) -> tuple[int, int, str]:
    return LANE_NUMBERS[promotion.lane], -promotion.priority, promotion.promotion_id


def _compile_promotion(promotion: Promotion) -> CompiledPromotion:
    when, who = promotion.when, promotion.who
    return CompiledPromotion(
        promotion_id=promotion.promotion_id,
        tag=_tag(b"promotion", promotion.promotion_id),
        lane=LANE_NUMBERS[promotion.lane],
        benefit=promotion.gives,
        from_day=date.fromisoformat(when.from_date).toordinal() if when.from_date else 0,
        to_day=date.fromisoformat(when.to_date).toordinal() if when.to_date else DAY_LAST,
        zones=frozenset(when.zones),
        channels=frozenset(CHANNEL_NUMBERS[name] for name in when.channels),
        segments=frozenset(who.segments),
        customer_required=who.customer_required,
        receipt_amount_from_minor=promotion.what.receipt_amount_from_minor,
        times_max=promotion.limits.times_per_receipt,
        stackable=promotion.stackable,
        is_for_all=not any(
            (
                when.zones,
                when.channels,
                who.segments,
                who.customer_required,
                promotion.what.receipt_amount_from_minor,
            )
        ),
        texts=_texts(promotion.names),
    )


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
