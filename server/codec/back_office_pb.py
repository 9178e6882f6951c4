"""What the back office sends, from protobuf to rows. Everything is checked before any work."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from loyalty.v1 import back_office_service_pb2 as pb
from rewards import limits
from rewards.facts import CustomerState, OwnOffer
from rewards.product import Product
from rewards.refusal import Reason, Refusal
from server.codec import check
from server.registers import is_currency, is_language, is_time_zone
from server.store.feeds import StoreRecord

STORES_MAX = 1_000
PRODUCTS_MAX = 10_000
CUSTOMERS_MAX = 10_000
ZONES_MAX = 100
CATEGORIES_MAX = 10
PROPERTIES_MAX = 50
SEGMENTS_MAX = 100
IMPORTED_IDENTIFIERS_MAX = 8
PRODUCT_NAME_MAX = 200
COUNTERS_MAX = 100
COUNT_MAX = 10**15
OFFERS_MAX = 50
OFFER_CATEGORIES_MAX = 50

KINDS = {"card": 1, "phone": 2, "qr_token": 3, "email": 4, "app": 5}
"""IdentifierKind of the contract by the names that imports use."""
STATES = {
    "": CustomerState.ACTIVE,
    "active": CustomerState.ACTIVE,
    "earn_only": CustomerState.EARN_ONLY,
    "blocked": CustomerState.BLOCKED,
}

_CODE = re.compile(r"[a-z0-9_\-]+")
_PAIR = re.compile(r"[^=]{1,64}=.{1,128}", re.DOTALL)
_PAIR_MAX = 64 + 1 + 128


class ImportedCustomer(NamedTuple):
    """A customer as sent; identifiers are (kind, value), answers (field, value, instant)."""

    customer_number: str
    state: int
    language_code: str
    segments: tuple[str, ...]
    identifiers: tuple[tuple[int, str], ...]
    answers: tuple[tuple[str, str, int], ...]
    tier: str = ""
    counters: tuple[tuple[str, int], ...] = ()
    offers: tuple[OwnOffer, ...] = ()


def stores_from_pb(request: pb.ImportStoresRequest) -> list[StoreRecord]:
    """Read the stores of an import.

    Raises:
        Refusal: what is wrong with a field, named in BadRequest.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    check.count_of(len(request.stores), "stores", STORES_MAX, least=1)
    stores = [_store(store, chain_id, f"stores[{n}]") for n, store in enumerate(request.stores)]
    _check_unique([store.store_id for store in stores], "stores", "store_id")
    return stores


def products_from_pb(request: pb.ImportProductsRequest) -> tuple[str, list[Product]]:
    """Read the chain and the articles of an import.

    Raises:
        Refusal: what is wrong with a field, named in BadRequest.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    check.count_of(len(request.products), "products", PRODUCTS_MAX, least=1)
    products = [_product(product, f"products[{n}]") for n, product in enumerate(request.products)]
    _check_unique([product.sku for product in products], "products", "sku")
    return chain_id, products


def customers_from_pb(
    request: pb.ImportCustomersRequest, now_us: int
) -> tuple[str, list[ImportedCustomer]]:
    """Read the chain and the customers of an import.

    Args:
        request: the import.
        now_us: the clock, UTC microseconds; nobody can have answered after it.

    Raises:
        Refusal: what is wrong with a field, named in BadRequest.
    """
    chain_id = check.text_of(request.chain_id, "chain_id")
    check.count_of(len(request.customers), "customers", CUSTOMERS_MAX, least=1)
    customers = [
        _customer(customer, f"customers[{n}]", now_us)
        for n, customer in enumerate(request.customers)
    ]
    numbers = [customer.customer_number for customer in customers]
    _check_unique(numbers, "customers", "customer_number")
    return chain_id, customers


def _store(store: pb.Store, chain_id: str, path: str) -> StoreRecord:
    return StoreRecord(
        chain_id=chain_id,
        store_id=check.text_of(store.store_id, f"{path}.store_id"),
        time_zone=_registered(
            store.time_zone, f"{path}.time_zone", is_time_zone, "a time zone of IANA"
        ),
        currency_code=_registered(
            store.currency_code, f"{path}.currency_code", is_currency, "a currency of ISO 4217"
        ),
        language_code=_language(store.language_code, f"{path}.language_code"),
        zones=_texts(store.zones, f"{path}.zones", ZONES_MAX),
        name=check.text_of(store.name, f"{path}.name", PRODUCT_NAME_MAX),
    )


def _product(product: pb.Product, path: str) -> Product:
    floor_path = f"{path}.minimum_price_minor"
    return Product(
        sku=check.text_of(product.sku, f"{path}.sku"),
        name=check.text_of(product.name, f"{path}.name", PRODUCT_NAME_MAX),
        categories=_texts(product.categories, f"{path}.categories", CATEGORIES_MAX),
        brand=check.optional_text_of(product.brand, f"{path}.brand"),
        properties=_properties(product.properties, f"{path}.properties"),
        no_discount=product.no_discount,
        no_earn=product.no_earn,
        no_cross_sell=product.no_cross_sell,
        minimum_price_minor=check.number_of(
            product.minimum_price_minor, floor_path, 0, limits.AMOUNT_MINOR_MAX
        ),
        weighed=product.weighed,
        list_price_minor=check.number_of(
            product.list_price_minor, f"{path}.list_price_minor", 0, limits.AMOUNT_MINOR_MAX
        ),
    )


def _customer(customer: pb.Customer, path: str, now_us: int) -> ImportedCustomer:
    most = IMPORTED_IDENTIFIERS_MAX
    check.count_of(len(customer.identifiers), f"{path}.identifiers", most, least=1)
    check.count_of(len(customer.answers), f"{path}.answers", limits.ANSWERS_MAX)
    language_path = f"{path}.language_code"
    return ImportedCustomer(
        customer_number=check.text_of(customer.customer_number, f"{path}.customer_number"),
        state=_named(customer.state, f"{path}.state", STATES),
        language_code=customer.language_code and _language(customer.language_code, language_path),
        segments=_texts(customer.segments, f"{path}.segments", SEGMENTS_MAX),
        identifiers=tuple(
            _identifier(identifier, f"{path}.identifiers[{n}]")
            for n, identifier in enumerate(customer.identifiers)
        ),
        answers=tuple(
            _answer(answer, f"{path}.answers[{n}]", now_us)
            for n, answer in enumerate(customer.answers)
        ),
        tier=check.optional_text_of(customer.tier, f"{path}.tier"),
        counters=_counters(customer.counters, f"{path}.counters"),
        offers=_offers(customer.offers, f"{path}.offers"),
    )


def _counters(counters: Sequence[pb.ImportedCounter], path: str) -> tuple[tuple[str, int], ...]:
    check.count_of(len(counters), path, COUNTERS_MAX)
    _check_unique([one.counter_code for one in counters], path, "counter_code")
    return tuple(
        sorted(
            (
                code_of(one.counter_code, f"{path}[{n}].counter_code"),
                check.number_of(one.count, f"{path}[{n}].count", 0, COUNT_MAX),
            )
            for n, one in enumerate(counters)
        )
    )


def _offers(offers: Sequence[pb.ImportedOffer], path: str) -> tuple[OwnOffer, ...]:
    check.count_of(len(offers), path, OFFERS_MAX)
    _check_unique([one.offer_code for one in offers], path, "offer_code")
    found = [_offer(one, f"{path}[{n}]") for n, one in enumerate(offers)]
    return tuple(sorted(found, key=lambda offer: offer.offer_code))


def _offer(offer: pb.ImportedOffer, path: str) -> OwnOffer:
    amount_path = f"{path}.amount_from_minor"
    return OwnOffer(
        code_of(offer.offer_code, f"{path}.offer_code"),
        check.number_of(offer.amount_from_minor, amount_path, 0, limits.AMOUNT_MINOR_MAX),
        _texts(offer.categories, f"{path}.categories", OFFER_CATEGORIES_MAX),
    )


def code_of(code: str, path: str) -> str:
    """Pass a code as programs spell codes."""
    check.text_of(code, path)
    if not _CODE.fullmatch(code):
        _refuse_text(path, f"{code!r} is not a code of a-z 0-9 _ -")
    return code


def _identifier(identifier: pb.ImportedIdentifier, path: str) -> tuple[int, str]:
    if not identifier.kind:
        check.refuse_required(f"{path}.kind")
    kind = _named(identifier.kind, f"{path}.kind", KINDS)
    return kind, check.text_of(identifier.value, f"{path}.value", limits.TEXT_CODE_MAX)


def _answer(answer: pb.ImportedAnswer, path: str, now_us: int) -> tuple[str, str, int]:
    at_us = check.number_of(answer.answered_at_us, f"{path}.answered_at_us", 1, now_us)
    code = check.text_of(answer.field_code, f"{path}.field_code")
    return code, check.text_of(answer.value, f"{path}.value", limits.TEXT_ANSWER_MAX), at_us


def _properties(pairs: Sequence[str], path: str) -> tuple[str, ...]:
    for n, pair in enumerate(pairs):
        check.text_of(pair, f"{path}[{n}]", _PAIR_MAX)
        if not _PAIR.fullmatch(pair):
            _refuse_text(f"{path}[{n}]", "is not name=value")
    check.count_of(len(pairs), path, PROPERTIES_MAX)
    return tuple(pairs)


def _texts(texts: Iterable[str], path: str, most: int) -> tuple[str, ...]:
    found = tuple(texts)
    check.count_of(len(found), path, most)
    return tuple(check.text_of(text, f"{path}[{n}]") for n, text in enumerate(found))


def _language(code: str, path: str) -> str:
    check.language_of(code, path)
    return _registered(code, path, is_language, "a language of CLDR")


def _registered(value: str, path: str, is_known: Callable[[str], bool], what: str) -> str:
    check.text_of(value, path)
    if not is_known(value):
        _refuse_text(path, f"{value} is not {what}")
    return value


def _named(name: str, path: str, known: Mapping[str, int]) -> int:
    """Read an enum value that travels by its name."""
    if name not in known:
        text = f"not one of: {', '.join(filter(None, known))}"
        raise Refusal(Reason.UNKNOWN_ENUM_VALUE, f"{path}: {text}", fields=((path, text),))
    return known[name]


def _refuse_text(path: str, text: str) -> None:
    raise Refusal(Reason.BAD_TEXT, f"{path}: {text}", fields=((path, text),))


def _check_unique(values: Sequence[str], path: str, key: str) -> None:
    seen: dict[str, int] = {}
    for n, value in enumerate(values):
        first = seen.setdefault(value, n)
        if first != n:
            check.refuse_inconsistent(f"{path}[{n}].{key}", f"is also at {path}[{first}]")
