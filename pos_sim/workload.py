"""What is replayed: a chain's reference data and the baskets its tills will ring up.

Must not know how they came to be (generated or real), nor how they are sent.
"""

from pathlib import Path

from msgspec import Struct

from loyalty.v1.back_office_service_pb2 import Customer, Product, Store
from loyalty.v1.receipt_pb2 import EntryMethod, IdentifierKind, LineKind, QuantityUnit, TillType

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
LINES_MAX = 1_000
PIECES_MAX = 10_000


class Given(Struct, frozen=True):
    """An identifier as the customer gave it."""

    kind: IdentifierKind.ValueType
    value: str
    entry_method: EntryMethod.ValueType


class Item(Struct, frozen=True):
    """One scanned line.

    Attributes:
        quantity_milli: Thousandths of the unit.
        price_minor: Price of one unit, minor units.
    """

    sku: str
    quantity_milli: int
    price_minor: int
    unit: QuantityUnit.ValueType
    kind: LineKind.ValueType
    barcode: str = ""
    age_check: bool = False


class Basket(Struct, frozen=True):
    """What one customer puts on the belt.

    Attributes:
        index: Position in the whole run, from 0.
        customer_number: Empty for an anonymous receipt.
        opened_at_us: The till's clock when the receipt is opened, UTC microseconds.
        utc_offset_minutes: Offset of the till's zone at that instant.
        business_date: As the till labels it.
        coupon_codes: Codes that the customer shows.
    """

    index: int
    items: tuple[Item, ...]
    opened_at_us: int
    utc_offset_minutes: int
    business_date: str
    customer_number: str = ""
    given: Given | None = None
    coupon_codes: tuple[str, ...] = ()

    @property
    def is_beyond_limit(self) -> bool:
        """Whether the contract lets the server take so much on one receipt."""
        pieces_milli = sum(item.quantity_milli for item in self.items)
        return len(self.items) > LINES_MAX or pieces_milli > 1000 * PIECES_MAX


class TillPlan(Struct, frozen=True):
    """A till and the baskets it rings up, in order.

    Attributes:
        language_code: Language of its cashiers.
        adds_pieces: Whether the till can add a piece that the server proposes.
        unary: Whether it makes unary calls in place of a session.
    """

    till_id: str
    store_id: str
    till_type: TillType.ValueType
    language_code: str
    adds_pieces: bool
    unary: bool
    baskets: list[Basket]


class Workload(Struct, frozen=True):
    """A chain, what the server must know of it, and the tills with their baskets."""

    chain_id: str
    currency_code: str
    program: Path
    stores: list[Store]
    products: list[Product]
    customers: list[Customer]
    tills: list[TillPlan]

    @property
    def receipt_count(self) -> int:
        """Receipts of the whole run."""
        return sum(len(till.baskets) for till in self.tills)

    @property
    def beyond_limit_count(self) -> int:
        """Receipts that a server must refuse."""
        return sum(basket.is_beyond_limit for till in self.tills for basket in till.baskets)

    def product_names(self) -> dict[str, str]:
        """Names of the articles by sku, as in the tills' own product feed."""
        return {product.sku: product.name for product in self.products}

    def product_prices(self) -> dict[str, int]:
        """Prices of a unit by sku, minor units, of the articles sold by the piece."""
        return {
            product.sku: product.list_price_minor
            for product in self.products
            if product.list_price_minor and not product.weighed
        }

    def store_named(self, store_id: str) -> Store:
        """The store with this id."""
        return next(store for store in self.stores if store.store_id == store_id)
