"""Facts: everything a decision reads besides the ruleset, the sale and the instant.

They are fetched before, stored with the receipt, and hold no personal data.
"""

from enum import IntEnum

from msgspec import Struct

from rewards.product import Product

NO_ACCOUNT = 0


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


class CustomerFacts(Struct, frozen=True, array_like=True):
    """A customer as rules see them.

    Attributes:
        account_version: version of the account at which all this was read.
        balances: (asset code, minor units), by code.
    """

    account_id: int = NO_ACCOUNT
    account_version: int = 0
    customer_id: int = 0
    state: int = CustomerState.ANONYMOUS
    language_code: str = ""
    segments: frozenset[str] = frozenset()
    balances: tuple[tuple[str, int], ...] = ()


ANONYMOUS = CustomerFacts()
UNKNOWN = CustomerFacts(state=CustomerState.UNKNOWN)


class StoreFacts(Struct, frozen=True, array_like=True):
    """The store at the instant of evaluation.

    Attributes:
        local_day: proleptic ordinal of the store's local date.
        windows: (asset code, window) for every asset of the program.
    """

    zones: frozenset[str]
    local_day: int
    windows: tuple[tuple[str, AssetWindow], ...]


class Facts(Struct, frozen=True, array_like=True):
    """All facts of one decision.

    Attributes:
        products: attributes of the articles on the receipt that the feed knows, by sku.
    """

    customer: CustomerFacts
    store: StoreFacts
    products: tuple[Product, ...]


class FieldState(Struct, frozen=True, array_like=True, gc=False):
    """What is known of one profile field. Never stored with a receipt: it is personal.

    Attributes:
        answered_at_us: when it was last answered, UTC microseconds.
        value: the answer, for fields with a closed set of answers; else None.
    """

    answered_at_us: int
    value: str | None = None
