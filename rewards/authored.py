"""Scalars of authored types, and the sets of products that conditions and benefits speak of."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Code = Annotated[str, Meta(pattern=r"^[a-z0-9_\-]{1,64}\Z")]
AssetCode = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
CouponCode = Annotated[str, Meta(min_length=1, max_length=128)]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", max_length=35)]
LocalDate = Annotated[str, Meta(pattern=r"^(\d{4}-\d{2}-\d{2})?\Z")]
LocalTime = Annotated[str, Meta(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)?\Z")]
AmountMinor = Annotated[int, Meta(ge=0, le=10**12)]
QuantityMilli = Annotated[int, Meta(ge=0, le=10**10)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
ShareBp = Annotated[int, Meta(ge=0, le=10_000)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
Days = Annotated[int, Meta(ge=0, le=36_600)]
Pair = Annotated[str, Meta(pattern=r"^[^=]{1,64}=.{1,128}\Z")]
Channel = Literal["staffed", "self_checkout", "mobile", "pump", "web"]


class Authored(Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all that is authored: immutable, refuses keys it does not know."""


class ProductSet(Authored, frozen=True):
    """Products in any of the lists that fit all the rest; no list at all means every product.

    Attributes:
        categories: at any level of the tree.
        properties: name=value; any of them.
        own_offer: also the categories of the customer's own offer of this code.
        properties_all: name=value; the product has all of them.
        unit_price_from_minor: lowest unit price as sold, included; 0 is no bound.
        unit_price_to_minor: highest unit price as sold, included; 0 is no bound.
    """

    skus: tuple[Name, ...] = ()
    categories: tuple[Name, ...] = ()
    brands: tuple[Name, ...] = ()
    properties: tuple[Pair, ...] = ()
    own_offer: Annotated[str, Meta(pattern=r"^[a-z0-9_\-]{0,64}\Z")] = ""
    properties_all: tuple[Pair, ...] = ()
    except_skus: tuple[Name, ...] = ()
    except_categories: tuple[Name, ...] = ()
    except_brands: tuple[Name, ...] = ()
    except_properties: tuple[Pair, ...] = ()
    unit_price_from_minor: AmountMinor = 0
    unit_price_to_minor: AmountMinor = 0


class LocalText(Authored, frozen=True):
    """A text in one language."""

    language_code: Language
    text: Annotated[str, Meta(min_length=1, max_length=200)]


LocalTexts = Annotated[tuple[LocalText, ...], Meta(min_length=1)]
