"""The sale as the domain sees it: what was scanned, its keys and its fingerprint.

No personal data: an identifier is a keyed hash from the edge on.
"""

from enum import IntEnum
from hashlib import blake2b
from operator import itemgetter

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from rewards.derived import derived

FINGERPRINT_VERSION = b"\x01"
_ENCODER = msgspec.msgpack.Encoder()


class SaleMode(IntEnum):
    """As SaleMode of the contract."""

    LIVE = 1
    TRAINING = 2


class Unit(IntEnum):
    """As QuantityUnit of the contract."""

    PIECE = 1
    KILOGRAM = 2
    LITRE = 3
    METRE = 4


class PriceSource(IntEnum):
    """As PriceSource of the contract."""

    SHELF = 1
    STICKER = 2
    LABEL = 3
    MANUAL = 4


class LineKind(IntEnum):
    """As LineKind of the contract."""

    GOODS = 1
    FUEL = 2
    SERVICE = 3
    GIFT_CARD = 4
    DEPOSIT = 5
    BAG = 6


class LineAction(IntEnum):
    """As LineAction of the contract."""

    SALE = 1
    RETURN = 2


class EntryMethod(IntEnum):
    """As EntryMethod of the contract."""

    SCANNED = 1
    KEYED = 2
    DICTATED = 3
    APP_TOKEN = 4


class TenderKind(IntEnum):
    """As TenderKind of the contract."""

    CASH = 1
    CARD = 2
    GIFT_CARD = 3
    POINTS = 4
    VOUCHER = 5
    MOBILE = 6
    OTHER = 7


class OutcomeKind(IntEnum):
    """As OutcomeKind of the contract."""

    AS_ANSWERED = 1
    PLAIN = 2
    OTHER = 3
    NOT_SOLD = 4
    UNKNOWN = 5


class _Scanned(Struct, frozen=True, array_like=True, gc=False):
    """Base of the parts of a sale: immutable, stored as an array in field order."""


class ReceiptKey(_Scanned, frozen=True):
    """The permanent natural key (contract, section 1)."""

    chain_id: str
    store_id: str
    till_id: str
    business_date: str
    shift_id: str
    receipt_number: str
    epoch: int


class Identifier(_Scanned, frozen=True):
    """Kind, 16-byte keyed hash and entry method of an identifier."""

    kind: int
    identifier_hash: bytes
    entry_method: int


class Capabilities(_Scanned, frozen=True):
    """What the till can do; the server offers nothing else."""

    split_line: bool = False
    zero_price: bool = False
    add_piece: bool = False
    ask_question: bool = False
    print_qr: bool = False
    slip_width_chars: int = 0


class Line(_Scanned, frozen=True):
    """One line; units and ranges as in `receipt.proto`."""

    line_id: str
    sku: str
    quantity_milli: int
    unit: int
    unit_price_scaled: int
    unit_price_scale: int
    amount_minor: int
    price_source: int
    kind: int
    action: int
    minimum_amount_minor: int = 0
    no_discount: bool = False
    no_earn: bool = False
    no_spend: bool = False
    cancelled: bool = False
    rest: tuple[object, ...] = ()
    """What no rule reads, in the order of the contract's fields; empty if nothing was sent."""


class LineColumns(Struct, frozen=True, gc=False):
    """Lines column by column: of the fields of `Line` that are asked of all lines at once."""

    line_ids: tuple[str, ...]
    skus: tuple[str, ...]
    quantities_milli: tuple[int, ...]
    units: tuple[int, ...]
    amounts_minor: tuple[int, ...]
    actions: tuple[int, ...]
    minimum_amounts_minor: tuple[int, ...]
    cancelled: tuple[bool, ...]
    rests: tuple[tuple[object, ...], ...]


_IN_COLUMNS = (
    "line_id",
    "sku",
    "quantity_milli",
    "unit",
    "amount_minor",
    "action",
    "minimum_amount_minor",
    "cancelled",
    "rest",
)
_NO_COLUMNS: tuple[tuple[()], ...] = ((),) * len(Line.__struct_fields__)
_COLUMNS = itemgetter(*map(Line.__struct_fields__.index, _IN_COLUMNS))


class Tender(_Scanned, frozen=True):
    """One means of payment."""

    kind: int
    state: int
    amount_minor: int
    card_bin: str
    gift_card_id: str
    gift_card_operation: int
    asset_code: str = ""


class Header(_Scanned, frozen=True):
    """Facts about the whole receipt."""

    chain_id: str
    store_id: str
    till_id: str
    mode: int
    till_type: int
    cashier_id: str
    shift_id: str
    till_time_us: int
    till_utc_offset_minutes: int
    currency_code: str
    language_code: str
    line_count: int
    amount_minor: int
    identifiers: tuple[Identifier, ...]
    coupon_codes: tuple[str, ...]
    manual_triggers: tuple[str, ...]
    staff_purchase: bool
    legal_entity_id: str
    order_number: str
    fiscal_number: str
    capabilities: Capabilities


class Sale(_Scanned, frozen=True, dict=True, gc=True):
    """What was scanned: immutable, and the only part that the fingerprint covers.

    What is asked of all lines at once is asked of columns: a step for a receipt, not one for each
    line. They are made when they are first asked for, and are no part of the sale.
    """

    header: Header
    lines: tuple[Line, ...]
    tenders: tuple[Tender, ...]
    cash_rounding_minor: int

    @derived
    def columns(self) -> LineColumns:
        """The lines by column."""
        columns = tuple(zip(*map(astuple, self.lines), strict=True))
        return LineColumns(*_COLUMNS(columns or _NO_COLUMNS))

    @derived
    def has_returns(self) -> bool:
        """Whether any line gives something back, cancelled or not."""
        return LineAction.RETURN.value in self.columns.actions


class Outcome(_Scanned, frozen=True):
    """What the till did; `lines` are (line_id, amount_minor)."""

    kind: int
    number: int
    lines: tuple[tuple[str, int], ...]


def key_id_of(key: ReceiptKey) -> bytes:
    """Hash a receipt key to its 16-byte id (contract, section 1)."""
    return blake2b(_ENCODER.encode(key), digest_size=16, person=b"receipt").digest()


def derived_key_id(purpose: bytes, *parts: bytes) -> bytes:
    """Hash the key of something that hangs on other keys: a void, a basket, a submission.

    Args:
        purpose: 1 to 16 bytes, one for each kind of key.
        parts: the keys it hangs on.

    Returns:
        16 bytes, unlike those of any other purpose.
    """
    return blake2b(_ENCODER.encode(parts), digest_size=16, person=purpose).digest()


def fingerprint_of(encoded_sale: bytes) -> bytes:
    """Fingerprint a sale: version byte and 16-byte hash over its decoded fields.

    Args:
        encoded_sale: what `encode_sale` gave.
    """
    digest = blake2b(encoded_sale, digest_size=16, person=b"sale").digest()
    return FINGERPRINT_VERSION + digest


def encode_sale(sale: Sale) -> bytes:
    """Spell the decoded fields canonically: the same fields give the same bytes."""
    return _ENCODER.encode(sale)
