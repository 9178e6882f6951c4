"""Facts: everything a decision reads besides the ruleset, the sale and the instant.

They are fetched before, stored with the receipt, and hold no personal data.
"""

from enum import IntEnum
from operator import attrgetter

from msgspec import Struct

from rewards.derived import derived
from rewards.product import Product

NO_ACCOUNT = 0
_SKU = attrgetter("sku")


class CustomerState(IntEnum):
    """As CustomerState of the contract."""

    ANONYMOUS = 0
    ACTIVE = 1
    EARN_ONLY = 2
    BLOCKED = 3
    UNKNOWN = 4


class AssetWindow(Struct, frozen=True, array_like=True, gc=False):
    """When a lot of an asset that is granted now starts and ends.

    Attributes:
        active_from_us: UTC microseconds.
        expires_at_us: UTC microseconds, the last one included; 0 is without end.
    """

    active_from_us: int
    expires_at_us: int


class OwnOffer(Struct, frozen=True, array_like=True, gc=False):
    """What a customer was promised for themselves: a threshold, favourite categories.

    Attributes:
        amount_from_minor: what a receipt must come to, minor units; 0 if it is about products.
    """

    offer_code: str
    amount_from_minor: int = 0
    categories: tuple[str, ...] = ()


class CustomerFacts(Struct, frozen=True, array_like=True):
    """A customer as rules see them.

    Attributes:
        account_version: version of the account at which all this was read.
        balances: (asset code, minor units), by code.
        birthday_in_days: local days to the nearest birthday, negative after it; None if it is not
            known, or farther away than any promotion asks about.
        purchases: receipts before this one.
        last_purchase_day: proleptic ordinal of the local date; 0 is none.
        counters: (counter code, count) of purchase history, by code.
        usable: (asset code, minor units) of the balances that promotions may cost: active, not
            expired, not held by another basket. An asset that is missing is usable as it stands.
    """

    account_id: int = NO_ACCOUNT
    account_version: int = 0
    customer_id: int = 0
    state: int = CustomerState.ANONYMOUS
    language_code: str = ""
    segments: frozenset[str] = frozenset()
    balances: tuple[tuple[str, int], ...] = ()
    tier: str = ""
    birthday_in_days: int | None = None
    purchases: int = 0
    last_purchase_day: int = 0
    counters: tuple[tuple[str, int], ...] = ()
    offers: tuple[OwnOffer, ...] = ()
    usable: tuple[tuple[str, int], ...] = ()


ANONYMOUS = CustomerFacts()
UNKNOWN = CustomerFacts(state=CustomerState.UNKNOWN)


class StoreFacts(Struct, frozen=True, array_like=True):
    """The store at the instant of evaluation.

    Attributes:
        local_day: proleptic ordinal of the store's local date.
        windows: (asset code, window) for every asset of the program.
        local_minute: minutes since the store's local midnight, 0 to 1,439.
        day_ends: (days, last instant in UTC microseconds) for every number of days for which a
            benefit of the program is valid.
    """

    zones: frozenset[str]
    local_day: int
    windows: tuple[tuple[str, AssetWindow], ...]
    local_minute: int = 0
    day_ends: tuple[tuple[int, int], ...] = ()


class Quota(Struct, frozen=True, array_like=True, gc=False):
    """What is left of a promotion's limits over many receipts; -1 is without limit.

    Attributes:
        customer_times: receipts on which it may still fire for this customer.
        total_times: receipts on which it may still fire, in this store and at all.
        total_minor: what it may still give, minor units of money: the least of what is left for
            the customer, the store and at all.
    """

    promotion_id: str
    customer_times: int = -1
    total_times: int = -1
    total_minor: int = -1


class ListPrice(Struct, frozen=True, array_like=True, gc=False):
    """The price of an article on a list that fits this customer and store, minor units a unit."""

    list_code: str
    sku: str
    price_minor: int


class InstrumentState(IntEnum):
    """Whether a coupon or a gift card can be used; as CouponState of the contract, from USED on."""

    USABLE = 0
    USED = 5
    EXPIRED = 6
    NOT_YOURS = 7
    HELD = 8
    MAY_NOT_SPEND = 9


class Instrument(Struct, frozen=True, array_like=True, gc=False):
    """A coupon of a series, or a gift card, that a receipt could use, as its account stands.

    Attributes:
        code: as it was shown; empty for a coupon of the customer's that was not.
        asset_code: what it is worth one of, or minor units of.
        state: an InstrumentState.
        account_id: where what is left of it stands.
        lot_id: of a coupon of a customer's its lot; else empty: all of the account.
        left_minor: what is left of it to use, minor units; 1 of a coupon.
        expires_at_us: UTC microseconds, the last one included; 0 is without end.
        held_minor: what could be used besides if no other basket held it, minor units; of a card.
    """

    code: str
    asset_code: str
    state: int
    account_id: int
    lot_id: bytes = b""
    left_minor: int = 1
    expires_at_us: int = 0
    held_minor: int = 0


class Spent(Struct, frozen=True, array_like=True, gc=False):
    """What a customer spends of an asset on a receipt.

    Attributes:
        amount_minor: minor units of the asset.
        value_minor: what it pays, minor units of money.
        is_tender: it pays as a tender; else lines cost less.
        rule: place of its rule in the program's spend_rules.
    """

    asset_code: str
    amount_minor: int
    value_minor: int
    is_tender: bool
    rule: int


class Facts(Struct, frozen=True, array_like=True, dict=True):
    """All facts of one decision.

    Attributes:
        products: attributes of the articles on the receipt that the feed knows, by sku.
        quotas: of the promotions that have such limits; one that is missing has nothing left.
        prices: of the articles on the receipt, on the lists that the program uses.
        coupons: that were shown, in the order shown, then the customer's own that were not.
        gift_cards: that the receipt names, certificates too; known ones, in the order named.
        spends: what of the customer's assets pays for a part of it.
        earn_left: (asset code, minor units) that may be earned at most; an asset that is missing
            is without bound.
    """

    customer: CustomerFacts
    store: StoreFacts
    products: tuple[Product, ...]
    quotas: tuple[Quota, ...] = ()
    prices: tuple[ListPrice, ...] = ()
    coupons: tuple[Instrument, ...] = ()
    gift_cards: tuple[Instrument, ...] = ()
    spends: tuple[Spent, ...] = ()
    earn_left: tuple[tuple[str, int], ...] = ()

    @derived
    def products_by_sku(self) -> dict[str, Product]:
        """The products by sku; made when first asked for, no part of the facts."""
        return dict(zip(map(_SKU, self.products), self.products, strict=True))


class FieldState(Struct, frozen=True, array_like=True, gc=False):
    """What is known of one profile field. Never stored with a receipt: it is personal.

    Attributes:
        answered_at_us: when it was last answered, UTC microseconds.
        value: the answer, for fields with a closed set of answers; else None.
    """

    answered_at_us: int
    value: str | None = None
