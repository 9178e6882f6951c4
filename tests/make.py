"""One constructor per object, every argument defaulted: a test names only what it is about."""

from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from typing import Any

from loyalty.v1 import receipt_pb2 as receipt
from loyalty.v1 import till_service_pb2 as till
from rewards.allocate import allocate
from rewards.authored import LocalText, ProductSet
from rewards.basket import Allocate
from rewards.benefit import Benefit, NPlusM, PercentOff, PointsRate, ReceiptDiscount
from rewards.commit import AccountChange, Commit, CommitKey, KeyKind
from rewards.compilation import compile_ruleset
from rewards.condition import (
    Channels,
    Condition,
    KnownCustomer,
    ReceiptAmount,
    Segments,
    Zones,
)
from rewards.evaluate import Evaluation, evaluate
from rewards.facts import (
    AssetWindow,
    CustomerFacts,
    CustomerState,
    Facts,
    ListPrice,
    Quota,
    StoreFacts,
)
from rewards.limits import MILLI
from rewards.product import Product
from rewards.program import (
    Asset,
    AssetName,
    CheckName,
    CrossSellLink,
    LaneName,
    Limits,
    PluralForm,
    ProfileField,
    Program,
    Promotion,
    TextTemplate,
    TillGroup,
    When,
)
from rewards.program_check import LANES_ALLOWED, benefit_code
from rewards.rewarding import Grant
from rewards.rounding import round_half_up
from rewards.ruleset import CompiledProgram, ProgramRules, Ruleset
from rewards.sale import (
    Capabilities,
    Header,
    Identifier,
    Line,
    LineAction,
    LineKind,
    PriceSource,
    ReceiptKey,
    Sale,
    SaleMode,
    Tender,
    TenderKind,
    Unit,
)
from server.store.feeds import StoreRecord

CHAIN, STORE, TILL = "chain", "store", "till"
TODAY = date(2026, 11, 22)
NOON_US = 1_795_348_800_000_000
"""2026-11-22 12:00 UTC."""
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
DAY_ENDS = tuple((days, NOON_US + days * DAY_US) for days in (1, 7, 14, 30))

ABLE = Capabilities(True, True, True, True, True, 40)
"""A till that can do everything."""
ANYTHING = ProductSet()

POINTS_NAMES = (
    AssetName(
        "ru",
        (
            PluralForm("one", "балл"),
            PluralForm("few", "балла"),
            PluralForm("many", "баллов"),
            PluralForm("other", "балла"),
        ),
    ),
    AssetName("en", (PluralForm("one", "point"), PluralForm("other", "points"))),
)


def texts(text: str = "text") -> tuple[LocalText, ...]:
    return (LocalText("en", text),)


def asset(
    code: str = "points",
    kind: Any = "points",
    decimals: int = 0,
    active_after_days: int = 0,
    active_days: int = 0,
    names: tuple[AssetName, ...] = POINTS_NAMES,
) -> Asset:
    return Asset(code, kind, names, decimals, active_after_days, active_days)


POINTS = asset()
NEXT_DISCOUNT = asset("next", "deferred_discount", decimals=2)


def promotion(
    promotion_id: str = "promotion",
    gives: Benefit | tuple[Benefit, ...] = PercentOff(1_000),  # noqa: B008 - immutable
    lane: LaneName | None = None,
    priority: int = 0,
    products: ProductSet = ANYTHING,
    conditions: tuple[Condition, ...] = (),
    receipt_amount_from_minor: int = 0,
    times_per_receipt: int = 0,
    limits: Limits | None = None,
    from_date: str = "",
    to_date: str = "",
    from_time: str = "",
    to_time: str = "",
    zones: tuple[str, ...] = (),
    channels: tuple[Any, ...] = (),
    segments: tuple[str, ...] = (),
    customer_required: bool = False,
    **others: Any,
) -> Promotion:
    """A promotion; `others` are fields of `Promotion` by name."""
    benefits = gives if isinstance(gives, tuple) else (gives,)
    asked: list[Condition] = [*conditions]
    if zones:
        asked.append(Zones(zones))
    if channels:
        asked.append(Channels(channels))
    if segments:
        asked.append(Segments(segments))
    if customer_required:
        asked.append(KnownCustomer())
    if receipt_amount_from_minor:
        asked.append(ReceiptAmount(receipt_amount_from_minor))
    return Promotion(
        promotion_id=promotion_id,
        names=texts(promotion_id),
        lane=lane or LANES_ALLOWED[benefit_code(benefits[0])][0],
        gives=benefits,
        priority=priority,
        when=When(from_date, to_date, from_time, to_time),
        products=products,
        conditions=tuple(asked),
        limits=limits or Limits(times_per_receipt),
        **others,
    )


def percent(rate_bp: int = 1_000, promotion_id: str = "percent", **changes: Any) -> Promotion:
    return promotion(promotion_id, PercentOff(rate_bp), **changes)


def n_plus_m(
    pay: int = 10, free: int = 1, promotion_id: str = "n-plus-m", **changes: Any
) -> Promotion:
    return promotion(promotion_id, NPlusM(pay, free), **changes)


def amount_off(
    amount_minor: int = 500, promotion_id: str = "amount-off", **changes: Any
) -> Promotion:
    return promotion(promotion_id, ReceiptDiscount(amount_minor=amount_minor), **changes)


def points(rate_bp: int = 1_000, promotion_id: str = "points", **changes: Any) -> Promotion:
    return promotion(promotion_id, PointsRate("points", rate_bp), **changes)


def program(
    *promotions: Promotion,
    program_id: str = "program",
    chain_id: str = CHAIN,
    currency_code: str = "RUB",
    language_code: str = "en",
    assets: tuple[Asset, ...] = (POINTS, NEXT_DISCOUNT),
    profile_fields: tuple[ProfileField, ...] = (),
    prompts_max: int = 0,
    cross_sell_links: tuple[CrossSellLink, ...] = (),
    till_groups: tuple[TillGroup, ...] = (),
    text_templates: tuple[TextTemplate, ...] = (),
    point_value_micros: int = 1_000_000,
    **others: Any,
) -> Program:
    """A program; `others` are fields of `Program` by name."""
    return Program(
        program_id=program_id,
        chain_id=chain_id,
        currency_code=currency_code,
        language_code=language_code,
        assets=assets,
        promotions=promotions,
        profile_fields=profile_fields,
        prompts_max=prompts_max,
        cross_sell_links=cross_sell_links,
        till_groups=till_groups,
        texts=text_templates,
        point_value_micros=point_value_micros,
        **others,
    )


def compiled(*promotions: Promotion, **changes: Any) -> CompiledProgram:
    return rules(*promotions, **changes).program


def rules(*promotions: Promotion, version: int = 1, **changes: Any) -> ProgramRules:
    made = program(*promotions, **changes)
    return Ruleset(compile_ruleset(version, (made,))).by_chain[made.chain_id]


def product(
    sku: str = "tea",
    name: str = "",
    categories: tuple[str, ...] = (),
    brand: str = "",
    properties: tuple[str, ...] = (),
    no_discount: bool = False,
    no_earn: bool = False,
    no_cross_sell: bool = False,
    minimum_price_minor: int = 0,
) -> Product:
    shown = name or sku.capitalize()
    flags = (no_discount, no_earn, no_cross_sell)
    return Product(sku, shown, categories, brand, properties, *flags, minimum_price_minor)


def line(
    sku: str = "tea",
    pieces: int = 1,
    price_minor: int = 100,
    line_id: str = "",
    amount_minor: int | None = None,
    quantity_milli: int | None = None,
    unit: int = Unit.PIECE,
    price_source: int = PriceSource.SHELF,
    kind: int = LineKind.GOODS,
    action: int = LineAction.SALE,
    minimum_amount_minor: int = 0,
    no_discount: bool = False,
    no_earn: bool = False,
    no_spend: bool = False,
    cancelled: bool = False,
    rest: tuple[object, ...] = (),
) -> Line:
    """So many pieces at a price; the amount is their product unless it is named."""
    return Line(
        line_id=line_id or sku,
        sku=sku,
        quantity_milli=pieces * MILLI if quantity_milli is None else quantity_milli,
        unit=unit,
        unit_price_scaled=price_minor,
        unit_price_scale=2,
        amount_minor=pieces * price_minor if amount_minor is None else amount_minor,
        price_source=price_source,
        kind=kind,
        action=action,
        minimum_amount_minor=minimum_amount_minor,
        no_discount=no_discount,
        no_earn=no_earn,
        no_spend=no_spend,
        cancelled=cancelled,
        rest=rest,
    )


def weighed(
    sku: str = "apples", quantity_milli: int = 1_500, price_minor: int = 200, **changes: Any
) -> Line:
    """So many thousandths of a kilogram (or of another unit) at a price for a whole one."""
    amount_minor = round_half_up(price_minor * quantity_milli, MILLI)
    fields = {"unit": Unit.KILOGRAM, "amount_minor": amount_minor, **changes}
    return line(sku, price_minor=price_minor, quantity_milli=quantity_milli, **fields)


def header(
    chain_id: str = CHAIN,
    store_id: str = STORE,
    till_id: str = TILL,
    mode: int = SaleMode.LIVE,
    till_type: int = 1,
    cashier_id: str = "cashier",
    shift_id: str = "1",
    till_time_us: int = NOON_US,
    till_utc_offset_minutes: int = 180,
    currency_code: str = "RUB",
    language_code: str = "en",
    line_count: int = 0,
    amount_minor: int = 0,
    identifiers: tuple[Identifier, ...] = (),
    coupon_codes: tuple[str, ...] = (),
    manual_triggers: tuple[str, ...] = (),
    staff_purchase: bool = False,
    legal_entity_id: str = "",
    order_number: str = "",
    fiscal_number: str = "",
    capabilities: Capabilities = ABLE,
) -> Header:
    return Header(
        chain_id,
        store_id,
        till_id,
        mode,
        till_type,
        cashier_id,
        shift_id,
        till_time_us,
        till_utc_offset_minutes,
        currency_code,
        language_code,
        line_count,
        amount_minor,
        identifiers,
        coupon_codes,
        manual_triggers,
        staff_purchase,
        legal_entity_id,
        order_number,
        fiscal_number,
        capabilities,
    )


def tender(
    kind: int = TenderKind.CASH,
    amount_minor: int = 0,
    state: int = 2,
    card_bin: str = "",
    gift_card_id: str = "",
    gift_card_operation: int = 0,
) -> Tender:
    return Tender(kind, state, amount_minor, card_bin, gift_card_id, gift_card_operation)


def sale(
    *lines: Line, tenders: tuple[Tender, ...] = (), cash_rounding_minor: int = 0, **changes: Any
) -> Sale:
    """A sale whose control totals are those of its lines."""
    counted = [one for one in lines if not one.cancelled]
    signed = [-c.amount_minor if c.action == LineAction.RETURN else c.amount_minor for c in counted]
    head = header(line_count=len(counted), amount_minor=sum(signed), **changes)
    return Sale(head, lines, tenders, cash_rounding_minor)


def customer(
    account_id: int = 7,
    account_version: int = 1,
    customer_id: int = 70,
    state: int = CustomerState.ACTIVE,
    language_code: str = "",
    segments: Sequence[str] = (),
    balances: tuple[tuple[str, int], ...] = (),
    **others: Any,
) -> CustomerFacts:
    """A customer; `others` are fields of `CustomerFacts` by name."""
    names = frozenset(segments)
    return CustomerFacts(
        account_id, account_version, customer_id, state, language_code, names, balances, **others
    )


def store_facts(
    zones: Sequence[str] = (),
    local_day: int = TODAY.toordinal(),
    windows: tuple[tuple[str, AssetWindow], ...] = (
        ("points", AssetWindow(NOON_US, 0)),
        ("next", AssetWindow(NOON_US, NOON_US + DAY_US)),
    ),
    local_minute: int = 15 * 60,
    day_ends: tuple[tuple[int, int], ...] = DAY_ENDS,
) -> StoreFacts:
    return StoreFacts(frozenset(zones), local_day, windows, local_minute, day_ends)


def facts(
    *products: Product,
    customer: CustomerFacts = customer(),  # noqa: B008 - immutable
    store: StoreFacts = store_facts(),  # noqa: B008 - immutable
    quotas: tuple[Quota, ...] = (),
    prices: tuple[ListPrice, ...] = (),
) -> Facts:
    return Facts(customer, store, products, quotas, prices)


def evaluated(
    promotions: Sequence[Promotion],
    made: Sale,
    known: Facts = facts(),  # noqa: B008 - immutable
    allocate: Allocate = allocate,
    **changes: Any,
) -> Evaluation:
    return evaluate(rules(*promotions, **changes), made, known, allocate)


def grant(
    number: int = 0,
    asset_code: str = "points",
    amount_minor: int = 100,
    value_minor: int = 100,
    active_from_us: int = NOON_US,
    expires_at_us: int = 0,
    place: int = 0,
) -> Grant:
    return Grant(
        number, place, asset_code, amount_minor, value_minor, active_from_us, expires_at_us
    )


def field(
    field_code: str = "field",
    check: CheckName = "text",
    valid_days: int = 0,
    weight: int = 0,
    choices: tuple[str, ...] = (),
    first_asked_if: tuple[str, ...] = (),
    asked_again_if: tuple[str, ...] = (),
    never_asked: bool = False,
) -> ProfileField:
    return ProfileField(
        field_code=field_code,
        questions=texts(f"{field_code}?"),
        check=check,
        choices=choices,
        valid_days=valid_days,
        weight=weight,
        first_asked_if=first_asked_if,
        asked_again_if=asked_again_if,
        never_asked=never_asked,
    )


def link(
    link_id: str = "link",
    basket: ProductSet = ANYTHING,
    show: ProductSet = ANYTHING,
    segments: tuple[str, ...] = (),
    weight: int = 0,
) -> CrossSellLink:
    return CrossSellLink(link_id, basket, show, texts("{product}?"), segments, weight)


def till_group(
    group_id: str = "group",
    cross_sell_max: int = 3,
    till_types: tuple[Any, ...] = (),
    stores: tuple[str, ...] = (),
) -> TillGroup:
    return TillGroup(group_id, till_types, stores, cross_sell_max)


def receipt_key(
    chain_id: str = CHAIN,
    store_id: str = STORE,
    till_id: str = TILL,
    business_date: str = "2026-11-22",
    shift_id: str = "1",
    receipt_number: str = "1",
    epoch: int = 0,
) -> ReceiptKey:
    return ReceiptKey(chain_id, store_id, till_id, business_date, shift_id, receipt_number, epoch)


def key_id(name: str = "key") -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()


def commit(
    *names: str, account_id: int = 0, account_version: int = 0, kind: int = KeyKind.CHECKOUT
) -> Commit:
    """A commit of these keys; the first name is its own."""
    keys = tuple(CommitKey(key_id(name), kind, b"") for name in names or ("key",))
    accounts = (AccountChange(account_id, account_version),) if account_id else ()
    return Commit(keys, NOON_US, NOON_US, accounts)


def store_record(
    chain_id: str = CHAIN,
    store_id: str = STORE,
    currency_code: str = "RUB",
    language_code: str = "ru",
    time_zone: str = "Europe/Moscow",
    zones: tuple[str, ...] = (),
) -> StoreRecord:
    return StoreRecord(chain_id, store_id, time_zone, currency_code, language_code, zones, "Store")


def pb_line(**changes: Any) -> receipt.Line:
    """The least a line must have: two packs of tea at 100."""
    fields: dict[str, Any] = {
        "line_id": "1",
        "sku": "tea",
        "quantity_milli": 2_000,
        "unit": receipt.QUANTITY_UNIT_PIECE,
        "unit_price_scaled": 100,
        "unit_price_scale": 2,
        "amount_minor": 200,
        "price_source": receipt.PRICE_SOURCE_SHELF,
        "kind": receipt.LINE_KIND_GOODS,
        "action": receipt.LINE_ACTION_SALE,
    }
    return receipt.Line(**{**fields, **changes})


def pb_header(**changes: Any) -> receipt.Header:
    """The least a header must have."""
    fields: dict[str, Any] = {
        "chain_id": CHAIN,
        "store_id": STORE,
        "till_id": TILL,
        "mode": receipt.SALE_MODE_LIVE,
        "till_type": receipt.TILL_TYPE_STAFFED,
        "cashier_id": "cashier",
        "shift_id": "1",
        "till_time_us": NOON_US,
        "currency_code": "RUB",
        "language_code": "ru",
        "control_totals": receipt.ControlTotals(line_count=1, amount_minor=200),
    }
    return receipt.Header(**{**fields, **changes})


def pb_sale(
    *lines: receipt.Line, header: receipt.Header | None = None, **rest: Any
) -> receipt.Sale:
    """A sale of these lines, or of one; its control totals fit unless a header is given."""
    chosen = lines or (pb_line(),)
    counted = [one for one in chosen if not one.cancelled]
    signs = [-1 if one.action == receipt.LINE_ACTION_RETURN else 1 for one in counted]
    amounts = [sign * one.amount_minor for sign, one in zip(signs, counted, strict=True)]
    totals = receipt.ControlTotals(line_count=len(counted), amount_minor=sum(amounts))
    head = pb_header(control_totals=totals) if header is None else header
    return receipt.Sale(header=head, lines=chosen, **rest)


def pb_receipt_key(**changes: Any) -> receipt.ReceiptKey:
    fields: dict[str, Any] = {
        "chain_id": CHAIN,
        "store_id": STORE,
        "till_id": TILL,
        "business_date": "2026-11-22",
        "shift_id": "1",
        "receipt_number": "1",
    }
    return receipt.ReceiptKey(**{**fields, **changes})


def checkout_request(**changes: Any) -> till.CheckoutRequest:
    fields: dict[str, Any] = {"receipt_key": pb_receipt_key(), "sale": pb_sale()}
    return till.CheckoutRequest(**{**fields, **changes})


def hash_identifier(chain_id: str, kind: int, value: str) -> bytes:
    """A hash of identifiers for tests, without a key."""
    return blake2b(f"{chain_id}/{kind}/{value}".encode(), digest_size=16).digest()
