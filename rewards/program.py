"""What a program's author writes: strict types, the same names as `loyalty/v1/program.proto`.

A TOML file and a proto message are two forms of `Program`. Decoding refuses unknown keys and wrong
types (msgspec); what needs looking at several fields together is refused by `program_check`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from rewards.rounding import Rounding

Code = Annotated[str, Meta(pattern=r"^[a-z0-9_\-]{1,64}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", max_length=35)]
LocalDate = Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?\Z")]
AmountMinor = Annotated[int, Meta(ge=0, le=10**12)]
ShareBp = Annotated[int, Meta(ge=0, le=10_000)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
Pair = Annotated[str, Meta(pattern=r"^[^=]{1,64}=.{1,128}\Z")]
Channel = Literal["staffed", "self_checkout", "mobile", "pump", "web"]
LaneName = Literal["price", "basket", "reward"]
CheckName = Literal["text", "phone", "email", "date", "choice", "yes_no"]


class _Authored(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all that is authored: immutable, refuses keys it does not know."""


class PluralForm(_Authored, frozen=True):
    """A word in one CLDR plural category."""

    category: Literal["zero", "one", "two", "few", "many", "other"]
    text: Name


class AssetName(_Authored, frozen=True):
    """Name of an asset in one language."""

    language_code: Language
    forms: Annotated[tuple[PluralForm, ...], Meta(min_length=1)]


class Asset(_Authored, frozen=True):
    """Something customers can own.

    Attributes:
        decimals: decimals of its minor unit, 0 to 6.
        active_after_days: whole local days until a lot becomes active.
        active_days: whole local days a lot is active, the last included; 0 is without end.
    """

    code: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}\Z")]
    kind: Literal["points", "deferred_discount"]
    names: Annotated[tuple[AssetName, ...], Meta(min_length=1)]
    decimals: Annotated[int, Meta(ge=0, le=6)] = 0
    active_after_days: Annotated[int, Meta(ge=0, le=3660)] = 0
    active_days: Annotated[int, Meta(ge=0, le=3660)] = 0


class LocalText(_Authored, frozen=True):
    """A text in one language."""

    language_code: Language
    text: Annotated[str, Meta(min_length=1, max_length=200)]


LocalTexts = Annotated[tuple[LocalText, ...], Meta(min_length=1)]


class ProductSet(_Authored, frozen=True):
    """Products: those in any of the lists and in none of the `except_` lists; empty means all."""

    skus: tuple[Name, ...] = ()
    categories: tuple[Name, ...] = ()
    brands: tuple[Name, ...] = ()
    properties: tuple[Pair, ...] = ()
    except_skus: tuple[Name, ...] = ()
    except_categories: tuple[Name, ...] = ()


class When(_Authored, frozen=True):
    """In force from the first to the last day, both included, by the store's wall clock."""

    from_date: LocalDate = ""
    to_date: LocalDate = ""
    zones: tuple[Name, ...] = ()
    channels: tuple[Channel, ...] = ()


class Who(_Authored, frozen=True):
    """For whom: one of the segments (empty: everybody), perhaps only known customers."""

    segments: tuple[Name, ...] = ()
    customer_required: bool = False


class What(_Authored, frozen=True):
    """About which products, and what the receipt must reach before the lane (inclusive)."""

    products: ProductSet = ProductSet()
    receipt_amount_from_minor: AmountMinor = 0


class Limits(_Authored, frozen=True):
    """How often it may fire; 0 is without limit."""

    times_per_receipt: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class PercentOff(_Authored, frozen=True, tag_field="code", tag="percent_off"):
    """A percentage off each product of the set. Lanes price and basket."""

    rate_bp: Annotated[int, Meta(ge=1, le=10_000)]
    rounding: Rounding = "half_up"


class NPlusM(_Authored, frozen=True, tag_field="code", tag="n_plus_m"):
    """Of N+M pieces of one article M are free. Counted goods. Lane price."""

    pay_count: Annotated[int, Meta(ge=1, le=1_000)]
    free_count: Annotated[int, Meta(ge=1, le=1_000)]


class CheapestFree(_Authored, frozen=True, tag_field="code", tag="cheapest_free"):
    """Of every `set_count` pieces of the set the cheapest is free. Counted goods. Lane price."""

    set_count: Annotated[int, Meta(ge=2, le=1_000)]


class ReceiptDiscount(_Authored, frozen=True, tag_field="code", tag="receipt_discount"):
    """A rate or an amount off the set, shared over its lines in proportion. Lane basket."""

    rate_bp: ShareBp = 0
    amount_minor: AmountMinor = 0


class PointsRate(_Authored, frozen=True, tag_field="code", tag="points_rate"):
    """`rate_bp` minor units of the asset for 10,000 minor units paid. Lane reward."""

    asset_code: str
    rate_bp: Annotated[int, Meta(ge=1, le=10**9)]
    rounding: Rounding = "down"


class DeferredDiscount(_Authored, frozen=True, tag_field="code", tag="deferred_discount"):
    """An amount, or a rate of what is paid for the set, off a later receipt. Lane reward."""

    asset_code: str
    amount_minor: AmountMinor = 0
    rate_bp: ShareBp = 0


Benefit = PercentOff | NPlusM | CheapestFree | ReceiptDiscount | PointsRate | DeferredDiscount


class Promotion(_Authored, frozen=True):
    """A promotion = when + who + what + gives + limits, in a lane at a priority (higher first)."""

    promotion_id: Code
    names: LocalTexts
    lane: LaneName
    gives: Benefit
    priority: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    when: When = When()
    who: Who = Who()
    what: What = What()
    limits: Limits = Limits()
    stackable: bool = False


class ProfileField(_Authored, frozen=True):
    """A defined field of the profile.

    Attributes:
        valid_days: days an answer stays valid; 0 is for ever (asked once).
        weight: importance; higher is asked first.
        first_asked_if: asked for the first time only if another field has one of these answers.
        asked_again_if: asked again only if another field has one of these answers.
        never_asked: part of the profile, never asked at a till.
    """

    field_code: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]
    questions: LocalTexts
    check: CheckName
    choices: tuple[Name, ...] = ()
    valid_days: Annotated[int, Meta(ge=0, le=36_600)] = 0
    weight: Weight = 0
    first_asked_if: tuple[Pair, ...] = ()
    asked_again_if: tuple[Pair, ...] = ()
    never_asked: bool = False


class CrossSellLink(_Authored, frozen=True):
    """Whoever has `basket` and is in one of `segments` is shown `show`."""

    link_id: Code
    basket: ProductSet
    show: ProductSet
    texts: LocalTexts
    segments: tuple[Name, ...] = ()
    weight: Weight = 0


class TillGroup(_Authored, frozen=True):
    """Tills that are set up alike; the first group that fits a till counts."""

    group_id: Code
    till_types: tuple[Channel, ...] = ()
    stores: tuple[Name, ...] = ()
    cross_sell_max: Annotated[int, Meta(ge=0, le=20)] = 0


class TextTemplate(_Authored, frozen=True):
    """A text in place of the built-in one of the same code."""

    text_code: Code
    texts: LocalTexts


class Program(_Authored, frozen=True):
    """All that one chain's loyalty program says.

    Attributes:
        point_value_micros: value of a minor unit of points, millionths of a minor unit of money.
        prompts_max: at most so many prompts a receipt.
    """

    program_id: Code
    chain_id: Name
    currency_code: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    language_code: Language
    assets: Annotated[tuple[Asset, ...], Meta(min_length=1, max_length=32)]
    promotions: Annotated[tuple[Promotion, ...], Meta(max_length=100_000)] = ()
    profile_fields: Annotated[tuple[ProfileField, ...], Meta(max_length=200)] = ()
    prompts_max: Annotated[int, Meta(ge=0, le=20)] = 0
    cross_sell_links: Annotated[tuple[CrossSellLink, ...], Meta(max_length=100_000)] = ()
    till_groups: Annotated[tuple[TillGroup, ...], Meta(max_length=1_000)] = ()
    texts: Annotated[tuple[TextTemplate, ...], Meta(max_length=1_000)] = ()
    point_value_micros: Annotated[int, Meta(ge=0, le=10**15)] = 0
